package value

import (
	"bufio"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/pandobase/pando/internal/fault"
)

// recorded reads lines of quoted pattern, quoted text and answers.
func recorded(t *testing.T, name string, each func(pattern, text string, answers []string)) {
	t.Helper()
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close() //nolint:errcheck // opened to be read
	n := 0
	for sc := bufio.NewScanner(f); sc.Scan(); {
		if strings.HasPrefix(sc.Text(), "#") {
			continue
		}
		parts := strings.Split(sc.Text(), "\t")
		pattern, err1 := strconv.Unquote(parts[0])
		text, err2 := strconv.Unquote(parts[1])
		if err1 != nil || err2 != nil || len(parts) < 3 {
			t.Fatalf("bad line %q", sc.Text())
		}
		each(pattern, text, parts[2:])
		n++
	}
	if n < 500 {
		t.Errorf("%s has only %d cases", name, n)
	}
}

func yes(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

// TestRegexpAsPostgres: what CompileRegexp accepts, PostgreSQL 15 answers
// alike; it may refuse more than PostgreSQL does.
func TestRegexpAsPostgres(t *testing.T) {
	t.Parallel()
	accepted := 0
	recorded(t, "testdata/regexp15.tsv", func(pattern, text string, answers []string) {
		for i, fold := range []bool{false, true} {
			re, err := CompileRegexp(pattern, fold)
			if err != nil {
				if !fault.Is(err, fault.InvalidRegexp) {
					t.Errorf("%q: %v is no invalid regexp", pattern, err)
				}
				continue
			}
			accepted++
			if got := yes(re.MatchString(text)); got != answers[i] {
				t.Errorf("%q matches %q (fold %v): %s, PostgreSQL: %s (RE2: %s)", pattern, text, fold, got, answers[i], re)
			}
		}
	})
	if accepted < 900 {
		t.Errorf("only %d were accepted: the test shows little", accepted)
	}
}

func TestLikeAsPostgres(t *testing.T) {
	t.Parallel()
	recorded(t, "testdata/like15.tsv", func(pattern, text string, answers []string) {
		l, err := CompileLike(pattern, false)
		if err != nil {
			// PostgreSQL finds a lone \ at the end only when it gets there.
			if !fault.Is(err, fault.InvalidText) || !strings.HasSuffix(pattern, `\`) {
				t.Errorf("%q: %v", pattern, err)
			}
			return
		}
		if got := yes(l.Match(text)); got != answers[0] {
			t.Errorf("%q LIKE %q: %s, PostgreSQL: %s", text, pattern, got, answers[0])
		}
	})
}
