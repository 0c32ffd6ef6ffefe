// Package pando_test holds the rules of the house: who may import whom
// (layers.txt), and what every package must say about itself.
package pando_test

import (
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const (
	modulePath = "github.com/pandobase/pando"
	internal   = modulePath + "/internal/"
)

// TestLayers checks every import between internal packages against layers.txt.
//
// It parses files rather than running "go list" so that it sees every build
// tag, and so that "go test" knows to rerun it when any of them changes.
func TestLayers(t *testing.T) {
	data, err := os.ReadFile("layers.txt")
	if err != nil {
		t.Fatal(err)
	}
	for _, problem := range checkLayers(string(data), readImports(t)) {
		t.Error(problem)
	}
}

// TestLayersWouldFind breaks each rule once, so that the test above is known
// to see it.
func TestLayersWouldFind(t *testing.T) {
	const layers = "fault\nstore\nstore/*\nengine\napi/problem\napi/*\nserver\nonly engine server: store\nonly server: store/*\n"
	house := func(pkg string, imports ...string) map[string][]string {
		m := map[string][]string{
			"fault": nil, "store": {"fault"}, "store/sqlite": {"store", "fault"}, "engine": {"store"},
			"api/problem": {"fault"}, "api/rest": {"api/problem", "engine"}, "server": {"store/sqlite", "api/rest"},
		}
		if pkg != "" {
			m[pkg] = imports
		}
		return m
	}
	for _, tt := range []struct {
		name, layers string
		imports      map[string][]string
		want         []string
	}{
		{"nothing", layers, house(""), nil},
		{"upwards", layers, house("store", "engine"), []string{"store must not import engine"}},
		{"sideways", layers, house("api/graphql", "api/rest"), []string{"api/graphql must not import api/rest"}},
		{"unknown room", layers, house("fault", "util"), []string{"fault must not import util"}},
		{"past the engine", layers, house("api/rest", "store"), []string{"api/rest must not import store: only [engine server] may"}},
		{"a driver", layers, house("engine", "store", "store/sqlite"), []string{"engine must not import store/sqlite: only [server] may"}},
		{"no layer", layers, house("util"), []string{"util is in no layer of layers.txt"}},
		{"no room", "cache\n" + layers, house(""), []string{`layers.txt names "cache", which does not exist`}},
		{"twice", layers + "fault\n", house(""), []string{`layers.txt names "fault" twice`}},
		{"no owner", layers + "only auth: api/rest\n", house(""), []string{
			`layers.txt lets "auth" import, which does not exist`,
			"server must not import api/rest: only [auth] may",
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := checkLayers(tt.layers, tt.imports); !slices.Equal(got, tt.want) {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

// checkLayers returns how imports break the rules of layers, sorted.
func checkLayers(layers string, imports map[string][]string) (problems []string) {
	rank, only, problems := readLayers(layers)
	complain := func(parts ...string) { problems = append(problems, strings.Join(parts, "")) }

	used := map[string]bool{}
	for pkg, imps := range imports {
		from, ok := lookup(rank, pkg)
		if !ok {
			complain(pkg, " is in no layer of layers.txt")
			continue
		}
		used[pkg], used[path.Dir(pkg)+"/*"] = true, true
		for _, imp := range imps {
			if strings.HasPrefix(pkg, imp+"/") {
				continue // a driver imports the package that defines it
			}
			if to, ok := lookup(rank, imp); !ok || to >= from {
				complain(pkg, " must not import ", imp)
			} else if owners, ok := lookup(only, imp); ok && !slices.Contains(owners, pkg) {
				complain(pkg, " must not import ", imp, ": only [", strings.Join(owners, " "), "] may")
			}
		}
	}
	for pattern := range rank {
		if !used[pattern] {
			complain("layers.txt names ", strconv.Quote(pattern), ", which does not exist")
		}
	}
	for _, owners := range only {
		for _, owner := range owners {
			if !used[owner] {
				complain("layers.txt lets ", strconv.Quote(owner), " import, which does not exist")
			}
		}
	}
	slices.Sort(problems)
	return problems
}

// readLayers returns each pattern's line (higher may import lower), and for
// the patterns that are restricted, the packages allowed to import them.
func readLayers(text string) (rank map[string]int, only map[string][]string, problems []string) {
	rank, only = map[string]int{}, map[string][]string{}
	for i, line := range strings.Split(text, "\n") {
		line, _, _ = strings.Cut(line, "#")
		if owners, patterns, ok := strings.Cut(line, ":"); ok {
			for pattern := range strings.FieldsSeq(patterns) {
				only[pattern] = strings.Fields(strings.TrimPrefix(owners, "only "))
			}
			continue
		}
		for pattern := range strings.FieldsSeq(line) {
			if _, ok := rank[pattern]; ok {
				problems = append(problems, "layers.txt names "+strconv.Quote(pattern)+" twice")
				continue
			}
			rank[pattern] = i
		}
	}
	return rank, only, problems
}

// readImports returns, for each package under internal, the internal packages
// that its non-test files import.
func readImports(t *testing.T) map[string][]string {
	t.Helper()
	imports := map[string][]string{}
	err := filepath.WalkDir("internal", func(name string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() && d.Name() == "testdata" {
			return fs.SkipDir // programs that tests build
		}
		if err != nil || d.IsDir() || path.Ext(name) != ".go" || strings.HasSuffix(name, "_test.go") {
			return err
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		pkg := strings.TrimPrefix(filepath.ToSlash(filepath.Dir(name)), "internal/")
		if _, ok := imports[pkg]; !ok {
			imports[pkg] = nil // a package without imports is still in a layer
		}
		for _, spec := range file.Imports {
			imp, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				return err
			}
			if imp, ok := strings.CutPrefix(imp, internal); ok && !slices.Contains(imports[pkg], imp) {
				imports[pkg] = append(imports[pkg], imp)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return imports
}

// lookup finds pkg in m by its own name, or else by its parent's "/*" pattern.
func lookup[V any](m map[string]V, pkg string) (V, bool) {
	if v, ok := m[pkg]; ok {
		return v, true
	}
	v, ok := m[path.Dir(pkg)+"/*"]
	return v, ok
}
