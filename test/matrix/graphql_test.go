package matrix

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// notInSchema is the code of a document that asks for what its caller's schema
// does not have.
const notInSchema = "GRAPHQL_VALIDATION_FAILED"

// graphqlSays: there is no PUT and no entity tag.
func graphqlSays(_ *entity, q *ask) bool {
	return !q.put && q.ifMatch == "" && !slices.ContainsFunc(q.groups, func(t total) bool { return t.fn == "count" && t.field != "" })
}

func graphqlMethod(*ask) string { return http.MethodPost }

// word is an enum's word, which stands without quotes.
type word string

// input writes a literal.
func input(v any) string {
	switch v := v.(type) {
	case nil:
		return "null"
	case word:
		return string(v)
	case json.Number:
		return v.String()
	case int:
		return strconv.Quote(itoa(v))
	case string:
		return strconv.Quote(v)
	case []any:
		var parts []string
		for _, el := range v {
			parts = append(parts, input(el))
		}
		return "[" + strings.Join(parts, ", ") + "]"
	case map[string]any:
		var parts []string
		for _, name := range slices.Sorted(maps.Keys(v)) {
			parts = append(parts, name+": "+input(v[name]))
		}
		return "{" + strings.Join(parts, ", ") + "}"
	}
	panic(fmt.Sprintf("no literal of %T", v))
}

// graphqlValue is a value of a field.
func graphqlValue(name string, v any) any {
	if text, ok := v.(string); ok && name == "status" {
		return word(text)
	}
	return v
}

func graphqlFilter(where []cond) map[string]any {
	out := map[string]any{}
	for _, w := range where {
		switch w.op {
		case "null":
			out[w.field] = map[string]any{"is": word("NULL")}
		case "set":
			out[w.field] = map[string]any{"is": word("NOT_NULL")}
		default:
			out[w.field] = map[string]any{w.op: graphqlValue(w.field, w.value)}
		}
	}
	return out
}

func graphqlRow(q *ask, r row) map[string]any {
	out := map[string]any{}
	for _, name := range q.columns {
		out[name] = graphqlValue(name, r[name])
	}
	return out
}

// graphqlField is what a document asks for: a field of a root type.
type graphqlField struct {
	mutation  bool
	name      string
	args      map[string]any
	selection string
	one       bool // its value is a row or null
}

func (f *graphqlField) document() string {
	var b strings.Builder
	if f.mutation {
		b.WriteString("mutation ")
	}
	b.WriteString("{ r: " + f.name)
	if len(f.args) > 0 {
		text := input(f.args)
		b.WriteString("(" + text[1:len(text)-1] + ")")
	}
	return b.String() + " { " + f.selection + " } }"
}

// graphqlAsk says an ask as a document.
func graphqlAsk(o *oracle, e *entity, q *ask) *graphqlField {
	f := &graphqlField{name: e.module + "_" + e.name, args: map[string]any{}, mutation: q.action != doRead}
	if where := graphqlFilter(q.where); len(where) > 0 {
		f.args["where"] = where
	}
	one := q.key1() != nil && q.returns
	if one {
		f.args = map[string]any{"id": q.key1()}
	}
	switch q.action {
	case doRead:
		graphqlRead(o, e, q, f)
	case doCreate:
		var list []any
		for _, r := range q.rows {
			list = append(list, graphqlRow(q, r))
		}
		if one = q.returns && len(list) == 1; one {
			f.name, f.args["object"] = f.name+"InsertOne", list[0]
		} else {
			f.name, f.args["objects"] = f.name+"Insert", list
		}
		conflict := map[string]any{}
		switch {
		case q.merge:
			conflict["resolution"] = word("MERGE")
		case q.ignore:
			conflict["resolution"] = word("IGNORE")
		}
		if q.key != "" {
			conflict["fields"] = []any{word(q.key)}
		}
		if len(conflict) > 0 {
			f.args["onConflict"] = conflict
		}
	case doUpdate:
		f.name, f.args["set"] = f.name+"Update", graphqlRow(q, q.rows[0])
	case doDelete:
		f.name += "Delete"
	}
	if q.action == doRead {
		return f
	}
	all := strings.Join(graphqlAll(o, e), " ")
	switch {
	case one:
		f.one, f.selection = true, all
		if q.action != doCreate {
			f.name += "ByKey"
		}
	case q.returns:
		f.selection = "affectedRows returning { " + all + " }"
	default:
		f.selection = "affectedRows"
	}
	return f
}

