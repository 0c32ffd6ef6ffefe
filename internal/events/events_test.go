package events_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/pandobase/pando/internal/broker"
	"github.com/pandobase/pando/internal/broker/embedded"
	"github.com/pandobase/pando/internal/events"
	"github.com/pandobase/pando/internal/outbox"
	"github.com/pandobase/pando/internal/store"
	"github.com/pandobase/pando/internal/store/teststore"
	"github.com/pandobase/pando/internal/value"
)

// node is one node: a store, its outbox, a broker.
type node struct {
	t      testing.TB
	driver store.Driver
	box    *outbox.Outbox
	broker broker.Broker
	*events.Events
}

// world is what nodes share.
type world struct {
	t   testing.TB
	db  teststore.Database
	dir string // the embedded broker's
}

func newWorld(t testing.TB) *world {
	t.Helper()
	w := &world{t: t, db: teststore.New(t), dir: t.TempDir()}
	d := w.db.Open(t)
	err := d.Alter(t.Context(), func(tx store.Tx) error {
		_, err := tx.Exec(&store.Statement{SQL: `CREATE TABLE "t.effects" ("n" INTEGER PRIMARY KEY, "consumer" text NOT NULL, "id" text NOT NULL, "key" text NOT NULL, "data" text NOT NULL)`}, nil)
		if err != nil {
			return err
		}
		_, err = tx.Exec(&store.Statement{SQL: `CREATE TABLE "t.rows" ("k" text PRIMARY KEY, "v" INTEGER NOT NULL)`}, nil)
		return err
	})
	if err = errors.Join(err, d.Close()); err != nil {
		t.Fatal(err)
	}
	return w
}

func logger(t testing.TB) *slog.Logger {
	return slog.New(slog.NewTextHandler(t.Output(), nil))
}

func (w *world) outbox(c outbox.Config) *node {
	w.t.Helper()
	n := &node{t: w.t, driver: w.db.Open(w.t)}
	c.Driver = n.driver
	if c.Log == nil {
		c.Log = logger(w.t)
	}
	var err error
	if n.box, err = outbox.Open(w.t.Context(), c); err != nil {
		w.t.Fatal(err)
	}
	return n
}

func (w *world) embedded() broker.Broker {
	w.t.Helper()
	b, err := openEmbedded(w.dir, logger(w.t))
	if err != nil {
		w.t.Fatal(err)
	}
	return b
}

func openEmbedded(dir string, log *slog.Logger) (broker.Broker, error) {
	return embedded.Open(embedded.Options{Dir: dir, Log: log})
}

// start starts a node with the embedded broker.
func (w *world) start(consumers ...events.Consumer) *node {
	w.t.Helper()
	n := w.outbox(outbox.Config{})
	n.broker = w.embedded()
	n.begin(events.Config{}, consumers...)
	return n
}

func (n *node) begin(c events.Config, consumers ...events.Consumer) {
	n.t.Helper()
	c.Outbox, c.Broker = n.box, n.broker
	if c.Log == nil {
		c.Log = logger(n.t)
	}
	if c.RetryEvery == 0 {
		c.RetryEvery = 20 * time.Millisecond
	}
	var err error
	if n.Events, err = events.Start(c, consumers...); err != nil {
		n.t.Fatal(err)
	}
}

func (n *node) end() {
	n.t.Helper()
	var err error
	if n.Events != nil {
		err = n.Close()
	}
	err = errors.Join(err, n.box.Close())
	if n.broker != nil {
		err = errors.Join(err, n.broker.Close())
	}
	if err = errors.Join(err, n.driver.Close()); err != nil {
		n.t.Error(err)
	}
}

// touch changes a row, and appends an event that has its new value.
func (n *node) touch(ctx context.Context, key string) error {
	return n.driver.Write(ctx, func(tx store.Tx) error {
		var v int64
		err := tx.Query(n.statement(`INSERT INTO "t.rows" ("k","v") VALUES (?,1) ON CONFLICT ("k") DO UPDATE SET "v"="t.rows"."v"+1 RETURNING "v"`),
			[]value.Value{value.OfText(key)}, func(r store.Row) error { v = r.Int(0); return nil })
		if err != nil {
			return err
		}
		return n.box.Append(tx, &outbox.Event{Type: "t.changed", Key: key, Data: json.RawMessage(strconv.FormatInt(v, 10))})
	})
}

func (n *node) statement(sql string) *store.Statement {
	out, i := "", 0
	for _, c := range sql {
		if c == '?' {
			i++
			out += n.driver.Dialect().Param(i)
			continue
		}
		out += string(c)
	}
	return &store.Statement{SQL: out}
}

// effect is a consumer that notes what it is given.
func (n *node) insert(tx store.Tx, consumer string, d *events.Delivery) error {
	_, err := tx.Exec(n.statement(`INSERT INTO "t.effects" ("n","consumer","id","key","data") VALUES ((SELECT coalesce(max("n"),0)+1 FROM "t.effects"),?,?,?,?)`),
		[]value.Value{value.OfText(consumer), value.OfText(d.ID), value.OfText(d.Key), value.OfText(string(d.Data))})
	return err
}

