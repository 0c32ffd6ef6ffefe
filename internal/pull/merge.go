package pull

import (
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"

	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/store"
)

// oldModule is a module file that is there already: what a person wrote in it
// stays.
type oldModule struct {
	lines    []string
	entities []*oldEntity
	rest     []string // the other sections, as they are written
}

type oldEntity struct {
	name    string
	table   string // schema.table
	managed bool
	text    []string            // as it is written
	kept    map[string][]string // sections that a pull does not write, as they are written
	fields  []*oldField
}

type oldField struct {
	name, column string
	keys         []string // "key: value"
}

// keptSections are what people say of an entity, and keptKeys of a field.
func keptSections() []string {
	return []string{"doc", "policy", "audit", "cache", "retain", "realtime", "since", "deprecated"}
}

func keptKeys() []string {
	return []string{"doc", "hidden", "read", "write", "as", "inverse", "on_update", "since", "deprecated"}
}

// readOld reads a module file. One that is no module cannot be compared.
func readOld(name string, data []byte) (*oldModule, error) {
	var root yaml.Node
	if err := yaml.Unmarshal(data, &root); err != nil || len(root.Content) != 1 || root.Content[0].Kind != yaml.MappingNode {
		return nil, fault.New(fault.ConfigInvalid, "modules/%s.yaml cannot be read, so it cannot be compared", name).
			WithHint("`pando check` says what is wrong with it; or move it away")
	}
	m := &oldModule{lines: strings.Split(strings.TrimRight(string(data), "\n"), "\n")}
	top := root.Content[0]
	for i := 0; i+1 < len(top.Content); i += 2 {
		key, val := top.Content[i], top.Content[i+1]
		switch {
		case key.Value == "module":
		case key.Value == "entities" && val.Kind == yaml.MappingNode:
			for j := 0; j+1 < len(val.Content); j += 2 {
				m.entities = append(m.entities, m.entity(name, val, j, end(top, i, len(m.lines))))
			}
		default:
			m.rest = append(m.rest, m.block(key.Line, end(top, i, len(m.lines)))...)
		}
	}
	return m, nil
}

// end is the line on which the i-th member of a mapping ends; last is that of
// the mapping.
func end(mapping *yaml.Node, i, last int) int {
	if i+2 < len(mapping.Content) {
		return mapping.Content[i+2].Line - 1
	}
	return last
}

// block is a range of lines, counted from 1, without blank lines at its end.
func (m *oldModule) block(from, to int) []string {
	out := m.lines[from-1 : max(from, min(to, len(m.lines)))]
	for len(out) > 1 && strings.TrimSpace(out[len(out)-1]) == "" {
		out = out[:len(out)-1]
	}
	return out
}

func (m *oldModule) entity(module string, entities *yaml.Node, i, last int) *oldEntity {
	key, val := entities.Content[i], entities.Content[i+1]
	last = end(entities, i, last)
	e := &oldEntity{name: key.Value, table: module + "." + key.Value, managed: true, kept: map[string][]string{}, text: m.block(key.Line, last)}
	if val.Kind != yaml.MappingNode || val.Style&yaml.FlowStyle != 0 {
		return e
	}
	for j := 0; j+1 < len(val.Content); j += 2 {
		k, v := val.Content[j], val.Content[j+1]
		switch {
		case k.Value == "managed":
			e.managed = v.Value != "false"
		case k.Value == "table":
			e.table = oldTable(module, v, e)
		case k.Value == "fields" && v.Kind == yaml.MappingNode:
			for n := 0; n+1 < len(v.Content); n += 2 {
				e.fields = append(e.fields, oldFieldOf(v.Content[n], v.Content[n+1]))
			}
		case slices.Contains(keptSections(), k.Value):
			block := m.block(k.Line, end(val, j, last))
			e.kept[k.Value] = withoutHint(indent(block, k.Column-1))
		}
	}
	return e
}

func oldTable(module string, v *yaml.Node, e *oldEntity) string {
	schema, name := module, e.name
	if v.Kind == yaml.ScalarNode {
		if s, n, qualified := strings.Cut(v.Value, "."); qualified {
			return s + "." + n
		}
		return module + "." + v.Value
	}
	for i := 0; i+1 < len(v.Content); i += 2 {
		if v.Content[i].Value == "schema" {
			schema = v.Content[i+1].Value
		} else {
			name = v.Content[i+1].Value
		}
	}
	return schema + "." + name
}

