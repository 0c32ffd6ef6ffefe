package telemetry_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/telemetry"
)

func TestLoggerFormatsAndLevels(t *testing.T) {
	tests := []struct {
		format, level string
		want          []string // pieces that must be there
		never         string
	}{
		{"", "", []string{"level=INFO msg=hello n=1"}, "quiet"},
		{"text", "debug", []string{"msg=hello", "msg=quiet"}, "{"},
		{"json", "INFO", []string{`"msg":"hello","n":1}`}, "quiet"},
		{"json", "warn", nil, "hello"},
		{"json", "error", nil, "hello"},
	}
	for _, tt := range tests {
		t.Run(tt.format+"/"+tt.level, func(t *testing.T) {
			var out bytes.Buffer
			log, err := telemetry.NewLogger(telemetry.LogConfig{Format: tt.format, Level: tt.level, Writer: &out})
			if err != nil {
				t.Fatal(err)
			}
			log.Info("hello", slog.Int("n", 1))
			log.Debug("quiet")
			for _, piece := range tt.want {
				if !strings.Contains(out.String(), piece) {
					t.Errorf("no %q in %q", piece, out.String())
				}
			}
			if strings.Contains(out.String(), tt.never) {
				t.Errorf("%q in %q", tt.never, out.String())
			}
		})
	}
}

func TestLoggerRefusesUnknownSettings(t *testing.T) {
	for _, cfg := range []telemetry.LogConfig{{Format: "jsn"}, {Level: "inof"}} {
		_, err := telemetry.NewLogger(cfg)
		f := fault.From(err)
		if f == nil || f.Code != fault.ConfigInvalid || !strings.Contains(f.Hint, "did you mean") {
			t.Errorf("%+v: %v", cfg, f)
		}
	}
}

type holder struct{ text string }

func (h holder) String() string { return h.text }

func TestNoSecretIsLogged(t *testing.T) {
	const secret = "hunter2hunter2"
	const key = "pando_sec_AbCdEf0123456789"
	attrs := []slog.Attr{
		slog.String("Authorization", secret),
		slog.String("api_key", secret),
		slog.String("X-Api-Key", secret),
		slog.String("apikey", secret),
		slog.String("db.password", secret),
		slog.String("client-secret", secret),
		slog.String("refreshToken", secret),
		slog.String("Set-Cookie", secret),
		slog.Group("request", slog.String("token", secret), slog.Int("n", 1)),
		slog.Any("secret", slog.GroupValue(slog.String("inner", secret))),
		slog.Any("header", http.Header{"Apikey": {secret}, "Accept": {"*/*"}, "X": {"Bearer " + secret}}),
		slog.Any("query", url.Values{"token": {secret}}),
		slog.Any("map", map[string][]string{"cookie": {secret}}),
		slog.String("line", "used "+key+", then Bearer "+secret+` and "bearer `+secret+`"`),
		slog.Any("error", fmt.Errorf("dial with %s: %w", key, errors.New("refused"))),
		slog.Any("bytes", []byte("key="+key)),
		slog.Any("stringer", holder{"key=" + key}),
	}
	for _, format := range []string{"json", "text"} {
		for _, a := range attrs {
			var out bytes.Buffer
			log, err := telemetry.NewLogger(telemetry.LogConfig{Format: format, Writer: &out})
			if err != nil {
				t.Fatal(err)
			}
			log.LogAttrs(t.Context(), slog.LevelInfo, "message with "+key, a)
			line := out.String()
			if strings.Contains(line, secret) || strings.Contains(line, "AbCdEf") || !strings.Contains(line, telemetry.Redacted) {
				t.Errorf("%s %s: %s", format, a.Key, line)
			}
		}
	}
}

