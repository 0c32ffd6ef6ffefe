package attack

import (
	"fmt"
	"net/url"
	"strings"
	"testing"
)

// Values of the rows that strangers try to learn.
const (
	bobsPay    = "770000000077"
	bobsReview = "REVIEW-OF-BOB-88"
	bobsMeta   = "META-OF-BOB-55"
	bobsCode   = "CODE-OF-BOB-99"
	bobsTitle  = "TITLE-OF-BOB-11"
)

func telling(a answer) string {
	if s := leaks(a); s != "" {
		return s
	}
	for _, s := range []string{bobsPay, bobsReview, bobsMeta, bobsCode, bobsTitle, "bob@town.example"} {
		for _, text := range append([]string{a.body}, headerValues(a)...) {
			if strings.Contains(text, s) {
				return s
			}
		}
	}
	return ""
}

func headerValues(a answer) (out []string) {
	for _, values := range a.header {
		out = append(out, values...)
	}
	return out
}

// Rows of the town.
const (
	bobsDoc   = "01980009-0000-7000-8000-0000000000b1" // Bob's own
	openDoc   = "01980009-0000-7000-8000-0000000000b2" // Bob's, for everybody to read
	nobodyDoc = "01980009-0000-7000-8000-0000000000c1" // without an owner
	annsDoc   = "01980009-0000-7000-8000-0000000000a1"
	docs      = "/rest/v1/docs"
)

// settled is a town with rows of Bob's, whom Ann and the anonymous attack.
func settled(t *testing.T) (n *town, ann, bob person) {
	t.Helper()
	n = openTown(t, "", freely)
	ann = n.member(t, "ann", object{"user_metadata": object{"roles": []string{"staff", "admin"}, "tenant": "b"}})
	bob = n.member(t, "bob", object{"app_metadata": object{"tenant": "b", "tenants": []string{"b"}}})
	row := func(id, owner, title string, open bool, more object) object {
		out := object{"id": id, "owner_id": nil, "title": title, "open": open, "slug": "slug-" + id, "salary": nil, "review": nil, "meta": nil, "code": "code-" + id}
		if owner != "" {
			out["owner_id"] = owner
		}
		return out.with(more)
	}
	n.want(t, 201, "POST", docs, encode([]object{
		row(bobsDoc, bob.ID, bobsTitle, false, object{"salary": 770000000077, "review": bobsReview, "meta": object{"k": bobsMeta}, "code": bobsCode, "slug": "bobs"}),
		row(openDoc, bob.ID, "open to all", true, object{"salary": 770000000077, "review": bobsReview, "meta": object{"k": bobsMeta}}),
		row(nobodyDoc, "", "nobody's", false, nil),
		row(annsDoc, ann.ID, "Ann's", false, object{"salary": 1, "review": bobsReview, "meta": object{"k": bobsMeta}}),
	}), boss)
	n.want(t, 201, "POST", "/rest/v1/pages", encode([]object{{"doc_id": bobsDoc, "text": bobsTitle}, {"doc_id": openDoc, "text": bobsTitle}, {"doc_id": annsDoc, "text": "Ann's page"}, {"doc_id": nobodyDoc, "text": bobsTitle}}), boss)
	for _, e := range []string{"ledgers", "listed", "unlisted"} {
		n.want(t, 201, "POST", "/rest/v1/"+e, encode([]object{{"tenant": "b", "name": bobsTitle}, {"tenant": "null", "name": bobsTitle}, {"tenant": "", "name": bobsTitle}}), boss)
	}
	n.want(t, 201, "POST", "/rest/v1/ratios", `[{"n":1,"d":0},{"n":1,"d":null},{"n":-9223372036854775807,"d":1}]`, boss)
	n.want(t, 201, "POST", "/rest/v1/teams", `{"id":"01980009-0000-7000-8000-0000000000d1","name":"`+bobsTitle+`"}`, boss)
	n.want(t, 201, "POST", "/rest/v1/members", encode(object{"team_id": "01980009-0000-7000-8000-0000000000d1", "user_id": bob.ID}), boss)
	n.want(t, 201, "POST", "/rest/v1/tasks", `{"team_id":"01980009-0000-7000-8000-0000000000d1","text":"`+bobsTitle+`"}`, boss)
	for _, e := range []string{"vaults", "near", "nobody", "watched"} {
		n.want(t, 201, "POST", "/rest/v1/"+e, `{"name":"`+bobsTitle+`"}`, boss)
	}
	n.want(t, 201, "POST", "/rest/v1/ranks", `[{"rank":"staff"},{"rank":"admin"},{"rank":"clerk"},{"rank":"member"}]`, boss)
	return n, ann, bob
}

// hush sends a request whose answer, whatever it is, must not tell of Bob.
func (c *class) hush(n *town, method, path, body string, header ...string) answer {
	c.t.Helper()
	a := n.do(c.t, method, path, body, header...)
	s := telling(a)
	c.is(s == "", "%s %.200s %.200s: tells %s: %.300s", method, path, body, s, a.body)
	if err := checkProblem(a, method); err != nil {
		c.t.Errorf("class %s: %s %.150s: %v", c.name, method, path, err)
	}
	return a
}

