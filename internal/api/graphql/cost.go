package graphql

import (
	"context"
	"encoding/json"
	"math"
	"strconv"

	"github.com/vektah/gqlparser/v2/ast"

	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/model"
)

// cost is about how many rows an operation reads, as far as the sizes of tables
// and pages tell. Each row below a row counts; what counts or adds up all rows of
// a table counts a part of them, as the database looks at more than it answers.
//
// It is asked for before the operation is executed.
type cost struct {
	*call
	ctx  context.Context
	page float64 // rows of a page that nobody chose
	rows func(context.Context, *model.Entity) (int64, bool)

	varies bool // by sizes, or by variables
}

const (
	// smallest is the size that is taken of a table that is smaller: it grows.
	smallest = 1000
	// fewest is how many rows are taken to be at the many end of a relation, if
	// there are fewer on the average.
	fewest = 10
	// skew is how many times the average the rows of one parent are.
	skew = 4
	// scanned is how many rows are looked at in the time that one is answered in.
	scanned = 100
)

// cost refuses an operation that costs more than is left of the limit, and
// returns what it costs.
func (d *door) cost(ctx context.Context, c *call, op *preparedOperation, left int) (int, error) {
	if n := int(op.cost.Load()); n > 0 && n <= left {
		return n, nil
	}
	e := &cost{call: c, ctx: ctx, page: float64(d.app.Config.Limits.Rows), rows: d.Rows}
	sum := math.Ceil(e.below(1, c.op.SelectionSet))
	const most = 1 << 50
	n := int(min(sum, most))
	if !e.varies && n > 0 && fixedRoots(c.op.SelectionSet) {
		op.cost.Store(int64(n))
	}
	if n > left {
		return n, invalid(c.op.Position, fault.LimitExceeded, "the operation may read %d rows, and %d are allowed", n, left).
			because(map[string]any{"cost": costOf(n, d.limits.Cost)}, "ask for smaller pages with first or last; api.graphql.cost of pando.yaml bounds it")
	}
	return n, nil
}

// fixedRoots reports whether no variable says what is selected, but for arguments
// of the root fields.
func fixedRoots(set ast.SelectionSet) bool {
	for _, s := range set {
		f, ok := s.(*ast.Field)
		if !ok || !fixedDirectives(f.Directives) || !fixedSet(f.SelectionSet) {
			return false
		}
	}
	return true
}

// costOf is the extension cost.
func costOf(requested, limit int) map[string]int {
	return map[string]int{"requested": requested, "limit": limit}
}

// below is the cost of selection sets of so many rows.
func (e *cost) below(rows float64, sets ...ast.SelectionSet) float64 {
	sum := 0.0
	for _, f := range e.collect(sets...) {
		sum += e.field(rows, f)
	}
	return sum
}

func (e *cost) field(rows float64, f *collected) float64 {
	m := e.schema.meaning(f.field())
	switch m.kind {
	case rootRows:
		there, _ := e.size(m.entity)
		return e.connection(rows, there, f)
	case rowToMany:
		return e.connection(rows, e.many(m.relation), f)
	case rootInsert:
		e.varies = true
		given, _ := e.argument(f.field(), "objects")
		list, _ := given.([]any)
		n := max(1, float64(len(list)))
		return n + e.below(n, f.sets()...)
	case rootUpdate, rootDelete:
		there, _ := e.size(m.entity)
		return there/scanned + e.below(min(there, e.page), f.sets()...)
	case rowToOne, rootByKey, rootInsertOne, rootUpdateByKey, rootDeleteByKey, rootOperation:
		return rows + e.below(rows, f.sets()...)
	default:
		return e.below(rows, f.sets()...)
	}
}

// connection is the cost of a connection that each of so many rows has, with so
// many rows at its other end.
func (e *cost) connection(rows, there float64, f *collected) float64 {
	page := min(e.pageOf(f.field()), there)
	sum := 0.0
	answered := false
	for _, part := range e.collect(f.sets()...) {
		switch e.schema.meaning(part.field()).kind {
		case connTotal, connAggregate, connGroups:
			sum += rows * max(1, there/scanned)
		default:
			answered = true
			sum += e.field(rows*page, part)
		}
	}
	if answered {
		sum += rows * max(1, page)
	}
	return sum
}

// pageOf is the page that a field asks for.
func (e *cost) pageOf(f *ast.Field) float64 {
	page := e.page
	for _, name := range []string{"first", "last"} {
		if val, _ := e.argument(f, name); val != nil {
			if n, ok := val.(json.Number); ok {
				if chosen, err := strconv.ParseFloat(string(n), 64); err == nil && chosen >= 0 {
					page = min(page, chosen)
				}
			}
		}
	}
	return page
}

// size is about how many rows an entity has, and no fewer. Where nobody knows, it
// is a few pages.
func (e *cost) size(entity *model.Entity) (n float64, known bool) {
	e.varies = true
	if e.rows != nil {
		if n, known := e.rows(e.ctx, entity); known {
			return max(float64(n), smallest), true
		}
	}
	return fewest * e.page, false
}

// many is how many rows one row may have at the other end of a relation.
func (e *cost) many(r *model.Relation) float64 {
	there, known := e.size(r.To)
	here, alsoKnown := e.size(r.From)
	if !known || !alsoKnown {
		return there
	}
	return min(there, max(fewest, skew*there/here))
}
