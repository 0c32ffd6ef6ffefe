package functions

import (
	"context"
	"encoding/json"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pandobase/pando/internal/fault"
)

// TestWeb runs expressions of the web's interfaces in an isolate.
func TestWeb(t *testing.T) {
	cases := []struct{ name, code, want string }{
		{"encoder", `Array.from(new TextEncoder().encode("aé€😀\ud800"))`, `[97,195,169,226,130,172,240,159,152,128,239,191,189]`},
		{"decoder", `new TextDecoder().decode(new Uint8Array([0xef,0xbb,0xbf,0x61,0xf0,0x9f,0x98,0x80,0xff,0xe2,0x82,0x62,0xed,0xa0,0x80]))`, `"a😀\ufffd\ufffdb\ufffd\ufffd\ufffd"`},
		{"fatal decoder", `(() => { try { new TextDecoder("utf-8", { fatal: true }).decode(new Uint8Array([255])); } catch (e) { return e.name; } })()`, `"TypeError"`},
		{"decoder in parts", `(() => { const d = new TextDecoder(); return d.decode(new Uint8Array([0xf0,0x9f]), { stream: true }) + d.decode(new Uint8Array([0x98,0x80])); })()`, `"😀"`},
		{"digest", `crypto.subtle.digest("SHA-256", new TextEncoder().encode("abc")).then((b) => new Uint8Array(b).toHex())`, `"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"`},
		{"digest of a part", `crypto.subtle.digest({ name: "sha-1" }, new Uint8Array([0, 97, 98, 99, 0]).subarray(1, 4)).then((b) => new Uint8Array(b).toHex())`, `"a9993e364706816aba3e25717850c26c9cd0d89d"`},
		{"hmac", `(async () => {
			const key = await crypto.subtle.importKey("raw", new TextEncoder().encode("Jefe"), { name: "HMAC", hash: "SHA-256" }, false, ["sign", "verify"]);
			const data = new TextEncoder().encode("what do ya want for nothing?");
			const mac = await crypto.subtle.sign("HMAC", key, data);
			const wrong = new Uint8Array(mac).map((b, i) => i ? b : b ^ 1);
			return [new Uint8Array(mac).toHex(), await crypto.subtle.verify("HMAC", key, mac, data), await crypto.subtle.verify("HMAC", key, wrong, data)];
		})()`, `["5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",true,false]`}, // RFC 4231, 4.3
		{"uuid", `/^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/.test(crypto.randomUUID())`, `true`},
		{"random range", `(() => { for (let i = 0; i < 1000; i++) { const r = Math.random(); if (!(r >= 0 && r < 1)) return r; } return "ok"; })()`, `"ok"`},
		{"base64", `[btoa("hallo"), atob("aGFsbG8=")]`, `["aGFsbG8=","hallo"]`},
		{"clone", `(() => { const a: any = { d: new Date(5), m: new Map([[1, { x: 1 }]]), s: new Set([1]), u: new Uint8Array([1, 2]), e: new RangeError("r") }; a.self = a;
			const b = structuredClone(a); return [b !== a, b.self === b, b.d.getTime(), b.m.get(1).x, b.s.has(1), b.u[1], b.e instanceof RangeError]; })()`, `[true,true,5,1,true,2,true]`},
		{"clone of a function", `(() => { try { structuredClone(() => 1); } catch (e) { return e.name; } })()`, `"DataCloneError"`},
		{"abort", `(() => { const c = new AbortController(); const seen = []; c.signal.addEventListener("abort", () => seen.push(c.signal.reason.name)); c.abort(); c.abort(); return [seen, c.signal.aborted]; })()`, `[["AbortError"],true]`},
		{"abort timeout", `new Promise((r) => { const s = AbortSignal.any([AbortSignal.timeout(5)]); s.onabort = () => r(s.reason.name); })`, `"TimeoutError"`},
		{"timers in order", `new Promise((r) => { const out: any[] = []; setTimeout(() => { out.push("c"); r(out); }, 20); setTimeout((x) => out.push(x), 1, "b"); Promise.resolve().then(() => out.push("a")); clearTimeout(setTimeout(() => out.push("no"), 2)); })`, `["a","b","c"]`},
		{"interval", `new Promise((r) => { let n = 0; const id = setInterval(() => { if (++n === 3) { clearInterval(id); r(n); } }, 1); })`, `3`},
		{"microtask", `new Promise((r) => queueMicrotask(() => r(1)))`, `1`},
		{"performance", `(() => { const a = performance.now(); return a >= 0 && a < 1e4 && performance.now() >= a; })()`, `true`},
		{"headers", `(() => { const h = new Headers({ "X-B": "2", a: " 1 " }); h.append("x-b", "3"); h.append("set-cookie", "p=1"); h.append("set-cookie", "q=2"); return [[...h], h.get("A"), h.has("none")]; })()`, `[[["a","1"],["set-cookie","p=1"],["set-cookie","q=2"],["x-b","2, 3"]],"1",false]`},
		{"bad header", `(() => { try { new Headers({ "a b": "x" }); } catch (e) { return e.name; } })()`, `"TypeError"`},
		{"response", `(async () => { const r = Response.json({ a: 1 }, { status: 201 }); return [r.status, r.ok, r.headers.get("content-type"), await r.clone().json(), await r.text(), r.bodyUsed]; })()`, `[201,true,"application/json",{"a":1},"{\"a\":1}",true]`},
		{"request", `(async () => { const r = new Request("https://x.example/a?b", { method: "post", body: new URLSearchParams({ a: "1 2" }) }); return [r.method, r.url, r.headers.get("content-type"), await r.text()]; })()`, `["POST","https://x.example/a?b","application/x-www-form-urlencoded;charset=UTF-8","a=1+2"]`},
		{"params", `(() => { const p = new URLSearchParams("?a=1&b=%C3%A4+x&a=2"); p.append("c", "&="); p.delete("a", "1"); return [String(p), p.get("b"), p.getAll("a"), p.size]; })()`, `["b=%C3%A4+x&a=2&c=%26%3D","ä x",["2"],3]`},
		{
			"url members", `(() => { const u = new URL("HTTP://us%20er:pa:ss@EXAMPLE.com:80/a/../b/./c?q=1#f"); return [u.href, u.origin, u.username, u.password, u.host, u.pathname, u.search, u.hash]; })()`,
			`["http://us%20er:pa%3Ass@example.com/b/c?q=1#f","http://example.com","us%20er","pa%3Ass","example.com","/b/c","?q=1","#f"]`,
		},
		{"url setters", `(() => { const u = new URL("https://a.example/x"); u.searchParams.set("q", "ä b"); u.pathname = "/y z"; u.port = "8443"; u.hash = "h"; u.hostname = "b.example"; return u.href; })()`, `"https://b.example:8443/y%20z?q=%C3%A4+b#h"`},
		{"no env", `[typeof process, typeof Bun, typeof Deno, typeof std, typeof os]`, `["undefined","undefined","undefined","undefined","undefined"]`},
		{"zone", `new Date(0).getTimezoneOffset()`, `0`},
	}
	var source strings.Builder
	for i, c := range cases {
		source.WriteString("export const f" + string(rune('a'+i/26)) + string(rune('a'+i%26)) + " = async () => (" + c.code + ");\n")
	}
	rt, _ := start(t, map[string]string{one: source.String()})
	for i, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			got, err := invoke(t, rt, Call{Export: "f" + string(rune('a'+i/26)) + string(rune('a'+i%26))})
			var a, b any
			if err == nil && json.Unmarshal([]byte(got), &a) == nil && json.Unmarshal([]byte(c.want), &b) == nil {
				if x, _ := json.Marshal(a); string(x) == mustJSON(b) {
					return
				}
			}
			t.Errorf("got %s, %v, want %s", got, err, c.want)
		})
	}
}

