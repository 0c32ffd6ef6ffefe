package engine

import (
	"errors"
	"slices"
	"strings"

	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/model"
	"github.com/pandobase/pando/internal/query"
	"github.com/pandobase/pando/internal/store"
	"github.com/pandobase/pando/internal/value"
)

// explain completes the store's faults with what the engine knows and the
// caller may: the values of a duplicate key, and which reference is broken.
func (c *change) explain(tx store.Tx, err error, vals []value.Value) error {
	var f *fault.Error
	if !errors.As(err, &f) {
		return err
	}
	fields := c.plan.Fields
	code := f.Code
	if code == fault.NotNull && c.entity.PartitionKey() != nil {
		// What the engine lets be null may be: it is the partition key of what
		// the row lies with, and that is not there.
		code = fault.ForeignKey
	}
	switch code {
	case fault.Unique:
		return c.explainUnique(c.firstTaken(tx, f, vals), fields, vals)
	case fault.ForeignKey:
		for i, fd := range fields {
			if fd.Ref == nil || i >= len(vals) || vals[i].IsNull() {
				continue
			}
			if there, perr := c.e.there(tx, fd.Ref.Target, vals[i]); perr == nil && !there {
				m := missing(c.entity, fd, vals[i])
				m.Cause = f.Cause
				return m
			}
		}
		if c.w.Action != query.Delete {
			if elsewhere := c.elsewhere(vals); elsewhere != nil {
				return elsewhere
			}
		}
		return c.stillReferenced(f)
	default:
		return err
	}
}

// firstTaken names the first key of a new row that another row has: where more
// than one is taken, each database tells of another one.
func (c *change) firstTaken(tx store.Tx, f *fault.Error, vals []value.Value) *fault.Error {
	if c.w.Action != query.Create || c.w.Conflict.Resolution == query.Merge || len(c.entity.Unique) == 0 {
		return f
	}
	keys := append([]model.Key{{Name: c.entity.Name + "_pkey", Fields: []*model.Field{c.entity.Primary}}}, c.entity.Unique...)
	for _, k := range keys {
		if taken, err := c.taken(tx, &k, vals); err != nil || !taken {
			continue
		}
		out := *f
		return out.WithDetails("Key (%s) already exists.", fault.List(k.Fields))
	}
	return f
}

// taken reports whether a row has the values of a key.
func (c *change) taken(r store.Reader, k *model.Key, vals []value.Value) (found bool, err error) {
	name := []byte(c.entity.QualifiedName() + " " + k.Name)
	args := make([]value.Value, len(k.Fields))
	for i, fd := range k.Fields {
		j := slices.Index(c.plan.Fields, fd)
		if j < 0 || vals[j].IsNull() {
			return false, nil
		}
		args[i] = vals[j]
	}
	st, ok := c.e.probes.get(name)
	if !ok {
		st = c.e.planner.Having(c.entity, k.Fields)
		c.e.probes.put(name, st)
	}
	err = r.Query(st, args, func(store.Row) error {
		found = true
		return nil
	})
	return found, err
}

func (c *change) explainUnique(f *fault.Error, fields []*model.Field, vals []value.Value) error {
	list, _, ok := strings.Cut(strings.TrimPrefix(f.Details, "Key ("), ")")
	if !ok {
		return f
	}
	out := *f
	names := strings.Split(list, ", ")
	if c.entity.PartitionKey() != nil {
		names = c.asWritten(names)
	}
	key, told := make([]*model.Field, len(names)), true
	shown := make([]string, len(names))
	for i, n := range names {
		j := slices.IndexFunc(c.entity.Fields, func(fd *model.Field) bool { return fd.Column == n })
		if j < 0 || !known(c.entity.Fields[j], c.guard) {
			out.Details = "" // nor is it named
			return &out
		}
		key[i] = c.entity.Fields[j]
		j = slices.Index(fields, key[i])
		if j < 0 || j >= len(vals) || !c.guard.Visible(fields[j]) {
			told = false
			continue
		}
		shown[i] = string(fields[j].Type.AppendText(nil, vals[j]))
	}
	if !told {
		return out.WithDetails("Key (%s) already exists.", fault.List(key))
	}
	constraint := fault.Joined("_", append(append([]any{c.entity}, fault.List(key).Of...), "key")...)
	if len(key) == 1 && key[0] == c.entity.Primary {
		constraint = fault.Joined("_", c.entity, "pkey")
	}
	return out.WithMessage("duplicate key value violates unique constraint %q", constraint).
		WithDetails("Key (%s)=(%s) already exists.", fault.List(key), strings.Join(shown, ", "))
}

// asWritten is a unique key as the model has it, without the partition key that
// the store adds.
func (c *change) asWritten(names []string) []string {
	k := c.entity.PartitionKey()
	if k == nil {
		return names
	}
	if key := c.entity.Key(); len(key) == 2 && len(names) == 2 && slices.Contains(names, key[0].Name) && slices.Contains(names, key[1].Name) {
		return []string{key[1].Name}
	}
	return slices.DeleteFunc(names, func(n string) bool { return n == model.PartitionColumn })
}

// elsewhere is the fault of an update that would lead a row to one in another
// partition than it lies in; nil: it does not.
func (c *change) elsewhere(vals []value.Value) error {
	for i, f := range c.plan.Fields {
		if i < len(vals) && c.w.Action == query.Update && f.Colocates() {
			return fault.New(fault.ForeignKey, "the row cannot be moved to another partition with %q of %q", f, c.entity).
				WithDetails("Key (%s)=(%s) is in another partition of table %q.", f, shown(f, vals[i]), f.Ref.Target).
				WithHint("delete the row and create it anew there")
		}
	}
	return nil
}

func missing(ent *model.Entity, f *model.Field, v value.Value) *fault.Error {
	return fault.New(fault.ForeignKey, "insert or update on table %q violates foreign key constraint %q", ent, fault.Joined("_", ent, f, "fkey")).
		WithDetails("Key (%s)=(%s) is not present in table %q.", f, shown(f, v), f.Ref.Target).
		WithHint("create the row of '%s' first", f.Ref.Target)
}

func (c *change) stillReferenced(f *fault.Error) error {
	out := *f
	out.WithMessage("update or delete on table %q violates a foreign key constraint", c.entity)
	from := fault.Names{Sep: " or "}
	for _, r := range c.entity.Relations {
		if r.Cardinality == model.ToMany && r.Ref.Ref.OnDelete == model.Restrict && !r.Ref.Ref.Loose && known(r.Ref, c.guard) {
			from.Of = append(from.Of, fault.Joined(".", r.To, r.Ref))
		}
	}
	if len(from.Of) > 0 {
		out.WithDetails("The row is still referenced by %s.", from)
		out.Hint = "delete or change those rows first, or declare 'on_delete: cascade' there"
	}
	return &out
}

// shown is a value in an error: that of a hidden field stays so.
func shown(f *model.Field, v value.Value) []byte {
	if f.Hidden {
		return []byte("...")
	}
	return f.Type.AppendText(nil, v)
}

// there reports whether an entity has a row of that key.
func (e *Engine) there(r store.Reader, ent *model.Entity, key value.Value) (bool, error) {
	name := []byte(ent.QualifiedName())
	st, ok := e.probes.get(name)
	if !ok {
		st = e.planner.ByKey(ent)
		e.probes.put(name, st)
	}
	found := false
	err := r.Query(st, []value.Value{key}, func(store.Row) error {
		found = true
		return nil
	})
	return found, err
}
