package functions

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pandobase/pando/internal/fault"
)

// hostile is code that means ill, or was written badly. Each is stopped by the
// limit that it runs into.
//
//nolint:gochecknoglobals // a constant table; Go has no map constants
var hostile = map[string]struct {
	code    string
	limits  Limits
	want    fault.Code
	message string
	status  int
	within  time.Duration
}{
	"endless loop":             {code: `for(;;);`, want: fault.QueryCanceled, message: "did not end within"},
	"endless microtasks":       {code: `const again = () => Promise.resolve().then(again); await again();`, want: fault.QueryCanceled, message: "did not end within"},
	"endless await":            {code: `while (true) await null;`, want: fault.QueryCanceled, message: "did not end within"},
	"endless timers":           {code: `await new Promise(() => setInterval(() => {}, 1));`, want: fault.QueryCanceled, message: "did not end within"},
	"endless generator":        {code: `function* g() { for (;;) yield 1; } for (const x of g());`, want: fault.QueryCanceled, message: "did not end within"},
	"caught loop":              {code: `for(;;) { try { for(;;); } catch {} finally { for(;;); } }`, want: fault.QueryCanceled, message: "did not end within"},
	"catastrophic regexp":      {code: `return /^(a+)+$/.test("a".repeat(64) + "b");`, want: fault.QueryCanceled, message: "did not end within"},
	"catastrophic regexp, 2":   {code: `return /(x+x+)+y/.test("x".repeat(4000));`, want: fault.QueryCanceled, message: "did not end within"},
	"sort that never ends":     {code: `return new Array(2e6).fill(0).map((_, i) => -i).sort((a, b) => { for (let i = 0; i < 1e4; i++); return a - b; }).length;`, want: fault.QueryCanceled, message: "did not end within"},
	"giant power":              {code: `return String(7n ** 2000000n ** 2n).length`, want: "any"},
	"giant join":               {code: `return new Array(4294967295).join('').length;`, want: "any"},
	"giant join with text":     {code: `return new Array(4294967295).join('abc').length;`, want: "any"},
	"memory bomb":              {code: `const a = []; for(;;) a.push(new Uint8Array(1 << 20).fill(1));`, want: fault.LimitExceeded, message: "more memory than its limit of 64 MiB", status: 500},
	"memory bomb of strings":   {code: `let s = "x"; const a = []; for(;;) { s += s; a.push(s + "y"); }`, want: "any"},
	"memory bomb of objects":   {code: `const a = []; for(;;) a.push({ a: {}, b: [] });`, want: "any"},
	"memory bomb caught":       {code: `const a = []; for(;;) { try { for(;;) a.push(new Uint8Array(1 << 20).fill(1)); } catch {} }`, want: fault.QueryCanceled, message: "did not end within"},
	"deep recursion":           {code: `const f = (n) => 1 + f(n + 1); return f(0);`, want: fault.Internal, message: "the function failed"},
	"deep recursion caught":    {code: `const f = () => { try { return f(); } catch { return f(); } }; return f();`, want: "any"},
	"deep recursion of JSON":   {code: `let o = {}; for (let i = 0; i < 1e6; i++) o = { o }; return o;`, limits: Limits{Timeout: 5 * time.Second}, want: fault.Internal},
	"deep recursion of regexp": {code: `return new RegExp("(".repeat(1e5) + ")".repeat(1e5)).test("");`, want: fault.Internal},
	"never resolves":           {code: `await new Promise(() => {});`, want: fault.Internal, message: "never answers", within: time.Second},
	"returns a thenable":       {code: `return { then() {} };`, want: fault.Internal, message: "never answers", within: time.Second},
	"throwing getter":          {code: `return { get a() { throw new Error("boo"); } };`, want: fault.Internal, message: "the function failed"},
	"looping getter":           {code: `return { get a() { for(;;); } };`, want: fault.QueryCanceled, message: "did not end within"},
	"looping toJSON":           {code: `return { toJSON() { for(;;); } };`, want: fault.QueryCanceled, message: "did not end within"},
	"looping Proxy":            {code: `return new Proxy({}, { ownKeys() { for(;;); } });`, want: fault.QueryCanceled, message: "did not end within"},
	"growing Proxy":            {code: `return new Proxy([], { get(_, k) { return k === "length" ? 4294967295 : k === "toJSON" ? undefined : 1; } });`, want: "any"},
	"throws a Proxy":           {code: `throw new Proxy(new Error("x"), { get() { throw 1; }, getPrototypeOf() { throw 2; } });`, want: fault.Internal, message: "the function failed"},
	"throws a looping getter":  {code: `const e = new Error(); Object.defineProperty(e, "message", { get() { for(;;); } }); throw e;`, want: fault.QueryCanceled, message: "did not end within"},
	"throws nothing":           {code: `throw undefined;`, want: fault.Internal, message: "the function failed"},
	"throws a symbol":          {code: `throw Symbol("s");`, want: fault.Internal, message: "the function failed"},
	"thousands of calls":       {code: `await Promise.all(Array.from({ length: 5000 }, () => fetch("https://x.example/"))); return 1;`, limits: Limits{Timeout: 5 * time.Second}, want: fault.LimitExceeded, message: "which is its limit", status: 500},
	"thousands of timers":      {code: `for (let i = 0; i < 1e6; i++) setTimeout(() => {}, 1e6);`, want: fault.Internal, message: "the function failed"},
	"returns 100 MB":           {code: `return "x".repeat(1e8);`, want: "any"},
	"returns 20 MB":            {code: `return "x".repeat(2e7);`, limits: Limits{Timeout: 5 * time.Second}, want: fault.Internal, message: "and 10485760 is the limit"},
	"calls with 20 MB":         {code: `await pando.secrets.get("x".repeat(1.1e7));`, limits: Limits{Timeout: 5 * time.Second}, want: fault.LimitExceeded, message: "more than the limit"},
	"returns NaN":              {code: `return { a: { b: NaN } };`, want: fault.Internal, message: `returned NaN in "b"`},
	"returns a cycle":          {code: `const a = {}; a.a = a; return a;`, want: fault.Internal, message: "contains itself"},
	"returns a BigInt":         {code: `return { big: 1n };`, want: fault.Internal, message: `a BigInt in "big"`},
	"returns a function":       {code: `return () => 1;`, want: fault.Internal, message: "returned a function"},
	"broken prelude":           {code: `JSON.stringify = () => "no JSON"; Promise.prototype.then = () => 1; Object.prototype.toJSON = () => { throw 1; }; return { a: 1 };`, want: "any"},
	"poisoned prototypes": {code: `
		Object.defineProperty(Object.prototype, "message", { set() { for(;;); }, get() { for(;;); } });
		Object.defineProperty(Error.prototype, "message", { set() { for(;;); }, get() { for(;;); } });
		new TextDecoder("utf-8", { fatal: true }).decode(new Uint8Array([255]));`, want: "any"},
	"poisoned arrays":  {code: `Array.prototype[Symbol.iterator] = function* () { for(;;); }; Array.prototype.push = () => { for(;;); }; console.log("x", 1); return [...[1]];`, want: fault.QueryCanceled, message: "did not end within"},
	"poisoned map":     {code: `Map.prototype.get = () => { throw 1; }; Map.prototype.set = () => { throw 1; }; await pando.secrets.get("x");`, want: "any"},
	"host in sight":    {code: `if (globalThis.__host || globalThis.__prelude) return "seen"; throw new Error("hidden");`, want: fault.Internal, message: "the function failed"},
	"detached buffers": {code: `const b = new Uint8Array(8); b.buffer.transfer(); crypto.getRandomValues(b); return await crypto.subtle.digest("SHA-256", b).then(() => { throw new Error("done"); });`, want: fault.Internal, message: "the function failed"},
	"eval of loops":    {code: `return new Function("for(;;);")();`, want: fault.QueryCanceled, message: "did not end within"},
	"log of megabytes": {code: `for (let i = 0; i < 1e5; i++) console.log("x".repeat(1e4)); throw new Error("logged");`, want: "any"},
	"finalizers":       {code: `const r = new FinalizationRegistry(() => { for(;;); }); for (let i = 0; i < 1e5; i++) r.register({}, 1); await null; throw new Error("x");`, want: "any"},
	"weird exports":    {code: `throw new Error("x");`, want: fault.Internal, message: "the function failed"},
}

