package pando

import (
	"bytes"
	"context"
	"encoding/json"
	"iter"
	"slices"
	"strings"

	"github.com/pandobase/pando/internal/engine"
	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/model"
	"github.com/pandobase/pando/internal/query"
)

// Entity is a row of an entity: a struct that `pando gen go` writes, or one that has
// such a struct embedded, with fields for the relations that [Rows.With] names.
type Entity interface {
	// PandoEntity is module.entity. It does not depend on the row.
	PandoEntity() string
}

// Rows are rows of an entity: all of them, or those of some conditions, in an order.
// Where, Order and the like return a narrower Rows and leave the one before as it
// is; the rest asks the application. Errors are of type [*Error].
type Rows[T Entity] struct {
	ctx    context.Context //nolint:containedctx // it belongs to one run of code, as Rows does
	target query.Target
	node   query.Node
	limit  int64
	err    error
}

// From is the rows of an entity that the context's caller may see. They are used
// while the code runs that the context is of.
func From[T Entity](ctx context.Context) Rows[T] {
	var row T
	module, entity, _ := strings.Cut(row.PandoEntity(), ".")
	return Rows[T]{ctx: ctx, target: query.Target{Module: module, Entity: entity}}
}

// Where is the rows that all the conditions hold for, those of before included.
func (r Rows[T]) Where(conds ...Cond) Rows[T] {
	args, err := exprs(conds)
	if err != nil {
		r.err = &Error{Code: string(fault.InvalidText), Status: fault.InvalidText.Status(), Message: err.Error(), cause: err}
	}
	if r.node.Where != nil {
		args = append([]query.Expr{r.node.Where}, args...)
	}
	if r.node.Where = nil; len(args) == 1 {
		r.node.Where = args[0]
	} else if len(args) > 1 {
		r.node.Where = &query.And{Args: args}
	}
	return r
}

// Order is the rows in an order: by a field, "created_at", or from the greatest to
// the least, "created_at desc"; "nulls first" or "nulls last" may follow. Further
// terms order what is equal in those before. Without an order, rows come by their
// primary key.
func (r Rows[T]) Order(terms ...string) Rows[T] {
	r.node.Order = slices.Clip(r.node.Order)
	for _, term := range terms {
		words := strings.Fields(term)
		bad := len(words) == 0
		o := query.Order{}
		if !bad {
			o.Path.Field = words[0]
			if relation, field, ok := strings.Cut(words[0], "."); ok {
				o.Relation, o.Path.Field = relation, field
			}
			if words = words[1:]; len(words) > 0 && (words[0] == "asc" || words[0] == "desc") {
				o.Desc = words[0] == "desc"
				words = words[1:]
			}
			switch strings.Join(words, " ") {
			case "":
			case "nulls first":
				o.Nulls = query.NullsFirst
			case "nulls last":
				o.Nulls = query.NullsLast
			default:
				bad = true
			}
		}
		if bad {
			r.err = Errorf(Invalid, "%q is no order", term)
			r.err.(*Error).Hint = `write "field", "field desc" or "field desc nulls last"` //nolint:errorlint,forcetypeassert // made one line above
		}
		r.node.Order = append(r.node.Order, o)
	}
	return r
}

// Limit is the first n of the rows.
func (r Rows[T]) Limit(n int) Rows[T] {
	r.limit = int64(n)
	r.node.Page.Limit = &r.limit
	return r
}

// Offset is the rows without the first n. To go through many rows, [Rows.Each] is
// quicker and misses none.
func (r Rows[T]) Offset(n int) Rows[T] {
	r.node.Page.Offset = int64(n)
	return r
}

// With has the rows of relations in the rows, as the caller may see them: "customer",
// or "lines.product" for those of those. T has fields for them:
//
//	type OrderWithLines struct {
//		shop.Order
//		Lines []shop.Line `json:"lines"`
//	}
func (r Rows[T]) With(relations ...string) Rows[T] {
	for _, path := range relations {
		r.node.Select = embed(r.node.Select, strings.Split(path, "."))
	}
	return r
}

