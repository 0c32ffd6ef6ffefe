package rpc_test

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// BenchmarkGet measures a row by its key over gRPC, beside an answer of the same
// size that a handler of connect has at hand.
func BenchmarkGet(b *testing.B) {
	w := newWorld(b)
	w.ask("CreateThings", `{"row":`+full+`}`, asked{})
	m := w.method("GetThings")
	a := asked{key: "user", options: []connect.ClientOption{connect.WithGRPC()}}
	client := w.client(m, &a)
	one, err := client.CallUnary(b.Context(), request(b, m, &a, `{"id":"1"}`))
	if err != nil {
		b.Fatal(err)
	}
	size := proto.Size(one.Msg)

	// Both are asked by one client, which takes the answer as bytes.
	raw := func(path string) func(b *testing.B) {
		return func(b *testing.B) {
			c := connect.NewClient[wrapperspb.Int64Value, wrapperspb.BytesValue](clientOf(b), path, connect.WithGRPC(), connect.WithCodec(rawCodec{}))
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					req := connect.NewRequest(wrapperspb.Int64(1)) // field 1, as the key
					req.Header().Set("Apikey", "user")
					if _, err := c.CallUnary(context.Background(), req); err != nil {
						b.Error(err)
						return
					}
				}
			})
		}
	}
	answer := wrapperspb.Bytes(make([]byte, size))
	constant := connect.NewUnaryHandler("/x.X/Get", func(context.Context, *connect.Request[wrapperspb.Int64Value]) (*connect.Response[wrapperspb.BytesValue], error) {
		return connect.NewResponse(answer), nil
	})
	var protocols http.Protocols
	protocols.SetUnencryptedHTTP2(true)
	listener, err := (&net.ListenConfig{}).Listen(b.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	srv := &httptest.Server{Listener: listener, Config: &http.Server{Handler: constant, Protocols: &protocols}}
	srv.Start()
	b.Cleanup(srv.Close)
	b.Run("constant", raw(srv.URL+"/x.X/Get"))
	b.Run("row", raw(w.url+"/pando.app.shop.v1.ShopService/GetThings"))
}

func clientOf(b *testing.B) *http.Client {
	b.Helper()
	var protocols http.Protocols
	protocols.SetUnencryptedHTTP2(true)
	transport := &http.Transport{Protocols: &protocols}
	b.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

// rawCodec leaves answers as they are.
type rawCodec struct{}

// Name implements [connect.Codec].
func (rawCodec) Name() string { return "proto" }

// Marshal implements [connect.Codec].
func (rawCodec) Marshal(msg any) ([]byte, error) { return proto.Marshal(msg.(proto.Message)) }

// Unmarshal implements [connect.Codec].
func (rawCodec) Unmarshal(data []byte, msg any) error {
	if v, ok := msg.(*wrapperspb.BytesValue); ok {
		v.Value = append([]byte{}, data...)
		return nil
	}
	return proto.Unmarshal(data, msg.(proto.Message))
}
