package rest

import (
	"strings"

	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/query"
)

// comparison is one filter in one piece of memory.
type comparison struct {
	cmp query.Compare
	ref query.FieldRef
	lit query.Literal
}

func compare(path query.Path, op query.Op, right query.Operand) query.Expr {
	c := &comparison{ref: query.FieldRef{Path: path}}
	c.cmp = query.Compare{Left: &c.ref, Op: op, Right: right}
	return &c.cmp
}

func compareText(path query.Path, op query.Op, text string) query.Expr {
	c := &comparison{ref: query.FieldRef{Path: path}, lit: query.Literal{Text: text}}
	c.cmp = query.Compare{Left: &c.ref, Op: op, Right: &c.lit}
	return &c.cmp
}

// form is how an operator's value is written.
type form uint8

const (
	unknownForm form = iota
	plainForm        // a value
	quantForm        // a value, or with (any) and (all) an array of them
	wordForm         // is
	listForm         // in
	searchForm       // fts and its kin
	foreignForm      // PostgREST has it, Pando has not
)

// operators in the order in which a hint lists them.
func operators() []string {
	return []string{
		"eq", "neq", "gt", "gte", "lt", "lte", "like", "ilike", "match", "imatch", "is", "isdistinct", "in",
		"cs", "cd", "ov", "fts", "plfts", "phfts", "wfts",
	}
}

func operator(name string) (query.Op, form) {
	switch name {
	case "eq":
		return query.Eq, quantForm
	case "neq":
		return query.Neq, plainForm
	case "gt":
		return query.Gt, quantForm
	case "gte":
		return query.Gte, quantForm
	case "lt":
		return query.Lt, quantForm
	case "lte":
		return query.Lte, quantForm
	case "like":
		return query.Like, quantForm
	case "ilike":
		return query.ILike, quantForm
	case "match":
		return query.Match, quantForm
	case "imatch":
		return query.IMatch, quantForm
	case "is":
		return query.Is, wordForm
	case "isdistinct":
		return query.IsDistinct, plainForm
	case "in":
		return query.In, listForm
	case "cs":
		return query.Contains, plainForm
	case "cd":
		return query.ContainedBy, plainForm
	case "ov":
		return query.Overlaps, plainForm
	case "fts":
		return query.FTS, searchForm
	case "plfts":
		return query.PlainFTS, searchForm
	case "phfts":
		return query.PhraseFTS, searchForm
	case "wfts":
		return query.WebFTS, searchForm
	case "sl", "sr", "nxl", "nxr", "adj":
		return 0, foreignForm
	}
	return 0, unknownForm
}

// condition reads an operator and its value:
//
//	condition = ["not."] operator ["(" any / all / language ")"] "." value
//
// Within a tree of and/or the value ends at a comma or a closing bracket;
// otherwise it is the rest of the text.
func (s *scanner) condition(path query.Path, tree bool) (query.Expr, error) {
	negated := s.acceptText("not.")
	start := s.pos
	for s.pos < len(s.s) && s.s[s.pos] != '.' && s.s[s.pos] != '(' && (!tree || (s.s[s.pos] != ',' && s.s[s.pos] != ')')) {
		s.pos++
	}
	name := s.s[start:s.pos]
	op, f := operator(name)
	switch f {
	case unknownForm:
		return nil, s.unknownOperator(start, name, path, tree)
	case foreignForm:
		return nil, fault.New(fault.NotImplemented, "the operator %s is not supported", name).
			WithDetails("it compares ranges, and no field of an application is a range").
			WithHint("use gt, gte, lt and lte")
	case plainForm, quantForm, wordForm, listForm, searchForm:
	}
	var quant query.Quant
	if s.peek() == '(' {
		var err error
		if quant, err = s.modifier(name, f); err != nil {
			return nil, err
		}
	}
	if !s.accept('.') {
		return nil, s.fail(`"." and a value`)
	}
	e, err := s.operand(path, op, f, quant, tree)
	if err == nil && negated {
		e = &query.Not{Arg: e}
	}
	return e, err
}

func (s *scanner) unknownOperator(start int, name string, path query.Path, tree bool) error {
	f := s.failAt(start, "unknown operator \""+shorten(name)+`"`)
	if n := fault.Nearest(name, operators()); n != "" && !s.end() {
		return f.WithHint("perhaps you meant %s", n)
	}
	if tree {
		return f.WithHint("write field.operator.value; the operators are %s", strings.Join(operators(), ", "))
	}
	return f.WithHint("write %s=eq.value; the operators are %s", shorten(path.Field), strings.Join(operators(), ", "))
}

// modifier reads what stands in brackets behind an operator.
func (s *scanner) modifier(name string, f form) (query.Quant, error) {
	s.pos++
	start := s.pos
	word := s.identifier()
	if !s.accept(')') {
		return 0, s.fail(`")"`)
	}
	switch {
	case f == searchForm:
		return 0, fault.New(fault.NotImplemented, "%s(%s): a search has no language", name, shorten(word)).
			WithDetails("words are compared without stemming, the same in every language").
			WithHint("use %s without a language", name)
	case f == quantForm && word == "any":
		return query.Any, nil
	case f == quantForm && word == "all":
		return query.All, nil
	case f == quantForm:
		return 0, s.failAt(start, "unexpected \""+shorten(word)+`", expecting any or all`)
	}
	return 0, s.failAt(start-1, "the operator "+name+" takes no modifier").
		WithHint("eq, gt, gte, lt, lte, like, ilike, match and imatch take (any) and (all)")
}

