package metamorphic

import (
	"fmt"
	"math/rand/v2"
	"net/url"
	"strings"
)

// request is one request. $next and $tag stand for what the last answers had.
type request struct {
	as           string // who calls
	method, path string
	headers      [][2]string
	body         string
}

func (q *request) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "as %s: %s %s\n", q.as, q.method, q.path)
	for _, h := range q.headers {
		fmt.Fprintf(&b, "  %s: %s\n", h[0], h[1])
	}
	if q.body != "" {
		fmt.Fprintf(&b, "  %q\n", q.body)
	}
	return b.String()
}

// writing reports whether the request may change rows.
func (q *request) writing() bool { return q.method != "GET" && q.method != "HEAD" }

// asker draws requests to an application.
type asker struct {
	r      *rand.Rand
	app    *application
	last   *request // a read that may have a page after its own
	daring bool     // there is a cast that may fail
	alias  int
	salt   int
}

func (a *asker) chance(of int) bool { return a.r.IntN(of) == 0 }

func (a *asker) name() string {
	a.alias++
	return fmt.Sprint("x", a.alias)
}

// draw draws a request: three of five read.
func (a *asker) draw() *request {
	if a.last != nil && a.chance(6) {
		q := *a.last
		q.path += map[bool]string{true: "&", false: "?"}[strings.Contains(q.path, "?")] + "cursor=$next"
		return &q
	}
	a.daring = false
	q := &request{as: pick(a.r, []string{"service", "service", "service", "service", "ann", "bob", "anon"})}
	e := pick(a.r, a.app.entities)
	switch n := a.r.IntN(20); {
	case n < 11:
		if a.get(q, e); !strings.Contains(q.path, "offset") {
			a.last = q
		}
	case n < 15:
		a.post(q, e)
	case n < 18:
		a.patch(q, e)
	case n < 19:
		a.put(q, e)
	default:
		a.remove(q, e)
	}
	return q
}

// fills creates the first row of an entity, the second, and so on.
func (a *asker) fill(e *entity, n int) *request {
	q := &request{as: "service", method: "POST", path: "/rest/v1/" + e.name}
	var parts []string
	for _, f := range e.fields {
		v := a.right(f)
		switch {
		case f.name == "id":
			v = keysOf(e)[n]
		case f.target == e && v != "null":
			v = keysOf(e)[a.r.IntN(n+1)]
		}
		parts = append(parts, fmt.Sprintf("%q:%s", f.name, v))
	}
	q.body = "{" + strings.Join(parts, ",") + "}"
	q.headers = [][2]string{{"Prefer", "return=representation"}}
	return q
}

// right draws a value that the field's type takes.
func (a *asker) right(f *field) string {
	switch {
	case f.optional && a.chance(5):
		return "null"
	case f.target != nil:
		return a.key(f.target)
	case f.kind.list:
		elements := make([]string, a.r.IntN(4))
		for i := range elements {
			elements[i] = pick(a.r, f.kind.values)
		}
		return "[" + strings.Join(elements, ",") + "]"
	}
	return pick(a.r, f.kind.values)
}

// keysOf are those of an entity's rows, as JSON.
func keysOf(e *entity) []string {
	switch f := e.fields[0]; f.kind.base {
	case "int":
		return []string{"0", "1", "2", "3", "9223372036854775807", "-5", "7", "8"}
	case "uuid":
		var out []string
		for i := range 8 {
			out = append(out, fmt.Sprintf(`"0198f1c2-0000-7000-8000-00000000000%d"`, i))
		}
		return out
	}
	return []string{`"a"`, `"é"`, `"A"`, `"b"`, `"ß"`, `"a b"`, `"&=?"`, `"\"'😀"`}
}

// key draws a key of an entity: that of a row, most often.
func (a *asker) key(e *entity) string {
	if all := keysOf(e); a.chance(6) {
		return pick(a.r, all)
	}
	return pick(a.r, keysOf(e)[:filled])
}

// cell draws a value of a field, as JSON.
func (a *asker) cell(e *entity, f *field) string {
	switch {
	case f.optional && a.chance(7), a.chance(150):
		return "null"
	case a.chance(200):
		return pick(a.r, pick(a.r, kinds()).values)
	case f.target != nil:
		return a.key(f.target)
	case f.name == "id":
		return a.key(e)
	case f.name == "owner" && a.chance(2):
		return quoted(pick(a.r, uids()))
	}
	if !a.chance(6) {
		return a.right(f)
	}
	return f.kind.one(a.r)
}

