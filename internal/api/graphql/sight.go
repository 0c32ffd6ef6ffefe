package graphql

import (
	"reflect"
	"strings"
	"sync"

	"github.com/pandobase/pando/internal/model"
	"github.com/pandobase/pando/internal/policy"
	"github.com/pandobase/pando/internal/query"
)

// sight is what a caller may ever see and do.
type sight struct {
	entities   map[*model.Entity]entitySight
	operations map[*model.Operation]bool
}

type entitySight struct {
	read, create, update, delete bool
	fields                       []fieldSight // as the entity's
}

type fieldSight struct{ visible, creatable, updatable bool }

// everything is the sight of a caller whom no policy keeps from anything. Hidden
// fields are nobody's.
func everything(app *model.App) *sight {
	return newSight(app, func(e *model.Entity, r policy.Rule) bool {
		return r == policy.RuleRead || !e.ReadOnly
	}, func(f *model.Field) bool { return !f.Hidden }, func(f *model.Field, a query.Action) bool {
		return !f.Generated && (a != query.Update || !f.Primary)
	}, func(*model.Operation) bool { return true })
}

// sightOf is what a guard's caller may ever see.
func sightOf(app *model.App, g policy.Guard, allows func(*model.Operation) bool) *sight {
	return newSight(app, func(e *model.Entity, r policy.Rule) bool { return policy.Ever(g, policy.Use{Entity: e, Rule: r}) }, g.Visible,
		func(f *model.Field, a query.Action) bool { return g.Writable(f, a) }, allows)
}

func newSight(app *model.App, may func(*model.Entity, policy.Rule) bool, visible func(*model.Field) bool,
	writable func(*model.Field, query.Action) bool, allows func(*model.Operation) bool,
) *sight {
	s := &sight{entities: map[*model.Entity]entitySight{}, operations: map[*model.Operation]bool{}}
	for _, m := range app.Modules {
		for _, e := range m.Entities {
			if e.Internal {
				continue
			}
			es := entitySight{read: may(e, policy.RuleRead), fields: make([]fieldSight, len(e.Fields))}
			if !e.ReadOnly {
				es.create = may(e, policy.RuleCreate)
				es.update = es.read && may(e, policy.RuleUpdate)
				es.delete = es.read && may(e, policy.RuleDelete)
			}
			for i, f := range e.Fields {
				es.fields[i] = fieldSight{
					visible: es.read && visible(f), creatable: es.create && writable(f, query.Create), updatable: es.update && writable(f, query.Update),
				}
			}
			s.entities[e] = es
		}
		for _, o := range m.Operations {
			if allows(o) {
				s.operations[o] = true
			}
		}
	}
	return s
}

// key is equal for two sights exactly when they are alike.
func (s *sight) key(app *model.App, version string) string {
	b := []byte(version + "\x00")
	bits, n := byte(0), 0
	put := func(on bool) {
		bits <<= 1
		if on {
			bits |= 1
		}
		if n++; n%8 == 0 {
			b = append(b, bits)
			bits = 0
		}
	}
	for _, m := range app.Modules {
		for _, e := range m.Entities {
			if e.Internal {
				continue
			}
			es := s.entities[e]
			put(es.read)
			put(es.create)
			put(es.update)
			put(es.delete)
			for _, f := range es.fields {
				put(f.visible)
				put(f.creatable)
				put(f.updatable)
			}
		}
		for _, o := range m.Operations {
			put(s.operations[o])
		}
	}
	return string(append(b, bits))
}

// callers remembers which schema a caller has, so that a request does not ask all
// policies what he may see. Its zero value remembers nobody.
type callers struct {
	mu sync.RWMutex
	m  map[callerKey]seen
}

// callerKey tells callers apart by all that a policy may ask of them. Claims and
// roles are shared between the requests of a token and never changed: they are
// the same where their place is, and what is remembered keeps them there.
type callerKey struct {
	version                       string
	role                          policy.Role
	uid, key, email, aal, session string
	claims, roles, modules        uintptr
	roleCount, moduleCount        int
}

type seen struct {
	schema *schema
	id     policy.Identity // for what the key points to
}

// maxCallers is how many callers are remembered.
const maxCallers = 4096

func keyOfCaller(v *model.View, id *policy.Identity) callerKey {
	return callerKey{
		version: v.Version, role: id.Role, uid: id.UID, key: id.Key, email: id.Email, aal: id.AAL, session: id.Session,
		claims: reflect.ValueOf(id.Claims).Pointer(), roles: reflect.ValueOf(id.Roles).Pointer(), modules: reflect.ValueOf(id.Modules).Pointer(),
		roleCount: len(id.Roles), moduleCount: len(id.Modules),
	}
}

func (c *callers) get(k callerKey) *schema {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.m[k].schema
}

func (c *callers) put(k callerKey, s *schema, id *policy.Identity) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.m == nil || len(c.m) >= maxCallers {
		c.m = map[callerKey]seen{}
	}
	c.m[k] = seen{s, *id}
}

// schemaFor is the schema that a caller has of a version.
func (d *door) schemaFor(v *model.View, id *policy.Identity, guard policy.Guard) *schema {
	k := keyOfCaller(v, id)
	if s := d.callers.get(k); s != nil && !d.asksRequest {
		return s
	}
	s := d.library.schema(v, sightOf(d.app, guard, func(o *model.Operation) bool { return d.Allows(o, id) }))
	d.callers.put(k, s, id)
	return s
}

// asksRequest reports whether a policy asks about the request, beside its caller:
// then the same caller may see one thing now and another then.
func asksRequest(app *model.App) bool {
	asks := func(xs ...*model.Expression) bool {
		for _, x := range xs {
			if x != nil && (strings.Contains(x.Source, "request") || strings.Contains(x.Source, "now")) {
				return true
			}
		}
		return false
	}
	for _, m := range app.Modules {
		for _, e := range m.Entities {
			if p := e.Policy; p != nil {
				if asks(p.Read, p.Create, p.Delete) || p.Update != nil && asks(p.Update.When, p.Update.Check) {
					return true
				}
			}
			for _, f := range e.Fields {
				if asks(f.Read, f.Write) {
					return true
				}
			}
		}
		for _, o := range m.Operations {
			if asks(o.Allow) {
				return true
			}
		}
	}
	return asks(app.Config.Auth.UserRead)
}
