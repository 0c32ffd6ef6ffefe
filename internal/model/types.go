package model

import (
	"encoding/json"
	"math"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v4"

	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/value"
)

// fieldType gives the field its type; a reference takes its target's.
func (l *loader) fieldType(drafts map[*Entity]*entityDraft, e *entityDraft, f *fieldDraft) {
	switch f.state {
	case typed:
		return
	case inProgress:
		f.state = typed
		e.file.problem(f.raw.ref.n, "give one of them a type of its own", "the key %s.%s refers to itself in a circle", e.QualifiedName(), f.Name)
		return
	case untyped:
	}
	f.state = inProgress
	if f.Ref != nil {
		key := f.Ref.Target.Primary
		if target := drafts[f.Ref.Target]; target != nil {
			for _, other := range target.fields {
				if other.Field == key {
					l.fieldType(drafts, target, other)
				}
			}
		}
		f.Type = key.Type
	}
	f.state = typed
	raw := f.raw
	written := typeKeys{
		what: e.QualifiedName() + "." + f.Name, kind: raw.kind, ref: raw.ref, scale: raw.scale, values: raw.values,
		least: raw.least, most: raw.most, list: raw.list,
	}
	if !written.complete(e.file) {
		return
	}
	if f.Ref != nil {
		if raw.list.v {
			e.file.problem(raw.list.n, "put an entity with two refs between them, with both in one unique key", "a list of references is not accepted")
		}
		return
	}
	if raw.kind.ok {
		f.Type = written.build(e.file)
	}
}

// typeKeys are the keys that a field and a parameter have in common.
type typeKeys struct {
	what        string
	kind, ref   at[string]
	scale       at[int]
	values      at[[]at[string]]
	least, most at[*yaml.Node]
	list        at[bool]
}

// complete checks which keys stand together. false: there is no type.
func (t typeKeys) complete(f *moduleFile) bool {
	if t.ref.given() {
		for _, k := range []struct {
			name string
			n    *yaml.Node
		}{{"type", t.kind.n}, {"scale", t.scale.n}, {"values", t.values.n}, {"min", t.least.n}, {"max", t.most.n}} {
			if k.n != nil {
				f.problem(k.n, "leave "+k.name+" out", "%s is a reference and takes the type of its target's key", t.what)
			}
		}
		return t.ref.ok
	}
	return t.kind.given()
}

// build makes the type and checks that its limits fit it.
func (t typeKeys) build(f *moduleFile) value.Type {
	kind, _ := value.ParseKind(t.kind.v)
	out := value.Type{Kind: kind, List: t.list.v, Scale: t.scale.v}
	if t.scale.given() && kind != value.Decimal {
		f.problem(t.scale.n, "type: decimal has a scale", "%s is %s, which has no scale", t.what, kind)
		out.Scale = 0
	}
	switch {
	case t.values.given() && kind != value.Enum:
		f.problem(t.values.n, "type: enum has values", "%s is %s, which has no values", t.what, kind)
	case !t.values.given() && kind == value.Enum:
		f.problem(t.kind.n, "add values: [ ... ]", "the enum %s has no values", t.what)
	case t.values.given():
		out.Values = t.words(f)
	}
	out.Min = t.limit(f, "min", t.least, kind)
	out.Max = t.limit(f, "max", t.most, kind)
	if out.Min != nil && out.Max != nil && value.Compare(*out.Min, *out.Max) > 0 {
		f.problem(t.most.n, "", "%s: min is greater than max, so no value fits", t.what)
	}
	return out
}

func (t typeKeys) words(f *moduleFile) []string {
	var out []string
	for _, w := range t.values.v {
		if !w.ok {
			continue
		}
		v, err := value.Type{Kind: value.Text}.FromText(w.v)
		switch {
		case err != nil:
			f.fault(w.n, t.what, err)
		case slices.Contains(out, v.Str):
			f.problem(w.n, "write each word once", "%s has the value %s twice", t.what, quote(w.v))
		default:
			out = append(out, v.Str)
		}
	}
	return out
}

