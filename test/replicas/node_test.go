// Package replicas holds the promises about a store with replicas, from the
// built binary: who has written reads what was written, nobody is judged by old
// rows, and when the primary is lost no acknowledged write is, and none is
// doubled.
//
//	PANDO_FAILOVER_RUNS=20 go test ./test/replicas -run TestFailover
package replicas

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/pandobase/pando/internal/store/postgres/pgtest"
)

const (
	secretKey      = "a-secret-key-of-the-replica-tests-and-of-nothing-else"
	publishableKey = "a-publishable-key-of-the-replica-tests-alone"
)

const module = `module: ledger
entities:
  entries: # number is not unique: a doubled write must be possible to be found
    fields:
      id:     { type: uuid, primary: true, default: uuid() }
      number: { type: int }
    index: [[number]]
  groups:
    fields:
      id:   { type: int, primary: true }
      open: { type: bool, default: false }
  members:
    fields:
      id:       { type: int, primary: true }
      group_id: { ref: groups, on_delete: cascade }
      name:     { type: text }
    index: [[group_id]]
  notes:
    fields:
      id:       { type: int, primary: true }
      group_id: { ref: groups, on_delete: cascade }
      text:     { type: text }
    policy:
      read: "row.group.members.exists(m, m.name == 'guest')"
  letters:
    fields:
      id:       { type: int, primary: true }
      group_id: { ref: groups, on_delete: cascade }
      text:     { type: text }
    policy:
      read: "row.group.open"
`

//nolint:gochecknoglobals // a flag, and what is built once for the test binary
var (
	given = flag.String("pando", "", "the binary; built when not given")
	build = sync.OnceValues(binary)
)

// workspace is the folder that goes with the test binary.
var workspace string //nolint:gochecknoglobals // made by TestMain

func TestMain(m *testing.M) {
	var err error
	if workspace, err = os.MkdirTemp("", "pando-replicas"); err != nil {
		panic(err)
	}
	code := m.Run()
	_ = os.RemoveAll(workspace) // in the folder of temporary files
	os.Exit(code)
}

func binary() (string, error) {
	if *given != "" {
		return *given, nil
	}
	out := filepath.Join(workspace, "pando")
	cmd := exec.CommandContext(context.Background(), "go", "build", "-o", out, "github.com/pandobase/pando/cmd/pando")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if msg, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build: %w\n%s", err, msg)
	}
	return out, nil
}

// pair is a primary and its standbys with the application's database.
type pair struct {
	servers  []*pgtest.Server
	database string
}