func (w *world) recorder(n **node, name string, fail func(*events.Delivery) error) events.Consumer {
	return events.Consumer{
		Name: name, Types: []string{"t.changed"}, First: 10 * time.Millisecond, Max: 50 * time.Millisecond,
		Apply: func(_ context.Context, tx store.Tx, batch []events.Delivery) error {
			for i := range batch {
				if err := (*n).insert(tx, name, &batch[i]); err != nil {
					return err
				}
				if fail == nil {
					continue
				}
				if err := fail(&batch[i]); err != nil {
					return err
				}
			}
			return nil
		},
	}
}

type effect struct{ consumer, id, key, data string }

func (n *node) effects(consumer string) (out []effect) {
	n.t.Helper()
	err := n.driver.Read(context.Background(), false, func(r store.Reader) error {
		out = out[:0]
		return r.Query(n.statement(`SELECT "consumer","id","key","data" FROM "t.effects" WHERE "consumer"=? ORDER BY "n"`), []value.Value{value.OfText(consumer)}, func(r store.Row) error {
			s := func(i int) string { return string(r.Append(nil, i)) }
			out = append(out, effect{s(0), s(1), s(2), s(3)})
			return nil
		})
	})
	if err != nil {
		n.t.Fatal(err)
	}
	return out
}

func (n *node) count(sql string) int64 {
	n.t.Helper()
	var out int64
	err := n.driver.Read(context.Background(), false, func(r store.Reader) error {
		return r.Query(&store.Statement{SQL: sql}, nil, func(r store.Row) error { out = r.Int(0); return nil })
	})
	if err != nil {
		n.t.Fatal(err)
	}
	return out
}

// eventually waits for a condition.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(60 * time.Second)
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatalf("not within a minute: %s", what)
		}
		time.Sleep(5 * time.Millisecond) // between two looks
	}
}

// inOrder checks that each key's events came once, in order, up to its count.
func inOrder(t testing.TB, list []effect, want map[string]int) {
	t.Helper()
	got := map[string]int{}
	for _, e := range list {
		n, err := strconv.Atoi(e.data)
		if err != nil {
			t.Fatal(err)
		}
		if n != got[e.key]+1 {
			t.Errorf("%s: %d came behind %d", e.key, n, got[e.key])
		}
		got[e.key] = n
	}
	for k, n := range want {
		if got[k] != n {
			t.Errorf("%s: %d of %d", k, got[k], n)
		}
	}
}

// TestOnceInOrder: many writers change few rows at once; each consumer's effects
// are one per event, in the order of the row's changes.
func TestOnceInOrder(t *testing.T) {
	w := newWorld(t)
	var n *node
	n = w.start(w.recorder(&n, "first", nil), w.recorder(&n, "second", nil))
	defer func() { n.end() }()
	const keys, each = 7, 40
	var wg sync.WaitGroup
	want := map[string]int{}
	for k := range keys {
		key := fmt.Sprintf("t.rows/%d", k)
		want[key] = each * 2
		for range 2 {
			wg.Go(func() {
				for range each {
					if err := n.touch(t.Context(), key); err != nil {
						t.Error(err)
					}
				}
			})
		}
	}
	wg.Wait()
	for _, c := range []string{"first", "second"} {
		eventually(t, "all effects", func() bool { return len(n.effects(c)) >= keys*each*2 })
		inOrder(t, n.effects(c), want)
	}
	eventually(t, "all marked", func() bool { return n.count(`SELECT count(*) FROM "pando_outbox" WHERE "published" IS NULL`) == 0 })
	b, err := n.box.Measure(t.Context())
	if err != nil || b.Rows != 0 || !b.Oldest.IsZero() {
		t.Errorf("backlog %+v %v", b, err)
	}
}

// TestUndone: an event of a write that fails is never published.
func TestUndone(t *testing.T) {
	w := newWorld(t)
	var n *node
	n = w.start(w.recorder(&n, "c", nil))
	defer func() { n.end() }()
	no := errors.New("no")
	for i := range 20 {
		err := n.driver.Write(t.Context(), func(tx store.Tx) error {
			e := &outbox.Event{Type: "t.changed", Key: "k", Data: json.RawMessage("1")}
			if i%2 == 0 {
				return errors.Join(n.box.Append(tx, e), no)
			}
			return errors.Join(tx.Savepoint(func() error { return errors.Join(n.box.Append(tx, e), no) }))
		})
		if !errors.Is(err, no) {
			t.Fatal(err)
		}
	}
	if err := n.touch(t.Context(), "k"); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the one effect", func() bool { return len(n.effects("c")) > 0 })
	inOrder(t, n.effects("c"), map[string]int{"k": 1})
	if got := n.count(`SELECT count(*) FROM "pando_outbox"`); got != 1 {
		t.Errorf("%d rows", got)
	}
}

