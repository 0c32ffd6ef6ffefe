package edge

import (
	"encoding/binary"
	"encoding/hex"
	"math/rand/v2"
)

// traceparent is the W3C Trace Context header of one request: version 00, 32
// digits of trace id, 16 of span id and 2 of flags, 55 characters in all
// (https://www.w3.org/TR/trace-context/).
type traceparent string

// The positions in a traceparent.
const (
	traceAt, traceEnd = 3, 35
	spanAt, spanEnd   = 36, 52
	flagsAt, flagsEnd = 53, 55
)

// id is the trace id, which is the request id.
func (t traceparent) id() string { return string(t[traceAt:traceEnd]) }

// newTraceparent continues the trace of the received header, under a span id
// of its own, or begins a trace where the header is missing or not valid. The
// numbers are unique, not secret.
func newTraceparent(received string) traceparent {
	var buf [flagsEnd]byte
	copy(buf[:], "00-")
	buf[traceEnd], buf[spanEnd] = '-', '-'
	if validTraceparent(received) {
		copy(buf[traceAt:traceEnd], received[traceAt:traceEnd])
		copy(buf[flagsAt:], received[flagsAt:flagsEnd])
	} else {
		var trace [16]byte
		binary.LittleEndian.PutUint64(trace[:8], rand.Uint64()|1) // never all zeros
		binary.LittleEndian.PutUint64(trace[8:], rand.Uint64())
		hex.Encode(buf[traceAt:traceEnd], trace[:])
		copy(buf[flagsAt:], "00")
	}
	var span [8]byte
	binary.LittleEndian.PutUint64(span[:], rand.Uint64()|1)
	hex.Encode(buf[spanAt:spanEnd], span[:])
	return traceparent(buf[:])
}

// validTraceparent reports whether s can be continued. A version from the
// future may have more after the flags.
func validTraceparent(s string) bool {
	if len(s) < flagsEnd || s[2] != '-' || s[traceEnd] != '-' || s[spanEnd] != '-' || s[:2] == "ff" {
		return false
	}
	if len(s) > flagsEnd && (s[:2] == "00" || s[flagsEnd] != '-') {
		return false
	}
	return lowerHex(s[:2]) && lowerHex(s[flagsAt:flagsEnd]) &&
		lowerHex(s[traceAt:traceEnd]) && !allZero(s[traceAt:traceEnd]) &&
		lowerHex(s[spanAt:spanEnd]) && !allZero(s[spanAt:spanEnd])
}

func lowerHex(s string) bool {
	for i := range len(s) {
		if c := s[i]; (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}

func allZero(s string) bool {
	for i := range len(s) {
		if s[i] != '0' {
			return false
		}
	}
	return true
}
