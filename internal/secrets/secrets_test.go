package secrets_test

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/keys"
	"github.com/pandobase/pando/internal/secrets"
)

const value = `s3cr+t/"päss"&<word>`

func open(t *testing.T, dir string, environ ...string) *secrets.Store {
	t.Helper()
	s, err := tryOpen(t, dir, environ...)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func tryOpen(t *testing.T, dir string, environ ...string) (*secrets.Store, error) {
	t.Helper()
	w, err := keys.OpenWrapper(dir)
	if err != nil {
		t.Fatal(err)
	}
	return secrets.Open(secrets.Config{
		Dir: dir, Wrapper: w, Environ: append([]string{"HOME=/"}, environ...),
		Now: func() time.Time { return time.Date(2026, 5, 6, 7, 8, 9, 10, time.UTC) },
	})
}

func set(t *testing.T, s *secrets.Store, name, value string) {
	t.Helper()
	if err := s.Set(name, value); err != nil {
		t.Fatal(err)
	}
}

func TestSecretsAreKept(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, dir)
	if _, err := s.Get("payments_key"); !fault.Is(err, fault.ConfigInvalid) || !strings.Contains(fault.From(err).Hint, "PANDO_SECRET_PAYMENTS_KEY") {
		t.Fatalf("a secret that is not there: %v", err)
	}
	set(t, s, "payments_key", "first value")
	set(t, s, "payments_key", value)
	set(t, s, "_B2", strings.Repeat("x", secrets.MaxValue))
	set(t, s, "gone", "something")
	if err := s.Remove("gone"); err != nil {
		t.Fatal(err)
	}
	for _, s := range []*secrets.Store{s, open(t, dir)} {
		if v, err := s.Get("payments_key"); err != nil || v != value {
			t.Errorf("%q, %v", v, err)
		}
		if _, ok := s.Lookup("gone"); ok {
			t.Error("what was removed is there")
		}
		at := time.Date(2026, 5, 6, 7, 8, 9, 0, time.UTC)
		if got, want := s.List(), []secrets.Entry{{Name: "_B2", At: at}, {Name: "payments_key", At: at}}; !slices.Equal(got, want) {
			t.Errorf("list: %v", got)
		}
	}
	if err := s.Remove("gone"); !fault.Is(err, fault.NotFound) {
		t.Errorf("removed twice: %v", err)
	}
	file := filepath.Join(dir, "secrets.json")
	info, err := os.Stat(file)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	data, err := os.ReadFile(file)
	if err != nil || bytes.Contains(data, []byte("first value")) || bytes.Contains(data, []byte("xxxxxxxxxx")) || bytes.Contains(data, []byte("s3cr+t/")) {
		t.Errorf("the file shows a value: %s", data)
	}
}

func TestEnvironmentGoesFirst(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, dir, "PANDO_SECRET_PAYMENTS_KEY=of the environment", "PANDO_SECRET_OTHER=other value", "PANDO_SECRET_EMPTY=", "PANDO_SECRET_KEY=pando_sec_x")
	set(t, s, "payments_key", "stored value")
	if v, err := s.Get("payments_key"); err != nil || v != "of the environment" {
		t.Errorf("%q, %v", v, err)
	}
	if v, err := s.Get("other"); err != nil || v != "other value" {
		t.Errorf("%q, %v", v, err)
	}
	if _, ok := s.Lookup("empty"); ok {
		t.Error("an empty variable counts")
	}
	if _, ok := s.Lookup("key"); ok {
		t.Error("the API's secret key is one of the application's secrets")
	}
	if got := s.Redact("stored value, of the environment"); got != "[secret], [secret]" {
		t.Error(got)
	}
	if err := s.Remove("other"); !fault.Is(err, fault.NotFound) || !strings.Contains(fault.From(err).Hint, "PANDO_SECRET_OTHER") {
		t.Errorf("removing a variable: %v", err)
	}
	if got := s.List(); len(got) != 2 || got[1].Name != "payments_key" || !got[1].Environment || got[1].At.IsZero() || !got[0].At.IsZero() {
		t.Errorf("list: %+v", got)
	}
	if v, _ := open(t, dir).Get("payments_key"); v != "stored value" {
		t.Errorf("without the variable: %q", v)
	}
}

