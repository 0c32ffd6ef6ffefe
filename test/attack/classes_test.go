package attack

import (
	"encoding/base64"
	"fmt"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"testing"
)

// hidden values of the safes and keepers that every class tries to learn.
const (
	theCode   = "S3CRET-CODE-77"
	thePin    = "424242424242"
	theSalary = "918273918273"
	theMail   = "hidden.user@example.test"
)

// furnished is a node with rows that have hidden values.
func furnished(t *testing.T, env ...string) *node {
	t.Helper()
	n := fresh(t, env...)
	n.want(t, 201, "POST", "/rest/v1/keepers", `[{"id":1,"name":"Ann","salary":`+theSalary+`},{"id":2,"name":"Bob","salary":1}]`)
	n.want(t, 201, "POST", safes, `[
		{"id":"01980009-0000-7000-8000-000000000001","owner":"alice","code":"`+theCode+`","pin":`+thePin+`,"keeper_id":1},
		{"id":"01980009-0000-7000-8000-000000000002","owner":"bob","code":"other","pin":1000,"keeper_id":2}]`)
	return n
}

// leaks names what an answer tells of the hidden values.
func leaks(a answer) string {
	text := a.body
	for name, values := range a.header {
		text += name + strings.Join(values, " ")
		for _, v := range values { // a cursor is signed, not encrypted
			for _, m := range regexp.MustCompile(`cursor=([\w-]+)`).FindAllStringSubmatch(v, -1) {
				raw, _ := base64.RawURLEncoding.DecodeString(m[1])
				text += string(raw)
			}
		}
	}
	for _, secret := range []string{theCode, thePin, theSalary, theMail, "731973197319", "817281728172"} {
		if strings.Contains(text, secret) {
			return secret
		}
	}
	return ""
}

// refused sends a request that must be refused as if the field were not there.
func (c *class) refused(n *node, method, path, body string, header ...string) {
	c.t.Helper()
	c.tries++
	a := n.do(c.t, method, path, body, header...)
	if a.status < 400 || a.status > 499 {
		c.t.Errorf("%s: %s %s %s: %d %.300s", c.name, method, path, body, a.status, a.body)
	}
	if err := checkProblem(a, method); err != nil {
		c.t.Errorf("%s: %s %s: %v", c.name, method, path, err)
	}
	if s := leaks(a); s != "" {
		c.t.Errorf("%s: %s %s: tells %s: %.300s", c.name, method, path, s, a.body)
	}
}

// silent sends a request that may succeed and must not tell a hidden value.
func (c *class) silent(n *node, method, path, body string, header ...string) answer {
	c.t.Helper()
	c.tries++
	a := n.do(c.t, method, path, body, header...)
	if err := checkProblem(a, method); err != nil {
		c.t.Errorf("%s: %s %s: %v", c.name, method, path, err)
	}
	if s := leaks(a); s != "" {
		c.t.Errorf("%s: %s %s %v: tells %s: %.300s", c.name, method, path, header, s, a.body)
	}
	return a
}

// equal compares the answers to two requests that differ in a guess only.
func (c *class) equal(n *node, method, right, wrong, body string, header ...string) {
	c.t.Helper()
	c.tries++
	a, b := n.do(c.t, method, right, body, header...), n.do(c.t, method, wrong, body, header...)
	strip := regexp.MustCompile(`"instance":"[^"]*"|c[o0]de|wrong|` + regexp.QuoteMeta(theCode))
	if a.status != b.status || strip.ReplaceAllString(a.body, "") != strip.ReplaceAllString(b.body, "") {
		c.t.Errorf("%s: %s: a right guess is told from a wrong one: %d %.200s / %d %.200s", c.name, right, a.status, a.body, b.status, b.body)
	}
}

