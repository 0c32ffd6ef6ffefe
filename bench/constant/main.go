// Command constant is a unary method of connect-go that answers the same bytes
// always, served as Pando's edge is (internal/edge/server.go): what is left of
// it is the share of real work in a call. It speaks what connect-go speaks:
// gRPC, gRPC-Web and Connect, over HTTP/1.1 and HTTP/2.
package main

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"net/http"
	"os"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// method takes a message whose field 1 is a text and answers one whose field 1
// is bytes.
const method = "/pando.bench.v1.ConstantService/Get"

func main() {
	listen := flag.String("listen", "127.0.0.1:0", "the address")
	size := flag.Int("size", 150, "of the message that is answered, in bytes; from 131 to 16386")
	flag.Parse()
	constant := bytes.Repeat([]byte("x"), *size-3) // less the tag and two bytes of length
	mux := http.NewServeMux()
	mux.Handle(method, connect.NewUnaryHandler(method, func(context.Context, *connect.Request[wrapperspb.StringValue]) (*connect.Response[wrapperspb.BytesValue], error) {
		return connect.NewResponse(wrapperspb.Bytes(constant)), nil
	}, connect.WithCompressMinBytes(1<<10)))
	mux.HandleFunc("GET /readyz", func(http.ResponseWriter, *http.Request) {})
	protocols := &http.Protocols{}
	protocols.SetHTTP1(true)
	protocols.SetUnencryptedHTTP2(true)
	server := &http.Server{
		Addr: *listen, Handler: mux, Protocols: protocols,
		ReadHeaderTimeout: 10 * time.Second, WriteTimeout: time.Minute, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 256 << 10,
	}
	fmt.Fprintln(os.Stderr, "constant:", server.ListenAndServe())
	os.Exit(1)
}