const hostileTimeout = 300 * time.Millisecond

// TestHostile runs each and wants the fault of its limit within a second of
// it, and the runtime to serve on afterwards.
func TestHostile(t *testing.T) {
	files := map[string]string{one: `export default async (n: number) => n + 1;`}
	for name, h := range hostile {
		files["functions/"+strings.ReplaceAll(strings.ReplaceAll(name, " ", "_"), ",", "")+".ts"] =
			"import { pando } from 'pando';\nvoid pando;\nexport default async (input: any, ctx: any) => {\n" + h.code + "\n};\n"
	}
	rt, log := start(t, files)
	host := hostFunc(func(context.Context, string, []byte) ([]byte, error) {
		return []byte(`{"status":200,"headers":[],"body":null,"url":""}`), nil
	})
	for name, h := range hostile {
		t.Run(name, func(t *testing.T) {
			fill(&h.limits.Timeout, hostileTimeout)
			begin := time.Now()
			got, err := invoke(t, rt, Call{
				Entry: "functions/" + strings.ReplaceAll(strings.ReplaceAll(name, " ", "_"), ",", "") + ".ts", Host: host, Limits: h.limits, RequestID: "r1",
			})
			took := time.Since(begin)
			if took > h.limits.Timeout+time.Second {
				t.Errorf("stopped after %s, a second after its limit of %s at the latest", took, h.limits.Timeout)
			}
			if h.within > 0 && took > h.within {
				t.Errorf("stopped after %s, at %s at the latest", took, h.within)
			}
			f := fault.From(err)
			if h.want != "any" {
				if f == nil {
					t.Fatalf("it answered %.100s", got)
				}
				if f.Code != h.want || !strings.Contains(f.Message, h.message) || h.status != 0 && f.HTTPStatus() != h.status {
					t.Errorf("fault %s %q (%d), want %s %q (%d)", f.Code, f.Message, f.HTTPStatus(), h.want, h.message, h.status)
				}
			}
			t.Logf("%s after %s: %v", name, took.Round(time.Millisecond), err)
			if err != nil && strings.Contains(f.Message+f.Details+f.Hint, ".ts:") {
				t.Errorf("the caller sees a stack: %v", f)
			}
			if got, err := invoke(t, rt, Call{Input: json.RawMessage("1")}); got != "2" || err != nil {
				t.Errorf("afterwards a call answers %s, %v", got, err)
			}
		})
	}
	if n := len(log.String()); n > 300<<10 {
		t.Errorf("the log has %d bytes", n)
	}
}

