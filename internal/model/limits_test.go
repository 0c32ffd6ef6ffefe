package model

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"testing"
	"testing/fstest"
	"time"
)

func TestHostileFiles(t *testing.T) {
	for name, c := range map[string]struct{ text, want string }{
		"large":      {strings.Repeat("#", maxFileSize+1), "pando.yaml: the file is larger than 1048576 bytes (split the module)"},
		"deep flow":  {"roles: " + strings.Repeat("[", 100_000), "exceeded max depth of 64"},
		"deep block": {strings.Repeat("- ", 100_000), "exceeded max depth of 64"},
		"bomb": {"a: &a [x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b]\n" +
			"d: &d [*c,*c,*c,*c,*c,*c,*c,*c,*c]\ne: &e [*d,*d,*d,*d,*d,*d,*d,*d,*d]\n", "YAML aliases are not accepted"},
		"loop":    {"a: &a\n  b: *a\n", "YAML aliases are not accepted"},
		"merge":   {"<<: { app: x }\n", `unknown key "<<" in pando.yaml`},
		"latin-1": {"app: x\nlog: caf\xe9\n", "pando.yaml:2:9: not valid UTF-8"},
		"nul":     {"app: \x00\n", "not valid YAML"},
		"tab":     {"log:\n\tformat: json\n", "pando.yaml:2:1: not valid YAML"},
	} {
		t.Run(name, func(t *testing.T) {
			start := time.Now()
			app, problems := Load(mapFS(map[string]string{ConfigFile: c.text}), nil, Features{})
			if took := time.Since(start); took > 2*time.Second {
				t.Errorf("it took %v", took)
			}
			if app != nil || !strings.Contains(problemText(problems), c.want) {
				t.Errorf("got %s want %s", problemText(problems), c.want)
			}
		})
	}
}

// brokenFS answers its error to whatever is opened.
type brokenFS struct{ err error }

func (b brokenFS) Open(name string) (fs.File, error) {
	return nil, &fs.PathError{Op: "open", Path: "/private/" + name, Err: b.err}
}

func TestUnreadableFolder(t *testing.T) {
	_, problems := Load(brokenFS{errors.New("input/output error")}, nil, Features{})
	want := "modules: cannot be read: input/output error\npando.lock: cannot be read: input/output error (take the committed file; Pando writes it)\npando.yaml: cannot be read: input/output error\n"
	if got := problemText(problems); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}

func TestSecretsStayOut(t *testing.T) {
	_, problems := Load(mapFS(map[string]string{
		ConfigFile: "store: mysql://u:hunter2@h/x\ncache: { url: hunter2 }\nauth: { providers: { p: { client_id: x, client_secret: 1234567 } } }\n",
		"modules/m.yaml": "module: m\nwebhooks:\n  w: { on: x, url: 'hunter2', sign: hunter2 }\n  v: { on: x, url: 'https://u:hunter2@h/' }\n" +
			"integrations: { i: { url: 'https://[hunter2', auth: hunter2 } }\n",
	}), []string{"PANDO_MAIL=hunter2"}, Features{})
	if len(problems) < 9 {
		t.Errorf("only %d problems:\n%s", len(problems), problemText(problems))
	}
	for _, p := range problems {
		if s := p.String(); strings.Contains(s, "hunter2") || strings.Contains(s, "1234567") {
			t.Errorf("a secret is shown: %s", s)
		}
	}
}

func TestEnvironmentAlone(t *testing.T) {
	for variable, get := range map[string]func(Config) any{
		"PANDO_APP=x":                         func(c Config) any { return c.App },
		"PANDO_LISTEN=:1":                     func(c Config) any { return c.Listen },
		"PANDO_OPS=:2":                        func(c Config) any { return c.Ops },
		"PANDO_DATA=/d":                       func(c Config) any { return c.Data },
		"PANDO_STORE=postgres://h/123":        func(c Config) any { return c.Store.URL },
		"PANDO_STORE_URL=sqlite://x":          func(c Config) any { return c.Store.URL },
		"PANDO_CACHE=redis://r":               func(c Config) any { return c.Cache },
		"PANDO_BROKER=nats://n":               func(c Config) any { return c.Broker },
		"PANDO_FILES=s3://b":                  func(c Config) any { return c.Files },
		"PANDO_KEYS=awskms://k":               func(c Config) any { return c.Keys },
		"PANDO_MAIL=smtp://m":                 func(c Config) any { return c.Mail },
		"PANDO_LIMITS_BODY=5":                 func(c Config) any { return c.Limits.Body },
		"PANDO_LIMITS_HEADER=7":               func(c Config) any { return c.Limits.Header },
		"PANDO_LIMITS_ROWS=8":                 func(c Config) any { return c.Limits.Rows },
		"PANDO_LIMITS_DEPTH=9":                func(c Config) any { return c.Limits.Depth },
		"PANDO_LIMITS_FILTERS=10":             func(c Config) any { return c.Limits.Filters },
		"PANDO_LIMITS_TIMEOUT=11s":            func(c Config) any { return c.Limits.Timeout },
		"PANDO_LOG_FORMAT=json":               func(c Config) any { return c.Log.Format },
		"PANDO_LOG_LEVEL=debug":               func(c Config) any { return c.Log.Level },
		"PANDO_LOG_ACCESS=true":               func(c Config) any { return c.Log.Access },
		"PANDO_AUTH_AUTOCONFIRM=true":         func(c Config) any { return c.Auth.Autoconfirm },
		"PANDO_AUTH_MIN_PASSWORD=20":          func(c Config) any { return c.Auth.MinPassword },
		"PANDO_VERSIONS=v1":                   func(c Config) any { return c.Versions[0] },
		"PANDO_CORS_ORIGINS=https://o":        func(c Config) any { return c.CORS.Origins[0] },
		"PANDO_AUTH_REDIRECTS=https://r/,x:/": nil,
	} {
		for _, file := range []string{"", "limits:\nlog:\nauth: {}\nstore: postgres://other/db\n"} {
			app, problems := Load(mapFS(map[string]string{ConfigFile: file}), []string{variable}, Features{})
			_, want, _ := strings.Cut(variable, "=")
			switch {
			case get == nil:
				if got := problemText(problems); !strings.HasPrefix(got, "PANDO_AUTH_REDIRECTS: ") {
					t.Errorf("%s: %s", variable, got)
				}
			case app == nil:
				t.Errorf("%s: %s", variable, problemText(problems))
			default:
				if got := fmt.Sprint(get(app.Config)); got != want {
					t.Errorf("%s with %q gives %s", variable, file, got)
				}
			}
		}
	}
}

