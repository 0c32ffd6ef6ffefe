package transfer

import (
	"bytes"
	"errors"
	"io"

	"github.com/pandobase/pando/internal/fault"
)

// maxRow is the most that one row may take in a file, in bytes. It bounds the
// memory of an import.
const maxRow = 16 << 20

const firstWindow = 64 << 10

// window is the part of a file that is in memory: from the row that is being
// read to as far as it was read ahead.
type window struct {
	r          io.Reader
	buf        []byte
	start, end int
	eof        bool
	err        error // of the reader, told when what came before it is used up
	line       int   // of buf[start], counted from 1
}

func newWindow(r io.Reader) *window {
	return &window{r: r, buf: make([]byte, firstWindow), line: 1}
}

// rest is what was read and not yet consumed.
func (w *window) rest() []byte { return w.buf[w.start:w.end] }

// errRowTooLong says that a row does not fit into the largest window.
var errRowTooLong = errors.New("row too long")

// more reads on. It returns false at the end of the file.
func (w *window) more() (bool, error) {
	if w.eof {
		return false, nil
	}
	switch {
	case w.start > 0:
		w.end = copy(w.buf, w.rest())
		w.start = 0
	case w.end == len(w.buf) && w.end >= maxRow:
		return false, errRowTooLong
	case w.end == len(w.buf):
		w.buf = append(w.buf, make([]byte, len(w.buf))...)
	}
	if w.err != nil {
		return false, w.err
	}
	n, err := io.ReadFull(w.r, w.buf[w.end:])
	w.end += n
	switch {
	case err == nil:
		return true, nil
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		w.eof = true
		return n > 0, nil
	}
	var f *fault.Error
	if !errors.As(err, &f) {
		f = fault.Wrap(err, fault.BadRequest, "the file could not be read to its end")
	}
	if w.err = (ending{f}); n == 0 {
		return false, w.err
	}
	return true, nil
}

// consume moves behind n bytes in which the file has lines line ends.
func (w *window) consume(n, lines int) {
	w.start += n
	w.line += lines
}

// skipLine moves behind the next line end, however far it is, and returns what
// it skipped of the window, without the line end.
func (w *window) skipLine() (string, error) {
	var first string
	for pieces := 0; ; pieces++ {
		rest := w.rest()
		at := bytes.IndexByte(rest, '\n')
		n := at
		if at < 0 {
			n = len(rest)
		}
		if pieces == 0 {
			first = string(bytes.TrimSuffix(rest[:n], []byte{'\r'}))
		}
		if at >= 0 {
			w.consume(at+1, 1)
			return first, nil
		}
		w.consume(n, 0)
		more, err := w.more()
		if err != nil || !more {
			return first, err
		}
	}
}

// skipBOM moves behind a byte order mark at the beginning of a file, and names
// an encoding that is not UTF-8.
func (w *window) skipBOM() error {
	if _, err := w.more(); err != nil {
		return err
	}
	rest := w.rest()
	switch {
	case bytes.HasPrefix(rest, []byte("\xef\xbb\xbf")):
		w.consume(3, 0)
	case bytes.HasPrefix(rest, []byte("\xff\xfe")), bytes.HasPrefix(rest, []byte("\xfe\xff")):
		return ending{fault.New(fault.InvalidEncoding, "the file is UTF-16").WithHint("save it as UTF-8")}
	case bytes.HasPrefix(rest, []byte("\x1f\x8b")):
		return ending{fault.New(fault.InvalidBody, "the file is compressed with gzip").WithHint("unpack it first")}
	}
	return nil
}

// ending is an error that ends an import: it is not one row's fault.
type ending struct{ fault *fault.Error }

func (e ending) Error() string { return e.fault.Error() }
func (e ending) Unwrap() error { return e.fault }

// endingOf returns the fault of an error that ends an import.
func endingOf(err error) (*fault.Error, bool) {
	var e ending
	if !errors.As(err, &e) {
		return nil, false
	}
	return e.fault, true
}