// object draws a row; of an update, of some fields alone.
func (a *asker) object(e *entity, only []*field) string {
	fields := only
	if fields == nil {
		fields = e.fields
	}
	var parts []string
	for _, f := range fields {
		if only == nil && f.optional && a.chance(5) || only == nil && f.name == "id" && f.kind.base == "uuid" && a.chance(3) {
			continue
		}
		parts = append(parts, fmt.Sprintf("%q:%s", f.name, a.cell(e, f)))
	}
	if a.chance(150) && len(parts) > 0 {
		parts = append(parts, parts[0])
	}
	return "{" + strings.Join(parts, ",") + "}"
}

// query joins parameters to a path.
func path(e *entity, params [][2]string) string {
	var b strings.Builder
	b.WriteString("/rest/v1/" + e.name)
	for i, p := range params {
		b.WriteString(map[bool]string{true: "?", false: "&"}[i == 0])
		v := url.QueryEscape(p[1])
		if p[1] == "$next" {
			v = p[1]
		}
		b.WriteString(url.QueryEscape(p[0]) + "=" + v)
	}
	return b.String()
}

func (a *asker) get(q *request, e *entity) {
	q.method = "GET"
	if a.chance(15) {
		q.method = "HEAD"
	}
	var ps [][2]string
	var embedded []embedding
	var grouped []string
	if !a.chance(4) {
		var list string
		list, embedded, grouped = a.selection(e, 0)
		ps = append(ps, [2]string{"select", list})
	}
	ps = append(ps, a.filters(e, embedded, a.r.IntN(3))...)
	if !a.chance(3) {
		if o := a.order(e, embedded, grouped); o != "" {
			ps = append(ps, [2]string{"order", o})
		}
	}
	for _, em := range embedded {
		if a.chance(4) {
			if o := a.order(em.to, nil, nil); o != "" {
				ps = append(ps, [2]string{em.name + ".order", o})
			}
		}
		if a.chance(6) && !em.one {
			ps = append(ps, [2]string{em.name + ".limit", fmt.Sprint(a.r.IntN(3))})
		}
	}
	switch {
	case a.daring || grouped != nil: // what fails outside of the page is a store's own affair
		q.path = path(e, ps)
		return
	case a.chance(3):
		ps = append(ps, [2]string{"limit", fmt.Sprint(a.r.IntN(5))})
	}
	switch {
	case a.chance(5):
		ps = append(ps, [2]string{"offset", fmt.Sprint(a.r.IntN(8))})
	case a.chance(12):
		q.headers = append(q.headers, [2]string{"Range", pick(a.r, []string{"0-1", "1-2", "5-9", "3-", "2-1", "0-0"})})
	}
	q.path = path(e, ps)
	if a.chance(3) {
		q.headers = append(q.headers, [2]string{"Prefer", pick(a.r, []string{"count=exact", "count=exact", "count=exact, handling=strict", "nonsense"})})
	}
	if a.chance(6) {
		q.headers = append(q.headers, [2]string{"Accept", a.media()})
	}
	if a.chance(20) {
		q.headers = append(q.headers, [2]string{"If-None-Match", "$tag"})
	}
}

func (a *asker) media() string {
	return pick(a.r, []string{"text/csv", "text/csv", "application/x-ndjson", "application/vnd.pgrst.object+json", "application/vnd.pgrst.array+json;nulls=stripped", "application/vnd.pgrst.object+json;nulls=stripped", "application/x-ndjson"})
}

// prefer draws the preferences of a write.
func (a *asker) prefer(q *request, more ...string) {
	parts := []string{pick(a.r, []string{"return=representation", "return=representation", "return=representation", "return=minimal", "return=headers-only", "missing=null", "missing=default", "count=exact"})}
	for _, m := range more {
		if a.chance(2) {
			parts = append(parts, m)
		}
	}
	if a.chance(3) {
		parts = append(parts, "count=exact")
	}
	if !a.chance(6) {
		q.headers = append(q.headers, [2]string{"Prefer", strings.Join(parts, ", ")})
	}
	if a.chance(15) {
		q.headers = append(q.headers, [2]string{"Accept", a.media()})
	}
	if a.chance(12) {
		a.salt += a.r.IntN(2)
		q.headers = append(q.headers, [2]string{"Idempotency-Key", fmt.Sprint("key", a.salt)})
	}
}

// returning is the select list of a representation, now and then.
func (a *asker) returning(e *entity, ps [][2]string) [][2]string {
	if !a.chance(3) {
		return ps
	}
	list, _, _ := a.selection(e, 2)
	return append(ps, [2]string{"select", list})
}