// generated is an application of n entities in files of 100, each with eight
// fields, two references, keys and policies.
func generated(n int) fstest.MapFS {
	files := fstest.MapFS{ConfigFile: &fstest.MapFile{}}
	for m := 0; m*100 < n; m++ {
		var b strings.Builder
		fmt.Fprintf(&b, "module: m%d\nentities:\n", m)
		for i := 0; i < 100 && m*100+i < n; i++ {
			fmt.Fprintf(&b, `  e%[1]d:
    fields:
      customer_id: { ref: auth.users, default: auth.uid, on_delete: cascade, inverse: m%[3]d_e%[1]d }
      before_id:   { ref: e%[2]d, optional: true, as: before }
      status:      { type: enum, values: [open, paid, shipped], default: open }
      total:       { type: decimal, scale: 2, min: 0 }
      note:        { type: text, max: 500, optional: true }
      tags:        { type: text, list: true, optional: true }
      created_at:  { type: timestamp, default: now() }
    unique: [[customer_id, created_at]]
    index:  [[customer_id, status, created_at]]
    check:  [ "row.status != 'paid' || row.total > 0" ]
    policy:
      read:   "row.customer_id == auth.uid || 'staff' in auth.roles"
      create: "row.customer_id == auth.uid"
      update: { when: "row.customer_id == auth.uid", fields: [note, status] }
    search: [note]
`, i, max(0, i-1), m)
		}
		files[fmt.Sprintf("modules/m%d.yaml", m)] = &fstest.MapFile{Data: []byte(b.String())}
	}
	return files
}

func BenchmarkLoad(b *testing.B) {
	for _, n := range []int{100, 1000} {
		files := generated(n)
		b.Run(fmt.Sprintf("entities=%d", n), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if app, problems := Load(files, nil, Features{}); app == nil {
					b.Fatal(problemText(problems))
				}
			}
		})
	}
}

// TestLoadStaysLinear finds work that grows faster than the application: ten
// times the entities may take no more than forty times as long. Speed itself is
// BenchmarkLoad's.
func TestLoadStaysLinear(t *testing.T) {
	quickest := func(n int) time.Duration {
		files, best := generated(n), time.Hour
		for range 5 {
			start := time.Now()
			if app, problems := Load(files, nil, Features{}); app == nil {
				t.Fatal(problemText(problems))
			}
			best = min(best, time.Since(start))
		}
		return best
	}
	few, many := quickest(100), quickest(1000)
	t.Logf("100 entities in %v, 1,000 in %v", few, many)
	if many > 40*few {
		t.Errorf("100 entities take %v, 1,000 take %v", few, many)
	}
}

func FuzzLoad(f *testing.F) {
	for _, dir := range []string{"good", "bad"} {
		for _, g := range goldens(f, dir) {
			for name, file := range g.files {
				if strings.HasPrefix(name, ModulesDir) {
					config, lock := "", ""
					if c := g.files[ConfigFile]; c != nil {
						config = string(c.Data)
					}
					if l := g.files[LockFile]; l != nil {
						lock = string(l.Data)
					}
					f.Add(config, string(file.Data), lock, strings.Join(g.env, "\n"))
				}
			}
		}
	}
	f.Add("store:\n", "module: m\nentities: { e: { fields: { a: text } } }", "owners:", "PANDO_STORE_REPLICAS=x")
	f.Fuzz(func(t *testing.T, config, module, lock, env string) {
		files := map[string]string{ConfigFile: config, "modules/m.yaml": module, "functions/a.ts": "", LockFile: lock}
		app, problems := Load(mapFS(files), strings.Split(env, "\n"), Features{Encrypted: true, Retain: true, FieldPolicies: true})
		if (app == nil) != (len(problems) > 0) {
			t.Fatalf("an application and problems exclude each other: %v, %v", app, problems)
		}
		for _, p := range problems {
			if p.Message == "" || p.File == "" || strings.Contains(p.String(), "\n") || p.Line < 0 || (p.Line > 0) != (p.Column > 0) {
				t.Fatalf("a problem without a place or message: %#v", p)
			}
		}
		if app == nil {
			return
		}
		data, _ := app.UpdatedLock()
		files[LockFile] = string(data)
		again, problems := Load(mapFS(files), strings.Split(env, "\n"), Features{Encrypted: true, Retain: true, FieldPolicies: true})
		if again == nil {
			t.Fatalf("what was accepted is refused with its own lock:\n%s", problemText(problems))
		}
		if next, changed := again.UpdatedLock(); changed {
			t.Fatalf("the lock changes again:\n%s\n%s", data, next)
		}
	})
}
