package model

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"go.yaml.in/yaml/v4"
	"go.yaml.in/yaml/v4/plugin/loaderlimits"
)

// The limits of one file. They bound memory and time against hostile files;
// aliases are refused altogether, so that no small file unfolds into a big one.
const (
	maxFileSize = 1 << 20
	maxDepth    = 64
)

// The short tags of YAML's core schema that the language uses.
const (
	tagText      = "!!str"
	tagInt       = "!!int"
	tagFloat     = "!!float"
	tagBool      = "!!bool"
	tagNull      = "!!null"
	tagTimestamp = "!!timestamp"
)

// document is one YAML file with where to report its problems.
type document struct {
	file   string
	src    string
	root   *yaml.Node // nil: the file is empty
	report *report
	// origins names the environment variable that a node was made from.
	origins map[*yaml.Node]string
	lines   []string // of src, made when first asked for
}

// readDocument reads and parses a file. It fails when the file cannot be used
// at all; the reason is reported. A file that is not there is an
// fs.ErrNotExist and is not reported.
func readDocument(fsys fs.FS, name string, r *report) (*document, error) {
	d := &document{file: name, report: r}
	f, err := fsys.Open(name)
	if err != nil {
		if !errors.Is(err, fs.ErrNotExist) {
			r.add(Pos{File: name}, "", "cannot be read: %s", reason(err))
		}
		return nil, err
	}
	defer f.Close() //nolint:errcheck // read only
	data, err := io.ReadAll(io.LimitReader(f, maxFileSize+1))
	if err != nil {
		r.add(Pos{File: name}, "", "cannot be read: %s", reason(err))
		return nil, err
	}
	if err := d.parse(data); err != nil {
		return nil, err
	}
	return d, nil
}

// reason is the error without the path, which the place names already.
func reason(err error) string {
	if p, ok := errors.AsType[*fs.PathError](err); ok {
		return p.Err.Error()
	}
	return err.Error()
}

// errUnusable: the file cannot be used; the problem is in the report.
var errUnusable = errors.New("file not usable")

func (d *document) parse(data []byte) error {
	if len(data) > maxFileSize {
		d.report.add(Pos{File: d.file}, "split the module", "the file is larger than %d bytes", maxFileSize)
		return errUnusable
	}
	if !utf8.Valid(data) {
		d.report.add(d.invalidUTF8(data), "save the file as UTF-8", "not valid UTF-8")
		return errUnusable
	}
	d.src = string(data)
	var docs []yaml.Node
	err := yaml.Load(data, &docs, yaml.WithAllDocuments(),
		yaml.WithPlugin(loaderlimits.New(loaderlimits.DepthValue(maxDepth))))
	if err != nil {
		d.syntaxProblem(err)
		return errUnusable
	}
	if len(docs) == 0 {
		return nil
	}
	if len(docs) > 1 {
		d.report.add(d.pos(&docs[1]), "one file holds one document", "a second YAML document")
		return errUnusable
	}
	root := &docs[0]
	if root.Kind == yaml.DocumentNode {
		if len(root.Content) == 0 {
			return nil
		}
		root = root.Content[0]
	}
	if !d.plain(root) {
		return errUnusable
	}
	if root.Kind != yaml.ScalarNode || root.ShortTag() != tagNull {
		d.root = root
	}
	return nil
}

func (d *document) invalidUTF8(data []byte) Pos {
	line, column := 1, 1
	for len(data) > 0 {
		c, size := utf8.DecodeRune(data)
		if c == utf8.RuneError && size == 1 {
			break
		}
		column++
		if c == '\n' {
			line, column = line+1, 1
		}
		data = data[size:]
	}
	return Pos{File: d.file, Line: line, Column: column}
}

func (d *document) syntaxProblem(err error) {
	pos := Pos{File: d.file, Line: 1, Column: 1}
	message := err.Error()
	if le, ok := errors.AsType[*yaml.LoadError](err); ok {
		message = le.Message
		switch {
		case le.Mark.Line > 0:
			pos.Line, pos.Column = le.Mark.Line, max(1, le.Mark.Column)
		case le.ContextMark.Line > 0:
			pos.Line, pos.Column = le.ContextMark.Line, max(1, le.ContextMark.Column)
		}
		if le.ContextMsg != "" {
			message = le.ContextMsg + ", " + message
		}
	}
	d.report.add(pos, "", "not valid YAML: %s", message)
}

// plain refuses aliases, anchors and tags anywhere in the tree.
func (d *document) plain(n *yaml.Node) bool {
	ok := true
	switch {
	case n.Kind == yaml.AliasNode:
		d.report.add(d.pos(n), "write the value out", "YAML aliases are not accepted")
		return false
	case n.Anchor != "":
		d.report.add(d.pos(n), "write the value out where it is needed", "YAML anchors are not accepted")
		ok = false
	case n.Style&yaml.TaggedStyle != 0:
		d.report.add(d.pos(n), "leave the tag out", "YAML tags are not accepted")
		ok = false
	}
	for _, c := range n.Content {
		if !d.plain(c) {
			ok = false
		}
	}
	return ok
}

// pos is where the node stands.
func (d *document) pos(n *yaml.Node) Pos {
	if n == nil {
		return Pos{File: d.file}
	}
	if variable, ok := d.origins[n]; ok {
		return Pos{File: variable}
	}
	return Pos{File: d.file, Line: n.Line, Column: n.Column}
}

// start is where the first character of a scalar's content stands: behind the
// quote, or on the first line of a block.
func (d *document) start(n *yaml.Node) Pos {
	pos := d.pos(n)
	switch {
	case pos.Line == 0:
	case n.Style&(yaml.SingleQuotedStyle|yaml.DoubleQuotedStyle) != 0:
		pos.Column++
	case n.Style&(yaml.LiteralStyle|yaml.FoldedStyle) != 0:
		if d.lines == nil {
			d.lines = strings.Split(d.src, "\n")
		}
		for i := pos.Line; i < len(d.lines); i++ {
			text := strings.TrimRightFunc(d.lines[i], unicode.IsSpace)
			if text == "" {
				continue
			}
			pos.Line = i + 1
			pos.Column = len(text) - len(strings.TrimLeft(text, " ")) + 1
			break
		}
	}
	return pos
}

// problem reports what the JSON Schema cannot see.
func (d *document) problem(n *yaml.Node, hint, format string, args ...any) {
	d.report.add(d.pos(n), hint, format, args...)
}

// mismatch reports what the JSON Schema refuses too.
func (d *document) mismatch(n *yaml.Node, hint, format string, args ...any) {
	d.report.addStructural(d.pos(n), hint, format, args...)
}

// describe names what a node is, for "expected ..., not ...".
func describe(n *yaml.Node) string {
	if n.Kind == yaml.MappingNode {
		return "a mapping"
	}
	if n.Kind == yaml.SequenceNode {
		return "a list"
	}
	switch n.ShortTag() {
	case tagNull:
		return "nothing"
	case tagInt, tagFloat:
		return "the number " + shorten(n.Value)
	case tagBool:
		return n.Value
	}
	return shorten(strconv.Quote(n.Value))
}

// shorten keeps a message to one readable line whatever the file holds.
func shorten(s string) string {
	const limit = 60
	if utf8.RuneCountInString(s) <= limit {
		return s
	}
	return string([]rune(s)[:limit-3]) + "..."
}

// quote is a name from a file as a message shows it.
func quote(s string) string { return shorten(fmt.Sprintf("%q", s)) }
