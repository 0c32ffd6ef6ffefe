// Package clients_test uses the example shop through the clients that exist,
// supabase-js and postgrest-js from npm, unchanged, against the binary.
package clients_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

const key = "pando_sec_0123456789abcdefghijklmnopqrstuvwxyz0123456" //nolint:gosec // of a server that lives as long as the test

func TestClients(t *testing.T) {
	node := findNode(t)
	url := serveShop(t)
	play(t, node, "*.test.mjs", "PANDO_URL="+url, "PANDO_KEY="+key)
}

// play runs the tests of this folder that a pattern names, in Node.
func play(t *testing.T, node, pattern string, env ...string) {
	t.Helper()
	files, err := filepath.Glob(pattern)
	if err != nil || len(files) == 0 {
		t.Fatalf("no file is called %s: %v", pattern, err)
	}
	args := append([]string{"--test", "--test-concurrency=1", "--test-reporter=spec"}, files...)
	cmd := exec.CommandContext(t.Context(), node, args...)
	cmd.Env = append(append(os.Environ(), "NODE_OPTIONS=", "NO_COLOR=1"), env...)
	out, err := cmd.CombinedOutput()
	passed := regexp.MustCompile(`(?m)^ℹ pass (\d+)$`).FindSubmatch(out)
	if err != nil || passed == nil || string(passed[1]) == "0" {
		t.Fatalf("node --test: %v\n%s", err, failures(out))
	}
	t.Logf("%s tests of the clients passed", passed[1])
}

// findNode returns Node's path, or skips the test where it or the clients are
// not installed.
func findNode(t *testing.T) string {
	t.Helper()
	node, err := exec.LookPath("node")
	if err != nil {
		t.Skip("node is not installed; `make test` does it")
	}
	if _, err := os.Stat(filepath.Join("node_modules", "@supabase", "supabase-js")); err != nil {
		t.Skip("the clients are not installed; `make test` does it, or: npm ci --ignore-scripts --prefix test/clients")
	}
	return node
}

// failures is the part of a report that tells what went wrong.
func failures(report []byte) []byte {
	if i := bytes.Index(report, []byte("failing tests:")); i >= 0 {
		return report[i:]
	}
	return report
}

// serveShop serves a copy of the example shop. It returns the server's URL.
func serveShop(t *testing.T, env ...string) string {
	t.Helper()
	return serveBuilt(t, build(t), env...)
}

// serveBuilt is serveShop with a binary that is there.
func serveBuilt(t *testing.T, bin string, env ...string) string {
	t.Helper()
	dir := t.TempDir()
	shop := filepath.Join(dir, "shop")
	if err := os.CopyFS(shop, os.DirFS("../../examples/shop")); err != nil {
		t.Fatal(err)
	}
	return serve(t, bin, shop, append(env, "PANDO_SECRET_KEY="+key, "PANDO_DATA="+filepath.Join(dir, "data"))...)
}

// build builds the binary and returns its path.
func build(t *testing.T) string {
	t.Helper()
	bin := filepath.Join(t.TempDir(), "pando")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", bin, "../../cmd/pando").CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	return bin
}

// serve serves an application's folder on free ports until the test ends. It
// returns the server's URL.
func serve(t *testing.T, bin, app string, env ...string) string {
	t.Helper()
	// The context outlives the test's own, which ends before the cleanups.
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	cmd := exec.CommandContext(ctx, bin, "-C", app, "serve", "--listen", "127.0.0.1:0", "--ops", "127.0.0.1:0")
	cmd.Env = append(os.Environ(), env...)
	out, in := io.Pipe()
	log := &bytes.Buffer{}
	cmd.Stdout, cmd.Stderr = in, log
	cmd.WaitDelay = 5 * time.Second
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	address, read := make(chan string, 1), make(chan struct{})
	go func() {
		defer close(read)
		for lines := bufio.NewScanner(out); lines.Scan(); {
			if url, ok := strings.CutPrefix(lines.Text(), "listening on "); ok {
				address <- url
			}
		}
	}()
	ended := make(chan error, 1)
	go func() {
		err := cmd.Wait()
		_ = in.Close() // so that the reader ends
		ended <- err
	}()
	t.Cleanup(func() {
		defer cancel()
		if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
			t.Error(err)
		}
		select {
		case err := <-ended:
			if err != nil {
				t.Errorf("the server ended with %v after SIGTERM", err)
			}
		case <-time.After(20 * time.Second):
			t.Error("the server did not end within 20 s of SIGTERM")
			cancel()
			t.Log("killed:", <-ended)
		}
		<-read
		if t.Failed() {
			t.Logf("the server's log:\n%s", tail(log.String(), 40))
		}
	})
	select {
	case url := <-address:
		return url
	case err := <-ended:
		ended <- err
		t.Fatalf("the server ended with %v:\n%s", err, log)
	case <-time.After(30 * time.Second):
		t.Fatal("the server did not say where it listens within 30 s")
	}
	return ""
}

func tail(text string, n int) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	if len(lines) > n {
		lines = append([]string{fmt.Sprintf("(%d lines left out)", len(lines)-n)}, lines[len(lines)-n:]...)
	}
	return strings.Join(lines, "\n")
}
