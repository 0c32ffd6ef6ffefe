package attack

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

const (
	safes    = "/rest/v1/safes"
	products = "/rest/v1/products"
	rep      = "Prefer: return=representation"
)

// attempt is a request that must not succeed.
type attempt struct {
	name, method, path, body string
	header                   []string
	status                   []int // that are right; none: any 4xx
}

// fails sends the attempts and checks that each is a 4xx with its reason, and
// that no row changed.
func fails(t *testing.T, n *node, attempts []attempt) {
	t.Helper()
	before := n.census(t)
	for _, a := range attempts {
		got, err := n.request(a.method, a.path, a.body, a.header...)
		if err != nil {
			t.Errorf("%s: %v", a.name, err)
			continue
		}
		what := fmt.Sprintf("%s: %s %.100s %.80q", a.name, a.method, a.path, a.body)
		if err := checkProblem(got, a.method); err != nil {
			t.Errorf("%s: %v", what, err)
		}
		switch {
		case len(a.status) > 0 && !slices.Contains(a.status, got.status):
			t.Errorf("%s: %d %.300s, want %d", what, got.status, got.body, a.status)
		case len(a.status) == 0 && (got.status < 400 || got.status > 499):
			t.Errorf("%s: %d %.300s, want 4xx", what, got.status, got.body)
		}
		if after := n.census(t); after != before {
			t.Errorf("%s: rows changed", what)
			before = after
		}
	}
	t.Logf("%d bad requests", len(attempts))
}

func get(name, path string, status ...int) attempt {
	return attempt{name: name, method: http.MethodGet, path: path, status: status}
}

func post(name, body string, status ...int) attempt {
	return attempt{name: name, method: http.MethodPost, path: safes, body: body, status: status}
}

func TestBadNames(t *testing.T) {
	t.Parallel()
	n := fresh(t)
	list := []attempt{
		get("unknown entity", "/rest/v1/nothing", 404),
		get("internal entity", "/rest/v1/sessions", 404),
		get("internal table", "/rest/v1/pando_idempotency", 404),
		get("sqlite's table", "/rest/v1/sqlite_master", 404),
		get("unknown operation", "/rest/v1/rpc/nothing", 404),
		get("two segments", "/rest/v1/safes/1", 404),
		get("no such door", "/graphql", 404),
		get("unknown module", safes, 406).with("Accept-Profile: nothing"),
		get("internal entity of the builtin module", "/rest/v1/sessions", 404, 406).with("Accept-Profile: auth"),
		get("unknown field", safes+"?select=nothing", 400),
		get("unknown filter", safes+"?nothing=eq.1", 400),
		get("unknown operator", safes+"?count=equals.1", 400),
		get("no operator", safes+"?count=1", 400),
		get("range operator", safes+"?count=sl.1", 400),
		get("operator of another type", safes+"?flag=like.x", 400),
		get("unknown order", safes+"?order=nothing", 400),
		get("unknown direction", safes+"?order=count.up", 400),
		get("unknown cast", safes+"?select=count::money", 400),
		get("unknown aggregate", safes+"?select=count.median()", 400),
		get("unknown relation", safes+"?select=nothing(*)", 400),
		get("unknown embedded field", "/rest/v1/lines?select=product(nothing)", 400),
		get("filter of what is not embedded", safes+"?product.name=eq.x", 400),
		get("select twice", safes+"?select=id&select=owner", 400),
		get("order twice", safes+"?order=id&order=owner", 400),
		get("columns on a read", safes+"?columns=nothing&on_conflict=x"),
		get("negative limit", safes+"?limit=-1"),
		get("limit past 64 bits", safes+"?limit=99999999999999999999", 400),
		get("offset of letters", safes+"?offset=x", 400),
		post("unknown member", `{"owner":"x","nothing":1}`, 400),
		post("member of a long name", `{"owner":"x","`+strings.Repeat("n", 900_000)+`":1}`, 400),
		post("SQL's own column", `{"owner":"x","rowid":1}`, 400),
		{name: "unknown on_conflict", method: http.MethodPost, path: safes + "?on_conflict=nothing", body: `{"owner":"x"}`, header: []string{"Prefer: resolution=merge-duplicates"}},
		{name: "on_conflict without a key", method: http.MethodPost, path: safes + "?on_conflict=count", body: `{"owner":"x"}`, header: []string{"Prefer: resolution=merge-duplicates"}},
		{name: "unknown columns", method: http.MethodPost, path: safes + "?columns=nothing", body: `{"owner":"x"}`},
		{name: "columns twice", method: http.MethodPost, path: safes + "?columns=owner,owner", body: `{"owner":"x"}`},
		{name: "patch without a filter", method: http.MethodPatch, path: products, body: `{"stock":1}`, status: []int{400}},
		{name: "delete without a filter", method: http.MethodDelete, path: products, status: []int{400}},
		{name: "put without a key", method: http.MethodPut, path: products, body: `{"sku":"x"}`},
		{name: "put of another key", method: http.MethodPut, path: "/rest/v1/keepers?id=eq.1", body: `{"id":2,"name":"x"}`},
	}
	fails(t, n, list)
}

