package functions

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/pandobase/pando/internal/fault"
)

// hostFunc is a host of one function.
type hostFunc func(ctx context.Context, method string, body []byte) ([]byte, error)

func (f hostFunc) Call(ctx context.Context, method string, body []byte) ([]byte, error) {
	return f(ctx, method, body)
}

// lines is a log that tests read.
type lines struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// cacheDir is shared by the tests, so that QuickJS is compiled once.
//
//nolint:gochecknoglobals // made once for all tests, removed by TestMain
var cacheDir = sync.OnceValue(func() string {
	dir, err := testCacheDir()
	if err != nil {
		panic(err)
	}
	return dir
})

// start returns a runtime with files, each an entry whose name ends in .ts.
func start(t testing.TB, files map[string]string, adapt ...func(*Config)) (*Runtime, *lines) {
	t.Helper()
	log := &lines{}
	cfg := Config{Cache: cacheDir(), Log: slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug}))}
	for _, f := range adapt {
		f(&cfg)
	}
	rt, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := rt.Close(); err != nil {
			t.Error(err)
		}
	})
	if problems := load(rt, files); len(problems) > 0 {
		t.Fatalf("problems: %+v", problems)
	}
	return rt, log
}

func load(rt *Runtime, files map[string]string) []Problem {
	fsys, entries := fstest.MapFS{}, []string{}
	for name, text := range files {
		fsys[name] = &fstest.MapFile{Data: []byte(text)}
		if strings.HasSuffix(name, ".ts") && !strings.Contains(name, "/lib/") {
			entries = append(entries, name)
		}
	}
	return rt.Load(context.Background(), fsys, entries)
}

// one is the entry of tests that need one.
const one = "functions/one.ts"

func invoke(t testing.TB, rt *Runtime, call Call) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	fill(&call.Entry, one)
	result, err := rt.Invoke(ctx, call)
	if err != nil {
		if f := (*fault.Error)(nil); !errors.As(err, &f) {
			t.Errorf("error %v is no fault", err)
		}
	}
	return string(result.Output), err
}

func TestInvoke(t *testing.T) {
	rt, _ := start(t, map[string]string{
		one: `import { twice } from './lib/twice';
import words from './lib/words.json';
export default async (input: { n: number }, ctx: any) => {
  await Promise.resolve();
  return { n: twice(input.n), word: words.hello, uid: ctx.auth.uid };
};
export const other = () => undefined;
`,
		"functions/lib/twice.ts":   `export function twice(n: number): number { return 2 * n }`,
		"functions/lib/words.json": `{"hello":"hallo"}`,
	})
	got, err := invoke(t, rt, Call{Input: json.RawMessage(`{"n":21}`), Context: json.RawMessage(`{"auth":{"uid":"u1"}}`)})
	if err != nil {
		t.Fatal(err)
	}
	if want := `{"n":42,"word":"hallo","uid":"u1"}`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if got, err := invoke(t, rt, Call{Export: "other"}); got != "null" || err != nil {
		t.Errorf("undefined became %s, %v", got, err)
	}
}
