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
	node, err := exec.LookPath("node")
	if err != nil {
		t.Skip("node is not installed; `make test` does it")
	}
	if _, err := os.Stat(filepath.Join("node_modules", "@supabase", "supabase-js")); err != nil {
		t.Skip("the clients are not installed; `make test` does it, or: npm ci --ignore-scripts --prefix test/clients")
	}
	url := serveShop(t)
	cmd := exec.CommandContext(t.Context(), node, "--test", "--test-concurrency=1", "--test-reporter=spec")
	cmd.Env = append(os.Environ(), "PANDO_URL="+url, "PANDO_KEY="+key, "NODE_OPTIONS=", "NO_COLOR=1")
	out, err := cmd.CombinedOutput()
	passed := regexp.MustCompile(`(?m)^ℹ pass (\d+)$`).FindSubmatch(out)
	if err != nil || passed == nil || string(passed[1]) == "0" {
		t.Fatalf("node --test: %v\n%s", err, failures(out))
	}
	t.Logf("%s tests of the clients passed", passed[1])
}

// failures is the part of a report that tells what went wrong.
func failures(report []byte) []byte {
	if i := bytes.Index(report, []byte("failing tests:")); i >= 0 {
		return report[i:]
	}
	return report
}

// serveShop builds the binary and serves a copy of the example shop on free
// ports until the test ends. It returns the server's URL.
func serveShop(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	bin := filepath.Join(dir, "pando")
	build := exec.CommandContext(t.Context(), "go", "build", "-o", bin, "../../cmd/pando")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	shop := filepath.Join(dir, "shop")
	if err := os.CopyFS(shop, os.DirFS("../../examples/shop")); err != nil {
		t.Fatal(err)
	}

	// The context outlives the test's own, which ends before the cleanups.
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	cmd := exec.CommandContext(ctx, bin, "-C", shop, "serve", "--listen", "127.0.0.1:0", "--ops", "127.0.0.1:0")
	cmd.Env = append(os.Environ(), "PANDO_SECRET_KEY="+key, "PANDO_DATA="+filepath.Join(dir, "data"))
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
