package policy

import (
	"maps"
	"strconv"
	"sync"
	"sync/atomic"

	"github.com/pandobase/pando/internal/model"
	"github.com/pandobase/pando/internal/query"
	"github.com/pandobase/pando/internal/value"
)

// template is a rule in which what depends on the caller is left open. For a
// caller it folds to a residual: a condition about rows, in which a literal
// stands for each value of the caller that is left. Callers for whom the same
// terms hold share a residual.
//
// A condition of the caller alone is a placeholder in expr, a [query.Compare]
// that nothing else is. A value of the caller is a literal whose text is
// [hole] and an index, which no text of a type can be.
type template struct {
	entity *model.Entity
	source *model.Expression
	expr   query.Expr
	event  bool // it judges a write of a row, which is at hand as it was and as it is
	truths []truthTerm
	values []valueTerm
	conds  map[*query.Compare]int // placeholder -> index of truths

	known atomic.Pointer[map[string]*residual] // by state; replaced, never changed
	mu    sync.Mutex                           // held to replace known
	byKey map[string]*residual                 // by shape; under mu until known is full
}

// truthTerm is a condition about the caller alone.
type truthTerm struct {
	source string
	eval   truthFunc
	parts  []truthTerm // what it joins, for explanations; nil: it joins nothing
}

// valueTerm is a value of the caller beside something of the row.
type valueTerm struct {
	source string
	typ    value.Type
	use    valueUse
	eval   valueFunc
}

// valueUse says how a value of the caller stands in the condition.
type valueUse uint8

const (
	useSingle  valueUse = iota
	useList             // a [query.List], the right side of in
	useElement          // a list of one: the literal of contains
)

// hole marks a literal whose value is the caller's.
const hole = "\x00"

func holeOf(text string) (int, bool) {
	if len(text) < 2 || text[0] != hole[0] {
		return 0, false
	}
	n, err := strconv.Atoi(text[1:])
	return n, err == nil
}

// bound is one value term for one caller.
type bound struct {
	state byte
	v     value.Value
	list  []value.Value // useList
}

// The states of terms, which together say what a rule folds to.
const (
	stateTrue    = 'T'
	stateFalse   = 'F'
	stateUnknown = 'U'
	stateKnown   = 'k'
	stateNulls   = 'n' // a list with elements that compare with nothing
)

// bind evaluates the terms for a caller: the state of all of them is appended
// to key, the values to vs.
func (t *template) bind(s *subject, key []byte, vs []bound) ([]byte, []bound) {
	for i := range t.truths {
		switch t.truths[i].eval(s) {
		case True:
			key = append(key, stateTrue)
		case False:
			key = append(key, stateFalse)
		case Unknown:
			key = append(key, stateUnknown)
		}
	}
	for i := range t.values {
		b := t.values[i].bind(s)
		key = append(key, b.state)
		vs = append(vs, b)
	}
	return key, vs
}

func (t *valueTerm) bind(s *subject) bound {
	g, ok := t.eval(s)
	if !ok {
		return bound{state: stateUnknown}
	}
	if t.use == useList {
		vs, nulls, ok := g.elements(t.typ)
		switch {
		case !ok:
			return bound{state: stateUnknown}
		case nulls:
			return bound{state: stateNulls, list: vs}
		}
		return bound{state: stateKnown, list: vs}
	}
	v, ok := g.convert(t.typ)
	if !ok {
		return bound{state: stateUnknown}
	}
	return bound{state: stateKnown, v: v}
}

// text is the value as a literal's text.
func (t *valueTerm) text(b *bound) string {
	switch {
	case t.use == useElement:
		return string(append(t.typ.AppendJSON([]byte{'['}, b.v), ']'))
	case b.v.Tag == value.TagText && !t.typ.List:
		return b.v.Str
	}
	return string(t.typ.AppendText(nil, b.v))
}

func (t *valueTerm) texts(b *bound) []string {
	out := make([]string, len(b.list))
	for i, v := range b.list {
		out[i] = string(t.typ.AppendText(nil, v))
	}
	return out
}

// maxResiduals bounds what a rule keeps. What callers make of a rule beyond
// that is folded for each request.
const maxResiduals = 256