func newPair(t *testing.T, standbys ...string) *pair {
	t.Helper()
	primary, err := pgtest.Start(false)
	if errors.Is(err, pgtest.ErrMissing) {
		t.Skip(err)
	}
	must(t, err)
	t.Cleanup(func() { must(t, primary.Stop()) })
	url, err := primary.Database()
	must(t, err)
	p := &pair{servers: []*pgtest.Server{primary}}
	p.database, _, _ = strings.Cut(url[strings.Index(url, "@/")+2:], "?")
	for _, name := range standbys {
		s, err := primary.Standby(name)
		must(t, err)
		t.Cleanup(func() { must(t, s.Stop()) })
		p.servers = append(p.servers, s)
	}
	return p
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// node is the process under test.
type node struct {
	t        *testing.T
	url, ops string
	client   *http.Client
}

// serve runs the application on the pair; the servers of the given numbers are
// its replicas.
func (p *pair) serve(t *testing.T, replicas ...int) *node {
	t.Helper()
	binary, err := build()
	must(t, err)
	dir := t.TempDir()
	must(t, os.Mkdir(filepath.Join(dir, "modules"), 0o755))
	must(t, os.WriteFile(filepath.Join(dir, "pando.yaml"), []byte("app: ledger\nstore: { url: \"secret:store\", max_lag: 30s }\nlog: { access: false }\n"), 0o600))
	must(t, os.WriteFile(filepath.Join(dir, "modules", "ledger.yaml"), []byte(module), 0o600))
	listen, ops := freePort(t), freePort(t)
	var output bytes.Buffer
	cmd := exec.CommandContext(context.Background(), binary, "-C", dir, "serve", "--listen", listen, "--ops", ops)
	cmd.Env = append(os.Environ(), "PANDO_SECRET_KEY="+secretKey, "PANDO_PUBLISHABLE_KEY="+publishableKey,
		"PANDO_SECRET_STORE="+pgtest.URLs(p.database, p.servers...))
	if len(replicas) > 0 {
		var names []string
		for _, i := range replicas {
			name := fmt.Sprintf("REPLICA_%d", i)
			names = append(names, "secret:"+strings.ToLower(name))
			cmd.Env = append(cmd.Env, "PANDO_SECRET_"+name+"="+p.servers[i].URL(p.database))
		}
		cmd.Env = append(cmd.Env, "PANDO_STORE_REPLICAS="+strings.Join(names, ","))
	}
	cmd.Stdout, cmd.Stderr = &output, &output
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} // a killed test leaves nothing behind
	must(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM) // it has ended, if the test failed early
		if err := cmd.Wait(); err != nil {
			t.Errorf("after SIGTERM: %v", err)
		}
		if t.Failed() {
			t.Logf("the node's words:\n%s", output.String()[max(0, output.Len()-6000):])
		}
	})
	n := &node{t: t, url: "http://" + listen, ops: "http://" + ops, client: &http.Client{
		Timeout: time.Minute, Transport: &http.Transport{MaxIdleConnsPerHost: 64},
	}}
	n.until("/readyz", func() bool { return n.get(n.ops+"/readyz") != "" })
	return n
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

// get is the body of a 200.
func (n *node) get(url string) string {
	resp, err := n.client.Get(url) //nolint:noctx // the client has a time limit
	if err != nil {
		return ""
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		return ""
	}
	return string(body)
}

// until waits for a condition.
func (n *node) until(what string, ok func() bool) {
	n.t.Helper()
	deadline := time.Now().Add(60 * time.Second)
	for !ok() {
		if time.Now().After(deadline) {
			n.t.Fatalf("%s does not come about", what)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// metric is the value of the metric's line that has all of the parts; -1: none.
func (n *node) metric(parts ...string) float64 {
	for line := range strings.Lines(n.get(n.ops + "/metrics")) {
		found := !strings.HasPrefix(line, "#")
		for _, p := range parts {
			found = found && strings.Contains(line, p)
		}
		if found {
			var v float64
			if _, err := fmt.Sscan(line[strings.LastIndexByte(line, ' ')+1:], &v); err == nil {
				return v
			}
		}
	}
	return -1
}

// answer is what a request was answered with.
type answer struct {
	status int
	header http.Header
	body   string
}

// do sends a request with a key; headers come as pairs.
func (n *node) do(key, method, path, body string, headers ...string) (*answer, error) {
	req, err := http.NewRequest(method, n.url+"/rest/v1/"+path, strings.NewReader(body)) //nolint:noctx // the client has a time limit
	if err != nil {
		return nil, err
	}
	req.GetBody = nil // net/http would repeat a request of its own accord
	req.Header.Set("Apikey", key)
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	resp, err := n.client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	return &answer{resp.StatusCode, resp.Header, string(data)}, err
}

// ok is do for what must succeed.
func (n *node) ok(key, method, path, body string, headers ...string) *answer {
	n.t.Helper()
	a, err := n.do(key, method, path, body, headers...)
	must(n.t, err)
	if a.status/100 != 2 {
		n.t.Fatalf("%s %s: %d %s", method, path, a.status, a.body)
	}
	return a
}

// rows is how many rows an answer has.
func (a *answer) rows() int {
	var list []json.RawMessage
	if json.Unmarshal([]byte(a.body), &list) != nil {
		return -1
	}
	return len(list)
}