// blind asks whether a condition holds for a row whose value is masked: a right
// guess, a wrong one and a null must be answered alike.
func (c *class) blind(n *town, who string, right, wrong string) {
	c.t.Helper()
	for _, path := range []string{docs + "?select=id&id=eq." + openDoc + "&", docs + "?select=count()&id=eq." + openDoc + "&"} {
		a, b := n.do(c.t, "GET", path+right, "", who), n.do(c.t, "GET", path+wrong, "", who)
		strip := strings.NewReplacer(bobsPay, "", "770000000078", "", bobsReview, "", "REVIEW-OF-BOX-88", "", bobsMeta, "", "META-OF-BOX-55", "", bobsCode, "", "CODE-OF-BOX-99", "")
		x, y := strip.Replace(shape(a, "")), strip.Replace(shape(b, ""))
		c.is(x == y, "%s: a right guess is told from a wrong one: %s / %s", right, x, y)
	}
}

func TestRowsOfOthers(t *testing.T) {
	t.Parallel()
	n, ann, bob := settled(t)
	t.Run("oracles", func(t *testing.T) { oracles(t, n, ann) })
	t.Run("embeds", func(t *testing.T) { embeds(t, n, ann) })
	t.Run("empty", func(t *testing.T) { emptyRules(t, n, ann) })
	t.Run("roles", func(t *testing.T) { inheritedRoles(t, n) })
	t.Run("cursors", func(t *testing.T) { foreignCursors(t, n, ann, bob) })
	t.Run("answers", func(t *testing.T) { existence(t, n, ann) })
	t.Run("writes", func(t *testing.T) { foreignWrites(t, n, ann, bob) })
	t.Run("keys", func(t *testing.T) { boundKeys(t, n, bob) })
	rowsThroughDoors(t, n, ann, bob)
}

// oracles tries to learn masked values of a row that may be read.
func oracles(t *testing.T, n *town, ann person) {
	filter := attackDoor(t, restDoor, "1 filter oracle on a mask")
	order := attackDoor(t, restDoor, "2 order oracle on a mask")
	search := attackDoor(t, restDoor, "3 search oracle on a mask")
	count := attackDoor(t, restDoor, "4 aggregate of a mask")
	for _, who := range []string{ann.as(), "Authorization: Bearer " + publishable} {
		for _, g := range [][2]string{
			{"salary=eq." + bobsPay, "salary=eq.770000000078"},
			{"salary=gt.770000000076", "salary=gt.770000000078"},
			{"salary=in.(" + bobsPay + ")", "salary=in.(770000000078)"},
			{"salary=neq.770000000078", "salary=neq." + bobsPay},
			{"salary=not.eq.770000000078", "salary=not.eq." + bobsPay},
			{"or=(salary.eq." + bobsPay + ")", "or=(salary.eq.770000000078)"},
			{"not.and=(salary.gt.770000000078)", "not.and=(salary.gt.770000000076)"},
			{"salary=isdistinct.770000000078", "salary=isdistinct." + bobsPay},
			{"review=eq." + bobsReview, "review=eq.REVIEW-OF-BOX-88"},
			{"meta->>k=eq." + bobsMeta, "meta->>k=eq.META-OF-BOX-55"},
			{`meta=cs.{"k":"` + bobsMeta + `"}`, `meta=cs.{"k":"META-OF-BOX-55"}`},
			{"code=eq." + bobsCode, "code=eq.CODE-OF-BOX-99"},
			{"code=in.(" + bobsCode + ")", "code=in.(CODE-OF-BOX-99)"},
			{"salary=eq(any).{" + bobsPay + "}", "salary=eq(any).{770000000078}"},
		} {
			filter.blind(n, who, g[0], g[1])
		}
		for _, g := range [][2]string{
			{"review=like.REVIEW-OF-BOB*", "review=like.REVIEW-OF-BOX*"},
			{"review=ilike.review-of-bob*", "review=ilike.review-of-box*"},
			{"review=match.^REVIEW-OF-BOB", "review=match.^REVIEW-OF-BOX"},
			{"review=imatch.of-bob", "review=imatch.of-box"},
			{"meta->>k=like.META-OF-BOB*", "meta->>k=like.META-OF-BOX*"},
			{"review=fts.bob", "review=fts.box"},
			{"code=like.CODE-OF-B*", "code=like.X*"},
		} {
			search.blind(n, who, g[0], g[1])
		}
		for _, o := range []string{"salary", "salary.desc", "review", "meta->>k", "meta->k.desc", "code", "id,code", "owner(email)", "owner(password)"} {
			a := order.hush(n, "GET", docs+"?select=id&limit=1&order="+o, "", who)
			if a.status == 200 && strings.Contains(o, "code") {
				t.Errorf("ordered by the hidden %s: %s", o, a.body)
			}
		}
		for _, s := range []string{"salary.max()", "salary.sum()", "salary.avg()", "salary.min()", "review,count()", "review.max()", "meta->>k,count()", "salary::text", "x:salary", "...owner(email)", "code.count()", "meta->k", "meta->>k", "review::text", "salary.count()"} {
			a := count.hush(n, "GET", docs+"?open=is.true&select="+url.QueryEscape(s), "", who)
			if strings.HasPrefix(s, "salary.count") && a.status == 200 && strings.Contains(a.body, `"count":1`) {
				t.Errorf("count tells of a masked value: %s", a.body)
			}
		}
		for _, accept := range []string{"application/json", "text/csv", "application/x-ndjson", "application/vnd.pgrst.object+json", "application/openapi+json", "application/vnd.pgrst.array+json;nulls=stripped"} {
			count.hush(n, "GET", docs+"?select=*,owner(*),pages(*)&open=is.true", "", who, "Accept: "+accept, "Prefer: count=exact")
			count.hush(n, "GET", "/rest/v1/", "", who, "Accept: "+accept)
		}
	}
	// Two rows that differ in a masked value alone have no order by it.
	n.want(t, 201, "POST", docs, encode([]object{
		{"id": "01980009-0000-7000-8000-0000000000e1", "owner_id": nil, "title": "x", "open": true, "salary": 2, "review": "b"},
		{"id": "01980009-0000-7000-8000-0000000000e2", "owner_id": nil, "title": "x", "open": true, "salary": 1, "review": "a"},
	}), boss)
	for _, o := range []string{"salary", "review", "salary.asc.nullslast", "review.asc.nullslast", "salary.nullsfirst"} {
		a := n.do(t, "GET", docs+"?select=id&title=eq.x&order="+o, "", ann.as())
		first, second := strings.Index(a.body, "e1"), strings.Index(a.body, "e2")
		order.is(a.status >= 400 || first < second, "order=%s follows the masked value: %s", o, a.body)
	}
	// What breaks a unique key tells nothing of the row that has it.
	for _, body := range []object{{"title": "m", "code": bobsCode}, {"title": "m", "slug": "bobs"}, {"title": "m", "id": bobsDoc}} {
		filter.hush(n, "POST", docs, encode(body), ann.as())
	}
	// Names near to hidden ones are not suggested by their values.
	for _, q := range []string{"cod=eq.1", "codee=eq.1", "passwor=eq.1", "select=codes", "order=cod"} {
		filter.hush(n, "GET", docs+"?"+q, "", ann.as())
	}
	// Of users: their own row, without its secrets.
	for _, q := range []string{"password=like.*", "password=not.is.null", "new_email=is.null", "failures=gte.0", "select=password", "select=id,failures", "order=password", "select=password.max()", "recovery_sent_at=not.is.null"} {
		filter.refused(n.node, "GET", "/rest/v1/users?"+q, "", ann.as())
	}
	audit := attackDoor(t, auditDoor, "1 filter oracle")
	for _, q := range []string{"ip=127.0.0.1", "email=bob@town.example", "user_agent=x", "values=x", "detail=x", "detail.email=bob@town.example", "fields=code", "hash=00", "order=ip", "select=values"} {
		audit.refused(n.node, "GET", "/audit/v1/records?"+q, "", boss)
	}
}

