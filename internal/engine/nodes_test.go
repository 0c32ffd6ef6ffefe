package engine_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/pandobase/pando/internal/engine"
	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/keys"
	"github.com/pandobase/pando/internal/model"
	"github.com/pandobase/pando/internal/policy"
	"github.com/pandobase/pando/internal/query"
	"github.com/pandobase/pando/internal/store"
	"github.com/pandobase/pando/internal/store/postgres"
	"github.com/pandobase/pando/internal/store/postgres/pgtest"
)

const board = `
module: board
entities:
  notes:
    fields:
      id:   { type: int, primary: true }
      text: { type: text }
    policy: { read: "true", create: "true", update: "true" }
  fixed:
    fields:
      id:    { type: int, primary: true }
      state: { type: text }
      text:  { type: text, optional: true }
    policy: { read: "true", create: "row.id > 100", update: { when: "row.state == 'open'", check: "old.state == 'open'" } }
`

// TestNodes is about engines that share a database on PostgreSQL.
func TestNodes(t *testing.T) {
	server, err := pgtest.Start(false)
	if errors.Is(err, pgtest.ErrMissing) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.Stop(); err != nil {
			t.Error(err)
		}
	})
	for name, test := range map[string]func(*testing.T, *sharedBoard){
		"one idempotency key": oneKey, "one key, other requests": oneKeyOtherRequests, "merge one row": mergeOneRow,
		"merge a row that goes": mergeARowThatGoes, "update a row that changes": updateARowThatChanges,
	} {
		t.Run(name, func(t *testing.T) {
			url, err := server.Database()
			if err != nil {
				t.Fatal(err)
			}
			test(t, openBoard(t, url))
		})
	}
}

// sharedBoard are two engines over one database, and a connection beside them.
type sharedBoard struct {
	nodes []*engine.Engine
	sql   func(string) string
}

func openBoard(t *testing.T, url string) *sharedBoard {
	t.Helper()
	app, problems := model.Load(fstest.MapFS{"pando.yaml": {Data: []byte("app: board\n")}, "modules/board.yaml": {Data: []byte(board)}}, nil, model.Features{})
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	rules, problems := policy.Compile(app)
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	signer, err := keys.OpenSigner(keys.SignerConfig{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	b := &sharedBoard{}
	for i := range 2 {
		d, err := postgres.Open(t.Context(), postgres.Options{URL: url})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := d.Close(); err != nil {
				t.Error(err)
			}
		})
		if i == 0 {
			err = d.Alter(t.Context(), func(tx store.Tx) error {
				for _, e := range entities(app, "board") {
					for _, sql := range d.Dialect().DDL(store.Change{Kind: store.CreateTable, Table: store.TableOf(e)}) {
						if _, err := tx.Exec(&store.Statement{SQL: sql}, nil); err != nil {
							return err
						}
					}
				}
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		b.nodes = append(b.nodes, engine.New(engine.Config{App: app, Rules: rules, Driver: d, Signer: signer}))
	}
	c, err := pgtest.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close(context.Background()) })
	b.sql = func(sql string) string {
		t.Helper()
		out, err := c.Run(context.Background(), sql)
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	return b
}

func note(id int, text string) *query.Write {
	return &query.Write{
		Action: query.Create, Target: query.Target{Entity: "notes"}, Columns: []string{"id", "text"},
		Rows:      [][]query.Cell{{cell(fmt.Sprint(id)), cell(`"` + text + `"`)}},
		Returning: &query.Node{Select: []query.Item{query.Star{}}},
	}
}

func entities(app *model.App, module string) []*model.Entity {
	for _, m := range app.Modules {
		if m.Name == module {
			return m.Entities
		}
	}
	return nil
}

// everybody runs fn on both nodes many times at once.
func (b *sharedBoard) everybody(n int, fn func(e *engine.Engine, i int)) {
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() { fn(b.nodes[i%2], i) })
	}
	wg.Wait()
}

// oneKey: of requests with one idempotency key at once on two nodes, one writes, and
// all who are answered hear the same.
func oneKey(t *testing.T, b *sharedBoard) {
	var mu sync.Mutex
	first, replayed := 0, 0
	for round := range 10 {
		idem := &engine.Idempotency{Key: fmt.Sprint("k", round), Method: "POST", Path: "/notes"}
		b.everybody(16, func(e *engine.Engine, _ int) {
			res, err := e.Write(t.Context(), service, note(round, "x"), idem)
			if fault.Is(err, fault.IdempotencyInFlight) { // this node is at it itself
				return
			}
			if err != nil {
				t.Error(err, fault.From(err).Cause)
				return
			}
			mu.Lock()
			defer mu.Unlock()
			if res.Replayed {
				replayed++
			} else {
				first++
			}
			if !strings.Contains(string(res.Body), `"text":"x"`) {
				t.Errorf("answered %s", res.Body)
			}
		})
	}
	if first != 10 || b.sql(`SELECT count(*) FROM board.notes`) != "10" {
		t.Errorf("%d were the first to be answered, of 10", first)
	}
	if replayed == 0 {
		t.Log("no node had to wait for another")
	}
}

