package storetest

import (
	"context"
	"flag"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/pandobase/pando/internal/engine"
	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/keys"
	"github.com/pandobase/pando/internal/model"
	"github.com/pandobase/pando/internal/policy"
	"github.com/pandobase/pando/internal/query"
	"github.com/pandobase/pando/internal/store"
	"github.com/pandobase/pando/internal/value"
)

// casesVariable sets how many queries [Agree] asks.
const casesVariable = "PANDO_METAMORPHIC"

const (
	queriesEach  = 40    // queries on one application and its data
	defaultCases = 12000 // about ten seconds
)

// Agree asks random queries of random applications with random data, and wants
// the answers that a plain model in memory gives. It asks PANDO_METAMORPHIC
// queries, by default what takes ten seconds; a difference is shrunk and
// reported with the application, the data, the query and its SQL.
func Agree(t *testing.T, open func(t *testing.T) store.Driver) {
	cases := defaultCases / raceFactor
	if text := os.Getenv(casesVariable); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 {
			t.Fatalf("%s=%q is no number of cases", casesVariable, text)
		}
		cases = n
	}
	checks := flag.Lookup("rapid.checks")
	before := checks.Value.String()
	if err := checks.Value.Set(strconv.Itoa((cases + queriesEach - 1) / queriesEach)); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = checks.Value.Set(before) }()
	d := open(t)
	defer closeDriver(t, d)
	signer, err := keys.OpenSigner(keys.SignerConfig{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	a := &agreement{t: t, d: d, signer: signer}
	rapid.Check(t, a.check)
}

// agreement compares on one database, whose tables come and go.
type agreement struct {
	t      *testing.T
	d      store.Driver
	signer *keys.Signer
	tables []*store.Table // of the application before
}

func (a *agreement) check(rt *rapid.T) {
	s := drawSpecimen(rt)
	app, rules := application(a.t, "limits: { rows: 6, depth: 8 }", s.text)
	if err := a.replace(app); err != nil {
		rt.Fatalf("%v\n%s", err, s.text)
	}
	var caller *ruled
	e := engine.New(engine.Config{App: app, Rules: rules, Driver: a.d, Signer: a.signer, Guards: func(id *policy.Identity) policy.Guard {
		if caller != nil {
			return caller
		}
		return rules.For(id)
	}})
	m := &memory{rows: map[*model.Entity][]*record{}, most: 6}
	for _, name := range s.names {
		if s.rows[name] == "" {
			continue
		}
		w := create(name, s.rows[name])
		w.Returning = nil
		if _, err := e.Write(context.Background(), service(), w, nil); err != nil {
			rt.Fatalf("%s\n%s%s\n%s", explain(err), s.text, name, s.rows[name])
		}
		m.fill(app.Entity("t", name), w)
	}
	if rapid.Bool().Draw(rt, "rules") {
		caller = drawRules(rt, s, app)
		m = m.seen(caller)
	}
	for range queriesEach {
		a.ask(rt, e, m, s, drawRead(rt, s, app))
	}
}

// fill keeps the rows of a create.
func (m *memory) fill(e *model.Entity, w *query.Write) {
	for _, cells := range w.Rows {
		r := &record{e: e, vals: make([]value.Value, len(e.Fields))}
		for j, name := range w.Columns {
			if cells[j].Kind != query.FromJSON {
				continue
			}
			f := e.Field(name)
			v, err := f.Type.FromJSON(cells[j].Raw)
			if err != nil {
				panic(err)
			}
			r.vals[slices.Index(e.Fields, f)] = v
		}
		m.rows[e] = append(m.rows[e], r)
	}
}

// replace drops the tables of the application before and makes those of app.
func (a *agreement) replace(app *model.App) error {
	return a.d.Alter(context.Background(), func(tx store.Tx) error {
		dl := a.d.Dialect()
		var sqls []string
		for _, t := range slices.Backward(a.tables) {
			sqls = append(sqls, dl.DDL(store.Change{Kind: store.DropTable, Table: t})...)
		}
		a.tables = nil
		for _, m := range app.Modules {
			for _, e := range m.Entities {
				t := store.TableOf(e)
				a.tables = append(a.tables, t)
				sqls = append(sqls, dl.DDL(store.Change{Kind: store.CreateTable, Table: t})...)
			}
		}
		for _, sql := range sqls {
			if _, err := tx.Exec(&store.Statement{SQL: sql}, nil); err != nil {
				return err
			}
		}
		return nil
	})
}

// ask compares one query: its page, its count, and its walk by cursors.
func (a *agreement) ask(rt *rapid.T, e *engine.Engine, m *memory, s *specimen, q *query.Read) {
	ent := e.App().Entity("t", q.Target.Entity)
	want, total := m.answer(m.rows[ent], ent, &q.Node)
	q.Count = query.CountExact
	got, count, err := askOnce(e, q)
	if fault.Is(err, fault.AmbiguousRelation) || fault.Is(err, fault.LimitExceeded) {
		return // asked of no plan: which embeds there may be is tested by tables
	}
	if err == nil && got == want && count == int64(total) {
		if l := q.Node.Page.Limit; aggregated(&q.Node) || l == nil || *l == 0 || q.Node.Page.Offset != 0 {
			return
		}
		want = "[" + strings.Join(m.all(m.rows[ent], ent, &q.Node), ",") + "]"
		if got, err = askAll(e, q); err == nil && got == want {
			return
		}
	}
	sql, _ := e.Explain(service(), q)
	shown := got
	if err != nil {
		shown = explain(err)
	}
	var data strings.Builder
	for _, name := range s.names {
		data.WriteString(name + "\n" + s.rows[name] + "\n")
	}
	rt.Fatalf("the answers differ\n%s%s\nquery %s\nsql   %s\ngot   %s (count %d)\nwant  %s (count %d)", s.text, data.String(), describe(q), sql, shown, count, want, total)
}

func describe(q *query.Read) string {
	shape, args := q.Shape(nil, nil)
	return fmt.Sprintf("%s %+v", shape, args)
}

func askOnce(e *engine.Engine, q *query.Read) (string, int64, error) {
	res, err := e.Read(context.Background(), service(), q, engine.ReadOptions{})
	if err != nil {
		return "", 0, err
	}
	defer res.Release()
	return string(res.Body), res.Total, nil
}

// askAll goes from page to page.
func askAll(e *engine.Engine, q *query.Read) (string, error) {
	walk := *q
	walk.Count = query.CountNone
	var pages []string
	for {
		res, err := e.Read(context.Background(), service(), &walk, engine.ReadOptions{Cursors: true})
		if err != nil {
			return "", err
		}
		if res.Rows > 0 {
			pages = append(pages, string(res.Body[1:len(res.Body)-1]))
		}
		walk.Cursor = res.Next
		res.Release()
		if walk.Cursor == "" {
			return "[" + strings.Join(pages, ",") + "]", nil
		}
	}
}
