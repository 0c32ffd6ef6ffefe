package matrix

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
)

func restMethod(q *ask) string {
	switch q.action {
	case doRead:
		return http.MethodGet
	case doUpdate:
		return http.MethodPatch
	case doDelete:
		return http.MethodDelete
	case doCreate:
		if q.put {
			return http.MethodPut
		}
	}
	return http.MethodPost
}

// restPut says an ask in PostgREST's grammar.
func restPut(n *node, o *oracle, e *entity, q *ask) (*reply, error) {
	v := url.Values{}
	var columns []string
	columns = append(columns, q.fields...)
	for _, g := range q.groups {
		columns = append(columns, strings.TrimPrefix(g.field+"."+g.fn+"()", "."))
	}
	for _, x := range q.embeds {
		inner := ""
		if x.inner {
			inner = "!inner"
		}
		columns = append(columns, x.relation+inner+"("+strings.Join(x.fields, ",")+")")
		for _, w := range x.where {
			v.Add(x.relation+"."+w.field, w.text())
		}
	}
	if len(columns) > 0 {
		v.Set("select", strings.Join(columns, ","))
	}
	for _, w := range q.where {
		v.Add(w.field, w.text())
	}
	if by, down := strings.CutPrefix(q.by, "-"); down {
		v.Set("order", by+".desc,id.asc")
	} else if q.by != "" {
		v.Set("order", q.by+".asc,id.asc")
	}
	if q.limit > 0 {
		v.Set("limit", itoa(q.limit))
	}
	h := http.Header{}
	if e.builtin { // its names are the application's to give away
		h.Set("Accept-Profile", e.module)
		h.Set("Content-Profile", e.module)
	}
	var prefer []string
	if q.count {
		prefer = append(prefer, "count=exact")
	}
	if q.returns {
		prefer = append(prefer, "return=representation")
	}
	switch {
	case q.put:
		v.Set("id", fmt.Sprintf("eq.%v", q.rows[0]["id"]))
	case q.merge:
		prefer = append(prefer, "resolution=merge-duplicates")
	case q.ignore:
		prefer = append(prefer, "resolution=ignore-duplicates")
	}
	if q.key != "" {
		v.Set("on_conflict", q.key)
	}
	if len(prefer) > 0 {
		h.Set("Prefer", strings.Join(prefer, ", "))
	}
	if q.ifMatch != "" {
		h.Set("If-Match", q.ifMatch)
	}
	return n.send(o.who, restMethod(q), "/rest/v1/"+e.name+"?"+v.Encode(), restBody(q), h)
}

// text is a condition's operator and value.
func (c cond) text() string {
	switch c.op {
	case "null":
		return "is.null"
	case "set":
		return "not.is.null"
	}
	return fmt.Sprintf("%s.%v", c.op, c.value)
}

// restBody is one object, or an array of them.
func restBody(q *ask) []byte {
	if q.action != doCreate && q.action != doUpdate {
		return nil
	}
	var list []map[string]any
	for _, r := range q.rows {
		m := map[string]any{}
		for _, name := range q.columns {
			m[name] = r[name]
		}
		list = append(list, m)
	}
	var body []byte
	var err error
	if len(list) == 1 {
		body, err = json.Marshal(list[0])
	} else {
		body, err = json.Marshal(list)
	}
	if err != nil {
		panic(err)
	}
	return body
}

// restStatus is the status of a fault's code; the anonymous are told to sign
// in where others are told no.
func restStatus(c *caller, code string) int {
	switch code {
	case forbidden:
		if c.role == anonRole {
			return http.StatusUnauthorized
		}
		return http.StatusForbidden
	case duplicate, referred:
		return http.StatusConflict
	case changed:
		return http.StatusPreconditionFailed
	case missingCredential, invalidCredential:
		return http.StatusUnauthorized
	}
	return http.StatusBadRequest
}

// restSuccess is the status of what was done.
func restSuccess(q *ask, res *result) int {
	switch q.action {
	case doRead:
		if res.total > len(res.rows) {
			return http.StatusPartialContent
		}
		return http.StatusOK
	case doCreate:
		switch {
		case res.inserted, q.ignore:
			return http.StatusCreated
		case q.put && !q.returns:
			return http.StatusNoContent
		}
		return http.StatusOK
	case doUpdate, doDelete:
		if q.returns {
			return http.StatusOK
		}
	}
	return http.StatusNoContent
}

func restCompare(o *oracle, _ *entity, q *ask, res *result, got *reply) string {
	if res.code != "" {
		var p struct{ Code string }
		err := json.Unmarshal(got.body, &p)
		if err != nil || p.Code != res.code || got.status != restStatus(o.who, res.code) {
			return fmt.Sprintf("%d %s", restStatus(o.who, res.code), res.code)
		}
		return ""
	}
	if want := restSuccess(q, res); got.status != want {
		return fmt.Sprintf("%d", want)
	}
	if res.total >= 0 {
		want := fmt.Sprintf("0-%d/%d", len(res.rows)-1, res.total)
		if len(res.rows) == 0 {
			want = fmt.Sprintf("*/%d", res.total)
		}
		if have := got.header.Get("Content-Range"); have != want {
			return "Content-Range: " + want + ", not " + have
		}
	}
	if res.rows == nil {
		if len(got.body) > 0 {
			return "no body"
		}
		return ""
	}
	if !sameRows(res.rows, got.body, res.ordered) {
		text, err := json.Marshal(res.rows)
		if err != nil {
			panic(err)
		}
		return string(text)
	}
	return ""
}
