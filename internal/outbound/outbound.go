// Package outbound is the only way out of the process for what an application
// sends: one bounded client for each named target.
//
// A call stays below its target's base URL and reaches no address that is not
// the public internet's, unless the target says so: the address is judged when
// it is dialled, so that neither a name with several answers, nor one that
// changes, nor a redirect leads elsewhere. The target's secret is put in when
// the request leaves; code never sees it, and where the answer repeats it, it is
// masked. Tries, time, concurrency, bytes and headers are bounded. Proxies of
// the environment are not asked.
package outbound

import (
	"context"
	"crypto/rand"
	"crypto/x509"
	"io"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"

	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/metric/noop"

	"github.com/pandobase/pando/internal/fault"
)

// Config says what the clients stand on.
type Config struct {
	Now    func() time.Time // default time.Now
	Random io.Reader        // of jitter and idempotency keys; default crypto/rand
	// Secrets looks a secret up by its name, at each call. Default: there are none.
	Secrets func(name string) (string, error)
	Meter   metric.Meter // default: nothing is measured
	Log     *slog.Logger // of breakers that open and close; default: none
	// Inject adds the headers of the caller's trace. Default: none.
	Inject func(ctx context.Context, h http.Header)

	Resolver *net.Resolver  // default: the system's
	Roots    *x509.CertPool // of servers' certificates; default: the system's
}

// Outbound makes clients. It is safe for concurrent use.
type Outbound struct {
	cfg    Config
	meters *meters

	random  sync.Mutex // of cfg.Random
	mu      sync.Mutex
	clients []*Client
}

// New returns an Outbound without clients.
func New(c Config) (*Outbound, error) {
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Random == nil {
		c.Random = rand.Reader
	}
	if c.Secrets == nil {
		c.Secrets = func(name string) (string, error) {
			return "", fault.New(fault.ConfigInvalid, "there is no secret %s", name)
		}
	}
	if c.Meter == nil {
		c.Meter = noop.NewMeterProvider().Meter("")
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	o := &Outbound{cfg: c}
	var err error
	if o.meters, err = newMeters(c.Meter, o.list); err != nil {
		return nil, err
	}
	return o, nil
}

// list is the open clients.
func (o *Outbound) list() []*Client {
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.Clone(o.clients)
}

// Close closes every client.
func (o *Outbound) Close() {
	for _, c := range o.list() {
		c.Close()
	}
	o.meters.close()
}

// read fills p with randomness.
func (o *Outbound) read(p []byte) {
	o.random.Lock()
	defer o.random.Unlock()
	if _, err := io.ReadFull(o.cfg.Random, p); err != nil {
		panic("outbound: no randomness: " + err.Error()) // nothing safe can follow
	}
}

// fraction is a random number in [0, 1).
func (o *Outbound) fraction() float64 {
	var b [4]byte
	o.read(b[:])
	return float64(uint32(b[0])<<24|uint32(b[1])<<16|uint32(b[2])<<8|uint32(b[3])) / (1 << 32)
}
