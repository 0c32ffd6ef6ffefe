package engine_test

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/pandobase/pando/internal/engine"
	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/policy"
	"github.com/pandobase/pando/internal/query"
	"github.com/pandobase/pando/internal/store"
)

// nameOf reads a patient's name; "" where the caller sees none.
func nameOf(ctx context.Context, x engine.Executor, id policy.Identity, n int) (string, error) {
	res, err := x.Read(ctx, id, &query.Read{Target: query.Target{Entity: "patients"}, Node: query.Node{
		Select: []query.Item{&query.Column{Path: query.Path{Field: "name"}}}, Where: byID(query.Eq, strconv.Itoa(n)),
	}}, engine.ReadOptions{})
	if err != nil {
		return "", err
	}
	defer res.Release()
	name, _ := strings.CutPrefix(string(res.Body), `[{"name":"`)
	name, _, _ = strings.Cut(name, `"`)
	return strings.Trim(name, "[]"), nil
}

func rename(ctx context.Context, x engine.Executor, id policy.Identity, n int, name string) error {
	res, err := x.Write(ctx, id, &query.Write{
		Action: query.Update, Target: query.Target{Entity: "patients"}, Where: byID(query.Eq, strconv.Itoa(n)),
		Columns: []string{"name"}, Rows: [][]query.Cell{{{Kind: query.FromJSON, Raw: strconv.Quote(name)}}},
	}, nil)
	if err == nil {
		res.Release()
	}
	return err
}

// named makes a patient of that number and name.
func (r *recorded) named(n int, name string) {
	r.t.Helper()
	_, err := r.Write(r.t.Context(), service, patients(n, 1, ann), nil)
	if err == nil {
		err = rename(r.t.Context(), r, service, n, name)
	}
	if err != nil {
		r.t.Fatal(err)
	}
	r.take()
}

func (r *recorded) isNamed(n int, want string) {
	r.t.Helper()
	if got, err := nameOf(r.t.Context(), r.Engine, service, n); err != nil || got != want {
		r.t.Errorf("patient %d is named %q, %v; want %q", n, got, err, want)
	}
}

//nolint:gochecknoglobals // a zero value
var write engine.TransactOptions

// TestTransactLosesNothing raises one number by many transactions at once.
func TestTransactLosesNothing(t *testing.T) {
	r := openClinic(t)
	r.named(1, "0")
	const workers, each = 16, 10
	var runs, conflicts atomic.Int64
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			for range each {
				res, err := r.Transact(t.Context(), service, write, func(ctx context.Context, tx *engine.Tx) ([]byte, error) {
					runs.Add(1)
					name, err := nameOf(ctx, tx, service, 1)
					if err != nil {
						return nil, err
					}
					n, err := strconv.Atoi(name)
					if err != nil {
						return nil, err
					}
					return []byte(strconv.Itoa(n + 1)), rename(ctx, tx, service, 1, strconv.Itoa(n+1))
				})
				switch {
				case fault.Is(err, fault.Serialization), fault.Is(err, fault.TransactionTimeout): // the latter where the machine stands still
					conflicts.Add(1)
				case err != nil:
					t.Error(err)
				case len(res.Body) == 0:
					t.Error("no answer")
				}
			}
		})
	}
	wg.Wait()
	r.isNamed(1, strconv.FormatInt(workers*each-conflicts.Load(), 10))
	t.Logf("%d runs for %d transactions, %d given up", runs.Load(), workers*each, conflicts.Load())
	if conflicts.Load() > workers*each/4 { // from the third conflict on they take turns
		t.Errorf("%d of %d were given up", conflicts.Load(), workers*each)
	}
	updates := 0
	for _, rec := range r.take() {
		if rec.Action == "update" {
			updates++
		}
	}
	if int64(updates) != workers*each-conflicts.Load() {
		t.Errorf("%d updates are on record", updates)
	}
}

// TestTransactGivesUp: code that always meets a change runs six times, also when
// it does not look at what its calls say.
func TestTransactGivesUp(t *testing.T) {
	r := openClinic(t)
	r.named(1, "a")
	r.named(2, "a")
	runs := 0
	_, err := r.Transact(t.Context(), service, write, func(ctx context.Context, tx *engine.Tx) ([]byte, error) {
		runs++
		if _, err := nameOf(ctx, tx, service, 1); err != nil {
			return nil, err
		}
		if err := rename(context.WithoutCancel(ctx), r.Engine, service, 1, "b"+strconv.Itoa(runs)); err != nil {
			return nil, err
		}
		_ = rename(ctx, tx, service, 2, "never")
		return nil, nil
	})
	if !fault.Is(err, fault.Serialization) || runs != 6 || fault.From(err).Hint == "" || fault.From(err).HTTPStatus() != 409 {
		t.Errorf("after %d runs: %v", runs, err)
	}
	r.isNamed(2, "a")
}

