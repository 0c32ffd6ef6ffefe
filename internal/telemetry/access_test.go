package telemetry

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"time"
)

// TestAccessHandler holds the access log to what slog's own handlers write.
func TestAccessHandler(t *testing.T) {
	for _, format := range []string{FormatText, FormatJSON} {
		for _, path := range []string{"/rest/v1/a", "", "/a b", "/a=b", "/a\"b\\", "/a\nlevel=ERROR", "/é\x80\x00", "/\u2028<&>"} {
			var own, std bytes.Buffer
			access, err := NewAccessHandler(LogConfig{Format: format, Writer: &own})
			if err != nil {
				t.Fatal(err)
			}
			like, err := LogConfig{Format: format, Writer: &std}.handler(nil)
			if err != nil {
				t.Fatal(err)
			}
			rec := slog.NewRecord(time.Date(2026, 1, 2, 3, 4, 5, 67_000_000, time.UTC), slog.LevelInfo, "request", 0)
			rec.AddAttrs(slog.String("method", "GET"), slog.String("path", path), slog.Int("status", 200))
			for _, h := range []slog.Handler{access, like} {
				if err := h.Handle(t.Context(), rec); err != nil {
					t.Fatal(err)
				}
			}
			// slog leaves < > & and valid letters outside ASCII as they are.
			want := strings.NewReplacer(`\u003c`, "<", `\u003e`, ">", `\u0026`, "&").Replace(std.String())
			got := strings.NewReplacer(`\u003c`, "<", `\u003e`, ">", `\u0026`, "&").Replace(own.String())
			if got != want {
				t.Errorf("%s, path %q:\n got %s want %s", format, path, got, want)
			}
		}
	}
}

func TestAccessHandlerLevel(t *testing.T) {
	h, err := NewAccessHandler(LogConfig{Level: "warn", Writer: &bytes.Buffer{}})
	if err != nil {
		t.Fatal(err)
	}
	if h.Enabled(t.Context(), slog.LevelInfo) || !h.Enabled(t.Context(), slog.LevelError) {
		t.Error("the level is not kept")
	}
	if _, err := NewAccessHandler(LogConfig{Format: "xml"}); err == nil {
		t.Error("an unknown format is taken")
	}
}
