package store

import (
	"slices"
	"strings"

	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/model"
	"github.com/pandobase/pando/internal/query"
	"github.com/pandobase/pando/internal/value"
)

// expr compiles a condition. Three-valued logic is the database's own: both
// know it alike. A level that only asks whether rows exist needs no texts for
// what is always true, which is the empty text.
func (l *level) expr(e query.Expr) (string, error) {
	switch e := e.(type) {
	case *query.And:
		return l.exprs(e.Args, " AND ", l.c.d.Bool(true))
	case *query.Or:
		return l.exprs(e.Args, " OR ", l.c.d.Bool(false))
	case *query.Not:
		l.nots++
		sql, err := l.expr(e.Arg)
		l.nots--
		if err != nil {
			return "", err
		}
		return "NOT (" + sql + ")", nil
	case *query.Const:
		return l.c.d.Bool(e.Value), nil
	case *query.Compare:
		return l.compare(e)
	case *query.Related:
		return l.related(e)
	case *query.Exists:
		return l.anyRow(e)
	}
	return "", fault.New(fault.Internal, "an internal error occurred").WithDetails("unknown expression")
}

func (l *level) exprs(args []query.Expr, sep, empty string) (string, error) {
	if len(args) == 0 {
		return empty, nil
	}
	parts := make([]string, len(args))
	for i, a := range args {
		sql, err := l.expr(a)
		if err != nil {
			return "", err
		}
		parts[i] = sql
	}
	if len(parts) == 1 {
		return parts[0], nil
	}
	if slices.ContainsFunc(args, mayFail) {
		return l.inOrder(parts, sep == " OR "), nil
	}
	return "(" + balanced(parts, sep) + ")", nil
}

// balanced joins parts in halves: a chain of them is a tree as deep as it is
// long to a database's parser (SQLite: at most 1,000 levels).
func balanced(parts []string, sep string) string {
	const chain = 100
	if len(parts) <= chain {
		return strings.Join(parts, sep)
	}
	half := len(parts) / 2
	return "(" + balanced(parts[:half], sep) + ")" + sep + "(" + balanced(parts[half:], sep) + ")"
}

// operand is a compiled side of a comparison. A literal has no type of its
// own: it takes the other side's.
type operand struct {
	sql     string
	typ     value.Type
	ref     *query.FieldRef
	literal *query.Literal
	column  string // see place
	form    *Form
}

func (l *level) operand(o query.Operand) (operand, error) {
	switch o := o.(type) {
	case *query.FieldRef:
		p, err := l.referred(o)
		return operand{sql: p.sql, typ: p.typ, ref: o, column: p.column, form: p.form}, err
	case *query.Literal:
		return operand{literal: o}, nil
	case *query.Call:
		return l.call(o)
	case *query.List, *query.Word:
	}
	return operand{}, fault.New(fault.Parse, "this operator does not take a list")
}

// typed reads a literal by the type of the other side, which its fault names.
func (l *level) typed(o operand, t value.Type, other *query.FieldRef) operand {
	if o.literal == nil {
		return o
	}
	t = unlimited(t)
	e := l.e
	o.sql = l.c.typedParam(param{slot: l.c.slots[o.literal], read: func(a query.Arg) (value.Value, error) {
		v, err := t.FromText(a.Text)
		return v, about(err, e, other)
	}}, t)
	o.typ = t
	return o
}

// about says in a literal's fault which field it was compared with.
func about(err error, e *model.Entity, ref *query.FieldRef) error {
	if err == nil || ref == nil {
		return err
	}
	f := *fault.From(err)
	if f.Details != "" {
		f.AddDetails(", ")
	}
	var named any = ref.Path.Field
	if known := e.Field(ref.Path.Field); known != nil && ref.Via == nil && ref.Up == 0 {
		named = known
	}
	return f.AddDetails("in the filter on '%s'", named)
}

// unlimited drops the bounds that rule what is stored, not what is asked.
func unlimited(t value.Type) value.Type {
	t.Min, t.Max = nil, nil
	return t
}

