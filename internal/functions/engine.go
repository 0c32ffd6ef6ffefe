package functions

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"time"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
)

// engine is what isolates are made of: QuickJS, compiled once, and the host
// functions that it may call.
type engine struct {
	wasm    wazero.Runtime
	quickjs wazero.CompiledModule
	users   wazero.Runtime // of users' modules, which find other imports
	memory  int64          // the most that one isolate may have
	free    int64          // what each may have without the budget
	budget  *budget
	random  func([]byte)
	now     func() time.Time
	base    *snapshot // the prelude evaluated, no entry yet
}

// newEngine compiles QuickJS, or takes it from the cache, and evaluates the
// prelude.
func newEngine(ctx context.Context, cfg Config) (*engine, error) {
	rc := wazero.NewRuntimeConfig().WithMemoryLimitPages(uint32(cfg.Memory / pageSize)).WithDebugInfoEnabled(false)
	if cfg.Cache != "" {
		cache, err := wazero.NewCompilationCacheWithDir(cfg.Cache)
		if err != nil {
			return nil, fmt.Errorf("open the cache of compiled functions: %w", err)
		}
		rc = rc.WithCompilationCache(cache)
	}
	e := &engine{
		wasm: wazero.NewRuntimeWithConfig(ctx, rc), users: wazero.NewRuntimeWithConfig(ctx, rc), memory: cfg.Memory, free: min(cfg.Memory, snapshotSize),
		budget: newBudget(cfg.Budget), random: cfg.Random, now: cfg.Now,
	}
	if err := e.start(ctx); err != nil {
		return nil, errors.Join(err, e.close()) //nolint:contextcheck // closing is not cancelled
	}
	return e, nil
}

func (e *engine) start(ctx context.Context) error {
	metered, err := meter(quickjsWasm, 0)
	if err != nil {
		return err
	}
	e.quickjs, err = e.wasm.CompileModule(ctx, metered)
	if err != nil {
		return fmt.Errorf("compile QuickJS: %w", err)
	}
	env := map[string]api.GoModuleFunc{
		"host_call": hostCall,
		// What follows is not switched on: modules are bundled, ticks interrupt.
		"host_interrupt":           answerZero,
		"host_promise_rejection":   answerNothing,
		"host_module_normalize":    answerZero,
		"host_module_load":         answerZero,
		"host_get_timezone_offset": answerZero, // UTC
	}
	host := map[string]map[string]api.GoModuleFunc{
		"env": env, "wasi_snapshot_preview1": wasiOf(e.now), meterModule: {meterTick: tick},
	}
	for module, functions := range host {
		if err := e.export(ctx, module, functions); err != nil {
			return err
		}
	}
	if err := e.exportToUsers(ctx); err != nil {
		return err
	}
	e.base, err = e.makeBase() //nolint:contextcheck // an isolate outlives who makes it
	return err
}

// export makes a host module of those functions that QuickJS imports from it.
func (e *engine) export(ctx context.Context, module string, functions map[string]api.GoModuleFunc) error {
	b := e.wasm.NewHostModuleBuilder(module)
	for _, d := range e.quickjs.ImportedFunctions() {
		from, name, _ := d.Import()
		if from != module {
			continue
		}
		f := functions[name]
		if f == nil {
			return fmt.Errorf("QuickJS imports %s.%s, which nobody made", module, name)
		}
		b.NewFunctionBuilder().WithGoModuleFunction(f, d.ParamTypes(), d.ResultTypes()).Export(name)
	}
	if _, err := b.Instantiate(ctx); err != nil {
		return fmt.Errorf("instantiate %s: %w", module, err)
	}
	return nil
}

func answerZero(_ context.Context, _ api.Module, s []uint64)    { s[0] = 0 }
func answerNothing(_ context.Context, _ api.Module, _ []uint64) {}

// tick is called by metered code all the time while it computes.
func tick(ctx context.Context, _ api.Module, _ []uint64) {
	if iso := isolateOf(ctx); iso != nil && iso.run != nil {
		iso.run.tick()
		return
	}
	runtime.Gosched()
}

func (e *engine) close() error {
	if e.base != nil {
		e.base.drop()
	}
	return errors.Join(e.wasm.Close(context.Background()), e.users.Close(context.Background()))
}
