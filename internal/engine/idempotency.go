package engine

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"time"

	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/policy"
	"github.com/pandobase/pando/internal/store"
	"github.com/pandobase/pando/internal/value"
)

// Idempotency identifies a write that a client may repeat (IETF draft
// httpapi-idempotency-key-header). The key is scoped to the caller, the method
// and the path, and is remembered for 24 hours in the write's own transaction.
type Idempotency struct {
	Key    string
	Method string
	Path   string
	Digest [32]byte // of the request's body and meaning-bearing headers
}

const remembered = 24 * time.Hour

// remember is what is kept of an answer.
type remember struct {
	Rows      int    `json:"rows"`
	Total     int64  `json:"total"`
	Inserted  int    `json:"inserted"`
	Key       string `json:"key,omitempty"`
	Partition string `json:"partition,omitempty"`
	Body      []byte `json:"body,omitempty"`
	HasBody   bool   `json:"has_body,omitempty"`
	// Rights are the caller's when the answer was made. An answer that tells
	// what is in rows is not given again under other ones.
	Rights []byte `json:"rights,omitempty"`
}

func rights(id *policy.Identity) []byte {
	sum := sha256.Sum256([]byte(id.Rights()))
	return sum[:]
}

func (i *Idempotency) scope(id policy.Identity) string {
	h := sha256.New()
	for _, part := range []string{id.Scope(), i.Method, i.Path, i.Key} {
		h.Write([]byte(part))
		h.Write([]byte{0})
	}
	return hex.EncodeToString(h.Sum(nil))
}

// once runs a change unless its key has been used: then it answers what was
// answered before, or refuses another body under the same key.
func (e *Engine) once(ctx context.Context, id policy.Identity, idem *Idempotency, ch *change) error {
	scope := idem.scope(id)
	done, err := e.claim(scope)
	if err != nil {
		return err
	}
	defer done()
	return e.driver.Write(ctx, func(tx store.Tx) error {
		since := e.now().UTC().Add(-remembered)
		// The key is taken before the write: another node that has the same one
		// waits here for this transaction's end, and then finds its answer.
		taken, err := e.take(tx, scope, since, idem)
		if err != nil {
			return err
		}
		if !taken {
			if err := e.recall(tx, &id, scope, since, idem, &ch.res); err != nil {
				return err
			}
			return ch.recordReplay(tx)
		}
		if err := ch.run(tx); err != nil {
			return err
		}
		return e.keep(tx, &id, scope, since, &ch.res)
	})
}

// claim keeps other requests of this node with the same key away until done is
// called.
func (e *Engine) claim(scope string) (done func(), err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.running[scope] {
		return nil, fault.New(fault.IdempotencyInFlight, "a request with this idempotency key is being processed").WithHint("wait for its answer, then repeat")
	}
	e.running[scope] = true
	return func() {
		e.mu.Lock()
		delete(e.running, scope)
		e.mu.Unlock()
	}, nil
}

// take stores the key without an answer, unless it is there and is remembered.
func (e *Engine) take(tx store.Tx, scope string, since time.Time, idem *Idempotency) (bool, error) {
	d := e.planner.Dialect
	st := &store.Statement{SQL: `INSERT INTO "pando_idempotency" ("scope","digest","at") VALUES (` + d.Param(1) + "," + d.Param(2) + "," + d.Param(3) +
		`) ON CONFLICT ("scope") DO UPDATE SET "digest"=excluded."digest","at"=excluded."at","result"=NULL WHERE "pando_idempotency"."at"<` + d.Param(4)}
	n, err := tx.Exec(st, []value.Value{
		value.OfText(scope), value.OfBytes(string(idem.Digest[:])), value.OfTimestamp(e.now().UTC()), value.OfTimestamp(since),
	})
	return n > 0, err
}

// errNotTaken says that no answer was given to a key.
var errNotTaken = errors.New("the idempotency key has no answer")

// recall is the answer that was given to a key since a time; errNotTaken: none.
func (e *Engine) recall(rd store.Reader, id *policy.Identity, scope string, since time.Time, idem *Idempotency, res *Result) error {
	var digest, stored []byte
	d := e.planner.Dialect
	st := &store.Statement{SQL: `SELECT "digest","result" FROM "pando_idempotency" WHERE "scope"=` + d.Param(1) + ` AND "at">=` + d.Param(2)}
	err := rd.Query(st, []value.Value{value.OfText(scope), value.OfTimestamp(since)}, func(r store.Row) error {
		digest, stored = r.Append(nil, 0), r.Append(nil, 1)
		return nil
	})
	if err != nil {
		return err
	}
	if digest == nil {
		return errNotTaken
	}
	if string(digest) != string(idem.Digest[:]) {
		return fault.New(fault.IdempotencyMismatch, "this idempotency key was used for another request").
			WithHint("use a new key for each new request")
	}
	var m remember
	if err := json.Unmarshal(stored, &m); err != nil {
		return fault.Wrap(err, fault.Internal, "an internal error occurred")
	}
	if (m.HasBody || m.Key != "") && !bytes.Equal(m.Rights, rights(id)) {
		return fault.New(fault.Forbidden, "the answer to this idempotency key was given under other rights than the caller has now").
			WithHint("the write was done then: read its rows")
	}
	*res = Result{Rows: m.Rows, Total: m.Total, TotalExact: true, Inserted: m.Inserted, Key: m.Key, Partition: m.Partition, Replayed: true}
	if m.HasBody {
		res.Body = m.Body
	}
	return nil
}

// keep stores the answer to the key that was taken.
func (e *Engine) keep(tx store.Tx, id *policy.Identity, scope string, since time.Time, res *Result) error {
	stored, err := json.Marshal(remember{
		Rows: res.Rows, Total: res.Total, Inserted: res.Inserted, Key: res.Key, Partition: res.Partition, Body: res.Body, HasBody: res.Body != nil, Rights: rights(id),
	})
	if err != nil {
		return err
	}
	d := e.planner.Dialect
	old := &store.Statement{SQL: `DELETE FROM "pando_idempotency" WHERE "at"<` + d.Param(1)}
	if _, err := tx.Exec(old, []value.Value{value.OfTimestamp(since)}); err != nil {
		return err
	}
	st := &store.Statement{SQL: `UPDATE "pando_idempotency" SET "result"=` + d.Param(1) + ` WHERE "scope"=` + d.Param(2)}
	_, err = tx.Exec(st, []value.Value{value.OfBytes(string(stored)), value.OfText(scope)})
	return err
}
