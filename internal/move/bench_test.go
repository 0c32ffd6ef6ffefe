package move_test

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/pandobase/pando/internal/model"
	"github.com/pandobase/pando/internal/move"
	"github.com/pandobase/pando/internal/store"
	"github.com/pandobase/pando/internal/store/postgres/pgtest"
	"github.com/pandobase/pando/internal/value"
)

const benchModule = `module: m
entities:
  customers:
    fields:
      id:    { type: uuid, primary: true }
      name:  { type: text }
      email: { type: text }
    unique: [[email]]
  orders:
    fields:
      id:          { type: uuid, primary: true }
      number:      { type: int }
      customer_id: { ref: customers }
      status:      { type: enum, values: [open, paid, shipped] }
      total:       { type: decimal, scale: 2 }
      note:        { type: text, optional: true }
      created_at:  { type: timestamp }
    unique: [[number]]
    index: [[customer_id, status, created_at]]
`

// TestThroughput measures a move against a bare COPY of the same rows into the
// same tables. PANDO_MOVE_ROWS says how many rows; `make move-bench` runs it.
func TestThroughput(t *testing.T) {
	rows, err := strconv.Atoi(os.Getenv("PANDO_MOVE_ROWS"))
	if err != nil {
		t.Skip("set PANDO_MOVE_ROWS")
	}
	app, problems := model.Load(fstest.MapFS{
		"pando.yaml": {Data: []byte("app: test\n")}, "modules/m.yaml": {Data: []byte(benchModule)},
	}, nil, model.Features{})
	if problems != nil {
		t.Fatal(problems)
	}
	from := sqlitePlace(t).must(t)
	migrated(t, from, app)
	fillBench(t, from, app, rows)
	for range 3 {
		bare, keyed := bareCopy(t, app, from, false), bareCopy(t, app, from, true)
		to := postgresPlace(t).must(t)
		c := move.Config{From: from, To: to, ID: "a", Name: "target", Freeze: freezeForTests}
		res, err := move.Run(t.Context(), c)
		if err != nil {
			t.Fatal(show(err))
		}
		t.Logf("%d rows: COPY into the application's tables %v, into tables with a key alone %v; the move's copy %v, the whole move, indexed, compared and switched, %v; writers waited %v",
			res.Rows, bare.Round(time.Millisecond), keyed.Round(time.Millisecond), res.Copied.Round(time.Millisecond), res.Took.Round(time.Millisecond), res.Frozen.Round(time.Millisecond))
		t.Logf("of COPY's rate: the whole move %.2f, its copy alone %.2f (%.2f where COPY has a key alone)",
			float64(bare)/float64(res.Took), float64(bare)/float64(res.Copied), float64(keyed)/float64(res.Copied))
		if _, err := move.Rollback(t.Context(), c); err != nil {
			t.Fatal(show(err))
		}
	}
}

func fillBench(t *testing.T, d store.Driver, app *model.App, rows int) {
	t.Helper()
	r := rand.New(rand.NewPCG(3, 4))
	customer := func(i int) value.Value { return value.OfText(fmt.Sprintf("00000000-0000-7000-8000-%012d", i)) }
	each := func(n int, fn func(tx store.Tx, i int) error) {
		for at := 0; at < n; at += 10_000 {
			err := d.Write(t.Context(), func(tx store.Tx) error {
				for i := at; i < min(n, at+10_000); i++ {
					if err := fn(tx, i); err != nil {
						return err
					}
				}
				return nil
			})
			if err != nil {
				t.Fatal(show(err))
			}
		}
	}
	customers := max(rows/20, 1)
	each(customers, func(tx store.Tx, i int) error {
		return insert(tx, d, app, "customers", map[string]value.Value{
			"id": customer(i), "name": value.OfText(fmt.Sprintf("Customer %d", i)), "email": value.OfText(fmt.Sprintf("c%d@example.com", i)),
		})
	})
	each(rows, func(tx store.Tx, i int) error {
		return insert(tx, d, app, "orders", map[string]value.Value{
			"id": value.OfText(value.NewUUID(time.UnixMilli(1.7e12+int64(i)), zero{r})), "number": value.OfInt(int64(i)), "customer_id": customer(r.IntN(customers)),
			"status": value.OfText([]string{"open", "paid", "shipped"}[r.IntN(3)]), "total": value.OfInt(r.Int64N(1e6)),
			"note":       value.OfText(strings.Repeat("word ", 1+r.IntN(20))),
			"created_at": value.OfTimestamp(time.UnixMicro(1.7e15 + int64(i)*1000).UTC()),
		})
	})
}

// bareCopy times COPY of the rows, which lie in memory as it takes them, into
// tables that have their keys, indexes and references, or their keys alone.
func bareCopy(t *testing.T, app *model.App, from store.Driver, keyed bool) time.Duration {
	t.Helper()
	s, err := server()
	if err != nil {
		t.Fatal(err)
	}
	url, err := s.Database()
	if err != nil {
		t.Fatal(err)
	}
	p := place{"postgres", func() (store.Mover, error) { return openPostgres(url) }}
	migrated(t, p.must(t), app)
	texts := map[string]*bytes.Buffer{}
	order := []string{"customers", "orders"}
	err = from.Read(t.Context(), true, func(r store.Reader) error {
		for _, entity := range order {
			var names []string
			for _, f := range app.Entity("m", entity).Fields {
				names = append(names, from.Dialect().Ident(f.Name))
			}
			texts[entity] = &bytes.Buffer{}
			st := &store.Statement{SQL: "SELECT " + strings.Join(names, ",") + " FROM " + from.Dialect().Table("m", entity)}
			if err := r.Query(st, nil, func(row store.Row) error {
				for i := range names {
					if i > 0 {
						texts[entity].WriteByte('\t')
					}
					texts[entity].Write(row.Append(nil, i))
				}
				texts[entity].WriteByte('\n')
				return nil
			}); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	c, err := pgtest.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close(context.Background()) }() // it has done its work
	if keyed {
		for _, entity := range order {
			sql := "CREATE TABLE k (LIKE m." + entity + "); DROP TABLE m." + entity + " CASCADE; ALTER TABLE k RENAME TO " + entity +
				"; ALTER TABLE " + entity + " SET SCHEMA m; ALTER TABLE m." + entity + " ADD PRIMARY KEY (id)"
			if _, err := c.Run(t.Context(), sql); err != nil {
				t.Fatal(err)
			}
		}
	}
	began := time.Now()
	for _, entity := range order {
		if err := c.Copy(t.Context(), texts[entity], "COPY m."+entity+" FROM STDIN"); err != nil {
			t.Fatal(err)
		}
	}
	return time.Since(began)
}
