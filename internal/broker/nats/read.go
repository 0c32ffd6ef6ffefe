package nats

import (
	"context"
	"errors"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/pandobase/pando/internal/broker"
)

// entry is a message of the stream.
type entry struct {
	broker.Message
	seq  uint64
	at   time.Time
	left uint64 // messages behind it
}

// readFrom is where reading begins: at a time, or else at a number.
type readFrom struct {
	seq  uint64
	time *time.Time
}

// reader reads the stream in strict order.
type reader struct {
	consumer jetstream.Consumer
	messages chan entry
	failed   chan error
	iterator jetstream.MessagesContext
	stop     context.CancelFunc
	done     sync.WaitGroup
}

func (b *Broker) read(ctx context.Context, from readFrom, types []string, ahead int) (*reader, error) {
	config := jetstream.OrderedConsumerConfig{DeliverPolicy: jetstream.DeliverByStartSequencePolicy, OptStartSeq: from.seq}
	if from.time != nil {
		config = jetstream.OrderedConsumerConfig{DeliverPolicy: jetstream.DeliverByStartTimePolicy, OptStartTime: from.time}
	}
	// Before 2.10 servers know one filter: what is not wanted is left out here.
	if old := strings.HasPrefix(b.nc.ConnectedServerVersion(), "2.9."); len(types) == 1 || len(types) > 1 && !old {
		for _, t := range types {
			config.FilterSubjects = append(config.FilterSubjects, b.subject(t))
		}
	}
	opening, cancel := context.WithTimeout(ctx, ackTime)
	defer cancel()
	consumer, err := b.js.OrderedConsumer(opening, b.streamName(), config)
	if err != nil {
		return nil, b.translate(err)
	}
	iterator, err := consumer.Messages(jetstream.PullMaxMessagesWithBytesLimit(ahead, prefetch))
	if err != nil {
		return nil, b.translate(err)
	}
	ctx, stop := context.WithCancel(ctx)
	r := &reader{consumer: consumer, iterator: iterator, stop: stop, messages: make(chan entry, ahead), failed: make(chan error, 1)}
	r.done.Go(func() { r.failed <- b.pump(ctx, r) })
	return r, nil
}

// pump reads until it is stopped.
func (b *Broker) pump(ctx context.Context, r *reader) error {
	for {
		m, err := r.iterator.Next()
		if err != nil {
			return b.translate(err)
		}
		meta, err := m.Metadata()
		if err != nil {
			return b.translate(err)
		}
		e := entry{seq: meta.Sequence.Stream, at: meta.Timestamp, left: meta.NumPending}
		e.Message = broker.Message{
			ID: m.Headers().Get(jetstream.MsgIDHeader), Type: b.typeOf(m.Subject()),
			Key: textOfHeader(m.Headers().Get(keyHeader)), Data: m.Data(),
		}
		select {
		case r.messages <- e:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (r *reader) close() {
	r.stop()
	r.iterator.Stop()
	r.done.Wait()
}

// Read implements broker.Retainer.
func (b *Broker) Read(ctx context.Context, from time.Time, follow bool, each func(broker.Message, time.Time) error) error {
	if _, _, err := b.prepare(ctx); err != nil {
		return err
	}
	stream, err := b.js.Stream(ctx, b.streamName())
	if err != nil {
		return b.translate(err)
	}
	state := stream.CachedInfo().State
	if !follow && (state.Msgs == 0 || state.LastTime.Before(from)) {
		return nil
	}
	r, err := b.read(ctx, readFrom{time: &from}, nil, broker.DefaultBatch)
	if err != nil {
		return err
	}
	defer r.close()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case err := <-r.failed:
			if errors.Is(err, jetstream.ErrMsgIteratorClosed) {
				err = nil
			}
			return err
		case m := <-r.messages:
			if err := each(m.Message, m.at); err != nil {
				return err
			}
			if !follow && (m.seq >= state.LastSeq || m.left == 0) {
				return nil
			}
		}
	}
}
