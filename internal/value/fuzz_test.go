package value

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/pandobase/pando/internal/fault"
)

// known checks that err is a fault of the caller's input.
func known(t *testing.T, err error) {
	t.Helper()
	f := fault.From(err)
	if f.Code == fault.Internal || f.Code.Status() >= 500 {
		t.Fatalf("%v is no fault of the input: %s", err, f.Code)
	}
	if !utf8.ValidString(f.Message+f.Details+f.Hint) || strings.Contains(f.Message, "\n") {
		t.Fatalf("a message that cannot be shown: %q %q %q", f.Message, f.Details, f.Hint)
	}
}

// FuzzFromJSON: what is accepted is canonical: its wire form is JSON and reads
// back as the same value.
func FuzzFromJSON(f *testing.F) {
	f.Fuzz(func(t *testing.T, kind uint8, list bool, raw string) {
		typ := Type{Kind: Text + Kind(kind)%File, List: list, Scale: int(kind) % 19, Values: []string{"open", "paid"}}
		for _, read := range []func(string) (Value, error){typ.FromJSON, typ.FromText} {
			v, err := read(raw)
			if err != nil {
				known(t, err)
				continue
			}
			wire := string(typ.AppendJSON(nil, v))
			if !json.Valid([]byte(wire)) {
				t.Fatalf("%s from %q: %q is no JSON", typ, raw, wire)
			}
			if v.IsNull() || wire == "null" {
				continue
			}
			if back, err := typ.FromJSON(wire); err != nil || back != v {
				t.Fatalf("%s from %q: %+v, written %s, is read as %+v, %v", typ, raw, v, wire, back, err)
			}
			text := string(typ.AppendText(nil, v))
			if back, err := typ.FromText(text); err != nil || back != v {
				t.Fatalf("%s from %q: %+v, written %q, is read as %+v, %v", typ, raw, v, text, back, err)
			}
		}
	})
}

// FuzzCanonicalJSON: what is accepted is JSON to encoding/json too, and stays
// as it is when it is read again.
func FuzzCanonicalJSON(f *testing.F) {
	f.Fuzz(func(t *testing.T, raw string) {
		c, err := CanonicalJSON(raw)
		if err != nil {
			known(t, err)
			return
		}
		if !json.Valid([]byte(raw)) || !json.Valid([]byte(c)) {
			t.Fatalf("%q became %q: one is no JSON", raw, c)
		}
		if again, err := CanonicalJSON(c); err != nil || again != c {
			t.Fatalf("%q became %q, then %q, %v", raw, c, again, err)
		}
		if len(c) > len(raw)+maxJSONZeros+maxJSONExponent {
			t.Fatalf("%d bytes became %d", len(raw), len(c))
		}
	})
}

// FuzzCompileRegexp: no pattern breaks the translation. Without case at least
// everything matches that matches with it; a pattern that has no special
// character matches itself.
func FuzzCompileRegexp(f *testing.F) {
	f.Fuzz(func(t *testing.T, pattern, text string) {
		re, err := CompileRegexp(pattern, false)
		if err != nil {
			known(t, err)
			return
		}
		if !strings.ContainsAny(pattern, `\[](){}.*+?|^$`) && !re.MatchString(pattern) {
			t.Fatalf("%q does not match itself: %s", pattern, re)
		}
		fold, err := CompileRegexp(pattern, true)
		if err != nil {
			known(t, err)
			return
		}
		if !strings.Contains(pattern, "[^") && !strings.ContainsAny(pattern, `DWS`) &&
			re.MatchString(text) && !fold.MatchString(text) {
			t.Fatalf("%q matches %q only with case: %s, %s", pattern, text, re, fold)
		}
	})
}

// FuzzParseSearch: no query breaks a grammar or leaves its quotes in FTS5, and
// only to_tsquery's grammar has syntax errors.
func FuzzParseSearch(f *testing.F) {
	f.Fuzz(func(t *testing.T, mode uint8, q, doc string) {
		m := SearchMode(mode % 4)
		s, err := ParseSearch(m, q)
		if err != nil {
			known(t, err)
			if m != SearchQuery && fault.Is(err, fault.InvalidText) {
				t.Fatalf("%q: %v", q, err)
			}
			return
		}
		s.Match(Tokens(doc))
		expr := s.FTS5()
		for i, part := range strings.Split(expr, `"`) {
			if i%2 == 1 {
				if toks := Tokens(part); part != "" && (len(toks) != 1 || toks[0] != part) {
					t.Fatalf("%q: %s quotes %q, which is no token", q, expr, part)
				}
			} else if strings.Trim(part, " ()+*ANDORT") != "" {
				t.Fatalf("%q: %s has syntax %q", q, expr, part)
			}
		}
	})
}
