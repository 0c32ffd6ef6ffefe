package metamorphic

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/pandobase/pando/internal/api/graphql"
	"github.com/pandobase/pando/internal/api/rest"
	"github.com/pandobase/pando/internal/api/rpc"
	"github.com/pandobase/pando/internal/engine"
	"github.com/pandobase/pando/internal/keys"
	"github.com/pandobase/pando/internal/policy"
	"github.com/pandobase/pando/internal/store"
	"github.com/pandobase/pando/internal/store/teststore"
)

const (
	questionsEach    = 150 // to one application
	defaultQuestions = 3000
	mostPages        = 12
)

// house is one application on one store, behind all doors.
type house struct {
	t      testing.TB
	driver store.Driver
	signer *keys.Signer
	tables []*store.Table // of the application before
	log    bytes.Buffer
	rest   http.Handler
	others map[string]http.Handler // by the beginning of their paths
}

func newHouse(t testing.TB) *house {
	t.Helper()
	signer, err := keys.OpenSigner(keys.SignerConfig{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	d := teststore.Of(t, teststore.SQLite).Open(t)
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	})
	return &house{t: t, signer: signer, driver: d}
}

// install puts an application with its rows behind the doors.
func (h *house) install(a *asker) error {
	app, rules, err := load(a.app)
	if err != nil {
		return err
	}
	var tables []*store.Table
	for _, e := range app.Module("t").Entities {
		tables = append(tables, store.TableOf(e))
	}
	if err := replace(h.driver, h.tables, tables); err != nil {
		return err
	}
	h.tables = tables
	now := func() time.Time { return time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC) }
	e := engine.New(engine.Config{App: app, Rules: rules, Driver: h.driver, Signer: h.signer, Now: now})
	identify := func(door string) func(*http.Request) (policy.Identity, error) {
		return func(r *http.Request) (policy.Identity, error) {
			return callerOf(r, &policy.Request{Door: door, Method: r.Method, Time: now()}), nil
		}
	}
	logger := slog.New(slog.NewTextHandler(&h.log, nil))
	h.rest = rest.New(rest.Config{Engine: e, Authenticate: identify("rest"), OpenAPI: func() []byte { return nil }, Logger: logger})
	h.others = map[string]http.Handler{
		"/graphql": graphql.New(graphql.Config{Engine: e, Authenticate: identify("graphql"), Logger: logger}),
		"/pando":   rpc.New(rpc.Config{Engine: e, Authenticate: identify("grpc"), Logger: logger}),
	}
	for _, en := range a.app.entities {
		for n := range len(keysOf(en)) {
			q := a.fill(en, n)
			h.ask("service", q.method, q.path, q.body)
		}
	}
	return nil
}

// said is what a door has answered.
type said struct {
	request string
	status  int
	header  http.Header
	body    []byte
}

func (h *house) ask(as, method, path, body string, headers ...string) *said {
	r := httptest.NewRequestWithContext(context.Background(), method, path, strings.NewReader(body))
	r.Header.Set("As", as)
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	door := h.rest
	for prefix, d := range h.others {
		if strings.HasPrefix(path, prefix) {
			door = d
		}
	}
	w := httptest.NewRecorder()
	door.ServeHTTP(w, r)
	told, err := url.QueryUnescape(path)
	if err != nil {
		told = path
	}
	return &said{request: method + " " + told + " " + body, status: w.Code, header: w.Header(), body: w.Body.Bytes()}
}

// got is an answer whose values can be compared.
type got struct {
	said    []*said
	refused bool
	failed  string // by a fault of the server's, or an answer that cannot be read
	rows    []any  // in one form for all doors
	total   string
}

// value is a value in the form of all doors: a text for a scalar.
func canonical(f *field, raw json.RawMessage, door string) any {
	if len(raw) == 0 || string(raw) == "null" {
		if f.kind.list && door == "" { // see likeRPC
			return []any{}
		}
		return nil
	}
	if f.kind.list {
		var list []json.RawMessage
		if err := json.Unmarshal(raw, &list); err != nil {
			return "no list: " + string(raw)
		}
		out := []any{}
		for _, el := range list {
			out = append(out, scalar(f, el, door))
		}
		return out
	}
	return scalar(f, raw, door)
}

