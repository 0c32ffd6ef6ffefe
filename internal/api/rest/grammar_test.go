package rest

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/query"
)

//nolint:gochecknoglobals // a flag of the test binary
var update = flag.Bool("update", false, "rewrite the golden files")

func testLimits() limits { return limits{depth: 4, filters: 20} }

// TestGrammar compares what query strings mean with testdata/grammar.txt: each
// case is a query string, a line of dashes and the query or the fault. Query
// strings stand there as a client sends them.
func TestGrammar(t *testing.T) {
	const file = "testdata/grammar.txt"
	in, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	for block := range strings.SplitSeq(strings.TrimSpace(string(in)), "\n\n") {
		if strings.HasPrefix(block, "#") {
			fmt.Fprintf(&out, "%s\n\n", block)
			continue
		}
		q, _, _ := strings.Cut(block, "\n")
		fmt.Fprintf(&out, "%s\n----\n%s\n", q, show(parseParams(q, testLimits())))
	}
	got := strings.TrimSpace(out.String()) + "\n"
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(string(in), got); diff != "" {
		t.Errorf("the grammar's meaning changed (-want +got); run with -update when it should:\n%s", diff)
	}
}

// show prints what a query string means, or its fault.
func show(p *params, err error) string {
	if f, ok := errors.AsType[*fault.Error](err); ok {
		s := fmt.Sprintf("%s %s\n", f.Code, f.Message)
		if f.Details != "" {
			s += "  details: " + f.Details + "\n"
		}
		if f.Hint != "" {
			s += "  hint: " + f.Hint + "\n"
		}
		return s
	}
	if err != nil {
		return "NOT A FAULT: " + err.Error()
	}
	var b strings.Builder
	showNode(&b, &p.node, "")
	if p.columns != nil {
		fmt.Fprintf(&b, "columns %q\n", p.columns)
	}
	if p.onConflict != nil {
		fmt.Fprintf(&b, "on_conflict %q\n", p.onConflict)
	}
	if p.cursor != "" {
		fmt.Fprintf(&b, "cursor %q\n", p.cursor)
	}
	if b.Len() == 0 {
		return "everything\n"
	}
	return b.String()
}

func showNode(b *strings.Builder, n *query.Node, indent string) {
	for _, item := range n.Select {
		switch it := item.(type) {
		case query.Star:
			fmt.Fprintf(b, "%sselect *\n", indent)
		case *query.Column:
			fmt.Fprintf(b, "%sselect %s\n", indent, showColumn(it))
		case *query.Embed:
			fmt.Fprintf(b, "%sembed %s\n", indent, showEmbed(it))
			showNode(b, &it.Node, indent+"  ")
		}
	}
	if n.Where != nil {
		fmt.Fprintf(b, "%swhere %s\n", indent, showExpr(n.Where))
	}
	for _, o := range n.Order {
		s := showPath(o.Path)
		if o.Relation != "" {
			s = o.Relation + "(" + s + ")"
		}
		if o.Desc {
			s += " desc"
		}
		fmt.Fprintf(b, "%sorder %s%s\n", indent, s, [...]string{"", " nullsfirst", " nullslast"}[o.Nulls])
	}
	if n.Page.Limit != nil {
		fmt.Fprintf(b, "%slimit %d\n", indent, *n.Page.Limit)
	}
	if n.Page.Offset != 0 {
		fmt.Fprintf(b, "%soffset %d\n", indent, n.Page.Offset)
	}
}

func showColumn(c *query.Column) string {
	s := showPath(c.Path)
	if c.Cast != "" {
		s += "::" + c.Cast
	}
	if c.Aggregate != query.NoAggregate {
		s = [...]string{"", "count", "sum", "avg", "min", "max"}[c.Aggregate] + "(" + s + ")"
	}
	if c.AggCast != "" {
		s += "::" + c.AggCast
	}
	if c.Alias != "" {
		s += " as " + fmt.Sprintf("%q", c.Alias)
	}
	return s
}

func showEmbed(e *query.Embed) string {
	s := fmt.Sprintf("%q", e.Relation)
	if e.Hint != "" {
		s += " hint " + fmt.Sprintf("%q", e.Hint)
	}
	if e.Alias != "" {
		s += " as " + fmt.Sprintf("%q", e.Alias)
	}
	if e.Join == query.Inner {
		s += " inner"
	}
	if e.Spread {
		s += " spread"
	}
	return s
}

func showPath(p query.Path) string {
	s := p.Field
	for _, st := range p.Steps {
		arrow := "->"
		if st.Text {
			arrow = "->>"
		}
		if st.ByKey {
			s += arrow + fmt.Sprintf("%q", st.Key)
		} else {
			s += fmt.Sprintf("%s%d", arrow, st.Index)
		}
	}
	return s
}

func showExpr(e query.Expr) string {
	args := func(word string, list []query.Expr) string {
		parts := make([]string, len(list))
		for i, a := range list {
			parts[i] = showExpr(a)
		}
		return "(" + strings.Join(parts, " "+word+" ") + ")"
	}
	switch e := e.(type) {
	case *query.And:
		return args("and", e.Args)
	case *query.Or:
		return args("or", e.Args)
	case *query.Not:
		return "not " + showExpr(e.Arg)
	case *query.Compare:
		ops := [...]string{
			"eq", "neq", "gt", "gte", "lt", "lte", "like", "ilike", "match", "imatch", "is", "isdistinct", "in",
			"cs", "cd", "ov", "fts", "plfts", "phfts", "wfts",
		}
		return fmt.Sprintf("%s %s%s %s", showOperand(e.Left), ops[e.Op], [...]string{"", "(any)", "(all)"}[e.Quant], showOperand(e.Right))
	}
	return fmt.Sprintf("%T", e)
}

