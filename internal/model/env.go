package model

import (
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"

	"github.com/pandobase/pando/internal/fault"
)

const envPrefix = "PANDO_"

// override puts the PANDO_* variables of env into the tree of pando.yaml, in
// place of what the file says, so that they are decoded and judged like the
// rest. Which variables there are follows from the file's schema: each key
// with a plain value or a list of them, PANDO_LIMITS_BODY for limits.body. A
// list is separated by commas.
func (d *document) override(s *schema, env []string) {
	known := map[string]variable{}
	variables(s, nil, known)
	names := make([]string, 0, len(known))
	for name := range known {
		names = append(names, name)
	}
	slices.Sort(names)
	d.origins = map[*yaml.Node]string{}
	given := slices.Clone(env)
	slices.Sort(given) // PANDO_STORE before PANDO_STORE_REPLICAS
	for _, pair := range given {
		name, text, _ := strings.Cut(pair, "=")
		if !strings.HasPrefix(name, envPrefix) {
			continue
		}
		v, ok := known[name]
		if !ok {
			d.unknownVariable(name, names)
			continue
		}
		if !d.usable(name) {
			continue
		}
		d.place(name, v, text)
	}
}

// usable reports whether the file's root can take overrides; what is wrong
// with it is reported when it is decoded.
func (d *document) usable(name string) bool {
	if d.root == nil {
		d.root = &yaml.Node{Kind: yaml.MappingNode}
		d.origins[d.root] = name
	}
	return d.root.Kind == yaml.MappingNode
}

// unknownVariable reports a variable that looks like a misspelt setting.
// Others pass: they are read elsewhere (PANDO_SECRET_KEY), or an orchestrator
// made them for a service called pando (PANDO_PORT_7263_TCP).
func (d *document) unknownVariable(name string, names []string) {
	for _, other := range []string{"PANDO_PORT", "PANDO_SERVICE_", "PANDO_SECRET_", "PANDO_PUBLISHABLE_KEY", "PANDO_API_KEY", "PANDO_TEST"} {
		if strings.HasPrefix(name, other) {
			return
		}
	}
	short := make([]string, len(names))
	for i, n := range names {
		short[i] = strings.TrimPrefix(n, envPrefix)
	}
	own := strings.TrimPrefix(name, envPrefix)
	near := fault.Nearest(own, short)
	if near == "" {
		group, _, grouped := strings.Cut(own, "_")
		if !grouped || !slices.ContainsFunc(short, func(s string) bool { return strings.HasPrefix(s, group+"_") }) {
			return
		}
	}
	hint := ""
	if near != "" {
		hint = "did you mean " + envPrefix + near + "?"
	}
	d.report.add(Pos{File: name}, hint, "no setting has this variable")
}

// variable is a setting that the environment can give.
type variable struct {
	path []string
	text bool // decode as text whatever it looks like
	list bool
}

func variables(s *schema, path []string, into map[string]variable) {
	name := envPrefix + strings.ToUpper(strings.Join(path, "_"))
	v := variable{path: slices.Clone(path)}
	switch {
	case s.Properties != nil:
		for key, value := range s.Properties {
			variables(value, append(path, key), into)
		}
		return
	case s.AnyOf != nil:
		for _, a := range s.AnyOf {
			if a.Properties != nil {
				variables(a, path, into)
			}
		}
		v.text = s.AnyOf[0].allows("string")
	case s.allows("array"):
		v.list = true
	case s.allows("object"):
		return // its keys are the application's to choose
	default:
		v.text = s.allows("string")
	}
	into[name] = v
}

// place puts the text at the variable's path.
func (d *document) place(name string, v variable, text string) {
	at := d.root
	for i, key := range v.path {
		value := child(at, key)
		if i == len(v.path)-1 {
			node := d.fromText(name, v, text)
			if value == nil {
				at.Content = append(at.Content, d.scalar(name, key, true), node)
			} else {
				*value = *node
				d.adopt(value, name)
			}
			return
		}
		switch {
		case value == nil:
			value = &yaml.Node{Kind: yaml.MappingNode}
			d.origins[value] = name
			at.Content = append(at.Content, d.scalar(name, key, true), value)
		case value.Kind == yaml.ScalarNode && isNull(value):
			*value = yaml.Node{Kind: yaml.MappingNode, Line: value.Line, Column: value.Column}
		case value.Kind == yaml.ScalarNode && key == "store": // the short form of { url: ... }
			url := *value
			if origin, ok := d.origins[value]; ok {
				d.origins[&url] = origin
			}
			*value = yaml.Node{Kind: yaml.MappingNode, Line: value.Line, Column: value.Column, Content: []*yaml.Node{d.scalar(name, "url", true), &url}}
		case value.Kind != yaml.MappingNode:
			return // decoding the file reports it
		}
		at = value
	}
}

// adopt notes that the node and all below it come from the variable.
func (d *document) adopt(n *yaml.Node, name string) {
	d.origins[n] = name
	for _, c := range n.Content {
		d.adopt(c, name)
	}
}

func child(n *yaml.Node, key string) *yaml.Node {
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == key {
			return n.Content[i+1]
		}
	}
	return nil
}

func (d *document) fromText(name string, v variable, text string) *yaml.Node {
	if !v.list {
		return d.scalar(name, text, v.text)
	}
	n := &yaml.Node{Kind: yaml.SequenceNode}
	d.origins[n] = name
	for part := range strings.SplitSeq(text, ",") {
		if part = strings.TrimSpace(part); part != "" {
			n.Content = append(n.Content, d.scalar(name, part, true))
		}
	}
	return n
}

// scalar makes a node as YAML would read the text; asText: without guessing.
func (d *document) scalar(name, text string, asText bool) *yaml.Node {
	n := &yaml.Node{Kind: yaml.ScalarNode, Tag: tagText, Value: text}
	if !asText {
		switch lower := strings.ToLower(text); {
		case lower == "true", lower == "false":
			n.Tag = tagBool
		case text != "" && strings.Trim(text, "-0123456789") == "":
			n.Tag = tagInt
		}
	}
	d.origins[n] = name
	return n
}
