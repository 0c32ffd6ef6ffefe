package functions

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/pandobase/pando/internal/fault"
)

func TestProblems(t *testing.T) {
	rt, _ := start(t, nil)
	for _, tt := range []struct {
		name  string
		files map[string]string
		want  Problem
	}{
		{"syntax", map[string]string{one: "const a = 1;\nconst b = ;\n"}, Problem{File: one, Line: 2, Column: 11, Message: "Unexpected \";\""}},
		{"no such file", map[string]string{one: "\n  import './lib/none';\n"}, Problem{File: one, Line: 2, Column: 10, Message: `there is no file "functions/lib/none"`}},
		{"in an import", map[string]string{one: "import './lib/a'", "functions/lib/a.ts": "let a; let a;"}, Problem{File: "functions/lib/a.ts", Line: 1, Column: 12, Message: `The symbol "a" has already been declared`, Hint: `The symbol "a" was originally declared here:`}},
		{"outside", map[string]string{one: "import '../modules/x.ts'"}, Problem{File: one, Line: 1, Column: 8, Message: `"../modules/x.ts" is outside of functions/, from where functions import nothing`}},
		{"absolute", map[string]string{one: "import '/etc/passwd'"}, Problem{File: one, Line: 1, Column: 8, Message: `"/etc/passwd" cannot be imported: import files below functions/ by a relative path, packages by their name`}},
		{"from the web", map[string]string{one: "import 'https://x.example/a.ts'"}, Problem{File: one, Line: 1, Column: 8, Message: `"https://x.example/a.ts" cannot be imported: import files below functions/ by a relative path, packages by their name`}},
		{"package", map[string]string{one: "import 'left-pad'"}, Problem{File: one, Line: 1, Column: 8, Message: `the package "left-pad" is not there: this application has no folder with node_modules`}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := load(rt, tt.files)
			if len(got) != 1 || got[0] != tt.want {
				t.Errorf("got %+v, want %+v", got, tt.want)
			}
		})
	}
	if got := rt.Load(t.Context(), os.DirFS(t.TempDir()), []string{"functions/none.ts", "../x.ts", "modules/x.ts"}); len(got) != 3 {
		t.Errorf("got %+v", got)
	}
}

// TestReload exchanges entries while they are called: each call sees one version,
// whole.
func TestReload(t *testing.T) {
	version := func(v string) map[string]string {
		return map[string]string{one: "import { v } from './lib/v';\nexport default async () => { await null; return [v, '" + v + "']; };", "functions/lib/v.ts": "export const v = '" + v + "';", "functions/two.ts": "export default () => 2"}
	}
	rt, _ := start(t, version("a"))
	two := (*rt.entries.Load())["functions/two.ts"].current.Load()
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				got, err := invoke(t, rt, Call{})
				if err != nil || got != `["a","a"]` && got != `["b","b"]` {
					t.Errorf("got %s, %v", got, err)
					return
				}
			}
		})
	}
	for range 10 {
		for _, v := range []string{"b", "a"} {
			if p := load(rt, version(v)); len(p) > 0 {
				t.Fatal(p)
			}
			if got, err := invoke(t, rt, Call{}); err != nil || got != `["`+v+`","`+v+`"]` {
				t.Fatalf("after the exchange: %s, %v", got, err)
			}
		}
	}
	close(stop)
	wg.Wait()
	if (*rt.entries.Load())["functions/two.ts"].current.Load() != two {
		t.Error("a file that did not change was built again")
	}
	broken := version("b")
	broken[one] = "export default ("
	if p := load(rt, broken); len(p) != 1 {
		t.Errorf("problems %+v", p)
	}
	if got, err := invoke(t, rt, Call{}); err != nil || got != `["a","a"]` {
		t.Errorf("a broken file: %s, %v, want the version before", got, err)
	}
	if p := load(rt, map[string]string{"functions/two.ts": "export default () => 2"}); len(p) != 0 {
		t.Errorf("problems %+v", p)
	}
	if _, err := invoke(t, rt, Call{}); !fault.Is(err, fault.UnknownOperation) {
		t.Errorf("an entry that is gone: %v", err)
	}
}