func (l *level) call(o *query.Call) (operand, error) {
	args := make([]operand, len(o.Args))
	var typ value.Type
	for i, a := range o.Args {
		x, err := l.operand(a)
		if err != nil {
			return operand{}, err
		}
		if x.literal == nil && typ.Kind == value.Invalid {
			typ = x.typ
		}
		args[i] = x
	}
	if o.Func == query.StartsWith || o.Func == query.EndsWith || o.Func == query.HasSubstring {
		typ = value.Type{Kind: value.Text}
	}
	sqls := make([]string, len(args))
	for i, x := range args {
		sqls[i] = l.typed(x, typ, nil).sql
	}
	out := operand{sql: l.c.d.Call(o, typ, sqls), typ: unlimited(typ)}
	switch o.Func {
	case query.Length:
		out.typ = value.Type{Kind: value.Int}
	case query.StartsWith, query.EndsWith, query.HasSubstring:
		out.typ = value.Type{Kind: value.Bool}
	case query.Mul:
		if typ.Kind == value.Decimal {
			out.typ.Scale = 2 * typ.Scale
		}
	case query.Add, query.Sub, query.Neg:
	}
	return out, nil
}

// compare compiles one comparison, after the left side's type.
func (l *level) compare(e *query.Compare) (string, error) {
	if ref, ok := e.Left.(*query.FieldRef); ok && !l.trusted {
		if x := l.embeds[ref.Path.Field]; x != nil && (ref.Embedded || !l.names(ref.Path.Field)) {
			return l.absent(x, e)
		}
	}
	left, err := l.operand(e.Left)
	if err != nil {
		return "", err
	}
	switch right := e.Right.(type) {
	case *query.Word:
		return l.is(left, right.Word)
	case *query.List:
		return l.list(left, e, right)
	case *query.FieldRef, *query.Literal, *query.Call:
	}
	right, err := l.operand(e.Right)
	if err != nil {
		return "", err
	}
	if left.literal != nil && right.form != nil && e.Op == query.Eq {
		left, right = right, left
	}
	if left.literal != nil {
		left = l.typed(left, right.typ, right.ref)
	}
	return l.operator(e.Op, left, right)
}

// names reports whether the caller sees a field of that name.
func (l *level) names(field string) bool {
	f := l.e.Field(field)
	return f != nil && l.visible(f)
}

// absent compiles "relation=is.null": the relation leads to no row.
func (l *level) absent(x *embedded, e *query.Compare) (string, error) {
	w, ok := e.Right.(*query.Word)
	if !ok || e.Op != query.Is || w.Word != "null" && w.Word != "not_null" {
		return "", fault.New(fault.EmbedFilter, "Only is null or not is null filters are allowed on embedded resources").
			WithHint("filter its fields with '%s.field=...'", x.item.Name())
	}
	sql, err := l.partner(x)
	if err != nil {
		return "", err
	}
	if w.Word == "null" {
		sql = "NOT " + sql
	}
	return sql, nil
}

// related compiles that the row has a partner which the caller may read.
func (l *level) related(e *query.Related) (string, error) {
	rel, err := l.relation(e.Relation, e.Hint)
	if err != nil {
		return "", err
	}
	if l.c.alias > maxRelations {
		return "", tooManyRelations()
	}
	return l.partner(&embedded{item: &query.Embed{Relation: e.Relation, Node: query.Node{Where: e.Where}}, rel: rel})
}

func (l *level) is(x operand, word string) (string, error) {
	switch word {
	case "null":
		return x.sql + " IS NULL", nil
	case "not_null":
		return x.sql + " IS NOT NULL", nil
	}
	if x.typ.Kind != value.Bool || x.typ.List {
		return "", noOperator(x.typ, "IS "+strings.ToUpper(word))
	}
	switch word {
	case "true":
		return "(" + x.sql + " IS NOT NULL AND " + x.sql + ")", nil
	case "false":
		return "(" + x.sql + " IS NOT NULL AND NOT " + x.sql + ")", nil
	case "unknown":
		return x.sql + " IS NULL", nil
	}
	return "", fault.New(fault.Parse, "'%s' is not a word of the 'is' operator", word).
		WithHint("the words are null, not_null, true, false, unknown")
}

