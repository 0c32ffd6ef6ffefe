package rpc

import (
	"maps"
	"slices"
	"strings"
	"sync"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/reflect/protoregistry"

	"github.com/pandobase/pando/internal/model"
	"github.com/pandobase/pando/internal/query"
	"github.com/pandobase/pando/internal/value"
)

// schema is one version of an application as protobuf has it. It never changes.
type schema struct {
	view     *model.View
	filters  *filters
	files    []*file // each behind those that it imports
	services []*service
	methods  map[string]*method // by path
	registry func() (*protoregistry.Files, error)
}

// file is a .proto file.
type file struct {
	path     string
	pkg      string
	doc      string
	messages []*message
	enums    []*enum
	service  *service // nil: none
}

// service is a module's.
type service struct {
	module  *model.Module
	name    string
	full    string
	doc     string
	methods []*method
}

// entity is an entity with its messages.
type entity struct {
	model  *model.Entity
	target query.Target
	name   string // in the version
	row    *message
	filter *message
	key    *field // of row
}

// method is one method of a service.
type method struct {
	name       string
	path       string // /pando.app.orders.v1.OrdersService/GetOrders
	doc        string
	deprecated bool
	entity     *entity          // nil: it is an operation
	operation  *model.Operation // nil: it is an entity's
	in         *message
	out        *message // nil: google.protobuf.Empty
	rows       *field   // of out, where it holds many; nil: it is the one
	reads      bool
	stream     bool
	serve      handler
}

// The messages that protobuf brings along.
const (
	emptyName     = "google.protobuf.Empty"
	maskName      = "google.protobuf.FieldMask"
	timestampName = "google.protobuf.Timestamp"
)

// packagePrefix begins the packages of applications. app is literal, so that one
// client speaks to every copy of an application.
const packagePrefix = "pando.app."

// fieldMask is google.protobuf.FieldMask as the door reads it.
func fieldMask() *message {
	m := &message{name: "FieldMask", full: maskName}
	m.scalar(1, "paths", value.Text, "").list = true
	return m
}

// message adds a message to the file.
func (f *file) message(name, doc string) *message {
	m := &message{name: name, full: f.pkg + "." + name, file: f, doc: doc}
	f.messages = append(f.messages, m)
	return m
}

// child adds a message inside of another.
func (m *message) child(name, doc string) *message {
	c := &message{name: name, full: m.full + "." + name, file: m.file, doc: doc}
	m.nested = append(m.nested, c)
	return c
}

// newSchema makes a version's schema.
func newSchema(v *model.View) *schema {
	s := &schema{view: v, filters: newFilters(), methods: map[string]*method{}}
	s.registry = sync.OnceValues(func() (*protoregistry.Files, error) { return describing{}.registry(s) })
	s.files = append(s.files, s.filters.file)
	parts := make([]*part, 0, len(v.App.Modules))
	rows := map[*model.Entity]*entity{}
	for _, m := range v.App.Modules {
		p := s.newPart(m)
		for _, e := range m.Entities {
			if name, there := v.EntityName(e); there && !e.Internal {
				p.entities = append(p.entities, p.entity(e, name))
				rows[e] = p.entities[len(p.entities)-1]
			}
		}
		parts = append(parts, p)
		if len(p.rows.messages) > 0 {
			s.files = append(s.files, p.rows)
		}
	}
	for _, p := range parts { // behind all rows: operations answer those of other modules
		p.describe(rows)
		if len(p.service.methods) == 0 {
			continue
		}
		s.files = append(s.files, p.calls)
		s.services = append(s.services, p.service)
		for _, m := range p.service.methods {
			s.methods[m.path] = m
		}
	}
	return s
}

// part is a module on its way into the schema. Its rows lie in one file and its
// service in another, so that two modules whose operations answer each other's
// rows do not import each other in a circle.
type part struct {
	*schema
	module   *model.Module
	rows     *file
	calls    *file
	names    scope // of the package
	methods  scope
	service  *service
	entities []*entity
}

func (s *schema) newPart(m *model.Module) *part {
	pkg := packagePrefix + m.Name + "." + s.view.Version
	dir := strings.ReplaceAll(pkg, ".", "/") + "/" + m.Name
	p := &part{schema: s, module: m, names: scope{}, methods: scope{}}
	p.rows = &file{path: dir + ".proto", pkg: pkg, doc: m.Doc}
	p.calls = &file{path: dir + "_service.proto", pkg: pkg}
	name := p.names.take(pascal(m.Name)+"Service", "_")
	p.service = &service{module: m, name: name, full: pkg + "." + name, doc: m.Doc}
	p.calls.service = p.service
	return p
}

// entity makes the row and the filter of an entity.
func (p *part) entity(e *model.Entity, name string) *entity {
	out := &entity{model: e, name: name, target: query.Target{Module: e.Module.Name, Entity: e.Name}}
	out.row = p.rows.message(p.names.take(pascal(name), "_"), e.Doc)
	out.row.entity = out
	out.row.deprecated = e.Deprecated != nil
	out.row.doc = joined(e.Doc, deprecation(e.Deprecated))
	out.filter = p.rows.message(p.names.take(pascal(name)+"Filter", "_"), "Which "+name+": all conditions that are given have to hold.")
	out.filter.entity = out
	numbers := p.view.App.FieldNumbers(e)
	members, types := scope{}, scope{}
	for _, f := range e.Fields {
		shown, there := p.view.FieldName(f)
		if f.Inner() {
			continue
		}
		if !there {
			out.row.reserved = append(out.row.reserved, reserved{numbers[f.Name], f.Name})
			continue
		}
		out.row.add(&field{
			name: shown, json: f.Name, number: protowire.Number(numbers[f.Name]), typ: f.Type, list: f.Type.List, model: f, //nolint:gosec // the lock's numbers have 29 bits
			doc: fieldDoc(f), deprecated: f.Deprecated != nil,
		})
	}
	for gone, n := range numbers {
		if e.Field(gone) == nil {
			out.row.reserved = append(out.row.reserved, reserved{n, gone})
		}
	}
	out.row.sort()
	for _, f := range out.row.fields {
		f.name = members.member(f.name, int(f.number))
		f.typ.List = false
		if f.typ.Kind == value.Enum {
			p.wordsOf(out.row, f, types, p.view.App.EnumNumbers(f.model))
		}
		if f.model == e.Primary {
			out.key = f
		}
	}
	p.fillFilter(out)
	return out
}

