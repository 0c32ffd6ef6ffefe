package model

import (
	"fmt"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v4"

	"github.com/pandobase/pando/internal/fault"
)

// A spec is the one description of a part of the language: it decodes the
// part's node and it is the part's JSON Schema. The tables of keys in
// grammar_*.go are made of specs, so parser, hints and schema cannot disagree.
type spec[T any] struct {
	schema *schema
	want   string // "text", "a list of names": what a message expects
	// decode reads a node; false: something was reported.
	decode func(d *document, n *yaml.Node) (T, bool)
}

// at is a value with the node that it came from. The zero at was not given.
type at[T any] struct {
	v  T
	n  *yaml.Node
	ok bool // decoded without a problem
}

func (a at[T]) given() bool { return a.n != nil }

// entry is one pair of a mapping whose keys are names that the file chooses.
type entry[T any] struct {
	name string
	key  *yaml.Node
	at[T]
}

// key is one known key of a mapping.
type key[T any] struct {
	name     string
	schema   *schema
	required bool
	set      func(d *document, into *T, n *yaml.Node)
}

// option changes a key.
type option func(required *bool, s *schema)

func required(r *bool, _ *schema) { *r = true }

func defaults(v any) option { return func(_ *bool, s *schema) { s.Default = v } }

func example(v ...any) option { return func(_ *bool, s *schema) { s.Examples = v } }

// bind makes a key whose value is decoded by s into the place that into names.
func bind[T, V any](name, doc string, s spec[V], into func(*T) *at[V], options ...option) key[T] {
	described := *s.schema
	described.Description = doc
	k := key[T]{name: name, schema: &described}
	for _, o := range options {
		o(&k.required, &described)
	}
	k.set = func(d *document, t *T, n *yaml.Node) {
		place := into(t)
		place.n = n
		place.v, place.ok = s.decode(d, n)
	}
	return k
}

// object is a mapping of known keys.
func object[T any](want string, keys ...key[T]) spec[T] {
	index := make(map[string]int, len(keys))
	names := make([]string, len(keys))
	s := &schema{Type: "object", Properties: make(map[string]*schema, len(keys)), AdditionalProperties: false}
	for i, k := range keys {
		index[k.name], names[i] = i, k.name
		s.Properties[k.name] = k.schema
		if k.required {
			s.Required = append(s.Required, k.name)
		}
	}
	nullable := len(s.Required) == 0
	if nullable {
		s.Type = []string{"object", "null"}
	}
	return spec[T]{schema: s, want: want, decode: func(d *document, n *yaml.Node) (T, bool) {
		var t T
		if nullable && isNull(n) {
			return t, true
		}
		if n.Kind != yaml.MappingNode {
			d.mismatch(n, "its keys are "+strings.Join(names, ", "), "expected %s, a mapping, not %s", want, describe(n))
			return t, false
		}
		ok := true
		seen := make(map[string]bool, len(n.Content)/2)
		for i := 0; i+1 < len(n.Content); i += 2 {
			name, value := n.Content[i], n.Content[i+1]
			if !unique(d, name, seen) {
				ok = false
				continue
			}
			at, known := index[name.Value]
			if !known {
				d.mismatch(name, nearest(name.Value, names), "unknown key %s in %s", quote(name.Value), want)
				ok = false
				continue
			}
			keys[at].set(d, &t, value)
		}
		for _, name := range s.Required {
			if !seen[name] {
				d.mismatch(n, "", "%s needs the key %q", want, name)
				ok = false
			}
		}
		return t, ok
	}}
}

func unique(d *document, name *yaml.Node, seen map[string]bool) bool {
	if name.Kind != yaml.ScalarNode {
		d.problem(name, "", "a key is text, not %s", describe(name))
		return false
	}
	if seen[name.Value] {
		d.problem(name, "", "the key %s is given twice", quote(name.Value))
		return false
	}
	seen[name.Value] = true
	return true
}

