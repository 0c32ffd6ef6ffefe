// Package query is the one meaning that every door compiles to: reads and
// writes as plain values, by the names of the model, with no SQL and no HTTP.
//
// A query says what is asked for; it is neither resolved against a model nor
// authorised. The engine does both. Literals are kept apart from structure, so
// that two queries which differ only in their values have the same [Shape] and
// share one plan.
package query

// Target names an entity as a door received it. Module may be empty.
type Target struct {
	Module string
	Entity string
}

// Read asks for rows of one entity.
type Read struct {
	Target Target
	Node   Node
	Count  Count
	Cursor string // opaque keyset position; empty: the first page
	Format Format
	// Edges asks whether rows follow the page, and for the [RowCursor]s of its
	// first row and its last.
	Edges bool
	// Unbounded lifts the row limit of the application: exports and streams.
	Unbounded bool
}

// Node is one level of a read: the root or an embedded relation.
type Node struct {
	Select []Item // empty: every visible field
	Where  Expr   // nil: every row
	Order  []Order
	Page   Page

	// Connection, not empty, answers one object of these members in place of an
	// array of rows. Select says nothing then.
	Connection []Member
	// After and Before bound the page to the rows that follow, or precede, a
	// place in the order.
	After, Before *Keys
}

// Page bounds a level. The zero value bounds nothing.
type Page struct {
	Limit  *int64
	Offset int64
	Last   bool // both count from the end; only within a connection
}

// Format is the encoding of the rows.
type Format uint8

// The formats.
const (
	JSON   Format = iota // [{...},{...}]
	NDJSON               // one object and a newline per row
	CSV                  // RFC 4180 with a header line
)

// Count says whether the total number of matching rows is wanted, and how
// exact it has to be.
type Count uint8

// The ways to count.
const (
	CountNone Count = iota
	CountExact
	CountPlanned
	CountEstimated
)

// Item is one member of a select list: [Star], [Column], [Embed], [Object],
// [Fixed] or [RowCursor].
type Item interface{ item() }

// Star is every visible field.
type Star struct{}

// Seen are of some fields those that the caller sees: what a star is where not
// every field, or not by its own name, is meant.
type Seen struct{ Fields []Renamed }

// Renamed is a field and what it is called in the answer.
type Renamed struct{ Field, Name string }

// Column is a field, a part of a JSON field, or an aggregate of one.
type Column struct {
	Path      Path // empty Field: count() of rows
	Alias     string
	Cast      string // applied before the aggregate
	Aggregate Aggregate
	AggCast   string // applied after the aggregate
}

// Aggregate is a function over the rows of a group.
type Aggregate uint8

// The aggregates.
const (
	NoAggregate Aggregate = iota
	CountRows
	Sum
	Avg
	Min
	Max
)

// Embed is a relation's rows inside their row.
type Embed struct {
	Relation string // a relation's name, or the other entity's
	Hint     string // which of several: a relation, a field or an entity between
	Alias    string
	Join     Join
	Spread   bool // the members stand in the outer object
	Node     Node
}

// Name is what the embed is called in the answer and in filters.
func (e *Embed) Name() string {
	if e.Alias != "" {
		return e.Alias
	}
	return e.Relation
}

// Join says whether a row without a partner is kept.
type Join uint8

// The joins.
const (
	Left Join = iota
	Inner
)

func (Star) item()    {}
func (*Seen) item()   {}
func (*Column) item() {}
func (*Embed) item()  {}

// Path is a field, or a place inside a JSON field.
type Path struct {
	Field string
	Steps []Step
}

// Step goes into a JSON value, by key or by index.
type Step struct {
	Key   string
	Index int64
	ByKey bool
	Text  bool // ->>: as text; only the last step of a path
}

// Order is one term of an order.
type Order struct {
	Relation string // of a to-one relation that is embedded; empty: this entity
	Path     Path
	Desc     bool
	Nulls    Nulls
}

// Nulls says where nulls stand in an order.
type Nulls uint8

