package graphql

import (
	"github.com/vektah/gqlparser/v2/ast"

	"github.com/pandobase/pando/internal/query"
	"github.com/pandobase/pando/internal/value"
)

// operator is a comparison of a filter; the names are those of the REST door.
type operator struct {
	name  string
	op    query.Op
	quant query.Quant
	takes takes
	doc   string
}

// takes says what an operator is given.
type takes uint8

const (
	takesOne   takes = iota // a value
	takesList               // a list of values
	takesText               // a pattern
	takesTexts              // a list of patterns
	takesWord               // null, not_null, true, false, unknown
	takesField              // a list, of a field that is one
)

//nolint:gochecknoglobals // a constant table
var operators = []operator{
	{"eq", query.Eq, 0, takesOne, "Equal."},
	{"eqAny", query.Eq, query.Any, takesList, "Equal to one of them."},
	{"eqAll", query.Eq, query.All, takesList, "Equal to all of them."},
	{"neq", query.Neq, 0, takesOne, "Not equal; null is neither."},
	{"gt", query.Gt, 0, takesOne, "Greater."},
	{"gtAny", query.Gt, query.Any, takesList, "Greater than one of them."},
	{"gtAll", query.Gt, query.All, takesList, "Greater than all of them."},
	{"gte", query.Gte, 0, takesOne, "Greater or equal."},
	{"gteAny", query.Gte, query.Any, takesList, "Greater than or equal to one of them."},
	{"gteAll", query.Gte, query.All, takesList, "Greater than or equal to all of them."},
	{"lt", query.Lt, 0, takesOne, "Less."},
	{"ltAny", query.Lt, query.Any, takesList, "Less than one of them."},
	{"ltAll", query.Lt, query.All, takesList, "Less than all of them."},
	{"lte", query.Lte, 0, takesOne, "Less or equal."},
	{"lteAny", query.Lte, query.Any, takesList, "Less than or equal to one of them."},
	{"lteAll", query.Lte, query.All, takesList, "Less than or equal to all of them."},
	{"like", query.Like, 0, takesText, "Like the pattern: % is any run of characters, _ is one."},
	{"likeAny", query.Like, query.Any, takesTexts, "Like one of the patterns."},
	{"likeAll", query.Like, query.All, takesTexts, "Like all of the patterns."},
	{"ilike", query.ILike, 0, takesText, "Like the pattern, whatever the case."},
	{"ilikeAny", query.ILike, query.Any, takesTexts, "Like one of the patterns, whatever the case."},
	{"ilikeAll", query.ILike, query.All, takesTexts, "Like all of the patterns, whatever the case."},
	{"match", query.Match, 0, takesText, "Matches the regular expression (RE2)."},
	{"matchAny", query.Match, query.Any, takesTexts, "Matches one of the regular expressions."},
	{"matchAll", query.Match, query.All, takesTexts, "Matches all of the regular expressions."},
	{"imatch", query.IMatch, 0, takesText, "Matches the regular expression, whatever the case."},
	{"imatchAny", query.IMatch, query.Any, takesTexts, "Matches one of the regular expressions, whatever the case."},
	{"imatchAll", query.IMatch, query.All, takesTexts, "Matches all of the regular expressions, whatever the case."},
	{"is", query.Is, 0, takesWord, "Is null, or not; of a Boolean also true, false or unknown."},
	{"isdistinct", query.IsDistinct, 0, takesOne, "Not equal, where null counts as a value."},
	{"in", query.In, 0, takesList, "One of them."},
	{"cs", query.Contains, 0, takesField, "Contains all of it."},
	{"cd", query.ContainedBy, 0, takesField, "Is contained in it."},
	{"ov", query.Overlaps, 0, takesField, "Has an element in common."},
	{"fts", query.FTS, 0, takesText, "Holds what the search asks for: words with & | ! and <->."},
	{"plfts", query.PlainFTS, 0, takesText, "Holds all of the words."},
	{"phfts", query.PhraseFTS, 0, takesText, "Holds the words one after the other."},
	{"wfts", query.WebFTS, 0, takesText, `Holds what a search engine would find: words, "phrases", or, -without.`},
}

