// Package attack attacks the built binary as strangers, holders of a key and
// broken machines would: it passes only if every attack fails, and the node
// lives on within its memory.
package attack

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// binary is what TestMain built.
var binary string //nolint:gochecknoglobals // built once for all tests

func TestMain(m *testing.M) {
	os.Exit(run(m))
}

func run(m *testing.M) int {
	if binary = os.Getenv("PANDO_ATTACK_BINARY"); binary == "" {
		dir, err := os.MkdirTemp("", "pando-attack-")
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer func() { _ = os.RemoveAll(dir) }()
		binary = filepath.Join(dir, "pando")
		cmd := exec.CommandContext(context.Background(), "go", "build", "-o", binary, "github.com/pandobase/pando/cmd/pando")
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
		if msg, err := cmd.CombinedOutput(); err != nil {
			fmt.Fprintf(os.Stderr, "go build: %v\n%s", err, msg)
			return 1
		}
	}
	return conclude(m.Run())
}

// vault is the module under attack, beside the shop: every type, and fields
// that no answer may tell of.
const vault = `module: vault
entities:
  safes:
    fields:
      id:        { type: uuid, primary: true, default: uuid() }
      owner:     { type: text, max: 100 }
      code:      { type: text, optional: true, hidden: true }
      pin:       { type: int, default: 731973197319, hidden: true }
      keeper_id: { ref: keepers, optional: true, hidden: true, as: warden }
      user_id:   { ref: auth.users, optional: true, on_delete: cascade }
      count:     { type: int, default: 0 }
      amount:    { type: decimal, scale: 2, default: 0 }
      ratio:     { type: float, optional: true }
      flag:      { type: bool, default: false }
      opened_at: { type: timestamp, optional: true }
      day:       { type: date, optional: true }
      hour:      { type: time, optional: true }
      meta:      { type: json, optional: true }
      blob:      { type: bytes, optional: true }
      kind:      { type: enum, values: [steel, wood], default: steel }
      tags:      { type: text, list: true, optional: true }
      numbers:   { type: int, list: true, optional: true }
    unique: [[code], [owner, day]]
    check:  [ "row.pin > 999" ]
    search: [owner]
  keepers:
    fields:
      id:     { type: int, primary: true }
      name:   { type: text }
      salary: { type: int, default: 817281728172, hidden: true }
    unique: [[name]]
`

// node is a running binary.
type node struct {
	dir, url, ops, key string
	cmd                *exec.Cmd
	exited             chan error // receives once
	log, out           *output    // what it writes to its standard error and output
	client             *http.Client
}

// output collects what the node writes, safe for the goroutine that does.
type output struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.String()
}

// application writes the shop and the vault to a folder.
func application(t *testing.T, dir string) {
	t.Helper()
	if err := os.CopyFS(dir, os.DirFS("../../examples/shop")); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "modules", "vault.yaml"), []byte(vault), 0o600); err != nil {
		t.Fatal(err)
	}
}

const secretKey = "pando_sec_attackattackattackattackattackattackattack"

// start serves an application's folder and waits until it listens.
func start(t *testing.T, dir string, env ...string) *node {
	t.Helper()
	n := &node{dir: dir, key: secretKey, log: &output{}, out: &output{}, exited: make(chan error, 1)}
	//nolint:noctx // it is stopped below, and must not be killed by a context
	n.cmd = exec.Command(binary, "-C", dir, "serve", "--listen", "127.0.0.1:0", "--ops", "127.0.0.1:0")
	n.cmd.Env = append(os.Environ(), append([]string{"PANDO_SECRET_KEY=" + secretKey}, env...)...)
	n.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} // a killed test leaves nothing behind
	n.cmd.Stderr = n.log
	out, err := n.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := n.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(io.TeeReader(out, n.out))
	for n.ops == "" && lines.Scan() {
		if s, ok := strings.CutPrefix(lines.Text(), "listening on "); ok {
			n.url = s
		}
		if s, ok := strings.CutPrefix(lines.Text(), "operations on "); ok {
			n.ops = s
		}
	}
	go func() {
		_, _ = io.Copy(n.out, out)
		n.exited <- n.cmd.Wait()
	}()
	if n.url == "" {
		t.Fatalf("the node did not start: %s", n.log.String())
	}
	n.client = &http.Client{
		Timeout:   20 * time.Second,
		Transport: &http.Transport{MaxIdleConnsPerHost: 64, DisableCompression: true},
	}
	t.Cleanup(func() {
		n.client.CloseIdleConnections()
		_ = n.cmd.Process.Kill() // it has ended, unless the test failed
		select {
		case <-n.exited: //nolint:errcheck // it was killed
		case <-time.After(5 * time.Second):
		}
		if t.Failed() {
			log := n.log.String()
			t.Logf("the node's last words:\n%s", log[max(0, len(log)-4000):])
		}
	})
	return n
}

