package kill

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// outcome is what a writer knows of a request.
type outcome uint8

const (
	pending      outcome = iota
	acknowledged         // it is on disk, once
	abandoned            // it lost its connection and was not repeated: all of it is on disk, or nothing
)

// posting is one request that creates rows (number, 0) to (number, parts-1).
type posting struct {
	number  int
	parts   int
	outcome outcome
	retried bool
}

// writer works like a careful client: it numbers what it writes, gives each
// request a key, and repeats it with that key until it is acknowledged, or
// gives up for good when the connection was lost.
type writer struct {
	id      int
	account string
	node    *node
	client  *http.Client
	random  *rand.Rand
	stop    <-chan struct{}
	fail    func(format string, args ...any)

	mu       sync.Mutex
	postings []*posting
	sent     int // the highest balance that was sent
	balance  int // the highest that was acknowledged
}

type crew struct {
	writers []*writer
	node    *node
	stop    chan struct{}
	work    sync.WaitGroup

	preloaded int // rows (-1, 0) to (-preloaded, 0) were there before
}

// hire makes the accounts and sets the writers to work.
func hire(ctx context.Context, t *testing.T, n *node, seed uint64) *crew {
	t.Helper()
	c := &crew{node: n, stop: make(chan struct{})}
	for i := range writerCount {
		w := &writer{
			id: i, account: fmt.Sprintf("00000000-0000-4000-8000-%012d", i), node: n, stop: c.stop, fail: t.Errorf,
			client: &http.Client{Transport: &http.Transport{MaxIdleConns: 1}, Timeout: backAgain},
			random: rand.New(rand.NewPCG(seed, uint64(i)+1)),
		}
		if err := w.send(ctx, http.MethodPost, "accounts", "", map[string]any{"id": w.account}, nil); err != nil {
			t.Fatal(err)
		}
		c.writers = append(c.writers, w)
	}
	for _, w := range c.writers {
		c.work.Go(func() { w.work(ctx) })
	}
	t.Cleanup(c.dismiss)
	return c
}

// dismiss waits until each writer has brought its request to an end.
func (c *crew) dismiss() {
	select {
	case <-c.stop:
	default:
		close(c.stop)
	}
	c.work.Wait()
}

func (c *crew) count(which func(*posting) bool) int {
	n := 0
	for _, w := range c.writers {
		w.mu.Lock()
		for _, p := range w.postings {
			if which(p) {
				n++
			}
		}
		w.mu.Unlock()
	}
	return n
}

func (c *crew) acknowledged() int {
	return c.count(func(p *posting) bool { return p.outcome == acknowledged })
}
func (c *crew) retried() int { return c.count(func(p *posting) bool { return p.retried }) }
func (c *crew) abandoned() int {
	return c.count(func(p *posting) bool { return p.outcome == abandoned })
}

func (w *writer) work(ctx context.Context) {
	for {
		select {
		case <-w.stop:
			return
		case <-ctx.Done():
			return
		default:
		}
		var err error
		if w.random.IntN(4) == 0 {
			err = w.raise(ctx)
		} else {
			err = w.post(ctx)
		}
		if err != nil {
			if ctx.Err() == nil {
				w.fail("writer %d: %v", w.id, err)
			}
			return
		}
	}
}

// post creates one row or a few, all or none.
func (w *writer) post(ctx context.Context) error {
	p := &posting{parts: 1}
	if w.random.IntN(4) == 0 {
		p.parts = 2 + w.random.IntN(20)
	}
	w.mu.Lock()
	p.number = len(w.postings)*writerCount + w.id
	w.postings = append(w.postings, p)
	w.mu.Unlock()
	rows := make([]map[string]any, p.parts)
	for i := range rows {
		rows[i] = map[string]any{"number": p.number, "part": i, "account_id": w.account, "note": strings.Repeat("x", w.random.IntN(500))}
	}
	key := fmt.Sprintf("posting-%d", p.number)
	for attempt := 0; ; attempt++ {
		var back []struct{ Number, Part int }
		err := w.send(ctx, http.MethodPost, "entries", key, rows, &back)
		w.mu.Lock()
		p.retried = attempt > 0
		w.mu.Unlock()
		switch {
		case err == nil:
			if len(back) != p.parts || back[0].Number != p.number {
				return fmt.Errorf("posting %d of %d rows was answered with %v", p.number, p.parts, back)
			}
			w.settle(p, acknowledged)
			return nil
		case !errors.Is(err, errLost):
			return err
		case w.random.IntN(4) == 0:
			w.settle(p, abandoned)
			return nil
		}
	}
}