// mapping is a mapping whose keys are names that the file chooses.
func mapping[T any](want string, name spec[string], value spec[T]) spec[[]entry[T]] {
	s := &schema{Type: []string{"object", "null"}, PropertyNames: name.schema, AdditionalProperties: value.schema}
	return spec[[]entry[T]]{schema: s, want: want, decode: func(d *document, n *yaml.Node) ([]entry[T], bool) {
		if isNull(n) {
			return nil, true
		}
		if n.Kind != yaml.MappingNode {
			d.mismatch(n, "", "expected %s, a mapping, not %s", want, describe(n))
			return nil, false
		}
		ok := true
		seen := make(map[string]bool, len(n.Content)/2)
		out := make([]entry[T], 0, len(n.Content)/2)
		for i := 0; i+1 < len(n.Content); i += 2 {
			key, node := n.Content[i], n.Content[i+1]
			if !unique(d, key, seen) {
				ok = false
				continue
			}
			e := entry[T]{key: key}
			var named bool
			e.name, named = name.decode(d, key)
			e.n = node
			e.v, e.ok = value.decode(d, node)
			if !named {
				ok = false
				continue
			}
			out = append(out, e)
		}
		return out, ok
	}}
}

// list is a sequence with at least least members.
func list[T any](want string, member spec[T], least int) spec[[]at[T]] {
	s := &schema{Type: "array", Items: member.schema}
	if least > 0 {
		s.MinItems = &least
	}
	return spec[[]at[T]]{schema: s, want: want, decode: func(d *document, n *yaml.Node) ([]at[T], bool) {
		if n.Kind != yaml.SequenceNode {
			d.mismatch(n, "write [ ... ]", "expected %s, not %s", want, describe(n))
			return nil, false
		}
		if len(n.Content) < least {
			d.mismatch(n, "", "expected %s with at least %d, not %d", want, least, len(n.Content))
			return nil, false
		}
		ok := true
		out := make([]at[T], 0, len(n.Content))
		for _, c := range n.Content {
			a := at[T]{n: c}
			a.v, a.ok = member.decode(d, c)
			ok = ok && a.ok
			out = append(out, a)
		}
		return out, ok
	}}
}

// either chooses by the node: a scalar is decoded by short, else by long.
func either[T any](short, long spec[T]) spec[T] {
	want := short.want + " or " + long.want
	return spec[T]{
		schema: &schema{AnyOf: []*schema{short.schema, long.schema}},
		want:   want,
		decode: func(d *document, n *yaml.Node) (T, bool) {
			if n.Kind == yaml.ScalarNode && (!isNull(n) || !long.schema.allows("null")) {
				return short.decode(d, n)
			}
			return long.decode(d, n)
		},
	}
}

// convert makes a spec of another Go type from s.
func convert[A, B any](s spec[A], f func(A, *yaml.Node) B) spec[B] {
	return spec[B]{schema: s.schema, want: s.want, decode: func(d *document, n *yaml.Node) (B, bool) {
		v, ok := s.decode(d, n)
		return f(v, n), ok
	}}
}

// text is any text but the empty one.
func text(want string) spec[string] {
	one := 1
	return spec[string]{
		schema: &schema{Type: "string", MinLength: &one}, want: want,
		decode: func(d *document, n *yaml.Node) (string, bool) {
			if !isText(n) {
				d.mismatch(n, textHint(n), "expected %s, not %s", want, describe(n))
				return "", false
			}
			if n.Value == "" {
				d.mismatch(n, "", "expected %s, not an empty text", want)
				return "", false
			}
			return n.Value, true
		},
	}
}

func textHint(n *yaml.Node) string {
	if n.Kind == yaml.ScalarNode && !isNull(n) {
		return "quote it: " + strconv.Quote(shorten(n.Value))
	}
	return ""
}

