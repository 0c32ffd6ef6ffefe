package model

import (
	"encoding/json"
	"errors"
	"io/fs"
	"path"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"
)

// TestSuffix ends the names of the files in modules/ that hold policy tests.
// They are no modules: [Load] passes them over, [LoadTests] reads them.
const TestSuffix = ".test.yaml"

// TestFile is one file of policy tests: users and rows that are given, and
// cases of what callers may do with them.
type TestFile struct {
	File  string // relative to the application's folder, with slashes
	Users []TestUser
	Rows  []TestRow // each behind those that it refers to
	Cases []TestCase
}

// TestUser is a user of auth.users.
type TestUser struct {
	Name       string
	Pos        Pos
	Roles      []string // as auth.user_roles has them, without what they inherit
	Email, AAL string
	Claims     map[string]any // beside those that every token has; nil: none
}

// TestRow is a row that is stored before each case.
type TestRow struct {
	Name   string
	Pos    Pos
	Entity *Entity
	Values []TestValue
}

// TestValue is what a field is given: JSON, or the key of a user or row.
type TestValue struct {
	Field *Field
	Pos   Pos
	JSON  string
	Name  string // of a user or row; empty: JSON counts
}

// The callers of a case that are no users.
const (
	TestAnon    = "anon"
	TestService = "service"
)

// TestCase is one thing that a caller tries.
type TestCase struct {
	Pos Pos
	// As is what the case wrote. User, Anon and Service exclude each other; with
	// none of them the caller is somebody without an account who has Roles.
	As            string
	User          string
	Anon, Service bool
	Roles         []string
	Do            string // read, create, update, delete
	Entity        *Entity
	Row           string // empty: none
	Values        []TestValue
	Request       TestRequest
	Expect        string   // allow, deny, none; empty: Rows counts
	Rows          []string // the rows that a read sees, sorted
}

// TestRequest is what request is in the rules of a case; empty members are as
// the REST door has them.
type TestRequest struct{ Door, Method, IP, Time, Version string }

type rawTests struct {
	users at[[]entry[rawTestUser]]
	rows  at[[]entry[[]entry[[]entry[*yaml.Node]]]]
	cases at[[]at[rawTestCase]]
}

type rawTestUser struct {
	roles      at[[]at[string]]
	email, aal at[string]
	claims     at[*yaml.Node]
}

type rawTestCase struct {
	as, do, entity, row at[string]
	values              at[[]entry[*yaml.Node]]
	request             at[rawTestRequest]
	expect              at[rawExpect]
}

type rawTestRequest struct{ door, method, ip, time, version at[string] }

type rawExpect struct {
	word string
	rows []at[string]
}

const testRowHint = "a name that begins with a letter: letters, digits and underscores"

func testName(want string) spec[string] {
	return pattern(want, `^[A-Za-z][A-Za-z0-9_]{0,62}$`, testRowHint)
}