func (a attempt) with(header ...string) attempt {
	a.header = header
	return a
}

func TestBadValues(t *testing.T) {
	t.Parallel()
	n := fresh(t)
	list := []attempt{}
	// What no field of a type takes, from JSON.
	for field, values := range map[string][]string{
		"owner":     {`[]`, `{}`, `null`, `"\u0000"`, `"a\ud800b"`, `"\udc00\ud800"`, `"` + strings.Repeat("x", 101) + `"`},
		"count":     {`"x"`, `1.5`, `9223372036854775808`, `-9223372036854775809`, `1e400`, `1e19`, `1e-1`, `true`, `[]`, `{}`, `"1e3x"`, `0x10`, `01`, `+1`, `NaN`, `--1`, `null`, strings.Repeat("9", 300_000)},
		"amount":    {`1.005`, `"1.005"`, `1e17`, `99999999999999999999`, `1e999999999`, `1e-999999999`, `"Infinity"`, `"NaN"`, `true`, `"1,5"`, `1e1000000000000000000000`, "0." + strings.Repeat("0", 500_000) + "1"},
		"ratio":     {`1e400`, `-1e400`, `"x"`, `true`, `[]`, `1e99999999999`, `""`},
		"flag":      {`2`, `"maybe"`, `[]`, `null`, `1.0`},
		"opened_at": {`"yesterday"`, `"2026-13-01T00:00:00Z"`, `"2026-02-30T00:00:00Z"`, `"2026-01-01T25:00:00Z"`, `"99999999-01-01T00:00:00Z"`, `1`, `"2026-01-01T00:00:00+99:00"`, `""`},
		"day":       {`"2026-02-29"`, `"0"`, `"tomorrow"`},
		"hour":      {`"25:00"`, `"noon"`, `12`, `"12:61:00"`},
		"blob":      {`"\\xzz"`, `"\\x0"`, `1`, `"!!"`},
		"kind":      {`"gold"`, `1`, `""`, `null`, `"STEEL"`},
		"tags":      {`"a"`, `[null]`, `[["a"]]`, `{"0":"a"}`, `["\u0000"]`},
		"numbers":   {`[1.5]`, `["x"]`, `[9223372036854775808]`, `[null]`, `1`},
		"id":        {`"x"`, `1`, `"00000000-0000-0000-0000-00000000000g"`, `""`, `null`},
		"user_id":   {`"x"`, `"00000000-0000-7000-8000-000000000000"`},
		"keeper_id": {`"x"`, `777`},
		"pin":       {`1`, `"x"`},
	} {
		for _, v := range values {
			body := `{"owner":"x","` + field + `":` + v + `}`
			if field == "owner" {
				body = `{"owner":` + v + `}`
			}
			list = append(list, post(field+" "+v[:min(len(v), 30)], body))
			// The first row is right, and must not stay; columns lets it leave the field out.
			second := post("second row's "+field, `[{"owner":"a"},`+body+`]`)
			second.path += "?columns=owner," + strings.TrimPrefix(field, "owner")
			second.path = strings.TrimSuffix(second.path, ",")
			list = append(list, second)
		}
	}
	// The same from a filter.
	for field, values := range map[string][]string{
		"count": {"x", "1.5", "9223372036854775808", "1e3", "", "0x1", "%00", "%F0%28"}, "amount": {"x", "1.005", "1e999999999", "NaN"},
		"ratio": {"x", ""}, "flag": {"maybe"}, "opened_at": {"x", "2026-02-30"}, "day": {"x"}, "hour": {"x"},
		"kind": {"gold"}, "id": {"x", "1"}, "blob": {"x"},
	} {
		for _, v := range values {
			list = append(list, get(field+"=eq."+v, safes+"?"+field+"=eq."+v))
			list = append(list, get(field+" in "+v, safes+"?"+field+"=in.("+v+",)"))
			list = append(list, attempt{name: "patch " + field, method: http.MethodPatch, path: products + "?stock=eq." + strings.Repeat("9", 30) + v, body: `{"stock":1}`})
		}
	}
	fails(t, n, list)
}