func mustJSON(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return string(b)
}

// TestURL resolves URLs as the WHATWG's tests expect it (url/resources/urltestdata.json).
func TestURL(t *testing.T) {
	rt, _ := start(t, map[string]string{one: `export default (list: [string, string | null][]) => list.map(([u, b]) => URL.parse(u, b ?? undefined)?.href ?? null);`})
	cases := []struct{ url, base, want string }{
		{"http://example\t.\norg", "", "http://example.org/"},
		{"http://user:pass@foo:21/bar;par?b#c", "", "http://user:pass@foo:21/bar;par?b#c"},
		{"https:foo.com", "", "https://foo.com/"},
		{"http:foo.com", "http://example.org/foo/bar", "http://example.org/foo/foo.com"},
		{"\t   :foo.com   \n", "http://example.org/foo/bar", "http://example.org/foo/:foo.com"},
		{" foo.com  ", "http://example.org/foo/bar", "http://example.org/foo/foo.com"},
		{"http://f:0/c", "", "http://f:0/c"},
		{"http://f:00000000000080/c", "", "http://f/c"},
		{"http://f:65536/c", "", ""},
		{"http://f:b/c", "", ""},
		{"http://f: /c", "", ""},
		{"http://f:\n/c", "", "http://f/c"},
		{"", "http://example.org/foo/bar", "http://example.org/foo/bar"},
		{"", "", ""},
		{":/", "http://example.org/foo/bar", "http://example.org/foo/:/"},
		{"#", "http://example.org/foo/bar", "http://example.org/foo/bar#"},
		{"?", "http://example.org/foo/bar", "http://example.org/foo/bar?"},
		{"\\x", "http://example.org/foo/bar", "http://example.org/x"},
		{"//foo/bar", "http://example.org/foo/bar", "http://foo/bar"},
		{"/", "http://example.org/foo/bar", "http://example.org/"},
		{"..", "http://example.org/a/b/c", "http://example.org/a/"},
		{"http://[1::2]:3:4", "", ""},
		{"http://2001::1", "", ""},
		{"http://[::1]/", "", "http://[::1]/"},
		{"http://[1:0:0:2:0:0:0:3]", "", "http://[1:0:0:2::3]/"},
		{"http://[::127.0.0.1]", "", "http://[::7f00:1]/"},
		{"http://[0:0:0:0:0:0:13.1.68.3]", "", "http://[::d01:4403]/"},
		{"http://[::1", "", ""},
		{"http://[www.google.com]/", "", ""},
		{"http://0x7f.1/", "", "http://127.0.0.1/"},
		{"http://192.0x00A80001", "", "http://192.168.0.1/"},
		{"http://256.256.256.256", "", ""},
		{"http://1.2.3.4.5/", "", ""},
		{"http://foo.0x", "", ""},
		{"http://4294967296/", "", ""},
		{"http://0300.168.0.1/", "", "http://192.168.0.1/"},
		{"http://a b/", "", ""},
		{"http://a%20b/", "", ""},
		{"http://ExAmPlE%2ecom/", "", "http://example.com/"},
		{"http://", "", ""},
		{"http://@/", "", ""},
		{"http://::@c@d:2", "", "http://:%3A%40c@d:2/"},
		{"http://faß.example/", "", "http://xn--fa-hia.example/"},
		{"http://☕.example", "", "http://xn--53h.example/"},
		{"mailto:a@b.c", "", "mailto:a@b.c"},
		{"data:text/plain,x y#z w", "", "data:text/plain,x y#z%20w"},
		{"x", "mailto:a@b.c", ""},
		{"#x", "mailto:a@b.c", "mailto:a@b.c#x"},
		{"file:///c:/a/../b", "", "file:///c:/b"},
		{"file:c:\\foo\\bar", "", "file:///c:/foo/bar"},
		{"file://localhost/x", "", "file:///x"},
		{"/a", "file:///tmp/x", "file:///a"},
		{"http://a/%7Efoo/%zz/ä", "", "http://a/%7Efoo/%zz/%C3%A4"},
		{"http://a/b/%2e%2E/c", "", "http://a/c"},
		{"http://a/b/.", "", "http://a/b/"},
		{"foo://a/../b?c'd", "", "foo://a/b?c'd"},
		{"http://a/?c'd", "", "http://a/?c%27d"},
		{"non-special://h:80x/", "", ""},
		{"a:b:c/d", "", "a:b:c/d"},
		{"web+demo:/.//not-a-host/", "", "web+demo:/.//not-a-host/"},
	}
	var in [][2]*string
	for _, c := range cases {
		pair := [2]*string{&c.url, nil}
		if c.base != "" {
			pair[1] = &c.base
		}
		in = append(in, pair)
	}
	got, err := invoke(t, rt, Call{Input: json.RawMessage(mustJSON(in))})
	if err != nil {
		t.Fatal(err)
	}
	var out []*string
	if err := json.Unmarshal([]byte(got), &out); err != nil {
		t.Fatal(err)
	}
	for i, c := range cases {
		href := ""
		if out[i] != nil {
			href = *out[i]
		}
		if href != c.want {
			t.Errorf("%q on %q is %q, want %q", c.url, c.base, href, c.want)
		}
	}
}

