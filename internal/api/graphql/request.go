package graphql

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strings"
	"unicode/utf8"

	"github.com/pandobase/pando/internal/api/position"
	"github.com/pandobase/pando/internal/engine"
	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/query"
)

// asked is what a request asks for.
type asked struct {
	operations []operation
	batch      bool // they came as a list, and are answered as one
	idem       *engine.Idempotency
}

// operation is one operation as the client names it.
type operation struct {
	query      string
	name       string
	documentID string
	hash       string // of extensions.persistedQuery; empty: there is none
	variables  map[string]any
}

// read reads the operations of a request.
func (d *door) read(w http.ResponseWriter, r *http.Request) (*asked, error) {
	if r.Method == http.MethodGet {
		o, err := parameters(r.URL.RawQuery)
		return &asked{operations: []operation{o}}, err
	}
	if err := checkContentType(r.Header["Content-Type"]); err != nil {
		return nil, err
	}
	limit := d.app.Config.Limits.Body
	from := http.MaxBytesReader(w, r.Body, limit)
	var body []byte
	var err error
	if n := r.ContentLength; n >= 0 && n <= limit {
		body = make([]byte, n)
		_, err = io.ReadFull(from, body)
	} else {
		body, err = io.ReadAll(from)
	}
	if err != nil {
		if big := new(http.MaxBytesError); errors.As(err, &big) {
			return nil, fault.New(fault.BodyTooLarge, "the body is larger than %d bytes", big.Limit).WithHint("limits.body of pando.yaml bounds it")
		}
		return nil, err // a fault of the edge
	}
	if !utf8.Valid(body) {
		return nil, fault.New(fault.InvalidBody, "the body is not UTF-8")
	}
	out := &asked{batch: bytes.HasPrefix(bytes.TrimLeft(body, " \t\r\n"), []byte("["))}
	if out.operations, err = d.decode(body, out.batch); err != nil {
		return nil, err
	}
	out.idem, err = idempotency(r, body)
	return out, err
}

// checkContentType lets JSON through. A page of another origin cannot send that
// without being asked for first (CORS), which the types of forms do not do.
func checkContentType(given []string) error {
	if len(given) == 1 && given[0] == "application/json" {
		return nil
	}
	f := fault.New(fault.UnsupportedMediaType, "a request's body is application/json").WithHint("send 'Content-Type: application/json'")
	if len(given) != 1 {
		return f
	}
	kind, params, err := mime.ParseMediaType(given[0])
	if err != nil || kind != "application/json" {
		return f.WithDetails("Content-Type is %s", short(given[0]))
	}
	if charset := params["charset"]; charset != "" && !strings.EqualFold(charset, "utf-8") {
		return f.WithDetails("the charset is %s", short(charset)).WithHint("JSON is UTF-8")
	}
	return nil
}

