package server

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/pandobase/pando/internal/auth"
	"github.com/pandobase/pando/internal/engine"
	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/keys"
	"github.com/pandobase/pando/internal/migrate"
	"github.com/pandobase/pando/internal/model"
	"github.com/pandobase/pando/internal/policy"
	"github.com/pandobase/pando/internal/query"
	"github.com/pandobase/pando/internal/store"
	"github.com/pandobase/pando/internal/store/sqlite"
	"github.com/pandobase/pando/internal/value"
)

// TestReport is the answer to `pando policy test`.
type TestReport struct {
	Files   int          `json:"files"`
	Cases   int          `json:"cases"`
	Failed  int          `json:"failed"`
	Results []TestResult `json:"results"` // of the cases, in order
}

// TestResult is how a case went.
type TestResult struct {
	File    string       `json:"file"`
	Line    int          `json:"line"`
	Column  int          `json:"column"`
	Case    string       `json:"case"` // who does what with which row
	Expect  string       `json:"expect"`
	Got     string       `json:"got"`
	OK      bool         `json:"ok"`
	Detail  string       `json:"detail,omitempty"`  // of a refusal
	Explain []PolicyRule `json:"explain,omitempty"` // of a case that failed
}

// CheckTests reads and checks the application's files of policy tests, or
// those that are named: files of its folder modules. The error is an
// *InvalidError when they have problems.
func (a *Application) CheckTests(files ...string) ([]*model.TestFile, error) {
	fsys := os.DirFS(a.Dir)
	have, err := model.TestFiles(fsys)
	if err != nil {
		return nil, err
	}
	if len(files) == 0 {
		files = have
	}
	for i, name := range files {
		if files[i], err = a.testFile(name, have); err != nil {
			return nil, err
		}
	}
	tests, problems := model.LoadTests(fsys, a.Model, files)
	if len(problems) > 0 {
		return nil, &InvalidError{problems}
	}
	return tests, nil
}

// testFile finds a file that a person named, from where they are or from the
// application's folder.
func (a *Application) testFile(name string, have []string) (string, error) {
	for _, h := range have {
		if filepath.ToSlash(filepath.Clean(name)) == h {
			return h, nil
		}
		one, err := filepath.Abs(name)
		if err != nil {
			return "", err
		}
		if other, err := filepath.Abs(filepath.Join(a.Dir, filepath.FromSlash(h))); err != nil || one == other {
			return h, err
		}
	}
	f := fault.New(fault.NotFound, "there is no policy test %s", name)
	if near := fault.Nearest(filepath.ToSlash(name), have); near != "" {
		return "", f.WithHint("did you mean %s?", near)
	}
	return "", f.WithHint("policy tests are the files %s/*%s of the application", model.ModulesDir, model.TestSuffix)
}

// TestPolicies runs policy tests, each file on a store of its own that is made
// and thrown away; the application's own store is not touched. Every case
// begins with the file's users and rows: what it changes is undone.
func (a *Application) TestPolicies(ctx context.Context, tests []*model.TestFile) (*TestReport, error) {
	rep := &TestReport{Files: len(tests), Results: []TestResult{}}
	for _, t := range tests {
		if err := a.testPolicies(ctx, t, rep); err != nil {
			return nil, err
		}
	}
	return rep, nil
}

