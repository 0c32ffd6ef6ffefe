// Package pgtest starts PostgreSQL servers for tests: in a folder of their
// own, on a Unix socket alone, as an unprivileged user, and gone when the test
// binary is, however it ends.
package pgtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

// install is what a machine without PostgreSQL needs.
const install = "apt-get install -y postgresql-15"

// ErrMissing says that no PostgreSQL is installed, and how that is changed.
var ErrMissing = errors.New("PostgreSQL is not installed: run '" + install + "'")

// Server is a running instance. It is safe for concurrent use.
type Server struct {
	dir       string
	cmd       *exec.Cmd
	stdin     io.Closer
	output    bytes.Buffer // read after the process has ended
	databases atomic.Int64
}

// Start makes a new instance and waits until it takes connections. The
// setting fsync is off unless durable: a test that kills no machine loses
// nothing by that.
func Start(durable bool) (*Server, error) {
	bin, err := binaries()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "pando-pg")
	if err != nil {
		return nil, err
	}
	s := &Server{dir: dir}
	if err := s.start(bin, durable); err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	return s, nil
}

// binaries finds the newest folder of Debian's, then the search path.
func binaries() (string, error) {
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin")
	if err != nil {
		return "", err
	}
	slices.Sort(found)
	for _, dir := range slices.Backward(found) {
		if _, err := os.Stat(filepath.Join(dir, "initdb")); err == nil {
			return dir, nil
		}
	}
	path, err := exec.LookPath("initdb")
	if err != nil {
		return "", ErrMissing
	}
	return filepath.Dir(path), nil
}

// start runs initdb and the server. A shell stands between the test and the
// server: its input ends with the test binary, whatever ends that, and then it
// stops the server and removes the folder.
func (s *Server) start(bin string, durable bool) error {
	owner, err := unprivileged()
	if err != nil {
		return err
	}
	if err := owner.give(s.dir); err != nil {
		return err
	}
	data := filepath.Join(s.dir, "data")
	initdb := exec.CommandContext(context.Background(), filepath.Join(bin, "initdb"), "-D", data, "-U", "pando", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync")
	initdb.Dir = s.dir
	owner.run(initdb)
	if out, err := initdb.CombinedOutput(); err != nil {
		return fmt.Errorf("initdb: %w\n%s", err, out)
	}
	const script = `"$@" & pid=$!; read -r line; kill -INT $pid; wait $pid; cd /; rm -rf "$DIR"`
	args := []string{
		"-c", script, "sh", filepath.Join(bin, "postgres"), "-D", data, "-k", s.dir,
		"-c", "listen_addresses=", "-c", "max_connections=200", "-c", "shared_buffers=64MB",
	}
	if !durable {
		args = append(args, "-c", "fsync=off", "-c", "full_page_writes=off")
	}
	s.cmd = exec.CommandContext(context.Background(), "/bin/sh", args...)
	s.cmd.Dir, s.cmd.Env = s.dir, append(os.Environ(), "DIR="+s.dir)
	s.cmd.Stdout, s.cmd.Stderr = &s.output, &s.output
	owner.run(s.cmd)
	if s.stdin, err = s.cmd.StdinPipe(); err != nil {
		return err
	}
	if err := s.cmd.Start(); err != nil {
		return err
	}
	if err := s.ready(); err != nil {
		stop := s.Stop()
		return errors.Join(err, stop, errors.New(s.output.String()))
	}
	return nil
}

// ready waits for the first connection.
func (s *Server) ready() error {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		c, err := pgconn.Connect(ctx, s.url("postgres"))
		if err == nil {
			return c.Close(ctx)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("the server does not answer: %w", err)
		case <-tick.C:
		}
	}
}

func (s *Server) url(database string) string {
	return "postgres://pando@/" + database + "?host=" + s.dir + "&sslmode=disable"
}

// Database creates an empty database, of the collation C, and returns its URL.
func (s *Server) Database() (string, error) {
	ctx := context.Background()
	name := "t" + strconv.FormatInt(s.databases.Add(1), 10)
	c, err := pgconn.Connect(ctx, s.url("postgres"))
	if err != nil {
		return "", err
	}
	_, err = c.Exec(ctx, "CREATE DATABASE "+name+" TEMPLATE template0").ReadAll()
	return s.url(name), errors.Join(err, c.Close(ctx))
}

// Stop ends the server and removes its folder.
func (s *Server) Stop() error {
	err := s.stdin.Close()
	var status *exec.ExitError
	if werr := s.cmd.Wait(); !errors.As(werr, &status) {
		err = errors.Join(err, werr)
	}
	return errors.Join(err, os.RemoveAll(s.dir))
}

// account is who the server runs as; the zero account is the caller.
type account struct{ uid, gid int }

// unprivileged finds an account that is not the superuser's: PostgreSQL
// refuses to run as that.
func unprivileged() (account, error) {
	if os.Geteuid() != 0 {
		return account{}, nil
	}
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, uerr := strconv.Atoi(u.Uid)
		gid, gerr := strconv.Atoi(u.Gid)
		if uerr == nil && gerr == nil {
			return account{uid, gid}, nil
		}
	}
	return account{}, errors.New("no user postgres or nobody to run the server as")
}

func (a account) give(dir string) error {
	if a.uid == 0 {
		return nil
	}
	return os.Chown(dir, a.uid, a.gid)
}
