package matrix

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"
	"connectrpc.com/grpcreflect"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/dynamicpb"
)

// grpcClient speaks gRPC over HTTP/2, in messages whose descriptors the node has
// told by reflection.
type grpcClient struct {
	url   string
	http  *http.Client
	files *protoregistry.Files
	calls map[string]*connect.Client[dynamicpb.Message, dynamicpb.Message]
}

type dynamicRequest = connect.Request[dynamicpb.Message]

// reflected asks the node, as the service, for all descriptors.
func reflected(t *testing.T, n *node) *grpcClient {
	t.Helper()
	var protocols http.Protocols
	protocols.SetUnencryptedHTTP2(true)
	g := &grpcClient{url: n.url, http: &http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{Protocols: &protocols}}, calls: map[string]*connect.Client[dynamicpb.Message, dynamicpb.Message]{}}
	t.Cleanup(g.http.CloseIdleConnections)
	stream := grpcreflect.NewClient(g.http, n.url, connect.WithGRPC()).NewStream(t.Context(), grpcreflect.WithRequestHeaders(http.Header{"Apikey": {n.secret}}))
	defer func() { _, _ = stream.Close() }()
	names, err := stream.ListServices()
	if err != nil {
		t.Fatal(err)
	}
	set := &descriptorpb.FileDescriptorSet{}
	for _, name := range names {
		if !strings.HasPrefix(string(name), "pando.app.") {
			continue
		}
		files, err := stream.FileContainingSymbol(name)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		g.gather(t, stream, set, files)
	}
	if g.files, err = protodesc.NewFiles(set); err != nil {
		t.Fatal(err)
	}
	return g
}

// gather adds files with those that they import.
func (g *grpcClient) gather(t *testing.T, stream *grpcreflect.ClientStream, set *descriptorpb.FileDescriptorSet, files []*descriptorpb.FileDescriptorProto) {
	t.Helper()
	for _, f := range files {
		if slices.ContainsFunc(set.GetFile(), func(o *descriptorpb.FileDescriptorProto) bool { return o.GetName() == f.GetName() }) {
			continue
		}
		set.File = append(set.File, f)
		for _, path := range f.GetDependency() {
			more, err := stream.FileByFilename(path)
			if err != nil {
				t.Fatalf("%s: %v", path, err)
			}
			g.gather(t, stream, set, more)
		}
	}
}

// grpcSays: what reflection does not tell, a client cannot say.
func grpcSays(e *entity, q *ask) bool {
	hidden := func(name string) bool { return e.field(name).hidden }
	return rpcSays(e, q) && (!e.builtin || q.action == doRead) && !slices.ContainsFunc(q.columns, hidden) &&
		!slices.ContainsFunc(q.where, func(w cond) bool { return hidden(w.field) })
}

func grpcMethod(*ask) string { return http.MethodPost }

// grpcPut calls a method with the binary protocol. Rows without a count come in a
// stream.
func grpcPut(n *node, o *oracle, e *entity, q *ask) (*reply, error) {
	c := rpcMessage(e, q)
	stream := q.action == doRead && c.rows != "" && !q.count
	if stream {
		c.method = strings.Replace(c.method, "List", "Stream", 1)
		if size, ok := c.in["page_size"]; ok {
			delete(c.in, "page_size")
			c.in["limit"] = size
		}
	}
	in, err := json.Marshal(c.in)
	if err != nil {
		return nil, err
	}
	out := &reply{request: "gRPC " + c.path() + " " + string(in), status: http.StatusOK}
	desc, err := n.grpc.files.FindDescriptorByName(protoreflect.FullName(c.service + "." + c.method))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", c.path(), err)
	}
	method := desc.(protoreflect.MethodDescriptor) //nolint:forcetypeassert // it is the name of one
	msg := dynamicpb.NewMessage(method.Input())
	if err := (protojson.UnmarshalOptions{Resolver: dynamicpb.NewTypes(n.grpc.files)}).Unmarshal(in, msg); err != nil {
		return nil, fmt.Errorf("%s: %w", out.request, err)
	}
	req := connect.NewRequest(msg)
	if o.who.key != "" {
		req.Header().Set("Apikey", o.who.key)
	}
	if o.who.bearer != nil {
		req.Header().Set("Authorization", "Bearer "+o.who.bearer())
	}
	if stream {
		out.body, err = n.grpc.stream(c, method, req)
	} else {
		out.body, err = n.grpc.unary(c, method, req)
	}
	if fault, ok := errors.AsType[*connect.Error](err); ok {
		out.status = http.StatusBadRequest
		out.body, err = faultBody(fault)
	}
	return out, err
}

// client is that of a method; it is made once.
func (g *grpcClient) client(c *rpcCall, m protoreflect.MethodDescriptor) *connect.Client[dynamicpb.Message, dynamicpb.Message] {
	if have := g.calls[c.path()]; have != nil {
		return have
	}
	made := connect.NewClient[dynamicpb.Message, dynamicpb.Message](g.http, g.url+c.path(), connect.WithGRPC(), connect.WithSchema(m),
		connect.WithResponseInitializer(func(_ connect.Spec, msg any) error {
			*msg.(*dynamicpb.Message) = *dynamicpb.NewMessage(m.Output()) //nolint:forcetypeassert // the client's only type
			return nil
		}))
	g.calls[c.path()] = made
	return made
}

func (g *grpcClient) unary(c *rpcCall, m protoreflect.MethodDescriptor, req *dynamicRequest) ([]byte, error) {
	res, err := g.client(c, m).CallUnary(context.Background(), req)
	if err != nil {
		return nil, err
	}
	return protojson.MarshalOptions{UseProtoNames: true}.Marshal(res.Msg)
}

func (g *grpcClient) stream(c *rpcCall, m protoreflect.MethodDescriptor, req *dynamicRequest) ([]byte, error) {
	res, err := g.client(c, m).CallServerStream(context.Background(), req)
	if err != nil {
		return nil, err
	}
	defer func() { _ = res.Close() }()
	var rows [][]byte
	for res.Receive() {
		row, err := protojson.MarshalOptions{UseProtoNames: true}.Marshal(res.Msg())
		if err != nil {
			return nil, err
		}
		rows = append(rows, row)
	}
	if err := res.Err(); err != nil {
		return nil, err
	}
	return slices.Concat([]byte(`{"rows":[`), bytes.Join(rows, []byte(",")), []byte("]}")), nil
}

// faultBody is a fault as Connect has it in JSON.
func faultBody(fault *connect.Error) ([]byte, error) {
	type detail struct {
		Type  string `json:"type"`
		Value string `json:"value"`
	}
	var details []detail
	for _, d := range fault.Details() {
		details = append(details, detail{d.Type(), base64.RawStdEncoding.EncodeToString(d.Bytes())})
	}
	return json.Marshal(map[string]any{"code": fault.Code().String(), "details": details})
}