// pattern is text of a syntax; the expression means the same in RE2 and in
// ECMAScript, whose syntax JSON Schema uses.
func pattern(want, expression, hint string) spec[string] {
	re := regexp.MustCompile(expression)
	base := text(want)
	return spec[string]{
		schema: &schema{Type: "string", Pattern: expression}, want: want,
		decode: func(d *document, n *yaml.Node) (string, bool) {
			if !isText(n) {
				return base.decode(d, n)
			}
			if !re.MatchString(n.Value) {
				d.mismatch(n, hint, "expected %s, not %s", want, describe(n))
				return "", false
			}
			return n.Value, true
		},
	}
}

// concealed keeps the value out of messages, for it may hold a password.
func concealed(s spec[string], hint string) spec[string] {
	return spec[string]{schema: s.schema, want: s.want, decode: func(d *document, n *yaml.Node) (string, bool) {
		quiet := *d
		quiet.report = &report{}
		v, ok := s.decode(&quiet, n)
		if !ok {
			d.mismatch(n, hint, "expected %s", s.want)
		}
		return v, ok
	}}
}

// enum is one of the words.
func enum(want string, words ...string) spec[string] {
	return spec[string]{
		schema: &schema{Type: "string", Enum: words}, want: want,
		decode: func(d *document, n *yaml.Node) (string, bool) {
			if !isText(n) || !slices.Contains(words, n.Value) {
				hint := "one of " + strings.Join(words, ", ")
				if n.Kind == yaml.ScalarNode {
					hint = nearest(n.Value, words)
				}
				d.mismatch(n, hint, "expected %s, not %s", want, describe(n))
				return "", false
			}
			return n.Value, true
		},
	}
}

func boolean() spec[bool] {
	return spec[bool]{
		schema: &schema{Type: "boolean"}, want: "true or false",
		decode: func(d *document, n *yaml.Node) (bool, bool) {
			if n.Kind != yaml.ScalarNode || n.ShortTag() != tagBool {
				d.mismatch(n, "", "expected true or false, not %s", describe(n))
				return false, false
			}
			return strings.EqualFold(n.Value, "true"), true
		},
	}
}

// integer is a whole number from least to most.
func integer(least, most int64) spec[int] {
	want := fmt.Sprintf("a whole number from %d to %d", least, most)
	return spec[int]{
		schema: &schema{Type: "integer", Minimum: &least, Maximum: &most}, want: want,
		decode: func(d *document, n *yaml.Node) (int, bool) {
			i, ok := wholeNumber(n)
			if !ok || i < least || i > most {
				d.mismatch(n, "", "expected %s, not %s", want, describe(n))
				return 0, false
			}
			return int(i), true
		},
	}
}

// wholeNumber reads what JSON Schema calls an integer: 1e3 and 1.0 too.
func wholeNumber(n *yaml.Node) (int64, bool) {
	if n.Kind != yaml.ScalarNode {
		return 0, false
	}
	switch n.ShortTag() {
	case tagInt:
		if i, err := strconv.ParseInt(n.Value, 10, 64); err == nil && n.Value[0] != '0' {
			return i, true
		}
		var i int64
		err := n.Load(&i)
		return i, err == nil
	case tagFloat:
		var f float64
		if n.Load(&f) != nil || f != math.Trunc(f) || math.Abs(f) > 1<<53 {
			return 0, false
		}
		return int64(f), true
	}
	return 0, false
}

