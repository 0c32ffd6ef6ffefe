package attack

import (
	"encoding/hex"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"
)

// rowDoor is a door to rows other than REST. The same attacks go through each.
type rowDoor struct {
	name string
	// read asks for rows of an entity of the town; more are members beside the
	// condition and the order.
	read func(entity string, fields []string, where object, order string, more object) ask
	// write creates a row, or, where id is given, changes that one.
	write  func(entity, id string, row object) ask
	remove func(entity, id string) ask
	// merge creates a row, or changes the one that is there; nil: it cannot.
	merge func(entity, resolution string, keys []string, row object) ask
}

// ask is one request.
type ask struct{ path, body string }

func rowDoors() []rowDoor {
	return []rowDoor{
		{graphqlDoor, graphqlRead, graphqlWrite, graphqlRemove, graphqlMerge},
		{grpcDoor, grpcRead, grpcWrite, grpcRemove, nil},
	}
}

const grpcAt = "/pando.app.town.v1.TownService/"

func graphqlAsk(doc string, variables object) ask {
	return ask{graphqlPath, encode(object{"query": doc, "variables": variables})}
}

// graphqlRead puts what is asked for into variables. A field may be any selection.
func graphqlRead(entity string, fields []string, where object, order string, more object) ask {
	name, vars := "town_"+entity, object{}
	var declared, args []string
	add := func(arg, typ string, v any) {
		vars[arg] = v
		declared, args = append(declared, "$"+arg+": "+typ), append(args, arg+": $"+arg)
	}
	if where != nil {
		add("where", name+"Filter", where)
	}
	if order != "" {
		field, down, _ := strings.Cut(order, " ")
		add("orderBy", "["+name+"Order!]", []object{{field: map[bool]string{true: "DESC", false: "ASC"}[down != ""]}})
	}
	selection := "nodes { " + strings.Join(fields, " ") + " } totalCount"
	for member, v := range more {
		switch member {
		case "first":
			add("first", "Int", v)
		case "after":
			add("after", "String", v)
		case "select":
			selection = fmt.Sprint(v)
		}
	}
	head := "query"
	if declared != nil {
		head += "(" + strings.Join(declared, ", ") + ")"
		name += "(" + strings.Join(args, ", ") + ")"
	}
	return graphqlAsk(head+" { r: "+name+" { "+selection+" } }", vars)
}

func graphqlWrite(entity, id string, row object) ask {
	name := "town_" + entity
	if id == "" {
		return graphqlAsk("mutation($row: "+name+"Insert!) { r: "+name+"Insert(objects: [$row]) { affectedRows } }", object{"row": row})
	}
	return graphqlAsk("mutation($id: UUID!, $row: "+name+"Set!) { r: "+name+"Update(where: {id: {eq: $id}}, set: $row) { affectedRows } }", object{"id": id, "row": row})
}

func graphqlRemove(entity, id string) ask {
	return graphqlAsk("mutation($id: UUID!) { r: town_"+entity+"DeleteByKey(id: $id) { id } }", object{"id": id})
}

func graphqlMerge(entity, resolution string, keys []string, row object) ask {
	name := "town_" + entity
	fields := ""
	if keys != nil {
		fields = "fields: [" + strings.Join(keys, ", ") + "], "
	}
	return graphqlAsk("mutation($row: "+name+"Insert!) { r: "+name+"Insert(objects: [$row], onConflict: {"+fields+"resolution: "+resolution+"}) { affectedRows returning { id title } } }", object{"row": row})
}

func grpcAsk(method string, in object) ask { return ask{grpcAt + url.PathEscape(method), encode(in)} }

// grpcName is an entity as methods have it.
func grpcName(entity string) string { return strings.ToUpper(entity[:1]) + entity[1:] }

// grpcCondition has lists as messages, and JSON as text.
func grpcCondition(v any) any {
	switch v := v.(type) {
	case object:
		out := object{}
		for name, el := range v {
			switch list, isList := el.([]any); {
			case name == "in" && isList:
				out[name] = object{"values": list}
			case name == "cs":
				out[name] = encode(el)
			case name == "is":
				out[name] = "IS_" + fmt.Sprint(el)
			default:
				out[name] = grpcCondition(el)
			}
		}
		return out
	case []any:
		out := []any{}
		for _, el := range v {
			out = append(out, grpcCondition(el))
		}
		return out
	}
	return v
}

func grpcRead(entity string, fields []string, where object, order string, more object) ask {
	in := object{"count": true, "order_by": order}
	if fields != nil {
		in["read_mask"] = strings.ReplaceAll(strings.Join(fields, ","), "_id", "Id")
	}
	if where != nil {
		in["filter"] = grpcCondition(where)
	}
	for member, v := range more {
		switch member {
		case "first":
			in["page_size"] = v
		case "after":
			in["page_token"] = v
		}
	}
	return grpcAsk("List"+grpcName(entity), in)
}