// embeds tries to reach rows around the rule of the entity that has them.
func embeds(t *testing.T, n *town, ann person) {
	c := attackDoor(t, restDoor, "5 embedding past a rule")
	for _, who := range []string{ann.as(), "X: y"} {
		for _, path := range []string{
			docs + "?select=id,pages(text)", docs + "?select=id,pages!inner(text)", docs + "?select=id,...pages(text)", docs + "?select=id,pages(text,doc(title,salary))", docs + "?select=id,owner(email)", docs + "?select=...owner(email,app_metadata)",
			"/rest/v1/pages?select=text,doc(title)", "/rest/v1/pages?select=doc(pages(text))", "/rest/v1/pages?select=...doc(title)", "/rest/v1/members?select=team(name,tasks(text))", "/rest/v1/teams?select=name,tasks(text)", "/rest/v1/teams?select=users(email)",
			"/rest/v1/tasks?select=team(name),text", "/rest/v1/users?select=email,docs(title)", "/rest/v1/users?select=members(team(name))", "/rest/v1/users?select=user_roles(role),email",
			docs + "?select=id,pages(count)", docs + "?select=id,pages(text.max())", docs + "?select=id&pages.text=like.T*", docs + "?select=id,pages(text)&order=owner(email)",
		} {
			c.hush(n, "GET", path, "", who)
		}
		for _, g := range [][2]string{
			{"select=id,pages!inner(id)&pages.text=eq." + bobsTitle, "select=id,pages!inner(id)&pages.text=eq.no"},
			{"select=id,owner!inner(id)&owner.email=eq.bob@town.example", "select=id,owner!inner(id)&owner.email=eq.no"},
			{"select=id,pages(id)&pages=not.is.null", "select=id,pages(id)&pages.text=eq.no&pages=not.is.null"},
			{"select=id,owner(id)&owner=not.is.null", "select=id,owner(id)&owner.email=eq.no&owner=not.is.null"},
		} {
			a, b := n.do(t, "GET", docs+"?id=eq."+openDoc+"&"+g[0], "", who), n.do(t, "GET", docs+"?id=eq."+openDoc+"&"+g[1], "", who)
			c.is(a.body == b.body, "%s tells of rows that may not be read: %s / %s", g[0], a.body, b.body)
		}
	}
}

