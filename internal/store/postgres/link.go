package postgres

import (
	"context"
	"encoding/binary"
	"errors"
	"net"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/pandobase/pando/internal/value"
)

// link speaks PostgreSQL's protocol, version 3, with one backend. pgconn makes
// the connection (hosts, TLS, passwords) and sends cancel requests; what a
// statement costs is the link's own: messages gather in one buffer and go out
// in one write, and answers are read from one buffer on the caller's goroutine,
// without a watcher, a timer or an allocation for each.
type link struct {
	pg     *pgconn.PgConn
	nc     net.Conn
	out    []byte // not sent yet
	in     []byte // received; r to w is not read yet
	r, w   int
	status byte  // of the transaction: I, T or E
	lost   error // why the connection is gone
	warned bool  // the server has warned of a commit
}

// The messages that this driver sends and reads.
const (
	msgParse    = 'P'
	msgBind     = 'B'
	msgDescribe = 'D'
	msgExecute  = 'E'
	msgSync     = 'S'
	msgQuery    = 'Q'
	msgCopyData = 'd'
	msgCopyDone = 'c'
	msgCopyFail = 'f'
	msgEnd      = 'X'

	ansRow        = 'D'
	ansComplete   = 'C'
	ansEmpty      = 'I'
	ansError      = 'E'
	ansReady      = 'Z'
	ansNotice     = 'N'
	ansParameters = 't'
	ansFields     = 'T'
)

const (
	bufferSize = 8 << 10
	keptBuffer = 64 << 10  // a larger one is not kept
	maxMessage = 1<<30 - 1 // what PostgreSQL itself takes
)

func dial(ctx context.Context, cfg *pgconn.Config) (*link, error) {
	pg, err := pgconn.ConnectConfig(ctx, cfg)
	if err != nil {
		return nil, err
	}
	if err := pg.SyncConn(ctx); err != nil {
		return nil, errors.Join(err, pg.Close(ctx))
	}
	h, err := pg.Hijack()
	if err != nil {
		return nil, err
	}
	return &link{pg: pg, nc: h.Conn, in: make([]byte, bufferSize), out: make([]byte, 0, bufferSize), status: h.TxStatus}, nil
}

// message begins a message and returns where its length goes.
func (l *link) message(kind byte) int {
	l.out = append(l.out, kind, 0, 0, 0, 0)
	return len(l.out) - 4
}

func (l *link) done(at int) {
	binary.BigEndian.PutUint32(l.out[at:], uint32(len(l.out)-at)) //nolint:gosec // bounded by maxMessage
}

func (l *link) text(s string) { l.out = append(append(l.out, s...), 0) }

// parse prepares a statement; parameters are of the types that the server finds.
func (l *link) parse(name, sql string) {
	at := l.message(msgParse)
	l.text(name)
	l.text(sql)
	l.out = append(l.out, 0, 0)
	l.done(at)
}

// describe asks for the parameters and fields of a statement (S), or for the
// fields of the portal (P).
func (l *link) describe(what byte, name string) {
	at := l.message(msgDescribe)
	l.out = append(l.out, what)
	l.text(name)
	l.done(at)
}

// bind binds values to a statement. Where it fails nothing has been added.
func (l *link) bind(name string, oids []uint32, args []value.Value) error {
	begin := len(l.out)
	at := l.message(msgBind)
	l.out = append(l.out, 0) // the portal without a name
	l.text(name)
	l.number(len(args))
	for i := range args {
		binary := 0
		if args[i].Tag == value.TagBytes {
			binary = 1
		}
		l.number(binary)
	}
	l.number(len(args))
	var err error
	if l.out, err = appendValues(l.out, oids, args); err != nil {
		l.out = l.out[:begin]
		return err
	}
	l.number(0) // all results as text
	l.done(at)
	return nil
}

func (l *link) number(n int) { l.out = binary.BigEndian.AppendUint16(l.out, uint16(n)) } //nolint:gosec // counts of parameters

func (l *link) execute() {
	at := l.message(msgExecute)
	l.out = append(l.out, 0, 0, 0, 0, 0) // the portal without a name, all rows
	l.done(at)
}

func (l *link) sync() { l.done(l.message(msgSync)) }

func (l *link) query(sql string) {
	at := l.message(msgQuery)
	l.text(sql)
	l.done(at)
}

// flush sends what has gathered.
func (l *link) flush() error {
	if l.lost != nil {
		return l.lost
	}
	_, err := l.nc.Write(l.out)
	if l.out = l.out[:0]; cap(l.out) > keptBuffer {
		l.out = make([]byte, 0, bufferSize)
	}
	if err != nil {
		l.drop(err)
	}
	return err
}