// grpcNulls names what is null in a mask.
func grpcNulls(row object, mask string, in object) object {
	var names []string
	set, null := object{}, false
	for name, v := range row {
		if names = append(names, strings.ReplaceAll(name, "_id", "Id")); v == nil {
			null = true
			continue
		}
		set[name] = v
	}
	if in["row"] = set; null {
		in[mask] = strings.Join(names, ",")
	}
	return in
}

func grpcWrite(entity, id string, row object) ask {
	if id == "" {
		return grpcAsk("Create"+grpcName(entity), grpcNulls(row, "create_mask", object{}))
	}
	in := grpcNulls(row, "update_mask", object{})
	in["row"].(object)["id"] = id //nolint:forcetypeassert // it was made above
	return grpcAsk("Update"+grpcName(entity), in)
}

func grpcRemove(entity, id string) ask {
	return grpcAsk("Delete"+grpcName(entity), object{"id": id})
}

// through sends a request of a door.
func (n *town) through(t *testing.T, q ask, header ...string) answer {
	t.Helper()
	return n.do(t, "POST", q.path, q.body, header...)
}

// failed tells whether an answer is a refusal of the caller's request.
func (a answer) failed() bool {
	return a.status >= 400 && a.status < 500 || a.status == 501 || strings.HasPrefix(a.body, `{"errors":[`)
}

// rowless tells whether an answer has no row.
func rowless(a answer) bool {
	return a.failed() || strings.Contains(a.body, `"nodes":[],"totalCount":0`) || a.status == 200 && (a.body == `{"total_size":"0"}` || a.body == "{}")
}

// quiet counts a request whose answer, whatever it is, must not tell of Bob.
func (c *class) quiet(n *town, q ask, header ...string) answer {
	c.t.Helper()
	a := n.through(c.t, q, header...)
	s := telling(a)
	c.is(s == "" && (a.status < 500 || a.status == 501), "%s %.300s: %d tells %q: %.300s", q.path, q.body, a.status, s, a.body)
	if err := checkProblem(a, "POST"); err != nil {
		c.t.Errorf("class %s: %s %.200s: %v", c.name, q.path, q.body, err)
	}
	return a
}

// sightless counts two questions of which one has a right guess of a masked value.
func (c *class) sightless(n *town, d rowDoor, who string, right, wrong object) {
	c.t.Helper()
	one := object{"id": object{"eq": openDoc}}
	strip := strings.NewReplacer(bobsPay, "", "770000000078", "", bobsReview, "", "REVIEW-OF-BOX-88", "", bobsMeta, "", "META-OF-BOX-55", "", bobsCode, "", "CODE-OF-BOX-99", "")
	told := func(where object) string {
		q := d.read("docs", []string{"id"}, object{"and": []any{one, where}}, "", nil)
		return strip.Replace(shape(n.through(c.t, q, who), ""))
	}
	x, y := told(right), told(wrong)
	c.is(x == y, "%s: a right guess is told from a wrong one: %s / %s", encode(right), x, y)
}

// rowsThroughDoors attacks rows through the doors beside REST.
func rowsThroughDoors(t *testing.T, n *town, ann, bob person) {
	for _, d := range rowDoors() {
		t.Run(d.name, func(t *testing.T) {
			t.Run("oracles", func(t *testing.T) { doorOracles(t, n, d, ann) })
			t.Run("rules", func(t *testing.T) { doorRules(t, n, d, ann) })
			t.Run("cursors", func(t *testing.T) { doorCursors(t, n, d, ann, bob) })
			t.Run("injection", func(t *testing.T) { doorInjection(t, n, d, ann) })
			t.Run("bodies", func(t *testing.T) { doorBodies(t, n, d, ann) })
			t.Run("answers", func(t *testing.T) { doorExistence(t, n, d, ann) })
			t.Run("writes", func(t *testing.T) { doorWrites(t, n, d, ann, bob) })
			if d.name == graphqlDoor {
				t.Run("embeds", func(t *testing.T) { graphqlEmbeds(t, n, ann) })
			}
		})
	}
}

func is(op string, v any) object { return object{op: v} }

