package nats

import (
	"context"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/pandobase/pando/internal/broker"
)

const (
	maxInFlight = 4096             // messages that no acknowledgement has come for
	ackTime     = 10 * time.Second // after which none is waited for
	keyHeader   = "Pando-Key"
)

// Publish implements broker.Broker. Each message names the one before it, which
// the server compares with the last one that it has: when one is lost on the way,
// so are those behind it, and the order holds.
func (b *Broker) Publish(ctx context.Context, messages []broker.Message) error {
	if err := broker.Check(messages, broker.MaxSize); err != nil {
		return err
	}
	if most := b.nc.MaxPayload(); most > 0 {
		const headers = 1024 // the id, the one before it, the key
		if err := broker.Check(messages, int(most)-headers); most < broker.MaxSize+headers && err != nil {
			return err
		}
	}
	if _, _, err := b.prepare(ctx); err != nil {
		return err
	}
	b.turn.Lock()
	defer b.turn.Unlock()
	if b.together(ctx, messages) == nil {
		return nil
	}
	// The last one that the server has need not be the one that was named, for
	// instance when some of them are there already. One after the other:
	for i := range messages {
		if _, err := b.js.PublishMsg(ctx, b.message(&messages[i], ""), jetstream.WithRetryAttempts(0)); err != nil {
			return b.translate(err)
		}
	}
	return nil
}

// together sends all messages and waits for their acknowledgements.
func (b *Broker) together(ctx context.Context, messages []broker.Message) error {
	acks := make([]jetstream.PubAckFuture, 0, len(messages))
	var failed error
	before := ""
	for i := range messages {
		ack, err := b.js.PublishMsgAsync(b.message(&messages[i], before), jetstream.WithRetryAttempts(0))
		if err != nil {
			failed = err
			break
		}
		acks = append(acks, ack)
		before = messages[i].ID
	}
	for _, ack := range acks { // of all: none is on its way when the next try begins
		select {
		case <-ack.Ok():
		case err := <-ack.Err():
			failed = err
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return failed
}

func (b *Broker) message(m *broker.Message, before string) *nats.Msg {
	h := nats.Header{jetstream.MsgIDHeader: {m.ID}}
	if m.Key != "" {
		h[keyHeader] = []string{headerText(m.Key)}
	}
	if before != "" {
		h[jetstream.ExpectedLastMsgIDHeader] = []string{before}
	}
	return &nats.Msg{Subject: b.subject(m.Type), Header: h, Data: m.Data}
}
