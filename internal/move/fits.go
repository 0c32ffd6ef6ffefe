package move

import (
	"fmt"
	"math"
	"strings"
	"unicode/utf8"

	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/value"
)

// maxUnfit bounds the places that are named.
const maxUnfit = 20

// unfit collects the values that the target cannot hold: what was written past
// Pando, which lets none of them in.
type unfit struct {
	places []string
	count  int
}

// check looks at a row. It reports whether all of it fits.
func (u *unfit) check(t *table, row []value.Value) bool {
	ok := true
	for i := range row {
		if row[i].IsNull() {
			continue
		}
		if why := misfit(t.Columns[i].Type, &row[i]); why != "" {
			ok = false
			if u.count++; len(u.places) < maxUnfit {
				u.places = append(u.places, fmt.Sprintf("%s.%s of %s: %s", t.Name, t.Columns[i].Name, t.showKey(row), why))
			}
		}
	}
	return ok
}

// err is nil where everything fits.
func (u *unfit) err() error {
	if u.count == 0 {
		return nil
	}
	more := ""
	if n := u.count - len(u.places); n > 0 {
		more = fmt.Sprintf("; and %d more", n)
	}
	return fault.New(fault.MigrationRefused, "%d values are stored that the target cannot hold", u.count).
		WithDetails("%s%s", strings.Join(u.places, "; "), more).
		WithHint("they were written by something other than Pando: put them right in the store, then run the command again")
}

// showKey names a row.
func (t *table) showKey(row []value.Value) string {
	parts := make([]string, len(t.Key))
	for i, k := range t.Key {
		parts[i] = t.Columns[k].Name + "=" + show(&row[k])
	}
	return strings.Join(parts, ",")
}

func show(v *value.Value) string {
	switch v.Tag {
	case value.TagInt:
		return fmt.Sprint(v.Int)
	case value.TagFloat:
		return fmt.Sprint(v.Float)
	case value.TagBytes:
		return fmt.Sprintf("%x", v.Str)
	case value.TagText:
		return strings.ToValidUTF8(strings.ReplaceAll(v.Str, "\x00", "\uFFFD"), "\uFFFD")
	case value.TagNull:
	}
	return "null"
}

// misfit says why a value is none of its type; empty: it is one.
//
//nolint:cyclop // a table of types
func misfit(t value.Type, v *value.Value) string {
	want := value.TagText
	switch {
	case t.List:
	case t.Kind == value.Int, t.Kind == value.Decimal, t.Kind == value.Bool:
		want = value.TagInt
	case t.Kind == value.Float:
		want = value.TagFloat
	case t.Kind == value.Bytes:
		want = value.TagBytes
	}
	if v.Tag != want {
		return "the value is of another type than the field"
	}
	switch {
	case v.Tag == value.TagFloat && (math.IsNaN(v.Float) || math.IsInf(v.Float, 0)):
		return "the number is not finite"
	case v.Tag == value.TagInt && t.Kind == value.Bool && v.Int != 0 && v.Int != 1:
		return "the value is neither true nor false"
	case v.Tag != value.TagText:
		return ""
	case !utf8.ValidString(v.Str):
		return "the text is not UTF-8"
	case strings.IndexByte(v.Str, 0) >= 0:
		return "the text holds a NUL"
	}
	return misfitText(t, v.Str)
}

// misfitText judges what is stored as a text: it is what reading it gives.
func misfitText(t value.Type, s string) string {
	bare := value.Type{Kind: t.Kind, Scale: t.Scale, List: t.List}
	var back value.Value
	var err error
	switch {
	case t.List:
		if bare.Kind == value.Enum { // its words are checked where they are written
			bare.Kind = value.Text
		}
		back, err = bare.FromJSON(s)
	case t.Kind == value.JSON:
		var text string
		if text, err = value.CanonicalJSON(s); err == nil {
			back = value.OfText(text)
		}
	case t.Kind == value.UUID, t.Kind == value.Timestamp, t.Kind == value.Date, t.Kind == value.Time:
		back, err = bare.FromText(s)
	default: // a text is what it is
		return ""
	}
	if err != nil {
		return fault.From(err).Message
	}
	if back.Str != s {
		return "the value is not in the form that Pando stores"
	}
	return ""
}