func TestMalformedBodies(t *testing.T) {
	t.Parallel()
	n := fresh(t)
	deep := strings.Repeat("[", 100_000)
	list := []attempt{}
	for _, body := range []string{
		``, ` `, `{`, `[`, `[{"owner":"x"}`, `{"owner":"x"`, `{"owner":"x",}`, `{"owner" "x"}`, `{'owner':'x'}`, `{owner:"x"}`, `nul`,
		`null`, `1`, `"x"`, `true`, `[1]`, `[[{"owner":"x"}]]`, `[null]`, `{"owner":"x"}{"owner":"y"}`, `{"owner":"x"} x`,
		"{\"owner\":\"a\nb\"}", `{"owner":"\x"}`, `{"owner":"\u12"}`, `{"owner":"\ud83d"}`, "{\"owner\":\"\x00\"}", "{\"owner\":\"\xff\"}",
		"{\"owner\":\"\xc0\xaf\"}", "{\"owner\":\"\xed\xa0\x80\"}", "{\"owner\":\"\xf4\x90\x80\x80\"}", "\xff\xfe{\x00}\x00",
		`{"owner":"x","meta":` + deep + strings.Repeat("]", 100_000) + `}`, `{"owner":"x","meta":` + deep, deep, strings.Repeat(`{"a":`, 100_000),
		`{"owner":"x","meta":` + strings.Repeat(`{"a":`, 90_000) + `1` + strings.Repeat(`}`, 90_000) + `}`,
		`{"owner":"x","meta":1e}`, `{"owner":"x","meta":"\u0000"}`, `{"owner":"x","meta":{"\u0000":1}}`, `{"owner":"x","meta":"\ud800"}`,
		"\ufeff[{\"owner\":\"x\"}]", `{"":"x"}`, `{"owner":"x","tags":[` + deep + `]}`,
		`[` + strings.Repeat(`{},`, 250_000) + `{}]`, `[` + strings.Repeat(`,`, 1000) + `]`,
	} {
		list = append(list, post("body", body))
	}
	for _, csv := range []string{
		"", "owner\n\"x", "owner,count\nx\n", "owner,owner\nx,y\n", "owner\n\xff\n", "owner\n\x00\n", "owner,\nx,y\n", "nothing\nx\n",
		"owner,count\nx,1\ny,z\n", "owner\n\"x\"y\n", strings.Repeat("c,", 100_000) + "\n", strings.Repeat(",", 500_000) + "\n", "\"" + strings.Repeat("x", 900_000),
		"owner,count\n" + strings.Repeat("x,1\n", 19_000) + "x,z\n", "owner\n" + strings.Repeat("x\n", 500_000),
	} {
		list = append(list, post("CSV", csv).with("Content-Type: text/csv"))
	}
	for _, form := range []string{"owner=%zz", "owner=%ff", "owner=%00", "nothing=1", "=x", `{"owner":"x"}`, strings.Repeat("nothing&", 100_000)} {
		list = append(list, post("form", form).with("Content-Type: application/x-www-form-urlencoded"))
	}
	for _, ct := range []string{
		"text/plain", "application/xml", "multipart/form-data; boundary=x", "application/json; charset=utf-16", "x", "application/json/json",
		"application/octet-stream", strings.Repeat("a", 4000), "application/vnd.pgrst.plan+json",
	} {
		list = append(list, post("Content-Type "+ct[:min(len(ct), 20)], `{"owner":"x"}`, 415).with("Content-Type: "+ct))
	}
	var z bytes.Buffer
	w := gzip.NewWriter(&z)
	_, _ = w.Write(bytes.Repeat([]byte(" "), 64<<20)) // 64 MiB of nothing in 64 KiB
	_ = w.Close()
	for _, enc := range []string{"gzip", "GZIP", "deflate", "br", "zstd", "gzip, gzip", "identity, gzip", "x"} {
		list = append(list, post("Content-Encoding "+enc, z.String(), 415).with("Content-Encoding: "+enc))
	}
	fails(t, n, list)
	n.want(t, http.StatusCreated, http.MethodPost, "/rest/v1/keepers", "\ufeffid,name\n5,bom\n", "Content-Type: text/csv")
	if len(n.log.String()) > 2<<20 {
		t.Errorf("the log grew to %d bytes", len(n.log.String()))
	}
}

