package work

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
	"sync/atomic"
	"testing"
	"time"
)

// write is a request that sets the number of items, or places orders. number is
// its name: no two have the same.
type write struct {
	number       int
	items        []int // whose number it sets
	orders       []int // that it places
	acknowledged bool  // it is on disk, once; else all of it is, or nothing
}

// writer works like a careful client: it gives each write a number and a key, and
// repeats it with that key until it is acknowledged, or gives it up for good when
// the connection was lost. No two write to the same items.
type writer struct {
	id     int
	nodes  []*node
	client *http.Client
	random *rand.Rand
	batch  int // items that one write sets, at most
	fail   func(format string, args ...any)

	writes  []*write // of the writer alone, until it has ended
	retried int
	undone  int
	events  atomic.Int64 // acknowledged
	jobs    atomic.Int64 // of orders, acknowledged
}

const (
	writerCount    = 4
	itemsPerWriter = 100
	mostOrders     = 20
)

// crew are the writers of one world.
type crew struct {
	writers []*writer
	work    sync.WaitGroup
	allowed atomic.Int64 // events that each writer may cause by now
}

// hire makes the items and the writers.
func hire(t *testing.T, nodes []*node, batch int) *crew {
	t.Helper()
	c := &crew{}
	for i := range writerCount {
		w := &writer{
			id: i, nodes: nodes, batch: batch, fail: t.Errorf,
			client: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 1}, Timeout: answerWithin},
			random: rand.New(rand.NewPCG(*seed, uint64(i)+1)), //nolint:gosec // choices of a test
		}
		rows := make([]map[string]any, itemsPerWriter)
		for k := range rows {
			rows[k] = map[string]any{"id": w.item(k)}
		}
		must(t, w.send(t.Context(), http.MethodPost, "items", "", rows))
		c.writers = append(c.writers, w)
	}
	return c
}

func (w *writer) item(k int) int { return w.id*itemsPerWriter + k }

// start sets the writers to work until each has caused its share of events.
func (c *crew) start(ctx context.Context, events int) {
	share := int64(events/writerCount + 1)
	for _, w := range c.writers {
		c.work.Go(func() {
			if err := w.work(ctx, share, &c.allowed); err != nil && ctx.Err() == nil {
				w.fail("writer %d: %v", w.id, err)
			}
		})
	}
}

func (c *crew) events() (n int64) {
	for _, w := range c.writers {
		n += w.events.Load()
	}
	return n
}

func (c *crew) jobs() (n int64) {
	for _, w := range c.writers {
		n += w.jobs.Load()
	}
	return n
}

func (w *writer) work(ctx context.Context, share int64, allowed *atomic.Int64) error {
	for w.events.Load() < share {
		if w.events.Load() >= allowed.Load() {
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-time.After(5 * time.Millisecond):
			}
			continue
		}
		wr := &write{}
		switch w.random.IntN(8) {
		case 0:
			for range 1 + w.random.IntN(mostOrders) {
				wr.orders = append(wr.orders, 0)
			}
		case 1, 2:
			from := w.random.IntN(itemsPerWriter)
			for k := from; k < min(itemsPerWriter, from+w.batch); k++ {
				wr.items = append(wr.items, w.item(k))
			}
		default:
			for _, k := range w.random.Perm(itemsPerWriter)[:1+w.random.IntN(w.batch)] {
				wr.items = append(wr.items, w.item(k))
			}
			slices.Sort(wr.items)
		}
		if err := w.do(ctx, wr, w.random.IntN(8) == 0); err != nil {
			return err
		}
	}
	// The last write waits for all before it on each item: behind it, nothing of
	// what was given up is still on its way.
	last := &write{}
	for k := range itemsPerWriter {
		last.items = append(last.items, w.item(k))
	}
	return w.do(ctx, last, false)
}

