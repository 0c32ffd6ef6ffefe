package model

import (
	"bytes"
	"encoding/json"
	"slices"
)

// schema is the part of JSON Schema 2020-12 that the language needs. Its
// fields are written in this order.
type schema struct {
	Dialect              string             `json:"$schema,omitempty"`
	Title                string             `json:"title,omitempty"`
	Description          string             `json:"description,omitempty"`
	Ref                  string             `json:"$ref,omitempty"`
	Type                 any                `json:"type,omitempty"` // string or []string
	AnyOf                []*schema          `json:"anyOf,omitempty"`
	Enum                 []string           `json:"enum,omitempty"`
	Pattern              string             `json:"pattern,omitempty"`
	MinLength            *int               `json:"minLength,omitempty"`
	Minimum              *int64             `json:"minimum,omitempty"`
	Maximum              *int64             `json:"maximum,omitempty"`
	Items                *schema            `json:"items,omitempty"`
	MinItems             *int               `json:"minItems,omitempty"`
	Required             []string           `json:"required,omitempty"`
	Properties           map[string]*schema `json:"properties,omitempty"`
	PropertyNames        *schema            `json:"propertyNames,omitempty"`
	AdditionalProperties any                `json:"additionalProperties,omitempty"` // false or *schema
	Default              any                `json:"default,omitempty"`
	Examples             []any              `json:"examples,omitempty"`
	Defs                 map[string]*schema `json:"$defs,omitempty"`
}

// allows reports whether the schema's own type admits the JSON type.
func (s *schema) allows(name string) bool {
	switch t := s.Type.(type) {
	case string:
		return t == name
	case []string:
		return slices.Contains(t, name)
	}
	return slices.ContainsFunc(s.AnyOf, func(a *schema) bool { return a.allows(name) })
}

// Schema returns the JSON Schemas (2020-12) of pando.yaml and of a file of
// modules/. They are made from the tables that the parser reads by, and are
// the same bytes at each call of one build.
func Schema() (config, module []byte) {
	g := newGrammar()
	c := *g.config.schema
	c.Dialect, c.Title = dialect, "pando.yaml"
	c.Description = "A Pando application: the dependencies' URLs, identity, limits. Every key has a default."
	m := *g.module.schema
	m.Dialect, m.Title = dialect, "modules/*.yaml"
	m.Description = "One bounded context of a Pando application: its entities and what is done with them."
	m.Defs = g.definitions
	return encodeSchema(&c), encodeSchema(&m)
}

const dialect = "https://json-schema.org/draft/2020-12/schema"

func encodeSchema(s *schema) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(s); err != nil {
		panic(err) // a schema holds only strings, numbers and maps of them
	}
	return b.Bytes()
}
