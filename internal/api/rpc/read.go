package rpc

import (
	"bytes"
	"errors"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/pandobase/pando/internal/engine"
	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/query"
)

// get answers the row of a key.
func (c *call) get(in *given) ([]byte, error) {
	e := c.method.entity
	key, err := e.keyOf(in, c.method.in.fields[0].name)
	if err != nil {
		return nil, err
	}
	items, err := c.selection(in)
	if err != nil {
		return nil, err
	}
	q := &query.Read{Target: e.target, Node: query.Node{Select: items, Where: e.byKey(key)}}
	res, err := c.read(q, engine.ReadOptions{})
	if err != nil {
		return nil, err
	}
	defer res.Release()
	if res.Rows == 0 {
		return nil, e.missing(key)
	}
	return e.one(res)
}

// one is the message of the one row of a result.
func (e *entity) one(res *engine.Result) ([]byte, error) {
	if res.Rows > 1 {
		return nil, engine.NotSingular(res.Rows)
	}
	t := &text{b: res.Body}
	if !t.accept('[') {
		return nil, errJSON
	}
	return e.row.appendObject(make([]byte, 0, len(res.Body)), t)
}

// list answers a page.
func (c *call) list(in *given) ([]byte, error) {
	q, err := c.query(in)
	if err != nil {
		return nil, err
	}
	size := in.int(nameSize)
	if size < 0 {
		return nil, negative(nameSize)
	}
	if most := int64(c.door.limits.Rows); size == 0 || size > most {
		size = most
	}
	q.Node.Page.Limit = &size
	q.Cursor = in.text(nameToken)
	if in.int(nameCount) != 0 {
		q.Count = query.CountExact
	}
	res, err := c.read(q, engine.ReadOptions{Cursors: true})
	if err != nil {
		return nil, err
	}
	defer res.Release()
	out, err := c.method.rows.appendList(make([]byte, 0, len(res.Body)+64), &text{b: res.Body})
	if err != nil {
		return nil, err
	}
	if res.Next != "" {
		next := c.method.out.byName(nameNext)
		out = protowire.AppendString(protowire.AppendTag(out, next.number, protowire.BytesType), res.Next)
	}
	if q.Count == query.CountExact {
		total := c.method.out.byName(nameTotal)
		out = protowire.AppendVarint(protowire.AppendTag(out, total.number, protowire.VarintType), uint64(res.Total)) //nolint:gosec // a count
	}
	return out, nil
}

func negative(name string) error {
	f := fault.New(fault.InvalidRange, "%s must not be negative", name)
	f.Field = name
	return f
}

// query is what lists and streams have in common.
func (c *call) query(in *given) (*query.Read, error) {
	q := &query.Read{Target: c.method.entity.target}
	var err error
	if q.Node.Where, err = c.where(in); err != nil {
		return nil, err
	}
	if q.Node.Order, err = c.order(in); err != nil {
		return nil, err
	}
	if q.Node.Select, err = c.selection(in); err != nil {
		return nil, err
	}
	if q.Node.Page.Offset = in.int(nameOffset); q.Node.Page.Offset < 0 {
		return nil, negative(nameOffset)
	}
	return q, nil
}

// stream sends rows as they are read: whoever takes them slowly holds the read up,
// and nothing is gathered.
func (c *call) stream(in *given) ([]byte, error) {
	q, err := c.query(in)
	if err != nil {
		return nil, err
	}
	if in.has(c.method.in.byName(nameLimit)) {
		limit := in.int(nameLimit)
		if limit < 0 {
			return nil, negative(nameLimit)
		}
		q.Node.Page.Limit = &limit
	}
	q.Format, q.Unbounded = query.NDJSON, true
	rows := &rowStream{call: c}
	res, err := c.read(q, engine.ReadOptions{Stream: rows})
	if rows.err != nil && !errors.Is(err, errJSON) {
		err = rows.err // the client is gone, or took too long
	}
	if err != nil {
		return nil, err
	}
	res.Release()
	return nil, nil
}

