package functions

import (
	"slices"
	"sync"
)

// snapshots keeps the snapshots of the bundles that were called last, up to a
// number of bytes. It is safe for concurrent use.
type snapshots struct {
	most int64

	mu    sync.Mutex
	list  []*bundle // the last one was used last
	bytes int64
}

// used notes that a bundle's snapshot was used, and lets go of others if there
// are too many.
func (k *snapshots) used(b *bundle) {
	k.mu.Lock()
	defer k.mu.Unlock()
	switch i := slices.Index(k.list, b); {
	case i >= 0 && i == len(k.list)-1:
		return
	case i >= 0:
		k.list = append(slices.Delete(k.list, i, i+1), b)
		return
	}
	b.mu.Lock()
	gone := b.snap == nil
	if !gone {
		k.bytes += b.snap.img.used
	}
	b.mu.Unlock()
	if gone {
		return
	}
	k.list = append(k.list, b)
	for k.bytes > k.most && len(k.list) > 1 {
		k.remove(0)
	}
}

// forget lets go of a bundle's snapshot, which is not made again.
func (k *snapshots) forget(b *bundle) {
	k.mu.Lock()
	defer k.mu.Unlock()
	b.mu.Lock()
	b.retired = true
	b.mu.Unlock()
	if i := slices.Index(k.list, b); i >= 0 {
		k.remove(i)
	}
}

func (k *snapshots) clear() {
	k.mu.Lock()
	defer k.mu.Unlock()
	for len(k.list) > 0 {
		k.remove(0)
	}
}

func (k *snapshots) remove(i int) {
	b := k.list[i]
	k.list = slices.Delete(k.list, i, i+1)
	b.mu.Lock()
	defer b.mu.Unlock()
	k.bytes -= b.snap.img.used
	b.snap.drop()
	b.snap = nil
}

// snapshot returns the bundle's snapshot, taken for the caller; nil: there is
// none.
func (b *bundle) snapshot() *snapshot {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.snap == nil || !b.snap.take() {
		return nil
	}
	return b.snap
}

// keep makes s the bundle's snapshot, unless nobody will call the bundle again.
func (k *snapshots) keep(b *bundle, s *snapshot) {
	b.mu.Lock()
	if b.retired {
		b.mu.Unlock()
		s.drop()
		return
	}
	b.snap = s
	b.mu.Unlock()
	k.used(b)
}
