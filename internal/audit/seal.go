package audit

import (
	"crypto/sha256"
	"encoding/binary"

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

// head is the newest seal.
type head struct {
	seq, last int64
	hash      [sha256.Size]byte
}

// end is where the trail ends.
type end struct {
	head
	id, at   int64  // of the newest record
	erasures string // how often a key was erased
}

func (l *Log) readEnd(r store.Reader, e *end) error {
	return r.Query(l.st.end, nil, func(row store.Row) error {
		*e = end{id: row.Int(0), at: row.Int(1), erasures: string(row.Append(nil, 2)), head: head{seq: row.Int(3), last: row.Int(4)}}
		copy(e.hash[:], row.Append(nil, 5))
		return nil
	})
}

// chain is where the trail ends, as this node knows it. Only the functions of a
// commit use it, and those come one after the other (store.Committer).
type chain struct {
	end  end // that this node has seen committed
	next end // of the running commit
}

// beforeCommit stores and seals what was appended in the transaction. The end
// of the trail is the store's: another node may have gone on from where this
// one was.
func (l *Log) beforeCommit(tx store.Tx, kept []any) error {
	c := &l.chain
	if err := l.readEnd(tx, &c.next); err != nil {
		return err
	}
	l.suspect()
	l.subjects.begin(c.next.erasures != c.end.erasures)
	list := make([]*entry, 0, len(kept))
	var scratch []byte
	for _, k := range kept {
		switch k := k.(type) {
		case *entry:
			c.next.id, c.next.at = c.next.id+1, max(k.time, c.next.at)
			k.id, k.at = c.next.id, c.next.at
			var err error
			if scratch, err = l.complete(tx, k, scratch); err != nil {
				return err
			}
			list = append(list, k)
		case *erasure:
			if err := l.erase(tx, k); err != nil {
				return err
			}
		}
	}
	if err := l.insert(tx, list); err != nil {
		return err
	}
	return l.link(tx, &c.next.head, list)
}

// suspect tells the node's log of rows that somebody put into the trail by hand.
// Writes go on behind them. Verify finds them, unless they were made to fit: where
// no other node can have written them, it is told here at least.
func (l *Log) suspect() {
	was, is := &l.chain.end, &l.chain.next
	// Every node seals its records in the commit that stores them.
	if is.id > is.last || is.id > was.id && !l.shared {
		l.cfg.Log.Error("a record of the audit trail is there that this node did not write", "record", is.id)
	}
	is.id = max(is.id, is.last)
	switch {
	case is.head == was.head:
	case is.seq > was.seq && l.shared:
	case is.seq > was.seq:
		l.cfg.Log.Error("a seal of the audit trail is there that this node did not make", "seal", is.seq)
	default:
		l.cfg.Log.Error("the audit trail is not the one that it was: seals were removed or changed", "seal", is.seq, "was", was.seq)
	}
}

// link seals records behind h, which becomes the new end.
func (l *Log) link(tx store.Tx, h *head, list []*entry) error {
	var members []member64
	for len(list) > 0 {
		members = members[:0]
		for _, e := range list[:min(len(list), maxSealed)] {
			members = append(members, member64{e.id, e.hash})
		}
		list = list[len(members):]
		s := seal{seq: h.seq + 1, first: members[0].id, last: members[len(members)-1].id, count: int64(len(members))}
		s.hash = s.sum(h.hash, members)
		_, err := tx.Exec(l.st.insertSeal, []value.Value{
			value.OfInt(s.seq), value.OfInt(s.first), value.OfInt(s.last), value.OfInt(s.count),
			value.OfBytes(string(appendMembers(nil, s.first, members))), value.OfBytes(string(s.hash[:])),
		})
		if err != nil {
			return err
		}
		*h = head{s.seq, s.last, s.hash}
	}
	return nil
}

func (l *Log) afterCommit(committed bool) {
	if committed {
		l.chain.end = l.chain.next
	}
	l.subjects.ended(committed)
}