func testsSpec() spec[rawTests] {
	user := object("a user",
		bind("roles", "The roles that auth.user_roles gives the user.", names("a list of roles", "a role's name"),
			func(u *rawTestUser) *at[[]at[string]] { return &u.roles }, example([]string{"staff"})),
		bind("email", "The address; by default NAME@example.test.", text("an address"), func(u *rawTestUser) *at[string] { return &u.email }),
		bind("aal", "The assurance of the session.", enum("an assurance level", "aal1", "aal2"), func(u *rawTestUser) *at[string] { return &u.aal }, defaults("aal1")),
		bind("claims", "Claims of the access token beside those that every token has.", anything("claims", &schema{Type: "object"}),
			func(u *rawTestUser) *at[*yaml.Node] { return &u.claims }, example(map[string]any{"app_metadata": map[string]any{"tenant": "north"}})))
	values := mapping("values", identifier("a field's name"), anything("a value", &schema{}))
	request := object("a request",
		bind("door", "rest, graphql, grpc, ...", text("a door"), func(r *rawTestRequest) *at[string] { return &r.door }, defaults("rest")),
		bind("method", "The method of HTTP; by default that of the action.", text("a method"), func(r *rawTestRequest) *at[string] { return &r.method }),
		bind("ip", "The client's address.", text("an address"), func(r *rawTestRequest) *at[string] { return &r.ip }, defaults("127.0.0.1")),
		bind("time", "When it is made; by default now.", pattern("a time like 2027-06-30T12:00:00Z", `^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,6})?(Z|[+-][0-9]{2}:[0-9]{2})$`,
			"write it as 2027-06-30T12:00:00Z"), func(r *rawTestRequest) *at[string] { return &r.time }),
		bind("version", "The version of the API.", version("a version"), func(r *rawTestRequest) *at[string] { return &r.version }, defaults("v1")))
	word := convert(enum("an expectation", "allow", "deny", "none"), func(w string, _ *yaml.Node) rawExpect { return rawExpect{word: w} })
	rows := convert(list("a list of rows", testName("a row's name"), 0), func(l []at[string], _ *yaml.Node) rawExpect { return rawExpect{rows: l} })
	one := object("a case",
		bind("as", "Who: a user of this file, anon, service, or role:NAME,... for somebody with these roles.",
			pattern("a caller", `^([A-Za-z][A-Za-z0-9_]{0,62}|role:[a-z][a-z0-9_]*(,[a-z][a-z0-9_]*)*)$`, "a user of this file, anon, service, or role:NAME"),
			func(c *rawTestCase) *at[string] { return &c.as }, required, example("ann", "anon", "role:staff")),
		bind("do", "What is tried.", enum("an action", "read", "create", "update", "delete"), func(c *rawTestCase) *at[string] { return &c.do }, required),
		bind("entity", "With which entity: module.entity.", reference(), func(c *rawTestCase) *at[string] { return &c.entity }, required),
		bind("row", "With which of the given rows.", testName("a row's name"), func(c *rawTestCase) *at[string] { return &c.row }),
		bind("values", "What a create or an update gives; $NAME is the key of a row or user.", values, func(c *rawTestCase) *at[[]entry[*yaml.Node]] { return &c.values }),
		bind("request", "What the rules know of the request.", request, func(c *rawTestCase) *at[rawTestRequest] { return &c.request }),
		bind("expect", "allow; deny: refused (42501); none: no row is within reach; or the names of the rows that a read sees.",
			either(word, rows), func(c *rawTestCase) *at[rawExpect] { return &c.expect }, required))
	return object("a test file",
		bind("users", "Users of auth.users, by name.", mapping("users", testName("a user's name"), user), func(t *rawTests) *at[[]entry[rawTestUser]] { return &t.users }),
		bind("rows", "Stored rows, by entity and name.", mapping("rows", reference(), mapping("rows", testName("a row's name"), values)),
			func(t *rawTests) *at[[]entry[[]entry[[]entry[*yaml.Node]]]] { return &t.rows }),
		bind("cases", "What callers try, and what is expected.", list("a list of cases", one, 1), func(t *rawTests) *at[[]at[rawTestCase]] { return &t.cases }, required))
}

// TestSchema returns the JSON Schema (2020-12) of the files of policy tests.
func TestSchema() []byte {
	s := *testsSpec().schema
	s.Dialect, s.Title = dialect, "modules/*"+TestSuffix
	s.Description = "Tests of a Pando application's policies: given users and rows, and what callers may do with them."
	return encodeSchema(&s)
}

