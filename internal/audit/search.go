package audit

import (
	"context"
	"math"
	"strings"
	"sync"
	"time"

	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/store"
	"github.com/pandobase/pando/internal/value"
)

// The bounds of one page.
const (
	DefaultLimit = 100
	MaxLimit     = 1000
	maxScan      = 50_000 // records that one page looks at
)

// Query chooses records. Its zero value chooses all of them.
type Query struct {
	Actor   string // a user's id, or an API key's where no user acted
	Entity  string // module.entity
	Key     string // the primary key of a row that a record names alone
	Action  string // exactly, or with * at its end all that begin so
	Outcome Outcome
	Door    string
	From    time.Time // not before
	To      time.Time // before
	// Before bounds the ids, for the page after; zero: none.
	Before int64
	Limit  int // default DefaultLimit, at most MaxLimit
}

// Fault tells what is wrong with the query; nil: nothing.
func (q *Query) Fault() error {
	switch {
	case q.Limit < 0 || q.Limit > MaxLimit:
		return fault.New(fault.BadRequest, "limit is %d", q.Limit).WithHint("it is at least 1 and at most %d", MaxLimit)
	case q.Before < 0:
		return fault.New(fault.BadRequest, "before is %d", q.Before).WithHint("it is the id of a record: the pages go on with `next`")
	case q.Outcome != "" && q.Outcome != Allowed && q.Outcome != Denied:
		return fault.New(fault.BadRequest, "there is no outcome %q", string(q.Outcome)).WithHint("it is %s or %s", Allowed, Denied)
	case !q.From.IsZero() && !q.To.IsZero() && q.To.Before(q.From):
		return fault.New(fault.BadRequest, "to lies before from")
	case q.Key != "" && q.Entity == "":
		return fault.New(fault.BadRequest, "a key without its entity").WithHint("say of which entity: entity=shop.orders")
	}
	return nil
}

// Page is an answer, newest first.
type Page struct {
	Records []*Record `json:"records"`
	// Next is the Before of the page after; zero: there is none. A page that
	// looked at many records that do not match may have fewer than asked for.
	Next int64 `json:"next,omitempty"`
}

// Search answers the newest records that match, with their personal values
// where the keys are still there.
func (l *Log) Search(ctx context.Context, q Query) (*Page, error) {
	if err := q.Fault(); err != nil {
		return nil, err
	}
	if q.Limit == 0 {
		q.Limit = DefaultLimit
	}
	page := &Page{Records: []*Record{}}
	err := l.driver.Read(ctx, true, func(r store.Reader) error {
		lo, hi, err := l.span(r, &q)
		if err != nil {
			return err
		}
		if q.Before > 0 {
			hi = min(hi, q.Before)
		}
		opener := l.opener(r)
		for seen := 0; len(page.Records) < q.Limit; {
			n, err := l.scan(r, &q, lo, hi, true, opener, func(rec *Record) bool {
				page.Records = append(page.Records, rec)
				return len(page.Records) < q.Limit
			})
			if err != nil {
				return err
			}
			if hi, seen = n.last, seen+n.rows; n.end {
				return nil
			}
			if seen >= maxScan {
				break
			}
		}
		page.Next = hi
		return nil
	})
	return page, err
}

// Get answers one record.
func (l *Log) Get(ctx context.Context, id int64) (rec *Record, err error) {
	err = l.driver.Read(ctx, true, func(r store.Reader) error {
		var n *line
		err := r.Query(l.st.record, []value.Value{value.OfInt(id)}, func(row store.Row) error {
			n = readLine(row)
			return nil
		})
		if err != nil {
			return err
		}
		if n == nil {
			return fault.New(fault.NotFound, "there is no audit record %d", id)
		}
		rec = n.record(l.opener(r))
		return nil
	})
	return rec, err
}

// Each calls fn with every record that matches, oldest first, and ends with its
// error. Limit and Before do not count. Records that are added meanwhile may be
// among them.
func (l *Log) Each(ctx context.Context, q Query, fn func(*Record) error) error {
	q.Limit, q.Before = 0, 0
	if err := q.Fault(); err != nil {
		return err
	}
	lo, hi := int64(-1), int64(math.MaxInt64)
	for first := true; ; first = false {
		var batch []*Record
		var n scanned
		err := l.driver.Read(ctx, true, func(r store.Reader) error {
			var err error
			if first {
				if lo, hi, err = l.span(r, &q); err != nil {
					return err
				}
			}
			n, err = l.scan(r, &q, lo, hi, false, l.opener(r), func(rec *Record) bool {
				batch = append(batch, rec)
				return true
			})
			return err
		})
		if err != nil {
			return err
		}
		for _, rec := range batch { // without a reader: fn may be as slow as a client
			if err := fn(rec); err != nil {
				return err
			}
		}
		if n.end {
			return nil
		}
		lo = n.last
	}
}

