package operations_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/functions"
)

// written is an application whose code is TypeScript.
func written(code map[string]string) map[string]string {
	files := two()
	files["modules/a.yaml"] = `
module: a
entities:
  things:
    fields:
      id:    { type: int, primary: true }
      n:     { type: int, default: 0 }
      owner: { ref: auth.users, as: owned_by, optional: true, on_delete: cascade }
      card:  { type: text, optional: true, hidden: true }
    policy: { read: "row.owner == auth.uid", create: "row.owner == auth.uid", update: "row.owner == auth.uid" }
operations:
`
	for name, text := range code {
		files["functions/"+name+".ts"] = text
		limit := "5s"
		if strings.HasPrefix(name, "quick") {
			limit = "300ms"
		}
		files["modules/a.yaml"] += "  " + name + `: { run: functions/` + name + `.ts, allow: "true", timeout: ` + limit + `, calls: [b.change], secrets: ["secret:mine"], ` +
			`input: { n: { type: int, optional: true }, s: { type: text, optional: true }, j: { type: json, optional: true } }, output: { fields: { v: { type: json, optional: true } } }`
		if strings.HasPrefix(name, "apart") {
			files["modules/a.yaml"] += ", transaction: false"
		}
		files["modules/a.yaml"] += " }\n"
	}
	files["modules/a.yaml"] += `
events: { said: { data: { text: text } } }
jobs: { later: { run: go, input: { n: int } } }
integrations: { partner: { url: "https://partner.example/api" } }
`
	return files
}

// TestTypeScript: what code in the sandbox reaches is what code in Go does.
func TestTypeScript(t *testing.T) {
	w := open(t, written(map[string]string{
		"outer": `import { pando } from 'pando'
export default async (input: any, ctx: any) => {
  await pando.asService().from('things').insert({ id: 1, owner: ctx.auth.uid, card: '4242' })
  const inner = await pando.operations.a.inner({ n: 2 })
  const mine = await pando.from('things').select('id,n').order('id')
  await pando.events.publish('said', { text: 'hi' })
  const job = await pando.jobs.enqueue('later', { n: 1 })
  return { v: { inner: inner.v, mine, uid: ctx.auth.uid, name: ctx.name, job: typeof job.id } }
}`,
		"inner": `import { pando } from 'pando'
export default async (input: any, ctx: any) => {
  await pando.from('things').insert({ id: input.n, owner: ctx.auth.uid })
  return { v: ctx.name }
}`,
		"caught": `import { pando } from 'pando'
export default async () => {
  const told: any = {}
  const tries: any = {
    foreign: () => pando.schema('b').from('others').select(),
    secret: () => pando.secrets.get('other'),
    fetch: () => fetch('https://partner.example/api/x'),
    hidden: () => pando.from('things').select('card'),
    filter: () => pando.asService().from('things').select('id').eq('card', '4242'),
    undeclared: () => pando.operations.b.hidden({}),
    other: () => pando.from('things').insert({ id: 9, owner: '` + bob + `' }),
  }
  for (const name in tries) try { told[name] = await tries[name]() } catch (e: any) { told[name] = e.code }
  return { v: told }
}`,
		"apartfetch": `import { pando } from 'pando'
export default async () => {
  const r = await pando.integrations.partner.fetch('x?y=1')
  const s = await fetch('https://partner.example/api/z')
  let code = ''
  try { await fetch('https://evil.example/') } catch (e: any) { code = e.code }
  return { v: [r.status, s.status, code, await pando.secrets.get('mine')] }
}`,
		"half": `import { pando } from 'pando'
export default async () => {
  await pando.asService().from('things').insert({ id: 77 })
  throw new Error('the password is hunter2')
}`,
	}))
	out, err := w.patient("a.outer")
	if want := `{"v":{"inner":"a.inner","mine":[{"id":1,"n":0},{"id":2,"n":0}],"uid":"` + ann + `","name":"a.outer","job":"string"}}`; err != nil || !sameJSON(out, want) {
		t.Errorf("%s, %v", out, err)
	}
	if ev := w.published(); len(ev) != 1 || !strings.HasPrefix(ev[0], "a.said ") || len(w.enqueued()) != 1 {
		t.Errorf("the events are %q", ev)
	}
	out, err = w.patient("a.caught")
	if want := `{"v":{"foreign":"42501","secret":"42501","fetch":"conflict","hidden":"42703","filter":"42703","undeclared":"42501","other":"42501"}}`; err != nil || !sameJSON(out, want) {
		t.Errorf("%s, %v", out, err)
	}
	out, err = w.call(as(ann), "a.apartfetch", "")
	if want := `{"v":[200,200,"42501","value of mine"]}`; err != nil || !sameJSON(out, want) {
		t.Errorf("%s, %v", out, err)
	}
	if len(w.fetched) != 2 || w.fetched[0] != "a.partner partner:/x?y=1" || w.fetched[1] != "a.partner https://partner.example/api/z" {
		t.Errorf("asked for were %q", w.fetched)
	}
	_, err = w.patient("a.half")
	if f := fault.From(err); f.Code != fault.Internal || strings.Contains(f.Message+f.Details+f.Hint, "hunter2") {
		t.Errorf("%+v", f)
	}
	if got := w.stored("a", "things", "select=id&order=id"); got != `[{"id":1},{"id":2}]` {
		t.Errorf("stored is %s", got)
	}
}

