package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/pandobase/pando/test/types/tstest"
)

// TestDocs executes the examples of README.md, docs/ and examples/, page by
// page, each in a folder of its own:
//
//   - ```console: lines that begin with "$ " are run by one shell per page,
//     and what follows them is what they print. A line "..." stands for any
//     lines, and "..." within a line for any text; ids, keys, times and
//     durations are not compared. No lines: whatever it prints. A command has
//     to exit with 0, or as its comment says: "# exits with 1". pando dev, serve
//     and demo run on in the background, as in another terminal.
//   - ```yaml and ```ts whose first line is a comment with a file's name: that file.
//     The application that they make has to pass `pando check`. A ts block that is
//     not in functions/ is compiled by tsc and run by Node, as js is.
//   - ```js: run by Node with the clients of test/clients, where they are
//     installed; a comment "// prints: ..." at its end is what it prints.
//   - ```go whose first line is a comment with a file's name: that file. The files of a
//     page are one package of this module, which has to compile with its tests.
//
// A page may begin with <!-- in: shop -->: its folder is then a copy of that
// example. Other languages than these and text are refused, so that no example
// is left out by mistake; sh is for what a test cannot do, in README.md alone.
func TestDocs(t *testing.T) {
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	var pages []string
	for _, pattern := range []string{"README.md", "docs/*.md", "docs/decisions/*.md", "examples/*/README.md"} {
		found, err := filepath.Glob(filepath.Join(root, pattern))
		if err != nil {
			t.Fatal(err)
		}
		pages = append(pages, found...)
	}
	for _, page := range pages {
		name, err := filepath.Rel(root, page)
		if err != nil {
			t.Fatal(err)
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := readPage(t, page, name)
			if len(p.blocks) > 0 {
				p.run(t, root)
			}
		})
	}
}

// block is a fenced block of a page.
type block struct {
	line  int // of its fence
	lang  string
	lines []string
}

type page struct {
	name, in string
	blocks   []block // those that are to be run
}

func readPage(t *testing.T, path, name string) *page {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	p := &page{name: name}
	if m := regexp.MustCompile(`(?m)^<!-- in: (\w+) -->$`).FindSubmatch(data); m != nil {
		p.in = string(m[1])
	}
	var open *block
	for i, line := range strings.Split(string(data), "\n") {
		fence, ok := strings.CutPrefix(line, "```")
		switch {
		case ok && open == nil:
			open = &block{line: i + 1, lang: fence}
		case ok:
			switch open.lang {
			case "console", "yaml", "ts", "js", "go":
				p.blocks = append(p.blocks, *open)
			case "text":
			case "sh":
				if name != "README.md" && name != "docs/development.md" {
					t.Errorf("%s:%d: sh is not run; use console", name, open.line)
				}
			default:
				t.Errorf("%s:%d: a block of language %q is not run", name, open.line, open.lang)
			}
			open = nil
		case open != nil:
			open.lines = append(open.lines, line)
		}
	}
	if open != nil {
		t.Errorf("%s:%d: the block is not closed", name, open.line)
	}
	return p
}

// shell is the terminal of a page.
type shell struct {
	t           *testing.T
	page        *page
	dir         string
	listen, ops string
	in          io.Writer
	out         *bufio.Reader
	nodes       int
}

const mark = "--end-of-command--"

func (p *page) run(t *testing.T, root string) {
	dir := t.TempDir()
	if p.in != "" {
		if err := os.CopyFS(dir, os.DirFS(filepath.Join(root, "examples", p.in))); err != nil {
			t.Fatal(err)
		}
		if err := os.RemoveAll(filepath.Join(dir, "data")); err != nil {
			t.Fatal(err)
		}
	}
	p.compile(t, root)
	s := startShell(t, p, root, dir)
	files := false
	for _, b := range p.blocks {
		switch b.lang {
		case "console":
			for _, c := range commands(b) {
				s.command(c)
			}
		case "yaml", "ts":
			if b.lang == "ts" && !strings.HasPrefix(b.lines[0], "// functions/") {
				s.program(b)
				continue
			}
			files = s.file(b) || files
		case "js":
			s.script(b, root)
		}
	}
	if files {
		s.command(example{line: len(p.blocks), text: "pando check"})
	}
}

