package value

import (
	"database/sql"
	"slices"
	"strings"
	"testing"

	_ "modernc.org/sqlite" // the FTS5 that queries are rendered for
	"pgregory.net/rapid"

	"github.com/pandobase/pando/internal/fault"
)

func TestTokens(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"":                                      "",
		"  ,.!":                                 "",
		"Hello, World-wide 2026!":               "hello|world|wide|2026",
		"snake_case it's":                       "snake|case|it|s",
		"STRASSE Straße":                        "strasse|strasse",
		"ﬁne ①":                                 "fine|1",
		"e\u0301a \u0301b":                      "éa|b",
		"हिन्दी":                                "हिन्दी",
		"日本語 テスト":                               "日本語|テスト",
		"bad\xffutf":                            "bad|utf",
		strings.Repeat("a", 2047):               "",
		"x " + strings.Repeat("a", 3000) + " y": "x|y",
	} {
		if got := strings.Join(Tokens(in), "|"); got != want {
			t.Errorf("Tokens(%.20q) = %q, want %q", in, got, want)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		tokens := Tokens(rapid.String().Draw(t, "s"))
		if again := Tokens(strings.Join(tokens, " ")); !slices.Equal(again, tokens) {
			t.Fatalf("%q cut again are %q", tokens, again)
		}
	})
}

func TestParseSearch(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		mode SearchMode
		q    string
		want string // FTS5's query; ! before it when negated
	}{
		{SearchPlain, "The Fat-Rats", `("the" AND "fat" AND "rats")`},
		{SearchPlain, " ,", `""`},
		{SearchPlain, `a" OR b*`, `("a" AND "or" AND "b")`},
		{SearchPhrase, "the fat, rats", `"the" + "fat" + "rats"`},
		// The shapes are PostgreSQL 15's websearch_to_tsquery.
		{SearchWeb, "a or b", `("a" OR "b")`},
		{SearchWeb, "or b", `("or" AND "b")`},
		{SearchWeb, "a or", `("a" AND "or")`},
		{SearchWeb, "a or or b", `("a" OR ("or" AND "b"))`},
		{SearchWeb, "a -b", `("a" NOT "b")`},
		{SearchWeb, "-a", `!"a"`},
		{SearchWeb, "--a", `"a"`},
		{SearchWeb, "a - b", `("a" NOT "b")`},
		{SearchWeb, "a -or b", `(("a" AND "b") NOT "or")`},
		{SearchWeb, `a "b c" d`, `("a" AND "b" + "c" AND "d")`},
		{SearchWeb, `a -"b c"`, `("a" NOT "b" + "c")`},
		{SearchWeb, "a or -b c", `("a" OR ("c" NOT "b"))`},
		{SearchWeb, `a or "or"`, `("a" OR "or")`},
		{SearchWeb, `a "b`, `("a" AND "b")`},
		{SearchWeb, `""`, `""`},
		{SearchWeb, "a or -b", `!("b" NOT "a")`},
		{SearchQuery, "", `""`},
		{SearchQuery, "fat", `"fat"`},
		{SearchQuery, "Fat & rat | cat", `(("fat" AND "rat") OR "cat")`},
		{SearchQuery, "fat & (rat | cat)", `("fat" AND ("rat" OR "cat"))`},
		{SearchQuery, "!fat & !rat", `!("fat" OR "rat")`},
		{SearchQuery, "!(fat | !rat)", `("rat" NOT "fat")`},
		{SearchQuery, "!!fat", `"fat"`},
		{SearchQuery, "sup:* & x", `("sup" * AND "x")`},
		{SearchQuery, "a <-> b <1> c:*", `"a" + "b" + "c" *`},
		{SearchQuery, `'it''s o\'k':*`, `"it" + "s" + "o" + "k" *`},
		{SearchQuery, "a & ',' & b", `("a" AND "b")`},
		{SearchQuery, "a <-> ',' <-> b", `"a" + "b"`},
		{SearchQuery, "!','", `""`},
		{SearchQuery, `"a"`, `"a"`},
	} {
		s, err := ParseSearch(c.mode, c.q)
		if err != nil {
			t.Errorf("%q: %v", c.q, err)
			continue
		}
		got := s.FTS5()
		if s.Negated() {
			got = "!" + got
		}
		if got != c.want {
			t.Errorf("%d %q = %s, want %s", c.mode, c.q, got, c.want)
		}
		if s.Empty() != (c.want == `""`) || s.Empty() && s.Match([]string{"a"}) {
			t.Errorf("%q: Empty() = %v", c.q, s.Empty())
		}
	}
}

