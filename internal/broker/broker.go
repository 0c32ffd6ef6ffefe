// Package broker is the seam to what carries messages between the parts of an
// application: a log of messages, read by durable consumers.
//
// What every driver promises, and broker/brokertest holds it to:
//
//   - Publish returns when the broker has all messages, and they survive its
//     being killed. When it fails, any number of the first ones may be there: the
//     caller publishes all of them again, in the same order.
//   - Messages of one key that were published in order are delivered in order.
//     After a failure a message may be delivered again; it then comes with all
//     that follow it, in order.
//   - A consumer is durable: what is published while nobody subscribes waits.
//     A batch counts as delivered when its handler has returned nil; it is
//     delivered again otherwise, and nothing behind it comes before.
//   - At most one Subscribe of a consumer handles messages at a time. Brokers
//     differ in what they can do about that, so the callers see to it that one
//     node subscribes; a second one meanwhile costs the order, never a message.
//   - Connections that are lost are made again, without an end.
//
// What only some can do: see [Retainer] and [Traits].
package broker

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"runtime/debug"
	"slices"
	"time"

	"github.com/pandobase/pando/internal/fault"
)

// MaxSize bounds a message's data, in bytes: 1 MiB with what drivers add to it.
const MaxSize = 1<<20 - 4<<10

// Message is one message.
type Message struct {
	// ID is unique for good: where the broker can, it takes a message once.
	ID string
	// Type is what consumers choose by: words of letters, digits, _ and -, with
	// points between.
	Type string
	// Key is what order is kept for. Empty: none is needed.
	Key string
	// Data is at most MaxSize bytes.
	Data []byte
}

// Start is where a new consumer begins.
type Start uint8

// The starts.
const (
	// New begins with what is published from now on.
	New Start = iota
	// Retained begins with the oldest message that the broker still has; where it
	// keeps none, it is New.
	Retained
)

// Subscription is a durable consumer.
type Subscription struct {
	// Name is the consumer's: letters, digits, _ and -.
	Name string
	// Types are those that it wants. Empty: all.
	Types []string
	// Batch is how many messages are handled together, at most. Default 256.
	Batch int
	// Start is where it begins when it is declared for the first time.
	Start Start
	// Handle handles a batch in order. While it returns an error, the batch is
	// handed to it again, after a pause that grows from RetryFirst to RetryMax.
	Handle func(ctx context.Context, batch []Message) error
}

// DefaultBatch is the size of batches that do not say theirs.
const DefaultBatch = 256

// Size is the size of its batches.
func (s *Subscription) Size() int {
	if s.Batch > 0 {
		return s.Batch
	}
	return DefaultBatch
}

// Wants reports whether messages of the type are for the consumer.
func (s *Subscription) Wants(typ string) bool {
	return len(s.Types) == 0 || slices.Contains(s.Types, typ)
}

// Broker is one broker. It is safe for concurrent use. Errors are faults;
// StoreUnavailable is not among them: a broker that cannot be reached is
// Overloaded, and can be tried again.
type Broker interface {
	// Publish returns when the broker has all the messages. Fault BodyTooLarge: one
	// is beyond MaxSize, or beyond what this broker takes; none was published then.
	Publish(ctx context.Context, messages []Message) error

	// Declare sees to it that the consumer is there: what is published when it has
	// returned is kept for it. Its types are brought up to date.
	Declare(ctx context.Context, s *Subscription) error

	// Subscribe declares the consumer and hands messages to it until ctx ends. It
	// returns ctx's error, after the handler has returned.
	Subscribe(ctx context.Context, s *Subscription) error

	// Pending is about how many messages wait for a consumer. Fault NotFound:
	// there is no such consumer.
	Pending(ctx context.Context, consumer string) (int64, error)

	// Forget removes a consumer, and what waits for it. It is no error when it is
	// not there.
	Forget(ctx context.Context, consumer string) error

	// Ping reports whether the broker can be reached.
	Ping(ctx context.Context) error

	Traits() Traits

	Close() error
}

// Traits are what brokers differ in.
type Traits struct {
	// Deduplicates: a message that is published again within the window is not
	// delivered again. 0: it is.
	Deduplicates time.Duration
	// Unsynced is how long a message that was acknowledged may still be lost, with
	// the broker's machine. 0: it is on disk.
	Unsynced time.Duration
}

// Retainer is the power of a broker to give messages again that consumers have
// had.
type Retainer interface {
	// Read calls each for the retained messages that were published at or after
	// from, in order; with follow, for those that come, too, until ctx ends. An
	// error of each ends it and is returned.
	Read(ctx context.Context, from time.Time, follow bool, each func(m Message, at time.Time) error) error
}

// The pauses between two tries of one batch.
const (
	RetryFirst = 100 * time.Millisecond
	RetryMax   = 30 * time.Second
)

// Insist hands a batch to the consumer until it has been handled, or ctx ends. It
// is for drivers.
func Insist(ctx context.Context, log *slog.Logger, s *Subscription, batch []Message) error {
	for wait := RetryFirst; ; wait = min(2*wait, RetryMax) {
		err := handle(ctx, s, batch)
		if err == nil || ctx.Err() != nil {
			return err
		}
		log.Warn("a batch of messages could not be handled: it is tried again", "consumer", s.Name, "messages", len(batch), "error", fault.From(err), "cause", fault.From(err).Cause)
		if !Pause(ctx, wait) {
			return ctx.Err()
		}
	}
}

// handle keeps a panic of a handler from taking the node down.
func handle(ctx context.Context, s *Subscription, batch []Message) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fault.New(fault.Internal, "an internal error occurred").WithDetails("panic in the consumer %s: %v: %s", s.Name, p, debug.Stack())
		}
	}()
	return s.Handle(ctx, batch)
}

// Pause waits for about d, of which half is left to chance, and reports whether
// ctx is still alive.
func Pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d/2 + rand.N(d/2+1)) //nolint:gosec // spreads load
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}

// Check refuses messages that no broker takes. It is for drivers.
func Check(messages []Message, most int) error {
	for i := range messages {
		if n := len(messages[i].Data); n > most {
			return fault.New(fault.BodyTooLarge, "the message %s (%s) has %d bytes", messages[i].ID, messages[i].Type, n).
				WithHint("this broker takes messages of %d bytes at most", most)
		}
	}
	return nil
}

// Unreachable is the fault of a broker that does not answer. It is for drivers,
// which see to it that err has no password in it.
func Unreachable(err error) *fault.Error {
	return fault.Wrap(err, fault.Overloaded, "the broker does not answer").WithHint("it is tried again; see that the URL at broker: is right and the broker runs")
}
