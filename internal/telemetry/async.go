package telemetry

import (
	"errors"
	"io"
	"sync"
	"time"
)

// The measures of an [AsyncWriter].
const (
	asyncSize     = 64 << 10 // bytes buffered before a write waits
	asyncInterval = 200 * time.Millisecond
)

// ErrWriterClosed is returned by writes after Close.
var ErrWriterClosed = errors.New("log writer is closed")

// AsyncWriter collects lines and writes them together: at the latest 200 ms
// after the first of them, when 64 KiB are full, and at Close. A write costs a
// lock and a copy; when the buffer is full it writes the buffer out itself, so
// that no line is ever dropped and the memory is bounded. Lines keep their
// order and are never torn. When the process is killed the last 200 ms are
// lost: it is for access logs.
//
// An error of the underlying writer is returned by the next Write or Close.
// It is safe for concurrent use.
type AsyncWriter struct {
	dst   io.Writer
	wake  chan struct{} // the buffer is no longer empty
	quit  chan struct{} // closed by Close
	ended chan struct{} // closed when the flusher has returned

	mu     sync.Mutex
	buf    []byte
	err    error // of the last flush, not yet returned
	closed bool

	flushing sync.Mutex // held while dst is written; taken before mu
	spare    []byte     // empty; swapped with buf, guarded by flushing
}

// NewAsyncWriter returns a writer to dst. It must be closed; dst is not.
func NewAsyncWriter(dst io.Writer) *AsyncWriter {
	w := &AsyncWriter{
		dst:   dst,
		wake:  make(chan struct{}, 1),
		quit:  make(chan struct{}),
		ended: make(chan struct{}),
		buf:   make([]byte, 0, asyncSize),
		spare: make([]byte, 0, asyncSize),
	}
	go w.run()
	return w
}

// run flushes 200 ms after the first line; while there are none it sleeps, so
// that an idle node does not wake up.
func (w *AsyncWriter) run() {
	defer close(w.ended)
	timer := time.NewTimer(asyncInterval)
	timer.Stop()
	for {
		select {
		case <-w.wake:
			timer.Reset(asyncInterval)
		case <-timer.C:
			w.flush()
		case <-w.quit:
			timer.Stop()
			return
		}
	}
}

// Write implements io.Writer. p is one or more whole lines.
func (w *AsyncWriter) Write(p []byte) (int, error) {
	for {
		w.mu.Lock()
		if w.closed {
			w.mu.Unlock()
			return 0, ErrWriterClosed
		}
		empty := len(w.buf) == 0
		// What is longer than the whole buffer is taken into an empty one:
		// it grows for this once and is written at once.
		if empty || len(w.buf)+len(p) <= asyncSize {
			w.buf = append(w.buf, p...)
			full := len(w.buf) > asyncSize
			err := w.err
			w.err = nil
			w.mu.Unlock()
			if full {
				w.flush()
			} else if empty {
				select {
				case w.wake <- struct{}{}:
				default: // it is awake
				}
			}
			return len(p), err
		}
		w.mu.Unlock()
		w.flush()
	}
}

// flush writes out what is buffered.
func (w *AsyncWriter) flush() {
	w.flushing.Lock()
	defer w.flushing.Unlock()
	w.mu.Lock()
	full := w.buf
	w.buf = w.spare
	w.mu.Unlock()
	var err error
	if len(full) > 0 {
		_, err = w.dst.Write(full)
	}
	if cap(full) > 2*asyncSize {
		full = make([]byte, 0, asyncSize) // give a giant line's memory back
	}
	w.spare = full[:0]
	if err != nil {
		w.mu.Lock()
		w.err = err
		w.mu.Unlock()
	}
}

// Close writes out what is buffered and ends the writer. It is safe twice.
func (w *AsyncWriter) Close() error {
	w.mu.Lock()
	if w.closed {
		w.mu.Unlock()
		<-w.ended
		return nil
	}
	w.closed = true
	w.mu.Unlock()
	close(w.quit)
	<-w.ended
	w.flush()
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.err
}
