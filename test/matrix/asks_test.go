package matrix

import (
	"maps"
	"slices"
)

// target is a row that stands for a class of rows, as one caller sees them.
type target struct {
	class string
	id    int
}

// targets chooses a row of each class.
func targets(w *world, e *entity, c *caller) []target {
	var out []target
	seen := map[string]bool{}
	for _, r := range w.table(e) {
		class := "another's"
		switch {
		case r["owner_id"] == nil:
			class = "nobody's"
		case c.uid != "" && r["owner_id"] == c.uid:
			class = "own"
		case c.org != "" && r["org"] == c.org:
			class = "of the tenant"
		}
		if !seen[class] {
			seen[class] = true
			out = append(out, target{class, r["id"].(int)}) //nolint:forcetypeassert // every key is a number
		}
	}
	return out
}

// rotate keeps of each operation one class in step, other ones for other
// callers and entities, so that every caller does every operation to every
// entity, and all classes of it have their turn.
func rotate(list []*ask, step, turn int) []*ask {
	of := map[string]int{}
	for _, q := range list {
		of[q.op]++
	}
	at := map[string]int{}
	return slices.DeleteFunc(list, func(q *ask) bool {
		i := at[q.op]
		at[q.op]++
		least := min(step, of[q.op])
		return (i+turn)%least != 0
	})
}

// asks are all that a caller can do to an entity.
func asks(w *world, e *entity, c *caller, p people) []*ask {
	if e.builtin {
		return builtinAsks(w, e, c)
	}
	g := &asker{w: w, e: e, c: c, me: orNull(c.uid), other: p.bob}
	if c.uid == p.bob {
		g.other = p.ada
	}
	g.reads()
	g.embeds()
	g.creates()
	g.updates()
	g.upserts()
	g.deletes()
	return g.out
}

type asker struct {
	w     *world
	e     *entity
	c     *caller
	me    any // null: nobody
	other any
	out   []*ask
}

func (g *asker) add(op, class string, q ask) {
	q.op, q.class = op, class
	g.out = append(g.out, &q)
}

func byID(id int) []cond { return []cond{{"id", "eq", id}} }

func (g *asker) reads() {
	read := func(op, class string, q ask) { q.action = doRead; g.add(op, class, q) }
	read("list", "all", ask{})
	for _, t := range targets(g.w, g.e, g.c) {
		read("get", t.class, ask{where: byID(t.id)})
	}
	read("filter", "owner", ask{fields: []string{"id"}, where: []cond{{"owner_id", "eq", g.other}}})
	read("filter", "masked", ask{fields: []string{"id"}, where: []cond{{"inner", "eq", "i1"}}})
	read("filter", "masked null", ask{fields: []string{"id"}, where: []cond{{"inner", "null", nil}}})
	read("filter", "masked not", ask{fields: []string{"id"}, where: []cond{{"inner", "neq", "i1"}}})
	read("filter", "veiled", ask{fields: []string{"id"}, where: []cond{{"salary", "gte", 200}}})
	read("filter", "hidden", ask{fields: []string{"id"}, where: []cond{{"secret", "eq", "s1"}}})
	read("select", "masked", ask{fields: []string{"id", "inner", "locked"}})
	read("select", "veiled", ask{fields: []string{"id", "salary"}})
	read("select", "hidden", ask{fields: []string{"id", "secret"}})
	read("order", "masked", ask{fields: []string{"id"}, by: "inner"})
	read("order", "masked down", ask{fields: []string{"id"}, by: "-inner", limit: 3})
	read("order", "veiled", ask{fields: []string{"id"}, by: "salary"})
	read("order", "hidden", ask{fields: []string{"id"}, by: "secret"})
	read("count", "exact", ask{fields: []string{"id"}, count: true, limit: 1})
	read("count", "masked", ask{fields: []string{"id"}, count: true, limit: 1, where: []cond{{"inner", "set", nil}}})
	read("aggregate", "rows", ask{groups: []total{{"count", ""}, {"sum", "amount"}}})
	read("aggregate", "masked", ask{fields: []string{"inner"}, groups: []total{{"count", ""}}})
	read("aggregate", "veiled", ask{groups: []total{{"sum", "salary"}}})
	read("aggregate", "hidden", ask{groups: []total{{"count", "secret"}}})
}

