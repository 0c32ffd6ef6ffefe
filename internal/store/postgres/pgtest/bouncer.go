package pgtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

// ErrNoBouncer says that PgBouncer is not installed, and how that is changed.
var ErrNoBouncer = errors.New("PgBouncer is not installed: run 'apt-get install -y pgbouncer'")

// Bouncer is a running PgBouncer in transaction mode before a server.
type Bouncer struct {
	server *Server
	dir    string
	cmd    *exec.Cmd
	stdin  io.Closer
	output bytes.Buffer // read after the process has ended
}

// StartBouncer starts PgBouncer, on a Unix socket alone.
func StartBouncer(s *Server) (*Bouncer, error) {
	bin, err := exec.LookPath("pgbouncer")
	if err != nil {
		if bin = "/usr/sbin/pgbouncer"; !isFile(bin) {
			return nil, ErrNoBouncer
		}
	}
	dir, err := os.MkdirTemp("", "pando-pgb")
	if err != nil {
		return nil, err
	}
	b := &Bouncer{server: s, dir: dir}
	if err := b.start(bin); err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	return b, nil
}

func isFile(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

func (b *Bouncer) start(bin string) error {
	owner, err := unprivileged()
	if err != nil {
		return err
	}
	ini := filepath.Join(b.dir, "pgbouncer.ini")
	config := "[databases]\n* = host=" + b.server.dir + " user=pando\n[pgbouncer]\nlisten_addr =\nlisten_port = 5432\nunix_socket_dir = " + b.dir +
		"\nauth_type = any\npool_mode = transaction\nmax_client_conn = 500\ndefault_pool_size = 20\nserver_idle_timeout = 1\nlog_connections = 0\nlog_disconnections = 0\n"
	if err := errors.Join(os.WriteFile(ini, []byte(config), 0o600), owner.give(b.dir), owner.give(ini)); err != nil {
		return err
	}
	const script = `"$@" & pid=$!; read -r line; kill -INT $pid; wait $pid; cd /; rm -rf "$DIR"`
	b.cmd = exec.CommandContext(context.Background(), "/bin/sh", "-c", script, "sh", bin, ini)
	b.cmd.Dir, b.cmd.Env = b.dir, append(os.Environ(), "DIR="+b.dir)
	b.cmd.Stdout, b.cmd.Stderr = &b.output, &b.output
	owner.run(b.cmd)
	if b.stdin, err = b.cmd.StdinPipe(); err != nil {
		return err
	}
	if err := b.cmd.Start(); err != nil {
		return err
	}
	if err := ready(b.URL(b.server.URL("postgres"))); err != nil {
		stop := b.Stop()
		return errors.Join(err, stop, errors.New(b.output.String()))
	}
	return nil
}

// URL is that of a server's database, by way of the pooler.
func (b *Bouncer) URL(url string) string {
	return strings.Replace(url, "host="+b.server.dir, "host="+b.dir, 1) + "&pooler=transaction"
}

// Stop ends the pooler and removes its folder.
func (b *Bouncer) Stop() error {
	err := b.stdin.Close()
	var status *exec.ExitError
	if werr := b.cmd.Wait(); !errors.As(werr, &status) {
		err = errors.Join(err, werr)
	}
	return errors.Join(err, os.RemoveAll(b.dir))
}

// ready waits for the first connection.
func ready(url string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	cfg, err := pgconn.ParseConfig(url)
	if err != nil {
		return err
	}
	delete(cfg.RuntimeParams, "pooler")
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		c, err := pgconn.ConnectConfig(ctx, cfg)
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
