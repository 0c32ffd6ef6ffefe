package work

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

// process is something that is killed and started again.
type process struct {
	name   string
	cmd    *exec.Cmd
	output bytes.Buffer // of the run that goes on, once it has ended
	kills  int
}

// run starts a command. It ends with the test, however that ends.
func (p *process) run(t *testing.T, env []string, name string, args ...string) {
	t.Helper()
	p.output.Reset()
	//nolint:noctx // the context's end must not be what kills it
	p.cmd = exec.Command(name, args...)
	p.cmd.Env = append(os.Environ(), env...)
	p.cmd.Stdout, p.cmd.Stderr = &p.output, &p.output
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	must(t, p.cmd.Start())
}

// clean ends what a test has left running, and shows what it said.
func (p *process) clean(t *testing.T) {
	if p.cmd != nil {
		_ = p.cmd.Process.Kill() // it has ended, unless the test failed
		_ = p.cmd.Wait()
	}
	if t.Failed() {
		text := p.output.String()
		t.Logf("the last words of %s:\n%s", p.name, text[max(0, len(text)-4000):])
	}
}

// kill is SIGKILL, under full work.
func (p *process) kill(t *testing.T) {
	t.Helper()
	if err := p.cmd.Process.Kill(); err != nil {
		t.Fatalf("%s ended before it was killed: %v", p.name, err)
	}
	var exit *exec.ExitError
	if err := p.cmd.Wait(); !errors.As(err, &exit) || exit.ExitCode() != -1 {
		t.Fatalf("%s ended before it was killed: %v", p.name, err)
	}
	p.cmd = nil
	p.kills++
}

// stop ends it in the orderly way.
func (p *process) stop(t *testing.T) {
	t.Helper()
	must(t, p.cmd.Process.Signal(syscall.SIGTERM))
	if err := p.cmd.Wait(); err != nil {
		t.Errorf("%s after SIGTERM: %v", p.name, err)
	}
	p.cmd = nil
}

// node is a node of the application. Writers ask where it is while it is up.
type node struct {
	process

	dir     string
	env     []string
	slowest time.Duration // from start to ready

	mu       sync.Mutex
	url, ops string // empty: it is down
}

// launch runs the node on ports that are free now: those of the killed process may
// not be for a while.
func (n *node) launch(t *testing.T) (listen, ops string) {
	t.Helper()
	listen, ops = freePort(t), freePort(t)
	n.run(t, append([]string{"PANDO_SECRET_KEY=" + secretKey}, n.env...), binary(t), "-C", n.dir, "serve", "--listen", listen, "--ops", ops)
	return listen, ops
}

// start launches the node and waits until it is ready.
func (n *node) start(t *testing.T) {
	t.Helper()
	begin := time.Now()
	listen, ops := n.launch(t)
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: backAgain}
	until(t, backAgain, n.name+" gets ready", func() bool { return status(t.Context(), client, "http://"+ops+"/readyz") == http.StatusOK })
	n.slowest = max(n.slowest, time.Since(begin).Round(time.Millisecond))
	n.mu.Lock()
	defer n.mu.Unlock()
	n.url, n.ops = "http://"+listen, "http://"+ops
}

// down is what writers see before the node goes.
func (n *node) down() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.url, n.ops = "", ""
}

func (n *node) up() string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.url
}

// metric is the value of a metric without labels; -1: there is none.
func (n *node) metric(ctx context.Context, name string) float64 {
	n.mu.Lock()
	ops := n.ops
	n.mu.Unlock()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, ops+"/metrics", http.NoBody)
	if err != nil {
		return -1
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return -1
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return -1
	}
	for line := range strings.Lines(string(body)) {
		if strings.HasPrefix(line, name+" ") || strings.HasPrefix(line, name+"{") {
			var v float64
			if _, err := fmt.Sscan(line[strings.LastIndexByte(line, ' ')+1:], &v); err == nil {
				return v
			}
		}
	}
	return -1
}

func status(ctx context.Context, client *http.Client, url string) int {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return 0
	}
	resp, err := client.Do(req)
	if err != nil {
		return 0
	}
	_ = resp.Body.Close()
	return resp.StatusCode
}

// until waits for a condition.
func until(t *testing.T, limit time.Duration, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(limit); !ok(); <-tick.C {
		if time.Now().After(end) {
			t.Fatalf("it takes more than %v until %s", limit, what)
		}
	}
}

func freePort(t *testing.T) string {
	t.Helper()
	var lc net.ListenConfig
	l, err := lc.Listen(t.Context(), "tcp", "127.0.0.1:0")
	must(t, err)
	addr := l.Addr().String()
	must(t, l.Close())
	return addr
}

// fixedPort is a free address that stays free while nobody listens there: it is
// none of those that systems give to connections and to who asks for any.
func fixedPort(t *testing.T) string {
	t.Helper()
	var lc net.ListenConfig
	for {
		addr := fmt.Sprintf("127.0.0.1:%d", 10_000+rand.IntN(20_000)) //nolint:gosec // any will do
		if l, err := lc.Listen(t.Context(), "tcp", addr); err == nil {
			must(t, l.Close())
			return addr
		}
	}
}

// nats is a NATS server with JetStream: this test binary, which becomes one when
// the environment says so.
type nats struct {
	process

	addr, dir string
}

const natsAddr, natsDir = "PANDO_WORK_NATS_ADDR", "PANDO_WORK_NATS_DIR"

func newNATS(t *testing.T) *nats {
	t.Helper()
	b := &nats{process: process{name: "nats"}, addr: fixedPort(t), dir: t.TempDir()}
	t.Cleanup(func() { b.clean(t) })
	b.start(t)
	return b
}

func (b *nats) start(t *testing.T) {
	t.Helper()
	self, err := os.Executable()
	must(t, err)
	b.run(t, []string{natsAddr + "=" + b.addr, natsDir + "=" + b.dir}, self)
}

func (b *nats) url() string { return "nats://" + b.addr }

// serveNATS is the life of a NATS server until it is killed.
func serveNATS(addr, dir string) {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		panic(err)
	}
	o := &server.Options{Host: host, JetStream: true, StoreDir: dir, NoSigs: true, NoLog: true}
	if _, err := fmt.Sscan(port, &o.Port); err != nil {
		panic(err)
	}
	s, err := server.NewServer(o)
	if err != nil {
		panic(err)
	}
	s.Start()
	s.WaitForShutdown()
}
