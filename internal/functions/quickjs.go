package functions

import (
	"context"
	_ "embed"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/experimental"
)

// quickjsSHA256 is what npm's quickjs-wasi 3.6.2 carries as quickjs.wasm.
const quickjsSHA256 = "d4c9375f2b1ca4dc95f72c8aa2982a7a9951ac8011490d79c6582df732b4bbd9"

//go:embed quickjs/quickjs.wasm
var quickjsWasm []byte

// maxStack is the most of its 1 MiB stack that QuickJS may use: what is left is
// for the C functions that notice it.
const maxStack = 512 << 10

// isolate is one instance of QuickJS. It runs one call at a time and belongs to
// one goroutine at a time.
type isolate struct {
	mod     api.Module
	arena   *arena
	stack   api.MutableGlobal
	ctx     context.Context // carries the isolate to host functions; never done
	fn      map[string]api.Function
	scratch [8]uint64

	img     *snapshot // what its memory was last restored from
	run     *run      // the call that runs; nil: none
	trapped bool      // its state is not known: drop it
}

type isolateKey struct{}

// isolateOf returns the isolate that a host function is called from.
func isolateOf(ctx context.Context) *isolate {
	iso, _ := ctx.Value(isolateKey{}).(*isolate)
	return iso
}

// newIsolate instantiates the module, with its memory as the module makes it.
func (e *engine) newIsolate() (*isolate, error) {
	arena, err := newArena(e.memory, e.free, e.budget)
	if err != nil {
		return nil, err
	}
	iso := &isolate{arena: arena, fn: map[string]api.Function{}}
	iso.ctx = context.WithValue(context.Background(), isolateKey{}, iso)
	ctx := experimental.WithMemoryAllocator(iso.ctx, experimental.MemoryAllocatorFunc(func(uint64, uint64) experimental.LinearMemory {
		return arena
	}))
	iso.mod, err = e.wasm.InstantiateModule(ctx, e.quickjs, wazero.NewModuleConfig().WithName("").WithStartFunctions())
	if err != nil {
		arena.Free()
		return nil, fmt.Errorf("instantiate QuickJS: %w", err)
	}
	var ok bool
	if iso.stack, ok = iso.mod.ExportedGlobal("__stack_pointer").(api.MutableGlobal); !ok {
		return nil, errors.Join(errors.New("QuickJS has no stack pointer"), iso.close())
	}
	return iso, nil
}

// restore puts the isolate back to a snapshot. Memory and the stack pointer are
// all that an instance can change (TestQuickJSState), so nothing of what
// ran before is left.
func (iso *isolate) restore(s *snapshot) error {
	if more := s.img.size - int64(iso.mod.Memory().Size()); more > 0 {
		if _, ok := iso.mod.Memory().Grow(uint32(more / pageSize)); !ok {
			return errNoMemory
		}
	}
	if err := iso.arena.restore(s.img); err != nil {
		return err
	}
	iso.stack.Set(s.stack)
	iso.img, iso.run = s, nil
	return nil
}

func (iso *isolate) close() error {
	err := iso.mod.Close(iso.ctx)
	iso.arena.Free()
	return err
}

var (
	errNoMemory = errors.New("no memory left for functions")
	errTrap     = errors.New("the engine stopped")
)

// call calls an export that answers one number or none.
func (iso *isolate) call(name string, args ...uint64) (uint64, error) {
	f := iso.fn[name]
	if f == nil {
		if f = iso.mod.ExportedFunction(name); f == nil {
			return 0, fmt.Errorf("QuickJS has no %s", name)
		}
		iso.fn[name] = f
	}
	// A host function calls within a call: the outer one's arguments were read
	// before, and its result is written after.
	stack := iso.scratch[:]
	copy(stack, args)
	if err := f.CallWithStack(iso.ctx, stack); err != nil {
		iso.trapped = true
		return 0, err
	}
	return stack[0], nil
}

// must is call for host functions, which have no caller to tell: an error
// goes up through the engine as a panic, to the call that entered it.
func (iso *isolate) must(name string, args ...uint64) uint32 {
	v, err := iso.call(name, args...)
	if err != nil {
		panic(err)
	}
	return uint32(v)
}

