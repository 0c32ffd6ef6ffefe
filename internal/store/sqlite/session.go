package sqlite

import (
	"context"
	"encoding/binary"
	"math"
	"time"

	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/store"
	zs "zombiezen.com/go/sqlite"
)

// patience is how long a session waits for a connection of its own.
const patience = 2 * time.Second

var _ store.Serial = (*Driver)(nil)

// Begin implements store.Serial.
func (d *Driver) Begin(ctx context.Context, opt store.SessionOptions) *store.Session {
	return store.NewSession(ctx, sessions{d}, opt)
}

// sessions is what sessions need of the driver.
type sessions struct{ *Driver }

var _ store.SessionSource = sessions{}

// Snapshot implements store.SessionSource. The connections are not those of
// other reads: functions that take their time do not keep them from anybody.
func (d sessions) Snapshot(ctx context.Context) (store.Reader, func(), error) {
	limited, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	c, err := d.snapshots.get(limited)
	if err != nil {
		return nil, nil, err
	}
	if _, err := c.Exec(ctl.begin, nil); err != nil {
		d.snapshots.put(c)
		return nil, nil, err
	}
	c.begin(ctx)
	return c, func() {
		c.end()
		_ = c.release() // nothing was written; the next begin would say so
		d.snapshots.put(c)
	}, nil
}

// Hand implements store.SessionSource.
func (d sessions) Hand(ctx context.Context, _ bool, fn func(store.Tx) error) (store.Handed, error) {
	j := &job{ctx: ctx, fn: fn}
	return handed{j}, d.writer.enqueue(j)
}

// handed is a job as store.Handed.
type handed struct{ *job }

// Done implements store.Handed.
func (h handed) Done() <-chan struct{} { return h.done }

// Err implements store.Handed.
func (h handed) Err() error { return h.err }

// At implements store.SessionSource.
func (d sessions) At() uint64 { return d.writer.commits.Load() }

// Unchanged implements store.SessionSource.
func (d sessions) Unchanged(at uint64) bool {
	return !d.writer.written && d.writer.commits.Load() == at
}

// Ended implements store.SessionSource: SQLite rolls the transaction back by
// itself at some failures.
func (sessions) Ended(tx store.Tx) bool {
	c, ok := tx.(*conn)
	return ok && c.c.AutocommitEnabled()
}

// Whole implements store.SessionSource.
func (sessions) Whole(dst []byte, r store.Row) []byte {
	s := r.(*row).s //nolint:forcetypeassert // the driver's own
	for i := range s.ColumnCount() {
		t := s.ColumnType(i)
		dst = append(dst, byte(t))
		switch t {
		case zs.TypeInteger:
			dst = binary.LittleEndian.AppendUint64(dst, uint64(s.ColumnInt64(i))) //nolint:gosec // its bits
		case zs.TypeFloat:
			dst = binary.LittleEndian.AppendUint64(dst, math.Float64bits(s.ColumnFloat(i)))
		case zs.TypeText, zs.TypeBlob:
			dst = binary.LittleEndian.AppendUint32(dst, uint32(s.ColumnLen(i))) //nolint:gosec // bounded by SQLite
			dst = r.Append(dst, i)
		case zs.TypeNull:
		}
	}
	return dst
}

// enqueue hands a job to the writer.
func (w *writer) enqueue(j *job) error {
	j.done = make(chan struct{})
	w.mu.RLock()
	defer w.mu.RUnlock()
	if w.shut {
		return fault.New(fault.ShuttingDown, "the store is closed")
	}
	select {
	case w.jobs <- j:
		return nil
	case <-j.ctx.Done():
		return fault.Wrap(j.ctx.Err(), fault.QueryCanceled, "the write was canceled before its turn came")
	}
}