// TestServesOn has code that never ends on all turns, and wants other calls to
// be answered at their pace meanwhile.
func TestServesOn(t *testing.T) {
	rt, _ := start(t, map[string]string{
		one:                 `export default async (n: number) => n + 1;`,
		"functions/loop.ts": `export default async () => { for (;;); };`,
	})
	pace := func() (p50, p99 time.Duration) {
		took := make([]time.Duration, 300)
		for i := range took {
			begin := time.Now()
			if _, err := invoke(t, rt, Call{Input: json.RawMessage("1")}); err != nil {
				t.Fatal(err)
			}
			took[i] = time.Since(begin)
		}
		slices.Sort(took)
		return took[len(took)/2], took[len(took)*99/100]
	}
	pace()
	alone50, alone99 := pace()
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			_, err := rt.Invoke(ctx, Call{Entry: "functions/loop.ts"})
			if !fault.Is(err, fault.QueryCanceled) {
				t.Errorf("the loop ended with %v", err)
			}
		})
	}
	waitFor(t, func() bool { return rt.slots.used() >= 20 })
	pace() // until the loops are known for what they are
	beside50, beside99 := pace()
	begin := time.Now()
	cancel()
	wg.Wait()
	t.Logf("of 300 calls, p50 and p99: %s and %s alone, %s and %s beside 20 loops; they stopped in %s", alone50, alone99, beside50, beside99, time.Since(begin))
	if beside50 > 20*time.Millisecond {
		t.Errorf("half of the calls took more than %s beside loops that never end", beside50)
	}
	if took := time.Since(begin); took > time.Second {
		t.Errorf("the loops stopped in %s", took)
	}
}

func waitFor(t *testing.T, done func() bool) {
	t.Helper()
	for begin := time.Now(); !done(); time.Sleep(time.Millisecond) {
		if time.Since(begin) > 10*time.Second {
			t.Fatal("it did not happen in 10 s")
		}
	}
}

// TestNothingStays has calls leave what they can where they can, and looks for
// it in the next ones.
func TestNothingStays(t *testing.T) {
	rt, _ := start(t, map[string]string{one: `
let count = 0;
const kept = new Map();
const big: any[] = [];
export const leave = async (input: number) => {
  count++; kept.set(input, input); (globalThis as any).left = input;
  Object.prototype["polluted" as any] = input as any; Array.prototype.map = null as any; JSON.parse = null as any;
  (Math as any).random = () => 4; Promise.prototype.then = null as any; (fetch as any).left = 1;
  Symbol.for("left"); new RegExp("left" + input); for (let i = 0; i < 1e4; i++) big.push({ i, s: "s" + i });
  setTimeout(() => {}, 1e6); void new Promise(() => {});
  if (input % 3 === 0) throw new Error("left");
  if (input % 3 === 1) for (;;);
  return count;
};
export const look = async () => ({
  count, kept: kept.size, big: big.length, left: (globalThis as any).left ?? null, polluted: ({} as any).polluted ?? null,
  map: [1].map((x) => x + 1), random: Math.random() === 4, parse: JSON.parse("1"), fetch: (fetch as any).left ?? null,
});
`})
	want := `{"count":0,"kept":0,"big":0,"left":null,"polluted":null,"map":[2],"random":false,"parse":1,"fetch":null}`
	for i := range 30 {
		_, _ = invoke(t, rt, Call{Export: "leave", Input: json.RawMessage(strconv.Itoa(i)), Limits: Limits{Timeout: 50 * time.Millisecond}})
		got, err := invoke(t, rt, Call{Export: "look"})
		if err != nil || got != want {
			t.Fatalf("after call %d: %s, %v", i, got, err)
		}
	}
}

