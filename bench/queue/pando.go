package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime/pprof"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pandobase/pando/internal/queue"
	"github.com/pandobase/pando/internal/store"
	"github.com/pandobase/pando/internal/value"
)

// workPando enqueues jobs, starts the queue, and returns how many were completed
// each second: a job counts when its completion is on disk.
func workPando(ctx context.Context, b base, jobs int) (rate float64, err error) {
	d, err := b.open(ctx)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, d.Close()) }()
	q, err := queue.Open(ctx, queue.Config{Driver: d, Queues: map[string]int{"default": 1000}})
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, q.Stop(ctx)) }()
	batch := make([]queue.Job, 1000)
	for i := range batch {
		batch[i] = queue.Job{Kind: "noop", Args: []byte(`{"n":1}`)}
	}
	for range jobs / len(batch) {
		if _, err := q.Add(ctx, batch...); err != nil {
			return 0, err
		}
	}
	if name := os.Getenv("BENCH_PROFILE"); name != "" {
		f, err := os.Create(name)
		if err != nil {
			return 0, err
		}
		defer f.Close()
		if err := pprof.StartCPUProfile(f); err != nil {
			return 0, err
		}
		defer pprof.StopCPUProfile()
	}
	begin := time.Now()
	if err := q.Start(ctx, func(context.Context, *queue.Work) ([]byte, error) { return nil, nil }); err != nil {
		return 0, err
	}
	for q.Stats().Completed < int64(jobs) {
		if time.Since(begin) > wait {
			return 0, fmt.Errorf("%d jobs after %s", q.Stats().Completed, wait)
		}
		time.Sleep(time.Millisecond)
	}
	took := time.Since(begin)
	if s := q.Stats(); s.Completed != int64(jobs) || s.Lost != 0 || s.Failed != 0 {
		return 0, fmt.Errorf("the counters are %+v", s)
	}
	return float64(jobs) / took.Seconds(), nil
}

// pickupPando measures the time from a job's commit to its handler, in ms.
func pickupPando(ctx context.Context, b base) (out []float64, err error) {
	d, err := b.open(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, d.Close()) }()
	q, err := queue.Open(ctx, queue.Config{Driver: d})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, q.Stop(ctx)) }()
	began := make(chan time.Time, 1)
	err = q.Start(ctx, func(context.Context, *queue.Work) ([]byte, error) { began <- time.Now(); return nil, nil })
	for range pickups {
		if err != nil {
			return nil, err
		}
		time.Sleep(20 * time.Millisecond)
		_, err = q.Add(ctx, queue.Job{Kind: "noop"})
		committed := time.Now()
		out = append(out, max(0, (<-began).Sub(committed).Seconds()*1000))
	}
	return out, err
}

const pickups = 300

// enqueueCost measures durable creates with and without a job in their
// transaction, in turns, and returns the creates a second of the middle runs.
func enqueueCost(ctx context.Context, b base, writers, turns int) (plain, with float64, err error) {
	d, err := b.open(ctx)
	if err != nil {
		return 0, 0, err
	}
	defer func() { err = errors.Join(err, d.Close()) }()
	q, err := queue.Open(ctx, queue.Config{Driver: d})
	if err != nil {
		return 0, 0, err
	}
	defer func() { err = errors.Join(err, q.Stop(ctx)) }()
	// A table such as an application has: seven columns, a key, two indexes.
	err = d.Alter(ctx, func(tx store.Tx) error {
		for _, sql := range []string{
			`CREATE TABLE tasks (id TEXT PRIMARY KEY NOT NULL, title TEXT NOT NULL, done TEXT NOT NULL, priority TEXT NOT NULL, owner TEXT NOT NULL, created TEXT NOT NULL, updated TEXT NOT NULL)`,
			`CREATE INDEX tasks_a ON tasks (priority, created, id)`, `CREATE INDEX tasks_b ON tasks (owner, id)`,
		} {
			if _, err := tx.Exec(&store.Statement{SQL: sql}, nil); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return 0, 0, err
	}
	params := make([]string, 7)
	for i := range params {
		params[i] = d.Dialect().Param(i + 1)
	}
	insert := &store.Statement{SQL: `INSERT INTO tasks VALUES (` + strings.Join(params, ",") + `) RETURNING id`}
	var serial atomic.Int64
	run := func(job bool) (float64, error) {
		var wg sync.WaitGroup
		var failed atomic.Pointer[error]
		var count atomic.Int64
		begin := time.Now()
		for range writers {
			wg.Go(func() {
				for time.Since(begin) < time.Second {
					n := serial.Add(1)
					err := d.Write(ctx, func(tx store.Tx) error {
						text := func(s string) value.Value { return value.OfText(s) }
						args := []value.Value{text(fmt.Sprintf("0198f000-0000-7000-8000-%012d", n)), text("write the report"), text("0"), text(fmt.Sprint(n % 100)),
							text(fmt.Sprint(n % 1000)), text("2026-01-02T03:04:05+00:00"), text("2026-01-02T03:04:05+00:00")}
						if err := tx.Query(insert, args, func(store.Row) error { return nil }); err != nil || !job {
							return err
						}
						_, err := q.Enqueue(tx, queue.Job{Kind: "tasks.created", Args: []byte(`{"id":"0198f000-0000-7000-8000-000000000000"}`)})
						return err
					})
					if err != nil {
						failed.Store(&err)
						return
					}
					count.Add(1)
				}
			})
		}
		wg.Wait()
		if err := failed.Load(); err != nil {
			return 0, *err
		}
		return float64(count.Load()) / time.Since(begin).Seconds(), nil
	}
	var a, c []float64
	for range turns {
		x, err := run(false)
		if err != nil {
			return 0, 0, err
		}
		y, err := run(true)
		if err != nil {
			return 0, 0, err
		}
		a, c = append(a, x), append(c, y)
	}
	return at(a, 0.5), at(c, 0.5), nil
}
