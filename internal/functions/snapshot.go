package functions

import (
	"errors"
	"fmt"
	"sync/atomic"
)

// snapshotSize is how much memory an isolate has at its start. What the
// snapshot leaves of it is the heap that a call can use without asking for
// more, and that costs nothing until it is written.
const snapshotSize = 6 << 20

// headroom is how much of that is put into the heap's hands beforehand.
const headroom = 3 << 20

// gcThreshold is how much is allocated before cycles are collected: a collection
// touches every object, and with it every page of the snapshot. Most calls end
// before.
const gcThreshold = 16 << 20

// snapshot is an isolate at rest, ready to call. Its fields are addresses in the
// memory that img holds. It is immutable, and counts who uses it.
type snapshot struct {
	img       *image
	stack     uint64
	undefined uint32 // the value
	argv      uint32 // room for the arguments of one call
	dispatch  uint32 // the prelude's function that takes all events
	users     atomic.Int64
}

// take reports whether the snapshot is still there, and keeps it there until drop.
func (s *snapshot) take() bool {
	for {
		n := s.users.Load()
		if n == 0 {
			return false
		}
		if s.users.CompareAndSwap(n, n+1) {
			return true
		}
	}
}

// drop ends what take, or making it, began.
func (s *snapshot) drop() {
	if s.users.Add(-1) == 0 {
		_ = s.img.close() // a file without a name: nothing to lose
	}
}

// save makes a snapshot of an isolate; the addresses are those of from.
func (iso *isolate) save(from snapshotAddresses) (*snapshot, error) {
	if _, err := iso.call("qjs_run_gc"); err != nil {
		return nil, err
	}
	memory, ok := iso.mod.Memory().Read(0, iso.mod.Memory().Size())
	if !ok {
		return nil, errTrap
	}
	img, err := newImage(memory)
	if err != nil {
		return nil, err
	}
	s := &snapshot{img: img, stack: iso.stack.Get(), undefined: from.undefined, argv: from.argv, dispatch: from.dispatch}
	s.users.Store(1)
	return s, nil
}

type snapshotAddresses struct{ undefined, argv, dispatch uint32 }

// hostFunctions are what the prelude finds in globalThis.__host. It keeps them to
// itself: no code of the application's sees them, and what they bound does not
// depend on it.
//
//nolint:gochecknoglobals // a constant table; Go has no array constants
var hostFunctions = []string{
	"call", "log", "timer", "untimer", "random", "digest", "hmac", "encode", "decode", "now", "ascii", "settle",
}

// makeBase starts the engine and evaluates the prelude.
func (e *engine) makeBase() (_ *snapshot, err error) {
	prelude, err := buildPrelude()
	if err != nil {
		return nil, err
	}
	iso, err := e.newIsolate()
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, iso.close()) }()
	if _, err := iso.mod.ExportedFunction("_initialize").Call(iso.ctx); err != nil {
		return nil, err
	}
	if code, err := iso.call("qjs_init"); err != nil || code != 0 {
		return nil, errors.Join(err, errors.New("QuickJS does not start"))
	}
	for name, v := range map[string]uint64{"qjs_set_max_stack_size": maxStack, "qjs_set_gc_threshold": gcThreshold} {
		if _, err := iso.call(name, v); err != nil {
			return nil, err
		}
	}
	addresses, err := iso.prelude(prelude)
	if err != nil {
		return nil, fmt.Errorf("evaluate the prelude: %w", err)
	}
	if err := iso.makeRoom(); err != nil {
		return nil, err
	}
	return iso.save(addresses)
}

// prelude evaluates the prelude with its host functions.
func (iso *isolate) prelude(source []byte) (a snapshotAddresses, err error) {
	global, err := iso.call("qjs_get_global")
	if err != nil {
		return a, err
	}
	host, err := iso.call("qjs_new_object")
	if err != nil {
		return a, err
	}
	for _, name := range hostFunctions {
		f, err := iso.putting([]byte(name), func(p uint64) (uint64, error) {
			return iso.call("qjs_new_host_function", p, uint64(len(name)), 0)
		})
		if err != nil {
			return a, err
		}
		if err := iso.setProperty(uint32(host), name, f); err != nil {
			return a, err
		}
	}
	if err := iso.setProperty(uint32(global), "__host", uint32(host)); err != nil {
		return a, err
	}
	if _, err := iso.eval(source, preludeFile, 0); err != nil {
		return a, err
	}
	made, err := iso.property(uint32(global), "__prelude")
	if err != nil {
		return a, err
	}
	if a.dispatch, err = iso.property(made, "dispatch"); err != nil {
		return a, err
	}
	if _, err := iso.eval([]byte("delete globalThis.__host; delete globalThis.__prelude"), preludeFile, 0); err != nil {
		return a, err
	}
	undefined, err := iso.call("qjs_get_undefined")
	if err != nil {
		return a, err
	}
	argv, err := iso.call("wasm_malloc", 64)
	if err != nil {
		return a, err
	}
	a.undefined, a.argv = uint32(undefined), uint32(argv)
	return a, iso.jobs()
}

func (iso *isolate) setProperty(object uint32, name string, v uint32) error {
	_, err := iso.putting([]byte(name), func(p uint64) (uint64, error) {
		return iso.call("qjs_set_prop_string", uint64(object), p, uint64(v))
	})
	return err
}

// makeRoom gives the heap its headroom and makes the memory as large as each
// isolate's is at its start.
func (iso *isolate) makeRoom() error {
	room, err := iso.call("wasm_malloc", headroom)
	if err != nil || room == 0 {
		return errors.Join(err, errNoMemory)
	}
	if _, err := iso.call("wasm_free", room); err != nil {
		return err
	}
	if more := snapshotSize - int64(iso.mod.Memory().Size()); more > 0 {
		if _, ok := iso.mod.Memory().Grow(uint32(more / pageSize)); !ok {
			return errNoMemory
		}
	}
	return nil
}

// makeSnapshot evaluates an entry's bundle in an isolate that it restores for it.
// What a module's own code throws is the error.
func (e *engine) makeSnapshot(iso *isolate, r *run, b *bundle) (*snapshot, error) {
	if err := iso.restore(e.base); err != nil {
		return nil, err
	}
	iso.run = r
	defer func() { iso.run = nil }()
	promise, err := iso.eval(b.code, b.file(), evalModule)
	if err != nil {
		return nil, err
	}
	if err := iso.jobs(); err != nil {
		return nil, err
	}
	state, err := iso.call("qjs_promise_state", uint64(promise))
	if err != nil {
		return nil, err
	}
	result, err := iso.call("qjs_promise_result", uint64(promise))
	if err != nil {
		return nil, err
	}
	switch state {
	case 0:
		return nil, &script{name: "Error", message: "a top-level await waits for something that only a call may wait for"}
	case 1:
	default:
		if _, err := iso.call("qjs_throw", result); err != nil {
			return nil, err
		}
		return nil, iso.thrown()
	}
	kind, err := iso.newString([]byte("entry"))
	if err != nil {
		return nil, err
	}
	if _, err := iso.invoke(e.base.dispatch, e.base, kind, uint32(result)); err != nil {
		return nil, err
	}
	return iso.save(snapshotAddresses{undefined: e.base.undefined, argv: e.base.argv, dispatch: e.base.dispatch})
}