func TestHiddenFieldOracles(t *testing.T) {
	t.Parallel()
	n := furnished(t)
	filter := attackClass(t, "1 filter oracle")
	for _, q := range []string{
		"code=eq." + theCode, "code=not.eq.x", "code=is.null", "code=not.is.null", "code=like.S*", "pin=gt.1000", "pin=in.(424242424242,1)", "pin=eq(any).{424242424242}",
		"and=(code.eq." + theCode + ")", "or=(id.is.null,code.like.S*)", "not.or=(pin.gt.1,id.is.null)", "and=(id.not.is.null,or(pin.eq.424242424242))",
		"code->>x=eq.1", "\"code\"=eq.x", "CODE=eq.x", "keeper_id=eq.1", "keeper_id=is.null", "code::text=eq.x", "code=isdistinct.x", "pin=cs.{1}",
		"select=id,user(*)&user.password=not.is.null", "select=id&warden.salary=gt.1",
	} {
		filter.refused(n, "GET", safes+"?"+q, "")
	}
	filter.refused(n, "GET", safes+"?select=id,warden(name)&warden.salary=eq."+theSalary, "")
	filter.refused(n, "GET", safes+"?select=id,warden!inner(name)&warden.salary=gt.1", "")
	filter.refused(n, "GET", "/rest/v1/keepers?select=id,safes!inner(id)&safes.code=eq."+theCode, "")
	filter.refused(n, "PATCH", safes+"?code=eq."+theCode, `{"owner":"x"}`)
	filter.refused(n, "DELETE", safes+"?pin=eq."+thePin, "")
	filter.refused(n, "PATCH", "/rest/v1/keepers?salary=gt.1&id=eq.1", `{"name":"x"}`)
	filter.refused(n, "PUT", safes+"?code=eq."+theCode, `{"code":"`+theCode+`"}`)
	filter.equal(n, "GET", safes+"?code=eq."+theCode, safes+"?code=eq.wrong", "")
	filter.equal(n, "GET", safes+"?code=eq."+theCode, safes+"?c0de=eq."+theCode, "", "X: y")

	order := attackClass(t, "2 order oracle")
	for _, q := range []string{"order=code", "order=pin.desc", "order=code->>a", "order=id,pin", "order=keeper_id", "order=\"pin\"", "select=id,warden(name)&order=warden(salary)", "select=id,warden(name)&warden.order=salary"} {
		order.refused(n, "GET", safes+"?"+q, "")
	}
	order.refused(n, "GET", "/rest/v1/keepers?order=salary", "")
	order.refused(n, "GET", "/rest/v1/keepers?select=safes(id)&safes.order=pin", "")
	order.refused(n, "PATCH", safes+"?owner=eq.alice&order=pin&limit=1", `{"owner":"alice"}`)

	search := attackClass(t, "3 search and regex oracle")
	for _, q := range []string{"code=match.^S", "code=imatch.^s3", "code=ilike.s3*", "code=fts.secret", "code=plfts.secret", "code=wfts.secret", "pin=match.4", "code=like(any).{S*}", "not.and=(code.match.S)"} {
		search.refused(n, "GET", safes+"?"+q, "")
	}
	if a := search.silent(n, "GET", safes+"?owner=fts.secret", ""); a.body != "[]" {
		t.Errorf("the search index holds a hidden field: %s", a.body)
	}

	count := attackClass(t, "4 count and aggregate leak")
	for _, q := range []string{"select=code.count()", "select=pin.max()", "select=pin.min(),owner", "select=salary.sum()", "select=id,x:pin.avg()", "select=code,count()", "select=pin::text.max()", "select=warden(salary.max())"} {
		count.refused(n, "GET", safes+"?"+q, "")
	}
	for _, pref := range []string{"count=exact", "count=planned", "count=estimated"} {
		count.refused(n, "GET", safes+"?code=eq."+theCode, "", "Prefer: "+pref)
		count.refused(n, "HEAD", safes+"?code=eq."+theCode, "", "Prefer: "+pref)
		count.silent(n, "GET", safes, "", "Prefer: "+pref)
	}

	output := attackClass(t, "4b hidden values in output")
	for _, accept := range []string{"application/json", "text/csv", "application/x-ndjson", "application/vnd.pgrst.array+json;nulls=stripped", "application/vnd.pgrst.object+json", "application/openapi+json"} {
		for _, path := range []string{safes + "?owner=eq.alice", "/rest/v1/keepers?id=eq.1", safes + "?select=*,warden(*)&owner=eq.alice", "/rest/v1/keepers?select=*,safes(*)&id=eq.1", safes + "?select=...warden(*)&owner=eq.alice"} {
			output.silent(n, "GET", path, "", "Accept: "+accept)
		}
		output.silent(n, "GET", "/rest/v1/", "", "Accept: "+accept)
		output.silent(n, "PATCH", safes+"?owner=eq.alice", `{"count":1}`, rep, "Accept: "+accept)
	}
	for _, field := range []string{"code", "pin", "keeper_id", "x:code", "code::text", "*,pin", "pin->a", "meta,code"} {
		output.refused(n, "GET", safes+"?select="+field, "")
		output.refused(n, "PATCH", safes+"?owner=eq.alice&select="+field, `{"count":2}`, rep)
		output.refused(n, "POST", safes+"?select="+field, `{"owner":"carol"}`, rep)
	}
	doc := n.want(t, 200, "GET", "/rest/v1/", "", "Accept: application/openapi+json").body
	for _, name := range []string{`"sessions"`, `"refresh_tokens"`, `"password"`, "pando_idempotency", "one_time_tokens", "warden", "can embed `safes`"} {
		output.tries++
		if strings.Contains(doc, name) {
			t.Errorf("the OpenAPI document has %s", name)
		}
	}
	for _, limit := range []string{"?limit=1", "?limit=1&order=owner.desc", "?limit=1&select=owner&order=day.nullsfirst"} {
		output.silent(n, "GET", safes+limit, "") // with its cursor
	}
	for _, c := range []struct{ method, path, body string }{
		{"POST", safes, `{"owner":"mallory","code":"other"}`},
		{"POST", safes, `{"owner":"mallory","pin":1}`},
		{"POST", safes, `{"owner":"mallory","keeper_id":77}`},
		{"PATCH", safes + "?owner=eq.bob", `{"code":"` + theCode + `"}`},
		{"DELETE", "/rest/v1/keepers?id=eq.1", ""},
		{"PATCH", safes + "?owner=eq.alice", `{"pin":null}`},
		{"POST", safes + "?columns=owner,code", `{"owner":"x","code":1,"pin":"x"}`},
	} {
		output.silent(n, c.method, c.path, c.body)
	}
}

