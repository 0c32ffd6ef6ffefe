package attack

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

const factorySecret = "whsec-0f1e2d3c4b5a69788796a5b4c3d2e1f0" //nolint:gosec // of the test's own node

const factoryModule = `module: factory
entities:
  clients:
    fields: { id: { type: int, primary: true }, name: text, owner_id: { ref: auth.users, as: owner, on_delete: cascade } }
    policy: { read: "row.owner_id == auth.uid" }
  orders:
    fields:
      id:        { type: int, primary: true }
      owner_id:  { ref: auth.users, default: auth.uid, as: owner, on_delete: cascade }
      client_id: { ref: clients, optional: true }
      status:    { type: enum, values: [open, paid], default: open }
      note:      { type: text, optional: true }
      code:      { type: text, optional: true, hidden: true }
    policy:
      read:   "row.owner_id == auth.uid"
      create: "row.owner_id == auth.uid && row.status == 'open'"
      update: { when: "row.owner_id == auth.uid", fields: [note] }
operations:
  place:   { run: functions/place.ts, allow: "auth.uid != null", input: { id: int, note: { type: text, optional: true } }, output: orders }
  trust:   { run: functions/trust.ts, allow: "auth.uid != null", input: { id: int, row: json }, output: orders }
  patch:   { run: functions/patch.ts, allow: "auth.uid != null", input: { id: int, set: json }, output: { list: true, of: orders } }
  find:    { run: functions/find.ts, allow: "auth.uid != null", reads: true, input: { select: text, field: text, op: text, value: text, order: text }, output: { fields: { rows: json } } }
  leak:    { run: functions/leak.ts, allow: "auth.uid != null", input: { how: text }, output: orders }
  staff:   { run: functions/place.ts, allow: "'staff' in auth.roles", input: { id: int, note: { type: text, optional: true } } }
  secret:  { run: functions/secret.ts, allow: "true", input: { how: text }, output: { fields: { v: { type: json, optional: true } } }, secrets: ["secret:webhook"] }
  fetch:   { run: functions/fetch.ts, allow: "true", transaction: false, input: { url: text }, output: { fields: { v: json } } }
  stain:   { run: functions/stain.ts, allow: "true", input: { how: json }, output: { fields: { v: json } } }
  hostile: { run: functions/hostile.ts, allow: "true", timeout: 1s, input: { how: text }, output: { fields: { v: json } } }
functions:
  request: { run: functions/request.ts, allow: "true" }
  page:    { run: functions/page.ts, allow: "true" }
  secrets: { run: functions/secret.ts#http, allow: "true", secrets: ["secret:webhook"] }
  fetches: { run: functions/fetch.ts#http, allow: "true" }
  stains:  { run: functions/stain.ts#http, allow: "true" }
  storm:   { run: functions/hostile.ts#http, allow: "true", timeout: 1s }
integrations:
  partner: { url: "https://partner.example/api" }
`