// TestFiles are the names of the application's files of policy tests, sorted.
func TestFiles(fsys fs.FS) ([]string, error) {
	entries, err := fs.ReadDir(fsys, ModulesDir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	var out []string
	for _, e := range entries {
		if strings.HasSuffix(e.Name(), TestSuffix) && !strings.HasPrefix(e.Name(), ".") && !e.IsDir() {
			out = append(out, path.Join(ModulesDir, e.Name()))
		}
	}
	return out, nil
}

// LoadTests reads files of policy tests and checks them against the
// application, or returns every problem that they have; never both. The values
// of fields are not read yet.
func LoadTests(fsys fs.FS, app *App, files []string) ([]*TestFile, []Problem) {
	r := &report{}
	sp := testsSpec()
	var out []*TestFile
	for _, name := range files {
		d, err := readDocument(fsys, name, r)
		if errors.Is(err, fs.ErrNotExist) {
			r.add(Pos{File: name}, "", "there is no such file")
		}
		if err != nil {
			continue
		}
		if d.root == nil {
			r.add(Pos{File: name}, "it needs cases: [ ... ]", "the file is empty")
			continue
		}
		raw, _ := sp.decode(d, d.root)
		t := &testLoader{document: d, app: app, file: &TestFile{File: name}, named: map[string]*Entity{}}
		t.users(&raw)
		t.rows(&raw)
		for i := range raw.cases.v {
			if c := &raw.cases.v[i]; c.ok {
				t.testCase(c)
			}
		}
		out = append(out, t.file)
	}
	if len(r.problems) > 0 {
		return nil, r.sorted()
	}
	return out, nil
}

// testLoader checks one file.
type testLoader struct {
	*document
	app   *App
	file  *TestFile
	named map[string]*Entity // users and rows; nil: an entity that is not known
}

func (t *testLoader) name(name string, key *yaml.Node, e *Entity) {
	if _, taken := t.named[name]; taken {
		t.problem(key, "users and rows share their names", "the name %s is given twice", quote(name))
	}
	t.named[name] = e
}

func (t *testLoader) users(raw *rawTests) {
	users := t.app.Entity(authModule, usersEntity)
	for i := range raw.users.v {
		w := &raw.users.v[i]
		if w.name == TestAnon || w.name == TestService {
			t.problem(w.key, "choose another name", "a user cannot be called %s, which is a caller of its own", w.name)
		}
		t.name(w.name, w.key, users)
		u := TestUser{Name: w.name, Pos: t.pos(w.key), Email: w.v.email.v, AAL: w.v.aal.v}
		if u.Email == "" {
			u.Email = strings.ToLower(w.name) + "@example.test"
		}
		if u.AAL == "" {
			u.AAL = "aal1"
		}
		for _, role := range w.v.roles.v {
			t.role(role.v, role.n)
			u.Roles = append(u.Roles, role.v)
		}
		if n := w.v.claims.v; n != nil {
			u.Claims = t.claims(n)
		}
		t.file.Users = append(t.file.Users, u)
	}
}

func (t *testLoader) role(name string, n *yaml.Node) {
	if _, ok := t.app.Config.Roles[name]; ok || name == "" {
		return
	}
	var have []string
	for r := range t.app.Config.Roles {
		have = append(have, r)
	}
	slices.Sort(have)
	t.problem(n, nearest(name, have), "there is no role %s", quote(name))
}

func (t *testLoader) claims(n *yaml.Node) map[string]any {
	var out map[string]any
	raw, err := appendNodeJSON(nil, n)
	if err == nil {
		err = json.Unmarshal(raw, &out)
	}
	if err != nil {
		t.problem(n, "", "expected claims, a mapping, not %s", describe(n))
	}
	return out
}

// entity finds an entity that has a door.
func (t *testLoader) entity(name string, n *yaml.Node) *Entity {
	if name == "" {
		return nil
	}
	module, entity, ok := strings.Cut(name, ".")
	if !ok {
		module, entity = "", name
	}
	if e := t.app.Entity(module, entity); e != nil && !e.Internal {
		return e
	}
	var have []string
	for _, m := range t.app.Modules {
		for _, e := range m.Entities {
			if !e.Internal {
				have = append(have, e.QualifiedName())
			}
		}
	}
	t.problem(n, nearest(name, have), "there is no entity %s", quote(name))
	return nil
}

func (t *testLoader) rows(raw *rawTests) {
	// The names come first: rows may refer to those below them.
	type given struct {
		w *entry[[]entry[*yaml.Node]]
		e *Entity
	}
	var all []given
	for i := range raw.rows.v {
		of := &raw.rows.v[i]
		e := t.entity(of.name, of.key)
		if e != nil && e.Module.Builtin && e.Name == usersEntity {
			t.problem(of.key, "users: makes them", "rows of %s are not given here", of.name)
			e = nil
		}
		for j := range of.v {
			w := &of.v[j]
			t.name(w.name, w.key, e)
			all = append(all, given{w, e})
		}
	}
	var rows []TestRow
	for _, g := range all {
		if g.e != nil {
			rows = append(rows, TestRow{Name: g.w.name, Pos: t.pos(g.w.key), Entity: g.e, Values: t.values(g.e, g.w.v)})
		}
	}
	t.sequence(rows)
}

func (t *testLoader) values(e *Entity, raw []entry[*yaml.Node]) []TestValue {
	var out []TestValue
	for i := range raw {
		w := &raw[i]
		f := e.Field(w.name)
		if f == nil {
			var have []string
			for _, f := range e.Fields {
				have = append(have, f.Name)
			}
			t.problem(w.key, nearest(w.name, have), "%s has no field %s", e.QualifiedName(), quote(w.name))
			continue
		}
		v := TestValue{Field: f, Pos: t.pos(w.n)}
		text := ""
		if isText(w.n) {
			text = w.n.Value
		}
		switch {
		case strings.HasPrefix(text, "$$"):
			v.JSON = string(appendJSONText(nil, text[1:]))
		case strings.HasPrefix(text, "$"):
			v.Name = text[1:]
			t.known(v.Name, w.n)
		default:
			raw, err := appendNodeJSON(nil, w.n)
			if err != nil {
				t.problem(w.n, "", "not a value: %s", err)
				continue
			}
			v.JSON = string(raw)
		}
		out = append(out, v)
	}
	return out
}

// known reports a name that neither a user nor a row has.
func (t *testLoader) known(name string, n *yaml.Node) bool {
	if _, ok := t.named[name]; ok {
		return true
	}
	var have []string
	for h := range t.named {
		have = append(have, h)
	}
	slices.Sort(have)
	hint := nearest(name, have)
	if len(have) == 0 {
		hint = "users: and rows: give names"
	}
	t.problem(n, hint, "there is no user and no row called %s", quote(name))
	return false
}

// sequence puts every row behind those that it refers to.
func (t *testLoader) sequence(rows []TestRow) {
	const fresh, open, done = 0, 1, 2
	at, state := map[string]int{}, make([]int, len(rows))
	for i := range rows {
		at[rows[i].Name] = i
	}
	var visit func(i int) bool
	visit = func(i int) bool {
		if state[i] != fresh {
			return state[i] == done
		}
		state[i] = open
		for _, v := range rows[i].Values {
			if j, ok := at[v.Name]; ok && j != i && !visit(j) {
				t.report.add(v.Pos, "leave one of the references out", "rows refer to each other in a circle")
				break
			}
		}
		state[i] = done
		t.file.Rows = append(t.file.Rows, rows[i])
		return true
	}
	for i := range rows {
		visit(i)
	}
}

func (t *testLoader) testCase(a *at[rawTestCase]) {
	raw, n := &a.v, a.n
	c := TestCase{Pos: t.pos(n), As: raw.as.v, Do: raw.do.v, Row: raw.row.v, Expect: raw.expect.v.word}
	c.Entity = t.entity(raw.entity.v, raw.entity.n)
	t.caller(&c, raw.as.n)
	q := &raw.request.v
	c.Request = TestRequest{Door: q.door.v, Method: q.method.v, IP: q.ip.v, Time: q.time.v, Version: q.version.v}
	if raw.row.given() && t.known(c.Row, raw.row.n) {
		if e := t.named[c.Row]; e != nil && c.Entity != nil && e != c.Entity {
			t.problem(raw.row.n, "", "%s is a row of %s, not of %s", c.Row, e.QualifiedName(), c.Entity.QualifiedName())
		}
	}
	for _, r := range raw.expect.v.rows {
		if t.known(r.v, r.n) && t.named[r.v] != nil && c.Entity != nil && t.named[r.v] != c.Entity {
			t.problem(r.n, "", "%s is a row of %s, not of %s", r.v, t.named[r.v].QualifiedName(), c.Entity.QualifiedName())
		}
		c.Rows = append(c.Rows, r.v)
	}
	slices.Sort(c.Rows)
	if c.Entity != nil {
		c.Values = t.values(c.Entity, raw.values.v)
	}
	t.fits(&c, raw, n)
	t.file.Cases = append(t.file.Cases, c)
}

// fits reports parts of a case that its action has no use for, or lacks.
func (t *testLoader) fits(c *TestCase, raw *rawTestCase, n *yaml.Node) {
	changes := c.Do == "update" || c.Do == "delete"
	switch {
	case changes && !raw.row.given():
		t.problem(n, "row: names the one that is tried", "a case of %s needs the key \"row\"", c.Do)
	case c.Do == "create" && raw.row.given():
		t.problem(raw.row.n, "values: says what it is", "a create has no stored row")
	}
	if raw.values.given() && (c.Do == "read" || c.Do == "delete") {
		t.problem(raw.values.n, "", "a %s takes no values", c.Do)
	}
	if c.Do == "update" && len(raw.values.v) == 0 {
		t.problem(n, "values: says what is set", "a case of update needs the key \"values\"")
	}
	switch {
	case c.Expect == "" && c.Do != "read":
		t.problem(raw.expect.n, "allow, deny or none", "only a read answers rows")
	case c.Expect == "" && raw.row.given():
		t.problem(raw.expect.n, "allow, deny or none; or leave row out", "of one row the answer is no list")
	case c.Expect == "none" && c.Do == "create":
		t.problem(raw.expect.n, "a create is allowed or denied", "a create reaches no stored row")
	}
}

func (t *testLoader) caller(c *TestCase, n *yaml.Node) {
	roles, ok := strings.CutPrefix(c.As, "role:")
	switch {
	case ok:
		c.Roles = strings.Split(roles, ",")
		for _, r := range c.Roles {
			t.role(r, n)
		}
	case c.As == TestAnon:
		c.Anon = true
	case c.As == TestService:
		c.Service = true
	default:
		have := []string{TestAnon, TestService}
		for _, u := range t.file.Users {
			if u.Name == c.As {
				c.User = c.As
				return
			}
			have = append(have, u.Name)
		}
		t.problem(n, nearest(c.As, have), "there is no user %s", quote(c.As))
	}
}
