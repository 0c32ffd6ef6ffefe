package audit

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math"
	"time"

	"github.com/pandobase/pando/internal/store"
	"github.com/pandobase/pando/internal/value"
)

// Kind is what was done to the trail.
type Kind string

// The kinds of findings.
const (
	Changed   Kind = "changed"   // a record is not what was sealed
	Removed   Kind = "removed"   // a sealed record is not there
	Inserted  Kind = "inserted"  // a record was never sealed
	Reordered Kind = "reordered" // a record stands where another one was
	BadSeal   Kind = "seal"      // a seal was changed, removed or made anew
	Truncated Kind = "truncated" // the trail ends before an anchor
	Rewritten Kind = "rewritten" // the trail is another one than that of an anchor
	BadAnchor Kind = "anchor"    // an anchor that the trail's key did not sign
)

// Finding is one thing that is wrong with the trail.
type Finding struct {
	Kind    Kind   `json:"kind"`
	Record  int64  `json:"record,omitempty"` // the first record that is concerned
	Seal    int64  `json:"seal,omitempty"`
	Anchor  int    `json:"anchor,omitempty"` // the line of the anchor file
	Message string `json:"message"`
}

// maxFindings bounds a report: the first ones tell where it begins.
const maxFindings = 100

// Report is what Verify found.
type Report struct {
	OK       bool      `json:"ok"`
	Records  int64     `json:"records"`
	Seals    int64     `json:"seals"`
	Anchors  int       `json:"anchors"` // that agree with the trail
	Findings []Finding `json:"findings"`
	More     int       `json:"more,omitempty"` // findings that are not listed
	// Unsealed records are behind the last seal, from FirstUnsealed on: nothing
	// proves them yet.
	Unsealed      int64 `json:"unsealed"`
	FirstUnsealed int64 `json:"first_unsealed,omitempty"`
	// The newest seal.
	LastSeal   int64     `json:"last_seal"`
	LastRecord int64     `json:"last_record"`
	Hash       string    `json:"hash,omitempty"`
	Time       time.Time `json:"time"`
}

func (r *Report) add(f Finding, format string, args ...any) {
	if len(r.Findings) >= maxFindings {
		r.More++
		return
	}
	f.Message = fmt.Sprintf(format, args...)
	r.Findings = append(r.Findings, f)
}