func TestBadQueries(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	application(t, dir)
	// With the default limit most of these would not get past the edge.
	config := filepath.Join(dir, "pando.yaml")
	text, err := os.ReadFile(config)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(config, append(text, "limits: { header: 512KiB, filters: 1000 }\n"...), 0o600); err != nil {
		t.Fatal(err)
	}
	n := start(t, dir)
	many := func(part string, k int) string { return strings.TrimSuffix(strings.Repeat(part, k), "&") }
	nest := func(k int) string {
		return "and=" + strings.Repeat("(and", k) + "(count.eq.1,count.eq.2)" + strings.Repeat(")", k)
	}
	embeds := func(k int) string {
		s := "id"
		for i := range k {
			s = []string{"category(", "products("}[i%2] + s + ")"
		}
		return products + "?select=" + s
	}
	list := []attempt{
		get("5,000 filters", safes+"?"+many("id=eq.1&", 5000), 400),
		get("5,000 members of and", safes+"?and=("+strings.TrimSuffix(strings.Repeat("count.eq.1,", 5000), ",")+")", 400),
		get("200 deep and", safes+"?"+nest(200), 400),
		get("9,000 deep and", safes+"?"+nest(9000), 400),
		get("200 deep or", safes+"?or="+strings.Repeat("(or", 200)+"(id.is.null)"+strings.Repeat(")", 200), 400),
		get("50 deep embeds", embeds(50), 400),
		get("5,000 deep embeds", embeds(5000), 400),
		get("open brackets", safes+"?select="+strings.Repeat("(", 50_000), 400),
		get("commas", safes+"?select="+strings.Repeat(",", 50_000), 400),
		get("2,000 embeds side by side", products+"?select=id"+wideOf("category(id)", 2000), 400),
		get("64 to-one relations", "/rest/v1/lines?select=id"+wideOf("product(id)", 64), 400),
		get("64 inner relations", "/rest/v1/lines?select=id"+wideOf("product!inner(id)", 64), 400),
		get("300 to-many relations", products+"?select=id"+wideOf("lines(id)", 300), 400),
		get("relations of embedded relations", products+"?select=id,lines(id"+wideOf("order(customer(id))", 64)+")", 400),
		get("10,000 columns", products+"?select=id"+wideOf("id", 10_000), 400),
		get("5,000 groups", products+"?select=count()"+wideOf("stock", 5000), 400),
		get("600 groups", products+"?select=count()"+wideOf("stock", 600), 400),
		get("order of 300 terms", products+"?order="+strings.TrimSuffix(strings.Repeat("id,", 300), ","), 400),
		get("order of 5,000 terms", products+"?order="+strings.TrimSuffix(strings.Repeat("id,", 5000), ","), 400),
		get("order of 3,000 in an embed", products+"?select=id,lines(id)&lines.order="+strings.TrimSuffix(strings.Repeat("id,", 3000), ","), 400),
		get("JSON path of 5,000", safes+"?select=meta"+strings.Repeat("->a", 5000), 400),
		get("1 MB URL", safes+"?owner=eq."+strings.Repeat("x", 1<<20), 431),
		get("bad percent", safes+"?owner=eq.%zz", 400),
		get("cut percent", safes+"?owner=eq.%2", 400),
		get("NUL", safes+"?owner=eq.%00", 400),
		get("NUL in a name", safes+"?ow%00ner=eq.1", 400),
		get("overlong slash", safes+"?owner=eq.%c0%af", 400),
		get("surrogate", safes+"?owner=eq.%ed%a0%80", 400),
		get("invalid UTF-8", safes+"?owner=eq.%ff", 400),
		get("index past 32 bits", safes+"?select=meta->99999999999", 400),
		get("fts with a language", safes+"?owner=fts(english).x", 400),
		get("fts of no search field", safes+"?kind=fts.x", 400),
		get("wfts of nothing but marks", safes+"?kind=wfts."+strings.Repeat("%22-", 3000), 400),
		get("regex with a back reference", safes+"?owner=match.(a)%5C1", 400),
		get("regex look-ahead", safes+"?owner=match.(%3F=a)", 400),
		get("regex unclosed", safes+"?owner=match.(((", 400),
		get("regex of 1,000,000", safes+"?owner=match.((a{1000}){1000}){1000}", 400),
		get("regex of deep brackets", safes+"?owner=match."+strings.Repeat("(", 5000)+strings.Repeat(")", 5000), 400),
		get("regex with NUL", safes+"?owner=match.%00", 400),
		get("forged cursor", safes+"?cursor=AAAA", 400),
		get("empty cursor", safes+"?cursor=", 400),
		get("cursor of 20,000", safes+"?cursor="+strings.Repeat("A", 20_000), 400),
		get("cursor and offset", safes+"?cursor=AAAA&offset=1", 400),
		get("sum past 64 bits", safes+"?select=count.sum(),count.nothing()", 400),
	}
	fails(t, n, list)
	// These are allowed, and must not cost much.
	begin := time.Now()
	for _, q := range []string{many("stock=gte.0&", 1000), "or=(" + strings.TrimSuffix(strings.Repeat("stock.gte.0,", 1000), ",") + ")", "select=id" + wideOf("lines(id)", 40)} {
		n.want(t, http.StatusOK, http.MethodGet, products+"?"+q, "")
	}
	n.want(t, http.StatusCreated, http.MethodPost, safes, `{"owner":"`+strings.Repeat("a", 100)+`"}`)
	for _, q := range []string{
		"owner=like." + strings.Repeat("%25", 5000) + "b", "owner=ilike." + strings.Repeat("%25a", 5000) + "b",
		"owner=like." + strings.Repeat("_%25", 5000), "owner=match.(a*)*(a*)*(a*)*b", "owner=match.(a%7Caa)%2Bb", "owner=match.^(a%2B)%2B$b",
		"owner=imatch." + strings.Repeat("a*", 300) + "b", "owner=match.(x%2Bx%2B)%2By",
	} {
		a := n.do(t, http.MethodGet, safes+"?"+q, "")
		if err := checkProblem(a, http.MethodGet); err != nil || a.status >= 500 {
			t.Errorf("%.60s: %d %v", q, a.status, err)
		}
	}
	if took := time.Since(begin); took > 5*time.Second {
		t.Errorf("patterns took %v", took)
	}
	n.alive(t)
}

// wideOf selects a thing k times, each under a name of its own.
func wideOf(item string, k int) string {
	var b strings.Builder
	for i := range k {
		fmt.Fprintf(&b, ",a%d:%s", i, item)
	}
	return b.String()
}