func TestEmbedsAndInternals(t *testing.T) {
	t.Parallel()
	n := furnished(t)
	embed := attackClass(t, "5 embedding past the embedded entity's rules")
	for _, path := range []string{
		// Of users, what is hidden; and the tables beside them.
		safes + "?select=user(password)", safes + "?select=users(*,password)", safes + "?select=auth.users(*)", safes + "?select=id,users!user_id(failures)", safes + "?select=...user(new_email)",
		safes + "?select=id&user.email=eq.x", safes + "?user=not.is.null", safes + "?select=id,user!inner(id)&user.password=not.is.null", safes + "?select=user(identities(*))", safes + "?select=user(sessions(*))",
		"/rest/v1/users?select=password", "/rest/v1/auth.users", "/rest/v1/auth_users", "/rest/v1/pando_history", "/rest/v1/sessions", "/rest/v1/refresh_tokens", "/rest/v1/factors", "/rest/v1/signing_keys", "/rest/v1/one_time_tokens",
		"/rest/v1/keepers?select=safes(user(email))", safes + "?order=user(email)",
		// A relation is as hidden as the field that makes it.
		safes + "?select=id,warden(name)", safes + "?select=id,keepers(name)", safes + "?select=id,keeper_id(name)", safes + "?select=id,keepers!warden(name)",
		safes + "?select=id,keepers!safes_keeper_id_fkey(name)", safes + "?select=...warden(name)", safes + "?select=id,warden!inner(id)", safes + "?select=id,warden(id)&warden=is.null",
		"/rest/v1/keepers?select=id,safes(id)", "/rest/v1/keepers?select=id,safes!keeper_id(id)", "/rest/v1/keepers?select=id,safes!inner(id)", "/rest/v1/keepers?select=safes(count)",
	} {
		embed.refused(n, "GET", path, "")
	}
	for _, profile := range []string{"auth", "pando", "main", "public", "sqlite_master", "vault.safes"} {
		embed.refused(n, "GET", "/rest/v1/sessions", "", "Accept-Profile: "+profile)
		embed.refused(n, "POST", "/rest/v1/users", `{"email":"x@y"}`, "Content-Profile: "+profile)
	}

	mass := attackClass(t, "8 mass assignment")
	for _, body := range []string{`{"owner":"m","role":"admin"}`, `{"owner":"m","is_admin":true}`, `{"owner":"m","rowid":1}`, `{"owner":"m","_rowid_":1}`, `{"owner":"m","oid":1}`, `{"owner":"m","user":{"email":"x"}}`, `{"owner":"m","warden":{"id":1}}`, `{"owner":"m","__proto__":{"x":1}}`, `{"owner":"m","constructor":1}`, `{"Owner":"m"}`, `{"owner":"m","safes.pin":1}`, `[{"owner":"a"},{"owner":"b","role":1}]`} {
		mass.refused(n, "POST", safes, body)
		mass.refused(n, "PATCH", safes+"?owner=eq.alice", body)
	}
	mass.refused(n, "POST", safes+"?columns=owner,role", `{"owner":"m","role":"admin"}`)
	// With columns, what is not listed is left out, hidden or not.
	mass.tries++
	n.want(t, 201, "POST", safes+"?columns=owner", `{"owner":"listed","pin":1,"role":"admin"}`)
	mass.refused(n, "POST", "/rest/v1/keepers", "id,name,role\n9,x,admin\n", "Content-Type: text/csv")
	mass.refused(n, "POST", "/rest/v1/keepers", "id=9&name=x&role=admin", "Content-Type: application/x-www-form-urlencoded")
}

