package queue_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/queue"
	"github.com/pandobase/pando/internal/store"
	"github.com/pandobase/pando/internal/store/teststore"
)

// clock is a clock that the test sets.
type clock struct{ at atomic.Int64 }

func newClock() *clock {
	c := &clock{}
	c.at.Store(time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC).UnixMicro())
	return c
}

func (c *clock) now() time.Time          { return time.UnixMicro(c.at.Load()) }
func (c *clock) advance(d time.Duration) { c.at.Add(d.Microseconds()) }

// each runs a test on both stores.
func each(t *testing.T, fn func(t *testing.T, d store.Driver)) {
	for _, kind := range []string{teststore.SQLite, teststore.Postgres} {
		t.Run(kind, func(t *testing.T) {
			d := teststore.Of(t, kind).Open(t)
			t.Cleanup(func() {
				if err := d.Close(); err != nil {
					t.Error(err)
				}
			})
			fn(t, d)
		})
	}
}

// open opens a queue that is stopped when the test ends.
func open(t *testing.T, c queue.Config) *queue.Queue {
	t.Helper()
	q, err := queue.Open(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := q.Stop(ctx); err != nil {
			t.Error("stop:", err)
		}
	})
	return q
}

func start(t *testing.T, q *queue.Queue, h queue.Handler) {
	t.Helper()
	if err := q.Start(t.Context(), h); err != nil {
		t.Fatal(err)
	}
}