// filterShift is what a filter's members are behind their fields: and, or and not
// come first.
const filterShift = 10

// filterNumber is the number of a field's member in a filter: one to one, and none
// of those that protobuf keeps for itself.
func filterNumber(n protowire.Number) protowire.Number {
	shifted := n + filterShift
	if n < protowire.FirstReservedNumber && shifted >= protowire.FirstReservedNumber {
		shifted += protowire.LastReservedNumber - protowire.FirstReservedNumber + 1
	}
	return shifted
}

// The members of a filter that combine others.
const (
	andNumber = 1
	orNumber  = 2
	notNumber = 3
)

func (p *part) fillFilter(e *entity) {
	m := e.filter
	m.object(andNumber, "and", m, "All of these.").list = true
	m.object(orNumber, "or", m, "One of these at least.").list = true
	m.object(notNumber, "not", m, "Not this.")
	types := scope{}
	for _, f := range e.row.fields {
		if f.model.Hidden {
			m.reserved = append(m.reserved, reserved{number: int(filterNumber(f.number))})
			continue
		}
		by := p.filters.of(value.Type{Kind: f.typ.Kind, List: f.list})
		if f.enum != nil {
			by = m.child(types.take(f.enum.name+"Filter", "_"), "Comparisons of "+f.name+".")
			list := p.filters.list(m.child(types.take(f.enum.name+"List", "_"), "A list."), &field{typ: value.Type{Kind: value.Enum}, enum: f.enum})
			by.model, list.model = f.model, f.model
			p.filters.fill(by, value.Type{Kind: value.Enum, List: f.list}, f.enum, list)
		}
		m.add(&field{name: f.name, json: f.json, number: filterNumber(f.number), message: by, model: f.model})
	}
	for _, r := range e.row.reserved {
		m.reserved = append(m.reserved, reserved{int(filterNumber(protowire.Number(r.number))), r.name}) //nolint:gosec // the lock's numbers have 29 bits
	}
	m.sort()
}

// wordsOf makes the enum of a field, inside of its message.
func (p *part) wordsOf(m *message, f *field, types scope, numbers model.Numbers) {
	name := types.take(pascal(f.name), "_")
	f.enum = newEnum(types, m.file, name, m.full+"."+name, f.typ.Values, numbers)
	f.enum.model = f.model
	m.enums = append(m.enums, f.enum)
}

// newEnum makes an enum of words. numbers has those that are gone too: their names
// are not given to others.
func newEnum(names scope, in *file, name, full string, words []string, numbers map[string]int) *enum {
	en := &enum{name: name, full: full, file: in, numbers: numbers, words: map[int]string{}}
	prefix := strings.ToUpper(underscored(name))
	en.zero = names.take(constant(prefix, "unspecified"), "_N")
	for _, word := range slices.SortedFunc(maps.Keys(numbers), func(a, b string) int { return numbers[a] - numbers[b] }) {
		n, known := numbers[word], names.take(constant(prefix, word), "_N")
		if !slices.Contains(words, word) {
			en.gone = append(en.gone, reserved{n, known})
			continue
		}
		en.words[n] = word
		en.values = append(en.values, enumValue{name: known, word: word, number: n})
	}
	return en
}

// underscored is the way back from [pascal].
func underscored(name string) string {
	var b strings.Builder
	for i := range len(name) {
		c := name[i]
		if c >= 'A' && c <= 'Z' && i > 0 {
			b.WriteByte('_')
		}
		b.WriteByte(c)
	}
	return b.String()
}

func joined(parts ...string) string {
	return strings.Join(slices.DeleteFunc(parts, func(s string) bool { return s == "" }), "\n\n")
}

func deprecation(d *model.Deprecated) string {
	if d == nil {
		return ""
	}
	s := "Deprecated"
	if d.Since != "" {
		s += " since " + d.Since
	}
	if d.Sunset != "" {
		s += ", gone after " + d.Sunset
	}
	if d.Use != "" {
		s += "; use " + d.Use
	}
	return s + "."
}

func fieldDoc(f *model.Field) string {
	var kind string
	switch {
	case f.Hidden:
		kind = "It is written and never answered."
	case f.Generated:
		kind = "The database makes it."
	case f.Ref != nil:
		kind = "The " + f.Ref.Target.Primary.Name + " of one of " + f.Ref.Target.QualifiedName() + "."
	}
	return joined(f.Doc, kind, typeDoc(f.Type), deprecation(f.Deprecated))
}

// typeDoc says what a string holds that is none.
func typeDoc(t value.Type) string {
	switch t.Kind {
	case value.UUID, value.Date, value.Time, value.Decimal:
		return "A " + t.String() + " as text."
	case value.JSON:
		return "JSON as text."
	case value.Text, value.Int, value.Float, value.Bool, value.Timestamp, value.Bytes, value.Enum, value.File, value.Invalid:
	}
	return ""
}
