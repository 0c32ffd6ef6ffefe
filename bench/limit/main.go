// Command limit is the transport's limit: net/http, configured as Pando's edge
// configures it (internal/edge/server.go), answering a constant. What another server does of its
// requests a second is the share that is left for real work.
package main

import (
	"flag"
	"fmt"
	"net/http"
	"os"
	"strconv"
	"time"
)

func main() {
	listen := flag.String("listen", "127.0.0.1:0", "the address")
	flag.Parse()
	constant := []byte(`{"message":"Hello, World!"}`)
	length := []string{strconv.Itoa(len(constant))}
	kind := []string{"application/json"}
	protocols := &http.Protocols{}
	protocols.SetHTTP1(true)
	protocols.SetUnencryptedHTTP2(true)
	mux := http.NewServeMux()
	mux.HandleFunc("GET /constant", func(w http.ResponseWriter, _ *http.Request) {
		h := w.Header()
		h["Content-Type"], h["Content-Length"] = kind, length
		_, _ = w.Write(constant) // the generator sees a lost connection
	})
	server := &http.Server{
		Addr: *listen, Handler: mux, Protocols: protocols,
		ReadHeaderTimeout: 10 * time.Second, WriteTimeout: time.Minute, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 256 << 10,
	}
	fmt.Fprintln(os.Stderr, "limit:", server.ListenAndServe())
	os.Exit(1)
}
