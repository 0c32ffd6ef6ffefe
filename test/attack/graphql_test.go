package attack

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
)

// deskModule has what members of the town never see: an entity, the values of its
// enum, an operation with its input and output.
const deskModule = `module: desk
entities:
  drawers:
    fields:
      label: { type: text }
      kind:  { type: enum, values: [plain_kind, covert_kind], default: plain_kind }
    policy: { read: "'staff' in auth.roles", create: "'staff' in auth.roles" }
  keys:
    fields:
      drawer_id: { ref: drawers, on_delete: cascade, optional: true }
      teeth:     { type: int }
    policy: { read: "auth.uid != null" }
operations:
  hello:  { allow: "true", reads: true, run: functions/desk.ts }
  purges: { allow: "'admin' in auth.roles", run: functions/desk.ts, input: { covert_input: text }, output: { fields: { covert_output: text } } }
`

const graphqlPath = "/graphql/v1"

// openDesk is the town with a desk.
func openDesk(t *testing.T) *town {
	t.Helper()
	dir := t.TempDir()
	townIn(t, dir, "", freely)
	for name, text := range map[string]string{"modules/desk.yaml": deskModule, "functions/desk.ts": "export default async () => ({ covert_output: 'x' })\n"} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return serveTown(t, dir)
}

// document is the body of a request for a document.
func document(doc string) string { return encode(object{"query": doc}) }

// graphqlRefuses counts a request that must fail quickly, and without a word of
// what would have been answered.
func (c *class) graphqlRefuses(n *town, what, body string, header ...string) {
	c.t.Helper()
	begin := time.Now()
	a := n.do(c.t, "POST", graphqlPath, body, header...)
	took := time.Since(begin)
	const quick = 5 * time.Second // each takes milliseconds; without its bound it takes minutes, or all memory
	nothing := !strings.Contains(a.body, `"data":{`) || strings.Contains(a.body, `"data":{"town_docs":null}`)
	c.is(a.status < 500 && strings.Contains(a.body, `"errors":[`) && nothing && len(a.body) <= longestProblem && took < quick,
		"%s: %d in %v: %.400s", what, a.status, took, a.body)
}

// again writes a text n times, with each number in the place of %d.
func again(n int, text string) string {
	var b strings.Builder
	for i := range n {
		b.WriteString(strings.ReplaceAll(text, "%d", strconv.Itoa(i)))
	}
	return b.String()
}

func TestGraphQL(t *testing.T) {
	n := openDesk(t)
	member, staff := n.member(t, "mia", nil), n.member(t, "sam", object{"app_metadata": object{"roles": []string{"staff"}}})
	n.want(t, 201, "POST", "/rest/v1/docs", `{"title":"mine","owner_id":"`+member.ID+`"}`, member.as())
	t.Run("multiplication", func(t *testing.T) { graphqlMultiplied(t, n, member) })
	t.Run("documents", func(t *testing.T) { graphqlDocuments(t, n, member) })
	t.Run("schema", func(t *testing.T) { graphqlSchema(t, n, member, staff) })
	if a := n.do(t, "POST", graphqlPath, document("{ __typename }")); a.status != 200 || !strings.Contains(a.body, `"Query"`) {
		t.Errorf("afterwards: %d %s", a.status, a.body)
	}
}