func scalar(f *field, raw json.RawMessage, door string) any {
	var text string
	if json.Unmarshal(raw, &text) != nil {
		text = string(raw)
	}
	switch f.kind.base {
	case "float":
		n, err := strconv.ParseFloat(text, 64)
		if err != nil {
			return "no float: " + text
		}
		return strconv.FormatFloat(n, 'g', -1, 64)
	case "timestamp":
		at, err := time.Parse(time.RFC3339Nano, text)
		if err != nil {
			return "no timestamp: " + text
		}
		return at.UTC().Format(time.RFC3339Nano)
	case "json":
		if door != "" {
			text = string(raw)
		}
		var b bytes.Buffer
		if err := json.Compact(&b, []byte(text)); err != nil {
			return "no JSON: " + text
		}
		return b.String()
	case "bytes":
		if door == "" {
			raw, err := base64.StdEncoding.DecodeString(text)
			if err != nil {
				return "no base64: " + text
			}
			return `\x` + hex.EncodeToString(raw)
		}
	case "enum":
		if door == "" {
			for word, name := range enumNames(f) {
				if name == text {
					return word
				}
			}
		}
	}
	return text
}

// enumNames are the words of kinds that are enums, and what protobuf calls them.
func enumNames(f *field) map[string]string {
	prefix := strings.ToUpper(f.name) + "_"
	return map[string]string{"x": prefix + "X", "y": prefix + "Y", "z": prefix + "Z", "Z": prefix + "Z_N"}
}

// likeRPC are rows as gRPC can tell them: an empty list is none.
func likeRPC(q *question, rows []any) []any {
	out := []any{}
	for _, r := range rows {
		row := maps.Clone(r.(map[string]any)) //nolint:forcetypeassert // rows are such
		for _, f := range q.shape.fields {
			if f.kind.list && row[f.name] == nil {
				row[f.name] = []any{}
			}
		}
		out = append(out, row)
	}
	return out
}

// read reads a row of JSON.
func (s shape) read(raw json.RawMessage, door string) any {
	if string(raw) == "null" {
		return nil
	}
	var members map[string]json.RawMessage
	if err := json.Unmarshal(raw, &members); err != nil {
		return "no row: " + string(raw)
	}
	out := map[string]any{}
	for _, f := range s.fields {
		out[f.name] = canonical(f, members[f.name], door)
		delete(members, f.name)
	}
	for _, r := range s.related {
		if r.one {
			out[r.name] = r.shape.read(members[r.name], door)
		} else {
			var list []json.RawMessage
			inner := members[r.name]
			if door == "graphql" {
				var conn struct{ Nodes json.RawMessage }
				if err := json.Unmarshal(inner, &conn); err != nil {
					return "no connection: " + string(inner)
				}
				inner = conn.Nodes
			}
			if err := json.Unmarshal(inner, &list); err != nil {
				return "no rows: " + string(inner)
			}
			rows := []any{}
			for _, el := range list {
				rows = append(rows, r.shape.read(el, door))
			}
			out[r.name] = rows
		}
		delete(members, r.name)
	}
	for name := range members {
		out["not asked for"] = name
	}
	return out
}

// REST.

func restText(f *field, v string) string {
	if f.kind.base == "json" {
		return v
	}
	return plain(v)
}

// restCondition is a condition as an element of a tree.
func restCondition(c *condition) string {
	if c.word != "" {
		var parts []string
		for _, o := range c.of {
			parts = append(parts, restCondition(o))
		}
		word := c.word
		if word == "not" {
			word = "not.and"
		}
		return word + "(" + strings.Join(parts, ",") + ")"
	}
	var list []string
	for _, v := range c.values {
		list = append(list, quoted(restText(c.field, v)))
	}
	out := c.field.name + "." + c.op + "."
	switch c.op {
	case "is":
		return out + c.values[0]
	case "like", "ilike", "match", "imatch", "fts", "plfts", "phfts", "wfts":
		return out + quoted(c.values[0])
	case "in":
		return out + "(" + strings.Join(list, ",") + ")"
	}
	if c.field.kind.list {
		return out + quoted("{"+strings.Join(list, ",")+"}")
	}
	return out + list[0]
}