// list compiles in, and an operator with any or all.
func (l *level) list(x operand, e *query.Compare, list *query.List) (string, error) {
	op := e.Op
	switch {
	case op == query.In:
		op = query.Eq
	case op > query.IMatch:
		return "", fault.New(fault.Parse, "the operator '%s' takes neither any nor all", opNames[op])
	}
	if err := allowed(op, x.typ); err != nil {
		return "", err
	}
	elem := unlimited(x.typ)
	if isPattern(op) {
		elem = value.Type{Kind: value.Text}
	}
	p := l.c.param(param{slot: l.c.slots[list], read: func(a query.Arg) (value.Value, error) {
		vs := make([]value.Value, len(a.List))
		for i, t := range a.List {
			v, err := elem.FromText(t)
			if err == nil {
				err = checkPattern(op, t)
			}
			if err != nil {
				return value.Value{}, about(err, l.e, x.ref)
			}
			vs[i] = v
		}
		return l.c.d.ListParam(vs), nil
	}})
	if op == query.Eq && e.Quant != query.All {
		if form := x.form; form != nil && form.Key != nil && !form.Loose {
			return form.In(x.column, p), nil
		}
		return l.c.d.InList(elem, x.sql, p), nil
	}
	cond := func(el string) string { return l.binary(op, l.c.d.Comparable(x.typ, x.sql), el) }
	if e.Quant == query.All {
		return l.c.d.AllOf(elem, x.sql, p, cond), nil
	}
	return l.c.d.AnyOf(elem, x.sql, p, cond), nil
}

// operator compiles a comparison of one value with one other.
func (l *level) operator(op query.Op, x, y operand) (string, error) {
	if isSearch(op) {
		return l.search(op, x, y)
	}
	if err := allowed(op, x.typ); err != nil {
		return "", err
	}
	if isPattern(op) {
		if y.literal == nil {
			return "", fault.New(fault.UndefinedFunction, "a pattern must be a constant")
		}
		pattern := value.Type{Kind: value.Text}
		p := l.c.typedParam(param{slot: l.c.slots[y.literal], read: func(a query.Arg) (value.Value, error) {
			if err := checkPattern(op, a.Text); err != nil {
				return value.Value{}, err
			}
			return pattern.FromText(a.Text)
		}}, pattern)
		return l.binary(op, x.sql, p), nil
	}
	if y.literal == nil && x.typ.Kind == value.Decimal && y.typ.Kind == value.Decimal && x.typ.Scale != y.typ.Scale {
		x, y = rescale(x, y)
	}
	if sql, ok := l.stored(op, x, y); ok {
		return sql, nil
	}
	y = l.typed(y, x.typ, x.ref)
	switch op {
	case query.Contains:
		return l.c.d.Contains(x.typ, x.sql, y.sql), nil
	case query.ContainedBy:
		return l.c.d.Contains(x.typ, y.sql, x.sql), nil
	case query.Overlaps:
		return l.c.d.Overlaps(x.typ, x.sql, y.sql), nil
	default:
		return l.binary(op, l.c.d.Comparable(x.typ, x.sql), y.sql), nil
	}
}

// rescale brings two decimals to one scale.
func rescale(x, y operand) (operand, operand) {
	grow := func(o operand, by int) operand {
		o.sql = "(" + o.sql + "*1" + strings.Repeat("0", by) + ")"
		o.typ.Scale += by
		return o
	}
	if x.typ.Scale < y.typ.Scale {
		return grow(x, y.typ.Scale-x.typ.Scale), y
	}
	return x, grow(y, x.typ.Scale-y.typ.Scale)
}

func (l *level) binary(op query.Op, x, y string) string {
	switch op {
	case query.Eq:
		return x + "=" + y
	case query.Neq:
		return x + "<>" + y
	case query.Gt:
		return x + ">" + y
	case query.Gte:
		return x + ">=" + y
	case query.Lt:
		return x + "<" + y
	case query.Lte:
		return x + "<=" + y
	case query.Like:
		return l.c.d.Like(x, y, false)
	case query.ILike:
		return l.c.d.Like(x, y, true)
	case query.Match:
		return l.c.d.Regexp(x, y, false)
	case query.IMatch:
		return l.c.d.Regexp(x, y, true)
	case query.IsDistinct:
		return l.c.d.IsDistinct(x, y)
	default:
		return l.c.d.Bool(false) // allowed() lets no other operator through
	}
}