func TestRedactLeavesTheRest(t *testing.T) {
	for _, a := range []slog.Attr{
		slog.String("path", "/rest/v1/orders"), slog.Int("tokens", 3), slog.Duration("duration", time.Second),
		slog.Any("error", errors.New("plain")), slog.Any("header", http.Header{"Accept": {"a", "b"}}),
	} {
		if a.Key == "tokens" { // a number under a secret's name goes too: rather too much than too little
			if got := telemetry.Redact(nil, a); got.Value.String() != telemetry.Redacted {
				t.Errorf("%v", got)
			}
			continue
		}
		if got := telemetry.Redact(nil, a); got.String() != a.String() {
			t.Errorf("%v became %v", a, got)
		}
	}
}

// sink records what was written, and when.
type sink struct {
	mu    sync.Mutex
	calls []string
	err   error
}

func (s *sink) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls = append(s.calls, string(p))
	return len(p), s.err
}

func (s *sink) text() (string, int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.Join(s.calls, ""), len(s.calls)
}

func write(t *testing.T, w *telemetry.AsyncWriter, line string) {
	t.Helper()
	if _, err := w.Write([]byte(line)); err != nil {
		t.Errorf("write: %v", err)
	}
}

func TestAsyncWriterFlushesInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var dst sink
		w := telemetry.NewAsyncWriter(&dst)
		defer func() { _ = w.Close() }()
		for round, want := range []string{"one\ntwo\n", "one\ntwo\none\ntwo\n"} {
			write(t, w, "one\n")
			time.Sleep(150 * time.Millisecond)
			write(t, w, "two\n")
			if _, n := dst.text(); n != round {
				t.Errorf("round %d: written early", round)
			}
			time.Sleep(51 * time.Millisecond)
			synctest.Wait()
			if text, n := dst.text(); text != want || n != round+1 {
				t.Errorf("round %d: %d writes: %q", round, n, text)
			}
			time.Sleep(time.Hour) // idle
		}
	})
}

func TestAsyncWriterLosesNothing(t *testing.T) {
	var dst sink
	w := telemetry.NewAsyncWriter(&dst)
	const writers, lines = 8, 3000
	var wg sync.WaitGroup
	for n := range writers {
		wg.Go(func() {
			for i := range lines {
				write(t, w, fmt.Sprintf(`{"w":%d,"i":%d,"pad":"%s"}`+"\n", n, i, strings.Repeat("x", i%100)))
			}
		})
	}
	wg.Wait()
	giant := strings.Repeat("g", 300<<10) + "\n"
	write(t, w, giant)
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write([]byte("late")); !errors.Is(err, telemetry.ErrWriterClosed) {
		t.Errorf("write after close: %v", err)
	}
	text, _ := dst.text()
	if !strings.HasSuffix(text, giant) {
		t.Error("the giant line is torn or not last")
	}
	next := make([]int, writers)
	for line := range strings.Lines(strings.TrimSuffix(text, giant)) {
		var got struct{ W, I int }
		if err := json.Unmarshal([]byte(line), &got); err != nil {
			t.Fatalf("torn line %q: %v", line, err)
		}
		if got.I != next[got.W] {
			t.Fatalf("writer %d: line %d, want %d", got.W, got.I, next[got.W])
		}
		next[got.W]++
	}
	for n, got := range next {
		if got != lines {
			t.Errorf("writer %d: %d lines", n, got)
		}
	}
}

func TestAsyncWriterTellsErrors(t *testing.T) {
	full := errors.New("disk full")
	dst := sink{err: full}
	w := telemetry.NewAsyncWriter(&dst)
	write(t, w, "x\n")
	if err := w.Close(); !errors.Is(err, full) {
		t.Errorf("close: %v", err)
	}
}

func BenchmarkAsyncWriter(b *testing.B) {
	w := telemetry.NewAsyncWriter(io.Discard)
	defer func() { _ = w.Close() }()
	line := []byte(strings.Repeat("x", 250) + "\n")
	b.ReportAllocs()
	for b.Loop() {
		if _, err := w.Write(line); err != nil {
			b.Fatal(err)
		}
	}
}
