package server

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/pandobase/pando/internal/migrate"
)

// late runs the parts of a migration that the application can do without
// (migrate.Rest) while it is served. pause and resume bracket what changes the
// schema; their callers take turns (Node.mu).
type late struct {
	log *slog.Logger

	mu      sync.Mutex
	started bool
	paused  bool
	rest    migrate.Rest // nil: nothing is left
	cancel  context.CancelFunc
	done    chan struct{} // of the goroutine that runs rest; nil: none does
}

// start lets what is left run from now on.
func (l *late) start(ctx context.Context) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.started = true
	l.launch(ctx)
}

// stop ends what runs with the part that is under way. It is safe twice and
// before the start.
func (l *late) stop() {
	l.mu.Lock()
	l.started = false
	l.mu.Unlock()
	l.wait()
}

// pause keeps what is left from running, and waits for what runs.
func (l *late) pause() {
	l.mu.Lock()
	l.paused = true
	l.mu.Unlock()
	l.wait()
}

// resume undoes pause.
func (l *late) resume(ctx context.Context) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.paused = false
	l.launch(ctx)
}

// replace sets what is left. It is called while paused.
func (l *late) replace(rest migrate.Rest) {
	l.mu.Lock()
	l.rest = rest
	l.mu.Unlock()
}

func (l *late) wait() {
	l.mu.Lock()
	cancel, done := l.cancel, l.done
	l.mu.Unlock()
	if done != nil {
		cancel()
		<-done
	}
}

// launch runs what is left, if it may. l.mu is held.
func (l *late) launch(ctx context.Context) {
	if !l.started || l.paused || l.rest == nil || l.done != nil {
		return
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx)) // it outlives the call that starts it
	l.cancel, l.done = cancel, make(chan struct{})
	go l.run(ctx, l.rest)
}

func (l *late) run(ctx context.Context, rest migrate.Rest) {
	began := time.Now()
	err := rest(ctx)
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case err == nil:
		l.rest = nil
		l.log.Info("the indexes that were left for later are made", "took", time.Since(began).Round(time.Millisecond))
	case ctx.Err() == nil: // not paused
		l.rest = nil
		l.log.Error("indexes are missing: queries are slower, the next start or `pando migrate apply` makes them", "error", err)
	}
	l.cancel()
	close(l.done)
	l.cancel, l.done = nil, nil
}
