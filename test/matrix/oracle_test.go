package matrix

import (
	"fmt"
	"slices"
)

// action is what an ask does.
type action string

// The actions.
const (
	doRead   action = "read"
	doCreate action = "create"
	doUpdate action = "update"
	doDelete action = "delete"
)

// cond is one condition of a filter: eq, gte, null or set.
type cond struct {
	field, op string
	value     any
}

// embed is a relation that is read along.
type embed struct {
	relation string
	inner    bool
	where    []cond
	fields   []string
}

// total is a group's sum or count of a field; count without one is that of rows.
type total struct{ fn, field string }

// ask is one request, in no door's words.
type ask struct {
	op, class string // what it is called
	action    action
	where     []cond
	fields    []string // empty: all
	groups    []total  // the rest of fields are what is grouped by
	embeds    []embed
	by        string // an order; - before it runs downwards
	limit     int    // 0: none
	count     bool

	columns []string // of rows, in order
	rows    []row
	merge   bool // into the row of the key
	ignore  bool // the rows whose keys are there
	put     bool
	key     string // that decides; empty: id
	ifMatch string
	returns bool // the rows are answered
}

// result is what has to come back.
type result struct {
	code     string // of the fault; empty: none
	rows     []any  // nil: none are answered
	ordered  bool
	total    int // -1: not asked for
	affected int // rows that were written or deleted
	inserted bool
	why      string
	after    *world
}

// The codes that the oracle knows.
const (
	forbidden    = "42501"
	noSuchField  = "42703"
	noSuchColumn = "PGRST204"
	noRelation   = "PGRST200"
	duplicate    = "23505"
	referred     = "23503"
	changed      = "precondition_failed"
)

// oracle answers asks as the documentation says that Pando does. It shares no
// code with it.
type oracle struct {
	world  *world
	who    *caller
	method string
}

// refusal is a fault that is on its way out.
type refusal struct{ code, why string }

func refuse(code, why string, args ...any) { panic(refusal{code, fmt.Sprintf(why, args...)}) }

// refused is the result of what is refused before any rule is asked.
func (o *oracle) refused(code, why string) result {
	return result{code: code, why: why, total: -1, after: o.world}
}

// answer tells what has to come of an ask.
func (o *oracle) answer(e *entity, q *ask) (res result) {
	res = result{total: -1, after: o.world}
	defer func() {
		switch r := recover().(type) {
		case nil:
		case refusal:
			res = o.refused(r.code, r.why)
		default:
			panic(r)
		}
	}()
	switch q.action {
	case doRead:
		o.read(e, q, &res)
	case doCreate:
		o.create(e, q, &res)
	case doUpdate:
		o.update(e, q, &res)
	case doDelete:
		o.remove(e, q, &res)
	}
	return res
}

// rule is the clause that judges an action; free: all rows; shut: none at all.
func (o *oracle) rule(e *entity, r rule) (c *clause, free, shut bool) {
	switch {
	case o.who.module != "" && e.module != o.who.module:
		return nil, false, true
	case e.builtin && r != toRead && (e.name != "user_roles" || o.who.role != serviceRole):
		return nil, false, true
	case o.who.role == serviceRole:
		return nil, true, false
	case e.rules[r] == nil:
		return nil, false, true
	}
	return e.rules[r], false, false
}

// must refuses an action that nothing allows at all.
func (o *oracle) must(e *entity, r rule, name string) {
	if _, _, shut := o.rule(e, r); shut {
		refuse(forbidden, "no %s rule of %s, or a key of another module", name, e.name)
	}
}

// lets tells whether a rule allows a row.
func (o *oracle) lets(e *entity, r rule, w *world, is, was row) bool {
	c, free, shut := o.rule(e, r)
	if free || shut {
		return free
	}
	return o.judge(e, c, w, is, was)
}

func (o *oracle) asking() asking { return asking{o.who, o.method} }

// might tells whether a rule may allow a row at all, whatever it holds.
func (o *oracle) might(e *entity, r rule) bool {
	c, free, shut := o.rule(e, r)
	return free || !shut && c.could(o.asking()).mayBe(yes)
}

func (o *oracle) judge(e *entity, c *clause, w *world, is, was row) bool {
	return c.holds(&judged{world: w, who: o.who, method: o.method, entity: e, row: is, old: was}) == yes
}

// sees tells whether the caller may name a field at all.
func (o *oracle) sees(e *entity, f *field) bool {
	_, _, shut := o.rule(e, toRead)
	return !f.hidden && !shut && (f.read == nil || o.who.role == serviceRole || f.read.could(o.asking()).mayBe(yes))
}

