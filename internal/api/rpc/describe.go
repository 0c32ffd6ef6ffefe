package rpc

import (
	"fmt"
	"slices"
	"strings"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/emptypb"
	"google.golang.org/protobuf/types/known/fieldmaskpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/pandobase/pando/internal/model"
	"github.com/pandobase/pando/internal/value"
)

// describing makes descriptors of a schema.
type describing struct {
	// see says what there is; nil: everything is.
	see *sight
	// source: comments and the names of what is gone are wanted too.
	source bool
}

// sight bounds what descriptors tell.
type sight struct {
	method func(*method) bool
	row    func(*entity) bool
	field  func(*model.Field) bool
}

// registry are the descriptors of schemas.
func (d describing) registry(schemas ...*schema) (*protoregistry.Files, error) {
	files := new(protoregistry.Files)
	for _, known := range []protoreflect.FileDescriptor{
		emptypb.File_google_protobuf_empty_proto, fieldmaskpb.File_google_protobuf_field_mask_proto, timestamppb.File_google_protobuf_timestamp_proto,
		durationpb.File_google_protobuf_duration_proto, errdetails.File_google_rpc_error_details_proto, // of faults
	} {
		if err := files.RegisterFile(known); err != nil {
			return nil, err
		}
	}
	for _, s := range schemas {
		for _, f := range s.files {
			if _, err := files.FindFileByPath(f.path); err == nil { // the filters, which all versions share
				continue
			}
			described := d.file(f)
			if d.see != nil && len(described.GetMessageType())+len(described.GetEnumType())+len(described.GetService()) == 0 {
				continue
			}
			fd, err := protodesc.NewFile(described, files)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", f.path, err)
			}
			if err := files.RegisterFile(fd); err != nil {
				return nil, err
			}
		}
	}
	return files, nil
}

// descriptor is the descriptor of a message.
func (s *schema) descriptor(m *message) (protoreflect.MessageDescriptor, error) {
	files, err := s.registry()
	if err != nil {
		return nil, err
	}
	desc, err := files.FindDescriptorByName(protoreflect.FullName(m.full))
	if err != nil {
		return nil, err
	}
	return desc.(protoreflect.MessageDescriptor), nil //nolint:forcetypeassert // only messages have such names
}

// The field numbers of descriptor.proto, which paths to comments are made of.
const (
	fileMessages, fileEnums, fileServices, filePackage = 4, 5, 6, 2
	messageFields, messageNested, messageEnums         = 2, 3, 4
	enumValues, serviceMethods                         = 2, 2
)

// fileDescriptor is a file on its way.
type fileDescriptor struct {
	describing

	proto    *descriptorpb.FileDescriptorProto
	comments *descriptorpb.SourceCodeInfo
	file     *file
}

func (d describing) file(f *file) *descriptorpb.FileDescriptorProto {
	out := &fileDescriptor{describing: d, file: f, comments: &descriptorpb.SourceCodeInfo{}}
	out.proto = &descriptorpb.FileDescriptorProto{Name: &f.path, Package: &f.pkg, Syntax: new("proto3")}
	out.comment(f.doc, filePackage)
	for _, m := range f.messages {
		if d.shows(m) {
			out.proto.MessageType = append(out.proto.MessageType, out.message(m, fileMessages, len(out.proto.MessageType)))
		}
	}
	for i, en := range f.enums {
		out.proto.EnumType = append(out.proto.EnumType, out.enum(en, fileEnums, i))
	}
	if f.service != nil {
		out.service(f.service)
	}
	slices.Sort(out.proto.Dependency)
	if d.source {
		out.proto.SourceCodeInfo = out.comments
	}
	return out.proto
}

// shows reports whether a message is told of.
func (d describing) shows(m *message) bool {
	if d.see == nil {
		return true
	}
	if m.entity != nil {
		return d.see.row(m.entity)
	}
	return m.method == nil || d.see.method(m.method)
}