// recorded is a host that keeps what it is asked, and answers by method.
type recorded struct {
	mu      sync.Mutex
	asked   []string
	answers map[string]string
}

func (h *recorded) Call(_ context.Context, method string, body []byte) ([]byte, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.asked = append(h.asked, method+" "+string(body))
	if a, ok := h.answers[method]; ok {
		return []byte(a), nil
	}
	return nil, fault.New(fault.NotFound, "no %s", method).WithDetails("none").WithHint("try another").WithStatus(410)
}

// TestClient runs statements with the client and compares what the host is
// asked, and what the function sees.
func TestClient(t *testing.T) {
	rows := `{"status":200,"count":7,"body":[{"id":1}]}`
	cases := []struct{ name, code, asked, want, answer string }{
		{
			name: "select", code: `pando.from("orders").select("id, status, lines(qty)").eq("status", "open").gt("total", 5).order("created_at", { ascending: false }).order("id").limit(3)`,
			asked: `rows {"service":false,"method":"GET","module":"","entity":"orders","query":"select=id%2Cstatus%2Clines(qty)&status=eq.open&total=gt.5&order=created_at.desc%2Cid.asc&limit=3","prefer":"","single":false}`, want: `[{"id":1}]`,
		},
		{
			name: "module, service, operators", code: `pando.asService().schema("catalog").from("products").select().in("sku", ["a,b", "c"]).is("gone", null).not("name", "ilike", "%x%").or("a.eq.1,b.eq.2").contains("tags", ["x y", "z"]).textSearch("name", "fat", { type: "websearch" }).range(10, 19)`,
			asked: `rows {"service":true,"method":"GET","module":"catalog","entity":"products","query":"select=*&sku=in.(%22a%2Cb%22%2Cc)&gone=is.null&name=not.ilike.%25x%25&or=(a.eq.1%2Cb.eq.2)&tags=cs.%7B%22x%20y%22%2Cz%7D&name=wfts.fat&offset=10&limit=10","prefer":"","single":false}`, want: `[{"id":1}]`,
		},
		{
			name: "single", code: `pando.from("orders").select().eq("id", 1).single()`, answer: `{"status":200,"count":null,"body":{"id":1}}`,
			asked: `rows {"service":false,"method":"GET","module":"","entity":"orders","query":"select=*&id=eq.1","prefer":"","single":true}`, want: `{"id":1}`,
		},
		{name: "maybeSingle of none", code: `pando.from("orders").select().maybeSingle()`, answer: `{"status":200,"count":null,"body":[]}`, want: `null`},
		{name: "maybeSingle of many", code: `pando.from("orders").select().maybeSingle().catch((e) => [e.code, e.status])`, answer: `{"status":200,"count":null,"body":[1,2]}`, want: `["PGRST116",406]`},
		{
			name: "count", code: `pando.from("orders").select("*", { count: "exact", head: true })`,
			asked: `rows {"service":false,"method":"HEAD","module":"","entity":"orders","query":"select=*","prefer":"count=exact","single":false}`, want: `{"rows":null,"count":7}`,
		},
		{
			name: "insert", code: `pando.from("orders").insert([{ a: 1 }, { b: 2 }])`,
			asked: `rows {"service":false,"method":"POST","module":"","entity":"orders","query":"columns=%22a%22%2C%22b%22","prefer":"return=minimal","single":false,"body":[{"a":1},{"b":2}]}`, want: `null`,
		},
		{
			name: "insert and select", code: `pando.from("orders").insert({ a: 1 }).select("id").single()`, answer: `{"status":201,"count":null,"body":{"id":1}}`,
			asked: `rows {"service":false,"method":"POST","module":"","entity":"orders","query":"select=id","prefer":"return=representation","single":true,"body":{"a":1}}`, want: `{"id":1}`,
		},
		{
			name: "upsert", code: `pando.from("orders").upsert({ a: 1 }, { onConflict: "a", ignoreDuplicates: true })`,
			asked: `rows {"service":false,"method":"POST","module":"","entity":"orders","query":"on_conflict=a","prefer":"return=minimal,resolution=ignore-duplicates","single":false,"body":{"a":1}}`, want: `null`,
		},
		{
			name: "update", code: `pando.from("orders").update({ a: 2 }).match({ id: 1, b: "x" })`,
			asked: `rows {"service":false,"method":"PATCH","module":"","entity":"orders","query":"id=eq.1&b=eq.x","prefer":"return=minimal","single":false,"body":{"a":2}}`, want: `null`,
		},
		{
			name: "delete", code: `pando.from("orders").delete().eq("id", 1)`,
			asked: `rows {"service":false,"method":"DELETE","module":"","entity":"orders","query":"id=eq.1","prefer":"return=minimal","single":false}`, want: `null`,
		},
		{name: "operation", code: `pando.operations.orders.place({ a: 1 })`, answer: `{"done":true}`, asked: `operation {"service":false,"name":"orders.place","input":{"a":1}}`, want: `{"done":true}`},
		{name: "operation by name", code: `pando.asService().operations.call("orders.place", { a: 1 })`, answer: `1`, asked: `operation {"service":true,"name":"orders.place","input":{"a":1}}`, want: `1`},
		{name: "publish", code: `pando.events.publish("orders.noted", { a: 1 })`, answer: `{"id":"e"}`, asked: `publish {"name":"orders.noted","data":{"a":1}}`, want: `{"id":"e"}`},
		{
			name: "enqueue", code: `pando.jobs.enqueue("orders.send", { a: 1 }, { at: new Date(0), unique: "u", priority: 2 })`, answer: `{"id":"j"}`,
			asked: `enqueue {"name":"orders.send","input":{"a":1},"at":"1970-01-01T00:00:00.000Z","unique":"u","priority":2}`, want: `{"id":"j"}`,
		},
		{name: "progress", code: `pando.jobs.progress(0.5, "half")`, answer: `null`, asked: `progress {"fraction":0.5,"message":"half"}`, want: `null`},
		{name: "secret", code: `pando.secrets.get("x")`, answer: `"s"`, asked: `secret {"name":"x"}`, want: `"s"`},
		{name: "files", code: `(async () => { try { await pando.files.put("x"); } catch (e) { return [e.code, e.status]; } })()`, want: `["PGRST127",501]`},
		{name: "problem", code: `pando.secrets.get("x").catch((e) => [e instanceof PandoError, e.name, e.code, e.message, e.details, e.hint, e.status])`, want: `[true,"PandoError","not_found","no secret","none","try another",410]`},
		{
			name: "fetch", code: `fetch("https://x.example/a", { method: "POST", body: "hallo", headers: { a: "b" } }).then(async (r) => [r.status, r.headers.get("x"), await r.text(), r.url])`,
			answer: `{"status":418,"headers":[["x","y"]],"body":"aGk=","url":"https://x.example/b"}`,
			asked:  `fetch {"url":"https://x.example/a","method":"POST","headers":[["a","b"],["content-type","text/plain;charset=UTF-8"]],"body":"aGFsbG8="}`, want: `[418,"y","hi","https://x.example/b"]`,
		},
		{
			name: "integration", code: `pando.integrations.payments.fetch("/v1/charges?x=1").then((r) => r.status)`, answer: `{"status":204,"headers":[],"body":null,"url":""}`,
			asked: `fetch {"integration":"payments","path":"/v1/charges?x=1","url":"https://payments.integration.invalid/v1/charges?x=1","method":"GET","headers":[],"body":null}`, want: `204`,
		},
		{name: "not twice", code: `(async () => { const q = pando.secrets.get("x"); const r = pando.from("a").select(); return [await r, await r, await q.catch(() => 1)].length; })()`, want: `3`},
	}
	var source strings.Builder
	source.WriteString("import { pando, PandoError } from 'pando';\nvoid PandoError;\n")
	for i, c := range cases {
		source.WriteString("export const f" + string(rune('a'+i)) + " = () => " + c.code + ";\n")
	}
	rt, _ := start(t, map[string]string{one: source.String()})
	for i, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			host := &recorded{answers: map[string]string{"rows": rows}}
			if c.answer != "" {
				method, _, _ := strings.Cut(c.asked, " ")
				fill(&method, "rows")
				host.answers[method] = c.answer
			}
			got, err := invoke(t, rt, Call{Export: "f" + string(rune('a'+i)), Host: host})
			if err != nil || got != c.want {
				t.Errorf("got %s, %v, want %s", got, err, c.want)
			}
			if c.asked != "" && strings.Join(host.asked, "\n") != c.asked {
				t.Errorf("asked\n%s\nwant\n%s", strings.Join(host.asked, "\n"), c.asked)
			}
		})
	}
}

