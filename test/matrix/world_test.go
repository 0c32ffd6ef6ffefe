package matrix

import (
	"maps"
	"math/rand/v2"
	"slices"
)

// The times of rows are far from now on either side.
const (
	past   = "2001-02-03T04:05:06+00:00"
	future = "2091-02-03T04:05:06+00:00"
)

// rowsEach is how many rows an entity has.
const rowsEach = 8

// world is what is stored: rows by their keys, by entity. It is never changed:
// a write makes another one.
type world struct {
	app  *app
	rows map[string]map[any]row
}

// table is the rows of an entity by their keys, in order.
func (w *world) table(e *entity) []row {
	keys := slices.Collect(maps.Keys(w.rows[e.name]))
	slices.SortFunc(keys, order)
	out := make([]row, len(keys))
	for i, k := range keys {
		out[i] = w.rows[e.name][k]
	}
	return out
}

// with is a world in which a row is another one; nil removes it.
func (w *world) with(e *entity, key any, r row) *world {
	out := &world{app: w.app, rows: maps.Clone(w.rows)}
	out.rows[e.name] = maps.Clone(w.rows[e.name])
	if r == nil {
		delete(out.rows[e.name], key)
	} else {
		out.rows[e.name][key] = r
	}
	return out
}

// members are the rows of the relation members.
func (w *world) members(e *entity, r row) []row {
	return w.referring(e.member, "of_id", r["id"])
}

// referring are the rows of an entity whose reference leads to a key.
func (w *world) referring(e *entity, by string, key any) []row {
	var out []row
	for _, r := range w.table(e) {
		if r[by] != nil && r[by] == key {
			out = append(out, r)
		}
	}
	return out
}

// people are the users whom rows belong to.
type people struct{ ada, bob, staff, admin, guest string }

// populate fills the entities with rows of all kinds.
func populate(a *app, p people, seed uint64) *world {
	r := rand.New(rand.NewPCG(seed, 2)) //nolint:gosec // it has to be the same each time
	w := &world{app: a, rows: map[string]map[any]row{}}
	owners := []any{p.ada, p.ada, p.bob, p.bob, nil, p.staff, p.guest, p.admin}
	users := []any{p.ada, p.bob, p.guest, p.staff}
	for _, e := range a.entities {
		w.rows[e.name] = map[any]row{}
		turn := r.IntN(rowsEach)
		pick := func(from []any, i int) any { return from[(i+turn)%len(from)] }
		for i := range rowsEach {
			id := i + 1
			rec := row{
				"id": id, "owner_id": owners[i], "name": "name " + itoa(id),
				"status": pick([]any{"open", "closed", "open", nil, "open", "closed"}, i),
				"org":    pick([]any{"acme", "bolt", nil, "acme", "bolt"}, i),
				"until":  pick([]any{future, past, nil, future, past, future, past}, i),
				"amount": pick([]any{50, nil, 25, 5, 15, 100, 30}, i),
				"code":   "c" + itoa(id), "secret": "s" + itoa(id),
				"inner":  pick([]any{"i1", "i2", nil, "i1", "i3"}, i),
				"salary": pick([]any{100, nil, 300}, i), "locked": id,
			}
			if e.parent != nil {
				rec["parent_id"] = nil
				if r.IntN(5) < 3 {
					rec["parent_id"] = 1 + r.IntN(rowsEach)
				}
			}
			if e.left != nil {
				rec["left_id"], rec["right_id"] = 1+i/2, 1+(i*3)%rowsEach
			}
			if e.of != nil {
				rec["of_id"], rec["user_id"], rec["rank"] = 1+i/2*2%6, users[(i+turn)%len(users)], pick([]any{2, nil, 1, 3, nil}, i)
			}
			w.rows[e.name][id] = rec
		}
	}
	return w
}

// order is that of keys and values: nulls first, then numbers, then texts.
func order(a, b any) int {
	switch x := a.(type) {
	case nil:
		if b == nil {
			return 0
		}
		return -1
	case int:
		if y, ok := b.(int); ok {
			return x - y
		}
	case string:
		if y, ok := b.(string); ok {
			switch {
			case x < y:
				return -1
			case x > y:
				return 1
			}
			return 0
		}
	}
	if b == nil {
		return 1
	}
	if _, ok := a.(int); ok {
		return -1
	}
	return 1
}
