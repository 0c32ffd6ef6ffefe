package functions

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"math"
	"strings"
	"sync"
	"time"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/experimental"
	"github.com/tetratelabs/wazero/imports/wasi_snapshot_preview1"
	"github.com/tetratelabs/wazero/sys"

	"github.com/pandobase/pando/internal/fault"
)

// maxNesting is how deep the calls of a user's module nest.
const maxNesting = 10_000

// module is a user's WebAssembly, compiled.
type module struct {
	sum      digest
	compiled wazero.CompiledModule

	mu     sync.RWMutex
	closed bool
}

// drop frees the module's code. Calls that run end as they would have.
func (m *module) drop() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.closed {
		m.closed = true
		_ = m.compiled.Close(context.Background())
	}
}

// loadModule compiles a .wasm file, unless it is as it was.
func (rt *Runtime) loadModule(ctx context.Context, fsys fs.FS, name string, before *entry) (*entry, []Problem) {
	refuse := func(format string, args ...any) (*entry, []Problem) {
		return before, []Problem{{File: name, Message: fmt.Sprintf(format, args...)}}
	}
	if !strings.HasPrefix(name, root) || !fs.ValidPath(name) {
		return refuse("a function lies below %s", root)
	}
	b, err := fs.ReadFile(fsys, name)
	if err != nil {
		return refuse("the file cannot be read")
	}
	sum := digest(sha256.Sum256(b))
	if before != nil && before.module.sum == sum {
		return before, nil
	}
	metered, err := meter(b, maxNesting)
	if err != nil {
		return refuse("%v", err)
	}
	begin := time.Now()
	compiled, err := rt.engine.users.CompileModule(ctx, metered)
	if err != nil {
		return refuse("it does not compile: %v", err)
	}
	for _, d := range compiled.ImportedFunctions() {
		from, function, _ := d.Import()
		host := rt.engine.users.Module(from)
		if host == nil || host.ExportedFunctionDefinitions()[function] == nil {
			_ = compiled.Close(ctx)
			return refuse("it imports %s.%s: there are wasi_snapshot_preview1 and pando", from, function)
		}
	}
	rt.cfg.Log.Debug("function compiled", slog.String("function", name), slog.Duration("took", time.Since(begin)))
	return &entry{name: name, module: &module{sum: sum, compiled: compiled}}, nil
}

// moduleRun is a call of a user's module while it runs.
type moduleRun struct {
	*run
	output  []byte
	problem []byte
	results map[uint32]event
	last    uint32
}

type moduleRunKey struct{}

func moduleRunOf(ctx context.Context) *moduleRun {
	r, _ := ctx.Value(moduleRunKey{}).(*moduleRun)
	return r
}

// exportToUsers makes what users' modules import.
func (e *engine) exportToUsers(ctx context.Context) error {
	if _, err := wasi_snapshot_preview1.Instantiate(ctx, e.users); err != nil {
		return fmt.Errorf("instantiate WASI: %w", err)
	}
	meterHost := e.users.NewHostModuleBuilder(meterModule)
	meterHost.NewFunctionBuilder().WithGoModuleFunction(api.GoModuleFunc(func(ctx context.Context, _ api.Module, _ []uint64) {
		if r := moduleRunOf(ctx); r != nil {
			r.tick()
		}
	}), nil, nil).Export(meterTick)
	if _, err := meterHost.Instantiate(ctx); err != nil {
		return fmt.Errorf("instantiate the meter: %w", err)
	}
	pando := e.users.NewHostModuleBuilder("pando")
	for name, f := range abi() {
		params, results := make([]api.ValueType, f.params), make([]api.ValueType, f.results)
		for i := range params {
			params[i] = api.ValueTypeI32
		}
		for i := range results {
			results[i] = api.ValueTypeI32
		}
		pando.NewFunctionBuilder().WithGoModuleFunction(api.GoModuleFunc(func(ctx context.Context, m api.Module, s []uint64) {
			v := f.call(moduleRunOf(ctx), m.Memory(), s)
			if f.results > 0 {
				s[0] = uint64(v)
			}
		}), params, results).Export(name)
	}
	if _, err := pando.Instantiate(ctx); err != nil {
		return fmt.Errorf("instantiate the module pando: %w", err)
	}
	return nil
}

// abiFunction is one function of the module pando; all numbers are i32.
type abiFunction struct {
	params, results int
	call            func(r *moduleRun, m api.Memory, s []uint64) uint32
}