// put copies bytes into the guest's heap; the caller frees them.
func (iso *isolate) put(b []byte) (uint32, error) {
	p, err := iso.call("wasm_malloc", uint64(len(b))+1)
	if err != nil {
		return 0, err
	}
	if p == 0 {
		return 0, errNoMemory
	}
	if !iso.mod.Memory().Write(uint32(p), b) || !iso.mod.Memory().WriteByte(uint32(p)+uint32(len(b)), 0) {
		return 0, errTrap
	}
	return uint32(p), nil
}

// putting calls f with a copy of b in the guest's heap.
func (iso *isolate) putting(b []byte, f func(p uint64) (uint64, error)) (uint32, error) {
	p, err := iso.put(b)
	if err != nil {
		return 0, err
	}
	v, err := f(uint64(p))
	if err != nil {
		return 0, err
	}
	_, err = iso.call("wasm_free", uint64(p))
	return uint32(v), err
}

// newString makes a string of UTF-8; the caller frees the value.
func (iso *isolate) newString(s []byte) (uint32, error) {
	return iso.putting(s, func(p uint64) (uint64, error) { return iso.call("qjs_new_string", p, uint64(len(s))) })
}

// newBytes makes a Uint8Array; the caller frees the value.
func (iso *isolate) newBytes(b []byte) (uint32, error) {
	return iso.putting(b, func(p uint64) (uint64, error) { return iso.call("qjs_new_uint8_array", p, uint64(len(b))) })
}

func (iso *isolate) freeValue(v uint32) error {
	_, err := iso.call("qjs_free_value", uint64(v))
	return err
}

// property returns a property of an object; the caller frees the value.
func (iso *isolate) property(object uint32, name string) (uint32, error) {
	return iso.putting([]byte(name), func(p uint64) (uint64, error) { return iso.call("qjs_get_prop_string", uint64(object), p) })
}

// text returns a string's bytes. Only strings are taken: converting another
// value would run code of the guest's.
func (iso *isolate) text(v uint32) (string, error) {
	is, err := iso.call("qjs_is_string", uint64(v))
	if err != nil {
		return "", err
	}
	if is == 0 {
		return "", errNoString
	}
	length, err := iso.call("wasm_malloc", 4)
	if err != nil {
		return "", err
	}
	if length == 0 {
		return "", errNoMemory
	}
	p, err := iso.call("qjs_get_string_len", uint64(v), length)
	if err != nil {
		return "", err
	}
	if p == 0 {
		return "", errNoMemory
	}
	n, _ := iso.mod.Memory().ReadUint32Le(uint32(length))
	b, ok := iso.mod.Memory().Read(uint32(p), n)
	if !ok {
		return "", errTrap
	}
	s := string(b)
	if _, err = iso.call("qjs_free_cstring", p); err == nil {
		_, err = iso.call("wasm_free", length)
	}
	return s, err
}

var errNoString = errors.New("not a string")

// bytes returns a copy of a typed array's bytes, at most most of them.
func (iso *isolate) bytes(v uint32, most int) ([]byte, error) {
	out, err := iso.call("wasm_malloc", 16)
	if err != nil || out == 0 {
		return nil, errors.Join(err, errNoMemory)
	}
	buffer, err := iso.call("qjs_get_typed_array_buffer", uint64(v), out, out+4, out+8)
	if err != nil {
		return nil, err
	}
	if failed, err := iso.exception(uint32(buffer)); failed || err != nil {
		return nil, errors.Join(err, errors.New("not an array of bytes"))
	}
	data, err := iso.call("qjs_get_array_buffer", buffer, out+12)
	if err != nil {
		return nil, err
	}
	cells, _ := iso.mod.Memory().Read(uint32(out), 8)
	if cells == nil {
		return nil, errTrap
	}
	offset, length := binary.LittleEndian.Uint32(cells), binary.LittleEndian.Uint32(cells[4:])
	var copied []byte
	if length > 0 {
		if int64(length) > int64(most) {
			return nil, fmt.Errorf("%d bytes are more than the limit of %d", length, most)
		}
		b, ok := iso.mod.Memory().Read(uint32(data)+offset, length)
		if !ok {
			return nil, errTrap
		}
		copied = append(copied, b...)
	}
	if err := iso.freeValue(uint32(buffer)); err != nil {
		return nil, err
	}
	_, err = iso.call("wasm_free", out)
	return copied, err
}

