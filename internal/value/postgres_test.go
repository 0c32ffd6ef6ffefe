package value

import (
	"bufio"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/pandobase/pando/internal/fault"
)

// TestAsPostgres holds FromText against PostgreSQL 15's own answers, recorded
// in testdata/postgres15.tsv. What differs is listed here, each with the
// design's reason.
func TestAsPostgres(t *testing.T) {
	t.Parallel()
	types := map[string]Type{
		"timestamptz":   {Kind: Timestamp},
		"date":          {Kind: Date},
		"time":          {Kind: Time},
		"uuid":          {Kind: UUID},
		"bool":          {Kind: Bool},
		"int8":          {Kind: Int},
		"float8":        {Kind: Float},
		"jsonb":         {Kind: JSON},
		"bytea":         {Kind: Bytes},
		"text[]":        {Kind: Text, List: true},
		"int8[]":        {Kind: Int, List: true},
		"numeric(18,2)": {Kind: Decimal, Scale: 2},
	}
	const refused = "refused"
	deviations := map[string]string{
		"date\t10000-01-01":             refused, // years end at 9999
		"float8\t-0":                    "0",     // SQLite does not keep the sign
		"text[]\t{NULL}":                refused, // no null elements
		"text[]\t{null}":                refused,
		"timestamptz\t2026-01-02T-1:00": refused, // it takes the -1 for a zone
		"time\t03:04:":                  refused,
	}
	f, err := os.Open("testdata/postgres15.tsv")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close() //nolint:errcheck // opened to be read
	n := 0
	for sc := bufio.NewScanner(f); sc.Scan(); {
		line := sc.Text()
		if strings.HasPrefix(line, "#") {
			continue
		}
		parts := strings.SplitN(line, "\t", 3)
		in, err := strconv.Unquote(parts[1])
		if err != nil || len(parts) != 3 {
			t.Fatalf("bad line %q: %v", line, err)
		}
		typ, ok := types[parts[0]]
		if !ok {
			t.Fatalf("no type for %q", line)
		}
		n++
		want, accepted := strings.CutPrefix(parts[2], "ok ")
		if d, ok := deviations[parts[0]+"\t"+in]; ok {
			want, accepted = d, d != refused
			if "ok "+want == parts[2] || !accepted && strings.HasPrefix(parts[2], "error") {
				t.Errorf("%s %q: listed as a deviation, but is none", parts[0], in)
			}
			delete(deviations, parts[0]+"\t"+in)
		}
		v, err := typ.FromText(in)
		if !accepted {
			if err == nil {
				t.Errorf("%s %q: got %q, PostgreSQL refuses: %s", parts[0], in, typ.AppendText(nil, v), parts[2])
			} else {
				sameCode(t, line, err, parts[2])
			}
			continue
		}
		if err != nil {
			t.Errorf("%s %q: %v, want %q", parts[0], in, err, want)
			continue
		}
		if got := string(typ.AppendText(nil, v)); spaceless(got) != spaceless(want) {
			t.Errorf("%s %q = %q, want %q", parts[0], in, got, want)
		}
	}
	for d := range deviations {
		t.Errorf("deviation %q is not among the recorded cases", d)
	}
	if n < 250 {
		t.Errorf("only %d cases", n)
	}
}

// sameCode checks that err has PostgreSQL's SQLSTATE, or the one that stands
// for it in the closed set.
func sameCode(t *testing.T, line string, err error, answer string) {
	t.Helper()
	want, recorded := strings.CutPrefix(answer, "error ")
	if !recorded {
		return
	}
	code := map[string]fault.Code{
		"22007": fault.InvalidText,
		"22009": fault.DatetimeOverflow,
		"22023": fault.InvalidText,
		"22P05": fault.InvalidEncoding,
	}[want]
	if code == "" {
		code = fault.Code(want)
	}
	if !fault.Is(err, code) {
		t.Errorf("%s: got code %s (%v), want %s", line, fault.From(err).Code, err, code)
	}
}

// spaceless leaves out what jsonb's and arrays' text form has for the eye.
func spaceless(s string) string { return strings.NewReplacer(`": `, `":`, ", ", ",").Replace(s) }
