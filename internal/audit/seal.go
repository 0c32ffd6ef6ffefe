package audit

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"sync"

	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/store"
	"github.com/pandobase/pando/internal/value"
)

// maxSealed bounds the records of one seal, and so the memory that checking it
// takes.
const maxSealed = 1000

// sealTag separates the hashes of seals from all others.
const sealTag = "pando.audit.seal.v1"

// seal is one link of the chain: the hashes of some records, in the order of
// their ids, behind the hash of the seal before it.
type seal struct {
	seq, first, last, count int64
	members                 []byte
	hash                    [sha256.Size]byte
}

// member64 is a record in a seal.
type member64 struct {
	id   int64
	hash [sha256.Size]byte
}

// shortHash is how much of a record's hash a seal shows, so that the one record
// can be named that was changed. The seal's own hash covers all of it.
const shortHash = 8

// appendMembers lists records: the distance of each id from the one before, and
// the beginning of its hash.
func appendMembers(dst []byte, before int64, list []member64) []byte {
	for i := range list {
		dst = binary.AppendUvarint(dst, uint64(list[i].id-before)) //nolint:gosec // ids grow
		dst = append(dst, list[i].hash[:shortHash]...)
		before = list[i].id
	}
	return dst
}

// sum is the hash of a seal over the hash of the one before it.
func (s *seal) sum(previous [sha256.Size]byte, list []member64) [sha256.Size]byte {
	buf := make([]byte, 0, 256)
	buf = append(buf, sealTag...)
	buf = append(buf, previous[:]...)
	for _, n := range [...]int64{s.seq, s.first, s.last, s.count} {
		buf = binary.BigEndian.AppendUint64(buf, uint64(n)) //nolint:gosec // the same bits
	}
	for i := range list {
		buf = binary.BigEndian.AppendUint64(buf, uint64(list[i].id)) //nolint:gosec // the same bits
		buf = append(buf, list[i].hash[:]...)
	}
	return sha256.Sum256(buf)
}

func readSeal(row store.Row) seal {
	s := seal{seq: row.Int(0), first: row.Int(1), last: row.Int(2), count: row.Int(3), members: row.Append(nil, 4)}
	copy(s.hash[:], row.Append(nil, 5))
	return s
}

// head is the end of the chain.
type head struct {
	seq, last int64
	hash      [sha256.Size]byte
}

// readHead reads the newest seal; there may be none.
func (l *Log) readHead(r store.Reader, h *head) error {
	return r.Query(l.st.lastSeal, nil, func(row store.Row) error {
		s := readSeal(row)
		*h = head{s.seq, s.last, s.hash}
		return nil
	})
}

// chain is where the trail ends.
type chain struct {
	mu     sync.Mutex
	id, at int64 // of the newest record, stored or not
	head   head  // the newest seal that is committed
	next   head  // the newest one of the running transaction
	fresh  []member64
}

// beforeCommit seals the records of the transaction. Only what this log
// appended is sealed: a row that somebody else put into the table stays
// outside the chain and is found.
func (l *Log) beforeCommit(tx store.Tx) error {
	c := &l.chain
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.fresh) == 0 {
		return nil
	}
	if err := l.settleKeys(tx); err != nil {
		return err
	}
	stored, err := l.stored(tx, c.fresh)
	if err != nil {
		return err
	}
	c.next = c.head
	err = l.link(tx, &c.next, stored)
	if fault.Is(err, fault.Unique) {
		// Somebody put a seal there by hand. Writes go on behind it. Verify finds
		// it, unless it was made to fit: the log of the node tells of it then.
		l.cfg.Log.Error("a seal of the audit trail is there that this node did not make", "seal", c.next.seq+1)
		if err = l.readHead(tx, &c.next); err == nil {
			err = l.link(tx, &c.next, stored)
		}
	}
	return err
}

// stored are those of the appended records that no savepoint has undone.
func (l *Log) stored(tx store.Tx, appended []member64) ([]member64, error) {
	out := appended[:0:len(appended)]
	i := 0
	span := []value.Value{value.OfInt(appended[0].id), value.OfInt(appended[len(appended)-1].id)}
	err := tx.Query(l.st.between, span, func(row store.Row) error {
		id := row.Int(0)
		for i < len(appended) && appended[i].id < id {
			i++
		}
		if i < len(appended) && appended[i].id == id {
			out = append(out, appended[i])
			i++
		}
		return nil
	})
	return out, err
}

// link seals records behind h, which becomes the new end.
func (l *Log) link(tx store.Tx, h *head, list []member64) error {
	for len(list) > 0 {
		part := list[:min(len(list), maxSealed)]
		list = list[len(part):]
		s := seal{seq: h.seq + 1, first: part[0].id, last: part[len(part)-1].id, count: int64(len(part))}
		s.hash = s.sum(h.hash, part)
		_, err := tx.Exec(l.st.insertSeal, []value.Value{
			value.OfInt(s.seq), value.OfInt(s.first), value.OfInt(s.last), value.OfInt(s.count),
			value.OfBytes(string(appendMembers(nil, s.first, part))), value.OfBytes(string(s.hash[:])),
		})
		if err != nil {
			return err
		}
		*h = head{s.seq, s.last, s.hash}
	}
	return nil
}

func (l *Log) afterCommit(committed bool) {
	c := &l.chain
	c.mu.Lock()
	if len(c.fresh) > 0 {
		if committed {
			c.head = c.next
		}
		if c.fresh = c.fresh[:0]; cap(c.fresh) > 4*maxSealed {
			c.fresh = nil
		}
	}
	c.mu.Unlock()
	l.subjects.ended(committed)
}

// seal seals what is committed and not sealed yet, in a transaction of its own.
// It is for drivers without store.Committer; such a one lets records be seen in
// the order of their ids. Of two nodes that do it at once, one fails and finds
// nothing left the next time.
func (l *Log) seal(ctx context.Context) error {
	for {
		full := false
		err := l.driver.Write(ctx, func(tx store.Tx) error {
			var h head
			if err := l.readHead(tx, &h); err != nil {
				return err
			}
			var list []member64
			err := tx.Query(l.st.fresh, []value.Value{value.OfInt(h.last), value.OfInt(maxSealed)}, func(row store.Row) error {
				m := member64{id: row.Int(0)}
				copy(m.hash[:], row.Append(nil, 1))
				list = append(list, m)
				return nil
			})
			if err != nil {
				return err
			}
			full = len(list) == maxSealed
			return l.link(tx, &h, list)
		})
		if err != nil || !full {
			return err
		}
	}
}