func (a *Application) testPolicies(ctx context.Context, t *model.TestFile, rep *TestReport) (err error) {
	dir, err := os.MkdirTemp("", "pando-policy-test-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	s, err := openStage(ctx, a, t, dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.driver.Close()) }()
	if err := s.set(ctx); err != nil {
		return err
	}
	for i := range t.Cases {
		r, err := s.play(ctx, &t.Cases[i])
		if err != nil {
			return err
		}
		rep.Cases++
		if !r.OK {
			rep.Failed++
		}
		rep.Results = append(rep.Results, *r)
	}
	return nil
}

// stage is a store with the users and rows of one file.
type stage struct {
	app    *Application
	file   *model.TestFile
	driver store.Driver
	signer *keys.Signer
	keys   map[string]string // of users and rows, as text, by name
	names  map[string]string // the way back
	now    time.Time
}

func openStage(ctx context.Context, a *Application, t *model.TestFile, dir string) (*stage, error) {
	s := &stage{app: a, file: t, keys: map[string]string{}, names: map[string]string{}, now: time.Now()}
	var err error
	if s.signer, err = keys.OpenSigner(keys.SignerConfig{Dir: dir}); err != nil {
		return nil, err
	}
	if s.driver, err = sqlite.Open(ctx, sqlite.Options{Path: filepath.Join(dir, "test.db"), Readers: 1}); err != nil {
		return nil, err
	}
	plan, err := migrate.Prepare(ctx, s.driver, a.Model)
	if err == nil {
		err = migrate.Apply(ctx, s.driver, plan, migrate.Options{Additive: true})
	}
	if err != nil {
		return nil, errors.Join(err, s.driver.Close())
	}
	return s, nil
}

// engine is one for the stage. guards nil: the application's policies.
func (s *stage) engine(d store.Driver, guards func(*policy.Identity) policy.Guard) *engine.Engine {
	return engine.New(engine.Config{App: s.app.Model, Rules: s.app.Rules, Driver: d, Signer: s.signer, Guards: guards})
}

// everything lets whoever has it do everything: it sets the stage.
type everything struct{}

var _ policy.Guard = everything{}

// Filter implements [policy.Guard].
func (everything) Filter(policy.Use) (query.Expr, error) {
	return nil, nil //nolint:nilnil // no condition and no fault: all rows
}

// Args implements [policy.Guard].
func (everything) Args(dst []query.Arg, _ policy.Use) ([]query.Arg, error) { return dst, nil }

// Signature implements [policy.Guard].
func (everything) Signature(dst []byte, _ policy.Use) []byte { return dst }

// Visible implements [policy.Guard].
func (everything) Visible(*model.Field) bool { return true }

// Writable implements [policy.Guard].
func (everything) Writable(*model.Field, query.Action) bool { return true }

func unbound(*policy.Identity) policy.Guard { return everything{} }

// set stores the users and rows.
func (s *stage) set(ctx context.Context) error {
	eng := s.engine(s.driver, unbound)
	users := s.app.Model.Module("auth").Entity("users")
	for i := range s.file.Users {
		u := &s.file.Users[i]
		s.call(u.Name, fixedID(u.Name))
		values := []model.TestValue{{Field: users.Primary, JSON: quoted(s.keys[u.Name])}, {Field: users.Field("email"), JSON: quoted(u.Email)}}
		for _, name := range []string{"app_metadata", "user_metadata"} {
			raw := []byte("{}")
			if m, ok := u.Claims[name]; ok {
				var err error
				if raw, err = json.Marshal(m); err != nil {
					return err
				}
			}
			values = append(values, model.TestValue{Field: users.Field(name), JSON: string(raw)})
		}
		if err := s.store(ctx, eng, users, values, u.Pos, "the user "+u.Name); err != nil {
			return err
		}
		given := s.app.Model.Module("auth").Entity("user_roles")
		for _, role := range u.Roles {
			err := s.store(ctx, eng, given, []model.TestValue{{Field: given.Field("user_id"), Name: u.Name}, {Field: given.Field("role"), JSON: quoted(role)}},
				u.Pos, "a role of the user "+u.Name)
			if err != nil {
				return err
			}
		}
	}
	for i := range s.file.Rows {
		if err := s.key(&s.file.Rows[i], i); err != nil {
			return err
		}
	}
	for i := range s.file.Rows {
		r := &s.file.Rows[i]
		values := r.Values
		if !slices.ContainsFunc(values, func(v model.TestValue) bool { return v.Field == r.Entity.Primary }) {
			values = append(slices.Clone(values), model.TestValue{Field: r.Entity.Primary, Name: r.Name})
		}
		if err := s.store(ctx, eng, r.Entity, values, r.Pos, "the row "+r.Name); err != nil {
			return err
		}
	}
	return nil
}

func (s *stage) call(name, key string) { s.keys[name], s.names[key] = key, name }

func quoted(text string) string { return string(value.AppendQuoted(nil, text)) }

// fixedID is the same UUID for a name at each run: version 8 of RFC 9562.
func fixedID(name string) string {
	sum := sha256.Sum256([]byte("pando policy test " + name))
	b := sum[:16]
	b[6], b[8] = b[6]&0x0f|0x80, b[8]&0x3f|0x80
	h := hex.EncodeToString(b)
	return h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:]
}

