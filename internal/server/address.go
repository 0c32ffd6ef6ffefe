package server

import (
	"context"
	"errors"
	"net"
	"strings"

	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/model"
)

// address is where a node is reached: what it listens on, and the URL that
// links, tokens and providers name.
type address struct {
	listen   string
	url      string
	listener net.Listener // where the port is the system's to choose: taken already
}

// findAddress decides the address of a node. The URL is pando.yaml's: never
// what a request's Host header says.
func findAddress(ctx context.Context, cfg *model.Config, listen string) (*address, error) {
	a := &address{listen: cfg.Listen, url: cfg.URL}
	if listen != "" {
		a.listen = listen
	}
	if a.url != "" {
		return a, nil
	}
	at := a.listen
	if strings.HasSuffix(at, ":0") {
		l, err := new(net.ListenConfig).Listen(ctx, "tcp", at)
		if err != nil {
			return nil, fault.Wrap(err, fault.ConfigInvalid, "listen: cannot listen on %s", at).WithDetails("%s", err)
		}
		a.listener, at = l, l.Addr().String()
	}
	url, err := publicURL(cfg, at)
	if err != nil {
		return nil, errors.Join(err, a.close())
	}
	a.url = url
	return a, nil
}

// publicURL is where clients reach what listens on an address.
func publicURL(cfg *model.Config, at string) (string, error) {
	if cfg.URL != "" {
		return cfg.URL, nil
	}
	host, port, err := net.SplitHostPort(at)
	if err != nil {
		return "", fault.Wrap(err, fault.ConfigInvalid, "listen: %s is no address", at).WithHint("write host:port")
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "localhost"
	}
	scheme := "http://"
	if cfg.TLS.Cert != "" {
		scheme = "https://"
	}
	return scheme + net.JoinHostPort(host, port), nil
}

// close gives up a listener that nobody took over.
func (a *address) close() error {
	if a.listener == nil {
		return nil
	}
	return a.listener.Close()
}