// doorOracles tries to learn masked and hidden values of a row that may be read.
func doorOracles(t *testing.T, n *town, d rowDoor, ann person) {
	filter := attackDoor(t, d.name, "1 filter oracle on a mask")
	order := attackDoor(t, d.name, "2 order oracle on a mask")
	search := attackDoor(t, d.name, "3 search oracle on a mask")
	count := attackDoor(t, d.name, "4 aggregate of a mask")
	const near = "770000000078"
	for _, who := range []string{ann.as(), "Authorization: Bearer " + publishable} {
		for _, g := range [][2]object{
			{{"salary": is("eq", bobsPay)}, {"salary": is("eq", near)}},
			{{"salary": is("gt", "770000000076")}, {"salary": is("gt", near)}},
			{{"salary": is("in", []any{bobsPay})}, {"salary": is("in", []any{near})}},
			{{"salary": is("neq", near)}, {"salary": is("neq", bobsPay)}},
			{{"not": object{"salary": is("eq", bobsPay)}}, {"not": object{"salary": is("eq", near)}}},
			{{"or": []any{object{"salary": is("eq", bobsPay)}}}, {"or": []any{object{"salary": is("eq", near)}}}},
			{{"not": object{"and": []any{object{"salary": is("gt", near)}}}}, {"not": object{"and": []any{object{"salary": is("gt", "770000000076")}}}}},
			{{"salary": is("isdistinct", near)}, {"salary": is("isdistinct", bobsPay)}},
			{{"review": is("eq", bobsReview)}, {"review": is("eq", "REVIEW-OF-BOX-88")}},
			{{"meta": is("cs", object{"k": bobsMeta})}, {"meta": is("cs", object{"k": "META-OF-BOX-55"})}},
			{{"code": is("eq", bobsCode)}, {"code": is("eq", "CODE-OF-BOX-99")}},
			{{"code": is("in", []any{bobsCode})}, {"code": is("in", []any{"CODE-OF-BOX-99"})}},
		} {
			filter.sightless(n, d, who, g[0], g[1])
		}
		for _, g := range [][2]object{
			{{"review": is("like", "REVIEW-OF-BOB%")}, {"review": is("like", "REVIEW-OF-BOX%")}},
			{{"review": is("ilike", "review-of-bob%")}, {"review": is("ilike", "review-of-box%")}},
			{{"review": is("match", "^REVIEW-OF-BOB")}, {"review": is("match", "^REVIEW-OF-BOX")}},
			{{"review": is("imatch", "of-bob")}, {"review": is("imatch", "of-box")}},
			{{"review": is("fts", "bob")}, {"review": is("fts", "box")}},
			{{"code": is("like", "CODE-OF-B%")}, {"code": is("like", "X%")}},
			{{"meta": is("at", []any{object{"path": []any{"k"}, "text": is("like", "META-OF-BOB%")}})}, {"meta": is("at", []any{object{"path": []any{"k"}, "text": is("like", "META-OF-BOX%")}})}},
		} {
			search.sightless(n, d, who, g[0], g[1])
		}
		open := object{"open": is("eq", true)}
		for _, by := range []string{"salary", "salary desc", "review", "meta", "code", "owner", "password"} {
			a := order.quiet(n, d.read("docs", []string{"id"}, open, by, object{"first": 1}), who)
			if by == "code" && !a.failed() {
				t.Errorf("ordered by the hidden %s: %s", by, a.body)
			}
		}
		for _, f := range []string{"id", "salary", "review", "meta", "code", "owner"} {
			count.quiet(n, d.read("docs", []string{f}, open, "", nil), who)
		}
		count.sightless(n, d, who, object{"salary": is("is", "NOT_NULL")}, object{"salary": is("is", "NULL"), "id": is("eq", nobodyDoc)})
		if d.name != graphqlDoor {
			continue
		}
		for _, s := range []string{"sum { salary }", "max { salary }", "min { salary }", "avg { salary }", "max { review }", "min { code }", "max { code }"} {
			count.quiet(n, d.read("docs", nil, open, "", object{"select": "aggregate { count " + s + " }"}), who)
		}
		for _, s := range []string{"salary", "review", "code", "meta"} {
			count.quiet(n, d.read("docs", nil, open, "", object{"select": "groups { key { " + s + " } count }"}), who)
		}
	}
	// Two rows that differ in a masked value alone have no order by it.
	for _, by := range []string{"salary", "review", "salary desc", "review desc"} {
		a := n.through(t, d.read("docs", []string{"id"}, object{"title": is("eq", "x"), "open": is("eq", true)}, by, nil), ann.as())
		first, second := strings.Index(a.body, "0000000000e1"), strings.Index(a.body, "0000000000e2")
		order.is(a.failed() || first >= 0 && second >= 0 && (first < second) != strings.HasSuffix(by, "desc"), "an order by %s follows the masked value: %s", by, a.body)
	}
	// What breaks a unique key tells nothing of the row that has it.
	for _, row := range []object{{"title": "m", "code": bobsCode}, {"title": "m", "slug": "bobs"}, {"title": "m", "id": bobsDoc}} {
		filter.quiet(n, d.write("docs", "", row), ann.as())
	}
	for _, name := range []string{"cod", "codee", "passwor", "password", "Code", "__typename"} {
		filter.quiet(n, d.read("docs", []string{name}, object{name: is("eq", "1")}, "", nil), ann.as())
	}
}

