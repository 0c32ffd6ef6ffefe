// Package amqp is the broker of a RabbitMQ server, or of a cluster behind one
// address.
//
// Messages go to one durable topic exchange, by their type. A consumer is a
// durable classic queue with a single active consumer: order holds because one
// subscriber gets its messages at a time, and what it had not acknowledged goes
// back to where it was. A message counts as published when its confirmation has
// come, which a durable queue gives when the message is on disk; on the one node
// of a cluster that has the queue. A message that no queue is bound for is
// dropped: nobody has declared that they wait for it.
//
// RabbitMQ keeps nothing that was acknowledged and recognises no message again:
// see broker.Traits. After a negative confirmation, which a queue gives when it
// is in trouble, messages behind the refused one may come before it.
package amqp

import (
	"context"
	"log/slog"
	"net"
	"sync"
	"time"

	"github.com/rabbitmq/amqp091-go"

	"github.com/pandobase/pando/internal/broker"
	"github.com/pandobase/pando/internal/fault"
)

// Options says how the server is reached. URL is required.
type Options struct {
	// URL is amqp://user:password@host:5672/vhost, or amqps:// with TLS.
	URL string
	// Name begins the names of the exchange and the queues. Default "pando".
	Name string
	// Log is told of connections that are lost. Default: none.
	Log *slog.Logger
}

const (
	dialTime    = 10 * time.Second
	confirmTime = 10 * time.Second // for the confirmations of one Publish
	heartbeat   = 10 * time.Second
)

// Broker is the connections to one server.
type Broker struct {
	o Options

	turn    sync.Mutex // one Publish at a time: the order of two is the callers'
	out     link       // publishes: the server may slow it down
	channel *amqp091.Channel
	in      link // all else
}

var _ broker.Broker = (*Broker)(nil)

// Open returns the broker. It does not wait for the server: that may be
// unreachable meanwhile.
func Open(o Options) (*Broker, error) {
	if o.Name == "" {
		o.Name = "pando"
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if _, err := amqp091.ParseURI(o.URL); err != nil { // it may tell the password
		return nil, fault.New(fault.ConfigInvalid, "the broker's URL is not understood").WithHint("it looks like amqp://user:password@host:5672/vhost, or amqps://... with TLS")
	}
	b := &Broker{o: o}
	b.out.b, b.in.b = b, b
	return b, nil
}

func (b *Broker) exchange() string             { return b.o.Name + ".events" }
func (b *Broker) queue(consumer string) string { return b.o.Name + "." + consumer }

// link is one connection, made when it is needed.
type link struct {
	b *Broker

	mu     sync.Mutex
	conn   *amqp091.Connection
	raw    net.Conn
	closed bool
}

// open opens a channel, on a new connection where the old one is lost.
func (l *link) open(ctx context.Context) (*amqp091.Channel, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return nil, fault.New(fault.ShuttingDown, "the broker is closed")
	}
	if l.conn == nil || l.conn.IsClosed() {
		if err := l.dial(ctx); err != nil {
			return nil, broker.Unreachable(err)
		}
	}
	stop := context.AfterFunc(ctx, l.cut(l.raw))
	defer stop()
	ch, err := l.conn.Channel()
	if err != nil {
		return nil, broker.Unreachable(err)
	}
	return ch, nil
}

func (l *link) dial(ctx context.Context) error {
	conn, err := amqp091.DialConfig(l.b.o.URL, amqp091.Config{
		Heartbeat: heartbeat, Locale: "en_US", Properties: amqp091.Table{"connection_name": "pando"},
		Dial: func(network, addr string) (net.Conn, error) {
			d := net.Dialer{Timeout: dialTime}
			raw, err := d.DialContext(ctx, network, addr)
			if err != nil {
				return nil, err
			}
			l.raw = raw
			// The library takes the limit away when the connection is open.
			return raw, raw.SetDeadline(time.Now().Add(dialTime))
		},
	})
	if err != nil {
		return err
	}
	l.conn = conn
	return nil
}

// cut ends a connection at once: what waits on it fails.
func (l *link) cut(raw net.Conn) func() {
	return func() { _ = raw.Close() }
}

// limit cuts the connection when ctx ends before stop is called.
func (l *link) limit(ctx context.Context) (stop func() bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return context.AfterFunc(ctx, l.cut(l.raw))
}

func (l *link) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
	if l.conn != nil {
		_ = l.conn.CloseDeadline(time.Now().Add(time.Second)) // what fails here is closed all the same
	}
}

// Publish implements broker.Broker.
func (b *Broker) Publish(ctx context.Context, messages []broker.Message) error {
	if err := broker.Check(messages, broker.MaxSize); err != nil {
		return err
	}
	b.turn.Lock()
	defer b.turn.Unlock()
	ctx, cancel := context.WithTimeout(ctx, confirmTime)
	defer cancel()
	if err := b.ready(ctx); err != nil {
		return err
	}
	stop := b.out.limit(ctx)
	defer stop()
	if err := b.publish(ctx, messages); err != nil {
		_ = b.channel.Close() // the next try begins with nothing on its way
		b.channel = nil
		return broker.Unreachable(err)
	}
	return nil
}

// ready sees to a channel with confirmations, and to the exchange.
func (b *Broker) ready(ctx context.Context) error {
	if b.channel != nil && !b.channel.IsClosed() {
		return nil
	}
	ch, err := b.out.open(ctx)
	if err != nil {
		return err
	}
	stop := b.out.limit(ctx)
	defer stop()
	if err := b.declareExchange(ch); err != nil {
		return broker.Unreachable(err)
	}
	if err := ch.Confirm(false); err != nil {
		return broker.Unreachable(err)
	}
	b.channel = ch
	return nil
}

func (b *Broker) declareExchange(ch *amqp091.Channel) error {
	return ch.ExchangeDeclare(b.exchange(), amqp091.ExchangeTopic, true, false, false, false, nil)
}

const keyHeader = "pando-key"

func (b *Broker) publish(ctx context.Context, messages []broker.Message) error {
	const most = 1000 // without a confirmation
	for len(messages) > 0 {
		step := messages[:min(len(messages), most)]
		messages = messages[len(step):]
		confirmations := make([]*amqp091.DeferredConfirmation, 0, len(step))
		for i := range step {
			m := &step[i]
			c, err := b.channel.PublishWithDeferredConfirm(b.exchange(), m.Type, false, false, amqp091.Publishing{
				MessageId: m.ID, Type: m.Type, DeliveryMode: amqp091.Persistent, ContentType: "application/cloudevents+json",
				Headers: amqp091.Table{keyHeader: m.Key}, Body: m.Data,
			})
			if err != nil {
				return err
			}
			confirmations = append(confirmations, c)
		}
		for _, c := range confirmations {
			ok, err := c.WaitContext(ctx)
			if err != nil {
				return err
			}
			if !ok {
				return errRefused
			}
		}
	}
	return nil
}

// Ping implements broker.Broker.
func (b *Broker) Ping(ctx context.Context) error {
	ch, err := b.in.open(ctx)
	if err != nil {
		return err
	}
	return ch.Close()
}

// Traits implements broker.Broker.
func (b *Broker) Traits() broker.Traits { return broker.Traits{} }

// Close implements broker.Broker. The subscribers have ended.
func (b *Broker) Close() error {
	b.out.close()
	b.in.close()
	return nil
}
