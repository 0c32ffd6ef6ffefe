package query

import "strconv"

// Shape appends to key a text that is equal for two reads exactly when one
// plan serves both, and appends their literals to args in the order in which a
// planner meets them. Page sizes are literals; whether there is a limit, and
// whether an offset, is structure.
func (r *Read) Shape(key []byte, args []Arg) ([]byte, []Arg) {
	s := shaper{key: key, args: args}
	s.name(r.Target.Module)
	s.name(r.Target.Entity)
	s.node(&r.Node)
	s.flag(r.Edges)
	s.byte('0' + byte(r.Count))
	s.byte('0' + byte(r.Format))
	return s.key, s.args
}

// Rows is the part of a read's shape that says which rows it answers and in
// which order, without how they are counted and encoded.
func Rows(shape []byte) []byte { return shape[:len(shape)-2] }

// Shape does the same for a write. Rows are not part of it: their columns are.
func (w *Write) Shape(key []byte, args []Arg) ([]byte, []Arg) {
	s := shaper{key: key, args: args}
	s.name(w.Target.Module)
	s.name(w.Target.Entity)
	s.write(w)
	return s.key, s.args
}

func (s *shaper) write(w *Write) {
	s.byte('A' + byte(w.Action))
	s.byte('0' + byte(w.Conflict.Resolution))
	for _, f := range w.Conflict.Fields {
		s.name(f)
	}
	s.byte('(')
	for i, c := range w.Columns {
		s.name(c)
		if w.Action == Update && w.Rows[0][i].Kind == Absent {
			s.byte('-')
		}
	}
	s.byte(')')
	s.flag(w.All)
	s.expr(w.Where)
	s.order(w.Order)
	s.page(&w.Page)
	s.byte('0' + byte(w.Format))
	if w.Returning != nil {
		s.byte('R')
		s.node(w.Returning)
	}
	if w.Embedded != nil {
		s.byte('E')
		s.node(w.Embedded)
	}
}

// Arg is the value of one [Literal] (Text), one [List] (List), or a page's
// limit or offset (Number), in the order of the shape.
type Arg struct {
	Text   string
	List   []string
	Number int64
}

// Slots tells where in the args of [Read.Shape] or [Write.Shape] the value of
// a literal stands: by *Literal, *List, [LimitOf], [OffsetOf] and [KeyOf]. It has
// an entry for each arg: what follows the args of a shape begins at its length.
type Slots map[any]int

// LimitOf is the Slots key of a page's limit.
type LimitOf struct{ Page *Page }

// OffsetOf is the Slots key of a page's offset.
type OffsetOf struct{ Page *Page }

// KeyOf is the Slots key of the i-th key of a place; they stand side by side.
type KeyOf struct {
	Keys *Keys
	I    int
}

// Slots returns the places of the read's literals.
func (r *Read) Slots() Slots {
	s := shaper{slots: Slots{}}
	s.node(&r.Node)
	return s.slots
}

// Slots returns the places of the write's literals.
func (w *Write) Slots() Slots {
	s := shaper{slots: Slots{}}
	s.write(w)
	return s.slots
}

// Literals appends the literals of one expression, in the order in which
// [ExprSlots] counts them.
func Literals(e Expr, args []Arg) []Arg {
	s := shaper{args: args}
	s.expr(e)
	return s.args
}

// ExprSlots adds the places of an expression's literals, the first being from.
func ExprSlots(e Expr, into Slots, from int) {
	s := shaper{slots: into, args: make([]Arg, from)}
	s.expr(e)
}

type shaper struct {
	key   []byte
	args  []Arg
	slots Slots // nil: not wanted
}

func (s *shaper) byte(b byte) { s.key = append(s.key, b) }

func (s *shaper) flag(b bool) {
	if b {
		s.byte('+')
	} else {
		s.byte('-')
	}
}

// name writes a name so that no other sequence of names reads the same.
func (s *shaper) name(n string) {
	s.key = strconv.AppendInt(s.key, int64(len(n)), 10)
	s.key = append(s.key, ':')
	s.key = append(s.key, n...)
}

func (s *shaper) node(n *Node) {
	s.byte('{')
	s.items(n.Select)
	for i := range n.Connection {
		s.member(&n.Connection[i])
	}
	s.byte('|')
	s.expr(n.Where)
	s.order(n.Order)
	s.page(&n.Page)
	s.keys('A', n.After)
	s.keys('B', n.Before)
	s.byte('}')
}

func (s *shaper) member(m *Member) {
	s.byte('M')
	s.byte('a' + byte(m.Kind))
	s.name(m.Name)
	s.name(m.Text)
	s.byte('(')
	s.items(m.Items)
	for i := range m.Members {
		s.member(&m.Members[i])
	}
	s.byte(')')
}

