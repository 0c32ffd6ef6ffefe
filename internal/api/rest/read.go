package rest

import (
	"bytes"
	"net/http"

	"github.com/pandobase/pando/internal/api/position"
	"github.com/pandobase/pando/internal/engine"
	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/query"
)

// read answers GET and HEAD.
func (q *request) read() error {
	if err := q.prepare(); err != nil {
		return err
	}
	p := q.params
	if err := p.readsOnly(q.r.Method); err != nil {
		return err
	}
	if err := p.rangeHeader(q.r.Header); err != nil {
		return err
	}
	if err := q.noMaxAffected(); err != nil {
		return err
	}
	if err := q.told(); err != nil {
		return err
	}
	read := &query.Read{Target: q.target, Node: p.node, Count: q.prefer.count, Cursor: p.cursor, Format: q.rep.format()}
	if q.rep.media == mediaNDJSON {
		return q.stream(read)
	}
	res, err := q.engine.Read(q.r.Context(), q.id, read, engine.ReadOptions{Cursors: q.wantsCursors(), Consistency: q.prefer.age.consistency(), After: position.Of(q.r)})
	if err != nil {
		return err
	}
	defer res.Release()
	if q.rep.media == mediaObject && res.Rows != 1 {
		return notSingular(res.Rows)
	}
	return q.answerRead(res)
}

func (q *request) answerRead(res *engine.Result) error {
	total, low := int64(-1), q.params.node.Page.Offset
	if q.prefer.count != query.CountNone {
		total = res.Total
	}
	if q.params.cursor != "" {
		low = -1 // a cursor is a position, not a number of rows
	}
	status, err := pageStatus(low, int64(res.Rows), total)
	if err != nil {
		return err
	}
	var room [48]byte
	a := reply{
		status:       status,
		contentType:  q.rep.contentType(),
		body:         represent(res.Body, q.rep),
		contentRange: string(contentRange(room[:0], low, int64(res.Rows), total)),
		link:         links(q.r.URL, q.params.node.Page, res.Next, res.Prev),
	}
	if total < 0 { // with a count, the body alone does not tell whether the answer is the same
		a.tag = tagOf(res.Body, a.body, q.rep)
	}
	q.prefer.apply(q.w.Header(), applied{age: true})
	return a.send(q.w, q.r)
}

// tagOf is the entity tag of an answer: of a JSON answer the tag of its rows
// as an array, whether it is shown as an array or as an object, so that both
// can be given back in If-Match; of any other representation that of its body.
func tagOf(rows, body []byte, rep representation) string {
	if (rep.media == mediaJSON || rep.media == mediaArray || rep.media == mediaObject) && !rep.stripped {
		return query.Tag(rows)
	}
	return query.Tag(body)
}

// represent turns the engine's body into the representation's: the one object
// out of its array, without nulls. It does not change body.
func represent(body []byte, rep representation) []byte {
	if rep.media == mediaObject {
		body = bytes.TrimSpace(body)
		body = bytes.TrimSpace(body[1 : len(body)-1])
	}
	if rep.stripped {
		return stripNulls(body)
	}
	return body
}

func notSingular(rows int) error {
	return fault.New(fault.NotSingular, "Cannot coerce the result to a single JSON object").
		WithDetails("The result contains %d rows", rows)
}

// readsOnly refuses parameters that only writes have.
func (p *params) readsOnly(method string) error {
	switch {
	case p.columns != nil:
		return misplaced("columns", method, "POST, PUT and PATCH")
	case p.onConflict != nil:
		return misplaced("on_conflict", method, "POST")
	}
	return nil
}

func misplaced(param, method, has string) error {
	return fault.New(fault.Parse, "the parameter %s has no meaning with %s", param, method).
		WithHint("it is for %s", has)
}

// wantsCursors reports whether the answer can have neighbouring pages: a list
// of rows, not of groups, that is not one row by its key.
func (q *request) wantsCursors() bool {
	if q.rep.media == mediaObject {
		return false
	}
	node := &q.params.node
	if node.Page.Limit != nil && *node.Page.Limit == 0 {
		return false
	}
	for _, item := range node.Select {
		if c, ok := item.(*query.Column); ok && c.Aggregate != query.NoAggregate {
			return false
		}
	}
	field, _, ok := keyFilter(node.Where)
	if !ok {
		return true
	}
	e := q.app.Entity(q.target.Module, q.target.Entity)
	return e == nil || e.Primary == nil || e.Primary.Name != field
}

// keyFilter takes a condition apart that is one field=eq.value.
func keyFilter(e query.Expr) (field, text string, ok bool) {
	c, ok := e.(*query.Compare)
	if !ok || c.Op != query.Eq || c.Quant != query.NoQuant {
		return "", "", false
	}
	ref, isRef := c.Left.(*query.FieldRef)
	lit, isLit := c.Right.(*query.Literal)
	if !isRef || !isLit || ref.Path.Steps != nil {
		return "", "", false
	}
	return ref.Path.Field, lit.Text, true
}

// stream answers NDJSON while the rows are read. The status goes out with the
// first of them, so a total cannot be told, and a failure later than that cuts
// the connection: the client sees an answer without an end, never a short one
// that looks whole.
func (q *request) stream(read *query.Read) error {
	if q.prefer.count != query.CountNone {
		q.prefer.count, read.Count = query.CountNone, query.CountNone
		if err := q.prefer.refuse("count"); err != nil {
			return err
		}
	}
	out := &rowStream{q: q}
	read.Unbounded = true
	if q.r.Method == http.MethodHead {
		q.params.limit = 0 // the rows would not be sent; that the query can run is to be known
		read.Node.Page.Limit = &q.params.limit
	}
	res, err := q.engine.Read(q.r.Context(), q.id, read, engine.ReadOptions{Stream: out, Consistency: q.prefer.age.consistency(), After: position.Of(q.r)})
	if err != nil {
		if !out.begun {
			return err
		}
		q.problems.Log(q.r, err)
		panic(http.ErrAbortHandler)
	}
	res.Release()
	out.begin()
	return nil
}

// rowStream writes the header with the first piece of the body.
type rowStream struct {
	q     *request
	begun bool
}

func (s *rowStream) begin() {
	if s.begun {
		return
	}
	s.begun = true
	h := s.q.w.Header()
	h.Set("Content-Type", s.q.rep.contentType())
	h.Add("Vary", varies)
	s.q.prefer.apply(h, applied{age: true})
	s.q.w.WriteHeader(http.StatusOK)
}

// Write implements [io.Writer].
func (s *rowStream) Write(b []byte) (int, error) {
	s.begin()
	return s.q.w.Write(b)
}
