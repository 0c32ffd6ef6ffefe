package openapi

import (
	"maps"
	"slices"

	"github.com/pandobase/pando/internal/model"
	"github.com/pandobase/pando/internal/value"
)

// appendComponents writes what operations refer to. Nothing is written that no
// operation uses.
func (d *document) appendComponents(dst []byte) []byte {
	dst = append(dst, `{"securitySchemes":`...)
	dst = appendJSON(dst, securitySchemes())
	dst = append(dst, `,"schemas":{"Problem":`...)
	dst = appendJSON(dst, problemSchema())
	if !d.empty() {
		for _, m := range media() {
			dst = appendComponent(dst, m.name, m.value)
		}
	}
	for _, r := range d.resources {
		for _, e := range r.entities {
			dst = appendComponent(dst, entityKey(e), rowSchema(e))
			if e.ReadOnly {
				continue
			}
			props := inputProperties(e)
			dst = appendComponent(dst, entityKey(e, "insert"), insertSchema(e, props))
			dst = appendComponent(dst, entityKey(e, "update"), updateSchema(e, props))
		}
	}
	dst = append(dst, `},"responses":{"Problem":`...)
	dst = d.appendProblems(dst)
	if len(commands(d.app)) > 0 {
		dst = appendComponent(dst, callProblems, callProblem())
	}
	if d.empty() {
		return append(dst, "}}"...)
	}
	for _, r := range d.resources {
		dst = appendComponent(dst, r.responseKey("rows"), r.rowsResponse("The rows.", headerRefs("Content-Range", "ETag", "Link", "Preference-Applied")...))
		if r.writable() {
			dst = appendComponent(dst, r.responseKey("created"), r.rowsResponse("The rows are created; the body holds them with `Prefer: return=representation` only.", headerRefs("Location", "Content-Range", "Preference-Applied", "Idempotency-Replayed", "Pando-Consistency")...))
		}
	}
	dst = append(dst, `},"headers":`...)
	dst = appendJSON(dst, headers())
	dst = append(dst, `,"parameters":{`...)
	for i, p := range params() {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = value.AppendQuoted(dst, p.name)
		dst = append(dst, ':')
		dst = appendJSON(dst, p.value)
	}
	for _, r := range d.resources {
		for _, fields := range r.filters() {
			dst = appendComponent(dst, r.filterKey(fields[0].Name), filterParam(fields))
		}
	}
	return append(dst, "}}"...)
}

// empty reports whether nothing is behind the door.
func (d *document) empty() bool { return len(d.resources) == 0 && len(commands(d.app)) == 0 }

// appendComponent writes one more member of an object that has some already.
func appendComponent(dst []byte, key string, v any) []byte {
	dst = append(dst, ',')
	dst = value.AppendQuoted(dst, key)
	dst = append(dst, ':')
	return appendJSON(dst, v)
}

// appendProblems writes the answers that carry no rows. A status that no
// operation lists is part of the answer "Problem".
func (d *document) appendProblems(dst []byte) []byte {
	type use struct {
		status int
		write  bool
	}
	uses := []use{{401, false}, {406, false}} // the root's
	if !d.empty() {
		for _, m := range d.methods {
			for _, s := range m.problems {
				uses = append(uses, use{s, m.write})
			}
		}
	}
	listed := make(map[int]bool)
	byKey := make(map[string]use)
	for _, u := range uses {
		listed[u.status] = true
		byKey[problemKey(u.status, u.write)] = u
	}
	dst = appendJSON(dst, anyProblem(listed))
	for _, key := range slices.Sorted(maps.Keys(byKey)) {
		u := byKey[key]
		dst = appendComponent(dst, key, problemResponse(u.status, codesOf(u.status, u.write)))
	}
	if d.empty() {
		return dst
	}
	with := func(text string, names ...string) object {
		return object{{"description", text}, {"headers", object(headerRefs(names...))}}
	}
	dst = appendComponent(dst, "Done", with("Done; nothing to answer.", "Content-Range", "Preference-Applied", "Idempotency-Replayed", "Pando-Consistency"))
	dst = appendComponent(dst, "Found", with("The headers of the same GET.", "Content-Range", "ETag", "Link", "Preference-Applied"))
	return appendComponent(dst, "NotModified", with("The answer's entity tag is still one of `If-None-Match`.", "ETag"))
}

// index tells a renderer what the paths alone do not: which entity stands
// behind which path and profile, its schemas and its relations.
func (d *document) index() object {
	byEntity := make(map[*model.Entity]*resource)
	for _, r := range d.resources {
		for _, e := range r.entities {
			byEntity[e] = r
		}
	}
	mods := array{}
	for _, m := range modules(d.app) {
		entities := array{}
		for _, e := range m.Entities {
			if r := byEntity[e]; r != nil {
				entities = append(entities, indexEntity(r, e))
			}
		}
		mods = append(mods, object{{"name", m.Name}, {"entities", entities}})
	}
	return object{{"modules", mods}}
}

func indexEntity(r *resource, e *model.Entity) object {
	o := object{{"name", e.Name}, {"path", r.path()}, {"schema", entityKey(e)}, {"primary", e.Primary.Name}}
	if e.Doc != "" {
		o = o.with("doc", markdown(e.Doc))
	}
	if e != r.owner {
		o = o.with("profile", e.Module.Name) // the header is needed
	}
	relations := array{}
	for _, rel := range e.Relations {
		if !embeddable(rel) {
			continue
		}
		relations = append(relations, object{
			{"name", rel.Name}, {"module", rel.To.Module.Name}, {"entity", rel.To.Name}, {"rows", cardinality(rel)},
		})
	}
	if len(relations) > 0 {
		o = o.with("relations", relations)
	}
	return o
}
