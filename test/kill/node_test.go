package kill

import (
	"bytes"
	"context"
	"errors"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"
)

const secretKey = "a-secret-key-of-the-kill-test-and-of-nothing-else"

const module = `module: ledger
entities:
  accounts:
    fields:
      id:      { type: uuid, primary: true }
      balance: { type: int, default: 0 }
  entries: # number is not unique: a doubled write must be possible to be found
    fields:
      id:         { type: uuid, primary: true, default: uuid() }
      number:     { type: int }
      part:       { type: int }
      account_id: { ref: accounts, on_delete: restrict }
      note:       { type: text }
    index: [[number]]
`

// node is the process under test. Writers wait at its gate while it is down.
type node struct {
	binary, dir string
	cmd         *exec.Cmd
	output      bytes.Buffer
	ops         string // of the run that goes on
	kills       int
	slowest     time.Duration // from start to ready
	mayLose     bool          // a database behind the node is killed too

	mu   sync.Mutex
	open chan struct{} // closed while the node is up
	url  string
}

func newNode(t *testing.T) *node {
	t.Helper()
	n := &node{binary: *binary, dir: t.TempDir(), open: make(chan struct{})}
	if n.binary == "" {
		n.binary = build(t)
	}
	for name, text := range map[string]string{"pando.yaml": "app: ledger\n", "modules/ledger.yaml": module} {
		path := filepath.Join(n.dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() {
		if n.cmd != nil {
			_ = n.cmd.Process.Kill() // it has ended, unless the test failed
			_ = n.cmd.Wait()
		}
		if t.Failed() {
			t.Logf("the node's last words:\n%s", tail(n.output.String(), 4000))
		}
	})
	return n
}

func tail(s string, n int) string { return s[max(0, len(s)-n):] }

func build(t *testing.T) string {
	t.Helper()
	out := filepath.Join(t.TempDir(), "pando")
	cmd := exec.CommandContext(t.Context(), "go", "build", "-o", out, "github.com/pandobase/pando/cmd/pando")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if msg, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, msg)
	}
	return out
}

// start runs the node on ports that are free now: those of the killed process
// may not be for a while.
func (n *node) start(t *testing.T) {
	t.Helper()
	listen, ops := freePort(t), freePort(t)
	n.output.Reset()
	//nolint:noctx // the context's end must not be what kills it
	n.cmd = exec.Command(n.binary, "-C", n.dir, "serve", "--listen", listen, "--ops", ops)
	n.cmd.Env = append(os.Environ(), "PANDO_SECRET_KEY="+secretKey)
	n.cmd.Stdout, n.cmd.Stderr = &n.output, &n.output
	n.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} // a killed test leaves nothing behind
	if err := n.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	n.ops = ops
	n.mu.Lock()
	n.url = "http://" + listen
	n.mu.Unlock()
}

func freePort(t *testing.T) string {
	t.Helper()
	var lc net.ListenConfig
	l, err := lc.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	return addr
}

// awaitReady lets the writers in once the node says that it is ready.
func (n *node) awaitReady(t *testing.T) {
	t.Helper()
	begin := time.Now()
	ctx, cancel := context.WithTimeout(t.Context(), backAgain)
	defer cancel()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	for !n.ready(ctx, client) {
		select {
		case <-ctx.Done():
			t.Fatalf("not ready %v after the start", backAgain)
		case <-time.After(5 * time.Millisecond):
		}
	}
	n.slowest = max(n.slowest, time.Since(begin).Round(time.Millisecond))
	n.mu.Lock()
	close(n.open)
	n.mu.Unlock()
}

func (n *node) ready(ctx context.Context, client *http.Client) bool {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+n.ops+"/readyz", http.NoBody)
	if err != nil {
		return false
	}
	resp, err := client.Do(req)
	if err != nil {
		return false
	}
	_ = resp.Body.Close()
	return resp.StatusCode == http.StatusOK
}

// kill is SIGKILL, under full work.
func (n *node) kill(t *testing.T) {
	t.Helper()
	if err := n.cmd.Process.Kill(); err != nil {
		t.Fatal("it ended before it was killed:", err)
	}
	n.mu.Lock()
	select {
	case <-n.open:
		n.open = make(chan struct{})
	default: // it was not up yet
	}
	n.mu.Unlock()
	var exit *exec.ExitError
	if err := n.cmd.Wait(); !errors.As(err, &exit) || exit.ExitCode() != -1 {
		t.Fatal("it ended before it was killed:", err)
	}
	n.kills++
}

// stop ends the node in the orderly way.
func (n *node) stop(t *testing.T) {
	t.Helper()
	if err := n.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := n.cmd.Wait(); err != nil {
		t.Errorf("after SIGTERM: %v", err)
	}
	n.cmd = nil
}

// up waits for the node and gives its URL.
func (n *node) up(ctx context.Context) (string, error) {
	n.mu.Lock()
	open := n.open
	n.mu.Unlock()
	select {
	case <-open:
		n.mu.Lock()
		defer n.mu.Unlock()
		return n.url, nil
	case <-ctx.Done():
		return "", ctx.Err()
	}
}
