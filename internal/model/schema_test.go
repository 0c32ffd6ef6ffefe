package model

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v4"
)

// judge compiles a schema of Schema.
func judge(t testing.TB, data []byte) *jsonschema.Schema {
	t.Helper()
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("test.json", doc); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile("test.json")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// schemaAccepts tells the schema's verdict on a YAML tree.
func schemaAccepts(t testing.TB, s *jsonschema.Schema, n *yaml.Node) error {
	t.Helper()
	raw, err := appendNodeJSON(nil, n)
	if err != nil {
		t.Fatalf("not a document for JSON: %v", err)
	}
	v, err := jsonschema.UnmarshalJSON(bytes.NewReader(raw))
	if err != nil {
		t.Fatal(err)
	}
	return s.Validate(v)
}

// parserAccepts tells the parser's verdict on the structure of a YAML tree.
func parserAccepts(decode func(*document, *yaml.Node), n *yaml.Node) []Problem {
	r := &report{}
	decode(&document{file: "test.yaml", report: r, root: n}, n)
	return slices.DeleteFunc(r.sorted(), func(p Problem) bool { return !p.structural })
}

type fileKind struct {
	schema *jsonschema.Schema
	decode func(*document, *yaml.Node)
}

func fileKinds(t testing.TB) (config, module fileKind) {
	t.Helper()
	g := newGrammar()
	c, m := Schema()
	return fileKind{judge(t, c), func(d *document, n *yaml.Node) { g.config.decode(d, n) }},
		fileKind{judge(t, m), func(d *document, n *yaml.Node) { g.module.decode(d, n) }}
}

func parseNode(t testing.TB, data []byte) *yaml.Node {
	t.Helper()
	d := &document{file: "test.yaml", report: &report{}}
	if d.parse(data) != nil {
		return nil
	}
	return d.root
}

// TestSchemaAndParserAgree puts a wrong thing of every kind into every place
// of every good document: schema and parser accept and refuse the same.
func TestSchemaAndParserAgree(t *testing.T) {
	config, module := fileKinds(t)
	compared, refused := 0, 0
	for _, g := range goldens(t, "good") {
		for _, name := range slices.Sorted(maps.Keys(g.files)) {
			kind := module
			switch {
			case name == ConfigFile:
				kind = config
			case !strings.HasPrefix(name, ModulesDir+"/"):
				continue
			}
			root := parseNode(t, g.files[name].Data)
			if root == nil {
				continue
			}
			compare := func(what string) {
				compared++
				problems, err := parserAccepts(kind.decode, root), schemaAccepts(t, kind.schema, root)
				if err != nil {
					refused++
				}
				if (len(problems) > 0) != (err != nil) {
					t.Errorf("%s %s: %s:\nparser: %sschema: %v", g.path, name, what, problemText(problems), err)
				}
			}
			compare("as it is")
			if len(parserAccepts(kind.decode, root)) > 0 {
				t.Errorf("%s %s is not good", g.path, name)
			}
			mutate(root, compare)
		}
	}
	if compared < 5000 || refused < compared/4 {
		t.Errorf("only %d documents were compared, %d refused", compared, refused)
	}
}

// mutate puts each replacement into each place below n, one at a time.
func mutate(n *yaml.Node, visit func(what string)) {
	replacements := []string{"", "5", "1.5", "-1", "1e3", "true", "''", "x y", "uuid", "[]", "[x]", "{}", "{zz_unknown: 1}", "2026-01-01", "v2", "secret:x", "1MiB", "30s"}
	kept := *n
	for _, text := range replacements {
		var docs yaml.Node
		if err := yaml.Load([]byte("x: "+text), &docs); err != nil {
			panic(err)
		}
		*n = *docs.Content[0].Content[1]
		visit("line " + itoa(kept.Line) + " column " + itoa(kept.Column) + " replaced by " + text)
		*n = kept
	}
	if n.Kind == yaml.MappingNode {
		n.Content = append(slices.Clone(kept.Content), &yaml.Node{Kind: yaml.ScalarNode, Tag: tagText, Value: "zz-unknown"}, &yaml.Node{Kind: yaml.ScalarNode, Tag: tagInt, Value: "1"})
		visit("line " + itoa(kept.Line) + " with one key more")
		for i := 0; i+1 < len(kept.Content); i += 2 {
			n.Content = slices.Delete(slices.Clone(kept.Content), i, i+2)
			visit("line " + itoa(kept.Content[i].Line) + " without " + kept.Content[i].Value)
		}
		*n = kept
	}
	for i, c := range n.Content {
		if n.Kind != yaml.MappingNode || i%2 == 1 {
			mutate(c, visit)
		}
	}
}

func itoa(n int) string {
	b, _ := json.Marshal(n)
	return string(b)
}

// TestBadDocumentsAgree holds the bad documents, which have many faults at
// once, against the schema as well.
func TestBadDocumentsAgree(t *testing.T) {
	config, module := fileKinds(t)
	compared := 0
	for _, g := range goldens(t, "bad") {
		for _, name := range slices.Sorted(maps.Keys(g.files)) {
			kind := module
			switch {
			case name == ConfigFile:
				kind = config
			case !strings.HasPrefix(name, ModulesDir+"/"):
				continue
			}
			root := parseNode(t, g.files[name].Data)
			if root == nil || strings.Contains(string(g.files[name].Data), ".inf") || strings.Contains(string(g.files[name].Data), "? [") {
				continue // JSON has no such document
			}
			compared++
			problems, err := parserAccepts(kind.decode, root), schemaAccepts(t, kind.schema, root)
			if (len(problems) > 0) != (err != nil) {
				t.Errorf("%s %s:\nparser: %sschema: %v", g.path, name, problemText(problems), err)
			}
		}
	}
	if compared < 15 {
		t.Errorf("only %d documents were compared", compared)
	}
}

// TestKeysAgree: the parser knows each key that the schema has, by building a
// document that leads there, and refuses one that it has not.
func TestKeysAgree(t *testing.T) {
	g := newGrammar()
	c, m := Schema()
	for _, f := range []struct {
		name   string
		data   []byte
		decode func(*document, *yaml.Node)
		least  int
	}{
		{"pando.yaml", c, func(d *document, n *yaml.Node) { g.config.decode(d, n) }, 30},
		{"module", m, func(d *document, n *yaml.Node) { g.module.decode(d, n) }, 90},
	} {
		var root map[string]any
		if err := json.Unmarshal(f.data, &root); err != nil {
			t.Fatal(err)
		}
		keys := 0
		var walk func(s map[string]any, wrap func(*yaml.Node) *yaml.Node, depth int)
		walk = func(s map[string]any, wrap func(*yaml.Node) *yaml.Node, depth int) {
			if ref, ok := s["$ref"].(string); ok {
				defs, _ := root["$defs"].(map[string]any)
				s, _ = defs[strings.TrimPrefix(ref, "#/$defs/")].(map[string]any)
			}
			if depth > 14 {
				return // parameters hold parameters
			}
			for _, a := range anySlice(s["anyOf"]) {
				walk(a, wrap, depth+1)
			}
			if items, ok := s["items"].(map[string]any); ok {
				walk(items, func(n *yaml.Node) *yaml.Node {
					return wrap(&yaml.Node{Kind: yaml.SequenceNode, Content: []*yaml.Node{n}})
				}, depth+1)
			}
			in := func(key string) func(*yaml.Node) *yaml.Node {
				return func(n *yaml.Node) *yaml.Node {
					return wrap(&yaml.Node{Kind: yaml.MappingNode, Content: []*yaml.Node{word(key), n}})
				}
			}
			if more, ok := s["additionalProperties"].(map[string]any); ok {
				walk(more, in("x"), depth+1)
			}
			properties, ok := s["properties"].(map[string]any)
			if !ok {
				return
			}
			if !unknownKey(f.decode, in("zz_unknown")(word("x"))) {
				t.Errorf("%s: an unknown key passes beside %v", f.name, slices.Sorted(maps.Keys(properties)))
			}
			for key, p := range properties {
				keys++
				described, _ := p.(map[string]any)
				if described["description"] == nil {
					t.Errorf("%s: the key %s has no description", f.name, key)
				}
				if unknownKey(f.decode, in(key)(word("x"))) {
					t.Errorf("%s: the parser does not know the schema's key %s", f.name, key)
				}
				walk(described, in(key), depth+1)
			}
		}
		walk(root, func(n *yaml.Node) *yaml.Node { return n }, 0)
		if keys < f.least {
			t.Errorf("%s: only %d keys were found", f.name, keys)
		}
	}
}

func anySlice(v any) []map[string]any {
	var out []map[string]any
	all, _ := v.([]any)
	for _, a := range all {
		if m, ok := a.(map[string]any); ok {
			out = append(out, m)
		}
	}
	return out
}

func unknownKey(decode func(*document, *yaml.Node), n *yaml.Node) bool {
	return slices.ContainsFunc(parserAccepts(decode, n), func(p Problem) bool { return strings.Contains(p.Message, "unknown key") })
}

func TestSchemaIsStable(t *testing.T) {
	c1, m1 := Schema()
	c2, m2 := Schema()
	if !bytes.Equal(c1, c2) || !bytes.Equal(m1, m2) {
		t.Error("two calls differ")
	}
}

// TestDefaultsAreTrue: the defaults that the schema tells are those that Load
// fills in.
func TestDefaultsAreTrue(t *testing.T) {
	c, _ := Schema()
	var s schema
	if err := json.Unmarshal(c, &s); err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	written := func(indent string, p map[string]*schema) {
		for _, name := range slices.Sorted(maps.Keys(p)) {
			if d := p[name].Default; d != nil {
				raw, _ := json.Marshal(d)
				b.WriteString(indent + name + ": " + string(raw) + "\n")
			}
		}
	}
	written("", s.Properties)
	for _, name := range slices.Sorted(maps.Keys(s.Properties)) {
		if p := s.Properties[name]; p.Properties != nil && name != "tls" {
			b.WriteString(name + ":\n")
			written("  ", p.Properties)
		}
	}
	explicit := load(t, map[string]string{ConfigFile: b.String()}).Config
	implied := load(t, map[string]string{}).Config
	a, _ := json.Marshal(explicit)
	z, _ := json.Marshal(implied)
	if !bytes.Equal(a, z) {
		t.Errorf("written out:\n%s\nimplied:\n%s\nfrom:\n%s", a, z, &b)
	}
}