// doorRules tries callers about whom a rule knows nothing, and roles that were not
// given.
func doorRules(t *testing.T, n *town, d rowDoor, ann person) {
	c := attackDoor(t, d.name, "6 a rule fails open")
	claims := claimsOf(t, ann.token)
	forged := func(more object) string {
		return "Authorization: Bearer " + hs256(jwtSecret, `{"alg":"HS256","typ":"JWT"}`, encode(claims.with(more)))
	}
	for _, who := range []string{
		"X: y", ann.as(), forged(object{"app_metadata": object{}}), forged(object{"app_metadata": nil}), forged(object{"app_metadata": object{"tenant": nil, "tenants": []string{}}}),
		forged(object{"app_metadata": object{"tenant": []string{}, "tenants": "b"}}), forged(object{"app_metadata": []string{"tenant"}}),
		forged(object{"app_metadata": object{"tenant": true, "tenants": []any{nil}, "blocked": []any{nil}}}), forged(object{"sub": "01980009-0000-7000-8000-00000000ffff"}),
	} {
		empty := func(e string, where object) {
			t.Helper()
			a := n.through(t, d.read(e, []string{"id"}, where, "", nil), who)
			c.is(rowless(a), "%s as %.40s: %d %.300s", e, who, a.status, a.body)
		}
		for _, e := range []string{"ledgers", "listed", "unlisted", "nobody", "teams", "tasks", "members", "vaults", "near", "ratios"} {
			empty(e, nil)
		}
		empty("docs", object{"owner_id": is("is", "NULL"), "open": is("eq", false)})
		empty("pages", object{"doc_id": is("eq", nobodyDoc)})
		empty("ranks", object{"rank": is("in", []any{"staff", "admin"})})
	}
	for _, w := range []string{"X: y", forged(object{"role": "anon"})} { // the anonymous own nothing, not even what has no owner
		for _, q := range []ask{d.write("docs", "", object{"title": "x", "owner_id": nil}), d.write("watched", "", object{"name": "x"}), d.write("docs", nobodyDoc, object{"title": "x"}), d.remove("docs", nobodyDoc)} {
			a := n.through(t, q, w)
			c.is(a.failed() || strings.Contains(a.body, `"affectedRows":0`) || strings.Contains(a.body, `{"r":null}`), "%s %s: %d %s", q.path, q.body, a.status, a.body)
		}
	}
	roles := attackDoor(t, d.name, "7 inherited roles")
	for i, tc := range []struct{ more, want any }{
		{object{"app_metadata": object{"roles": []string{"member"}}}, "member"},
		{object{"app_metadata": object{"roles": []string{"staff"}}}, "staff member"},
		{object{"app_metadata": object{"roles": []string{"Admin", "ADMIN", " admin", "staff,admin"}}}, ""},
		{object{"app_metadata": object{"roles": "admin"}}, ""},
		{object{"app_metadata": object{"roles": []string{"service", "service_role", "authenticated", "*"}}}, ""},
		{object{"user_metadata": object{"roles": []string{"admin"}, "app_metadata": object{"roles": []string{"admin"}}}}, ""},
		{object{"app_metadata": object{"role": "admin", "Roles": []string{"admin"}}}, ""},
	} {
		who := n.member(t, fmt.Sprintf("%s-role%d", strings.ToLower(d.name), i), tc.more.(object)) //nolint:forcetypeassert // they are such
		a := n.through(t, d.read("ranks", []string{"rank"}, nil, "", nil), who.as())
		var have []string
		for _, rank := range []string{"staff", "admin", "clerk", "member"} {
			if strings.Contains(a.body, `"rank":"`+rank+`"`) {
				have = append(have, rank)
			}
		}
		roles.is(a.status < 500 && strings.Join(have, " ") == tc.want, "%s has %v, want %s: %s", encode(tc.more), have, tc.want, a.body)
	}
}

