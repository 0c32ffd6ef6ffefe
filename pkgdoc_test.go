package pando_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestPackageDocs checks that each package of the module has exactly one doc
// comment, which says what the package guarantees.
func TestPackageDocs(t *testing.T) {
	files := readPackageClauses(t)
	for _, dir := range slices.Sorted(maps.Keys(files)) {
		for _, problem := range checkDocs(files[dir]) {
			t.Errorf("%s: %s", dir, problem)
		}
	}
}

func TestPackageDocsWouldFind(t *testing.T) {
	for _, tt := range []struct {
		name  string
		files map[string]string
		want  []string
	}{
		{"one", map[string]string{"a.go": "// Package a does.\npackage a", "b.go": "package a"}, nil},
		{"none", map[string]string{"a.go": "package a"}, []string{"package a has no doc comment"}},
		{"a comment elsewhere", map[string]string{"a.go": "// Package a does.\n\npackage a"}, []string{"package a has no doc comment"}},
		{"two", map[string]string{"a.go": "// Package a does.\npackage a", "b.go": "// Package a too.\npackage a"}, []string{"package a has doc comments in a.go, b.go"}},
		{"another name", map[string]string{"a.go": "// Package b does.\npackage a"}, []string{`the doc comment in a.go does not begin with "Package a "`}},
		{"a command", map[string]string{"main.go": "// Command x does.\npackage main"}, nil},
		{"a command as a package", map[string]string{"main.go": "// Package main does.\npackage main"}, []string{`the doc comment in main.go does not begin with "Command "`}},
		{"tests need none", map[string]string{"a.go": "// Package a does.\npackage a", "a_test.go": "package a_test"}, nil},
		{"only tests", map[string]string{"a_test.go": "package a_test"}, []string{"package a_test has no doc comment"}},
		{"generated", map[string]string{"a.go": "//go:build linux\n\n// Package a does.\n//\n//go:generate x\npackage a"}, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			files := map[string]*ast.File{}
			for name, src := range tt.files {
				files[name] = parseClause(t, name, src)
			}
			if got := checkDocs(files); !slices.Equal(got, tt.want) {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

// checkDocs returns what is wrong with the doc comments of one folder's files.
func checkDocs(files map[string]*ast.File) (problems []string) {
	onlyTests := true
	for name := range files {
		onlyTests = onlyTests && strings.HasSuffix(name, "_test.go")
	}
	pkg, documented := "", []string{}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		file := files[name]
		if strings.HasSuffix(name, "_test.go") && !onlyTests {
			continue
		}
		pkg = file.Name.Name
		if file.Doc == nil {
			continue
		}
		documented = append(documented, name)
		want := "Package " + pkg + " "
		if pkg == "main" {
			want = "Command "
		}
		if !strings.HasPrefix(file.Doc.Text(), want) {
			problems = append(problems, "the doc comment in "+name+" does not begin with \""+want+"\"")
		}
	}
	switch len(documented) {
	case 0:
		problems = append(problems, "package "+pkg+" has no doc comment")
	case 1:
	default:
		problems = append(problems, "package "+pkg+" has doc comments in "+strings.Join(documented, ", "))
	}
	return problems
}

// readPackageClauses parses the beginning of every Go file of the module, by
// folder and name. Folders that the go command ignores, and modules of their
// own, are left out.
func readPackageClauses(t *testing.T) map[string]map[string]*ast.File {
	t.Helper()
	files := map[string]map[string]*ast.File{}
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
		src, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		dir, base := filepath.Split(name)
		if files[dir] == nil {
			files[dir] = map[string]*ast.File{}
		}
		files[dir][base] = parseClause(t, name, string(src))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func parseClause(t *testing.T, name, src string) *ast.File {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), name, src, parser.PackageClauseOnly|parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	return file
}
