package lifecycle_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"github.com/pandobase/pando/internal/lifecycle"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// journal records what the parts of a test were asked, in order.
type journal struct {
	mu    sync.Mutex
	lines []string
}

func (j *journal) add(line string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.lines = append(j.lines, line)
}

func (j *journal) part(name string, startErr, stopErr error) lifecycle.Part {
	return lifecycle.Part{
		Name:  name,
		Start: func(context.Context, lifecycle.Life) error { j.add("+" + name); return startErr },
		Stop:  func(context.Context) error { j.add("-" + name); return stopErr },
	}
}

func (j *journal) want(t *testing.T, want ...string) {
	t.Helper()
	j.mu.Lock()
	defer j.mu.Unlock()
	if !slices.Equal(j.lines, want) {
		t.Errorf("calls %v, want %v", j.lines, want)
	}
}

func TestOrder(t *testing.T) {
	var j journal
	g := lifecycle.New(j.part("a", nil, nil), lifecycle.Part{Name: "nothing"}, j.part("b", nil, nil))
	if err := g.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := g.Start(t.Context()); !errors.Is(err, lifecycle.ErrStarted) {
		t.Errorf("second start: %v", err)
	}
	for range 2 {
		if err := g.Stop(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	j.want(t, "+a", "+b", "-b", "-a")
}

func TestPartialStartUndoesItself(t *testing.T) {
	var j journal
	boom, sour := errors.New("boom"), errors.New("sour")
	g := lifecycle.New(j.part("a", nil, sour), j.part("b", nil, nil), j.part("c", boom, nil), j.part("d", nil, nil))
	err := g.Start(t.Context())
	if !errors.Is(err, boom) || !errors.Is(err, sour) || !strings.Contains(err.Error(), "start c: boom") || !strings.Contains(err.Error(), "stop a: sour") {
		t.Errorf("error %v", err)
	}
	j.want(t, "+a", "+b", "+c", "-b", "-a")
	if err := g.Stop(t.Context()); !errors.Is(err, sour) {
		t.Errorf("stop after a failed start: %v", err)
	}
	j.want(t, "+a", "+b", "+c", "-b", "-a")
}

func TestStopBeforeStart(t *testing.T) {
	var j journal
	g := lifecycle.New(j.part("a", nil, nil))
	if err := g.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := g.Start(t.Context()); !errors.Is(err, lifecycle.ErrStopped) {
		t.Errorf("start after stop: %v", err)
	}
	j.want(t)
}

func TestEveryPartIsStopped(t *testing.T) {
	var j journal
	one, two := errors.New("one"), errors.New("two")
	g := lifecycle.New(j.part("a", nil, one), j.part("b", nil, two), j.part("c", nil, nil))
	if err := g.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := g.Stop(ctx); !errors.Is(err, one) || !errors.Is(err, two) {
		t.Errorf("error %v", err)
	}
	j.want(t, "+a", "+b", "+c", "-c", "-b", "-a")
}

func TestDrainOutlivesIntake(t *testing.T) {
	var life lifecycle.Life
	g := lifecycle.New(lifecycle.Part{
		Name:  "a",
		Start: func(_ context.Context, l lifecycle.Life) error { life = l; return nil },
		Stop: func(context.Context) error {
			if life.Intake.Err() == nil || life.Drain.Err() != nil {
				t.Errorf("while stopping: intake %v, drain %v", life.Intake.Err(), life.Drain.Err())
			}
			return nil
		},
	})
	if err := g.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	if life.Intake.Err() != nil || life.Drain.Err() != nil {
		t.Error("a context ended while running")
	}
	if err := g.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if life.Drain.Err() == nil {
		t.Error("drain goes on after the stop")
	}
}

func TestDrainEndsWithTheStopsTime(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	var life lifecycle.Life
	g := lifecycle.New(lifecycle.Part{
		Name:  "slow",
		Start: func(_ context.Context, l lifecycle.Life) error { life = l; return nil },
		Stop: func(context.Context) error {
			cancel() // the time is up while this part still works
			<-life.Drain.Done()
			return nil
		},
	})
	if err := g.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := g.Stop(ctx); err != nil {
		t.Fatal(err)
	}
}

func TestStopDuringStart(t *testing.T) {
	var j journal
	entered := make(chan struct{})
	g := lifecycle.New(j.part("a", nil, nil), lifecycle.Part{
		Name: "b",
		Start: func(ctx context.Context, _ lifecycle.Life) error {
			close(entered)
			<-ctx.Done()
			return context.Cause(ctx)
		},
	}, j.part("c", nil, nil))
	started := make(chan error, 1)
	go func() { started <- g.Start(t.Context()) }()
	<-entered
	if err := g.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := <-started; !errors.Is(err, lifecycle.ErrStopped) {
		t.Errorf("start: %v", err)
	}
	j.want(t, "+a", "-a")
}

func TestStartEndsWithItsContext(t *testing.T) {
	var j journal
	ctx, cancel := context.WithCancel(t.Context())
	g := lifecycle.New(j.part("a", nil, nil), lifecycle.Part{
		Name:  "b",
		Start: func(context.Context, lifecycle.Life) error { cancel(); return nil },
		Stop: func(ctx context.Context) error {
			j.add("-b")
			return ctx.Err() // the undoing must not run under an ended context
		},
	}, j.part("c", nil, nil))
	if err := g.Start(ctx); !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "start c") {
		t.Errorf("start: %v", err)
	}
	j.want(t, "+a", "-b", "-a")
}

func TestSecondStopWaits(t *testing.T) {
	inStop, release := make(chan struct{}), make(chan struct{})
	sour := errors.New("sour")
	g := lifecycle.New(lifecycle.Part{
		Name: "a",
		Stop: func(context.Context) error { close(inStop); <-release; return sour },
	})
	if err := g.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	first, second := make(chan error, 1), make(chan error, 1)
	go func() { first <- g.Stop(t.Context()) }()
	<-inStop
	short, cancel := context.WithCancel(t.Context())
	cancel()
	if err := g.Stop(short); !errors.Is(err, context.Canceled) {
		t.Errorf("impatient stop: %v", err)
	}
	go func() { second <- g.Stop(t.Context()) }()
	close(release)
	if err := <-first; !errors.Is(err, sour) {
		t.Errorf("first: %v", err)
	}
	if err := <-second; !errors.Is(err, sour) {
		t.Errorf("second: %v", err)
	}
}

func TestBackgroundIsWaitedFor(t *testing.T) {
	finished := false
	g := lifecycle.New(lifecycle.Background("loop", func(life lifecycle.Life) {
		<-life.Intake.Done()
		finished = true
	}))
	if err := g.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := g.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if !finished {
		t.Error("the stop did not wait")
	}
}

func TestBackgroundThatHangs(t *testing.T) {
	g := lifecycle.New(lifecycle.Background("loop", func(life lifecycle.Life) { <-life.Drain.Done() }))
	if err := g.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := g.Stop(ctx); err != nil && !errors.Is(err, context.Canceled) {
		t.Errorf("stop: %v", err)
	}
}

func TestFailedGivesTheFirst(t *testing.T) {
	one, two := errors.New("one"), errors.New("two")
	g := lifecycle.New(lifecycle.Part{
		Name: "a",
		Start: func(_ context.Context, life lifecycle.Life) error {
			life.Fail(one)
			life.Fail(two)
			return nil
		},
	})
	if err := g.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := <-g.Failed(); !errors.Is(err, one) {
		t.Errorf("failed: %v", err)
	}
	if err := g.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
}
