package brokertest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/rabbitmq/amqp091-go"
)

// Server is a broker's process, in a folder and on ports of its own. It is gone
// when the test is, however that ends.
type Server struct {
	// URL is where clients find it, now and when it was killed and is back.
	URL string

	args, env []string
	ready     func(ctx context.Context) error
	cmd       *exec.Cmd
	stdin     io.Closer
	output    *os.File
}

// NATS starts a nats-server with JetStream; it skips the test where there is none.
func NATS(t testing.TB, flags ...string) *Server {
	t.Helper()
	bin := find(t, "nats-server", "nats-server", "/usr/sbin/nats-server")
	port, dir := freePort(t), folder(t)
	addr := net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
	s := &Server{
		URL:  "nats://" + addr,
		args: append([]string{bin, "-js", "-sd", dir, "-a", "127.0.0.1", "-p", strconv.Itoa(port)}, flags...),
		env:  append(os.Environ(), "HOME="+dir),
		ready: func(ctx context.Context) error {
			var d net.Dialer
			c, err := d.DialContext(ctx, "tcp", addr)
			if err != nil {
				return err
			}
			return c.Close()
		},
	}
	s.Start(t)
	t.Cleanup(func() { s.Kill(t) })
	return s
}

// RabbitMQ starts a rabbitmq-server with an epmd of its own; it skips the test
// where there is none.
func RabbitMQ(t testing.TB) *Server {
	t.Helper()
	found, err := filepath.Glob("/usr/lib/rabbitmq/lib/rabbitmq_server-*/sbin/rabbitmq-server")
	if err != nil {
		t.Fatal(err)
	}
	bin := find(t, "rabbitmq-server", append([]string{""}, found...)...)
	epmd := find(t, "rabbitmq-server", "epmd", "/usr/bin/epmd")
	dir := folder(t)
	port, dist, names := strconv.Itoa(freePort(t)), strconv.Itoa(freePort(t)), strconv.Itoa(freePort(t))
	s := &Server{
		URL:  "amqp://guest:guest@127.0.0.1:" + port + "/",
		args: []string{bin},
		env: append(os.Environ(), "HOME="+dir, "ERL_EPMD_PORT="+names, "ERL_EPMD_ADDRESS=127.0.0.1",
			"RABBITMQ_NODENAME=pando"+port+"@localhost", "RABBITMQ_NODE_PORT="+port, "RABBITMQ_NODE_IP_ADDRESS=127.0.0.1", "RABBITMQ_DIST_PORT="+dist,
			"RABBITMQ_MNESIA_BASE="+filepath.Join(dir, "data"), "RABBITMQ_LOG_BASE="+filepath.Join(dir, "log"), "RABBITMQ_LOGS=-",
			"RABBITMQ_CONFIG_FILE="+filepath.Join(dir, "rabbitmq"), "RABBITMQ_CONF_ENV_FILE="+filepath.Join(dir, "env"),
			"RABBITMQ_ENABLED_PLUGINS_FILE="+filepath.Join(dir, "plugins"), "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS=+S 2:2"),
	}
	s.ready = func(context.Context) error {
		const patience = 5 * time.Second
		c, err := amqp091.DialConfig(s.URL, amqp091.Config{Dial: amqp091.DefaultDial(patience)})
		if err != nil {
			return err
		}
		return c.Close()
	}
	registry := &Server{
		args: []string{epmd, "-port", names, "-address", "127.0.0.1"}, env: s.env,
		ready: func(context.Context) error { return nil },
	}
	registry.Start(t)
	t.Cleanup(func() { registry.Kill(t) })
	s.Start(t)
	t.Cleanup(func() { s.Kill(t) })
	return s
}

// find finds a program, or skips the test with the command that installs it.
func find(t testing.TB, pkg string, names ...string) string {
	t.Helper()
	for _, name := range slices.Backward(names) {
		if name == "" {
			continue
		}
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	t.Skipf("%s is not installed: run 'apt-get install -y --no-install-recommends %s'", pkg, pkg)
	return ""
}

// folder is removed at the end: a server that was killed may leave it behind.
func folder(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "pando-broker") //nolint:usetesting // that one fails where a killed server leaves something
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return dir
}

func freePort(t testing.TB) int {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()                     //nolint:errcheck // nobody has used it
	return l.Addr().(*net.TCPAddr).Port //nolint:forcetypeassert // it is TCP
}

// Start starts the process and waits until it answers. A shell stands between the
// test and the server: its input ends with the test binary, whatever ends that,
// and then it kills the server and what that has started.
func (s *Server) Start(t testing.TB) {
	t.Helper()
	const script = `setsid "$@" & pid=$!; read -r line; kill -9 -$pid 2>/dev/null; wait $pid 2>/dev/null`
	s.cmd = exec.CommandContext(context.Background(), "/bin/sh", append([]string{"-c", script, "sh"}, s.args...)...)
	s.cmd.Env, s.cmd.Dir = s.env, os.TempDir()
	var err error
	if s.output == nil { // a file: what the server has started may outlive it for a moment
		if s.output, err = os.Create(filepath.Join(folder(t), "output")); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = s.output.Close() })
	}
	s.cmd.Stdout, s.cmd.Stderr = s.output, s.output
	if s.stdin, err = s.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		if err = s.ready(ctx); err == nil {
			return
		}
		select {
		case <-ctx.Done():
			s.Kill(t)
			output, rerr := os.ReadFile(s.output.Name())
			t.Fatal(fmt.Errorf("the server does not answer: %w\n%s", errors.Join(err, rerr), output))
		case <-tick.C:
		}
	}
}

// Kill ends the process as a crash would. It may be dead already.
func (s *Server) Kill(t testing.TB) {
	t.Helper()
	if s.cmd == nil {
		return
	}
	err := s.stdin.Close()
	var status *exec.ExitError
	if werr := s.cmd.Wait(); !errors.As(werr, &status) {
		err = errors.Join(err, werr)
	}
	s.cmd = nil
	if err != nil {
		t.Error(err)
	}
}

// Harness runs the suite against the server.
func (s *Server) Harness(h Harness) Harness {
	h.Kill = func(t *testing.T) { t.Helper(); s.Kill(t); s.Start(t) }
	h.Away = func(t *testing.T) { t.Helper(); s.Kill(t) }
	h.Back = func(t *testing.T) { t.Helper(); s.Start(t) }
	return h
}