// writes tells whether the caller may give a field in an action.
func (o *oracle) writes(e *entity, f *field, r rule) bool {
	_, _, shut := o.rule(e, r)
	if shut {
		return false
	}
	if o.who.role == serviceRole {
		return true
	}
	if r == toUpdate && e.only != nil && !slices.Contains(e.only, f.name) {
		return false
	}
	return f.write == nil || f.write.could(o.asking()).mayBe(yes)
}

// value is a field as the caller may know it.
func (o *oracle) value(e *entity, w *world, r row, name string) any {
	f := e.field(name)
	if f.read == nil || o.who.role == serviceRole || o.judge(e, f.read, w, r, nil) {
		return r[name]
	}
	return nil
}

// named refuses a field that the caller does not see.
func (o *oracle) named(e *entity, name string) {
	if f := e.field(name); !o.sees(e, f) {
		refuse(noSuchField, "the field %s.%s is not the caller's to see", e.name, name)
	}
}

// meets tells whether a row meets a filter. A hidden or masked value is null.
func (o *oracle) meets(e *entity, w *world, r row, where []cond) bool {
	for _, c := range where {
		v := o.value(e, w, r, c.field)
		var ok bool
		switch c.op {
		case "eq":
			ok = same(v, c.value) == yes
		case "neq":
			ok = same(v, c.value) == no
		case "gte":
			ok = v != nil && order(v, c.value) >= 0
		case "null":
			ok = v == nil
		case "set":
			ok = v != nil
		default:
			panic(c.op)
		}
		if !ok {
			return false
		}
	}
	return true
}

// filtered refuses a filter by fields that the caller does not see.
func (o *oracle) filtered(e *entity, where []cond) {
	for _, c := range where {
		o.named(e, c.field)
	}
}

// shown is a row as the caller may know it.
func (o *oracle) shown(e *entity, w *world, r row, fields []string) map[string]any {
	out := map[string]any{}
	if len(fields) == 0 {
		for _, f := range e.fields {
			if o.sees(e, f) {
				out[f.name] = o.value(e, w, r, f.name)
			}
		}
		return out
	}
	for _, name := range fields {
		out[name] = o.value(e, w, r, name)
	}
	return out
}

func (o *oracle) read(e *entity, q *ask, res *result) {
	o.must(e, toRead, "read")
	for _, name := range q.fields {
		o.named(e, name)
	}
	for _, g := range q.groups {
		if g.field != "" {
			o.named(e, g.field)
		}
	}
	ways := make([]*way, len(q.embeds))
	for i := range q.embeds {
		ways[i] = o.leads(e, &q.embeds[i])
	}
	o.filtered(e, q.where)
	by, down := q.by, false
	if by != "" && by[0] == '-' {
		by, down = by[1:], true
	}
	if by != "" {
		o.named(e, by)
	}
	var found []row
	for _, r := range o.world.table(e) {
		if o.lets(e, toRead, o.world, r, nil) && o.meets(e, o.world, r, q.where) && o.partnered(ways, r) {
			found = append(found, r)
		}
	}
	if by != "" {
		slices.SortStableFunc(found, func(x, y row) int {
			a, b := o.value(e, o.world, x, by), o.value(e, o.world, y, by)
			c := order(a, b)
			if a == nil || b == nil { // nulls are the greatest
				c = -c
			}
			if down {
				c = -c
			}
			return c
		})
	}
	if q.count {
		res.total = len(found)
	}
	if q.limit > 0 && len(found) > q.limit {
		found = found[:q.limit]
	}
	res.ordered = true
	res.rows = []any{}
	if len(q.groups) > 0 {
		res.rows, res.ordered = o.grouped(e, found, q), false
		return
	}
	for _, r := range found {
		out := o.shown(e, o.world, r, q.fields)
		for i, at := range ways {
			out[q.embeds[i].relation] = at.show(o, r)
		}
		res.rows = append(res.rows, out)
	}
}

func (o *oracle) partnered(ways []*way, r row) bool {
	for _, at := range ways {
		if at.embed.inner && len(at.rows(o, r)) == 0 {
			return false
		}
	}
	return true
}

