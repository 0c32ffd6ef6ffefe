package functions

import (
	"context"
	"errors"
	"testing"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
)

// bareQuickJS instantiates QuickJS without a runtime around it, and returns a
// function that evaluates code in it.
func bareQuickJS(tb testing.TB, wasm []byte, cfg wazero.RuntimeConfig, ticked func()) func(code string) float64 {
	tb.Helper()
	ctx := tb.Context()
	rt := wazero.NewRuntimeWithConfig(ctx, cfg)
	tb.Cleanup(func() { _ = rt.Close(context.Background()) })
	compiled, err := rt.CompileModule(ctx, wasm)
	if err != nil {
		tb.Fatal(err)
	}
	hosts := map[string]wazero.HostModuleBuilder{}
	for _, d := range compiled.ImportedFunctions() {
		module, name, _ := d.Import()
		if hosts[module] == nil {
			hosts[module] = rt.NewHostModuleBuilder(module)
		}
		f := api.GoModuleFunc(func(_ context.Context, _ api.Module, s []uint64) {
			if len(s) > 0 {
				s[0] = 0
			}
		})
		if module == meterModule {
			f = func(context.Context, api.Module, []uint64) { ticked() }
		}
		hosts[module].NewFunctionBuilder().WithGoModuleFunction(f, d.ParamTypes(), d.ResultTypes()).Export(name)
	}
	for _, h := range hosts {
		if _, err := h.Instantiate(ctx); err != nil {
			tb.Fatal(err)
		}
	}
	mod, err := rt.InstantiateModule(ctx, compiled, wazero.NewModuleConfig().WithName("").WithStartFunctions("_initialize"))
	if err != nil {
		tb.Fatal(err)
	}
	iso := &isolate{mod: mod, ctx: ctx, fn: map[string]api.Function{}}
	if code, err := iso.call("qjs_init"); err != nil || code != 0 {
		tb.Fatal(code, err)
	}
	return func(code string) float64 {
		v, err := iso.eval([]byte(code), "bare.js", 0)
		if err != nil {
			tb.Fatal(err)
		}
		f, err := (arguments{iso: iso, ptrs: []byte{byte(v), byte(v >> 8), byte(v >> 16), byte(v >> 24)}}).number(0)
		if err != nil {
			tb.Fatal(err)
		}
		return f
	}
}

const sumTo = `(() => { let s = 0; for (let i = 0; i < 100000; i++) s += i; return s; })()`

// TestMeter holds that metered code means what it meant, and ticks.
func TestMeter(t *testing.T) {
	metered, err := meter(quickjsWasm, maxNesting)
	if err != nil {
		t.Fatal(err)
	}
	ticks := 0
	eval := bareQuickJS(t, metered, wazero.NewRuntimeConfig(), func() { ticks++ })
	if got := eval(sumTo); got != 4999950000 {
		t.Errorf("the sum is %v", got)
	}
	if ticks < 50 {
		t.Errorf("%d ticks in 100,000 iterations of an interpreter", ticks)
	}
	for n := range 200 { // cut anywhere, a module is refused and never read beyond its end
		if _, err := meter(quickjsWasm[:len(quickjsWasm)*n/200], 0); !errors.Is(err, errWasm) && n > 0 {
			t.Fatalf("cut at %d of 200: %v", n, err)
		}
	}
}

func FuzzMeter(f *testing.F) {
	f.Add([]byte("\x00asm\x01\x00\x00\x00\x01\x04\x01\x60\x00\x00\x03\x02\x01\x00\x0a\x07\x01\x05\x00\x03\x40\x0b\x0b"))
	f.Fuzz(func(t *testing.T, b []byte) {
		out, err := meter(b, maxNesting)
		if err != nil {
			return
		}
		ctx := t.Context()
		rt := wazero.NewRuntimeWithConfig(ctx, wazero.NewRuntimeConfigInterpreter())
		defer func() { _ = rt.Close(ctx) }()
		if _, err := rt.CompileModule(ctx, b); err != nil {
			return
		}
		if _, err := rt.CompileModule(ctx, out); err != nil {
			t.Errorf("a valid module became one that is not: %v", err)
		}
	})
}

// BenchmarkMeter is an interpreter's loop: as it is (and nothing stops it),
// metered, and with wazero's own switch.
func BenchmarkMeter(b *testing.B) {
	metered, err := meter(quickjsWasm, 0)
	if err != nil {
		b.Fatal(err)
	}
	for _, bench := range []struct {
		name string
		wasm []byte
		cfg  wazero.RuntimeConfig
	}{
		{"plain", quickjsWasm, wazero.NewRuntimeConfig()},
		{"metered", metered, wazero.NewRuntimeConfig()},
		{"WithCloseOnContextDone", quickjsWasm, wazero.NewRuntimeConfig().WithCloseOnContextDone(true)},
	} {
		b.Run(bench.name, func(b *testing.B) {
			eval := bareQuickJS(b, bench.wasm, bench.cfg, func() {})
			for b.Loop() {
				eval(sumTo)
			}
		})
	}
}
