package model

import (
	"cmp"
	"errors"
	"io/fs"
	"maps"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v4"

	"github.com/pandobase/pando/internal/value"
)

// The numbers of protobuf fields: 1 to 2^29-1 without those that protobuf
// keeps for itself (https://protobuf.dev/programming-guides/proto3/#assigning).
// The last thousand are left free: filters have their fields' numbers and some
// before them.
const (
	lastFieldNumber     = 1<<29 - 1001
	firstReservedNumber = 19000
	lastReservedNumber  = 19999
)

type rawLock struct {
	owners  at[[]entry[string]]
	numbers at[[]entry[[]entry[int]]]
}

func lockSpec() spec[rawLock] {
	return object("pando.lock",
		bind("owners", "", mapping("owners", identifier("an entity's name"), identifier("a module's name")),
			func(l *rawLock) *at[[]entry[string]] { return &l.owners }),
		bind("numbers", "", mapping("numbers", pattern("what has numbers", `^[a-z][a-z0-9_]*\.[a-z][a-z0-9_]*(\(\))?(\.[a-z][a-z0-9_]*)*$`, "module.entity, module.entity.field, module.operation().input"),
			mapping("numbers", text("a name"), integer(1, lastFieldNumber))),
			func(l *rawLock) *at[[]entry[[]entry[int]]] { return &l.numbers }),
	)
}

func (l *loader) loadLock(g *grammar) {
	lock := &Lock{Owners: map[string]string{}, Numbers: map[string]map[string]int{}}
	l.app.Lock = lock
	d, err := readDocument(l.fsys, LockFile, l.report)
	if err != nil {
		if !errors.Is(err, fs.ErrNotExist) {
			l.report.problems[len(l.report.problems)-1].Hint = "take the committed file; Pando writes it"
		}
		return
	}
	l.app.lockSource = d.src
	if d.root == nil {
		return
	}
	raw, _ := g.lock.decode(d, d.root)
	for _, o := range raw.owners.v {
		lock.Owners[o.name] = o.v
	}
	for _, e := range raw.numbers.v {
		numbers := make(map[string]int, len(e.v))
		used := make(map[int]string, len(e.v))
		for _, f := range e.v {
			if other, twice := used[f.v]; twice && f.ok {
				d.problem(f.n, "a number belongs to one field for ever", "%s has the number %d of %s", f.name, f.v, other)
			}
			used[f.v] = f.name
			numbers[f.name] = f.v
		}
		lock.Numbers[e.name] = numbers
	}
}

// candidates groups the entities that doors serve by name.
func (a *App) candidates() map[string][]*Entity {
	out := map[string][]*Entity{}
	for _, m := range a.Modules {
		for _, e := range m.Entities {
			if !m.Builtin {
				out[e.Name] = append(out[e.Name], e)
			}
		}
	}
	return out
}

// nameUnqualified decides what an entity's name means without a module: the
// one entity of that name, or the one whose module had it first. A name that
// several modules gained at once means none of them.
func (a *App) nameUnqualified() {
	for name, entities := range a.candidates() {
		owner := a.Lock.Owners[name]
		for _, e := range entities {
			if len(entities) == 1 || e.Module.Name == owner {
				a.unqualified[name] = e
			}
		}
	}
}

// UpdatedLock returns pando.lock as it must be for this application: the file
// that was read with the first owner of each new entity name and a protobuf
// number for each new field, enum value, and member of what operations take and
// answer. What is in the file stays: a number is never used again, also when its
// field is gone, and what is renamed (was) keeps its number. changed tells
// whether data differs from the file that was read. The bytes are the same for
// the same application and file.
func (a *App) UpdatedLock() (data []byte, changed bool) {
	data = a.fixed().encode()
	return data, string(data) != a.lockSource
}

// Unlocked lists what has no number in pando.lock yet, as module.entity.field,
// sorted, and reports whether there is such a file at all.
func (a *App) Unlocked() (names []string, written bool) {
	for key, numbers := range a.fixed().Numbers {
		was := a.Lock.Numbers[key]
		for name, n := range numbers {
			if was[name] != n {
				names = append(names, key+"."+name)
			}
		}
	}
	slices.Sort(names)
	return names, a.lockSource != ""
}

// newLock is the lock that the application goes by: the file's, completed.
func (a *App) newLock() *Lock {
	next := &Lock{Owners: maps.Clone(a.Lock.Owners), Numbers: make(map[string]map[string]int, len(a.Lock.Numbers))}
	for name, numbers := range a.Lock.Numbers {
		next.Numbers[name] = maps.Clone(numbers)
	}
	for name, e := range a.unqualified {
		next.Owners[name] = e.Module.Name
	}
	for _, m := range a.Modules {
		if m.Builtin {
			continue
		}
		for _, e := range m.Entities {
			next.entity(e)
		}
		for _, o := range m.Operations {
			next.operation(o)
		}
	}
	return next
}

// Numbers are the protobuf numbers of the members of one thing, by name: an
// entity's fields, an enum's values, or what an operation takes or answers. Those
// of what is gone are among them.
type Numbers map[string]int

// FieldNumbers are the numbers of an entity's fields. Those of a built-in entity
// are their places, which Pando's versions keep.
func (a *App) FieldNumbers(e *Entity) Numbers {
	if !e.Module.Builtin {
		return a.fixed().Numbers[e.QualifiedName()]
	}
	numbers := make(Numbers, len(e.Fields))
	for i, f := range e.Fields {
		numbers[f.Name] = i + 1
	}
	return numbers
}

// EnumNumbers are the numbers of an enum's values.
func (a *App) EnumNumbers(f *Field) Numbers {
	return a.fixed().Numbers[f.Entity.QualifiedName()+"."+f.Name]
}

