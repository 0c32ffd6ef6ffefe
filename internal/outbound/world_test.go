package outbound_test

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"go.opentelemetry.io/otel/attribute"
	"go.uber.org/goleak"
	"golang.org/x/net/dns/dnsmessage"

	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/outbound"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// server answers over loopback and counts.
type server struct {
	*httptest.Server
	hits atomic.Int64
}

func serve(t *testing.T, h http.HandlerFunc) *server {
	t.Helper()
	s := &server{}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.hits.Add(1)
		h(w, r)
	}))
	t.Cleanup(s.Close)
	return s
}

func ok(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("ok")) }

func (s *server) port() string { return s.URL[strings.LastIndexByte(s.URL, ':')+1:] }

// secrets are what tests know by name.
func secrets(name string) (string, error) {
	if v, ok := map[string]string{"key": "sk_live_0123456789", "user": "ann:hunter2hunter2", "empty": "", "broken": "line\r\nX-Evil: 1"}[name]; ok {
		return v, nil
	}
	return "", fault.New(fault.ConfigInvalid, "there is no secret %s", name)
}

func open(t *testing.T, cfg outbound.Config) *outbound.Outbound {
	t.Helper()
	cfg.Secrets = secrets
	o, err := outbound.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(o.Close)
	return o
}

// client is one of a target that may be on this machine.
func client(t *testing.T, target outbound.Target) *outbound.Client {
	t.Helper()
	target.Private = true
	return strict(t, target)
}

func strict(t *testing.T, target outbound.Target) *outbound.Client {
	t.Helper()
	return of(t, open(t, outbound.Config{}), target)
}

func of(t *testing.T, o *outbound.Outbound, target outbound.Target) *outbound.Client {
	t.Helper()
	if target.Name == "" {
		target.Name = "payments"
	}
	c, err := o.Client(target)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func get(t *testing.T, c *outbound.Client, path string) *outbound.Response {
	t.Helper()
	resp, err := c.Do(t.Context(), &outbound.Request{Path: path})
	if err != nil {
		t.Fatal(err, fault.From(err).Cause)
	}
	return resp
}

// fails expects a fault of a code, with the status 502.
func fails(t *testing.T, err error, code fault.Code) {
	t.Helper()
	_ = failure(t, err, code, http.StatusBadGateway)
}

// failure is fails for a closer look.
func failure(t *testing.T, err error, code fault.Code, status int) *fault.Error {
	t.Helper()
	f := fault.From(err)
	if f == nil || f.Code != code || f.HTTPStatus() != status || !strings.Contains(f.Message, "payments") || f.Hint == "" {
		t.Fatalf("want %s %d: %+v", code, status, f)
	}
	return f
}

// names is a DNS server: each question takes the next list of addresses of its
// name, and the last one stays.
type names struct {
	mu      sync.Mutex
	answers map[string][][]string
}

func (n *names) next(name string) []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	lists := n.answers[name]
	if len(lists) == 0 {
		return nil
	}
	if len(lists) > 1 {
		n.answers[name] = lists[1:]
	}
	return lists[0]
}

// resolver serves the names over UDP on loopback. Only questions for A (or for
// AAAA, if the list has a colon) take an answer.
func resolver(t *testing.T, answers map[string][][]string) *net.Resolver {
	t.Helper()
	n := &names{answers: answers}
	conn, err := new(net.ListenConfig).ListenPacket(t.Context(), "udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	all.Go(func() {
		buf := make([]byte, 1500)
		for {
			size, from, err := conn.ReadFrom(buf)
			if err != nil {
				return
			}
			if reply := n.reply(buf[:size]); reply != nil {
				_, _ = conn.WriteTo(reply, from)
			}
		}
	})
	t.Cleanup(func() {
		_ = conn.Close()
		all.Wait()
	})
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "udp", conn.LocalAddr().String())
	}}
}

func (n *names) reply(query []byte) []byte {
	var m dnsmessage.Message
	if m.Unpack(query) != nil || len(m.Questions) != 1 {
		return nil
	}
	m.Response, m.RecursionAvailable, m.Additionals = true, true, nil
	q := m.Questions[0]
	wanted := n.peek(q.Name.String())
	six := len(wanted) > 0 && strings.Contains(wanted[0], ":")
	if six == (q.Type == dnsmessage.TypeAAAA) {
		for _, text := range n.next(q.Name.String()) {
			head := dnsmessage.ResourceHeader{Name: q.Name, Class: q.Class, Type: q.Type}
			addr := netip.MustParseAddr(text)
			if six {
				m.Answers = append(m.Answers, dnsmessage.Resource{Header: head, Body: &dnsmessage.AAAAResource{AAAA: addr.As16()}})
			} else {
				m.Answers = append(m.Answers, dnsmessage.Resource{Header: head, Body: &dnsmessage.AResource{A: addr.As4()}})
			}
		}
	}
	out, err := m.Pack()
	if err != nil {
		return nil
	}
	return out
}

func (n *names) peek(name string) []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	if lists := n.answers[name]; len(lists) > 0 {
		return lists[0]
	}
	return nil
}

// encoder writes attributes for comparison.
type encoder struct{}

// Encode implements attribute.Encoder.
func (encoder) Encode(it attribute.Iterator) string {
	var b strings.Builder
	for it.Next() {
		kv := it.Attribute()
		b.WriteString(string(kv.Key) + ":" + kv.Value.String() + " ")
	}
	return b.String()
}

// ID implements attribute.Encoder.
func (encoder) ID() attribute.EncoderID { return attribute.NewEncoderID() }