// restShape adds a select list.
func restShape(s shape, path string, v url.Values) string {
	var parts []string
	for _, f := range s.fields {
		parts = append(parts, f.name)
	}
	for _, r := range s.related {
		parts = append(parts, r.name+"("+restShape(r.shape, path+r.name+".", v)+")")
		if r.limit >= 0 {
			v.Set(path+r.name+".limit", strconv.Itoa(r.limit))
		}
	}
	return strings.Join(parts, ",")
}

func (h *house) askREST(q *question) *got {
	v := url.Values{}
	if q.totals == nil {
		v.Set("select", restShape(q.shape, "", v))
	} else {
		var parts []string
		for i, t := range q.totals {
			name := fmt.Sprintf("x%d:", i)
			if t.field != nil {
				name += t.field.name + "."
			}
			parts = append(parts, name+t.fn+"()")
		}
		v.Set("select", strings.Join(parts, ","))
	}
	if q.where != nil {
		v.Set("and", "("+restCondition(q.where)+")")
	}
	var order []string
	for _, t := range q.order {
		order = append(order, t.field.name+map[bool]string{true: ".desc", false: ""}[t.desc])
	}
	if order != nil {
		v.Set("order", strings.Join(order, ","))
	}
	for name, n := range map[string]int{"limit": q.limit, "offset": q.offset} {
		if n >= 0 {
			v.Set(name, strconv.Itoa(n))
		}
	}
	out := &got{rows: []any{}}
	for range mostPages {
		prefer := "count=none"
		if q.count {
			prefer = "count=exact"
		}
		a := h.ask(q.as, "GET", "/rest/v1/"+q.entity.name+"?"+v.Encode(), "", "Prefer", prefer)
		out.said = append(out.said, a)
		if a.status >= 400 {
			out.refused = true
			if a.status >= 500 {
				out.failed = "it is the server's fault"
			}
			return out
		}
		if q.count && out.total == "" {
			_, out.total, _ = strings.Cut(a.header.Get("Content-Range"), "/")
		}
		var list []json.RawMessage
		if err := json.Unmarshal(a.body, &list); err != nil {
			out.failed = err.Error()
			return out
		}
		if q.totals != nil {
			out.rows = restTotals(q, list)
			return out
		}
		for _, raw := range list {
			out.rows = append(out.rows, q.shape.read(raw, "rest"))
		}
		m := cursorPattern.FindStringSubmatch(a.header.Get("Link"))
		if m == nil || !q.pages {
			return out
		}
		v.Set("cursor", m[1])
	}
	out.failed = "the pages have no end"
	return out
}

func restTotals(q *question, list []json.RawMessage) []any {
	out := []any{}
	for _, raw := range list {
		var m map[string]any
		dec := json.NewDecoder(bytes.NewReader(raw))
		dec.UseNumber()
		if err := dec.Decode(&m); err != nil {
			return []any{err.Error()}
		}
		for i := range q.totals {
			out = append(out, told(m[fmt.Sprintf("x%d", i)]))
		}
	}
	return out
}

// told is a number or text of aggregates as text.
func told(v any) any {
	if v == nil {
		return nil
	}
	return fmt.Sprint(v)
}

// GraphQL.

func graphqlShape(s shape) string {
	var parts []string
	for _, f := range s.fields {
		parts = append(parts, f.name)
	}
	for _, r := range s.related {
		inner := graphqlShape(r.shape)
		switch {
		case r.one:
			parts = append(parts, r.name+" { "+inner+" }")
		case r.limit >= 0:
			parts = append(parts, fmt.Sprintf("%s(first: %d) { nodes { %s } }", r.name, r.limit, inner))
		default:
			parts = append(parts, r.name+" { nodes { "+inner+" } }")
		}
	}
	return strings.Join(parts, " ")
}

