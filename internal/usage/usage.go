// Package usage tells of deprecated things, and counts who still uses them.
//
// A door that has understood a request gives [Counter.Note] the deprecated
// things that the request names; the answer is what the client is told, or that
// the thing is gone. What was counted is added to the table pando_usage every
// few seconds and when the counter is closed, so that nodes add up; a crash loses
// what was not. A request that names nothing deprecated costs nothing here.
//
// Memory and the table are bounded: clients choose their names, so that a node
// tells only so many of them apart in a day.
package usage

import (
	"cmp"
	"context"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode"

	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/policy"
	"github.com/pandobase/pando/internal/store"
	"github.com/pandobase/pando/internal/value"
)

// Config says what a counter is made of. Driver is required.
type Config struct {
	Driver store.Driver
	Now    func() time.Time // default time.Now
	Log    *slog.Logger     // default: none
	// FlushEvery is how often what was counted is stored. Default 5 seconds.
	FlushEvery time.Duration
	// Keep is for how long a day is kept. Default 400 days.
	Keep time.Duration
}

const (
	maxCounted = 2000 // different uses that are not stored yet
	maxClients = 200  // that are told apart in a day
	maxText    = 64   // bytes of a client's or a key's name
	other      = "other"
	none       = "none"
)

// counted is what uses are counted by.
type counted struct {
	day                  int64 // since 1970
	thing, version, door string
	key, client          string
}

// span is how often and when.
type span struct {
	n           int64
	first, last int64 // milliseconds since 1970
}

// Counter counts uses. It is safe for concurrent use. A nil Counter tells and
// does not count.
type Counter struct {
	cfg Config

	mu      sync.Mutex
	driver  store.Driver
	st      *statements
	uses    map[counted]span
	day     int64
	clients map[string]bool // of the day
	pruned  int64           // the day on which old ones were deleted

	stop context.CancelFunc
	done chan struct{}
	once sync.Once
}

// Open returns a counter of the driver's store. [Counter.Close] ends it.
func Open(ctx context.Context, c Config) *Counter {
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.FlushEvery <= 0 {
		c.FlushEvery = 5 * time.Second
	}
	if c.Keep <= 0 {
		c.Keep = 400 * 24 * time.Hour
	}
	u := &Counter{cfg: c, done: make(chan struct{})}
	u.Move(c.Driver)
	run, stop := context.WithCancel(context.WithoutCancel(ctx))
	u.stop = stop
	go u.run(run)
	return u
}

// Move has what is counted from now on, and what is not stored yet, go to another
// store.
func (u *Counter) Move(to store.Driver) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.driver, u.st = to, newStatements(to.Dialect())
}

// Close stores what was counted and ends the counter. It is safe to call twice;
// the driver is closed by its owner, afterwards.
func (u *Counter) Close(ctx context.Context) error {
	var err error
	u.once.Do(func() {
		u.stop()
		<-u.done
		err = u.Flush(ctx)
	})
	return err
}

func (u *Counter) run(ctx context.Context) {
	defer close(u.done)
	flush := time.NewTicker(u.cfg.FlushEvery)
	defer flush.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-flush.C:
		}
		if err := u.Flush(ctx); err != nil && ctx.Err() == nil {
			u.cfg.Log.Error("the use of deprecated things could not be stored: it is tried again", "error", fault.From(err))
		}
	}
}

// Now is the time by which things are gone.
func (u *Counter) Now() time.Time {
	if u == nil {
		return time.Now()
	}
	return u.cfg.Now()
}

// Note counts the deprecated things that a request of a version of the API has
// named, those that are gone too, and returns what [Tell] says of them. Things
// that the caller may not know of are not for it: the door leaves them out. The
// door and the client are those of the identity's request.
func (u *Counter) Note(id *policy.Identity, version string, things ...Thing) (Notice, error) {
	if len(things) == 0 {
		return Notice{}, nil
	}
	now := u.Now()
	if u != nil {
		u.count(now, id, version, things)
	}
	return Tell(now, things...)
}

