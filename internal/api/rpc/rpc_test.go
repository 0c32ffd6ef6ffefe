package rpc_test

import (
	"errors"
	"testing"

	"connectrpc.com/connect"
)

func asConnect(err error, to **connect.Error) bool { return errors.As(err, to) }

// protocols are the ways in which every client may speak.
func protocols() map[string][]connect.ClientOption {
	return map[string][]connect.ClientOption{
		"grpc":         {connect.WithGRPC()},
		"grpc-web":     {connect.WithGRPCWeb()},
		"connect":      nil,
		"connect-json": {connect.WithProtoJSON()},
		"connect-get":  {connect.WithHTTPGet(), connect.WithIdempotency(connect.IdempotencyNoSideEffects)},
		"grpc-gzip":    {connect.WithGRPC(), connect.WithSendGzip()},
	}
}

const full = `{"id":"1","name":"Ünï \"q\" \\ \n","price":"12.50","rate":1.5,"done":true,"kind":"KIND_VERY_LARGE",` +
	`"key":"0198f1c2-0000-7000-8000-00000000000a","at":"2026-01-02T03:04:05.678900Z","day":"2026-01-02","hour":"03:04:05",` +
	`"meta":"{\"a\":[1,\"x\"],\"bb\":null}","raw":"AAH/","tags":["a","b,c"],"sizes":["1","-2"],"kinds":["KINDS_B","KINDS_A"],"cost":"3.00","owner":"nobody"}`

func TestRowsGoRoundOnEveryProtocol(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	if got := w.ask("CreateThings", `{"row":`+full+`}`, asked{}); got != full {
		t.Fatalf("created\n%s\nwant\n%s", got, full)
	}
	for name, opts := range protocols() {
		t.Run(name, func(t *testing.T) {
			a := asked{options: opts}
			if got := w.ask("GetThings", `{"id":"1"}`, a); got != full {
				t.Errorf("got\n%s\nwant\n%s", got, full)
			}
			if got, want := w.ask("ListThings", `{}`, a), `{"rows":[`+full+`]}`; got != want {
				t.Errorf("listed\n%s\nwant\n%s", got, want)
			}
			if got, want := w.ask("GetThings", `{"id":"1","read_mask":"name,kind"}`, a), `{"name":"Ünï \"q\" \\ \n","kind":"KIND_VERY_LARGE"}`; got != want {
				t.Errorf("masked\n%s\nwant\n%s", got, want)
			}
		})
	}
}
