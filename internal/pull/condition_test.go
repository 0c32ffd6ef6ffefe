package pull

import (
	"strings"
	"testing"

	"github.com/pandobase/pando/internal/store"
	"github.com/pandobase/pando/internal/value"
)

// The conditions are as pg_get_expr writes them.
func TestConditions(t *testing.T) {
	t.Parallel()
	fields := func() []*field {
		return []*field{
			{name: "qty", kind: value.Int, column: &store.SurveyColumn{Name: "qty"}},
			{name: "most", kind: value.Int, column: &store.SurveyColumn{Name: "most"}},
			{name: "price", kind: value.Decimal, scale: 2, column: &store.SurveyColumn{Name: "Unit Price"}},
			{name: "state", kind: value.Text, column: &store.SurveyColumn{Name: "state"}},
			{name: "mail", kind: value.Text, loose: true, column: &store.SurveyColumn{Name: "mail"}},
			{name: "on", kind: value.Bool, column: &store.SurveyColumn{Name: "on"}},
			{name: "day", kind: value.Date, optional: true, column: &store.SurveyColumn{Name: "day"}},
			{name: "end", kind: value.Date, column: &store.SurveyColumn{Name: "end"}},
		}
	}
	for _, c := range []struct{ sql, cel, limits string }{
		{"(qty > 0)", "row.qty > 0", "qty min 1"},
		{"((qty >= 1) AND (qty <= 5))", "row.qty >= 1 && row.qty <= 5", ""},
		{`("Unit Price" >= (0)::numeric)`, "row.price >= 0", "price min 0"},
		{`("Unit Price" > 0.5)`, "row.price > 0.5", ""},
		{`("Unit Price" > 0.505)`, "", ""},
		{"(qty <= most)", "row.qty <= row.most", ""},
		{"(day <= \"end\")", "row.day <= row.end", ""},
		{"(state = ANY (ARRAY['a'::text, 'b''c'::text]))", `row.state in ['a', 'b\'c']`, "state values [a b'c]"},
		{"((state)::text = ANY ((ARRAY['a'::character varying, 'b'::character varying])::text[]))", "row.state in ['a', 'b']", "state values [a b]"},
		{"(state <> ALL (ARRAY['x'::text]))", "!(row.state in ['x'])", ""},
		{"((state = 'a'::old.mood) OR (day IS NOT NULL))", "row.state == 'a' || row.day != null", ""},
		{"(length(state) <= 7)", "size(row.state) <= 7", "state max 7"},
		{"(char_length((state)::text) >= 2)", "size(row.state) >= 2", "state min 2"},
		{"(state <> ''::text)", "row.state != ''", "state min 1"},
		{"((NOT \"on\") OR (qty = '-3'::integer))", "!(row.on) || row.qty == -3", ""},
		{"(((qty = 1) OR (qty = 2)) AND \"on\")", "(row.qty == 1 || row.qty == 2) && row.on", ""},
		// Of these the meaning is not certain.
		{"(state > 'a'::text)", "", ""},
		{"(state ~ '^a'::text)", "", ""},
		{"(mail = 'a'::citext)", "", ""},
		{"(mail = 'a'::text)", "", ""},
		{"(day > '2020-01-01'::date)", "", ""},
		{"(lower(state) = 'a'::text)", "", ""},
		{"((qty % 2) = 0)", "", ""},
		{"((qty)::numeric > 1.5)", "", ""},
		{"(state = ANY (ARRAY['a'::text, NULL::text]))", "", ""},
		{"(state = E'a\\\\b'::text)", "", ""},
		{"((state)::character varying(3) = 'a'::text)", "", ""},
		{"(other = 1)", "", ""},
		{"(qty > 0) AND", "", ""},
		{"CASE WHEN (qty > 0) THEN true ELSE false END", "", ""},
	} {
		all := fields()
		w := &celWriter{field: (&entity{fields: all}).field}
		n, cel := parse(c.sql), ""
		if n != nil {
			cel, _ = w.cel(n)
			if _, ok := w.cel(n); !ok {
				cel = ""
			}
		}
		if cel != c.cel {
			t.Errorf("%s is %q, want %q", c.sql, cel, c.cel)
		}
		if c.cel == "" {
			continue
		}
		limits := ""
		if w.fold(n) {
			for _, f := range all {
				for _, l := range []struct{ name, v string }{{"min", f.min}, {"max", f.max}} {
					if l.v != "" {
						limits += f.name + " " + l.name + " " + l.v
					}
				}
				if len(f.values) > 0 {
					limits += f.name + " values [" + strings.Join(f.values, " ") + "]"
				}
			}
		}
		if limits != c.limits {
			t.Errorf("%s has the limits %q, want %q", c.sql, limits, c.limits)
		}
	}
}

func TestNames(t *testing.T) {
	t.Parallel()
	n := newNamer("select")
	for _, c := range []struct{ of, want string }{
		{"OrderLines", "order_lines"},
		{"order lines", "order_lines_2"},
		{"ORDER_LINES", "order_lines_3"},
		{"select", "t_select"},
		{"1st", "t_1st"},
		{"Größe", "gr_e"},
		{"日本", "t"},
		{"日", "t_2"},
		{"URL", "url"},
		{strings.Repeat("x", 80), strings.Repeat("x", 60)},
	} {
		if got := n.name(c.of, "t"); got != c.want {
			t.Errorf("%q is called %q, want %q", c.of, got, c.want)
		}
	}
}