// graphqlAll are the fields that a caller's schema has.
func graphqlAll(o *oracle, e *entity) []string {
	var out []string
	for _, f := range e.fields {
		if o.sees(e, f) {
			out = append(out, f.name)
		}
	}
	if out == nil { // there is not even the type
		out = append(out, "id")
	}
	return out
}

func graphqlRead(o *oracle, e *entity, q *ask, f *graphqlField) {
	fields := slices.Clone(q.fields)
	if len(fields) == 0 {
		fields = graphqlAll(o, e)
	}
	if key := q.key1(); key != nil {
		f.name, f.args, f.one = f.name+"ByKey", map[string]any{"id": key}, true
		f.selection = strings.Join(fields, " ")
		return
	}
	if q.groups != nil {
		graphqlTotals(q, f)
		return
	}
	for _, x := range q.embeds {
		inner := strings.Join(x.fields, " ")
		if relation(o.world.app, e, &x).one == "" {
			inner = "nodes { " + inner + " }"
			if len(x.where) > 0 {
				fields = append(fields, x.relation+"(where: "+input(graphqlFilter(x.where))+") { "+inner+" }")
				inner = ""
			}
		}
		if inner != "" {
			fields = append(fields, x.relation+" { "+inner+" }")
		}
		if x.inner {
			where, _ := f.args["where"].(map[string]any)
			if where == nil {
				where = map[string]any{}
				f.args["where"] = where
			}
			where[x.relation] = graphqlFilter(x.where)
		}
	}
	if q.limit > 0 {
		f.args["first"] = json.Number(itoa(q.limit))
	}
	if by, down := strings.CutPrefix(q.by, "-"); by != "" {
		way := word("ASC")
		if down {
			way = "DESC"
		}
		f.args["orderBy"] = []any{map[string]any{by: way}, map[string]any{"id": word("ASC")}}
	}
	f.selection = "nodes { " + strings.Join(fields, " ") + " }"
	if q.count {
		f.selection += " totalCount"
	}
}

// graphqlTotals selects aggregates, of all rows or of groups.
func graphqlTotals(q *ask, f *graphqlField) {
	var parts []string
	if q.fields != nil {
		parts = append(parts, "key { "+strings.Join(q.fields, " ")+" }")
	}
	for _, t := range q.groups {
		if t.field == "" {
			parts = append(parts, t.fn)
		} else {
			parts = append(parts, t.fn+" { "+t.field+" }")
		}
	}
	f.selection = map[bool]string{true: "aggregate", false: "groups"}[q.fields == nil] + " { " + strings.Join(parts, " ") + " }"
}

// graphqlPut posts the document.
func graphqlPut(n *node, o *oracle, e *entity, q *ask) (*reply, error) {
	body, err := json.Marshal(map[string]any{"query": graphqlAsk(o, e, q).document()})
	if err != nil {
		return nil, err
	}
	return n.send(o.who, http.MethodPost, "/graphql/v1", body, http.Header{"Accept": {"application/graphql-response+json"}})
}

// inSchema tells whether what an ask names is in its caller's schema, which has
// nothing that no row could ever let him see or do.
func inSchema(o *oracle, e *entity, q *ask) bool {
	reads := o.might(e, toRead)
	sees := func(e *entity, name string) bool {
		return name == "" || o.might(e, toRead) && o.sees(e, e.field(strings.TrimPrefix(name, "-")))
	}
	names := slices.Concat(q.fields, []string{q.by})
	for _, w := range q.where {
		names = append(names, w.field)
	}
	for _, t := range q.groups {
		names = append(names, t.field)
	}
	writes := toUpdate
	switch q.action {
	case doRead:
		if !reads {
			return false
		}
	case doCreate:
		writes = toCreate
		if !o.might(e, toCreate) || !reads && (q.returns || q.merge || q.ignore) {
			return false
		}
		names = append(names, q.key)
	case doUpdate:
		if !reads || !o.might(e, toUpdate) {
			return false
		}
	case doDelete:
		if !reads || !o.might(e, toDelete) {
			return false
		}
	}
	for _, name := range names {
		if !sees(e, name) {
			return false
		}
	}
	for _, name := range q.columns {
		if !o.writes(e, e.field(name), writes) {
			return false
		}
	}
	for _, x := range q.embeds {
		at := relation(o.world.app, e, &x)
		if !o.might(at.to, toRead) || !sees(e, at.one) || !sees(at.to, at.many) || at.via != nil && (!sees(at.via, at.near) || !sees(at.via, at.far)) {
			return false
		}
		for _, name := range x.fields {
			if !sees(at.to, name) {
				return false
			}
		}
		for _, w := range x.where {
			if !sees(at.to, w.field) {
				return false
			}
		}
	}
	return true
}