// operand reads the value and makes the comparison.
func (s *scanner) operand(path query.Path, op query.Op, f form, quant query.Quant, tree bool) (query.Expr, error) {
	switch f {
	case wordForm:
		w, err := s.word(tree)
		if err != nil {
			return nil, err
		}
		return compare(path, op, &query.Word{Word: w}), nil
	case listForm:
		texts, err := s.list(tree)
		if err != nil {
			return nil, err
		}
		return compare(path, op, &query.List{Texts: texts}), nil
	case plainForm, quantForm, searchForm, unknownForm, foreignForm:
	}
	start := s.pos
	text := s.value(tree)
	if op == query.Like || op == query.ILike {
		text = strings.ReplaceAll(text, "*", "%")
	}
	if quant == query.NoQuant {
		return compareText(path, op, text), nil
	}
	texts, problem := array(text)
	if problem != "" {
		return nil, s.failAt(start, problem).WithHint("write {a,b}, with quotation marks around a value that holds a comma or a brace")
	}
	e := compare(path, op, &query.List{Texts: texts})
	e.(*query.Compare).Quant = quant
	return e, nil
}

// value reads a single value.
func (s *scanner) value(tree bool) string {
	start := s.pos
	if !tree {
		s.pos = len(s.s)
		return s.s[start:]
	}
	switch s.peek() {
	case '"':
		if text, next, ok := unquote(s.s, s.pos); ok && endsMember(s.s, next) {
			s.pos = next
			return text
		}
	case '{':
		if next := closing(s.s, s.pos); next > 0 && endsMember(s.s, next) {
			s.pos = next
			return s.s[start:next]
		}
	}
	for s.pos < len(s.s) && s.s[s.pos] != ',' && s.s[s.pos] != ')' {
		s.pos++
	}
	return s.s[start:s.pos]
}

// endsMember reports whether a member of a list or of a tree ends before s[i].
func endsMember(s string, i int) bool {
	return i >= len(s) || s[i] == ',' || s[i] == ')'
}

// closing returns the place behind the brace that closes the one at s[i], or 0.
// Braces between quotation marks do not count.
func closing(s string, i int) int {
	depth := 0
	for ; i < len(s); i++ {
		switch s[i] {
		case '{':
			depth++
		case '}':
			if depth--; depth == 0 {
				return i + 1
			}
		case '"':
			_, next, ok := unquote(s, i)
			if !ok {
				return 0
			}
			i = next - 1
		}
	}
	return 0
}

// word reads what may follow "is.", in any case.
func (s *scanner) word(tree bool) (string, error) {
	start := s.pos
	got := s.value(tree)
	words := []string{"null", "not_null", "true", "false", "unknown"}
	for _, w := range words {
		if strings.EqualFold(got, w) {
			return w, nil
		}
	}
	f := s.failAt(start, "unexpected \""+shorten(got)+`", expecting null, not_null, true, false or unknown`)
	if n := fault.Nearest(got, words); n != "" {
		return "", f.WithHint("perhaps you meant is.%s", n)
	}
	return "", f.WithHint("use eq to compare with a value")
}

// list reads (a,"b,c"). An empty pair of brackets is an empty list.
func (s *scanner) list(tree bool) ([]string, error) {
	s.space()
	if !s.accept('(') {
		return nil, s.fail(`"(": a list is written (a,b)`)
	}
	if s.accept(')') {
		return []string{}, s.listEnd(tree)
	}
	out := make([]string, 0, strings.Count(s.rest(), ",")+1)
	for {
		out = append(out, s.value(true))
		if s.accept(')') {
			return out, s.listEnd(tree)
		}
		if !s.accept(',') {
			return nil, s.fail(`"," or ")"`)
		}
	}
}

func (s *scanner) listEnd(tree bool) error {
	s.space()
	if s.end() || (tree && endsMember(s.s, s.pos)) {
		return nil
	}
	return s.fail("the end of the list")
}

// array reads a PostgreSQL array literal of one dimension. problem says what
// is wrong with it.
func array(text string) (out []string, problem string) {
	t := strings.TrimSpace(text)
	if len(t) < 2 || t[0] != '{' || t[len(t)-1] != '}' {
		return nil, "(any) and (all) take an array, {a,b}"
	}
	t = t[1 : len(t)-1]
	out = []string{}
	if strings.TrimSpace(t) == "" {
		return out, ""
	}
	for i := 0; ; i++ { // i: at a member's first character
		for i < len(t) && t[i] == ' ' {
			i++
		}
		if i < len(t) && t[i] == '"' {
			v, next, ok := unquote(t, i)
			if !ok {
				return nil, "a quotation mark of the array is not closed"
			}
			for next < len(t) && t[next] == ' ' {
				next++
			}
			out, i = append(out, v), next
		} else {
			n := strings.IndexAny(t[i:], `,{}"\`)
			if n < 0 {
				n = len(t) - i
			}
			v := strings.TrimSpace(t[i : i+n])
			switch {
			case v == "":
				return nil, "a member of the array is empty"
			case strings.EqualFold(v, "null"):
				return nil, "a member of the array is null"
			}
			out, i = append(out, v), i+n
		}
		if i >= len(t) {
			return out, ""
		}
		if t[i] != ',' {
			return nil, "the array is malformed"
		}
	}
}
