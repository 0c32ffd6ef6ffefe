//go:build !unix

package functions

// reserve returns n bytes of zeroes.
func reserve(n int) ([]byte, error) { return make([]byte, n), nil }

func release([]byte) {}

// imageFile is an image as a copy: without mappings each restore copies it.
type imageFile struct{ b []byte }

func newImageFile(memory []byte) (imageFile, error) { return imageFile{make([]byte, len(memory))}, nil }

func (i imageFile) write(b []byte, at int64) error { copy(i.b[at:], b); return nil }
func (i imageFile) mapOver(b []byte) error         { copy(b, i.b); return nil }
func (i imageFile) close() error                   { return nil }
