// Package brokertest is the conformance suite of brokers: every driver runs it,
// unchanged.
package brokertest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/pandobase/pando/internal/broker"
	"github.com/pandobase/pando/internal/fault"
)

// Harness is a broker under test.
type Harness struct {
	// Open connects, as another node would.
	Open func(t *testing.T, log *slog.Logger) broker.Broker
	// Kill ends the server as a crash would, and starts it again with what it has
	// on its disk. Nil: it lives in this process, and dies with it.
	Kill func(t *testing.T)
	// Away ends the server until Back. Nil: it is never away.
	Away, Back func(t *testing.T)
}

// Run runs the suite. Each test has types and consumers of its own, and the
// server is one.
func Run(t *testing.T, h Harness) {
	for _, test := range []struct {
		name string
		run  func(*testing.T, Harness)
	}{
		{"order", order},
		{"durable", durable},
		{"start", start},
		{"types", types},
		{"again", again},
		{"subscriberDied", subscriberDied},
		{"duplicates", duplicates},
		{"slow", slow},
		{"large", large},
		{"many", many},
		{"panics", panics},
		{"retained", retained},
		{"forget", forget},
		{"killed", killed},
		{"away", away},
	} {
		t.Run(test.name, func(t *testing.T) { test.run(t, h) })
	}
}

const patience = 60 * time.Second

func logger(t *testing.T) *slog.Logger {
	return slog.New(slog.NewTextHandler(t.Output(), nil))
}

func connect(t *testing.T, h Harness) broker.Broker {
	t.Helper()
	b := h.Open(t, logger(t))
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	})
	return b
}

// name is a name of the test's own.
func name(t *testing.T, s string) string {
	out := []byte(t.Name() + "_" + s)
	for i, c := range out {
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') {
			out[i] = '_'
		}
	}
	return string(out)
}

// ear is a consumer that notes what it hears.
type ear struct {
	mu    sync.Mutex
	heard []broker.Message
	fail  func(batch []broker.Message) error
	stop  context.CancelFunc
	done  chan struct{}
}

func (e *ear) handle(_ context.Context, batch []broker.Message) error {
	if e.fail != nil {
		if err := e.fail(batch); err != nil {
			return err
		}
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, m := range batch {
		m.Data = slices.Clone(m.Data)
		e.heard = append(e.heard, m)
	}
	return nil
}

func (e *ear) ids() (out []string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, m := range e.heard {
		out = append(out, m.ID)
	}
	return out
}

// end ends the subscription and waits for it.
func (e *ear) end() {
	e.stop()
	<-e.done
}

// listen subscribes.
func listen(t *testing.T, b broker.Broker, s broker.Subscription, fail func([]broker.Message) error) *ear {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	e := &ear{fail: fail, stop: stop, done: make(chan struct{})}
	s.Handle = e.handle
	declare(t, b, s)
	go func() {
		defer close(e.done)
		if err := b.Subscribe(ctx, &s); !errors.Is(err, context.Canceled) {
			t.Errorf("Subscribe: %v", err)
		}
	}()
	t.Cleanup(e.end)
	return e
}

func declare(t *testing.T, b broker.Broker, s broker.Subscription) {
	t.Helper()
	if s.Handle == nil {
		s.Handle = func(context.Context, []broker.Message) error { return nil }
	}
	eventually(t, "the consumer is declared", func() bool { return b.Declare(t.Context(), &s) == nil })
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatalf("not within %s: %s", patience, what)
		}
		time.Sleep(5 * time.Millisecond) // between two looks
	}
}

func publish(t *testing.T, b broker.Broker, list ...broker.Message) {
	t.Helper()
	if err := b.Publish(t.Context(), list); err != nil {
		t.Fatal(err, fault.From(err).Cause)
	}
}

