// Command pando is a complete application backend in one binary.
package main

import (
	"os"

	"github.com/pandobase/pando/internal/cli"
)

// version is set by the build: -ldflags "-X main.version=v1.2.3".
var version = ""

func main() { os.Exit(cli.Main(os.Args[1:], version)) }
