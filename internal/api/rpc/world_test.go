package rpc_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/fstest"

	"connectrpc.com/connect"
	"github.com/bufbuild/protocompile"
	"github.com/bufbuild/protocompile/linker"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/dynamicpb"

	"github.com/pandobase/pando/internal/api/rpc"
	"github.com/pandobase/pando/internal/engine"
	"github.com/pandobase/pando/internal/engine/enginetest"
	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/model"
	"github.com/pandobase/pando/internal/operations"
	"github.com/pandobase/pando/internal/policy"
	"github.com/pandobase/pando/internal/store/teststore"
)

const shopModule = `
module: shop
doc: A shop.
entities:
  things:
    doc: What there is.
    fields:
      id:      { type: int, primary: true }
      name:    { type: text, max: 60 }
      price:   { type: decimal, scale: 2, optional: true }
      rate:    { type: float, optional: true }
      done:    { type: bool, default: false }
      kind:    { type: enum, values: [small, "very large"], default: small }
      key:     { type: uuid, optional: true }
      at:      { type: timestamp, optional: true }
      day:     { type: date, optional: true }
      hour:    { type: time, optional: true }
      meta:    { type: json, optional: true }
      raw:     { type: bytes, optional: true }
      tags:    { type: text, list: true, optional: true }
      sizes:   { type: int, list: true, optional: true }
      kinds:   { type: enum, values: [a, b], list: true, optional: true }
      cost:    { type: decimal, scale: 2, optional: true, read: "'staff' in auth.roles" }
      secret:  { type: text, optional: true, hidden: true }
      owner:   { type: text, default: nobody }
    unique: [[name]]
    search: [name]
    policy: { read: "true", create: "true", update: "row.owner != 'system'", delete: "row.owner != 'system'" }
  drops:
    fields: { id: { type: int, primary: true }, text: text }
    policy: { create: "true" }
  closed:
    fields: { id: { type: int, primary: true } }
operations:
  echo:
    doc: Says what it hears.
    run: go
    allow: "true"
    reads: true
    input:
      n: { type: int, optional: true }
      d: { type: decimal, scale: 2, optional: true }
      t: { type: text, optional: true }
      at: { type: timestamp, optional: true }
      j: { type: json, optional: true }
      kind: { type: enum, values: [x, y], optional: true }
      list: { type: int, list: true, optional: true }
      lines: { list: true, fields: { q: int, sub: { fields: { a: text }, optional: true } }, optional: true }
    output:
      fields:
        n: { type: int, optional: true }
        d: { type: decimal, scale: 2, optional: true }
        t: { type: text, optional: true }
        at: { type: timestamp, optional: true }
        j: { type: json, optional: true }
        kind: { type: enum, values: [x, y], optional: true }
        list: { type: int, list: true, optional: true }
        lines: { list: true, fields: { q: int, sub: { fields: { a: text }, optional: true } }, optional: true }
  sum:   { run: go, allow: "auth.uid != null", input: { n: int }, output: { list: true, fields: { n: int } } }
  thing: { run: go, allow: "true", input: { id: int }, output: things }
  all:   { run: go, allow: "true", output: { list: true, of: things } }
  quiet: { run: go, allow: "true" }
  fails: { run: go, allow: "true" }
`

// world is a door of the test application on a new store, behind a server of
// HTTP/1.1 and HTTP/2 on one port.
type world struct {
	t      testing.TB
	app    *model.App
	engine *engine.Engine
	door   *rpc.Door
	url    string
	files  linker.Files
	runs   int // of the operation quiet
}

func newWorld(t testing.TB) *world {
	t.Helper()
	return newWorldOf(t, fstest.MapFS{
		"pando.yaml":        {Data: []byte("app: test\nroles: { staff: {} }\nlimits: { rows: 50, body: 64KiB }\n")},
		"modules/shop.yaml": {Data: []byte(shopModule)},
	})
}