// emptyRules tries callers about whom a rule knows nothing.
func emptyRules(t *testing.T, n *town, ann person) {
	c := attackDoors(t, "6 a rule fails open")
	rest := c[restDoor]
	empty := func(who, e, q string) {
		t.Helper()
		a := n.do(t, "GET", "/rest/v1/"+e+"?"+q, "", who)
		rest.is(a.status >= 400 || a.body == "[]", "%s?%s as %.40s: %d %.300s", e, q, who, a.status, a.body)
	}
	claims := claimsOf(t, ann.token)
	forged := func(more object) string {
		return "Authorization: Bearer " + hs256(jwtSecret, `{"alg":"HS256","typ":"JWT"}`, encode(claims.with(more)))
	}
	callers := []string{
		"X: y", ann.as(), forged(object{"app_metadata": object{}}), forged(object{"app_metadata": nil}), forged(object{"app_metadata": object{"tenant": nil, "tenants": []string{}}}),
		forged(object{"app_metadata": object{"tenant": []string{}, "tenants": "b"}}), forged(object{"app_metadata": []string{"tenant"}}), forged(object{"app_metadata": object{"tenant": object{}, "tenants": object{"c": "b"}, "blocked": "b"}}),
		forged(object{"app_metadata": object{"tenant": true, "tenants": []any{nil}, "blocked": []any{nil}}}), forged(object{"sub": "01980009-0000-7000-8000-00000000ffff"}),
	}
	for _, who := range callers {
		for _, e := range []string{"ledgers", "listed", "unlisted", "nobody", "teams", "tasks", "members", "vaults", "near"} {
			empty(who, e, "select=*")
		}
		empty(who, "docs", "owner_id=is.null&open=is.false")
		empty(who, "pages", "doc_id=eq."+nobodyDoc)
		empty(who, "ratios", "select=*")
		empty(who, "ranks", "rank=in.(staff,admin)")
	}
	for _, w := range []string{"X: y", forged(object{"role": "anon"})} { // the anonymous own nothing, not even what has no owner
		rest.status(n.node, 401, "POST", docs, `{"title":"x","owner_id":null}`, w)
		rest.status(n.node, 401, "POST", "/rest/v1/watched", `{"name":"x"}`, w)
		a := n.do(t, "PATCH", docs+"?owner_id=is.null", `{"title":"x"}`, w, rep)
		rest.is(a.status >= 400 || a.body == "[]", "patched what has no owner: %d %s", a.status, a.body)
		a = n.do(t, "DELETE", docs+"?owner_id=is.null", "", w, rep)
		rest.is(a.status >= 400 || a.body == "[]", "deleted what has no owner: %d %s", a.status, a.body)
	}
	rest.status(n.node, 403, "POST", docs, `{"title":"x","owner_id":null}`, ann.as())
	for _, k := range knocks() {
		for _, h := range [][]string{{"Apikey: "}, {"Apikey: null"}, {"Apikey: undefined"}, {"Apikey: ", "Authorization: Bearer "}, {"Apikey: ", "Authorization: Bearer null"}, {"Apikey: ", "Authorization: Bearer ."}, {"Apikey: ", "Authorization: Bearer .."}} {
			a := n.do(t, "GET", k.path, "", h...)
			c[k.door].is(a.status == 401 || a.status == 403 && k.door == authDoor, "%v: %d %.200s", h, a.status, a.body) // GoTrue's clients expect 403 of a bad token
		}
	}
	for _, who := range callers { // of which none is an auditor
		a := n.do(t, "GET", "/audit/v1/records", "", who)
		c[auditDoor].is(a.status == 401 || a.status == 403, "%.40s: %d", who, a.status)
	}
}

// inheritedRoles tries roles in the wrong direction and of the wrong source.
func inheritedRoles(t *testing.T, n *town) {
	c := attackDoors(t, "7 inherited roles", restDoor, authDoor, auditDoor)
	i := 0
	as := func(more object) person {
		i++
		return n.member(t, fmt.Sprintf("role%d", i), more)
	}
	given := func(roles any) object { return object{"app_metadata": object{"roles": roles}} }
	for _, tc := range []struct {
		who  person
		want string
	}{
		{as(given([]string{"member"})), "member"},
		{as(given([]string{"clerk"})), "clerk"},
		{as(given([]string{"staff"})), "staff member"},
		{as(given([]string{"admin"})), "staff admin member"},
		{as(given([]string{"Admin", "ADMIN", " admin", "admin ", "staff,admin"})), ""},
		{as(given("admin")), ""},
		{as(given(object{"admin": true})), ""},
		{as(given([]any{[]string{"admin"}, nil, 1})), ""},
		{as(given([]string{"service", "service_role", "authenticated", "anon", "*", ""})), ""},
		{as(object{"user_metadata": object{"roles": []string{"admin"}, "app_metadata": object{"roles": []string{"admin"}}}}), ""},
		{as(object{"app_metadata": object{"role": "admin", "Roles": []string{"admin"}, "user_roles": []string{"admin"}}}), ""},
		{as(object{"role": "authenticated"}), ""},
	} {
		a := n.want(t, 200, "GET", "/rest/v1/ranks?select=rank", "", tc.who.as())
		var ranks []string
		for _, r := range decode[[]struct{ Rank string }](t, a) {
			ranks = append(ranks, r.Rank)
		}
		c[restDoor].is(strings.Join(ranks, " ") == tc.want, "%s has %v, want %s", tc.who.Email, ranks, tc.want)
		// No role of the application makes an administrator of users, or an auditor.
		a = n.do(t, "GET", "/auth/v1/admin/users", "", tc.who.as())
		c[authDoor].is(a.status == 403, "%s lists users: %d", tc.who.Email, a.status)
		a = n.do(t, "GET", "/audit/v1/records", "", tc.who.as())
		c[auditDoor].is(a.status == 403, "%s reads the trail: %d", tc.who.Email, a.status)
	}
	n.want(t, 200, "GET", "/audit/v1/records?limit=1", "", as(given([]string{"inspector"})).as()) // who inherits auditor is one
}

