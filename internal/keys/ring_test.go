package keys_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/keys"
)

// clock is a clock that a test sets.
type clock struct{ now time.Time }

func (c *clock) Now() time.Time { return c.now }

func noEnv(string) string { return "" }

func openRing(t testing.TB, dir string, more ...func(*keys.RingConfig)) *keys.Ring {
	t.Helper()
	cfg := keys.RingConfig{Dir: dir, Getenv: noEnv}
	for _, f := range more {
		f(&cfg)
	}
	r, err := keys.OpenRing(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func wantLookup(t *testing.T, r *keys.Ring, key string, kind keys.Kind, id string) {
	t.Helper()
	gotKind, gotID, ok := r.Lookup(key)
	if gotKind != kind || gotID != id || ok != (kind != "") {
		t.Errorf("lookup: %q %q %v, want %q %q", gotKind, gotID, ok, kind, id)
	}
}

func wantFault(t *testing.T, err error, code fault.Code, message string) {
	t.Helper()
	if !fault.Is(err, code) || !strings.Contains(err.Error(), message) {
		t.Errorf("error %v, want %s with %q", err, code, message)
	}
}

func TestFirstStartMakesThePair(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	r := openRing(t, dir)
	pub, sec := r.Pair()
	if len(pub) != len("pando_pub_")+43 || !strings.HasPrefix(pub, "pando_pub_") || len(sec) != len("pando_sec_")+43 || !strings.HasPrefix(sec, "pando_sec_") {
		t.Errorf("pair %q %q", pub, sec)
	}
	info, err := os.Stat(filepath.Join(dir, "keys.json"))
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v", info.Mode())
	}
	list := r.List()
	if len(list) != 2 || list[0].Kind != keys.Publishable || !list[0].First || list[1].Kind != keys.Secret {
		t.Fatalf("list %+v", list)
	}
	wantLookup(t, r, pub, keys.Publishable, list[0].ID)
	wantLookup(t, r, sec, keys.Secret, list[1].ID)

	again := openRing(t, dir)
	if p, s := again.Pair(); p != pub || s != sec {
		t.Error("a second start made another pair")
	}
	if p, s := openRing(t, t.TempDir()).Pair(); p == pub || s == sec {
		t.Error("two folders have the same keys")
	}
}

func TestLookupRefuses(t *testing.T) {
	r := openRing(t, t.TempDir())
	_, sec := r.Pair()
	for _, key := range []string{
		"", "x", sec[:len(sec)-1], sec + "x", strings.ToUpper(sec), sec[:len(sec)-1] + "-",
		strings.Replace(sec, "pando_sec_", "pando_pub_", 1), strings.Repeat("a", 512), strings.Repeat("a", 1<<20),
	} {
		wantLookup(t, r, key, "", "")
	}
}

func TestTwoFirstStartsAgree(t *testing.T) {
	dir := t.TempDir()
	var mu sync.Mutex
	pairs := map[string]bool{}
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			r, err := keys.OpenRing(keys.RingConfig{Dir: dir, Getenv: noEnv})
			if err != nil {
				t.Error(err)
				return
			}
			pub, sec := r.Pair()
			mu.Lock()
			defer mu.Unlock()
			pairs[pub+" "+sec] = true
		})
	}
	wg.Wait()
	if len(pairs) != 1 {
		t.Errorf("%d different pairs", len(pairs))
	}
	left, err := os.ReadDir(dir)
	if err != nil || len(left) != 1 {
		t.Errorf("left in the folder: %v %v", left, err)
	}
}