// numbered are messages of one type, with keys in turn.
func numbered(typ string, from, n, keys int) []broker.Message {
	out := make([]broker.Message, n)
	for i := range out {
		k := (from + i) % keys
		out[i] = broker.Message{ID: typ + "-" + strconv.Itoa(from+i), Type: typ, Key: "key/" + strconv.Itoa(k) + " é\r\n%", Data: []byte(strconv.Itoa(from + i))}
	}
	return out
}

// ordered checks that what was heard has all of n, and, when what was heard
// before is left out, in the order of each key.
func ordered(t *testing.T, heard []broker.Message, n int) {
	t.Helper()
	seen := map[int]bool{}
	last := map[string]int{}
	for _, m := range heard {
		i, err := strconv.Atoi(string(m.Data))
		if err != nil {
			t.Fatal(err)
		}
		if seen[i] {
			continue
		}
		seen[i] = true
		if before, ok := last[m.Key]; ok && i < before {
			t.Errorf("of the key %q, %d came behind %d", m.Key, i, before)
		}
		last[m.Key] = i
	}
	if len(seen) != n {
		t.Errorf("%d of %d messages", len(seen), n)
	}
}

func order(t *testing.T, h Harness) {
	b := connect(t, h)
	typ := name(t, "t")
	e := listen(t, b, broker.Subscription{Name: name(t, "c"), Types: []string{typ}, Batch: 64}, nil)
	const n = 3000
	for from := 0; from < n; from += 500 {
		publish(t, b, numbered(typ, from, 500, 7)...)
	}
	eventually(t, "all are there", func() bool { return len(e.ids()) >= n })
	ordered(t, e.heard, n)
	if m, want := e.heard[0], numbered(typ, 0, 1, 7)[0]; m.ID != want.ID || m.Key != want.Key || m.Type != typ || string(m.Data) != "0" {
		t.Errorf("%+v", m)
	}
	if len(e.ids()) != n {
		t.Errorf("%d deliveries of %d messages without a failure", len(e.ids()), n)
	}
}

func durable(t *testing.T, h Harness) {
	b := connect(t, h)
	typ := name(t, "t")
	s := broker.Subscription{Name: name(t, "c"), Types: []string{typ}}
	e := listen(t, b, s, nil)
	publish(t, b, numbered(typ, 0, 10, 1)...)
	eventually(t, "the first ones", func() bool { return len(e.ids()) == 10 })
	e.end()
	publish(t, b, numbered(typ, 10, 10, 1)...) // nobody is there
	if p, err := b.Pending(t.Context(), s.Name); err != nil || p < 10 {
		t.Errorf("%d are pending (%v)", p, err)
	}
	other := connect(t, h)
	e2 := listen(t, other, s, nil)
	eventually(t, "the second ones", func() bool { return len(e2.ids()) >= 10 })
	ordered(t, append(e.heard, e2.heard...), 20)
	if len(e2.ids()) != 10 {
		t.Errorf("a consumer that had acknowledged all was given %v", e2.ids())
	}
}

func start(t *testing.T, h Harness) {
	b := connect(t, h)
	typ := name(t, "t")
	publish(t, b, numbered(typ, 0, 5, 1)...)
	late := listen(t, b, broker.Subscription{Name: name(t, "new"), Types: []string{typ}}, nil)
	early := listen(t, b, broker.Subscription{Name: name(t, "retained"), Types: []string{typ}, Start: broker.Retained}, nil)
	publish(t, b, numbered(typ, 5, 5, 1)...)
	eventually(t, "what is new", func() bool { return len(late.ids()) == 5 })
	if late.ids()[0] != typ+"-5" {
		t.Error(late.ids())
	}
	if _, ok := b.(broker.Retainer); !ok {
		t.Log("skipped: this broker keeps nothing")
		return
	}
	eventually(t, "what there was", func() bool { return len(early.ids()) == 10 })
}

