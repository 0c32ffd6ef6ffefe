package engine

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"time"

	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/policy"
	"github.com/pandobase/pando/internal/store"
)

// TransactOptions say how a transaction runs. The zero value reads and writes,
// and is not repeatable.
type TransactOptions struct {
	// ReadOnly refuses writes. What only reads meets no conflict.
	ReadOnly bool
	// Idempotency identifies the transaction; its answer is remembered with it.
	Idempotency *Idempotency
}

const (
	maxReruns   = 5                     // of a transaction that others came in the way of
	aheadFrom   = 3                     // the first of them that lets nobody in its way, where all
	aheadWithin = 20 * time.Millisecond // before it were as quick, but for their calls
	firstPause  = time.Millisecond      // before the second run; it doubles
)

// Transact runs code that reads and writes rows in one serializable transaction,
// and returns fn's bytes as the Body of its result once all of it is on disk. An
// error of fn undoes all of it.
//
// Until its first write fn keeps nobody waiting. From then on other writes wait,
// so it has [store.HoldTime] to its end (fault.TransactionTimeout). Where a
// concurrent change comes in its way fn runs again, up to five times, with a
// pause between; then it is fault.Serialization. Only its last run counts, and what
// it does beside its Tx is done in each.
func (e *Engine) Transact(ctx context.Context, id policy.Identity, opt TransactOptions, fn func(context.Context, *Tx) ([]byte, error)) (*Result, error) {
	serial, ok := e.driver.(store.Serial)
	if !ok {
		return nil, fault.New(fault.NotImplemented, "the store has no transactions that code leads").WithHint("set `transaction: false`")
	}
	t := transaction{e: e, serial: serial, id: id, opt: opt, fn: fn}
	if opt.Idempotency == nil {
		return t.run(ctx)
	}
	t.scope = opt.Idempotency.scope(id)
	done, err := e.claim(t.scope)
	if err != nil {
		return nil, err
	}
	defer done()
	if res, err := t.recall(ctx); !errors.Is(err, errNotTaken) {
		return res, err
	}
	return t.run(ctx)
}

// transaction is a call of Transact.
type transaction struct {
	e      *Engine
	serial store.Serial
	id     policy.Identity
	opt    TransactOptions
	fn     func(context.Context, *Tx) ([]byte, error)
	scope  string        // of the idempotency key
	took   time.Duration // the last run of the code, without its calls
}

func (t *transaction) run(ctx context.Context) (*Result, error) {
	sopt := store.SessionOptions{ReadOnly: t.opt.ReadOnly && t.scope == ""}
	for rerun, quick := 0, true; ; rerun++ {
		res, err := t.once(ctx, sopt, rerun == maxReruns)
		if sopt.Ahead && fault.Is(err, fault.TransactionTimeout) { // it may have waited for who waited for it
			err = fault.Wrap(err, fault.Serialization, "a concurrent change is in the way")
		}
		quick = quick && t.took < aheadWithin
		switch {
		case errors.Is(err, errTaken): // by another node, meanwhile
			return t.recall(ctx)
		case !fault.Is(err, fault.Serialization):
			return res, err
		case rerun == maxReruns:
			return nil, fault.Wrap(err, fault.Serialization, "concurrent changes came in the way of the transaction, %d times", rerun+1).
				WithHint("try again; rows that many change are better changed by one statement")
		}
		sopt.Eager = true
		sopt.Ahead = rerun+1 >= aheadFrom && quick
		if err := t.pause(ctx, firstPause<<rerun); err != nil {
			return nil, err
		}
	}
}

// pause waits for a random time of at most what is given, so that those which
// met do not meet again.
func (t *transaction) pause(ctx context.Context, most time.Duration) error {
	var b [8]byte
	if _, err := io.ReadFull(t.e.random, b[:]); err != nil {
		return fault.Wrap(err, fault.Internal, "an internal error occurred")
	}
	timer := time.NewTimer(time.Duration(binary.LittleEndian.Uint64(b[:]) % uint64(most))) //nolint:gosec // both are positive
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return fault.Wrap(ctx.Err(), fault.QueryCanceled, "the transaction was canceled")
	}
}

// errTaken says that the idempotency key was used while the code ran.
var errTaken = errors.New("the idempotency key is taken")

// once is one run. One that is run again leaves no record.
func (t *transaction) once(ctx context.Context, sopt store.SessionOptions, last bool) (*Result, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	tx := &Tx{e: t.e, session: t.serial.Begin(ctx, sopt), readOnly: t.opt.ReadOnly}
	defer tx.session.Rollback()
	start := time.Now()
	body, err := t.fn(ctx, tx)
	t.took = time.Since(start) - tx.session.Inside()
	if err == nil {
		err = tx.broken()
	}
	if failed := tx.session.Failed(); err == nil || fault.Is(failed, fault.Serialization) {
		err = failed
	}
	res := &Result{Body: body, Total: -1}
	if err == nil && t.scope != "" {
		err = t.keep(ctx, tx, res)
	}
	if err == nil {
		err = tx.commit(ctx)
	} else {
		tx.session.Rollback()
	}
	if fault.Is(err, fault.Serialization) && !last || errors.Is(err, errTaken) {
		return nil, err
	}
	if failed := tx.settle(ctx); err == nil {
		err = failed
	}
	if err != nil {
		return nil, err
	}
	res.Position = t.e.wrote(tx.entities...)
	return res, nil
}

// keep stores the answer with its idempotency key: behind the code, which must
// not keep others waiting.
func (t *transaction) keep(ctx context.Context, tx *Tx, res *Result) error {
	since := t.e.now().UTC().Add(-remembered)
	return tx.add(ctx, func(s store.Tx) error {
		taken, err := t.e.take(s, t.scope, since, t.opt.Idempotency)
		if err != nil {
			return err
		}
		if !taken {
			return errTaken
		}
		return t.e.keep(s, &t.id, t.scope, since, res)
	})
}

// recall is the answer that was given to the idempotency key; errNotTaken: none.
func (t *transaction) recall(ctx context.Context) (*Result, error) {
	since := t.e.now().UTC().Add(-remembered)
	res := &Result{}
	err := t.e.driver.Read(ctx, false, func(r store.Reader) error {
		return t.e.recall(r, &t.id, t.scope, since, t.opt.Idempotency, res)
	})
	if err != nil {
		return nil, err
	}
	return res, nil
}
