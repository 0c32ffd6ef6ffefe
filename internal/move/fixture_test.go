package move_test

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/fstest"
	"time"

	"github.com/pandobase/pando/internal/audit"
	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/keys"
	"github.com/pandobase/pando/internal/migrate"
	"github.com/pandobase/pando/internal/model"
	"github.com/pandobase/pando/internal/store"
	"github.com/pandobase/pando/internal/store/postgres"
	"github.com/pandobase/pando/internal/store/postgres/pgtest"
	"github.com/pandobase/pando/internal/store/sqlite"
	"github.com/pandobase/pando/internal/value"
)

// server is the instance of all tests, or why there is none.
//
//nolint:gochecknoglobals // started once for the binary
var (
	server  = sync.OnceValues(func() (*pgtest.Server, error) { started = true; return pgtest.Start(false) })
	started bool // read when all tests have ended
)

func TestMain(m *testing.M) {
	code := m.Run()
	if started {
		if s, err := server(); err == nil {
			if err := s.Stop(); err != nil {
				fmt.Fprintln(os.Stderr, err)
				code = 1
			}
		}
	}
	os.Exit(code)
}

// module has every type, alone and as a list, and references of every kind.
const module = `module: m
entities:
  parents:
    fields:
      id:   { type: uuid, primary: true }
      name: { type: text }
    search: [name]
  children:
    fields:
      id:        { type: int, primary: true }
      slot:      { type: text }
      parent_id: { ref: parents, on_delete: cascade }
      boss_id:   { ref: children, on_delete: set_null, optional: true, as: boss }
    unique: [[slot]]
  things:
    fields:
      code: { type: text, primary: true }
      i: { type: int, optional: true }
      f: { type: float, optional: true }
      d: { type: decimal, scale: 3, optional: true }
      b: { type: bool, optional: true }
      u: { type: uuid, optional: true }
      ts: { type: timestamp, optional: true }
      da: { type: date, optional: true }
      ti: { type: time, optional: true }
      j: { type: json, optional: true }
      by: { type: bytes, optional: true }
      e: { type: enum, values: [one, two], optional: true }
      li: { type: int, list: true, optional: true }
      lf: { type: float, list: true, optional: true }
      ld: { type: decimal, scale: 2, list: true, optional: true }
      lt: { type: text, list: true, optional: true }
      lts: { type: timestamp, list: true, optional: true }
      lb: { type: bool, list: true, optional: true }
      lj: { type: json, list: true, optional: true }
      lby: { type: bytes, list: true, optional: true }
    search: [code]
  moments:
    fields:
      at: { type: timestamp, primary: true }
      n:  { type: int }
`

func application(t testing.TB) *model.App {
	t.Helper()
	app, problems := model.Load(fstest.MapFS{
		"pando.yaml":     {Data: []byte("app: test\n")},
		"modules/m.yaml": {Data: []byte(module)},
	}, nil, model.Features{})
	if problems != nil {
		t.Fatal(problems)
	}
	return app
}

// place is a database that can be opened again.
type place struct {
	kind string
	open func() (store.Mover, error)
}

func sqlitePlace(t testing.TB) place {
	t.Helper()
	path := filepath.Join(t.TempDir(), "x.db")
	return place{"sqlite", func() (store.Mover, error) {
		return sqlite.Open(context.Background(), sqlite.Options{Path: path})
	}}
}

func postgresPlace(t testing.TB) place {
	t.Helper()
	s, err := server()
	if errors.Is(err, pgtest.ErrMissing) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	url, err := s.Database()
	if err != nil {
		t.Fatal(err)
	}
	return place{"postgres", func() (store.Mover, error) { return openPostgres(url) }}
}

func openPostgres(url string) (store.Mover, error) {
	return postgres.Open(context.Background(), postgres.Options{URL: url})
}

func (p place) must(t testing.TB) store.Mover {
	t.Helper()
	d, err := p.open()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	})
	return d
}

func migrated(t testing.TB, d store.Driver, app *model.App) {
	t.Helper()
	plan, err := migrate.Prepare(t.Context(), d, app)
	if err == nil {
		err = migrate.Apply(t.Context(), d, plan, migrate.Options{})
	}
	if err != nil {
		t.Fatal(show(err))
	}
}

func show(err error) string {
	if err == nil {
		return ""
	}
	f := fault.From(err)
	s := string(f.Code) + ": " + f.Message + " / " + f.Details + " / " + f.Hint
	if f.Cause != nil {
		s += fmt.Sprintf(" [%v]", f.Cause)
	}
	return s
}

