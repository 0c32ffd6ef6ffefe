package graphql

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/pandobase/pando/internal/fault"
)

// TestDeprecated: who names what is deprecated is told so, and who names what is
// gone hears what to use.
func TestDeprecated(t *testing.T) {
	w := newWorldOf(t, map[string]string{"modules/m.yaml": `
module: m
entities:
  things:
    fields:
      name: { type: text }
      nick: { type: text, optional: true, deprecated: { since: "2026-01-02", sunset: "2999-01-31", use: name } }
      fax:  { type: text, optional: true, deprecated: { since: "2020-01-01", sunset: "2021-01-01", use: name } }
    policy: { read: "true", create: "true", update: "true" }
operations:
  old: { reads: true, run: go, allow: "true", deprecated: { since: v1, sunset: "2020-01-01", use: new } }
`})
	for _, c := range []struct{ doc, deprecation, gone string }{
		{`{ m_things { nodes { name } } }`, "", ""},
		{`{ m_things { nodes { nick } } }`, "@1767312000", ""},
		{`{ m_things(where: { nick: { eq: "x" } }) { totalCount } }`, "@1767312000", ""},
		{`{ m_things(orderBy: { nick: ASC }) { totalCount } }`, "@1767312000", ""},
		{`{ m_things { aggregate { max { nick } } } }`, "@1767312000", ""},
		{`{ m_things { groups { key { nick } } } }`, "@1767312000", ""},
		{`mutation { m_thingsInsert(objects: { name: "a", nick: "b" }) { affectedRows } }`, "@1767312000", ""},
		{`mutation { m_thingsUpdate(where: { name: { eq: "a" } }, set: { nick: "b" }) { affectedRows } }`, "@1767312000", ""},
		{`{ m_things { nodes { fax } } }`, "", "m.things.fax is gone"},
		{`{ m_old }`, "", "m.old is gone"},
	} {
		head := http.Header{}
		data, errs := w.tryWith(anon(), c.doc, head)
		if c.gone != "" {
			if len(errs) != 1 || errs[0].Message != c.gone || errs[0].Extensions["code"] != string(fault.Gone) || !strings.HasPrefix(errs[0].Extensions["hint"].(string), "use ") {
				t.Errorf("%s: %s %+v", c.doc, data, errs)
			}
			continue
		}
		if len(errs) > 0 {
			t.Errorf("%s: %s", c.doc, errs[0].Message)
		}
		if got := head.Get("Deprecation"); got != c.deprecation || (got == "") != (head.Get("Sunset") == "") || (got == "") != (head.Get("Link") == "") {
			t.Errorf("%s: %v", c.doc, head)
		}
	}
}

// TestVersions: each version has its own names, in what is asked, answered and
// said of errors.
func TestVersions(t *testing.T) {
	w := newWorldOf(t, map[string]string{
		"pando.yaml": "app: m\nversions: [v1, v2]\n",
		"modules/m.yaml": `
module: m
entities:
  people:
    was: persons
    since: v2
    fields:
      full_name: { type: text, was: name, since: v2 }
      nick:      { type: text, optional: true, since: v2 }
    unique: [[full_name]]
    policy: { read: "true", create: "true", update: "true", delete: "true" }
  notes:
    fields: { person_id: { ref: people, on_delete: cascade }, text: { type: text } }
    policy: { read: "true", create: "true" }
`,
	})
	w.answers(service(), `mutation { m_peopleInsertOne(object: { full_name: "ann", nick: "a", notes: { text: "n" } }) { __typename full_name nick notes { nodes { person { full_name } } } } }`,
		`{"m_peopleInsertOne":{"__typename":"m_people","full_name":"ann","nick":"a","notes":{"nodes":[{"person":{"full_name":"ann"}}]}}}`)
	w.view = w.door.app.View("v1")
	w.answers(service(), `{ m_persons(where: { name: { eq: "ann" } }, orderBy: { name: ASC }) { nodes { __typename name notes { nodes { person { name } } } } groups { key { name } } } }`,
		`{"m_persons":{"nodes":[{"__typename":"m_persons","name":"ann","notes":{"nodes":[{"person":{"name":"ann"}}]}}],"groups":[{"key":{"name":"ann"}}]}}`)
	for _, doc := range []string{`{ m_people { totalCount } }`, `{ m_persons { nodes { full_name } } }`, `{ m_persons { nodes { nick } } }`} {
		w.refuses(service(), doc, "", "Cannot query field")
	}
	for _, doc := range []string{`mutation { m_personsInsertOne(object: { name: "ann" }) { name } }`, `mutation { m_personsInsertOne(object: {}) { name } }`} {
		_, errs := w.try(service(), doc)
		if len(errs) == 0 {
			t.Fatalf("%s is answered", doc)
		}
		if told := fmt.Sprint(errs[0].Message, errs[0].Extensions); strings.Contains(told, "full_name") || strings.Contains(told, "people") || !strings.Contains(told, "name") {
			t.Errorf("%s: %s", doc, told)
		}
	}
}