func TestEnvironmentGivesThePair(t *testing.T) {
	dir := t.TempDir()
	filePub, fileSec := openRing(t, dir).Pair()
	env := map[string]string{keys.EnvSecret: "sec-from-the-environment-0123456789"}
	r := openRing(t, dir, func(c *keys.RingConfig) { c.Getenv = func(k string) string { return env[k] } })
	if pub, sec := r.Pair(); pub != filePub || sec != env[keys.EnvSecret] {
		t.Errorf("pair %q %q", pub, sec)
	}
	wantLookup(t, r, env[keys.EnvSecret], keys.Secret, "env_secret")
	wantLookup(t, r, fileSec, "", "") // a forgotten file lets nobody in
	list := r.List()
	if len(list) != 2 || list[0].Env || !list[1].Env {
		t.Fatalf("list %+v", list)
	}
	if _, _, err := r.Rotate("env_secret", 0); !fault.Is(err, fault.Conflict) {
		t.Errorf("rotate: %v", err)
	}
	if err := r.Revoke("env_secret"); !fault.Is(err, fault.Conflict) {
		t.Errorf("revoke: %v", err)
	}

	env[keys.EnvPublishable] = "pub-from-the-environment-0123456789"
	bare := filepath.Join(t.TempDir(), "data")
	r = openRing(t, bare, func(c *keys.RingConfig) { c.Getenv = func(k string) string { return env[k] } })
	if _, err := os.Stat(filepath.Join(bare, "keys.json")); !os.IsNotExist(err) {
		t.Errorf("a file was made although the environment gives all: %v", err)
	}
	key, text, err := r.Create(keys.New{Kind: keys.Secret, Name: "ci"})
	if err != nil {
		t.Fatal(err)
	}
	wantLookup(t, r, text, keys.Secret, key.ID)
	wantLookup(t, r, env[keys.EnvSecret], keys.Secret, "env_secret")
}

func TestWeakEnvironmentIsRefused(t *testing.T) {
	long := strings.Repeat("k", 40)
	tests := []struct {
		name    string
		env     map[string]string
		message string
	}{
		{"short", map[string]string{keys.EnvSecret: "hunter2"}, "has 7 characters"},
		{"endless", map[string]string{keys.EnvSecret: strings.Repeat("k", 513)}, "has 513 characters"},
		{"space", map[string]string{keys.EnvSecret: long + "\n"}, "holds a space"},
		{"same", map[string]string{keys.EnvSecret: long, keys.EnvPublishable: long}, "are the same key"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := keys.OpenRing(keys.RingConfig{Dir: t.TempDir(), Getenv: func(k string) string { return tt.env[k] }})
			wantFault(t, err, fault.ConfigInvalid, tt.message)
			if strings.Contains(err.Error(), long) || strings.Contains(err.Error(), "hunter2") {
				t.Errorf("the error shows the key: %v", err)
			}
		})
	}
}

func TestCreateStoresTheHashOnly(t *testing.T) {
	dir := t.TempDir()
	r := openRing(t, dir)
	key, text, err := r.Create(keys.New{Kind: keys.Secret, Name: "backup job"})
	if err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(filepath.Join(dir, "keys.json"))
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(data), text) {
		t.Error("the text of a further key is on disk")
	}
	for _, ring := range []*keys.Ring{r, openRing(t, dir)} {
		wantLookup(t, ring, text, keys.Secret, key.ID)
		if i := slices.IndexFunc(ring.List(), func(k keys.Key) bool { return k.ID == key.ID && k.Name == "backup job" && !k.First }); i != 2 {
			t.Errorf("list %+v", ring.List())
		}
	}
}

func TestCreateRefuses(t *testing.T) {
	r := openRing(t, t.TempDir())
	_, _, err := r.Create(keys.New{Kind: "secrt", Name: "x"})
	wantFault(t, err, fault.BadRequest, "unknown kind")
	if f := fault.From(err); !strings.Contains(f.Hint, `"secret"`) {
		t.Errorf("hint %q", f.Hint)
	}
	for _, name := range []string{"", "a\nb", "\xff", strings.Repeat("x", 101)} {
		_, _, err := r.Create(keys.New{Kind: keys.Secret, Name: name})
		wantFault(t, err, fault.BadRequest, "name")
	}
	if len(r.List()) != 2 {
		t.Error("something was made")
	}
}

