package rpc

import (
	"strings"

	"github.com/jhump/protoreflect/v2/protoprint"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"

	"github.com/pandobase/pando/internal/model"
)

// File is a .proto file.
type File struct {
	Path string // with slashes, as other files import it
	Text string
}

// Files are the .proto files of a version, with comments: what `pando proto`
// writes. The text is the same for the same application and pando.lock.
func Files(v *model.View) ([]File, error) {
	s := newSchema(v)
	files, err := describing{source: true}.registry(s)
	if err != nil {
		return nil, err
	}
	printer := protoprint.Printer{Indent: "  "}
	out := make([]File, 0, len(s.files))
	for _, f := range s.files {
		fd, err := files.FindFileByPath(f.path)
		if err != nil {
			return nil, err
		}
		text := strings.Builder{}
		text.WriteString(header(fd))
		if err := printer.PrintProtoFile(fd, &text); err != nil {
			return nil, err
		}
		out = append(out, File{Path: f.path, Text: text.String()})
	}
	return out, nil
}

// Descriptors are the descriptors of a version's files, with comments, each behind
// those that it imports.
func Descriptors(v *model.View) []*descriptorpb.FileDescriptorProto {
	s := newSchema(v)
	out := make([]*descriptorpb.FileDescriptorProto, len(s.files))
	for i, f := range s.files {
		out[i] = describing{source: true}.file(f)
	}
	return out
}

func header(fd protoreflect.FileDescriptor) string {
	lines := []string{"// Made by `pando proto` from the application's modules and pando.lock."}
	if fd.Package() == filterPackage {
		lines = []string{"// Made by `pando proto`; it is the same for every application."}
	}
	return strings.Join(lines, "\n") + "\n\n"
}