// exception reports whether v says that something was thrown, which it frees.
func (iso *isolate) exception(v uint32) (bool, error) {
	is, err := iso.call("qjs_is_exception", uint64(v))
	if err != nil || is == 0 {
		return false, err
	}
	return true, iso.freeValue(v)
}

// thrown takes the exception that was thrown and returns its text and stack.
// It may run code of the guest's, so it is for code that was loaded, not called.
func (iso *isolate) thrown() error {
	e, err := iso.call("qjs_get_exception")
	if err != nil {
		return err
	}
	var s script
	for _, name := range []string{"name", "message", "stack"} {
		p, err := iso.property(uint32(e), name)
		if err != nil {
			return err
		}
		text, err := iso.text(p)
		if err != nil && !errors.Is(err, errNoString) {
			return err
		}
		switch name {
		case "name":
			s.name = text
		case "message":
			s.message = text
		default:
			s.stack = text
		}
		if err := iso.freeValue(p); err != nil {
			return err
		}
	}
	return errors.Join(&s, iso.freeValue(uint32(e)))
}

// script is an exception of JavaScript.
type script struct{ name, message, stack string }

func (s *script) Error() string {
	if s.name == "" && s.message == "" {
		return "an exception that is no Error"
	}
	return s.name + ": " + s.message
}

// eval evaluates source and returns its value; the caller frees it.
func (iso *isolate) eval(source []byte, file string, flags uint64) (uint32, error) {
	v, err := iso.putting(source, func(code uint64) (uint64, error) {
		v, err := iso.putting([]byte(file), func(name uint64) (uint64, error) {
			return iso.call("qjs_eval", code, uint64(len(source)), name, flags)
		})
		return uint64(v), err
	})
	if err != nil {
		return 0, err
	}
	failed, err := iso.exception(v)
	if err != nil {
		return 0, err
	}
	if failed {
		return 0, iso.thrown()
	}
	return v, nil
}

// evalModule is qjs_eval's flag for a module.
const evalModule = 1

// jobs runs what promises wait to run, until none does.
func (iso *isolate) jobs() error {
	for {
		n, err := iso.call("qjs_execute_pending_job")
		if err != nil {
			return err
		}
		switch int32(n) {
		case 0:
			return nil
		case 1:
		default:
			if iso.run != nil {
				iso.run.log("error", "uncaught in a microtask: "+iso.thrown().Error())
			} else if err := iso.thrown(); err != nil {
				return err
			}
		}
	}
}

// invoke calls a function with values, which it frees. It returns the value;
// the caller frees it.
func (iso *isolate) invoke(f uint32, s *snapshot, args ...uint32) (uint32, error) {
	for i, a := range args {
		if !iso.mod.Memory().WriteUint32Le(s.argv+4*uint32(i), a) {
			return 0, errTrap
		}
	}
	v, err := iso.call("qjs_call", uint64(f), uint64(s.undefined), uint64(len(args)), uint64(s.argv))
	if err != nil {
		return 0, err
	}
	for _, a := range args {
		if err := iso.freeValue(a); err != nil {
			return 0, err
		}
	}
	failed, err := iso.exception(uint32(v))
	if err != nil {
		return 0, err
	}
	if failed {
		return 0, iso.thrown()
	}
	return uint32(v), nil
}

// wasi makes the six functions of WASI that QuickJS imports: clocks and a
// closed door.
func wasiOf(now func() time.Time) map[string]api.GoModuleFunc {
	const badFile, notImplemented = 8, 52
	refuse := func(_ context.Context, _ api.Module, s []uint64) { s[0] = badFile }
	return map[string]api.GoModuleFunc{
		"clock_time_get": func(_ context.Context, m api.Module, s []uint64) {
			m.Memory().WriteUint64Le(uint32(s[2]), uint64(now().UnixNano()))
			s[0] = 0
		},
		"random_get":    func(_ context.Context, _ api.Module, s []uint64) { s[0] = notImplemented }, // the prelude asks the host
		"fd_close":      refuse,
		"fd_fdstat_get": refuse,
		"fd_seek":       refuse,
		"fd_write":      refuse,
	}
}
