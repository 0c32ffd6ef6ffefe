package model

import (
	"os"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"go.yaml.in/yaml/v4"
)

func testApp(t *testing.T) *App {
	t.Helper()
	app, problems := Load(fstest.MapFS{
		ConfigFile: {Data: []byte("roles: { staff: {} }\n")},
		"modules/m.yaml": {Data: []byte(`module: m
entities:
  a: { fields: { name: text, b_id: { ref: b, optional: true } } }
  b: { fields: { a_id: { ref: a, optional: true } } }
`)},
		"modules/m.test.yaml": {Data: []byte("module: m # no module, and a name that is taken\n")},
	}, nil, Features{})
	if len(problems) > 0 {
		t.Fatal("a file of policy tests is read as a module: ", problems)
	}
	return app
}

func loadTests(t *testing.T, source string) (*TestFile, []Problem) {
	t.Helper()
	const name = "modules/x.test.yaml"
	files, problems := LoadTests(fstest.MapFS{name: {Data: []byte(source)}}, testApp(t), []string{name})
	if len(problems) > 0 {
		return nil, problems
	}
	return files[0], nil
}

func TestPolicyTestFile(t *testing.T) {
	f, problems := loadTests(t, `
users: { ann: { roles: [staff], claims: { tenant: 7 } } }
rows:
  m.a: { first: { name: $$first, b_id: $second }, third: { name: 3 } }
  b: { second: { a_id: $third } }
cases:
  - { as: ann, do: read, entity: a, expect: [third, first] }
  - { as: "role:staff", do: update, entity: m.b, row: second, values: { a_id: null }, expect: deny }
`)
	if problems != nil {
		t.Fatal(problems)
	}
	var order []string
	for _, r := range f.Rows {
		order = append(order, r.Name)
	}
	if want := []string{"third", "second", "first"}; !slices.Equal(order, want) {
		t.Errorf("the rows come as %v, want each behind those that it refers to: %v", order, want)
	}
	first := f.Rows[2]
	if v := first.Values[0]; v.JSON != `"$first"` || v.Name != "" {
		t.Errorf("$$first is %+v, want the text $first", v)
	}
	if v := first.Values[1]; v.Name != "second" || v.JSON != "" {
		t.Errorf("$second is %+v, want the row", v)
	}
	if u := f.Users[0]; u.Email != "ann@example.test" || u.AAL != "aal1" || u.Claims["tenant"] != 7.0 {
		t.Errorf("the user is %+v", u)
	}
	if c := f.Cases[0]; c.User != "ann" || c.Expect != "" || !slices.Equal(c.Rows, []string{"first", "third"}) || c.Entity.QualifiedName() != "m.a" {
		t.Errorf("the first case is %+v", c)
	}
	if c := f.Cases[1]; c.User != "" || !slices.Equal(c.Roles, []string{"staff"}) || c.Values[0].JSON != "null" || c.Pos.Line != 8 {
		t.Errorf("the second case is %+v", c)
	}
}

func TestPolicyTestProblems(t *testing.T) {
	for _, c := range []struct{ source, want string }{
		{"rows: { a: { x: { name: x, b_id: $y } }, b: { y: { a_id: $x } } }\ncases: [{ as: anon, do: read, entity: a, expect: [] }]", "in a circle"},
		{"cases: []", "at least 1, not 0"},
		{"users: {}", `needs the key "cases"`},
		{"rows: { auth.users: { x: {} } }\ncases: [{ as: anon, do: read, entity: a, expect: [] }]", "users: makes them"},
		{"rows: { auth.sessions: { x: {} } }\ncases: [{ as: anon, do: read, entity: a, expect: [] }]", `no entity "auth.sessions"`},
		{"users: { ann: { claims: [1] } }\ncases: [{ as: anon, do: read, entity: a, expect: [] }]", "expected claims, a mapping, not a list"},
		{"cases: [{ as: anon, do: read, entity: a, request: { time: today }, expect: [] }]", "expected a time like"},
		{"cases: &x [{ as: anon, do: read, entity: a, expect: [] }]", "anchors are not accepted"},
		{"cases: [{ as: \"role:\", do: read, entity: a, expect: [] }]", "expected a caller"},
		{"- x", "expected a test file, a mapping"},
	} {
		_, problems := loadTests(t, c.source)
		if !slices.ContainsFunc(problems, func(p Problem) bool { return strings.Contains(p.String(), c.want) && p.Line > 0 }) {
			t.Errorf("%s\n%v\nwant %q with its place", c.source, problems, c.want)
		}
	}
}

// TestPolicyTestSchema: the published schema accepts what the parser accepts,
// and refuses what it finds wrong in the structure.
func TestPolicyTestSchema(t *testing.T) {
	s := judge(t, TestSchema())
	shop, err := os.ReadFile("../../examples/shop/modules/shop.test.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for source, ok := range map[string]bool{
		string(shop): true,
		"cases: [{ as: anon, do: read, entity: a, expect: none }]":                                true,
		"cases: [{ as: anon, do: read, entity: a, expect: never }]":                               false,
		"cases: [{ as: anon, do: read, entity: a, expect: [], exact: true }]":                     false,
		"cases: [{ as: anon, do: raed, entity: a, expect: [] }]":                                  false,
		"users: { ann: { role: staff } }\ncases: [{ as: anon, do: read, entity: a, expect: [] }]": false,
	} {
		r := &report{}
		d := &document{file: "x", report: r}
		if err := d.parse([]byte(source)); err != nil {
			t.Fatal(err)
		}
		parsed := len(parserAccepts(func(d *document, _ *yaml.Node) { testsSpec().decode(d, d.root) }, d.root)) == 0
		if err := schemaAccepts(t, s, d.root); (err == nil) != ok || parsed != ok {
			t.Errorf("%.80s: the schema says %v, the parser %t, want %t", source, err, parsed, ok)
		}
	}
}