func (g *asker) embeds() {
	read := func(op, class string, x ...embed) {
		g.add(op, class, ask{action: doRead, fields: []string{"id"}, embeds: x})
	}
	read("embed", "owner", embed{relation: "owner", fields: []string{"id", "email"}})
	read("embed", "owner hidden", embed{relation: "owner", fields: []string{"id", "password"}})
	if g.e.parent != nil {
		read("embed", "parent", embed{relation: "parent", fields: []string{"id", "inner"}})
		read("inner embed", "parent", embed{relation: "parent", inner: true, fields: []string{"id"}})
		read("inner embed", "parent filtered", embed{relation: "parent", inner: true, fields: []string{"id"}, where: []cond{{"inner", "eq", "i1"}}})
		read("inner embed", "parent hidden", embed{relation: "parent", inner: true, fields: []string{"id"}, where: []cond{{"secret", "eq", "s1"}}})
	}
	children := 0
	for _, o := range g.w.app.entities {
		switch {
		case o.parent == g.e && children < 2:
			children++
			read("embed", "children", embed{relation: "of_" + o.name, fields: []string{"id", "inner"}})
			read("inner embed", "children", embed{relation: "of_" + o.name, inner: true, fields: []string{"id"}, where: []cond{{"inner", "eq", "i1"}}})
		case o.left == g.e:
			read("embed", "many to many", embed{relation: o.right.name, fields: []string{"id", "name"}})
			read("inner embed", "many to many", embed{relation: o.right.name, inner: true, fields: []string{"id"}, where: []cond{{"status", "eq", "open"}}})
		case o.right == g.e:
			read("embed", "many to many", embed{relation: o.left.name, fields: []string{"id", "name"}})
		case o.of == g.e:
			read("embed", "members", embed{relation: "members", fields: []string{"id", "user_id"}})
			read("inner embed", "members", embed{relation: "members", inner: true, fields: []string{"id"}})
		}
	}
}

// body is a new row.
func (g *asker) body(id int, owner any) ([]string, row) {
	r := row{"id": id, "name": "new", "owner_id": owner, "status": "open", "org": orNull(g.c.org), "amount": 40, "until": future}
	if g.e.parent != nil {
		r["parent_id"] = 1 + id%2*2 // one of ada's, one of bob's
	}
	if g.e.left != nil {
		r["left_id"], r["right_id"] = 8, id-100
	}
	if g.e.of != nil {
		r["of_id"], r["user_id"] = 1+id-100, g.other
		if id-100 < 7 {
			r["of_id"] = 8
			r["user_id"] = []any{g.other, g.me, g.other}[id%2]
		}
		if r["user_id"] == nil {
			r["user_id"] = g.other
			r["of_id"] = 7
		}
	}
	return slices.Sorted(maps.Keys(r)), r
}

func (g *asker) creates() {
	create := func(class string, change func(*ask, row), ids ...int) {
		q := ask{action: doCreate}
		for _, id := range ids {
			columns, r := g.body(id, g.me)
			q.columns, q.rows = columns, append(q.rows, r)
			change(&q, r)
		}
		g.add("create", class, q)
	}
	with := func(name string, v any) func(*ask, row) {
		return func(q *ask, r row) {
			if _, ok := r[name]; !ok {
				q.columns = append(q.columns, name)
			}
			r[name] = v
		}
	}
	create("own", func(*ask, row) {}, 101)
	create("own, returned", func(q *ask, _ row) { q.returns = true }, 102)
	create("another's", with("owner_id", g.other), 101)
	create("nobody's", with("owner_id", nil), 101)
	create("closed, poor, past", func(q *ask, r row) { r["status"], r["amount"], r["until"] = "closed", 1, past }, 102)
	create("all null", func(q *ask, r row) { r["status"], r["amount"], r["until"], r["org"] = nil, nil, nil, nil }, 102)
	create("of another tenant", with("org", "other"), 101)
	create("owner by default", func(q *ask, r row) {
		delete(r, "owner_id")
		q.columns = slices.DeleteFunc(q.columns, func(s string) bool { return s == "owner_id" })
	}, 101)
	create("with locked", with("locked", 5), 101)
	create("with hidden", with("secret", "x"), 101)
	create("with veiled", with("salary", 5), 101)
	create("with masked", with("inner", "i9"), 101)
	create("own and another's", func(q *ask, r row) {
		if r["id"] == 102 {
			r["owner_id"] = g.other
		}
	}, 101, 102)
	create("of a taken key", with("id", 1), 101)
	create("of a taken unique key", with("code", "c3"), 101)
}

func (g *asker) updates() {
	update := func(op, class string, where []cond, set row, change func(*ask)) {
		q := ask{action: doUpdate, where: where, columns: slices.Sorted(maps.Keys(set)), rows: []row{set}}
		if change != nil {
			change(&q)
		}
		g.add(op, class, q)
	}
	returned := func(q *ask) { q.returns = true }
	for _, t := range targets(g.w, g.e, g.c) {
		at := byID(t.id)
		update("update", t.class, at, row{"name": "changed"}, nil)
		update("update, returned", t.class, at, row{"name": "changed", "status": "open"}, returned)
		update("update of the owner", t.class+" to oneself", at, row{"owner_id": g.me}, nil)
		update("update of the owner", t.class+" to another", at, row{"owner_id": g.other}, returned)
		update("update of locked", t.class, at, row{"locked": 77}, nil)
		update("update of fields", t.class, at, row{"amount": 12, "org": "acme"}, nil)
		update("update of status", t.class, at, row{"status": "closed"}, nil)
		update("update, if-match", t.class, at, row{"name": "changed"}, func(q *ask) { q.ifMatch = "*" })
		update("update, if-match", t.class+", stale", at, row{"name": "changed"}, func(q *ask) { q.ifMatch = `"stale"` })
		if g.e.parent != nil {
			update("update of the parent", t.class, at, row{"parent_id": 3}, nil)
		}
	}
	update("update of many", "all", []cond{{"id", "gte", 1}}, row{"name": "changed"}, nil)
	update("update of many", "all, returned", []cond{{"id", "gte", 1}}, row{"amount": 31}, returned)
	update("update of many", "by masked", []cond{{"inner", "eq", "i1"}}, row{"name": "changed"}, nil)
	update("update of many", "by hidden", []cond{{"secret", "eq", "s1"}}, row{"name": "changed"}, nil)
	update("update of hidden", "all", []cond{{"id", "gte", 1}}, row{"secret": "x"}, nil)
	update("update of many", "locked", []cond{{"id", "gte", 1}}, row{"locked": 78}, nil)
}

