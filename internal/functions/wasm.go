package functions

import (
	"context"
	"io/fs"
)

// module is a user's WebAssembly.
type module struct{}

func (m *module) drop() {}

func (rt *Runtime) loadModule(ctx context.Context, fsys fs.FS, name string, before *entry) (*entry, []Problem) {
	return before, []Problem{{File: name, Message: "not yet"}}
}