// factoryCode is written as careless applications are.
func factoryCode() map[string]string {
	return map[string]string{
		"place.ts": `import { pando } from 'pando'
export default async (input: any) => pando.from('orders').insert(input).select().single()
`,
		"trust.ts": `import { pando } from 'pando'
export default async (input: any) => pando.from('orders').insert({ id: input.id, ...input.row }).select().single()
`,
		"patch.ts": `import { pando } from 'pando'
export default async (input: any) => pando.from('orders').update(input.set).eq('id', input.id).select()
`,
		"find.ts": `import { pando } from 'pando'
export default async (input: any) => {
  let q: any = pando.from('orders').select(input.select).filter(input.field, input.op, input.value)
  if (input.order) q = q.order(input.order)
  return { rows: await q }
}
`,
		"leak.ts": `import { pando } from 'pando'
export default async (input: any) => {
  const row: any = await pando.asService().from('orders').select().eq('id', 1).single()
  switch (input.how) {
    case 'member': return { ...row, code: 'S3CRET-CODE-77' }
    case 'select': return pando.asService().from('orders').select('*,code').eq('id', 1).single()
    case 'alias': return pando.asService().from('orders').select('id,owner_id,client_id,status,note:code').eq('id', 1).single()
    case 'filter': return pando.asService().from('orders').select().eq('code', 'S3CRET-CODE-77').single()
    case 'error': throw new Error('the row is ' + JSON.stringify(row) + ' S3CRET-CODE-77')
  }
}
`,
		"secret.ts": `import { pando } from 'pando'
const tell = async (how: string) => {
  const secret: any = await pando.secrets.get('webhook')
  switch (how) {
    case 'log': console.log('it is ' + secret); console.error({ deep: [secret] }); return null
    case 'throw': throw new Error('it is ' + secret)
    case 'stack': { const e = new Error('no'); e.stack = secret; throw e }
    case 'cause': throw new Error('no', { cause: secret })
    case 'reject': Promise.reject(new Error(secret)); return null
    case 'undeclared': return pando.secrets.get('jwt')
    case 'name': { const e = new Error('no'); e.name = secret; throw e }
  }
}
export default async (input: any) => ({ v: await tell(input.how) })
export const http = async (request: Request) => Response.json(await tell(new URL(request.url).searchParams.get('how')!))
`,
		"fetch.ts": `const ask = async (url: string) => { const r = await fetch(url); return [r.status, await r.text()] }
export default async (input: any) => ({ v: await ask(input.url) })
export const http = async (request: Request) => Response.json(await ask(new URL(request.url).searchParams.get('url')!))
`,
		"stain.ts": `const merge = (to: any, from: any) => { for (const k in from) typeof from[k] === 'object' && from[k] ? merge(to[k] ??= {}, from[k]) : to[k] = from[k]; return to }
let count = 0
const run = (how: any) => {
  count++
  const v = [count, ({} as any).admin ?? null, (globalThis as any).left ?? null]
  ;(globalThis as any).left = 'of another caller'
  merge({}, how)
  return v
}
export default async (input: any) => ({ v: run(input.how) })
export const http = async (request: Request) => Response.json(run(await request.json()))
`,
		"hostile.ts": `const storm = async (how: string): Promise<any> => {
  switch (how) {
    case 'loop': for (;;);
    case 'promise': return new Promise(() => {})
    case 'chain': { const f = async (): Promise<any> => { await null; return f() }; return f() }
    case 'regex': return /^(a+)+$/.test('a'.repeat(40) + 'b')
    case 'memory': { const a: any[] = []; for (;;) a.push(new Uint8Array(1 << 20).fill(1)) }
    case 'string': { let s = 'x'; for (;;) s += s }
    case 'deep': { const f = (): any => [f()]; return f() }
    case 'join': return new Array(1 << 24).fill('x'.repeat(100)).join(',')
    case 'result': return 'x'.repeat(100 << 20)
    case 'json': { let a: any = []; for (let i = 0; i < 1e6; i++) a = [a]; return a }
    case 'proxy': return new Proxy({}, { ownKeys: () => { for (;;); } })
    case 'timers': for (;;) setTimeout(() => {}, 1e6)
  }
}
export default async (input: any) => ({ v: await storm(input.how) })
export const http = async (request: Request) => Response.json(await storm(new URL(request.url).searchParams.get('how')!))
`,
		"request.ts": `export default async (request: Request, ctx: any) => Response.json({ auth: ctx.auth, headers: [...request.headers] })
`,
		"page.ts": `export default async (request: Request) => {
  const at = new URL(request.url).searchParams
  return new Response('<script>alert(1)</script>', { status: 200, headers: { 'content-type': at.get('type') ?? 'text/html', [at.get('name') ?? 'x-a']: at.get('value') ?? 'b' } })
}
`,
	}
}

