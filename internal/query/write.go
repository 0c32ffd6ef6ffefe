package query

// Action is what is done to rows.
type Action uint8

// The actions.
const (
	ReadRows Action = iota
	Create
	Update
	Delete
)

// Write changes rows of one entity, all or none.
type Write struct {
	Action Action
	Target Target

	// Create: Rows[i][j] belongs to Columns[j]. Update: exactly one row of
	// Rows says what is set. Delete: neither.
	Columns []string
	Rows    [][]Cell

	Conflict Conflict // Create only

	// Update and Delete: which rows. A nil Where without All is refused.
	Where Expr
	Order []Order
	Page  Page
	All   bool

	Returning *Node // nil: no rows are answered
	Format    Format
	Count     Count

	MaxAffected *int64 // more rows than this: nothing is done
	Singular    bool   // other than exactly one affected row: nothing is done (PGRST116)

	// Embedded is the Node whose embeds Where's relation names refer to when
	// Returning is nil. It selects; it does not answer.
	Embedded *Node

	// IfMatch, when set, must be the entity tag of the one row that is changed:
	// that of a read of Tagged, or, where that is nil, of every visible field.
	IfMatch []string
	Tagged  []Item
}

// Conflict says what a create does with rows whose key exists already.
type Conflict struct {
	Resolution Resolution
	Fields     []string // the unique key; empty: the primary key
}

// Resolution is the way a conflict is resolved.
type Resolution uint8

// The resolutions.
const (
	Fail   Resolution = iota // 23505
	Merge                    // the given columns replace the stored ones
	Ignore                   // the stored row stays and is not answered
)

// CellKind says how an input value is written.
type CellKind uint8

// The kinds of input.
const (
	Absent   CellKind = iota // the field's default, or null with missing=null
	FromJSON                 // Raw is one JSON value
	FromText                 // Raw is its text form
	NullCell                 // null
)

// Cell is one input value, not yet read by its type.
type Cell struct {
	Kind CellKind
	Raw  string
}