// foreignCursors opens a page of another caller's.
func foreignCursors(t *testing.T, n *town, ann, bob person) {
	c := attackDoor(t, restDoor, "10 forged cursors")
	cursor := func(path, who string) string {
		a := n.want(t, 200, "GET", path, "", who)
		_, rest, _ := strings.Cut(strings.Join(a.header.Values("Link"), ","), "cursor=")
		text := rest[:max(0, strings.IndexAny(rest, "&>"))]
		if text == "" {
			t.Fatalf("no cursor: %v", a.header)
		}
		return text
	}
	query := docs + "?select=id&limit=1"
	bobs, anns := cursor(query, bob.as()), cursor(query, boss)
	for _, who := range []string{ann.as(), "X: y", boss} {
		c.status(n.node, 400, "GET", query+"&cursor="+bobs, "", who)
	}
	for _, who := range []string{ann.as(), bob.as(), "X: y"} {
		c.status(n.node, 400, "GET", query+"&cursor="+anns, "", who)
	}
	n.want(t, 200, "GET", query+"&cursor="+bobs, "", bob.as())
	for _, q := range []string{docs + "?select=title&limit=1&order=title&cursor=", docs + "?select=id&limit=1&open=is.true&cursor=", "/rest/v1/pages?select=id&limit=1&cursor=", docs + "?select=id&limit=1&order=id.desc&cursor="} {
		c.status(n.node, 400, "GET", q+bobs, "", bob.as())
	}
	for i := 0; i < len(bobs); i += 5 { // one character of it changed
		with := byte('A')
		if bobs[i] == 'A' {
			with = 'B'
		}
		c.status(n.node, 400, "GET", query+"&cursor="+bobs[:i]+string(with)+bobs[i+1:], "", bob.as())
	}
	for _, text := range []string{bobs + "A", bobs[:len(bobs)-4], "A" + bobs, bobs + "%3D", strings.Repeat("A", 60), bobs + bobs} {
		c.status(n.node, 400, "GET", query+"&cursor="+text, "", bob.as())
	}
	quoted := []string{"' OR 1=1--", `"; DROP TABLE x;--`, "%27%20OR%20%271", "1 union select password from auth", "$1", "{{7*7}}"}
	auth, audit := attackDoor(t, authDoor, "10 injection"), attackDoor(t, auditDoor, "10 injection")
	for _, q := range quoted {
		e := url.QueryEscape(q)
		for _, path := range []string{"/auth/v1/admin/users/" + strings.ReplaceAll(e, "+", "%20"), "/auth/v1/admin/users?page=" + e, "/auth/v1/admin/users?per_page=" + e} {
			auth.refused(n.node, "GET", path, "", boss)
		}
		auth.refused(n.node, "POST", "/auth/v1/token?grant_type=password", encode(object{"email": q, "password": q}))
		auth.refused(n.node, "POST", "/auth/v1/token?grant_type=refresh_token", encode(object{"refresh_token": q}))
		auth.refused(n.node, "POST", "/auth/v1/verify", encode(object{"type": "magiclink", "token_hash": q}))
		auth.refused(n.node, "POST", "/auth/v1/recover", encode(object{"email": "a@b.c" + q}))
		for _, name := range []string{"actor", "entity", "action", "door"} {
			a := audit.hush(n, "GET", "/audit/v1/records?"+name+"="+e, "", boss)
			audit.is(a.status >= 400 || strings.HasPrefix(a.body, `{"records":[]`), "%s=%s: %d %.200s", name, q, a.status, a.body)
		}
		for _, name := range []string{"before", "limit", "from", "to", "outcome", "key"} {
			audit.refused(n.node, "GET", "/audit/v1/records?"+name+"="+e, "", boss)
		}
		audit.refused(n.node, "GET", "/audit/v1/records/"+strings.ReplaceAll(e, "+", "%20"), "", boss)
	}
}