func TestForgedCursors(t *testing.T) {
	t.Parallel()
	n := fresh(t)
	a := n.want(t, http.StatusOK, http.MethodGet, products+"?select=id,name&order=price.desc&limit=2", "")
	_, rest, _ := strings.Cut(a.header.Get("Link"), "cursor=")
	token, _, ok := strings.Cut(rest, ">")
	if !ok {
		t.Fatalf("no cursor in %q", a.header.Get("Link"))
	}
	query := products + "?select=id,name&order=price.desc&limit=2&cursor="
	n.want(t, http.StatusOK, http.MethodGet, query+token, "")
	list := []attempt{
		get("another order", products+"?select=id,name&order=price&limit=2&cursor="+token),
		get("another entity", "/rest/v1/categories?cursor="+token),
		get("another filter", query+token+"&stock=eq.1"),
		get("no order", products+"?cursor="+token),
		get("cursor twice", query+token+"&cursor="+token),
		get("padding", query+token+"=="),
		get("of letters", query+"%21%21%21"),
	}
	for i := range token { // every character changed once, and every length
		c := byte('A')
		if token[i] == 'A' {
			c = 'B'
		}
		list = append(list, get("bit", query+token[:i]+string(c)+token[i+1:]))
		if i > 0 {
			list = append(list, get("cut", query+token[:i]))
		}
	}
	other := fresh(t) // the same application with its own signing key
	b := other.want(t, http.StatusOK, http.MethodGet, products+"?select=id,name&order=price.desc&limit=2", "")
	_, rest, _ = strings.Cut(b.header.Get("Link"), "cursor=")
	foreign, _, _ := strings.Cut(rest, ">")
	list = append(list, get("of another node's key", query+foreign))
	fails(t, n, list)
}

func TestBadHeaders(t *testing.T) {
	t.Parallel()
	n := fresh(t)
	h := func(name string, status []int, header ...string) attempt {
		return attempt{name: name, method: http.MethodGet, path: products, header: header, status: status}
	}
	headers := make([]string, 10_000)
	for i := range headers {
		headers[i] = fmt.Sprintf("X-%d: x", i)
	}
	list := []attempt{
		h("10,000 headers", []int{431}, headers...),
		h("a header of 100 KB", []int{431}, "X-Long: "+strings.Repeat("x", 100<<10)),
		h("Range backwards", []int{416}, "Range: 9-1", "Range-Unit: items"),
		h("Range past the end", []int{416}, "Range: 999-1000", "Range-Unit: items", "Prefer: count=exact"),
		h("Accept of nothing there is", []int{406}, "Accept: image/png"),
		h("Accept of one where there are many", []int{406}, "Accept: application/vnd.pgrst.object+json"),
		h("Accept with nothing allowed", []int{406}, "Accept: application/json;q=0"),
		h("plan", nil, "Accept: application/vnd.pgrst.plan+json"),
		h("strict with an unknown preference", []int{400}, "Prefer: handling=strict, nothing=1"),
		h("strict with two counts", []int{400}, "Prefer: handling=strict, count=all"),
		h("tx=rollback", nil, "Prefer: tx=rollback"),
		h("no key", []int{401}, "Apikey: "),
		h("a wrong key", []int{401}, "Apikey: pando_sec_x"),
		h("a right key and a wrong bearer", []int{401}, "Authorization: Bearer x"),
		h("basic", []int{401}, "Authorization: Basic "+n.key),
		h("bearer of nothing", []int{401}, "Apikey: ", "Authorization: Bearer"),
		h("a key of 20 KB", []int{401}, "Apikey: "+strings.Repeat("k", 20<<10)),
	}
	for _, key := range []string{"", strings.Repeat("k", 256), strings.Repeat("k", 30_000)} {
		list = append(list, post("Idempotency-Key", `{"owner":"x"}`, 400).with("Idempotency-Key: "+key))
	}
	list = append(list,
		post("two Idempotency-Keys", `{"owner":"x"}`, 400).with("Idempotency-Key: a", "Idempotency-Key: b"),
		post("If-Match", `{"owner":"x"}`, 400).with(`If-Match: "x"`),
		post("If-None-Match", `{"owner":"x"}`, 400).with(`If-None-Match: *`),
		attempt{name: "If-Match of another", method: http.MethodPatch, path: products + "?sku=eq.TEA-ASSAM", body: `{"stock":7}`, header: []string{`If-Match: "0000000000000000"`}, status: []int{412}},
		attempt{name: "If-Match without quotes", method: http.MethodDelete, path: products + "?sku=eq.TEA-ASSAM", header: []string{`If-Match: ,,,`}, status: []int{412}},
		attempt{name: "max-affected", method: http.MethodPatch, path: products + "?stock=gte.0", body: `{"stock":7}`, header: []string{"Prefer: handling=strict, max-affected=1"}, status: []int{400}},
		attempt{name: "singular patch of many", method: http.MethodPatch, path: products + "?stock=gte.0", body: `{"stock":7}`, header: []string{rep, "Accept: application/vnd.pgrst.object+json"}, status: []int{406}},
		attempt{name: "Content-Profile", method: http.MethodPost, path: safes, body: `{"owner":"x"}`, header: []string{"Content-Profile: nothing"}, status: []int{406}},
	)
	fails(t, n, list)
	// What means nothing may be answered as if it were not there, never with a 5xx.
	for _, header := range []string{
		"Range: x", "Range: -", "Range: 0-", "Range: 99999999999999999999-", "Range: bytes=0-1", "Range: 0-9223372036854775807",
		"Prefer: ", "Prefer: ,,,", "Prefer: count=", "Prefer: max-affected=x", "Prefer: return=\"", "Prefer: " + strings.Repeat("a=b,", 5000),
		"Accept: ", "Accept: */*;q=x", "Accept: " + strings.Repeat("a/b,", 5000), "Accept: application/json;q=1e999", "Accept: text/csv;",
		"If-None-Match: ", "If-None-Match: " + strings.Repeat(`"x",`, 5000), "If-None-Match: W/", "If-None-Match: *", "Traceparent: 00-zz",
		"Traceparent: 00-00000000000000000000000000000000-0000000000000000-00", "Accept-Encoding: gzip;q=x", "Accept-Encoding: " + strings.Repeat("gzip,", 5000),
		"Connection: apikey", "X-HTTP-Method-Override: DELETE", "Content-Length: 5", "Origin: null", "Host: evil.example",
	} {
		a := n.do(t, http.MethodGet, products, "", header)
		if err := checkProblem(a, http.MethodGet); err != nil || a.status >= 500 {
			t.Errorf("%.60s: %d %v", header, a.status, err)
		}
	}
	n.alive(t)
}