// doorCursors opens pages of others, and with keys that the caller has made up.
func doorCursors(t *testing.T, n *town, d rowDoor, ann, bob person) {
	c := attackDoor(t, d.name, "10 forged cursors")
	page := func(cursor string) ask {
		return d.read("docs", []string{"id", "title"}, nil, "title", object{"first": 1, "after": cursor})
	}
	if d.name == grpcDoor {
		token := func(who string) string {
			a := n.through(t, d.read("docs", []string{"id", "title"}, nil, "title", object{"first": 1}), who)
			next := decode[struct {
				Next string `json:"next_page_token"`
			}](t, a).Next
			if next == "" {
				t.Fatalf("no token: %d %s", a.status, a.body)
			}
			return next
		}
		bobs, service := token(bob.as()), token(boss)
		for _, who := range []string{ann.as(), "X: y", boss} {
			a := c.quiet(n, page(bobs), who)
			c.is(a.failed(), "a foreign token opens %s", a.body)
		}
		a := c.quiet(n, page(service), ann.as())
		c.is(a.failed(), "the service's token opens %s", a.body)
		for i := 0; i < len(bobs); i += 5 { // one character of it changed
			with := byte('A')
			if bobs[i] == 'A' {
				with = 'B'
			}
			a := n.through(t, page(bobs[:i]+string(with)+bobs[i+1:]), bob.as())
			c.is(a.failed(), "a token that was changed opens %s", a.body)
		}
		for _, text := range []string{bobs + "A", bobs[:len(bobs)-4], strings.Repeat("A", 60), bobs + bobs, "' OR 1=1--"} {
			a := n.through(t, page(text), bob.as())
			c.is(a.failed(), "the token %s opens %s", text, a.body)
		}
		return
	}
	// A cursor of GraphQL's is not signed: whatever its keys are, it is a condition
	// beside the rules, and no more than that.
	for _, keys := range []any{
		[]any{"", "00000000-0000-0000-0000-000000000000"},
		[]any{bobsTitle, bobsDoc},
		[]any{"A", bob.ID},
		[]any{bob.ID, bob.ID},
		[]any{nil, bobsDoc},
		[]any{"", bob.ID},
		[]any{true, true},
		[]any{1, 1},
		[]any{"x"},
		[]any{"x", bobsDoc, bob.ID, true},
		[]any{},
		object{},
		"x",
		[]any{[]any{bob.ID}, bobsDoc},
		[]any{"' OR 1=1--", bobsDoc},
		[]any{"", "' OR 1=1--"},
	} {
		a := c.quiet(n, page(hex.EncodeToString([]byte(encode(keys)))), ann.as())
		c.is(!strings.Contains(a.body, bobsDoc) && !strings.Contains(a.body, nobodyDoc), "the keys %s open %s", encode(keys), a.body)
	}
	for _, text := range []string{"", "zz", "5b", strings.Repeat("5b", 40000), "' OR 1=1--", "null", hex.EncodeToString([]byte(`["a","` + bobsDoc + `"`))} {
		a := c.quiet(n, page(text), ann.as())
		c.is(a.failed() && !strings.Contains(a.body, bobsDoc), "the cursor %.40s opens %.300s", text, a.body)
	}
}

// doorInjection writes what closes quotation marks wherever a text may stand.
func doorInjection(t *testing.T, n *town, d rowDoor, ann person) {
	c := attackDoor(t, d.name, "10 injection")
	before := n.do(t, "GET", docs+"?select=*", "", boss).body
	for _, p := range []string{`' OR '1'='1`, `" OR "1"="1`, `1; DROP TABLE "town.docs";--`, `') UNION select code FROM docs--`, `\'; --`, "x'||(select code FROM docs)||'", `$1`, `{{7*7}}`, "`id`", "[id]", "rowid", "*", `a"b"."c`, `json_extract(code,'$')`, "id desc; --", "{id}", "# {"} {
		for _, op := range []string{"eq", "like", "ilike", "match", "fts", "in"} {
			var v any = p
			if op == "in" {
				v = []any{p}
			}
			a := c.quiet(n, d.read("docs", []string{"id"}, object{"title": is(op, v)}, "", nil), ann.as())
			c.is(a.failed() || !strings.Contains(a.body, bobsDoc), "%s %s: %s", op, p, a.body)
		}
		c.quiet(n, d.read("docs", []string{p}, nil, "", nil), ann.as())
		c.quiet(n, d.read("docs", []string{"id"}, object{p: is("eq", 1)}, "", nil), ann.as())
		c.quiet(n, d.read("docs", []string{"id"}, object{"title": is(p, "x")}, "", nil), ann.as())
		c.quiet(n, d.read("docs", []string{"id"}, nil, p, nil), ann.as())
		c.quiet(n, d.read(p, []string{"id"}, nil, "", nil), ann.as())
		c.quiet(n, d.write("docs", "", object{"title": "x", p: 1}), ann.as())
		c.quiet(n, d.remove("docs", p), ann.as())
	}
	if after := n.do(t, "GET", docs+"?select=*", "", boss).body; after != before {
		t.Errorf("rows changed: %s", after)
	}
}

