package openapi

import (
	"net/url"
	"strconv"

	"github.com/pandobase/pando/internal/model"
)

// method describes what one HTTP method does to a resource.
type method struct {
	name     string // as OpenAPI writes it
	verb     string // the operation id is verb_name
	summary  string
	text     string // the first sentence of the description
	params   []string
	filters  bool // takes a parameter for each field
	problems []int
	write    bool
}

// methods are those of every resource, in the order in which a document has
// them. The problems are the statuses a client should expect; the response
// "default" stands for the others.
func methods() []method {
	rows := []string{"select", "order", "limit", "offset", "and", "or", "not.and", "not.or"}
	join := func(lists ...[]string) (out []string) {
		for _, l := range lists {
			out = append(out, l...)
		}
		return out
	}
	read := join(rows, []string{"cursor", "PreferRead", "Pando-Consistency", "Range", "Range-Unit", "If-None-Match"})
	readProblems := []int{300, 400, 401, 403, 404, 406, 416}
	change := []int{300, 400, 401, 403, 404, 406, 409, 412, 413, 415, 422}
	return []method{
		{
			name: "get", verb: "list", summary: "List rows of ", filters: true, params: read, problems: readProblems,
			text: "Answers the rows that the filters keep, by primary key unless `order` says otherwise.",
		},
		{
			name: "head", verb: "head", summary: "Count rows of ", filters: true, params: read, problems: readProblems,
			text: "The same as GET without the body; `Prefer: count=exact` puts the number of rows into `Content-Range`.",
		},
		{
			name: "post", verb: "create", summary: "Create rows of ", write: true,
			params:   []string{"select", "columns", "on_conflict", "PreferCreate", "Idempotency-Key"},
			problems: []int{300, 400, 401, 403, 404, 406, 409, 413, 415, 422},
			text:     "Creates one row or many, all or none. `Prefer: resolution=merge-duplicates` makes it an upsert.",
		},
		{
			name: "patch", verb: "update", summary: "Update rows of ", filters: true, write: true,
			params:   join(rows, []string{"columns", "PreferUpdate", "Idempotency-Key", "If-Match"}),
			problems: change,
			text:     "Sets the given fields in the rows that the filters keep. Without a filter it is refused.",
		},
		{
			name: "delete", verb: "delete", summary: "Delete rows of ", filters: true, write: true,
			params:   join(rows, []string{"PreferUpdate", "Idempotency-Key", "If-Match"}),
			problems: []int{300, 400, 401, 403, 404, 406, 409, 412, 422},
			text:     "Deletes the rows that the filters keep. Without a filter it is refused.",
		},
		{
			name: "put", verb: "replace", summary: "Create or replace a row of ", write: true,
			params:   []string{"select", "columns", "PreferReplace", "Idempotency-Key", "If-Match"},
			problems: []int{300, 400, 401, 403, 404, 405, 406, 409, 412, 413, 415, 422},
			text:     "Creates the row with the given primary key, or replaces it. The body's key must be the filter's.",
		},
	}
}

// pathItem describes everything that a resource's path answers.
func (d *document) pathItem(r *resource) object {
	var item object
	filters := r.filterRefs()
	for _, m := range d.methods {
		if m.write && !r.writable() {
			continue
		}
		item = item.with(m.name, d.operation(r, &m, filters))
	}
	return item
}

func (d *document) operation(r *resource, m *method, filters raw) object {
	first := r.entities[0]
	tags := make([]string, 0, len(r.entities))
	for _, e := range r.entities {
		tags = append(tags, e.Module.Name)
	}
	o := object{
		{"operationId", m.verb + "_" + componentKey(r.name)},
		{"summary", m.summary + r.name},
		{"description", d.operationText(r, m)},
		{"tags", tags},
	}
	if !r.shared() && first.Deprecated != nil {
		o = o.with("deprecated", true)
	}
	o = o.with("parameters", d.parameters(r, m, filters))
	if m.write && m.name != "delete" {
		o = o.with("requestBody", d.body(r, m))
	}
	return o.with("responses", d.responses(r, m))
}

func (d *document) operationText(r *resource, m *method) string {
	parts := []string{m.text}
	for _, e := range r.entities {
		if m.write && e.ReadOnly {
			continue
		}
		text := deprecatedText(e.Deprecated)
		switch m.name {
		case "get":
			text = join(markdown(e.Doc), relationsText(e), text)
		case "post":
			text = join(keysText(e), text)
		}
		if r.shared() && text != "" {
			text = "In module " + e.Module.Name + ": " + text
		}
		parts = append(parts, text)
	}
	return join(parts...)
}

// parameters lists what a method takes. filters is the list of the resource's
// filter references, which four of the methods share.
func (d *document) parameters(r *resource, m *method, filters raw) raw {
	var own array
	if r.shared() {
		own = append(own, r.profileParam(m.write))
	}
	if m.name == "put" {
		own = append(own, r.putKeys()...)
	}
	lists := []raw{compact(own)}
	if m.filters {
		lists = append(lists, filters)
	}
	return concat(append(lists, d.common[m.name].params)...)
}

// filterRefs refers to the filter of each field.
func (r *resource) filterRefs() raw {
	var out array
	for _, fields := range r.filters() {
		out = append(out, ref("parameters", r.filterKey(fields[0].Name)))
	}
	return compact(out)
}

