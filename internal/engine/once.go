package engine

import (
	"context"
	"errors"

	"github.com/pandobase/pando/internal/policy"
	"github.com/pandobase/pando/internal/store"
)

// Append calls fn in a transaction of its own: for what other rooms write. fn must
// not wait.
func (e *Engine) Append(ctx context.Context, fn func(store.Tx) error) error {
	return e.driver.Write(ctx, fn)
}

// Once runs code that is no transaction, unless its key was used: then it answers
// what was answered before. The answer is remembered behind the code: where the
// node is lost between the two, a repetition runs the code again.
func (e *Engine) Once(ctx context.Context, id policy.Identity, idem *Idempotency, fn func(context.Context) ([]byte, error)) (*Result, error) {
	t := &transaction{e: e, id: id, opt: TransactOptions{Idempotency: idem}, scope: idem.scope(id)}
	done, err := e.claim(t.scope)
	if err != nil {
		return nil, err
	}
	defer done()
	if res, err := t.recall(ctx); !errors.Is(err, errNotTaken) {
		return res, err
	}
	body, err := fn(ctx)
	if err != nil {
		return nil, err
	}
	res := &Result{Body: body, Total: -1}
	since := e.now().UTC().Add(-remembered)
	err = e.driver.Write(context.WithoutCancel(ctx), func(tx store.Tx) error {
		taken, err := e.take(tx, t.scope, since, idem)
		if err != nil || !taken { // another node has run it meanwhile: both have answers
			return err
		}
		return e.keep(tx, &id, t.scope, since, res)
	})
	if err != nil {
		return nil, err
	}
	return res, nil
}