func TestBadMethodsAndPaths(t *testing.T) {
	t.Parallel()
	n := fresh(t)
	list := []attempt{}
	for _, m := range []string{"TRACE", "CONNECTX", "PROPFIND", "LOCK", "get", "X", "PRI", strings.Repeat("M", 200), "QUERY"} {
		list = append(list, attempt{name: "method", method: m, path: products, status: []int{400, 405}})
		list = append(list, attempt{name: "method", method: m, path: "/rest/v1/", status: []int{400, 405}})
	}
	for _, p := range []string{
		"/rest/v1/../../etc/passwd", "/rest/v1/%2e%2e/%2e%2e/etc/passwd", "/rest/v1/..%2f..%2fetc%2fpasswd", "/docs/../../../../etc/passwd",
		"/docs/%2e%2e%2f%2e%2e%2fpando.yaml", "/docs/..\\..\\pando.yaml", "/docs/%5c..%5cpando.yaml", "/docs//etc/passwd", "/docs/....//pando.yaml",
		"/docs/%252e%252e/pando.yaml", "/docs/data/keys.json", "/docs/nothing.js", "/docs/%00", "/docs/%ff", "/docs/./../x", "/.git/config", "/pando.yaml",
		"/rest/v1/safes%00", "/rest/v1/safes%0d%0aX:%20y", "/rest/v1/%ff", "/rest/v1/safes;x=1", "/rest/v1//safes", "/rest/v1/safes/", "/REST/v1/safes",
		"/rest/v2/safes", "/healthz", "/readyz", "/metrics", "/debug/pprof/", "/keys", "/rest/v1/rpc/../safes", "/rest/v1/rpc/",
		"/rest/v1/" + strings.Repeat("a/", 5000), "/" + strings.Repeat("%2e", 5000),
	} {
		list = append(list, get("path "+p[:min(len(p), 30)], p))
	}
	fails(t, n, list)
}

// zeros is an endless body; it counts what was taken of it.
type zeros struct{ taken int64 }

func (z *zeros) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = ' '
	}
	z.taken += int64(len(p))
	if z.taken > 10<<30 {
		return 0, io.EOF
	}
	return len(p), nil
}