func (g *asker) upserts() {
	upsert := func(op, class string, id int, change func(*ask, row)) {
		columns, r := g.body(101, g.me)
		r["id"] = id
		for _, name := range []string{"left_id", "right_id", "of_id", "user_id"} { // those of the row that is there
			if was := g.w.rows[g.e.name][id]; was != nil && was[name] != nil {
				r[name] = was[name]
			}
		}
		q := ask{action: doCreate, columns: columns, rows: []row{r}, merge: true}
		change(&q, r)
		g.add(op, class, q)
	}
	short := func(q *ask, r row) { // few fields: less that forbids it
		q.columns = []string{"id", "name"}
		for _, name := range []string{"left_id", "right_id", "of_id", "user_id"} {
			if _, ok := r[name]; ok {
				q.columns = append(q.columns, name)
			}
		}
	}
	for _, t := range append(targets(g.w, g.e, g.c), target{"new", 101}) {
		upsert("upsert", t.class, t.id, func(*ask, row) {})
		upsert("upsert of a field", t.class, t.id, short)
		upsert("upsert ignoring", t.class, t.id, func(q *ask, _ row) { q.merge, q.ignore = false, true })
		upsert("put", t.class, t.id, func(q *ask, r row) { q.put, q.returns = true, t.id%2 == 1; short(q, r) })
	}
	for _, t := range targets(g.w, g.e, g.c) {
		upsert("upsert by code", t.class, t.id, func(q *ask, r row) {
			short(q, r)
			q.columns, q.key = append(q.columns, "code"), "code"
			r["code"] = "c" + itoa(t.id)
		})
	}
	upsert("upsert of hidden", "new", 101, func(q *ask, r row) { q.columns, r["secret"] = append(q.columns, "secret"), "x" })
	upsert("upsert of locked", "one", 1, func(q *ask, r row) { short(q, r); q.columns, r["locked"] = append(q.columns, "locked"), 79 })
}

func (g *asker) deletes() {
	for _, t := range targets(g.w, g.e, g.c) {
		g.add("delete", t.class, ask{action: doDelete, where: byID(t.id)})
		g.add("delete, returned", t.class, ask{action: doDelete, where: byID(t.id), returns: true})
		g.add("delete, if-match", t.class, ask{action: doDelete, where: byID(t.id), ifMatch: "*"})
	}
	g.add("delete of many", "all", ask{action: doDelete, where: []cond{{"id", "gte", 1}}})
	g.add("delete of many", "by masked", ask{action: doDelete, where: []cond{{"inner", "eq", "i1"}}})
	g.add("delete of many", "by hidden", ask{action: doDelete, where: []cond{{"secret", "eq", "s1"}}})
}

// builtinAsks are for the tables of identity, which nobody writes through the
// doors of rows, but for roles that the service gives.
func builtinAsks(w *world, e *entity, c *caller) []*ask {
	g := &asker{w: w, e: e, c: c, me: orNull(c.uid)}
	if e == w.app.users {
		g.add("list", "all", ask{action: doRead, fields: []string{"id", "email"}})
		g.add("count", "exact", ask{action: doRead, fields: []string{"id"}, count: true, limit: 1})
		g.add("filter", "hidden", ask{action: doRead, fields: []string{"id"}, where: []cond{{"password", "set", nil}}})
		g.add("select", "hidden", ask{action: doRead, fields: []string{"id", "password"}})
		g.add("create", "another", ask{action: doCreate, columns: []string{"email"}, rows: []row{{"email": "new@example.org"}}})
		g.add("update of many", "all", ask{action: doUpdate, where: []cond{{"is_anonymous", "set", nil}}, columns: []string{"email"}, rows: []row{{"email": "x@example.org"}}})
		g.add("delete of many", "all", ask{action: doDelete, where: []cond{{"is_anonymous", "set", nil}}})
		return g.out
	}
	g.add("list", "all", ask{action: doRead, fields: []string{"user_id", "role"}})
	if c.role == serviceRole && c.module == "" {
		return g.out
	}
	g.add("create", "admin", ask{action: doCreate, columns: []string{"role", "user_id"}, rows: []row{{"user_id": g.me, "role": "admin"}}})
	g.add("update of many", "all", ask{action: doUpdate, where: []cond{{"role", "set", nil}}, columns: []string{"role"}, rows: []row{{"role": "admin"}}})
	g.add("delete of many", "all", ask{action: doDelete, where: []cond{{"role", "set", nil}}})
	return g.out
}
