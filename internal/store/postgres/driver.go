// Package postgres is the store on PostgreSQL 15 or later, over pgx's native
// connections. Reads run on a pool of connections. Writes go through one
// goroutine that commits concurrent ones as a group, with a savepoint each; a
// write that has to wait for another one's lock leaves its group and goes on
// by itself.
package postgres

import (
	"context"
	"errors"
	"log/slog"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/store"
)

// Options configure a database. Only URL is required.
type Options struct {
	URL     string // postgres://user:password@host:5432/database
	Readers int    // read connections; default max(8, 4 per processor)
	Log     *slog.Logger
	// Replicas are the URLs of standbys that callers' reads may go to.
	Replicas []string
	// MaxLag is how old the data of a bounded read may be; default 5 s.
	MaxLag time.Duration
}

func (o Options) withDefaults() Options {
	if o.Readers <= 0 {
		o.Readers = max(8, 4*runtime.GOMAXPROCS(0))
	}
	if o.MaxLag <= 0 {
		o.MaxLag = 5 * time.Second
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return o
}

// Driver is an open database. It is safe for concurrent use.
type Driver struct {
	adopted  atomic.Pointer[dialect]
	pool     *pool
	writer   *writer
	replicas *replicas // nil: there are none

	snapshots places // lent to sessions

	stop context.CancelFunc
	done chan struct{}
	once sync.Once
}

var (
	_ store.Driver    = (*Driver)(nil)
	_ store.Committer = (*Driver)(nil)
	_ store.Tx        = (*conn)(nil)
	_ store.Reader    = (*reader)(nil)
	_ store.Sender    = (*conn)(nil)
)

// minVersion is the oldest server, as server_version_num has it.
const minVersion = 150000

// Open connects, checks the server and creates the system tables.
func Open(ctx context.Context, opt Options) (*Driver, error) {
	opt = opt.withDefaults()
	set, err := readURL(ctx, opt.URL)
	if err != nil {
		return nil, err
	}
	c, err := openConn(ctx, set)
	if err != nil {
		return nil, unfit(err, set.cfg)
	}
	d := &Driver{done: make(chan struct{}), snapshots: make(places, max(1, opt.Readers/2))}
	d.adopted.Store(&dialect{})
	err = c.fit(opt.Log)
	if err == nil { // a server that does not fit is left as it is
		err = c.system(systemDDL())
	}
	if err != nil {
		return nil, errors.Join(unfit(err, set.cfg), c.close())
	}
	d.pool = newPool(set, opt.Readers)
	d.pool.track(c)
	d.writer = newWriter(c, d.pool, opt.Log)
	watch, stop := context.WithCancel(context.WithoutCancel(ctx))
	d.stop = stop
	go d.watch(watch)
	if len(opt.Replicas) == 0 {
		return d, nil
	}
	if err := d.follow(ctx, set.cfg, &opt); err != nil {
		return nil, errors.Join(err, d.Close())
	}
	return d, nil
}

// follow opens the replicas. They are read from once they have replayed what
// the primary has written until now: the schema is that of the primary.
func (d *Driver) follow(ctx context.Context, cfg *pgconn.Config, opt *Options) (err error) {
	d.writer.track.Store(true)
	if err := d.writer.do(ctx, func(store.Tx) error { return nil }, false); err != nil { // its place is the first
		return err
	}
	d.replicas, err = openReplicas(ctx, cfg, d, opt)
	return err
}

// fit refuses a server that answers otherwise than this driver needs.
func (c *conn) fit(log *slog.Logger) error {
	st := &store.Statement{SQL: `SELECT current_setting('server_version_num')::bigint, current_setting('server_encoding'), ` +
		`datcollate::text COLLATE "C" IN ('C','POSIX','C.UTF-8','C.utf8'), EXISTS (SELECT 1 FROM pg_collation WHERE collname='und-x-icu') ` +
		`FROM pg_database WHERE datname=current_database()`}
	return c.Query(st, nil, func(r store.Row) error {
		if n := r.Int(0); n < minVersion {
			return fault.New(fault.ConfigInvalid, "PostgreSQL %d.%d is too old", n/10000, n%10000).WithHint("version 15 or later is needed")
		}
		if enc := string(r.Append(nil, 1)); enc != "UTF8" {
			return fault.New(fault.ConfigInvalid, "the database's encoding is %s", enc).WithHint("%s", create)
		}
		if r.Int(2) == 0 {
			log.Warn("the database's collation is not C: the order of texts inside json fields is the database's",
				"hint", create)
		}
		if r.Int(3) == 0 {
			return fault.New(fault.ConfigInvalid, "the server was built without ICU, which ilike folds by")
		}
		return nil
	})
}

// system creates Pando's own tables where they are missing. The lock keeps
// nodes that start together from doing so at once. What is there is left out:
// PostgreSQL locks a table before it finds that its index or trigger is there,
// and nodes that write would wait for the one that starts, or deadlock with it.
func (c *conn) system(ddl []string) error {
	err := c.run("BEGIN; SET LOCAL client_min_messages=warning; SELECT pg_advisory_xact_lock(" + strconv.Itoa(systemLock) + ")")
	there := map[string]bool{}
	if err == nil {
		err = c.Query(&store.Statement{SQL: systemNames}, nil, func(r store.Row) error { there[string(r.Append(nil, 0))] = true; return nil })
	}
	for _, sql := range ddl {
		if name := strings.SplitN(sql, `"`, 3); err == nil && !there[name[1]] { // the first name is that of what is created
			err = c.run(sql)
		}
	}
	if err != nil {
		return errors.Join(err, c.run("ROLLBACK"))
	}
	return c.run("COMMIT")
}

// systemNames are the tables, indexes and triggers that are there.
const systemNames = `SELECT relname::text FROM pg_class WHERE relnamespace=current_schema()::regnamespace AND relname LIKE 'pando\_%' ` +
	`UNION ALL SELECT tgname::text FROM pg_trigger WHERE NOT tgisinternal AND tgrelid IN ` +
	`(SELECT oid FROM pg_class WHERE relnamespace=current_schema()::regnamespace AND relname LIKE 'pando\_%')`

// systemLock is the advisory lock of the system tables' creation.
const systemLock = 0x70616e646f

// Dialect implements store.Driver.
func (d *Driver) Dialect() store.Dialect { return *d.adopted.Load() }

// Read implements store.Driver.
func (d *Driver) Read(ctx context.Context, snapshot bool, fn func(store.Reader) error) error {
	return d.pool.read(ctx, snapshot, fn)
}

// Write implements store.Driver.
func (d *Driver) Write(ctx context.Context, fn func(store.Tx) error) error {
	return d.writer.do(ctx, fn, false)
}

// Alter implements store.Driver.
func (d *Driver) Alter(ctx context.Context, fn func(store.Tx) error) error {
	err := d.writer.do(ctx, fn, true)
	if d.replicas != nil {
		d.replicas.altered()
	}
	return err
}

// Check implements store.Driver: that no index and no constraint waits to be
// validated. The pages themselves are pg_amcheck's and the checksums' matter.
func (d *Driver) Check(ctx context.Context) error {
	const sql = `SELECT c.relname::text, 'index' FROM pg_index AS i JOIN pg_class AS c ON c.oid=i.indexrelid WHERE NOT i.indisvalid ` +
		`UNION ALL SELECT conname::text, 'constraint' FROM pg_constraint WHERE NOT convalidated`
	return d.Read(ctx, true, func(r store.Reader) error {
		return r.Query(&store.Statement{SQL: sql}, nil, func(row store.Row) error {
			return fault.New(fault.StoreIO, "the %s %s is not valid", row.Append(nil, 1), row.Append(nil, 0))
		})
	})
}

// Ping reports whether the store can be read and still takes writes. It needs
// no free connection: a node whose connections are all at work is alive.
func (d *Driver) Ping(ctx context.Context) error {
	return d.pool.reserved(ctx, func(c *conn) error {
		return c.Query(ping, nil, func(row store.Row) error {
			if row.Int(0) != 0 {
				return takesNoWrites(nil)
			}
			return nil
		})
	})
}

//nolint:gochecknoglobals // constant texts; a Statement is identified by its address
var (
	ping = &store.Statement{SQL: "SELECT (pg_is_in_recovery() OR current_setting('default_transaction_read_only')='on')::int"}
	size = &store.Statement{SQL: "SELECT pg_database_size(current_database())"}

	beginSnapshot = &store.Statement{SQL: "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"}
)

// Size implements store.Driver.
func (d *Driver) Size(ctx context.Context) (n int64, err error) {
	err = d.Read(ctx, false, func(r store.Reader) error {
		return r.Query(size, nil, func(row store.Row) error {
			n = row.Int(0)
			return nil
		})
	})
	return n, err
}

// Close ends the writer after what it has accepted, and closes every
// connection. It is safe to call twice.
func (d *Driver) Close() error {
	var err error
	d.once.Do(func() {
		if d.replicas != nil {
			err = d.replicas.close()
		}
		err = errors.Join(err, d.writer.close(), d.pool.close())
		d.stop()
		<-d.done
	})
	return err
}
