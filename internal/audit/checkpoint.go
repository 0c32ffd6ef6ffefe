package audit

import (
	"bufio"
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/store"
	"github.com/pandobase/pando/internal/value"
)

// Checkpoint is a signed statement of where the chain ends. Kept elsewhere, it
// is an anchor: whoever rewrites or cuts off the trail before it is found.
type Checkpoint struct {
	Version int       `json:"pando_audit"` // 1
	Seal    int64     `json:"seal"`        // 0: the trail was empty
	Record  int64     `json:"record"`      // the last one that the seal covers
	Hash    string    `json:"hash"`        // of the seal, in hexadecimal
	Time    time.Time `json:"time"`
	Key     []byte    `json:"key"`       // Ed25519, RFC 8032
	Sig     []byte    `json:"signature"` // of what signed returns

	line int // of the anchor file
}

// signed is the text under the signature.
func (c *Checkpoint) signed() []byte {
	return fmt.Appendf(nil, "pando.audit.checkpoint.v%d\n%d\n%d\n%s\n%s\n", c.Version, c.Seal, c.Record, c.Hash, c.Time.Format(time.RFC3339Nano))
}

const (
	signingMeta    = "audit.signing"
	signingContext = "pando.audit.signing.v1"
	maxAnchor      = 4096 // bytes of one line
)

// Checkpoint signs the end of the chain.
func (l *Log) Checkpoint(ctx context.Context) (*Checkpoint, error) {
	key, err := l.signingKey(ctx)
	if err != nil {
		return nil, err
	}
	var h end
	if err := l.driver.Read(ctx, false, func(r store.Reader) error { return l.readEnd(r, &h) }); err != nil {
		return nil, err
	}
	c := &Checkpoint{
		Version: 1, Seal: h.seq, Record: h.last, Hash: hex.EncodeToString(h.hash[:]),
		Time: l.cfg.Now().UTC().Truncate(time.Second), Key: key.Public().(ed25519.PublicKey), //nolint:forcetypeassert // the standard library says so
	}
	c.Sig = ed25519.Sign(key, c.signed())
	return c, nil
}

// signingKey returns the trail's own key and makes it where there is none.
func (l *Log) signingKey(ctx context.Context) (key ed25519.PrivateKey, err error) {
	err = l.driver.Read(ctx, false, func(r store.Reader) error { key, err = l.readSigningKey(r); return err })
	if err != nil || key != nil {
		return key, err
	}
	err = l.driver.Write(ctx, func(tx store.Tx) error {
		if key, err = l.readSigningKey(tx); err != nil || key != nil {
			return err
		}
		seed := make([]byte, ed25519.SeedSize)
		if _, err := io.ReadFull(l.cfg.Random, seed); err != nil {
			return fault.Wrap(err, fault.Internal, "no randomness for the audit trail")
		}
		wrapped, err := l.cfg.Wrapper.Wrap(seed, []byte(signingContext))
		if err != nil {
			return err
		}
		_, err = tx.Exec(l.st.insertMeta, []value.Value{value.OfText(signingMeta), value.OfText(base64.StdEncoding.EncodeToString(wrapped))})
		if err == nil { // another node's, where that was faster
			key, err = l.readSigningKey(tx)
		}
		return err
	})
	return key, err
}

// readSigningKey returns the key that the store has; nil: none.
func (l *Log) readSigningKey(r store.Reader) (ed25519.PrivateKey, error) {
	var text string
	err := r.Query(l.st.meta, []value.Value{value.OfText(signingMeta)}, func(row store.Row) error {
		text = string(row.Append(nil, 0))
		return nil
	})
	if err != nil || text == "" {
		return nil, err
	}
	wrapped, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		return nil, fault.Wrap(err, fault.StoreIO, "the key that signs checkpoints is damaged")
	}
	seed, err := l.cfg.Wrapper.Unwrap(wrapped, []byte(signingContext))
	if err != nil {
		return nil, err
	}
	if len(seed) != ed25519.SeedSize {
		return nil, fault.New(fault.StoreIO, "the key that signs checkpoints is damaged")
	}
	return ed25519.NewKeyFromSeed(seed), nil
}

