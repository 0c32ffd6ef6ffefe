package events

import (
	"context"
	"fmt"
	"runtime/debug"
	"strings"
	"sync"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/pandobase/pando/internal/broker"
	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/outbox"
	"github.com/pandobase/pando/internal/store"
)

// Delivery is an event on its way to a consumer.
type Delivery struct {
	outbox.Event
	// Try counts from 1.
	Try int
	// Replayed tells that it comes because somebody wanted it again.
	Replayed bool
}

// Consumer is who waits for events. One of Apply and Notify is required.
type Consumer struct {
	// Name is the consumer's, for good: letters, digits, _ and -.
	Name string
	// Types are those that it wants, such as "orders.order_paid". Empty: all.
	Types []string
	// Start is where it begins when it is new. Default: with what comes from now on.
	Start broker.Start
	// Batch is how many events are handled together, at most. Default 256.
	Batch int
	// Apply handles events in order, within one transaction, which it must not
	// wait in for anything but the store. What it writes there happens once. It
	// may be called again for events whose transaction was undone. When it fails
	// for some, each event is given to it alone, and those that fail are parked.
	Apply func(ctx context.Context, tx store.Tx, batch []Delivery) error
	// Notify handles one event, at least once. The ctx ends after Timeout.
	Notify func(ctx context.Context, d Delivery) error
	// Timeout is how long Notify may take. Default 30 seconds.
	Timeout time.Duration
	// Tries is how often an event is tried before it is dead. Default 10.
	Tries int
	// First and Max bound the pause between two tries, which doubles from one to
	// the next and is spread by a fifth. Default 1 second and 5 minutes.
	First, Max time.Duration
}

const (
	defaultTries   = 10
	defaultFirst   = time.Second
	defaultMax     = 5 * time.Minute
	defaultTimeout = 30 * time.Second
)

// consumer is a Consumer at work on this node.
type consumer struct {
	Consumer

	e     *Events
	sub   broker.Subscription
	lease *outbox.Lease // while it is this node's
	attrs metric.MeasurementOption

	mu     sync.Mutex
	parked map[string]int // live events of a key that are parked, or about to be
	poke   chan struct{}  // there may be something due
}

func (e *Events) newConsumer(c Consumer) (*consumer, error) {
	if (c.Apply == nil) == (c.Notify == nil) || !validName(c.Name) {
		return nil, fault.New(fault.ConfigInvalid, "the consumer %q has no name of letters, digits, _ and -, or not exactly one handler", c.Name)
	}
	if c.Tries <= 0 {
		c.Tries = defaultTries
	}
	if c.First <= 0 {
		c.First = defaultFirst
	}
	if c.Max <= 0 {
		c.Max = max(defaultMax, c.First)
	}
	if c.Timeout <= 0 {
		c.Timeout = defaultTimeout
	}
	out := &consumer{
		Consumer: c, e: e, parked: map[string]int{}, poke: make(chan struct{}, 1),
		attrs: metric.WithAttributeSet(attribute.NewSet(attribute.String("consumer", c.Name))),
	}
	out.sub = broker.Subscription{Name: c.Name, Types: c.Types, Batch: c.Batch, Start: c.Start, Handle: out.handle}
	return out, nil
}

func validName(s string) bool {
	const longest = 64
	if s == "" || len(s) > longest || s == RelayName {
		return false
	}
	for i := range len(s) {
		c := s[i]
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '_' && c != '-' {
			return false
		}
	}
	return true
}

// consume works for a consumer whenever this node has its lease.
func (e *Events) consume(ctx context.Context, c *consumer) {
	e.leading(ctx, "events/consumer/"+c.Name, func(ctx context.Context, lease *outbox.Lease) error {
		c.lease = lease
		if err := c.loadParked(ctx); err != nil {
			return err
		}
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		var retries sync.WaitGroup
		retries.Go(func() { c.retryLoop(ctx) })
		err := e.cfg.Broker.Subscribe(ctx, &c.sub)
		cancel()
		retries.Wait()
		return err
	})
}

