package rest

import (
	"crypto/sha256"
	"encoding/binary"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/pandobase/pando/internal/api/position"
	"github.com/pandobase/pando/internal/engine"
	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/query"
	"github.com/pandobase/pando/internal/value"
)

// write answers POST, PUT, PATCH and DELETE: build makes the query of it and
// says how its answer looks.
func (q *request) write(build func(body string) (*query.Write, outcome, error)) error {
	if err := q.prepare(); err != nil {
		return err
	}
	if q.params.cursor != "" {
		return misplaced("cursor", q.r.Method, "GET")
	}
	if q.prefer.age != ageUnset {
		if err := q.prefer.refuse("consistency"); err != nil {
			return err
		}
	}
	if q.r.Header["If-None-Match"] != nil {
		return fault.New(fault.NotImplemented, "If-None-Match is not supported with %s", q.r.Method).
			WithHint("POST without Prefer: resolution creates a row only where there is none")
	}
	body := ""
	if q.r.Method != http.MethodDelete {
		var err error
		if body, err = readBody(q.w, q.r, q.body); err != nil {
			return err
		}
	}
	idem, err := q.idempotency(body)
	if err != nil {
		return err
	}
	wr, out, err := build(body)
	if err != nil {
		return err
	}
	if err := q.told(); err != nil {
		return err
	}
	q.complete(wr)
	res, err := q.engine.Write(q.r.Context(), q.id, wr, idem)
	if err != nil {
		return err
	}
	defer res.Release()
	return q.answerWrite(res, out)
}

// complete sets what every write has.
func (q *request) complete(wr *query.Write) {
	wr.Target = q.target
	wr.Format = q.rep.format()
	wr.Count = q.prefer.count
	wr.Singular = q.rep.media == mediaObject
	node := &q.params.node
	if q.prefer.answer == answerRows {
		wr.Returning = &query.Node{Select: node.Select, Order: node.Order}
		if wr.Action == query.Create {
			wr.Returning.Page = node.Page
		}
	} else if wr.Where != nil {
		for _, item := range node.Select {
			if _, ok := item.(*query.Embed); ok {
				wr.Embedded = &query.Node{Select: node.Select}
				break
			}
		}
	}
}

// outcome says how a write is answered.
type outcome struct {
	applied  applied
	status   func(*engine.Result) int
	ranged   bool // Content-Range counts from 0 (PATCH); otherwise its range is *
	unranged bool // no Content-Range (PUT)
	created  bool // Location names the row
}

func (q *request) answerWrite(res *engine.Result, out outcome) error {
	total, low := int64(-1), int64(-1)
	if q.prefer.count != query.CountNone {
		total = int64(res.Rows)
	}
	if out.ranged {
		low = 0
	}
	a := reply{status: out.status(res)}
	if !out.unranged {
		a.contentRange = string(contentRange(nil, low, int64(res.Rows), total))
	}
	if out.created && res.Key != "" && (q.prefer.answer == answerRows || q.prefer.answer == answerHeaders) {
		a.location = q.location(res.Key, res.Partition)
	}
	h := q.w.Header()
	q.prefer.apply(h, out.applied)
	position.Tell(h, res.Position, q.secure || q.r.TLS != nil)
	if res.Replayed {
		h.Set("Idempotency-Replayed", "true")
	}
	if q.prefer.answer != answerRows {
		return a.sendEmpty(q.w)
	}
	a.contentType = q.rep.contentType()
	if q.rep.media == mediaObject && res.Rows != 1 {
		// Write.Singular has refused this already: were it answered, the
		// client would take many rows, or none, for one.
		return notSingular(res.Rows)
	}
	a.body = represent(res.Body, q.rep)
	if len(a.body) == 0 && q.rep.format() == query.JSON {
		a.body = []byte("[]") // nothing was set or given, so nothing was read back
	}
	return a.send(q.w, q.r)
}

// sendEmpty writes an answer without a body.
func (a *reply) sendEmpty(w http.ResponseWriter) error {
	h := w.Header()
	if a.contentRange != "" {
		h.Set("Content-Range", a.contentRange)
	}
	if a.location != "" {
		h.Set("Location", a.location)
	}
	if a.status != http.StatusNoContent {
		h.Set("Content-Length", "0")
	}
	w.WriteHeader(a.status)
	return nil
}

// location is where the row with a key is read: in its partition, where the
// caller may name that.
func (q *request) location(key, partition string) string {
	e := q.app.Entity(q.target.Module, q.target.Entity)
	if e == nil || e.Primary == nil {
		return ""
	}
	where := url.QueryEscape(q.names.field(e.Primary)) + "=eq." + url.QueryEscape(key)
	if partition != "" {
		where = url.QueryEscape(q.names.field(e.PartitionKey())) + "=eq." + url.QueryEscape(partition) + "&" + where
	}
	return q.prefix + url.PathEscape(q.names.entity(e)) + "?" + where
}

