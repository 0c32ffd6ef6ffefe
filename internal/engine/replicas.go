package engine

import (
	"context"
	"encoding/base64"
	"encoding/binary"
	"io"
	"slices"
	"time"

	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/keys"
	"github.com/pandobase/pando/internal/model"
	"github.com/pandobase/pando/internal/query"
	"github.com/pandobase/pando/internal/store"
)

// A position token is a signed place in the store's history. It is no
// secret and gives no right: it says where a read may be answered.
//
// Layout: cluster, timeline, LSN, expiry in unix seconds; each as wide as it
// is, the most significant byte first.

const (
	positionPurpose = "consistency"
	positionSize    = 8 + 4 + 8 + 8
	// PositionLife is how long a token counts. It has to be longer than a replica
	// that is read from may lag behind: then a caller whose token has run out
	// sees the write everywhere.
	PositionLife = time.Minute
)

func (e *Engine) sealPosition(p store.Position) string {
	b := make([]byte, 0, positionSize+keys.TagSize)
	b = binary.BigEndian.AppendUint64(b, p.Cluster)
	b = binary.BigEndian.AppendUint32(b, p.Timeline)
	b = binary.BigEndian.AppendUint64(b, p.LSN)
	b = binary.BigEndian.AppendUint64(b, uint64(e.now().Add(PositionLife).Unix())) //nolint:gosec // after 1970
	return base64.RawURLEncoding.EncodeToString(e.signer.Sign(b, positionPurpose, b))
}

// openPosition reads a token. ok is false where it says nothing that holds: it
// is not this application's, or has run out.
func (e *Engine) openPosition(token string) (p store.Position, ok bool) {
	var room [positionSize + keys.TagSize]byte
	if len(token) != base64.RawURLEncoding.EncodedLen(len(room)) {
		return p, false
	}
	raw, err := base64.RawURLEncoding.Strict().AppendDecode(room[:0], []byte(token))
	if err != nil || !e.signer.Verify(positionPurpose, raw[:positionSize], raw[positionSize:]) {
		return p, false
	}
	expiry := binary.BigEndian.Uint64(raw[20:])
	if now := e.now().Unix(); now < 0 || uint64(now) >= expiry {
		return p, false
	}
	return store.Position{
		Cluster: binary.BigEndian.Uint64(raw), Timeline: binary.BigEndian.Uint32(raw[8:]), LSN: binary.BigEndian.Uint64(raw[12:]),
	}, true
}

// readFrom runs a caller's read: on the primary, unless the store has replicas
// and one of them fulfils what the caller wants and what the plan's rules need.
// One in a transaction reads what that reads.
func (e *Engine) readFrom(ctx context.Context, in *Tx, snapshot bool, opt *ReadOptions, plan *store.ReadPlan, fn func(store.Reader) error) error {
	if in != nil {
		return in.session.Read(ctx, fn)
	}
	if e.copies == nil {
		return e.driver.Read(ctx, snapshot, fn)
	}
	w := store.Wish{Consistency: opt.Consistency, Judges: plan.Judges()}
	if opt.After != "" {
		var ok bool
		if w.After, ok = e.openPosition(opt.After); !ok {
			w.Consistency = query.Strong
		}
	}
	return e.copies.ReadFrom(ctx, snapshot, w, func(r store.Reader) error {
		if s, ok := opt.Stream.(*once); ok && s.begun {
			return fault.New(fault.StoreUnavailable, "the server that answered was lost in the middle of the rows").WithHint("read again")
		}
		return fn(r)
	})
}

// once is a stream that knows whether something was sent: what was cannot be
// sent again.
type once struct {
	to    io.Writer
	begun bool
}

// Write implements [io.Writer].
func (o *once) Write(b []byte) (int, error) {
	o.begun = true
	return o.to.Write(b)
}

// wrote notes writes of entities that were acknowledged, and returns the token
// of their place.
func (e *Engine) wrote(entities ...*model.Entity) string {
	if e.copies == nil || len(entities) == 0 {
		return ""
	}
	for _, ent := range entities {
		e.copies.Changed(e.reaches[ent])
	}
	at := e.copies.Position()
	if at == (store.Position{}) {
		return ""
	}
	return e.sealPosition(at)
}

// reaches are, for each entity, the names of those whose rows a write of it can
// change: its own, and those that the store deletes or empties with them.
func reaches(app *model.App) map[*model.Entity][]string {
	dependent := map[*model.Entity][]*model.Entity{}
	all := []*model.Entity{}
	for _, m := range app.Modules {
		for _, ent := range m.Entities {
			all = append(all, ent)
			for _, f := range ent.Fields {
				if f.Ref != nil && f.Ref.OnDelete != model.Restrict {
					dependent[f.Ref.Target] = append(dependent[f.Ref.Target], ent)
				}
			}
		}
	}
	out := make(map[*model.Entity][]string, len(all))
	for _, ent := range all {
		found := []*model.Entity{ent}
		for i := 0; i < len(found); i++ { // it grows meanwhile
			for _, d := range dependent[found[i]] {
				if !slices.Contains(found, d) {
					found = append(found, d)
				}
			}
		}
		for _, f := range found {
			out[ent] = append(out[ent], f.QualifiedName())
		}
	}
	return out
}