// order is what an event waits behind: its key. One without waits behind none.
func order(e *outbox.Event) string {
	if e.Key == "" {
		return "\x01" + e.ID
	}
	return e.Key
}

// handle handles a batch of the broker's.
func (c *consumer) handle(ctx context.Context, messages []broker.Message) error {
	batch := make([]Delivery, 0, len(messages))
	for i := range messages {
		ev, err := Decode(messages[i].Data)
		if err != nil {
			c.e.cfg.Log.Error("a message of the broker is no event: it is dead", "consumer", c.Name, "message", messages[i].ID, "error", err)
			if err := c.e.bury(ctx, c.Name, "message-"+messages[i].ID, messages[i].Data, err); err != nil {
				return err
			}
			continue
		}
		batch = append(batch, Delivery{Event: ev, Try: 1})
	}
	if len(batch) == 0 {
		return nil
	}
	// Those whose key is parked wait behind what is parked. That is decided here:
	// the last of the parked ones may be handled meanwhile.
	behind := make(map[string]bool)
	reserved := make([]string, 0)
	c.mu.Lock()
	for i := range batch {
		if k := order(&batch[i].Event); c.parked[k] != 0 {
			behind[k] = true
			c.parked[k]++
			reserved = append(reserved, k)
		}
	}
	c.mu.Unlock()
	if c.Apply != nil {
		return c.apply(ctx, batch, behind, reserved)
	}
	return c.notify(ctx, batch, behind, reserved)
}

// settle takes back what handle has reserved, and counts what was parked.
func (c *consumer) settle(reserved []string, parked []*park) {
	c.mu.Lock()
	defer c.mu.Unlock()
	add := func(k string, n int) {
		if c.parked[k] += n; c.parked[k] == 0 {
			delete(c.parked, k)
		}
	}
	for _, p := range parked {
		if !c.dies(p) {
			add(order(&p.d.Event), 1)
		}
	}
	for _, k := range reserved {
		add(k, -1)
	}
}

// apply handles a batch in one transaction.
func (c *consumer) apply(ctx context.Context, batch []Delivery, behind map[string]bool, reserved []string) error {
	ids := make([]string, len(batch))
	for i := range batch {
		ids[i] = batch[i].ID
	}
	var parked []*park
	var handled, failed int
	err := c.e.cfg.Outbox.Driver().Write(ctx, func(tx store.Tx) error {
		parked, handled, failed = nil, 0, 0
		if err := c.lease.Check(tx); err != nil {
			return err
		}
		fresh, err := c.e.cfg.Outbox.Fresh(tx, c.Name, ids)
		if err != nil {
			return err
		}
		flow := make([]Delivery, 0, len(batch))
		for i := range batch {
			switch {
			case !fresh[i]:
			case behind[order(&batch[i].Event)]:
				parked = append(parked, &park{d: batch[i]})
			default:
				flow = append(flow, batch[i])
			}
		}
		more, n, err := c.flow(ctx, tx, flow)
		if err != nil {
			return err
		}
		handled, failed = n, len(more)
		parked = append(parked, more...)
		return c.park(tx, parked)
	})
	if err != nil {
		parked = nil
	}
	c.settle(reserved, parked)
	if err != nil {
		return err
	}
	c.count(ctx, handled, failed, parked)
	return nil
}

// flow gives events to the handler: together, and where that fails, one by one.
// It returns those to be parked, and how many were handled.
func (c *consumer) flow(ctx context.Context, tx store.Tx, flow []Delivery) (parked []*park, handled int, err error) {
	if len(flow) == 0 {
		return nil, 0, nil
	}
	err = tx.Savepoint(func() error { return c.call(ctx, tx, flow) })
	if err == nil {
		return nil, len(flow), nil
	}
	if general(ctx, err) {
		return nil, 0, err
	}
	failed := map[string]bool{}
	for i := range flow {
		k := order(&flow[i].Event)
		if failed[k] {
			parked = append(parked, &park{d: flow[i]})
			continue
		}
		if len(flow) > 1 {
			err = tx.Savepoint(func() error { return c.call(ctx, tx, flow[i:i+1]) })
		}
		switch {
		case err == nil:
			handled++
		case general(ctx, err):
			return nil, 0, err
		default:
			failed[k] = true
			parked = append(parked, &park{d: flow[i], tries: 1, err: err})
		}
	}
	return parked, handled, nil
}

