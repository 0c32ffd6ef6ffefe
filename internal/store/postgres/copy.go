package postgres

import (
	"encoding/hex"
	"errors"
	"io"
	"strconv"
	"strings"

	"github.com/pandobase/pando/internal/store"
	"github.com/pandobase/pando/internal/value"
)

var _ store.Copier = (*conn)(nil)

// copyPiece is how much data one message holds, about.
const copyPiece = 32 << 10

// Copy implements store.Copier by COPY. The command, its data and what was held
// back before go out without waiting for an answer: data that is not wanted,
// because something failed before it, the server leaves out.
func (c *conn) Copy(insert *store.Statement, table string, columns []string, rows int, row func(i int) ([]value.Value, error)) error {
	c.settle()
	if err := c.ready(); err != nil {
		return err
	}
	p, err := c.prepare(insert)
	if err != nil {
		return c.undo(err)
	}
	held := len(c.owed) > 0
	if held {
		c.sync()
	}
	c.query("COPY " + table + " (" + strings.Join(columns, ",") + ") FROM STDIN")
	given := c.pieces(p.params, rows, row)
	if c.lost == nil {
		_ = c.flush() // the read below tells
	}
	var before error
	if held {
		if before = c.collect(); before == nil {
			before = c.translate(c.drain())
		}
	}
	if c.lost == nil {
		err = c.drain()
	}
	if before != nil {
		return before
	}
	if c.lost != nil {
		return c.translate(errors.Join(err, c.lost))
	}
	c.scope.dirty = c.scope.dirty || err == nil
	if given != nil { // COPY failed by that
		return c.undo(given)
	}
	return c.undo(c.translate(err))
}

// pieces adds the rows, and sends what has gathered now and then.
func (c *conn) pieces(oids []uint32, rows int, row func(i int) ([]value.Value, error)) error {
	for i := 0; i < rows; {
		at := c.message(msgCopyData)
		for begin := len(c.out); i < rows && len(c.out)-begin < copyPiece; i++ {
			vals, err := row(i)
			if err != nil {
				c.out = c.out[:at-1]
				fail := c.message(msgCopyFail)
				c.text("a row cannot be given")
				c.done(fail)
				return err
			}
			c.out = appendCopyRow(c.out, oids, vals)
		}
		c.done(at)
		if err := c.flush(); err != nil {
			return err
		}
	}
	c.done(c.message(msgCopyDone))
	return nil
}

// appendCopyRow appends a row in COPY's text format.
func appendCopyRow(dst []byte, oids []uint32, vals []value.Value) []byte {
	for i := range vals {
		if i > 0 {
			dst = append(dst, '\t')
		}
		switch v := &vals[i]; v.Tag {
		case value.TagInt:
			dst = strconv.AppendInt(dst, v.Int, 10) // 1 and 0 are boolean's too
		case value.TagFloat:
			dst = strconv.AppendFloat(dst, v.Float, 'g', -1, 64)
		case value.TagText:
			if element, ok := elementOf(oids[i]); ok {
				dst = appendCopyText(dst, string(appendArray(nil, v.Str, element == oidJSONB)))
			} else {
				dst = appendCopyText(dst, v.Str)
			}
		case value.TagBytes:
			dst = hex.AppendEncode(append(dst, `\\x`...), []byte(v.Str))
		case value.TagNull:
			dst = append(dst, `\N`...)
		}
	}
	return append(dst, '\n')
}

// appendCopyText escapes what COPY's text format gives a meaning to.
func appendCopyText(dst []byte, s string) []byte {
	start := 0
	for i := range len(s) {
		var esc byte
		switch s[i] {
		case '\\':
			esc = '\\'
		case '\n':
			esc = 'n'
		case '\r':
			esc = 'r'
		case '\t':
			esc = 't'
		default:
			continue
		}
		dst = append(append(dst, s[start:i]...), '\\', esc)
		start = i + 1
	}
	return append(dst, s[start:]...)
}

// copyFrom copies what r reads, in COPY's text format.
func (c *conn) copyFrom(r io.Reader, sql string) (rows int64, err error) {
	c.settle()
	if err := c.flushOwed(); err != nil {
		return 0, err
	}
	c.query(sql)
	var given error
	buf := make([]byte, copyPiece)
	for given == nil && c.lost == nil {
		var n int
		if n, given = r.Read(buf); n > 0 {
			at := c.message(msgCopyData)
			c.out = append(c.out, buf[:n]...)
			c.done(at)
			_ = c.flush() // the answers tell
		}
	}
	if errors.Is(given, io.EOF) {
		c.done(c.message(msgCopyDone))
	} else {
		at := c.message(msgCopyFail)
		c.text("a row cannot be given")
		c.done(at)
	}
	if c.lost == nil {
		_ = c.flush() // the answers tell
	}
	answers, err := c.answers()
	if len(answers) == 1 {
		rows, _ = tag([]byte(answers[0].tag))
	}
	return rows, c.translate(err)
}
