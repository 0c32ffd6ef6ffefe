package pull

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/pandobase/pando/internal/model"
	"github.com/pandobase/pando/internal/policy"
	"github.com/pandobase/pando/internal/store"
	"github.com/pandobase/pando/internal/value"
)

// yaml writes a module as a person would: a field a line.
func (m *module) yaml(s *store.Survey) []byte {
	var b strings.Builder
	fmt.Fprintf(&b, "# Pulled from the schema %s of the database %s, whose tables these are: with\n", oneLine(m.schema), oneLine(s.Database))
	b.WriteString("# managed: false Pando never changes them. No policy means nobody but the secret key:\n")
	b.WriteString("# write one for each entity that others are to reach.\n")
	fmt.Fprintf(&b, "module: %s\nentities:\n", m.name)
	for _, e := range m.entities {
		e.yaml(&b)
	}
	if m.old != nil {
		for _, e := range m.stay {
			lines(&b, e.text)
		}
		lines(&b, m.old.rest)
	}
	return []byte(b.String())
}

func lines(b *strings.Builder, text []string) {
	for _, line := range text {
		b.WriteString(line + "\n")
	}
}

func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }

func (e *entity) yaml(b *strings.Builder) {
	fmt.Fprintf(b, "  %s:\n", e.name)
	kept := map[string][]string{}
	if e.old != nil {
		kept = e.old.kept
	}
	if doc := kept["doc"]; doc != nil {
		lines(b, doc)
	} else if e.table.Doc != "" {
		fmt.Fprintf(b, "    doc: %s\n", scalar(oneLine(e.table.Doc)))
	}
	b.WriteString("    managed: false\n")
	e.tableYAML(b)
	if e.readOnly {
		b.WriteString("    read_only: true\n")
	}
	for _, n := range e.notes {
		fmt.Fprintf(b, "    # %s\n", oneLine(n))
	}
	b.WriteString("    fields:\n")
	width := 0
	for _, f := range e.fields {
		width = max(width, len(f.name)+1)
	}
	for _, f := range e.fields {
		fmt.Fprintf(b, "      %-*s { %s }", width, f.name+":", strings.Join(f.old.apply(f.keys()), ", "))
		if f.note != "" {
			b.WriteString(" # " + oneLine(f.note))
		}
		b.WriteByte('\n')
	}
	keysYAML(b, "unique", e.unique)
	keysYAML(b, "index", e.index)
	if len(e.checks) > 0 {
		b.WriteString("    check:\n")
		for _, c := range e.checks {
			fmt.Fprintf(b, "      - %s\n", quote(c))
		}
	}
	for _, section := range keptSections()[1:] {
		lines(b, kept[section])
	}
	if kept["policy"] == nil {
		b.WriteString(noPolicy + "\n")
	}
}

func (e *entity) tableYAML(b *strings.Builder) {
	schema, name := e.table.Schema, e.table.Name
	switch {
	case schema == e.module.name && name == e.name:
	case strings.Contains(schema, "."), strings.Contains(name, ".") && schema == e.module.name:
		fmt.Fprintf(b, "    table: { schema: %s, name: %s }\n", scalar(schema), scalar(name))
	case schema == e.module.name:
		fmt.Fprintf(b, "    table: %s\n", scalar(name))
	default:
		fmt.Fprintf(b, "    table: %s\n", scalar(schema+"."+name))
	}
}

func keysYAML(b *strings.Builder, key string, lists [][]string) {
	if len(lists) == 0 {
		return
	}
	parts := make([]string, len(lists))
	for i, l := range lists {
		parts[i] = "[" + strings.Join(l, ", ") + "]"
	}
	fmt.Fprintf(b, "    %-7s [%s]\n", key+":", strings.Join(parts, ", "))
}

// keys are a field's keys with their values, in the usual order.
func (f *field) keys() []string {
	var out []string
	add := func(key, value string) {
		if value != "" {
			out = append(out, key+": "+value)
		}
	}
	flag := func(key string, on bool) {
		if on {
			out = append(out, key+": true")
		}
	}
	if f.ref != nil || f.user {
		add("ref", f.refName())
		add("as", f.as)
		add("inverse", f.inverse)
		if f.onDelete != model.Restrict || f.user {
			add("on_delete", string(f.onDelete))
		}
	} else {
		add("type", f.kind.String())
		if f.kind == value.Decimal {
			add("scale", number(int64(f.scale)))
		}
		if f.kind == value.Enum {
			words := make([]string, len(f.values))
			for i, w := range f.values {
				words[i] = scalar(w)
			}
			add("values", "["+strings.Join(words, ", ")+"]")
		}
		flag("list", f.list)
		add("min", f.min)
		add("max", f.max)
	}
	flag("primary", f.primary)
	add("default", f.fallback)
	flag("optional", f.optional)
	flag("generated", f.generated)
	if f.column.Name != f.name {
		add("column", scalar(f.column.Name))
	}
	if f.column.Doc != "" {
		add("doc", scalar(oneLine(f.column.Doc)))
	}
	return out
}

func (f *field) refName() string {
	if f.user {
		return "auth.users"
	}
	for _, e := range f.ref.module.entities {
		if slices.Contains(e.fields, f) {
			return f.ref.name
		}
	}
	return f.ref.module.name + "." + f.ref.name
}

var plain = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_.-]*( [A-Za-z0-9_.-]+)*$`)

// scalar writes a text in YAML's flow style: bare where nothing else could be
// meant.
func scalar(s string) string {
	switch strings.ToLower(s) {
	case "true", "false", "yes", "no", "on", "off", "null", "y", "n":
		return quote(s)
	}
	if plain.MatchString(s) {
		return s
	}
	return quote(s)
}

// quote writes a text between quotation marks, as YAML and JSON do.
func quote(s string) string { return string(value.AppendQuoted(nil, []byte(s))) }

// refused says why the module language does not take a check; empty: it does.
func refused(e *entity, cel string) string {
	alone := *e
	alone.checks, alone.unique, alone.index, alone.notes = []string{cel}, nil, nil, nil
	alone.fields = nil
	for _, f := range e.fields {
		own := *f
		own.ref, own.user, own.as, own.inverse = nil, false, "", ""
		alone.fields = append(alone.fields, &own)
	}
	m := &module{name: "m", schema: e.table.Schema, entities: []*entity{&alone}}
	alone.module = m
	app, problems := model.Load(memory{
		model.ConfigFile:             []byte("app: pull\n"),
		model.ModulesDir + "/m.yaml": m.yaml(&store.Survey{}),
	}, nil, model.Features{FieldPolicies: true})
	if len(problems) == 0 {
		_, problems = policy.Compile(app)
	}
	if len(problems) > 0 {
		return problems[0].Message
	}
	return ""
}
