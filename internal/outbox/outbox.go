// Package outbox keeps events beside the data that they tell of.
//
// [Outbox.Append] stores an event in the transaction of the write, so that
// neither is there without the other. Its number comes from the database while
// the write holds the lock of the row, so that the numbers of one key (one row)
// grow in the order of the commits, whichever node they are of. Across keys they
// do not: a row with a lower number may appear behind one with a higher, and
// nobody may conclude from a number that no lower one follows.
//
// A row is looked for by the relay until the broker has it ([Outbox.Publishable],
// [Outbox.Published]), stays for a while behind that, since brokers may
// acknowledge before their disk has it ([Outbox.Recheck]), and is then deleted
// in small steps.
//
// The backlog is what no broker has yet. At [Config.AlarmAt] rows, or when one is
// older than [Config.AlarmAge], the log and the metrics tell; writes go on. At
// [Config.MaxBacklog] rows, which is days of a broker's absence for most
// applications, a write that has an event fails with fault.Overloaded and writes
// nothing: the event is never left out of a write that succeeds.
//
// The other end is here too: the inbox ([Outbox.Fresh]) tells a consumer, within
// its own transaction, which events it has handled before. [Outbox.Lead] gives a
// task to one node at a time.
package outbox

import (
	"context"
	"crypto/rand"
	"io"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/metric/noop"

	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/store"
	"github.com/pandobase/pando/internal/value"
)

// Config says what an outbox is made of. Driver is required.
type Config struct {
	Driver store.Driver
	Now    func() time.Time // of events; default time.Now
	Random io.Reader        // of ids; default crypto/rand
	Log    *slog.Logger     // default: none
	Meter  metric.Meter     // default: none

	// Keep is how long a published row stays. It is longer than a broker takes
	// from its acknowledgement to its disk. Default 10 minutes.
	Keep time.Duration
	// KeepInbox is how long the inbox remembers an event. It is longer than the
	// broker's longest redelivery. Default 8 days.
	KeepInbox time.Duration
	// AlarmAt is the backlog, in rows, at which an alarm is given. Default 100,000.
	AlarmAt int64
	// AlarmAge is the age of the oldest event of the backlog at which an alarm is
	// given. Default 1 minute.
	AlarmAge time.Duration
	// MaxBacklog is the backlog, in rows, at which writes that have events are
	// refused. It is watched every WatchEvery, and by what this node appends.
	// Default 10,000,000.
	MaxBacklog int64
	// WatchEvery is how often the backlog is measured. Default 2 seconds.
	WatchEvery time.Duration
	// LeaseTime is after how long without a sign of life another node takes a
	// task over (Lead). Default 10 seconds.
	LeaseTime time.Duration
}

const (
	defaultKeep       = 10 * time.Minute
	defaultKeepInbox  = 8 * 24 * time.Hour
	defaultAlarmAt    = 100_000
	defaultAlarmAge   = time.Minute
	defaultMaxBacklog = 10_000_000
	defaultWatch      = 2 * time.Second
	defaultLease      = 10 * time.Second
)

