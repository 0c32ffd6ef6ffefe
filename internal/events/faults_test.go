package events_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pandobase/pando/internal/broker"
	"github.com/pandobase/pando/internal/broker/amqp"
	"github.com/pandobase/pando/internal/broker/brokertest"
	"github.com/pandobase/pando/internal/broker/nats"
	"github.com/pandobase/pando/internal/events"
	"github.com/pandobase/pando/internal/outbox"
	"github.com/pandobase/pando/internal/store/sqlite"
)

// childFolder names, in the environment, where the child of TestKilled works.
const childFolder = "PANDO_TEST_EVENTS_CHILD"

// TestMain is the child of TestKilled, or the tests.
func TestMain(m *testing.M) {
	if dir := os.Getenv(childFolder); dir != "" {
		child(dir)
		return
	}
	os.Exit(m.Run())
}

// child writes for ever, and tells what was acknowledged.
func child(dir string) {
	driver, err := sqlite.Open(context.Background(), sqlite.Options{Path: filepath.Join(dir, "test.db")})
	if err != nil {
		panic(err)
	}
	w := &world{t: nil, dir: filepath.Join(dir, "broker")}
	n := &node{driver: driver}
	if n.box, err = outbox.Open(context.Background(), outbox.Config{Driver: driver}); err != nil {
		panic(err)
	}
	if n.broker, err = openEmbedded(w.dir, nil); err != nil {
		panic(err)
	}
	if n.Events, err = events.Start(events.Config{Outbox: n.box, Broker: n.broker}, w.recorder(&n, "c", nil)); err != nil {
		panic(err)
	}
	var mu sync.Mutex
	for k := range 4 {
		go func() {
			for {
				key := "k" + strconv.Itoa(k)
				if err := n.touch(context.Background(), key); err != nil {
					panic(err)
				}
				mu.Lock()
				fmt.Fprintln(os.Stdout, key)
				mu.Unlock()
			}
		}()
	}
	select {}
}

// TestKilled kills a process with the embedded broker again and again, in the
// middle of all that it does. What was acknowledged has its effect, once.
func TestKilled(t *testing.T) {
	w := newWorld(t)
	if w.db.Path == "" {
		t.Skip("about SQLite alone: the same broker and the same transaction on PostgreSQL")
	}
	dir := filepath.Dir(w.db.Path)
	w.dir = filepath.Join(dir, "broker")
	acked := map[string]int{}
	for range 6 {
		cmd := exec.CommandContext(t.Context(), os.Args[0])
		cmd.Env = append(os.Environ(), childFolder+"="+dir)
		cmd.Stderr = os.Stderr
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		sc := bufio.NewScanner(out)
		for i := 0; sc.Scan(); i++ {
			if strings.HasPrefix(sc.Text(), "k") {
				acked[sc.Text()]++
			}
			if i == 150 {
				if err := cmd.Process.Kill(); err != nil {
					t.Fatal(err)
				}
			}
		}
		_ = cmd.Wait()
	}
	var n *node
	n = w.start(w.recorder(&n, "c", nil))
	defer func() { n.end() }()
	total := n.count(`SELECT sum("v") FROM "t.rows"`)
	eventually(t, "all effects", func() bool { return int64(len(n.effects("c"))) >= total })
	inOrder(t, n.effects("c"), nil)
	got := map[string]int{}
	for _, e := range n.effects("c") {
		got[e.key]++
	}
	for k, want := range acked {
		if got[k] < want {
			t.Errorf("%s: %d of %d acknowledged ones", k, got[k], want)
		}
	}
	if len(acked) != 4 || int64(len(n.effects("c"))) != total {
		t.Errorf("%v: %d effects of %d events", acked, len(n.effects("c")), total)
	}
}