// size is a number of bytes, plain or with a unit.
func size() spec[int64] {
	const expression = `^[1-9][0-9]{0,11}(B|kB|KB|KiB|MB|MiB|GB|GiB)?$`
	re := regexp.MustCompile(expression)
	const want = "a size like 1MiB"
	one := int64(1)
	return spec[int64]{
		schema: &schema{AnyOf: []*schema{{Type: "integer", Minimum: &one}, {Type: "string", Pattern: expression}}}, want: want,
		decode: func(d *document, n *yaml.Node) (int64, bool) {
			if i, ok := wholeNumber(n); ok && i >= 1 {
				return i, true
			}
			if !isText(n) || !re.MatchString(n.Value) {
				d.mismatch(n, "bytes, or a number with B, kB, KiB, MB, MiB, GB or GiB", "expected %s, not %s", want, describe(n))
				return 0, false
			}
			digits := strings.TrimRight(n.Value, "BkKMGi")
			i, _ := strconv.ParseInt(digits, 10, 64) // 12 digits fit
			switch n.Value[len(digits):] {
			case "kB", "KB":
				i *= 1000
			case "KiB":
				i <<= 10
			case "MB":
				i *= 1000 * 1000
			case "MiB":
				i <<= 20
			case "GB":
				i *= 1000 * 1000 * 1000
			case "GiB":
				if i > 1<<32 {
					d.problem(n, "", "the size %s is too large", describe(n))
					return 0, false
				}
				i <<= 30
			}
			return i, true
		},
	}
}

// duration is a span of time in Go's form, longer than none.
func duration() spec[time.Duration] {
	s := pattern("a duration like 30s", `^([0-9]+(\.[0-9]+)?(ms|s|m|h))+$`, "a number with ms, s, m or h")
	return spec[time.Duration]{schema: s.schema, want: s.want, decode: func(d *document, n *yaml.Node) (time.Duration, bool) {
		v, ok := s.decode(d, n)
		if !ok {
			return 0, false
		}
		t, err := time.ParseDuration(v)
		if err != nil || t <= 0 {
			d.problem(n, "", "the duration %s must be more than 0 and less than 292 years", describe(n))
			return 0, false
		}
		return t, true
	}}
}

// expression is CEL source, kept with where its first character stands.
func expression() spec[*Expression] {
	s := text("a CEL expression")
	s.schema.Type = []string{"string", "boolean"}
	return spec[*Expression]{schema: s.schema, want: s.want, decode: func(d *document, n *yaml.Node) (*Expression, bool) {
		if n.Kind == yaml.ScalarNode && n.ShortTag() == tagBool { // "true" is CEL too
			n = &yaml.Node{Kind: n.Kind, Tag: tagText, Value: n.Value, Line: n.Line, Column: n.Column}
		}
		v, ok := s.decode(d, n)
		if !ok {
			return nil, false
		}
		return &Expression{Source: v, Pos: d.start(n)}, true
	}}
}

// anything accepts every node; what it must be is only known later.
func anything(want string, s *schema) spec[*yaml.Node] {
	return spec[*yaml.Node]{schema: s, want: want, decode: func(_ *document, n *yaml.Node) (*yaml.Node, bool) {
		return n, true
	}}
}

func isNull(n *yaml.Node) bool { return n.Kind == yaml.ScalarNode && n.ShortTag() == tagNull }

// isText reports whether a node is text. A plain date counts: YAML's older
// timestamp type is no type of JSON, so every editor takes it as text.
func isText(n *yaml.Node) bool {
	if n.Kind != yaml.ScalarNode {
		return false
	}
	tag := n.ShortTag()
	return tag == tagText || tag == tagTimestamp
}

// isPlain reports whether a scalar was written without quotes.
func isPlain(n *yaml.Node) bool {
	return n.Kind == yaml.ScalarNode && n.Style&(yaml.SingleQuotedStyle|yaml.DoubleQuotedStyle|yaml.LiteralStyle|yaml.FoldedStyle) == 0
}

// nearest is the hint that names what was probably meant, or all there is
// where that is little.
func nearest(word string, candidates []string) string {
	if near := fault.Nearest(word, candidates); near != "" {
		return "did you mean " + strconv.Quote(near) + "?"
	}
	if len(candidates) == 0 || len(candidates) > 16 {
		return ""
	}
	sorted := slices.Sorted(slices.Values(candidates))
	if len(sorted) == 1 {
		return "there is only " + sorted[0]
	}
	return "one of " + strings.Join(sorted, ", ")
}
