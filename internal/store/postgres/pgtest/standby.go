package pgtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

// Standby makes a streaming replica of the server, by a base backup. The name
// is what synchronous_standby_names may list it by.
func (s *Server) Standby(name string) (*Server, error) {
	dir, err := os.MkdirTemp("", "pando-pg")
	if err != nil {
		return nil, err
	}
	r := &Server{dir: dir, bin: s.bin, owner: s.owner, args: s.args}
	if err := r.copyOf(s, name); err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	return r, nil
}

func (s *Server) copyOf(primary *Server, name string) error {
	if err := s.owner.give(s.dir); err != nil {
		return err
	}
	if err := s.tool("pg_basebackup", "-D", s.data(), "-h", primary.dir, "-U", "pando", "-c", "fast", "-X", "stream", "--no-sync"); err != nil {
		return err
	}
	if err := s.mark("standby.signal"); err != nil {
		return err
	}
	s.Follow(primary, name)
	return s.launch()
}

// mark makes an empty file in the server's folder.
func (s *Server) mark(name string) error {
	path := filepath.Join(s.data(), name)
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		return err
	}
	return s.owner.give(path)
}

// Rejoin makes a server that was killed or halted a standby of another one,
// from a new base backup, and starts it.
func (s *Server) Rejoin(primary *Server, name string) error {
	if err := os.RemoveAll(s.data()); err != nil {
		return err
	}
	return s.copyOf(primary, name)
}

// Follow sets the primary that the server, which is not running, streams from
// when it is launched as a standby.
func (s *Server) Follow(primary *Server, name string) {
	s.Set("primary_conninfo", "host="+primary.dir+" user=pando application_name="+name)
	s.Set("wal_retrieve_retry_interval", "100ms")
}

// Set gives a setting for the server's next start.
func (s *Server) Set(name, value string) {
	args := make([]string, 0, len(s.args)+1) // standbys share what they were made with
	for _, a := range s.args {
		if !strings.HasPrefix(a, name+"=") {
			args = append(args, a)
		}
	}
	s.args = append(args, name+"="+value)
}

// Kill ends every process of the server at once, as a crash of the machine
// does. Its folder stays.
func (s *Server) Kill() error {
	pids, err := s.processes()
	if err != nil {
		return err
	}
	for _, pid := range pids { // the postmaster is the first
		if p, err := os.FindProcess(pid); err == nil {
			_ = p.Kill() // it may have ended by itself
		}
	}
	return s.halt()
}

// Halt ends the server in an orderly way. Its folder stays.
func (s *Server) Halt() error { return s.halt() }

func (s *Server) halt() error {
	_, err := io.WriteString(s.stdin, "halt\n")
	return s.ended(errors.Join(err, s.stdin.Close()))
}

// Restart starts a server again that has been killed or halted.
func (s *Server) Restart() error {
	if err := os.Remove(filepath.Join(s.data(), "postmaster.pid")); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return s.launch()
}

// processes are the postmaster and its children, where the system tells.
func (s *Server) processes() ([]int, error) {
	data, err := os.ReadFile(filepath.Join(s.data(), "postmaster.pid"))
	if err != nil {
		return nil, err
	}
	first, _, _ := bytes.Cut(data, []byte("\n"))
	main, err := strconv.Atoi(string(first))
	if err != nil {
		return nil, fmt.Errorf("postmaster.pid: %w", err)
	}
	pids := []int{main}
	children, _ := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", main, main)) // Linux alone
	for f := range bytes.FieldsSeq(children) {
		if pid, err := strconv.Atoi(string(f)); err == nil {
			pids = append(pids, pid)
		}
	}
	return pids, nil
}

// Processes are the server's, the first of them the one that started the others.
func (s *Server) Processes() ([]int, error) { return s.processes() }

// Promote makes a standby a primary, and returns when it takes writes.
func (s *Server) Promote() error {
	return s.Exec("postgres", "SELECT pg_promote(true, 30)")
}

// PauseReplay keeps a standby from showing what it receives.
func (s *Server) PauseReplay() error {
	if err := s.Exec("postgres", "SELECT pg_wal_replay_pause()"); err != nil {
		return err
	}
	return s.Await("SELECT pg_get_wal_replay_pause_state()='paused'")
}

// ResumeReplay lets it go on.
func (s *Server) ResumeReplay() error { return s.Exec("postgres", "SELECT pg_wal_replay_resume()") }

// CaughtUp waits until a standby has replayed what the primary has written so
// far.
func (s *Server) CaughtUp(primary *Server) error {
	at, err := primary.ask("SELECT pg_current_wal_flush_lsn()")
	if err != nil {
		return err
	}
	return s.Await("SELECT pg_last_wal_replay_lsn() >= '" + at + "'")
}

// Synchronous makes commits wait for one of the named standbys, for all when
// there is none.
func (s *Server) Synchronous(names ...string) error {
	value := ""
	if len(names) > 0 {
		value = "ANY 1 (" + strings.Join(names, ",") + ")"
	}
	if err := s.Exec("postgres", "ALTER SYSTEM SET synchronous_standby_names='"+value+"'"); err != nil {
		return err
	}
	if err := s.Exec("postgres", "SELECT pg_reload_conf()"); err != nil {
		return err
	}
	if value == "" {
		return nil
	}
	return s.Await("SELECT count(*)>0 FROM pg_stat_replication WHERE sync_state IN ('sync','quorum')")
}

// Await asks until a query answers true.
func (s *Server) Await(query string) error {
	deadline := time.NewTimer(30 * time.Second)
	defer deadline.Stop()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		got, err := s.ask(query)
		if err == nil && got == "t" {
			return nil
		}
		select {
		case <-deadline.C:
			return fmt.Errorf("%s is still %q: %w", query, got, err)
		case <-tick.C:
		}
	}
}

// Exec runs SQL in a database.
func (s *Server) Exec(database, sql string) error {
	_, err := s.in(database, sql)
	return err
}

// ask is the one value that a query answers, as text.
func (s *Server) ask(query string) (string, error) { return s.in("postgres", query) }

func (s *Server) in(database, sql string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	defer cancel()
	c, err := pgconn.Connect(ctx, s.URL(database))
	if err != nil {
		return "", err
	}
	results, err := c.Exec(ctx, sql).ReadAll()
	if err = errors.Join(err, c.Close(ctx)); err != nil || len(results) == 0 || len(results[0].Rows) == 0 {
		return "", err
	}
	return string(results[0].Rows[0][0]), nil
}

// URLs is one URL for a database of several servers: a client takes the one
// that takes writes.
func URLs(database string, servers ...*Server) string {
	hosts := make([]string, len(servers))
	for i, s := range servers {
		hosts[i] = s.dir
	}
	return "postgres://pando@/" + database + "?host=" + strings.Join(hosts, ",") + "&sslmode=disable&target_session_attrs=read-write"
}

// Freeze stops every process of the server where it is, or lets them go on: it
// is there, and does not answer.
func (s *Server) Freeze(stop bool) error {
	pids, err := s.processes()
	if err != nil {
		return err
	}
	var errs []error
	for _, pid := range pids {
		errs = append(errs, freeze(pid, stop))
	}
	return errors.Join(errs...)
}
