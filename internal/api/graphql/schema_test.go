package graphql

import (
	"fmt"
	"runtime"
	"strings"
	"testing"

	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/formatter"

	"github.com/pandobase/pando/internal/model"
)

// large is an application of n entities of ten fields, with its versions.
func large(t testing.TB, n int, versions string) *model.App {
	t.Helper()
	var b strings.Builder
	b.WriteString("module: m\nentities:\n")
	for i := range n {
		fmt.Fprintf(&b, "  e%d:\n    fields:\n      a: { type: text }\n      b: { type: int, optional: true }\n      c: { type: decimal, scale: 2, optional: true }\n"+
			"      d: { type: timestamp, optional: true }\n      e: { type: bool, default: false }\n      f: { type: enum, values: [x, y, z], default: x }\n"+
			"      g: { type: text, list: true, optional: true }\n      h: { type: json, optional: true }\n", i)
		if i > 0 {
			fmt.Fprintf(&b, "      up_id: { ref: e%d, optional: true, on_delete: cascade }\n", i/2)
		}
		if i%20 == 0 {
			b.WriteString("      late: { type: text, optional: true, since: v2 }\n")
		}
		b.WriteString("    policy: { read: \"true\", create: \"true\", update: \"true\", delete: \"true\" }\n")
	}
	app, _ := loadApp(t, map[string]string{"pando.yaml": "app: large\nversions: " + versions + "\n", "modules/m.yaml": b.String()})
	return app
}

// BenchmarkSchema makes the schema of 200 entities.
func BenchmarkSchema(b *testing.B) {
	app := large(b, 200, "[v1, v2]")
	for b.Loop() {
		newLibrary(app).schema(app.View("v1"), everything(app))
	}
}

func heap() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// BenchmarkVersion tells what one more version takes beside the first, of the
// model and its schema, in percent.
func BenchmarkVersion(b *testing.B) {
	for b.Loop() {
		before := heap()
		app := large(b, 200, "[v1, v2]")
		l := newLibrary(app)
		one := l.schema(app.View("v1"), everything(app))
		first := heap()
		two := l.schema(app.View("v2"), everything(app))
		second := heap()
		b.ReportMetric(100*float64(second-first)/float64(first-before), "%more")
		b.ReportMetric(float64(first-before)/1e6, "MB-first")
		runtime.KeepAlive(one)
		runtime.KeepAlive(two)
	}
}

func TestVersionsShareDefinitions(t *testing.T) {
	app := large(t, 40, "[v1, v2]")
	l := newLibrary(app)
	one, two := l.schema(app.View("v1"), everything(app)), l.schema(app.View("v2"), everything(app))
	if one == two {
		t.Fatal("the versions are one schema")
	}
	shared, own := 0, 0
	for name, def := range two.ast.Types {
		if one.ast.Types[name] == def {
			shared++
		} else {
			own++
		}
	}
	// Two of forty entities differ; of each its types, and Query and Mutation.
	if own > 50 || shared < 10*own {
		t.Errorf("%d types are shared, and %d are not", shared, own)
	}
	if l.schema(app.View("v1"), everything(app)) != one {
		t.Error("a schema is made twice")
	}
	if f := two.ast.Types["m_e0"].Fields.ForName("late"); f == nil || one.ast.Types["m_e0"].Fields.ForName("late") != nil {
		t.Error("the versions show the same fields")
	}
}

// TestNames: what a name means does not depend on the caller, and no two things
// have one name.
func TestNames(t *testing.T) {
	app, _ := loadApp(t, map[string]string{
		"modules/a.yaml": `
module: a
entities:
  users:
    fields: { boss_id: { ref: users, optional: true, inverse: staff, on_delete: set_null }, friend: { ref: users, as: pal, optional: true, on_delete: set_null } }
  likes:
    fields: { from_id: { ref: users, on_delete: cascade }, to_id: { ref: users, on_delete: cascade } }
    unique: [[from_id, to_id]]
operations:
  users: { reads: true, run: go, allow: "true" }
`,
	})
	l := newLibrary(app)
	s := l.schema(app.Latest(), everything(app))
	var names []string
	for _, f := range s.ast.Types["a_users"].Fields {
		names = append(names, f.Name+":"+f.Type.String())
	}
	want := "id:UUID! boss_id:UUID friend:UUID boss:a_users staff:a_usersConnection! pal:a_users users_by_friend:a_usersConnection! " +
		"likes_by_from:a_likesConnection! likes_by_to:a_likesConnection! users_via_likes_from:a_usersConnection! users_via_likes_to:a_usersConnection!"
	if got := strings.Join(names, " "); got != want {
		t.Errorf("a_users has\n%s, want\n%s", got, want)
	}
	if s.ast.Query.Fields.ForName("a_usersOperation") == nil || s.ast.Query.Fields.ForName("a_users") == nil {
		t.Error("the operation users and the entity share a field")
	}
}

// TestSDL prints the schema and compiles it again: it is one that every client reads.
func TestSDL(t *testing.T) {
	w := newWorld(t)
	s := w.door.library.schema(w.door.app.Latest(), everything(w.door.app))
	var b strings.Builder
	formatter.NewFormatter(&b).FormatSchema(s.ast)
	for _, want := range []string{"deprecated(reason: \"Use note. It goes on 2099-01-31.\")", "@specifiedBy(url:", "input shop_ordersOrder @oneOf", "enum shop_customersLevelEnum"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("the schema has no %s:\n%.2000s", want, b.String())
		}
	}
	for name, def := range s.ast.Types {
		for _, f := range def.Fields {
			if typ := s.ast.Types[f.Type.Name()]; typ == nil {
				t.Errorf("%s.%s is of the type %s, which is not there", name, f.Name, f.Type)
			} else if input := def.Kind == ast.InputObject; input != typ.IsInputType() && !typ.IsLeafType() {
				t.Errorf("%s.%s is of the type %s", name, f.Name, f.Type)
			}
			for _, a := range f.Arguments {
				if typ := s.ast.Types[a.Type.Name()]; typ == nil || !typ.IsInputType() {
					t.Errorf("%s.%s(%s) is of the type %s", name, f.Name, a.Name, a.Type)
				}
			}
		}
	}
}
