package sqlite

import (
	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/store"
	"github.com/pandobase/pando/internal/value"
	zs "zombiezen.com/go/sqlite"
)

// floatSum is sum() and avg() of floats as PostgreSQL gives them: SQLite's own
// depend on the order of the rows and have no range.
type floatSum struct {
	value.FloatSum
	c    *conn
	mean bool
}

var _ zs.AggregateFunction = (*floatSum)(nil)

func registerSums(c *conn) error {
	for name, mean := range map[string]bool{"pando_sum": false, "pando_mean": true} {
		impl := &zs.FunctionImpl{NArgs: 1, Deterministic: true, AllowIndirect: true, MakeAggregate: func(zs.Context) (zs.AggregateFunction, error) {
			return &floatSum{c: c, mean: mean}, nil
		}}
		if err := c.c.CreateFunction(name, impl); err != nil {
			return translate(err)
		}
	}
	return nil
}

func (s *floatSum) Step(_ zs.Context, args []zs.Value) error {
	if args[0].Type() != zs.TypeNull {
		s.Add(args[0].Float())
	}
	return nil
}

// WindowInverse is for windows, of which the planner writes none.
func (s *floatSum) WindowInverse(zs.Context, []zs.Value) error { return nil }

func (s *floatSum) WindowValue(zs.Context) (zs.Value, error) {
	if s.Count == 0 {
		return zs.Value{}, nil
	}
	result := s.Sum
	if s.mean {
		result = s.Mean
	}
	f, ok := result()
	if !ok {
		s.c.fault = store.Computed(fault.NumericOutOfRange, nil)
		return zs.Value{}, s.c.fault
	}
	return zs.FloatValue(f), nil
}

func (s *floatSum) Finalize(zs.Context) {}