func newWorldOf(t testing.TB, files fstest.MapFS) *world {
	t.Helper()
	made := enginetest.New(t, teststore.Open(t), files)
	app, rules := made.App, made.Rules
	w := &world{t: t, app: app, engine: made.Engine()}
	answer := func(text string) operations.Func {
		return func(context.Context, *operations.Scope, []byte) ([]byte, error) { return []byte(text), nil }
	}
	const row = `{"id":7,"name":"seven","price":null,"rate":null,"done":true,"kind":"small","key":null,"at":null,"day":null,"hour":null,"meta":null,"raw":null,"tags":null,"sizes":null,"kinds":null,"owner":"o"}`
	ops := operations.New(operations.Config{Engine: w.engine, Rules: rules, Go: map[string]operations.Func{
		"shop.echo":  func(_ context.Context, _ *operations.Scope, in []byte) ([]byte, error) { return in, nil },
		"shop.sum":   answer(`[{"n":1},{"n":2}]`),
		"shop.thing": answer(row),
		"shop.all":   answer("[" + row + "," + row + "]"),
		"shop.quiet": func(context.Context, *operations.Scope, []byte) ([]byte, error) { w.runs++; return nil, nil },
		"shop.fails": func(context.Context, *operations.Scope, []byte) ([]byte, error) {
			return nil, io.ErrUnexpectedEOF
		},
	}})
	w.door = rpc.New(rpc.Config{Engine: w.engine, Operations: ops, Allows: rules.Allow, Authenticate: callerOf, Logger: slog.New(slog.DiscardHandler), RequestID: func(*http.Request) string { return "r1" }})
	var protocols http.Protocols
	protocols.SetHTTP1(true)
	protocols.SetUnencryptedHTTP2(true)
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv := &httptest.Server{Listener: listener, Config: &http.Server{Handler: w.door, Protocols: &protocols}}
	srv.Start()
	t.Cleanup(srv.Close)
	w.url = srv.URL
	w.compile("v1")
	return w
}

// callerOf takes the role that a test asks for from the key.
func callerOf(r *http.Request) (policy.Identity, error) {
	switch key := r.Header.Get("Apikey"); key {
	case "":
		return policy.Identity{}, fault.New(fault.InvalidCredential, "the key is not valid").WithHint("send one")
	case "service":
		return policy.Identity{Role: policy.Service, Key: "k"}, nil
	case "staff":
		return policy.Identity{Role: policy.Authenticated, UID: "0198f1c2-0000-7000-8000-000000000001", Roles: []string{"staff"}}, nil
	case "user":
		return policy.Identity{Role: policy.Authenticated, UID: "0198f1c2-0000-7000-8000-000000000002"}, nil
	}
	return policy.Identity{Role: policy.Anon, Key: "p"}, nil
}

// compile reads the .proto files that `pando proto` writes with another compiler
// than ours: they are what clients are made of.
func (w *world) compile(version string) {
	w.t.Helper()
	files, err := rpc.Files(w.app.View(version))
	if err != nil {
		w.t.Fatal(err)
	}
	sources, names := map[string]string{}, []string{}
	for _, f := range files {
		sources[f.Path] = f.Text
		names = append(names, f.Path)
	}
	compiler := protocompile.Compiler{Resolver: protocompile.WithStandardImports(&protocompile.SourceResolver{Accessor: protocompile.SourceAccessorFromMap(sources)})}
	if w.files, err = compiler.Compile(w.t.Context(), names...); err != nil {
		w.t.Fatal(err)
	}
}

// method finds a method of the module shop.
func (w *world) method(name string) protoreflect.MethodDescriptor {
	w.t.Helper()
	return w.methodOf("pando.app.shop.v1.ShopService", name)
}