// keys writes a place in the order. Which of its keys are null is structure.
func (s *shaper) keys(tag byte, k *Keys) {
	if k == nil {
		return
	}
	s.byte(tag)
	for i, key := range k.JSON {
		s.flag(k.null(i))
		if s.slots != nil {
			s.slots[KeyOf{k, i}] = len(s.args)
		}
		s.args = append(s.args, Arg{Text: key})
	}
	s.byte(';')
}

func (s *shaper) items(items []Item) {
	for _, it := range items {
		switch it := it.(type) {
		case Star:
			s.byte('*')
		case *Seen:
			s.byte('v')
			for _, f := range it.Fields {
				s.name(f.Field)
				s.name(f.Name)
			}
			s.byte(';')
		case *Column:
			s.byte('c')
			s.path(it.Path)
			s.name(it.Alias)
			s.name(it.Cast)
			s.byte('0' + byte(it.Aggregate))
			s.name(it.AggCast)
		case *Embed:
			s.byte('e')
			s.name(it.Relation)
			s.name(it.Hint)
			s.name(it.Alias)
			s.byte('0' + byte(it.Join))
			s.flag(it.Spread)
			s.node(&it.Node)
		case *Object:
			s.byte('b')
			s.name(it.Alias)
			s.byte('(')
			s.items(it.Items)
			s.byte(')')
		case *Fixed:
			s.byte('t')
			s.name(it.Alias)
			s.name(it.Text)
		case *RowCursor:
			s.byte('r')
			s.name(it.Alias)
		}
	}
}

func (s *shaper) path(p Path) {
	s.name(p.Field)
	for _, st := range p.Steps {
		if st.ByKey {
			s.byte('k')
			s.name(st.Key)
		} else {
			s.byte('i')
			s.key = strconv.AppendInt(s.key, st.Index, 10)
		}
		s.flag(st.Text)
	}
	s.byte(';')
}

func (s *shaper) order(os []Order) {
	for _, o := range os {
		s.byte('o')
		s.name(o.Relation)
		s.path(o.Path)
		s.flag(o.Desc)
		s.byte('0' + byte(o.Nulls))
	}
}

func (s *shaper) page(p *Page) {
	if p.Limit != nil {
		s.byte('L')
		if s.slots != nil {
			s.slots[LimitOf{p}] = len(s.args)
		}
		s.args = append(s.args, Arg{Number: *p.Limit})
	}
	if p.Offset != 0 {
		s.byte('O')
		if s.slots != nil {
			s.slots[OffsetOf{p}] = len(s.args)
		}
		s.args = append(s.args, Arg{Number: p.Offset})
	}
	if p.Last {
		s.byte('l')
	}
}

func (s *shaper) exprs(tag byte, args []Expr) {
	s.byte(tag)
	for _, a := range args {
		s.expr(a)
	}
	s.byte(')')
}

func (s *shaper) expr(e Expr) {
	switch e := e.(type) {
	case nil:
		s.byte('_')
	case *And:
		s.exprs('&', e.Args)
	case *Or:
		s.exprs('/', e.Args)
	case *Not:
		s.byte('!')
		s.expr(e.Arg)
	case *Const:
		s.flag(e.Value)
	case *Exists:
		s.byte('x')
		s.ref(e.Via, e.Up, e.Old)
		s.name(e.Relation)
		s.expr(e.Where)
	case *Related:
		s.byte('p')
		s.name(e.Relation)
		s.name(e.Hint)
		s.expr(e.Where)
	case *Compare:
		s.byte('=')
		s.byte('a' + byte(e.Op))
		s.byte('0' + byte(e.Quant))
		s.operand(e.Left)
		s.operand(e.Right)
	}
}

// ref writes where a field or a relation is found.
func (s *shaper) ref(via []string, up int, old bool) {
	if up > 0 || old {
		s.byte('u')
		s.byte('0' + byte(up))
		s.flag(old)
	}
	for _, v := range via {
		s.name(v)
	}
}

func (s *shaper) operand(o Operand) {
	switch o := o.(type) {
	case *FieldRef:
		if o.Embedded {
			s.byte('m')
			s.name(o.Path.Field)
			return
		}
		s.byte('f')
		s.ref(o.Via, o.Up, o.Old)
		s.path(o.Path)
	case *Literal:
		s.byte('?')
		if s.slots != nil {
			s.slots[o] = len(s.args)
		}
		s.args = append(s.args, Arg{Text: o.Text})
	case *List:
		s.byte('l')
		if s.slots != nil {
			s.slots[o] = len(s.args)
		}
		s.args = append(s.args, Arg{List: o.Texts})
	case *Word:
		s.byte('w')
		s.name(o.Word)
	case *Call:
		s.byte('(')
		s.byte('a' + byte(o.Func))
		s.flag(o.Lenient)
		for _, a := range o.Args {
			s.operand(a)
		}
		s.byte(')')
	}
}