// key gives a row its primary key: the one that it is given, or a fixed one.
func (s *stage) key(r *model.TestRow, i int) error {
	pk := r.Entity.Primary
	for _, v := range r.Values {
		if v.Field != pk {
			continue
		}
		if v.Name != "" {
			s.call(r.Name, s.keys[v.Name])
			return nil
		}
		got, err := pk.Type.FromJSON(v.JSON)
		if err != nil {
			return s.invalid(v.Pos, "the row "+r.Name, err)
		}
		s.call(r.Name, string(pk.Type.AppendText(nil, got)))
		return nil
	}
	switch {
	case pk.Type.Kind == value.UUID && pk.Ref == nil:
		s.call(r.Name, fixedID(r.Name))
	case pk.Type.Kind == value.Int && pk.Ref == nil:
		s.call(r.Name, strconv.Itoa(1_000_001+i))
	case pk.Type.Kind == value.Text && pk.Ref == nil:
		s.call(r.Name, r.Name)
	default:
		return s.invalid(r.Pos, "the row "+r.Name, fault.New(fault.NotNull, "it needs its key %q", pk.Name))
	}
	return nil
}

// invalid is the problem of a file that cannot be staged.
func (*stage) invalid(pos model.Pos, what string, err error) error {
	f := fault.From(err)
	message := f.Message
	if f.Details != "" {
		message += ": " + f.Details
	}
	return &InvalidError{[]model.Problem{{Pos: pos, Message: what + " cannot be stored: " + message, Hint: f.Hint}}}
}

func (s *stage) store(ctx context.Context, eng *engine.Engine, e *model.Entity, values []model.TestValue, pos model.Pos, what string) error {
	w := s.create(e, values)
	res, err := eng.Write(ctx, policy.Identity{Role: policy.Service}, w, nil)
	if err != nil {
		return s.invalid(pos, what, err)
	}
	res.Release()
	return nil
}

func targetOf(e *model.Entity) query.Target {
	return query.Target{Module: e.Module.Name, Entity: e.Name}
}

func (s *stage) create(e *model.Entity, values []model.TestValue) *query.Write {
	w := &query.Write{Action: query.Create, Target: targetOf(e)}
	s.fill(w, values)
	return w
}

func (s *stage) fill(w *query.Write, values []model.TestValue) {
	var row []query.Cell
	for _, v := range values {
		cell := query.Cell{Kind: query.FromJSON, Raw: v.JSON}
		switch {
		case v.Name != "":
			cell = query.Cell{Kind: query.FromText, Raw: s.keys[v.Name]}
		case v.JSON == "null":
			cell = query.Cell{Kind: query.NullCell}
		}
		w.Columns, row = append(w.Columns, v.Field.Name), append(row, cell)
	}
	w.Rows = [][]query.Cell{row}
}

// identity is the caller of a case.
func (s *stage) identity(c *model.TestCase) (id policy.Identity, err error) {
	switch {
	case c.Anon:
		id.Role = policy.Anon
	case c.Service:
		id.Role = policy.Service
	case c.User != "":
		for _, u := range s.file.Users {
			if u.Name == c.User {
				in := auth.StandIn{ID: s.keys[u.Name], Email: u.Email, AAL: u.AAL, Roles: u.Roles, Claims: u.Claims}
				if id, err = in.Identity(s.app.Model, s.now); err != nil {
					return id, err
				}
			}
		}
	default:
		id = policy.Identity{Role: policy.Authenticated, Roles: auth.RolesOf(s.app.Model, c.Roles)}
	}
	action, err := parseAction(c.Do)
	if err != nil {
		return id, err
	}
	r := &policy.Request{Door: "rest", Method: methodOf(action), IP: "127.0.0.1", Version: "v1", Time: s.now}
	for _, m := range []struct {
		given string
		to    *string
	}{{c.Request.Door, &r.Door}, {c.Request.Method, &r.Method}, {c.Request.IP, &r.IP}, {c.Request.Version, &r.Version}} {
		if m.given != "" {
			*m.to = m.given
		}
	}
	if c.Request.Time != "" {
		if r.Time, err = time.Parse(time.RFC3339Nano, c.Request.Time); err != nil {
			return id, s.invalid(c.Pos, "the request", fault.New(fault.InvalidText, "%q is no time", c.Request.Time))
		}
	}
	id.Request = r
	return id, nil
}