func TestRotate(t *testing.T) {
	dir := t.TempDir()
	c := &clock{now: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}
	withClock := func(cfg *keys.RingConfig) { cfg.Now = c.Now }
	r := openRing(t, dir, withClock)
	_, oldText := r.Pair()
	oldID := r.List()[1].ID
	made, text, err := r.Rotate(oldID, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	if _, sec := r.Pair(); sec != text || !made.First || made.ID == oldID {
		t.Errorf("made %+v", made)
	}
	for _, ring := range []*keys.Ring{r, openRing(t, dir, withClock)} {
		wantLookup(t, ring, text, keys.Secret, made.ID)
		wantLookup(t, ring, oldText, keys.Secret, oldID)
		if n := len(ring.List()); n != 3 {
			t.Errorf("%d keys", n)
		}
	}
	c.now = c.now.Add(time.Hour)
	wantLookup(t, r, oldText, "", "")
	wantLookup(t, r, text, keys.Secret, made.ID)
	if n := len(r.List()); n != 2 {
		t.Errorf("%d keys", n)
	}

	further, first, err := r.Create(keys.New{Kind: keys.Publishable, Name: "web"})
	if err != nil {
		t.Fatal(err)
	}
	next, second, err := r.Rotate(further.ID, 0)
	if err != nil {
		t.Fatal(err)
	}
	wantLookup(t, r, first, "", "")
	wantLookup(t, r, second, keys.Publishable, next.ID)
	if next.Name != "web" || next.First {
		t.Errorf("next %+v", next)
	}
	data, err := os.ReadFile(filepath.Join(dir, "keys.json"))
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(data), oldText) || strings.Contains(string(data), oldID) || strings.Contains(string(data), second) {
		t.Error("the file holds an expired key or the text of a further one")
	}
	_, _, err = r.Rotate(next.ID, -time.Second)
	wantFault(t, err, fault.BadRequest, "negative")
}

func TestRevoke(t *testing.T) {
	dir := t.TempDir()
	r := openRing(t, dir)
	key, text, err := r.Create(keys.New{Kind: keys.Secret, Name: "ci"})
	if err != nil {
		t.Fatal(err)
	}
	err = r.Revoke(key.ID + "x")
	wantFault(t, err, fault.NotFound, "no API key")
	if f := fault.From(err); !strings.Contains(f.Hint, key.ID) {
		t.Errorf("hint %q", f.Hint)
	}
	if err := r.Revoke(key.ID); err != nil {
		t.Fatal(err)
	}
	wantLookup(t, r, text, "", "")
	wantLookup(t, openRing(t, dir), text, "", "")
	wantFault(t, r.Revoke(r.List()[1].ID), fault.Conflict, "first pair")
}