// drop gives the connection up.
func (l *link) drop(why error) {
	if l.lost == nil {
		l.lost = why
		_ = l.nc.Close() // it is lost already
	}
}

// next reads the next message; body is valid until the call after it.
func (l *link) next() (kind byte, body []byte, err error) {
	if l.lost != nil {
		return 0, nil, l.lost
	}
	if err := l.fill(5); err != nil {
		return 0, nil, err
	}
	kind = l.in[l.r]
	n := int(binary.BigEndian.Uint32(l.in[l.r+1:])) - 4
	if n < 0 || n > maxMessage {
		l.drop(errors.New("a message of no valid length"))
		return 0, nil, l.lost
	}
	if err := l.fill(5 + n); err != nil {
		return 0, nil, err
	}
	body = l.in[l.r+5 : l.r+5+n]
	l.r += 5 + n
	switch {
	case kind == ansReady && n == 1:
		l.status = body[0]
	case kind == ansNotice:
		l.noticed(body)
	}
	return kind, body, nil
}

// fill reads until n bytes are there.
func (l *link) fill(n int) error {
	if l.w-l.r >= n {
		return nil
	}
	switch {
	case l.r == l.w:
		l.r, l.w = 0, 0
		if len(l.in) > keptBuffer && n <= bufferSize {
			l.in = make([]byte, bufferSize)
		}
	case l.r+n > len(l.in):
		copy(l.in, l.in[l.r:l.w])
		l.r, l.w = 0, l.w-l.r
	}
	if n > len(l.in) {
		grown := make([]byte, max(n, 2*len(l.in)))
		copy(grown, l.in[l.r:l.w])
		l.in, l.r, l.w = grown, 0, l.w-l.r
	}
	for l.w-l.r < n {
		got, err := l.nc.Read(l.in[l.w:])
		l.w += got
		if err != nil && l.w-l.r < n {
			l.drop(err)
			return err
		}
	}
	return nil
}

// failure reads an error message.
func failure(body []byte) error {
	var m pgproto3.ErrorResponse
	if err := m.Decode(body); err != nil {
		return err
	}
	return pgconn.ErrorResponseToPgError(&m)
}

// appendRow reads a row's values, which share the body's memory.
func appendRow(vals [][]byte, body []byte) [][]byte {
	if len(body) < 2 {
		return vals
	}
	rest := body[2:]
	for range binary.BigEndian.Uint16(body) {
		if len(rest) < 4 {
			return vals
		}
		n := int(int32(binary.BigEndian.Uint32(rest))) //nolint:gosec // -1 is null
		rest = rest[4:]
		if n < 0 || n > len(rest) {
			vals = append(vals, nil)
			continue
		}
		vals = append(vals, rest[:n:n])
		rest = rest[n:]
	}
	return vals
}

// oidsIn reads the types of a statement's parameters.
func oidsIn(body []byte) []uint32 {
	if len(body) < 2 {
		return nil
	}
	out := make([]uint32, 0, (len(body)-2)/4)
	for rest := body[2:]; len(rest) >= 4; rest = rest[4:] {
		out = append(out, binary.BigEndian.Uint32(rest))
	}
	return out
}

// fieldsIn reads the types of a result's columns.
func fieldsIn(body []byte) []uint32 {
	var out []uint32
	if len(body) < 2 {
		return out
	}
	for rest := body[2:]; ; {
		end := 0
		for end < len(rest) && rest[end] != 0 {
			end++
		}
		if len(rest) < end+1+18 {
			return out
		}
		out = append(out, binary.BigEndian.Uint32(rest[end+1+6:]))
		rest = rest[end+1+18:]
	}
}

// tag reads a command's tag: how many rows it changed, and whether it only read.
func tag(body []byte) (rows int64, read bool) {
	read = len(body) > 6 && string(body[:6]) == "SELECT"
	end := len(body)
	if end > 0 && body[end-1] == 0 {
		end--
	}
	at := end
	for at > 0 && body[at-1] >= '0' && body[at-1] <= '9' {
		at--
	}
	for _, c := range body[at:end] {
		rows = rows*10 + int64(c-'0')
	}
	return rows, read
}

// close ends the connection in order. One that the server has ended meanwhile
// is as closed as it can be.
func (l *link) close() error {
	if l.lost != nil {
		return nil //nolint:nilerr // told to who used it
	}
	l.out = l.out[:0]
	l.done(l.message(msgEnd))
	if l.flush() != nil {
		return nil //nolint:nilerr // it is closed by that
	}
	l.lost = net.ErrClosed
	return l.nc.Close()
}