func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close() //nolint:errcheck // nothing came in
	return l.Addr().String()
}

func startShell(t *testing.T, p *page, root, dir string) *shell {
	t.Helper()
	s := &shell{t: t, page: p, dir: dir, listen: freeAddress(t), ops: freeAddress(t)}
	bash, err := exec.LookPath("bash")
	if err != nil {
		t.Skip("bash is not installed")
	}
	// The context outlives the test's own, which ends before the cleanups.
	cmd := exec.CommandContext(context.WithoutCancel(t.Context()), bash, "--norc")
	cmd.Dir = dir
	for _, kv := range os.Environ() {
		if !strings.HasPrefix(kv, "PANDO_") {
			cmd.Env = append(cmd.Env, kv)
		}
	}
	home := t.TempDir()
	if err := os.WriteFile(filepath.Join(home, ".curlrc"), []byte("silent\nshow-error\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd.Env = append(cmd.Env, "CURL_HOME="+home, "PANDO_LISTEN="+s.listen, "PANDO_OPS="+s.ops, "TMPDIR="+t.TempDir(), "ROOT="+root)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	s.in, s.out = in, bufio.NewReader(out)
	t.Cleanup(func() {
		_, _ = io.WriteString(in, "kill $(jobs -p) 2>/dev/null; wait; exit 0\n") // it may have ended
		_ = in.Close()
		_, _ = io.Copy(io.Discard, s.out)
		_ = cmd.Wait()
	})
	return s
}

// example is a command with what it prints.
type example struct {
	line int
	text string
	want []string
}

// commands are those of a console block. A command goes on where a line ends
// with a backslash, and up to EOF after <<EOF.
func commands(b block) []example {
	var out []example
	here := false
	for i, line := range b.lines {
		text, ok := strings.CutPrefix(line, "$ ")
		last := len(out) - 1
		switch {
		case ok:
			out = append(out, example{line: b.line + i + 1, text: text})
			here = strings.Contains(text, "<<")
		case last < 0:
		case here || strings.HasSuffix(out[last].text, "\\"):
			out[last].text += "\n" + line
			here = here && line != "EOF"
		default:
			out[last].want = append(out[last].want, line)
		}
	}
	return out
}

var (
	background = regexp.MustCompile(`^(?:go run \./cmd/pando|pando)(?: -C \S+)? (?:dev|serve|demo)\b`)
	exits      = regexp.MustCompile(`# exits with (\d)`)
)

func (s *shell) command(c example) {
	s.t.Helper()
	text := strings.ReplaceAll(c.text, "go run ./cmd/pando", "pando")
	code := 0
	if m := exits.FindStringSubmatch(text); m != nil {
		code, _ = strconv.Atoi(m[1])
	}
	var got string
	if background.MatchString(c.text) && code == 0 {
		got = s.serve(text)
	} else {
		out, rc := s.exec(text)
		if got = out; rc != code {
			s.t.Fatalf("%s:%d: $ %s\nexits with %d:\n%s", s.page.name, c.line, c.text, rc, out)
		}
	}
	want := loose(strings.Join(c.want, "\n"))
	if strings.TrimSpace(want) == "" {
		return
	}
	if have := loose(s.public(got)); !like(want).MatchString(strings.TrimSpace(have)) {
		s.t.Errorf("%s:%d: $ %s\nprints:\n%s\nnot:\n%s", s.page.name, c.line, c.text, s.public(got), strings.Join(c.want, "\n"))
	}
}

// local and public exchange the addresses of the page and those of the test.
func (s *shell) local(text string) string {
	return strings.NewReplacer("127.0.0.1:7263", s.listen, "127.0.0.1:7264", s.ops).Replace(text)
}

func (s *shell) public(text string) string {
	return strings.NewReplacer(s.listen, "127.0.0.1:7263", s.ops, "127.0.0.1:7264").Replace(text)
}

// exec runs a command and returns what it printed, and its exit code.
func (s *shell) exec(text string) (string, int) {
	s.t.Helper()
	if _, err := fmt.Fprintf(s.in, "{ %s\n} 2>&1 </dev/null; rc=$?; echo; echo %s $rc\n", s.local(text), mark); err != nil {
		s.t.Fatal(err)
	}
	var out strings.Builder
	for {
		line, err := s.out.ReadString('\n')
		if rest, ok := strings.CutPrefix(line, mark+" "); ok {
			code, err := strconv.Atoi(strings.TrimSpace(rest))
			if err != nil {
				s.t.Fatal(err)
			}
			return out.String(), code
		}
		if err != nil {
			s.t.Fatalf("%s: the shell ended in: %s\n%s", s.page.name, text, out.String())
		}
		out.WriteString(line)
	}
}

// serve starts a node in the background; one that runs is stopped first, as
// the reader would.
func (s *shell) serve(text string) string {
	s.t.Helper()
	s.nodes++
	log := filepath.Join(s.t.TempDir(), "node"+strconv.Itoa(s.nodes))
	if s.nodes > 1 {
		s.exec("kill $(jobs -p); wait")
	}
	s.exec(text + " >" + log + " 2>&1 &")
	ready := regexp.MustCompile(`(?m)^(?:operations on|Ctrl-C stops it)`)
	if !eventually(nil, func() bool { return ready.MatchString(readAll(log)) }) {
		s.t.Fatalf("%s: $ %s\ndoes not listen:\n%s", s.page.name, text, readAll(log))
	}
	return readAll(log)
}

// file writes a block that begins with a file's name.
func (s *shell) file(b block) bool {
	s.t.Helper()
	if len(b.lines) == 0 {
		return false
	}
	m := regexp.MustCompile(`^(?:#|//) ((?:modules/)?[\w.]+\.yaml|functions/[\w./]+\.ts)\b`).FindStringSubmatch(b.lines[0])
	if m == nil {
		s.t.Errorf("%s:%d: the block begins with the name of its file: # modules/x.yaml, // functions/x.ts", s.page.name, b.line)
		return false
	}
	at, _ := s.exec("pwd")
	path := filepath.Join(strings.TrimSpace(at), filepath.FromSlash(m[1]))
	if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
		s.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(strings.Join(b.lines, "\n")+"\n"), 0o600); err != nil {
		s.t.Fatal(err)
	}
	return true
}

// compile compiles the Go blocks of a page, as a package that stands beside it in an overlay.
func (p *page) compile(t *testing.T, root string) {
	t.Helper()
	dir, overlay := t.TempDir(), map[string]string{}
	folder := strings.TrimSuffix(p.name, ".md") + "_in_go"
	for _, b := range p.blocks {
		if b.lang != "go" {
			continue
		}
		m := regexp.MustCompile(`^// (\w+\.go)$`).FindStringSubmatch(b.lines[0])
		if m == nil {
			t.Errorf("%s:%d: a go block begins with the name of its file: // main.go", p.name, b.line)
			continue
		}
		file := filepath.Join(dir, m[1])
		if err := os.WriteFile(file, []byte(strings.Join(b.lines, "\n")+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		overlay[filepath.Join(root, folder, m[1])] = file
	}
	if len(overlay) == 0 {
		return
	}
	list, err := json.Marshal(map[string]any{"Replace": overlay})
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "overlay.json")
	if err := os.WriteFile(file, list, 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "go", "test", "-c", "-vet=off", "-o", filepath.Join(dir, "page.test"), "-overlay", file, "./"+folder)
	cmd.Dir = root
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%s: the Go code: %v\n%s", p.name, err, out)
	}
}

// script runs a JavaScript block with the clients from npm.
func (s *shell) script(b block, root string) {
	s.t.Helper()
	clients := filepath.Join(root, "test", "clients")
	if !fileExists(filepath.Join(clients, "node_modules", "@supabase", "supabase-js")) {
		s.t.Logf("%s:%d: not run: the clients are not installed; `make test` does it", s.page.name, b.line)
		return
	}
	dir := s.t.TempDir()
	if err := os.Symlink(filepath.Join(clients, "node_modules"), filepath.Join(dir, "node_modules")); err != nil {
		s.t.Fatal(err)
	}
	file := filepath.Join(dir, "example.mjs")
	if err := os.WriteFile(file, []byte(s.local(strings.Join(b.lines, "\n"))), 0o600); err != nil {
		s.t.Fatal(err)
	}
	out, code := s.exec("secret=$(pando keys secret) publishable=$(pando keys publishable); PANDO_KEY=$secret PANDO_PUBLISHABLE=$publishable NODE_OPTIONS= node --experimental-websocket " + file)
	s.printed(b, out, code)
}

// program compiles a TypeScript block, and runs it with Node.
func (s *shell) program(b block) {
	s.t.Helper()
	m := regexp.MustCompile(`^// (\w+)\.ts$`).FindStringSubmatch(b.lines[0])
	if m == nil {
		s.t.Errorf("%s:%d: the block begins with the name of its file: // functions/x.ts, // app.ts", s.page.name, b.line)
		return
	}
	at, _ := s.exec("pwd")
	dir := strings.TrimSpace(at)
	tstest.Link(s.t, dir)
	for name, text := range map[string]string{m[1] + ".ts": strings.Join(b.lines, "\n"), "tsconfig.json": tstest.Node, "package.json": `{ "type": "module" }`} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(s.local(text)), 0o600); err != nil {
			s.t.Fatal(err)
		}
	}
	if wrong := tstest.Compile(s.t, dir); wrong != "" {
		s.t.Errorf("%s:%d: tsc:\n%s", s.page.name, b.line, wrong)
		return
	}
	out, code := s.exec("PANDO_KEY=$(pando keys secret) NODE_OPTIONS= node out/" + m[1] + ".js")
	s.printed(b, out, code)
}