// fresh starts a node over a new copy of the application.
func fresh(t *testing.T, env ...string) *node {
	t.Helper()
	dir := t.TempDir()
	application(t, dir)
	return start(t, dir, env...)
}

// stop sends SIGTERM and expects an orderly end.
func (n *node) stop(t *testing.T) {
	t.Helper()
	n.client.CloseIdleConnections()
	if err := n.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-n.exited:
		n.exited <- nil // for the cleanup
		if err != nil {
			t.Errorf("SIGTERM: %v", err)
		}
	case <-time.After(15 * time.Second):
		t.Error("the node does not stop")
	}
}

// address is host:port of the public listener.
func (n *node) address() string { return strings.TrimPrefix(n.url, "http://") }

// answer is what came back.
type answer struct {
	status int
	header http.Header
	body   string
}

// problem is the body of an answer to a fault.
type problem struct {
	Code, Message string
	Status        int
	Details, Hint *string
}

// request sends one request with the secret key. header is Name: value lines.
func (n *node) request(method, path, body string, header ...string) (answer, error) {
	return n.send(n.client, method, path, strings.NewReader(body), header...)
}

func (n *node) send(client *http.Client, method, path string, body io.Reader, header ...string) (answer, error) {
	req, err := http.NewRequestWithContext(context.Background(), method, n.url, body)
	if err != nil {
		return answer{}, err
	}
	path, query, _ := strings.Cut(path, "?")
	req.URL.Opaque, req.URL.RawQuery = path, query
	if strings.HasPrefix(path, "//") {
		req.URL.Opaque = "//" + n.address() + path // net/http strips the host again
	}
	req.Header.Set("Apikey", n.key)
	if method == http.MethodPost || method == http.MethodPatch || method == http.MethodPut {
		req.Header.Set("Content-Type", "application/json")
	}
	seen := map[string]bool{}
	for _, h := range header {
		name, value, _ := strings.Cut(h, ": ")
		if name = http.CanonicalHeaderKey(name); !seen[name] {
			req.Header.Del(name)
		}
		seen[name] = true
		req.Header[name] = append(req.Header[name], value)
	}
	res, err := client.Do(req)
	if err != nil {
		return answer{}, err
	}
	defer func() { _ = res.Body.Close() }()
	text, err := io.ReadAll(res.Body)
	return answer{status: res.StatusCode, header: res.Header, body: string(text)}, err
}

// do is request, of which the transport must not fail.
func (n *node) do(t *testing.T, method, path, body string, header ...string) answer {
	t.Helper()
	a, err := n.request(method, path, body, header...)
	if err != nil {
		t.Fatalf("%s %.200s: %v", method, path, err)
	}
	return a
}

// want does a request and checks its status.
func (n *node) want(t *testing.T, status int, method, path, body string, header ...string) answer {
	t.Helper()
	a := n.do(t, method, path, body, header...)
	if a.status != status {
		t.Fatalf("%s %.200s %.200s: %d %.400s, want %d", method, path, body, a.status, a.body, status)
	}
	return a
}

// longestProblem bounds what an answer to a fault may repeat of the request.
const longestProblem = 8 << 10

// checkProblem holds an answer against what every fault's answer must be.
func checkProblem(a answer, method string) error {
	if a.status < 400 {
		return nil
	}
	if method == http.MethodHead {
		return nil
	}
	ct := a.header.Get("Content-Type")
	if strings.HasPrefix(ct, "application/graphql-response+json") || strings.HasPrefix(ct, "application/json") {
		return checkOther(a)
	}
	if ct != "application/problem+json" {
		return fmt.Errorf("status %d of type %q: %.200s", a.status, ct, a.body)
	}
	var p problem
	if err := json.Unmarshal([]byte(a.body), &p); err != nil {
		return fmt.Errorf("status %d, body %.200q: %w", a.status, a.body, err)
	}
	switch {
	case p.Code == "" || p.Message == "":
		return fmt.Errorf("no code or message: %.300s", a.body)
	case p.Status != a.status:
		return fmt.Errorf("status %d says %d", a.status, p.Status)
	case len(a.body) > longestProblem:
		return fmt.Errorf("the problem has %d bytes: %.200s", len(a.body), a.body)
	case a.status >= 500 && a.status != 503 && a.status != 504 && a.status != 507:
		return fmt.Errorf("status %d: %.300s", a.status, a.body)
	}
	return checkInside(a)
}

