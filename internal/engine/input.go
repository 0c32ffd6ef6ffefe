package engine

import (
	"time"

	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/model"
	"github.com/pandobase/pando/internal/policy"
	"github.com/pandobase/pando/internal/query"
	"github.com/pandobase/pando/internal/store"
	"github.com/pandobase/pando/internal/value"
)

// input reads the cells of a write into values, by the types of an entity.
type input struct {
	e       *Engine
	entity  *model.Entity
	id      policy.Identity
	now     time.Time
	nowText value.Value
	columns []*model.Field
	place   []int // entity field index -> index in columns; -1: not given

	lastUUID string
}

// newInput resolves the columns of a write. Those that the entity has not are
// named with the nearest that it has.
func (e *Engine) newInput(entity *model.Entity, id policy.Identity, guard policy.Guard, columns []string, action query.Action) (*input, error) {
	in := &input{e: e, entity: entity, id: id, now: e.now().UTC(), place: make([]int, len(entity.Fields))}
	in.nowText = value.OfTimestamp(in.now)
	for i := range in.place {
		in.place[i] = -1
	}
	for j, name := range columns {
		f := entity.Field(name)
		if f == nil || !guard.Writable(f, action) {
			return nil, notWritable(entity, name, guard, action)
		}
		for i, ef := range entity.Fields {
			if ef == f {
				if in.place[i] >= 0 {
					return nil, fault.New(fault.DuplicateField, "column %q specified more than once", name)
				}
				in.place[i] = j
			}
		}
		in.columns = append(in.columns, f)
	}
	return in, nil
}

// notWritable is the fault of a column that cannot be given. That it is there
// is told only to who knows it anyhow: a hidden field is not found by its name.
func notWritable(e *model.Entity, name string, guard policy.Guard, action query.Action) error {
	if f := e.Field(name); f != nil && known(f, guard) {
		return store.ColumnDenied(f)
	}
	return unknownColumn(e, name, guard, action)
}

// known reports whether the caller may know that a field is there.
func known(f *model.Field, guard policy.Guard) bool {
	return guard.Visible(f) || guard.Writable(f, query.Create) || guard.Writable(f, query.Update)
}

func unknownColumn(e *model.Entity, name string, guard policy.Guard, action query.Action) error {
	var fields []*model.Field
	for _, f := range e.Fields {
		if guard.Visible(f) && guard.Writable(f, action) {
			fields = append(fields, f)
		}
	}
	f := fault.New(fault.UnknownInput, "Could not find the '%s' column of '%s' in the application", name, e)
	f.Field = name
	if near, ok := fault.NearestOf(name, fields); ok {
		return f.WithHint("Perhaps you meant '%s'.", near)
	}
	return f.WithHint("'%s' has: %s.", e, fault.List(fields))
}

// row reads one row for a create: a value for every field of the entity, the
// given ones first, then the defaults.
func (in *input) row(cells []query.Cell) ([]value.Value, error) {
	vals := make([]value.Value, len(in.entity.Fields))
	if err := in.fill(vals, cells); err != nil {
		return nil, err
	}
	return vals, nil
}

// fill does what row does, into nulls that the caller has.
func (in *input) fill(vals []value.Value, cells []query.Cell) error {
	fields := in.entity.Fields
	var late []int
	for i, f := range fields {
		j := in.place[i]
		if j < 0 || cells[j].Kind == query.Absent {
			switch {
			case f.Made() && j < 0:
				continue
			case f.Made():
				return fault.New(fault.NotImplemented, "'%s' is given in some rows of the request and left to the database in others", f).
					WithHint("send the rows that have it in a request of their own")
			case f.Default != nil && f.Default.Kind == model.DefaultCEL:
				late = append(late, i)
				continue
			}
			vals[i] = in.fallback(f)
		} else {
			v, err := in.cell(f, cells[j])
			if err != nil {
				return err
			}
			vals[i] = v
		}
		if vals[i].IsNull() && !f.Optional {
			return in.required(f, vals[i])
		}
	}
	for _, i := range late {
		v, err := in.computed(fields[i], vals)
		if err != nil {
			return err
		}
		vals[i] = v
		if err := in.required(fields[i], v); err != nil {
			return err
		}
	}
	return nil
}