func graphqlValue(c *condition) any {
	switch c.op {
	case "is":
		return strings.ToUpper(c.values[0])
	case "like", "ilike", "match", "imatch", "fts", "plfts", "phfts", "wfts":
		return c.values[0]
	}
	if c.op == "in" || c.field.kind.list {
		return raws(c.values)
	}
	return json.RawMessage(c.values[0])
}

func graphqlDocument(q *question) (string, map[string]any) {
	name := "t_" + q.entity.name
	vars := map[string]any{}
	var declared, args []string
	add := func(name, typ string, v any) {
		vars[name] = v
		declared, args = append(declared, "$"+name+": "+typ), append(args, name+": $"+name)
	}
	if q.where != nil {
		add("where", name+"Filter", q.where.object(graphqlValue))
	}
	if q.order != nil {
		var list []any
		for _, t := range q.order {
			list = append(list, map[string]any{t.field.name: map[bool]string{true: "DESC", false: "ASC"}[t.desc]})
		}
		add("orderBy", "["+name+"Order!]", list)
	}
	if q.limit >= 0 {
		add("first", "Int", q.limit)
	}
	if q.offset >= 0 {
		add("offset", "Int", q.offset)
	}
	if q.pages {
		add("after", "String", nil)
	}
	selection := "nodes { " + graphqlShape(q.shape) + " }"
	if q.pages {
		selection += " pageInfo { hasNextPage endCursor }"
	}
	if q.count {
		selection += " totalCount"
	}
	if q.totals != nil {
		selection = "aggregate {"
		for i, t := range q.totals {
			if t.field == nil {
				selection += fmt.Sprintf(" x%d: count", i)
			} else {
				selection += fmt.Sprintf(" x%d: %s { v: %s }", i, t.fn, t.field.name)
			}
		}
		selection += " }"
	}
	head := "query"
	if declared != nil {
		head += "(" + strings.Join(declared, ", ") + ")"
		name += "(" + strings.Join(args, ", ") + ")"
	}
	return head + " { r: " + name + " { " + selection + " } }", vars
}

func (h *house) askGraphQL(q *question) *got {
	doc, vars := graphqlDocument(q)
	out := &got{rows: []any{}}
	for range mostPages {
		body, err := json.Marshal(map[string]any{"query": doc, "variables": vars})
		if err != nil {
			out.failed = err.Error()
			return out
		}
		a := h.ask(q.as, "POST", "/graphql/v1", string(body), "Accept", "application/graphql-response+json")
		out.said = append(out.said, a)
		var res struct {
			Errors []struct{ Extensions struct{ Status int } }
			Data   *struct {
				R *struct {
					Nodes      []json.RawMessage
					TotalCount json.Number
					Aggregate  map[string]any
					PageInfo   struct {
						HasNextPage bool
						EndCursor   *string
					}
				}
			}
		}
		dec := json.NewDecoder(bytes.NewReader(a.body))
		dec.UseNumber()
		if err := dec.Decode(&res); err != nil {
			out.failed = err.Error()
			return out
		}
		if len(res.Errors) > 0 {
			out.refused = true
			if a.status >= 500 || res.Errors[0].Extensions.Status >= 500 {
				out.failed = "it is the server's fault"
			}
			return out
		}
		if res.Data == nil || res.Data.R == nil {
			out.failed = "there is no answer"
			return out
		}
		r := res.Data.R
		if q.count && out.total == "" {
			out.total = r.TotalCount.String()
		}
		if q.totals != nil {
			for i, t := range q.totals {
				v := r.Aggregate[fmt.Sprintf("x%d", i)]
				if m, ok := v.(map[string]any); ok && t.field != nil {
					v = m["v"]
				}
				out.rows = append(out.rows, told(v))
			}
			return out
		}
		for _, raw := range r.Nodes {
			out.rows = append(out.rows, q.shape.read(raw, "graphql"))
		}
		if !q.pages || !r.PageInfo.HasNextPage {
			return out
		}
		vars["after"] = r.PageInfo.EndCursor
	}
	out.failed = "the pages have no end"
	return out
}