func types(t *testing.T, h Harness) {
	b := connect(t, h)
	one, two, three := name(t, "a")+".one", name(t, "a")+".two", name(t, "b")+".one"
	wants := func(types ...string) *ear {
		return listen(t, b, broker.Subscription{Name: name(t, fmt.Sprint("c", len(types))), Types: types}, nil)
	}
	first, both, all := wants(one), wants(one, three), wants()
	for i := range 10 {
		for _, typ := range []string{one, two, three} {
			publish(t, b, broker.Message{ID: typ + strconv.Itoa(i), Type: typ, Key: "k", Data: []byte("x")})
		}
	}
	eventually(t, "what each wants", func() bool { return len(first.ids()) >= 10 && len(both.ids()) >= 20 && len(all.ids()) >= 30 })
	for _, m := range slices.Concat(first.heard, both.heard) {
		if m.Type == two || m.Type == "" {
			t.Errorf("an unwanted %s", m.Type)
		}
	}
	if len(first.ids()) != 10 || len(both.ids()) != 20 {
		t.Error(len(first.ids()), len(both.ids()))
	}
}

func again(t *testing.T, h Harness) {
	b := connect(t, h)
	typ := name(t, "t")
	failures := 0
	e := listen(t, b, broker.Subscription{Name: name(t, "c"), Types: []string{typ}, Batch: 8}, func(batch []broker.Message) error {
		if failures < 3 {
			failures++
			return errors.New("not yet")
		}
		return nil
	})
	publish(t, b, numbered(typ, 0, 40, 1)...)
	eventually(t, "all are there", func() bool { return len(e.ids()) >= 40 })
	ordered(t, e.heard, 40)
	if failures != 3 {
		t.Errorf("%d failures", failures)
	}
}

// subscriberDied: what a subscriber had and did not acknowledge goes to the next,
// in order, with all that follows.
func subscriberDied(t *testing.T, h Harness) {
	typ := name(t, "t")
	s := broker.Subscription{Name: name(t, "c"), Types: []string{typ}, Batch: 10}
	var heard []broker.Message
	b := connect(t, h)
	declare(t, b, s)
	publish(t, b, numbered(typ, 0, 100, 3)...)
	for round := range 4 {
		node := h.Open(t, logger(t))
		var mu sync.Mutex
		batches := 0
		stuck := make(chan struct{})
		e := listen(t, node, s, func([]broker.Message) error {
			mu.Lock()
			defer mu.Unlock()
			if batches++; batches > 2 {
				if batches == 3 {
					close(stuck)
				}
				return errors.New("this node is about to die")
			}
			return nil
		})
		<-stuck
		e.stop() // in the middle of a batch
		<-e.done
		if err := node.Close(); err != nil {
			t.Fatal(err)
		}
		if len(e.heard) == 0 {
			t.Fatalf("round %d: nothing was heard", round)
		}
		heard = append(heard, e.heard...)
	}
	e := listen(t, b, s, nil)
	eventually(t, "the rest", func() bool { return len(e.ids())+len(heard) >= 100 })
	ordered(t, append(heard, e.heard...), 100)
	for i, m := range append(heard, e.heard...) {
		if string(m.Data) != strconv.Itoa(i) {
			t.Errorf("message %d is %s", i, m.Data)
			break
		}
	}
}

func duplicates(t *testing.T, h Harness) {
	b := connect(t, h)
	typ := name(t, "t")
	e := listen(t, b, broker.Subscription{Name: name(t, "c"), Types: []string{typ}}, nil)
	publish(t, b, numbered(typ, 0, 20, 2)...)
	publish(t, b, numbered(typ, 0, 30, 2)...)  // some of them again
	publish(t, b, numbered(typ, 10, 30, 2)...) // and not from the first
	publish(t, connect(t, h), numbered(typ, 5, 35, 2)...)
	publish(t, b, broker.Message{ID: typ + "-end", Type: typ, Key: "end", Data: []byte("40")})
	eventually(t, "the last one", func() bool { return slices.Contains(e.ids(), typ+"-end") })
	ordered(t, e.heard, 41)
	if b.Traits().Deduplicates == 0 {
		t.Log("skipped: this broker does not recognise messages")
	} else if len(e.ids()) != 41 {
		t.Errorf("%d deliveries of 41 messages", len(e.ids()))
	}
}