func TestParseSearchRefuses(t *testing.T) {
	t.Parallel()
	for q, code := range map[string]fault.Code{
		"a b":                           fault.InvalidText,
		"a &":                           fault.InvalidText,
		"& a":                           fault.InvalidText,
		"a | | b":                       fault.InvalidText,
		"(a":                            fault.InvalidText,
		"a)":                            fault.InvalidText,
		"'a":                            fault.InvalidText,
		`'a\`:                           fault.InvalidText,
		"a <- b":                        fault.InvalidText,
		"a:":                            fault.InvalidText,
		"a:x":                           fault.InvalidText,
		"!":                             fault.InvalidText,
		"()":                            fault.InvalidText,
		"a:A":                           fault.NotImplemented,
		"a:*b":                          fault.NotImplemented,
		"a <2> b":                       fault.NotImplemented,
		"(a | b) <-> c":                 fault.NotImplemented,
		"a:* <-> b":                     fault.NotImplemented,
		"!a <-> b":                      fault.NotImplemented,
		"a\x00":                         fault.InvalidEncoding,
		"a\xff":                         fault.InvalidEncoding,
		strings.Repeat("(", 4000):       fault.LimitExceeded,
		strings.Repeat("!", 4000):       fault.LimitExceeded,
		strings.Repeat("a&", 300) + "a": fault.LimitExceeded,
		strings.Repeat("a", 5000):       fault.LimitExceeded,
	} {
		if _, err := ParseSearch(SearchQuery, q); !fault.Is(err, code) {
			t.Errorf("%.20q: %v, want code %s", q, err, code)
		}
	}
	if _, err := ParseSearch(SearchPlain, strings.Repeat("a ", 300)); !fault.Is(err, fault.LimitExceeded) {
		t.Errorf("too many words: %v", err)
	}
	if _, err := ParseSearch(99, "a"); !fault.Is(err, fault.Internal) {
		t.Errorf("unknown grammar: %v", err)
	}
}

// TestSearchAgreesWithFTS5: SQLite finds with the rendered query exactly the
// documents that Match finds.
func TestSearchAgreesWithFTS5(t *testing.T) {
	db, err := sql.Open("sqlite", ":memory:")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close() //nolint:errcheck // in memory
	db.SetMaxOpenConns(1)
	ctx := t.Context()
	if _, err := db.ExecContext(ctx, `CREATE VIRTUAL TABLE d USING fts5(x, tokenize = "unicode61 remove_diacritics 0 categories 'L* M* N* Co'")`); err != nil {
		t.Fatal(err)
	}
	docs := []string{
		"", "a", "b", "a b", "b a", "a b c", "a b a b c", "c", "ab", "abc", "a ab", "größe a", "grösse", "GRÖSSE b",
		"c b a", "a c b", "not or and near", "é", "e", "日本 a", "b ab c", "हिन्दी a",
	}
	for i, d := range docs {
		if _, err := db.ExecContext(ctx, `INSERT INTO d (rowid, x) VALUES (?, ?)`, i, strings.Join(Tokens(d), " ")); err != nil {
			t.Fatal(err)
		}
	}
	rapid.Check(t, func(rt *rapid.T) {
		mode := SearchMode(rapid.IntRange(0, 3).Draw(rt, "mode"))
		var q string
		if mode == SearchQuery {
			q = drawQuery(rt, 3)
		} else {
			q = rapid.StringMatching(`((a|b|c|ab|or|OR|größe|é|not|near|"a b"|"|-|\*|हिन्दी|-b|-"a b") ?){0,6}`).Draw(rt, "q")
		}
		s, err := ParseSearch(mode, q)
		if fault.Is(err, fault.NotImplemented) {
			return
		}
		if err != nil {
			rt.Fatalf("%q: %v", q, err)
		}
		var want, got []int
		for i, d := range docs {
			if s.Match(Tokens(d)) {
				want = append(want, i)
			}
		}
		const match = `SELECT rowid FROM d WHERE d MATCH ?`
		query := match
		if s.Negated() {
			query = `SELECT rowid FROM d WHERE rowid NOT IN (` + match + `)`
		}
		rows, err := db.QueryContext(ctx, query+` ORDER BY rowid`, s.FTS5())
		if err != nil {
			rt.Fatalf("%q, %s: %v", q, s.FTS5(), err)
		}
		defer rows.Close() //nolint:errcheck // read to the end
		for rows.Next() {
			var i int
			if err := rows.Scan(&i); err != nil {
				rt.Fatal(err)
			}
			got = append(got, i)
		}
		if err := rows.Err(); err != nil || !slices.Equal(got, want) {
			rt.Fatalf("%q as %s (negated %v) finds %v, Match finds %v: %v", q, s.FTS5(), s.Negated(), got, want, err)
		}
	})
}

// drawQuery is a random query of to_tsquery's grammar.
func drawQuery(t *rapid.T, depth int) string {
	if depth == 0 {
		return rapid.SampledFrom([]string{"a", "b", "c", "ab", "a:*", "größe", "'a b'", "'a b':*", "a <-> b", "a <-> b:*", "','", "'and'", "zz", "é"}).Draw(t, "word")
	}
	a := drawQuery(t, depth-1)
	switch rapid.IntRange(0, 4).Draw(t, "op") {
	case 0:
		return a + " & " + drawQuery(t, depth-1)
	case 1:
		return a + "|" + drawQuery(t, depth-1)
	case 2:
		return "!(" + a + ")"
	case 3:
		return "(" + a + ") & !(" + drawQuery(t, depth-1) + ")"
	}
	return a
}
