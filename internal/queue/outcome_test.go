package queue_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/queue"
	"github.com/pandobase/pando/internal/store"
)

func TestUnique(t *testing.T) {
	each(t, func(t *testing.T, d store.Driver) {
		clk := newClock()
		q := open(t, queue.Config{Driver: d, Now: clk.now})
		first := add(t, q, queue.Job{Kind: "a", Unique: "k"}, queue.Job{Kind: "a", Unique: "k"}, queue.Job{Kind: "b", Unique: "k"}, queue.Job{Kind: "a"})
		if first[0].Existed || !first[1].Existed || first[1].ID != first[0].ID || first[2].Existed || first[3].Existed {
			t.Errorf("the receipts are %+v", first)
		}
		again := add(t, q, queue.Job{Kind: "a", Unique: "k"})
		if !again[0].Existed || again[0].ID != first[0].ID {
			t.Errorf("the receipt of a later one is %+v", again)
		}
		hourly := queue.Job{Kind: "hourly", Unique: "k", Window: time.Hour}
		h := add(t, q, hourly)[0]
		start(t, q, nothing)
		await(t, q, first[0].ID, queue.Completed)
		await(t, q, h.ID, queue.Completed)
		if r := add(t, q, queue.Job{Kind: "a", Unique: "k"})[0]; r.Existed {
			t.Error("a job that has finished keeps its key")
		}
		clk.advance(59 * time.Minute)
		if r := add(t, q, hourly)[0]; !r.Existed || r.ID != h.ID {
			t.Errorf("within the window: %+v", r)
		}
		clk.advance(2 * time.Minute)
		if r := add(t, q, hourly)[0]; r.Existed {
			t.Errorf("behind the window: %+v", r)
		}
	})
}