// play runs one case.
func (s *stage) play(ctx context.Context, c *model.TestCase) (*TestResult, error) {
	id, err := s.identity(c)
	if err != nil {
		return nil, err
	}
	r := &TestResult{File: c.Pos.File, Line: c.Pos.Line, Column: c.Pos.Column, Case: c.As + " " + c.Do + " " + c.Entity.QualifiedName(), Expect: c.Expect}
	if c.Row != "" {
		r.Case += " " + c.Row
	}
	if c.Expect == "" {
		r.Expect = list(c.Rows)
	}
	if c.Do == "read" {
		err = s.read(ctx, id, c, r)
	} else {
		err = s.write(ctx, id, c, r)
	}
	if err != nil {
		f := fault.From(err)
		switch f.Code {
		case fault.Forbidden:
			r.Got, r.Detail = "deny", s.named(f.Message)
		case fault.Internal:
			return nil, err
		default:
			r.Got, r.Detail = "error "+string(f.Code), s.named(strings.TrimSpace(f.Message+" "+f.Details))
		}
	}
	if r.OK = r.Got == r.Expect; !r.OK {
		return r, s.explain(ctx, id, c, r)
	}
	return r, nil
}

func list(names []string) string { return "[" + strings.Join(names, ", ") + "]" }

func (s *stage) where(c *model.TestCase) query.Expr {
	return &query.Compare{
		Left: &query.FieldRef{Path: query.Path{Field: c.Entity.Primary.Name}}, Op: query.Eq, Right: &query.Literal{Text: s.keys[c.Row]},
	}
}

// read tells whether the caller sees a row, or which rows of all.
func (s *stage) read(ctx context.Context, id policy.Identity, c *model.TestCase, r *TestResult) error {
	eng := s.engine(s.driver, nil)
	q := &query.Read{Target: targetOf(c.Entity), Unbounded: true}
	q.Node.Select = []query.Item{&query.Column{Path: query.Path{Field: c.Entity.Primary.Name}, Alias: "key", Cast: "text"}}
	if c.Row != "" {
		q.Node.Where = s.where(c)
	}
	res, err := eng.Read(ctx, id, q, engine.ReadOptions{})
	if err != nil {
		return err
	}
	defer res.Release()
	if c.Expect != "" {
		r.Got = reached(res.Rows)
		return nil
	}
	var rows []struct{ Key string }
	if err := json.Unmarshal(res.Body, &rows); err != nil {
		return err
	}
	seen := make([]string, len(rows))
	for i, row := range rows {
		if seen[i] = s.names[row.Key]; seen[i] == "" {
			seen[i] = row.Key
		}
	}
	slices.Sort(seen)
	r.Got = list(seen)
	return nil
}

func reached(rows int) string {
	if rows == 0 {
		return "none"
	}
	return "allow"
}

// change is the write of a case.
func (s *stage) change(c *model.TestCase) *query.Write {
	switch c.Do {
	case "update":
		w := &query.Write{Action: query.Update, Target: targetOf(c.Entity), Where: s.where(c)}
		s.fill(w, c.Values)
		return w
	case "delete":
		return &query.Write{Action: query.Delete, Target: targetOf(c.Entity), Where: s.where(c)}
	}
	return s.create(c.Entity, c.Values)
}

func (s *stage) write(ctx context.Context, id policy.Identity, c *model.TestCase, r *TestResult) error {
	res, err := s.engine(&trial{Driver: s.driver}, nil).Write(ctx, id, s.change(c), nil)
	if err != nil {
		return err
	}
	defer res.Release()
	r.Got = reached(res.Rows)
	return nil
}

// trial is a driver whose writes are undone, once they have been done.
type trial struct {
	store.Driver
	then func(store.Tx) error // before it is undone; nil: nothing
}

var errUndo = errors.New("undo")

