// Command program is a function as a program: its input is on standard input,
// its result on standard output.
package main

import (
	"encoding/json"
	"fmt"
	"os"
)

func main() {
	var in map[string]any
	if err := json.NewDecoder(os.Stdin).Decode(&in); err != nil {
		fmt.Fprintln(os.Stderr, "no input:", err)
		os.Exit(3)
	}
	fmt.Fprintln(os.Stderr, "read it")
	in["read"] = true
	_ = json.NewEncoder(os.Stdout).Encode(in)
}