// TestNestedCallsHaveRoom: calls that wait for others of the same sandbox do not keep
// those away.
func TestNestedCallsHaveRoom(t *testing.T) {
	w := open(t, written(map[string]string{
		"apartouter": `import { pando } from 'pando'
export default async () => ({ v: (await pando.operations.a.apartinner({})).v + 1 })`,
		"apartinner": `import { pando } from 'pando'
export default async () => ({ v: (await pando.operations.a.apartlast({})).v + 1 })`,
		"apartlast": `export default async () => ({ v: 1 })`,
	}), func(c *functions.Config) { c.Isolates = 16 })
	if _, err := w.call(as(ann), "a.apartouter", ""); err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	errs := make([]error, 64)
	var wg sync.WaitGroup
	for i := range errs {
		wg.Go(func() {
			out, err := w.call(as(ann), "a.apartouter", "")
			if err == nil && out != `{"v":3}` {
				err = fmt.Errorf("it answers %s", out)
			}
			errs[i] = err
		})
	}
	wg.Wait()
	for _, err := range errs {
		if err != nil {
			t.Errorf("%v", err)
		}
	}
	t.Logf("%d calls, three deep, took %s", len(errs), time.Since(start))
}

// TestCallsShareNothing: what one call does to its world the next one does not see.
func TestCallsShareNothing(t *testing.T) {
	w := open(t, written(map[string]string{
		"stain": `let count = 0
export default async (input: any) => {
  count++
  const seen = [count, ({} as any).admin ?? null, (globalThis as any).left ?? null, [].concat.name, JSON.stringify({ a: 1 }), typeof (Array.prototype as any).evil, Object.keys(input.j ?? {}).length]
  ;(Object.prototype as any).admin = true
  ;(globalThis as any).left = input.s
  ;(Array.prototype as any).evil = () => 'x'
  JSON.stringify = (() => '"stained"') as any
  Promise.prototype.then = function () { throw 1 } as any
  return { v: seen }
}`,
		"merge": `const merge = (to: any, from: any) => { for (const k in from) typeof from[k] === 'object' && from[k] ? merge(to[k] ??= {}, from[k]) : to[k] = from[k]; return to }
export default async (input: any) => { merge({}, input.j); return { v: ({} as any).admin ?? null } }`,
	}))
	const clean = `{"v":[1,null,null,"concat","{\"a\":1}","undefined",0]}`
	for i := range 5 {
		out, err := w.call(as(ann), "a.stain", `{"s":"secret of ann"}`)
		if err == nil && !sameJSON(out, clean) {
			t.Errorf("call %d sees %s", i, out)
		}
	}
	for _, j := range []string{`{"__proto__":{"admin":true}}`, `{"constructor":{"prototype":{"admin":true}}}`, `{"a":{"__proto__":{"admin":1}}}`} {
		_, _ = w.call(as(ann), "a.merge", `{"j":`+j+`}`)
		if out, err := w.call(as(bob), "a.merge", `{"j":{}}`); err != nil || out != `{"v":null}` {
			t.Errorf("after %s: %s, %v", j, out, err)
		}
	}
}

// TestHostileCode: what does not end ends with its time or its bounds, and what it had
// written is gone.
func TestHostileCode(t *testing.T) {
	hostile := map[string]string{
		"quickloop":    `for (;;);`,
		"quickpromise": `await new Promise(() => {})`,
		"quickchain":   `const f = async (): Promise<any> => { await null; return f() }; await f()`,
		"quickregex":   `return { v: /^(a+)+$/.test('a'.repeat(40) + "b") }`,
		"quickmemory":  `const a: any[] = []; for (;;) a.push(new Uint8Array(1 << 20).fill(1))`,
		"quickstring":  `let s = 'x'; for (;;) s += s`,
		"quickdeep":    `const f = (): any => [f()]; f()`,
		"quickjoin":    `const a = new Array(1 << 24).fill('x'.repeat(100)); return { v: a.join(',') }`,
		"quickresult":  `return { v: 'x'.repeat(100 << 20) }`,
		"quicksort":    `const a = Array.from({ length: 1 << 22 }, (_, i) => -i); for (;;) a.sort(() => 1)`,
		"quickcalls":   `for (;;) await pando.from('things').select('id')`,
		"quicktimers":  `for (;;) setTimeout(() => {}, 1e6)`,
		"quickproxy":   `return { v: new Proxy({}, { ownKeys: () => { for (;;); } }) }`,
		"quickthrow":   `throw { toString() { for (;;); }, get message() { for (;;); } }`,
		"quickthen":    `return { then(r: any) { for (;;); } }`,
	}
	code := map[string]string{"fine": `export default async () => ({ v: 1 })`}
	for name, body := range hostile {
		code[name] = "import { pando } from 'pando'\nexport default async () => {\n  await pando.asService().from('things').insert({ id: 1 })\n  " + body + "\n  return { v: pando !== null }\n}"
	}
	w := open(t, written(code))
	for name := range hostile {
		start := time.Now()
		out, err := w.call(as(ann), "a."+name, "")
		took := time.Since(start)
		switch f := fault.From(err); {
		case err == nil:
			t.Errorf("%s: it answers %.40s", name, out)
		case took > 1300*time.Millisecond: // of its limit
			t.Errorf("%s: stopped after %s by %v", name, took, err)
		default:
			t.Logf("%s: %s, %s", name, took, f.Code)
		}
		if got := w.stored("a", "things", "select=id"); got != "[]" {
			t.Errorf("%s: it left %s", name, got)
		}
		if out, err := w.call(as(ann), "a.fine", ""); err != nil || out != `{"v":1}` {
			t.Errorf("after %s: %s, %v", name, out, err)
		}
	}
}