// Verify recomputes the hashes of all records and seals and compares the trail
// with the anchors. It streams: memory does not grow with the trail, and the
// node goes on working. An error says that it could not be done; what is wrong
// with the trail is in the report.
func (l *Log) Verify(ctx context.Context, anchors []Checkpoint) (*Report, error) {
	v := &verifier{l: l, last: math.MinInt64, report: &Report{Findings: []Finding{}, Time: l.cfg.Now().UTC()}}
	for done := false; !done; {
		err := l.driver.Read(ctx, true, func(r store.Reader) (err error) {
			done, err = v.part(r)
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	rep := v.report
	rep.LastSeal, rep.LastRecord = v.seq, max(0, v.last)
	if v.seq > 0 {
		rep.Hash = fmt.Sprintf("%x", v.hash)
	}
	if err := l.verifyAnchors(ctx, anchors, rep); err != nil {
		return nil, err
	}
	rep.OK = len(rep.Findings) == 0
	return rep, nil
}

// verifier walks along the chain.
type verifier struct {
	l         *Log
	report    *Report
	seq, last int64
	hash      [sha256.Size]byte
	buf       []byte
}

// sealsAtOnce is how many seals are checked in one transaction.
const sealsAtOnce = 100

func (v *verifier) part(r store.Reader) (done bool, err error) {
	var seals []seal
	err = r.Query(v.l.st.seals, []value.Value{value.OfInt(v.seq), value.OfInt(sealsAtOnce)}, func(row store.Row) error {
		seals = append(seals, readSeal(row))
		return nil
	})
	if err != nil {
		return false, err
	}
	for i := range seals {
		if err := v.seal(r, &seals[i]); err != nil {
			return false, err
		}
	}
	if len(seals) == sealsAtOnce {
		return false, nil
	}
	return true, v.tail(r)
}

// list reads a seal's members; nil: it was changed.
func (s *seal) list() []member64 {
	out := make([]member64, 0, max(0, min(s.count, maxSealed)))
	id, rest := s.first, s.members
	for len(rest) > 0 {
		d, n := binary.Uvarint(rest)
		if n <= 0 || len(rest) < n+shortHash || d > uint64(s.last-s.first) || (len(out) > 0) != (d > 0) { //nolint:gosec // last >= first was checked
			return nil
		}
		m := member64{id: id + int64(d)} //nolint:gosec // bounded above
		if m.id > s.last {
			return nil
		}
		copy(m.hash[:], rest[n:n+shortHash])
		out, id, rest = append(out, m), m.id, rest[n+shortHash:]
	}
	if int64(len(out)) != s.count || len(out) == 0 || out[len(out)-1].id != s.last {
		return nil
	}
	return out
}

func (v *verifier) seal(r store.Reader, s *seal) error {
	rep := v.report
	rep.Seals++
	follows := s.seq == v.seq+1
	if !follows {
		rep.add(Finding{Kind: BadSeal, Seal: v.seq + 1, Record: max(1, v.last+1)}, "seals %d to %d are not there", v.seq+1, s.seq-1)
	}
	var list []member64
	if s.first > v.last && s.last >= s.first {
		list = s.list()
	}
	if list == nil {
		rep.add(Finding{Kind: BadSeal, Seal: s.seq, Record: s.first}, "seal %d was changed: what it says of its records is not possible", s.seq)
	} else {
		found := len(rep.Findings) + rep.More
		if err := v.records(r, s, list, follows); err != nil {
			return err
		}
		whole := found == len(rep.Findings)+rep.More
		if whole && follows && s.sum(v.hash, list) != s.hash {
			rep.add(Finding{Kind: BadSeal, Seal: s.seq, Record: s.first},
				"seal %d does not follow from the seal before it: it was changed, or records up to %d were rewritten with their seals", s.seq, s.last)
		}
	}
	v.seq, v.hash = s.seq, s.hash
	v.last = max(v.last, s.last)
	return nil
}

// records compares the stored records up to the seal's last with its list, whose
// short hashes it completes.
func (v *verifier) records(r store.Reader, s *seal, list []member64, follows bool) error {
	rep, i := v.report, 0
	removed := func(until int64) {
		for ; i < len(list) && list[i].id < until; i++ {
			rep.add(Finding{Kind: Removed, Record: list[i].id, Seal: s.seq}, "record %d was removed", list[i].id)
		}
	}
	from := v.last + 1
	if !follows {
		from = s.first // what lies before belongs to the seals that are gone
	}
	err := r.Query(v.l.st.recordsIn, []value.Value{value.OfInt(from), value.OfInt(s.last)}, func(row store.Row) error {
		n := readLine(row)
		rep.Records++
		removed(n.id)
		if i == len(list) || list[i].id != n.id {
			rep.add(Finding{Kind: Inserted, Record: n.id, Seal: s.seq}, "record %d was inserted: no seal covers it", n.id)
			return nil
		}
		var sum [sha256.Size]byte
		sum, v.buf = n.sum(v.buf)
		v.compare(n, sum, list, i, s.seq)
		list[i].hash = sum
		i++
		return nil
	})
	if err != nil {
		return err
	}
	removed(s.last + 1)
	return nil
}

// compare judges one record by the seal's list.
func (v *verifier) compare(n *line, sum [sha256.Size]byte, list []member64, i int, seq int64) {
	f := Finding{Kind: Changed, Record: n.id, Seal: seq}
	short := func(m *member64) bool { return bytes.Equal(m.hash[:shortHash], sum[:shortHash]) }
	switch {
	case short(&list[i]) && sum == n.hash:
	case short(&list[i]):
		v.report.add(f, "the stored hash of record %d was changed", n.id)
	case sum != n.hash:
		v.report.add(f, "record %d was changed", n.id)
	default:
		for j := range list {
			if j > i && short(&list[j]) {
				f.Kind = Reordered
				v.report.add(f, "record %d stands where record %d was", n.id, list[j].id)
				return
			}
		}
		v.report.add(f, "record %d was changed together with its hash, or stands where another one was", n.id)
	}
}

// tail counts what no seal covers. Seals are made within the commit, so that no
// record can be there without one.
func (v *verifier) tail(r store.Reader) error {
	rep := v.report
	return r.Query(v.l.st.recordsIn, []value.Value{value.OfInt(v.last + 1), value.OfInt(maxID)}, func(row store.Row) error {
		n := readLine(row)
		rep.Records++
		if rep.Unsealed++; rep.Unsealed == 1 {
			rep.FirstUnsealed = n.id
		}
		var sum [sha256.Size]byte
		sum, v.buf = n.sum(v.buf)
		switch {
		case sum != n.hash:
			rep.add(Finding{Kind: Changed, Record: n.id}, "record %d was changed; no seal covers it yet", n.id)
		default:
			rep.add(Finding{Kind: Inserted, Record: n.id}, "record %d was inserted, or its seal was removed: no seal covers it", n.id)
		}
		return nil
	})
}
