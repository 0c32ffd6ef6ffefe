package postgres

import (
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"github.com/pandobase/pando/internal/store"
	"github.com/pandobase/pando/internal/value"
)

// fold asks the database to fold texts as ilike does.
func (d *Driver) fold(t *testing.T, texts []string) []string {
	t.Helper()
	st := &store.Statement{SQL: "SELECT " + folded("e") + " FROM unnest($1::text[]) WITH ORDINALITY AS u(e,n) ORDER BY n"}
	values := make([]value.Value, len(texts))
	for i, s := range texts {
		values[i] = value.OfText(s)
	}
	var out []string
	err := d.Read(t.Context(), false, func(r store.Reader) error {
		return r.Query(st, []value.Value{d.Dialect().ListParam(values)}, func(row store.Row) error {
			out = append(out, string(row.Append(nil, 0)))
			return nil
		})
	})
	if err != nil || len(out) != len(texts) {
		t.Fatalf("%d texts folded to %d: %v", len(texts), len(out), err)
	}
	return out
}

// FoldsAsGo holds every character's folding against value.Fold's: the same
// characters are alike, and as many stand for one.
func FoldsAsGo(t *testing.T, d *Driver) {
	var chars, want []string
	for r := rune(1); r <= utf8.MaxRune; r++ {
		if s := norm.NFC.String(string(r)); unicode.IsGraphic(r) || unicode.IsControl(r) {
			chars, want = append(chars, s), append(want, value.Fold(s))
		}
	}
	got, gotWant := d.fold(t, chars), d.fold(t, want)
	classes := map[string]string{}
	wrong := 0
	for i, c := range chars {
		other, seen := classes[got[i]]
		if !seen {
			classes[got[i]] = want[i]
		}
		same := got[i] == gotWant[i] && (!seen || other == want[i]) && utf8.RuneCountInString(got[i]) == utf8.RuneCountInString(want[i])
		if !same {
			if wrong++; wrong <= 40 {
				t.Errorf("%q (%U) folds to %q, its folding to %q; in Go it folds to %q (a character of this class: %q)", c, []rune(c), got[i], gotWant[i], want[i], other)
			}
		}
	}
	if wrong > 0 {
		t.Errorf("%d characters differ", wrong)
	}
	for _, s := range []string{"ΟΔΟΣ", "ὈΔΥΣΣΕΎΣ", "Straße", "\x02\x03ı\x02\x04", "İstanbul", "ısı", strings.Repeat("Σ", 3)} {
		if x := d.fold(t, []string{s, value.Fold(s)}); x[0] != x[1] {
			t.Errorf("%q folds to %q, its folding to %q", s, x[0], x[1])
		}
	}
}