// TestPackages imports from npm's folder, and nothing beside it.
func TestPackages(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) {
		t.Helper()
		file := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("node_modules/left/package.json", `{"name":"left","exports":{".":{"node":"./node.js","worker":"./worker.js"}}}`)
	write("node_modules/left/worker.js", `import { inner } from './inner.js'; export const left = inner + 1;`)
	write("node_modules/left/inner.js", `export const inner = 1;`)
	write("node_modules/@s/old/package.json", `{"main":"main.js"}`)
	write("node_modules/@s/old/main.js", `exports.old = require('left').left * 10;`)
	write(one, `import { left } from 'left'; import { old } from '@s/old'; export default () => [left, old];`)
	write("functions/bad.ts", `import fs from 'node:fs'; export default () => fs;`)
	rt, _ := start(t, nil, func(c *Config) { c.Folder = dir })
	if p := rt.Load(t.Context(), os.DirFS(dir), []string{one}); len(p) > 0 {
		t.Fatal(p)
	}
	if got, err := invoke(t, rt, Call{}); err != nil || got != `[2,20]` {
		t.Errorf("got %s, %v", got, err)
	}
	if p := rt.Load(t.Context(), os.DirFS(dir), []string{one, "functions/bad.ts"}); len(p) != 1 || p[0].File != "functions/bad.ts" || !strings.Contains(p[0].Hint+p[0].Message, "cannot be imported") && !strings.Contains(p[0].Hint, "Node's own modules") {
		t.Errorf("node:fs: %+v", p)
	}
	write("node_modules/left/inner.js", `export const inner = 5;`)
	if p := rt.Load(t.Context(), os.DirFS(dir), []string{one}); len(p) > 0 {
		t.Fatal(p)
	}
	if got, err := invoke(t, rt, Call{}); err != nil || got != `[6,60]` {
		t.Errorf("after the package changed: %s, %v", got, err)
	}
}

// TestCache has a second runtime take bundles from the first one's cache, unless
// they were cut or their files have changed.
func TestCache(t *testing.T) {
	dir := t.TempDir()
	files := map[string]string{one: "import { n } from './lib/n'; export default () => n", "functions/lib/n.ts": "export const n: number = 1"}
	in := func(c *Config) { c.Cache = dir }
	first, _ := start(t, files, in)
	file := first.cacheFile(one)
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	mark := strings.Replace(string(raw), "var n = 1", "var n = 7", 1)
	if mark == string(raw) {
		t.Fatalf("the cache has %s", raw)
	}
	var k keptBundle
	if err := json.Unmarshal([]byte(mark), &k); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ name, sum, want string }{{"cut", k.Sum, "1"}, {"whole", k.sum(), "7"}} {
		k.Sum = tt.sum
		if err := os.WriteFile(file, []byte(mustJSON(k)), 0o600); err != nil {
			t.Fatal(err)
		}
		rt, _ := start(t, files, in)
		if got, err := invoke(t, rt, Call{}); err != nil || got != tt.want {
			t.Errorf("%s: got %s, %v, want %s", tt.name, got, err, tt.want)
		}
	}
	files["functions/lib/n.ts"] = "export const n: number = 2"
	rt, _ := start(t, files, in)
	if got, err := invoke(t, rt, Call{}); err != nil || got != "2" {
		t.Errorf("a changed import: got %s, %v", got, err)
	}
}

