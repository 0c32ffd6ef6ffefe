package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	neturl "net/url"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/riverdriver/riversqlite"
	"github.com/riverqueue/river/rivermigrate"
	_ "modernc.org/sqlite"
)

// freshPostgres makes an empty database and returns its URL.
func freshPostgres(ctx context.Context, url, name string) (string, error) {
	c, err := pgx.Connect(ctx, url)
	if err != nil {
		return "", err
	}
	_, err = c.Exec(ctx, "CREATE DATABASE "+name+" TEMPLATE template0 ENCODING 'UTF8'")
	if err = errors.Join(err, c.Close(ctx)); err != nil {
		return "", err
	}
	u, err := neturl.Parse(url)
	if err != nil {
		return "", err
	}
	u.Path = "/" + name
	return u.String(), nil
}

type noop struct{}

func (noop) Kind() string { return "noop" }

type worker struct {
	river.WorkerDefaults[noop]
	began func()
}

func (w *worker) Work(context.Context, *river.Job[noop]) error {
	if w.began != nil {
		w.began()
	}
	return nil
}

// node is River on a database of its own, tuned: a thousand workers, a cooldown of
// 1 ms, and on SQLite the pragmas that Pando has, on one connection.
type node[T any] struct {
	client *river.Client[T]
	done   <-chan *river.Event
	close  func()
}

func newNode[T any](ctx context.Context, driver riverdriver.Driver[T], workers int, began func(), closed func()) (*node[T], error) {
	m, err := rivermigrate.New(driver, &rivermigrate.Config{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return nil, err
	}
	if _, err := m.Migrate(ctx, rivermigrate.DirectionUp, nil); err != nil {
		return nil, err
	}
	all := river.NewWorkers()
	river.AddWorker(all, &worker{began: began})
	c, err := river.NewClient(driver, &river.Config{
		Queues:  map[string]river.QueueConfig{river.QueueDefault: {MaxWorkers: workers, FetchCooldown: time.Millisecond, FetchPollInterval: 50 * time.Millisecond}},
		Workers: all, Logger: slog.New(slog.DiscardHandler), FetchCooldown: time.Millisecond,
	})
	if err != nil {
		return nil, err
	}
	done, cancel := c.SubscribeConfig(&river.SubscribeConfig{ChanSize: 1_000_000, Kinds: []river.EventKind{river.EventKindJobCompleted, river.EventKindJobFailed}})
	return &node[T]{c, done, func() { cancel(); closed() }}, nil
}

func (n *node[T]) work(ctx context.Context, jobs int) (rate float64, err error) {
	defer n.close()
	batch := make([]river.InsertManyParams, 1000)
	for i := range batch {
		batch[i].Args = noop{}
	}
	for range jobs / len(batch) {
		if _, err := n.client.InsertManyFast(ctx, batch); err != nil {
			return 0, err
		}
	}
	begin := time.Now()
	if err := n.client.Start(ctx); err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, n.client.Stop(ctx)) }()
	limit := time.After(wait)
	for i := range jobs {
		select {
		case e := <-n.done:
			if e.Kind != river.EventKindJobCompleted {
				return 0, fmt.Errorf("a job of River's: %s", e.Kind)
			}
		case <-limit:
			return 0, fmt.Errorf("%d jobs of River's after %s", i, wait)
		}
	}
	return float64(jobs) / time.Since(begin).Seconds(), nil
}

func (n *node[T]) pickup(ctx context.Context, began <-chan time.Time) (out []float64, err error) {
	defer n.close()
	if err := n.client.Start(ctx); err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, n.client.Stop(ctx)) }()
	for range pickups {
		time.Sleep(20 * time.Millisecond)
		if _, err := n.client.Insert(ctx, noop{}, nil); err != nil {
			return nil, err
		}
		committed := time.Now()
		out = append(out, max(0, (<-began).Sub(committed).Seconds()*1000))
	}
	return out, nil
}

func postgresNode(ctx context.Context, url string, workers int, began func()) (*node[pgx.Tx], error) {
	cfg, err := pgxpool.ParseConfig(url)
	if err != nil {
		return nil, err
	}
	cfg.MaxConns = 20
	pool, err := pgxpool.NewWithConfig(ctx, cfg)
	if err != nil {
		return nil, err
	}
	return newNode(ctx, riverpgxv5.New(pool), workers, began, pool.Close)
}

func sqliteNode(ctx context.Context, path string, workers int, began func()) (*node[*sql.Tx], error) {
	db, err := sql.Open("sqlite", "file:"+path+"?_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)&_pragma=busy_timeout(10000)&_pragma=cache_size(-16384)&_pragma=temp_store(MEMORY)&_txlock=immediate")
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(1) // as River asks for
	return newNode(ctx, riversqlite.New(db), workers, began, func() { _ = db.Close() })
}

const riverWorkers = 1000

func workRiver(ctx context.Context, b base, jobs int) (float64, error) {
	name, err := b.fresh(ctx)
	if err != nil {
		return 0, err
	}
	if b.url == "" {
		n, err := sqliteNode(ctx, name, riverWorkers, nil)
		if err != nil {
			return 0, err
		}
		return n.work(ctx, jobs)
	}
	n, err := postgresNode(ctx, name, riverWorkers, nil)
	if err != nil {
		return 0, err
	}
	return n.work(ctx, jobs)
}

func pickupRiver(ctx context.Context, b base) ([]float64, error) {
	name, err := b.fresh(ctx)
	if err != nil {
		return nil, err
	}
	began := make(chan time.Time, 1)
	tell := func() { began <- time.Now() }
	if b.url == "" {
		n, err := sqliteNode(ctx, name, 100, tell)
		if err != nil {
			return nil, err
		}
		return n.pickup(ctx, began)
	}
	n, err := postgresNode(ctx, name, 100, tell)
	if err != nil {
		return nil, err
	}
	return n.pickup(ctx, began)
}
