package functions

import (
	"context"
	"io/fs"
	"log/slog"
	"slices"
	"strings"
	"sync/atomic"
)

// Problem is why an entry does not load. Line and Column count from 1; 0: the
// whole file.
type Problem struct {
	File    string
	Line    int
	Column  int
	Message string
	Hint    string
}

// entry is a function's file as it was last loaded.
type entry struct {
	name    string
	current atomic.Pointer[bundle]
	module  *module // user WebAssembly; nil: a bundle
}

// Load makes entries the functions that can be called: paths of .ts, .js and
// .wasm files in fsys, the application's folder. What is imported lies below
// functions/ too, or comes from npm (see [Config.Folder]).
//
// Entries whose files have not changed are left as they are. One that does not
// compile is reported, and the version before it goes on serving; the others are
// exchanged, each at once: calls that run end with the code that they began
// with. Entries that are not listed are gone.
func (rt *Runtime) Load(ctx context.Context, fsys fs.FS, entries []string) []Problem {
	rt.loading.Lock()
	defer rt.loading.Unlock()
	before := *rt.entries.Load()
	after := make(map[string]*entry, len(entries))
	var problems []Problem
	for _, name := range entries {
		if _, twice := after[name]; twice {
			continue
		}
		e, wrong := rt.loadEntry(ctx, fsys, name, before[name])
		problems = append(problems, wrong...)
		if e != nil {
			after[name] = e
		}
	}
	rt.entries.Store(&after)
	for name, e := range before {
		if after[name] != e {
			rt.retire(e) //nolint:contextcheck // freeing is not cancelled
		}
	}
	slices.SortFunc(problems, func(a, b Problem) int { return strings.Compare(a.File, b.File) })
	return problems
}

// loadEntry returns the entry of a file, which is the one before it when it
// does not load, or has not changed.
func (rt *Runtime) loadEntry(ctx context.Context, fsys fs.FS, name string, before *entry) (*entry, []Problem) {
	if strings.HasSuffix(name, ".wasm") {
		return rt.loadModule(ctx, fsys, name, before)
	}
	if before != nil {
		if b := before.current.Load(); b != nil && b.sources.unchanged(fsys) {
			return before, nil
		}
	}
	b, problems := rt.bundle(fsys, name)
	if len(problems) > 0 {
		return before, problems
	}
	if before == nil {
		before = &entry{name: name}
	}
	if old := before.current.Swap(b); old != nil {
		rt.kept.forget(old)
	}
	rt.cfg.Log.Debug("function loaded", slog.String("function", name), slog.Int("bytes", len(b.code)))
	return before, nil
}

// retire frees what an entry that is gone has kept.
func (rt *Runtime) retire(e *entry) {
	if b := e.current.Load(); b != nil {
		rt.kept.forget(b)
	}
	if e.module != nil {
		e.module.drop()
	}
}