// residual is what a rule is for callers in one state. Everything in it is
// shared and never changed.
type residual struct {
	template *template
	expr     query.Expr // with holes; nil: always true
	args     []query.Arg
	holes    []int  // by arg: the index of the value that it is; -1: it is as it stands
	open     bool   // there are holes
	sig      []byte // equal for residuals of one shape; no signature is the start of another
	truth    Truth  // of a residual that asks for no row; else Unknown

	once    sync.Once
	matcher *Matcher // nil: one row does not tell
	err     error
}

// fold finds or makes the residual of a state.
func (t *template) fold(state []byte) *residual {
	if known := t.known.Load(); known != nil {
		if r, ok := (*known)[string(state)]; ok {
			return r
		}
	}
	r := t.residual(state)
	t.mu.Lock()
	defer t.mu.Unlock()
	known := t.known.Load()
	if known != nil {
		if r, ok := (*known)[string(state)]; ok {
			return r
		}
	}
	t.sign(r, known == nil || len(*known) < maxResiduals)
	if known != nil && len(*known) >= maxResiduals {
		return r
	}
	next := make(map[string]*residual, 1)
	if known != nil {
		maps.Copy(next, *known)
	}
	next[string(state)] = r
	t.known.Store(&next)
	return r
}

// sign gives r the signature of the residuals of its shape: a short one while
// the rule has room, else the shape itself. The table is full for good when it
// is full, so a shape never changes its signature.
func (t *template) sign(r *residual, room bool) {
	switch r.truth {
	case True:
		r.sig = []byte{sigTrue}
		return
	case False:
		r.sig = []byte{sigFalse}
		return
	case Unknown:
	}
	shape, _ := (&query.Read{Node: query.Node{Where: r.expr}}).Shape(nil, nil)
	if same, ok := t.byKey[string(shape)]; ok {
		r.sig = same.sig
		return
	}
	if !room {
		r.sig = append([]byte{sigShape}, strconv.Itoa(len(shape))...)
		r.sig = append(append(r.sig, ':'), shape...)
		return
	}
	if t.byKey == nil {
		t.byKey = map[string]*residual{}
	}
	r.sig = append([]byte{sigNumber}, strconv.Itoa(len(t.byKey))...)
	r.sig = append(r.sig, ';')
	t.byKey[string(shape)] = r
}

// How a signature begins.
const (
	sigTrue   = 't'
	sigFalse  = 'f'
	sigFault  = 'n'
	sigNumber = 'r' // the number of a residual, and a semicolon
	sigShape  = 'x' // the length of a shape, a colon, and the shape
)

// residual folds the template.
func (t *template) residual(state []byte) *residual {
	r := &residual{template: t}
	r.expr = (&folding{t: t, state: state}).expr(t.expr, true)
	if c, ok := r.expr.(*query.Const); ok {
		if r.truth = truth(c.Value); c.Value {
			r.expr = nil
		}
		return r
	}
	r.args = query.Literals(r.expr, nil)
	r.holes = make([]int, len(r.args))
	for i, a := range r.args {
		r.holes[i] = -1
		if hole, ok := holeIn(a); ok {
			r.holes[i], r.open = hole, true
		}
	}
	return r
}

// folding puts what is known of the caller into a template.
type folding struct {
	t     *template
	state []byte
}

// expr folds x, which stands under an even number of negations (positive) or
// an odd one. A rule accepts when it is true. Unknown is as good as false under
// an even number of negations, and as good as true under an odd one, since &&,
// || and exists() only grow with what they are made of, and ! turns that round.
// So what is unknown of the caller folds to a constant, and no store has to
// know a third one.
func (f *folding) expr(x query.Expr, positive bool) query.Expr {
	switch x := x.(type) {
	case *query.And:
		return and(f.exprs(x.Args, positive)...)
	case *query.Or:
		return or(f.exprs(x.Args, positive)...)
	case *query.Not:
		return not(f.expr(x.Arg, !positive))
	case *query.Exists:
		return f.exists(x, positive)
	case *query.Compare:
		return f.compare(x, positive)
	}
	return x
}

func (f *folding) exprs(args []query.Expr, positive bool) []query.Expr {
	out := make([]query.Expr, len(args))
	for i, a := range args {
		out[i] = f.expr(a, positive)
	}
	return out
}