// embed is a select list with a path of relations. It changes none of what it gets.
func embed(list []query.Item, path []string) []query.Item {
	if len(list) == 0 {
		list = []query.Item{query.Star{}}
	}
	list = slices.Clone(list)
	at := slices.IndexFunc(list, func(it query.Item) bool {
		e, ok := it.(*query.Embed)
		return ok && e.Relation == path[0]
	})
	e := &query.Embed{Relation: path[0]}
	if at < 0 {
		list = append(list, e)
	} else {
		*e = *list[at].(*query.Embed) //nolint:forcetypeassert // found as one
		list[at] = e
	}
	if len(path) > 1 {
		e.Node.Select = embed(e.Node.Select, path[1:])
	}
	return list
}

// read asks for the rows.
func (r *Rows[T]) read(q *query.Read, opt engine.ReadOptions) (*engine.Result, error) {
	a, err := acting(r.ctx)
	if err != nil {
		return nil, err
	}
	if r.err != nil {
		return nil, r.err
	}
	q.Target = r.target
	res, err := a.Read(r.ctx, a.service, q, opt)
	return res, told(err)
}

// entity is the model's word for T.
func (r *Rows[T]) entity() (*model.Entity, error) {
	a, err := acting(r.ctx)
	if err != nil {
		return nil, err
	}
	e := a.App().Entity(r.target.Module, r.target.Entity)
	if e == nil || e.Internal {
		return nil, &Error{
			Code: string(fault.UnknownEntity), Status: fault.UnknownEntity.Status(), Message: "the application has no entity " + r.target.Module + "." + r.target.Entity,
			Hint: "write the types again: pando gen go",
		}
	}
	return e, nil
}

// keyed is the row of a key.
func (r Rows[T]) keyed(key any) (Rows[T], error) {
	e, err := r.entity()
	if err != nil {
		return r, err
	}
	r = r.Where(Eq(e.Primary.Name, key))
	return r, r.err
}

func (r *Rows[T]) notFound(key any) error {
	e := Errorf(NotFound, "there is no such row of %s.%s", r.target.Module, r.target.Entity)
	if text, err := textOf(key); err == nil {
		e.Details = "its key would be " + text
	}
	return e
}

// Get is the row of a primary key, if the conditions hold for it; the error is of
// kind [NotFound] where there is none.
func (r Rows[T]) Get(key any) (T, error) {
	var row T
	one, err := r.keyed(key)
	if err != nil {
		return row, err
	}
	rows, err := one.some(1)
	if err != nil {
		return row, err
	}
	if len(rows) == 0 {
		return row, r.notFound(key)
	}
	return rows[0], nil
}

// First is the first of the rows; the error is of kind [NotFound] where there is
// none.
func (r Rows[T]) First() (T, error) {
	rows, err := r.some(1)
	if err == nil && len(rows) == 0 {
		err = Errorf(NotFound, "no row of %s.%s is like that", r.target.Module, r.target.Entity)
	}
	if err != nil {
		var none T
		return none, err
	}
	return rows[0], nil
}

// One is the only one of the rows; where there is none or more than one, the error
// is of kind [NotFound] or [Conflict].
func (r Rows[T]) One() (T, error) {
	rows, err := r.some(2)
	switch {
	case err != nil:
	case len(rows) == 0:
		err = Errorf(NotFound, "no row of %s.%s is like that", r.target.Module, r.target.Entity)
	case len(rows) > 1:
		err = Errorf(Conflict, "more than one row of %s.%s is like that", r.target.Module, r.target.Entity)
	}
	if err != nil {
		var none T
		return none, err
	}
	return rows[0], nil
}

// some is at most n of the rows.
func (r *Rows[T]) some(n int64) ([]T, error) {
	q := query.Read{Node: r.node, Unbounded: true}
	if l := r.node.Page.Limit; l == nil || *l > n {
		q.Node.Page.Limit = &n
	}
	res, err := r.read(&q, engine.ReadOptions{})
	if err != nil {
		return nil, err
	}
	defer res.Release()
	return decode[T](res.Body, res.Rows)
}

