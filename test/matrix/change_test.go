package matrix

import (
	"maps"
	"slices"
)

// given refuses columns that the caller may not write.
func (o *oracle) given(e *entity, columns []string, r rule) {
	for _, name := range columns {
		f := e.field(name)
		switch {
		case o.writes(e, f, r):
		case o.sees(e, f), o.writes(e, f, toCreate), o.writes(e, f, toUpdate):
			refuse(forbidden, "%s.%s is not the caller's to write", e.name, name)
		default:
			refuse(noSuchColumn, "%s.%s is not the caller's to know", e.name, name)
		}
	}
}

// locks refuses fields that the caller may not give in these rows.
func (o *oracle) locks(e *entity, columns []string, w *world, rows ...row) {
	if o.who.role == serviceRole {
		return
	}
	for _, name := range columns {
		f := e.field(name)
		for _, r := range rows {
			if f.write != nil && !o.judge(e, f.write, w, r, nil) {
				refuse(forbidden, "the write rule of %s.%s does not hold", e.name, name)
			}
		}
	}
}

// fresh is a new row with its defaults.
func (o *oracle) fresh(e *entity, columns []string, body row) row {
	r := row{}
	for _, f := range e.fields {
		r[f.name] = nil
	}
	r["status"], r["owner_id"] = "open", orNull(o.who.uid)
	if e.of != nil {
		r["rank"] = 1
	}
	for _, name := range columns {
		r[name] = body[name]
	}
	return r
}

// there is the stored row with the value of a key.
func (o *oracle) there(w *world, e *entity, key string, v any) row {
	for _, r := range w.table(e) {
		if v != nil && r[key] == v {
			return r
		}
	}
	return nil
}

func (o *oracle) create(e *entity, q *ask, res *result) {
	o.must(e, toCreate, "create")
	if q.merge {
		o.must(e, toUpdate, "update")
		o.must(e, toRead, "read")
	}
	o.given(e, q.columns, toCreate)
	key := q.key
	if key == "" {
		key = "id"
	}
	set := slices.DeleteFunc(slices.Clone(q.columns), func(name string) bool { return name == key })
	if q.merge {
		for _, name := range set {
			if !o.writes(e, e.field(name), toUpdate) {
				refuse(forbidden, "a merge may not set %s.%s", e.name, name)
			}
		}
	}
	w := o.world
	var written []row
	for _, body := range q.rows {
		is := o.fresh(e, q.columns, body)
		was := o.there(w, e, key, is[key])
		if q.merge && was != nil {
			after := maps.Clone(was)
			for _, name := range set {
				after[name] = body[name]
			}
			if !o.lets(e, toRead, w, was, nil) || !o.lets(e, toUpdate, w, was, nil) || !o.lets(e, toCheck, w, after, was) {
				refuse(forbidden, "the row %v that is there may not be read, changed, or changed into this", was[key])
			}
			o.locks(e, set, w, was, after)
			w = w.with(e, was["id"], after)
			written = append(written, after)
			continue
		}
		if !o.lets(e, toCreate, w, is, nil) {
			refuse(forbidden, "the create rule does not hold for %v", is["id"])
		}
		o.locks(e, q.columns, w, is)
		if was != nil && q.ignore {
			continue
		}
		if was != nil || o.there(w, e, "id", is["id"]) != nil || o.there(w, e, "code", is["code"]) != nil {
			refuse(duplicate, "the key is taken")
		}
		res.inserted = true
		w = w.with(e, is["id"], is)
		written = append(written, is)
	}
	res.after, res.affected = w, len(written)
	o.represent(e, q, res, w, written)
}

// represent answers those of the written rows that the caller reads.
func (o *oracle) represent(e *entity, q *ask, res *result, w *world, rows []row) {
	if !q.returns {
		return
	}
	o.must(e, toRead, "read")
	res.rows, res.ordered = []any{}, q.action == doCreate
	for _, r := range rows {
		if o.lets(e, toRead, w, r, nil) {
			res.rows = append(res.rows, o.shown(e, w, r, nil))
		}
	}
}

// reach are the stored rows that a change may touch.
func (o *oracle) reach(e *entity, q *ask, r rule) []row {
	o.must(e, toRead, "read")
	o.filtered(e, q.where)
	var out []row
	seen := 0
	for _, is := range o.world.table(e) {
		if !o.lets(e, toRead, o.world, is, nil) || !o.meets(e, o.world, is, q.where) {
			continue
		}
		seen++
		if o.lets(e, r, o.world, is, nil) {
			out = append(out, is)
		}
	}
	if q.ifMatch != "" && (q.ifMatch != "*" || seen != 1) {
		refuse(changed, "the caller sees %d rows that match", seen)
	}
	return out
}

func (o *oracle) update(e *entity, q *ask, res *result) {
	o.must(e, toUpdate, "update")
	o.given(e, q.columns, toUpdate)
	w := o.world
	var written []row
	for _, was := range o.reach(e, q, toUpdate) {
		after := maps.Clone(was)
		for _, name := range q.columns {
			after[name] = q.rows[0][name]
		}
		if !o.lets(e, toCheck, o.world, after, was) {
			refuse(forbidden, "the check does not hold for %v", was["id"])
		}
		o.locks(e, q.columns, o.world, was, after)
		w = w.with(e, was["id"], after)
		written = append(written, after)
	}
	res.after, res.affected = w, len(written)
	o.represent(e, q, res, w, written)
}

func (o *oracle) remove(e *entity, q *ask, res *result) {
	o.must(e, toDelete, "delete")
	w := o.world
	gone := o.reach(e, q, toDelete)
	for _, r := range gone {
		w = w.with(e, r["id"], nil)
		for _, other := range w.app.entities {
			if other.parent == e && len(w.referring(other, "parent_id", r["id"])) > 0 {
				refuse(referred, "%s refers to the row %v", other.name, r["id"])
			}
			for by, of := range map[string]*entity{"left_id": other.left, "right_id": other.right, "of_id": other.of} {
				if of != e {
					continue
				}
				for _, l := range w.referring(other, by, r["id"]) {
					w = w.with(other, l["id"], nil)
				}
			}
		}
	}
	res.after, res.affected = w, len(gone)
	o.represent(e, q, res, o.world, gone)
}
