package gen_test

import (
	"bytes"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/pandobase/pando/internal/gen"
	"github.com/pandobase/pando/internal/model"
	"github.com/pandobase/pando/internal/server"
)

func load(t *testing.T, dir string) *model.App {
	t.Helper()
	app, err := server.Load(dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	return app.Model
}

// TestGolden compares what is written for a model of every type with what stands in
// test/everything, which the tests of the SDK compile and use.
func TestGolden(t *testing.T) {
	got, err := gen.Go(load(t, "../../test/everything"), gen.Options{})
	if err != nil {
		t.Fatal(err)
	}
	const file = "../../test/everything/everything.go"
	if os.Getenv("PANDO_TEST_UPDATE") != "" {
		if err := os.WriteFile(file, got, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s is not what the model gives; PANDO_TEST_UPDATE=1 writes it:\n%s", file, got)
	}
	again, err := gen.Go(load(t, "../../test/everything"), gen.Options{})
	if err != nil || !bytes.Equal(got, again) {
		t.Errorf("the second time is not as the first (%v)", err)
	}
}

// TestNames checks what names come to, by the declarations of the golden file.
func TestNames(t *testing.T) {
	file, err := parser.ParseFile(token.NewFileSet(), "../../test/everything/everything.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, d := range file.Decls {
		d, ok := d.(*ast.GenDecl)
		if !ok {
			continue
		}
		for _, s := range d.Specs {
			switch s := s.(type) {
			case *ast.TypeSpec:
				names = append(names, s.Name.Name)
			case *ast.ValueSpec:
				names = append(names, s.Names[0].Name)
			}
		}
	}
	for _, want := range []string{
		"Address",              // of addresses
		"News",                 // not New
		"OtherThing",           // another module's things
		"ThingsThing",          // so these are named by their module too
		"ThingsThingAnEnumX3d", // a word that is no name
		"ThingsThingAnEnumX", "ThingsThingAnEnumTwoWords", "ThingsEchoInputNestedDeeper",
		"ThingsThings",     // an operation
		"ThingsRenamedRow", // an event with a hidden field
	} {
		if !slices.Contains(names, want) {
			t.Errorf("there is no %s, but %s", want, strings.Join(names, " "))
		}
	}
}

func TestPackage(t *testing.T) {
	app := load(t, "../../test/everything")
	src, err := gen.Go(app, gen.Options{Package: "domain"})
	if err != nil || !bytes.Contains(src, []byte("\npackage domain\n")) {
		t.Errorf("the package is not domain (%v)", err)
	}
	for _, bad := range []string{"two words", "func", "_", "1st"} {
		if _, err := gen.Go(app, gen.Options{Package: bad}); err == nil || !strings.Contains(err.Error(), "is no name of a package") {
			t.Errorf("%q: %v", bad, err)
		}
	}
}