func (f *folding) exists(x *query.Exists, positive bool) query.Expr {
	if x.Where == nil {
		return x
	}
	where := f.expr(x.Where, positive)
	if c, ok := where.(*query.Const); ok {
		if !c.Value {
			return c
		}
		where = nil
	}
	if where == x.Where {
		return x
	}
	y := *x
	y.Where = where
	return &y
}

func (f *folding) compare(x *query.Compare, positive bool) query.Expr {
	if i, ok := f.t.conds[x]; ok {
		switch f.state[i] {
		case stateTrue:
			return &query.Const{Value: true}
		case stateFalse:
			return &query.Const{}
		}
		return &query.Const{Value: !positive}
	}
	states := f.operand(x.Left) | f.operand(x.Right)
	if states&hasUnknown != 0 || states&hasNulls != 0 && !positive {
		return &query.Const{Value: !positive}
	}
	return x
}

// What is missing of the caller's values in an operand.
const (
	hasUnknown = 1 << iota
	hasNulls   // in a list without the nulls is true or unknown where it was
)

func (f *folding) operand(o query.Operand) int {
	text := ""
	switch o := o.(type) {
	case *query.Literal:
		text = o.Text
	case *query.List:
		if len(o.Texts) == 1 {
			text = o.Texts[0]
		}
	case *query.Call:
		states := 0
		for _, a := range o.Args {
			states |= f.operand(a)
		}
		return states
	}
	i, ok := holeOf(text)
	if !ok {
		return 0
	}
	switch f.state[len(f.t.truths)+i] {
	case stateUnknown:
		return hasUnknown
	case stateNulls:
		return hasNulls
	}
	return 0
}

// fill is the residual's condition with the caller's values.
func (r *residual) fill(vs []bound) query.Expr {
	if !r.open {
		return r.expr
	}
	return (&filling{t: r.template, vs: vs}).expr(r.expr)
}

type filling struct {
	t  *template
	vs []bound
}

func (f *filling) expr(x query.Expr) query.Expr {
	switch x := x.(type) {
	case *query.And:
		return &query.And{Args: f.exprs(x.Args)}
	case *query.Or:
		return &query.Or{Args: f.exprs(x.Args)}
	case *query.Not:
		return &query.Not{Arg: f.expr(x.Arg)}
	case *query.Exists:
		y := *x
		y.Where = f.expr(x.Where)
		return &y
	case *query.Compare:
		y := *x
		y.Left, y.Right = f.operand(x.Left), f.operand(x.Right)
		return &y
	}
	return x
}

func (f *filling) exprs(args []query.Expr) []query.Expr {
	out := make([]query.Expr, len(args))
	for i, a := range args {
		out[i] = f.expr(a)
	}
	return out
}

func (f *filling) operand(o query.Operand) query.Operand {
	switch o := o.(type) {
	case *query.Literal:
		if i, ok := holeOf(o.Text); ok {
			return &query.Literal{Text: f.t.values[i].text(&f.vs[i])}
		}
	case *query.List:
		if len(o.Texts) == 1 {
			if i, ok := holeOf(o.Texts[0]); ok {
				return &query.List{Texts: f.t.values[i].texts(&f.vs[i])}
			}
		}
	case *query.Call:
		args := make([]query.Operand, len(o.Args))
		for i, a := range o.Args {
			args[i] = f.operand(a)
		}
		return &query.Call{Func: o.Func, Args: args, Lenient: o.Lenient}
	}
	return o
}

// appendArgs appends the values of the residual's literals.
func (r *residual) appendArgs(dst []query.Arg, vs []bound) []query.Arg {
	for n, a := range r.args {
		if i := r.holes[n]; i >= 0 {
			if t := &r.template.values[i]; t.use == useList {
				a = query.Arg{List: t.texts(&vs[i])}
			} else {
				a = query.Arg{Text: t.text(&vs[i])}
			}
		}
		dst = append(dst, a)
	}
	return dst
}

func holeIn(a query.Arg) (int, bool) {
	if len(a.List) == 1 {
		return holeOf(a.List[0])
	}
	return holeOf(a.Text)
}
