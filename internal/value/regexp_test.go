package value

import (
	"strings"
	"testing"

	"github.com/pandobase/pando/internal/fault"
)

func TestCompileRegexp(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		pattern, text string
		match, imatch bool
	}{
		{`^SK-\d{4}$`, "SK-1234", true, true},
		{`^sk-\d{4}$`, "SK-1234", false, true},
		{`a.b`, "a\nb", true, true},
		{`^b`, "a\nb", false, false},
		{`\s`, "\v", true, true},
		{`\w`, "é", false, false},
		{`\d`, "٣", false, false},
		{`[a-f]+x`, "ABCx", false, true},
		{`^[^a]$`, "A", true, false},
		{`^[Z-a]$`, "z", false, true}, // a range over the letters' end
		{`^[[:lower:]]$`, "Q", false, true},
		{`k`, "\u212A", false, false}, // under "C" the Kelvin sign is no k
		{`日本`, "日本語", true, true},
		{`[]x]`, "]", true, true},
		{`[a\]]`, "]", true, true},
		{`a}`, "a}", true, true},
		{``, "x", true, true},
	} {
		for fold, want := range map[bool]bool{false: c.match, true: c.imatch} {
			re, err := CompileRegexp(c.pattern, fold)
			if err != nil {
				t.Errorf("%q: %v", c.pattern, err)
			} else if got := re.MatchString(c.text); got != want {
				t.Errorf("%q matches %q (fold %v) = %v", c.pattern, c.text, fold, got)
			}
		}
	}
}

func TestCompileRegexpRefuses(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ pattern, where string }{
		{`*a`, "at character 1 "},
		{`a**`, "at character 3 "},
		{`^*`, "at character 2 "},
		{`a|+`, "at character 3 "},
		{`é{`, "at character 2 "},
		{`a{,2}`, "at character 2 "},
		{`a{2,1}`, "at character 2 "},
		{`a{256}`, "at character 2 "},
		{`a{99999999999999999999}`, "at character 2 "},
		{`a\`, "at character 2 "},
		{`\bword\b`, "at character 1 "},
		{`\x41`, "at character 1 "},
		{`(a)\1`, "at character 4 "},
		{`\pL`, "at character 1 "},
		{`\é`, "at character 1 "},
		{`(?i)a`, "at character 1 "},
		{`(?=a)`, "at character 1 "},
		{`(?P<n>a)`, "at character 1 "},
		{`(a`, "at character 3 "},
		{`a)`, "at character 2 "},
		{`[a`, "at character 1 "},
		{`[]`, "at character 1 "},
		{`[b-a]`, "at character 4 "},
		{`[a-c-e]`, "at character 5 "},
		{`[\w-z]`, "at character 4 "},
		{`[\D]`, "at character 2 "},
		{`[[.a.]]`, "at character 2 "},
		{`[[=a=]]`, "at character 2 "},
		{`[[:^alpha:]]`, "at character 2 "},
		{`[[:alpha]`, "at character 2 "},
		{`[a\`, "at character 3 "},
	} {
		_, err := CompileRegexp(c.pattern, false)
		if !fault.Is(err, fault.InvalidRegexp) || !strings.HasPrefix(fault.From(err).Details, c.where) {
			t.Errorf("%q: %v, want it refused %s", c.pattern, err, c.where)
		}
	}
	for pattern, code := range map[string]fault.Code{
		"é":                       fault.InvalidRegexp, // has a case, which "C" does not fold
		"[é]":                     fault.InvalidRegexp,
		"[a-é]":                   fault.InvalidRegexp,
		"((a{99}){99}){99}":       fault.InvalidRegexp,
		strings.Repeat("a", 1025): fault.InvalidRegexp,
		"a\xff":                   fault.InvalidEncoding,
		"a\x00":                   fault.InvalidEncoding,
	} {
		if _, err := CompileRegexp(pattern, true); !fault.Is(err, code) {
			t.Errorf("%.20q: %v, want code %s", pattern, err, code)
		}
	}
}