// ReadAnchors reads checkpoints, one a line. Empty lines are skipped.
func ReadAnchors(r io.Reader) ([]Checkpoint, error) {
	var out []Checkpoint
	sc := bufio.NewScanner(r)
	sc.Buffer(nil, maxAnchor)
	n := 0
	for sc.Scan() {
		n++
		if strings.TrimSpace(sc.Text()) == "" {
			continue
		}
		c := Checkpoint{line: n}
		if err := json.Unmarshal(sc.Bytes(), &c); err != nil || c.Version != 1 {
			return nil, fault.New(fault.BadRequest, "line %d of the anchors is no checkpoint", n).WithHint("`pando audit anchor` writes them")
		}
		out = append(out, c)
	}
	if err := sc.Err(); err != nil {
		return nil, fault.Wrap(err, fault.BadRequest, "line %d of the anchors cannot be read", n+1)
	}
	return out, nil
}

// verifyAnchors checks that every anchored seal is there with its hash.
func (l *Log) verifyAnchors(ctx context.Context, anchors []Checkpoint, rep *Report) error {
	if len(anchors) == 0 {
		return nil
	}
	return l.driver.Read(ctx, true, func(r store.Reader) error {
		key, err := l.readSigningKey(r)
		if err != nil && !fault.Is(err, fault.StoreIO) && !fault.Is(err, fault.ConfigInvalid) {
			return err
		}
		for i := range anchors {
			if err := l.verifyAnchor(r, key, &anchors[i], rep); err != nil {
				return err
			}
		}
		return nil
	})
}

func (l *Log) verifyAnchor(r store.Reader, key ed25519.PrivateKey, c *Checkpoint, rep *Report) error {
	f := Finding{Kind: BadAnchor, Anchor: c.line, Seal: c.Seal, Record: c.Record}
	if len(c.Key) != ed25519.PublicKeySize || !ed25519.Verify(c.Key, c.signed(), c.Sig) {
		rep.add(f, "the anchor in line %d has a wrong signature: it was changed", c.line)
		return nil
	}
	if key == nil {
		rep.add(f, "the anchor in line %d is signed, and this trail has no usable key: it is older than its first checkpoint, or the key was taken away", c.line)
	} else if !key.Public().(ed25519.PublicKey).Equal(ed25519.PublicKey(c.Key)) { //nolint:forcetypeassert // the standard library says so
		rep.add(f, "the anchor in line %d was signed by another key than this trail's: one of the two was exchanged", c.line)
	}
	if c.Seal == 0 {
		rep.Anchors++
		return nil
	}
	var found *seal
	err := r.Query(l.st.sealOf, []value.Value{value.OfInt(c.Seal)}, func(row store.Row) error {
		s := readSeal(row)
		found = &s
		return nil
	})
	switch {
	case err != nil:
		return err
	case found == nil && c.Seal > rep.LastSeal:
		f.Kind, f.Record = Truncated, rep.LastRecord+1
		rep.add(f, "the trail was cut off: it ends with seal %d and record %d, and at %s it had seal %d and record %d",
			rep.LastSeal, rep.LastRecord, c.Time.Format(time.RFC3339), c.Seal, c.Record)
	case found == nil:
		f.Kind = BadSeal
		rep.add(f, "seal %d of the anchor in line %d is not there", c.Seal, c.line)
	case hex.EncodeToString(found.hash[:]) != c.Hash || found.last != c.Record:
		f.Kind = Rewritten
		rep.add(f, "the trail was rewritten: seal %d, up to record %d, is not the one of %s", c.Seal, c.Record, c.Time.Format(time.RFC3339))
	default:
		rep.Anchors++
	}
	return nil
}