// doorBodies sends what is no request, and what is one of another type.
func doorBodies(t *testing.T, n *town, d rowDoor, ann person) {
	c := attackDoor(t, d.name, "33 bad bodies")
	at := d.read("docs", []string{"id"}, nil, "", nil).path
	deep := strings.Repeat(`{"not":`, 5000) + `{"open":{"eq":true}}` + strings.Repeat("}", 5000)
	for _, body := range []string{
		"", "{", "null", "[]", "1", `"x"`, "{}}", "\x00", "{\"filter\":\"\xff\"}", strings.Repeat("[", 100000), `{"filter":` + deep + `}`, `{"query":"{ r: town_docs(where: ` + strings.ReplaceAll(deep, `"`, "") + `) { totalCount } }"}`,
		`{"page_size":1e400}`, `{"page_size":-1}`, `{"page_size":"9223372036854775808"}`, `{"offset":-9223372036854775808}`, `{"filter":[]}`, `{"filter":{"title":{"eq":{}}}}`, `{"filter":{"title":{}}}`, `{"filter":{"id":{"eq":"x"}}}`, `{"filter":{"title":{"eq":"\u0000"}}}`, `{"filter":{"title":{"match":"("}}}`,
		`{"order_by":"title title title"}`, `{"order_by":",,,"}`, `{"read_mask":"title,,title"}`, `{"read_mask":"*.title"}`,
		`{"query":1}`, `{"query":""}`, `{"query":"{"}`, `{"query":"{ r: town_docs(first: 99999999999) { totalCount } }"}`, `{"query":"query($w: town_docsFilter) { r: town_docs(where: $w) { totalCount } }","variables":{"w":[[1]]}}`, `{"query":"{ __typename }","variables":"x"}`, `{"query":"{ __typename }","operationName":"x"}`, `{"query":"subscription { r: town_docs { totalCount } }"}`,
	} {
		c.quiet(n, ask{at, body}, ann.as())
	}
	for _, kind := range []string{"text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "application/graphql", "application/json; charset=utf-16", "application/xml", "x"} {
		a := n.do(t, "POST", at, d.read("docs", []string{"id"}, nil, "", nil).body, ann.as(), "Content-Type: "+kind)
		c.is(a.status >= 400 && a.status < 500 && telling(a) == "", "%s: %d %.200s", kind, a.status, a.body)
	}
	if d.name == grpcDoor {
		for _, kind := range []string{"application/proto", "application/grpc-web+proto", "application/grpc", "application/connect+proto"} {
			for _, body := range []string{"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", "\x00\xff\xff\xff\xff", "\x00\x00\x00\x00\x05\x0a\xff\xff\xff\x0f", "\x01\x00\x00\x00\x01x", strings.Repeat("\x0a\x80\x01", 3000), "\x80\x00\x00\x00\x00"} {
				a := n.do(t, "POST", at, body, ann.as(), "Content-Type: "+kind)
				c.is(a.status < 500 && telling(a) == "", "%s %.20q: %d %.200s", kind, body, a.status, a.body)
			}
		}
	}
	n.want(t, 200, "GET", "/rest/v1/docs?select=id&limit=1", "", ann.as())
}

// doorExistence compares the answers about a row that is another's with those about
// one that is not there.
func doorExistence(t *testing.T, n *town, d rowDoor, ann person) {
	c := attackDoor(t, d.name, "27 existence told by the answer")
	const none = "01980009-0000-7000-8000-00000000f0f0"
	for _, who := range []string{ann.as(), "X: y"} {
		about := func(id string) []ask {
			list := []ask{
				d.read("docs", []string{"id"}, object{"id": is("eq", id)}, "", nil), d.read("pages", []string{"id"}, object{"doc_id": is("eq", id)}, "", nil),
				d.write("docs", id, object{"title": "x"}), d.remove("docs", id),
			}
			if d.name == graphqlDoor {
				return append(list, graphqlAsk("query($id: UUID!) { r: town_docsByKey(id: $id) { id } }", object{"id": id}))
			}
			return append(list, grpcAsk("GetDocs", object{"id": id}), grpcAsk("BatchGetDocs", object{"keys": []string{id}}))
		}
		others := about(none)
		for i, q := range about(bobsDoc) {
			c.alike(q.path+" "+q.body, n.through(t, q, who), n.through(t, others[i], who), bobsDoc, none)
		}
	}
}