func graphqlMultiplied(t *testing.T, n *town, who person) {
	c := attackDoor(t, graphqlDoor, "11 GraphQL aliases multiply work or tries")
	refuses := func(what, body string) {
		t.Helper()
		c.graphqlRefuses(n, what, body, who.as())
	}
	refuses("aliases of a root field", document("{ "+again(21, "a%d: town_docs { totalCount } ")+"}"))
	refuses("aliases of what costs nothing", document("{ "+again(100, "a%d: __typename ")+"}"))
	refuses("aliases of a field", document("{ town_docs { nodes { id "+again(32, "a%d: title ")+"} } }"))
	refuses("aliases of a relation", document("{ town_docs { nodes { "+again(32, "a%d: pages { totalCount } ")+"} } }"))
	refuses("aliases in fragments", document("{ town_docs { nodes { "+again(33, "...F%d ")+"} } } "+again(33, "fragment F%d on town_docs { a%d: title } ")))
	refuses("aliases below fields that merge", document("{ town_docs { nodes { "+again(33, "owner { a%d: id } ")+"} } }"))
	refuses("a mutation's fields", document("mutation { "+again(21, `a%d: town_docsInsertOne(object: {title: "x"}) { id } `)+"}"))
	refuses("root fields through fragments", document("{ "+again(21, "...F%d ")+"} "+again(21, "fragment F%d on Query { a%d: town_docs { totalCount } } ")))
	one := document("{ town_docs { totalCount } }")
	refuses("a list of operations", "["+strings.TrimSuffix(again(11, one+","), ",")+"]")
	refuses("root fields of a list", "["+strings.TrimSuffix(again(3, document("{ "+again(8, "a%d: town_docs { totalCount } ")+"}")+","), ",")+"]")
	refuses("the same field, again and again", document("{ "+again(1500, "town_docs { totalCount } ")+"}"))
	refuses("rows of rows of rows", document("{ town_docs(first: 1000) { nodes { pages(first: 1000) { nodes { doc { pages(first: 1000) { nodes { doc { pages(first: 1000) { nodes { id } } } } } } } } } } }"))
	refuses("directives", document("{ __typename "+again(51, "@include(if: true) ")+"}"))
	refuses("directives on what is left out", document("{ "+again(51, "... @include(if: false) { __typename } ")+"}"))
}

func graphqlDocuments(t *testing.T, n *town, who person) {
	c := attackDoor(t, graphqlDoor, "12 GraphQL depth, fragments, cycles")
	refuses := func(what, body string) {
		t.Helper()
		c.graphqlRefuses(n, what, body, who.as())
	}
	refuses("a fragment in itself", document("{ ...A } fragment A on Query { ...A }"))
	refuses("fragments in a circle", document("{ ...A } fragment A on Query { ...B } fragment B on Query { ...C } fragment C on Query { ...A }"))
	refuses("a circle through a relation", document("{ town_docs { nodes { ...A } } } fragment A on town_docs { pages { nodes { doc { ...A } } } }"))
	refuses("a circle that nobody enters", document("{ __typename } fragment A on Query { ...A }"))
	refuses("a circle in introspection", document("{ __schema { types { ...A } } } fragment A on __Type { fields { type { ...A } } }"))
	tower := func(levels int, on, below string) string {
		var b strings.Builder
		for i := range levels {
			fmt.Fprintf(&b, "fragment F%d on %s { %s } ", i, on, strings.ReplaceAll(below, "...N", "...F"+strconv.Itoa(i+1)))
		}
		return fmt.Sprintf("%s fragment F%d on %s { __typename }", b.String(), levels, on)
	}
	refuses("fragments that grow exponentially", document("{ ...F0 } "+tower(100, "Query", "...N ...N")))
	refuses("the same through introspection", document("{ __schema { types { ...F0 } } } "+tower(60, "__Type", "a: ofType { ...N } b: ofType { ...N }")))
	refuses("relations that lead back", document("{ town_docs { nodes { "+strings.Repeat("pages { nodes { doc { ", 20)+"id"+strings.Repeat(" } } }", 20)+" } } }"))
	refuses("the same in fragments", document("{ town_docs { nodes { ...F0 } } } "+tower(20, "town_docs", "pages(first: 1) { nodes { doc { ...N } } }")))
	refuses("braces", document("{ town_docs "+strings.Repeat("{ nodes ", 1500)))
	refuses("conditions in conditions", document("{ town_docs(where: "+strings.Repeat("{not: ", 200)+"{}"+strings.Repeat("}", 200)+") { totalCount } }"))
	nested := strings.Repeat(`{"and":[{"not":`, 2000) + "{}" + strings.Repeat("}]}", 2000)
	refuses("the same in variables", `{"query":"query($w: town_docsFilter) { town_docs(where: $w) { totalCount } }","variables":{"w":`+nested+`}}`)
	refuses("JSON without a floor", `{"query":"query($w: town_docsFilter) { town_docs(where: $w) { totalCount } }","variables":{"w":`+strings.Repeat(`{"not":`, 100_000)+`}}`)
	wide := strings.TrimSuffix(strings.Repeat(`{"title":{"eq":"x"}},`, 20_000), ",")
	refuses("many conditions in variables", `{"query":"query($w: [town_docsFilter!]) { town_docs(where: {or: $w}) { totalCount } }","variables":{"w":[`+wide+`]}}`)
	refuses("many tokens", document("{ town_docs(where: {title: {in: ["+strings.Repeat(`"" `, 6000)+"]}}) { totalCount } }"))
	refuses("many bytes", document("{ __typename #"+strings.Repeat("x", 64<<10)+"\n}"))
	refuses("lists in lists", document("{ town_docs(where: {title: {in: "+strings.Repeat("[", 2000)+strings.Repeat("]", 2000)+"}}) { totalCount } }"))
	refuses("many wrong variables", `{"query":"query($w: [town_docsFilter!]) { town_docs(where: {or: $w}) { totalCount } }","variables":{"w":[`+strings.TrimSuffix(strings.Repeat(`{"nothing":1},`, 50_000), ",")+`]}}`)
}