// TestHTTP runs HTTP functions.
func TestHTTP(t *testing.T) {
	rt, _ := start(t, map[string]string{one: `
export default async (request: Request, ctx: any) => {
  const body = request.method === "POST" ? await request.bytes() : new Uint8Array();
  return new Response(body.map((b) => b ^ 1), { status: 207, headers: { "x-url": new URL(request.url).pathname, "x-h": request.headers.get("x-in") ?? "", "x-id": ctx.requestId } });
};
export const none = async () => new Response(null, { status: 204 });
export const wrong = async () => ({ status: 200 });
`})
	in := HTTPRequest{Method: "POST", URL: "https://a.example/functions/v1/one?q=1", Headers: [][2]string{{"X-In", "1"}}, Body: []byte{0, 1, 255}}
	got, err := invoke(t, rt, Call{Kind: KindHTTP, Input: json.RawMessage(mustJSON(in)), Context: json.RawMessage(`{"requestId":"r"}`)})
	if err != nil {
		t.Fatal(err)
	}
	var out HTTPResponse
	if err := json.Unmarshal([]byte(got), &out); err != nil {
		t.Fatal(err)
	}
	if want := `{"status":207,"headers":[["x-h","1"],["x-id","r"],["x-url","/functions/v1/one"]],"body":"AQD+"}`; mustJSON(out) != want {
		t.Errorf("got %s, want %s", mustJSON(out), want)
	}
	in = HTTPRequest{Method: "GET", URL: "https://a.example/"}
	if got, err := invoke(t, rt, Call{Kind: KindHTTP, Export: "none", Input: json.RawMessage(mustJSON(in))}); got != `{"status":204,"headers":[],"body":null}` {
		t.Errorf("got %s, %v", got, err)
	}
	if _, err := invoke(t, rt, Call{Kind: KindHTTP, Export: "wrong", Input: json.RawMessage(mustJSON(in))}); !fault.Is(err, fault.Internal) {
		t.Errorf("no Response gave %v", err)
	}
}

