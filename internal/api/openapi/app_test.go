package openapi_test

import (
	"fmt"
	"io/fs"
	"os"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/pandobase/pando/internal/model"
)

func loadApp(t testing.TB, fsys fs.FS) *model.App {
	t.Helper()
	app, problems := model.Load(fsys, nil, model.Features{})
	for _, p := range problems {
		t.Error(p)
	}
	if len(problems) > 0 {
		t.FailNow()
	}
	return app
}

// shop is an application with every type, a reference, a hidden field, a
// deprecated one, a reference to an internal entity, and a name that two
// modules share.
func shop(t testing.TB) *model.App { return loadApp(t, os.DirFS("testdata/shop")) }

// unowned is the shop where nobody owns the shared name.
func unowned(t testing.TB) *model.App {
	t.Helper()
	files := fstest.MapFS{}
	for _, name := range []string{"pando.yaml", "modules/catalog.yaml", "modules/orders.yaml"} {
		data, err := os.ReadFile("testdata/shop/" + name)
		if err != nil {
			t.Fatal(err)
		}
		files[name] = &fstest.MapFile{Data: data}
	}
	return loadApp(t, files)
}

// empty is an application without entities.
func empty(t testing.TB) *model.App {
	return loadApp(t, fstest.MapFS{"pando.yaml": &fstest.MapFile{Data: []byte("app: empty\n")}})
}

// large is an application of n entities with ten fields each.
func large(t testing.TB, n int) *model.App {
	t.Helper()
	files := fstest.MapFS{"pando.yaml": &fstest.MapFile{Data: []byte("app: large\n")}}
	for first := 0; first < n; first += 50 {
		var b strings.Builder
		fmt.Fprintf(&b, "module: module%02d\nentities:\n", first/50)
		for i := first; i < min(first+50, n); i++ {
			fmt.Fprintf(&b, "  entity%04d:\n    fields:\n", i)
			b.WriteString(`      name: { type: text, max: 80 }
      price: { type: decimal, scale: 2 }
      status: { type: enum, values: [open, done] }
      count: { type: int }
      note: { type: text, optional: true }
      meta: { type: json, optional: true }
      due: { type: date, optional: true }
      open: { type: bool }
      at: { type: timestamp }
`)
		}
		files[fmt.Sprintf("modules/module%02d.yaml", first/50)] = &fstest.MapFile{Data: []byte(b.String())}
	}
	return loadApp(t, files)
}