func graphqlSchema(t *testing.T, n *town, member, staff person) {
	c := attackDoor(t, graphqlDoor, "13 introspection shows what the caller may not know")
	covert := []string{"town_nobody", "drawers", "covert", "purges", "review", "ranksInsert"}
	tells := func(a answer) string {
		for _, name := range covert {
			if strings.Contains(a.body, name) {
				return name
			}
		}
		return ""
	}
	ask := func(body string, header ...string) answer {
		t.Helper()
		return n.do(t, "POST", graphqlPath, body, header...)
	}
	const all = `{ __schema { queryType { name } types { kind name description specifiedByURL isOneOf
		fields(includeDeprecated: true) { name args(includeDeprecated: true) { name defaultValue type { name ofType { name ofType { name } } } } type { name ofType { name ofType { name } } } }
		inputFields(includeDeprecated: true) { name type { name ofType { name } } } enumValues(includeDeprecated: true) { name } } directives { name args { name } } } }`
	told := ask(document(all), member.as())
	c.is(tells(told) == "" && strings.Contains(told.body, "town_docs") && strings.Contains(told.body, "desk_keys"), "the schema tells a member of %q: %.300s", tells(told), told.body)
	if a := ask(document(all), staff.as()); !strings.Contains(a.body, "desk_drawers") || !strings.Contains(a.body, "review") {
		t.Errorf("the same document tells staff nothing: %.300s", a.body) // so the one above could have told
	}
	stranger := ask(document(all))
	c.is(!strings.Contains(stranger.body, `"data"`) && strings.Contains(stranger.body, "INTROSPECTION_DISABLED"), "a stranger: %.300s", stranger.body)
	byGet := n.do(t, "GET", graphqlPath+"?query=%7B__type(name:%22Query%22)%7Bfields%7Bname%7D%7D%7D", "")
	c.is(!strings.Contains(byGet.body, "town"), "a stranger by GET: %.300s", byGet.body)
	listed := ask("["+document(all)+"]", "Apikey: "+publishable)
	c.is(!strings.Contains(listed.body, "town_docs"), "a stranger in a list: %.300s", listed.body)
	for _, name := range []string{"town_nobody", "town_nobodyFilter", "desk_drawers", "desk_drawersKindEnum", "desk_purgesInput", "town_ranksInsert"} {
		a := ask(encode(object{"query": "query($n: String!) { __type(name: $n) { name } }", "variables": object{"n": name}}), member.as())
		c.is(strings.Contains(a.body, `{"__type":null}`), "__type of %s: %.300s", name, a.body)
	}
	// What is hidden is answered as what is not there, to the letter.
	alike := func(what, hidden, there, absent string, body func(name string) string) {
		t.Helper()
		one, other := ask(body(hidden), member.as()), ask(body(absent), member.as())
		same := func(a answer, name string) string {
			// What is near to a name depends on the name alone; what is suggested is looked at below.
			text := regexp.MustCompile(` Did you mean [^?]*\?`).ReplaceAllString(strings.ReplaceAll(a.body, `\"`+name+`\"`, "NAME"), "")
			if i := strings.Index(text, `"requestId"`); i >= 0 {
				text = text[:i]
			}
			return strconv.Itoa(a.status) + text
		}
		c.is(strings.Contains(one.body, "errors") && same(one, hidden) == same(other, absent), "%s: %q is answered %.300s, and %q %.300s", what, hidden, one.body, absent, other.body)
		if there != "" {
			if a := ask(body(there), member.as()); same(a, there) == same(other, absent) {
				t.Errorf("%s: also %q is answered %.300s", what, there, a.body)
			}
		}
	}
	alike("an entity", "town_nobody", "town_teams", "town_nobodx", func(name string) string { return document("{ " + name + " { totalCount } }") })
	alike("a field", "review", "title", "reviex", func(name string) string { return document("{ town_docs { nodes { " + name + " } } }") })
	alike("a hidden field", "code", "slug", "codx", func(name string) string { return document("{ town_docs { nodes { " + name + " } } }") })
	alike("a field of a condition", "code", "slug", "codx", func(name string) string {
		return document("{ town_docs(where: {" + name + `: {eq: "x"}}) { totalCount } }`)
	})
	alike("the same in variables", "code", "slug", "codx", func(name string) string {
		return encode(object{"query": "query($w: town_docsFilter) { town_docs(where: $w) { totalCount } }", "variables": object{"w": object{name: object{"eq": "x"}}}})
	})
	alike("an order", "review", "title", "reviex", func(name string) string {
		return document("{ town_docs(orderBy: [{" + name + ": ASC}]) { totalCount } }")
	})
	alike("what is grouped by", "code", "slug", "codx", func(name string) string { return document("{ town_docs { groups { key { " + name + " } } } }") })
	alike("a field of a new row", "review", "title", "reviex", func(name string) string {
		return document("mutation { town_docsInsertOne(object: {" + name + `: "x"}) { id } }`)
	})
	alike("a relation", "drawer", "", "drawex", func(name string) string { return document("{ desk_keys { nodes { " + name + " { id } } } }") })
	alike("an operation", "desk_purges", "", "desk_purgex", func(name string) string {
		return document("mutation { " + name + `(input: {covert_input: "x"}) { covert_output } }`)
	})
	alike("an operation to create", "town_ranksInsert", "", "town_ranksInserx", func(name string) string {
		return document("mutation { " + name + `(objects: [{rank: "x"}]) { affectedRows } }`)
	})
	alike("an input type", "town_nobodyFilter", "", "town_nobodxFilter", func(name string) string {
		return document("query($w: " + name + ") { __typename @include(if: true) town_docs(where: $w) { totalCount } }")
	})
	alike("a fragment's type", "desk_drawers", "", "desk_drawerx", func(name string) string { return document("{ ...F } fragment F on " + name + " { id }") })
	alike("an enum", "desk_drawersKindEnum", "", "desk_drawersKindEnux", func(name string) string { return document("query($k: " + name + " = covert_kind) { __typename }") })
	for _, doc := range []string{"{ town_nobod { totalCount } }", "{ desk_drawer { totalCount } }", "mutation { desk_purge }", "{ town_docs { nodes { revie cod } } }", `{ town_docs(where: {revie: {}, cod: {}}) { totalCount } }`} {
		a := ask(document(doc), member.as())
		c.is(tells(a) == "", "a message suggests %q: %.400s", tells(a), a.body)
	}
	// What one caller has had prepared or stored is not another's.
	secret := "{ desk_drawers { nodes { label kind } } }"
	sum := sha256.Sum256([]byte(secret))
	hash := object{"persistedQuery": object{"version": 1, "sha256Hash": hex.EncodeToString(sum[:])}}
	if a := ask(encode(object{"query": secret, "extensions": hash}), staff.as()); !strings.Contains(a.body, `"nodes":[]`) {
		t.Errorf("staff: %.300s", a.body)
	}
	a := ask(document(secret), member.as())
	c.is(strings.Contains(a.body, "GRAPHQL_VALIDATION_FAILED"), "a document that staff has asked: %.300s", a.body)
	a = ask(encode(object{"extensions": hash}), member.as())
	c.is(strings.Contains(a.body, "GRAPHQL_VALIDATION_FAILED"), "a document that staff has stored: %.300s", a.body)
}