func showOperand(o query.Operand) string {
	switch o := o.(type) {
	case *query.FieldRef:
		return showPath(o.Path)
	case *query.Literal:
		return fmt.Sprintf("%q", o.Text)
	case *query.List:
		return fmt.Sprintf("%q", o.Texts)
	case *query.Word:
		return o.Word
	}
	return fmt.Sprintf("%T", o)
}

func TestFilterLimit(t *testing.T) {
	lim := limits{depth: 4, filters: 200}
	many := func(n int) string { return strings.Repeat("&a=eq.1", n)[1:] }
	if _, err := parseParams(many(200), lim); err != nil {
		t.Errorf("200 filters: %v", err)
	}
	for name, q := range map[string]string{
		"parameters": many(5000),
		"a tree":     "or=(" + strings.Repeat("a.eq.1,", 4999) + "a.eq.1)",
		"mixed":      many(150) + "&x.or=(" + strings.Repeat("a.eq.1,", 60) + "a.eq.1)&select=x(*)",
	} {
		if _, err := parseParams(q, lim); !fault.Is(err, fault.LimitExceeded) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestDepthLimit(t *testing.T) {
	lim := testLimits()
	nest := func(open, inner, closing string, n int) string {
		return strings.Repeat(open, n) + inner + strings.Repeat(closing, n)
	}
	for _, tt := range []struct {
		q    string
		fits bool
	}{
		{"select=" + nest("a(", "id", ")", 4), true},
		{"select=" + nest("a(", "id", ")", 5), false},
		{"select=" + nest("...a(", "id", ")", 100000), false},
		{"or=" + nest("(and", "(a.eq.1)", ")", 3), true},
		{"or=" + nest("(and", "(a.eq.1)", ")", 4), false},
		{"not.and=" + nest("(not.or", "(a.eq.1)", ")", 100000), false},
	} {
		_, err := parseParams(tt.q, lim)
		if tt.fits && err != nil {
			t.Errorf("%s: %v", shorten(tt.q), err)
		}
		if !tt.fits && !fault.Is(err, fault.LimitExceeded) {
			t.Errorf("%s: %v, want a limit", shorten(tt.q), err)
		}
	}
}

// A key in the URL must not come back in an answer, from where it would reach
// a log.
func TestKeyInURLIsNotRepeated(t *testing.T) {
	_, err := parseParams("apikey=sk_123456", testLimits())
	if out := show(nil, err); strings.Contains(out, "sk_123456") || !strings.Contains(out, "apikey header") {
		t.Error(out)
	}
}

func BenchmarkParse(b *testing.B) {
	for name, q := range map[string]string{
		"get":   "id=eq.0190f2a4-0000-7000-8000-000000000001",
		"list":  "select=id,title&priority=eq.5&order=created.desc&limit=30",
		"embed": "select=id,title,list:lists!inner(id,name)&list.name=ilike.*work*&or=(priority.gt.3,done.is.true)&order=created.desc.nullslast&limit=30",
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := parseParams(q, limits{depth: 8, filters: 200}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func FuzzParams(f *testing.F) {
	in, err := os.ReadFile("testdata/grammar.txt")
	if err != nil {
		f.Fatal(err)
	}
	for block := range strings.SplitSeq(string(in), "\n\n") {
		q, _, _ := strings.Cut(block, "\n")
		f.Add(q)
	}
	f.Fuzz(func(t *testing.T, q string) {
		p, err := parseParams(q, testLimits())
		if err != nil {
			requireFault(t, err)
			return
		}
		r := query.Read{Node: p.node}
		r.Shape(nil, nil) // walks over everything that was made
	})
}

func FuzzSelect(f *testing.F) {
	for _, s := range []string{"*", "id,a:b->c->>d::text", "...x!inner(*),y:z!h(id)", "a.sum()::int,count()", `"q\"uo":"te"`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		items, err := parseSelect(s, 4)
		if err != nil {
			requireFault(t, err)
			return
		}
		if len(items) == 0 {
			t.Errorf("%q selects nothing", s)
		}
	})
}

func FuzzFilter(f *testing.F) {
	for _, s := range []string{"eq.1", "not.in.(a,\"b,c\")", "like(any).{a*,\"b,\"}", "is.null", "fts(english).x", "cs.{1,2}", "in.()"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, v string) {
		for _, tree := range []bool{false, true} {
			s := scanner{what: "filter", s: v}
			e, err := s.condition(query.Path{Field: "f"}, tree)
			if err != nil {
				requireFault(t, err)
			} else if e == nil || (!tree && !s.end()) {
				t.Errorf("%q: %v, %d of %d bytes read", v, e, s.pos, len(v))
			}
		}
	})
}

func requireFault(t *testing.T, err error) {
	t.Helper()
	var f *fault.Error
	if !errors.As(err, &f) || f.Code.Status() < 400 || f.Code.Status() >= 500 || f.Message == "" {
		t.Errorf("%#v is no client fault", err)
	}
}
