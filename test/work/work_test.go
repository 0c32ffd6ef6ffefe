// Package work holds the promises of events and jobs against crashes: an event is
// there when its write is, and is handled once by each job that waits for it, in
// the order of its row; a job is there when the transaction is that enqueued it,
// and runs until it has succeeded. The built binary serves an application,
// writers write, SIGKILL ends nodes and the broker at random moments, and so on,
// on either store.
//
//	PANDO_WORK_EVENTS=100000 PANDO_WORK_KILLS=200 go test ./test/work -run TestKill -timeout 0 -v
package work

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"
)

//nolint:gochecknoglobals // flags of a test are declared before its main parses them
var (
	given = flag.String("pando", "", "the binary; built when not given")
	seed  = flag.Uint64("seed", uint64(time.Now().UnixNano()), "of the moments and the writes; the same seed gives the same choices, not the same timing") //nolint:gosec // any will do
	build = sync.OnceValues(buildBinary)
)

const (
	// backAgain is how long a node may take from its start to its first answer.
	backAgain = 30 * time.Second
	// answerWithin is how long a request may take.
	answerWithin = time.Minute
	// runsAgain is how long it may take until a killed worker's job runs again.
	runsAgain = time.Minute
	mostItems = 20 // that one write sets
)

// workspace is the folder that goes with the test binary.
var workspace string //nolint:gochecknoglobals // made by TestMain

func TestMain(m *testing.M) {
	if addr := os.Getenv(natsAddr); addr != "" {
		serveNATS(addr, os.Getenv(natsDir))
		return
	}
	flag.Parse()
	if os.Getenv("PANDO_WORK_KILLS") == "" {
		_ = flag.Set("test.parallel", "8") // they wait for leases to run out, most of the time
	}
	var err error
	if workspace, err = os.MkdirTemp("", "pando-work"); err != nil {
		panic(err)
	}
	code := m.Run()
	_ = os.RemoveAll(workspace) // in the folder of temporary files
	os.Exit(code)
}

func buildBinary() (string, error) {
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

func binary(t *testing.T) string {
	t.Helper()
	out, err := build()
	must(t, err)
	return out
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// setting is a number that the environment may say.
func setting(t *testing.T, name string, otherwise int) int {
	t.Helper()
	s := os.Getenv(name)
	if s == "" {
		return otherwise
	}
	n, err := strconv.Atoi(s)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return n
}

// together lets a test run beside others, unless it is a long one: its figures are
// its own.
func together(t *testing.T) {
	t.Helper()
	if os.Getenv("PANDO_WORK_KILLS") == "" {
		t.Parallel()
	}
}

// TestKill kills nodes and brokers PANDO_WORK_KILLS times while writers cause
// PANDO_WORK_EVENTS events, and compares what has come of them.
func TestKill(t *testing.T) {
	events, kills := setting(t, "PANDO_WORK_EVENTS", 2000), setting(t, "PANDO_WORK_KILLS", 8)
	together(t)
	for _, k := range []kind{onSQLite, withNATS, onPostgres} {
		t.Run(k.name, func(t *testing.T) {
			together(t)
			testKill(t, k, events, kills)
		})
	}
}

func testKill(t *testing.T, k kind, events, kills int) {
	t.Logf("-seed %d", *seed)
	random := rand.New(rand.NewPCG(*seed, 0)) //nolint:gosec // choices of a test
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	w := create(t, k)
	w.start(t)
	c := hire(t, w.nodes, mostItems)
	t.Cleanup(func() { cancel(); c.work.Wait() })
	began := time.Now()
	c.start(ctx, events)
	for i := range kills {
		// The writers get on with the kills, so that each meets them at work.
		const steps = 20
		gap := time.Duration(random.Int64N(int64(k.gap)))
		for step := range steps {
			c.allowed.Store(int64(events * (i*steps + step + 1) / (kills * steps * writerCount)))
			time.Sleep(gap / steps)
		}
		w.strike(t, random)
		if t.Failed() {
			return
		}
	}
	killed := time.Since(began)
	c.allowed.Store(int64(events))
	c.work.Wait()
	written := time.Since(began)
	if t.Failed() {
		return
	}
	left := c.events() + c.jobs()
	if n, err := c.writers[0].count(t.Context(), "effects"); err == nil {
		left -= n
	}
	if n, err := c.writers[0].count(t.Context(), "payments"); err == nil {
		left -= n
	}
	w.drain(t, c, 3*time.Minute+time.Duration(events)*20*time.Millisecond)
	drained := time.Since(began)
	slowest := time.Duration(0)
	for _, n := range w.nodes {
		slowest = max(slowest, n.slowest)
	}
	t.Logf("%s: %d events and %d jobs of orders acknowledged; killed %d times within %.1f s, back within %v; %d jobs were left at %.1f s, and done %.1f s later",
		k.name, c.events(), c.jobs(), w.kills(), killed.Seconds(), slowest, left, written.Seconds(), (drained - written).Seconds())
	w.check(t, c)
}
