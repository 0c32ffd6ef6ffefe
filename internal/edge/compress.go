package edge

import (
	"io"
	"strconv"
	"strings"
	"sync"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

// coding is a content coding that the edge can apply.
type coding uint8

const (
	identity coding = iota
	gzipCoding
	zstdCoding
)

// minCompressed is the least body in bytes that is compressed. Below, the
// coding's frame and time cost more than the bytes it saves.
const minCompressed = 1 << 10

// encoder is what the two libraries' writers have in common.
type encoder interface {
	io.WriteCloser
	Flush() error
	Reset(io.Writer)
}

// encoders keeps encoders for the next response: making one costs hundreds of
// kilobytes. It keeps the buffers of short bodies too.
type encoders struct{ gzip, zstd, short sync.Pool }

// shortBody holds a body that is too short to be compressed.
type shortBody [minCompressed]byte

func (e *encoders) getShort() *shortBody {
	if b, ok := e.short.Get().(*shortBody); ok {
		return b
	}
	return new(shortBody)
}

func (e *encoders) get(c coding, dst io.Writer) encoder {
	pool := &e.gzip
	if c == zstdCoding {
		pool = &e.zstd
	}
	enc, ok := pool.Get().(encoder)
	if !ok {
		enc = newEncoder(c)
	}
	enc.Reset(dst)
	return enc
}

func (e *encoders) put(c coding, enc encoder) {
	enc.Reset(nil) // forget the response
	if c == zstdCoding {
		e.zstd.Put(enc)
		return
	}
	e.gzip.Put(enc)
}

// newEncoder makes one for speed: an answer is compressed once and sent once.
func newEncoder(c coding) encoder {
	if c == zstdCoding {
		enc, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest),
			zstd.WithEncoderConcurrency(1), zstd.WithWindowSize(128<<10), zstd.WithLowerEncoderMem(true))
		if err != nil {
			panic(err) // constant options that are in range
		}
		return enc
	}
	enc, err := gzip.NewWriterLevel(nil, gzip.BestSpeed)
	if err != nil {
		panic(err) // a constant level that is in range
	}
	return enc
}

// String returns the value of Content-Encoding.
func (c coding) String() string {
	switch c {
	case gzipCoding:
		return "gzip"
	case zstdCoding:
		return "zstd"
	case identity:
	}
	return "identity"
}

// negotiate returns the coding that an Accept-Encoding header (RFC 9110,
// section 12.5.3) wants most; of equals zstd, which is faster. Anything but a
// clear yes is no.
func negotiate(accept string) coding {
	best, bestQ := identity, 0.0
	for item := range strings.SplitSeq(accept, ",") {
		name, params, _ := strings.Cut(item, ";")
		var c coding
		switch strings.ToLower(strings.TrimSpace(name)) {
		case "zstd":
			c = zstdCoding
		case "gzip", "x-gzip":
			c = gzipCoding
		default:
			continue
		}
		q := 1.0
		if key, value, ok := strings.Cut(strings.TrimSpace(params), "="); ok && strings.EqualFold(strings.TrimSpace(key), "q") {
			parsed, err := strconv.ParseFloat(strings.TrimSpace(value), 64)
			if err != nil || !(parsed >= 0 && parsed <= 1) { // NaN too
				parsed = 0
			}
			q = parsed
		}
		if q > bestQ || q == bestQ && q > 0 && c > best {
			best, bestQ = c, q
		}
	}
	return best
}

// compressible reports whether bodies of a content type are text enough.
func compressible(contentType string) bool {
	mediaType, _, _ := strings.Cut(contentType, ";")
	mediaType = strings.TrimSpace(mediaType)
	switch mediaType {
	case "application/json", "application/x-ndjson", "application/javascript", "application/xml",
		"application/yaml", "application/wasm", "image/svg+xml":
		return true
	case "text/event-stream":
		return false // each event is flushed: the frames would cost more than they save
	}
	return strings.HasPrefix(mediaType, "text/") || strings.HasSuffix(mediaType, "+json") || strings.HasSuffix(mediaType, "+xml")
}