func TestInjection(t *testing.T) {
	t.Parallel()
	n := furnished(t)
	before := n.census(t)
	c := attackClass(t, "10 SQL injection")
	payloads := []string{
		`' OR '1'='1`, `" OR "1"="1`, `1; DROP TABLE "vault.safes";--`, `') UNION select code FROM safes--`, `id" FROM safes--`, `\'; --`, "x'||(select code FROM safes)||'",
		`1)) OR 1=1--`, `$1`, `?1`, `:x`, `@x`, `{{7*7}}`, `${jndi:ldap://x}`, `%' ESCAPE '`, "`id`", `[id]`, `/**/OR/**/1=1`, `0x53`, `char(83)`, `a"b"."c`, `json_extract(code,'$')`, `rowid`, `*`, `;`, `--`,
	}
	for _, p := range payloads {
		e := strings.ReplaceAll(url.QueryEscape(p), "+", "%20")
		quoted := strings.ReplaceAll(url.QueryEscape(`"`+strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(p)+`"`), "+", "%20")
		for _, q := range []string{
			"select=" + e, "select=" + quoted, "select=x:" + quoted + ",id", "select=id::" + e, "select=id." + e, "select=" + quoted + "(*)", "select=meta->>" + quoted, "select=owner&order=" + e, "order=" + quoted + ".desc",
			"order=meta->>" + quoted, e + "=eq.1", quoted + "=eq.1", "meta->>" + quoted + "=eq.1", "owner=eq." + e, "owner=in.(" + quoted + ")", "owner=like." + e, "owner=ilike." + e, "owner=match." + e, "owner=fts." + e, "owner=wfts." + e,
			"owner=" + e + ".x", "owner=is." + e, "and=(" + quoted + ".eq.1)", "or=(owner.eq." + quoted + ")", "limit=" + e, "offset=" + e, "cursor=" + e, "columns=" + e, "on_conflict=" + quoted, "tags=cs.{" + quoted + "}", "meta=cs." + e, "kind=eq." + e, "id=eq." + e,
			"select=" + quoted + ":owner&limit=1",
		} {
			c.tries++
			a := n.do(t, "GET", safes+"?"+q, "")
			if err := checkProblem(a, "GET"); err != nil {
				t.Errorf("%s: %v", q, err)
			}
			if s := leaks(a); s != "" {
				t.Errorf("%s: tells %s: %.200s", q, s, a.body)
			}
			if a.status == 200 && strings.HasPrefix(q, "owner=eq.") && a.body != "[]" {
				t.Errorf("%s: rows: %.200s", q, a.body)
			}
		}
		for _, path := range []string{"/rest/v1/" + e, "/rest/v1/rpc/" + e} {
			c.refused(n, "GET", path, "")
		}
		c.refused(n, "GET", safes, "", "Accept-Profile: "+p)
		c.refused(n, "POST", safes, `{"owner":"x",`+fmt.Sprintf("%q", p)+`:1}`)
		c.refused(n, "POST", safes+"?on_conflict="+quoted, `{"owner":"x"}`, "Prefer: resolution=merge-duplicates")
		c.refused(n, "PATCH", safes+"?"+quoted+"=eq.1", `{"owner":"x"}`)
	}
	// As a value it is a text like any other.
	if got := n.census(t); got != before {
		t.Errorf("rows changed: %s", got)
	}
	for i, p := range payloads {
		body := fmt.Sprintf(`{"id":%d,"name":%q}`, 100+i, p)
		a := n.want(t, 201, "POST", "/rest/v1/keepers?select=id,name", body, rep)
		if a.body != "["+body+"]" {
			t.Errorf("%s was stored as %s", body, a.body)
		}
	}
	// The names of a query are its shape; a name that closes a quotation mark
	// must not end up in another plan.
	for _, alias := range []string{`a"b`, `a'b`, `a\b`, "ä", `a",id,"b`} {
		q := url.QueryEscape(`"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(alias) + `"`)
		c.tries++
		a := n.do(t, "GET", safes+"?select="+q+":owner&limit=1", "")
		if err := checkProblem(a, "GET"); err != nil {
			t.Error(err)
		}
	}
}

func TestTransport(t *testing.T) {
	t.Parallel()
	n := furnished(t)
	spoof := attackClass(t, "16 X-Forwarded-For spoof")
	for _, h := range []string{"X-Forwarded-For: 6.6.6.6", "X-Real-Ip: 6.6.6.6", "Forwarded: for=6.6.6.6", "True-Client-Ip: 6.6.6.6", "Cf-Connecting-Ip: 6.6.6.6", "X-Forwarded-Host: 6.6.6.6", "X-Original-Url: /6.6.6.6", "X-Rewrite-Url: /6.6.6.6"} {
		spoof.silent(n, "GET", products, "", h)
	}
	c36 := attackClass(t, "36 request smuggling")
	get := "GET /rest/v1/keepers HTTP/1.1\r\nHost: x\r\nApikey: " + n.key + "\r\n\r\n"
	head := "POST /rest/v1/keepers HTTP/1.1\r\nHost: x\r\nApikey: " + n.key + "\r\nContent-Type: application/json\r\n"
	smuggled := "DELETE /rest/v1/keepers?id=eq.2 HTTP/1.1\r\nHost: x\r\nApikey: " + n.key + "\r\n\r\n"
	before := n.census(t)
	for name, text := range map[string]string{
		"CL and TE":           head + "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + smuggled,
		"two lengths":         head + "Content-Length: 2\r\nContent-Length: 0\r\n\r\n{}" + smuggled,
		"length list":         head + "Content-Length: 2, 0\r\n\r\n{}" + smuggled,
		"signed length":       head + "Content-Length: +2\r\n\r\n{}" + smuggled,
		"hex length":          head + "Content-Length: 0x2\r\n\r\n{}" + smuggled,
		"two TE":              head + "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n" + smuggled,
		"TE with a tab":       head + "Transfer-Encoding:\tchunked, x\r\n\r\n0\r\n\r\n" + smuggled,
		"TE xchunked":         head + "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n" + smuggled,
		"space before colon":  head + "Content-Length : 2\r\n\r\n{}" + smuggled,
		"obs-fold":            head + "X: a\r\n Content-Length: 2\r\n\r\n" + smuggled,
		"bare CR":             head + "X: a\rContent-Length: 2\r\n\r\n" + smuggled,
		"NUL in a header":     head + "X: a\x00b\r\n\r\n" + smuggled,
		"chunk size overflow": head + "Transfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\n" + smuggled,
		"chunk size minus":    head + "Transfer-Encoding: chunked\r\n\r\n-1\r\n" + smuggled,
		"chunk extension LF":  head + "Transfer-Encoding: chunked\r\n\r\n2;x\n{}\n0\r\n\r\nX" + smuggled,
		"no host":             strings.Replace(smuggled, "Host: x\r\n", "", 1),
		"two hosts":           strings.Replace(smuggled, "Host: x\r\n", "Host: x\r\nHost: y\r\n", 1),
		"HTTP/0.9":            "GET /rest/v1/keepers\r\n" + smuggled,
		"HTTP/9.9":            strings.Replace(smuggled, "HTTP/1.1", "HTTP/9.9", 1),
		"LF before":           "\n\n\n" + strings.Replace(smuggled, "DELETE", "DEL\nETE", 1),
		"spaces in the line":  strings.Replace(smuggled, "DELETE /", "DELETE  /", 1),
	} {
		c36.tries++
		got := n.raw(t, text)
		if strings.Contains(got, "HTTP/1.1 204") || strings.Contains(got, "HTTP/1.1 500") {
			t.Errorf("%s: %.600s", name, got)
		}
		if after := n.census(t); after != before {
			t.Fatalf("%s: the smuggled request was done", name)
		}
	}
	upgrade := strings.Replace(get, "\r\n\r\n", "\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n", 1)
	c36.tries++
	if got := n.raw(t, upgrade+smuggled); strings.Contains(got, "101 Switching") {
		t.Errorf("h2c upgrade: %.200s", got)
	}
	n.want(t, 201, "POST", "/rest/v1/keepers", `{"id":2,"name":"Bob"}`, "Prefer: resolution=ignore-duplicates")

	frames := attackClass(t, "33 bad frames")
	preface := "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
	settings := "\x00\x00\x00\x04\x00\x00\x00\x00\x00"
	for _, f := range []string{
		preface, preface + settings + "\x00\x00\x01\x00\x00\x00\x00\x00\x01x", preface + settings + "\xff\xff\xff\x01\x04\x00\x00\x00\x01", preface + settings + "\x00\x00\x04\x01\x04\x00\x00\x00\x01\xff\xff\xff\xff",
		preface + settings + strings.Repeat("\x00\x00\x04\x03\x00\x00\x00\x00\x01\x00\x00\x00\x08", 2000), preface + settings + strings.Repeat("\x00\x00\x08\x06\x00\x00\x00\x00\x0012345678", 5000),
		preface + settings + strings.Repeat("\x00\x00\x00\x04\x00\x00\x00\x00\x00", 5000), preface + settings + strings.Repeat("\x00\x00\x00\x09\x00\x00\x00\x00\x01", 2000), preface + strings.Repeat("\xff", 5000),
		"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", strings.Repeat("\x00", 10000), "GET", "\r\n\r\n\r\n", "GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999999999\r\n\r\n",
	} {
		frames.tries++
		n.raw(t, f)
		n.alive(t)
	}
	// The log is complete once a later request is in it.
	n.stop(t)
	log := n.log.String()
	for _, bad := range []string{"6.6.6.6", "panic", "goroutine"} {
		if strings.Contains(log, bad) {
			t.Errorf("the log has %q", bad)
		}
	}
}

func TestCollisions(t *testing.T) {
	t.Parallel()
	n := furnished(t)
	c := attackClass(t, "35 cache and idempotency collisions")
	idem := func(status int, method, path, body string, header ...string) {
		c.tries++
		n.want(t, status, method, path, body, append(header, "Idempotency-Key: one")...)
	}
	idem(201, "POST", "/rest/v1/keepers", `{"id":50,"name":"fifty"}`)
	idem(201, "POST", "/rest/v1/keepers", `{"id":50,"name":"fifty"}`)
	idem(422, "POST", "/rest/v1/keepers", `{"id":51,"name":"fifty"}`)
	idem(422, "POST", "/rest/v1/keepers?select=id", `{"id":50,"name":"fifty"}`)
	idem(422, "POST", "/rest/v1/keepers", `{"id":50,"name":"fifty"}`, rep)
	idem(422, "POST", "/rest/v1/keepers", `{"id":50,"name":"fifty"}`, "Content-Profile: vault")
	idem(204, "PATCH", "/rest/v1/keepers?id=eq.50", `{"name":"fünfzig"}`)
	idem(201, "POST", safes, `{"owner":"fifty"}`)
	idem(409, "POST", "/rest/v1/categories", `{"slug":"tea","name":"taken"}`, "X: y") // a failure is not remembered as success
	// One key from many at once: done once, the others replay, wait or go away.
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			a, err := n.request("POST", "/rest/v1/customers", `{"email":"once@x.test","name":"x"}`, "Idempotency-Key: herd")
			if err != nil || a.status != 201 && a.status != 409 {
				t.Errorf("herd: %d %s %v", a.status, a.body, err)
			}
		})
	}
	wg.Wait()
	if a := n.do(t, "GET", "/rest/v1/customers?email=eq.once@x.test&select=count()", ""); a.body != `[{"count":1}]` {
		t.Errorf("the herd made %s", a.body)
	}
	// Plans are cached by shape: whatever differs in it must not share one.
	n.want(t, 201, "POST", "/rest/v1/keepers", `[{"id":60,"name":"a,b"},{"id":61,"name":"a"},{"id":62,"name":"b"},{"id":63,"name":"null"}]`)
	for range 2 { // the second time out of the cache
		for q, want := range map[string]string{
			`id=in.(60,61)&name=eq.a`: `[{"id":61}]`, `id=in.(60,61)&name=eq.a,b`: `[{"id":60}]`, `name=in.(a,b)`: `[{"id":61},{"id":62}]`, `name=in.("a,b")`: `[{"id":60}]`,
			`name=in.(a)`: `[{"id":61}]`, `name=eq.null`: `[{"id":63}]`, `name=is.null`: `[]`, `id=gt.60&id=lt.62`: `[{"id":61}]`, `id=lt.60&id=gt.62`: `[]`, `id=gte.60&id=lt.62`: `[{"id":60},{"id":61}]`,
			`and=(id.gt.60,id.lt.62)`: `[{"id":61}]`, `or=(id.eq.60,id.eq.62)`: `[{"id":60},{"id":62}]`, `not.or=(id.lt.62,id.gt.62)`: `[{"id":62}]`, `id=gte.60&limit=1`: `[{"id":60}]`, `id=gte.60&limit=1&offset=1`: `[{"id":61}]`, `id=gte.60&limit=0`: `[]`,
			`id=gte.62&order=id.desc`: `[{"id":63},{"id":62}]`, `id=gte.62&order=id.asc`: `[{"id":62},{"id":63}]`,
		} {
			c.tries++
			if a := n.do(t, "GET", "/rest/v1/keepers?select=id&"+q, ""); a.body != want {
				t.Errorf("%s: %s, want %s", q, a.body, want)
			}
		}
	}
	// A caller without a key never gets what was cached for one with.
	for _, key := range []string{"", "pando_sec_" + strings.Repeat("x", 43), n.key[:len(n.key)-1], n.key + "x", strings.ToUpper(n.key), " " + n.key + "x"} {
		c.tries++
		a := n.do(t, "GET", "/rest/v1/keepers?select=id&id=gte.60&limit=1", "", "Apikey: "+key, "If-None-Match: *")
		if a.status != 401 {
			t.Errorf("key %q: %d %s", key, a.status, a.body)
		}
	}
	// What shared caches may keep of it is told apart by the key.
	a := n.do(t, "GET", "/rest/v1/keepers", "")
	if vary := strings.Join(a.header.Values("Vary"), ","); !strings.Contains(vary, "Apikey") || !strings.Contains(vary, "Authorization") {
		t.Errorf("Vary: %s", vary)
	}
}

