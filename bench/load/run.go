package main

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/pandobase/pando/bench/quiet"
)

// Run is what one run measured.
type Run struct {
	Answers int     `json:"answers"`
	Bad     int     `json:"bad"` // answers with another status, and connections lost with a request under way
	Rate    float64 `json:"rate"`
	P50     float64 `json:"p50_us"`
	P99     float64 `json:"p99_us"`
	Body    float64 `json:"body_bytes"`    // mean length
	Server  float64 `json:"server_cores"`  // CPU the server used
	Client  float64 `json:"client_cores"`  // CPU the generator used; near 1, it was the limit
	Foreign float64 `json:"foreign_cores"` // CPU that neither used
	Cost    float64 `json:"server_us"`     // CPU the server used for one thing; the steadiest figure on a busy machine
	Base    float64 `json:"base_rate,omitempty"`
	Ratio   float64 `json:"ratio,omitempty"`     // of Rate to Base
	ByCPU   float64 `json:"cpu_ratio,omitempty"` // of the baseline's Cost to this
}

// client is one keep-alive connection with at most one request under way.
type client struct {
	fd      int
	out     []byte
	sent    int
	in      []byte
	n       int
	start   time.Time
	writing bool // waits for room in the socket
}

// runner drives all clients of one run from one thread (raw epoll), which
// costs far less CPU for a request than a goroutine for each would.
type runner struct {
	t       *Target
	make    *maker
	epoll   int
	byFD    map[int32]*client
	samples string
	sampled bool

	from, until time.Time
	measuring   bool
	begun       time.Time
	cpu         [3]float64 // server, generator, machine at begun
	latencies   []int64
	bytes       int64
	bad         int
}

// run keeps t's clients busy for warm seconds, then measures for dur seconds.
// It fails when the first answer is not what t expects.
func run(t *Target, warm, dur float64, samples string) (Run, error) {
	if t.Protocol != "" {
		return calls(t, warm, dur, samples)
	}
	epoll, err := syscall.EpollCreate1(0)
	if err != nil {
		return Run{}, err
	}
	defer syscall.Close(epoll)
	r := &runner{t: t, make: newMaker(t, rand.Uint64()), epoll: epoll, byFD: map[int32]*client{}, samples: samples, latencies: make([]int64, 0, 1<<19)}
	defer func() {
		for fd := range r.byFD {
			_ = syscall.Close(int(fd))
		}
	}()
	r.from = time.Now().Add(seconds(warm))
	r.until = r.from.Add(seconds(dur))
	for range t.Clients {
		c := &client{in: make([]byte, 64<<10)}
		if err := errors.Join(r.dial(c), r.send(c, time.Now())); err != nil {
			return Run{}, err
		}
	}
	if err := r.loop(); err != nil {
		return Run{}, err
	}
	return r.result(time.Since(r.begun), r.usage())
}

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }

func (r *runner) usage() [3]float64 {
	server := quiet.CPU(r.t.PID)
	if r.t.Tree != 0 {
		server += quiet.CPU(quiet.Tree(r.t.Tree)...)
	}
	return [3]float64{server, quiet.CPU(os.Getpid()), quiet.Busy()}
}

func (r *runner) loop() error {
	events := make([]syscall.EpollEvent, 256)
	for {
		now := time.Now()
		if !r.measuring && now.After(r.from) {
			r.measuring, r.cpu, r.begun = true, r.usage(), time.Now()
		}
		if now.After(r.until) {
			return nil
		}
		n, err := syscall.EpollWait(r.epoll, events, 100)
		if err != nil && !errors.Is(err, syscall.EINTR) {
			return err
		}
		for _, ev := range events[:max(n, 0)] {
			c := r.byFD[ev.Fd]
			if c == nil {
				continue
			}
			if ev.Events&syscall.EPOLLOUT != 0 {
				if err := r.flush(c); err != nil {
					return err
				}
			}
			if ev.Events&^syscall.EPOLLOUT != 0 {
				if err := r.receive(c); err != nil {
					return err
				}
			}
		}
	}
}

func (r *runner) dial(c *client) error {
	addr, err := net.ResolveTCPAddr("tcp4", r.t.Addr)
	if err != nil {
		return err
	}
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	sa := &syscall.SockaddrInet4{Port: addr.Port}
	copy(sa.Addr[:], addr.IP.To4())
	if err := syscall.Connect(fd, sa); err != nil {
		return errors.Join(fmt.Errorf("connect to %s: %w", r.t.Addr, err), syscall.Close(fd))
	}
	c.fd, c.n, c.writing = fd, 0, false
	r.byFD[int32(fd)] = c
	return errors.Join(
		syscall.SetsockoptInt(fd, syscall.IPPROTO_TCP, syscall.TCP_NODELAY, 1),
		syscall.SetNonblock(fd, true),
		syscall.EpollCtl(r.epoll, syscall.EPOLL_CTL_ADD, fd, &syscall.EpollEvent{Events: syscall.EPOLLIN, Fd: int32(fd)}),
	)
}