func oldFieldOf(key, val *yaml.Node) *oldField {
	f := &oldField{name: key.Value, column: key.Value}
	if val.Kind != yaml.MappingNode {
		f.keys = []string{"type: " + val.Value}
		return f
	}
	for i := 0; i+1 < len(val.Content); i += 2 {
		if val.Content[i].Value == "column" {
			f.column = val.Content[i+1].Value
		}
		f.keys = append(f.keys, val.Content[i].Value+": "+flow(val.Content[i+1]))
	}
	return f
}

// flow writes a node in YAML's flow style.
func flow(n *yaml.Node) string {
	switch n.Kind {
	case yaml.SequenceNode:
		parts := make([]string, len(n.Content))
		for i, c := range n.Content {
			parts[i] = flow(c)
		}
		return "[" + strings.Join(parts, ", ") + "]"
	case yaml.MappingNode:
		var parts []string
		for i := 0; i+1 < len(n.Content); i += 2 {
			parts = append(parts, n.Content[i].Value+": "+flow(n.Content[i+1]))
		}
		return "{ " + strings.Join(parts, ", ") + " }"
	default:
	}
	if n.Style&(yaml.SingleQuotedStyle|yaml.DoubleQuotedStyle|yaml.LiteralStyle|yaml.FoldedStyle) != 0 {
		return scalar(n.Value)
	}
	return n.Value
}

// indent moves a block so that it stands four deep, as a pull writes it.
func indent(block []string, deep int) []string {
	out := make([]string, len(block))
	for i, line := range block {
		cut := min(deep, len(line)-len(strings.TrimLeft(line, " ")))
		if out[i] = "    " + line[cut:]; strings.TrimSpace(line) == "" {
			out[i] = ""
		}
	}
	return out
}

// noPolicy is what a pull writes where a policy is missing.
const noPolicy = "    # policy: none yet, so nobody"

func withoutHint(block []string) []string {
	return slices.DeleteFunc(block, func(line string) bool { return line == noPolicy })
}

// keep finds what was written about a table before; nil: nothing.
func (m *oldModule) keep(t *store.SurveyTable) *oldEntity {
	if m == nil {
		return nil
	}
	for _, e := range m.entities {
		if e.table == tableName(t) && !e.managed {
			return e
		}
	}
	return nil
}

func (e *oldEntity) field(column string) *oldField {
	if e == nil {
		return nil
	}
	for _, f := range e.fields {
		if f.column == column {
			return f
		}
	}
	return nil
}

// apply puts the keys that a person wrote into those that a pull has.
func (f *oldField) apply(keys []string) []string {
	if f == nil {
		return keys
	}
	for _, old := range f.keys {
		name, _, _ := strings.Cut(old, ":")
		if !slices.Contains(keptKeys(), name) {
			continue
		}
		if i := slices.IndexFunc(keys, func(k string) bool { return strings.HasPrefix(k, name+": ") }); i >= 0 {
			keys[i] = old
		} else {
			keys = append(keys, old)
		}
	}
	return keys
}

// changes tells what is otherwise in the database than in the file.
func (m *module) changes() []string {
	if m.old == nil {
		return nil
	}
	var out []string
	for _, e := range m.entities {
		if e.old == nil {
			out = append(out, "+ "+e.name)
			continue
		}
		for _, f := range e.fields {
			old := e.old.field(f.column.Name)
			keys := old.apply(f.keys())
			if old == nil {
				out = append(out, fmt.Sprintf("+ %s.%s { %s }", e.name, f.name, strings.Join(keys, ", ")))
				continue
			}
			for _, k := range keys {
				if !slices.Contains(old.keys, k) {
					out = append(out, fmt.Sprintf("~ %s.%s %s", e.name, f.name, k))
				}
			}
			for _, k := range old.keys {
				name, _, _ := strings.Cut(k, ":")
				if !slices.ContainsFunc(keys, func(n string) bool { return strings.HasPrefix(n, name+": ") }) {
					out = append(out, fmt.Sprintf("~ %s.%s without %s", e.name, f.name, k))
				}
			}
		}
		for _, old := range e.old.fields {
			if e.field(old.column) == nil {
				out = append(out, "- "+e.name+"."+old.name)
			}
		}
	}
	for _, old := range m.gone {
		out = append(out, "- "+old.name)
	}
	return out
}