func TestLogs(t *testing.T) {
	t.Parallel()
	for _, format := range []string{"text", "json"} {
		t.Run(format, func(t *testing.T) { testLogs(t, format) })
	}
}

func testLogs(t *testing.T, format string) {
	n := furnished(t, "PANDO_LOG_FORMAT="+format, "PANDO_LOG_LEVEL=debug")
	c := attackClass(t, "39 secrets and injection in logs, "+format)
	k := n.key
	other := "pando_sec_" + strings.Repeat("Z", 43) // of another application
	for _, key := range []string{k, other} {
		for _, path := range []string{"/rest/v1/" + key, "/" + key, "/rest/v1/safes/" + key, "/docs/" + key, "/rest/v1/rpc/" + key, safes + "?apikey=" + key, safes + "?apikey=eq." + key, safes + "?select=" + key, safes + "?owner=eq." + key, safes + "?" + key + "=eq.1", safes + "?order=" + key, safes + "?cursor=" + key, safes + "?access_token=" + key, "/rest/v1/" + key + "%2f.."} {
			c.tries++
			n.do(t, "GET", path, "")
		}
		for _, h := range []string{"Authorization: Bearer " + key, "Authorization: " + key, "Authorization: Basic " + key, "Apikey: " + key + "x", "X-Api-Key: " + key, "User-Agent: " + key, "Referer: http://x/?k=" + key, "Cookie: k=" + key, "Traceparent: " + key, "Accept: " + key, "Prefer: " + key, "Accept-Profile: " + key, "Origin: " + key, "Idempotency-Key: " + key, "Content-Type: " + key, "Host: " + key} {
			c.tries++
			n.do(t, "POST", safes, `{`+key, h)
		}
		c.tries += 3
		n.do(t, "POST", safes, `{"owner":"`+key+`","`+key+`":1}`)
		n.do(t, "POST", safes, `{"owner":"x","id":"`+key+`"}`)
		n.raw(t, "GET / HTTP/1.1\r\nHost: x\r\n"+key+"\r\n\r\n"+key+" / HTTP/1.1\r\n\r\n")
		n.raw(t, key+" /"+key+" HTTP/1.1\r\nHost: "+key+"\r\n\r\n")
	}
	for _, path := range []string{"/x%0d%0alevel=ERROR%20msg=forged", "/x%0alevel=ERROR", "/rest/v1/x%0d%0a%0d%0aforged", "/x%1b[31mforged", "/x%22%20level=ERROR%20msg=%22forged", "/x%e2%80%a8forged", "/x%7f%08%08", "/x%e2%80%aeforged"} {
		c.tries++
		n.do(t, "GET", path, "")
	}
	n.raw(t, "GET /raw\x1b[2J HTTP/1.1\r\nHost: x\r\n\r\n")
	n.stop(t)
	log := n.log.String()
	for _, secret := range []string{k, other, k[10:], theCode} {
		if i := strings.Index(log, secret); i >= 0 {
			t.Errorf("the log has a key: %q", log[max(0, i-200):min(len(log), i+60)])
		}
	}
	for line := range strings.SplitSeq(strings.TrimSpace(log), "\n") {
		if format == "text" && !strings.HasPrefix(line, "time=") || format == "json" && !strings.HasPrefix(line, `{"time":`) {
			t.Errorf("a forged line: %q", line)
		}
		for _, r := range line {
			if r < ' ' || format == "text" && (r == 0x7f || r == 0x2028 || r == 0x202e) {
				t.Errorf("the log has a control character: %q", line)
			}
		}
	}
	if !strings.Contains(log, "[key]") {
		t.Error("no path was masked")
	}
}

