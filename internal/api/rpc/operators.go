package rpc

import (
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/pandobase/pando/internal/query"
	"github.com/pandobase/pando/internal/value"
)

// takes says what an operator compares with.
type takes uint8

const (
	takesValue takes = iota
	takesList
	takesWord
)

// operator is a comparison as a member of a filter. Its number never moves.
type operator struct {
	name   string
	number int
	op     query.Op
	takes  takes
	doc    string
}

// operators have the names of the REST grammar.
//
//nolint:gochecknoglobals // a constant table
var operators = [...]operator{
	{"eq", 1, query.Eq, takesValue, "Equal."},
	{"neq", 2, query.Neq, takesValue, "Not equal."},
	{"gt", 3, query.Gt, takesValue, "Greater."},
	{"gte", 4, query.Gte, takesValue, "Greater or equal."},
	{"lt", 5, query.Lt, takesValue, "Less."},
	{"lte", 6, query.Lte, takesValue, "Less or equal."},
	{"like", 7, query.Like, takesValue, "% stands for any text, _ for one character."},
	{"ilike", 8, query.ILike, takesValue, "As like, in any case."},
	{"match", 9, query.Match, takesValue, "A regular expression that fits a part of the text."},
	{"imatch", 10, query.IMatch, takesValue, "As match, in any case."},
	{"is", 11, query.Is, takesWord, "Null or not, true or false."},
	{"isdistinct", 12, query.IsDistinct, takesValue, "Not equal, null counting as a value."},
	{"in", 13, query.In, takesList, "One of these; of none, nothing is."},
	{"cs", 14, query.Contains, takesValue, "Contains."},
	{"cd", 15, query.ContainedBy, takesValue, "Is contained by."},
	{"ov", 16, query.Overlaps, takesValue, "Has an element in common with."},
	{"fts", 17, query.FTS, takesValue, "Full-text search, with & | ! and ( )."},
	{"plfts", 18, query.PlainFTS, takesValue, "Full-text search for all of the words."},
	{"phfts", 19, query.PhraseFTS, takesValue, "Full-text search for the words as a phrase."},
	{"wfts", 20, query.WebFTS, takesValue, "Full-text search as web search engines read it."},
}

// fits reports whether fields of a type have the operator, as the stores have it.
func (o *operator) fits(t value.Type) bool {
	switch o.op {
	case query.Eq, query.Neq, query.IsDistinct, query.Is:
		return true
	case query.Gt, query.Gte, query.Lt, query.Lte, query.In:
		return !t.List && t.Kind != value.JSON || o.op == query.In && !t.List
	case query.Like, query.ILike, query.Match, query.IMatch:
		return !t.List && (t.Kind == value.Text || t.Kind == value.Enum || t.Kind == value.File)
	case query.Contains, query.ContainedBy:
		return t.List || t.Kind == value.JSON
	case query.Overlaps:
		return t.List
	case query.FTS, query.PlainFTS, query.PhraseFTS, query.WebFTS:
		return !t.List && t.Kind == value.Text
	}
	return false
}

// pattern reports whether the operator compares an enum with text.
func (o *operator) pattern() bool {
	return o.op == query.Like || o.op == query.ILike || o.op == query.Match || o.op == query.IMatch
}

// filters are the messages of package pando.filter.v1: what a member of a type can
// be compared with. They are the same for every application and version.
type filters struct {
	file  *file
	is    *enum
	lists map[value.Kind]*message
	ofs   map[value.Kind]*message
	many  map[value.Kind]*message // of fields that are lists
}

const filterPackage = "pando.filter.v1"

// isWords are the words of the operator is, by number.
//
//nolint:gochecknoglobals // a constant table
var isWords = [...]string{"", "null", "not_null", "true", "false", "unknown"}

func newFilters() *filters {
	fs := &filters{
		file:  &file{path: "pando/filter/v1/filter.proto", pkg: filterPackage, doc: "What the fields of a row can be compared with. Of several comparisons all have to hold."},
		lists: map[value.Kind]*message{}, ofs: map[value.Kind]*message{}, many: map[value.Kind]*message{},
	}
	numbers := map[string]int{}
	for i, word := range isWords {
		if word != "" {
			numbers[word] = i
		}
	}
	fs.is = newEnum(scope{}, fs.file, "Is", filterPackage+".Is", isWords[1:], numbers)
	fs.file.enums = []*enum{fs.is}
	for k := value.Text; k <= value.File; k++ {
		if k == value.Enum {
			continue
		}
		name := pascal(k.String())
		fs.lists[k] = fs.list(fs.file.message(name+"List", "A list."), &field{typ: value.Type{Kind: k}})
		fs.ofs[k] = fs.fill(fs.file.message(name+"Filter", "Comparisons of "+k.String()+"."), value.Type{Kind: k}, nil, fs.lists[k])
		fs.many[k] = fs.fill(fs.file.message(name+"ListFilter", "Comparisons of lists of "+k.String()+"."), value.Type{Kind: k, List: true}, nil, fs.lists[k])
	}
	return fs
}

// list makes a message a list of values: its presence tells the empty one from
// none.
func (fs *filters) list(m *message, of *field) *message {
	of.name, of.json, of.number, of.list = "values", "values", 1, true
	m.add(of)
	return m
}

// fill gives a message the operators that a type has. values is the message of a
// list of them.
func (fs *filters) fill(m *message, t value.Type, words *enum, values *message) *message {
	for i := range operators {
		o := &operators[i]
		if !o.fits(t) {
			continue
		}
		f := &field{name: o.name, json: o.name, number: protowire.Number(o.number), doc: o.doc, typ: value.Type{Kind: t.Kind}, enum: words}
		switch {
		case o.takes == takesWord:
			f.typ, f.enum = value.Type{Kind: value.Enum}, fs.is
		case o.takes == takesList || t.List:
			f.message, f.typ, f.enum = values, value.Type{}, nil
		case o.pattern():
			f.typ, f.enum = value.Type{Kind: value.Text}, nil
		}
		m.add(f)
	}
	return m
}

// of is the message that fields of a type are compared by.
func (fs *filters) of(t value.Type) *message {
	if t.List {
		return fs.many[t.Kind]
	}
	return fs.ofs[t.Kind]
}
