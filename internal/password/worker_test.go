package password

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
)

// workEnv makes the test binary the worker.
const workEnv = "PANDO_TEST_HASH"

func TestMain(m *testing.M) {
	if os.Getenv(workEnv) != "" {
		if err := Work(os.Stdin, os.Stdout); err != nil {
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// workers counts and keeps the processes that a hasher starts.
type workers struct {
	mu   sync.Mutex
	cmds []*exec.Cmd
}

func (w *workers) command() *exec.Cmd {
	w.mu.Lock()
	defer w.mu.Unlock()
	cmd := exec.Command(os.Args[0]) //nolint:noctx // it ends with its pipe
	cmd.Env = []string{workEnv + "=1"}
	w.cmds = append(w.cmds, cmd)
	return cmd
}

func (w *workers) newest() (*exec.Cmd, int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.cmds[len(w.cmds)-1], len(w.cmds)
}

func TestWorker(t *testing.T) {
	ctx := context.Background()
	made := &workers{}
	h := New(Config{Worker: made.command, Concurrency: 4})
	encoded, err := h.Hash(ctx, "correct horse battery staple")
	if err != nil {
		t.Fatal(err)
	}
	verify := func(pw string, want bool) {
		t.Helper()
		if ok, rehash, err := h.Verify(ctx, encoded, pw); err != nil || ok != want || rehash {
			t.Errorf("%q: %t, %t, %v", pw, ok, rehash, err)
		}
	}
	verify("correct horse battery staple", true)
	verify("another horse", false)
	if ok, _, err := New(Config{}).Verify(ctx, encoded, "correct horse battery staple"); !ok || err != nil {
		t.Errorf("a hash of the worker's is not one of the node's: %t, %v", ok, err)
	}
	var all sync.WaitGroup
	for i := range 16 {
		all.Go(func() { verify([]string{"wrong", "correct horse battery staple"}[i%2], i%2 == 1) })
	}
	all.Wait()
	cmd, n := made.newest()
	if n != 1 {
		t.Errorf("%d processes were started", n)
	}

	// One that is killed is replaced; what it was asked is computed here.
	if err := cmd.Process.Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	for range 20 {
		verify("correct horse battery staple", true)
	}
	again, n := made.newest()
	if n != 2 {
		t.Errorf("%d processes were started, want a second one", n)
	}
	h.Close()
	if again.ProcessState == nil {
		t.Error("the process outlives the hasher")
	}
	verify("correct horse battery staple", true)
	if _, n := made.newest(); n != 2 {
		t.Error("a closed hasher starts a process")
	}
}

func TestWorkerGivesWay(t *testing.T) {
	made := &workers{}
	h := New(Config{Worker: made.command})
	defer h.Close()
	if err := h.Dummy(context.Background(), "correct horse battery staple"); err != nil {
		t.Fatal(err)
	}
	cmd, _ := made.newest()
	prio, err := syscall.Getpriority(syscall.PRIO_PROCESS, cmd.Process.Pid)
	if errors.Is(err, syscall.ENOSYS) {
		t.Skip("no priorities here")
	}
	if err != nil || prio > 1 { // the system call answers 20 - nice
		t.Errorf("the worker's priority is %d, %v", prio, err)
	}
}

func TestWorkerThatDoesNotStart(t *testing.T) {
	var log strings.Builder
	h := New(Config{Worker: func() *exec.Cmd { return exec.Command("/nowhere/pando") }, Log: testLog(&log)}) //nolint:noctx // it never starts
	defer h.Close()
	encoded, err := h.Hash(context.Background(), "correct horse battery staple")
	if err != nil {
		t.Fatal(err)
	}
	if ok, _, err := h.Verify(context.Background(), encoded, "correct horse battery staple"); !ok || err != nil {
		t.Errorf("%t, %v", ok, err)
	}
	if !strings.Contains(log.String(), "own process") || strings.Contains(log.String(), "horse") {
		t.Errorf("the log has %q", log.String())
	}
}

func testLog(w *strings.Builder) *slog.Logger { return slog.New(slog.NewTextHandler(w, nil)) }
