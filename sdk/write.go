package pando

import (
	"encoding/json"
	"slices"

	"github.com/pandobase/pando/internal/engine"
	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/query"
)

// Insert is a new row of T: the struct TInsert that `pando gen go` writes. Fields
// that are left out get their defaults.
type Insert[T Entity] interface {
	// PandoInsert only says what the rows are.
	PandoInsert(T)
}

// Patch is what changes in rows of T: the struct TPatch that `pando gen go` writes.
type Patch[T Entity] interface {
	// PandoPatch only says what the rows are.
	PandoPatch(T)
}

// Insert writes a new row and returns it as it is stored. If the caller may not read
// the row afterwards, it is not written.
func (r Rows[T]) Insert(row Insert[T]) (T, error) {
	return r.insertOne(row, query.Conflict{})
}

// Upsert writes a new row, or changes the one that has the same values in the fields
// of a unique key; without fields, the same primary key. What the row leaves out
// stays.
func (r Rows[T]) Upsert(row Insert[T], unique ...string) (T, error) {
	return r.insertOne(row, query.Conflict{Resolution: query.Merge, Fields: unique})
}

func (r *Rows[T]) insertOne(row any, conflict query.Conflict) (T, error) {
	var none T
	w := query.Write{Action: query.Create, Conflict: conflict, Returning: &query.Node{Select: r.node.Select}, Singular: true}
	cells, err := r.cells(&w, row)
	if err != nil {
		return none, err
	}
	w.Rows = [][]query.Cell{cells}
	res, err := r.write(&w)
	if err != nil {
		return none, err
	}
	defer res.Release()
	out, _, err := decodeOne[T](res.Body)
	return out, err
}

// InsertAll writes new rows, all or none, and returns those that the caller may
// read, in their order: pando.InsertAll(pando.From[shop.Line](ctx), lines).
func InsertAll[T Entity, I Insert[T]](into Rows[T], rows []I) ([]T, error) {
	return insertAll(&into, rows, query.Conflict{})
}

// UpsertAll does with many rows what [Rows.Upsert] does with one.
func UpsertAll[T Entity, I Insert[T]](into Rows[T], rows []I, unique ...string) ([]T, error) {
	return insertAll(&into, rows, query.Conflict{Resolution: query.Merge, Fields: unique})
}

func insertAll[T Entity, I Insert[T]](into *Rows[T], rows []I, conflict query.Conflict) ([]T, error) {
	if len(rows) == 0 {
		return nil, into.err
	}
	w := query.Write{Action: query.Create, Conflict: conflict, Returning: &query.Node{Select: into.node.Select}, Rows: make([][]query.Cell, len(rows))}
	for i := range rows {
		var err error
		if w.Rows[i], err = into.cells(&w, rows[i]); err != nil {
			return nil, err
		}
	}
	for i := range w.Rows { // a later row may have had more columns
		w.Rows[i] = append(w.Rows[i], make([]query.Cell, len(w.Columns)-len(w.Rows[i]))...)
	}
	res, err := into.write(&w)
	if err != nil {
		return nil, err
	}
	defer res.Release()
	return decode[T](res.Body, res.Rows)
}

// Update changes the row of a primary key, if the conditions hold for it, and
// returns it as it is stored; the error is of kind [NotFound] where there is none that
// the caller may change.
func (r Rows[T]) Update(key any, change Patch[T]) (T, error) {
	var none T
	one, err := r.keyed(key)
	if err != nil {
		return none, err
	}
	w := query.Write{Action: query.Update, Where: one.node.Where, Returning: &query.Node{Select: r.node.Select}, Singular: true}
	cells, err := r.cells(&w, change)
	if err != nil {
		return none, err
	}
	if len(cells) == 0 { // nothing changes
		return one.Get(key)
	}
	w.Rows = [][]query.Cell{cells}
	res, err := one.write(&w)
	if err != nil {
		return none, r.missed(err, key)
	}
	defer res.Release()
	out, found, err := decodeOne[T](res.Body)
	if err == nil && !found {
		err = r.notFound(key)
	}
	return out, err
}

// missed is the error of a change of one row that did not find it.
func (r *Rows[T]) missed(err error, key any) error {
	if fault.Is(err, fault.NotSingular) {
		return r.notFound(key)
	}
	return err
}

