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
)

// The numbers of protobuf fields: 1 to 2^29-1 without those that protobuf
// keeps for itself (https://protobuf.dev/programming-guides/proto3/#assigning).
const (
	lastFieldNumber     = 1<<29 - 1
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
		bind("numbers", "", mapping("numbers", reference(),
			mapping("field numbers", identifier("a field's name"), integer(1, lastFieldNumber))),
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
// field number for each new field. What is in the file stays: a number is
// never used again, also when its field is gone, and a renamed field (was)
// keeps its number. changed tells whether data differs from the file that was
// read. The bytes are the same for the same application and file.
func (a *App) UpdatedLock() (data []byte, changed bool) {
	next := Lock{Owners: maps.Clone(a.Lock.Owners), Numbers: make(map[string]map[string]int, len(a.Lock.Numbers))}
	for name, numbers := range a.Lock.Numbers {
		next.Numbers[name] = maps.Clone(numbers)
	}
	for name, e := range a.unqualified {
		next.Owners[name] = e.Module.Name
	}
	for _, m := range a.Modules {
		for _, e := range m.Entities {
			if !m.Builtin {
				next.number(e)
			}
		}
	}
	data = next.encode()
	return data, string(data) != a.lockSource
}

// number gives each field of the entity its number.
func (l *Lock) number(e *Entity) {
	name := e.QualifiedName()
	if old := e.Module.Name + "." + e.Was; e.Was != "" && l.Numbers[name] == nil && l.Numbers[old] != nil {
		l.Numbers[name] = l.Numbers[old]
		delete(l.Numbers, old)
	}
	numbers := l.Numbers[name]
	if numbers == nil {
		numbers = make(map[string]int, len(e.Fields))
		l.Numbers[name] = numbers
	}
	next := 0
	for _, n := range numbers {
		next = max(next, n)
	}
	for _, f := range e.Fields {
		if _, ok := numbers[f.Name]; ok {
			continue
		}
		if n, renamed := numbers[f.Was]; renamed && e.fields[f.Was] == nil {
			delete(numbers, f.Was)
			numbers[f.Name] = n
			continue
		}
		next++
		if next >= firstReservedNumber && next <= lastReservedNumber {
			next = lastReservedNumber + 1
		}
		numbers[f.Name] = next
	}
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