// openFactory starts a node whose application has code.
func openFactory(t *testing.T) *town {
	t.Helper()
	dir := t.TempDir()
	files := map[string]string{
		"pando.yaml":           "app: factory\nroles: { staff: {} }\nauth:\n  jwt_secret: secret:jwt\n  site: https://town.example/home\n" + freely,
		"modules/factory.yaml": factoryModule,
	}
	for name, text := range factoryCode() {
		files["functions/"+name] = text
	}
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return serveTown(t, dir, "PANDO_SECRET_WEBHOOK="+factorySecret)
}

// TestCode attacks what the application's own code opens: careless code, hostile
// code, and what its callers choose.
func TestCode(t *testing.T) {
	t.Parallel()
	n := openFactory(t)
	ann, bob := n.member(t, "ann", nil), n.member(t, "bob", nil)
	rpc := func(op string) string { return "/rest/v1/rpc/" + op }
	n.want(t, 201, "POST", "/rest/v1/clients", encode([]object{{"id": 1, "name": "of ann", "owner_id": ann.ID}, {"id": 2, "name": "of bob", "owner_id": bob.ID}}), boss)
	n.want(t, 201, "POST", "/rest/v1/orders", encode([]object{
		{"id": 1, "owner_id": ann.ID, "client_id": 1, "note": "note of ann", "code": theCode},
		{"id": 2, "owner_id": bob.ID, "client_id": 2, "note": "note of bob", "code": "other"},
		{"id": 3, "owner_id": ann.ID, "client_id": 2, "note": "hers", "code": "other"},
	}), boss)
	state := func() string { return n.want(t, 200, "GET", "/rest/v1/orders?order=id", "", boss).body }
	t.Run("rows", func(t *testing.T) { codeRows(t, n, ann, bob, rpc, state) })
	t.Run("callers", func(t *testing.T) { codeCallers(t, n, ann, bob, rpc) })
	t.Run("secrets", func(t *testing.T) { codeSecrets(t, n, rpc) })
	t.Run("outside", func(t *testing.T) { codeOutside(t, n, rpc) })
	t.Run("stains", func(t *testing.T) { codeStains(t, n, rpc) })
	t.Run("pages", func(t *testing.T) { codePages(t, n) })
	t.Run("hostile", func(t *testing.T) { codeHostile(t, n, rpc) })
	n.want(t, 200, "GET", "/rest/v1/orders?id=eq.1", "", boss)
}

