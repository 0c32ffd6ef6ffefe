package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/pandobase/pando/internal/cli"
)

// patience is how long a script waits for something that happens on its own.
const patience = 20 * time.Second

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"pando": func() { os.Exit(cli.Main(os.Args[1:], "v0.0.0-test")) },
		"http":  func() { os.Exit(request(os.Args[1:])) },
	})
}

// TestScript runs testdata/script: what the binary does, as its user sees it.
//
// Beside testscript's own commands there are:
//
//	node NAME [K=V] ARGS...  run pando in the background, wait until it listens, set URL, OPS and KEY;
//	                         its output goes to NAME.out and NAME.err
//	start NAME ...           node, without the wait: listens NAME waits
//	capture FILE REGEXP VAR  set a variable to the group of a match
//	signal NAME SIG          send INT or TERM
//	term NAME                send SIGTERM, unless a signal was sent, and see it exit with 0
//	crash NAME               kill -9
//	await FILE REGEXP [N]    wait until a file has N matches (default 1)
//	becomes REGEXP PROGRAM ...  run a program until what it prints matches
//	exitcode N PROGRAM ...   run a program that has to exit with N
//	field KEY VAR ...        set variables to members of the JSON object on stdout
//	word VAR                 set a variable to the word on stdout
//	hostport URLVAR VAR      set a variable to the host:port of a URL
//	reloads FILE PATH SRC REGEXP ...  put each SRC in FILE's place in turn and see PATH answer as REGEXP;
//	                         the log tells how long the quickest took
//	cptree FROM TO           copy a folder, without its data folder
//	postgres VAR             make a PostgreSQL database and set VAR to its URL, VAR_NAME to its name and
//	                         VAR_HOST to the folder of the server's socket; [postgres]: it is installed
//	psql VAR SQL             run SQL in it, behind Pando's back
//	outage VAR begin|end     nobody reaches it
//	http METHOD URL ARGS...  request with the key; see [request]
//
// $EXAMPLES is the folder of the examples, $DATA that of the OurAirports files;
// [airports] is true when those are there.
func TestScript(t *testing.T) { testscript.Run(t, scripts(t)) }

// scripts is how the scripts are run.
func scripts(t *testing.T) testscript.Params {
	t.Helper()
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	data := os.Getenv("PANDO_TEST_AIRPORTS")
	if data == "" {
		data = filepath.Join(root, "..", "shared", "data", "ourairports")
	}
	return testscript.Params{
		Dir:                 filepath.Join(root, "testdata", "script"),
		RequireExplicitExec: false,
		UpdateScripts:       os.Getenv("PANDO_TEST_UPDATE") != "",
		Setup: func(env *testscript.Env) error {
			env.Setenv("EXAMPLES", filepath.Join(root, "examples"))
			env.Setenv("DATA", data)
			nodes := &nodes{byName: map[string]*node{}}
			env.Values[nodesKey{}] = nodes
			dbs := databases{}
			env.Values[databasesKey{}] = dbs
			env.Defer(dbs.close)
			env.Defer(nodes.killAll)
			return nil
		},
		Condition: func(cond string) (bool, error) {
			switch cond {
			case "airports":
				_, err := os.Stat(filepath.Join(data, "countries.csv"))
				return err == nil, nil
			case "postgres":
				return hasPostgres()
			case "superuser":
				return os.Geteuid() == 0, nil
			}
			return false, fmt.Errorf("unknown condition %q", cond)
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"node": startNode, "signal": signalNode, "term": termNode, "crash": crashNode, "await": await, "becomes": becomes, "cptree": copyTree,
			"exitcode": exitCode, "field": field, "word": word, "hostport": hostPort, "reloads": reloads,
			"start": beginNode, "listens": listens, "capture": capture,
			"postgres": makeDatabase, "psql": runSQL, "outage": outage,
		},
	}
}

type nodesKey struct{}

// nodes are the background processes of one script.
type nodes struct {
	mu     sync.Mutex
	byName map[string]*node
}

// node is one of them.
type node struct {
	cmd      *exec.Cmd
	done     chan struct{} // closed when it has exited
	err      error         // how; after done
	signaled bool
	args     []string
}

func (n *nodes) killAll() {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, node := range n.byName {
		_ = node.cmd.Process.Kill() // it may have ended
		<-node.done
	}
}

func nodesOf(ts *testscript.TestScript) *nodes { return ts.Value(nodesKey{}).(*nodes) }

func startNode(ts *testscript.TestScript, neg bool, args []string) {
	beginNode(ts, neg, args)
	listens(ts, false, args[:1])
}