// InputNumbers are the numbers of what an operation takes. Path leads to an
// object, or to an enum, inside of it.
func (a *App) InputNumbers(o *Operation, path ...string) Numbers {
	return a.fixed().Numbers[strings.Join(append([]string{inputKey(o)}, path...), ".")]
}

// OutputNumbers are the numbers of what an operation answers that is no row.
func (a *App) OutputNumbers(o *Operation, path ...string) Numbers {
	return a.fixed().Numbers[strings.Join(append([]string{outputKey(o)}, path...), ".")]
}

// An operation may have the name of an entity: the brackets keep them apart.
func operationKey(o *Operation) string { return o.QualifiedName() + "()" }
func inputKey(o *Operation) string     { return operationKey(o) + ".input" }
func outputKey(o *Operation) string    { return operationKey(o) + ".output" }

// entity gives each field of the entity and each value of its enums a number.
func (l *Lock) entity(e *Entity) {
	name := e.QualifiedName()
	if e.Was != "" {
		l.move(e.Module.Name+"."+e.Was, name)
	}
	numbers := l.numbers(name, len(e.Fields))
	for _, f := range e.Fields {
		if n, renamed := numbers[f.Was]; renamed && numbers[f.Name] == 0 && e.fields[f.Was] == nil {
			delete(numbers, f.Was)
			numbers[f.Name] = n
			l.move(name+"."+f.Was, name+"."+f.Name)
		}
	}
	for _, f := range e.Fields {
		number(numbers, f.Name)
		if f.Type.Kind == value.Enum {
			l.words(name+"."+f.Name, f.Type.Values)
		}
	}
}

func (l *Lock) operation(o *Operation) {
	if o.Was != "" {
		l.move(o.Module.Name+"."+o.Was+"()", operationKey(o))
	}
	if len(o.Input) > 0 {
		l.params(inputKey(o), o.Input)
	}
	if o.Output != nil && o.Output.Entity == nil {
		l.params(outputKey(o), o.Output.Fields)
	}
}

func (l *Lock) params(key string, params []*Param) {
	numbers := l.numbers(key, len(params))
	for _, p := range params {
		number(numbers, p.Name)
		switch {
		case p.Fields != nil:
			l.params(key+"."+p.Name, p.Fields)
		case p.Type.Kind == value.Enum:
			l.words(key+"."+p.Name, p.Type.Values)
		}
	}
}

func (l *Lock) words(key string, words []string) {
	numbers := l.numbers(key, len(words))
	for _, w := range words {
		number(numbers, w)
	}
}

func (l *Lock) numbers(key string, size int) map[string]int {
	numbers := l.Numbers[key]
	if numbers == nil {
		numbers = make(map[string]int, size)
		l.Numbers[key] = numbers
	}
	return numbers
}

// move gives the numbers of one thing, and of all below it, to another that has
// none.
func (l *Lock) move(from, to string) {
	if l.Numbers[from] == nil && !strings.HasSuffix(from, "()") || l.Numbers[to] != nil {
		return
	}
	for key, numbers := range l.Numbers {
		if rest, below := strings.CutPrefix(key, from); below && (rest == "" || rest[0] == '.') && l.Numbers[to+rest] == nil {
			l.Numbers[to+rest] = numbers
			delete(l.Numbers, key)
		}
	}
}

// number gives a name the next number, unless it has one.
func number(numbers map[string]int, name string) {
	if numbers[name] != 0 {
		return
	}
	next := 0
	for _, n := range numbers {
		next = max(next, n)
	}
	next++
	if next >= firstReservedNumber && next <= lastReservedNumber {
		next = lastReservedNumber + 1
	}
	numbers[name] = next
}

const lockHeader = "# Made by Pando; commit it. It fixes what must never move:\n" +
	"# which module first had an entity name, and protobuf field numbers.\n"

func (l *Lock) encode() []byte {
	root := &yaml.Node{Kind: yaml.MappingNode}
	if len(l.Owners) > 0 {
		owners := &yaml.Node{Kind: yaml.MappingNode}
		for _, name := range slices.Sorted(maps.Keys(l.Owners)) {
			owners.Content = append(owners.Content, word(name), word(l.Owners[name]))
		}
		root.Content = append(root.Content, word("owners"), owners)
	}
	if len(l.Numbers) > 0 {
		entities := &yaml.Node{Kind: yaml.MappingNode}
		for _, name := range slices.Sorted(maps.Keys(l.Numbers)) {
			numbers := l.Numbers[name]
			fields := slices.SortedFunc(maps.Keys(numbers), func(a, b string) int { return cmp.Compare(numbers[a], numbers[b]) })
			node := &yaml.Node{Kind: yaml.MappingNode}
			for _, f := range fields {
				node.Content = append(node.Content, word(f), &yaml.Node{Kind: yaml.ScalarNode, Tag: tagInt, Value: strconv.Itoa(numbers[f])})
			}
			entities.Content = append(entities.Content, word(name), node)
		}
		root.Content = append(root.Content, word("numbers"), entities)
	}
	var b strings.Builder
	b.WriteString(lockHeader)
	if len(root.Content) > 0 {
		data, err := yaml.Dump(root, yaml.WithIndent(2))
		if err != nil {
			panic(err) // a tree of words and numbers
		}
		b.Write(data)
	}
	return []byte(b.String())
}

// word is a text node; the encoder quotes what YAML would read as something
// else.
func word(s string) *yaml.Node {
	return &yaml.Node{Kind: yaml.ScalarNode, Tag: tagText, Value: s}
}
