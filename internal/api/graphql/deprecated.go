package graphql

import (
	"slices"
	"time"

	"github.com/pandobase/pando/internal/model"
	"github.com/pandobase/pando/internal/usage"
)

// names notes that the request names an entity.
func (c *call) names(e *model.Entity) {
	if e.Deprecated != nil {
		c.deprecated(rowPath(c.schema.view, e), e.Deprecated)
	}
}

// namesField notes that it names a field.
func (c *call) namesField(f *model.Field) {
	if f.Deprecated != nil {
		name, _ := c.schema.view.FieldName(f)
		c.deprecated(rowPath(c.schema.view, f.Entity)+"."+name, f.Deprecated)
	}
}

// namesOperation notes that it calls an operation.
func (c *call) namesOperation(o *model.Operation) {
	if o.Deprecated != nil {
		name, _ := c.schema.view.OperationName(o)
		c.deprecated(o.Module.Name+"."+name, o.Deprecated)
	}
}

func rowPath(v *model.View, e *model.Entity) string {
	name, _ := v.EntityName(e)
	return e.Module.Name + "." + name
}

func (c *call) deprecated(name string, life *model.Deprecated) {
	if !slices.ContainsFunc(c.things, func(t usage.Thing) bool { return t.Name == name }) {
		c.things = append(c.things, usage.Thing{Name: name, Life: life})
	}
}

// notify counts what the field that was compiled names of deprecated things; an
// error: one of them is gone. What all fields name is told in the answer's
// headers.
func (c *call) notify() error {
	if len(c.things) == 0 {
		return nil
	}
	things := c.things
	c.things = nil
	if _, err := c.door.Usage.Note(&c.id, c.schema.view.Version, things...); err != nil {
		return err
	}
	c.told = append(c.told, things...)
	if c.w == nil {
		return nil
	}
	notice, err := usage.Tell(time.Now(), c.told...)
	if err == nil {
		c.w.Del("Link") // of the fields before
		notice.Set(c.w, "/docs?version="+c.schema.view.Version)
	}
	return nil
}