// openAudit opens a trail on a driver.
func openAudit(t testing.TB, d store.Driver, w *keys.Wrapper) *audit.Log {
	t.Helper()
	l, err := audit.Open(t.Context(), audit.Config{Driver: d, Wrapper: w})
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func wrapper(t testing.TB) *keys.Wrapper {
	t.Helper()
	w, err := keys.OpenWrapper(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// insert writes a row through the driver as anybody does: it is captured.
func insert(tx store.Tx, d store.Driver, app *model.App, entity string, row map[string]value.Value) error {
	e := app.Entity("m", entity)
	var names, params []string
	var args []value.Value
	for _, f := range e.Fields {
		v, ok := row[f.Name]
		if !ok {
			continue
		}
		args = append(args, v)
		names = append(names, d.Dialect().Ident(f.Name))
		params = append(params, d.Dialect().TypedParam(len(args), value.Type{Kind: f.Type.Kind, List: f.Type.List, Scale: f.Type.Scale}))
	}
	for _, f := range e.Search {
		if column, tokens := d.Dialect().SearchTokens(f); column != "" {
			args = append(args, tokens(row[f.Name]))
			names, params = append(names, column), append(params, fmt.Sprintf("$%d", len(args)))
		}
	}
	sql := "INSERT INTO " + d.Dialect().Table("m", entity) + " (" + strings.Join(names, ",") + ") VALUES (" + strings.Join(params, ",") + ")"
	_, err := tx.Exec(&store.Statement{SQL: sql}, args)
	return err
}

// thing is a row of random values, the awkward ones among them.
func thing(r *rand.Rand, code string) map[string]value.Value {
	texts := []string{"", "a\tb\nc\r\\", `quote " and ' \N`, "Straße", "日本語", "{}", "null", "\\x00", strings.Repeat("long ", 100)}
	pick := func(n int) bool { return r.IntN(n) == 0 }
	row := map[string]value.Value{"code": value.OfText(code)}
	set := func(name string, v value.Value) {
		if !pick(4) {
			row[name] = v
		}
	}
	floats := []float64{0, 1, -1.5, 0.1, 1e20, 1e-7, 1e300, 5e-324, math.MaxFloat64, 123456789.125, 1e15, 1e16}
	set("i", value.OfInt([]int64{0, 1, -1, math.MaxInt64, math.MinInt64, r.Int64()}[r.IntN(6)]))
	set("f", value.OfFloat(floats[r.IntN(len(floats))]))
	set("d", value.OfInt(r.Int64N(1e18)))
	set("b", value.OfBool(pick(2)))
	set("u", value.OfText(value.NewUUID(time.Unix(1e9, 0), zero{r})))
	set("ts", value.OfTimestamp(time.UnixMicro(r.Int64N(4e15)).UTC()))
	set("da", value.OfText([]string{"2024-02-29", "0001-01-01", "9999-12-31"}[r.IntN(3)]))
	set("ti", value.OfText([]string{"00:00:00", "23:59:59.999999", "12:30:00.5"}[r.IntN(3)]))
	set("j", value.OfText([]string{`{"a":1,"bb":[1,2,{"c":null}]}`, `"text"`, `1.50`, `null`, `[]`, `{"ü":"\"\\\n"}`}[r.IntN(6)]))
	b := make([]byte, r.IntN(20))
	for i := range b {
		b[i] = byte(r.IntN(256))
	}
	set("by", value.OfBytes(string(b)))
	set("e", value.OfText([]string{"one", "two"}[r.IntN(2)]))
	set("li", value.OfText([]string{"[]", "[1,-2,9223372036854775807]"}[r.IntN(2)]))
	set("lf", value.OfText([]string{"[]", "[1,0.5,1e+20,1e-07]"}[r.IntN(2)]))
	set("ld", value.OfText([]string{"[]", "[1.50,-0.01]"}[r.IntN(2)]))
	list := []byte{'['}
	for i := range r.IntN(4) {
		if i > 0 {
			list = append(list, ',')
		}
		list = value.AppendQuoted(list, texts[r.IntN(len(texts))])
	}
	set("lt", value.OfText(string(append(list, ']'))))
	set("lts", value.OfText([]string{"[]", `["2026-01-02T03:04:05.6789+00:00"]`}[r.IntN(2)]))
	set("lb", value.OfText([]string{"[]", "[true,false]"}[r.IntN(2)]))
	set("lj", value.OfText([]string{"[]", `[{"a":"x,y"},true,[1,2]]`}[r.IntN(2)]))
	set("lby", value.OfText([]string{"[]", `["\\x00ff"]`}[r.IntN(2)]))
	return row
}

// zero is randomness that the seed decides.
type zero struct{ r *rand.Rand }

func (z zero) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = byte(z.r.IntN(256))
	}
	return len(p), nil
}

// crew writes to one store until it is stopped, and remembers what was
// acknowledged.
type crew struct {
	t       *testing.T
	app     *model.App
	gate    sync.RWMutex // writers hold it for reading, the switch for writing
	driver  store.Driver // guarded by gate
	trail   *audit.Log   // guarded by gate
	stop    atomic.Bool
	work    sync.WaitGroup
	mu      sync.Mutex
	made    map[string]bool // codes that were acknowledged and not deleted
	gone    map[string]bool
	written atomic.Int64
}

func hire(t *testing.T, app *model.App, d store.Driver, trail *audit.Log, n int) *crew {
	t.Helper()
	c := &crew{t: t, app: app, driver: d, trail: trail, made: map[string]bool{}, gone: map[string]bool{}}
	for i := range n {
		c.work.Go(func() { c.writer(i) })
	}
	t.Cleanup(c.dismiss)
	return c
}

func (c *crew) dismiss() {
	c.stop.Store(true)
	c.work.Wait()
}

// hold is a Config.Hold.
func (c *crew) hold(context.Context) (func(), error) {
	c.gate.Lock()
	return c.gate.Unlock, nil
}

func (c *crew) writer(id int) {
	r := rand.New(rand.NewPCG(uint64(id), 7))
	var codes []string
	for n := 0; !c.stop.Load(); n++ {
		c.gate.RLock()
		err := c.one(r, id, n, &codes)
		c.gate.RUnlock()
		if err != nil {
			c.t.Errorf("writer %d: %s", id, show(err))
			return
		}
		c.written.Add(1)
	}
}

func (c *crew) one(r *rand.Rand, id, n int, codes *[]string) error {
	d := c.driver
	table := func(name string) string { return d.Dialect().Table("m", name) }
	run := func(sql string, args ...value.Value) error {
		return d.Write(context.Background(), func(tx store.Tx) error {
			if _, err := tx.Exec(&store.Statement{SQL: sql}, args); err != nil {
				return err
			}
			return c.trail.Append(tx, &audit.Record{Action: "update", Entity: "m.things"})
		})
	}
	switch {
	case n%8 == 7 && len(*codes) > 4: // delete
		code := (*codes)[0]
		*codes = (*codes)[1:]
		c.note(code, false)
		return run("DELETE FROM "+table("things")+" WHERE code="+d.Dialect().TypedParam(1, value.Type{Kind: value.Text}), value.OfText(code))
	case n%8 == 5: // two rows exchange a unique value, in one transaction
		return c.exchange(r)
	case n%8 == 3 && len(*codes) > 0:
		return run("UPDATE "+table("things")+" SET i="+fmt.Sprint(n)+" WHERE code="+d.Dialect().TypedParam(1, value.Type{Kind: value.Text}), value.OfText((*codes)[r.IntN(len(*codes))]))
	case n%64 == 9: // a parent goes with its children, and comes again
		return c.rebirth(id)
	}
	code := fmt.Sprintf("w%d-%d-%s", id, n, d.Dialect().Param(1)[:1])
	err := d.Write(context.Background(), func(tx store.Tx) error {
		if err := insert(tx, d, c.app, "things", thing(r, code)); err != nil {
			return err
		}
		return c.trail.Append(tx, &audit.Record{Action: "create", Entity: "m.things", Keys: []string{code}})
	})
	if err == nil {
		*codes = append(*codes, code)
		c.note(code, true)
	}
	return err
}

func (c *crew) note(code string, there bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if there {
		c.made[code] = true
	} else {
		delete(c.made, code)
		c.gone[code] = true
	}
}

const (
	childCount = 40
	thingCount = 1000
)

func (c *crew) exchange(r *rand.Rand) error {
	d := c.driver
	a, b := r.IntN(childCount), r.IntN(childCount)
	set := func(tx store.Tx, id int, slot string) error {
		_, err := tx.Exec(&store.Statement{SQL: fmt.Sprintf("UPDATE %s SET slot='%s' WHERE id=%d", d.Dialect().Table("m", "children"), slot, id)}, nil)
		return err
	}
	slot := func(tx store.Tx, id int) (s string, err error) {
		err = tx.Query(&store.Statement{SQL: fmt.Sprintf("SELECT slot FROM %s WHERE id=%d", d.Dialect().Table("m", "children"), id)}, nil, func(row store.Row) error {
			s = string(row.Append(nil, 0))
			return nil
		})
		return s, err
	}
	return d.Write(context.Background(), func(tx store.Tx) error {
		x, err := slot(tx, a)
		if err != nil {
			return err
		}
		y, err := slot(tx, b)
		if err != nil || x == "" || y == "" {
			return err
		}
		if err := set(tx, a, "-"+x); err != nil {
			return err
		}
		if err := set(tx, b, x); err != nil || a == b {
			return errors.Join(err, set(tx, a, x))
		}
		return set(tx, a, y)
	})
}

// rebirth deletes a parent, whose children the database deletes, and makes them
// anew.
func (c *crew) rebirth(id int) error {
	d := c.driver
	return d.Write(context.Background(), func(tx store.Tx) error {
		p := parentID(id % 4)
		if _, err := tx.Exec(&store.Statement{SQL: "DELETE FROM " + d.Dialect().Table("m", "parents") + " WHERE id='" + p + "'"}, nil); err != nil {
			return err
		}
		return family(tx, d, c.app, id%4)
	})
}

func parentID(n int) string { return fmt.Sprintf("00000000-0000-7000-8000-%012d", n) }

// family is a parent with its ten children.
func family(tx store.Tx, d store.Driver, app *model.App, n int) error {
	err := insert(tx, d, app, "parents", map[string]value.Value{"id": value.OfText(parentID(n)), "name": value.OfText(fmt.Sprintf("parent %d", n))})
	for i := n * 10; i < n*10+10 && err == nil; i++ {
		row := map[string]value.Value{"id": value.OfInt(int64(i)), "slot": value.OfText(fmt.Sprintf("%s/%d", hex.EncodeToString([]byte{byte(rand.IntN(256)), byte(rand.IntN(256)), byte(rand.IntN(256)), byte(rand.IntN(256))}), i)), "parent_id": value.OfText(parentID(n))}
		if i > n*10 {
			row["boss_id"] = value.OfInt(int64(i - 1))
		}
		err = insert(tx, d, app, "children", row)
	}
	return err
}

// fill puts rows of every entity into a store.
func fill(t testing.TB, d store.Driver, app *model.App, things int) {
	t.Helper()
	r := rand.New(rand.NewPCG(1, 2))
	err := d.Write(t.Context(), func(tx store.Tx) error {
		for n := range 4 {
			if err := family(tx, d, app, n); err != nil {
				return err
			}
		}
		for i := range things {
			if err := insert(tx, d, app, "things", thing(r, fmt.Sprintf("t%d", i))); err != nil {
				return err
			}
		}
		for i := range 50 {
			n := value.OfInt(int64(i))
			for entity, row := range map[string]map[string]value.Value{
				"moments": {"at": value.OfTimestamp(time.UnixMicro(int64(i) * 1_234_567).UTC()), "n": n},
			} {
				if err := insert(tx, d, app, entity, row); err != nil {
					return err
				}
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(show(err))
	}
}

// dump is every row of the application's entities as texts.
func dump(t testing.TB, d store.Driver, app *model.App) map[string]bool {
	t.Helper()
	out := map[string]bool{}
	err := d.Read(t.Context(), true, func(r store.Reader) error {
		for _, m := range app.Modules {
			for _, e := range m.Entities {
				var names []string
				for _, f := range e.Fields {
					names = append(names, d.Dialect().Ident(f.Name))
				}
				st := &store.Statement{SQL: "SELECT " + strings.Join(names, ",") + " FROM " + d.Dialect().Table(m.Name, e.Name)}
				if err := r.Query(st, nil, func(row store.Row) error {
					line := e.QualifiedName()
					for i, f := range e.Fields {
						v := row.Value(i)
						text := fmt.Sprintf("%d:%s%d", v.Tag, v.Str, v.Int)
						if v.Tag == value.TagFloat {
							text = fmt.Sprint(v.Float)
						}
						if f.Type.List && f.Type.Kind == value.Float { // numbers, however they are written
							text = strings.NewReplacer("e+20", "00000000000000000000", "1e-07", "0.0000001").Replace(text)
						}
						line += "|" + text
					}
					if out[line] {
						t.Errorf("twice: %s", line)
					}
					out[line] = true
					return nil
				}); err != nil {
					return err
				}
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(show(err))
	}
	return out
}

// same compares two stores row by row.
func same(t testing.TB, a, b map[string]bool) {
	t.Helper()
	shown := 0
	for line := range a {
		if !b[line] && shown < 5 {
			t.Errorf("missing: %.300s", line)
			shown++
		}
	}
	for line := range b {
		if !a[line] && shown < 10 {
			t.Errorf("too many: %.300s", line)
			shown++
		}
	}
}