// capture is `capture FILE REGEXP VAR`.
func capture(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: capture FILE REGEXP VAR")
	}
	re, err := regexp.Compile("(?m)" + args[1])
	ts.Check(err)
	m := re.FindStringSubmatch(ts.ReadFile(args[0]))
	if len(m) < 2 {
		ts.Fatalf("%s has no %s", args[0], args[1])
	}
	ts.Setenv(args[2], m[1])
}

func beginNode(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: node NAME ARGS...")
	}
	name := args[0]
	out, err := os.Create(ts.MkAbs(name + ".out"))
	ts.Check(err)
	defer out.Close() //nolint:errcheck // the process has its own
	logs, err := os.Create(ts.MkAbs(name + ".err"))
	ts.Check(err)
	defer logs.Close() //nolint:errcheck // the same
	if !strings.Contains(strings.Join(args, " "), "--listen") {
		args = append(args, "--listen", "127.0.0.1:0", "--ops", "127.0.0.1:0")
	}
	n, err := launch(ts, args[1:], out, logs)
	ts.Check(err)
	all := nodesOf(ts)
	all.mu.Lock()
	all.byName[name] = n
	all.mu.Unlock()
	n.args = args[1:]
}

// listens is `listens NAME`: wait until a node that was started listens.
func listens(ts *testscript.TestScript, _ bool, args []string) {
	n := nodeOf(ts, args, "listens NAME")
	name := args[0]
	out, logs := ts.MkAbs(name+".out"), ts.MkAbs(name+".err")
	listening := regexp.MustCompile(`(?m)^(?:listening on|  API +) ?(https?://[^/\n]+)`)
	found := eventually(n.done, func() bool { return listening.MatchString(readAll(out)) })
	text := readAll(out)
	if !found {
		ts.Fatalf("%s does not listen:\n%s%s", name, text, readAll(logs))
	}
	ts.Setenv("URL", listening.FindStringSubmatch(text)[1])
	ops := regexp.MustCompile(`(?m)^ *operations(?: on)? +(http://\S+)`)
	eventually(n.done, func() bool { text = readAll(out); return ops.MatchString(text) })
	if m := ops.FindStringSubmatch(text); m != nil {
		ts.Setenv("OPS", m[1])
	}
	ts.Setenv("KEY", secretOf(ts, n.args, text))
}

// secretOf asks the node for its secret key, as its user would.
func secretOf(ts *testscript.TestScript, args []string, printed string) string {
	if m := regexp.MustCompile(`secret +(pando_sec_\w+)`).FindStringSubmatch(printed); m != nil {
		return m[1]
	}
	var ask []string
	for i, a := range args {
		if i == len(ask) && strings.Contains(a, "=") {
			ask = append(ask, a)
		}
	}
	ask = append(ask, "keys", "secret")
	for i, a := range args {
		if a == "-C" {
			ask = append(ask, "-C", args[i+1])
		}
	}
	cmd, err := command(ts, ask)
	ts.Check(err)
	key, err := cmd.Output()
	ts.Check(err)
	return strings.TrimSpace(string(key))
}

// command is pando in the script's folder and environment.
func command(ts *testscript.TestScript, args []string) (*exec.Cmd, error) {
	bin := ""
	for _, dir := range filepath.SplitList(ts.Getenv("PATH")) {
		if path := filepath.Join(dir, "pando"); fileExists(path) {
			bin = path
			break
		}
	}
	if bin == "" {
		return nil, errors.New("pando is not in PATH")
	}
	cmd := exec.CommandContext(context.Background(), bin)
	cmd.Dir = ts.MkAbs(".")
	for _, kv := range os.Environ() {
		if !strings.HasPrefix(kv, "PANDO_") {
			cmd.Env = append(cmd.Env, kv)
		}
	}
	for _, name := range []string{"HOME", "TMPDIR", "PATH"} {
		cmd.Env = append(cmd.Env, name+"="+ts.Getenv(name))
	}
	if store := ts.Getenv("PANDO_STORE"); store != "" { // see TestScriptOnPostgres
		cmd.Env = append(cmd.Env, "PANDO_STORE="+store)
	}
	for len(args) > 0 && strings.Contains(args[0], "=") {
		cmd.Env, args = append(cmd.Env, args[0]), args[1:]
	}
	cmd.Args = append(cmd.Args, args...)
	return cmd, nil
}

func launch(ts *testscript.TestScript, args []string, out, logs *os.File) (*node, error) {
	cmd, err := command(ts, args)
	if err != nil {
		return nil, err
	}
	cmd.Stdout, cmd.Stderr = out, logs
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	n := &node{cmd: cmd, done: make(chan struct{})}
	go func() {
		n.err = cmd.Wait()
		close(n.done)
	}()
	return n, nil
}