// TestTransactFailures: what fails within is undone alone, what fails as a whole
// is undone as a whole.
func TestTransactFailures(t *testing.T) {
	r, mine := openClinic(t), errors.New("mine")
	r.named(1, "a")
	run := func(fn func(ctx context.Context, tx *engine.Tx) error) error {
		_, err := r.Transact(t.Context(), service, write, func(ctx context.Context, tx *engine.Tx) ([]byte, error) { return nil, fn(ctx, tx) })
		return err
	}
	err := run(func(ctx context.Context, tx *engine.Tx) error {
		if err := rename(ctx, tx, service, 1, "b"); err != nil {
			return err
		}
		return mine
	})
	if !errors.Is(err, mine) {
		t.Errorf("the code's error: %v", err)
	}
	r.isNamed(1, "a")
	var taken error // as the last run is told: no other counts
	err = run(func(ctx context.Context, tx *engine.Tx) error {
		_, taken = tx.Write(ctx, service, patients(1, 1, ann), nil)
		if err := rename(ctx, tx, service, 1, "c"); err != nil {
			return err
		}
		if name, err := nameOf(ctx, tx, service, 1); err != nil || name != "c" {
			t.Errorf("its own write reads as %q, %v", name, err)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	if !fault.Is(taken, fault.Unique) || fault.From(taken).Details != "Key (id)=(1) already exists." {
		t.Errorf("a key that is there: %v", taken)
	}
	r.isNamed(1, "c")
	func() {
		defer func() {
			if recover() == nil {
				t.Error("the panic was lost")
			}
		}()
		_ = run(func(ctx context.Context, tx *engine.Tx) error {
			_ = rename(ctx, tx, service, 1, "d")
			panic("in the middle")
		})
	}()
	r.isNamed(1, "c")
	var kept *engine.Tx
	if err := run(func(_ context.Context, tx *engine.Tx) error { kept = tx; return nil }); err != nil {
		t.Error(err)
	}
	if err := rename(t.Context(), kept, service, 1, "e"); !fault.Is(err, fault.BadRequest) {
		t.Errorf("a call behind the end: %v", err)
	}
	r.isNamed(1, "c")
	ctx, cancel := context.WithCancel(t.Context())
	_, err = r.Transact(ctx, service, write, func(ctx context.Context, tx *engine.Tx) ([]byte, error) {
		err := rename(ctx, tx, service, 1, "f")
		cancel()
		return nil, err
	})
	if !fault.Is(err, fault.QueryCanceled) {
		t.Errorf("one that was canceled: %v", err)
	}
	r.isNamed(1, "c")
}

// TestTransactPolicies: the rules hold within, and what was denied, read and
// written is on record, whatever became of it.
func TestTransactPolicies(t *testing.T) {
	r, mine := openClinic(t), errors.New("mine")
	r.named(1, "a")
	user := policy.Identity{Role: policy.Authenticated, UID: ann}
	for _, fails := range []bool{false, true} {
		_, err := r.Transact(t.Context(), user, write, func(ctx context.Context, tx *engine.Tx) ([]byte, error) {
			name, err := nameOf(ctx, tx, user, 1)
			if err != nil || name != "a" && name != "b" {
				return nil, fmt.Errorf("read %q: %w", name, err)
			}
			if name, err := nameOf(ctx, tx, policy.Identity{Role: policy.Authenticated, UID: bob}, 1); err != nil || name != "" {
				return nil, fmt.Errorf("another user reads %q: %w", name, err)
			}
			if err := rename(ctx, tx, user, 1, "b"); err != nil {
				return nil, err
			}
			_, err = tx.Write(ctx, user, patients(7, 1, bob), nil)
			if !fault.Is(err, fault.Forbidden) && !fault.Is(err, fault.Serialization) {
				t.Errorf("a create for another user: %v", err)
			}
			if fails {
				return nil, mine
			}
			return nil, nil
		})
		if fails != errors.Is(err, mine) || !fails && err != nil {
			t.Errorf("fails %v: %v", fails, err)
		}
		got := map[string]int{}
		for _, rec := range r.take() {
			got[rec.Action+" "+string(rec.Outcome)]++
		}
		want := map[string]int{"read allowed": 2, "update allowed": 1, "create denied": 1}
		if fails {
			want = map[string]int{"read allowed": 2, "create denied": 1}
		}
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("fails %v: on record are %v, want %v", fails, got, want)
		}
	}
	r.isNamed(1, "b")
	r.take()
	_, err := r.Transact(t.Context(), user, engine.TransactOptions{ReadOnly: true}, func(ctx context.Context, tx *engine.Tx) ([]byte, error) {
		if _, err := nameOf(ctx, tx, user, 1); err != nil {
			return nil, err
		}
		if err := rename(ctx, tx, user, 1, "c"); !fault.Is(err, fault.ReadOnlyTransaction) {
			t.Errorf("a write of one that only reads: %v", err)
		}
		if err := tx.Append(ctx, func(store.Tx) error { return nil }); !fault.Is(err, fault.ReadOnlyTransaction) {
			t.Errorf("an addition to one that only reads: %v", err)
		}
		return nil, nil
	})
	if err != nil {
		t.Error(err)
	}
	if rec := r.one(); rec.Action != "read" {
		t.Errorf("on record is %+v", rec)
	}
}

// TestTransactAppends: what other rooms add is there with the rest or not at all.
func TestTransactAppends(t *testing.T) {
	r := openClinic(t)
	r.named(1, "a")
	table := r.driver.Dialect().Table("clinic", "patients")
	st := &store.Statement{SQL: "UPDATE " + table + ` SET "name"='added' WHERE "id"=1`}
	for _, undo := range []bool{true, false} {
		called := false
		_, _ = r.Transact(t.Context(), service, write, func(ctx context.Context, tx *engine.Tx) ([]byte, error) {
			err := tx.Append(ctx, func(s store.Tx) error {
				s.Keep(store.Committed(func() { called = true }))
				_, err := s.Exec(st, nil)
				return err
			})
			if err == nil && undo {
				err = errors.New("undo")
			}
			return nil, err
		})
		if called == undo {
			t.Errorf("undone %v, called %v", undo, called)
		}
		if undo {
			r.isNamed(1, "a")
		}
	}
	r.isNamed(1, "added")
}

// TestTransactOnce: an idempotency key counts for a transaction as for a write.
func TestTransactOnce(t *testing.T) {
	r := openClinic(t)
	r.named(1, "a")
	opt := engine.TransactOptions{Idempotency: &engine.Idempotency{Key: "k", Method: "POST", Path: "/rpc"}}
	var runs atomic.Int64
	inside, goOn := make(chan struct{}), make(chan struct{})
	var once sync.Once
	do := func() (*engine.Result, error) {
		return r.Transact(t.Context(), service, opt, func(ctx context.Context, tx *engine.Tx) ([]byte, error) {
			once.Do(func() { close(inside); <-goOn })
			n := runs.Add(1)
			return []byte("run " + strconv.FormatInt(n, 10)), rename(ctx, tx, service, 1, "run"+strconv.FormatInt(n, 10))
		})
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		if res, err := do(); err != nil || string(res.Body) != "run 1" || res.Replayed {
			t.Errorf("the first: %v", err)
		}
	}()
	<-inside
	if _, err := do(); !fault.Is(err, fault.IdempotencyInFlight) {
		t.Errorf("meanwhile: %v", err)
	}
	r.isNamed(1, "a") // the writer is held by nobody
	if err := rename(t.Context(), r.Engine, service, 1, "other"); err != nil {
		t.Error(err)
	}
	close(goOn)
	<-done
	res, err := do()
	if err != nil || string(res.Body) != "run 1" || !res.Replayed {
		t.Errorf("again: %v", err)
	}
	if runs.Load() != 1 {
		t.Errorf("the code ran %d times", runs.Load())
	}
	opt.Idempotency = &engine.Idempotency{Key: "k", Method: "POST", Path: "/rpc", Digest: [32]byte{1}}
	if _, err := do(); !fault.Is(err, fault.IdempotencyMismatch) {
		t.Errorf("another body: %v", err)
	}
	opt.Idempotency = &engine.Idempotency{Key: "failing"}
	for range 2 {
		n := 0
		_, err := r.Transact(t.Context(), service, opt, func(context.Context, *engine.Tx) ([]byte, error) { n++; return nil, errors.New("no") })
		if err == nil || n != 1 {
			t.Errorf("one that fails: %v, ran %d times", err, n)
		}
	}
}