// existence compares the answers about a row that is another's with those about
// one that is not there.
func existence(t *testing.T, n *town, ann person) {
	c := attackDoors(t, "27 existence told by the answer", restDoor, authDoor, auditDoor)
	const none = "01980009-0000-7000-8000-00000000f0f0"
	for _, who := range []string{ann.as(), "X: y"} {
		for _, r := range []struct{ method, path, body string }{
			{"GET", docs + "?id=eq.%s", ""},
			{"HEAD", docs + "?id=eq.%s", ""},
			{"PATCH", docs + "?id=eq.%s", `{"title":"x"}`},
			{"DELETE", docs + "?id=eq.%s", ""},
			{"GET", "/rest/v1/pages?doc_id=eq.%s", ""},
			{"GET", "/rest/v1/users?id=eq.%s", ""},
			{"GET", docs + "?select=id,pages(id)&id=eq.%s", ""},
		} {
			a, b := n.do(t, r.method, fmt.Sprintf(r.path, bobsDoc), r.body, who, "Prefer: count=exact"), n.do(t, r.method, fmt.Sprintf(r.path, none), r.body, who, "Prefer: count=exact")
			c[restDoor].alike(r.method+" "+r.path, a, b, bobsDoc, none)
		}
		a, b := n.do(t, "GET", docs+"?id=eq."+bobsDoc, "", who, "Accept: application/vnd.pgrst.object+json"), n.do(t, "GET", docs+"?id=eq."+none, "", who, "Accept: application/vnd.pgrst.object+json")
		c[restDoor].alike("one object", a, b, "", "")
		for _, path := range []string{"/audit/v1/records/1", "/audit/v1/records/2", "/audit/v1/records?actor=" + ann.ID} {
			a, b := n.do(t, "GET", path, "", who), n.do(t, "GET", "/audit/v1/records/999999999", "", who)
			c[auditDoor].alike(path, a, b, "", "")
		}
		a, b = n.do(t, "GET", "/auth/v1/admin/users/"+ann.ID, "", who), n.do(t, "GET", "/auth/v1/admin/users/"+none, "", who)
		c[authDoor].alike("admin/users/ID", a, b, "", "")
	}
	for _, path := range []string{"/auth/v1/factors/%s/challenge", "/auth/v1/factors/%s/verify"} {
		a, b := n.do(t, "POST", fmt.Sprintf(path, bobsDoc), `{"challenge_id":"x","code":"123456"}`, ann.as()), n.do(t, "POST", fmt.Sprintf(path, none), `{"challenge_id":"x","code":"123456"}`, ann.as())
		c[authDoor].alike(path, a, b, "", "")
	}
	a, b := n.do(t, "DELETE", "/auth/v1/factors/"+bobsDoc, "", ann.as()), n.do(t, "DELETE", "/auth/v1/factors/"+none, "", ann.as())
	c[authDoor].alike("factors/ID", a, b, "", "")
}

