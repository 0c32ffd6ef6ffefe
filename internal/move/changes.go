package move

import (
	"context"
	"encoding/json"
	"strconv"

	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/store"
	"github.com/pandobase/pando/internal/value"
)

const (
	keysAtOnce = 500   // in one statement
	logAtOnce  = 5_000 // entries that are removed in one transaction
)

// batch is what a read of the log found: the keys that have changed, and the
// rows that they have now.
type batch struct {
	seqs   []value.Value
	tables []*tableBatch
	keys   int
}

type tableBatch struct {
	t    *table
	keys [][]value.Value
	rows [][]value.Value
}

// flow is a direction in which changes are brought along.
type flow struct {
	from, to store.Mover
	src, dst store.MoveDialect
	tables   []*table
	// read and written are the sides of a table.
	read, written func(*table) *side
}

// there is the flow of a move, back that of its undoing.
func (r *run) there() *flow {
	return &flow{r.from, r.to, r.src, r.dst, r.tables, func(t *table) *side { return &t.src }, func(t *table) *side { return &t.dst }}
}

func (r *run) back() *flow {
	return &flow{r.to, r.from, r.dst, r.src, r.tables, func(t *table) *side { return &t.dst }, func(t *table) *side { return &t.src }}
}

// drain brings along what the log holds, at most limit entries (0: all),
// compares the rows, and removes the entries. With all of it the target is in
// the state that the source had at one moment. Bringing a key along twice is the
// same as once, so that a stop between the two loses nothing.
func (f *flow) drain(ctx context.Context, limit int64) (*batch, error) {
	var b *batch
	err := f.from.Read(ctx, true, func(rd store.Reader) (err error) {
		b, err = f.readLog(rd, limit)
		return err
	})
	if err == nil {
		err = f.apply(ctx, b)
	}
	if err == nil {
		err = f.compareKeys(ctx, b)
	}
	if err == nil {
		err = f.forget(ctx, b)
	}
	return b, err
}

// readLog reads the log and the rows that it names, in one snapshot.
func (f *flow) readLog(rd store.Reader, limit int64) (*batch, error) {
	byNumber := map[int]*table{}
	for _, t := range f.tables {
		byNumber[t.n] = t
	}
	st := &store.Statement{SQL: `SELECT "seq","tbl","key" FROM "pando_changes"`}
	if limit > 0 {
		st.SQL += ` ORDER BY "seq" LIMIT ` + strconv.FormatInt(limit, 10)
	}
	b := &batch{}
	found, seen := map[*table]*tableBatch{}, map[string]bool{}
	err := rd.Query(st, nil, func(row store.Row) error {
		b.seqs = append(b.seqs, value.OfInt(row.Int(0)))
		t := byNumber[int(row.Int(1))]
		if t == nil {
			return otherTables()
		}
		text := string(row.Append(nil, 2))
		mark := strconv.Itoa(t.n) + text
		if seen[mark] {
			return nil
		}
		seen[mark] = true
		key, err := t.parseKey(text)
		if err != nil {
			return err
		}
		if found[t] == nil {
			found[t] = &tableBatch{t: t}
		}
		found[t].keys = append(found[t].keys, key)
		b.keys++
		return nil
	})
	if err != nil {
		return nil, err
	}
	for _, t := range f.tables { // what is referred to first
		tb := found[t]
		if tb == nil {
			continue
		}
		b.tables = append(b.tables, tb)
		if err := f.read(t).rowsOf(rd, t, tb.keys, func(row []value.Value) { tb.rows = append(tb.rows, row) }); err != nil {
			return nil, err
		}
	}
	return b, nil
}

// rowsOf reads the rows of keys; those that are not there are left out.
func (s *side) rowsOf(rd store.Reader, t *table, keys [][]value.Value, each func([]value.Value)) error {
	return s.overKeys(keys, s.byKeys, s.byKey, func(st *store.Statement, args []value.Value) error {
		return rd.Query(st, args, func(row store.Row) error {
			each(t.rowOf(row))
			return nil
		})
	})
}

