package functions

import (
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/pandobase/pando/internal/fault"
)

// buildGuest compiles a program of testdata to WebAssembly.
func buildGuest(t *testing.T, name string, flags ...string) []byte {
	t.Helper()
	out := filepath.Join(t.TempDir(), name+".wasm")
	cmd := exec.CommandContext(t.Context(), "go", append(append([]string{"build", "-o", out}, flags...), "./testdata/"+name)...)
	cmd.Env = append(os.Environ(), "GOOS=wasip1", "GOARCH=wasm", "CGO_ENABLED=0")
	if text, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, text)
	}
	b, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestModule(t *testing.T) {
	rt, log := start(t, nil)
	fsys := fstest.MapFS{
		"functions/guest.wasm":   {Data: buildGuest(t, "guest", "-buildmode=c-shared")},
		"functions/program.wasm": {Data: buildGuest(t, "program")},
		"functions/bad.wasm":     {Data: []byte("\x00asm\x01\x00\x00\x00\x01\x02")},
		"functions/text.wasm":    {Data: []byte("text")},
	}
	problems := rt.Load(t.Context(), fsys, []string{"functions/guest.wasm", "functions/program.wasm", "functions/bad.wasm", "functions/text.wasm", "functions/none.wasm"})
	if len(problems) != 3 {
		t.Errorf("problems %+v, want three", problems)
	}
	host := hostFunc(func(_ context.Context, method string, body []byte) ([]byte, error) {
		if string(body) == `{"name":"x"}` {
			return []byte(`"` + method + `"`), nil
		}
		return nil, fault.New(fault.NotFound, "no such secret").WithHint("name one that is there")
	})
	for _, tt := range []struct {
		export, entry, want string
		code                fault.Code
		message             string
	}{
		{export: "place", want: `{"args":0,"counter":1,"env":0,"n":42,"ok":true,"secret":"\"secret\"","uid":"u"}`},
		{export: "place", want: `{"args":0,"counter":1,"env":0,"n":42,"ok":true,"secret":"\"secret\"","uid":"u"}`},
		{export: "files", want: `true`},
		{export: "refuse", code: fault.NotFound, message: "no such secret"},
		{export: "loop", code: fault.QueryCanceled, message: "did not end within"},
		{export: "sleep", code: fault.QueryCanceled, message: "did not end within"},
		{export: "nest", code: fault.Internal, message: "the function failed"},
		{export: "bomb", code: fault.Internal, message: "the function failed"},
		{export: "outside", code: fault.Internal, message: "the function failed"},
		{export: "huge", code: fault.LimitExceeded, message: "is the limit"},
		{export: "words", code: fault.Internal, message: "not JSON"},
		{export: "crash", code: fault.Internal, message: "the function failed"},
		{export: "none", code: fault.Internal, message: "the function failed"},
		{entry: "functions/program.wasm", want: `{"n":21,"read":true}`},
	} {
		t.Run(tt.export, func(t *testing.T) {
			fill(&tt.entry, "functions/guest.wasm")
			limits := Limits{Timeout: 5 * time.Second}
			if tt.export == "loop" || tt.export == "sleep" {
				limits.Timeout = 100 * time.Millisecond
			}
			begin := time.Now()
			got, err := invoke(t, rt, Call{
				Entry: tt.entry, Export: tt.export, Host: host, Limits: limits, RequestID: "r1",
				Input: json.RawMessage(`{"n":21}`), Context: json.RawMessage(`{"auth":{"uid":"u"}}`),
			})
			if took := time.Since(begin); took > limits.Timeout+time.Second {
				t.Errorf("it took %s", took)
			}
			if tt.code == "" {
				if err != nil || got != tt.want {
					t.Errorf("got %s, %v, want %s", got, err, tt.want)
				}
				return
			}
			if f := fault.From(err); f == nil || f.Code != tt.code || !strings.Contains(f.Message, tt.message) {
				t.Errorf("got %s, %v, want %s %q", got, err, tt.code, tt.message)
			}
		})
	}
	for _, want := range []string{"placing", "read it", "crashed on purpose"} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("the log does not have %q", want)
		}
	}
	if free := rt.engine.budget.free.Load(); free != rt.cfg.Budget {
		t.Errorf("%d bytes of the budget are not given back", rt.cfg.Budget-free)
	}
}