// tells reports whether a field, if it is one of an entity, is told of.
func (d describing) tells(f *model.Field) bool { return d.see == nil || f == nil || d.see.field(f) }

// comment puts text before the thing at a path. Places grow from thing to thing: a
// printer goes by them.
func (d *fileDescriptor) comment(doc string, path ...int) {
	loc := &descriptorpb.SourceCodeInfo_Location{Span: []int32{int32(len(d.comments.Location)), 0, 0}} //nolint:gosec // as many as lines
	for _, p := range path {
		loc.Path = append(loc.Path, int32(p)) //nolint:gosec // places in a file
	}
	d.comments.Location = append(d.comments.Location, loc)
	if doc = strings.TrimSpace(doc); doc == "" {
		return
	}
	var lines strings.Builder
	for line := range strings.SplitSeq(doc, "\n") {
		lines.WriteString(strings.TrimRight(" "+strings.TrimSpace(line), " ") + "\n")
	}
	loc.LeadingComments = new(lines.String())
}

// need imports the file of a type.
func (d *fileDescriptor) need(path string) {
	if path != d.file.path && !slices.Contains(d.proto.Dependency, path) {
		d.proto.Dependency = append(d.proto.Dependency, path)
	}
}

// typeName names a message, and imports it.
func (d *fileDescriptor) typeName(m *message) *string {
	switch m.full {
	case maskName:
		d.need("google/protobuf/field_mask.proto")
	default:
		d.need(m.file.path)
	}
	return new("." + m.full)
}

func (d *fileDescriptor) message(m *message, path ...int) *descriptorpb.DescriptorProto {
	out := &descriptorpb.DescriptorProto{Name: &m.name}
	d.comment(m.doc, path...)
	if m.deprecated {
		out.Options = &descriptorpb.MessageOptions{Deprecated: new(true)}
	}
	if m.oneof != "" {
		out.OneofDecl = []*descriptorpb.OneofDescriptorProto{{Name: &m.oneof}}
	}
	hidden := m.reserved
	for _, n := range m.nested {
		if !d.tells(n.model) {
			continue
		}
		out.NestedType = append(out.NestedType, d.message(n, append(slices.Clip(path), messageNested, len(out.NestedType))...))
	}
	for _, en := range m.enums {
		if !d.tells(en.model) {
			continue
		}
		out.EnumType = append(out.EnumType, d.enum(en, append(slices.Clip(path), messageEnums, len(out.EnumType))...))
	}
	for _, f := range m.fields {
		if !d.tells(f.model) {
			hidden = append(slices.Clip(hidden), reserved{number: int(f.number)})
			continue
		}
		out.Field = append(out.Field, d.field(m, f, append(slices.Clip(path), messageFields, len(out.Field))...))
	}
	for _, f := range out.Field { // behind the oneof that is one
		if f.GetProto3Optional() {
			f.OneofIndex = new(int32(len(out.OneofDecl))) //nolint:gosec // as many as fields
			out.OneofDecl = append(out.OneofDecl, &descriptorpb.OneofDescriptorProto{Name: new("_" + f.GetName())})
		}
	}
	for _, r := range hidden {
		out.ReservedRange = append(out.ReservedRange, &descriptorpb.DescriptorProto_ReservedRange{Start: new(int32(r.number)), End: new(int32(r.number) + 1)}) //nolint:gosec // numbers have 29 bits
		if d.source && r.name != "" && m.byName(r.name) == nil {
			out.ReservedName = append(out.ReservedName, r.name)
		}
	}
	return out
}

//nolint:gochecknoglobals // a constant table
var scalarTypes = map[value.Kind]descriptorpb.FieldDescriptorProto_Type{
	value.Int: descriptorpb.FieldDescriptorProto_TYPE_INT64, value.Float: descriptorpb.FieldDescriptorProto_TYPE_DOUBLE,
	value.Bool: descriptorpb.FieldDescriptorProto_TYPE_BOOL, value.Bytes: descriptorpb.FieldDescriptorProto_TYPE_BYTES,
}