func (c Config) withDefaults() Config {
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Random == nil {
		c.Random = rand.Reader
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Meter == nil {
		c.Meter = noop.Meter{}
	}
	c.Keep = orDefault(c.Keep, defaultKeep)
	c.KeepInbox = orDefault(c.KeepInbox, defaultKeepInbox)
	c.AlarmAt = orDefault(c.AlarmAt, defaultAlarmAt)
	c.AlarmAge = orDefault(c.AlarmAge, defaultAlarmAge)
	c.MaxBacklog = orDefault(c.MaxBacklog, defaultMaxBacklog)
	c.WatchEvery = orDefault(c.WatchEvery, defaultWatch)
	c.LeaseTime = orDefault(c.LeaseTime, defaultLease)
	return c
}

func orDefault[T ~int64](v, def T) T {
	if v <= 0 {
		return def
	}
	return v
}

// Outbox is the outbox of one store, as one node sees it. It is safe for
// concurrent use.
type Outbox struct {
	cfg    Config
	st     *statements
	shared bool   // other nodes use the store too
	holder string // this node's name in leases

	wake   chan struct{}
	waking store.Committed // wakes the relay

	backlog  atomic.Pointer[Backlog]
	appended atomic.Int64 // since the backlog was measured
	alarmed  atomic.Bool
	gauges   metric.Registration

	stop context.CancelFunc
	done chan struct{}
	once sync.Once
}

// Open returns the outbox of the driver's store. [Outbox.Close] ends it.
func Open(ctx context.Context, c Config) (*Outbox, error) {
	c = c.withDefaults()
	o := &Outbox{
		cfg: c, st: newStatements(c.Driver.Dialect()), wake: make(chan struct{}, 1), done: make(chan struct{}),
		holder: value.NewUUID(c.Now(), c.Random),
	}
	committer, ok := c.Driver.(store.Committer)
	o.shared = ok && committer.Shared()
	o.waking = o.Wake
	if o.shared { // a move copies rows, not the sequence that their numbers come from
		err := c.Driver.Write(ctx, func(tx store.Tx) error { return tx.Query(o.st.sequence, nil, func(store.Row) error { return nil }) })
		if err != nil {
			return nil, err
		}
	}
	if err := o.measure(ctx); err != nil {
		return nil, err
	}
	if err := o.observe(); err != nil {
		return nil, err
	}
	run, stop := context.WithCancel(context.WithoutCancel(ctx))
	o.stop = stop
	go o.watch(run)
	return o, nil
}

// Close ends what the outbox does by itself. It is safe to call twice; the driver
// is closed by its owner, afterwards.
func (o *Outbox) Close() error {
	var err error
	o.once.Do(func() {
		o.stop()
		<-o.done
		if o.gauges != nil {
			err = o.gauges.Unregister()
		}
	})
	return err
}

// Driver is the store's.
func (o *Outbox) Driver() store.Driver { return o.cfg.Driver }

// Shared reports whether other nodes may append too: their commits wake nobody
// here.
func (o *Outbox) Shared() bool { return o.shared }

// Wake lets [Outbox.Woken] know that there may be something to publish.
func (o *Outbox) Wake() {
	select {
	case o.wake <- struct{}{}:
	default:
	}
}

// Woken is sent to when a transaction of this node with an event is on disk; one
// signal may stand for many. It has one receiver.
func (o *Outbox) Woken() <-chan struct{} { return o.wake }

// The columns of an event, in the order in which they are read.
const columns = `"seq","id","at","type","key","data","schema","subject","trace"`

// sizes are the numbers of rows that one statement inserts, updates or deletes.
//
//nolint:gochecknoglobals // a constant
var sizes = [...]int{256, 64, 16, 4, 1}

// sized are statements for each of the sizes.
type sized [len(sizes)]*store.Statement

// split calls each for pieces of n that have one of the sizes.
func split(n int, each func(size, from, to int) error) error {
	for from := 0; from < n; {
		size := 0
		for sizes[size] > n-from {
			size++
		}
		if err := each(size, from, from+sizes[size]); err != nil {
			return err
		}
		from += sizes[size]
	}
	return nil
}

type statements struct {
	inserts, publish, fresh, reopen    sized
	pending, published, from           *store.Statement
	backlog, purge, sequence           *store.Statement
	inboxNext, inboxPrune              *store.Statement
	lease, takeFirst, take, beat, free *store.Statement
}

// statement writes a statement of a dialect; each ? is a parameter.
func statement(d store.Dialect, text string) *store.Statement {
	var out []byte
	n := 0
	for i := range len(text) {
		if text[i] == '?' {
			n++
			out = append(out, d.Param(n)...)
			continue
		}
		out = append(out, text[i])
	}
	return &store.Statement{SQL: string(out)}
}

func newStatements(d store.Dialect) *statements {
	st := func(text string) *store.Statement { return statement(d, text) }
	// each repeats a piece, with commas between.
	each := func(before, piece, after string) (out sized) {
		for i, n := range sizes {
			out[i] = st(before + strings.Repeat(piece+",", n-1) + piece + after)
		}
		return out
	}
	s := &statements{
		inserts: each(`INSERT INTO "pando_outbox" ("id","at","type","key","data","schema","subject","trace") VALUES `, `(?,?,?,?,?,?,?,?)`, ``),
		publish: each(`UPDATE "pando_outbox" SET "published"=? WHERE "seq" IN (`, `?`, `)`),
		reopen:  each(`UPDATE "pando_outbox" SET "published"=NULL WHERE "seq" IN (`, `?`, `)`),
		fresh:   each(`INSERT INTO "pando_inbox" ("consumer","id","at") VALUES `, `(?,?,?)`, ` ON CONFLICT DO NOTHING RETURNING "id"`),

		pending:   st(`SELECT ` + columns + ` FROM "pando_outbox" WHERE "published" IS NULL ORDER BY "seq" LIMIT ?`),
		published: st(`SELECT "seq","id","published" FROM "pando_outbox" WHERE "published">=(SELECT max("published") FROM "pando_outbox")-?`),
		from:      st(`SELECT ` + columns + ` FROM "pando_outbox" WHERE "seq">? ORDER BY "seq" LIMIT ?`),
		backlog: st(`SELECT (SELECT max("seq") FROM "pando_outbox"), "seq", "at" FROM "pando_outbox" ` +
			`WHERE "published" IS NULL ORDER BY "seq" LIMIT 1`),
		// Of the oldest rows only: they need no index of their own.
		purge: st(`DELETE FROM "pando_outbox" WHERE "seq" IN (SELECT "seq" FROM (SELECT "seq","published" FROM "pando_outbox" ` +
			`ORDER BY "seq" LIMIT ?) AS oldest WHERE "published"<?)`),
		sequence: st(`SELECT setval(pg_get_serial_sequence('pando_outbox','seq'), newest) FROM (SELECT max("seq") AS newest FROM "pando_outbox") AS rows ` +
			`WHERE newest > (SELECT last_value FROM pg_sequences WHERE schemaname=current_schema() AND sequencename='pando_outbox_seq_seq') ` +
			`OR newest IS NOT NULL AND (SELECT last_value FROM pg_sequences WHERE schemaname=current_schema() AND sequencename='pando_outbox_seq_seq') IS NULL`),

		inboxNext: st(`SELECT min("consumer") FROM "pando_inbox" WHERE "consumer">?`),
		inboxPrune: st(`DELETE FROM "pando_inbox" WHERE "consumer"=? AND "id" IN (SELECT "id" FROM "pando_inbox" ` +
			`WHERE "consumer"=? AND "id"<? AND "at"<? ORDER BY "id" LIMIT ?)`),

		lease:     st(`SELECT "holder","fence","beat" FROM "pando_outbox_leases" WHERE "name"=?`),
		takeFirst: st(`INSERT INTO "pando_outbox_leases" ("name","holder","fence","beat") VALUES (?,?,1,0) ON CONFLICT DO NOTHING`),
		take:      st(`UPDATE "pando_outbox_leases" SET "holder"=?,"fence"="fence"+1,"beat"=0 WHERE "name"=? AND "fence"=? AND "beat"=?`),
		beat:      st(`UPDATE "pando_outbox_leases" SET "beat"="beat"+1 WHERE "name"=? AND "fence"=?`),
		free:      st(`UPDATE "pando_outbox_leases" SET "holder"='' WHERE "name"=? AND "fence"=?`),
	}
	return s
}

// text is a text that may be missing.
func text(s string) value.Value {
	if s == "" {
		return value.Null()
	}
	return value.OfText(s)
}

// internalFault is a mistake of our own.
func internalFault(details string) error {
	return fault.New(fault.Internal, "an internal error occurred").WithDetails("%s", details)
}