func add(t *testing.T, q *queue.Queue, jobs ...queue.Job) []queue.Receipt {
	t.Helper()
	out, err := q.Add(t.Context(), jobs...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func get(t *testing.T, q *queue.Queue, id queue.ID) queue.Info {
	t.Helper()
	info, err := q.Get(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	return info
}

// await waits until a job is in a state.
func await(t *testing.T, q *queue.Queue, id queue.ID, want queue.State) queue.Info {
	t.Helper()
	var info queue.Info
	eventually(t, func() string {
		info = get(t, q, id)
		if info.State == want {
			return ""
		}
		return fmt.Sprintf("job %s is %s, not %s: %+v", id, info.State, want, info.Errors)
	})
	return info
}

// eventually waits until a condition has nothing to say any more.
func eventually(t *testing.T, cond func() string) {
	t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for {
		problem := cond()
		if problem == "" {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal(problem)
		}
		time.Sleep(2 * time.Millisecond)
	}
}

func nothing(context.Context, *queue.Work) ([]byte, error) { return nil, nil }

func TestEnqueueIsPartOfTheTransaction(t *testing.T) {
	each(t, func(t *testing.T, d store.Driver) {
		q := open(t, queue.Config{Driver: d})
		var ran sync.Map
		start(t, q, func(_ context.Context, w *queue.Work) ([]byte, error) {
			ran.Store(w.ID, true)
			return w.Args, nil
		})
		var undone, done []queue.Receipt
		boom := errors.New("boom")
		err := d.Write(t.Context(), func(tx store.Tx) (err error) {
			if undone, err = q.Enqueue(tx, queue.Job{Kind: "a"}, queue.Job{Kind: "a"}); err != nil {
				return err
			}
			return boom
		})
		if !errors.Is(err, boom) {
			t.Fatal(err)
		}
		err = d.Write(t.Context(), func(tx store.Tx) (err error) {
			_ = tx.Savepoint(func() error {
				more, err := q.Enqueue(tx, queue.Job{Kind: "a"})
				undone = append(undone, more...)
				return errors.Join(err, boom)
			})
			done, err = q.Enqueue(tx, queue.Job{Kind: "a", Args: []byte(`{"n":1}`), Caller: []byte("me"), Trace: "t1"}, queue.Job{Kind: "b"})
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		info := await(t, q, done[0].ID, queue.Completed)
		await(t, q, done[1].ID, queue.Completed)
		if string(info.Result) != `{"n":1}` || string(info.Caller) != "me" || info.Trace != "t1" || info.Finished.IsZero() || info.Kind != "a" || info.Queue != "default" {
			t.Errorf("the job is %+v", info)
		}
		for _, r := range undone {
			if _, err := q.Get(t.Context(), r.ID); !fault.Is(err, fault.NotFound) {
				t.Errorf("a job that was undone: %v", err)
			}
			if _, ok := ran.Load(r.ID); ok {
				t.Error("a job that was undone has run")
			}
		}
		eventually(t, func() string { // they follow the commit
			if s := q.Stats(); s.Enqueued != 2 || s.Completed != 2 || s.Running != 0 {
				return fmt.Sprintf("the counters are %+v", s)
			}
			return ""
		})
	})
}

func TestPriorities(t *testing.T) {
	each(t, func(t *testing.T, d store.Driver) {
		clk := newClock()
		q := open(t, queue.Config{Driver: d, Queues: map[string]int{"default": 1}, Now: clk.now})
		var want []queue.ID
		var jobs []queue.Job
		for _, p := range []int{3, 1, 4, 2, 1, 3} {
			jobs = append(jobs, queue.Job{Kind: "a", Priority: p})
		}
		receipts := add(t, q, jobs...)
		clk.advance(time.Millisecond)
		receipts = append(receipts, add(t, q, queue.Job{Kind: "a", Priority: 1})...)
		for _, i := range []int{1, 4, 6, 3, 0, 5, 2} {
			want = append(want, receipts[i].ID)
		}
		var mu sync.Mutex
		var got []queue.ID
		start(t, q, func(_ context.Context, w *queue.Work) ([]byte, error) {
			mu.Lock()
			defer mu.Unlock()
			got = append(got, w.ID)
			return nil, nil
		})
		for _, r := range receipts {
			await(t, q, r.ID, queue.Completed)
		}
		if !slices.Equal(got, want) {
			t.Errorf("they ran in the order %v, not %v", got, want)
		}
	})
}

func TestBatches(t *testing.T) {
	each(t, func(t *testing.T, d store.Driver) {
		q := open(t, queue.Config{Driver: d, Queues: map[string]int{"default": 300, "other": 3}})
		start(t, q, nothing)
		for range 3 {
			jobs := make([]queue.Job, 1001)
			for i := range jobs {
				jobs[i] = queue.Job{Kind: "a", Args: []byte("{}")}
				if i%5 == 0 {
					jobs[i].Queue = "other"
				}
			}
			add(t, q, jobs...)
		}
		eventually(t, func() string {
			if n := q.Stats().Completed; n != 3003 {
				return fmt.Sprint(n, " jobs are completed")
			}
			return ""
		})
		counts, err := q.Counts(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range counts {
			if c.State != queue.Completed || c.Queue == "other" && c.Jobs != 603 || c.Queue == "default" && c.Jobs != 2400 {
				t.Errorf("%+v", c)
			}
		}
	})
}

func TestBadJobs(t *testing.T) {
	each(t, func(t *testing.T, d store.Driver) {
		q := open(t, queue.Config{Driver: d, MaxArgs: 100})
		for name, j := range map[string]queue.Job{
			"no kind":       {},
			"a long kind":   {Kind: strings.Repeat("k", 201)},
			"NUL":           {Kind: "a\x00b"},
			"no UTF-8":      {Kind: "a", Queue: "\xff"},
			"lines":         {Kind: "a\nb"},
			"large":         {Kind: "a", Args: []byte(`"` + strings.Repeat("x", 100) + `"`)},
			"no JSON":       {Kind: "a", Args: []byte("{")},
			"priority":      {Kind: "a", Priority: 5},
			"priority low":  {Kind: "a", Priority: -1},
			"attempts":      {Kind: "a", Attempts: -1},
			"timeout":       {Kind: "a", Timeout: -1},
			"window":        {Kind: "a", Window: time.Hour},
			"a long key":    {Kind: "a", Unique: strings.Repeat("k", 1025)},
			"a NUL in keys": {Kind: "a", Unique: "\x00"},
			"trace":         {Kind: "a", Trace: "\x00"},
		} {
			_, err := q.Add(t.Context(), queue.Job{Kind: "good"}, j)
			if fault.From(err).HTTPStatus() != 400 {
				t.Errorf("%s: %v", name, err)
			}
		}
		if counts, err := q.Counts(t.Context()); err != nil || len(counts) != 0 {
			t.Errorf("%v is stored, %v", counts, err)
		}
	})
}
