package value

import (
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
	"pgregory.net/rapid"

	"github.com/pandobase/pando/internal/fault"
)

func TestLike(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		pattern, text string
		like, ilike   bool
	}{
		{"", "", true, true},
		{"", "a", false, false},
		{"abc", "ABC", false, true},
		{"%", "", true, true},
		{"a%c", "abbc", true, true},
		{"%b%b%", "abab", true, true},
		{"%b%b%b%", "abab", false, false},
		{"ab%ab", "ab", false, false}, // the ends may not overlap
		{"_", "é", true, true},
		{"_", "😀", true, true},
		{"_", "", false, false},
		{"%_", "", false, false},
		{"_%_", "a", false, false},
		{"e\u0301", "é", true, true}, // the pattern is brought into NFC
		{`100\%`, "100%", true, true},
		{`100\%`, "1000", false, false},
		{`a\_b`, "a_b", true, true},
		{`\é`, "é", true, true},
		{"größe", "GRÖSSE", false, true},
		{"STRASSE", "straße", false, true},
		{"stra__e", "straße", false, true}, // ß folds to two characters
		{"Σας", "σασ", false, true},
		{"k", "K", false, true}, // the Kelvin sign is NFC's K
		{"ı", "I", false, false},
		{"%é%", "CAFÉ!", false, true},
		{"a\n%", "a\nb", true, true},
	} {
		for fold, want := range map[bool]bool{false: c.like, true: c.ilike} {
			l, err := CompileLike(c.pattern, fold)
			if err != nil {
				t.Errorf("%q: %v", c.pattern, err)
				continue
			}
			if got := l.Match(norm.NFC.String(c.text)); got != want {
				t.Errorf("%q LIKE %q (fold %v) = %v", c.text, c.pattern, fold, got)
			}
		}
	}
	for pattern, code := range map[string]fault.Code{
		`a\`:                          fault.InvalidText,
		"a\x00":                       fault.InvalidEncoding,
		"a\xff":                       fault.InvalidEncoding,
		strings.Repeat("%a", maxLike): fault.LimitExceeded,
	} {
		if _, err := CompileLike(pattern, false); !fault.Is(err, code) {
			t.Errorf("%.10q: %v, want code %s", pattern, err, code)
		}
	}
}

// plainLike is LIKE by its definition.
func plainLike(pattern, text []rune) bool {
	if len(pattern) == 0 {
		return len(text) == 0
	}
	switch pattern[0] {
	case '%':
		return plainLike(pattern[1:], text) || len(text) > 0 && plainLike(pattern, text[1:])
	case '_':
		return len(text) > 0 && plainLike(pattern[1:], text[1:])
	case '\\':
		pattern = pattern[1:]
	}
	return len(text) > 0 && text[0] == pattern[0] && plainLike(pattern[1:], text[1:])
}

func TestLikeIsItsDefinition(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		pattern := rapid.StringMatching(`(a|b|é|%|_|\\%|\\_|\\a){0,10}`).Draw(t, "pattern")
		text := rapid.StringMatching(`[abé%_]{0,12}`).Draw(t, "text")
		l, err := CompileLike(pattern, false)
		if err != nil {
			t.Fatal(err)
		}
		if got, want := l.Match(text), plainLike([]rune(pattern), []rune(text)); got != want {
			t.Fatalf("%q LIKE %q = %v, want %v", text, pattern, got, want)
		}
	})
}

func TestLikeTakesBoundedTime(t *testing.T) {
	t.Parallel()
	l, err := CompileLike(strings.Repeat("%a_a", maxLike/4-1)+"%b", false)
	if err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	if l.Match(strings.Repeat("a", 1<<20)) {
		t.Error("matched without a b")
	}
	if d := time.Since(start); d > 5*time.Second {
		t.Errorf("took %s", d)
	}
}

func TestFold(t *testing.T) {
	for in, want := range map[string]string{
		"": "", "abc": "abc", "aBC": "abc", "Größe": "grösse", "ΣΑΣ": "σασ", "İ": "i\u0307", "ı": "ı", "ﬀ": "ff", "Ǆ": "ǆ",
	} {
		if got := Fold(in); got != want {
			t.Errorf("Fold(%q) = %q, want %q", in, got, want)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		s := norm.NFC.String(rapid.String().Draw(t, "s"))
		f := Fold(s)
		if Fold(f) != f || !norm.NFC.IsNormalString(f) || !utf8.ValidString(f) {
			t.Fatalf("Fold(%q) = %q is not stable", s, f)
		}
	})
	// Every character folds once for all, and like every other case of it.
	for r := range unicode.MaxRune {
		if !utf8.ValidRune(r) {
			continue
		}
		f := Fold(string(r))
		if again := Fold(f); again != f {
			t.Errorf("Fold(%U) = %q, then %q", r, f, again)
		}
		if o := unicode.SimpleFold(r); Fold(string(o)) != f {
			t.Errorf("Fold(%U) = %q, but Fold(%U) = %q", r, f, o, Fold(string(o)))
		}
	}
	if n := testing.AllocsPerRun(50, func() { Fold("already folded") }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
