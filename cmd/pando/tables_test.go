package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/model"
)

// TestTables holds the tables in docs/ that the code knows better: they stand
// between <!-- table: NAME --> and <!-- end of table -->. With
// PANDO_TEST_UPDATE=1 they are written.
func TestTables(t *testing.T) {
	config, module := model.Schema()
	for name, c := range map[string]struct{ page, table string }{
		"codes":   {"rest.md", codeTable(fault.Codes())},
		"graphql": {"graphql.md", codeTable(fault.GraphQLCodes())},
		"config":  {"application.md", keyTable(t, config)},
		"module":  {"application.md", keyTable(t, module)},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join("..", "..", "docs", c.page)
			data, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			from, to := "<!-- table: "+name+" -->\n\n", "\n<!-- end of table -->"
			head, rest, ok := strings.Cut(string(data), from)
			table, tail, closed := strings.Cut(rest, to)
			if !ok || !closed {
				t.Fatalf("%s has no %q", path, from)
			}
			if table == c.table {
				return
			}
			if os.Getenv("PANDO_TEST_UPDATE") == "" {
				t.Fatalf("the table %s in %s is out of date; PANDO_TEST_UPDATE=1 writes it:\n%s", name, path, c.table)
			}
			if err := os.WriteFile(path, []byte(head+from+c.table+to+tail), 0o600); err != nil {
				t.Fatal(err)
			}
		})
	}
}

func codeTable(codes []fault.Code) string {
	slices.SortFunc(codes, func(a, b fault.Code) int { return strings.Compare(rank(a), rank(b)) })
	var b strings.Builder
	b.WriteString("| code | status | meaning |\n|---|---|---|\n")
	for _, c := range codes {
		fmt.Fprintf(&b, "| `%s` | %d | %s |\n", c, c.Status(), c.Title())
	}
	return b.String()
}

// rank orders PostgREST's codes before the SQLSTATEs, and those before Pando's.
func rank(c fault.Code) string {
	switch {
	case strings.HasPrefix(string(c), "PGRST"):
		return "1" + string(c)
	case len(c) == 5:
		return "2" + string(c)
	}
	return "3" + string(c)
}

// schema is what a table needs of a JSON Schema.
type schema struct {
	Ref         string             `json:"$ref"`
	Description string             `json:"description"`
	Default     json.RawMessage    `json:"default"`
	Enum        []any              `json:"enum"`
	Required    []string           `json:"required"`
	Properties  map[string]*schema `json:"properties"`
	Additional  json.RawMessage    `json:"additionalProperties"`
	AnyOf       []*schema          `json:"anyOf"`
	Defs        map[string]*schema `json:"$defs"`
}

// keyTable lists every key of a file, those below a name of the application's
// choice as entities.*.fields.
func keyTable(t *testing.T, text []byte) string {
	t.Helper()
	root := &schema{}
	if err := json.Unmarshal(text, root); err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	b.WriteString("| key | meaning | default |\n|---|---|---|\n")
	root.rows(&b, root, "", map[string]bool{})
	return b.String()
}

// rows writes the keys of s below path; open holds the definitions on the way,
// of which some hold themselves.
func (s *schema) rows(b *strings.Builder, root *schema, path string, open map[string]bool) {
	if s.Ref != "" {
		if open[s.Ref] {
			return
		}
		open[s.Ref] = true
		defer delete(open, s.Ref)
		root.Defs[strings.TrimPrefix(s.Ref, "#/$defs/")].rows(b, root, path, open)
	}
	for _, a := range s.AnyOf {
		a.rows(b, root, path, open)
	}
	named := &schema{}
	if json.Unmarshal(s.Additional, named) == nil { // else it is false, or absent
		named.rows(b, root, path+"*.", open)
	}
	for _, key := range slices.Sorted(maps.Keys(s.Properties)) {
		p := s.Properties[key]
		fallback := ""
		switch {
		case p.Default != nil:
			var flat bytes.Buffer
			if err := json.Compact(&flat, p.Default); err == nil {
				fallback = "`" + flat.String() + "`"
			}
		case slices.Contains(s.Required, key):
			fallback = "required"
		}
		meaning := p.Description
		if len(p.Enum) > 0 {
			words := make([]string, len(p.Enum))
			for i, w := range p.Enum {
				words[i] = fmt.Sprint(w)
			}
			meaning += " One of " + strings.Join(words, ", ") + "."
		}
		fmt.Fprintf(b, "| `%s` | %s | %s |\n", path+key, strings.ReplaceAll(meaning, "|", "\\|"), fallback)
		p.rows(b, root, path+key+".", open)
	}
}