// TestRestore compares every byte of an isolate's memory, and its globals, after a call
// and a restore with the snapshot's.
func TestRestore(t *testing.T) {
	rt, _ := start(t, map[string]string{one: `export default async (n: number) => Array.from({ length: 1000 }, (_, i) => ({ i, n }));`})
	if _, err := invoke(t, rt, Call{}); err != nil {
		t.Fatal(err)
	}
	s := (*rt.entries.Load())[one].current.Load().snapshot()
	defer s.drop()
	fresh, err := rt.engine.newIsolate()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = fresh.close() }()
	if err := fresh.restore(s); err != nil {
		t.Fatal(err)
	}
	waitFor(t, func() bool { rt.mu.Lock(); defer rt.mu.Unlock(); return len(rt.idle) > 0 })
	rt.mu.Lock()
	used := rt.idle[len(rt.idle)-1]
	rt.mu.Unlock()
	if used.img != s {
		t.Fatal("the idle isolate is another entry's")
	}
	a, _ := fresh.mod.Memory().Read(0, fresh.mod.Memory().Size())
	b, _ := used.mod.Memory().Read(0, used.mod.Memory().Size())
	if string(a) != string(b) {
		t.Error("the memory differs")
	}
	if fresh.stack.Get() != used.stack.Get() {
		t.Error("the stack pointer differs")
	}
}

// TestQuickJSState holds that memory and one global are all that QuickJS changes:
// no table, no segment, no other global.
func TestQuickJSState(t *testing.T) {
	m := metering{r: reader{b: quickjsWasm}}
	if _, err := m.module(); err != nil {
		t.Fatal(err)
	}
	if want := (wasmFacts{mutableGlobals: 1}); m.facts != want {
		t.Errorf("QuickJS changes %+v, want %+v", m.facts, want)
	}
}

// TestRandomness holds that the snapshot freezes neither randomness nor time.
func TestRandomness(t *testing.T) {
	rt, _ := start(t, map[string]string{one: `
export default async () => [Math.random(), crypto.randomUUID(), crypto.getRandomValues(new Uint32Array(2)).join(), Date.now()];`})
	seen := map[string]bool{}
	for range 50 {
		got, err := invoke(t, rt, Call{})
		if err != nil {
			t.Fatal(err)
		}
		var parts []any
		if err := json.Unmarshal([]byte(got), &parts); err != nil {
			t.Fatal(err)
		}
		for _, p := range parts[:3] {
			key, _ := json.Marshal(p)
			if seen[string(key)] {
				t.Fatalf("%s came twice", key)
			}
			seen[string(key)] = true
		}
		if at := time.UnixMilli(int64(parts[3].(float64))); time.Since(at).Abs() > 2*time.Second {
			t.Fatalf("the clock says %s", at)
		}
	}
}

// TestTurns: a call whose deadline passes while it waits for its turn ends.
func TestTurns(t *testing.T) {
	g := newGate(1)
	if err := g.enter(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	why := errors.New("no more")
	cancel(why)
	if err := g.enter(ctx, 0); !errors.Is(err, why) {
		t.Errorf("entered with %v", err)
	}
	var order []string
	var mu sync.Mutex
	var wg sync.WaitGroup
	for _, age := range []int{1, 0} {
		wg.Go(func() {
			if err := g.enter(t.Context(), age); err != nil {
				t.Error(err)
			}
			mu.Lock()
			order = append(order, strconv.Itoa(age))
			mu.Unlock()
			g.leave()
		})
		waitFor(t, func() bool {
			g.mu.Lock()
			defer g.mu.Unlock()
			return len(g.queues[age]) == 1
		})
	}
	if !g.waits(1, 0) || g.waits(0, 0) {
		t.Error("an old call lets a new one go first, a new one that just began does not")
	}
	g.leave()
	wg.Wait()
	if got := strings.Join(order, ""); got != "01" {
		t.Errorf("order %s", got)
	}
	if g.free != 1 {
		t.Errorf("%d turns are free", g.free)
	}
}
