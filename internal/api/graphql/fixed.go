package graphql

import (
	"sync"

	"github.com/vektah/gqlparser/v2/ast"
)

// fixedParts are parts of a document that compile to the same whatever the
// variables are, by their field. They are made once and never changed.
type fixedParts struct{ m sync.Map }

// fixedPart compiles what is selected below a field, once where it is the same for
// every call: no variable stands in it, and nothing of it is deprecated, which is
// counted each time.
func fixedPart[T any](c *call, f *collected, compile func([]ast.SelectionSet) (T, error)) (T, error) {
	if c.fixed == nil || len(f.fields) != 1 {
		return compile(f.sets())
	}
	if part, ok := c.fixed.m.Load(f.field()); ok {
		return part.(T), nil //nolint:forcetypeassert // a field is compiled in one way
	}
	things := len(c.things)
	part, err := compile(f.sets())
	if err == nil && len(c.things) == things && fixedSet(f.field().SelectionSet) {
		c.fixed.m.Store(f.field(), part)
	}
	return part, err
}

// fixedSet reports whether no variable stands in a selection set.
func fixedSet(set ast.SelectionSet) bool {
	for _, s := range set {
		switch s := s.(type) {
		case *ast.Field:
			if !fixedField(s) {
				return false
			}
		case *ast.InlineFragment:
			if !fixedDirectives(s.Directives) || !fixedSet(s.SelectionSet) {
				return false
			}
		case *ast.FragmentSpread:
			if !fixedDirectives(s.Directives) || s.Definition != nil && !fixedSet(s.Definition.SelectionSet) {
				return false
			}
		}
	}
	return true
}

func fixedField(f *ast.Field) bool {
	for _, arg := range f.Arguments {
		if !fixedValue(arg.Value) {
			return false
		}
	}
	return fixedDirectives(f.Directives) && fixedSet(f.SelectionSet)
}

func fixedDirectives(list ast.DirectiveList) bool {
	for _, d := range list {
		for _, arg := range d.Arguments {
			if !fixedValue(arg.Value) {
				return false
			}
		}
	}
	return true
}

func fixedValue(v *ast.Value) bool {
	if v.Kind == ast.Variable {
		return false
	}
	for _, child := range v.Children {
		if !fixedValue(child.Value) {
			return false
		}
	}
	return true
}