func TestRefused(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir())
	for _, tt := range []struct{ name, value string }{
		{"", value},
		{"1x", value},
		{"a-b", value},
		{"../x", value},
		{"a.b", value},
		{"a\nb", value},
		{"ä", value},
		{strings.Repeat("a", 64), value},
		{"a", ""},
		{"a", strings.Repeat("x", secrets.MaxValue+1)},
	} {
		err := s.Set(tt.name, tt.value)
		if !fault.Is(err, fault.BadRequest) || strings.Contains(err.Error(), value) {
			t.Errorf("%q: %v", tt.name, err)
		}
	}
	// A value in the name's place is not repeated.
	for _, err := range []error{s.Set(value, value), s.Remove(value), func() error { _, err := s.Get(value); return err }()} {
		if f := fault.From(err); strings.Contains(f.Message+f.Details+f.Hint, "s3cr") {
			t.Errorf("%+v shows what may be a value", f)
		}
	}
	if len(s.List()) != 0 {
		t.Error("something was stored")
	}
}

func TestDamage(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, dir)
	set(t, s, "a", "value of a")
	set(t, s, "b", "value of b")
	file := filepath.Join(dir, "secrets.json")
	good, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var doc struct {
		Version int                       `json:"version"`
		Secrets map[string]map[string]any `json:"secrets"`
	}
	if err := json.Unmarshal(good, &doc); err != nil {
		t.Fatal(err)
	}
	doc.Secrets["a"], doc.Secrets["b"] = doc.Secrets["b"], doc.Secrets["a"]
	exchanged, _ := json.Marshal(doc)
	doc.Secrets["a"], doc.Secrets["b"] = doc.Secrets["b"], doc.Secrets["a"]
	doc.Secrets["a"]["value"] = doc.Secrets["b"]["value"]
	mixed, _ := json.Marshal(doc)
	for name, data := range map[string][]byte{
		"exchanged names": exchanged, "another's value": mixed, "empty": nil, "cut": good[:len(good)/2], "version": bytes.Replace(good, []byte(`"version": 1`), []byte(`"version": 2`), 1),
		"unknown member": bytes.Replace(good, []byte(`"version": 1`), []byte(`"version": 1, "x": 1`), 1), "more": append(slices.Clone(good), good...),
		"name": bytes.Replace(good, []byte(`"a"`), []byte(`"a-"`), 1),
	} {
		if err := os.WriteFile(file, data, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := tryOpen(t, dir); !fault.Is(err, fault.ConfigInvalid) || fault.From(err).Hint == "" || strings.Contains(err.Error(), "value of") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := os.WriteFile(file, good, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(file, 0o640); err != nil {
		t.Fatal(err)
	}
	if _, err := tryOpen(t, dir); !fault.Is(err, fault.ConfigInvalid) {
		t.Errorf("a file that others read: %v", err)
	}
	if err := os.Chmod(file, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(dir, "keys", "master")); err != nil {
		t.Fatal(err)
	}
	if _, err := tryOpen(t, dir); !fault.Is(err, fault.ConfigInvalid) {
		t.Errorf("another master key: %v", err)
	}
}

// TestAFailedWriteChangesNothing: the secret that counts is the one on disk.
func TestAFailedWriteChangesNothing(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, dir)
	set(t, s, "a", "value of a")
	if err := os.Remove(filepath.Join(dir, "secrets.json")); err != nil {
		t.Fatal(err)
	}
	// A folder in the file's place: the rename fails, as it would on a full disk.
	if err := os.MkdirAll(filepath.Join(dir, "secrets.json", "x"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := s.Set("a", "another value"); !fault.Is(err, fault.StoreIO) {
		t.Errorf("set: %v", err)
	}
	if err := s.Remove("a"); !fault.Is(err, fault.StoreIO) {
		t.Errorf("remove: %v", err)
	}
	if v, _ := s.Get("a"); v != "value of a" {
		t.Errorf("now it is %q", v)
	}
	left, err := filepath.Glob(filepath.Join(dir, ".secrets*"))
	if err != nil || len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

// TestNoValueIsShown is attack class 39: every way in which a log or an error
// could come to hold a secret.
func TestNoValueIsShown(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir(), "PANDO_SECRET_ENV=value of the environment")
	set(t, s, "a", value)
	set(t, s, "short", "12345")
	set(t, s, "file", "from a file\n")
	marshaled, err := json.Marshal(map[string]any{"s": s})
	if err != nil {
		t.Fatal(err)
	}
	var logged bytes.Buffer
	slog.New(slog.NewTextHandler(&logged, nil)).Info("x", "s", s)
	quoted, _ := json.Marshal(value)
	variants := map[string]string{
		"String": fmt.Sprint(s), "verbs": fmt.Sprintf("%v %+v %#v %s %q", s, s, s, s, s), "JSON of the store": string(marshaled), "slog of the store": logged.String(),
		"plain": s.Redact("key=" + value + "."), "another": s.Redact("value of the environment"), "trimmed": s.Redact("from a file"),
		"query": s.Redact("https://h/?k=" + url.QueryEscape(value)), "path": s.Redact("https://h/" + url.PathEscape(value)),
		"JSON": s.Redact(string(quoted)), "hex": s.Redact(hex.EncodeToString([]byte(value))), "HEX": s.Redact(strings.ToUpper(hex.EncodeToString([]byte(value)))),
		"base64": s.Redact(base64.StdEncoding.EncodeToString([]byte(value))), "base64url": s.Redact(base64.RawURLEncoding.EncodeToString([]byte(value))),
		"Basic": s.Redact("Basic " + base64.StdEncoding.EncodeToString([]byte("user:"+value))), "twice": s.Redact(value + value),
	}
	for _, before := range []string{"", "a", "ab", "abc"} {
		for _, after := range []string{"", "y", "yz", "xyz"} {
			variants["within base64 "+before+after] = s.Redact(base64.StdEncoding.EncodeToString([]byte(before + value + after)))
		}
	}
	for name, got := range variants {
		plain := got
		for word := range strings.FieldsFuncSeq(got, func(r rune) bool {
			return !strings.ContainsRune("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/-_=", r)
		}) {
			for _, code := range []*base64.Encoding{base64.StdEncoding, base64.RawURLEncoding} {
				if b, err := code.DecodeString(word); err == nil {
					plain += string(b)
				}
			}
		}
		if strings.Contains(plain, "s3cr") || strings.Contains(plain, "word") || strings.Contains(got, "733363722b") || strings.Contains(plain, "environment") || strings.Contains(plain, "from a") {
			t.Errorf("%s shows it: %s", name, got)
		}
		if strings.Contains(name, "base64") && !strings.Contains(got, "[secret]") {
			t.Errorf("%s: %s", name, got)
		}
	}
	if got := s.Redact("12345 is no secret"); got != "12345 is no secret" {
		t.Errorf("a value of five bytes is masked: %s", got)
	}
	var out bytes.Buffer
	log := slog.New(slog.NewJSONHandler(s.Writer(&out), nil))
	log.Info("calling "+value, "url", "https://h/?k="+url.QueryEscape(value), "error", fmt.Errorf("x: %w", fmt.Errorf("bad key %s", value)))
	if strings.Contains(out.String(), "s3cr") || strings.Count(out.String(), "[secret]") != 3 || !json.Valid(out.Bytes()) {
		t.Errorf("the log has %s", out.String())
	}
	if err := s.Remove("a"); err != nil {
		t.Fatal(err)
	}
	if got := s.Redact(value); got != value {
		t.Errorf("what is no secret any more is masked: %s", got)
	}
}

func TestConcurrentUse(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, dir)
	var all sync.WaitGroup
	for i := range 4 {
		all.Go(func() {
			for j := range 5 {
				name := fmt.Sprintf("s%d_%d", i, j)
				if err := s.Set(name, "the value of "+name); err != nil {
					t.Error(err)
				}
				if v, err := s.Get(name); err != nil || v != "the value of "+name || s.Redact(v) != "[secret]" {
					t.Errorf("%s: %q, %v", name, v, err)
				}
			}
		})
	}
	all.Wait()
	if got := len(open(t, dir).List()); got != 20 {
		t.Errorf("%d of 20 are on disk", got)
	}
}

func BenchmarkRedact(b *testing.B) {
	values := make([]string, 50)
	for i := range values {
		values[i] = fmt.Sprintf("%032x", i*7919)
	}
	r := secrets.NewRedactor(values...)
	line := `time=2026-05-06T07:08:09Z level=INFO msg="a request was answered" method=GET path=/rest/v1/orders status=200 request_id=0192f`
	b.SetBytes(int64(len(line)))
	b.ReportAllocs()
	for b.Loop() {
		r.Redact(line)
	}
}