// NullsDefault is PostgreSQL's: last when ascending, first when descending.
const (
	NullsDefault Nulls = iota
	NullsFirst
	NullsLast
)

// Expr is a condition: [And], [Or], [Not], [Compare], [Const], [Related] or
// [Exists].
type Expr interface{ expr() }

// And holds when all its arguments do.
type And struct{ Args []Expr }

// Or holds when one of its arguments does.
type Or struct{ Args []Expr }

// Not holds when its argument does not; unknown stays unknown.
type Not struct{ Arg Expr }

// Const is always true or always false.
type Const struct{ Value bool }

// Compare relates two operands.
type Compare struct {
	Left  Operand
	Op    Op
	Quant Quant // with Op Eq..IMatch: Right is a List, any or all of it
	Right Operand
}

// Exists holds when one of a relation's rows meets a condition (policies
// only). It is the or of the condition over the rows: unknown when no row
// meets it and it is unknown for one of them.
type Exists struct {
	// Via leads over to-one relations to the row that has the relation.
	Via      []string
	Up       int  // as in [FieldRef]: of the row where Via begins
	Old      bool // as in [FieldRef]
	Relation string
	Where    Expr // about the relation's row; nil: any row
}

func (*And) expr()     {}
func (*Or) expr()      {}
func (*Not) expr()     {}
func (*Const) expr()   {}
func (*Compare) expr() {}
func (*Exists) expr()  {}

// Op is a comparison.
type Op uint8

// The comparisons. The names are the REST grammar's.
const (
	Eq Op = iota
	Neq
	Gt
	Gte
	Lt
	Lte
	Like       // % any run, _ one character, \ escapes; the door turns * into %
	ILike      // the same, Unicode-folded
	Match      // RE2
	IMatch     // RE2, case-insensitive
	Is         // null, not_null, true, false, unknown: Right is a Word
	IsDistinct // unequal, null counting as a value
	In         // Right is a List
	Contains   // cs
	ContainedBy
	Overlaps
	FTS // to_tsquery's grammar
	PlainFTS
	PhraseFTS
	WebFTS
)

// Quant turns a comparison with one value into one with several.
type Quant uint8

// The quantifiers.
const (
	NoQuant Quant = iota
	Any
	All
)

// Operand is a side of a comparison: [*FieldRef], [*Literal], [*List],
// [*Word] or [*Call].
type Operand interface{ operand() }

// FieldRef is a field of the row that is judged. For Op Is it may also name an
// embedded relation: is.null then means "has no partner".
type FieldRef struct {
	Path Path
	// Via leads over to-one relations to another entity (policies only).
	Via []string
	// Up counts the [Exists] between the field and the row that it is of: 0
	// is the innermost one's row (policies only).
	Up int
	// Old: the field of the row as it was before the write (RuleCheck only).
	Old bool
	// Embedded: an embedded relation is named, whatever field is called so.
	Embedded bool
}

// Literal is one value as text, read by the type of the other side.
type Literal struct{ Text string }

// List is several values as text.
type List struct{ Texts []string }

// Word is a keyword of Op Is: null, not_null, true, false or unknown. It is
// part of the shape.
type Word struct{ Word string }

// Call is a function of operands (checks and policies only).
type Call struct {
	Func Func
	Args []Operand
	// Lenient arithmetic that leaves the type's range is null, where it is a
	// fault otherwise: one row must not keep a rule from judging the others.
	Lenient bool
}

// Func is a function that both stores answer alike.
type Func uint8

// The functions.
const (
	Length     Func = iota // characters of a text, elements of a list, bytes of bytes
	StartsWith             // text, text: a bool
	EndsWith
	HasSubstring
	Add // int and int, decimal and decimal of one scale, float and float
	Sub
	Mul // of two decimals: the scales add up
	Neg
)

func (*FieldRef) operand() {}
func (*Literal) operand()  {}
func (*List) operand()     {}
func (*Word) operand()     {}
func (*Call) operand()     {}