func (w *world) methodOf(service, name string) protoreflect.MethodDescriptor {
	w.t.Helper()
	desc, err := w.files.AsResolver().FindDescriptorByName(protoreflect.FullName(service + "." + name))
	if err != nil {
		w.t.Fatalf("%s.%s: %v", service, name, err)
	}
	return desc.(protoreflect.MethodDescriptor)
}

// asked is a request of a test.
type asked struct {
	key     string // default: service
	options []connect.ClientOption
	header  http.Header
	ctx     context.Context
}

func (w *world) client(m protoreflect.MethodDescriptor, a *asked) *connect.Client[dynamicpb.Message, dynamicpb.Message] {
	var protocols http.Protocols
	protocols.SetUnencryptedHTTP2(true)
	transport := &http.Transport{Protocols: &protocols}
	w.t.Cleanup(transport.CloseIdleConnections)
	opts := append([]connect.ClientOption{
		connect.WithSchema(m),
		connect.WithResponseInitializer(func(spec connect.Spec, msg any) error {
			*msg.(*dynamicpb.Message) = *dynamicpb.NewMessage(m.Output())
			return nil
		}),
	}, a.options...)
	return connect.NewClient[dynamicpb.Message, dynamicpb.Message](&http.Client{Transport: transport}, w.url+"/"+string(m.Parent().FullName())+"/"+string(m.Name()), opts...)
}

func request(t testing.TB, m protoreflect.MethodDescriptor, a *asked, in string) *connect.Request[dynamicpb.Message] {
	t.Helper()
	msg := dynamicpb.NewMessage(m.Input())
	in, star := strings.CutSuffix(in, `,"update_mask":"*"}`) // which the JSON of masks cannot write
	if star {
		in += "}"
		mask := m.Input().Fields().ByName("update_mask")
		paths := msg.Mutable(mask).Message()
		paths.Mutable(mask.Message().Fields().ByName("paths")).List().Append(protoreflect.ValueOfString("*"))
		defer func(kept protoreflect.Value) { msg.Set(mask, kept) }(msg.Get(mask))
	}
	if err := protojson.Unmarshal([]byte(in), msg); err != nil {
		t.Fatalf("%s: %v", in, err)
	}
	req := connect.NewRequest(msg)
	maps.Copy(req.Header(), a.header)
	if a.key == "" {
		a.key = "service"
	}
	if a.key != "-" {
		req.Header().Set("Apikey", a.key)
	}
	if a.ctx == nil {
		a.ctx = t.Context()
	}
	return req
}

// call asks and returns the answer as JSON, compact.
func (w *world) call(name, in string, a asked) (string, *connect.Response[dynamicpb.Message], error) {
	w.t.Helper()
	return w.callOf(w.method(name), in, a)
}

type dynamicMessage = dynamicpb.Message

func (w *world) callOf(m protoreflect.MethodDescriptor, in string, a asked) (string, *connect.Response[dynamicMessage], error) {
	w.t.Helper()
	req := request(w.t, m, &a, in)
	res, err := w.client(m, &a).CallUnary(a.ctx, req)
	if err != nil {
		return "", nil, err
	}
	return show(w.t, res.Msg), res, nil
}

// ask is call, which has to go well.
func (w *world) ask(name, in string, a asked) string {
	w.t.Helper()
	out, _, err := w.call(name, in, a)
	if err != nil {
		w.t.Fatalf("%s %s: %v %v", name, in, err, detailsOf(w.t, err))
	}
	return out
}

func show(t testing.TB, msg proto.Message) string {
	t.Helper()
	out, err := protojson.MarshalOptions{UseProtoNames: true}.Marshal(msg)
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := json.Compact(&b, out); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// detailsOf are the details of an error as JSON.
func detailsOf(t testing.TB, err error) []string {
	t.Helper()
	var e *connect.Error
	if !asConnect(err, &e) {
		return nil
	}
	var out []string
	for _, d := range e.Details() {
		v, err := d.Value()
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, d.Type()+" "+show(t, v))
	}
	return out
}
