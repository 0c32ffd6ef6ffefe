package pando_test

import (
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// TestDependencies checks that docs/dependencies.md has a line for each module
// that the code imports, and for no other.
func TestDependencies(t *testing.T) {
	page, err := os.ReadFile("docs/dependencies.md")
	if err != nil {
		t.Fatal(err)
	}
	direct, _, _ := strings.Cut(string(page), "\n## ")
	var documented []string
	for _, m := range regexp.MustCompile("(?m)^\\| `([^`]+)` \\|").FindAllStringSubmatch(direct, -1) {
		documented = append(documented, m[1])
	}
	used := map[string]bool{}
	for imp, file := range readForeignImports(t) {
		i := slices.IndexFunc(documented, func(module string) bool {
			return imp == module || strings.HasPrefix(imp, module+"/")
		})
		if i < 0 {
			t.Errorf("%s imports %s: docs/dependencies.md does not say why", file, imp)
			continue
		}
		used[documented[i]] = true
	}
	for _, module := range documented {
		if !used[module] {
			t.Errorf("docs/dependencies.md names %s, which nothing imports", module)
		}
	}
}

// readForeignImports returns the imports of the module's Go files that are
// neither the standard library's nor the module's own, each with one file.
func readForeignImports(t *testing.T) map[string]string {
	t.Helper()
	imports := map[string]string{}
	err := filepath.WalkDir(".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			return skipForeign(name, d)
		}
		if path.Ext(name) != ".go" {
			return nil
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		for _, spec := range file.Imports {
			imp, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				return err
			}
			first, _, _ := strings.Cut(imp, "/")
			if strings.Contains(first, ".") && !strings.HasPrefix(imp, modulePath+"/") {
				imports[imp] = name
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(imports) == 0 {
		t.Fatal("no imports found")
	}
	return imports
}

// skipForeign leaves out folders that the go command ignores, and modules of
// their own.
func skipForeign(name string, d fs.DirEntry) error {
	if name == "." {
		return nil
	}
	if base := d.Name(); strings.HasPrefix(base, ".") || strings.HasPrefix(base, "_") || base == "testdata" || base == "node_modules" {
		return fs.SkipDir
	}
	if _, err := os.Stat(filepath.Join(name, "go.mod")); err == nil {
		return fs.SkipDir
	}
	return nil
}