func (q *request) parseBody(body string) (input, error) {
	kind, err := kindOf(q.r.Header.Get("Content-Type"))
	if err != nil {
		return input{}, err
	}
	in, err := parseBody(kind, body, q.params.columns, q.prefer.missing)
	if err != nil {
		return input{}, err
	}
	return q.translated(in), nil
}

// create is POST: one row or many.
func (q *request) create(body string) (*query.Write, outcome, error) {
	p := q.params
	if p.node.Where != nil {
		return nil, outcome{}, fault.New(fault.Parse, "a filter has no meaning with POST").
			WithHint("use PATCH to change rows that exist; put the values of new ones into the body")
	}
	if q.r.Header["If-Match"] != nil {
		return nil, outcome{}, fault.New(fault.NotImplemented, "If-Match is not supported with POST").
			WithHint("use PATCH or PUT to change a row of which the version is known")
	}
	if err := q.noMaxAffected(); err != nil {
		return nil, outcome{}, err
	}
	in, err := q.parseBody(body)
	if err != nil {
		return nil, outcome{}, err
	}
	merge := q.prefer.resolution == query.Merge
	wr := &query.Write{
		Action: query.Create, Columns: in.columns, Rows: in.rows,
		Conflict: query.Conflict{Resolution: q.prefer.resolution, Fields: p.onConflict},
	}
	return wr, outcome{
		applied: applied{answer: true, resolution: true, missing: true},
		created: true,
		status: func(res *engine.Result) int {
			if merge && res.Inserted == 0 {
				return http.StatusOK
			}
			return http.StatusCreated
		},
	}, nil
}

// noMaxAffected refuses max-affected where it says nothing.
func (q *request) noMaxAffected() error {
	if q.prefer.maxAffected < 0 {
		return nil
	}
	return q.prefer.refuse("max-affected=" + strconv.FormatInt(q.prefer.maxAffected, 10))
}

// update is PATCH: the rows that the filters name.
func (q *request) update(body string) (*query.Write, outcome, error) {
	if err := q.filtered("PATCH", "change"); err != nil {
		return nil, outcome{}, err
	}
	in, err := q.parseBody(body)
	if err != nil {
		return nil, outcome{}, err
	}
	if len(in.rows) != 1 {
		return nil, outcome{}, fault.New(fault.InvalidBody, "PATCH takes one object").
			WithDetails("the body holds %d", len(in.rows)).
			WithHint("to give each row its own values, POST them with Prefer: resolution=merge-duplicates")
	}
	wr := q.changing(query.Update)
	wr.Columns, wr.Rows = in.columns, in.rows
	return wr, outcome{applied: applied{answer: true, missing: true, maxAffected: true}, ranged: true, status: q.changed()}, nil
}

// delete is DELETE: the rows that the filters name.
func (q *request) delete(string) (*query.Write, outcome, error) {
	if err := q.filtered("DELETE", "delete"); err != nil {
		return nil, outcome{}, err
	}
	if q.params.columns != nil {
		return nil, outcome{}, misplaced("columns", "DELETE", "POST, PUT and PATCH")
	}
	return q.changing(query.Delete), outcome{applied: applied{answer: true, maxAffected: true}, status: q.changed()}, nil
}

// filtered refuses to touch every row by a mistake.
func (q *request) filtered(method, verb string) error {
	if q.params.onConflict != nil {
		return misplaced("on_conflict", method, "POST")
	}
	if q.params.node.Where != nil {
		return nil
	}
	var field any = "id"
	if e := q.app.Entity(q.target.Module, q.target.Entity); e != nil && e.Primary != nil {
		field = e.Primary
	}
	return fault.New(fault.UnfilteredWrite, "%s without a filter would %s every row", method, verb).
		WithHint("add a filter such as %s=eq.…; to %s every row on purpose use %s=not.is.null", field, verb, field)
}

// changing is the part that PATCH and DELETE share. An order counts only where
// a page does: it says which rows are within it.
func (q *request) changing(action query.Action) *query.Write {
	node := &q.params.node
	wr := &query.Write{Action: action, Where: node.Where, Page: node.Page, IfMatch: q.ifMatch()}
	if e := q.app.Entity(q.target.Module, q.target.Entity); e != nil && wr.IfMatch != nil && q.names != nil {
		if seen := q.names.star(e); seen != nil {
			wr.Tagged = []query.Item{seen}
		}
	}
	if node.Page.Limit != nil || node.Page.Offset != 0 {
		wr.Order = node.Order
	}
	if q.prefer.strict && q.prefer.maxAffected >= 0 {
		wr.MaxAffected = &q.prefer.maxAffected
	}
	return wr
}