// do sends a write until it is acknowledged, or gives it up at the first
// connection that is lost.
func (w *writer) do(ctx context.Context, wr *write, giveUp bool) error {
	wr.number = len(w.writes)*writerCount + w.id + 1
	for i := range wr.orders {
		wr.orders[i] = wr.number*mostOrders + i
	}
	w.writes = append(w.writes, wr)
	key := fmt.Sprintf("write-%d", wr.number)
	method, path, body := w.request(wr)
	for attempt := 0; ; attempt++ {
		if attempt == 1 {
			w.retried++
		}
		err := w.send(ctx, method, path, key, body)
		switch {
		case err == nil:
			wr.acknowledged = true
			w.events.Add(int64(len(wr.items)))
			w.jobs.Add(int64(len(wr.orders)))
			return nil
		case errors.Is(err, errUndone):
			w.undone++
		case !errors.Is(err, errLost):
			return err
		case giveUp:
			return nil
		}
	}
}

// request is a write as it is sent: of rows, of a range, or a call.
func (w *writer) request(wr *write) (method, path string, body any) {
	if len(wr.orders) > 0 {
		return http.MethodPost, "rpc/place", map[string]any{"orders": wr.orders}
	}
	first, last := wr.items[0], wr.items[len(wr.items)-1]
	if last-first == len(wr.items)-1 && len(wr.items) < itemsPerWriter {
		return http.MethodPatch, fmt.Sprintf("items?id=gte.%d&id=lte.%d", first, last), map[string]any{"number": wr.number}
	}
	rows := make([]map[string]any, len(wr.items))
	for i, id := range wr.items {
		rows[i] = map[string]any{"id": id, "number": wr.number}
	}
	return http.MethodPost, "items?on_conflict=id", rows
}

var (
	// errLost is a request whose outcome nobody told.
	errLost = errors.New("the connection was lost")
	// errUndone is an operation that held others up for too long, as on a machine
	// that does much else.
	errUndone = errors.New("it was undone")
)

// send sends one request to a node that is up.
func (w *writer) send(ctx context.Context, method, path, idempotencyKey string, body any) error {
	base, err := w.base(ctx)
	if err != nil {
		return err
	}
	payload, err := json.Marshal(body)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, method, base+"/rest/v1/"+path, bytes.NewReader(payload))
	if err != nil {
		return err
	}
	req.GetBody = nil // net/http would repeat a request of its own accord
	req.Header.Set("Apikey", secretKey)
	req.Header.Set("Content-Type", "application/json")
	if req.Header.Set("Prefer", "return=minimal"); method == http.MethodPost {
		req.Header.Set("Prefer", "return=minimal,resolution=merge-duplicates")
	}
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
	if resp.StatusCode == http.StatusGatewayTimeout && bytes.Contains(answer, []byte(`"25P04"`)) {
		return errUndone
	}
	if resp.StatusCode/100 != 2 {
		return fmt.Errorf("%s %s: %s: %s", method, path, resp.Status, answer)
	}
	return nil
}

// count is how many rows an entity has.
func (w *writer) count(ctx context.Context, entity string) (n int64, err error) {
	base, err := w.base(ctx)
	if err != nil {
		return 0, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodHead, base+"/rest/v1/"+entity, http.NoBody)
	if err != nil {
		return 0, err
	}
	req.Header.Set("Apikey", secretKey)
	req.Header.Set("Prefer", "count=exact")
	resp, err := w.client.Do(req)
	if err != nil {
		return 0, err
	}
	_ = resp.Body.Close()
	_, total, _ := strings.Cut(resp.Header.Get("Content-Range"), "/")
	_, err = fmt.Sscan(total, &n)
	return n, err
}

// base waits for a node that is up, any of them.
func (w *writer) base(ctx context.Context) (string, error) {
	for {
		if url := w.nodes[w.random.IntN(len(w.nodes))].up(); url != "" {
			return url, nil
		}
		select {
		case <-ctx.Done():
			return "", ctx.Err()
		case <-time.After(5 * time.Millisecond):
		}
	}
}
