package matrix

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/protobuf/proto"
)

// The codes that only this door has for what the oracle knows.
const (
	noSuchRow     = "not_found"
	noSuchMethod  = "PGRST202"
	notTheMessage = "PGRST102"
)

// rpcSays: rows are changed by their keys, and there is no upsert, embed or
// aggregate.
func rpcSays(e *entity, q *ask) bool {
	switch {
	case q.embeds != nil, q.groups != nil, q.merge, q.ignore, q.put, q.ifMatch != "":
		return false
	case q.action == doUpdate, q.action == doDelete:
		return !e.builtin && q.key1() != nil
	}
	return true
}

func connectSays(e *entity, q *ask) bool { return rpcSays(e, q) }

// key1 is the key of an ask about one row; nil: it is about others.
func (q *ask) key1() any {
	if len(q.where) == 1 && q.where[0].field == "id" && q.where[0].op == "eq" {
		return q.where[0].value
	}
	return nil
}

// connectMethod: Connect reads with GET.
func connectMethod(q *ask) string {
	if q.action == doRead {
		return http.MethodGet
	}
	return http.MethodPost
}

// pascal is a name as protobuf has it: an underscore that no letter follows
// stays.
func pascal(name string) string {
	var b strings.Builder
	up := true
	for i, c := range name {
		switch {
		case c == '_' && i+1 < len(name) && name[i+1] >= 'a':
			up = true
			continue
		case up:
			b.WriteString(strings.ToUpper(string(c)))
		default:
			b.WriteRune(c)
		}
		up = false
	}
	return b.String()
}

// camel is a name as paths of masks have it in JSON.
func camel(name string) string {
	out := pascal(name)
	return strings.ToLower(out[:1]) + out[1:]
}

// rpcCall is a call of a method.
type rpcCall struct {
	service, method string
	in              map[string]any // protobuf's JSON
	rows            string         // the member of the answer that has the rows; empty: it is the row
}

func (c *rpcCall) path() string { return "/" + c.service + "/" + c.method }

// rpcMessage says an ask as a call.
func rpcMessage(e *entity, q *ask) *rpcCall {
	c := &rpcCall{service: "pando.app." + e.module + ".v1." + pascal(e.module) + "Service", in: map[string]any{}}
	name := pascal(e.name)
	switch q.action {
	case doRead:
		if q.key1() != nil && !q.count && q.by == "" && q.limit == 0 {
			c.method, c.in["id"] = "Get"+name, q.key1()
		} else {
			c.method, c.rows = "List"+name, "rows"
			rpcQuery(c.in, q)
		}
		if q.fields != nil {
			c.in["read_mask"] = rpcMask(q.fields)
		}
	case doCreate:
		c.method = "Create" + name
		if len(q.rows) == 1 {
			c.in = rpcRow(q, q.rows[0], "create_mask")
			break
		}
		c.method, c.rows = "Batch"+name, "rows"
		var changes []any
		for _, r := range q.rows {
			changes = append(changes, map[string]any{"create": rpcRow(q, r, "create_mask")})
		}
		c.in["changes"] = changes
	case doUpdate:
		c.method = "Update" + name
		c.in = rpcRow(q, q.rows[0], "update_mask")
		c.in["row"].(map[string]any)["id"] = q.key1() //nolint:forcetypeassert // rpcRow has made it
	case doDelete:
		c.method, c.in["id"] = "Delete"+name, q.key1()
	}
	return c
}

func rpcMask(names []string) string {
	var out []string
	for _, name := range names {
		out = append(out, camel(name))
	}
	return strings.Join(out, ",")
}

// rpcQuery says which rows are read.
func rpcQuery(in map[string]any, q *ask) {
	filter := map[string]any{}
	for _, w := range q.where {
		switch w.op {
		case "null":
			filter[w.field] = map[string]any{"is": "IS_NULL"}
		case "set":
			filter[w.field] = map[string]any{"is": "IS_NOT_NULL"}
		default:
			filter[w.field] = map[string]any{w.op: rpcValue(w.field, w.value)}
		}
	}
	if len(filter) > 0 {
		in["filter"] = filter
	}
	if by, down := strings.CutPrefix(q.by, "-"); down {
		in["order_by"] = by + " desc, id"
	} else if q.by != "" {
		in["order_by"] = q.by + ", id"
	}
	if q.limit > 0 {
		in["page_size"] = q.limit
	}
	if q.count {
		in["count"] = true
	}
}

// rpcRow is a row that is written. A mask says what is null.
func rpcRow(q *ask, r row, mask string) map[string]any {
	out, null := map[string]any{}, false
	for _, name := range q.columns {
		if r[name] == nil {
			null = true
			continue
		}
		out[name] = rpcValue(name, r[name])
	}
	in := map[string]any{"row": out}
	if null {
		in[mask] = rpcMask(q.columns)
	}
	return in
}

// rpcValue is a value as protobuf's JSON has it.
func rpcValue(name string, v any) any {
	switch v := v.(type) {
	case int:
		return itoa(v)
	case string:
		switch name {
		case "status":
			return "STATUS_" + strings.ToUpper(v)
		case "until":
			return strings.TrimSuffix(v, "+00:00") + "Z"
		}
	}
	return v
}

