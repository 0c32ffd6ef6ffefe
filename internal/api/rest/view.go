package rest

import (
	"cmp"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/model"
	"github.com/pandobase/pando/internal/policy"
	"github.com/pandobase/pando/internal/query"
	"github.com/pandobase/pando/internal/usage"
	"github.com/pandobase/pando/internal/value"
)

// names are what a version of the API calls things, where that is not as the
// model does, and what of them is deprecated. A nil names is a version that has
// nothing of either: it costs nothing.
type names struct {
	view   *model.View
	docs   string // where the version is described
	usage  *usage.Counter
	guard  func(policy.Identity) policy.Guard
	showns atomic.Pointer[showns]
}

// newNames returns the names of a version.
func newNames(c *Config) *names {
	v := c.View
	if v == nil || v.Plain() && !deprecates(v.App) {
		return nil
	}
	return &names{view: v, docs: "/docs?version=" + v.Version, usage: c.Usage, guard: c.Engine.Guard}
}

func deprecates(app *model.App) bool {
	return slices.ContainsFunc(app.Modules, func(m *model.Module) bool {
		return slices.ContainsFunc(m.Operations, func(o *model.Operation) bool { return o.Deprecated != nil }) ||
			slices.ContainsFunc(m.Entities, func(e *model.Entity) bool {
				return e.Deprecated != nil || slices.ContainsFunc(e.Fields, func(f *model.Field) bool { return f.Deprecated != nil })
			})
	})
}

// showns are the fields that stars mean, by entity; they are made when the first
// request asks. One of every field by its own name is nil.
type showns struct {
	stars sync.Map  // *model.Entity -> *query.Seen
	until time.Time // when the next field is gone; zero: none will be
}

// star is what a star means at an entity; nil: every field, as it is.
func (n *names) star(e *model.Entity) *query.Seen {
	s := n.showns.Load()
	if s == nil || !s.until.IsZero() && !n.usage.Now().Before(s.until) {
		s = &showns{until: n.nextEnd(n.usage.Now())}
		n.showns.Store(s)
	}
	if seen, ok := s.stars.Load(e); ok {
		return seen.(*query.Seen) //nolint:forcetypeassert // the map holds nothing else
	}
	seen := n.seen(e, n.usage.Now())
	s.stars.Store(e, seen)
	return seen
}

// nextEnd is when the next field is gone; zero: none will be.
func (n *names) nextEnd(now time.Time) (next time.Time) {
	for _, m := range n.view.App.Modules {
		for _, e := range m.Entities {
			for _, f := range e.Fields {
				if f.Deprecated == nil || f.Deprecated.Gone(now) {
					continue
				}
				if end, ok := f.Deprecated.End(); ok && (next.IsZero() || end.Before(next)) {
					next = end
				}
			}
		}
	}
	return next
}

func (n *names) seen(e *model.Entity, now time.Time) *query.Seen {
	seen, differs := &query.Seen{}, !n.view.Same(e)
	for _, f := range e.Fields {
		name, there := n.view.FieldName(f)
		if f.Deprecated.Gone(now) {
			there, differs = false, true
		}
		if there {
			seen.Fields = append(seen.Fields, query.Renamed{Field: f.Name, Name: name})
		}
	}
	if !differs {
		return nil
	}
	seen.Fields = slices.Clip(seen.Fields)
	return seen
}

// entity is what the version calls an entity.
func (n *names) entity(e *model.Entity) string {
	if n == nil {
		return e.Name
	}
	name, _ := n.view.EntityName(e)
	return name
}

// field is what the version calls a field.
func (n *names) field(f *model.Field) string {
	if n == nil {
		return f.Name
	}
	name, _ := n.view.FieldName(f)
	return name
}

// tell says a fault in the version's names.
func (n *names) tell(err error) error {
	if n == nil || n.view.Plain() {
		return err
	}
	return fault.From(err).Renamed(n.view.Named)
}