func TestHugeBodies(t *testing.T) {
	n := fresh(t)
	n.alive(t)
	before := n.census(t)
	const most = 64 << 20
	base := n.rss(t)
	one := &http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	ten := strings.Repeat(" ", 10<<20)
	var h2 http.Protocols
	h2.SetUnencryptedHTTP2(true)
	two := &http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{Protocols: &h2}}
	refused := func(name string, client *http.Client, body io.Reader) {
		for _, ct := range []string{"application/json", "text/csv"} {
			a, err := n.send(client, http.MethodPost, safes, body, "Content-Type: "+ct)
			if err == nil && a.status != http.StatusRequestEntityTooLarge {
				t.Errorf("%s: %d %.200s", name, a.status, a.body)
			}
			if err == nil {
				err = checkProblem(a, http.MethodPost)
			}
			if err != nil && !strings.Contains(err.Error(), "reset") && !strings.Contains(err.Error(), "broken pipe") {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
	peak := n.peak(t, func() {
		refused("10 MB with its length", one, strings.NewReader(ten))
		refused("10 MB in chunks", one, io.MultiReader(strings.NewReader(ten)))
		refused("10 MB over HTTP/2", two, io.MultiReader(strings.NewReader(ten)))
		for _, client := range []*http.Client{one, two} {
			z := &zeros{}
			refused("10 GB", client, io.MultiReader(z))
			if z.taken > most {
				t.Errorf("the node took %d bytes before it said no", z.taken)
			}
		}
	})
	t.Logf("memory: %d MB, at most %d MB", base>>20, peak>>20)
	if peak-base > most {
		t.Errorf("memory grew by %d MB", (peak-base)>>20)
	}
	if n.census(t) != before {
		t.Error("rows changed")
	}
	n.alive(t)
}

// TestAnswersOfAnySize asks short questions that have long answers: embedded
// lists multiply.
func TestAnswersOfAnySize(t *testing.T) {
	n := fresh(t, "PANDO_LIMITS_TIMEOUT=2s")
	n.want(t, http.StatusCreated, http.MethodPost, "/rest/v1/categories", `{"id":"01980001-0000-7000-8000-00000000ffff","slug":"root","name":"root"}`)
	var rows []string
	for i := range 900 {
		rows = append(rows, fmt.Sprintf(`{"slug":"k%d","name":"%s","parent_id":"01980001-0000-7000-8000-00000000ffff"}`, i, strings.Repeat("n", 110)))
	}
	n.want(t, http.StatusCreated, http.MethodPost, "/rest/v1/categories", "["+strings.Join(rows, ",")+"]")
	before := n.rss(t)
	peak := n.peak(t, func() {
		for _, q := range []string{"children(parent(children(*)))", "children(parent(children(parent(children(id)))))", "id" + wideOf("id", 2500), "id" + wideOf("name", 990)} {
			a, err := n.request(http.MethodGet, "/rest/v1/categories?select="+q, "")
			if err == nil {
				err = checkProblem(a, http.MethodGet)
			}
			if err != nil || a.status != 400 && a.status != 504 {
				t.Errorf("%.40s: %d, %d bytes, %v", q, a.status, len(a.body), err)
			}
			n.alive(t)
		}
	})
	t.Logf("memory grew by %d MB", (peak-before)>>20)
	if peak-before > 600<<20 {
		t.Errorf("memory grew by %d MB", (peak-before)>>20)
	}
}

// TestBadInputOverHTTP2 sends a part of the above as HTTP/2 without TLS.
func TestBadInputOverHTTP2(t *testing.T) {
	t.Parallel()
	n := fresh(t)
	var p http.Protocols
	p.SetUnencryptedHTTP2(true)
	n.client = &http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{Protocols: &p}}
	fails(t, n, []attempt{
		get("unknown entity", "/rest/v1/nothing", 404),
		get("5,000 filters", safes+"?"+strings.Repeat("id=eq.1&", 5000), 431),
		get("path traversal", "/docs/../../pando.yaml"),
		post("malformed", `{`, 400),
		post("encoding", "{\"owner\":\"\xff\"}", 400),
		{name: "method", method: "TRACE", path: products, status: []int{400, 405}},
		get("a long header", products, 431).with("X-Long: " + strings.Repeat("x", 100<<10)),
	})
	// The largest header that the transport lets through, then its own refusal.
	if a, err := n.request(http.MethodGet, products, "", "X-Long: "+strings.Repeat("x", 2<<20)); err == nil && a.status != 431 {
		t.Errorf("2 MB of headers: %d", a.status)
	}
	n.alive(t)
}

// TestFuzzOverHTTP changes valid requests at random; whatever comes of it must
// be an answer that the grammar of answers knows.
func TestFuzzOverHTTP(t *testing.T) {
	t.Parallel()
	n := fresh(t)
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0)) //nolint:gosec // reproducible, not secret
	budget := 8 * time.Second
	if testing.Short() {
		budget = time.Second
	}
	counts := map[int]int{}
	end := time.Now().Add(budget)
	for i := 0; time.Now().Before(end); i++ {
		q := mutate(r)
		a, err := n.request(q.method, q.path, q.body, q.header...)
		if err != nil {
			// The client itself refuses some of what comes out.
			if strings.Contains(err.Error(), "invalid header") || strings.Contains(err.Error(), "invalid method") || strings.Contains(err.Error(), "invalid URL") {
				continue
			}
			t.Fatalf("seed %d, request %d: %s %q %q %q: %v", seed, i, q.method, q.path, q.body, q.header, err)
		}
		counts[a.status]++
		if err := checkProblem(a, q.method); err != nil && !strings.HasPrefix(a.body, "400 Bad Request") { // net/http's own is plain text
			t.Errorf("seed %d, request %d: %s %q\n%q %q: %v", seed, i, q.method, q.path, q.body, q.header, err)
		}
		if a.status >= 500 && a.status != 503 && a.status != 504 {
			t.Fatalf("seed %d, request %d: %s %q\n%q %q: %d %s", seed, i, q.method, q.path, q.body, q.header, a.status, a.body)
		}
	}
	t.Logf("answers by status: %v", counts)
	if counts[200] == 0 || counts[400] == 0 {
		t.Error("the mutations reach only one side of the grammar")
	}
	n.alive(t)
}

