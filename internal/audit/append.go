package audit

import (
	"bytes"
	"context"
	"strings"
	"unicode/utf8"

	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/store"
	"github.com/pandobase/pando/internal/value"
)

// entry is a record on its way to the commit of its transaction. There it gets
// its id and its time, which grow together, and the personal values are hidden:
// what they are hidden with is bound to the time.
type entry struct {
	line           // but for id, at, body and hash
	time    int64  // at which it was appended
	subject string // whose key hides the personal values
	plain   []byte // the body's members that are not hidden
	secret  []byte // the personal ones
	values  []rowValues
}

// rowValues are the new values of one row, still in plain text.
type rowValues struct {
	owner, key string
	data       []byte
}

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
	e := &entry{time: rec.Time.UnixMicro(), subject: storable(rec.subject())}
	e.actor, e.entity, e.key = storable(cut(rec.actor())), storable(rec.Entity), storable(cut(rec.row()))
	e.action, e.outcome = storable(rec.Action), storable(string(rec.Outcome))
	e.plain = rec.appendPlain(make([]byte, 0, 512), e.subject)
	e.secret = rec.appendSecret(nil)
	for i := range rec.Values {
		v := &rec.Values[i]
		owner := e.subject
		if v.Subject != "" {
			owner = storable(v.Subject)
		}
		e.values = append(e.values, rowValues{owner, strings.Clone(v.Key), bytes.Clone(v.Data)})
	}
	if err := l.tryKeys(tx, e); err != nil {
		return err
	}
	tx.Keep(e)
	return nil
}

// storable is a text as every store takes it.
func storable(s string) string {
	if utf8.ValidString(s) && strings.IndexByte(s, 0) < 0 {
		return s
	}
	return strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\x00", "\uFFFD")
}

// tryKeys sees to it that a key which cannot be opened fails the write that asks
// for it, and not all that share its commit.
func (l *Log) tryKeys(r store.Reader, e *entry) error {
	try := func(subject string) error {
		if l.subjects.get(subject) != nil {
			return nil
		}
		_, err := l.readKey(r, subject)
		return err
	}
	if len(e.secret) > 0 {
		if err := try(e.subject); err != nil {
			return err
		}
	}
	for i := range e.values {
		if err := try(e.values[i].owner); err != nil {
			return err
		}
	}
	return nil
}

// complete hides what is personal, now that the id and the time are known, and
// computes the hash. scratch is memory to use.
func (l *Log) complete(tx store.Tx, e *entry, scratch []byte) ([]byte, error) {
	body := e.plain
	var sealed []byte
	hide := func(subject string, plain []byte) error {
		k, err := l.dataKey(tx, subject)
		if err != nil {
			return err
		}
		scratch = e.additional(scratch, subject)
		sealed, err = k.seal(sealed[:0], plain, scratch, l.cfg.Random)
		return err
	}
	if len(e.secret) > 0 {
		if err := hide(e.subject, e.secret); err != nil {
			return scratch, err
		}
		body = memberBytes(body, "personal", sealed)
	}
	for i := range e.values {
		v := &e.values[i]
		if err := hide(v.owner, v.data); err != nil {
			return scratch, err
		}
		if i == 0 {
			body = append(body, `,"values":[{"v":1`...)
		} else {
			body = append(body, `,{"v":1`...)
		}
		if v.owner != e.subject {
			body = memberWhole(body, "subject", v.owner)
		}
		body = append(memberBytes(member(body, "key", v.key), "data", sealed), '}')
	}
	if len(e.values) > 0 {
		body = append(body, ']')
	}
	e.body = string(append(body, '}'))
	e.hash, scratch = e.sum(scratch)
	return scratch, nil
}

// insertSizes are the numbers of records that one statement inserts.
var insertSizes = [...]int{64, 16, 4, 1} //nolint:gochecknoglobals // a constant

// insertWidth is the number of a record's columns.
const insertWidth = 9

func insertStatements(d store.Dialect) (out [len(insertSizes)]*store.Statement) {
	const row = `(?,?,?,?,?,?,?,?,?)`
	for i, n := range insertSizes {
		out[i] = statement(d, `INSERT INTO "pando_audit" ("id",`+columns+`) VALUES `+strings.Repeat(row+",", n-1)+row)
	}
	return out
}

// insert stores completed records.
func (l *Log) insert(tx store.Tx, list []*entry) error {
	args := make([]value.Value, 0, insertWidth*min(len(list), insertSizes[0]))
	for len(list) > 0 {
		size := 0
		for insertSizes[size] > len(list) {
			size++
		}
		args = args[:0]
		for _, e := range list[:insertSizes[size]] {
			args = append(args, value.OfInt(e.id), value.OfInt(e.at), text(e.actor), text(e.entity), text(e.key),
				value.OfText(e.action), value.OfText(e.outcome), value.OfText(e.body), value.OfBytes(string(e.hash[:])))
		}
		if _, err := tx.Exec(l.st.inserts[size], args); err != nil {
			return err
		}
		list = list[insertSizes[size]:]
	}
	return nil
}

// Write appends a record in a transaction of its own and returns when it is on
// disk. The end of ctx does not keep the record from being written: what it
// tells of has happened.
func (l *Log) Write(ctx context.Context, r *Record) error {
	return l.driver.Write(context.WithoutCancel(ctx), func(tx store.Tx) error { return l.Append(tx, r) })
}
