//go:build unix

package functions

import (
	"fmt"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// reserve returns n bytes of zeroes that cost memory once they are written.
func reserve(n int) ([]byte, error) {
	b, err := unix.Mmap(-1, 0, n, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON|unix.MAP_NORESERVE)
	if err != nil {
		return nil, fmt.Errorf("reserve %d bytes: %w", n, err)
	}
	return b, nil
}

func release(b []byte) {
	if err := unix.Munmap(b); err != nil {
		panic(err) // of a mapping that is there: cannot be
	}
}

// imageFile is an image as a file without a name.
type imageFile struct{ f *os.File }

func newImageFile(memory []byte) (imageFile, error) {
	f, err := nameless()
	if err != nil {
		return imageFile{}, fmt.Errorf("a file for a snapshot: %w", err)
	}
	if err := f.Truncate(int64(len(memory))); err != nil {
		_ = f.Close()
		return imageFile{}, fmt.Errorf("a file for a snapshot: %w", err)
	}
	return imageFile{f}, nil
}

func (i imageFile) write(b []byte, at int64) error {
	_, err := i.f.WriteAt(b, at)
	return err
}

// mapOver puts the image in place of b's pages.
func (i imageFile) mapOver(b []byte) error {
	_, err := unix.MmapPtr(int(i.f.Fd()), 0, unsafe.Pointer(&b[0]), uintptr(len(b)),
		unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_FIXED|unix.MAP_NORESERVE)
	if err != nil {
		return fmt.Errorf("map a snapshot: %w", err)
	}
	return nil
}

func (i imageFile) close() error { return i.f.Close() }