// has reports whether values of a type can be compared so; searched: the field
// has a search index.
func (o *operator) has(t value.Type, searched bool) bool {
	text := !t.List && (t.Kind == value.Text || t.Kind == value.Enum || t.Kind == value.File)
	switch o.op {
	case query.Gt, query.Gte, query.Lt, query.Lte:
		return !t.List && t.Kind != value.JSON
	case query.Like, query.ILike, query.Match, query.IMatch:
		return text
	case query.In:
		return !t.List
	case query.Contains, query.ContainedBy:
		return t.List || t.Kind == value.JSON
	case query.Overlaps:
		return t.List
	case query.FTS, query.PlainFTS, query.PhraseFTS, query.WebFTS:
		return text && searched
	case query.Eq, query.Neq, query.Is, query.IsDistinct:
	}
	return o.quant == query.NoQuant || !t.List && t.Kind != value.JSON
}

const (
	wordEnum      = "IsWord"
	directionEnum = "OrderDirection"
)

// filterName is the input type of a type's comparisons.
func filterName(t value.Type, scalar string, searched bool) string {
	switch {
	case t.List:
		return scalar + "ListFilter"
	case searched:
		return scalar + "SearchFilter"
	case t.Kind == value.Enum && scalar == "String": // of words that are no names
		return "StringFilter"
	}
	return scalar + "Filter"
}

// filterDefinition is that input type.
func filterDefinition(t value.Type, scalar string, searched bool) *ast.Definition {
	def := &ast.Definition{Kind: ast.InputObject, Name: filterName(t, scalar, searched), Description: "Comparisons; all of those that are given have to hold."}
	for i := range operators {
		o := &operators[i]
		if !o.has(t, searched) {
			continue
		}
		typ := ast.NamedType(scalar, nil)
		one := typ
		if t.List {
			one = listOf(scalar)
		}
		switch o.takes {
		case takesOne:
			typ = one
		case takesList:
			typ = listOf(scalar)
		case takesText:
			typ = ast.NamedType("String", nil)
		case takesTexts:
			typ = listOf("String")
		case takesWord:
			typ = ast.NamedType(wordEnum, nil)
		case takesField:
			typ = one
		}
		def.Fields = append(def.Fields, &ast.FieldDefinition{Name: o.name, Description: o.doc, Type: typ})
	}
	if t.Kind == value.JSON && !t.List {
		def.Fields = append(def.Fields, &ast.FieldDefinition{Name: "at", Description: "Comparisons of what lies within.", Type: listOf("JSONPathFilter")})
	}
	return def
}

// listOf is a list without nulls in it.
func listOf(name string) *ast.Type { return ast.ListType(ast.NonNullNamedType(name, nil), nil) }

// sharedInputs are the types of filters and orders that all entities share.
func sharedInputs() []*ast.Definition {
	word := &ast.Definition{Kind: ast.Enum, Name: wordEnum}
	for _, w := range []string{"NULL", "NOT_NULL", "TRUE", "FALSE", "UNKNOWN"} {
		word.EnumValues = append(word.EnumValues, &ast.EnumValueDefinition{Name: w})
	}
	direction := &ast.Definition{Kind: ast.Enum, Name: directionEnum, Description: "Nulls come last, and first where the order descends, unless it is said."}
	for _, d := range []string{"ASC", "ASC_NULLS_FIRST", "ASC_NULLS_LAST", "DESC", "DESC_NULLS_FIRST", "DESC_NULLS_LAST"} {
		direction.EnumValues = append(direction.EnumValues, &ast.EnumValueDefinition{Name: d})
	}
	path := &ast.Definition{Kind: ast.InputObject, Name: "JSONPathFilter", Fields: ast.FieldList{
		{Name: "path", Description: "Keys, and the numbers of elements.", Type: ast.NonNullListType(ast.NonNullNamedType("String", nil), nil)},
		{Name: "json", Description: "Comparisons of what is there as JSON.", Type: ast.NamedType("JSONFilter", nil)},
		{Name: "text", Description: "Comparisons of what is there as text.", Type: ast.NamedType("StringFilter", nil)},
	}}
	resolution := &ast.Definition{Kind: ast.Enum, Name: "ConflictResolution", EnumValues: ast.EnumValueList{{Name: "MERGE"}, {Name: "IGNORE"}}}
	return []*ast.Definition{word, direction, path, resolution, filterDefinition(value.Type{Kind: value.JSON}, scalarJSON, false), filterDefinition(value.Type{Kind: value.Text}, "String", false)}
}
