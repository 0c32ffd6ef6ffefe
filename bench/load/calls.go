package main

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"

	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// connections is over how many the clients of unary calls are spread: as clients
// of gRPC do, many calls share one.
const connections = 4

// line is one connection of HTTP/2 in the clear with its share of the clients. It
// is worked by one goroutine: a call that has ended is followed by the next, and
// what is to be sent goes out when there is nothing left to read.
type line struct {
	t       *Target
	samples string
	checked bool          // an answer was
	begun   *atomic.Int64 // nanoseconds; 0: nothing is measured
	maker   *maker

	out    *bufio.Writer
	framer *http2.Framer
	head   bytes.Buffer // header blocks are written here
	hpack  *hpack.Encoder
	data   []byte // a message is made here
	open   map[uint32]*unary
	next   uint32
	taken  uint32 // bytes received since the window was opened last

	latencies []int64
	bytes     int64
	bad       int
}

// unary is a call under way.
type unary struct {
	start  time.Time
	bytes  int64
	status string
	data   []byte // while no answer was checked
}

// window is what a connection may receive before it has to open its window again.
const window = 1 << 30

// calls does for gRPC what [run] does for HTTP/1.1.
func calls(t *Target, warm, dur float64, samples string) (Run, error) {
	total := &runner{t: t}
	var wait sync.WaitGroup
	var begun atomic.Int64
	lines := make([]*line, min(connections, t.Clients))
	failed := make(chan error, len(lines))
	var conns []net.Conn
	defer func() {
		for _, c := range conns {
			_ = c.Close()
		}
		wait.Wait()
	}()
	for i := range lines {
		conn, err := net.DialTimeout("tcp", t.Addr, 5*time.Second)
		if err != nil {
			return Run{}, err
		}
		conns = append(conns, conn)
		l := newLine(t, conn, samples, &begun)
		lines[i] = l
		callers := t.Clients / len(lines)
		if i < t.Clients%len(lines) {
			callers++
		}
		wait.Go(func() { failed <- l.work(callers) })
	}
	select {
	case err := <-failed:
		return Run{}, err
	case <-time.After(seconds(warm)):
	}
	total.cpu, total.begun = total.usage(), time.Now()
	begun.Store(total.begun.UnixNano())
	select {
	case err := <-failed:
		return Run{}, err
	case <-time.After(seconds(dur)):
	}
	begun.Store(0)
	elapsed, used := time.Since(total.begun), total.usage()
	for _, c := range conns {
		_ = c.Close()
	}
	wait.Wait()
	for _, l := range lines {
		total.latencies = append(total.latencies, l.latencies...)
		total.bytes, total.bad = total.bytes+l.bytes, total.bad+l.bad
	}
	return total.result(elapsed, used)
}

func newLine(t *Target, conn net.Conn, samples string, begun *atomic.Int64) *line {
	l := &line{
		t: t, samples: samples, begun: begun, maker: newMaker(t, rand.Uint64()),
		out: bufio.NewWriterSize(conn, 64<<10), open: map[uint32]*unary{}, next: 1,
	}
	in := bufio.NewReaderSize(conn, 64<<10)
	l.framer = http2.NewFramer(l.out, &drained{in, l.out})
	l.framer.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	l.framer.SetReuseFrames()
	l.hpack = hpack.NewEncoder(&l.head)
	return l
}

// drained sends what waits to be sent before it waits for more to read.
type drained struct {
	in  *bufio.Reader
	out *bufio.Writer
}

// Read implements [io.Reader].
func (d *drained) Read(p []byte) (int, error) {
	if d.in.Buffered() == 0 {
		if err := d.out.Flush(); err != nil {
			return 0, err
		}
	}
	return d.in.Read(p)
}

// work goes on until the connection is closed, and returns why.
func (l *line) work(callers int) error {
	_, err := l.out.WriteString(http2.ClientPreface)
	err = errors.Join(err, l.framer.WriteSettings(), l.framer.WriteWindowUpdate(0, window))
	for range callers {
		err = errors.Join(err, l.call(time.Now()))
	}
	for err == nil {
		var f http2.Frame
		if f, err = l.framer.ReadFrame(); err == nil {
			err = l.take(f)
		}
	}
	return err
}

// call begins a call.
func (l *line) call(now time.Time) error {
	l.head.Reset()
	field := func(name, value string) { _ = l.hpack.WriteField(hpack.HeaderField{Name: name, Value: value}) } // to memory
	field(":method", "POST")
	field(":scheme", "http")
	field(":path", l.t.Path)
	field(":authority", l.t.Addr)
	field("content-type", "application/grpc+proto")
	field("te", "trailers")
	for _, name := range l.t.names {
		field(strings.ToLower(name), l.t.Headers[name])
	}
	l.data = l.maker.fill(append(l.data[:0], 0, 0, 0, 0, 0), l.t.body, l.maker.row())
	binary.BigEndian.PutUint32(l.data[1:], uint32(len(l.data)-5))
	l.open[l.next] = &unary{start: now}
	err := errors.Join(
		l.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: l.next, BlockFragment: l.head.Bytes(), EndHeaders: true}),
		l.framer.WriteData(l.next, true, l.data),
	)
	l.next += 2
	return err
}

func (l *line) take(f http2.Frame) error {
	switch f := f.(type) {
	case *http2.SettingsFrame:
		if !f.IsAck() {
			return l.framer.WriteSettingsAck()
		}
	case *http2.PingFrame:
		if !f.IsAck() {
			return l.framer.WritePing(true, f.Data)
		}
	case *http2.GoAwayFrame:
		return fmt.Errorf("the server goes away: %v", f.ErrCode)
	case *http2.RSTStreamFrame:
		return l.ended(f.StreamID, fmt.Sprintf("reset: %v", f.ErrCode))
	case *http2.DataFrame:
		c := l.open[f.StreamID]
		if c == nil {
			return errors.New("data of no call")
		}
		if l.taken += f.Length; l.taken > window/2 {
			if err := l.framer.WriteWindowUpdate(0, l.taken); err != nil {
				return err
			}
			l.taken = 0
		}
		c.bytes += int64(len(f.Data()))
		if !l.checked {
			c.data = append(c.data, f.Data()...)
		}
	case *http2.MetaHeadersFrame:
		c := l.open[f.StreamID]
		if c == nil {
			return errors.New("headers of no call")
		}
		message := ""
		for _, h := range f.Fields {
			switch h.Name {
			case "grpc-status":
				c.status = h.Value
			case "grpc-message":
				message = h.Value
			}
		}
		if f.StreamEnded() {
			return l.ended(f.StreamID, message)
		}
	}
	return nil
}

// check looks at the first answer of a line.
func (l *line) check(c *unary, message string) error {
	if c.status != "0" || !bytes.Contains(c.data, []byte(l.t.Check)) {
		return fmt.Errorf("the first answer is wrong: status %q, want 0, and %q in %.600q; %s", c.status, l.t.Check, c.data, message)
	}
	return keep(l.samples, l.t.Name, c.data)
}

// ended counts a call and begins the next.
func (l *line) ended(stream uint32, message string) error {
	c := l.open[stream]
	if c == nil {
		return nil // it was counted
	}
	delete(l.open, stream)
	now := time.Now()
	if !l.checked {
		l.checked = true
		if err := l.check(c, message); err != nil {
			return err
		}
	}
	if from := l.begun.Load(); from > 0 && c.start.UnixNano() > from {
		if c.status == "0" {
			l.latencies = append(l.latencies, int64(now.Sub(c.start)))
			l.bytes += c.bytes
		} else {
			l.bad++
		}
	}
	return l.call(now)
}
