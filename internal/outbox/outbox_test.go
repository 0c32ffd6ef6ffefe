package outbox_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/outbox"
	"github.com/pandobase/pando/internal/store"
	"github.com/pandobase/pando/internal/store/teststore"
)

func open(t testing.TB, d store.Driver, c outbox.Config) *outbox.Outbox {
	t.Helper()
	c.Driver = d
	o, err := outbox.Open(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := o.Close(); err != nil {
			t.Error(err)
		}
	})
	return o
}

func event(n int) *outbox.Event {
	return &outbox.Event{Type: "t.changed", Key: "t.rows/" + strconv.Itoa(n%3), Data: json.RawMessage(`{"n":` + strconv.Itoa(n) + `}`), Schema: "urn:pando:t.changed:1", Subject: "ann", Trace: "00-01"}
}

func write(t testing.TB, o *outbox.Outbox, events ...*outbox.Event) {
	t.Helper()
	if err := o.Driver().Write(t.Context(), func(tx store.Tx) error { return o.Append(tx, events...) }); err != nil {
		t.Fatal(err)
	}
}

// own is a lease that nobody else wants.
func own(t testing.TB, o *outbox.Outbox) *outbox.Lease {
	t.Helper()
	var l *outbox.Lease
	if err := o.Lead(t.Context(), t.Name(), func(_ context.Context, held *outbox.Lease) error { l = held; return nil }); err != nil {
		t.Fatal(err)
	}
	return l
}

func publishable(t testing.TB, o *outbox.Outbox) []outbox.Event {
	t.Helper()
	list, err := o.Publishable(t.Context(), 100_000, nil)
	if err != nil {
		t.Fatal(err)
	}
	return list
}

func seqs(list []outbox.Event) (out []int64) {
	for _, e := range list {
		out = append(out, e.Seq)
	}
	return out
}

// TestEvent: an event comes as it was appended, with what was filled in, and in
// the given order, also when one statement stores many.
func TestEvent(t *testing.T) {
	o := open(t, teststore.Open(t), outbox.Config{})
	var events []*outbox.Event
	for i := range 349 {
		events = append(events, event(i))
	}
	before := time.Now().Add(-time.Second)
	write(t, o, events...)
	select {
	case <-o.Woken():
	case <-time.After(time.Minute):
		t.Fatal("nobody was woken")
	}
	list := publishable(t, o)
	if len(list) != len(events) {
		t.Fatalf("%d of %d", len(list), len(events))
	}
	for i, e := range list {
		w := events[i]
		if e.ID != w.ID || len(e.ID) != 36 || e.Type != w.Type || e.Key != w.Key || string(e.Data) != string(w.Data) || e.Schema != w.Schema ||
			e.Subject != w.Subject || e.Trace != w.Trace || e.Time.Before(before) || i > 0 && e.Seq <= list[i-1].Seq {
			t.Fatalf("%d: %+v, want %+v", i, e, w)
		}
	}
}

// TestRefused: what no consumer could be given fails the write.
func TestRefused(t *testing.T) {
	o := open(t, teststore.Open(t), outbox.Config{})
	for _, tt := range []struct {
		e    *outbox.Event
		code fault.Code
	}{
		{&outbox.Event{Type: "t.x", Data: make([]byte, outbox.MaxData+1)}, fault.BodyTooLarge},
		{&outbox.Event{Type: ""}, fault.Internal},
		{&outbox.Event{Type: "t..x"}, fault.Internal},
		{&outbox.Event{Type: "t.*"}, fault.Internal},
		{&outbox.Event{Type: "t >"}, fault.Internal},
	} {
		err := o.Driver().Write(t.Context(), func(tx store.Tx) error { return o.Append(tx, event(1), tt.e) })
		if !fault.Is(err, tt.code) {
			t.Errorf("%q: %v", tt.e.Type, err)
		}
	}
	write(t, o, &outbox.Event{Type: "t.x", Key: "a\x00\xff" + strings.Repeat("k", 5000), Data: []byte(`"` + strings.Repeat("x", outbox.MaxData-2) + `"`)})
	if list := publishable(t, o); len(list) != 1 || len(list[0].Data) != outbox.MaxData {
		t.Errorf("%d events", len(list))
	}
}