// search compiles full-text search, which only fields with an index have.
func (l *level) search(op query.Op, x, y operand) (string, error) {
	if x.ref == nil || y.literal == nil || len(x.ref.Path.Steps) > 0 {
		return "", noOperator(x.typ, "@@")
	}
	if len(x.ref.Via) > 0 || x.ref.Up > 0 || l.given != nil {
		return "", fault.New(fault.NotImplemented, "a rule can search in stored rows of its own entity alone")
	}
	f := l.e.Field(x.ref.Path.Field)
	if !slices.Contains(l.e.Search, f) {
		return "", l.notSearched(f)
	}
	mode := map[query.Op]value.SearchMode{
		query.FTS: value.SearchQuery, query.PlainFTS: value.SearchPlain,
		query.PhraseFTS: value.SearchPhrase, query.WebFTS: value.SearchWeb,
	}[op]
	slot := l.c.slots[y.literal]
	parsed := func(pick func(*value.Search) value.Value) string {
		return l.c.param(param{slot: slot, read: func(a query.Arg) (value.Value, error) {
			s, err := value.ParseSearch(mode, a.Text)
			if err != nil {
				return value.Value{}, err
			}
			return pick(s), nil
		}})
	}
	match := parsed(func(s *value.Search) value.Value { return l.c.d.SearchParam(f, s) })
	negated := parsed(func(s *value.Search) value.Value { return value.OfBool(s.Negated()) })
	sql := l.c.d.Search(l.e, l.alias, f, match, negated)
	mask, err := l.mask(f)
	switch {
	case err != nil:
		return "", err
	case l.nots > 0 && (f.Optional || mask != ""): // elsewhere false does as well as unknown, and is found by the index
		sql = "CASE WHEN " + x.sql + " IS NOT NULL THEN " + sql + " END"
	case mask != "":
		sql = "(" + sql + " AND (" + mask + "))"
	}
	return sql, nil
}

func (l *level) notSearched(f *model.Field) error {
	fl := fault.New(fault.NotImplemented, "'%s' has no full-text index", f)
	var indexed []*model.Field
	for _, s := range l.e.Search {
		if l.visible(s) {
			indexed = append(indexed, s)
		}
	}
	if len(indexed) > 0 {
		return fl.WithHint("'%s' can be searched in: %s", l.e, fault.List(indexed))
	}
	return fl.WithHint("declare it with 'search: [%s]' in %s", f, l.e.Qualified())
}

func isPattern(op query.Op) bool {
	return op == query.Like || op == query.ILike || op == query.Match || op == query.IMatch
}

func isSearch(op query.Op) bool {
	return op == query.FTS || op == query.PlainFTS || op == query.PhraseFTS || op == query.WebFTS
}

// checkPattern refuses a bad pattern before any row is read, so that the
// answer does not depend on whether there are rows.
func checkPattern(op query.Op, text string) error {
	var err error
	switch op {
	case query.Like, query.ILike:
		_, err = value.CompileLike(text, op == query.ILike)
	case query.Match, query.IMatch:
		_, err = value.CompileRegexp(text, op == query.IMatch)
	default:
	}
	return err
}

// allowed says whether a type has an operator, as PostgreSQL's types do.
func allowed(op query.Op, t value.Type) error {
	ok := true
	switch op {
	case query.Eq, query.Neq, query.IsDistinct:
	case query.Gt, query.Gte, query.Lt, query.Lte:
		ok = !t.List
	case query.Like, query.ILike, query.Match, query.IMatch:
		ok = !t.List && (t.Kind == value.Text || t.Kind == value.Enum || t.Kind == value.File)
	case query.Contains, query.ContainedBy:
		ok = t.List || t.Kind == value.JSON
	case query.Overlaps:
		ok = t.List
	default:
		ok = false
	}
	if ok {
		return nil
	}
	return noOperator(t, opNames[op])
}

//nolint:gochecknoglobals // a constant table
var opNames = [...]string{
	query.Eq: "=", query.Neq: "<>", query.Gt: ">", query.Gte: ">=", query.Lt: "<", query.Lte: "<=",
	query.Like: "~~", query.ILike: "~~*", query.Match: "~", query.IMatch: "~*", query.Is: "IS",
	query.IsDistinct: "IS DISTINCT FROM", query.In: "IN", query.Contains: "@>", query.ContainedBy: "<@", query.Overlaps: "&&",
	query.FTS: "@@", query.PlainFTS: "@@", query.PhraseFTS: "@@", query.WebFTS: "@@",
}

func noOperator(t value.Type, op string) error {
	return fault.New(fault.UndefinedFunction, "operator does not exist: %s %s", t, op).
		WithHint("No operator matches the given name and argument type.")
}