// mutate makes a valid request and, more often than not, breaks it somewhere.
func mutate(r *rand.Rand) attempt {
	pick := func(list ...string) string { return list[r.IntN(len(list))] }
	values := []string{"1", "-1", "x", "", "null", "true", "2026-01-01", "9223372036854775807", "1e308", "0.001", "{a,b}", "(1,2)", "{}", "[]", `"`, "\\", "%25", "é", "ß\u0301", "\U0001f600", "*", "a*b", "(", "->", "::", "..", "%00", "%ff", "steel", "NaN"}
	fields := []string{"id", "owner", "code", "pin", "count", "amount", "ratio", "flag", "opened_at", "day", "hour", "meta", "meta->a", "meta->>b", "meta->0", "blob", "kind", "tags", "numbers", "user_id", "warden", "and", "or", "select", "limit"}
	ops := []string{"eq", "neq", "gt", "gte", "lt", "lte", "like", "ilike", "match", "imatch", "is", "isdistinct", "in", "cs", "cd", "ov", "fts", "plfts", "phfts", "wfts", "not.eq", "eq(any)", "like(all)", "not.in", "sl"}
	casts := []string{"", "", "::text", "::int", "::float", "::decimal", "::timestamp", "::date", "::json", "::bool", "::nothing"}
	aggs := []string{"", "", "", ".sum()", ".avg()", ".min()", ".max()", ".count()"}
	var params []string
	for range r.IntN(4) {
		switch r.IntN(6) {
		case 0:
			params = append(params, "select="+pick(fields...)+pick(aggs...)+pick(casts...)+","+pick("*", "count()", "a:owner", "lines(*)", "category(name)", "...category(name)", "product!inner(id)", "id"))
		case 1:
			params = append(params, "order="+pick(fields...)+pick("", ".asc", ".desc", ".nullsfirst", ".desc.nullslast")+pick("", ",id"))
		case 2:
			params = append(params, pick("limit", "offset")+"="+pick("0", "1", "5", "-1", "x", "9223372036854775807"))
		case 3:
			params = append(params, pick("and", "or", "not.and")+"=("+pick(fields...)+"."+pick(ops...)+"."+pick(values...)+","+pick(fields...)+".is.null)")
		default:
			params = append(params, pick(fields...)+"="+pick(ops...)+"."+pick(values...))
		}
	}
	q := attempt{method: pick("GET", "GET", "GET", "HEAD", "POST", "PATCH", "PUT", "DELETE", "OPTIONS"), path: pick(safes, safes, safes, products, "/rest/v1/lines", "/rest/v1/keepers") + "?" + strings.Join(params, "&")}
	if q.method == "POST" || q.method == "PATCH" || q.method == "PUT" {
		jsonValues := []string{"1", "-1", `"x"`, `""`, "null", "true", "[]", "{}", `[1,"a",null]`, `{"a":{"b":[1]}}`, `"2026-01-01"`, `"2026-01-01T00:00:00Z"`, `"12:00"`, "1.5", "1e400", "9223372036854775808", `"\u00e9"`, `"\ud83d\ude00"`, `"steel"`}
		var members []string
		for range 1 + r.IntN(4) {
			members = append(members, `"`+fields[r.IntN(len(fields)-1)]+`":`+pick(jsonValues...))
		}
		q.body = "{" + strings.Join(members, ",") + "}"
		if r.IntN(3) == 0 {
			q.body = "[" + q.body + `,{"owner":"second"}]`
		}
	}
	for range r.IntN(3) {
		q.header = append(q.header, pick(rep, "Prefer: count=exact", "Prefer: count=planned", "Prefer: count=estimated", "Prefer: resolution=merge-duplicates", "Prefer: resolution=ignore-duplicates", "Prefer: missing=default", "Prefer: return=headers-only",
			"Accept: text/csv", "Accept: application/x-ndjson", "Accept: application/vnd.pgrst.object+json", "Accept: application/vnd.pgrst.array+json;nulls=stripped", "Range: 0-1", "If-Match: *", "If-None-Match: *",
			"Content-Type: text/csv", "Content-Type: application/x-www-form-urlencoded", "Idempotency-Key: k"+pick(values[:4]...), "Accept-Encoding: gzip"))
	}
	for range r.IntN(3) { // break it
		part := &q.path
		if q.body != "" && r.IntN(2) == 0 {
			part = &q.body
		}
		b := []byte(*part)
		at := r.IntN(len(b))
		if part == &q.path && at < len("/rest/v1/") {
			continue
		}
		switch r.IntN(4) {
		case 0:
			b = slices.Delete(b, at, at+1)
		case 1:
			b = slices.Insert(b, at, []byte(pick("(", ")", ",", ".", ":", "\"", "&", "=", "!", "*", "-", ">", "1", "%"))...)
		case 2:
			b = b[:at]
		case 3:
			b = slices.Insert(b, at, b[at:min(len(b), at+1+r.IntN(12))]...)
		}
		*part = strings.NewReplacer(" ", "%20", "#", "%23").Replace(string(b))
		if part == &q.body {
			*part = string(b)
		}
	}
	q.path = strings.ReplaceAll(q.path, " ", "%20")
	return q
}
