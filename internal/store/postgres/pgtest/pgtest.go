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

	"github.com/jackc/pgx/v5/pgconn"
)

// install is what a machine without PostgreSQL needs.
const install = "apt-get install -y postgresql-15"

// ErrMissing says that no PostgreSQL is installed, and how that is changed.
var ErrMissing = errors.New("PostgreSQL is not installed: run '" + install + "'")

// Server is an instance. Its databases are safe for concurrent use; what starts
// and ends it is one caller's.
type Server struct {
	dir       string
	bin       string
	owner     account
	args      []string // the settings that it runs with
	cmd       *exec.Cmd
	stdin     io.WriteCloser
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
	s := &Server{dir: dir, bin: bin}
	if err := s.start(durable); err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	return s, nil
}

// Binaries names, in the environment, the folder of the server's programs to
// use in the place of those that are installed.
const Binaries = "PANDO_TEST_POSTGRES"

// binaries is the folder that the environment names, else the newest of
// Debian's, else that of the search path.
func binaries() (string, error) {
	if dir := os.Getenv(Binaries); dir != "" {
		return dir, nil
	}
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

// start runs initdb and the server.
func (s *Server) start(durable bool) error {
	var err error
	if s.owner, err = unprivileged(); err != nil {
		return err
	}
	if err := s.owner.give(s.dir); err != nil {
		return err
	}
	if err := s.tool("initdb", "-D", s.data(), "-U", "pando", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync"); err != nil {
		return err
	}
	s.args = []string{"listen_addresses=", "max_connections=200", "shared_buffers=64MB"}
	if !durable {
		s.args = append(s.args, "fsync=off", "full_page_writes=off")
	}
	return s.launch()
}

func (s *Server) data() string { return filepath.Join(s.dir, "data") }

// tool runs one of PostgreSQL's programs to its end, as the server's account.
func (s *Server) tool(name string, args ...string) error {
	cmd := exec.CommandContext(context.Background(), filepath.Join(s.bin, name), args...)
	cmd.Dir = s.dir
	s.owner.run(cmd)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w\n%s", name, err, out)
	}
	return nil
}

// launch runs the server. A shell stands between the test and the server: its
// input ends with the test binary, whatever ends that, and then it stops the
// server and removes the folder. A line of input ends the server alone.
func (s *Server) launch() error {
	const script = `"$@" & pid=$!; read -r line; kill -INT $pid 2>/dev/null; wait $pid; [ -n "$line" ] || { cd /; rm -rf "$DIR"; }`
	args := []string{"-c", script, "sh", filepath.Join(s.bin, "postgres"), "-D", s.data(), "-k", s.dir}
	for _, setting := range s.args {
		args = append(args, "-c", setting)
	}
	s.cmd = exec.CommandContext(context.Background(), "/bin/sh", args...)
	s.cmd.Dir, s.cmd.Env = s.dir, append(os.Environ(), "DIR="+s.dir)
	s.output.Reset()
	s.cmd.Stdout, s.cmd.Stderr = &s.output, &s.output
	s.owner.run(s.cmd)
	var err error
	if s.stdin, err = s.cmd.StdinPipe(); err != nil {
		return err
	}
	if err := s.cmd.Start(); err != nil {
		return err
	}
	if err := ready(s.URL("postgres")); err != nil {
		stop := s.Stop()
		return errors.Join(err, stop, errors.New(s.output.String()))
	}
	return nil
}

// URL is a database's.
func (s *Server) URL(database string) string {
	return "postgres://pando@/" + database + "?host=" + s.dir + "&sslmode=disable"
}

// Database creates an empty database, of the collation C, and returns its URL.
func (s *Server) Database() (string, error) {
	ctx := context.Background()
	name := "t" + strconv.FormatInt(s.databases.Add(1), 10)
	c, err := pgconn.Connect(ctx, s.URL("postgres"))
	if err != nil {
		return "", err
	}
	_, err = c.Exec(ctx, "CREATE DATABASE "+name+" TEMPLATE template0").ReadAll()
	return s.URL(name), errors.Join(err, c.Close(ctx))
}

// Stop ends the server and removes its folder.
func (s *Server) Stop() error {
	var err error
	if s.cmd != nil {
		err = s.ended(s.stdin.Close())
	}
	return errors.Join(err, os.RemoveAll(s.dir))
}

// ended waits for the process.
func (s *Server) ended(err error) error {
	var status *exec.ExitError
	if werr := s.cmd.Wait(); !errors.As(werr, &status) {
		err = errors.Join(err, werr)
	}
	s.cmd = nil
	return err
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
