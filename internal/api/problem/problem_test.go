package problem_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/pandobase/pando/internal/api/problem"
	"github.com/pandobase/pando/internal/fault"
)

func TestWriteProblem(t *testing.T) {
	tests := []struct {
		name   string
		err    error
		status int
		body   string
		header map[string]string
	}{
		{
			name: "all members", err: fault.New(fault.Parse, "bad <select>").WithDetails("at 3").WithHint("try a->>b"),
			status: 400,
			body:   `{"type":"urn:pando:problem:PGRST100","title":"Query not understood","status":400,"detail":"bad <select>","instance":"r-1","code":"PGRST100","message":"bad <select>","details":"at 3","hint":"try a->>b"}`,
			header: map[string]string{"Content-Type": "application/problem+json", "Cache-Control": "no-store", "Www-Authenticate": ""},
		},
		{
			name: "null members and the way to authenticate", err: fault.New(fault.MissingCredential, "an API key is required"),
			status: 401,
			body:   `{"type":"urn:pando:problem:PGRST302","title":"Credential missing","status":401,"detail":"an API key is required","instance":"r-1","code":"PGRST302","message":"an API key is required","details":null,"hint":null}`,
			header: map[string]string{"Www-Authenticate": `Bearer realm="pando"`},
		},
		{
			name: "an unknown error shows nothing", err: errors.New("dial tcp 10.0.0.7: secret"),
			status: 500,
			body:   `{"type":"urn:pando:problem:XX000","title":"Internal error","status":500,"detail":"an internal error occurred","instance":"r-1","code":"XX000","message":"an internal error occurred","details":null,"hint":null}`,
		},
		{
			name: "when to try again", err: fault.New(fault.Overloaded, "busy"),
			status: 503,
			body:   `{"type":"urn:pando:problem:overloaded","title":"Overloaded","status":503,"detail":"busy","instance":"r-1","code":"overloaded","message":"busy","details":null,"hint":null}`,
			header: map[string]string{"Retry-After": "1"},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			pw := problem.Writer{RequestID: func(*http.Request) string { return "r-1" }, Logger: slog.New(slog.DiscardHandler)}
			w := httptest.NewRecorder()
			pw.WriteProblem(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/rest/v1/x", nil), tt.err)
			if w.Code != tt.status {
				t.Errorf("status %d, want %d", w.Code, tt.status)
			}
			if got := strings.TrimSuffix(w.Body.String(), "\n"); got != tt.body {
				t.Errorf("body\n%s\nwant\n%s", got, tt.body)
			}
			if got := w.Header().Get("Content-Length"); got != strconv.Itoa(w.Body.Len()) {
				t.Errorf("Content-Length %s of %d bytes", got, w.Body.Len())
			}
			for k, v := range tt.header {
				if got := w.Header().Get(k); got != v {
					t.Errorf("%s: %q, want %q", k, got, v)
				}
			}
		})
	}
}

func TestWriteProblemHead(t *testing.T) {
	w := httptest.NewRecorder()
	problem.WriteProblem(w, httptest.NewRequestWithContext(t.Context(), http.MethodHead, "/", nil), fault.New(fault.NotFound, "no such page"))
	if w.Code != http.StatusNotFound || w.Body.Len() != 0 || w.Header().Get("Content-Type") != problem.ContentType {
		t.Errorf("HEAD: %d, %d bytes, %q", w.Code, w.Body.Len(), w.Header().Get("Content-Type"))
	}
}

func TestCauseGoesToTheLog(t *testing.T) {
	var out bytes.Buffer
	pw := problem.Writer{Logger: slog.New(slog.NewJSONHandler(&out, nil))}
	cause := errors.New("disk on fire")
	pw.WriteProblem(httptest.NewRecorder(), httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/rest/v1/x?secret=1", nil),
		fault.Wrap(cause, fault.StoreIO, "the store failed"))
	var line map[string]any
	if err := json.Unmarshal(out.Bytes(), &line); err != nil {
		t.Fatalf("log line %q: %v", out.String(), err)
	}
	if line["cause"] != "disk on fire" || line["code"] != "58030" || line["path"] != "/rest/v1/x" {
		t.Errorf("log line %s", out.String())
	}
	out.Reset()
	pw.WriteProblem(httptest.NewRecorder(), httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil), fault.New(fault.Parse, "bad"))
	if out.Len() != 0 {
		t.Errorf("a client's mistake was logged as an error: %s", out.String())
	}
}

func TestMembersAreBounded(t *testing.T) {
	long := strings.Repeat("ä", 1<<20)
	d := problem.Of(fault.New(fault.UnknownInput, "no %s", long).WithDetails("in %s", long).WithHint("not %s", long), "")
	for name, got := range map[string]string{"message": d.Message, "detail": d.Detail, "details": *d.Details, "hint": *d.Hint} {
		if len(got) > 1600 || !utf8.ValidString(got) || !strings.HasSuffix(got, "ä…") {
			t.Errorf("%s has %d bytes and ends with %q", name, len(got), got[max(0, len(got)-8):])
		}
	}
}