// call calls Apply, and makes an error of its panic.
func (c *consumer) call(ctx context.Context, tx store.Tx, batch []Delivery) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
		}
	}()
	return c.Apply(ctx, tx, batch)
}

// general reports whether an error is about the store, or the node, and none of
// an event: then it costs the event no try.
func general(ctx context.Context, err error) bool {
	if ctx.Err() != nil {
		return true
	}
	for _, code := range []fault.Code{
		fault.Serialization, fault.DiskFull, fault.TooManyConns, fault.StoreUnavailable, fault.StoreIO, fault.StoreMoved, fault.ShuttingDown, fault.Overloaded,
	} {
		if fault.Is(err, code) {
			return true
		}
	}
	return false
}

// notify handles a batch outside of a transaction.
func (c *consumer) notify(ctx context.Context, batch []Delivery, behind map[string]bool, reserved []string) error {
	var parked []*park
	handled := 0
	failed := map[string]bool{}
	for i := range batch {
		k := order(&batch[i].Event)
		if failed[k] || behind[k] {
			parked = append(parked, &park{d: batch[i]})
			continue
		}
		if err := c.tell(ctx, batch[i]); err != nil {
			if ctx.Err() != nil {
				c.settle(reserved, nil)
				return ctx.Err()
			}
			failed[k] = true
			parked = append(parked, &park{d: batch[i], tries: 1, err: err})
			continue
		}
		handled++
	}
	var err error
	if len(parked) > 0 {
		err = c.e.cfg.Outbox.Driver().Write(ctx, func(tx store.Tx) error {
			if err := c.lease.Check(tx); err != nil {
				return err
			}
			return c.park(tx, parked)
		})
	}
	if err != nil {
		parked = nil
	}
	c.settle(reserved, parked)
	if err == nil {
		c.count(ctx, handled, len(failed), parked)
	}
	return err
}

// tell calls Notify, within its time, and makes an error of its panic.
func (c *consumer) tell(ctx context.Context, d Delivery) (err error) {
	ctx, cancel := context.WithTimeout(ctx, c.Timeout)
	defer cancel()
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
		}
	}()
	return c.Notify(ctx, d)
}

// count tells the metrics and the log.
func (c *consumer) count(ctx context.Context, handled, failed int, parked []*park) {
	c.e.meters.handled.Add(ctx, int64(handled), c.attrs)
	if failed > 0 {
		c.e.meters.failed.Add(ctx, int64(failed), c.attrs)
	}
	for _, p := range parked {
		switch {
		case p.err == nil:
		case c.dies(p):
			c.e.meters.dead.Add(ctx, 1, c.attrs)
			c.e.cfg.Log.Error("an event could not be handled: it is dead", "consumer", c.Name, "event", p.d.ID, "type", p.d.Type, "tries", p.tries, "error", firstLine(p.err))
		default:
			c.e.cfg.Log.Warn("an event could not be handled: it is tried again", "consumer", c.Name, "event", p.d.ID, "type", p.d.Type, "try", p.tries, "error", firstLine(p.err))
		}
	}
	if len(parked) > 0 {
		c.wake()
	}
}

// firstLine is an error without the stack of a panic: that is with the dead event.
func firstLine(err error) string {
	line, _, _ := strings.Cut(err.Error(), "\n")
	return line
}

// wake lets the retries look for what is due.
func (c *consumer) wake() {
	select {
	case c.poke <- struct{}{}:
	default:
	}
}
