package query

// Member is one member of the object that a [Node.Connection] answers in place
// of an array of rows: the page's rows, and what is told about them and about
// all rows that meet the conditions.
type Member struct {
	Name    string
	Kind    MemberKind
	Items   []Item   // MemberRows, MemberGroups, MemberTotals
	Members []Member // MemberObject
	Text    string   // MemberFixed
}

// MemberKind says what a member is.
type MemberKind uint8

// The kinds of member. All but the rows and the cursors are about all rows that
// meet the conditions, whatever the page; of a page that counts from the end
// ([Page.Last]) next and previous are still those of the order.
const (
	MemberRows        MemberKind = iota // the rows of the page, an array of objects
	MemberGroups                        // groups of all rows: what Items selects beside its aggregates
	MemberTotals                        // one object of Items, which are aggregates of all rows
	MemberCount                         // the number of all rows
	MemberNext                          // whether rows follow the page
	MemberPrevious                      // whether rows precede the page
	MemberFirstCursor                   // the [RowCursor] of the page's first row, or null
	MemberLastCursor                    // and of its last
	MemberObject                        // an object of Members
	MemberFixed                         // Text
)

// Object puts members of a row into an object of their own.
type Object struct {
	Alias string
	Items []Item
}

// Fixed is a text that every row has.
type Fixed struct {
	Alias string
	Text  string
}

// RowCursor is the row's place in the order of its level, as a text that
// [OpenRowCursor] reads.
type RowCursor struct{ Alias string }

func (*Object) item()    {}
func (*Fixed) item()     {}
func (*RowCursor) item() {}

// Related holds when the row has a partner in a relation that the caller may
// read and that meets a condition.
type Related struct {
	Relation string
	Hint     string // as in [Embed]
	Where    Expr   // nil: any partner
}

func (*Related) expr() {}