// Write implements [store.Driver].
func (t *trial) Write(ctx context.Context, fn func(store.Tx) error) error {
	err := t.Driver.Write(ctx, func(tx store.Tx) error {
		if err := fn(tx); err != nil {
			return err
		}
		if t.then != nil {
			if err := t.then(tx); err != nil {
				return err
			}
		}
		return errUndo
	})
	if errors.Is(err, errUndo) {
		return nil
	}
	return err
}

// within is a driver that reads inside a transaction.
type within struct {
	store.Driver
	tx store.Tx
}

// Read implements [store.Driver].
func (w within) Read(_ context.Context, _ bool, fn func(store.Reader) error) error { return fn(w.tx) }

// explain tells which term made a case go as it went. A new row is judged where
// it was written by somebody who may do everything, and is undone.
func (s *stage) explain(ctx context.Context, id policy.Identity, c *model.TestCase, r *TestResult) error {
	action, err := parseAction(c.Do)
	if err != nil {
		return err
	}
	q := &engine.Question{Action: action, Target: targetOf(c.Entity)}
	if c.Row != "" {
		key := s.keys[c.Row]
		q.Key = &key
	}
	d, err := s.engine(s.driver, nil).Decide(ctx, id, q)
	if err != nil {
		return err
	}
	if action == query.Create || action == query.Update && r.Got == "deny" {
		if err := s.judgeNew(ctx, id, c, q, d); err != nil {
			return err
		}
	}
	for i := range d.Rules {
		if d.Rules[i].Rule != policy.RuleCheck || r.Got == "deny" { // else no new row was judged
			r.Explain = append(r.Explain, s.namedRule(policyRule(&d.Rules[i])))
		}
	}
	for i := range d.Fields {
		f := &d.Fields[i]
		if f.Write == nil || !slices.ContainsFunc(c.Values, func(v model.TestValue) bool { return v.Field == f.Field }) {
			continue
		}
		p := s.namedRule(policyRule(f.Write))
		p.Rule = f.Field.Name + ".write"
		r.Explain = append(r.Explain, p)
	}
	return nil
}

// judgeNew adds what the rules say of the row that a write would make. A write
// that nobody could do adds nothing.
func (s *stage) judgeNew(ctx context.Context, id policy.Identity, c *model.TestCase, q *engine.Question, d *engine.Decision) error {
	w := s.change(c)
	key := s.keys[c.Row]
	if c.Do == "create" {
		if at := slices.Index(w.Columns, c.Entity.Primary.Name); at < 0 && c.Entity.Primary.Type.Kind == value.UUID {
			key = fixedID(fmt.Sprint("the new row of ", c.Pos))
			w.Columns, w.Rows[0] = append(w.Columns, c.Entity.Primary.Name), append(w.Rows[0], query.Cell{Kind: query.FromText, Raw: key})
		}
	}
	var after *engine.Decision
	t := &trial{Driver: s.driver}
	t.then = func(tx store.Tx) (err error) {
		after, err = s.engine(within{s.driver, tx}, nil).Decide(ctx, id, &engine.Question{Action: q.Action, Target: q.Target, Key: &key, Written: true})
		return err
	}
	_, err := s.engine(t, unbound).Write(ctx, id, w, nil)
	if err != nil || after == nil {
		if f := fault.From(err); err != nil && f.Code == fault.Internal {
			return err
		}
		return nil
	}
	for i := range after.Rules {
		if len(after.Rules[i].Terms) > 0 {
			d.Rules[i] = after.Rules[i]
		}
	}
	for i := range after.Fields {
		if w := after.Fields[i].Write; w != nil {
			d.Fields[i].Write = w
		}
	}
	return nil
}

func (s *stage) namedRule(p PolicyRule) PolicyRule {
	p.Folded = s.named(p.Folded)
	for _, terms := range [][]PolicyTerm{p.Caller, p.Row} {
		for i := range terms {
			terms[i].Term = s.named(terms[i].Term)
		}
	}
	return p
}

// named writes the keys of users and rows by their names.
func (s *stage) named(text string) string {
	for key, name := range s.names {
		if len(key) == len(fixedID("")) {
			text = strings.ReplaceAll(text, "'"+key+"'", "$"+name)
			text = strings.ReplaceAll(text, key, "$"+name)
		}
	}
	return text
}
