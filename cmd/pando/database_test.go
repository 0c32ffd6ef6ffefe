package main

import (
	"context"
	"errors"
	"io"
	"net"
	"net/url"
	"strings"
	"sync"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/rogpeppe/go-internal/testscript"

	"github.com/pandobase/pando/internal/store/postgres/pgtest"
)

// server is the PostgreSQL of all scripts, or why there is none. It ends with the
// test binary.
//
//nolint:gochecknoglobals // started once for the binary
var server = sync.OnceValues(func() (*pgtest.Server, error) { return pgtest.Start(false) })

// hasPostgres is the condition [postgres].
func hasPostgres() (bool, error) {
	_, err := server()
	if errors.Is(err, pgtest.ErrMissing) {
		return false, nil
	}
	return err == nil, err
}

// databases are those of one script, by the variable of their URL.
type databases map[string]*database

type databasesKey struct{}

// database is reached over TCP, through a wire that can be cut.
type database struct {
	direct string // the server's own URL
	wire   *wire
}

func (d databases) close() {
	for _, db := range d {
		db.wire.cut()
	}
}

// makeDatabase is `postgres VAR`: an empty database, its URL in $VAR; $VAR_NAME and
// $VAR_HOST make other URLs of it, straight to the server.
func makeDatabase(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: postgres VAR")
	}
	s, err := server()
	ts.Check(err)
	direct, err := s.Database()
	ts.Check(err)
	u, err := url.Parse(direct)
	ts.Check(err)
	db := &database{direct: direct, wire: &wire{socket: u.Query().Get("host") + "/.s.PGSQL.5432"}}
	ts.Check(db.wire.join())
	ts.Value(databasesKey{}).(databases)[args[0]] = db //nolint:forcetypeassert // set up for every script
	ts.Setenv(args[0], "postgres://pando@"+db.wire.address+u.Path+"?sslmode=disable")
	ts.Setenv(args[0]+"_NAME", strings.TrimPrefix(u.Path, "/"))
	ts.Setenv(args[0]+"_HOST", u.Query().Get("host"))
}

func databaseOf(ts *testscript.TestScript, name string) *database {
	db := ts.Value(databasesKey{}).(databases)[name] //nolint:forcetypeassert // set up for every script
	if db == nil {
		ts.Fatalf("there is no database %s", name)
	}
	return db
}

// runSQL is `psql VAR SQL`: what somebody does behind Pando's back.
func runSQL(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: psql VAR SQL")
	}
	ctx := context.Background()
	c, err := pgconn.Connect(ctx, databaseOf(ts, args[0]).direct)
	ts.Check(err)
	results, err := c.Exec(ctx, args[1]).ReadAll()
	ts.Check(errors.Join(err, c.Close(ctx)))
	for _, r := range results {
		for _, row := range r.Rows {
			ts.Logf("%s", strings.Join(cells(row), " "))
		}
	}
}

func cells(row [][]byte) (out []string) {
	for _, c := range row {
		out = append(out, string(c))
	}
	return out
}

// outage is `outage VAR begin|end`: the database is gone for its clients.
func outage(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 || args[1] != "begin" && args[1] != "end" {
		ts.Fatalf("usage: outage VAR begin|end")
	}
	w := databaseOf(ts, args[0]).wire
	if args[1] == "begin" {
		w.cut()
		return
	}
	ts.Check(w.join())
}

// wire leads from a TCP address to a Unix socket.
type wire struct {
	socket, address string

	mu    sync.Mutex
	l     net.Listener
	conns map[net.Conn]bool
	all   sync.WaitGroup
}

// join lets connections through, at the address that the wire had before.
func (w *wire) join() error {
	at := w.address
	if at == "" {
		at = "127.0.0.1:0"
	}
	l, err := new(net.ListenConfig).Listen(context.Background(), "tcp", at)
	if err != nil {
		return err
	}
	w.mu.Lock()
	w.l, w.address, w.conns = l, l.Addr().String(), map[net.Conn]bool{}
	w.mu.Unlock()
	w.all.Go(func() {
		for {
			from, err := l.Accept()
			if err != nil {
				return
			}
			to, err := new(net.Dialer).DialContext(context.Background(), "unix", w.socket)
			if err != nil || !w.keep(l, from, to) {
				_ = from.Close()
				continue
			}
			for _, pair := range [][2]net.Conn{{from, to}, {to, from}} {
				w.all.Go(func() {
					_, _ = io.Copy(pair[0], pair[1]) // it ends when either side does
					_ = pair[0].Close()              // both may be closed
					_ = pair[1].Close()
				})
			}
		}
	})
	return nil
}

// keep remembers the connections to cut, unless the wire is cut already.
func (w *wire) keep(l net.Listener, conns ...net.Conn) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, c := range conns {
		if w.l != l {
			_ = c.Close()
		} else {
			w.conns[c] = true
		}
	}
	return w.l == l
}

// cut ends every connection and lets none through any more.
func (w *wire) cut() {
	w.mu.Lock()
	if w.l != nil {
		_ = w.l.Close()
		w.l = nil
	}
	for c := range w.conns {
		_ = c.Close()
	}
	w.conns = nil
	w.mu.Unlock()
	w.all.Wait()
}
