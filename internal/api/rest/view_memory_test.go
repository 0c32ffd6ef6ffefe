package rest_test

import (
	"fmt"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/pandobase/pando/internal/api/rest"
	"github.com/pandobase/pando/internal/engine"
	"github.com/pandobase/pando/internal/keys"
	"github.com/pandobase/pando/internal/model"
	"github.com/pandobase/pando/internal/policy"
	"github.com/pandobase/pando/internal/store/teststore"
)

// A version more is a view, not a second model: of 200 entities of which each has a
// renamed field it takes at most a tenth of what one version does.
func TestVersionMemory(t *testing.T) {
	var module strings.Builder
	module.WriteString("module: shop\nentities:\n")
	for i := range 200 {
		fmt.Fprintf(&module, "  e%d:\n    fields:\n", i)
		for f := range 11 {
			fmt.Fprintf(&module, "      f%d: { type: text, optional: true }\n", f)
		}
		fmt.Fprintf(&module, "      now: { type: text, optional: true%s }\n    policy: { read: \"row.f1 == auth.uid\", create: \"true\" }\n", ", was: before")
	}
	signer, err := keys.OpenSigner(keys.SignerConfig{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	driver := teststore.Open(t)
	heap := func() uint64 {
		runtime.GC()
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	// size is what the model, its rules and the doors of all versions take.
	size := func(versions string) uint64 {
		before := heap()
		app, problems := model.Load(fstest.MapFS{
			"pando.yaml":        {Data: []byte("app: test\nversions: " + versions + "\n")},
			"modules/shop.yaml": {Data: []byte(module.String())},
		}, nil, model.Features{})
		if problems != nil {
			t.Fatal(problems)
		}
		rules, problems := policy.Compile(app)
		if problems != nil {
			t.Fatal(problems)
		}
		e := engine.New(engine.Config{App: app, Rules: rules, Driver: driver, Signer: signer})
		var doors []http.Handler
		for _, v := range app.Config.Versions {
			door := rest.New(rest.Config{Engine: e, View: app.View(v), Authenticate: func(*http.Request) (policy.Identity, error) { return policy.Identity{}, nil }})
			r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "/rest/"+v+"/e1", nil)
			if err != nil {
				t.Fatal(err)
			}
			door.ServeHTTP(discard{http.Header{}}, r) // what is made when it is first needed
			doors = append(doors, door)
		}
		after := heap()
		runtime.KeepAlive(doors)
		runtime.KeepAlive(app)
		runtime.KeepAlive(rules)
		return after - before
	}
	size("[v1]") // what is made once in a process
	one, two := size("[v1]"), size("[v1, v2]")
	for range 4 { // what else the process allocates is no part of it
		one, two = min(one, size("[v1]")), min(two, size("[v1, v2]"))
	}
	t.Logf("one version: %d KiB; two: %d KiB: %+.1f %%", one>>10, two>>10, 100*(float64(two)/float64(one)-1))
	if two > one+one/10 {
		t.Errorf("a version more takes %d KiB beside %d KiB", (two-one)>>10, one>>10)
	}
}