func (a *asker) post(q *request, e *entity) {
	q.method = "POST"
	var ps [][2]string
	n := 1
	if a.chance(2) {
		n = 1 + a.r.IntN(4)
	}
	rows := make([]string, n)
	var same []*field
	if n > 1 && !a.chance(10) {
		for _, f := range e.fields {
			if !f.optional || !a.chance(4) {
				same = append(same, f)
			}
		}
	}
	for i := range rows {
		rows[i] = a.object(e, same)
	}
	q.body = strings.Join(rows, ",")
	switch {
	case n > 1 || a.chance(4):
		q.body = "[" + q.body + "]"
	case a.chance(12):
		a.csv(q, e)
	case a.chance(40):
		q.body = pick(a.r, []string{"", "null", "[]", "{}", "[{}]", "1", `{"id":1`, "[1]"})
	}
	a.prefer(q, pick(a.r, []string{"resolution=merge-duplicates", "resolution=ignore-duplicates"}), "missing=default")
	if len(e.unique) > 0 && a.chance(3) {
		ps = append(ps, [2]string{"on_conflict", strings.Join(pick(a.r, e.unique), ",")})
	}
	if a.chance(8) {
		ps = append(ps, [2]string{"columns", a.some(e, ",")})
	}
	q.path = path(e, a.returning(e, ps))
}

// csv makes the body CSV.
func (a *asker) csv(q *request, e *entity) {
	var head, row []string
	for _, f := range e.fields {
		cell := plain(a.cell(e, f))
		if f.kind.list {
			cell = f.kind.filterText(a.r)
		}
		head = append(head, f.name)
		row = append(row, `"`+strings.ReplaceAll(cell, `"`, `""`)+`"`)
	}
	q.body = strings.Join(head, ",") + "\n" + strings.Join(row, ",") + "\n"
	q.headers = append(q.headers, [2]string{"Content-Type", "text/csv"})
}

// some draws names of fields.
func (a *asker) some(e *entity, sep string) string {
	var names []string
	for _, f := range e.fields {
		if f.name == "id" || !a.chance(3) {
			names = append(names, f.name)
		}
	}
	return strings.Join(names, sep)
}

func (a *asker) patch(q *request, e *entity) {
	q.method = "PATCH"
	var only []*field
	for range 1 + a.r.IntN(2) {
		only = append(only, pick(a.r, e.fields))
	}
	for i, f := range only {
		if f.name == "id" && !a.chance(4) {
			only[i] = e.fields[len(e.fields)-1]
		} else if f.name == "id" { // alone: of two keys that are taken each store tells of another one
			only = only[i : i+1]
			break
		}
	}
	q.body = a.object(e, only)
	a.prefer(q, "handling=strict", "max-affected="+fmt.Sprint(a.r.IntN(4)))
	q.path = path(e, a.returning(e, a.where(q, e)))
}

func (a *asker) remove(q *request, e *entity) {
	q.method = "DELETE"
	a.prefer(q, "handling=strict", "max-affected="+fmt.Sprint(a.r.IntN(3)))
	q.path = path(e, a.returning(e, a.where(q, e)))
}

// where draws what a change is about: most often a key.
func (a *asker) where(q *request, e *entity) [][2]string {
	var ps [][2]string
	switch {
	case !a.chance(3):
		ps = append(ps, [2]string{"id", "eq." + plain(a.key(e))})
	case a.chance(6):
		ps = append(ps, [2]string{"id", "not.is.null"}, [2]string{"limit", fmt.Sprint(a.r.IntN(3))})
		if a.chance(2) {
			ps = append(ps, [2]string{"order", "id" + pick(a.r, []string{"", ".desc"})})
		}
	default:
		ps = a.filters(e, nil, 1+a.r.IntN(2))
	}
	if a.chance(12) {
		q.headers = append(q.headers, [2]string{"If-Match", pick(a.r, []string{"$tag", "$tag", "*", `"x"`})})
	}
	return ps
}

func (a *asker) put(q *request, e *entity) {
	q.method = "PUT"
	key := a.key(e)
	var parts []string
	for _, f := range e.fields {
		v := a.cell(e, f)
		if f.name == "id" {
			v = key
		}
		parts = append(parts, fmt.Sprintf("%q:%s", f.name, v))
	}
	q.body = "{" + strings.Join(parts, ",") + "}"
	a.prefer(q)
	q.path = path(e, a.returning(e, [][2]string{{"id", "eq." + plain(key)}}))
}