// again replaces a connection that the server has closed.
func (r *runner) again(c *client) error {
	delete(r.byFD, int32(c.fd))
	return errors.Join(syscall.Close(c.fd), r.dial(c))
}

func (r *runner) send(c *client, start time.Time) error {
	c.out, c.sent, c.start = r.make.request(c.out), 0, start
	return r.flush(c)
}

func (r *runner) flush(c *client) error {
	for c.sent < len(c.out) {
		n, err := syscall.Write(c.fd, c.out[c.sent:])
		switch {
		case errors.Is(err, syscall.EAGAIN):
			return r.watch(c, true)
		case errors.Is(err, syscall.EINTR):
		case err != nil:
			return err
		default:
			c.sent += n
		}
	}
	return r.watch(c, false)
}

// watch asks to be told when there is room for more of the request.
func (r *runner) watch(c *client, writing bool) error {
	if c.writing == writing {
		return nil
	}
	c.writing = writing
	ev := syscall.EpollEvent{Events: syscall.EPOLLIN, Fd: int32(c.fd)}
	if writing {
		ev.Events |= syscall.EPOLLOUT
	}
	return syscall.EpollCtl(r.epoll, syscall.EPOLL_CTL_MOD, c.fd, &ev)
}

func (r *runner) receive(c *client) error {
	if c.n == len(c.in) {
		c.in = append(c.in, make([]byte, len(c.in))...)
	}
	n, err := syscall.Read(c.fd, c.in[c.n:])
	switch {
	case errors.Is(err, syscall.EAGAIN) || errors.Is(err, syscall.EINTR):
		return nil
	case err != nil || n == 0:
		if r.bad++; r.bad > 1000 {
			return errors.New("the server keeps closing")
		}
		if err := r.again(c); err != nil {
			return err
		}
		return r.send(c, time.Now())
	}
	c.n += n
	a, err := parse(c.in[:c.n])
	if err != nil || a.total == 0 {
		return err
	}
	done := time.Now()
	if err := r.sample(c.in[:a.total], a); err != nil {
		return err
	}
	if r.measuring && c.start.After(r.begun) {
		if a.status == r.t.Expect {
			r.latencies = append(r.latencies, int64(done.Sub(c.start)))
			r.bytes += int64(a.length)
		} else {
			r.bad++
		}
	}
	c.n = 0
	if a.closing {
		if err := r.again(c); err != nil {
			return err
		}
	}
	return r.send(c, done)
}

// sample checks the first answer of a run, so that nobody measures how fast an
// error page is, and keeps it for people to read.
func (r *runner) sample(whole []byte, a answer) error {
	if r.sampled {
		return nil
	}
	r.sampled = true
	body := whole[a.body:]
	if a.status != r.t.Expect || !bytes.Contains(body, []byte(r.t.Check)) {
		return fmt.Errorf("the first answer is wrong: status %d, want %d, and %q in %.600q", a.status, r.t.Expect, r.t.Check, body)
	}
	return keep(r.samples, r.t.Name, whole)
}

// keep writes a target's answer down where samples are wanted.
func keep(samples, target string, answer []byte) error {
	if samples == "" {
		return nil
	}
	name := strings.Map(func(c rune) rune {
		if c >= 'a' && c <= 'z' || c >= '0' && c <= '9' {
			return c
		}
		return '-'
	}, strings.ToLower(target))
	return os.WriteFile(filepath.Join(samples, name+".txt"), answer, 0o644)
}

// result is what the run has measured in a time in which the server, the generator
// and the machine have used so much CPU since its beginning.
func (r *runner) result(took time.Duration, now [3]float64) (Run, error) {
	elapsed := took.Seconds()
	if len(r.latencies) == 0 {
		return Run{}, errors.New("no answer in time")
	}
	slices.Sort(r.latencies)
	n := len(r.latencies)
	quantile := func(q float64) float64 { return float64(r.latencies[min(n-1, int(q*float64(n)))]) / 1e3 }
	out := Run{
		Answers: n, Bad: r.bad, Rate: float64(n*r.t.Unit) / elapsed, P50: quantile(0.5), P99: quantile(0.99),
		Body: float64(r.bytes) / float64(n), Server: (now[0] - r.cpu[0]) / elapsed, Client: (now[1] - r.cpu[1]) / elapsed,
	}
	out.Cost = (now[0] - r.cpu[0]) * 1e6 / float64(n*r.t.Unit)
	out.Foreign = (now[2]-r.cpu[2])/elapsed - out.Server - out.Client
	return out, nil
}
