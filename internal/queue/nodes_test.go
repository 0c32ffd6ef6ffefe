package queue_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pandobase/pando/internal/queue"
	"github.com/pandobase/pando/internal/store"
	"github.com/pandobase/pando/internal/store/postgres"
	"github.com/pandobase/pando/internal/store/postgres/pgtest"
	"github.com/pandobase/pando/internal/store/sqlite"
	"github.com/pandobase/pando/internal/store/teststore"
	"github.com/pandobase/pando/internal/value"
)

// workerVariable makes the test binary a node that takes a job and does not end.
const workerVariable = "PANDO_TEST_QUEUE_WORKER"

func TestMain(m *testing.M) {
	if where := os.Getenv(workerVariable); where != "" {
		if err := worker(where); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	os.Exit(m.Run())
}

func openStore(where string) (store.Driver, error) {
	if filepath.IsAbs(where) {
		return sqlite.Open(context.Background(), sqlite.Options{Path: where})
	}
	return postgres.Open(context.Background(), postgres.Options{URL: where})
}

func worker(where string) error {
	d, err := openStore(where)
	if err != nil {
		return err
	}
	q, err := queue.Open(context.Background(), queue.Config{Driver: d, Lease: time.Second})
	if err != nil {
		return err
	}
	err = q.Start(context.Background(), func(context.Context, *queue.Work) ([]byte, error) {
		fmt.Fprintln(os.Stdout, "taken")
		select {}
	})
	if err != nil {
		return err
	}
	select {}
}

// TestKilledWorker kills a process with SIGKILL in the middle of a job.
func TestKilledWorker(t *testing.T) {
	where := map[string]string{teststore.SQLite: filepath.Join(t.TempDir(), "test.db")}
	if s, err := pgtest.Start(false); err == nil {
		t.Cleanup(func() {
			if err := s.Stop(); err != nil {
				t.Error(err)
			}
		})
		if where[teststore.Postgres], err = s.Database(); err != nil {
			t.Fatal(err)
		}
	} else if !errors.Is(err, pgtest.ErrMissing) {
		t.Fatal(err)
	}
	for kind, at := range where {
		t.Run(kind, func(t *testing.T) {
			cmd := exec.CommandContext(t.Context(), os.Args[0])
			cmd.Env, cmd.Stderr = append(os.Environ(), workerVariable+"="+at), os.Stderr
			out, err := cmd.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			first, err := openStore(at)
			if err != nil {
				t.Fatal(err)
			}
			enqueuer, err := queue.Open(t.Context(), queue.Config{Driver: first})
			if err != nil {
				t.Fatal(err)
			}
			ids := []queue.ID{}
			for _, r := range add(t, enqueuer, queue.Job{Kind: "a"}, queue.Job{Kind: "last", Attempts: 1}) {
				ids = append(ids, r.ID)
			}
			if err := errors.Join(enqueuer.Stop(t.Context()), first.Close()); err != nil {
				t.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			lines := bufio.NewScanner(out)
			for range ids {
				if !lines.Scan() || lines.Text() != "taken" {
					t.Fatal("the worker took no job:", lines.Err())
				}
			}
			if err := cmd.Process.Kill(); err != nil {
				t.Fatal(err)
			}
			_ = cmd.Wait() // it was killed
			killed := time.Now()
			d, err := openStore(at)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() {
				if err := d.Close(); err != nil {
					t.Error(err)
				}
			})
			q := open(t, queue.Config{Driver: d, Lease: time.Second})
			start(t, q, nothing)
			info := await(t, q, ids[0], queue.Completed)
			if info.Failed != 1 || len(info.Errors) != 1 {
				t.Errorf("it is %+v", info)
			}
			if info := await(t, q, ids[1], queue.Dead); info.Failed != 1 {
				t.Errorf("the one whose last try it was is %+v", info)
			}
			t.Logf("it ran again %s after the kill", time.Since(killed))
		})
	}
}

// two are two nodes on one PostgreSQL.
func two(t *testing.T, c queue.Config) (out [2]*queue.Queue) {
	db := teststore.Of(t, teststore.Postgres)
	for i := range out {
		d := db.Open(t)
		t.Cleanup(func() {
			if err := d.Close(); err != nil {
				t.Error(err)
			}
		})
		c.Driver = d
		out[i] = open(t, c)
	}
	return out
}

func TestTwoNodesShare(t *testing.T) {
	qs := two(t, queue.Config{Poll: 20 * time.Millisecond, Queues: map[string]int{"default": 20}})
	var ran sync.Map
	var by [2]atomic.Int64
	for i, q := range qs {
		start(t, q, func(_ context.Context, w *queue.Work) ([]byte, error) {
			if _, twice := ran.LoadOrStore(w.ID, true); twice {
				t.Errorf("job %s runs twice", w.ID)
			}
			by[i].Add(1)
			time.Sleep(time.Millisecond) // it is work
			return nil, nil
		})
	}
	const n = 2000
	jobs := make([]queue.Job, n)
	for i := range jobs {
		jobs[i] = queue.Job{Kind: "a"}
	}
	add(t, qs[0], jobs...)
	eventually(t, func() string {
		if done := qs[0].Stats().Completed + qs[1].Stats().Completed; done != n {
			return fmt.Sprint(done, " are completed")
		}
		return ""
	})
	if by[0].Load() == 0 || by[1].Load() == 0 {
		t.Errorf("one node did all of the work: %d, %d", by[0].Load(), by[1].Load())
	}
}

func TestCancelOnAnotherNode(t *testing.T) {
	qs := two(t, queue.Config{Poll: 20 * time.Millisecond})
	began := make(chan struct{})
	start(t, qs[0], func(ctx context.Context, _ *queue.Work) ([]byte, error) {
		close(began)
		<-ctx.Done()
		return nil, ctx.Err()
	})
	id := add(t, qs[0], queue.Job{Kind: "a"})[0].ID
	<-began
	if err := qs[1].Cancel(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	await(t, qs[1], id, queue.Canceled)
}

// TestLostLease has a node lose its lease without noticing: another one runs its
// job, and what the first one says of it then does not count.
func TestLostLease(t *testing.T) {
	db := teststore.Of(t, teststore.Postgres)
	var qs [2]*queue.Queue
	var d store.Driver
	for i, lease := range []time.Duration{time.Hour, 200 * time.Millisecond} {
		d = db.Open(t)
		t.Cleanup(func() {
			if err := d.Close(); err != nil {
				t.Error(err)
			}
		})
		qs[i] = open(t, queue.Config{Driver: d, Lease: lease, Poll: 20 * time.Millisecond})
	}
	began, goOn := make(chan struct{}), make(chan struct{})
	start(t, qs[0], func(context.Context, *queue.Work) ([]byte, error) {
		close(began)
		<-goOn
		return []byte(`"first"`), nil
	})
	id := add(t, qs[0], queue.Job{Kind: "a"})[0].ID
	<-began
	st := &store.Statement{SQL: `DELETE FROM pando_workers WHERE id=(SELECT node FROM pando_jobs WHERE id=$1)`}
	err := d.Write(t.Context(), func(tx store.Tx) error {
		if n, err := tx.Exec(st, []value.Value{value.OfInt(int64(id))}); err != nil || n != 1 {
			return fmt.Errorf("%d leases are gone: %w", n, err)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	second := make(chan struct{})
	start(t, qs[1], func(context.Context, *queue.Work) ([]byte, error) {
		close(second)
		return []byte(`"second"`), nil
	})
	<-second
	await(t, qs[1], id, queue.Completed)
	close(goOn)
	eventually(t, func() string {
		if s := qs[0].Stats(); s.Lost != 1 {
			return fmt.Sprintf("the counters of the first are %+v", s)
		}
		return ""
	})
	if info := get(t, qs[0], id); string(info.Result) != `"second"` || info.Failed != 1 {
		t.Errorf("the job is %+v", info)
	}
}

// TestStress runs jobs that fail, panic, snooze and are canceled by chance, on
// nodes that come and go, and looks that none is lost and none runs twice at a time.
func TestStress(t *testing.T) {
	for _, kind := range []string{teststore.SQLite, teststore.Postgres} {
		t.Run(kind, func(t *testing.T) {
			const seed = 7
			db := teststore.Of(t, kind)
			count := 1
			if kind == teststore.Postgres {
				count = 3
			}
			var running sync.Map
			var runs atomic.Int64
			handler := func(ctx context.Context, w *queue.Work) ([]byte, error) {
				if _, twice := running.LoadOrStore(w.ID, true); twice {
					t.Errorf("job %s is run by two at a time", w.ID)
				}
				defer running.Delete(w.ID)
				runs.Add(1)
				switch n := rand.IntN(20); {
				case n < 3:
					return nil, queue.RetryAfter(time.Duration(rand.IntN(5))*time.Millisecond, errors.New("by chance"))
				case n == 3:
					panic("by chance")
				case n == 4:
					return nil, queue.Snooze(time.Millisecond)
				case n == 5:
					return []byte("1"), nil
				case n == 6:
					w.Progress(0.5, "half")
					select {
					case <-ctx.Done():
						return nil, ctx.Err()
					case <-time.After(3 * time.Millisecond):
					}
				}
				return nil, nil
			}
			drivers := make([]store.Driver, count)
			var all [3]atomic.Pointer[queue.Queue]
			fresh := func(i int) {
				q, err := queue.Open(context.Background(), queue.Config{
					Driver: drivers[i], Poll: 10 * time.Millisecond, Backoff: time.Millisecond,
					MaxBackoff: 5 * time.Millisecond, Queues: map[string]int{"default": 15, "other": 3},
				})
				if err != nil {
					t.Error(err)
					return
				}
				if err := q.Start(context.Background(), handler); err != nil {
					t.Error(err)
				}
				all[i].Store(q)
			}
			stop := func(i int, ctx context.Context) {
				_ = all[i].Load().Stop(ctx) // it may say that jobs were given back
			}
			for i := range drivers {
				d := db.Open(t)
				drivers[i] = d
				t.Cleanup(func() {
					if err := d.Close(); err != nil {
						t.Error(err)
					}
				})
				fresh(i)
			}
			var mu sync.Mutex
			var ids []queue.ID
			var wg sync.WaitGroup
			for w := range 4 {
				wg.Go(func() {
					r := rand.New(rand.NewPCG(seed, uint64(w)))
					for range 150 {
						q := all[r.IntN(count)].Load()
						var jobs []queue.Job
						for range 1 + r.IntN(5) {
							j := queue.Job{Kind: "a", Priority: 1 + r.IntN(4), Attempts: 3 + r.IntN(5)}
							if r.IntN(3) == 0 {
								j.Queue = "other"
							}
							if r.IntN(4) == 0 {
								j.Unique = fmt.Sprint(r.IntN(3))
							}
							if r.IntN(5) == 0 {
								j.RunAt = time.Now().Add(time.Duration(r.IntN(20)) * time.Millisecond)
							}
							jobs = append(jobs, j)
						}
						out, err := q.Add(context.Background(), jobs...)
						if err != nil {
							t.Error(err)
							return
						}
						mu.Lock()
						for _, o := range out {
							ids = append(ids, o.ID)
						}
						mu.Unlock()
						if r.IntN(5) == 0 {
							_ = q.Cancel(context.Background(), out[0].ID) // it may have finished
						}
					}
				})
			}
			done := make(chan struct{})
			go func() { wg.Wait(); close(done) }()
			for restarts := 0; ; restarts++ {
				select {
				case <-done:
				case <-time.After(50 * time.Millisecond):
					i := restarts % count
					ctx, cancel := context.WithTimeout(context.Background(), time.Duration(rand.IntN(3))*time.Millisecond)
					stop(i, ctx)
					cancel()
					fresh(i)
					continue
				}
				break
			}
			q := all[0].Load()
			for _, id := range ids {
				eventually(t, func() string {
					if info := get(t, q, id); !info.State.Finished() {
						return fmt.Sprintf("job %s is %s: %+v", id, info.State, info)
					}
					return ""
				})
			}
			t.Logf("%d jobs, %d tries", len(ids), runs.Load())
			for i := range drivers {
				stop(i, context.Background())
			}
		})
	}
}