// target is an entity by the model's names.
func (n *names) target(t query.Target) query.Target {
	if n == nil || n.view.Plain() {
		return t
	}
	e := n.view.Entity(t.Module, t.Entity)
	now := n.view.App.Entity(t.Module, t.Entity)
	switch e {
	case now:
	case nil:
		t.Entity = n.view.Unknown(t.Entity)
	default:
		t = query.Target{Module: e.Module.Name, Entity: e.Name}
	}
	return t
}

// translation is one request's way from the version's names to the model's.
type translation struct {
	*names
	id     *policy.Identity
	action query.Action
	judge  policy.Guard // nil: nobody has asked yet
	things []usage.Thing
}

// deprecated notes that the request names a deprecated thing.
func (t *translation) deprecated(d *model.Deprecated, name string) {
	if slices.ContainsFunc(t.things, func(o usage.Thing) bool { return o.Name == name }) {
		return
	}
	t.things = append(t.things, usage.Thing{Name: name, Life: d, Successor: t.successor(d.Use)})
}

// successor is the path of what a deprecation says to use.
func (n *names) successor(use string) string {
	module, name, qualified := strings.Cut(use, ".")
	if !qualified {
		module, name = "", use
	}
	if e := n.view.Entity(module, name); e != nil && !e.Internal {
		return root(n.view) + name
	}
	for _, m := range n.view.App.Modules {
		if (!qualified || m.Name == module) && n.view.Operation(m, name) != nil {
			return root(n.view) + "rpc/" + name
		}
	}
	return ""
}

func (t *translation) caller() policy.Guard {
	if t.judge == nil {
		t.judge = t.guard(*t.id)
	}
	return t.judge
}

// knows reports whether the caller may know of a field.
func (t *translation) knows(f *model.Field) bool {
	g := t.caller()
	return g.Visible(f) || t.action != query.ReadRows && g.Writable(f, t.action)
}

func (t *translation) usesEntity(e *model.Entity) {
	if e.Deprecated != nil && slices.ContainsFunc(e.Fields, t.knows) {
		t.deprecated(e.Deprecated, e.Module.Name+"."+t.entity(e))
	}
}

func (t *translation) usesField(f *model.Field) {
	if f.Deprecated != nil && t.knows(f) {
		t.deprecated(f.Deprecated, f.Entity.Module.Name+"."+t.entity(f.Entity)+"."+t.field(f))
	}
}

// fieldName is the model's name of a field that the request names. One that the
// version does not have is one that the model does not have either.
func (t *translation) fieldName(e *model.Entity, name string) string {
	if f := t.view.Field(e, name); f != nil {
		t.usesField(f)
		return f.Name
	}
	if e.Field(name) != nil {
		return t.view.Unknown(name)
	}
	return name
}

func (t *translation) fieldNames(e *model.Entity, list []string) {
	for i, name := range list {
		list[i] = t.fieldName(e, name)
	}
}

// embedded is an embed of a level with where it leads; nil: nowhere.
type embedded struct {
	embed *query.Embed
	to    *model.Entity
}

// node translates a level of a request for an entity's rows.
func (t *translation) node(e *model.Entity, n *query.Node) {
	if len(n.Select) == 0 {
		if seen := t.star(e); seen != nil {
			n.Select = []query.Item{seen}
		}
	}
	var room [4]embedded
	embeds := room[:0]
	for i, item := range n.Select {
		switch item := item.(type) {
		case query.Star:
			if seen := t.star(e); seen != nil {
				n.Select[i] = seen
			}
		case *query.Column:
			t.column(e, item)
		case *query.Embed:
			to := t.embed(e, item)
			embeds = append(embeds, embedded{item, to})
			if to != nil {
				t.node(to, &item.Node)
			}
		}
	}
	t.expr(e, embeds, n.Where)
	for i := range n.Order {
		o := &n.Order[i]
		of := e
		if o.Relation != "" {
			at := slices.IndexFunc(embeds, func(em embedded) bool { return em.embed.Name() == o.Relation })
			if at < 0 || embeds[at].to == nil {
				continue // the engine refuses it
			}
			of = embeds[at].to
		}
		o.Path.Field = t.fieldName(of, o.Path.Field)
	}
}