// computed runs a CEL default over what the row has so far.
func (in *input) computed(f *model.Field, vals []value.Value) (value.Value, error) {
	fn, ok := in.e.rules.Default(f)
	if !ok {
		return value.Null(), nil
	}
	row := make(map[string]value.Value, len(vals))
	for i, g := range in.entity.Fields {
		if !vals[i].IsNull() {
			row[g.Name] = vals[i]
		}
	}
	v, err := fn(in.id, row, in.now)
	if err != nil {
		return value.Value{}, named(err, f)
	}
	return v, nil
}

// made are the fields that are left to the database.
func (in *input) made() []*model.Field {
	var out []*model.Field
	for i, f := range in.entity.Fields {
		if in.place[i] < 0 && f.Made() {
			out = append(out, f)
		}
	}
	return out
}

// cell reads one given value. An empty CSV cell is null on an optional field
// and the empty text on a required one.
func (in *input) cell(f *model.Field, c query.Cell) (value.Value, error) {
	var v value.Value
	var err error
	switch c.Kind {
	case query.NullCell, query.Absent:
		return value.Null(), nil
	case query.FromJSON:
		v, err = f.Type.FromJSON(c.Raw)
	case query.FromText:
		if c.Raw == "" && (f.Optional || f.Type.Kind != value.Text || f.Type.List) {
			return value.Null(), nil
		}
		v, err = f.Type.FromText(c.Raw)
	}
	if err != nil {
		return value.Value{}, named(err, f)
	}
	return v, nil
}

// fallback is the default of a field that the input leaves out.
func (in *input) fallback(f *model.Field) value.Value {
	if f.Default == nil {
		return value.Null()
	}
	switch f.Default.Kind {
	case model.DefaultLiteral:
		return f.Default.Value
	case model.DefaultUUID:
		return value.OfText(in.uuid())
	case model.DefaultNow:
		return in.nowAs(f)
	case model.DefaultAuthUID:
		if in.id.UID != "" {
			return value.OfText(in.id.UID)
		}
	case model.DefaultCEL, model.DefaultDatabase:
	}
	return value.Null()
}

// uuid returns a version 7 UUID. Those of one write count upwards (RFC 9562,
// section 6.2, method 2), so that rows list in the order they were given.
func (in *input) uuid() string {
	if in.lastUUID = value.NextUUID(in.lastUUID, in.e.random); in.lastUUID == "" {
		in.lastUUID = value.NewUUID(in.now, in.e.random)
	}
	return in.lastUUID
}

// nowAs is the time of the write in the field's type.
func (in *input) nowAs(f *model.Field) value.Value {
	v, err := value.Convert(in.nowText, value.Type{Kind: value.Timestamp}, value.Type{Kind: f.Type.Kind})
	if err != nil {
		return value.Null()
	}
	return v
}

func (in *input) required(f *model.Field, v value.Value) error {
	if !v.IsNull() || f.Optional {
		return nil
	}
	if f.Default != nil && f.Default.Kind == model.DefaultAuthUID && in.id.UID == "" && in.id.Role != policy.Service {
		// A stranger's row has no owner: that is a matter of who writes it.
		return fault.New(fault.Forbidden, "permission denied for %s: %q is the caller's id, and the caller is nobody", in.entity.Qualified(), f).
			WithHint("sign in first")
	}
	fl := fault.New(fault.NotNull, "null value in column %q of relation %q violates not-null constraint", f, in.entity)
	fl.Field = f.Name
	if f.Default != nil && f.Default.Kind == model.DefaultAuthUID {
		return fl.WithHint("it defaults to the caller's id, which this key does not have: give it in the body")
	}
	return fl.WithHint("give '%s' a value, or make it optional in %s", f, in.entity.Qualified())
}

// named adds the field to a value's fault.
func named(err error, f *model.Field) error {
	fl := *fault.From(err)
	fl.Field = f.Name
	if fl.Details != "" {
		fl.AddDetails(", ")
	}
	return fl.AddDetails("in field '%s' (%s)", f, f.Type)
}

// numbered adds the row's number to a fault where there are several rows.
func numbered(err error, i, rows int) error {
	if rows < 2 {
		return err
	}
	fl := *fault.From(err)
	if fl.Details != "" {
		fl.AddDetails(" ")
	}
	fl.AddDetails("(row %d of %d)", i+1, rows)
	return &fl
}