// limit reads min or max: a length for text and bytes, else a value.
func (t typeKeys) limit(f *moduleFile, name string, a at[*yaml.Node], kind value.Kind) *value.Value {
	if !a.ok {
		return nil
	}
	of := value.Type{Kind: kind, Scale: t.scale.v}
	switch kind {
	case value.Text, value.Bytes:
		of = value.Type{Kind: value.Int}
	case value.Int, value.Float, value.Decimal, value.Timestamp, value.Date, value.Time:
	case value.Invalid:
		return nil
	case value.Bool, value.UUID, value.JSON, value.Enum, value.File:
		fallthrough
	default:
		f.problem(a.n, "leave "+name+" out", "%s is %s, which has no %s", t.what, kind, name)
		return nil
	}
	v, err := of.FromText(a.n.Value)
	if err != nil {
		f.fault(a.n, name+" of "+t.what, err)
		return nil
	}
	if (kind == value.Text || kind == value.Bytes) && v.Int < 0 {
		f.problem(a.n, "", "%s of %s is a length and cannot be negative", name, t.what)
		return nil
	}
	return &v
}

// fault reports what package value says about a literal.
func (f *moduleFile) fault(n *yaml.Node, what string, err error) {
	e := fault.From(err)
	f.problem(n, e.Hint, "%s: %s", what, shortenMessage(e.Error()))
}

func shortenMessage(s string) string {
	const limit = 200
	s = strings.ReplaceAll(s, "\n", " ")
	if len(s) > limit {
		s = strings.ToValidUTF8(s[:limit], "") + "..."
	}
	return s
}

// fieldRules checks what needs the field's type.
func (l *loader) fieldRules(e *entityDraft, f *fieldDraft) {
	file, raw, what := e.file, f.raw, e.QualifiedName()+"."+f.Name
	if !raw.kind.given() && !raw.ref.given() {
		if !f.broken {
			l.report.add(f.Pos, "add type: text, or ref: ENTITY", "%s has no type", what)
		}
		return
	}
	f.Lifespan = l.lifespan(file, f.Name, &raw.rawLifespan, func(name string) *Lifespan {
		for _, other := range e.fields {
			if other.Name == name {
				return &Lifespan{Since: other.raw.since.v}
			}
		}
		return nil
	})
	if f.Encrypted && !l.features.Encrypted {
		file.problem(raw.encrypted.n, "leave it out, or wait for the build that enforces it", "this build does not enforce encrypted yet, so it refuses it rather than ignore it")
	}
	if !l.features.FieldPolicies {
		for name, x := range map[string]at[*Expression]{"read": raw.read, "write": raw.write} {
			if x.given() {
				file.problem(x.n, "hidden: true keeps the field inside altogether", "this build does not enforce a field's %s policy yet, so it refuses it rather than ignore it", name)
			}
		}
	}
	if f.Type.Kind == value.Invalid {
		return // reported
	}
	if f.Primary {
		l.keyRules(file, f, what)
	}
	if raw.onUpdate.ok && (f.Type.Kind != value.Timestamp || f.Type.List) {
		file.problem(raw.onUpdate.n, "only a timestamp has it", "%s is %s, which has no on_update", what, f.Type)
	}
	if raw.fallback.given() {
		f.Default = l.fallback(file, raw.fallback.n, f, what)
	}
	l.databaseRules(e, f, what)
}

// keyRules checks a primary key.
func (l *loader) keyRules(file *moduleFile, f *fieldDraft, what string) {
	if f.Optional {
		file.problem(f.raw.optional.n, "leave optional out", "the primary key %s cannot be optional", what)
	}
	if f.Hidden {
		file.problem(f.raw.hidden.n, "leave hidden out", "the primary key %s cannot be hidden: it names its row", what)
	}
	if f.Encrypted && l.features.Encrypted {
		file.problem(f.raw.encrypted.n, "leave encrypted out", "the primary key %s cannot be encrypted", what)
	}
	switch f.Type.Kind {
	case value.JSON, value.Bytes, value.Float, value.Bool, value.File:
		file.problem(f.raw.primary.n, "uuid, int or text are good keys", "%s is %s, which cannot be a primary key", what, f.Type)
	case value.Invalid, value.Text, value.Int, value.Decimal, value.UUID, value.Timestamp, value.Date, value.Time, value.Enum:
		if f.Type.List {
			file.problem(f.raw.primary.n, "uuid, int or text are good keys", "%s is %s, which cannot be a primary key", what, f.Type)
		}
	}
}