// abi is the module pando; the package's comment documents it.
func abi() map[string]abiFunction {
	size := func(of func(r *moduleRun) []byte) abiFunction {
		return abiFunction{0, 1, func(r *moduleRun, _ api.Memory, _ []uint64) uint32 { return uint32(len(of(r))) }}
	}
	copied := func(of func(r *moduleRun) []byte) abiFunction {
		return abiFunction{1, 0, func(r *moduleRun, m api.Memory, s []uint64) uint32 {
			give(m, uint32(s[0]), of(r))
			return 0
		}}
	}
	input := func(r *moduleRun) []byte { return r.call.Input }
	about := func(r *moduleRun) []byte { return r.call.Context }
	return map[string]abiFunction{
		"input_size": size(input), "input": copied(input), "context_size": size(about), "context": copied(about),
		"output": {2, 0, func(r *moduleRun, m api.Memory, s []uint64) uint32 {
			r.output = r.taken(m, s[0], s[1])
			return 0
		}},
		"fail": {2, 0, func(r *moduleRun, m api.Memory, s []uint64) uint32 {
			r.problem = r.taken(m, s[0], s[1])
			return 0
		}},
		"log": {3, 0, func(r *moduleRun, m api.Memory, s []uint64) uint32 {
			levels := []string{"debug", "info", "warn", "error"}
			r.log(levels[min(uint32(s[0]), 3)], string(r.taken(m, s[1], s[2])))
			return 0
		}},
		"call": {4, 1, func(r *moduleRun, m api.Memory, s []uint64) uint32 {
			return r.out(string(r.taken(m, s[0], s[1])), string(r.taken(m, s[2], s[3])))
		}},
		"result_ok": {1, 1, func(r *moduleRun, _ api.Memory, s []uint64) uint32 {
			if r.results[uint32(s[0])].ok {
				return 1
			}
			return 0
		}},
		"result_size": {1, 1, func(r *moduleRun, _ api.Memory, s []uint64) uint32 {
			return uint32(len(r.results[uint32(s[0])].text))
		}},
		"result": {2, 0, func(r *moduleRun, m api.Memory, s []uint64) uint32 {
			give(m, uint32(s[1]), r.results[uint32(s[0])].text)
			delete(r.results, uint32(s[0]))
			return 0
		}},
	}
}

// errPointer is what a module gets for a pointer that points nowhere: it traps.
var errPointer = errors.New("a pointer outside of the memory")

func give(m api.Memory, p uint32, b []byte) {
	if !m.Write(p, b) {
		panic(errPointer)
	}
}

// taken is a copy of what a module points at, within the call's limits.
func (r *moduleRun) taken(m api.Memory, p, n uint64) []byte {
	b, ok := m.Read(uint32(p), uint32(n))
	if !ok {
		panic(errPointer)
	}
	if int64(len(b)) > r.call.Limits.Output {
		panic(fault.New(fault.LimitExceeded, "the function gives %d bytes, and %d is the limit", len(b), r.call.Limits.Output).
			WithStatus(fault.Internal.Status()))
	}
	return bytes.Clone(b)
}

// out calls the host and returns the result's handle. The module waits, without
// its turn to compute.
func (r *moduleRun) out(method, body string) uint32 {
	q := request{method: method, body: body}
	var e event
	if err := r.request(q); err != nil {
		e.text = problemJSON(fault.New(fault.LimitExceeded, "%s", err).WithStatus(fault.Internal.Status()))
	} else {
		r.waiting = nil
		r.leave()
		e = r.ask(q)
		r.enterOrStop()
	}
	r.last++
	r.results[r.last] = e
	return r.last
}

// sleep is what a module's sleeping does: it gives its turn away.
func (r *moduleRun) sleep(ns int64) {
	r.leave()
	t := time.NewTimer(time.Duration(min(ns, math.MaxInt64)))
	defer t.Stop()
	select {
	case <-t.C:
	case <-r.ctx.Done():
	}
	r.enterOrStop()
}