// TestFailures holds who hears what of a failure: the caller a fault, the log
// the place in the author's file.
func TestFailures(t *testing.T) {
	rt, log := start(t, map[string]string{
		one: `import { fail } from './lib/fail';
import { HTTPError, PandoError } from 'pando';
export default async (what: string) => {
  await null;
  if (what === "chosen") throw new HTTPError(422, "too many", { code: "limit_exceeded", hint: "fewer", details: "7" });
  if (what === "own code") throw new PandoError("sold out", { code: "sold_out" });
  if (what === "status") throw new HTTPError(200, "fine?");
  fail(what);
};
`,
		"functions/lib/fail.ts": `interface Unused { a: string }

export function fail(what: string): never {
  console.warn("about to", { what, list: [1, "x"], secret: new Map([["k", 1]]) });
  throw new RangeError("secret " + what);
}
`,
		"functions/top.ts":  "const a: any = null;\nexport default () => 1;\na.b.c = 1;\n",
		"functions/wait.ts": "await new Promise((r) => setTimeout(r, 1));\nexport default () => 1;\n",
	})
	if _, err := invoke(t, rt, Call{Input: json.RawMessage(`"x"`), RequestID: "req-7"}); err == nil {
		t.Fatal("no error")
	} else if f := fault.From(err); f.Code != fault.Internal || strings.Contains(f.Error()+f.Hint, "secret") || !strings.Contains(f.Hint, "req-7") {
		t.Errorf("the caller hears %v, hint %q", f, f.Hint)
	}
	for _, want := range []string{"secret x", "functions/lib/fail.ts:5:", "functions/one.ts:8:", "request_id=req-7", "function=functions/one.ts", `about to {what: \"x\", list: [1, \"x\"], secret: Map {\"k\" => 1}}`, "level=WARN"} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("the log does not have %q:\n%s", want, log)
		}
	}
	if strings.Contains(log.String(), "pando:prelude") || strings.Contains(log.String(), "bundle:") {
		t.Errorf("the log shows what is not the author's:\n%s", log)
	}
	_, err := invoke(t, rt, Call{Input: json.RawMessage(`"chosen"`)})
	if f := fault.From(err); f.Code != fault.LimitExceeded || f.HTTPStatus() != 422 || f.Message != "too many" || f.Hint != "fewer" || f.Details != "7" {
		t.Errorf("got %+v", f)
	}
	_, err = invoke(t, rt, Call{Input: json.RawMessage(`"own code"`)})
	if f := fault.From(err); f.Code != fault.Raised || f.Message != "sold out" || f.Extra["reason"] != "sold_out" {
		t.Errorf("got %+v", f)
	}
	_, err = invoke(t, rt, Call{Input: json.RawMessage(`"status"`)})
	if f := fault.From(err); f.HTTPStatus() < 400 {
		t.Errorf("got %+v", f)
	}
	for entry, want := range map[string]string{"functions/top.ts": "functions/top.ts:3:", "functions/wait.ts": "do it in the function"} {
		if _, err := invoke(t, rt, Call{Entry: entry}); !fault.Is(err, fault.Internal) {
			t.Errorf("%s: %v", entry, err)
		}
		if !strings.Contains(log.String(), want) {
			t.Errorf("%s: the log does not have %q:\n%s", entry, want, log)
		}
	}
	if _, err := invoke(t, rt, Call{Export: "none"}); !fault.Is(err, fault.Internal) {
		t.Errorf("no such export: %v", err)
	}
	if _, err := invoke(t, rt, Call{Input: json.RawMessage(`"` + strings.Repeat("x", 11<<20) + `"`)}); !fault.Is(err, fault.BodyTooLarge) {
		t.Errorf("a large input: %v", err)
	}
}

// TestSnapshotsAreBounded calls more entries than snapshots may be kept.
func TestSnapshotsAreBounded(t *testing.T) {
	files := map[string]string{}
	for i := range 20 {
		files["functions/f"+string(rune('a'+i))+".ts"] = "export default () => " + mustJSON(i)
	}
	rt, _ := start(t, files, func(c *Config) { c.Snapshots = 4 << 20 })
	for range 2 {
		for i := range 20 {
			if got, err := invoke(t, rt, Call{Entry: "functions/f" + string(rune('a'+i)) + ".ts"}); err != nil || got != mustJSON(i) {
				t.Fatalf("got %s, %v", got, err)
			}
		}
	}
	rt.kept.mu.Lock()
	defer rt.kept.mu.Unlock()
	if rt.kept.bytes > 4<<20 || len(rt.kept.list) == 0 {
		t.Errorf("%d snapshots with %d bytes", len(rt.kept.list), rt.kept.bytes)
	}
	t.Logf("%d snapshots with %d bytes", len(rt.kept.list), rt.kept.bytes)
}

// TestQueue fills every slot, then the queue.
func TestQueue(t *testing.T) {
	rt, _ := start(t, map[string]string{one: `export default async (ms: number) => { await new Promise((r) => setTimeout(r, ms)); return 1; };`}, func(c *Config) { c.Isolates, c.Queue = 2, 3 })
	var wg sync.WaitGroup
	for range 5 {
		wg.Go(func() {
			if got, err := invoke(t, rt, Call{Input: json.RawMessage("100")}); err != nil || got != "1" {
				t.Errorf("got %s, %v", got, err)
			}
		})
	}
	waitFor(t, func() bool {
		rt.slots.mu.Lock()
		defer rt.slots.mu.Unlock()
		return rt.slots.waits == 3
	})
	if _, err := invoke(t, rt, Call{}); !fault.Is(err, fault.Overloaded) {
		t.Errorf("one more: %v", err)
	}
	wg.Wait()
}