// grouped counts and sums what the caller sees.
func (o *oracle) grouped(e *entity, rows []row, q *ask) []any {
	type group struct {
		out  map[string]any
		rows []row
	}
	groups := map[string]*group{}
	if len(q.fields) == 0 { // without groups there is one
		groups[""] = &group{out: map[string]any{}}
	}
	for _, r := range rows {
		key := ""
		out := map[string]any{}
		for _, name := range q.fields {
			out[name] = o.value(e, o.world, r, name)
			key += fmt.Sprintf("%v,", out[name])
		}
		if groups[key] == nil {
			groups[key] = &group{out: out}
		}
		groups[key].rows = append(groups[key].rows, r)
	}
	list := []any{}
	for _, g := range groups {
		for _, t := range q.groups {
			sum, n := 0, 0
			for _, r := range g.rows {
				if t.field == "" {
					n++
				} else if v := o.value(e, o.world, r, t.field); v != nil {
					n++
					if i, ok := v.(int); ok {
						sum += i
					}
				}
			}
			switch {
			case t.fn == "count":
				g.out["count"] = n
			case n == 0:
				g.out["sum"] = nil
			default:
				g.out["sum"] = sum
			}
		}
		list = append(list, g.out)
	}
	return list
}

// way is where an embed leads.
type way struct {
	embed *embed
	from  *entity
	to    *entity
	one   string  // to one: the field that refers
	many  string  // to many: the field of the other entity
	via   *entity // many to many: the entity between, and its two fields
	near  string
	far   string
}

// relation finds what a generated entity calls a relation.
func relation(a *app, e *entity, x *embed) *way {
	at := &way{embed: x, from: e}
	switch x.relation {
	case "parent":
		at.to, at.one = e.parent, "parent_id"
		return at
	case "owner":
		at.to, at.one = a.users, "owner_id"
		return at
	case "members":
		at.to, at.many = e.member, "of_id"
		return at
	}
	for _, o := range a.entities {
		switch {
		case o.parent == e && x.relation == "of_"+o.name:
			at.to, at.many = o, "parent_id"
			return at
		case o.left == e && x.relation == o.right.name:
			at.to, at.via, at.near, at.far = o.right, o, "left_id", "right_id"
			return at
		case o.right == e && x.relation == o.left.name:
			at.to, at.via, at.near, at.far = o.left, o, "right_id", "left_id"
			return at
		}
	}
	panic("no relation " + x.relation + " of " + e.name)
}

// leads resolves an embed, or refuses it as a door does.
func (o *oracle) leads(e *entity, x *embed) *way {
	at := relation(o.world.app, e, x)
	var gone bool
	switch {
	case at.one != "":
		gone = !o.sees(e, e.field(at.one))
	case at.many != "":
		gone = !o.sees(at.to, at.to.field(at.many))
	default:
		gone = !o.sees(at.via, at.via.field(at.far)) || !o.sees(at.via, at.via.field(at.near))
	}
	if gone {
		refuse(noRelation, "the reference behind %s is not the caller's to see", x.relation)
	}
	o.must(at.to, toRead, "read")
	for _, name := range x.fields {
		o.named(at.to, name)
	}
	o.filtered(at.to, x.where)
	return at
}

// rows are those that an embed leads to and the caller sees.
func (at *way) rows(o *oracle, r row) []row {
	var keys []any
	switch {
	case at.one != "":
		keys = append(keys, o.value(at.from, o.world, r, at.one))
	case at.many != "":
		for _, other := range o.world.table(at.to) {
			if same(o.value(at.to, o.world, other, at.many), r["id"]) == yes {
				keys = append(keys, other["id"])
			}
		}
	default:
		for _, l := range o.world.table(at.via) {
			if o.lets(at.via, toRead, o.world, l, nil) && same(o.value(at.via, o.world, l, at.near), r["id"]) == yes {
				keys = append(keys, o.value(at.via, o.world, l, at.far))
			}
		}
	}
	var out []row
	for _, k := range keys {
		other := o.world.rows[at.to.name][k]
		if other != nil && o.lets(at.to, toRead, o.world, other, nil) && o.meets(at.to, o.world, other, at.embed.where) {
			out = append(out, other)
		}
	}
	slices.SortFunc(out, func(x, y row) int { return order(x["id"], y["id"]) })
	return out
}

// show is what an embed answers.
func (at *way) show(o *oracle, r row) any {
	list := []any{}
	for _, other := range at.rows(o, r) {
		list = append(list, o.shown(at.to, o.world, other, at.embed.fields))
	}
	if at.one == "" {
		return list
	}
	if len(list) == 0 {
		return nil
	}
	return list[0]
}