func (t *translation) column(e *model.Entity, c *query.Column) {
	name := c.Path.Field
	if name == "" {
		return
	}
	if name == "count" && len(c.Path.Steps) == 0 && c.Aggregate == query.NoAggregate && t.view.Field(e, name) == nil && e.Field(name) != nil {
		// supabase-js says so of rows, and the version has no such field.
		*c = query.Column{Alias: c.Alias, Aggregate: query.CountRows, AggCast: c.Cast}
		return
	}
	c.Path.Field = t.fieldName(e, name)
	if c.Path.Field != name && c.Alias == "" && c.Aggregate == query.NoAggregate &&
		!slices.ContainsFunc(c.Path.Steps, func(s query.Step) bool { return s.ByKey }) {
		c.Alias = name
	}
}

func (t *translation) expr(e *model.Entity, embeds []embedded, x query.Expr) {
	switch x := x.(type) {
	case *query.And:
		for _, a := range x.Args {
			t.expr(e, embeds, a)
		}
	case *query.Or:
		for _, a := range x.Args {
			t.expr(e, embeds, a)
		}
	case *query.Not:
		t.expr(e, embeds, x.Arg)
	case *query.Compare:
		ref, ok := x.Left.(*query.FieldRef)
		if !ok {
			return
		}
		name := ref.Path.Field
		if slices.ContainsFunc(embeds, func(em embedded) bool { return em.embed.Name() == name }) {
			if f := t.view.Field(e, name); f == nil || !t.caller().Visible(f) {
				ref.Embedded = true
				return
			}
		}
		ref.Path.Field = t.fieldName(e, name)
	}
}

// embed translates which relation is meant, and returns where it leads; nil: the
// version has no such relation.
func (t *translation) embed(e *model.Entity, em *query.Embed) *model.Entity {
	found := t.relations(e, em)
	if len(found) == 0 {
		if !t.view.Plain() {
			em.Relation = t.view.Unknown(em.Relation)
		}
		return nil
	}
	r := found[0]
	t.usesEntity(r.To)
	if t.view.Plain() {
		return r.To
	}
	em.Alias = cmp.Or(em.Alias, em.Relation)
	em.Relation = r.Name
	switch {
	case len(found) > 1: // the engine says which there are
		if slices.ContainsFunc(found, func(o *model.Relation) bool { return o.Name != r.Name }) {
			em.Relation = r.To.Name
		}
		em.Hint = ""
	case em.Hint != "" || len(namesakes(e, r)) > 1:
		em.Hint = r.Ref.Entity.Name + "_" + r.Ref.Name + "_fkey"
	}
	return r.To
}

func namesakes(e *model.Entity, r *model.Relation) (out []*model.Relation) {
	for _, o := range e.Relations {
		if o.Name == r.Name {
			out = append(out, o)
		}
	}
	return out
}

// relations are those that an embed may mean: by their name, else by the other
// entity's, else by the field that refers, as the engine looks for them.
func (t *translation) relations(e *model.Entity, em *query.Embed) []*model.Relation {
	for _, called := range [...]func(*model.Relation) (string, bool){
		t.view.RelationName,
		func(r *model.Relation) (string, bool) { return t.view.EntityName(r.To) },
		func(r *model.Relation) (string, bool) {
			name, there := t.view.FieldName(r.Local)
			return name, there && r.Cardinality == model.ToOne
		},
	} {
		var found []*model.Relation
		for _, r := range e.Relations {
			name, there := called(r)
			if _, shown := t.view.RelationName(r); there && shown && name == em.Relation && (em.Hint == "" || t.fits(r, em.Hint)) {
				found = append(found, r)
			}
		}
		if len(found) > 1 { // the caller may not see all of them
			found = slices.DeleteFunc(found, func(r *model.Relation) bool {
				g := t.caller()
				return !g.Visible(r.Ref) || r.Via != nil && !g.Visible(r.ViaLocal)
			})
		}
		if len(found) > 0 {
			return found
		}
	}
	return nil
}