// oneKeyOtherRequests: of two requests with one key, one is refused.
func oneKeyOtherRequests(t *testing.T, b *sharedBoard) {
	var mu sync.Mutex
	written := 0
	b.everybody(8, func(e *engine.Engine, i int) {
		_, err := e.Write(t.Context(), service, note(i, "x"), &engine.Idempotency{Key: "k", Digest: [32]byte{byte(i)}})
		mu.Lock()
		defer mu.Unlock()
		switch {
		case err == nil:
			written++
		case !fault.Is(err, fault.IdempotencyInFlight) && !fault.Is(err, fault.IdempotencyMismatch):
			t.Error(err, fault.From(err).Cause)
		}
	})
	if written != 1 || b.sql(`SELECT count(*) FROM board.notes`) != "1" {
		t.Errorf("%d were written", written)
	}
}

// mergeOneRow: merges of a row that is not there yet, all at once, fail for nobody.
func mergeOneRow(t *testing.T, b *sharedBoard) {
	for round := range 20 {
		b.everybody(12, func(e *engine.Engine, i int) {
			w := note(round, fmt.Sprint("by", i))
			w.Conflict = query.Conflict{Resolution: query.Merge}
			if i%3 == 0 {
				w.Conflict.Resolution = query.Ignore
			}
			if _, err := e.Write(t.Context(), policy.Identity{Role: policy.Anon}, w, nil); err != nil {
				t.Error(err, fault.From(err).Cause)
			}
		})
	}
	if got := b.sql(`SELECT count(*) FROM board.notes`); got != "20" {
		t.Errorf("%s rows", got)
	}
}

// behind runs write while a transaction beside it holds locks, commits that when
// the write waits, and returns the write's error.
func (b *sharedBoard) behind(t *testing.T, sql string, write func() error) error {
	t.Helper()
	b.sql("BEGIN; " + sql)
	done := make(chan error, 1)
	go func() { done <- write() }()
	for deadline := time.Now().Add(20 * time.Second); b.sql(`SELECT count(*) FROM pg_locks WHERE NOT granted`) == "0"; {
		select {
		case err := <-done:
			b.sql("COMMIT")
			return fmt.Errorf("the write did not wait: %w", err)
		default:
		}
		if time.Now().After(deadline) {
			t.Fatal("the write does not wait")
		}
	}
	b.sql("COMMIT")
	return <-done
}

func fixed(id int) *query.Write {
	return &query.Write{
		Action: query.Create, Target: query.Target{Entity: "fixed"}, Columns: []string{"id", "state", "text"},
		Rows:     [][]query.Cell{{cell(fmt.Sprint(id)), cell(`"open"`), cell(`"mine"`)}},
		Conflict: query.Conflict{Resolution: query.Merge},
	}
}

// mergeARowThatGoes: a row that is removed while somebody merges it is created by
// who may create it, and not by who may only change it.
func mergeARowThatGoes(t *testing.T, b *sharedBoard) {
	anon := policy.Identity{Role: policy.Anon}
	b.sql(`INSERT INTO board.fixed VALUES (1,'open',NULL), (101,'open',NULL), (2,'open',NULL)`)
	for id, allowed := range map[int]bool{1: false, 101: true} {
		err := b.behind(t, fmt.Sprint(`DELETE FROM board.fixed WHERE id=`, id), func() error {
			_, err := b.nodes[0].Write(t.Context(), anon, fixed(id), nil)
			return err
		})
		if allowed != (err == nil) || !allowed && !fault.Is(err, fault.Forbidden) {
			t.Errorf("%d: %v", id, err)
		}
	}
	// One that is closed meanwhile is not changed any more.
	err := b.behind(t, `UPDATE board.fixed SET state='closed' WHERE id=2`, func() error {
		_, err := b.nodes[0].Write(t.Context(), anon, fixed(2), nil)
		return err
	})
	if !fault.Is(err, fault.Forbidden) {
		t.Errorf("a row that was closed: %v", err)
	}
	if got := b.sql(`SELECT string_agg(id::text||state||coalesce(text,''),' ' ORDER BY id) FROM board.fixed`); got != "2closed 101openmine" {
		t.Errorf("the rows: %s", got)
	}
}

// updateARowThatChanges: what a rule has judged is what is changed.
func updateARowThatChanges(t *testing.T, b *sharedBoard) {
	b.sql(`INSERT INTO board.fixed VALUES (1,'open',NULL), (2,'open',NULL)`)
	update := &query.Write{
		Action: query.Update, Target: query.Target{Entity: "fixed"}, Columns: []string{"text"}, Rows: [][]query.Cell{{cell(`"mine"`)}}, All: true,
	}
	err := b.behind(t, `UPDATE board.fixed SET state='closed' WHERE id=2`, func() error {
		res, err := b.nodes[0].Write(t.Context(), policy.Identity{Role: policy.Anon}, update, nil)
		if err == nil && res.Rows != 1 {
			return fmt.Errorf("%d rows were changed", res.Rows)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
	if got := b.sql(`SELECT string_agg(id::text||state||coalesce(text,''),' ' ORDER BY id) FROM board.fixed`); got != "1openmine 2closed" {
		t.Errorf("the rows: %s", got)
	}
}