func codeRows(t *testing.T, n *town, ann, bob person, rpc func(string) string, state func() string) {
	assign := attackDoor(t, rpcDoor, "8 mass assignment through an operation")
	before := state()
	for _, body := range []object{
		{"id": 10, "owner_id": bob.ID}, {"id": 10, "status": "paid"}, {"id": 10, "code": "x"}, {"id": 10, "note": "x", "__proto__": object{"status": "paid"}}, {"id": 10, "ID": 11},
	} {
		assign.status(n.node, 422, "POST", rpc("place"), encode(body), ann.as())
	}
	for _, row := range []object{{"owner_id": bob.ID}, {"status": "paid"}, {"owner_id": nil}, {"status": "paid", "note": "x"}, {"nothing": 1}} {
		a := n.do(t, "POST", rpc("trust"), encode(object{"id": 10, "row": row}), ann.as())
		assign.is(a.status >= 400 && a.status < 500, "a row of %v: %d %s", row, a.status, a.body)
	}
	assign.is(state() == before, "the rows have changed: %s", state())

	idor := attackDoor(t, rpcDoor, "9 rows of others through an operation")
	for _, body := range []object{
		{"id": 2, "set": object{"note": "hacked"}},
		{"id": 1, "set": object{"owner_id": bob.ID}},
		{"id": 1, "set": object{"status": "paid"}},
		{"id": 1, "set": object{"id": 2}},
		{"id": 2, "set": object{"owner_id": ann.ID}},
		{"id": 1, "set": []object{{"note": "x"}, {"note": "y"}}},
	} {
		a := n.do(t, "POST", rpc("patch"), encode(body), ann.as())
		idor.is(a.status >= 400 && a.status < 500 || a.status == 200 && strings.TrimSpace(a.body) == "[]", "%v: %d %s", body, a.status, a.body)
	}
	idor.is(state() == before, "the rows have changed: %s", state())
	idor.status(n.node, 422, "POST", rpc("patch"), `{"id":"1) or (1=1","set":{"note":"x"}}`, ann.as())

	hidden := attackDoor(t, rpcDoor, "1 hidden fields through an operation")
	find := func(select_, field, op, value, order string) answer {
		return n.do(t, "POST", rpc("find"), encode(object{"select": select_, "field": field, "op": op, "value": value, "order": order}), ann.as())
	}
	for _, q := range [][5]string{
		{"id", "code", "eq", theCode, ""},
		{"id", "code", "like", "S3C*", ""},
		{"id,code", "id", "eq", "1", ""},
		{"id,x:code", "id", "eq", "1", ""},
		{"id", "id", "gt", "0", "code"},
		{"code.max()", "id", "gt", "0", ""},
		{"id", "or", "eq", "(code.eq.x)", ""},
		{"id", "owner.encrypted_password", "not.is", "null", ""},
		{"id", "id", "gt", "0", "code.desc&code=eq.x"},
	} {
		a := find(q[0], q[1], q[2], q[3], q[4])
		hidden.is(a.status >= 400 && a.status < 500 && leaks(a) == "", "%v: %d %s", q, a.status, a.body)
	}
	for _, how := range []string{"member", "select", "alias", "filter", "error"} {
		a := n.do(t, "POST", rpc("leak"), encode(object{"how": how}), bob.as())
		hidden.is(a.status >= 400 && leaks(a) == "" && !strings.Contains(a.body, "note of ann"), "an output by %s: %d %s", how, a.status, a.body)
	}

	embed := attackDoor(t, rpcDoor, "5 embedding past a rule through an operation")
	for _, q := range [][2]string{
		{"id,client(name)", "id"}, {"id,client!inner(name)", "id"}, {"id,...client(name)", "id"}, {"id,clients(name,owner_id)", "id"}, {"id,c:client(*)", "id"}, {"id,owner(email)", "id"},
	} {
		a := find(q[0], q[1], "gt", "0", "")
		embed.is(!strings.Contains(a.body, "of bob") && !strings.Contains(a.body, bob.Email) && !strings.Contains(a.body, "encrypted"), "%v: %d %s", q, a.status, a.body)
	}

	denied := attackDoor(t, rpcDoor, "40 denials that leave no trace")
	for i := range least {
		denied.status(n.node, 403, "POST", rpc("staff"), fmt.Sprintf(`{"id":%d}`, 100+i), bob.as())
	}
	trail := n.tell(t, "audit", "search", "--json")
	denied.is(strings.Count(trail, "factory.staff.allow") >= least, "%d of %d denials are on record", strings.Count(trail, "factory.staff.allow"), least)
}