// gRPC, with the JSON of Connect.

func rpcScalar(f *field, v string) any {
	switch f.kind.base {
	case "int", "float", "bool":
		return json.RawMessage(v)
	case "decimal", "json":
		return v
	case "timestamp":
		for _, layout := range []string{time.RFC3339Nano, "2006-01-02 15:04:05Z07"} {
			if at, err := time.Parse(layout, plain(v)); err == nil {
				return at.UTC().Format(time.RFC3339Nano)
			}
		}
	case "bytes":
		raw, err := hex.DecodeString(strings.TrimPrefix(plain(v), `\x`))
		if err == nil {
			return base64.StdEncoding.EncodeToString(raw)
		}
	case "enum":
		return enumNames(f)[plain(v)]
	}
	return plain(v)
}

func rpcValue(c *condition) any {
	switch c.op {
	case "is":
		return "IS_" + strings.ToUpper(c.values[0])
	case "like", "ilike", "match", "imatch", "fts", "plfts", "phfts", "wfts":
		return c.values[0]
	}
	if c.op == "in" || c.field.kind.list {
		list := []any{}
		for _, v := range c.values {
			list = append(list, rpcScalar(c.field, v))
		}
		return map[string]any{"values": list}
	}
	return rpcScalar(c.field, c.values[0])
}

func (h *house) askRPC(q *question) *got {
	in := map[string]any{}
	if q.where != nil {
		in["filter"] = q.where.object(rpcValue)
	}
	var order, mask []string
	for _, t := range q.order {
		order = append(order, t.field.name+map[bool]string{true: " desc", false: ""}[t.desc])
	}
	in["order_by"] = strings.Join(order, ", ")
	for _, f := range q.shape.fields {
		mask = append(mask, strings.ReplaceAll(f.name, "_id", "Id"))
	}
	in["read_mask"] = strings.Join(mask, ",")
	if q.limit >= 0 {
		in["page_size"] = q.limit
	}
	if q.offset >= 0 {
		in["offset"] = q.offset
	}
	if q.count {
		in["count"] = true
	}
	out := &got{rows: []any{}}
	for range mostPages {
		body, err := json.Marshal(in)
		if err != nil {
			out.failed = err.Error()
			return out
		}
		a := h.ask(q.as, "POST", "/pando.app.t.v1.TService/List"+strings.ToUpper(q.entity.name[:1])+q.entity.name[1:], string(body))
		out.said = append(out.said, a)
		if a.status >= 400 {
			out.refused = true
			if a.status >= 500 && a.status != http.StatusNotImplemented { // what the grammar has and Pando does not
				out.failed = "it is the server's fault"
			}
			return out
		}
		var res struct {
			Rows      []json.RawMessage
			Next      string `json:"next_page_token"`
			TotalSize string `json:"total_size"`
		}
		if err := json.Unmarshal(a.body, &res); err != nil {
			out.failed = err.Error()
			return out
		}
		if q.count && out.total == "" {
			out.total = res.TotalSize
		}
		for _, raw := range res.Rows {
			out.rows = append(out.rows, q.shape.read(raw, ""))
		}
		if !q.pages || res.Next == "" {
			return out
		}
		in["page_token"] = res.Next
	}
	out.failed = "the pages have no end"
	return out
}