// checkOther holds an answer of GraphQL's or Connect's against what it must be.
func checkOther(a answer) error {
	var p struct {
		Code, Message string
		Errors        []struct {
			Message    string
			Extensions struct {
				Code   string
				Status int
			}
		}
	}
	if err := json.Unmarshal([]byte(a.body), &p); err != nil {
		return fmt.Errorf("status %d, body %.200q: %w", a.status, a.body, err)
	}
	for _, e := range p.Errors {
		if p.Code, p.Message = e.Extensions.Code, e.Message; p.Code == "" || p.Message == "" {
			break
		}
	}
	switch {
	case p.Code == "" || p.Message == "":
		return fmt.Errorf("no code or message: %.300s", a.body)
	case len(a.body) > longestProblem:
		return fmt.Errorf("the answer has %d bytes: %.200s", len(a.body), a.body)
	case a.status >= 500 && a.status != 501 && a.status != 503 && a.status != 504:
		return fmt.Errorf("status %d: %.300s", a.status, a.body)
	}
	return checkInside(a)
}

// checkInside looks for what an answer tells of the inside.
func checkInside(a answer) error {
	for _, told := range []string{"SELECT ", "sqlite3", "goroutine ", ".go:", "INSERT INTO", "panic", secretKey} {
		if strings.Contains(a.body, told) {
			return fmt.Errorf("the answer tells of the inside (%s): %.300s", told, a.body)
		}
	}
	return nil
}

// entities are those whose rows are counted.
func entities() []string {
	return []string{"safes", "keepers", "products", "categories", "customers", "orders", "lines"}
}

// census is the number of rows of every entity and the text of one row.
func (n *node) census(t *testing.T) string {
	t.Helper()
	var b strings.Builder
	for _, e := range entities() {
		a := n.do(t, http.MethodGet, "/rest/v1/"+e+"?limit=1000", "", "Prefer: count=exact")
		if a.status >= 300 {
			t.Fatalf("%s: %d %s", e, a.status, a.body)
		}
		fmt.Fprintf(&b, "%s %s %s\n", e, a.header.Get("Content-Range"), a.body)
	}
	return b.String()
}

// rss is the node's resident memory in bytes.
func (n *node) rss(t *testing.T) int64 {
	t.Helper()
	text, err := os.ReadFile("/proc/" + strconv.Itoa(n.cmd.Process.Pid) + "/status")
	if errors.Is(err, os.ErrNotExist) {
		t.Skip("no /proc: memory cannot be measured here")
	}
	for line := range strings.Lines(string(text)) {
		if f := strings.Fields(line); len(f) == 3 && f[0] == "VmRSS:" {
			kb, err := strconv.ParseInt(f[1], 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			return kb << 10
		}
	}
	t.Fatalf("no VmRSS: %v", err)
	return 0
}

// peak follows the node's memory while fn runs and returns the most seen.
func (n *node) peak(t *testing.T, fn func()) int64 {
	t.Helper()
	done := make(chan struct{})
	go func() { defer close(done); fn() }()
	most := n.rss(t)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-done:
			return max(most, n.rss(t))
		case <-tick.C:
			most = max(most, n.rss(t))
		}
	}
}

// alive expects the node to answer at once.
func (n *node) alive(t *testing.T) {
	t.Helper()
	begin := time.Now()
	n.want(t, http.StatusOK, http.MethodGet, "/rest/v1/products?select=id&limit=1", "")
	if took := time.Since(begin); took > 3*time.Second {
		t.Errorf("a small read took %v", took)
	}
}

// raw sends bytes on a connection of their own and returns what comes back
// until the node closes or says nothing more for a while.
func (n *node) raw(t *testing.T, text string) string {
	t.Helper()
	var d net.Dialer
	conn, err := d.DialContext(t.Context(), "tcp", n.address())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	_ = conn.SetWriteDeadline(time.Now().Add(5 * time.Second))
	_, _ = io.WriteString(conn, text) // the node may close early
	var out bytes.Buffer
	buf := make([]byte, 32<<10)
	for {
		_ = conn.SetReadDeadline(time.Now().Add(200 * time.Millisecond))
		k, err := conn.Read(buf)
		out.Write(buf[:k])
		if err != nil {
			return out.String()
		}
	}
}
