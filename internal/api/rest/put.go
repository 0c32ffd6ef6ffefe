package rest

import (
	"slices"

	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/model"
	"github.com/pandobase/pando/internal/query"
	"github.com/pandobase/pando/internal/value"
)

// putKey checks that the filter of a PUT is the key: the primary key's
// key=eq.value, with or without that of the partition key, and that the body
// has the same values.
func putKey(e *model.Entity, where query.Expr, in input) error {
	conds := []query.Expr{where}
	if and, ok := where.(*query.And); ok && len(e.Key()) > 1 {
		conds = and.Args
	}
	named := map[string]string{}
	for _, cond := range conds {
		field, text, ok := keyFilter(cond)
		if _, twice := named[field]; !ok || twice || !slices.Contains(e.Key(), e.Field(field)) {
			return notTheKey(e)
		}
		named[field] = text
	}
	if _, ok := named[e.Primary.Name]; !ok {
		return notTheKey(e)
	}
	for _, k := range e.Key() {
		if text, ok := named[k.Name]; ok {
			if err := sameInBody(k, text, in); err != nil {
				return err
			}
		}
	}
	return nil
}

func notTheKey(e *model.Entity) error {
	return fault.New(fault.InvalidPut, "Filters must include all and only primary key columns with 'eq' operators").
		WithHint("PUT …?%s=eq.…", e.Primary)
}

// sameInBody checks that the body has the value that the filter names.
func sameInBody(key *model.Field, text string, in input) error {
	want, err := key.Type.FromText(text)
	if err != nil {
		return err
	}
	for i, c := range in.columns {
		if c != key.Name {
			continue
		}
		got, err := cellValue(key.Type, in.rows[0][i])
		if err != nil {
			return err
		}
		if !got.IsNull() && value.Compare(got, want) == 0 {
			return nil
		}
	}
	return fault.New(fault.PutMismatch, "Payload values do not match URL in primary key column(s)").
		WithHint("the body must hold %s as the filter gives it", key)
}

// staying makes a PUT that is an update one of the row in the partition that
// the body names, which an update cannot change.
func staying(e *model.Entity, where query.Expr, in input) (query.Expr, input, error) {
	k := e.PartitionKey()
	if k == nil || k == e.Primary {
		return where, in, nil
	}
	at := slices.Index(in.columns, k.Name)
	if at < 0 {
		return where, in, nil
	}
	v, err := cellValue(k.Type, in.rows[0][at])
	if err != nil || v.IsNull() {
		return where, in, err
	}
	there := &query.Compare{
		Left: &query.FieldRef{Path: query.Path{Field: k.Name}}, Op: query.Eq, Right: &query.Literal{Text: string(k.Type.AppendText(nil, v))},
	}
	in.columns = slices.Delete(slices.Clone(in.columns), at, at+1)
	in.rows = [][]query.Cell{slices.Delete(slices.Clone(in.rows[0]), at, at+1)}
	return &query.And{Args: []query.Expr{where, there}}, in, nil
}