// graphqlExpect: what is not in the schema comes to nothing.
func graphqlExpect(o *oracle, e *entity, q *ask) result {
	if !inSchema(o, e, q) {
		return o.refused(notInSchema, "the caller's schema has no such thing")
	}
	return o.answer(e, q)
}

// graphqlAnswer is an answer's body.
type graphqlAnswer struct {
	Data   map[string]json.RawMessage
	Errors []struct {
		Message    string
		Extensions struct{ Code string }
	}
}

func graphqlCompare(o *oracle, e *entity, q *ask, res *result, got *reply) string {
	code, status := res.code, http.StatusOK
	switch {
	case o.who.refused != "":
		status = http.StatusUnauthorized
	case code == notInSchema:
		status = http.StatusBadRequest
	}
	var a graphqlAnswer
	if err := json.Unmarshal(got.body, &a); err != nil {
		return "JSON: " + err.Error()
	}
	if code != "" {
		if got.status != status || len(a.Errors) != 1 && code != notInSchema || len(a.Errors) == 0 || a.Errors[0].Extensions.Code != code || a.Data["r"] != nil && string(a.Data["r"]) != "null" {
			return fmt.Sprintf("%d %s", status, code)
		}
		return ""
	}
	text, err := json.Marshal(graphqlResult(o, e, q, res))
	if err != nil {
		return err.Error()
	}
	if len(a.Errors) > 0 || got.status != status || !sameAnswer(q, res, text, a.Data["r"]) {
		return string(text)
	}
	return ""
}

// sameAnswer compares the values of the field.
func sameAnswer(q *ask, res *result, want, have []byte) bool {
	if q.action == doRead && q.groups != nil || q.returns && !res.ordered { // the order of groups, and of what was changed, is the store's
		var w, h map[string]any
		if json.Unmarshal(want, &w) == nil && json.Unmarshal(have, &h) == nil {
			for _, m := range []map[string]any{w, h} {
				for _, v := range m {
					if list, ok := v.([]any); ok {
						inOrder(list)
					}
				}
			}
			var err1, err2 error
			if want, err1 = json.Marshal(w); err1 != nil {
				return false
			}
			if have, err2 = json.Marshal(h); err2 != nil {
				return false
			}
		}
	}
	var w, h any
	return json.Unmarshal(want, &w) == nil && json.Unmarshal(have, &h) == nil && reflect.DeepEqual(w, h)
}

// graphqlResult is what the field's value has to be.
func graphqlResult(o *oracle, e *entity, q *ask, res *result) any {
	f := graphqlAsk(o, e, q)
	switch {
	case q.groups != nil:
		return graphqlGroups(q, res)
	case f.one:
		if len(res.rows) == 0 {
			return nil
		}
		return graphqlShown(res.rows[0])
	}
	out := map[string]any{}
	list := []any{}
	for _, r := range res.rows {
		list = append(list, graphqlShown(r))
	}
	if q.action != doRead {
		out["affectedRows"] = res.affected
		if q.returns {
			out["returning"] = list
		}
		return out
	}
	out["nodes"] = list
	if q.count {
		out["totalCount"] = res.total
	}
	return out
}

// graphqlShown is a value of an answer: a number of 64 bits is a text, and rows
// of a relation are a connection.
func graphqlShown(v any) any {
	switch v := v.(type) {
	case int:
		return itoa(v)
	case []any:
		list := []any{}
		for _, el := range v {
			list = append(list, graphqlShown(el))
		}
		return map[string]any{"nodes": list}
	case map[string]any:
		out := map[string]any{}
		for name, el := range v {
			out[name] = graphqlShown(el)
		}
		return out
	}
	return v
}

// graphqlGroups are aggregates.
func graphqlGroups(q *ask, res *result) any {
	list := []any{}
	for _, g := range res.rows {
		r := g.(map[string]any) //nolint:forcetypeassert // groups are such
		out := map[string]any{}
		if q.fields != nil {
			key := map[string]any{}
			for _, name := range q.fields {
				key[name] = graphqlShown(r[name])
			}
			out["key"] = key
		}
		for _, t := range q.groups {
			if t.field == "" {
				out[t.fn] = r[t.fn]
			} else {
				out[t.fn] = map[string]any{t.field: graphqlShown(r[t.fn])}
			}
		}
		list = append(list, out)
	}
	if q.fields == nil {
		return map[string]any{"aggregate": list[0]}
	}
	return map[string]any{"groups": list}
}