func (u *Counter) count(now time.Time, id *policy.Identity, version string, things []Thing) {
	use := counted{day: now.Unix() / 86400, version: version, key: named(id.Key)}
	client := none
	if id.Request != nil {
		use.door = id.Request.Door
		client = named(cmp.Or(id.Request.Client, id.Request.UserAgent))
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	use.client = u.client(use.day, client)
	for i, t := range things {
		if slices.ContainsFunc(things[:i], func(o Thing) bool { return o.Name == t.Name }) {
			continue
		}
		use.thing = t.Name
		at := now.UnixMilli()
		u.add(use, span{n: 1, first: at, last: at})
	}
}

// client is the name that a client is counted by.
func (u *Counter) client(day int64, name string) string {
	if day != u.day {
		u.day, u.clients = day, nil
	}
	if u.clients[name] {
		return name
	}
	if len(u.clients) >= maxClients {
		return other
	}
	if u.clients == nil {
		u.clients = map[string]bool{}
	}
	u.clients[name] = true
	return name
}

func (u *Counter) add(c counted, s span) {
	if _, ok := u.uses[c]; !ok && len(u.uses) >= maxCounted {
		c.key, c.client = other, other
	}
	if u.uses == nil {
		u.uses = map[counted]span{}
	}
	was, ok := u.uses[c]
	if ok {
		s.n, s.first, s.last = s.n+was.n, min(s.first, was.first), max(s.last, was.last)
	}
	u.uses[c] = s
}

// named is a client's text as a name: printable, and short.
func named(text string) string {
	text = strings.Map(func(r rune) rune {
		if r == unicode.ReplacementChar || !unicode.IsPrint(r) {
			return -1
		}
		return r
	}, text)
	if len(text) > maxText {
		text = strings.ToValidUTF8(text[:maxText], "")
	}
	return cmp.Or(strings.TrimSpace(text), none)
}

// Flush stores what was counted.
func (u *Counter) Flush(ctx context.Context) error {
	u.mu.Lock()
	batch, driver, st, pruned := u.uses, u.driver, u.st, u.pruned
	u.uses = nil
	u.mu.Unlock()
	if len(batch) == 0 {
		return nil
	}
	// Two nodes lock the rows in one order, so that neither waits for the other.
	order := slices.SortedFunc(maps.Keys(batch), counted.compare)
	today := u.cfg.Now().Unix() / 86400
	err := driver.Write(ctx, func(tx store.Tx) error {
		for _, c := range order {
			s := batch[c]
			args := append(c.values(), value.OfInt(s.n), value.OfInt(s.first), value.OfInt(s.last))
			if _, err := tx.Exec(st.add, args); err != nil {
				return err
			}
		}
		if pruned == today {
			return nil
		}
		_, err := tx.Exec(st.prune, []value.Value{value.OfInt(today - int64(u.cfg.Keep/(24*time.Hour)))})
		return err
	})
	u.mu.Lock()
	defer u.mu.Unlock()
	if err == nil {
		u.pruned = today
		return nil
	}
	for c, s := range batch { // they are stored with the next ones
		u.add(c, s)
	}
	return err
}

func (c counted) compare(o counted) int {
	return cmp.Or(cmp.Compare(c.day, o.day), cmp.Compare(c.thing, o.thing), cmp.Compare(c.version, o.version),
		cmp.Compare(c.door, o.door), cmp.Compare(c.key, o.key), cmp.Compare(c.client, o.client))
}

func (c counted) values() []value.Value {
	return []value.Value{
		value.OfInt(c.day), value.OfText(c.thing), value.OfText(c.version), value.OfText(c.door), value.OfText(c.key), value.OfText(c.client),
	}
}

// Use is how often somebody has used a thing.
type Use struct {
	Thing   string    `json:"thing"`
	Version string    `json:"version"`
	Door    string    `json:"door"`
	Key     string    `json:"key"`
	Client  string    `json:"client"`
	Count   int64     `json:"count"`
	First   time.Time `json:"first"`
	Last    time.Time `json:"last"`
}

// List returns the uses since the beginning of a day in UTC, of every node, by
// thing, version, door, key and client.
func (u *Counter) List(ctx context.Context, since time.Time) ([]Use, error) {
	if err := u.Flush(ctx); err != nil {
		return nil, err
	}
	u.mu.Lock()
	driver, st := u.driver, u.st
	u.mu.Unlock()
	out := []Use{}
	err := driver.Read(ctx, false, func(r store.Reader) error {
		out = out[:0]
		return r.Query(st.list, []value.Value{value.OfInt(since.Unix() / 86400)}, func(row store.Row) error {
			text := func(i int) string { return string(row.Append(nil, i)) }
			out = append(out, Use{
				Thing: text(0), Version: text(1), Door: text(2), Key: text(3), Client: text(4), Count: row.Int(5),
				First: time.UnixMilli(row.Int(6)).UTC(), Last: time.UnixMilli(row.Int(7)).UTC(),
			})
			return nil
		})
	})
	return out, err
}

// statements are the counter's SQL texts.
type statements struct{ add, prune, list *store.Statement }

func newStatements(d store.Dialect) *statements {
	st := func(text string) *store.Statement { // each ? is a parameter
		parts := strings.Split(text, "?")
		for i := range parts[1:] {
			parts[i] += d.Param(i + 1)
		}
		return &store.Statement{SQL: strings.Join(parts, "")}
	}
	return &statements{
		add: st(`INSERT INTO "pando_usage" AS u ("day","thing","version","door","key","client","count","first","last") VALUES (?,?,?,?,?,?,?,?,?) ` +
			`ON CONFLICT ("day","thing","version","door","key","client") DO UPDATE SET "count"=u."count"+excluded."count",` +
			`"first"=CASE WHEN excluded."first"<u."first" THEN excluded."first" ELSE u."first" END,` +
			`"last"=CASE WHEN excluded."last">u."last" THEN excluded."last" ELSE u."last" END`),
		prune: st(`DELETE FROM "pando_usage" WHERE "day"<?`),
		list: st(`SELECT "thing","version","door","key","client",CAST(sum("count") AS bigint),min("first"),max("last") FROM "pando_usage" WHERE "day">=? ` +
			`GROUP BY "thing","version","door","key","client" ORDER BY "thing","version","door","key","client"`),
	}
}
