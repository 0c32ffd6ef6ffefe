package rpc

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/dynamicpb"

	"github.com/pandobase/pando/internal/fault"
)

// frame is a message as it goes over the wire. A request of JSON is read where a
// fault of it can be told as one.
type frame struct {
	schema  *schema
	message *message // nil: google.protobuf.Empty
	wire    []byte
	json    []byte // of a request that came as JSON; nil: it did not
}

// protoCodec passes messages as they are.
type protoCodec struct{}

var _ connect.Codec = protoCodec{}

// Name implements [connect.Codec].
func (protoCodec) Name() string { return "proto" }

// Marshal implements [connect.Codec].
func (c protoCodec) Marshal(msg any) ([]byte, error) { return c.MarshalAppend(nil, msg) }

// MarshalAppend is what connect prefers to Marshal. The details of faults are
// ordinary messages.
func (protoCodec) MarshalAppend(dst []byte, msg any) ([]byte, error) {
	switch msg := msg.(type) {
	case *frame:
		return append(dst, msg.wire...), nil
	case proto.Message:
		return proto.MarshalOptions{}.MarshalAppend(dst, msg)
	}
	return nil, fmt.Errorf("%T is no message", msg)
}

// Unmarshal implements [connect.Codec]. The bytes are the caller's to use again.
func (protoCodec) Unmarshal(data []byte, msg any) error {
	f, ok := msg.(*frame)
	if !ok {
		return fmt.Errorf("%T is no message", msg)
	}
	f.wire = bytes.Clone(data)
	return nil
}

// jsonCodec speaks protobuf's JSON, with the fields named as they are in the
// model.
type jsonCodec struct{ name string }

var _ connect.Codec = jsonCodec{}

// Name implements [connect.Codec].
func (c jsonCodec) Name() string { return c.name }

// Marshal implements [connect.Codec].
func (jsonCodec) Marshal(msg any) ([]byte, error) {
	options := protojson.MarshalOptions{UseProtoNames: true}
	f, ok := msg.(*frame)
	if !ok {
		m, ok := msg.(proto.Message)
		if !ok {
			return nil, fmt.Errorf("%T is no message", msg)
		}
		return options.Marshal(m)
	}
	if f.message == nil {
		return []byte("{}"), nil
	}
	desc, err := f.schema.descriptor(f.message)
	if err != nil {
		return nil, err
	}
	m := dynamicpb.NewMessage(desc)
	if err := proto.Unmarshal(f.wire, m); err != nil {
		return nil, err
	}
	out, err := options.Marshal(m)
	if err != nil {
		return nil, err
	}
	var compact bytes.Buffer // the library puts blanks in at random
	err = json.Compact(&compact, out)
	return compact.Bytes(), err
}

// Unmarshal implements [connect.Codec].
func (jsonCodec) Unmarshal(data []byte, msg any) error {
	f, ok := msg.(*frame)
	if !ok {
		return fmt.Errorf("%T is no message", msg)
	}
	f.json = append(make([]byte, 0, len(data)), data...)
	return nil
}

// read is the message that was sent.
func (f *frame) read() (*given, error) {
	if f.json != nil {
		desc, err := f.schema.descriptor(f.message)
		if err != nil {
			return nil, err
		}
		m := dynamicpb.NewMessage(desc)
		if err := protojson.Unmarshal(f.json, m); err != nil {
			return nil, fault.New(fault.InvalidBody, "the message is no %s", f.message.full).WithDetails("%s", plainly(err)).
				WithHint("fields are named as in the model; numbers of 64 bits may be texts")
		}
		if f.wire, err = proto.Marshal(m); err != nil {
			return nil, fault.New(fault.InvalidBody, "the message is no %s", f.message.full).WithDetails("%s", plainly(err))
		}
	}
	return f.message.read(f.wire)
}

// plainly is an error of the protobuf library without the blank by which it keeps
// programs from relying on its texts.
func plainly(err error) string {
	s := []byte(err.Error())
	return string(bytes.ReplaceAll(bytes.TrimPrefix(s, []byte("proto:")), []byte("\u00a0"), []byte(" ")))
}

// faultyBody gives the edge's faults on as connect knows errors, so that a body
// that is too large is told as that.
type faultyBody struct {
	io.ReadCloser

	door *Door
	r    *http.Request
}

// Read implements [io.Reader].
func (b faultyBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if f, ok := err.(*fault.Error); ok { //nolint:errorlint // io.EOF and friends have to stay what they are
		return n, b.door.fault(b.r, nil, f)
	}
	return n, err
}