// doorWrites tries to give oneself what only others may.
func doorWrites(t *testing.T, n *town, d rowDoor, ann, bob person) {
	mass, idor := attackDoor(t, d.name, "8 mass assignment"), attackDoor(t, d.name, "9 IDOR")
	state := func() string {
		return n.do(t, "GET", docs+"?owner_id=neq."+ann.ID+"&select=*", "", boss).body + n.do(t, "GET", docs+"?owner_id=is.null&select=*", "", boss).body
	}
	before := state()
	try := func(c *class, q ask) {
		t.Helper()
		a := n.through(t, q, ann.as())
		after := state()
		undone := a.failed() || strings.Contains(a.body, `"affectedRows":0`) || strings.Contains(a.body, `{"r":null}`)
		c.is(after == before && undone && telling(a) == "", "%s %.300s: %d %.200s\n%s", q.path, q.body, a.status, a.body, after)
		before = after
	}
	for _, row := range []object{
		{"owner_id": bob.ID}, {"salary": "1"}, {"review": "x"}, {"owner": object{"id": bob.ID}}, {"role": "admin"}, {"OWNER_ID": bob.ID}, {"rowid": 1}, {"__proto__": object{"x": 1}},
	} {
		try(mass, d.write("docs", "", object{"title": "m"}.with(row)))
		try(mass, d.write("docs", annsDoc, object{"title": "m"}.with(row)))
	}
	for _, id := range []string{bobsDoc, openDoc, nobodyDoc} {
		try(idor, d.write("docs", id, object{"title": "mine"}))
		try(idor, d.write("docs", id, object{"owner_id": ann.ID}))
		try(idor, d.remove("docs", id))
		try(idor, d.write("docs", "", object{"id": id, "title": "mine"}))
		try(idor, d.write("pages", "", object{"doc_id": id, "text": "x"}))
		if d.merge == nil {
			try(idor, grpcAsk("BatchDocs", object{"changes": []any{object{"update": object{"row": object{"id": annsDoc, "title": "Ann's"}}}, object{"update": object{"row": object{"id": id, "title": "mine"}}}}}))
			try(idor, grpcAsk("BatchDocs", object{"changes": []any{object{"delete": object{"id": id}}}}))
			continue
		}
		for _, resolution := range []string{"MERGE", "IGNORE"} {
			try(idor, d.merge("docs", resolution, nil, object{"id": id, "title": "mine"}))
			try(idor, d.merge("docs", resolution, nil, object{"id": id, "title": "mine", "owner_id": ann.ID}))
		}
		try(idor, graphqlAsk(`mutation($id: UUID!) { a: town_docsUpdateByKey(id: "`+annsDoc+`", set: {title: "Ann's"}) { id } r: town_pagesInsertOne(object: {doc_id: $id, text: "x"}) { id } }`, object{"id": id}))
	}
	try(idor, d.write("docs", annsDoc, object{"owner_id": bob.ID})) // given away
	try(idor, d.write("docs", annsDoc, object{"owner_id": nil}))    // abandoned
	page := decode[[]struct{ ID string }](t, n.want(t, 200, "GET", "/rest/v1/pages?doc_id=eq."+annsDoc, "", boss))[0].ID
	try(idor, d.write("pages", page, object{"doc_id": bobsDoc})) // moved into Bob's
	try(idor, d.write("tasks", "", object{"team_id": "01980009-0000-7000-8000-0000000000d1", "text": "x"}))
	try(idor, d.write("members", "", object{"team_id": "01980009-0000-7000-8000-0000000000d1", "user_id": ann.ID}))
	try(idor, d.write("ledgers", "", object{"tenant": "b", "name": "x"}))
	if d.merge != nil {
		try(idor, d.merge("docs", "MERGE", []string{"slug"}, object{"slug": "bobs", "title": "mine"}))
		try(idor, d.merge("docs", "MERGE", []string{"code"}, object{"code": bobsCode, "title": "mine"}))
		for _, doc := range []string{
			`mutation { r: town_docsUpdate(where: {}, set: {title: "mine", owner_id: "` + ann.ID + `"}) { affectedRows } }`,
			`mutation { r: auth_usersInsert(objects: [{email: "x@town.example"}]) { affectedRows } }`,
			`mutation { r: auth_user_rolesInsert(objects: [{user_id: "` + ann.ID + `", role: "admin"}]) { affectedRows } }`,
			`mutation { r: auth_usersUpdate(where: {id: {eq: "` + ann.ID + `"}}, set: {app_metadata: {roles: ["admin"]}}) { affectedRows } }`,
			`mutation { r: town_pagesInsertOne(object: {text: "x", doc: {title: "m", owner_id: "` + bob.ID + `"}}) { id } }`,
			`mutation { r: town_docsInsertOne(object: {title: "m", owner: {email: "x@town.example"}}) { id } }`,
		} {
			try(mass, graphqlAsk(doc, nil))
		}
		return
	}
	for _, q := range []ask{
		{"/pando.app.auth.v1.AuthService/CreateUsers", `{"row":{"email":"x@town.example"}}`},
		{"/pando.app.auth.v1.AuthService/UpdateUsers", `{"row":{"id":"` + ann.ID + `","email":"x@town.example"}}`},
		{"/pando.app.auth.v1.AuthService/CreateUserRoles", `{"row":{"user_id":"` + ann.ID + `","role":"admin"}}`},
		{"/pando.app.auth.v1.AuthService/DeleteUsers", `{"id":"` + bob.ID + `"}`},
		grpcAsk("UpdateDocs", object{"row": object{"id": annsDoc}, "update_mask": "*"}),
		grpcAsk("UpdateDocs", object{"row": object{"id": annsDoc, "title": "m"}, "update_mask": "id"}),
	} {
		try(mass, q)
	}
}

