package postgres_test

import (
	"strings"
	"testing"

	"github.com/pandobase/pando/internal/store"
	"github.com/pandobase/pando/internal/value"
)

// TestSearchAsGo holds what a tsquery finds in a tsvector against
// value.Search.Match, over every pair of a text and a query.
func TestSearchAsGo(t *testing.T) {
	d := open(t, database(t))
	st := &store.Statement{SQL: "SELECT $1::tsvector @@ $2::tsquery"}
	texts := []string{
		"", "a", "a b", "b a", "a a b", "A, b; c d", "it's \\ 'quoted' :*|&!()", "Straße STRASSE ﬁn", "10 x10 ½", strings.Repeat("x ", 300) + "y",
		"日本語 text", "a b a c",
	}
	queries := []struct {
		mode value.SearchMode
		text string
	}{
		{value.SearchPlain, ""},
		{value.SearchPlain, "a"},
		{value.SearchPlain, "b a"},
		{value.SearchPhrase, "a b"},
		{value.SearchPhrase, "a c"},
		{value.SearchPhrase, "b b"},
		{value.SearchPhrase, "quoted it"},
		{value.SearchWeb, `"a b" -c`},
		{value.SearchWeb, "-a"},
		{value.SearchWeb, "a or y"},
		{value.SearchQuery, "a & !b"},
		{value.SearchQuery, "!(a | b)"},
		{value.SearchQuery, "!a | c"},
		{value.SearchQuery, "str:*"},
		{value.SearchQuery, "strasse"},
		{value.SearchQuery, "a <-> b"},
		{value.SearchQuery, "a <-> b:*"},
		{value.SearchQuery, "!!a"},
		{value.SearchQuery, "'it''s'"},
		{value.SearchQuery, "日:*"},
		{value.SearchPhrase, "x y"},
		{value.SearchPlain, "fin"},
	}
	for _, q := range queries {
		s, err := value.ParseSearch(q.mode, q.text)
		if err != nil {
			t.Errorf("%q: %v", q.text, err)
			continue
		}
		for _, text := range texts {
			tokens := value.Tokens(text)
			err := d.Read(t.Context(), false, func(r store.Reader) error {
				return r.Query(st, []value.Value{value.OfText(value.TSVector(tokens)), value.OfText(s.TSQuery())}, func(row store.Row) error {
					if q.text == "x y" && len(tokens) > 256 {
						return nil // beyond what a tsvector keeps, as TSVector says
					}
					if got, want := row.Int(0) == 1, s.Match(tokens); got != want {
						t.Errorf("%q in %.40q: %v, want %v (%s in %.80s)", q.text, text, got, want, s.TSQuery(), value.TSVector(tokens))
					}
					return nil
				})
			})
			if err != nil {
				t.Errorf("%q in %.40q: %v", q.text, text, err)
			}
		}
	}
}