// TestLateCommit: of two transactions at once, the one with the lower number
// commits later. Its event is found when it is there.
func TestLateCommit(t *testing.T) {
	teststore.Only(t, teststore.Postgres, "SQLite has one writer")
	db := teststore.New(t)
	first, second := db.Open(t), db.Open(t)
	defer func() {
		if err := errors.Join(first.Close(), second.Close()); err != nil {
			t.Error(err)
		}
	}()
	o1, o2 := open(t, first, outbox.Config{}), open(t, second, outbox.Config{})
	appended, commit := make(chan struct{}), make(chan struct{})
	done := make(chan error)
	go func() {
		done <- first.Write(t.Context(), func(tx store.Tx) error {
			err := o1.Append(tx, event(1))
			if err == nil { // an answer is waited for, so that the number is drawn
				err = tx.Query(&store.Statement{SQL: `SELECT 1`}, nil, func(store.Row) error { return nil })
			}
			close(appended)
			<-commit
			return err
		})
	}()
	<-appended
	write(t, o2, event(2))
	list := publishable(t, o2)
	if len(list) != 1 {
		t.Fatalf("%d events", len(list))
	}
	l := own(t, o2)
	if err := o2.Published(t.Context(), l, seqs(list)); err != nil {
		t.Fatal(err)
	}
	close(commit)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	late := publishable(t, o2)
	if len(late) != 1 || late[0].Seq >= list[0].Seq {
		t.Errorf("%v behind %v", seqs(late), seqs(list))
	}
}

// TestFresh: the inbox tells each event once, whatever else is given.
func TestFresh(t *testing.T) {
	o := open(t, teststore.Open(t), outbox.Config{})
	fresh := func(consumer string, ids ...string) (out []bool) {
		err := o.Driver().Write(t.Context(), func(tx store.Tx) (err error) { out, err = o.Fresh(tx, consumer, ids); return err })
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	if got := fresh("c", "a", "b", "a"); !slices.Equal(got, []bool{true, true, false}) {
		t.Error(got)
	}
	if got := fresh("c", "x", "b", "y", "a", "z"); !slices.Equal(got, []bool{true, false, true, false, true}) {
		t.Error(got)
	}
	if got := fresh("other", "a"); !got[0] {
		t.Error("consumers are not apart")
	}
	no := errors.New("no")
	err := o.Driver().Write(t.Context(), func(tx store.Tx) error { _, err := o.Fresh(tx, "c", []string{"q"}); return errors.Join(err, no) })
	if !errors.Is(err, no) || !fresh("c", "q")[0] {
		t.Error("an event of a write that failed is handled")
	}
	many := make([]string, 700)
	for i := range many {
		many[i] = strconv.Itoa(i)
	}
	fresh("c", many[100:200]...)
	for i, f := range fresh("c", many...) {
		if f != (i < 100 || i >= 200) {
			t.Fatalf("%d: %v", i, f)
		}
	}
}

// clock is a clock that is set.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time { c.mu.Lock(); defer c.mu.Unlock(); return c.now }
func (c *clock) add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// TestPurge: rows stay for their time after they were published, and those that
// were not, for good. The inbox forgets after its own.
func TestPurge(t *testing.T) {
	c := &clock{now: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}
	o := open(t, teststore.Open(t), outbox.Config{Now: c.Now, Keep: time.Hour, KeepInbox: 24 * time.Hour})
	var events []*outbox.Event
	for i := range 3000 {
		events = append(events, event(i))
	}
	write(t, o, events...)
	list := publishable(t, o)
	l := own(t, o)
	if err := o.Published(t.Context(), l, seqs(list[:2900])); err != nil {
		t.Fatal(err)
	}
	purge := func(want int64) {
		t.Helper()
		if n, err := o.Purge(t.Context()); err != nil || n != want {
			t.Errorf("%d rows (%v), want %d", n, err, want)
		}
	}
	purge(0)
	c.add(61 * time.Minute)
	purge(2900)
	purge(0)
	if left := publishable(t, o); len(left) != 100 {
		t.Errorf("%d are left", len(left))
	}
	b, err := o.Measure(t.Context())
	if err != nil || b.Rows != 100 || !b.Oldest.Equal(list[2900].Time) {
		t.Errorf("%+v %v", b, err)
	}
	ids := []string{events[0].ID, events[1].ID}
	take := func(consumer string) []bool {
		var out []bool
		if err := o.Driver().Write(t.Context(), func(tx store.Tx) (err error) { out, err = o.Fresh(tx, consumer, ids); return err }); err != nil {
			t.Fatal(err)
		}
		return out
	}
	take("a")
	c.add(20 * time.Hour)
	take("b") // handled late
	c.add(5 * time.Hour)
	if n, err := o.Prune(t.Context()); err != nil || n != 2 {
		t.Errorf("%d (%v)", n, err)
	}
	if a, b := take("a"), take("b"); !a[0] || b[0] {
		t.Error(a, b)
	}
}

// TestBound: the backlog gives an alarm at one bound, refuses writes with events
// at the other, and takes them again when it has gone out.
func TestBound(t *testing.T) {
	var log syncBuffer
	o := open(t, teststore.Open(t), outbox.Config{
		AlarmAt: 50, MaxBacklog: 200, WatchEvery: 5 * time.Millisecond, Log: slog.New(slog.NewTextHandler(&log, nil)),
	})
	refused := 0
	for i := range 300 {
		if i%20 == 0 { // the watch may be late on a busy machine
			if _, err := o.Measure(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		err := o.Driver().Write(t.Context(), func(tx store.Tx) error { return o.Append(tx, event(i)) })
		if err == nil {
			continue
		}
		if f := fault.From(err); !fault.Is(err, fault.Overloaded) || f.Hint == "" || f.RetryAfter == 0 {
			t.Fatal(err)
		}
		refused++
	}
	list := publishable(t, o)
	if refused == 0 || len(list)+refused != 300 || len(list) > 200 {
		t.Errorf("%d stored, %d refused", len(list), refused)
	}
	eventually(t, "the alarm", func() bool { return strings.Contains(log.String(), "backlog") })
	if err := o.Published(t.Context(), own(t, o), seqs(list)); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it is taken again", func() bool {
		return o.Driver().Write(t.Context(), func(tx store.Tx) error { return o.Append(tx, event(1)) }) == nil
	})
	eventually(t, "the end of the alarm", func() bool { return strings.Contains(log.String(), "caught up") })
	if n := strings.Count(log.String(), "backlog of the outbox"); n != 1 {
		t.Errorf("%d alarms", n)
	}
}

type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}
func (s *syncBuffer) String() string { s.mu.Lock(); defer s.mu.Unlock(); return s.b.String() }