// connectPut calls a method with Connect's JSON: reads in an URL.
func connectPut(n *node, o *oracle, e *entity, q *ask) (*reply, error) {
	c := rpcMessage(e, q)
	in, err := json.Marshal(c.in)
	if err != nil {
		return nil, err
	}
	var got *reply
	if connectMethod(q) == http.MethodGet {
		got, err = n.send(o.who, http.MethodGet, c.path()+"?"+url.Values{"connect": {"v1"}, "encoding": {"json"}, "message": {string(in)}}.Encode(), nil, nil)
	} else {
		got, err = n.send(o.who, http.MethodPost, c.path(), in, http.Header{"Connect-Protocol-Version": {"1"}})
	}
	return got, err
}

// rpcFault is the canonical code and Pando's of an answer of Connect's.
func rpcFault(body []byte) (string, error) {
	var e struct {
		Code    string
		Details []struct{ Type, Value string }
	}
	if err := json.Unmarshal(body, &e); err != nil {
		return "", fmt.Errorf("%s: %w", body, err)
	}
	for _, d := range e.Details {
		if d.Type != "google.rpc.ErrorInfo" {
			continue
		}
		raw, err := base64.RawStdEncoding.DecodeString(d.Value)
		if err != nil {
			return "", err
		}
		var info errdetails.ErrorInfo
		if err := proto.Unmarshal(raw, &info); err != nil {
			return "", err
		}
		return e.Code + " " + info.GetReason(), nil
	}
	return e.Code, nil
}

// rpcCanonical is the canonical code of a fault's.
func rpcCanonical(c *caller, code string) string {
	switch code {
	case forbidden:
		if c.role == anonRole {
			return "unauthenticated"
		}
		return "permission_denied"
	case duplicate:
		return "already_exists"
	case referred:
		return "failed_precondition"
	case missingCredential, invalidCredential:
		return "unauthenticated"
	case noSuchRow:
		return "not_found"
	case noSuchMethod:
		return "unimplemented"
	}
	return "invalid_argument"
}

// rpcExpect: a row that was written is answered to who may read rows at all, and
// one that is not there is a fault.
func rpcExpect(o *oracle, e *entity, q *ask) result {
	hidden := func(name string) bool { return name != "" && e.field(strings.TrimPrefix(name, "-")).hidden }
	switch {
	case e.builtin && q.action != doRead:
		return o.refused(noSuchMethod, "identity's tables have no such methods")
	case slices.ContainsFunc(q.where, func(w cond) bool { return hidden(w.field) }):
		return o.refused(notTheMessage, "no filter has it")
	case hidden(q.by), slices.ContainsFunc(q.fields, hidden):
		return o.refused(noSuchField, "it is hidden from everybody")
	}
	more := *q
	_, _, shut := o.rule(e, toRead)
	more.returns = (q.action == doCreate || q.action == doUpdate) && !shut
	res := o.answer(e, &more)
	if res.code == "" && (q.action == doRead && rpcMessage(e, q).rows == "" && len(res.rows) == 0 || (q.action == doUpdate || q.action == doDelete) && res.affected == 0) {
		return o.refused(noSuchRow, "there is no such row for the caller")
	}
	return res
}

func rpcCompare(o *oracle, e *entity, q *ask, res *result, got *reply) string {
	if res.code != "" {
		want := rpcCanonical(o.who, res.code) + " " + res.code
		if have, err := rpcFault(got.body); err != nil || have != want {
			return want + ", not " + have
		}
		return ""
	}
	if got.status != http.StatusOK {
		return "200"
	}
	var out map[string]any
	if err := json.Unmarshal(got.body, &out); err != nil {
		return "JSON: " + err.Error()
	}
	if res.total >= 0 {
		if want := itoa(res.total); out["total_size"] != want {
			return fmt.Sprintf("total_size %s, not %v", want, out["total_size"])
		}
	}
	want := rpcRows(o, e, q, res)
	have := []any{out}
	if rpcMessage(e, q).rows != "" {
		have, _ = out["rows"].([]any)
		if have == nil {
			have = []any{}
		}
	}
	text, err := json.Marshal(have)
	if err != nil {
		return err.Error()
	}
	if sameRows(want, text, true) {
		return ""
	}
	if text, err = json.Marshal(want); err != nil {
		return err.Error()
	}
	return string(text)
}

// rpcRows are the rows of an answer.
func rpcRows(o *oracle, e *entity, q *ask, res *result) []any {
	show := func(r map[string]any) map[string]any {
		out := map[string]any{}
		for name, v := range r {
			if v != nil {
				out[name] = rpcValue(name, v)
			}
		}
		return out
	}
	readable := map[any]map[string]any{}
	list := []any{}
	for _, r := range res.rows {
		r := r.(map[string]any) //nolint:forcetypeassert // the oracle's rows are such
		list = append(list, show(r))
		readable[r["id"]] = r
	}
	var keys []any
	switch q.action {
	case doRead:
		return list
	case doDelete:
		return []any{map[string]any{}}
	case doUpdate:
		keys = append(keys, q.key1())
	case doCreate:
		for _, r := range q.rows {
			keys = append(keys, r["id"])
		}
	}
	list = []any{}
	_, _, shut := o.rule(e, toRead)
	for _, key := range keys {
		r := readable[key]
		if r == nil && !shut { // of a row that may not be read, the key
			r = map[string]any{"id": key}
		}
		list = append(list, show(r))
	}
	return list
}