// span turns a query's times into ids, between which (neither of them
// included) its records lie.
func (l *Log) span(r store.Reader, q *Query) (lo, hi int64, err error) {
	lo, hi = -1, math.MaxInt64
	if !q.From.IsZero() {
		if lo, err = l.since(r, q.From.UnixMicro()); err != nil {
			return 0, 0, err
		}
		lo--
	}
	if !q.To.IsZero() {
		hi, err = l.since(r, q.To.UnixMicro())
	}
	return lo, hi, err
}

// since is the least id at or behind which every record is of the time or
// later: times grow with the ids.
func (l *Log) since(r store.Reader, at int64) (int64, error) {
	var newest int64
	err := r.Query(l.st.newest, nil, func(row store.Row) error { newest = row.Int(0); return nil })
	if err != nil {
		return 0, err
	}
	lo, hi := int64(0), newest+1 // the answer lies in [lo, hi]
	for lo < hi {
		mid := lo + (hi-lo)/2
		id, t := newest+1, int64(math.MaxInt64)
		err := r.Query(l.st.firstSince, []value.Value{value.OfInt(mid)}, func(row store.Row) error {
			id, t = row.Int(0), row.Int(1)
			return nil
		})
		if err != nil {
			return 0, err
		}
		if t >= at {
			hi = mid
		} else {
			lo = id + 1
		}
	}
	return lo, nil
}

// scanned is how far a scan came.
type scanned struct {
	last int64 // the id that was looked at last
	rows int
	end  bool // there is nothing further
}

// scan looks at up to MaxLimit records between lo and hi and gives those that
// match to take, until it returns false.
func (l *Log) scan(r store.Reader, q *Query, lo, hi int64, down bool, opener opener, take func(*Record) bool) (scanned, error) {
	out := scanned{last: hi}
	var lines []*line
	st, args := l.finder(q, down)
	args = append([]value.Value{value.OfInt(lo), value.OfInt(hi)}, args...)
	args = append(args, value.OfInt(MaxLimit))
	err := r.Query(st, args, func(row store.Row) error {
		lines = append(lines, readLine(row))
		return nil
	})
	if err != nil {
		return out, err
	}
	out.end = len(lines) < MaxLimit
	for i, n := range lines {
		rec := n.record(opener)
		out.last, out.rows = n.id, i+1
		if q.Door != "" && rec.Door != q.Door {
			continue
		}
		if !take(rec) {
			out.end = out.end && i == len(lines)-1
			break
		}
	}
	return out, nil
}

// finders are the statements of searches, one for each set of filters.
type finders struct {
	mu sync.Mutex
	by map[string]*store.Statement
}

// finder returns the statement of a query and its parameters between the ids
// and the limit.
func (l *Log) finder(q *Query, down bool) (*store.Statement, []value.Value) {
	var where strings.Builder
	var args []value.Value
	add := func(cond string, vs ...value.Value) {
		where.WriteString(" AND " + cond)
		args = append(args, vs...)
	}
	if q.Actor != "" {
		add(`"actor"=?`, value.OfText(q.Actor))
	}
	if q.Entity != "" {
		add(`"entity"=?`, value.OfText(q.Entity))
	}
	if q.Key != "" {
		add(`"key"=?`, value.OfText(q.Key))
	}
	if prefix, ok := strings.CutSuffix(q.Action, "*"); ok {
		add(`"action">=? AND "action"<?`, value.OfText(prefix), value.OfText(prefix+"\U0010FFFF"))
	} else if q.Action != "" {
		add(`"action"=?`, value.OfText(q.Action))
	}
	if q.Outcome != "" {
		add(`"outcome"=?`, value.OfText(string(q.Outcome)))
	}
	order := ""
	if down {
		order = " DESC"
	}
	text := `SELECT "id",` + columns + ` FROM "pando_audit" WHERE "id">? AND "id"<?` + where.String() + ` ORDER BY "id"` + order + ` LIMIT ?`
	l.finders.mu.Lock()
	defer l.finders.mu.Unlock()
	st := l.finders.by[text]
	if st == nil {
		st = statement(l.driver.Dialect(), text)
		if l.finders.by == nil {
			l.finders.by = map[string]*store.Statement{}
		}
		l.finders.by[text] = st
	}
	return st, args
}

func readLine(row store.Row) *line {
	s := func(i int) string { return string(row.Append(nil, i)) }
	n := &line{id: row.Int(0), at: row.Int(1), actor: s(2), entity: s(3), key: s(4), action: s(5), outcome: s(6), body: s(7)}
	copy(n.hash[:], row.Append(nil, 8))
	return n
}

// opener decrypts a subject's value; false: its key is gone.
type opener func(subject string, sealed, additional []byte) ([]byte, bool)

// opener looks keys up in the store and nowhere else: what was erased is gone
// at once.
func (l *Log) opener(r store.Reader) opener {
	keys := map[string]*dataKey{}
	return func(subject string, sealed, additional []byte) ([]byte, bool) {
		k, ok := keys[subject]
		if !ok {
			var err error
			if k, err = l.readKey(r, subject); err != nil {
				l.cfg.Log.Warn("a key of the audit trail cannot be opened", "error", err)
			}
			keys[subject] = k
		}
		if k == nil {
			return nil, false
		}
		return k.open(sealed, additional)
	}
}