// printed compares what a block has printed with what its comments say.
func (s *shell) printed(b block, out string, code int) {
	s.t.Helper()
	want := ""
	for _, line := range b.lines {
		if text, ok := strings.CutPrefix(line, "// prints: "); ok {
			want += text + "\n"
		}
	}
	if code != 0 || !like(loose(strings.TrimSpace(want))).MatchString(strings.TrimSpace(loose(out))) {
		s.t.Errorf("%s:%d: exits with %d and prints:\n%s\nnot:\n%s", s.page.name, b.line, code, out, want)
	}
}

// loose takes out what differs from run to run.
func loose(text string) string {
	for _, r := range []struct{ pattern, with string }{
		{`[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}`, "UUID"},
		{`\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)?`, "TIME"},
		{`\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT`, "TIME"},
		{`pando_(pub|sec)_(\w+|\.\.\.)`, "KEY"},
		{`key_\w{10}`, "KEYID"},
		{`\b[0-9a-f]{32}\b`, "HEX"},
		{`(< |~)\d+ m?s`, "WAIT"},
		{`\b\d+(\.\d+)?(ms|µs)`, "DURATION"},
		{`process \d+`, "process N"},
		{`go1\.\S+ \w+/\w+`, "GO"},
		{`\r`, ""},
		{`(?m)[ \t]+$`, ""},
		{`(\S)[ \t]{2,}`, "$1  "}, // the columns of a table
	} {
		text = regexp.MustCompile(r.pattern).ReplaceAllString(text, r.with)
	}
	return strings.TrimSpace(text)
}

// like is the pattern of an expected output.
func like(want string) *regexp.Regexp {
	var b strings.Builder
	b.WriteString(`^`)
	for i, line := range strings.Split(want, "\n") {
		if i > 0 {
			b.WriteString(`\n`)
		}
		if strings.TrimSpace(line) == "..." {
			b.WriteString(`(?s:.*)`)
			continue
		}
		parts := strings.Split(line, "...")
		for i := range parts {
			parts[i] = regexp.QuoteMeta(parts[i])
		}
		b.WriteString(strings.Join(parts, `.*`))
	}
	b.WriteString(`$`)
	return regexp.MustCompile(b.String())
}