// rowStream sends a message for each line that is written to it.
type rowStream struct {
	call *call
	part []byte // of a line that is not complete
	wire []byte
	err  error // of sending
}

// Write implements [io.Writer].
func (s *rowStream) Write(b []byte) (int, error) {
	n := len(b)
	for {
		end := bytes.IndexByte(b, '\n')
		if end < 0 {
			s.part = append(s.part, b...)
			break
		}
		line := b[:end]
		if len(s.part) > 0 {
			s.part = append(s.part, line...)
			line = s.part
		}
		if err := s.row(line); err != nil {
			return 0, err
		}
		s.part, b = s.part[:0], b[end+1:]
	}
	if u, ok := s.call.w.(*unhurried); ok {
		u.now()
	}
	return n, nil
}

func (s *rowStream) row(line []byte) error {
	var err error
	if s.wire, err = s.call.method.out.appendObject(s.wire[:0], &text{b: line}); err != nil {
		return err
	}
	if err = s.call.send(s.wire); err != nil {
		s.err = err
	}
	return err
}

// batchGet answers the rows of several keys, in the order of the keys.
func (c *call) batchGet(in *given) ([]byte, error) {
	e := c.method.entity
	f := c.method.in.fields[0]
	sent := in.items[f.index]
	if len(sent) > c.door.limits.Rows {
		return nil, tooMany(nameKeys, c.door.limits.Rows)
	}
	if len(sent) == 0 {
		return nil, nil
	}
	keys := &query.List{Texts: make([]string, len(sent))}
	order := make([]string, len(sent)) // as rows have them
	for i, v := range sent {
		s, err := f.literal(v)
		if err != nil {
			return nil, err
		}
		read, err := e.key.model.Type.FromText(s)
		if err != nil {
			return nil, about(err, nameKeys)
		}
		keys.Texts[i], order[i] = s, string(e.key.model.Type.AppendJSON(nil, read))
	}
	items, err := c.selection(in)
	if err != nil {
		return nil, err
	}
	// The key goes first, under a name that no field has, to find the row by.
	const keyName = "="
	if items == nil {
		items = []query.Item{query.Star{}}
	}
	items = append([]query.Item{&query.Column{Path: query.Path{Field: e.key.json}, Alias: keyName}}, items...)
	q := &query.Read{Target: e.target, Node: query.Node{Select: items, Where: &query.Compare{Left: ref(e.key), Op: query.In, Right: keys}}}
	res, err := c.read(q, engine.ReadOptions{})
	if err != nil {
		return nil, err
	}
	defer res.Release()
	rows, err := keyed(res.Body)
	if err != nil {
		return nil, err
	}
	out := make([]byte, 0, len(res.Body))
	for i, key := range order {
		row, there := rows[key]
		if !there {
			return nil, e.missing(keys.Texts[i])
		}
		if out, err = c.method.rows.appendOne(out, row); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// appendOne appends one element of a list of messages.
func (f *field) appendOne(dst, raw []byte) ([]byte, error) {
	return f.appendValue(protowire.AppendTag(dst, f.number, f.wireType()), raw)
}

// keyed are the rows of a JSON array by the raw value of their first member.
func keyed(body []byte) (map[string][]byte, error) {
	t := &text{b: body}
	if !t.accept('[') {
		return nil, errJSON
	}
	rows := map[string][]byte{}
	for t.next() != ']' {
		row, err := t.raw()
		if err != nil {
			return nil, err
		}
		first := &text{b: row}
		if !first.accept('{') {
			return nil, errJSON
		}
		if _, err = first.raw(); err != nil || !first.accept(':') {
			return nil, errJSON
		}
		key, err := first.raw()
		if err != nil {
			return nil, err
		}
		rows[string(key)] = row
		if !t.accept(',') {
			break
		}
	}
	return rows, nil
}

func tooMany(name string, most int) error {
	f := fault.New(fault.LimitExceeded, "%s has more than %d elements", name, most).WithHint("send them in parts")
	f.Field = name
	return f
}
