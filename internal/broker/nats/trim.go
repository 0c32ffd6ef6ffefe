package nats

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// trimming removes what nobody needs, until the broker is closed.
func (b *Broker) trimming() {
	const every = 30 * time.Second
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-b.run.Done():
			return
		case <-tick.C:
		}
		ctx, cancel := context.WithTimeout(b.run, every)
		if err := b.trim(ctx); err != nil && b.run.Err() == nil {
			b.o.Log.Debug("the broker's stream could not be trimmed: it is tried again", "error", err)
		}
		cancel()
	}
}

// trim removes messages that every consumer has had and that are too old, or too
// many. More than one node may do it.
func (b *Broker) trim(ctx context.Context) error {
	kv, _, err := b.prepare(ctx)
	if err != nil {
		return err
	}
	stream, err := b.js.Stream(ctx, b.streamName())
	if err != nil {
		return b.translate(err)
	}
	state := stream.CachedInfo().State
	if state.Msgs == 0 {
		return nil
	}
	upTo := state.FirstSeq                                   // not removed itself
	if over := int64(state.Bytes) - b.o.MaxBytes; over > 0 { //nolint:gosec // bytes of a disk
		size := max(1, int64(state.Bytes/state.Msgs)) //nolint:gosec // the same
		upTo += uint64(over/size + 1)                 //nolint:gosec // not negative
	}
	if bound := time.Now().Add(-b.o.MaxAge); state.FirstTime.Before(bound) {
		seq, err := b.search(ctx, stream, state, bound)
		if err != nil {
			return err
		}
		upTo = max(upTo, seq)
	}
	floor, lazy, err := b.floor(ctx, kv, state.LastSeq)
	if err != nil {
		return err
	}
	if floor < upTo-1 {
		b.o.Log.Warn("a consumer lies so far behind that messages are kept for it beyond the broker's limits", "consumer", lazy, "bytes", state.Bytes)
		upTo = floor + 1
	}
	if upTo <= state.FirstSeq {
		return nil
	}
	return b.translate(stream.Purge(ctx, jetstream.WithPurgeSequence(upTo)))
}

// floor is the number that every consumer is at or beyond, and who is there.
func (b *Broker) floor(ctx context.Context, kv jetstream.KeyValue, last uint64) (uint64, string, error) {
	keys, err := kv.Keys(ctx)
	if errors.Is(err, jetstream.ErrNoKeysFound) {
		return last, "", nil
	}
	if err != nil {
		return 0, "", b.translate(err)
	}
	floor, who := last, ""
	for _, key := range keys {
		entry, err := kv.Get(ctx, key)
		if errors.Is(err, jetstream.ErrKeyNotFound) {
			continue
		}
		if err != nil {
			return 0, "", b.translate(err)
		}
		var p position
		if err := json.Unmarshal(entry.Value(), &p); err != nil {
			return 0, "", err
		}
		if p.Seq < floor {
			floor, who = p.Seq, key
		}
	}
	return floor, who, nil
}

// search is the first number at or behind the time: times grow with numbers.
func (b *Broker) search(ctx context.Context, stream jetstream.Stream, state jetstream.StreamState, bound time.Time) (uint64, error) {
	low, high := state.FirstSeq, state.LastSeq+1
	for low < high {
		middle := low + (high-low)/2
		m, err := stream.GetMsg(ctx, middle)
		if errors.Is(err, jetstream.ErrMsgNotFound) {
			high = middle // somebody removed it: be careful
			continue
		}
		if err != nil {
			return 0, b.translate(err)
		}
		if m.Time.Before(bound) {
			low = middle + 1
		} else {
			high = middle
		}
	}
	return low, nil
}
