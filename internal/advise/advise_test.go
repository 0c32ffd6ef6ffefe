package advise_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/pandobase/pando/internal/advise"
	"github.com/pandobase/pando/internal/engine"
	"github.com/pandobase/pando/internal/keys"
	"github.com/pandobase/pando/internal/migrate"
	"github.com/pandobase/pando/internal/model"
	"github.com/pandobase/pando/internal/policy"
	"github.com/pandobase/pando/internal/query"
	"github.com/pandobase/pando/internal/store"
	"github.com/pandobase/pando/internal/store/teststore"
)

const module = `module: shop
entities:
  orders:
    fields:
      number: { type: int }
      status: { type: text }
      area:   { type: text }
      made:   { type: timestamp, default: now() }
    index:    [[area, made], [status]]
`

// shop is an application with rows on a store.
type shop struct {
	app    *model.App
	driver store.Driver
	engine *engine.Engine
}

const rows = 6000

// each runs a test on both databases.
func each(t *testing.T, fn func(t *testing.T, s *shop)) {
	for _, kind := range []string{teststore.SQLite, teststore.Postgres} {
		t.Run(kind, func(t *testing.T) { fn(t, open(t, teststore.Of(t, kind).Open(t))) })
	}
}

func open(t *testing.T, d store.Driver) *shop {
	t.Helper()
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	})
	app, problems := model.Load(fstest.MapFS{
		"pando.yaml": {Data: []byte("app: shop\n")}, "modules/shop.yaml": {Data: []byte(module)},
	}, nil, model.Features{})
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	rules, problems := policy.Compile(app)
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	plan, err := migrate.Prepare(t.Context(), d, app)
	if err == nil {
		err = migrate.Apply(t.Context(), d, plan, migrate.Options{})
	}
	if err != nil {
		t.Fatal(err)
	}
	signer, err := keys.OpenSigner(keys.SignerConfig{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	s := &shop{app, d, engine.New(engine.Config{App: app, Rules: rules, Driver: d, Signer: signer})}
	w := &query.Write{Action: query.Create, Target: query.Target{Entity: "orders"}, Columns: []string{"number", "status", "area"}}
	cell := func(text string) query.Cell { return query.Cell{Kind: query.FromJSON, Raw: text} }
	for i := range rows {
		w.Rows = append(w.Rows, []query.Cell{cell(fmt.Sprint(i)), cell(fmt.Sprintf(`"s%d"`, i%3)), cell(fmt.Sprintf(`"a%d"`, i%100))})
	}
	if _, err := s.engine.Write(t.Context(), policy.Identity{Role: policy.Service}, w, nil); err != nil {
		t.Fatal(err)
	}
	return s
}

// read asks for orders whose field equals a value, some times.
func (s *shop) read(t *testing.T, times int, field, value string) {
	t.Helper()
	for range times {
		res, err := s.engine.Read(t.Context(), policy.Identity{Role: policy.Service}, &query.Read{
			Target: query.Target{Entity: "orders"},
			Node:   query.Node{Where: &query.Compare{Left: &query.FieldRef{Path: query.Path{Field: field}}, Right: &query.Literal{Text: value}}},
		}, engine.ReadOptions{})
		if err != nil {
			t.Fatal(err)
		}
		res.Release()
	}
}

// page asks for the first orders, some times.
func (s *shop) page(t *testing.T, times int) {
	t.Helper()
	for range times {
		limit := int64(30)
		res, err := s.engine.Read(t.Context(), policy.Identity{Role: policy.Service}, &query.Read{
			Target: query.Target{Entity: "orders"}, Node: query.Node{Page: query.Page{Limit: &limit}},
		}, engine.ReadOptions{})
		if err != nil {
			t.Fatal(err)
		}
		res.Release()
	}
}

func (s *shop) look(t *testing.T, in advise.Input) *advise.Report {
	t.Helper()
	in.App, in.Driver = s.app, s.driver
	in.Recorded, in.Since = s.engine.Recorded()
	rep, err := advise.Look(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	return rep
}

func find(rep *advise.Report, kind advise.Kind, title string) *advise.Suggestion {
	for i, s := range rep.Suggestions {
		if s.Kind == kind && strings.Contains(s.Title, title) {
			return &rep.Suggestions[i]
		}
	}
	return nil
}

// TestMissingIndex sees that reads of a whole table suggest the index that
// would save them, until it is there.
func TestMissingIndex(t *testing.T) {
	each(t, func(t *testing.T, s *shop) {
		s.read(t, 30, "number", "77")
		s.read(t, 30, "area", "a7") // has its index
		s.page(t, 30)               // walks the key
		rep := s.look(t, advise.Input{})
		got := find(rep, advise.MissingIndex, "(number)")
		if got == nil || len(rep.Suggestions) != 1 {
			t.Fatalf("suggested %+v, notes %q", rep.Suggestions, rep.Notes)
		}
		if got.Place != "modules/shop.yaml:3:3" || got.Change != "add [number] to index" {
			t.Errorf("the place is %q, the change %q", got.Place, got.Change)
		}
		if len(got.Evidence) != 2 || !strings.HasPrefix(got.Evidence[0], "30 reads of it in ") || !strings.Contains(got.Evidence[1], "to find 1 row") {
			t.Errorf("the evidence is %q", got.Evidence)
		}
		if got.Gain == "" {
			t.Error("no gain is told")
		}
		t.Log(got.Evidence, got.Gain, rep.Notes)
		table := store.TableOf(s.app.Entity("shop", "orders"))
		err := s.driver.Alter(t.Context(), func(tx store.Tx) error {
			for _, sql := range s.driver.Dialect().DDL(store.Change{Kind: store.CreateIndex, Table: table, Key: store.KeyColumns{Name: "orders_number_idx", Columns: []string{"number", "id"}}}) {
				if _, err := tx.Exec(&store.Statement{SQL: sql}, nil); err != nil {
					return err
				}
			}
			// Without statistics PostgreSQL takes a value for one that many rows have.
			_, err := tx.Exec(&store.Statement{SQL: "ANALYZE"}, nil)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		if rep := s.look(t, advise.Input{}); find(rep, advise.MissingIndex, "(number)") != nil {
			t.Errorf("the index is there, and is suggested all the same: %+v", rep.Suggestions)
		}
	})
}

// TestRareReads: what is seldom read deserves no index.
func TestRareReads(t *testing.T) {
	each(t, func(t *testing.T, s *shop) {
		s.read(t, 5, "number", "77")
		if rep := s.look(t, advise.Input{}); len(rep.Suggestions) != 0 {
			t.Errorf("suggested %+v", rep.Suggestions)
		}
	})
}

// TestUnusedIndex sees that an index which nothing reads by is told, after a
// while, and not one that is used.
func TestUnusedIndex(t *testing.T) {
	each(t, func(t *testing.T, s *shop) {
		s.read(t, 1200, "area", "a7")
		tomorrow := func() time.Time { return time.Now().Add(30 * time.Hour) }
		var rep *advise.Report
		// PostgreSQL's counts arrive a moment after what they count.
		for until := time.Now().Add(20 * time.Second); time.Now().Before(until); {
			rep = s.look(t, advise.Input{Now: tomorrow})
			if find(rep, advise.UnusedIndex, "(area, made)") == nil {
				break
			}
		}
		got := find(rep, advise.UnusedIndex, "(status)")
		if got == nil || find(rep, advise.UnusedIndex, "(area, made)") != nil {
			t.Fatalf("suggested %+v", rep.Suggestions)
		}
		if got.Place != "modules/shop.yaml:9:30" {
			t.Errorf("the place is %q", got.Place)
		}
		if rep := s.look(t, advise.Input{}); find(rep, advise.UnusedIndex, "") != nil {
			t.Errorf("suggested too early: %+v", rep.Suggestions)
		}
	})
}

// TestWritesCount: changes that look through a whole table want the index, too.
func TestWritesCount(t *testing.T) {
	each(t, func(t *testing.T, s *shop) {
		for i := range 25 {
			_, err := s.engine.Write(context.Background(), policy.Identity{Role: policy.Service}, &query.Write{
				Action: query.Update, Target: query.Target{Entity: "orders"}, Columns: []string{"status"}, Rows: [][]query.Cell{{{Kind: query.FromJSON, Raw: `"x"`}}},
				Where: &query.Compare{Left: &query.FieldRef{Path: query.Path{Field: "number"}}, Right: &query.Literal{Text: fmt.Sprint(i)}},
			}, nil)
			if err != nil {
				t.Fatal(err)
			}
		}
		got := find(s.look(t, advise.Input{}), advise.MissingIndex, "(number)")
		if got == nil || !strings.HasPrefix(got.Evidence[0], "25 changes") {
			t.Errorf("suggested %+v", got)
		}
	})
}