func codeCallers(t *testing.T, n *town, ann, bob person, rpc func(string) string) {
	keys := attackDoor(t, rpcDoor, "35 an idempotency key of two callers")
	body := `{"id":50,"note":"private of ann"}`
	first := n.want(t, 200, "POST", rpc("place"), body, ann.as(), "Idempotency-Key: shared")
	for what, header := range map[string][]string{
		"another user":        {bob.as(), "Idempotency-Key: shared"},
		"the anonymous":       {"Idempotency-Key: shared"},
		"the service":         {boss, "Idempotency-Key: shared"},
		"a forged user":       {bob.as(), "Idempotency-Key: shared", "X-User-Id: " + ann.ID},
		"another query":       {bob.as(), "Idempotency-Key: shared", "Prefer: handling=lenient"},
		"another user's case": {bob.as(), "idempotency-key: shared"},
	} {
		a := n.do(t, "POST", rpc("place"), body, header...)
		keys.is(!strings.Contains(a.body, "private of ann") && a.header.Get("Idempotency-Replayed") == "" || a.status == 409, "%s: %d %s", what, a.status, a.body)
	}
	again := n.do(t, "POST", rpc("place"), body, ann.as(), "Idempotency-Key: shared")
	keys.is(again.body == first.body && again.header.Get("Idempotency-Replayed") == "true", "the caller itself: %d %s", again.status, again.body)

	forged := attackDoor(t, functionsDoor, "17 identity headers for code")
	for _, header := range []string{"X-User-Id: " + ann.ID, "X-Forwarded-User: ann", "X-Role: service", "Cookie: sb-access-token=" + ann.token, "Proxy-Authorization: Bearer " + ann.token, "X-Client-Claims: {\"role\":\"service\"}"} {
		a := n.do(t, "GET", "/functions/v1/request", "", bob.as(), header)
		told := decode[struct {
			Auth struct{ UID, Role string }
		}](t, a)
		forged.is(told.Auth.UID == bob.ID && told.Auth.Role == "authenticated" && !strings.Contains(a.body, ann.token) && !strings.Contains(a.body, bob.token) && !strings.Contains(a.body, publishable),
			"%.40s: %s", header, a.body)
	}
}

func codeSecrets(t *testing.T, n *town, rpc func(string) string) {
	ops, fns := attackDoor(t, rpcDoor, "39 secrets of code"), attackDoor(t, functionsDoor, "39 secrets of code")
	for _, how := range []string{"log", "throw", "stack", "cause", "reject", "undeclared", "name"} {
		a := n.do(t, "POST", rpc("secret"), encode(object{"how": how}))
		ops.is(!strings.Contains(a.body, factorySecret) && !strings.Contains(a.body, jwtSecret), "%s: %d %s", how, a.status, a.body)
		a = n.do(t, "GET", "/functions/v1/secrets?how="+how, "")
		fns.is(!strings.Contains(a.body, factorySecret) && !strings.Contains(a.body, jwtSecret), "%s: %d %s", how, a.status, a.body)
	}
	log := n.log.String() + n.out.String()
	for _, c := range []*class{ops, fns} {
		c.is(!strings.Contains(log, factorySecret) && !strings.Contains(log, jwtSecret), "the log holds a secret")
		c.is(strings.Contains(log, "it is "), "the log holds nothing of what code logs")
	}
}

func codeOutside(t *testing.T, n *town, rpc func(string) string) {
	ops, fns := attackDoor(t, rpcDoor, "29 requests that code is made to send"), attackDoor(t, functionsDoor, "29 requests that code is made to send")
	for _, url := range []string{
		"http://169.254.169.254/latest/meta-data/", n.url + "/rest/v1/orders", "http://" + strings.TrimPrefix(n.ops, "http://") + "/metrics", "http://[::1]/", "http://0x7f000001/",
		"https://partner.example.evil.example/api", "https://partner.example/api/../admin", "https://partner.example@127.0.0.1/api/", "file:///etc/passwd", "partner://127.0.0.1/", "//127.0.0.1/",
	} {
		a := n.do(t, "POST", rpc("fetch"), encode(object{"url": url}))
		ops.is(a.status >= 400 && !strings.Contains(a.body, "pando_"), "%s: %d %s", url, a.status, a.body)
		a = n.do(t, "GET", "/functions/v1/fetches?url="+strings.NewReplacer("%", "%25", "&", "%26", "#", "%23").Replace(url), "")
		fns.is(a.status >= 400 && !strings.Contains(a.body, "pando_"), "%s: %d %s", url, a.status, a.body)
	}
}

