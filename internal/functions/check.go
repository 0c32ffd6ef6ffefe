package functions

import (
	"io/fs"
	"slices"
	"strings"
)

// Check compiles entries, see [Runtime.Load], and runs nothing: it is for who has
// no engine. folder is Config.Folder.
func Check(fsys fs.FS, folder string, entries []string) []Problem {
	rt := &Runtime{cfg: Config{Folder: folder}}
	var problems []Problem
	for _, name := range entries {
		if strings.HasSuffix(name, ".wasm") {
			continue // the model has looked for the file; the engine reads it
		}
		_, wrong := rt.bundle(fsys, name)
		problems = append(problems, wrong...)
	}
	slices.SortFunc(problems, func(a, b Problem) int { return strings.Compare(a.File, b.File) })
	return problems
}