// fallback reads a default.
func (l *loader) fallback(file *moduleFile, n *yaml.Node, f *fieldDraft, what string) *Default {
	if n.Kind == yaml.MappingNode && len(n.Content) == 2 && n.Content[0].Value == "cel" {
		source := n.Content[1]
		if !isText(source) || source.Value == "" {
			file.problem(source, "", "expected a CEL expression, not %s", describe(source))
			return nil
		}
		return &Default{Kind: DefaultCEL, Expr: &Expression{Source: source.Value, Pos: file.start(source)}}
	}
	if isPlain(n) && n.Value == "database()" {
		return &Default{Kind: DefaultDatabase}
	}
	if isPlain(n) {
		calls := map[string]struct {
			kind DefaultKind
			on   value.Kind
		}{"uuid()": {DefaultUUID, value.UUID}, "now()": {DefaultNow, value.Timestamp}, "auth.uid": {DefaultAuthUID, value.UUID}}
		if call, ok := calls[n.Value]; ok {
			if f.Type.Kind != call.on || f.Type.List {
				file.problem(n, "quote it if the text itself is meant", "%s is the default of a %s, and %s is %s", n.Value, call.on, what, f.Type)
				return nil
			}
			return &Default{Kind: call.kind}
		}
		if near := fault.Nearest(n.Value, []string{"uuid()", "now()", "auth.uid", "database()"}); near != "" && n.Value != near && strings.ContainsAny(n.Value, "().") && isText(n) {
			file.problem(n, "did you mean "+near+"? Quote it if the text itself is meant", "unknown default %s", quote(n.Value))
			return nil
		}
	}
	if isNull(n) {
		file.problem(n, "leave default out; with optional: true the field is null then", "null is no default")
		return nil
	}
	v, err := literalValue(f.Type, n)
	if err != nil {
		file.fault(n, "default of "+what, err)
		return nil
	}
	return &Default{Kind: DefaultLiteral, Value: v}
}

// literalValue reads a YAML node as a value of the type.
func literalValue(t value.Type, n *yaml.Node) (value.Value, error) {
	if n.Kind == yaml.ScalarNode && t.Kind != value.JSON && !t.List {
		return t.FromText(n.Value)
	}
	raw, err := appendNodeJSON(nil, n)
	if err != nil {
		return value.Value{}, err
	}
	return t.FromJSON(string(raw))
}

// appendNodeJSON writes a node as JSON, numbers as they are written where JSON
// can read them.
func appendNodeJSON(dst []byte, n *yaml.Node) ([]byte, error) {
	var err error
	if n.Kind == yaml.MappingNode {
		dst = append(dst, '{')
		for i := 0; i+1 < len(n.Content); i += 2 {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = append(appendJSONText(dst, n.Content[i].Value), ':')
			if dst, err = appendNodeJSON(dst, n.Content[i+1]); err != nil {
				return nil, err
			}
		}
		return append(dst, '}'), nil
	}
	if n.Kind == yaml.SequenceNode {
		dst = append(dst, '[')
		for i, c := range n.Content {
			if i > 0 {
				dst = append(dst, ',')
			}
			if dst, err = appendNodeJSON(dst, c); err != nil {
				return nil, err
			}
		}
		return append(dst, ']'), nil
	}
	switch n.ShortTag() {
	case tagNull:
		return append(dst, "null"...), nil
	case tagBool:
		return append(dst, strings.ToLower(n.Value)...), nil
	case tagInt, tagFloat:
		if json.Valid([]byte(n.Value)) {
			return append(dst, n.Value...), nil
		}
		var f float64
		if err := n.Load(&f); err != nil || math.IsInf(f, 0) || math.IsNaN(f) {
			return nil, fault.New(fault.InvalidText, "%s is no number of JSON", n.Value)
		}
		return strconv.AppendFloat(dst, f, 'g', -1, 64), nil
	}
	return appendJSONText(dst, n.Value), nil
}

func appendJSONText(dst []byte, s string) []byte {
	b, err := json.Marshal(s)
	if err != nil {
		panic(err) // a string always marshals
	}
	return append(dst, b...)
}