func TestBrowsers(t *testing.T) {
	t.Parallel()
	n := furnished(t)
	c := attackClass(t, "40 CORS and keys in URLs")
	for _, origin := range []string{"https://evil.example", "null", "http://localhost:3000", "https://x\"y", "file://"} {
		for _, method := range []string{"GET", "OPTIONS", "POST"} {
			c.tries++
			a := n.do(t, method, products, "{", "Origin: "+origin, "Access-Control-Request-Method: DELETE", "Access-Control-Request-Headers: apikey, authorization", "Cookie: sb=1")
			if a.header.Get("Access-Control-Allow-Credentials") != "" {
				t.Errorf("%s %s: credentials are allowed", method, origin)
			}
			if got := a.header.Get("Access-Control-Allow-Origin"); got != "*" {
				t.Errorf("%s %s: origin %q", method, origin, got)
			}
			if a.header.Get("Set-Cookie") != "" {
				t.Error("a cookie is set")
			}
		}
	}
	// A page cannot act with what the browser sends on its own, nor put the key
	// where it would be logged or linked to.
	for _, path := range []string{products + "?apikey=" + n.key, products + "?access_token=" + n.key, products + "?token=" + n.key, products + "?Authorization=Bearer%20" + n.key, "/rest/v1/" + n.key + "/products"} {
		c.tries++
		if a := n.do(t, "GET", path, "", "Apikey: "); a.status != 401 {
			t.Errorf("%s: %d %.100s", path, a.status, a.body)
		}
	}
	for _, h := range []string{"Cookie: apikey=" + n.key, "X-Api-Key: " + n.key, "Proxy-Authorization: Bearer " + n.key, "Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte("x:"+n.key)), "Sec-WebSocket-Protocol: " + n.key} {
		c.tries++
		if a := n.do(t, "GET", products, "", "Apikey: ", h); a.status != 401 {
			t.Errorf("%s: %d", h, a.status)
		}
	}
	for _, p := range []string{"/docs", "/", products, "/nothing"} {
		c.tries++
		a := n.do(t, "GET", p, "")
		if a.header.Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s: sniffable", p)
		}
		if p != products && a.header.Get("Content-Security-Policy") == "" {
			t.Errorf("%s: no Content-Security-Policy", p)
		}
	}
}

// TestCommandLinePaths tries to lead the binary out of its folder.
func TestCommandLinePaths(t *testing.T) {
	t.Parallel()
	c := attackClass(t, "30 path traversal")
	n := fresh(t)
	for _, p := range []string{"/docs/../pando.yaml", "/docs/%2e%2e/pando.yaml", "/docs/..%2fpando.yaml", "/docs/..%5cpando.yaml", "/docs/%2e%2e%2fdata%2fshop.db", "/docs//pando.yaml", "/docs/data/shop.db", "/../pando.yaml", "/docs/assets/../../../../etc/passwd", "/docs/app.js/../../pando.yaml"} {
		c.refused(n, "GET", p, "")
		got := n.raw(t, "GET "+p+" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
		if strings.Contains(got, "app: shop") || strings.Contains(got, "root:") || strings.Contains(got, "SQLite format") || strings.HasPrefix(got, "HTTP/1.1 200") {
			t.Errorf("%s: %.300s", p, got)
		}
	}
}
