package main

import (
	"bufio"
	"errors"
	"flag"
	"io"
	"os"
	"strconv"
	"strings"
)

// schema reads what `go test -bench` prints of the GraphQL door's schemas, and
// takes the medians. Written: schema_ms, version_percent, first_mb.
func schema(args []string, _ io.Writer) error {
	fs := flag.NewFlagSet("schema", flag.ExitOnError)
	out := fs.String("out", "", "where the facts go")
	_ = fs.Parse(args) // exits on error
	values := map[string][]float64{}
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() { // BenchmarkName-2  10  123 ns/op  4.5 unit
		words := strings.Fields(lines.Text())
		if len(words) < 4 || !strings.HasPrefix(words[0], "Benchmark") {
			continue
		}
		name, _, _ := strings.Cut(words[0], "-")
		for i := 2; i+1 < len(words); i += 2 {
			v, err := strconv.ParseFloat(words[i], 64)
			if err != nil {
				return err
			}
			values[name+" "+words[i+1]] = append(values[name+" "+words[i+1]], v)
		}
	}
	made, more, first := values["BenchmarkSchema ns/op"], values["BenchmarkVersion %more"], values["BenchmarkVersion MB-first"]
	if len(made) == 0 || len(more) == 0 || len(first) == 0 {
		return errors.Join(lines.Err(), errors.New("BenchmarkSchema and BenchmarkVersion are not there"))
	}
	return facts{"schema_ms": median(made) / 1e6, "version_percent": median(more), "first_mb": median(first)}.write(*out)
}
