package postgres

import "slices"

// result is the rows of a statement: read one by one, or ahead once another
// statement needs the connection.
type result struct {
	c    *conn
	row  row
	rest [][][]byte // rows read ahead
	rows int64      // of the command's tag
	read bool       // the command only read
	err  error
	done bool // the group has been read to its end
}

// open begins the result of the statement that was sent last.
func (c *conn) open(p *prepared) *result {
	q := c.free
	if q == nil {
		q = &result{}
	}
	c.free = nil
	*q = result{c: c, row: row{fields: p.fields, vals: q.row.vals[:0]}}
	c.reading = q
	return q
}

// finish reads what is left.
func (c *conn) finish(q *result) {
	q.close()
	if c.reading == q {
		c.reading = nil
	}
	if q.rest == nil && c.free == nil {
		c.free = q
	}
}

func (q *result) next() bool {
	if !q.done {
		return q.advance()
	}
	if len(q.rest) == 0 {
		return false
	}
	q.row.vals, q.rest = q.rest[0], q.rest[1:]
	return true
}

// advance reads up to the next row, or the end of the group.
func (q *result) advance() bool {
	for {
		kind, body, err := q.c.next()
		if err != nil {
			if q.err == nil {
				q.err = err
			}
			q.done = true
			return false
		}
		switch kind {
		case ansRow:
			q.row.vals = appendRow(q.row.vals[:0], body)
			return true
		case ansFields: // a statement is described with its answer, behind a pooler
			q.row.fields = fieldsIn(body)
		case ansComplete:
			q.rows, q.read = tag(body)
		case ansError:
			if q.err == nil { // a deferred constraint fails behind the command
				q.err = failure(body)
			}
		case ansReady:
			q.done = true
			return false
		}
	}
}

func (q *result) close() {
	for !q.done {
		q.advance()
	}
}

// ahead keeps the current row and all that follow.
func (q *result) ahead() {
	if q.done {
		return
	}
	current := kept(q.row.vals)
	for q.advance() {
		q.rest = append(q.rest, kept(q.row.vals))
	}
	q.row.vals = current
	if q.rest == nil {
		q.rest = [][][]byte{}
	}
}

func kept(vals [][]byte) [][]byte {
	out := make([][]byte, len(vals))
	for i, v := range vals {
		if v != nil {
			out[i] = append(make([]byte, 0, len(v)), v...)
		}
	}
	return slices.Clip(out)
}
