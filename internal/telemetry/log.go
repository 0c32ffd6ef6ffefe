package telemetry

import (
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/pandobase/pando/internal/fault"
)

// The formats of a log.
const (
	FormatText = "text"
	FormatJSON = "json"
)

// LogConfig says how a log is written.
type LogConfig struct {
	// Format is "text" or "json". Default: text.
	Format string
	// Level is the least level that is written: debug, info, warn or error.
	// Default: info.
	Level string
	// Writer receives whole lines, one call each. Default: nobody.
	Writer io.Writer
}

// handler returns cfg's slog handler, or a fault that names the wrong member.
func (cfg LogConfig) handler(replace func([]string, slog.Attr) slog.Attr) (slog.Handler, error) {
	var level slog.Level
	switch strings.ToLower(cfg.Level) {
	case "debug":
		level = slog.LevelDebug
	case "", "info":
		level = slog.LevelInfo
	case "warn":
		level = slog.LevelWarn
	case "error":
		level = slog.LevelError
	default:
		return nil, badSetting("log level", cfg.Level, "debug", "info", "warn", "error")
	}
	if cfg.Writer == nil {
		cfg.Writer = io.Discard
	}
	opts := &slog.HandlerOptions{Level: level, ReplaceAttr: replace}
	switch cfg.Format {
	case "", FormatText:
		return slog.NewTextHandler(cfg.Writer, opts), nil
	case FormatJSON:
		return slog.NewJSONHandler(cfg.Writer, opts), nil
	default:
		return nil, badSetting("log format", cfg.Format, FormatText, FormatJSON)
	}
}

func badSetting(what, got string, valid ...string) error {
	f := fault.New(fault.ConfigInvalid, "unknown %s %q", what, got).
		WithDetails("valid: %s", strings.Join(valid, ", "))
	if near := fault.Nearest(got, valid); near != "" {
		return f.WithHint("did you mean %q?", near)
	}
	return f
}

// NewLogger returns the node's logger. Every attribute goes through [Redact].
func NewLogger(cfg LogConfig) (*slog.Logger, error) {
	h, err := cfg.handler(Redact)
	if err != nil {
		return nil, err
	}
	return slog.New(h), nil
}

// NewAccessHandler returns the handler of an access log. Nothing is redacted
// in it, which would cost a third of a line's time: it is for lines whose
// attributes are a fixed, flat list of texts and integers that holds no
// secret. Give it an [AsyncWriter].
func NewAccessHandler(cfg LogConfig) (slog.Handler, error) {
	if _, err := cfg.handler(nil); err != nil {
		return nil, err
	}
	h := &accessHandler{cfg: cfg, json: cfg.Format == FormatJSON}
	if h.cfg.Writer == nil {
		h.cfg.Writer = io.Discard
	}
	for _, l := range []slog.Level{slog.LevelDebug, slog.LevelWarn, slog.LevelError} {
		if strings.EqualFold(cfg.Level, l.String()) {
			h.level = l
		}
	}
	return h, nil
}

// Redacted stands in a log where a secret was.
const Redacted = "[redacted]"

// Redact is a slog.HandlerOptions.ReplaceAttr that writes no secret: not the
// value of a key that names one (authorization, apikey, password, secret,
// token, cookie, in any spelling and inside longer names) or of anything in a
// group of that name, not such members of headers and query values, and not a secret key or bearer token inside a
// text.
func Redact(groups []string, a slog.Attr) slog.Attr {
	if secretName(a.Key) || slices.ContainsFunc(groups, secretName) {
		return slog.String(a.Key, Redacted)
	}
	switch a.Value.Kind() {
	case slog.KindString:
		if s := a.Value.String(); holdsSecret(s) {
			return slog.String(a.Key, maskSecrets(s))
		}
	case slog.KindAny:
		return redactAny(a)
	case slog.KindBool, slog.KindDuration, slog.KindFloat64, slog.KindInt64, slog.KindTime,
		slog.KindUint64, slog.KindGroup, slog.KindLogValuer:
	}
	return a
}

func redactAny(a slog.Attr) slog.Attr {
	switch v := a.Value.Any().(type) {
	case http.Header:
		return slog.Any(a.Key, redactValues(v))
	case url.Values:
		return slog.Any(a.Key, redactValues(v))
	case map[string][]string:
		return slog.Any(a.Key, redactValues(v))
	case error:
		if s := v.Error(); holdsSecret(s) {
			return slog.String(a.Key, maskSecrets(s))
		}
	case []byte:
		if s := string(v); holdsSecret(s) {
			return slog.String(a.Key, maskSecrets(s))
		}
	case fmt.Stringer:
		if s := v.String(); holdsSecret(s) {
			return slog.String(a.Key, maskSecrets(s))
		}
	}
	return a
}

func redactValues(in map[string][]string) map[string][]string {
	out := make(map[string][]string, len(in))
	for k, vs := range in {
		if secretName(k) {
			out[k] = []string{Redacted}
			continue
		}
		masked := make([]string, len(vs))
		for i, v := range vs {
			masked[i] = maskSecrets(v)
		}
		out[k] = masked
	}
	return out
}

// secretName reports whether a key's name says that its value is secret.
func secretName(key string) bool {
	const longest = 64
	var buf [longest]byte
	n := 0
	for i := 0; i < len(key) && n < longest; i++ {
		switch c := key[i]; {
		case 'A' <= c && c <= 'Z':
			buf[n] = c + 'a' - 'A'
			n++
		case c != '_' && c != '-' && c != '.' && c != ' ':
			buf[n] = c
			n++
		}
	}
	name := string(buf[:n])
	for _, word := range [...]string{"authorization", "apikey", "password", "passwd", "secret", "token", "cookie", "privatekey", "credential"} {
		if strings.Contains(name, word) {
			return true
		}
	}
	return false
}

// secretMarks are what a secret inside a text begins with.
//
//nolint:gochecknoglobals // a constant table; Go has no slice constants
var secretMarks = []string{"pando_sec_", "Bearer ", "bearer ", "Basic "}

func holdsSecret(s string) bool {
	for _, mark := range secretMarks {
		if strings.Contains(s, mark) {
			return true
		}
	}
	return false
}

// maskSecrets replaces what follows each mark, to the end of the word.
func maskSecrets(s string) string {
	for _, mark := range secretMarks {
		var out strings.Builder
		rest := s
		for {
			before, after, found := strings.Cut(rest, mark)
			if !found {
				break
			}
			out.WriteString(before)
			out.WriteString(mark)
			out.WriteString(Redacted)
			rest = strings.TrimLeft(after, " ")
			if end := strings.IndexAny(rest, " \t\r\n\"',;&)}]<>"); end >= 0 {
				rest = rest[end:]
			} else {
				rest = ""
			}
		}
		if out.Len() > 0 {
			out.WriteString(rest)
			s = out.String()
		}
	}
	return s
}