// differ asks a question at every door and tells how the answers differ; empty:
// they do not.
func (h *house) differ(q *question) (difference string, refused bool) {
	h.log.Reset()
	first := h.askREST(q)
	answers := map[string]*got{"REST": first, "GraphQL": h.askGraphQL(q)}
	if q.simple() && q.limit != 0 { // a page of gRPC's has a size
		answers["gRPC"] = h.askRPC(q)
	}
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(answers)) {
		a := answers[name]
		rows, total := first.rows, first.total
		if name == "gRPC" {
			rows = likeRPC(q, rows)
		}
		switch {
		case a.failed != "":
			fmt.Fprintf(&b, "%s: %s\n", name, a.failed)
		case a.refused && !first.refused && name == "GraphQL" && h.nothing(q, first): // its schema has not what is never shown
		case a.refused != first.refused:
			fmt.Fprintf(&b, "%s refuses, or does not, other than REST\n", name)
		case a.refused:
		case !reflect.DeepEqual(a.rows, rows):
			fmt.Fprintf(&b, "%s has other rows: %v\nthan REST: %v\n", name, a.rows, rows)
		case a.total != total:
			fmt.Fprintf(&b, "%s counts %s, REST %s\n", name, a.total, total)
		}
	}
	if b.Len() == 0 {
		return "", first.refused
	}
	for _, name := range slices.Sorted(maps.Keys(answers)) {
		for _, s := range answers[name].said {
			fmt.Fprintf(&b, "%s: %s\n  %d %s\n", name, s.request, s.status, s.body)
		}
	}
	return b.String() + h.log.String(), first.refused
}

// nothing tells whether an answer shows no row at one of the places where it
// could: then a caller's schema may not have that place.
func (h *house) nothing(q *question, a *got) bool {
	if q.totals != nil {
		return a.rows[0] == "0"
	}
	return len(a.rows) == 0 || slices.ContainsFunc(q.shape.related, func(r *relatedRows) bool { return r.nowhere(a.rows) })
}

func (r *relatedRows) nowhere(rows []any) bool {
	var below []any
	for _, row := range rows {
		switch v := row.(map[string]any)[r.name].(type) { //nolint:forcetypeassert // rows are such
		case map[string]any:
			below = append(below, v)
		case []any:
			below = append(below, v...)
		}
	}
	return len(below) == 0 || slices.ContainsFunc(r.shape.related, func(o *relatedRows) bool { return o.nowhere(below) })
}

// TestDoorsAgree asks PANDO_METAMORPHIC questions. A difference is made as small
// as it gets and reported with its application.
func TestDoorsAgree(t *testing.T) {
	questions, seed := number(t, operationsVariable, defaultQuestions), number(t, seedVariable, 1)
	most := number(t, collectVariable, 1)
	h := newHouse(t)
	asked, refused, found, through := 0, 0, 0, map[bool]int{}
	begin, last := time.Now(), time.Now()
	for ; asked < questions && found < most; seed++ {
		r := drawing(seed, 1)
		a := &asker{r: r, app: drawApplication(r)}
		if err := h.install(a); err != nil {
			t.Fatalf("%s=%d: %v\n%s", seedVariable, seed, err, a.app.describe())
		}
		for i := range questionsEach {
			q := a.question()
			asked++
			through[q.simple()]++
			difference, no := h.differ(q)
			if no {
				refused++
			}
			if difference == "" {
				continue
			}
			found++
			q, difference = h.smallest(q, difference)
			t.Errorf("%s=%d, question %d: the doors differ\n%s\n%s\n%s", seedVariable, seed, i, a.app.describe(), q, difference)
			break
		}
		if time.Since(last) > 30*time.Second {
			last = time.Now()
			t.Logf("%d questions in %v", asked, time.Since(begin).Round(time.Second))
		}
	}
	t.Logf("%d questions, %d of them through three doors, %d refused, %d differences", asked, through[true], refused, found)
	if refused > asked/2 {
		t.Errorf("%d of %d questions were refused", refused, asked)
	}
}

// smallest leaves out the parts of a question without which the doors still
// differ.
func (h *house) smallest(q *question, difference string) (*question, string) {
	for again := true; again; {
		again = false
		for _, o := range q.smaller() {
			if d, _ := h.differ(o); d != "" {
				q, difference, again = o, d, true
				break
			}
		}
	}
	return q, difference
}