// keysThroughDoors uses API keys beyond what they were made for.
func keysThroughDoors(t *testing.T, n *town, c map[string]*class, narrow, machine string) {
	t.Helper()
	for _, d := range rowDoors() {
		users := ask{"/pando.app.auth.v1.AuthService/ListUsers", "{}"}
		if d.name == graphqlDoor {
			users = graphqlAsk("{ r: auth_users { nodes { id email } } }", nil)
			c[d.name].quiet(n, d.read("docs", []string{"owner { email }"}, nil, "", nil), machine)
		}
		for _, who := range []string{narrow, machine} {
			a := c[d.name].quiet(n, users, who)
			c[d.name].is(a.failed() || rowless(a), "users: %s", a.body)
		}
		for _, q := range []ask{ // a machine has the rights of its roles
			d.read("docs", []string{"title"}, object{"id": is("eq", bobsDoc)}, "", nil), d.read("ledgers", []string{"name"}, nil, "", nil), d.read("nobody", []string{"name"}, nil, "", nil),
			d.read("ranks", []string{"rank"}, object{"rank": is("eq", "admin")}, "", nil), d.remove("docs", bobsDoc), d.write("docs", bobsDoc, object{"title": "x"}),
		} {
			a := c[d.name].quiet(n, q, machine)
			c[d.name].is(a.failed() || rowless(a) || strings.Contains(a.body, `"affectedRows":0`), "%s %s: %s", q.path, q.body, a.body)
		}
	}
}

// graphqlEmbeds tries to reach rows around the rule of the entity that has them.
func graphqlEmbeds(t *testing.T, n *town, ann person) {
	c := attackDoor(t, graphqlDoor, "5 embedding past a rule")
	read := func(entity, selection string, where object) ask {
		return graphqlRead(entity, nil, where, "", object{"select": "nodes { id " + selection + " }"})
	}
	for _, who := range []string{ann.as(), "X: y"} {
		for _, q := range []ask{
			read("docs", "pages { nodes { text } }", nil), read("docs", "pages { totalCount aggregate { count max { text } } }", object{"open": is("eq", true)}), read("docs", "pages { nodes { text doc { title salary } } }", nil),
			read("docs", "owner { email }", nil), read("docs", "owner { email app_metadata }", nil), read("pages", "text doc { title pages { nodes { text } } }", nil), read("members", "team { name tasks { nodes { text } } }", nil),
			read("teams", "name tasks { nodes { text } }", nil), read("tasks", "text team { name }", nil), read("docs", "pages(where: {text: {like: \"T%\"}}) { nodes { text } }", nil), read("docs", "pages { groups { key { text } count } }", nil),
			graphqlAsk("{ r: auth_users { nodes { email docs { nodes { title } } } } }", nil), graphqlAsk("{ r: auth_users { nodes { id password } } }", nil), graphqlAsk("{ r: auth_sessions { nodes { id } } }", nil), graphqlAsk("{ __type(name: \"auth_users\") { fields { name } } }", nil),
		} {
			c.quiet(n, q, who)
		}
		for _, g := range [][2]object{
			{{"pages": object{"text": is("eq", bobsTitle)}}, {"pages": object{"text": is("eq", "no")}}},
			{{"owner": object{"email": is("eq", "bob@town.example")}}, {"owner": object{"email": is("eq", "no")}}},
			{{"pages": object{}}, {"pages": object{"text": is("eq", "no")}}},
			{{"not": object{"owner": object{"email": is("eq", "bob@town.example")}}}, {"not": object{"owner": object{"email": is("eq", "no")}}}},
		} {
			open := object{"id": is("eq", openDoc)}
			a, b := n.through(t, read("docs", "", object{"and": []any{open, g[0]}}), who), n.through(t, read("docs", "", object{"and": []any{open, g[1]}}), who)
			c.alike(encode(g[0]), a, b, "", "")
		}
	}
}

// knocksOfRows are those of the doors beside REST where rows are: by GET, as REST's.
func knocksOfRows() []knock {
	return []knock{
		{graphqlDoor, graphqlPath + "?query=" + url.QueryEscape("{ town_ranks { nodes { rank } } }")},
		{grpcDoor, grpcAt + "ListRanks?connect=v1&encoding=json&message=%7B%7D"},
	}
}

// shut tells whether nothing is behind a door of rows for a caller who is let in.
func (k knock) shut(a answer) bool {
	if k.door == restDoor {
		return a.body == "[]"
	}
	return slices.Contains([]string{graphqlDoor, grpcDoor}, k.door) && (a.failed() || a.status == 200) && !strings.Contains(a.body, `"rank":"`)
}