func (d *fileDescriptor) field(m *message, f *field, path ...int) *descriptorpb.FieldDescriptorProto {
	d.comment(f.doc, path...)
	label := descriptorpb.FieldDescriptorProto_LABEL_OPTIONAL
	if f.list {
		label = descriptorpb.FieldDescriptorProto_LABEL_REPEATED
	}
	out := &descriptorpb.FieldDescriptorProto{Name: &f.name, Number: new(int32(f.number)), Label: &label}
	if f.deprecated {
		out.Options = &descriptorpb.FieldOptions{Deprecated: new(true)}
	}
	switch {
	case f.message != nil:
		out.Type, out.TypeName = descriptorpb.FieldDescriptorProto_TYPE_MESSAGE.Enum(), d.typeName(f.message)
	case f.typ.Kind == value.Timestamp:
		d.need("google/protobuf/timestamp.proto")
		out.Type, out.TypeName = descriptorpb.FieldDescriptorProto_TYPE_MESSAGE.Enum(), new("."+timestampName)
	case f.enum != nil:
		d.need(f.enum.file.path)
		out.Type, out.TypeName = descriptorpb.FieldDescriptorProto_TYPE_ENUM.Enum(), new("."+f.enum.full)
	default:
		typ, ok := scalarTypes[f.typ.Kind]
		if !ok {
			typ = descriptorpb.FieldDescriptorProto_TYPE_STRING
		}
		out.Type = &typ
	}
	switch {
	case m.oneof != "":
		out.OneofIndex = new(int32(0))
	case !f.list && f.message == nil:
		out.Proto3Optional = new(true)
	}
	return out
}

func (d *fileDescriptor) enum(en *enum, path ...int) *descriptorpb.EnumDescriptorProto {
	d.comment(en.doc, path...)
	out := &descriptorpb.EnumDescriptorProto{Name: &en.name, Value: []*descriptorpb.EnumValueDescriptorProto{{Name: &en.zero, Number: new(int32(0))}}}
	d.comment("None.", append(slices.Clip(path), enumValues, 0)...)
	for i, v := range en.values {
		out.Value = append(out.Value, &descriptorpb.EnumValueDescriptorProto{Name: &v.name, Number: new(int32(v.number))}) //nolint:gosec // numbers have 29 bits
		d.comment(v.word+".", append(slices.Clip(path), enumValues, i+1)...)
	}
	for _, r := range en.gone {
		out.ReservedRange = append(out.ReservedRange, &descriptorpb.EnumDescriptorProto_EnumReservedRange{Start: new(int32(r.number)), End: new(int32(r.number))}) //nolint:gosec // as above
		if d.source {
			out.ReservedName = append(out.ReservedName, r.name)
		}
	}
	return out
}

func (d *fileDescriptor) service(s *service) {
	out := &descriptorpb.ServiceDescriptorProto{Name: &s.name}
	d.comment(s.doc, fileServices, 0)
	for _, m := range s.methods {
		if d.see != nil && !d.see.method(m) {
			continue
		}
		d.comment(m.doc, fileServices, 0, serviceMethods, len(out.Method))
		md := &descriptorpb.MethodDescriptorProto{Name: &m.name, InputType: d.typeName(m.in), Options: &descriptorpb.MethodOptions{}}
		if m.out == nil {
			d.need("google/protobuf/empty.proto")
			md.OutputType = new("." + emptyName)
		} else {
			md.OutputType = d.typeName(m.out)
		}
		if m.reads {
			md.Options.IdempotencyLevel = descriptorpb.MethodOptions_NO_SIDE_EFFECTS.Enum()
		}
		if m.deprecated {
			md.Options.Deprecated = new(true)
		}
		if m.stream {
			md.ServerStreaming = new(true)
		}
		out.Method = append(out.Method, md)
	}
	if len(out.Method) > 0 {
		d.proto.Service = []*descriptorpb.ServiceDescriptorProto{out}
	}
}