func codeStains(t *testing.T, n *town, rpc func(string) string) {
	ops, fns := attackDoor(t, rpcDoor, "38 prototypes that calls share"), attackDoor(t, functionsDoor, "38 prototypes that calls share")
	for _, how := range []string{
		`{"__proto__":{"admin":true}}`, `{"constructor":{"prototype":{"admin":true}}}`, `{"a":{"__proto__":{"admin":true}}}`, `{"__proto__":{"toString":null,"admin":1}}`, `{"a":{"constructor":{"prototype":{"admin":1}}}}`,
	} {
		n.do(t, "POST", rpc("stain"), `{"how":`+how+`}`)
		a := n.do(t, "POST", rpc("stain"), `{"how":{}}`)
		ops.is(strings.TrimSpace(a.body) == `{"v":[1,null,null]}`, "after %s: %d %s", how, a.status, a.body)
		n.do(t, "POST", "/functions/v1/stains", how)
		a = n.do(t, "POST", "/functions/v1/stains", `{}`)
		fns.is(strings.TrimSpace(a.body) == `[1,null,null]`, "after %s: %d %s", how, a.status, a.body)
	}
}

func codePages(t *testing.T, n *town) {
	c := attackDoor(t, functionsDoor, "31 pages of code on this origin")
	for _, query := range []string{
		"", "type=image/svg%2Bxml", "type=application/xhtml%2Bxml", "name=x-content-type-options&value=sniff", "name=access-control-allow-origin&value=*", "type=text/plain",
		"name=content-security-policy&value=", "name=x-a&value=b%0d%0aContent-Security-Policy:%20none",
	} {
		a := n.do(t, "GET", "/functions/v1/page?"+query, "")
		h := a.header
		c.is(a.status >= 400 || h.Get("Content-Security-Policy") == "sandbox" && slices.Equal(h["X-Content-Type-Options"], []string{"nosniff"}) && h.Get("Access-Control-Allow-Origin") == "", "%s: %d %v", query, a.status, h)
	}
}

// pace is the median and the 99th percentile of the time that plain requests take.
func pace(t *testing.T, n *town) (p50, p99 time.Duration) {
	t.Helper()
	took := make([]time.Duration, 200)
	for i := range took {
		start := time.Now()
		n.want(t, 200, "GET", "/rest/v1/clients?select=id", "", boss)
		took[i] = time.Since(start)
	}
	slices.Sort(took)
	return took[len(took)/2], took[len(took)*99/100]
}

func codeHostile(t *testing.T, n *town, rpc func(string) string) {
	ops, fns := attackDoor(t, rpcDoor, "37 bombs in code"), attackDoor(t, functionsDoor, "37 bombs in code")
	kinds := []string{"loop", "promise", "chain", "regex", "memory", "string", "deep", "join", "result", "json", "proxy", "timers"}
	const limit, grace = time.Second, time.Second
	ask := func(c *class, kind, method, path, body string) {
		start := time.Now()
		a := n.do(t, method, path, body)
		took := time.Since(start)
		c.is(a.status >= 400 && took < limit+grace, "%s: %d after %s: %.100s", kind, a.status, took, a.body)
	}
	for _, kind := range kinds {
		ask(ops, kind, "POST", rpc("hostile"), encode(object{"how": kind}))
		ask(fns, kind, "GET", "/functions/v1/storm?how="+kind, "")
	}
	pace(t, n)
	alone50, alone99 := pace(t, n)
	done, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		busy := make(chan struct{}, 8)
		for i := 0; ; i++ {
			select {
			case <-done:
				for range cap(busy) {
					busy <- struct{}{}
				}
				return
			case busy <- struct{}{}:
			}
			go func() {
				defer func() { <-busy }()
				_, _ = n.request("POST", rpc("hostile"), encode(object{"how": kinds[i%4]})) // it is refused, as above
			}()
		}
	}()
	beside50, beside99 := pace(t, n)
	close(done)
	<-ended
	t.Logf("of 200 reads, p50 and p99: %s and %s alone, %s and %s beside eight calls that never end", alone50, alone99, beside50, beside99)
	ops.is(beside50 < 4*alone50+20*time.Millisecond, "half of the reads took more than %s beside hostile code, %s without", beside50, alone50)
}
