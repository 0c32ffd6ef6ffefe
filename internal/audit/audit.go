// Package audit keeps the trail of who did what, when and through which door.
//
// A record is written in the transaction of what it records, so that neither is
// there without the other. Every record has a hash, and seals chain the hashes
// of committed records: seal n covers seal n-1. Whoever changes, removes, adds
// or reorders records has to rewrite every later seal, which [Log.Verify] finds
// against an anchor that is kept elsewhere ([Log.Checkpoint]).
//
// Personal values are encrypted under a data key of the person whom they are
// about (AES-256-GCM), and hashes cover the ciphertext. [Log.Erase] deletes the
// key: the values are lost, and the chain is whole.
package audit

import (
	"context"
	"crypto/rand"
	"io"
	"log/slog"
	"sync"
	"time"

	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/keys"
	"github.com/pandobase/pando/internal/store"
	"github.com/pandobase/pando/internal/value"
)

// Config says what a log is made of. Driver and Wrapper are required.
type Config struct {
	Driver  store.Driver     // has to be a store.Committer
	Wrapper *keys.Wrapper    // of the data keys
	Now     func() time.Time // default time.Now
	Random  io.Reader        // of keys and nonces; default crypto/rand
	Log     *slog.Logger     // default: none
	// FlushEvery is how often counted refusals are stored. Default 1 minute.
	FlushEvery time.Duration
}

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
	if c.FlushEvery <= 0 {
		c.FlushEvery = time.Minute
	}
	return c
}

// Log is the trail of one store, which it may share with the logs of other nodes.
// A driver has one log at a time, opened before its first write. It is safe for
// concurrent use.
type Log struct {
	cfg    Config
	driver store.Driver
	st     *statements
	shared bool // other nodes may seal too

	subjects subjects
	chain    chain
	counts   counts
	denials  denials
	finders  finders

	stop context.CancelFunc
	done chan struct{}
	once sync.Once
}

// Open returns the trail of the driver's store. [Log.Close] ends it.
func Open(ctx context.Context, c Config) (*Log, error) {
	c = c.withDefaults()
	l := &Log{cfg: c, driver: c.Driver, st: newStatements(c.Driver.Dialect()), done: make(chan struct{})}
	l.subjects.init()
	driver, ok := c.Driver.(store.Committer)
	if !ok {
		return nil, fault.New(fault.Internal, "an internal error occurred").WithDetails("a driver without commits of its own keeps no audit trail")
	}
	l.shared = driver.Shared()
	err := c.Driver.Read(ctx, true, func(r store.Reader) error { return l.readEnd(r, &l.chain.end) })
	if err != nil {
		return nil, err
	}
	driver.OnCommit(l.beforeCommit, l.afterCommit)
	run, stop := context.WithCancel(context.WithoutCancel(ctx))
	l.stop = stop
	go l.run(run)
	return l, nil
}

// Close stores what was counted and ends the log. It is safe to call twice; the
// driver is closed by its owner, afterwards.
func (l *Log) Close(ctx context.Context) error {
	var err error
	l.once.Do(func() {
		l.stop()
		<-l.done
		err = l.Flush(ctx)
	})
	return err
}

// run stores what was counted until the log is closed.
func (l *Log) run(ctx context.Context) {
	defer close(l.done)
	flush := time.NewTicker(l.cfg.FlushEvery)
	defer flush.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-flush.C:
		}
		if err := l.Flush(ctx); err != nil && ctx.Err() == nil {
			l.cfg.Log.Error("the audit trail could not be brought up to date: it is tried again", "error", fault.From(err))
		}
	}
}

// statements are the log's SQL texts, prepared once by each connection.
type statements struct {
	inserts                              [len(insertSizes)]*store.Statement // of so many records
	end, newest                          *store.Statement
	insertSeal, seals                    *store.Statement
	subject, insertSubject, eraseKey     *store.Statement
	count, record, recordsIn, firstSince *store.Statement
	sealOf, meta, insertMeta, setMeta    *store.Statement
}

// The columns of the tables, in the order in which they are read.
const (
	columns     = `"at","actor","entity","key","action","outcome","body","hash"`
	sealColumns = `"seq","first","last","count","members","hash"`
)

const maxID = 1<<63 - 1

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
	return &statements{
		inserts: insertStatements(d),
		end: st(`SELECT (SELECT "id" FROM "pando_audit" ORDER BY "id" DESC LIMIT 1), (SELECT "at" FROM "pando_audit" ORDER BY "id" DESC LIMIT 1), ` +
			`(SELECT "value" FROM "pando_meta" WHERE "key"='` + erasuresMeta + `'), "seq","last","hash" ` +
			`FROM (SELECT 1) AS one LEFT JOIN (SELECT "seq","last","hash" FROM "pando_audit_seals" ORDER BY "seq" DESC LIMIT 1) AS seal ON 1=1`),
		newest:     st(`SELECT "id","at" FROM "pando_audit" ORDER BY "id" DESC LIMIT 1`),
		record:     st(`SELECT "id",` + columns + ` FROM "pando_audit" WHERE "id"=?`),
		recordsIn:  st(`SELECT "id",` + columns + ` FROM "pando_audit" WHERE "id" BETWEEN ? AND ? ORDER BY "id"`),
		firstSince: st(`SELECT "id","at" FROM "pando_audit" WHERE "id">=? ORDER BY "id" LIMIT 1`),

		insertSeal: st(`INSERT INTO "pando_audit_seals" (` + sealColumns + `) VALUES (?,?,?,?,?,?)`),
		seals:      st(`SELECT ` + sealColumns + ` FROM "pando_audit_seals" WHERE "seq">? ORDER BY "seq" LIMIT ?`),
		sealOf:     st(`SELECT ` + sealColumns + ` FROM "pando_audit_seals" WHERE "seq"=?`),

		subject:       st(`SELECT "key" FROM "pando_audit_subjects" WHERE "subject"=?`),
		insertSubject: st(`INSERT INTO "pando_audit_subjects" ("subject","key") VALUES (?,?)`),
		eraseKey:      st(`DELETE FROM "pando_audit_subjects" WHERE "subject"=?`),

		count: st(`INSERT INTO "pando_audit_counts" ("key","rule","minute","count") VALUES (?,?,?,?) ` +
			`ON CONFLICT ("minute","key","rule") DO UPDATE SET "count"="pando_audit_counts"."count"+excluded."count"`),

		meta:       st(`SELECT "value" FROM "pando_meta" WHERE "key"=?`),
		insertMeta: st(`INSERT INTO "pando_meta" ("key","value") VALUES (?,?) ON CONFLICT ("key") DO NOTHING`),
		setMeta:    st(`INSERT INTO "pando_meta" ("key","value") VALUES (?,?) ON CONFLICT ("key") DO UPDATE SET "value"=excluded."value"`),
	}
}

// text is a column's value; empty is null.
func text(s string) value.Value {
	if s == "" {
		return value.Null()
	}
	return value.OfText(s)
}
