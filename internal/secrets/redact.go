package secrets

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"io"
	"log/slog"
	"net/url"
	"strings"
)

// MinRedacted is the least length in bytes of a value that is masked: anything
// shorter would be found in every other word.
const MinRedacted = 6

// mask stands where a value was.
const mask = "[secret]"

// Redactor masks known values in texts: as they are, and as they look in URLs,
// JSON, hexadecimal and base64, where they may be a part of what was encoded
// (the password of HTTP's Basic, say). It is safe for concurrent use; a nil
// Redactor masks nothing.
type Redactor struct{ replace *strings.Replacer }

// NewRedactor returns the redactor of some values. Those under MinRedacted bytes
// are left out.
func NewRedactor(values ...string) *Redactor {
	var pairs []string
	seen := map[string]bool{}
	add := func(form string) {
		if len(form) >= MinRedacted && !seen[form] {
			seen[form] = true
			pairs = append(pairs, form, mask)
		}
	}
	for _, v := range values {
		if len(v) < MinRedacted {
			continue
		}
		for _, form := range forms(v) {
			add(form)
		}
		if t := strings.TrimSpace(v); len(t) >= MinRedacted {
			add(t) // files end with a line break, logs do not
		}
	}
	if len(pairs) == 0 {
		return nil
	}
	return &Redactor{strings.NewReplacer(pairs...)}
}

// forms are the texts in which a value shows itself; longer ones come first
// where one begins with another.
func forms(v string) []string {
	out := []string{v, url.QueryEscape(v), url.PathEscape(v), hex.EncodeToString([]byte(v)), strings.ToUpper(hex.EncodeToString([]byte(v)))}
	if quoted, err := json.Marshal(v); err == nil {
		out = append(out, string(quoted[1:len(quoted)-1]))
	}
	var plain strings.Builder
	enc := json.NewEncoder(&plain)
	enc.SetEscapeHTML(false)
	if enc.Encode(v) == nil {
		out = append(out, strings.Trim(plain.String(), "\n\""))
	}
	for _, code := range [...]*base64.Encoding{base64.RawStdEncoding, base64.RawURLEncoding} {
		out = append(out, code.EncodeToString([]byte(v)))
		for before := range 3 {
			out = append(out, inside(code, v, before))
		}
	}
	return out
}

// inside is what base64 makes of v behind before bytes modulo 3, without the
// characters at either end that also depend on its neighbours.
func inside(code *base64.Encoding, v string, before int) string {
	text := code.EncodeToString([]byte(strings.Repeat("\x00", before) + v))
	first := [...]int{0, 2, 3}[before]
	last := len(text)
	if (before+len(v))%3 != 0 {
		last--
	}
	return text[first:max(first, last)]
}

// Redact returns text with every known value masked.
func (r *Redactor) Redact(text string) string {
	if r == nil {
		return text
	}
	return r.replace.Replace(text)
}

// Writer returns a writer that masks every secret in what it hands to w, for a
// log's lines: a value that is spread over two calls is not found.
func (s *Store) Writer(w io.Writer) io.Writer { return &writer{s, w} }

type writer struct {
	store *Store
	next  io.Writer
}

// Write implements io.Writer.
func (w *writer) Write(line []byte) (int, error) {
	redacted := w.store.Redact(string(line))
	if _, err := io.WriteString(w.next, redacted); err != nil {
		return 0, err
	}
	return len(line), nil
}

// String shows no value.
func (r *Redactor) String() string { return "redactor" }

// GoString shows no value.
func (r *Redactor) GoString() string { return "redactor" }

// LogValue shows no value.
func (r *Redactor) LogValue() slog.Value { return slog.StringValue("redactor") }