func TestReload(t *testing.T) {
	dir := t.TempDir()
	node, command := openRing(t, dir), openRing(t, dir)
	key, text, err := command.Create(keys.New{Kind: keys.Secret, Name: "made beside"})
	if err != nil {
		t.Fatal(err)
	}
	wantLookup(t, node, text, "", "")
	if err := node.Reload(); err != nil {
		t.Fatal(err)
	}
	wantLookup(t, node, text, keys.Secret, key.ID)

	if err := os.WriteFile(filepath.Join(dir, "keys.json"), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	wantFault(t, node.Reload(), fault.ConfigInvalid, "damaged")
	wantLookup(t, node, text, keys.Secret, key.ID) // it goes on as it was
}

// A change is made to the file as it is, not as it was read once.
func TestChangeKeepsWhatOthersWrote(t *testing.T) {
	dir := t.TempDir()
	one, two := openRing(t, dir), openRing(t, dir)
	_, first, err := one.Create(keys.New{Kind: keys.Secret, Name: "one"})
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := two.Create(keys.New{Kind: keys.Secret, Name: "two"}); err != nil {
		t.Fatal(err)
	}
	if _, _, ok := openRing(t, dir).Lookup(first); !ok {
		t.Error("the first key is gone")
	}
}

func TestDamagedFileIsRefused(t *testing.T) {
	good := func(t *testing.T) map[string]any {
		dir := t.TempDir()
		openRing(t, dir)
		data, err := os.ReadFile(filepath.Join(dir, "keys.json"))
		if err != nil {
			t.Fatal(err)
		}
		var doc map[string]any
		if err := json.Unmarshal(data, &doc); err != nil {
			t.Fatal(err)
		}
		return doc
	}
	edit := func(f func(doc, key map[string]any)) func(*testing.T) []byte {
		return func(t *testing.T) []byte {
			doc := good(t)
			list, _ := doc["keys"].([]any)
			key, _ := list[0].(map[string]any)
			f(doc, key)
			data, err := json.Marshal(doc)
			if err != nil {
				t.Fatal(err)
			}
			return data
		}
	}
	tests := map[string]func(*testing.T) []byte{
		"empty":         func(*testing.T) []byte { return nil },
		"cut":           func(*testing.T) []byte { return []byte(`{"version":1,"keys":[`) },
		"version":       edit(func(doc, _ map[string]any) { doc["version"] = 2 }),
		"kind":          edit(func(_, key map[string]any) { key["kind"] = "root" }),
		"no id":         edit(func(_, key map[string]any) { delete(key, "id") }),
		"public role":   edit(func(_, key map[string]any) { key["kind"], key["roles"] = "publishable", []string{"admin"} }),
		"first scoped":  edit(func(_, key map[string]any) { key["modules"] = []string{"x"} }),
		"negative life": edit(func(_, key map[string]any) { key["life"] = -1 }),
		"no text":       edit(func(_, key map[string]any) { delete(key, "key") }),
		"weak text":     edit(func(_, key map[string]any) { key["key"] = "x" }),
		"hash only":     edit(func(_, key map[string]any) { delete(key, "key"); key["sha256"] = make([]byte, 32) }),
	}
	for name, make := range tests {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			path := filepath.Join(dir, "keys.json")
			before := make(t)
			if err := os.WriteFile(path, before, 0o600); err != nil {
				t.Fatal(err)
			}
			_, err := keys.OpenRing(keys.RingConfig{Dir: dir, Getenv: noEnv})
			wantFault(t, err, fault.ConfigInvalid, "damaged")
			if after, err := os.ReadFile(path); err != nil || string(after) != string(before) {
				t.Error("the damaged file was touched")
			}
		})
	}
}

func TestReadableByOthersIsRefused(t *testing.T) {
	dir := t.TempDir()
	openRing(t, dir)
	path := filepath.Join(dir, "keys.json")
	if err := os.Chmod(path, 0o640); err != nil {
		t.Fatal(err)
	}
	_, err := keys.OpenRing(keys.RingConfig{Dir: dir, Getenv: noEnv})
	wantFault(t, err, fault.ConfigInvalid, "can be read by others")
}

func TestUnwritableFolderIsTold(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := keys.OpenRing(keys.RingConfig{Dir: file, Getenv: noEnv}); err == nil {
		t.Error("opened in a file")
	}
}

func TestConcurrentLookupAndRotation(t *testing.T) {
	r := openRing(t, t.TempDir())
	pub, _ := r.Pair()
	done := make(chan struct{})
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
					if _, _, ok := r.Lookup(pub); !ok {
						t.Error("a lookup failed during a rotation")
						return
					}
				}
			}
		})
	}
	for range 10 {
		if _, _, err := r.Rotate(r.List()[1].ID, time.Minute); err != nil {
			t.Error(err)
		}
	}
	close(done)
	wg.Wait()
}