// runModule runs an admitted call of a user's module, and ends its admission.
func (rt *Runtime) runModule(r *run, m *module) (json.RawMessage, error) {
	defer rt.slots.give()
	if err := r.enter(); err != nil {
		return nil, r.stopped()
	}
	defer r.leave()
	r.began = rt.cfg.Now()
	mr := &moduleRun{run: r, results: map[uint32]event{}}
	stdout := &bounded{most: r.call.Limits.Output}
	err := rt.instance(mr, m, stdout)
	var f *fault.Error
	switch {
	case r.ctx.Err() != nil:
		return nil, r.stopped()
	case errors.As(err, &f):
		return nil, f
	case mr.problem != nil:
		p := problem{}
		if json.Unmarshal(mr.problem, &p) != nil {
			return nil, r.told(fault.New(fault.Internal, "the function failed"), &script{name: "Error", message: "fail was called with what is no problem"})
		}
		return nil, p.fault()
	case err != nil:
		return nil, r.failed(err)
	}
	out := mr.output
	if out == nil {
		out = bytes.TrimSpace(stdout.b.Bytes())
	}
	if stdout.over {
		return nil, r.hinted(fault.New(fault.Internal, "the function wrote more than %d bytes, which is the limit", stdout.most))
	}
	if len(out) == 0 {
		out = []byte("null")
	}
	if !json.Valid(out) {
		return nil, r.hinted(fault.New(fault.Internal, "the function's result is not JSON"))
	}
	return out, nil
}

// instance instantiates the module, runs it, and frees it.
func (rt *Runtime) instance(r *moduleRun, m *module, stdout *bounded) (err error) {
	// The most that it may have by its own limit, of what all may have together.
	arena, err := newArena(rt.engine.memory, rt.engine.free, rt.engine.budget)
	if err != nil {
		return err
	}
	arena.most = r.call.Limits.Memory
	defer arena.Free()
	ctx := context.WithValue(context.WithoutCancel(r.ctx), moduleRunKey{}, r)
	stderr := &logWriter{log: func(line string) { r.log("info", line) }}
	cfg := wazero.NewModuleConfig().WithName("").WithStartFunctions().
		WithStdout(stdout).WithStderr(stderr).WithStdin(bytes.NewReader(r.call.Input)).
		WithRandSource(randReader(rt.cfg.Random)).WithNanosleep(r.sleep).
		WithWalltime(func() (int64, int32) {
			now := rt.cfg.Now()
			return now.Unix(), int32(now.Nanosecond())
		}, 1).
		WithNanotime(func() int64 { return int64(rt.cfg.Now().Sub(r.began)) }, 1)
	m.mu.RLock()
	if m.closed {
		m.mu.RUnlock()
		return fault.New(fault.Overloaded, "the function was just exchanged").WithHint("try again")
	}
	mod, err := rt.engine.users.InstantiateModule(experimental.WithMemoryAllocator(ctx,
		experimental.MemoryAllocatorFunc(func(uint64, uint64) experimental.LinearMemory { return arena })), m.compiled, cfg)
	m.mu.RUnlock()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, mod.Close(ctx)) }()
	defer stderr.flush()
	names := []string{"_initialize", r.call.Export}
	if r.call.Export == "" || r.call.Export == "default" && mod.ExportedFunction("default") == nil {
		names = []string{"_start"}
	}
	for _, name := range names {
		f := mod.ExportedFunction(name)
		if f == nil && name == "_initialize" {
			continue
		}
		if f == nil || len(f.Definition().ParamTypes()) > 0 || len(f.Definition().ResultTypes()) > 0 {
			return fmt.Errorf("%s exports no function %s without parameters and results", r.call.Entry, name)
		}
		var exit *sys.ExitError
		if _, err := f.Call(ctx); errors.As(err, &exit) && exit.ExitCode() == 0 {
			return nil
		} else if err != nil {
			return err
		}
	}
	return nil
}

// bounded keeps what is written up to a number of bytes.
type bounded struct {
	b    bytes.Buffer
	most int64
	over bool
}

func (w *bounded) Write(b []byte) (int, error) {
	if int64(w.b.Len()+len(b)) > w.most {
		w.over = true
		return 0, io.ErrShortWrite
	}
	return w.b.Write(b)
}

// logWriter logs what is written line by line.
type logWriter struct {
	rest []byte
	log  func(string)
}

func (w *logWriter) Write(b []byte) (int, error) {
	const longest = 8 << 10
	w.rest = append(w.rest, b...)
	for {
		line, rest, found := bytes.Cut(w.rest, []byte("\n"))
		if !found && len(w.rest) < longest {
			return len(b), nil
		}
		w.log(string(line))
		w.rest = bytes.Clone(rest)
	}
}

func (w *logWriter) flush() {
	if len(w.rest) > 0 {
		w.log(string(w.rest))
	}
}

// randReader reads random bytes.
type randReader func([]byte)

func (f randReader) Read(b []byte) (int, error) {
	f(b)
	return len(b), nil
}
