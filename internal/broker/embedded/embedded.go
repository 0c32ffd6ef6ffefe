// Package embedded is the broker within the process: a NATS server with JetStream
// that listens to nobody, and keeps its messages in a folder.
//
// The server acknowledges a message when the operating system has it, and its disk
// has it [SyncEvery] later. So kill -9 of the process loses nothing, and a machine
// that stops loses the newest messages; the outbox has them for longer, and
// publishes again what is missing. An fsync for each message would cost as much as
// the write that the event belongs to, for something that is stored there already.
package embedded

import (
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/pandobase/pando/internal/broker"
	"github.com/pandobase/pando/internal/broker/nats"
	"github.com/pandobase/pando/internal/fault"
)

// SyncEvery is how often messages go to the disk.
const SyncEvery = time.Second

// Options says where messages are kept. Dir is required.
type Options struct {
	// Dir is the folder. It is made when it is not there, and one process at a time
	// may use it.
	Dir string
	// MaxAge is how long messages are kept that every consumer has had. Default 7 days.
	MaxAge time.Duration
	// MaxBytes is how many bytes of them are kept. Default 1 GiB.
	MaxBytes int64
	// Log hears of the server's errors. Default: none.
	Log *slog.Logger
}

// Broker is the server with a connection to it.
type Broker struct {
	*nats.Broker

	server *server.Server
}

var (
	_ broker.Broker   = (*Broker)(nil)
	_ broker.Retainer = (*Broker)(nil)
)

// Open starts the server, and waits until its messages are read.
func Open(o Options) (*Broker, error) {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	const private = 0o700
	if err := os.MkdirAll(o.Dir, private); err != nil {
		return nil, fault.Wrap(err, fault.ConfigInvalid, "the broker's folder %s cannot be made", filepath.Base(o.Dir))
	}
	const most = broker.MaxSize + 64<<10 // with its headers
	s, err := server.NewServer(&server.Options{
		ServerName: "pando", DontListen: true, NoSigs: true, NoSystemAccount: true, MaxPayload: most, MaxPending: 64 << 20, WriteDeadline: 10 * time.Second,
		JetStream: true, StoreDir: o.Dir, SyncInterval: SyncEvery, DisableJetStreamBanner: true,
		JetStreamMaxMemory: 32 << 20, JetStreamMaxStore: 1 << 50, // the stream bounds itself
	})
	if err != nil {
		return nil, fault.Wrap(err, fault.ConfigInvalid, "the embedded broker does not start")
	}
	s.SetLoggerV2(logger{o.Log}, false, false, false)
	s.Start()
	const patience = 2 * time.Minute // it reads what it has
	if !s.ReadyForConnections(patience) {
		stop(s)
		return nil, fault.New(fault.StoreIO, "the embedded broker does not get ready").WithHint("see the log; its folder is broker/ in the data folder")
	}
	b, err := nats.Open(nats.Options{
		InProcess: s, MaxAge: o.MaxAge, MaxBytes: o.MaxBytes, Unsynced: 10 * SyncEvery, Log: o.Log,
	})
	if err != nil {
		stop(s)
		return nil, err
	}
	return &Broker{Broker: b, server: s}, nil
}

func stop(s *server.Server) {
	s.Shutdown()
	s.WaitForShutdown()
}

// Close implements broker.Broker.
func (b *Broker) Close() error {
	err := b.Broker.Close()
	stop(b.server)
	return err
}