// TestLostTail: the broker's folder goes back to what it was some time ago, as
// when a machine stops before its disk has the newest messages. The outbox has
// them, and consumers get what they missed, once.
func TestLostTail(t *testing.T) {
	w := newWorld(t)
	var n *node
	n = w.start(w.recorder(&n, "c", nil))
	touch := func(times int) {
		t.Helper()
		for range times {
			if err := n.touch(t.Context(), "k"); err != nil {
				t.Fatal(err)
			}
		}
	}
	touch(10)
	eventually(t, "the effects", func() bool { return len(n.effects("c")) == 10 })
	n.end()
	old := t.TempDir()
	if err := os.CopyFS(old, os.DirFS(w.dir)); err != nil {
		t.Fatal(err)
	}
	n = w.start(w.recorder(&n, "c", nil))
	touch(10)
	eventually(t, "the effects", func() bool { return len(n.effects("c")) == 20 })
	if err := n.Close(); err != nil { // what comes from now on nobody handles
		t.Fatal(err)
	}
	n.begin(events.Config{})
	touch(5)
	eventually(t, "all marked", func() bool { return n.count(`SELECT count(*) FROM "pando_outbox" WHERE "published" IS NULL`) == 0 })
	n.end()

	w.dir = old
	n = w.start(w.recorder(&n, "c", nil))
	defer func() { n.end() }()
	touch(5)
	eventually(t, "the effects", func() bool { return len(n.effects("c")) >= 30 })
	inOrder(t, n.effects("c"), map[string]int{"k": 30})
}

// external is a node with a broker elsewhere.
func (w *world) external(c outbox.Config, e events.Config, open func() (broker.Broker, error), consumers ...events.Consumer) *node {
	w.t.Helper()
	n := w.outbox(c)
	var err error
	if n.broker, err = open(); err != nil {
		w.t.Fatal(err)
	}
	n.begin(e, consumers...)
	return n
}

// TestAway: a node starts and writes while the broker is away, gives the alarm,
// and catches up in order when it is back; then the broker is killed under it.
func TestAway(t *testing.T) {
	for name, c := range map[string]struct {
		start func(testing.TB) *brokertest.Server
		open  func(url string) (broker.Broker, error)
	}{
		"nats": {
			func(t testing.TB) *brokertest.Server { return brokertest.NATS(t) },
			func(url string) (broker.Broker, error) { return nats.Open(nats.Options{URL: url}) },
		},
		"amqp": {
			brokertest.RabbitMQ,
			func(url string) (broker.Broker, error) { return amqp.Open(amqp.Options{URL: url}) },
		},
	} {
		t.Run(name, func(t *testing.T) {
			if testing.Short() && name == "amqp" {
				t.Skip("long")
			}
			s := c.start(t)
			w := newWorld(t)
			s.Kill(t)
			var n *node
			n = w.external(outbox.Config{AlarmAt: 100, WatchEvery: 10 * time.Millisecond}, events.Config{},
				func() (broker.Broker, error) { return c.open(s.URL) }, w.recorder(&n, "c", nil))
			defer func() { n.end() }()
			want := map[string]int{}
			touch := func(times int) {
				t.Helper()
				for i := range times {
					key := strconv.Itoa(i % 3)
					want[key]++
					if err := n.touch(t.Context(), key); err != nil {
						t.Fatal(err)
					}
				}
			}
			touch(200)
			eventually(t, "the backlog", func() bool { return n.box.Backlog().Rows >= 200 })
			s.Start(t)
			eventually(t, "the effects", func() bool { return len(n.effects("c")) >= 200 })
			s.Kill(t)
			touch(100)
			s.Start(t)
			touch(100)
			eventually(t, "the effects", func() bool { return len(n.effects("c")) >= 400 })
			inOrder(t, n.effects("c"), want)
			eventually(t, "nothing waits", func() bool { return n.box.Backlog().Rows == 0 })
		})
	}
}

