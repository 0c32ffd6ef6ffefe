// Command probe does what a benchmark needs beside load: it finds free ports,
// makes rows and applications, times starts and imports, follows cursors, and
// prints the report.
//
//	probe ports N
//	probe rows    -dir DIR -rows N
//	probe app     -dir DIR -entities N
//	probe owned   -dir DIR -url URL -key KEY -rows N
//	probe flood   -url URL -key KEY -clients N      until SIGTERM
//	probe peak    -pid PID -out FILE                the most memory that a process has had
//	probe ready   -url URL [-reset DIR] -reps N [-settle DURATION] -out FILE -- COMMAND...
//	probe walk    -url URL -key KEY -pages N
//	probe stream  -url URL -key KEY -pid PID -method PATH -path PATH -rows N -reps N -out FILE
//	probe schema  -out FILE                         what go test -bench prints, from the standard input
//	probe import  -pando BINARY -app DIR -csv FILE -entity NAME -reps N -out FILE
//	probe report  -out DIR
package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
)

func main() {
	commands := map[string]func(args []string, out io.Writer) error{
		"ports": ports, "rows": rows, "app": app, "owned": owned, "flood": flood, "peak": peak, "ready": ready, "walk": walk, "stream": stream, "schema": schema, "import": imports, "report": report,
	}
	if len(os.Args) < 2 || commands[os.Args[1]] == nil {
		fmt.Fprintln(os.Stderr, "usage: probe ports|rows|app|owned|flood|peak|ready|walk|stream|schema|import|report ...")
		os.Exit(2)
	}
	if err := commands[os.Args[1]](os.Args[2:], os.Stdout); err != nil {
		fmt.Fprintf(os.Stderr, "probe %s: %v\n", os.Args[1], err)
		os.Exit(1)
	}
}

// facts are measured values by name, as the probes hand them to the report.
type facts map[string]float64

func (f facts) write(path string) error {
	b, err := json.MarshalIndent(f, "", " ")
	if err != nil {
		return err
	}
	return os.WriteFile(path, append(b, '\n'), 0o644)
}

// median of at least one value; of an even number, the mean of the middle two.
func median(v []float64) float64 {
	s := slices.Sorted(slices.Values(v))
	if n := len(s); n%2 == 0 {
		return (s[n/2-1] + s[n/2]) / 2
	}
	return s[len(s)/2]
}