// TestConcurrentCalls holds that calls of the host run at the same time, and no
// more of them than the limit.
func TestConcurrentCalls(t *testing.T) {
	rt, _ := start(t, map[string]string{one: `import { pando } from 'pando';
export default async (n: number) => (await Promise.all(Array.from({ length: n }, (_, i) => pando.secrets.get(String(i))))).length;`})
	var mu sync.Mutex
	var once sync.Once
	now, most := 0, 0
	full := make(chan struct{})
	host := hostFunc(func(ctx context.Context, _ string, _ []byte) ([]byte, error) {
		mu.Lock()
		now++
		most = max(most, now)
		if now == 8 {
			once.Do(func() { close(full) })
		}
		mu.Unlock()
		select {
		case <-full:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		mu.Lock()
		now--
		mu.Unlock()
		return []byte(`"x"`), nil
	})
	got, err := invoke(t, rt, Call{Input: json.RawMessage("40"), Host: host, Limits: Limits{Concurrent: 8}})
	if err != nil || got != "40" {
		t.Fatalf("got %s, %v", got, err)
	}
	if most != 8 {
		t.Errorf("%d calls at a time, want 8", most)
	}
}

// TestAbandoned holds that a call's end stops the calls of its host that run.
func TestAbandoned(t *testing.T) {
	rt, _ := start(t, map[string]string{one: `import { pando } from 'pando';
export default async () => { void pando.secrets.get("x"); await new Promise((r) => setTimeout(r, 5)); return 1; };`})
	ended := make(chan error, 1)
	host := hostFunc(func(ctx context.Context, _ string, _ []byte) ([]byte, error) {
		<-ctx.Done()
		ended <- ctx.Err()
		return nil, ctx.Err()
	})
	begin := time.Now()
	if got, err := invoke(t, rt, Call{Host: host}); got != "1" || err != nil {
		t.Fatalf("got %s, %v", got, err)
	}
	if len(ended) != 1 || time.Since(begin) > 5*time.Second {
		t.Error("the host's call did not end before the function's did")
	}
}