func (q *request) changed() func(*engine.Result) int {
	status := http.StatusNoContent
	if q.prefer.answer == answerRows {
		status = http.StatusOK
	}
	return func(*engine.Result) int { return status }
}

// put is PUT: the one row with the key that the filter names, created or
// replaced in the given fields.
func (q *request) put(body string) (*query.Write, outcome, error) {
	p := q.params
	if p.node.Page.Limit != nil || p.hasOffset {
		return nil, outcome{}, fault.New(fault.PutLimits, "limit/offset querystring parameters are not allowed for PUT")
	}
	if p.onConflict != nil {
		return nil, outcome{}, misplaced("on_conflict", "PUT", "POST")
	}
	if err := q.noMaxAffected(); err != nil {
		return nil, outcome{}, err
	}
	in, err := q.parseBody(body)
	if err != nil {
		return nil, outcome{}, err
	}
	if len(in.rows) != 1 {
		return nil, outcome{}, fault.New(fault.InvalidBody, "PUT takes one object").WithDetails("the body holds %d", len(in.rows))
	}
	// Without the entity there is no key to check; the engine refuses it.
	e := q.app.Entity(q.target.Module, q.target.Entity)
	if e != nil && e.Primary != nil {
		if err := putKey(e, p.node.Where, in); err != nil {
			return nil, outcome{}, err
		}
	}
	wr := &query.Write{
		Action: query.Create, Columns: in.columns, Rows: in.rows,
		Conflict: query.Conflict{Resolution: query.Merge},
	}
	if tags := q.ifMatch(); tags != nil {
		// If-Match holds only for a row that exists, and to merge into one
		// that exists is to update it.
		wr = q.changing(query.Update)
		if e != nil {
			if wr.Where, in, err = staying(e, wr.Where, in); err != nil {
				return nil, outcome{}, err
			}
		}
		wr.Columns, wr.Rows = in.columns, in.rows
	}
	rows := q.prefer.answer == answerRows
	return wr, outcome{
		applied: applied{answer: true, missing: true}, unranged: true,
		status: func(res *engine.Result) int {
			switch {
			case res.Inserted > 0:
				return http.StatusCreated
			case rows:
				return http.StatusOK
			}
			return http.StatusNoContent
		},
	}, nil
}

func cellValue(t value.Type, c query.Cell) (value.Value, error) {
	switch c.Kind {
	case query.FromJSON:
		return t.FromJSON(c.Raw)
	case query.FromText:
		return t.FromText(c.Raw)
	case query.Absent, query.NullCell:
	}
	return value.Null(), nil
}

// ifMatch returns the tags of If-Match without their quotes, as [query.Tag]
// makes them; nil without the header. A weak tag keeps its W/ and so matches
// nothing, as RFC 9110 (13.1.1) wants it.
func (q *request) ifMatch() []string {
	h := q.r.Header["If-Match"]
	if h == nil {
		return nil
	}
	var out []string
	for _, t := range entityTags(h) {
		if len(t) >= 2 && t[0] == '"' && t[len(t)-1] == '"' {
			t = t[1 : len(t)-1]
		}
		out = append(out, t)
	}
	if len(out) == 0 {
		out = append(out, "") // a condition without a tag is one that nothing meets
	}
	return out
}

// longestIdempotencyKey is in bytes.
const longestIdempotencyKey = 255

// idempotency reads Idempotency-Key; nil without it.
func (q *request) idempotency(body string) (*engine.Idempotency, error) {
	keys := q.r.Header["Idempotency-Key"]
	if keys == nil {
		return nil, nil
	}
	if len(keys) > 1 || keys[0] == "" || len(keys[0]) > longestIdempotencyKey {
		return nil, fault.New(fault.BadRequest, "Idempotency-Key must be one text of 1 to %d bytes", longestIdempotencyKey).
			WithHint("a random UUID is a good one")
	}
	return &engine.Idempotency{Key: keys[0], Method: q.r.Method, Path: q.r.URL.Path, Digest: q.digest(body)}, nil
}

// digest is equal for two requests exactly when they mean the same: by their
// body, their query string and the headers that change what is done or
// answered. Each part goes in with its length before it.
func (q *request) digest(body string) [sha256.Size]byte {
	d := sha256.New()
	add := func(s string) {
		var n [8]byte
		binary.BigEndian.PutUint64(n[:], uint64(len(s)))
		d.Write(n[:])
		d.Write([]byte(s))
	}
	add(body)
	add(q.r.URL.RawQuery)
	for _, name := range [...]string{"Prefer", "Accept", "Content-Type", "Content-Profile", "If-Match"} {
		add(strings.Join(q.r.Header[name], ", "))
	}
	return [sha256.Size]byte(d.Sum(nil))
}
