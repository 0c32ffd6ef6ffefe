package model

import (
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
	if l.number(e); l.Numbers["m.e"]["y"] != lastReservedNumber+1 {
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