// foreignWrites tries to give oneself what only others may.
func foreignWrites(t *testing.T, n *town, ann, bob person) {
	mass := attackDoors(t, "8 mass assignment", restDoor, authDoor, auditDoor)
	idor := attackDoors(t, "9 IDOR", restDoor, authDoor, auditDoor)
	before := n.do(t, "GET", docs+"?owner_id=eq."+bob.ID+"&select=*", "", boss).body
	try := func(c *class, method, path, body string, header ...string) {
		t.Helper()
		a := n.do(t, method, path, body, append([]string{ann.as(), rep}, header...)...)
		after := n.do(t, "GET", docs+"?owner_id=eq."+bob.ID+"&select=*", "", boss).body
		c.is(after == before && (a.status >= 400 && a.status < 500 || a.body == "[]"), "%s %s %.200s: %d %.200s\n%s", method, path, body, a.status, a.body, after)
		if s := telling(a); s != "" {
			t.Errorf("%s %s: tells %s: %.200s", method, path, s, a.body)
		}
		before = after
	}
	own := func(more object) string { return encode(object{"title": "m"}.with(more)) }
	for _, body := range []string{own(object{"owner_id": bob.ID}), own(object{"salary": 1}), own(object{"review": "x"}), own(object{"owner": object{"id": bob.ID}}), own(object{"role": "admin"}), "[" + own(nil) + "," + own(object{"owner_id": bob.ID}) + "]", own(object{"OWNER_ID": bob.ID})} {
		try(mass[restDoor], "POST", docs, body)
		try(mass[restDoor], "PATCH", docs+"?id=eq."+annsDoc, strings.Trim(body, "[]"))
		try(mass[restDoor], "PUT", docs+"?id=eq."+annsDoc, body)
	}
	try(mass[restDoor], "POST", docs+"?columns=title,owner_id", own(object{"owner_id": bob.ID}))
	try(mass[restDoor], "POST", docs, "title,owner_id\nm,"+bob.ID+"\n", "Content-Type: text/csv")
	try(mass[restDoor], "POST", docs, "title,salary\nm,5\n", "Content-Type: text/csv")
	try(mass[restDoor], "POST", docs, "title=m&owner_id="+bob.ID, "Content-Type: application/x-www-form-urlencoded")
	for _, e := range []string{"users", "user_roles"} {
		for _, body := range []object{{"user_id": ann.ID, "role": "admin"}, {"email": "x@town.example"}} {
			try(mass[restDoor], "POST", "/rest/v1/"+e, encode(body), "Content-Profile: auth")
		}
		try(mass[restDoor], "PATCH", "/rest/v1/"+e+"?id=eq."+ann.ID, `{"role":"admin"}`, "Content-Profile: auth")
		try(mass[restDoor], "DELETE", "/rest/v1/"+e+"?id=eq."+bob.ID, "", "Content-Profile: auth")
	}
	try(mass[restDoor], "PATCH", "/rest/v1/users?id=eq."+ann.ID, `{"app_metadata":{"roles":["admin"]}}`)

	merge, ignore := "Prefer: resolution=merge-duplicates,return=representation", "Prefer: resolution=ignore-duplicates,return=representation"
	for _, id := range []string{bobsDoc, openDoc} {
		try(idor[restDoor], "PATCH", docs+"?id=eq."+id, `{"title":"mine"}`)
		try(idor[restDoor], "PATCH", docs+"?id=eq."+id, encode(object{"owner_id": ann.ID}))
		try(idor[restDoor], "DELETE", docs+"?id=eq."+id, "")
		try(idor[restDoor], "PUT", docs+"?id=eq."+id, encode(object{"id": id, "title": "mine"}))
		for _, p := range []string{merge, ignore} {
			try(idor[restDoor], "POST", docs, encode(object{"id": id, "title": "mine"}), p)
			try(idor[restDoor], "POST", docs, encode(object{"id": id, "title": "mine", "owner_id": ann.ID}), p)
			try(idor[restDoor], "POST", docs+"?on_conflict=id", encode([]object{{"id": annsDoc, "title": "m"}, {"id": id, "title": "mine"}}), p)
		}
		try(idor[restDoor], "POST", docs, "id,title\n"+id+",mine\n", merge, "Content-Type: text/csv")
		try(idor[restDoor], "POST", "/rest/v1/pages", encode(object{"doc_id": id, "text": "x"}))
	}
	try(idor[restDoor], "POST", docs+"?on_conflict=slug", `{"slug":"bobs","title":"mine"}`, merge)
	try(idor[restDoor], "POST", docs+"?on_conflict=code", encode(object{"code": bobsCode, "title": "mine"}), merge)
	try(idor[restDoor], "PATCH", docs+"?id=eq."+annsDoc, encode(object{"id": bobsDoc}))
	try(idor[restDoor], "PATCH", docs+"?id=eq."+annsDoc, encode(object{"owner_id": bob.ID})) // given away
	try(idor[restDoor], "PATCH", docs+"?id=eq."+annsDoc, encode(object{"owner_id": nil}))    // abandoned
	try(idor[restDoor], "PATCH", docs+"?id=eq."+nobodyDoc, encode(object{"owner_id": ann.ID}))
	try(idor[restDoor], "PATCH", docs+"?or=(id.eq."+bobsDoc+",id.is.null)", `{"title":"x"}`)
	page := decode[[]struct{ ID string }](t, n.want(t, 200, "GET", "/rest/v1/pages?doc_id=eq."+annsDoc, "", boss))[0].ID
	try(idor[restDoor], "PATCH", "/rest/v1/pages?id=eq."+page, encode(object{"doc_id": bobsDoc})) // moved into Bob's
	try(idor[restDoor], "POST", "/rest/v1/tasks", encode(object{"team_id": "01980009-0000-7000-8000-0000000000d1", "text": "x"}))
	try(idor[restDoor], "POST", "/rest/v1/members", encode(object{"team_id": "01980009-0000-7000-8000-0000000000d1", "user_id": ann.ID}))
	try(idor[restDoor], "POST", "/rest/v1/ledgers", `{"tenant":"b","name":"x"}`)
	ownAccount(t, n, ann, bob, mass, idor)
}

