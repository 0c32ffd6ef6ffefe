package amqp

import (
	"context"
	"errors"
	"time"

	"github.com/rabbitmq/amqp091-go"

	"github.com/pandobase/pando/internal/broker"
	"github.com/pandobase/pando/internal/fault"
)

var (
	errRefused = errors.New("the server has refused a message")
	errEnded   = errors.New("the server has ended the subscription")
)

// Declare implements broker.Broker. Types that the consumer wanted before stay
// bound to its queue: they are left out when they come.
func (b *Broker) Declare(ctx context.Context, s *broker.Subscription) error {
	ch, err := b.in.open(ctx)
	if err != nil {
		return err
	}
	defer ch.Close() //nolint:errcheck // nothing is lost with it
	stop := b.in.limit(ctx)
	defer stop()
	if err := b.declare(ch, s); err != nil {
		return broker.Unreachable(err)
	}
	return nil
}

func (b *Broker) declare(ch *amqp091.Channel, s *broker.Subscription) error {
	if err := b.declareExchange(ch); err != nil {
		return err
	}
	queue := b.queue(s.Name)
	_, err := ch.QueueDeclare(queue, true, false, false, false, amqp091.Table{
		amqp091.QueueTypeArg: amqp091.QueueTypeClassic, amqp091.SingleActiveConsumerArg: true,
	})
	if err != nil {
		return err
	}
	types := s.Types
	if len(types) == 0 {
		types = []string{"#"}
	}
	for _, t := range types {
		if err := ch.QueueBind(queue, t, b.exchange(), false, nil); err != nil {
			return err
		}
	}
	return nil
}

// Subscribe implements broker.Broker.
func (b *Broker) Subscribe(ctx context.Context, s *broker.Subscription) error {
	for wait := broker.RetryFirst; ; wait = min(2*wait, broker.RetryMax/6) {
		began := time.Now()
		err := b.follow(ctx, s)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		b.o.Log.Debug("a consumer was interrupted: it goes on", "consumer", s.Name, "error", err)
		if time.Since(began) > time.Second {
			wait = broker.RetryFirst
		}
		if !broker.Pause(ctx, wait) {
			return ctx.Err()
		}
	}
}

// follow hands messages to the consumer until something fails.
func (b *Broker) follow(ctx context.Context, s *broker.Subscription) error {
	ch, err := b.in.open(ctx)
	if err != nil {
		return err
	}
	defer ch.Close() //nolint:errcheck // what was not acknowledged comes again
	opening, cancel := context.WithTimeout(ctx, dialTime)
	defer cancel()
	stop := b.in.limit(opening)
	err = b.declare(ch, s)
	if err == nil {
		err = ch.Qos(2*s.Size(), 0, false)
	}
	var deliveries <-chan amqp091.Delivery
	if err == nil {
		deliveries, err = ch.Consume(b.queue(s.Name), "", false, false, false, false, nil)
	}
	stop()
	if err != nil {
		return err
	}
	var batch []broker.Message
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case d, ok := <-deliveries:
			if !ok {
				return errEnded
			}
			var last uint64
			batch, last = take(deliveries, d, s, batch[:0])
			if len(batch) > 0 {
				if err := broker.Insist(ctx, b.o.Log, s, batch); err != nil {
					return err
				}
				clear(batch)
			}
			if err := ch.Ack(last, true); err != nil {
				return err
			}
		}
	}
}

// take makes a batch of a message and those that have come meanwhile.
func take(deliveries <-chan amqp091.Delivery, d amqp091.Delivery, s *broker.Subscription, batch []broker.Message) ([]broker.Message, uint64) {
	for {
		if s.Wants(d.RoutingKey) {
			key, _ := d.Headers[keyHeader].(string)
			batch = append(batch, broker.Message{ID: d.MessageId, Type: d.RoutingKey, Key: key, Data: d.Body})
		}
		last := d.DeliveryTag
		if len(batch) == s.Size() {
			return batch, last
		}
		var ok bool
		select {
		case d, ok = <-deliveries:
			if !ok {
				return batch, last
			}
		default:
			return batch, last
		}
	}
}

// Pending implements broker.Broker. What a subscriber holds does not count.
func (b *Broker) Pending(ctx context.Context, consumer string) (int64, error) {
	ch, err := b.in.open(ctx)
	if err != nil {
		return 0, err
	}
	defer ch.Close() //nolint:errcheck // nothing is lost with it
	stop := b.in.limit(ctx)
	defer stop()
	q, err := ch.QueueDeclarePassive(b.queue(consumer), true, false, false, false, nil)
	var e *amqp091.Error
	if errors.As(err, &e) && e.Code == amqp091.NotFound {
		return 0, fault.New(fault.NotFound, "the broker has no consumer %s", consumer)
	}
	if err != nil {
		return 0, broker.Unreachable(err)
	}
	return int64(q.Messages), nil
}

// Forget implements broker.Broker.
func (b *Broker) Forget(ctx context.Context, consumer string) error {
	ch, err := b.in.open(ctx)
	if err != nil {
		return err
	}
	defer ch.Close() //nolint:errcheck // nothing is lost with it
	stop := b.in.limit(ctx)
	defer stop()
	if _, err := ch.QueueDelete(b.queue(consumer), false, false, false); err != nil {
		return broker.Unreachable(err)
	}
	return nil
}
