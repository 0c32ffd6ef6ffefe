package postgres

import (
	"context"
	"strconv"
	"strings"
	"time"

	"github.com/pandobase/pando/internal/store"
)

// A backfill holds the locks of one batch's rows: its size follows the time
// that the last one took.
const (
	firstBatch = 100
	minBatch   = 20
	maxBatch   = 20_000
	batchTime  = 25 * time.Millisecond
	// tellEvery is how often the progress is told.
	tellEvery = 200 * time.Millisecond
)

// backfill walks the table by its key and writes the rows that need it, each
// batch in a transaction of its own. One that begins anew passes over the rows
// that were written before. Nothing is lost when the machine stops before a
// batch is on disk: the transaction behind the stage is later in the log.
func (c *conn) backfill(ctx context.Context, title string, f *fill, told func(store.StageProgress)) error {
	w := walk{keys: keyColumns(f.table), table: tableName(f.table)}
	size, done, last := firstBatch, int64(0), time.Now()
	for more := true; more; {
		var upper []string
		began := time.Now()
		err := patiently(ctx, told, func() error {
			began = time.Now()
			return c.briefly(ctx, "BEGIN; SET LOCAL synchronous_commit=off", func() error { return nil }, func(tx store.Tx) (err error) {
				if upper, err = w.ahead(tx, size); err != nil {
					return err
				}
				return f.batch(tx, &w, upper)
			})
		})
		if err != nil {
			return err
		}
		more = upper != nil
		w.lower = upper
		if more {
			done += int64(size)
		}
		size = nextSize(size, time.Since(began))
		if time.Since(last) > tellEvery || !more {
			last = time.Now()
			total := max(f.rows, done)
			if !more {
				done = total
			}
			told(store.StageProgress{Title: title, Done: done, Total: total})
		}
	}
	return nil
}

func nextSize(size int, took time.Duration) int {
	next := int(float64(size) * float64(batchTime) / float64(max(took, time.Millisecond)))
	return min(max(next, size/4, minBatch), 2*size, maxBatch)
}

// walk is a way through a table in the order of its key.
type walk struct {
	table string
	keys  []store.Column
	lower []string // the texts of the last key that is behind; nil at the start
}

func (w *walk) names() string {
	return joinEachColumn(w.keys, func(c store.Column) string { return quote(c.Name) })
}

func joinEachColumn(columns []store.Column, write func(store.Column) string) string {
	out := make([]string, len(columns))
	for i, c := range columns {
		out[i] = write(c)
	}
	return strings.Join(out, ", ")
}

// key is a key's values as literals of their types.
func (w *walk) key(texts []string) string {
	out := make([]string, len(texts))
	for i, text := range texts {
		out[i] = literal(text) + "::" + columnType(w.keys[i])
	}
	return "(" + strings.Join(out, ", ") + ")"
}

// within is the condition for the keys behind lower, up to upper.
func (w *walk) within(upper []string) string {
	sql := ""
	if w.lower != nil {
		sql += "(" + w.names() + ") > " + w.key(w.lower) + " AND "
	}
	if upper != nil {
		sql += "(" + w.names() + ") <= " + w.key(upper) + " AND "
	}
	return sql
}

// ahead is the key so many rows ahead; nil: there are not as many.
func (w *walk) ahead(tx store.Tx, size int) (upper []string, err error) {
	// The names are the table's: an order by a name alone is one by the text
	// that the query answers under it.
	sql := "SELECT " + joinEachColumn(w.keys, func(c store.Column) string { return quote(c.Name) + "::text" }) + " FROM " + w.table +
		" AS t WHERE " + w.within(nil) + "true ORDER BY " + joinEachColumn(w.keys, func(c store.Column) string { return "t." + quote(c.Name) }) + " OFFSET " + strconv.Itoa(size-1) + " LIMIT 1"
	err = once(tx, sql, func(row store.Row) error {
		for i := range w.keys {
			upper = append(upper, string(row.Append(nil, i)))
		}
		return nil
	})
	return upper, err
}

// once runs a query whose text will not come again.
func once(tx store.Reader, sql string, each func(store.Row) error) error {
	return tx.Query(&store.Statement{SQL: sql}, nil, each)
}

// batch writes the rows of a range.
func (f *fill) batch(tx store.Tx, w *walk, upper []string) error {
	within := w.within(upper)
	if len(f.tokens) == 0 {
		_, err := tx.Exec(&store.Statement{SQL: f.update(within)}, nil)
		return err
	}
	n := len(w.keys)
	var rows []string
	sql := "SELECT " + joinEachColumn(w.keys, func(c store.Column) string { return quote(c.Name) + "::text" }) + ", " + joinAll(f.tokens, quote) +
		" FROM " + w.table + " WHERE " + within + "(" + f.where + ") FOR NO KEY UPDATE"
	err := once(tx, sql, func(row store.Row) error {
		vals := make([]string, 0, n+len(f.tokens))
		for i := range w.keys {
			vals = append(vals, literal(string(row.Append(nil, i)))+"::"+columnType(w.keys[i]))
		}
		for i := range f.tokens {
			tokens := "NULL"
			if !row.Null(n + i) {
				tokens = literal(tokensOf(string(row.Append(nil, n+i))))
			}
			vals = append(vals, tokens+"::tsvector")
		}
		rows = append(rows, "("+strings.Join(vals, ", ")+")")
		return nil
	})
	if err != nil || len(rows) == 0 {
		return err
	}
	var set, same, names []string
	for i, k := range w.keys {
		name := "k" + strconv.Itoa(i)
		names = append(names, name)
		same = append(same, "t."+quote(k.Name)+"=v."+name)
	}
	for i, field := range f.tokens {
		name := "w" + strconv.Itoa(i)
		names = append(names, name)
		set = append(set, tokensColumn(field)+"=v."+name)
	}
	_, err = tx.Exec(&store.Statement{SQL: "UPDATE " + w.table + " AS t SET " + strings.Join(set, ", ") + " FROM (VALUES " + strings.Join(rows, ", ") +
		") AS v(" + strings.Join(names, ", ") + ") WHERE " + strings.Join(same, " AND ")}, nil)
	return err
}