// decode reads the body of a POST.
func (d *door) decode(body []byte, batch bool) ([]operation, error) {
	if !batch {
		var raw any
		if err := decodeJSON(body, &raw); err != nil {
			return nil, err
		}
		o, err := operationOf(raw)
		return []operation{o}, err
	}
	var list []any
	if err := decodeJSON(body, &list); err != nil {
		return nil, err
	}
	switch {
	case len(list) == 0:
		return nil, fault.New(fault.BadRequest, "the list of operations is empty")
	case len(list) > d.limits.Batch:
		return nil, fault.New(fault.LimitExceeded, "a request has %d operations at most, and this one %d", d.limits.Batch, len(list)).
			WithHint("send them in parts, or raise api.graphql.batch in pando.yaml")
	}
	out := make([]operation, len(list))
	for i, raw := range list {
		var err error
		if out[i], err = operationOf(raw); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// decodeJSON decodes a whole text, numbers as they are written.
func decodeJSON(text []byte, to any) error {
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.UseNumber()
	err := dec.Decode(to)
	if err == nil {
		if _, err = dec.Token(); errors.Is(err, io.EOF) {
			return nil
		}
		err = errors.New("there is more behind its end")
	}
	return fault.New(fault.InvalidBody, "this is not valid JSON").WithDetails("%s", short(err.Error()))
}

// operationOf reads the members of a request. Those that the specification does
// not know mean nothing.
func operationOf(raw any) (operation, error) {
	var o operation
	members, ok := raw.(map[string]any)
	if !ok {
		return o, fault.New(fault.BadRequest, "a request is an object with the member query")
	}
	var err error
	text := func(name string) string {
		s, ok := members[name].(string)
		if !ok && members[name] != nil && err == nil {
			err = fault.New(fault.BadRequest, "the parameter %s is a text", name)
		}
		return s
	}
	object := func(name string) map[string]any {
		m, ok := members[name].(map[string]any)
		if !ok && members[name] != nil && err == nil {
			err = fault.New(fault.BadRequest, "the parameter %s is an object", name)
		}
		return m
	}
	o.query, o.name, o.documentID, o.variables = text("query"), text("operationName"), text("documentId"), object("variables")
	persisted, given := object("extensions")["persistedQuery"]
	if err != nil {
		return o, err
	}
	if given && persisted != nil {
		if o.hash, err = persistedHash(persisted); err != nil {
			return o, err
		}
	}
	if o.query == "" && o.hash == "" && o.documentID == "" {
		return o, fault.New(fault.BadRequest, "the request has no document").WithHint("send the member query, or the documentId of one that is stored here")
	}
	return o, nil
}

// persistedHash reads the extension persistedQuery, as Apollo's clients send it.
func persistedHash(raw any) (string, error) {
	m, _ := raw.(map[string]any)
	version, _ := m["version"].(json.Number)
	hash, _ := m["sha256Hash"].(string)
	if version != "1" {
		return "", fault.New(fault.GraphQLNotPersisted, "the version of persistedQuery is 1")
	}
	if !isHash(hash) {
		return "", fault.New(fault.BadRequest, "persistedQuery.sha256Hash is a SHA-256 hash of 64 hexadecimal digits")
	}
	return strings.ToLower(hash), nil
}

// isHash reports whether a text is a SHA-256 hash in hexadecimal digits.
func isHash(s string) bool {
	return len(s) == 2*sha256.Size && strings.Trim(strings.ToLower(s), "0123456789abcdef") == ""
}

// parameters reads the query string of a GET.
func parameters(raw string) (operation, error) {
	q, err := url.ParseQuery(raw)
	if err != nil || !utf8.ValidString(raw) {
		return operation{}, fault.New(fault.BadRequest, "the query string is malformed")
	}
	members := map[string]any{}
	for _, name := range []string{"query", "operationName", "documentId", "variables", "extensions"} {
		vals := q[name]
		switch {
		case len(vals) > 1:
			return operation{}, fault.New(fault.BadRequest, "the parameter %s is given twice", name)
		case len(vals) == 0 || vals[0] == "":
		case name == "variables" || name == "extensions":
			var val any
			if err := decodeJSON([]byte(vals[0]), &val); err != nil {
				return operation{}, fault.New(fault.BadRequest, "the parameter %s is not valid JSON", name)
			}
			members[name] = val
		case !utf8.ValidString(vals[0]):
			return operation{}, fault.New(fault.BadRequest, "the parameter %s is not UTF-8", name)
		default:
			members[name] = vals[0]
		}
	}
	return operationOf(members)
}

// readOptions are how old the rows of a query may be: as the preference
// consistency says, and never older than a position that the client knows.
func readOptions(r *http.Request) engine.ReadOptions {
	out := engine.ReadOptions{After: position.Of(r)}
	for _, h := range r.Header["Prefer"] {
		for part := range strings.SplitSeq(h, ",") {
			switch strings.TrimSpace(part) {
			case "consistency=strong":
				out.Consistency = query.Strong
			case "consistency=eventual":
				out.Consistency = query.Eventual
			}
		}
	}
	return out
}

const longestIdempotencyKey = 255

// idempotency reads the header Idempotency-Key of a request with a body.
func idempotency(r *http.Request, body []byte) (*engine.Idempotency, error) {
	keys := r.Header["Idempotency-Key"]
	if keys == nil {
		return nil, nil
	}
	if len(keys) > 1 || keys[0] == "" || len(keys[0]) > longestIdempotencyKey {
		return nil, fault.New(fault.BadRequest, "Idempotency-Key must be one text of 1 to %d bytes", longestIdempotencyKey).
			WithHint("a random UUID is a good one")
	}
	return &engine.Idempotency{Key: keys[0], Method: r.Method, Path: r.URL.Path, Digest: sha256.Sum256(body)}, nil
}
