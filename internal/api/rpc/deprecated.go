package rpc

import (
	"slices"

	"github.com/pandobase/pando/internal/model"
	"github.com/pandobase/pando/internal/query"
	"github.com/pandobase/pando/internal/usage"
)

// names notes that the call names a field, where that is deprecated and the caller
// may know of it.
func (c *call) names(f *field) {
	if f.model == nil || f.model.Deprecated == nil {
		return
	}
	guard := c.door.cfg.Engine.Guard(c.id)
	if guard.Visible(f.model) || guard.Writable(f.model, query.Create) || guard.Writable(f.model, query.Update) {
		c.deprecated(f.model.Entity.Module.Name+"."+c.method.entity.name+"."+f.name, f.model.Deprecated)
	}
}

func (c *call) deprecated(name string, life *model.Deprecated) {
	if !slices.ContainsFunc(c.things, func(t usage.Thing) bool { return t.Name == name }) {
		c.things = append(c.things, usage.Thing{Name: name, Life: life})
	}
}

// notify counts the deprecated things that the call names, and tells of them in
// the answer's metadata; an error: one of them is gone. It comes before anything is
// done.
func (c *call) notify() error {
	switch m := c.method; {
	case m.entity != nil && m.entity.model.Deprecated != nil:
		c.deprecated(m.entity.model.Module.Name+"."+m.entity.name, m.entity.model.Deprecated)
	case m.operation != nil && m.operation.Deprecated != nil && c.door.cfg.Allows(m.operation, &c.id): // who may not call it is not told what replaces it
		name, _ := c.schema.view.OperationName(m.operation)
		c.deprecated(m.operation.Module.Name+"."+name, m.operation.Deprecated)
	}
	if len(c.things) == 0 {
		return nil
	}
	notice, err := c.door.cfg.Usage.Note(&c.id, c.schema.view.Version, c.things...)
	if err != nil {
		return err
	}
	notice.Set(c.reply, "/docs?version="+c.schema.view.Version)
	return nil
}