// ownAccount tries to give one's own account what only administrators give, and
// to reach others' through it.
func ownAccount(t *testing.T, n *town, ann, bob person, mass, idor map[string]*class) {
	t.Helper()
	asked := object{"roles": []string{"admin"}, "role": "admin", "app_metadata": object{"roles": []string{"admin"}}, "is_anonymous": true, "id": bob.ID, "aud": "x", "confirmed_at": "2020-01-01T00:00:00Z", "email_confirmed_at": "2020-01-01T00:00:00Z", "banned_until": nil, "is_super_admin": true}
	for _, r := range []struct{ method, path, body string }{
		{"PUT", "/auth/v1/user", encode(object{"data": asked})},
		{"PUT", "/auth/v1/user", encode(asked.with(object{"app_metadata": nil}))},
		{"PUT", "/auth/v1/user", encode(object{"app_metadata": object{"roles": []string{"admin"}}})},
		{"PUT", "/auth/v1/user", encode(object{"raw_app_meta_data": asked, "user_metadata": asked, "ban_duration": "none", "password_hash": "$2a$04$x"})},
		{"PUT", "/auth/v1/admin/users/" + ann.ID, encode(asked)},
		{"POST", "/auth/v1/admin/users", encode(asked.with(object{"email": "x@town.example"}))},
		{"POST", "/auth/v1/invite", `{"email":"y@town.example"}`},
		{"POST", "/auth/v1/admin/generate_link", `{"type":"magiclink","email":"bob@town.example"}`},
	} {
		n.do(t, r.method, r.path, r.body, ann.as())
		u := decode[struct {
			ID   string
			Role string
			App  object `json:"app_metadata"`
		}](t, n.want(t, 200, "GET", "/auth/v1/user", "", ann.as()))
		ranks := n.do(t, "GET", "/rest/v1/ranks", "", ann.as()).body
		mass[authDoor].is(u.ID == ann.ID && u.Role == "authenticated" && u.App["roles"] == nil && ranks == "[]", "%s %s: %+v %s", r.path, r.body, u, ranks)
	}
	for i, body := range []object{{"data": asked}, asked, {"app_metadata": asked, "user_metadata": asked}, {"role": "service_role", "aud": "x"}, {"options": object{"data": asked}}} {
		a := n.do(t, "POST", "/auth/v1/signup", encode(body.with(object{"email": nil, "password": nil}))) // anonymous
		g := decode[grant](t, a)
		ranks := n.do(t, "GET", "/rest/v1/ranks", "", "Authorization: Bearer "+g.AccessToken).body
		claims := claimsOf(t, g.AccessToken)
		mass[authDoor].is(ranks == "[]" && g.User.ID != bob.ID && claims["role"] == "authenticated", "sign-up %d: %s %v", i, ranks, claims)
	}
	for _, r := range []struct{ method, path, body string }{
		{"GET", "/auth/v1/admin/users/" + bob.ID, ""},
		{"PUT", "/auth/v1/admin/users/" + bob.ID, `{"email":"ann2@town.example"}`},
		{"DELETE", "/auth/v1/admin/users/" + bob.ID, ""},
		{"GET", "/auth/v1/admin/users/" + bob.ID + "/factors", ""},
		{"DELETE", "/auth/v1/user/identities/" + bob.ID, ""},
		{"DELETE", "/auth/v1/factors/" + bob.ID, ""},
		{"GET", "/auth/v1/user/" + bob.ID, ""},
		{"PUT", "/auth/v1/user?id=" + bob.ID + "&user_id=" + bob.ID, `{"id":"` + bob.ID + `","password":"short"}`},
	} {
		a := n.do(t, r.method, r.path, r.body, ann.as())
		idor[authDoor].is(a.status >= 400 && a.status < 500 && telling(a) == "", "%s %s: %d %.200s", r.method, r.path, a.status, a.body)
	}
	n.want(t, 200, "GET", "/auth/v1/user", "", bob.as())
	for _, path := range []string{"/audit/v1/records?actor=" + ann.ID, "/audit/v1/records?actor=" + bob.ID, "/audit/v1/records/1", "/audit/v1/checkpoint", "/audit/v1/records?entity=town.docs&key=" + annsDoc, "/audit/v1/records?role=auditor"} {
		idor[auditDoor].status(n.node, 403, "GET", path, "", ann.as())
	}
	for _, method := range []string{"POST", "PUT", "PATCH", "DELETE", "OPTIONS2"} {
		for _, path := range []string{"/audit/v1/records", "/audit/v1/records/1", "/audit/v1/checkpoint"} {
			mass[auditDoor].refused(n.node, method, path, `{"role":"service","uid":null,"action":"x"}`, boss)
		}
	}
}

// boundKeys uses API keys beyond what they were made for.
func boundKeys(t *testing.T, n *town, bob person) {
	c := attackDoors(t, "9 keys beyond their bounds")
	key := func(args ...string) string {
		return "Apikey: " + decode[struct{ Key string }](t, answer{body: n.tell(t, append([]string{"keys", "create", "--name", "bound", "--json"}, args...)...)}).Key
	}
	narrow, machine := key("--module", "town"), key("--role", "member")
	if a := n.want(t, 200, "GET", docs+"?id=eq."+bobsDoc, "", narrow); a.body == "[]" {
		t.Error("a key of the module opens nothing of it")
	}
	for _, who := range []string{narrow, machine} {
		for _, path := range []string{"/rest/v1/users?select=email", "/rest/v1/users?select=id,docs(title)", docs + "?select=id,owner(email)&id=eq." + openDoc} {
			a := n.do(t, "GET", path, "", who)
			c[restDoor].is(telling(a) == "", "%s: %d %s", path, a.status, a.body)
		}
		for _, r := range []struct{ method, path, body string }{{"GET", "/auth/v1/admin/users", ""}, {"POST", "/auth/v1/admin/users", `{"email":"k@town.example"}`}, {"PUT", "/auth/v1/admin/users/" + bob.ID, `{"role":"admin"}`}, {"POST", "/auth/v1/invite", `{"email":"k@town.example"}`}, {"POST", "/auth/v1/admin/generate_link", `{"type":"magiclink","email":"bob@town.example"}`}} {
			c[authDoor].status(n.node, 403, r.method, r.path, r.body, who)
		}
		for _, path := range []string{"/audit/v1/records", "/audit/v1/records/1", "/audit/v1/checkpoint"} {
			c[auditDoor].status(n.node, 403, "GET", path, "", who)
		}
	}
	keysThroughDoors(t, n, c, narrow, machine)
	for _, path := range []string{docs + "?id=eq." + bobsDoc, "/rest/v1/ledgers", "/rest/v1/ranks?rank=eq.admin", "/rest/v1/nobody"} { // a machine has the rights of its roles
		a := n.do(t, "GET", path, "", machine)
		c[restDoor].is(a.status == 403 || a.body == "[]", "%s: %d %s", path, a.status, a.body)
	}
}