// TestNodes: two nodes on one PostgreSQL write the same rows; one relays, one
// handles, and when the one that does ends, the other goes on.
func TestNodes(t *testing.T) {
	w := newWorld(t)
	if w.db.Path != "" {
		t.Skip("about PostgreSQL alone: SQLite is one process's")
	}
	s := brokertest.NATS(t)
	open := func() (broker.Broker, error) { return nats.Open(nats.Options{URL: s.URL}) }
	var a, b *node
	c := outbox.Config{LeaseTime: time.Second}
	a = w.external(c, events.Config{}, open, w.recorder(&a, "c", nil))
	b = w.external(c, events.Config{}, open, w.recorder(&b, "c", nil))
	defer func() { b.end() }()
	want := map[string]int{}
	round := func(nodes ...*node) {
		t.Helper()
		const each = 50
		var wg sync.WaitGroup
		for _, n := range nodes {
			for k := range 3 {
				key := strconv.Itoa(k)
				want[key] += each
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
	}
	total := func() (n int) {
		for _, v := range want {
			n += v
		}
		return n
	}
	round(a, b)
	eventually(t, "the effects", func() bool { return len(b.effects("c")) >= total() })
	round(a, b)
	a.end()
	round(b)
	eventually(t, "the effects", func() bool { return len(b.effects("c")) >= total() })
	inOrder(t, b.effects("c"), want)
}

// TestReplay: a consumer gets events again, from a time and from an id, though it
// has handled them; what is live goes on meanwhile.
func TestReplay(t *testing.T) {
	w := newWorld(t)
	var n *node
	replayed := 0
	c := w.recorder(&n, "c", func(d *events.Delivery) error {
		if d.Replayed {
			replayed++
		}
		return nil
	})
	n = w.start(c, w.recorder(&n, "other", nil))
	defer func() { n.end() }()
	for range 10 {
		if err := n.touch(t.Context(), "k"); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "the effects", func() bool { return len(n.effects("c")) == 10 && len(n.effects("other")) == 10 })
	r, err := n.Replay(t.Context(), "c", events.Range{From: time.Now().Add(-time.Hour)})
	if err != nil || r.Events != 10 || r.Source != "broker" {
		t.Fatalf("%+v %v", r, err)
	}
	eventually(t, "the effects", func() bool { return len(n.effects("c")) == 20 })
	list := n.effects("c")
	inOrder(t, list[10:], map[string]int{"k": 10})
	if r, err = n.Replay(t.Context(), "c", events.Range{ID: list[6].id}); err != nil || r.Events != 4 {
		t.Fatalf("%+v %v", r, err)
	}
	eventually(t, "the effects", func() bool { return len(n.effects("c")) == 24 })
	if err := n.touch(t.Context(), "k"); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the live one", func() bool { l := n.effects("c"); return len(l) == 25 && l[24].data == "11" })
	if replayed < 14 || len(n.effects("other")) != 11 {
		t.Errorf("%d replayed, %d of the other consumer", replayed, len(n.effects("other")))
	}
	if _, err := n.Replay(t.Context(), "d", events.Range{}); err == nil {
		t.Error("a consumer that is not there")
	}
	if _, err := n.Replay(t.Context(), "c", events.Range{ID: "01a22990-f77b-7b43-9c1b-797e1ec33ba4"}); err == nil {
		t.Error("an event that is not there")
	}
}

// TestTail shows events that were, and those that come.
func TestTail(t *testing.T) {
	w := newWorld(t)
	n := w.start()
	defer func() { n.end() }()
	for _, k := range []string{"a", "b", "a"} {
		if err := n.touch(t.Context(), k); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "all marked", func() bool { return n.count(`SELECT count(*) FROM "pando_outbox" WHERE "published" IS NULL`) == 0 })
	var seen []string
	enough := errors.New("enough")
	each := func(most int) func(*outbox.Event) error {
		seen = nil
		return func(e *outbox.Event) error {
			if seen = append(seen, e.Key+string(e.Data)); len(seen) == most {
				return enough
			}
			return nil
		}
	}
	past := time.Now().Add(-time.Hour)
	if err := n.Tail(t.Context(), events.Filter{}, past, false, each(-1)); err != nil || fmt.Sprint(seen) != "[a1 b1 a2]" {
		t.Errorf("%v %v", seen, err)
	}
	if err := n.Tail(t.Context(), events.Filter{Key: "a", Types: []string{"t.changed"}}, past, false, each(-1)); err != nil || fmt.Sprint(seen) != "[a1 a2]" {
		t.Errorf("%v %v", seen, err)
	}
	done := make(chan error)
	follow := each(2)
	go func() { done <- n.Tail(t.Context(), events.Filter{Key: "b"}, past, true, follow) }()
	if err := n.touch(t.Context(), "b"); err != nil {
		t.Fatal(err)
	}
	if err := <-done; !errors.Is(err, enough) || fmt.Sprint(seen) != "[b1 b2]" {
		t.Errorf("%v %v", seen, err)
	}
}