// slow: a consumer that does not keep up loses nothing and holds nobody up.
func slow(t *testing.T, h Harness) {
	b := connect(t, h)
	typ := name(t, "t")
	gate := make(chan struct{})
	held := listen(t, b, broker.Subscription{Name: name(t, "slow"), Types: []string{typ}, Batch: 16}, func([]broker.Message) error {
		<-gate
		return nil
	})
	quick := listen(t, b, broker.Subscription{Name: name(t, "quick"), Types: []string{typ}}, nil)
	const n = 4000
	for from := 0; from < n; from += 1000 {
		publish(t, b, numbered(typ, from, 1000, 5)...)
	}
	eventually(t, "the quick one has all", func() bool { return len(quick.ids()) == n })
	if len(held.ids()) != 0 {
		t.Error("the slow one has some")
	}
	close(gate)
	eventually(t, "the slow one has all", func() bool { return len(held.ids()) >= n })
	ordered(t, held.heard, n)
}

func large(t *testing.T, h Harness) {
	b := connect(t, h)
	typ := name(t, "t")
	e := listen(t, b, broker.Subscription{Name: name(t, "c"), Types: []string{typ}}, nil)
	most := bytes.Repeat([]byte("x"), broker.MaxSize)
	list := make([]broker.Message, 30)
	for i := range list {
		list[i] = broker.Message{ID: typ + strconv.Itoa(i), Type: typ, Key: "k", Data: most}
	}
	publish(t, b, list...)
	over := broker.Message{ID: typ + "over", Type: typ, Key: "k", Data: append(most, 'x')}
	err := b.Publish(t.Context(), []broker.Message{{ID: typ + "before", Type: typ, Data: []byte("x")}, over})
	if f := fault.From(err); !fault.Is(err, fault.BodyTooLarge) || f.Hint == "" {
		t.Errorf("one beyond the bound: %v", err)
	}
	eventually(t, "all are there", func() bool { return len(e.ids()) >= len(list) })
	for _, m := range e.heard {
		if len(m.Data) != broker.MaxSize {
			t.Errorf("%s has %d bytes", m.ID, len(m.Data))
		}
	}
	if slices.Contains(e.ids(), typ+"before") {
		t.Error("a part of what was refused is there")
	}
}

func many(t *testing.T, h Harness) {
	b := connect(t, h)
	typ := name(t, "t")
	ears := make([]*ear, 30)
	for i := range ears {
		ears[i] = listen(t, b, broker.Subscription{Name: name(t, strconv.Itoa(i)), Types: []string{typ}}, nil)
	}
	publish(t, b, numbered(typ, 0, 200, 10)...)
	for _, e := range ears {
		eventually(t, "each has all", func() bool { return len(e.ids()) >= 200 })
		ordered(t, e.heard, 200)
	}
}

func panics(t *testing.T, h Harness) {
	b := connect(t, h)
	typ := name(t, "t")
	once := true
	e := listen(t, b, broker.Subscription{Name: name(t, "c"), Types: []string{typ}}, func([]broker.Message) error {
		if once {
			once = false
			panic("a handler")
		}
		return nil
	})
	publish(t, b, numbered(typ, 0, 3, 1)...)
	eventually(t, "all are there", func() bool { return len(e.ids()) == 3 })
}