func fileExists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

func readAll(path string) string {
	data, _ := os.ReadFile(path) // not there yet is empty
	return string(data)
}

// eventually asks until it holds, patience is at an end, or gone is closed.
func eventually(gone <-chan struct{}, holds func() bool) bool {
	deadline := time.Now().Add(patience)
	for !holds() {
		select {
		case <-gone:
			return holds()
		case <-time.After(5 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			return false
		}
	}
	return true
}

func nodeOf(ts *testscript.TestScript, args []string, usage string) *node {
	if len(args) == 0 {
		ts.Fatalf("usage: %s", usage)
	}
	all := nodesOf(ts)
	all.mu.Lock()
	defer all.mu.Unlock()
	n := all.byName[args[0]]
	if n == nil {
		ts.Fatalf("there is no node %s", args[0])
	}
	return n
}

func signalNode(ts *testscript.TestScript, _ bool, args []string) {
	n := nodeOf(ts, args, "signal NAME INT|TERM")
	sig := map[string]syscall.Signal{"INT": syscall.SIGINT, "TERM": syscall.SIGTERM}[args[1]]
	ts.Check(n.cmd.Process.Signal(sig))
	n.signaled = true
}

func termNode(ts *testscript.TestScript, _ bool, args []string) {
	n := nodeOf(ts, args, "term NAME")
	if !n.signaled {
		ts.Check(n.cmd.Process.Signal(syscall.SIGTERM))
	}
	select {
	case <-n.done:
	case <-time.After(patience):
		ts.Fatalf("%s does not end", args[0])
	}
	if n.err != nil {
		ts.Fatalf("%s ended with %v:\n%s", args[0], n.err, readAll(ts.MkAbs(args[0]+".err")))
	}
}

func crashNode(ts *testscript.TestScript, _ bool, args []string) {
	n := nodeOf(ts, args, "crash NAME")
	ts.Check(n.cmd.Process.Kill())
	<-n.done
}

func becomes(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: becomes REGEXP PROGRAM ARGS...")
	}
	re, err := regexp.Compile("(?m)" + args[0])
	ts.Check(err)
	var out string
	holds := func() bool {
		err := ts.Exec(args[1], args[2:]...)
		out = ts.ReadFile("stdout")
		return err == nil && re.MatchString(out)
	}
	if !eventually(nil, holds) {
		ts.Fatalf("%v does not print %s:\n%s", args[1:], args[0], out)
	}
}

func await(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: await FILE REGEXP [N]")
	}
	want := 1
	if len(args) > 2 {
		n, err := strconv.Atoi(args[2])
		ts.Check(err)
		want = n
	}
	re, err := regexp.Compile("(?m)" + args[1])
	ts.Check(err)
	file := ts.MkAbs(args[0])
	if !eventually(nil, func() bool { return len(re.FindAllString(readAll(file), -1)) >= want }) {
		ts.Fatalf("%s has not %d of %s:\n%s", args[0], want, args[1], readAll(file))
	}
}

func copyTree(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: cptree FROM TO")
	}
	ts.Check(os.CopyFS(ts.MkAbs(args[1]), os.DirFS(ts.MkAbs(args[0]))))
	ts.Check(os.RemoveAll(filepath.Join(ts.MkAbs(args[1]), "data"))) // a developer may have run the example
}

func exitCode(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exitcode N PROGRAM ARGS...")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	err = ts.Exec(args[1], args[2:]...)
	got := 0
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		got = exit.ExitCode()
	} else {
		ts.Check(err)
	}
	if got != want {
		ts.Fatalf("exit code %d, want %d", got, want)
	}
}

func field(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 || len(args)%2 != 0 {
		ts.Fatalf("usage: field KEY VAR ...")
	}
	var object map[string]any
	ts.Check(json.Unmarshal([]byte(ts.ReadFile("stdout")), &object))
	for i := 0; i < len(args); i += 2 {
		v, ok := object[args[i]]
		if !ok {
			ts.Fatalf("stdout has no member %s", args[i])
		}
		ts.Setenv(args[i+1], fmt.Sprint(v))
	}
}

func word(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: word VAR")
	}
	ts.Setenv(args[0], strings.TrimSpace(ts.ReadFile("stdout")))
}

func hostPort(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: hostport URLVAR VAR")
	}
	u, err := url.Parse(ts.Getenv(args[0]))
	ts.Check(err)
	ts.Setenv(args[1], u.Host)
}

