package postgres

import (
	"bytes"
	"errors"
	"math"
	"strconv"
	"sync"

	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/store"
)

// commitAt commits and asks, in the same round trip, for a position behind the
// commit. The flushed position is one that a standby reaches: the inserted one
// can stand on a page's end, where no record ends.
const commitAt = "COMMIT; SELECT (pg_current_wal_flush_lsn()-'0/0'::pg_lsn)::bigint, " +
	"('x'||left(pg_walfile_name(pg_current_wal_flush_lsn()),8))::bit(32)::bigint"

// positions keeps the place behind the last commit. A commit of the group and
// one of a write that left it may end in either order.
type positions struct {
	mu    sync.Mutex
	at    store.Position // Cluster is left to who knows it
	blind bool           // the place behind the last commit is not known
}

// advance moves on to a later place. A new timeline counts from its own
// beginning.
func (p *positions) advance(timeline uint32, lsn uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.blind = false
	if timeline > p.at.Timeline || timeline == p.at.Timeline && lsn > p.at.LSN {
		p.at.Timeline, p.at.LSN = timeline, lsn
	}
}

// forget is for a commit whose place is not known: until the next one, no
// replica is known to have it.
func (p *positions) forget() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.blind = true
}

func (p *positions) get() store.Position {
	p.mu.Lock()
	defer p.mu.Unlock()
	at := p.at
	if p.blind {
		at.LSN = math.MaxInt64
	}
	return at
}

// commit ends the connection's transaction and, where positions are wanted,
// notes the place behind it. When the connection is lost before the server has
// answered, nobody knows whether the transaction is stored.
func (c *conn) commit(to *positions) error {
	c.settle()
	if err := c.flushOwed(); err != nil {
		return err
	}
	sql := "COMMIT"
	if to != nil {
		sql = commitAt
	}
	c.warned = false
	c.query(sql)
	err := c.flush()
	var answers []answer
	if err == nil {
		answers, err = c.answers()
	}
	if len(answers) == 0 || answers[0].tag == "" {
		if fault := c.translate(err); err == nil || !gone(fault) {
			return fault
		}
		return doubtful(err)
	}
	if answers[0].tag != "COMMIT" { // the transaction had failed: the server rolled it back
		return fault.New(fault.StoreUnavailable, "the transaction ended early")
	}
	if c.warned {
		return doubtful(errNotReplicated)
	}
	if to != nil {
		to.take(answers[1:])
	}
	return nil
}

// answer is what one command of several answered.
type answer struct {
	tag string
	row [][]byte // the last one
}

// answers reads those of the commands that were sent together.
func (c *conn) answers() (out []answer, err error) {
	var a answer
	for {
		kind, body, lost := c.next()
		switch {
		case lost != nil:
			return out, errors.Join(err, lost)
		case kind == ansRow:
			a.row = kept(appendRow(nil, body))
		case kind == ansComplete:
			a.tag = string(bytes.TrimRight(body, "\x00"))
			out, a = append(out, a), answer{}
		case kind == ansError:
			err = errors.Join(err, failure(body))
		case kind == ansReady:
			return out, err
		}
	}
}

// take reads the place that followed a commit.
func (p *positions) take(answers []answer) {
	if len(answers) == 1 && len(answers[0].row) == 2 {
		row := answers[0].row
		lsn, err := strconv.ParseUint(string(row[0]), 10, 64)
		timeline, terr := strconv.ParseUint(string(row[1]), 10, 32)
		if err == nil && terr == nil {
			p.advance(uint32(timeline), lsn)
			return
		}
	}
	p.forget()
}

// errNotReplicated is the cause where the server ended the wait for its
// synchronous standby: the transaction is stored on the primary, and a standby
// that takes its place may not have it.
var errNotReplicated = errors.New("the commit was not confirmed by the synchronous standby")

// doubtful is the fault of a commit that was sent and not answered.
func doubtful(err error) error {
	return fault.Wrap(err, fault.StoreUnavailable, "the store was lost while it committed: whether the write is stored is not known").
		WithHint("read what it wrote before you repeat it; one with an Idempotency-Key can be repeated as it is")
}

// noticed marks the link whose COMMIT the server answered with a warning: it
// warns of nothing there but of a standby that did not confirm.
func (l *link) noticed(body []byte) {
	var n pgproto3.ErrorResponse // a notice has its form
	if n.Decode(body) == nil && n.SeverityUnlocalized == "WARNING" && (n.Code == "01000" || n.Code == stateShutdown) {
		l.warned = true
	}
}