func retained(t *testing.T, h Harness) {
	b := connect(t, h)
	r, ok := b.(broker.Retainer)
	if !ok {
		t.Skip("this broker keeps nothing")
	}
	typ := name(t, "t")
	publish(t, b, numbered(typ, 0, 50, 2)...)
	var list []broker.Message
	var middle time.Time
	read := func(from time.Time, follow bool, enough int) {
		t.Helper()
		list = nil
		stop := errors.New("stop")
		err := r.Read(t.Context(), from, follow, func(m broker.Message, at time.Time) error {
			if m.Type == typ {
				if list = append(list, m); len(list) == 25 {
					middle = at
				}
			}
			if len(list) == enough {
				return stop
			}
			return nil
		})
		if err != nil && !errors.Is(err, stop) {
			t.Fatal(err)
		}
	}
	read(time.Time{}, false, -1)
	ordered(t, list, 50)
	read(middle, false, -1)
	if len(list) < 26 || len(list) > 50 || string(list[len(list)-1].Data) != "49" {
		t.Errorf("%d messages since the middle", len(list))
	}
	read(time.Now().Add(time.Hour), false, -1)
	if len(list) != 0 {
		t.Errorf("%d messages of the future", len(list))
	}
	var wg sync.WaitGroup
	wg.Go(func() { read(middle.Add(-time.Hour), true, 60) })
	publish(t, b, numbered(typ, 50, 10, 2)...)
	wg.Wait()
	ordered(t, list, 60)
}

func forget(t *testing.T, h Harness) {
	b := connect(t, h)
	typ := name(t, "t")
	s := broker.Subscription{Name: name(t, "c"), Types: []string{typ}}
	declare(t, b, s)
	publish(t, b, numbered(typ, 0, 5, 1)...)
	for range 2 {
		if err := b.Forget(t.Context(), s.Name); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := b.Pending(t.Context(), s.Name); !fault.Is(err, fault.NotFound) {
		t.Errorf("a forgotten consumer: %v", err)
	}
	e := listen(t, b, s, nil)
	publish(t, b, numbered(typ, 5, 5, 1)...)
	eventually(t, "what is new", func() bool { return len(e.ids()) >= 5 })
	if e.ids()[0] != typ+"-5" {
		t.Error(e.ids())
	}
}

// killed: what was acknowledged survives the server's kill, and both sides go on
// by themselves.
func killed(t *testing.T, h Harness) {
	if h.Kill == nil {
		t.Skip("the broker lives in this process")
	}
	b := connect(t, h)
	typ := name(t, "t")
	e := listen(t, b, broker.Subscription{Name: name(t, "c"), Types: []string{typ}, Batch: 32}, nil)
	const n, step = 3000, 50
	published := make(chan int, n/step)
	var wg sync.WaitGroup
	wg.Go(func() {
		for from := 0; from < n; from += step {
			for {
				err := b.Publish(t.Context(), numbered(typ, from, step, 5))
				if err == nil {
					break
				}
				t.Log("published again:", err, fault.From(err).Cause)
				if !broker.Pause(t.Context(), 100*time.Millisecond) {
					return
				}
			}
			published <- from
		}
	})
	for range 3 {
		for range 10 {
			<-published
		}
		h.Kill(t)
	}
	wg.Wait()
	eventually(t, "all are there", func() bool {
		seen := map[string]bool{}
		for _, id := range e.ids() {
			seen[id] = true
		}
		return len(seen) == n
	})
	ordered(t, e.heard, n)
}

// away: a client opens while the server is away, says so, and works when it is
// back.
func away(t *testing.T, h Harness) {
	if h.Away == nil {
		t.Skip("the broker lives in this process")
	}
	typ := name(t, "t")
	h.Away(t)
	b := connect(t, h)
	ctx, cancel := context.WithTimeout(t.Context(), 15*time.Second)
	err := b.Ping(ctx)
	cancel()
	if f := fault.From(err); !fault.Is(err, fault.Overloaded) || f.Hint == "" {
		t.Errorf("Ping: %v", err)
	}
	if err := b.Publish(t.Context(), numbered(typ, 0, 1, 1)); err == nil {
		t.Error("published to nobody")
	}
	h.Back(t)
	eventually(t, "it is back", func() bool { return b.Ping(t.Context()) == nil })
	e := listen(t, b, broker.Subscription{Name: name(t, "c"), Types: []string{typ}}, nil)
	eventually(t, "it takes messages", func() bool { return b.Publish(t.Context(), numbered(typ, 0, 10, 1)) == nil })
	eventually(t, "they are there", func() bool { return len(e.ids()) >= 10 })
}
