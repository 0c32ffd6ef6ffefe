package functions

import (
	"errors"
	"sync/atomic"
	"unsafe"

	"github.com/tetratelabs/wazero/experimental"
)

// pageSize is WebAssembly's.
const pageSize = 64 << 10

// budget bounds the memory that isolates take beyond what each of them has from
// its start. It is safe for concurrent use.
type budget struct{ free atomic.Int64 }

func newBudget(bytes int64) *budget {
	b := &budget{}
	b.free.Store(bytes)
	return b
}

// take reports whether n bytes were free, and are the caller's now.
func (b *budget) take(n int64) bool {
	if b.free.Add(-n) >= 0 {
		return true
	}
	b.free.Add(n)
	return false
}

func (b *budget) give(n int64) { b.free.Add(n) }

// arena is the linear memory of one instance: address space for the most that
// it may grow to, of which only pages that were written cost memory. It lies
// outside of Go's heap. It belongs to its instance, and is not safe for
// concurrent use.
type arena struct {
	space  []byte
	most   int64 // bytes that it may grow to
	free   int64 // bytes that it may have without asking the budget
	size   int64
	taken  int64 // from the budget
	budget *budget
}

var _ experimental.LinearMemory = (*arena)(nil)

// newArena reserves most bytes of address space.
func newArena(most, free int64, b *budget) (*arena, error) {
	space, err := reserve(int(most))
	if err != nil {
		return nil, err
	}
	return &arena{space: space, most: most, free: free, budget: b}, nil
}

// Reallocate implements [experimental.LinearMemory]; nil: no more.
func (a *arena) Reallocate(size uint64) []byte {
	n := int64(size)
	if a.space == nil || n > a.most {
		return nil
	}
	if more := n - max(a.size, a.free); more > 0 {
		if !a.budget.take(more) {
			return nil
		}
		a.taken += more
	}
	a.size = max(a.size, n)
	return a.space[:n:n]
}

// Free implements [experimental.LinearMemory]. It may be called twice.
func (a *arena) Free() {
	if a.space != nil {
		release(a.space)
		a.budget.give(a.taken)
		a.space, a.taken = nil, 0
	}
}

// grown reports whether the memory is larger than img: then the instance cannot
// be made to look as img left it.
func (a *arena) grown(img *image) bool { return a.size > img.size }

// image is the memory of an instance that stands ready for a call. Arenas map
// it copy on write: what they do not write they share.
type image struct {
	file imageFile
	size int64
	used int64 // bytes of it that are not zero pages
}

// newImage copies memory.
func newImage(memory []byte) (*image, error) {
	img := &image{size: int64(len(memory))}
	var err error
	if img.file, err = newImageFile(memory); err != nil {
		return nil, err
	}
	const page = 4096
	for at := 0; at < len(memory); at += page {
		part := memory[at:min(at+page, len(memory))]
		if zero(part) {
			continue
		}
		if err := img.file.write(part, int64(at)); err != nil {
			return nil, errors.Join(err, img.file.close())
		}
		img.used += int64(len(part))
	}
	return img, nil
}

// zero reports whether a page's bytes are all 0. Its length is a multiple of 8.
func zero(b []byte) bool {
	for ; len(b) >= 8; b = b[8:] {
		if *(*uint64)(unsafe.Pointer(&b[0])) != 0 {
			return false
		}
	}
	return true
}

// restore makes the arena's memory the image's, whatever it was.
func (a *arena) restore(img *image) error { return img.file.mapOver(a.space[:img.size]) }

// close gives the image's memory back once no arena maps it.
func (img *image) close() error { return img.file.close() }
