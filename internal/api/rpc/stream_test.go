package rpc_test

import (
	"runtime"
	"testing"

	"connectrpc.com/connect"
)

// A stream of a hundred thousand rows holds as much memory as one of a few: what the
// client has not taken holds the read up.
func TestStreamHoldsNoRows(t *testing.T) {
	if testing.Short() {
		t.Skip("it makes 100,000 rows")
	}
	w := newWorld(t)
	const rows, batch = 100_000, 20_000
	for from := 0; from < rows; from += batch {
		w.thingsFrom(from, batch)
	}
	m := w.method("StreamThings")
	a := asked{key: "user", options: []connect.ClientOption{connect.WithGRPC()}}
	stream, err := w.client(m, &a).CallServerStream(t.Context(), request(t, m, &a, `{}`))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = stream.Close() }()
	heap := func() uint64 {
		runtime.GC()
		var s runtime.MemStats
		runtime.ReadMemStats(&s)
		return s.HeapAlloc
	}
	got, before := 0, uint64(0)
	for stream.Receive() {
		switch got++; got {
		case 1000:
			before = heap()
		case rows / 2, rows - 1000:
			if now := heap(); now > before+(4<<20) { // the rows are 10 MB
				t.Errorf("after %d rows %d bytes are held, and after 1,000 it was %d", got, now, before)
			}
		}
	}
	if err := stream.Err(); err != nil || got != rows {
		t.Errorf("%d rows come, want %d: %v", got, rows, err)
	}
}