func TestLookupAllocatesNothing(t *testing.T) {
	r := openRing(t, t.TempDir())
	_, sec := r.Pair()
	if n := testing.AllocsPerRun(100, func() { r.Lookup(sec) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestScopedKey(t *testing.T) {
	dir, now := t.TempDir(), time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	open := func() *keys.Ring {
		r, err := keys.OpenRing(keys.RingConfig{Dir: dir, Getenv: noEnv, Now: func() time.Time { return now }})
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	r := open()
	made, text, err := r.Create(keys.New{
		Kind: keys.Secret, Name: "importer", Roles: []string{"staff", "editor", "staff"}, Modules: []string{"orders"}, Life: 90 * 24 * time.Hour,
	})
	if err != nil {
		t.Fatal(err)
	}
	want := keys.Key{
		ID: made.ID, Name: "importer", Kind: keys.Secret, Roles: []string{"editor", "staff"}, Modules: []string{"orders"}, Created: now, Expires: now.AddDate(0, 0, 90),
	}
	for _, ring := range []*keys.Ring{r, open()} {
		got, ok := ring.Find(text)
		if diff := cmp.Diff(want, got); !ok || diff != "" || got.IsService() {
			t.Error(diff)
		}
		if list := ring.List(); cmp.Diff(want, list[2]) != "" {
			t.Errorf("listed %+v", list[2])
		}
	}
	_, sec := r.Pair()
	if k, ok := r.Find(sec); !ok || !k.IsService() {
		t.Errorf("the first secret key: %+v", k)
	}

	// A rotation keeps the scope, and gives the whole life again.
	now = now.AddDate(0, 0, 60)
	next, nextText, err := r.Rotate(made.ID, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	want.ID, want.Created, want.Expires = next.ID, now, now.AddDate(0, 0, 90)
	if diff := cmp.Diff(want, next); diff != "" {
		t.Error(diff)
	}
	if old, ok := r.Find(text); !ok || !old.Expires.Equal(now.Add(time.Hour)) || len(old.Roles) != 2 {
		t.Errorf("the old key: %+v, %v", old, ok)
	}
	now = now.AddDate(0, 0, 90)
	if k, ok := r.Find(nextText); ok || k.ID != "" {
		t.Errorf("an expired key: %+v", k)
	}
}

func TestCreateRefusesScopes(t *testing.T) {
	r := openRing(t, t.TempDir())
	many := make([]string, 101)
	for i := range many {
		many[i] = fmt.Sprint("r", i)
	}
	for want, n := range map[string]keys.New{
		"a publishable key has no roles": {Kind: keys.Publishable, Roles: []string{"staff"}},
		"each with a name":               {Kind: keys.Secret, Roles: []string{""}},
		"at most 100 roles":              {Kind: keys.Secret, Modules: many},
		"a key has at most":              {Kind: keys.Secret, Modules: []string{"a\nb"}},
		"a key lives 1s":                 {Kind: keys.Secret, Life: -time.Hour},
		"to 100 years":                   {Kind: keys.Secret, Life: 101 * 365 * 24 * time.Hour},
	} {
		n.Name = "x"
		_, text, err := r.Create(n)
		wantFault(t, err, fault.BadRequest, want)
		if text != "" {
			t.Errorf("%s: made a key", want)
		}
	}
	if n := len(r.List()); n != 2 {
		t.Errorf("%d keys", n)
	}
}

func TestFindAllocatesNothing(t *testing.T) {
	r := openRing(t, t.TempDir())
	_, text, err := r.Create(keys.New{Kind: keys.Secret, Name: "x", Roles: []string{"staff"}})
	if err != nil {
		t.Fatal(err)
	}
	if n := testing.AllocsPerRun(100, func() { r.Find(text) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkLookup(b *testing.B) {
	r := openRing(b, b.TempDir())
	_, sec := r.Pair()
	b.ReportAllocs()
	for b.Loop() {
		if _, _, ok := r.Lookup(sec); !ok {
			b.Fatal("not found")
		}
	}
}