// UpdateAll changes all of the rows, and returns how many those were. Without a
// condition it is refused: to mean every row, say so with [NotNull] of the primary key.
func (r Rows[T]) UpdateAll(change Patch[T]) (int, error) {
	w := query.Write{Action: query.Update, Where: r.node.Where, Order: r.node.Order, Page: r.node.Page, Embedded: r.embedded()}
	cells, err := r.cells(&w, change)
	if err != nil || len(cells) == 0 {
		return 0, err
	}
	w.Rows = [][]query.Cell{cells}
	return r.affect(&w)
}

// Delete deletes the row of a primary key, if the conditions hold for it; the error
// is of kind [NotFound] where there is none that the caller may delete.
func (r Rows[T]) Delete(key any) error {
	one, err := r.keyed(key)
	if err != nil {
		return err
	}
	_, err = one.affect(&query.Write{Action: query.Delete, Where: one.node.Where, Singular: true})
	return r.missed(err, key)
}

// DeleteAll deletes all of the rows, and returns how many those were. Without a
// condition it is refused, as in [Rows.UpdateAll].
func (r Rows[T]) DeleteAll() (int, error) {
	return r.affect(&query.Write{Action: query.Delete, Where: r.node.Where, Order: r.node.Order, Page: r.node.Page, Embedded: r.embedded()})
}

// embedded is the node whose relations conditions may name.
func (r *Rows[T]) embedded() *query.Node {
	if r.node.Select == nil {
		return nil
	}
	return &query.Node{Select: r.node.Select}
}

func (r *Rows[T]) affect(w *query.Write) (int, error) {
	res, err := r.write(w)
	if err != nil {
		return 0, err
	}
	defer res.Release()
	return res.Rows, nil
}

func (r *Rows[T]) write(w *query.Write) (*engine.Result, error) {
	a, err := acting(r.ctx)
	if err != nil {
		return nil, err
	}
	if r.err != nil {
		return nil, r.err
	}
	w.Target = r.target
	res, err := a.Write(r.ctx, a.service, w)
	return res, told(err)
}

// cells are the values of a row, in the columns of the write; it adds those that
// the write does not have yet.
func (r *Rows[T]) cells(w *query.Write, row any) ([]query.Cell, error) {
	raw, err := json.Marshal(row)
	if err != nil {
		return nil, &Error{Code: string(fault.InvalidText), Status: fault.InvalidText.Status(), Message: "the row cannot be written", Details: err.Error(), cause: err}
	}
	cells := make([]query.Cell, len(w.Columns), max(len(w.Columns), 8))
	text, at := string(raw), 0 // the values share its memory
	for name, val := range members(text) {
		cell := query.Cell{Kind: query.FromJSON, Raw: val}
		if val == "null" {
			cell = query.Cell{Kind: query.NullCell}
		}
		// The rows of one type have their columns in one order.
		if at >= len(w.Columns) || w.Columns[at] != name {
			if at = slices.Index(w.Columns, name); at < 0 {
				at = len(w.Columns)
				w.Columns = append(w.Columns, name)
				cells = append(cells, query.Cell{})
			}
		}
		cells[at] = cell
		at++
	}
	return cells, nil
}

// members goes through the members of an object that [json.Marshal] has written: it
// has no white space, and the names are those of fields, which need no escapes.
func members(object string) func(yield func(name, val string) bool) {
	return func(yield func(name, val string) bool) {
		for i := 1; i < len(object)-1; {
			start := i + 1 // behind the quote
			for i = start; object[i] != '"'; i++ {
			}
			name := object[start:i]
			i += 2 // the quote and the colon
			start = i
			i = end(object, i)
			if !yield(name, object[start:i]) {
				return
			}
			i++ // the comma
		}
	}
}

// end is where the value that begins at i ends.
func end(s string, i int) int {
	for depth := 0; i < len(s); i++ {
		switch s[i] {
		case '"':
			for i++; s[i] != '"'; i++ {
				if s[i] == '\\' {
					i++
				}
			}
		case '{', '[':
			depth++
		case '}', ']':
			if depth == 0 { // the object's own
				return i
			}
			depth--
		case ',':
			if depth == 0 {
				return i
			}
		}
	}
	return i
}