// All is all of the rows, or the first ones if there is a Limit. Without one there
// may be as many as limits.rows of pando.yaml, 1000 by default; the error of more is
// of kind [Limit].
func (r Rows[T]) All() ([]T, error) {
	if l := r.node.Page.Limit; l != nil {
		return r.some(*l)
	}
	a, err := acting(r.ctx)
	if err != nil {
		return nil, err
	}
	most := a.App().Config.Limits.Rows
	rows, err := r.some(int64(most) + 1)
	if err == nil && len(rows) > most {
		tooMany := Errorf(Limit, "more than %d rows of %s.%s are like that", most, r.target.Module, r.target.Entity)
		tooMany.Hint = "give a Limit, or go through them with Each"
		return nil, tooMany
	}
	return rows, err
}

// pageOfEach is how many rows Each asks for at once.
const pageOfEach = 500

// Each goes through the rows, however many there are, a page at a time. Outside of
// an operation's transaction each page is as new as it can be; a row is met once,
// unless what the order goes by changes meanwhile. It ends behind an error.
func (r Rows[T]) Each() iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		var none T
		skip, left, bounded := r.node.Page.Offset, r.limit, r.node.Page.Limit != nil
		q := query.Read{Node: r.node, Unbounded: true}
		q.Node.Page.Offset = 0 // a cursor and an offset exclude each other
		for {
			size := int64(pageOfEach)
			if bounded {
				size = min(size, skip+left)
			}
			q.Node.Page.Limit = &size
			res, err := r.read(&q, engine.ReadOptions{Cursors: true})
			if err != nil {
				yield(none, err)
				return
			}
			rows, err := decode[T](res.Body, res.Rows)
			next := res.Next
			res.Release()
			if err != nil {
				yield(none, err)
				return
			}
			for _, row := range rows {
				if skip > 0 {
					skip--
					continue
				}
				if left--; !yield(row, nil) {
					return
				}
			}
			if next == "" || len(rows) == 0 || bounded && left <= 0 {
				return
			}
			q.Cursor = next
		}
	}
}

// Count is how many rows there are; Limit and Offset do not matter.
func (r Rows[T]) Count() (int64, error) {
	none := int64(0)
	q := query.Read{Node: query.Node{Where: r.node.Where, Select: r.node.Select, Page: query.Page{Limit: &none}}, Count: query.CountExact}
	res, err := r.read(&q, engine.ReadOptions{})
	if err != nil {
		return 0, err
	}
	defer res.Release()
	return res.Total, nil
}

// Exists reports whether there is such a row.
func (r Rows[T]) Exists() (bool, error) {
	e, err := r.entity()
	if err != nil {
		return false, err
	}
	one := int64(1)
	q := query.Read{Node: query.Node{Where: r.node.Where, Select: r.node.Select, Page: query.Page{Limit: &one}}}
	if q.Node.Select == nil { // the key tells enough
		q.Node.Select = []query.Item{&query.Column{Path: query.Path{Field: e.Primary.Name}}}
	}
	res, err := r.read(&q, engine.ReadOptions{})
	if err != nil {
		return false, err
	}
	defer res.Release()
	return res.Rows > 0, nil
}

// decode reads an array of rows.
func decode[T any](body []byte, rows int) ([]T, error) {
	if len(body) == 0 {
		return nil, nil
	}
	out := make([]T, 0, rows)
	if err := json.Unmarshal(body, &out); err != nil {
		return nil, mismatch(err)
	}
	return out, nil
}

// decodeOne reads an array of one row. false: it has none.
func decodeOne[T any](body []byte) (row T, ok bool, err error) {
	body = bytes.TrimSpace(body)
	if len(body) < 2 || body[0] != '[' {
		return row, false, nil
	}
	if body = bytes.TrimSpace(body[1 : len(body)-1]); len(body) == 0 {
		return row, false, nil
	}
	if err := json.Unmarshal(body, &row); err != nil {
		return row, false, mismatch(err)
	}
	return row, true, nil
}

// mismatch is the error of types that are not those of the model.
func mismatch(err error) error {
	return &Error{
		Code: string(fault.Internal), Status: fault.Internal.Status(), Message: "what was answered does not fit its type in Go", Details: err.Error(),
		Hint: "write the types again: pando gen go", cause: err,
	}
}