func TestRetriesAndBackoff(t *testing.T) {
	each(t, func(t *testing.T, d store.Driver) {
		clk := newClock()
		q := open(t, queue.Config{Driver: d, Now: clk.now, Backoff: time.Second, MaxBackoff: 3 * time.Second, Random: func() float64 { return 0.5 }, Queues: map[string]int{"default": 1}})
		start(t, q, func(_ context.Context, w *queue.Work) ([]byte, error) {
			if w.Kind == "good" {
				return nil, nil
			}
			return nil, fmt.Errorf("no %d of %d", w.Try, w.Attempts)
		})
		id := add(t, q, queue.Job{Kind: "bad", Attempts: 4})[0].ID
		for try, wait := range []time.Duration{time.Second, 2 * time.Second, 3 * time.Second} {
			var info queue.Info
			eventually(t, func() string {
				if info = get(t, q, id); info.Failed == try+1 && info.State == queue.Scheduled {
					return ""
				}
				return fmt.Sprintf("behind try %d: %+v", try+1, info)
			})
			if got := info.RunAt.Sub(clk.now()); got != wait {
				t.Errorf("behind try %d it waits %s, not %s", try+1, got, wait)
			}
			await(t, q, add(t, q, queue.Job{Kind: "good"})[0].ID, queue.Completed) // which it does not hold up
			clk.advance(wait)
			if err := q.Look(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		info := await(t, q, id, queue.Dead)
		if len(info.Errors) != 4 || info.Errors[0].Error != "no 1 of 4" || info.Errors[3].Try != 4 || info.Failed != 4 {
			t.Errorf("the dead job is %+v", info)
		}
		eventually(t, func() string { // they follow the commit
			if s := q.Stats(); s.Failed != 4 || s.Dead != 1 {
				return fmt.Sprintf("the counters are %+v", s)
			}
			return ""
		})
		if err := q.Retry(t.Context(), id); err != nil {
			t.Fatal(err)
		}
		eventually(t, func() string {
			if info := get(t, q, id); info.State != queue.Scheduled || info.Failed != 1 || len(info.Errors) != 5 {
				return fmt.Sprintf("run again it is %+v", info)
			}
			return ""
		})
		if err := q.Retry(t.Context(), id); !fault.Is(err, fault.Conflict) {
			t.Errorf("a retry of a job that waits: %v", err)
		}
	})
}

func TestVerdicts(t *testing.T) {
	each(t, func(t *testing.T, d store.Driver) {
		clk := newClock()
		q := open(t, queue.Config{Driver: d, Now: clk.now, MaxResult: 10})
		var snoozed atomic.Bool
		boom := errors.New("boom")
		start(t, q, func(ctx context.Context, w *queue.Work) ([]byte, error) {
			switch w.Kind {
			case "discard":
				return nil, fmt.Errorf("outer: %w", queue.Discard(boom))
			case "after":
				return nil, queue.RetryAfter(7*time.Minute, boom)
			case "snooze":
				if snoozed.CompareAndSwap(false, true) {
					return nil, queue.Snooze(time.Hour)
				}
				return nil, nil
			case "panic":
				panic("poison")
			case "slow":
				<-ctx.Done()
				return nil, ctx.Err()
			case "large":
				return []byte("01234567890"), nil
			case "huge":
				return nil, errors.New("\xff\x00" + strings.Repeat("é", 10_000))
			}
			return nil, queue.Unknown(w.Kind)
		})
		jobs := map[string]queue.ID{}
		for _, kind := range []string{"discard", "after", "snooze", "panic", "slow", "large", "huge", "else"} {
			jobs[kind] = add(t, q, queue.Job{Kind: kind, Timeout: 10 * time.Millisecond, Attempts: 2})[0].ID
		}
		if info := await(t, q, jobs["discard"], queue.Dead); len(info.Errors) != 1 || info.Errors[0].Error != "outer: boom" {
			t.Errorf("discarded: %+v", info)
		}
		if info := await(t, q, jobs["after"], queue.Scheduled); info.RunAt.Sub(clk.now()) != 7*time.Minute || info.Errors[0].Error != "boom" {
			t.Errorf("after a time: %+v", info)
		}
		if info := await(t, q, jobs["large"], queue.Completed); info.Result != nil || !strings.Contains(info.Errors[0].Error, "11 bytes") {
			t.Errorf("a large result: %+v", info)
		}
		for kind, want := range map[string]string{"panic": "panic: poison", "slow": "took longer than its 10ms", "else": `no handler of jobs "else"`, "huge": "é"} {
			info := await(t, q, jobs[kind], queue.Scheduled)
			if len(info.Errors) != 1 || !strings.Contains(info.Errors[0].Error, want) || len(info.Errors[0].Error) > 2<<10+8 || info.Failed != 1 {
				t.Errorf("%s: %+v", kind, info)
			}
		}
		await(t, q, jobs["snooze"], queue.Scheduled)
		clk.advance(time.Hour)
		if err := q.Look(t.Context()); err != nil {
			t.Fatal(err)
		}
		if info := await(t, q, jobs["snooze"], queue.Completed); info.Failed != 0 || info.Errors != nil {
			t.Errorf("snoozed: %+v", info)
		}
	})
}

func TestCancel(t *testing.T) {
	each(t, func(t *testing.T, d store.Driver) {
		q := open(t, queue.Config{Driver: d})
		waiting := add(t, q, queue.Job{Kind: "waiting", Unique: "k"}, queue.Job{Kind: "waiting", RunAt: time.Now().Add(time.Hour)})
		for _, r := range waiting {
			if err := q.Cancel(t.Context(), r.ID); err != nil {
				t.Fatal(err)
			}
		}
		began := make(chan struct{}, 1)
		start(t, q, func(ctx context.Context, w *queue.Work) ([]byte, error) {
			if w.Kind == "waiting" {
				t.Error("a canceled job runs")
			}
			began <- struct{}{}
			<-ctx.Done()
			return nil, ctx.Err()
		})
		id := add(t, q, queue.Job{Kind: "running"})[0].ID
		<-began
		if err := q.Cancel(t.Context(), id); err != nil {
			t.Fatal(err)
		}
		for _, id := range []queue.ID{id, waiting[0].ID, waiting[1].ID} {
			if info := await(t, q, id, queue.Canceled); info.Failed != 0 || info.Finished.IsZero() {
				t.Errorf("it is %+v", info)
			}
		}
		if err := q.Cancel(t.Context(), id); !fault.Is(err, fault.Conflict) {
			t.Errorf("canceled twice: %v", err)
		}
		if err := q.Cancel(t.Context(), 12345); !fault.Is(err, fault.NotFound) {
			t.Errorf("a job that is not there: %v", err)
		}
	})
}

func TestWatchAndProgress(t *testing.T) {
	each(t, func(t *testing.T, d store.Driver) {
		q := open(t, queue.Config{Driver: d})
		half, end := make(chan struct{}), make(chan struct{})
		start(t, q, func(_ context.Context, w *queue.Work) ([]byte, error) {
			<-half
			w.Progress(0.25, "begun")
			w.Progress(0.5, "half")
			<-end
			return []byte("1"), nil
		})
		id := add(t, q, queue.Job{Kind: "a"})[0].ID
		var seen []string
		for info, err := range q.Watch(t.Context(), id) {
			if err != nil {
				t.Fatal(err)
			}
			if len(seen) == 0 {
				close(half)
			}
			seen = append(seen, fmt.Sprintf("%s %v %s", info.State, info.Progress, info.Message))
			if info.Message != "" && info.State == queue.Running {
				close(end)
			}
		}
		if n := len(seen); n < 3 || seen[n-2] != "running 0.5 half" || !strings.HasPrefix(seen[n-1], "completed") {
			t.Errorf("seen: %q", seen)
		}
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		waits := add(t, q, queue.Job{Kind: "a", Queue: "nobody's"})[0].ID
		for info, err := range q.Watch(ctx, waits) {
			if cancel(); err == nil && info.State != queue.Available || err != nil && !errors.Is(err, context.Canceled) {
				t.Errorf("%+v, %v", info, err)
			}
		}
	})
}

func TestListAndPauseAndPrune(t *testing.T) {
	each(t, func(t *testing.T, d store.Driver) {
		clk := newClock()
		q := open(t, queue.Config{Driver: d, Now: clk.now, Queues: map[string]int{"default": 10, "slow": 10}})
		if err := q.Pause(t.Context(), "slow"); err != nil {
			t.Fatal(err)
		}
		start(t, q, func(_ context.Context, w *queue.Work) ([]byte, error) {
			if w.Kind == "bad" {
				return nil, queue.Discard(errors.New("bad"))
			}
			return nil, nil
		})
		var good []queue.ID
		for range 5 {
			good = append(good, add(t, q, queue.Job{Kind: "good"})[0].ID)
		}
		bad := add(t, q, queue.Job{Kind: "bad"})[0].ID
		slow := add(t, q, queue.Job{Kind: "good", Queue: "slow"})[0].ID
		later := add(t, q, queue.Job{Kind: "good", RunAt: clk.now().Add(365 * 24 * time.Hour)})[0].ID
		for _, id := range good {
			await(t, q, id, queue.Completed)
		}
		await(t, q, bad, queue.Dead)
		if names, err := q.Paused(t.Context()); err != nil || len(names) != 1 || names[0] != "slow" || get(t, q, slow).State != queue.Available {
			t.Errorf("paused: %v, %v", names, err)
		}
		var listed []queue.ID
		for before := queue.ID(0); ; {
			page, err := q.List(t.Context(), queue.Filter{States: []queue.State{queue.Completed, queue.Dead}, Queue: "default", Before: before, Limit: 4})
			if err != nil {
				t.Fatal(err)
			}
			for _, i := range page {
				listed, before = append(listed, i.ID), i.ID
			}
			if len(page) < 4 {
				break
			}
		}
		if len(listed) != 6 || listed[0] != bad || listed[5] != good[0] {
			t.Errorf("listed: %v", listed)
		}
		if page, err := q.List(t.Context(), queue.Filter{Kind: "bad"}); err != nil || len(page) != 1 || page[0].ID != bad {
			t.Errorf("by kind: %v, %v", page, err)
		}
		depth, err := q.Depth(t.Context())
		if err != nil || len(depth) != 3 {
			t.Errorf("the depth is %v, %v", depth, err)
		}
		if n, err := q.Prune(t.Context()); n != 0 || err != nil {
			t.Errorf("%d pruned at once, %v", n, err)
		}
		clk.advance(25 * time.Hour)
		if n, err := q.Prune(t.Context()); n != 5 || err != nil {
			t.Errorf("%d pruned behind a day, %v", n, err)
		}
		clk.advance(30 * 24 * time.Hour)
		if n, err := q.Prune(t.Context()); n != 1 || err != nil {
			t.Errorf("%d pruned behind a month, %v", n, err)
		}
		if err := q.Resume(t.Context(), "slow"); err != nil {
			t.Fatal(err)
		}
		await(t, q, slow, queue.Completed)
		if get(t, q, later).State != queue.Scheduled {
			t.Error("a job runs before its time")
		}
	})
}

func TestStop(t *testing.T) {
	each(t, func(t *testing.T, d store.Driver) {
		first, err := queue.Open(t.Context(), queue.Config{Driver: d})
		if err != nil {
			t.Fatal(err)
		}
		began, goOn := make(chan struct{}, 2), make(chan struct{})
		start(t, first, func(ctx context.Context, w *queue.Work) ([]byte, error) {
			began <- struct{}{}
			if w.Kind == "quick" {
				<-goOn
				return nil, ctx.Err()
			}
			<-ctx.Done()
			return nil, ctx.Err()
		})
		quick, stuck := add(t, first, queue.Job{Kind: "quick"})[0].ID, add(t, first, queue.Job{Kind: "stuck", Attempts: 1})[0].ID
		<-began
		<-began
		ctx, cancel := context.WithCancel(context.Background())
		stopped := make(chan error)
		go func() { stopped <- first.Stop(ctx) }()
		close(goOn)
		await(t, first, quick, queue.Completed)
		cancel()
		if err := <-stopped; err != nil {
			t.Errorf("stop: %v", err)
		}
		if err := first.Stop(t.Context()); err != nil {
			t.Errorf("a second stop: %v", err)
		}
		if info := get(t, first, stuck); info.State != queue.Available || info.Failed != 0 {
			t.Errorf("what was stopped is %+v", info)
		}
		second := open(t, queue.Config{Driver: d})
		start(t, second, nothing)
		await(t, second, stuck, queue.Completed)
	})
}

func TestIDsGrow(t *testing.T) {
	each(t, func(t *testing.T, d store.Driver) {
		clk := newClock()
		q := open(t, queue.Config{Driver: d, Now: clk.now})
		ids := q.TakeIDs(10_000)
		clk.advance(-time.Hour)
		ids = append(ids, q.TakeIDs(10)...)
		for i := 1; i < len(ids); i++ {
			if ids[i] <= ids[i-1] {
				t.Fatalf("id %d is %d behind %d", i, ids[i], ids[i-1])
			}
		}
		newest := add(t, q, queue.Job{Kind: "a"})[0].ID
		clk.advance(-24 * time.Hour)
		if again := open(t, queue.Config{Driver: d, Now: clk.now}); again.TakeIDs(1)[0] <= newest {
			t.Error("a restart with an earlier clock gives ids again")
		}
	})
}