// profileParam is the header that tells the entities of a shared name apart.
func (r *resource) profileParam(write bool) object {
	name := "Accept-Profile"
	if write {
		name = "Content-Profile"
	}
	text := "The module whose `" + r.name + "` is meant."
	if r.owner != nil {
		text += " Without it, " + r.owner.Module.Name + "."
	}
	words := make([]string, 0, len(r.entities))
	for _, e := range r.entities {
		words = append(words, e.Module.Name)
	}
	return object{
		{"name", name},
		{"in", "header"},
		{"description", text},
		{"required", r.owner == nil},
		{"schema", object{{"type", "string"}, {"enum", words}}},
	}
}

// putKeys are the primary keys that PUT filters by; with several entities
// each has its own, so that none of them can be required.
func (r *resource) putKeys() array {
	var out array
	seen := make(map[string]bool)
	for _, e := range r.entities {
		f := e.Primary
		if f == nil || seen[f.Name] {
			continue
		}
		seen[f.Name] = true
		p := object{
			{"name", f.Name},
			{"in", "query"},
			{"description", "The primary key of the row, as `eq.` and its value; the only filter that PUT takes."},
			{"required", r.commonKey()},
			{"schema", object{{"type", "string"}, {"pattern", `^eq\.`}}},
		}
		if v, ok := exampleScalar(f); ok {
			p = p.with("example", "eq."+unquote(v))
		}
		out = append(out, p)
	}
	return out
}

// commonKey reports whether the entities' primary keys have one name.
func (r *resource) commonKey() bool {
	for _, e := range r.entities {
		if e.Primary == nil || e.Primary.Name != r.entities[0].Primary.Name {
			return false
		}
	}
	return true
}

// one makes a schema of the entities' own: itself for one, oneOf for several.
func (r *resource) one(make func(e *model.Entity) object) object {
	if !r.shared() {
		return make(r.entities[0])
	}
	alternatives := array{}
	for _, e := range r.entities {
		alternatives = append(alternatives, make(e))
	}
	return object{{"anyOf", alternatives}}
}

func (d *document) body(r *resource, m *method) object {
	part := "insert"
	if m.name == "patch" {
		part = "update"
	}
	single := r.one(func(e *model.Entity) object { return ref("schemas", entityKey(e, part)) })
	schema, text := single, "The fields to set."
	switch m.name {
	case "post":
		schema = object{{"oneOf", array{single, object{{"type", "array"}, {"items", single}}}}}
		text = "One row as an object, or many as an array or as CSV with a header line."
	case "put":
		text = "The whole row."
	}
	content := object{{"application/json", object{{"schema", schema}}}}
	if m.name == "post" {
		content = content.with("text/csv", object{{"schema", ref("schemas", "CSV")}, {"example", exampleCSV(r.entities[0])}})
	}
	return object{{"description", text}, {"required", true}, {"content", content}}
}

func (d *document) responses(r *resource, m *method) raw {
	var o object
	rows := ref("responses", r.responseKey("rows"))
	created := ref("responses", r.responseKey("created"))
	switch m.name {
	case "get":
		o = object{{"200", rows}, {"206", rows}, {"304", ref("responses", "NotModified")}}
	case "head":
		found := ref("responses", "Found")
		o = object{{"200", found}, {"206", found}, {"304", ref("responses", "NotModified")}}
	case "post":
		o = object{{"200", rows}, {"201", created}}
	case "put":
		o = object{{"200", rows}, {"201", created}, {"204", ref("responses", "Done")}}
	default:
		o = object{{"200", rows}, {"204", ref("responses", "Done")}}
	}
	return concat(compact(o), d.common[m.name].problems)
}

// problemRefs refers to the answers of the given statuses and to the one for
// all others.
func problemRefs(statuses []int, write bool) object {
	var o object
	for _, s := range statuses {
		o = o.with(strconv.Itoa(s), ref("responses", problemKey(s, write)))
	}
	return o.with("default", ref("responses", "Problem"))
}

// responseKey names a response component: module.entity.part, or entity.part
// for a shared name.
func (r *resource) responseKey(part string) string {
	if r.shared() {
		return componentKey(r.name, part)
	}
	return entityKey(r.entities[0], part)
}

// rowsResponse answers rows in each of the media types.
func (r *resource) rowsResponse(text string, extra ...member) object {
	row := r.one(func(e *model.Entity) object { return ref("schemas", entityKey(e)) })
	list := object{{"schema", object{{"type", "array"}, {"items", row}}}}
	headers := object{}
	for _, h := range extra {
		headers = headers.with(h.name, h.value)
	}
	return object{
		{"description", text},
		{"headers", headers},
		{"content", object{
			{"application/json", list},
			{"application/vnd.pgrst.object+json", object{{"schema", row}}},
			{"application/vnd.pgrst.object+json;nulls=stripped", object{{"schema", ref("schemas", "StrippedRow")}}},
			{"application/vnd.pgrst.array+json;nulls=stripped", object{{"schema", object{{"type", "array"}, {"items", ref("schemas", "StrippedRow")}}}}},
			{"text/csv", object{{"schema", ref("schemas", "CSV")}}},
			{"application/x-ndjson", object{{"schema", ref("schemas", "NDJSON")}}},
		}},
	}
}

// path is the resource's path below the server's URL.
func (r *resource) path() string { return "/" + url.PathEscape(r.name) }