// TestPoison: an event whose handler panics dies after its tries; those of its
// key wait until then, and the others do not.
func TestPoison(t *testing.T) {
	w := newWorld(t)
	var mu sync.Mutex
	tries, othersFirst, healed := 0, false, false
	var n *node
	c := w.recorder(&n, "c", func(d *events.Delivery) error {
		if d.Key == "bad" && string(d.Data) == "2" {
			mu.Lock()
			defer mu.Unlock()
			if tries++; d.Try > tries {
				t.Errorf("try %d is said to be the %dth", tries, d.Try)
			}
			if !healed {
				panic("poison")
			}
		}
		return nil
	})
	n = w.start(c)
	defer func() { n.end() }()
	for range 3 {
		for _, k := range []string{"bad", "good"} {
			if err := n.touch(t.Context(), k); err != nil {
				t.Fatal(err)
			}
		}
	}
	eventually(t, "the dead event", func() bool {
		l := n.effects("c")
		good := 0
		for _, e := range l {
			if e.key == "good" {
				good++
			}
		}
		mu.Lock()
		defer mu.Unlock()
		if good == 3 && tries < 10 {
			othersFirst = true
		}
		return len(l) == 5
	})
	if !othersFirst {
		t.Error("the other key waited")
	}
	dead, err := n.Dead(t.Context(), "", "", 10)
	if err != nil || len(dead) != 1 || dead[0].Tries != 10 || dead[0].Event.Key != "bad" || string(dead[0].Event.Data) != "2" || dead[0].Error == "" {
		t.Fatalf("%+v %v", dead, err)
	}
	var order []string
	for _, e := range n.effects("c") {
		if e.key == "bad" {
			order = append(order, e.data)
		}
	}
	if fmt.Sprint(order) != "[1 3]" {
		t.Errorf("order %v", order)
	}
	// Another ten tries, and it is dead again; then it goes well.
	for i := range 2 {
		mu.Lock()
		healed = i > 0
		mu.Unlock()
		if err := n.Retry(t.Context(), "c", dead[0].ID); err != nil {
			t.Fatal(err)
		}
		eventually(t, "its end", func() bool { return n.count(`SELECT count(*) FROM "pando_event_retries"`) == 0 })
	}
	if l := n.effects("c"); len(l) != 6 || l[5].data != "2" {
		t.Errorf("after the retry: %v", l)
	}
	if err := n.Drop(t.Context(), "c", dead[0].ID); err == nil {
		t.Error("the handled event is dead")
	}
}

// TestFlaky: handlers that fail at random change nothing about once and in order.
func TestFlaky(t *testing.T) {
	w := newWorld(t)
	var n *node
	c := w.recorder(&n, "c", func(*events.Delivery) error {
		if rand.N(4) == 0 {
			return errors.New("flaky")
		}
		return nil
	})
	c.Tries = 1000
	n = w.start(c)
	defer func() { n.end() }()
	const keys, each = 5, 30
	want := map[string]int{}
	var wg sync.WaitGroup
	for k := range keys {
		key := strconv.Itoa(k)
		want[key] = each
		wg.Go(func() {
			for range each {
				if err := n.touch(t.Context(), key); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	eventually(t, "all effects", func() bool { return len(n.effects("c")) >= keys*each })
	inOrder(t, n.effects("c"), want)
	eventually(t, "nothing parked", func() bool { return n.count(`SELECT count(*) FROM "pando_event_retries"`) == 0 })
}

// TestNotify: a consumer without a transaction hears of every event, again after
// it failed, and in order.
func TestNotify(t *testing.T) {
	w := newWorld(t)
	var mu sync.Mutex
	var heard []string
	failed := false
	n := w.start(events.Consumer{Name: "ear", First: 5 * time.Millisecond, Notify: func(_ context.Context, d events.Delivery) error {
		mu.Lock()
		defer mu.Unlock()
		if string(d.Data) == "2" && !failed {
			failed = true
			panic("once")
		}
		heard = append(heard, string(d.Data))
		return nil
	}})
	defer func() { n.end() }()
	for range 4 {
		if err := n.touch(t.Context(), "k"); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "four events", func() bool { mu.Lock(); defer mu.Unlock(); return len(heard) == 4 })
	if fmt.Sprint(heard) != "[1 2 3 4]" {
		t.Error(heard)
	}
}

// TestRestart: a consumer that was away gets what it missed, once.
func TestRestart(t *testing.T) {
	w := newWorld(t)
	var n *node
	n = w.start(w.recorder(&n, "c", nil))
	for i := range 3 {
		for range 5 {
			if err := n.touch(t.Context(), "k"); err != nil {
				t.Fatal(err)
			}
		}
		if i != 1 {
			eventually(t, "the effects", func() bool { return len(n.effects("c")) == 5*(i+1) })
		}
		n.end()
		n = w.start(w.recorder(&n, "c", nil))
	}
	defer func() { n.end() }()
	eventually(t, "the effects", func() bool { return len(n.effects("c")) == 15 })
	inOrder(t, n.effects("c"), map[string]int{"k": 15})
}
