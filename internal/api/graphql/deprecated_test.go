package graphql

import (
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
