package queue_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/queue"
	"github.com/pandobase/pando/internal/store"
	"github.com/pandobase/pando/internal/store/teststore"
)

// nodes are nodes on one database with one clock: two where the store is shared.
func nodes(t *testing.T, kind string, clk *clock) (out []*queue.Queue) {
	db := teststore.Of(t, kind)
	n := 1
	if kind == teststore.Postgres {
		n = 2
	}
	for range n {
		d := db.Open(t)
		t.Cleanup(func() {
			if err := d.Close(); err != nil {
				t.Error(err)
			}
		})
		out = append(out, open(t, queue.Config{Driver: d, Now: clk.now}))
	}
	return out
}

func TestSchedules(t *testing.T) {
	for _, kind := range []string{teststore.SQLite, teststore.Postgres} {
		t.Run(kind, func(t *testing.T) {
			clk := newClock() // 12:00
			all := nodes(t, kind, clk)
			list := []queue.Schedule{{Name: "hourly", Cron: "30 * * * *", Job: queue.Job{Kind: "hourly"}}}
			set := func(qs ...*queue.Queue) {
				for _, q := range qs {
					if err := q.SetSchedules(t.Context(), list); err != nil {
						t.Fatal(err)
					}
				}
			}
			set(all...)
			expect := func(when string, want int) {
				t.Helper()
				var wg sync.WaitGroup
				for _, q := range all {
					for range 2 {
						wg.Go(func() {
							if err := q.Tick(t.Context()); err != nil {
								t.Error(err)
							}
						})
					}
				}
				wg.Wait()
				page, err := all[0].List(t.Context(), queue.Filter{Kind: "hourly"})
				if err != nil || len(page) != want {
					t.Errorf("%s: %d jobs, not %d, %v", when, len(page), want, err)
				}
			}
			expect("at the start", 0)
			clk.advance(30 * time.Minute)
			expect("at the first tick", 1)
			expect("again", 1)
			clk.advance(-20 * time.Minute)
			expect("the clock jumps back", 1)
			clk.advance(25 * time.Minute)
			expect("over the tick once more", 1)
			clk.advance(55 * time.Minute)
			expect("at the second tick, 13:30", 2)
			clk.advance(10 * time.Hour)
			expect("the clock jumps forward, to 23:30", 3)
			clk.advance(-9*time.Hour - 30*time.Minute)
			expect("and back, to 14:00", 3)
			clk.advance(30 * time.Minute)
			expect("at the tick of 14:30", 4)
			clk.advance(3 * time.Hour) // no node runs
			set(all...)
			expect("a start behind missed ticks", 5)
			list[0].Cron = "45 * * * *"
			set(all...)
			expect("another expression begins now", 5)
			clk.advance(15 * time.Minute)
			expect("at its tick", 6)
			list = nil
			set(all...)
			clk.advance(time.Hour)
			expect("without a schedule", 6)
		})
	}
}

// TestClockChanges has a node that looks every minute through the nights in which
// the clocks of Berlin change.
func TestClockChanges(t *testing.T) {
	for _, tt := range []struct {
		name, cron string
		from       time.Time
		want       []string // in UTC
	}{
		{"forward, in the gap", "30 2 * * *", time.Date(2026, 3, 28, 23, 0, 0, 0, time.UTC), []string{"01:30"}},
		{"forward, beside it", "30 3 * * *", time.Date(2026, 3, 28, 23, 0, 0, 0, time.UTC), []string{"01:30"}},
		{"back, twice", "30 2 * * *", time.Date(2026, 10, 24, 22, 0, 0, 0, time.UTC), []string{"00:30"}},
		{"back, any hour", "30 * * * *", time.Date(2026, 10, 24, 22, 0, 0, 0, time.UTC), []string{"03:30", "02:30", "01:30", "00:30", "23:30", "22:30"}},
		{"back, behind it", "30 3 * * *", time.Date(2026, 10, 24, 22, 0, 0, 0, time.UTC), []string{"02:30"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			clk := newClock()
			clk.at.Store(tt.from.UnixMicro())
			d := teststore.Of(t, teststore.SQLite).Open(t)
			t.Cleanup(func() {
				if err := d.Close(); err != nil {
					t.Error(err)
				}
			})
			q := open(t, queue.Config{Driver: d, Now: clk.now})
			err := q.SetSchedules(t.Context(), []queue.Schedule{{Name: "s", Cron: tt.cron, Zone: "Europe/Berlin", Job: queue.Job{Kind: "s"}}})
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for range 6 * 60 {
				clk.advance(time.Minute)
				if err := q.Tick(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			page, err := q.List(t.Context(), queue.Filter{Kind: "s"})
			if err != nil {
				t.Fatal(err)
			}
			for _, i := range page {
				got = append(got, i.RunAt.UTC().Format("15:04"))
			}
			if fmt.Sprint(got) != fmt.Sprint(tt.want) {
				t.Errorf("it ran at %v, not at %v", got, tt.want)
			}
		})
	}
}

func TestBadSchedules(t *testing.T) {
	each(t, func(t *testing.T, d store.Driver) {
		q := open(t, queue.Config{Driver: d})
		job := queue.Job{Kind: "a"}
		for _, s := range []queue.Schedule{
			{Name: "a", Cron: "* * * *", Job: job},
			{Name: "a", Cron: "61 * * * *", Job: job},
			{Name: "a", Cron: "0 0 31 2 *", Job: job},
			{Name: "a", Cron: "* * * * *", Zone: "Europe/Atlantis", Job: job},
			{Name: "", Cron: "* * * * *", Job: job},
			{Name: "a", Cron: "* * * * *"},
			{Name: "a", Cron: "TZ=UTC * * * * *", Job: job},
			{Name: "good", Cron: "* * * * *", Job: job},
			{Name: "a", Cron: "", Job: job},
		} {
			err := q.SetSchedules(t.Context(), []queue.Schedule{{Name: "good", Cron: "* * * * *", Job: job}, s})
			if !fault.Is(err, fault.ConfigInvalid) {
				t.Errorf("%+v: %v", s, err)
			}
		}
	})
}

// TestScheduleRuns lets a schedule run by the loops alone.
func TestScheduleRuns(t *testing.T) {
	each(t, func(t *testing.T, d store.Driver) {
		clk := newClock()
		clk.advance(-50 * time.Millisecond)
		real, begin := time.Now(), clk.now()
		q := open(t, queue.Config{Driver: d, Now: func() time.Time { return begin.Add(time.Since(real)) }})
		ran := make(chan struct{}, 10)
		start(t, q, func(context.Context, *queue.Work) ([]byte, error) { ran <- struct{}{}; return nil, nil })
		if err := q.SetSchedules(t.Context(), []queue.Schedule{{Name: "s", Cron: "* * * * *", Job: queue.Job{Kind: "s"}}}); err != nil {
			t.Fatal(err)
		}
		select {
		case <-ran:
		case <-time.After(20 * time.Second):
			t.Error("it did not run")
		}
	})
}
