package server

import (
	"runtime/debug"
	"strings"
)

// gcPercent lets the heap grow to five times what lives before it is
// collected. What lives is some 10 MB, so this costs little memory; at Go's
// default of 100 a read by key took 19 % more time.
const gcPercent = 400

// tuneMemory sets the collector's pace, unless the environment does.
func tuneMemory(env []string) {
	for _, kv := range env {
		if strings.HasPrefix(kv, "GOGC=") || strings.HasPrefix(kv, "GOMEMLIMIT=") {
			return
		}
	}
	debug.SetGCPercent(gcPercent)
}
