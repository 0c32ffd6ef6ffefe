package outbox

import (
	"bytes"
	"context"
	"strings"
	"time"

	"github.com/pandobase/pando/internal/store"
	"github.com/pandobase/pando/internal/value"
)

// Fresh notes that the consumer handles the events in this transaction, and
// reports which of them it had not handled before: an id that comes twice is
// fresh once. What the consumer does for those in the same transaction is done
// once, however often the events are delivered, within [Config.KeepInbox].
func (o *Outbox) Fresh(tx store.Tx, consumer string, ids []string) ([]bool, error) {
	fresh := make([]bool, len(ids))
	at := value.OfInt(o.cfg.Now().UnixMicro())
	var buf []byte
	err := split(len(ids), func(size, from, to int) error {
		const width = 3
		args := make([]value.Value, 0, width*(to-from))
		for _, id := range ids[from:to] {
			args = append(args, value.OfText(consumer), value.OfText(id), at)
		}
		next := from
		return tx.Query(o.st.fresh[size], args, func(row store.Row) error {
			buf = row.Append(buf[:0], 0)
			for tried := from; tried < to; tried++ { // they come in order, but nobody promises it
				if next == to {
					next = from
				}
				at := next
				next++
				if !fresh[at] && bytes.Equal(buf, []byte(ids[at])) {
					fresh[at] = true
					return nil
				}
			}
			return internalFault("the inbox has taken an event that it was not given")
		})
	})
	return fresh, err
}

// Prune forgets the events that consumers have handled longer ago than
// [Config.KeepInbox], in small transactions. It returns how many.
func (o *Outbox) Prune(ctx context.Context) (deleted int64, err error) {
	before := o.cfg.Now().Add(-o.cfg.KeepInbox)
	for consumer := ""; ; {
		err = o.cfg.Driver.Read(ctx, false, func(r store.Reader) error {
			return r.Query(o.st.inboxNext, []value.Value{value.OfText(consumer)}, func(row store.Row) error {
				consumer = string(row.Append(nil, 0))
				return nil
			})
		})
		if err != nil || consumer == "" {
			return deleted, err
		}
		n, err := o.prune(ctx, consumer, before)
		deleted += n
		if err != nil {
			return deleted, err
		}
	}
}

func (o *Outbox) prune(ctx context.Context, consumer string, before time.Time) (deleted int64, err error) {
	name := value.OfText(consumer)
	// Ids begin with their time. An event that was handled long after it happened
	// stays for the full time.
	bound := value.OfText(value.NewUUID(before, strings.NewReader("\x00\x00\x00\x00\x00\x00\x00\x00")))
	args := []value.Value{name, name, bound, value.OfInt(before.UnixMicro()), value.OfInt(purgeStep)}
	for range purgeSteps {
		var n int64
		err = o.cfg.Driver.Write(ctx, func(tx store.Tx) error {
			n, err = tx.Exec(o.st.inboxPrune, args)
			return err
		})
		deleted += n
		if err != nil || n < purgeStep {
			break
		}
	}
	return deleted, err
}