func (w *writer) settle(p *posting, o outcome) {
	w.mu.Lock()
	p.outcome = o
	w.mu.Unlock()
}

// raise sets the account's balance to the next number: an update that is
// acknowledged must never be undone.
func (w *writer) raise(ctx context.Context) error {
	w.mu.Lock()
	w.sent++
	next := w.sent
	w.mu.Unlock()
	for {
		var back []struct{ Balance int }
		err := w.send(ctx, http.MethodPatch, "accounts?id=eq."+w.account, "", map[string]any{"balance": next}, &back)
		switch {
		case err == nil && (len(back) != 1 || back[0].Balance != next):
			return fmt.Errorf("raising to %d was answered with %v", next, back)
		case err == nil:
			w.mu.Lock()
			w.balance = next
			w.mu.Unlock()
			return nil
		case !errors.Is(err, errLost):
			return err
		case w.random.IntN(4) == 0:
			return nil
		}
	}
}

// errLost is a request whose outcome nobody told.
var errLost = errors.New("the connection was lost")

// send waits for the node and sends one request, with a body unless it is nil.
func (w *writer) send(ctx context.Context, method, path, idempotencyKey string, body, into any) error {
	base, err := w.node.up(ctx)
	if err != nil {
		return err
	}
	var payload io.Reader = http.NoBody
	if body != nil {
		b, err := json.Marshal(body)
		if err != nil {
			return err
		}
		payload = bytes.NewReader(b)
	}
	req, err := http.NewRequestWithContext(ctx, method, base+"/rest/v1/"+path, payload)
	if err != nil {
		return err
	}
	req.GetBody = nil // net/http would repeat a request of its own accord
	req.Header.Set("Apikey", secretKey)
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Prefer", "return=representation")
	if idempotencyKey != "" {
		req.Header.Set("Idempotency-Key", idempotencyKey)
	}
	resp, err := w.client.Do(req)
	var timeout interface{ Timeout() bool }
	if errors.As(err, &timeout) && timeout.Timeout() {
		return fmt.Errorf("no answer: %w", err)
	}
	if err != nil {
		return errors.Join(errLost, err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		return errors.Join(errLost, err)
	}
	if resp.StatusCode == http.StatusServiceUnavailable && w.node.mayLose {
		select { // the database behind the node is gone: it may have stored the write before
		case <-ctx.Done():
		case <-time.After(20 * time.Millisecond):
		}
		return errLost
	}
	if resp.StatusCode/100 != 2 {
		return fmt.Errorf("%s %s: %s: %s", method, path, resp.Status, answer)
	}
	if into == nil {
		return nil
	}
	return json.Unmarshal(answer, into)
}

// checkLast asks the node that has just come back for each writer's last
// acknowledged posting.
func (c *crew) checkLast(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), backAgain)
	defer cancel()
	for _, w := range c.writers {
		last := w.last()
		if last == nil {
			continue
		}
		var rows []struct{ Part int }
		if err := w.send(ctx, http.MethodGet, fmt.Sprintf("entries?select=part&number=eq.%d", last.number), "", nil, &rows); err != nil {
			if !errors.Is(err, errLost) {
				t.Errorf("reading posting %d: %v", last.number, err)
			}
			continue
		}
		if len(rows) != last.parts {
			t.Errorf("after a kill, posting %d of %d rows has %d", last.number, last.parts, len(rows))
		}
	}
}

func (w *writer) last() *posting {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, p := range slices.Backward(w.postings) {
		if p.outcome == acknowledged {
			return p
		}
	}
	return nil
}