// overKeys runs a statement over keys: many at once where a key is one column.
func (s *side) overKeys(keys [][]value.Value, many, one *store.Statement, do func(*store.Statement, []value.Value) error) error {
	if many == nil {
		for _, key := range keys {
			if err := do(one, key); err != nil {
				return err
			}
		}
		return nil
	}
	for len(keys) > 0 {
		n := min(len(keys), keysAtOnce)
		list := make([]value.Value, n)
		for i, key := range keys[:n] {
			list[i] = key[0]
		}
		if err := do(many, []value.Value{s.d.ListParam(list)}); err != nil {
			return err
		}
		keys = keys[n:]
	}
	return nil
}

// apply makes the target's rows of the keys what the source's are. All rows go
// before any comes: two rows may have exchanged a unique value.
func (f *flow) apply(ctx context.Context, b *batch) error {
	if b.keys == 0 {
		return nil
	}
	return f.to.Unlinked(ctx, func(tx store.MoveTx) error {
		for _, tb := range b.tables {
			if tb.t.AddOnly {
				continue
			}
			s := f.written(tb.t)
			err := s.overKeys(tb.keys, s.dropKeys, s.dropKey, func(st *store.Statement, args []value.Value) error {
				_, err := tx.Exec(st, args)
				return err
			})
			if err != nil {
				return err
			}
		}
		for _, tb := range b.tables {
			if len(tb.rows) == 0 {
				continue
			}
			if _, err := tx.Load(tb.t.StoredTable, each(tb.rows)); err != nil {
				return err
			}
		}
		return nil
	})
}

// forget removes the entries of a batch from the log. Entries are named one by
// one: a transaction that began earlier may commit a lower one later.
func (f *flow) forget(ctx context.Context, b *batch) error {
	drop := &store.Statement{SQL: `DELETE FROM "pando_changes" WHERE ` + f.src.InList(value.Type{Kind: value.Int}, `"seq"`, f.src.Param(1))}
	for seqs := b.seqs; len(seqs) > 0; {
		n := min(len(seqs), logAtOnce)
		err := f.from.Write(ctx, func(tx store.Tx) error {
			_, err := tx.Exec(drop, []value.Value{f.src.ListParam(seqs[:n])})
			return err
		})
		if err != nil {
			return err
		}
		seqs = seqs[n:]
	}
	return nil
}

// waiting counts the entries of the log.
func (f *flow) waiting(ctx context.Context) (n int64, err error) {
	err = f.from.Read(ctx, false, func(rd store.Reader) error {
		return rd.Query(&store.Statement{SQL: `SELECT count(*) FROM "pando_changes"`}, nil, func(row store.Row) error {
			n = row.Int(0)
			return nil
		})
	})
	return n, err
}

// parseKey reads a key of the log.
func (t *table) parseKey(text string) ([]value.Value, error) {
	var parts []string
	if err := json.Unmarshal([]byte(text), &parts); err != nil || len(parts) != len(t.Key) {
		return nil, fault.New(fault.StoreIO, "the log of changes is damaged").WithDetails("a key of %s", t.Name)
	}
	out := make([]value.Value, len(parts))
	for i, k := range t.Key {
		v, err := keyValue(t.Columns[k].Type, parts[i])
		if err != nil {
			return nil, fault.Wrap(err, fault.StoreIO, "the log of changes is damaged").WithDetails("a key of %s", t.Name)
		}
		out[i] = v
	}
	return out, nil
}

// keyValue reads a database's text of a value.
func keyValue(t value.Type, s string) (value.Value, error) {
	switch t.Kind { //nolint:exhaustive // the others are what they are
	case value.Int, value.Decimal:
		n, err := strconv.ParseInt(s, 10, 64)
		return value.OfInt(n), err
	case value.Bool:
		return value.OfBool(s == "1" || s == "t" || s == "true"), nil
	case value.Timestamp:
		return value.Type{Kind: value.Timestamp}.FromText(s)
	}
	return value.OfText(s), nil
}