func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(60 * time.Second)
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatalf("not within a minute: %s", what)
		}
		time.Sleep(2 * time.Millisecond) // between two looks
	}
}

// TestRecheck: rows that the broker lost are publishable again, and no others.
func TestRecheck(t *testing.T) {
	c := &clock{now: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}
	o := open(t, teststore.Open(t), outbox.Config{Now: c.Now})
	var events []*outbox.Event
	for i := range 30 {
		events = append(events, event(i))
	}
	write(t, o, events...)
	l, list := own(t, o), publishable(t, o)
	for i := range 3 {
		if err := o.Published(t.Context(), l, seqs(list[i*10:i*10+10])); err != nil {
			t.Fatal(err)
		}
		c.add(time.Minute)
	}
	c.add(30 * 24 * time.Hour) // the node was away
	n, err := o.Recheck(t.Context(), 90*time.Second, func(since time.Time) (map[string]struct{}, error) {
		if !since.Equal(time.Date(2026, 1, 2, 3, 5, 5, 0, time.UTC)) {
			t.Errorf("since %s", since)
		}
		there := map[string]struct{}{}
		for _, e := range events[10:25] {
			there[e.ID] = struct{}{}
		}
		return there, nil
	})
	if got := seqs(publishable(t, o)); err != nil || n != 5 || !slices.Equal(got, seqs(list[25:])) {
		t.Errorf("%d (%v): %v", n, err, got)
	}
}

// TestLease: a task is one node's; another has it when that gives it back, when
// it dies, and never before. One that was taken over from changes nothing more.
func TestLease(t *testing.T) {
	teststore.Only(t, teststore.Postgres, "SQLite is one process's")
	db := teststore.New(t)
	var nodes []*outbox.Outbox
	for range 3 {
		d := db.Open(t)
		t.Cleanup(func() { _ = d.Close() })
		nodes = append(nodes, open(t, d, outbox.Config{LeaseTime: 500 * time.Millisecond}))
	}
	var mu sync.Mutex
	holders, turns := 0, 0
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	for _, o := range nodes {
		wg.Go(func() {
			for ctx.Err() == nil {
				_ = o.Lead(ctx, "task", func(ctx context.Context, _ *outbox.Lease) error {
					mu.Lock()
					if holders++; holders > 1 {
						t.Error("two nodes have it")
					}
					turns++
					mu.Unlock()
					select {
					case <-time.After(30 * time.Millisecond):
					case <-ctx.Done():
					}
					mu.Lock()
					holders--
					mu.Unlock()
					return nil
				})
			}
		})
	}
	eventually(t, "some turns", func() bool { mu.Lock(); defer mu.Unlock(); return turns > 10 })
	cancel()
	wg.Wait()
	// A node that stands still: its lease is never renewed.
	stale := own(t, nodes[0]) // given back, so that the next one takes it
	write(t, nodes[1], event(1))
	list := publishable(t, nodes[1])
	next := own(t, nodes[1])
	if err := nodes[0].Published(t.Context(), stale, seqs(list)); !fault.Is(err, fault.Conflict) {
		t.Errorf("a node that was taken over from: %v", err)
	}
	if err := nodes[1].Published(t.Context(), next, seqs(list)); err != nil {
		t.Error(err)
	}
}