func reloads(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 4 || len(args)%2 != 0 {
		ts.Fatalf("usage: reloads FILE PATH SRC REGEXP ...")
	}
	best := patience
	for i := 2; i < len(args); i += 2 {
		re, err := regexp.Compile(args[i+1])
		ts.Check(err)
		source := []byte(ts.ReadFile(args[i]))
		s := &sending{method: http.MethodGet, url: ts.Getenv("URL") + args[1], header: http.Header{"Apikey": {ts.Getenv("KEY")}}}
		begin := time.Now()
		ts.Check(os.WriteFile(ts.MkAbs(args[0]), source, 0o600))
		var last []byte
		if !eventually(nil, func() bool { last, err = s.send(); return err == nil && re.Match(last) }) {
			ts.Fatalf("%s does not answer as %s but (%v):\n%s", args[1], re, err, last)
		}
		best = min(best, time.Since(begin))
	}
	// Told, not judged: the machine may be busy with other things.
	ts.Logf("the quickest reload took %v", best)
}

// request is the program `http METHOD URL ARGS...`. It prints the status, the
// headers of an answer in alphabetical order and the body, and exits with 0
// whatever the status is. The URL may begin with a path of $URL. ARGS are
//
//	NAME:VALUE      a header; the key of $KEY is sent unless apikey is given
//	-d TEXT         the body, as JSON unless a content-type is given
//	-f FILE         the body
//	-hold FILE      send the body when that file is there
//	-until REGEXP   ask again until the answer matches
func request(args []string) int {
	if err := doRequest(args); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

type sending struct {
	method, url string
	header      http.Header
	body        []byte
	hold        string
	until       *regexp.Regexp
}

func parseRequest(args []string) (*sending, error) {
	if len(args) < 2 {
		return nil, errors.New("usage: http METHOD URL ARGS...")
	}
	s := &sending{method: args[0], url: args[1], header: http.Header{"Apikey": {os.Getenv("KEY")}}}
	if strings.HasPrefix(s.url, "/") {
		s.url = os.Getenv("URL") + s.url
	}
	for rest := args[2:]; len(rest) > 0; {
		flag := rest[0]
		if !strings.HasPrefix(flag, "-") {
			name, value, _ := strings.Cut(flag, ":")
			s.header.Set(name, strings.TrimSpace(value))
			if value == "" {
				s.header.Del(name)
			}
			rest = rest[1:]
			continue
		}
		if len(rest) < 2 {
			return nil, fmt.Errorf("%s needs a value", flag)
		}
		value := rest[1]
		rest = rest[2:]
		var err error
		switch flag {
		case "-d":
			s.body = []byte(value)
		case "-f":
			s.body, err = os.ReadFile(value) //nolint:gosec // the script's own
		case "-hold":
			s.hold = value
		case "-until":
			s.until, err = regexp.Compile("(?m)" + value)
		default:
			err = fmt.Errorf("unknown flag %s", flag)
		}
		if err != nil {
			return nil, err
		}
	}
	if s.body != nil && s.header.Get("Content-Type") == "" {
		s.header.Set("Content-Type", "application/json")
	}
	return s, nil
}

func doRequest(args []string) error {
	s, err := parseRequest(args)
	if err != nil {
		return err
	}
	deadline := time.Now().Add(patience)
	for {
		answer, err := s.send()
		if s.until == nil {
			_, _ = os.Stdout.Write(answer) // read by the script
			return err
		}
		if err == nil && s.until.Match(answer) {
			_, _ = os.Stdout.Write(answer) // the same
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("no answer matched %s; the last one:\n%s%w", s.until, answer, err)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

func (s *sending) send() ([]byte, error) {
	var body io.Reader
	if s.body != nil {
		body = bytes.NewReader(s.body)
	}
	if s.hold != "" {
		body = io.MultiReader(bytes.NewReader(s.body[:1]), &held{file: s.hold}, bytes.NewReader(s.body[1:]))
	}
	req, err := http.NewRequestWithContext(context.Background(), s.method, s.url, body)
	if err != nil {
		return nil, err
	}
	req.Header = s.header
	client := &http.Client{Transport: &http.Transport{DisableCompression: true}, Timeout: patience}
	res, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	out := &bytes.Buffer{}
	fmt.Fprintf(out, "%s\n", res.Status)
	res.Header.Del("Date")
	if err := res.Header.Write(out); err != nil {
		return nil, err
	}
	out.WriteByte('\n')
	if _, err := io.Copy(out, res.Body); err != nil {
		return nil, err
	}
	out.WriteByte('\n')
	return out.Bytes(), nil
}

// held is a reader that ends when a file is there.
type held struct{ file string }

func (h *held) Read([]byte) (int, error) {
	if !eventually(nil, func() bool { return fileExists(h.file) }) {
		return 0, errors.New("the body was held for too long")
	}
	return 0, io.EOF
}
