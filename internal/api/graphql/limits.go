package graphql

import (
	"github.com/vektah/gqlparser/v2/ast"

	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/model"
)

// The bounds that no setting moves: documents beyond them are made by machines
// that mean harm.
const (
	// maxSelected is how many fields an operation has when its fragments are
	// written out.
	maxSelected = 10_000
	// maxRepeats is how often a field may stand again in one selection: validation
	// compares each with each.
	maxRepeats = 500
)

// checkLimits holds a document that was parsed against the limits that need no
// schema, before anything looks at it that is slower than linear. A fragment is
// counted as often as it is spread, and looked at once.
func checkLimits(doc *ast.QueryDocument, limits *model.GraphQL) error {
	m := &measure{fragments: make(map[string]*ast.FragmentDefinition, len(doc.Fragments)), done: make(map[string]*measured, len(doc.Fragments))}
	for _, f := range doc.Fragments {
		if m.fragments[f.Name] == nil {
			m.fragments[f.Name] = f
		}
	}
	exceeded := func(pos *ast.Position, n, limit int, what, key string) error {
		f := invalid(pos, fault.LimitExceeded, "the operation has %d %s, and %d are allowed", n, what, limit)
		if key == "" {
			return f
		}
		return f.because(nil, "api.graphql."+key+" of pando.yaml bounds it")
	}
	for _, o := range doc.Operations {
		got := m.set(o.SelectionSet)
		if got == nil {
			return nil // a cycle of fragments: validation says where
		}
		directives := add(got.directives, len(o.Directives))
		for _, v := range o.VariableDefinitions {
			directives = add(directives, len(v.Directives))
		}
		switch {
		case directives > limits.Directives:
			return exceeded(o.Position, directives, limits.Directives, "directives", "directives")
		case len(got.top) > limits.Fields:
			return exceeded(o.Position, len(got.top), limits.Fields, "root fields", "fields")
		case got.aliases > limits.Aliases:
			return exceeded(o.Position, got.aliases, limits.Aliases, "fields that are asked for again under another name", "aliases")
		case got.selected > maxSelected:
			return exceeded(o.Position, got.selected, maxSelected, "fields, with its fragments", "")
		case got.repeats > maxRepeats:
			return exceeded(o.Position, got.repeats, maxRepeats, "fields that stand twice", "")
		}
	}
	for _, f := range doc.Fragments { // also those that nobody spreads
		if got := m.fragment(f.Name); got != nil && got.repeats > maxRepeats {
			return exceeded(f.Position, got.repeats, maxRepeats, "fields that stand twice", "")
		}
	}
	return nil
}

// measured is what a selection set comes to, its fragments written out.
type measured struct {
	selected   int // fields
	aliases    int // fields that are asked for again beside themselves
	repeats    int // fields that stand again under the same key
	directives int
	top        map[selected]int // the fields of the set itself, and how often each stands there
}

// selected is a field of a selection set by what merges.
type selected struct {
	key, name string
	below     bool // it has fields of its own
}

type measure struct {
	fragments map[string]*ast.FragmentDefinition
	done      map[string]*measured // nil: it is being measured, or part of a cycle
}

// add adds counts that fragments have multiplied, and stops counting in time.
func add(a, b int) int {
	const enough = 1 << 30
	return min(a+b, enough)
}

// set measures a selection set; nil: fragments spread one another in a circle.
func (m *measure) set(set ast.SelectionSet) *measured {
	out := &measured{top: make(map[selected]int, len(set))}
	if !m.take(out, set) {
		return nil
	}
	out.count()
	return out
}

func (m *measure) take(out *measured, set ast.SelectionSet) bool {
	for _, s := range set {
		switch s := s.(type) {
		case *ast.Field:
			out.selected = add(out.selected, 1)
			out.directives = add(out.directives, len(s.Directives))
			field := selected{key: s.Alias, name: s.Name, below: len(s.SelectionSet) > 0}
			out.top[field] = add(out.top[field], 1)
			if field.below {
				below := m.set(s.SelectionSet)
				if below == nil {
					return false
				}
				out.below(below)
			}
		case *ast.InlineFragment:
			out.directives = add(out.directives, len(s.Directives))
			if !m.take(out, s.SelectionSet) {
				return false
			}
		case *ast.FragmentSpread:
			out.directives = add(out.directives, len(s.Directives))
			if m.fragments[s.Name] == nil {
				continue // validation says so
			}
			spread := m.fragment(s.Name)
			if spread == nil {
				return false
			}
			out.beside(spread)
		}
	}
	return true
}

// fragment measures a fragment once; nil: it spreads itself.
func (m *measure) fragment(name string) *measured {
	if got, seen := m.done[name]; seen {
		return got
	}
	m.done[name] = nil
	out := &measured{top: map[selected]int{}}
	if !m.take(out, m.fragments[name].SelectionSet) {
		return nil
	}
	m.done[name] = out
	return out
}

// below adds what a field has below it.
func (m *measured) below(o *measured) {
	m.selected, m.aliases = add(m.selected, o.selected), add(m.aliases, o.aliases)
	m.repeats, m.directives = add(m.repeats, o.repeats), add(m.directives, o.directives)
}

// beside adds what a fragment has: its own fields stand beside the others.
func (m *measured) beside(o *measured) {
	m.below(o)
	for field, n := range o.top {
		m.top[field] = add(m.top[field], n)
	}
}

// count counts among the fields of the set itself. A field that is asked for
// under two keys is worked for twice, and so is, below it, one that stands twice
// with other fields below. The same leaf under the same key is one.
func (m *measured) count() {
	names := make(map[string]int, len(m.top))
	for field, n := range m.top {
		m.repeats = add(m.repeats, n-1)
		if !field.below {
			n = 1
		}
		names[field.name] = add(names[field.name], n)
	}
	for _, n := range names {
		m.aliases = add(m.aliases, n-1)
	}
}

// depth is what only the schema tells of a selection set.
type depth struct {
	relations   int           // how deep they nest
	introspects *ast.Position // where the schema is asked for first; nil: nowhere
}

// depths measures how deep relations nest in validated documents.
type depths struct {
	schema    *schema
	fragments map[*ast.FragmentDefinition]depth
}

func (d *depths) of(set ast.SelectionSet) depth {
	var out depth
	for _, s := range set {
		var one depth
		switch s := s.(type) {
		case *ast.Field:
			one = d.of(s.SelectionSet)
			switch kind := d.schema.meaning(s).kind; {
			case kind == rowToOne || kind == rowToMany:
				one.relations++
			case s.Name == "__schema" || s.Name == "__type":
				one.introspects = s.Position
			}
		case *ast.InlineFragment:
			one = d.of(s.SelectionSet)
		case *ast.FragmentSpread:
			var done bool
			if one, done = d.fragments[s.Definition]; !done {
				one = d.of(s.Definition.SelectionSet)
				d.fragments[s.Definition] = one
			}
		}
		out.relations = max(out.relations, one.relations)
		if out.introspects == nil {
			out.introspects = one.introspects
		}
	}
	return out
}