// fits reports whether a hint chooses a relation.
func (t *translation) fits(r *model.Relation, hint string) bool {
	is := func(name string, there bool) bool { return there && name == hint }
	if is(t.view.RelationName(r)) || is(t.view.FieldName(r.Local)) || is(t.view.FieldName(r.Ref)) || r.Via != nil && is(t.view.EntityName(r.Via)) {
		return true
	}
	for _, back := range r.Ref.Entity.Relations {
		if back.Ref == r.Ref && back.Cardinality == model.ToOne && is(t.view.RelationName(back)) {
			return true
		}
	}
	return hint == t.entity(r.Ref.Entity)+"_"+t.field(r.Ref)+"_fkey"
}

// translate begins a request: entity and parameters get the model's names.
func (q *request) translate() {
	if q.names == nil {
		return
	}
	t := &translation{names: q.names, id: &q.id, action: actionOf(q.r.Method)}
	q.translation = t
	e := q.app.Entity(q.target.Module, q.target.Entity)
	if e == nil || e.Internal {
		return
	}
	t.usesEntity(e)
	t.node(e, &q.params.node)
	t.fieldNames(e, q.params.onConflict)
}

func actionOf(method string) query.Action {
	switch method {
	case http.MethodPost, http.MethodPut:
		return query.Create
	case http.MethodPatch:
		return query.Update
	case http.MethodDelete:
		return query.Delete
	}
	return query.ReadRows
}

// translated gives the columns of a body the model's names.
func (q *request) translated(in input) input {
	if q.translation == nil {
		return in
	}
	if e := q.app.Entity(q.target.Module, q.target.Entity); e != nil {
		q.translation.fieldNames(e, in.columns)
	}
	return in
}

// told counts the deprecated things of the request and tells of them; an error:
// one of them is gone.
func (q *request) told() error {
	if q.translation == nil || len(q.translation.things) == 0 {
		return nil
	}
	notice, err := q.names.usage.Note(&q.id, q.names.view.Version, q.translation.things...)
	if err != nil {
		return err
	}
	notice.Set(q.w.Header(), q.names.docs)
	return nil
}

// calls tells of a deprecated operation; an error: it is gone.
func (q *request) calls(op *model.Operation) error {
	if q.names == nil || op.Deprecated == nil {
		return nil
	}
	name, _ := q.names.view.OperationName(op)
	q.translation = &translation{names: q.names, id: &q.id}
	q.translation.deprecated(op.Deprecated, op.Module.Name+"."+name)
	return q.told()
}

// renamed gives the rows of an operation's answer, one object or an array of them,
// the names that a star means, and leaves out what it does not. body is well-formed.
func renamed(body []byte, seen *query.Seen) []byte {
	sp := &splitter{s: string(body)}
	out := make([]byte, 0, len(body)+len(body)/8)
	object := func() {
		sp.pos++ // {
		out = append(out, '{')
		first := true
		for sp.space(); !sp.accept('}'); sp.space() {
			sp.accept(',')
			key, start, end := sp.rawMember()
			at := slices.IndexFunc(seen.Fields, func(f query.Renamed) bool { return f.Field == key })
			if at < 0 {
				continue
			}
			if !first {
				out = append(out, ',')
			}
			first = false
			out = append(value.AppendQuoted(out, seen.Fields[at].Name), ':')
			out = append(out, sp.s[start:end]...)
		}
		out = append(out, '}')
	}
	sp.space()
	if sp.peek() != '[' {
		if sp.peek() == '{' {
			object()
			return out
		}
		return body // null
	}
	sp.pos++
	out = append(out, '[')
	for sp.space(); !sp.accept(']'); sp.space() {
		if sp.accept(',') {
			out = append(out, ',')
			sp.space()
		}
		object()
	}
	return append(out, ']')
}

// rawMember passes over a member of an object that is well-formed.
func (sp *splitter) rawMember() (key string, start, end int) {
	sp.space()
	at := sp.pos
	sp.text()
	key = decodeText(sp.s[at:sp.pos])
	sp.space()
	sp.accept(':')
	sp.space()
	start = sp.pos
	sp.value(0)
	return key, start, sp.pos
}
