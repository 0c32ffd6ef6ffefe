package audit

import (
	"context"
	"sync"

	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/store"
	"github.com/pandobase/pando/internal/value"
)

// scratch is the memory that an append needs.
type scratch struct {
	body, plain, sealed, more []byte
	args                      [9]value.Value
}

//nolint:gochecknoglobals // a pool has to outlive the logs that share it
var scratches = sync.Pool{New: func() any { return &scratch{body: make([]byte, 0, 1024), plain: make([]byte, 0, 512)} }}

// Append adds a record to the transaction: it is stored with it or not at all.
// Texts beyond 1 KiB are cut; more than [MaxKeys] keys are a fault of the
// caller's. r is not kept, and may be appended again when a transaction is run
// again.
func (l *Log) Append(tx store.Tx, r *Record) error {
	if r.Action == "" || len(r.Keys) > MaxKeys {
		return fault.New(fault.Internal, "an internal error occurred").WithDetails("an audit record without an action, or with too many keys")
	}
	rec := *r
	if rec.Outcome == "" {
		rec.Outcome = Allowed
	}
	if rec.Time.IsZero() {
		rec.Time = l.cfg.Now()
	}
	l.chain.mu.Lock()
	// Ids and times grow together, so that a span of time is a span of ids. A
	// clock that was set back has to catch up first.
	n := line{id: l.chain.id + 1, at: max(rec.Time.UnixMicro(), l.chain.at)}
	l.chain.id, l.chain.at = n.id, n.at
	l.chain.mu.Unlock()
	n.actor, n.entity, n.key, n.action, n.outcome = cut(rec.actor()), rec.Entity, cut(rec.row()), rec.Action, string(rec.Outcome)

	sc := scratches.Get().(*scratch) //nolint:forcetypeassert // the pool holds nothing else
	defer sc.release()
	if err := l.encode(tx, &rec, &n, sc); err != nil {
		return err
	}
	n.hash, sc.more = n.sum(sc.more)
	sc.args = [9]value.Value{
		value.OfInt(n.at), text(n.actor), text(n.entity), text(n.key), value.OfText(n.action), value.OfText(n.outcome),
		value.OfText(n.body), value.OfBytes(string(n.hash[:])), value.OfInt(n.id),
	}
	if !l.atOnce {
		_, err := tx.Exec(l.st.insert, sc.args[:8])
		return err
	}
	_, err := tx.Exec(l.st.insertAs, sc.args[:])
	if fault.Is(err, fault.Unique) { // somebody put a row there by hand: it stays outside the chain
		l.cfg.Log.Error("a record of the audit trail is there that this node did not write", "record", n.id)
		if n.id, err = l.passNewest(tx); err == nil {
			sc.args[8] = value.OfInt(n.id)
			_, err = tx.Exec(l.st.insertAs, sc.args[:])
		}
	}
	if err != nil {
		return err
	}
	l.chain.mu.Lock()
	l.chain.fresh = append(l.chain.fresh, member64{n.id, n.hash})
	l.chain.mu.Unlock()
	return nil
}

// passNewest returns an id behind every row that is there.
func (l *Log) passNewest(r store.Reader) (id int64, err error) {
	err = r.Query(l.st.newest, nil, func(row store.Row) error {
		l.chain.mu.Lock()
		id = max(l.chain.id, row.Int(0)) + 1
		l.chain.id = id
		l.chain.mu.Unlock()
		return nil
	})
	return id, err
}

// encode writes the body with its encrypted members.
func (l *Log) encode(tx store.Tx, r *Record, n *line, sc *scratch) error {
	subject := r.subject()
	sc.body = r.appendPlain(sc.body[:0], subject)
	if sc.plain = r.appendSecret(sc.plain[:0]); len(sc.plain) > 0 {
		if err := l.hide(tx, n, subject, sc); err != nil {
			return err
		}
		sc.body = memberBytes(sc.body, "personal", sc.sealed)
	}
	for i := range r.Values {
		v := &r.Values[i]
		owner := v.Subject
		if owner == "" {
			owner = subject
		}
		sc.plain = append(sc.plain[:0], v.Data...)
		if err := l.hide(tx, n, owner, sc); err != nil {
			return err
		}
		if i == 0 {
			sc.body = append(sc.body, `,"values":[{"v":1`...)
		} else {
			sc.body = append(sc.body, `,{"v":1`...)
		}
		if owner != subject {
			sc.body = member(sc.body, "subject", owner)
		}
		sc.body = append(memberBytes(member(sc.body, "key", v.Key), "data", sc.sealed), '}')
	}
	if len(r.Values) > 0 {
		sc.body = append(sc.body, ']')
	}
	n.body = string(append(sc.body, '}'))
	return nil
}

// hide encrypts sc.plain into sc.sealed.
func (l *Log) hide(tx store.Tx, n *line, subject string, sc *scratch) error {
	k, err := l.dataKey(tx, subject)
	if err != nil {
		return err
	}
	sc.more = n.additional(sc.more, subject)
	sc.sealed, err = k.seal(sc.sealed[:0], sc.plain, sc.more, l.cfg.Random)
	return err
}

func (sc *scratch) release() {
	clear(sc.args[:])
	clear(sc.plain)
	if cap(sc.body) <= 64<<10 && cap(sc.plain) <= 64<<10 {
		scratches.Put(sc)
	}
}

// Write appends a record in a transaction of its own and returns when it is on
// disk. The end of ctx does not keep the record from being written: what it
// tells of has happened.
func (l *Log) Write(ctx context.Context, r *Record) error {
	return l.driver.Write(context.WithoutCancel(ctx), func(tx store.Tx) error { return l.Append(tx, r) })
}
