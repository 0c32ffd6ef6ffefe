package fault

import (
	"fmt"
	"slices"
	"strings"
)

// text is what a public text was made of.
type text struct {
	format string
	args   []any
}

func (t text) String() string { return fmt.Sprintf(t.format, t.args...) }

// Names are things that a text tells of, one after the other. Those that somebody
// is not told of are left out.
type Names struct {
	Of    []any // things, and texts
	Sep   string
	whole bool
}

// List are things, for a text that enumerates them.
func List[T any](things []T) Names {
	n := Names{Of: make([]any, len(things)), Sep: ", "}
	for i, t := range things {
		n.Of[i] = t
	}
	return n
}

// Joined is a name that is made of others: orders_customer_id_fkey. Who is not told
// of one of them is not told of it.
func Joined(sep string, parts ...any) Names { return Names{Of: parts, Sep: sep, whole: true} }

// String joins the names.
func (n Names) String() string {
	parts := make([]string, len(n.Of))
	for i, p := range n.Of {
		parts[i] = fmt.Sprint(p)
	}
	return strings.Join(parts, n.Sep)
}

// renamed are the names that are told; false: there are none.
func (n Names) renamed(name func(any) (any, bool)) (any, bool) {
	out := Names{Sep: n.Sep}
	for _, p := range n.Of {
		if told, ok := rename(p, name); ok {
			out.Of = append(out.Of, told)
		} else if n.whole {
			return nil, false
		}
	}
	return out, len(out.Of) > 0 || len(n.Of) == 0
}

func rename(arg any, name func(any) (any, bool)) (any, bool) {
	if names, ok := arg.(Names); ok {
		return names.renamed(name)
	}
	return name(arg)
}

// Renamed returns e as somebody hears it who has other names for things: a client
// of an older version of the API. name is asked for each thing that the texts were
// made with, and returns what stands for it; false: it is not told of. Details and
// hints that cannot be told without it are left out, and the message becomes the
// code's title. A text that was changed since it was made stays as it is.
func (e *Error) Renamed(name func(any) (any, bool)) *Error {
	told := *e
	told.Message = e.message.renamed(e.Message, e.Code.Title(), name)
	told.Details = e.details.renamed(e.Details, "", name)
	told.Hint = e.hint.renamed(e.Hint, "", name)
	told.message, told.details, told.hint = text{}, text{}, text{}
	return &told
}

func (t text) renamed(now, otherwise string, name func(any) (any, bool)) string {
	if len(t.args) == 0 || t.String() != now {
		return now
	}
	args := slices.Clone(t.args)
	for i, a := range args {
		var ok bool
		if args[i], ok = rename(a, name); !ok {
			return otherwise
		}
	}
	return fmt.Sprintf(t.format, args...)
}
