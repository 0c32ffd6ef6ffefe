package mail

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/pandobase/pando/internal/fault"
)

func TestAddress(t *testing.T) {
	t.Parallel()
	label := strings.Repeat("d", 60)
	long := strings.Repeat("l", 64) + "@" + label + "." + label + "." + label + ".abc.de" // 254 bytes
	for text, want := range map[string]string{
		"alice@shop.example": "alice@shop.example", "  Alice@Shop.EXAMPLE ": "alice@shop.example", "a+b.c_d-e'f@x-y.example": "a+b.c_d-e'f@x-y.example",
		"a@b\u00fccher.example": "a@xn--bcher-kva.example", "a@B\u00dcCHER.example": "a@xn--bcher-kva.example", "a@xn--bcher-kva.example": "a@xn--bcher-kva.example",
		"a@\u0440\u0444.example": "a@xn--p1ai.example", "1@2.example": "1@2.example", "x@sub.sub.example": "x@sub.sub.example",
		long: long,
	} {
		got, err := Address(text)
		if err != nil || got != want {
			t.Errorf("%q: %q %v, want %q", text, got, err, want)
		}
		if again, err := Address(got); err != nil || again != got {
			t.Errorf("%q is no fixed point: %q %v", got, again, err)
		}
	}
}

// Attack 24: nothing that looks like another address becomes it.
func TestAddressRefuses(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"empty": "", "spaces": "   ", "no @": "alice", "no name": "@shop.example", "no domain": "alice@", "two @": "alice@evil.example@shop.example",
		"Cyrillic a": "\u0430lice@shop.example", "Greek o": "b\u03bfb@shop.example", "Kelvin sign": "\u212aate@shop.example", "long s": "\u017fam@shop.example",
		"full-width letter": "\uff41lice@shop.example", "full-width @": "alice\uff20shop.example", "small @": "alice\ufe6bshop.example",
		"accent": "\u00e1lice@shop.example", "combining accent": "a\u0301lice@shop.example", "dotless i": "al\u0131ce@shop.example", "dotted I": "al\u0130ce@shop.example",
		"zero width space": "ali\u200bce@shop.example", "soft hyphen": "ali\u00adce@shop.example", "right to left": "\u202ealice@shop.example", "byte order mark": "\ufeffalice@shop.example", "non-breaking space": "\u00a0alice@shop.example",
		"zero width in domain": "alice@sh\u200bop.example", "joiner in domain": "alice@sh\u200dop.example", "soft hyphen in domain": "alice@sh\u00adop.example", "full-width domain": "alice@\uff53hop.example",
		"full-width dot": "alice@shop\uff0eexample", "ideographic dot": "alice@shop\u3002example", "Kelvin domain": "alice@\u212aiosk.example", "ligature domain": "alice@\ufb01sh.example", "decomposed domain": "a@bu\u0308cher.example",
		"right to left domain": "alice@\u202eshop.example", "fake Punycode": "alice@xn--shop-.example", "Punycode of ASCII": "alice@xn--abc-.example", "bad Punycode": "alice@xn--zzzzzzzz99.example", "emoji domain": "alice@\U0001f600.example",
		"slash in domain": "alice@shop.example/evil.example", "percent route": "alice%evil.example@", "colon": "alice@shop.example:25",
		"line feed": "alice@shop.example\nBcc: all@evil.example", "carriage return": "alice\r@shop.example", "encoded line feed": "alice@shop.example%0a", "NUL": "alice\x00@shop.example", "NUL in domain": "alice@shop\x00.example", "tab": "\talice@shop.example", "DEL": "a\x7f@shop.example",
		"quoted": `"alice b"@shop.example`, "quoted plain": `"alice"@shop.example`, "comment": "alice(x)@shop.example", "comment after": "alice@shop.example (x)", "name": "Alice <alice@shop.example>", "angle": "<alice@shop.example>", "route": "<@evil.example:alice@shop.example>",
		"list": "alice@shop.example,bob@shop.example", "semicolon": "a;b@shop.example", "space inside": "ali ce@shop.example", "space before @": "alice @shop.example", "backslash": `a\b@shop.example`,
		"leading dot": ".a@shop.example", "trailing dot": "a.@shop.example", "two dots": "a..b@shop.example", "domain dot first": "a@.example", "domain dots": "a@shop..example", "domain dot last": "a@shop.example.", "hyphen first": "a@-shop.example", "hyphen last": "a@shop-.example", "underscore": "a@sh_op.example",
		"one label": "root@localhost", "IP address": "a@192.0.2.1", "IP literal": "a@[192.0.2.1]", "IPv6 literal": "a@[IPv6:2001:db8::1]", "number for a top level": "a@shop.123",
		"local of 65": strings.Repeat("a", 65) + "@shop.example", "label of 64": "a@" + strings.Repeat("a", 64) + ".example", "255 bytes": strings.Repeat("a", 64) + "@" + strings.Repeat("abcdefghi.", 18) + "examples.ab", "320 bytes": strings.Repeat("a", 307) + "@shop.example", "1 MiB": strings.Repeat("a", 1<<20) + "@shop.example",
		"no UTF-8": "\xff@shop.example", "no UTF-8 domain": "a@\xff.example", "overlong": "\xc1\x81lice@shop.example",
	} {
		got, err := Address(text)
		if got != "" || !fault.Is(err, fault.AuthValidation) {
			t.Errorf("%s: %q %v", name, got, err)
			continue
		}
		if told := err.Error(); strings.Contains(told, "shop.example") || len(told) > 200 || !utf8.ValidString(told) || strings.ContainsAny(told, "\r\n\x00") {
			t.Errorf("%s: the error shows the address: %q", name, told)
		}
	}
}

func FuzzAddress(f *testing.F) {
	f.Add("Alice@B\u00fccher.example")
	f.Add("a@xn--bcher-kva.example")
	f.Fuzz(func(t *testing.T, text string) {
		got, err := Address(text)
		if err != nil {
			return
		}
		if again, err := Address(got); err != nil || again != got {
			t.Errorf("%q gives %q, and that %q %v", text, got, again, err)
		}
		if len(got) > maxAddress || strings.Count(got, "@") != 1 || oneLine(got) != nil || strings.ContainsFunc(got, func(r rune) bool { return r > '~' || r <= ' ' || r >= 'A' && r <= 'Z' }) {
			t.Errorf("%q gives %q", text, got)
		}
	})
}

func TestParseFrom(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]party{
		"no-reply@shop.example": {"", "no-reply@shop.example"}, "Shop <no-reply@Shop.example>": {"Shop", "no-reply@shop.example"},
		`"Shop, Inc." <a@shop.example>`: {"Shop, Inc.", "a@shop.example"}, "=?utf-8?q?B=C3=BCcher?= <a@shop.example>": {"B\u00fccher", "a@shop.example"},
	} {
		if got, err := parseFrom(text); err != nil || got != want {
			t.Errorf("%s: %+v %v", text, got, err)
		}
	}
	for _, text := range []string{
		"", "Shop", "Shop <>", "a@shop.example, b@shop.example", "Shop\r\nBcc: x@evil.example <a@shop.example>", "Shop <a@shop.example\n>", "=?utf-8?q?Shop=0D=0ABcc:x?= <a@shop.example>",
		"Shop <a@localhost>", strings.Repeat("x", 300) + " <a@shop.example>",
	} {
		if got, err := parseFrom(text); err == nil {
			t.Errorf("%q is taken: %+v", text, got)
		}
	}
}
