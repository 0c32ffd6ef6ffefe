// Package enginetest gives tests of the doors an application that stands: its
// files loaded, its rules compiled, its tables made.
package enginetest

import (
	"testing"
	"testing/fstest"

	"github.com/pandobase/pando/internal/engine"
	"github.com/pandobase/pando/internal/keys"
	"github.com/pandobase/pando/internal/migrate"
	"github.com/pandobase/pando/internal/model"
	"github.com/pandobase/pando/internal/policy"
	"github.com/pandobase/pando/internal/store"
)

// World is what an engine is made of. It is gone when the test is.
type World struct {
	App    *model.App
	Rules  *policy.Rules
	Driver store.Driver
	Signer *keys.Signer
}

// Load loads an application and compiles its rules. Field policies and operations
// are on.
func Load(t testing.TB, files fstest.MapFS) (*model.App, *policy.Rules) {
	t.Helper()
	app, problems := model.Load(files, nil, model.Features{FieldPolicies: true, Active: map[string]bool{model.PartOperations: true}})
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	rules, problems := policy.Compile(app)
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	return app, rules
}

// New loads an application and makes its tables in an empty store.
func New(t testing.TB, driver store.Driver, files fstest.MapFS) *World {
	t.Helper()
	w := &World{Driver: driver}
	w.App, w.Rules = Load(t, files)
	plan, err := migrate.Prepare(t.Context(), w.Driver, w.App)
	if err == nil {
		err = migrate.Apply(t.Context(), w.Driver, plan, migrate.Options{})
	}
	if err == nil {
		w.Signer, err = keys.OpenSigner(keys.SignerConfig{Dir: t.TempDir()})
	}
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// Engine is an engine of the world.
func (w *World) Engine() *engine.Engine {
	return engine.New(engine.Config{App: w.App, Rules: w.Rules, Driver: w.Driver, Signer: w.Signer})
}
