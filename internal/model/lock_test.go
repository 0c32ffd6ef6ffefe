package model

import (
	"maps"
	"slices"
	"strings"
	"testing"
)

const lockApp = `module: m
entities:
  e: { fields: { a: int, b: int } }
`

func TestLockIsStable(t *testing.T) {
	files := map[string]string{"modules/m.yaml": lockApp}
	first, changed := load(t, files).UpdatedLock()
	if !changed {
		t.Error("an application without a lock file has nothing to write")
	}
	files[LockFile] = string(first)
	second, changed := load(t, files).UpdatedLock()
	if changed || string(second) != string(first) {
		t.Errorf("the second lock differs:\n%s\n%s", first, second)
	}
}

func TestNumbersAreNeverUsedAgain(t *testing.T) {
	files := map[string]string{"modules/m.yaml": lockApp}
	step := func(module string) string {
		files["modules/m.yaml"] = module
		data, _ := load(t, files).UpdatedLock()
		files[LockFile] = string(data)
		return files[LockFile]
	}
	step(lockApp)
	gone := step("module: m\nentities:\n  e: { fields: { a: int } }\n")
	if !strings.Contains(gone, "b: 3") {
		t.Fatalf("the number of a field that is gone is free:\n%s", gone)
	}
	if more := step("module: m\nentities:\n  e: { fields: { a: int, c: int } }\n"); !strings.Contains(more, "c: 4") {
		t.Errorf("the new field has not the next number:\n%s", more)
	}
	renamed := step("module: m\nentities:\n  f: { was: e, fields: { a2: { type: int, was: a }, c: int } }\n")
	if !strings.Contains(renamed, "m.f:") || !strings.Contains(renamed, "a2: 2") || strings.Contains(renamed, "m.e:") {
		t.Errorf("a renamed field has another number:\n%s", renamed)
	}
	l := Lock{Numbers: map[string]map[string]int{"m.e": {"x": firstReservedNumber - 1}}}
	e := &Entity{Module: &Module{Name: "m"}, Name: "e", Fields: []*Field{{Name: "y"}}}
	if l.entity(e); l.Numbers["m.e"]["y"] != lastReservedNumber+1 {
		t.Errorf("a field has the number %d, which protobuf keeps", l.Numbers["m.e"]["y"])
	}
}

func TestFirstOwner(t *testing.T) {
	files := map[string]string{"modules/one.yaml": "module: one\nentities: { e: { fields: { n: int } } }\n"}
	data, _ := load(t, files).UpdatedLock()
	files["modules/another.yaml"] = "module: another\nentities: { e: { fields: { n: int } } }\n"

	if e := load(t, files).Entity("", "e"); e != nil {
		t.Errorf("without a lock, e is %s, though two modules have it", e.QualifiedName())
	}
	files[LockFile] = string(data)
	app := load(t, files)
	if e := app.Entity("", "e"); e == nil || e.Module.Name != "one" {
		t.Errorf("e is %v, though the module one had it first", e)
	}
	delete(files, "modules/one.yaml")
	app = load(t, files)
	if e := app.Entity("", "e"); e == nil || e.Module.Name != "another" {
		t.Errorf("e is %v, though it is unique", e)
	}
	if data, _ := app.UpdatedLock(); !strings.Contains(string(data), "e: another") {
		t.Errorf("the lock keeps an owner that is gone:\n%s", data)
	}
}

func TestNumbersOfOperationsAndEnums(t *testing.T) {
	files := map[string]string{}
	step := func(module string) *App {
		files["modules/m.yaml"] = module
		data, _ := load(t, files).UpdatedLock()
		files[LockFile] = string(data)
		return load(t, files)
	}
	app := step(`module: m
entities:
  place: { fields: { input: { type: enum, values: [a, "b c"] } } }
operations:
  place:
    input: { who: text, lines: { list: true, fields: { n: int, kind: { type: enum, values: [x, y] } } } }
    output: { fields: { sum: int } }
    run: go
`)
	if names, written := app.Unlocked(); len(names) > 0 || !written {
		t.Errorf("the lock that was written lacks %v", names)
	}
	app = step(`module: m
entities:
  spot: { was: place, fields: { kind: { was: input, type: enum, values: [c, "b c"] } } }
operations:
  put:
    was: place
    input: { note: { type: text, optional: true }, lines: { list: true, fields: { kind: { type: enum, values: [z, y] }, m: int } } }
    output: { fields: { sum: int } }
    run: go
`)
	e, op := app.Module("m").Entity("spot"), app.Module("m").Operations[0]
	for _, c := range []struct {
		what string
		got  Numbers
		want map[string]int
	}{
		{"fields", app.FieldNumbers(e), map[string]int{"id": 1, "kind": 2}},
		{"an enum", app.EnumNumbers(e.Field("kind")), map[string]int{"a": 1, "b c": 2, "c": 3}},
		{"input", app.InputNumbers(op), map[string]int{"who": 1, "lines": 2, "note": 3}},
		{"an object", app.InputNumbers(op, "lines"), map[string]int{"n": 1, "kind": 2, "m": 3}},
		{"an object's enum", app.InputNumbers(op, "lines", "kind"), map[string]int{"x": 1, "y": 2, "z": 3}},
		{"output", app.OutputNumbers(op), map[string]int{"sum": 1}},
	} {
		if !maps.Equal(c.got, c.want) {
			t.Errorf("%s has the numbers %v, want %v\n%s", c.what, c.got, c.want, files[LockFile])
		}
	}
	files["modules/m.yaml"] = strings.Replace(files["modules/m.yaml"], "m: int", "m: int, o: int", 1)
	if names, _ := load(t, files).Unlocked(); !slices.Equal(names, []string{"m.put().input.lines.o"}) {
		t.Errorf("unlocked is %v, want the new member alone", names)
	}
}
