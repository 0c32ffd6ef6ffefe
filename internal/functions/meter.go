package functions

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
)

// The names under which a metered module finds its clock: it imports the
// function meterModule.meterTick, and calls it after every meterInterval loop
// iterations and function calls.
const (
	meterModule   = "pando_meter"
	meterTick     = "tick"
	meterInterval = 16 << 10
)

// meter returns a WebAssembly module that does what wasm does and calls
// pando_meter.tick again and again while it computes: each entry of a loop's
// body and of a function counts down a global of its own, and at zero calls.
//
// That is what keeps the process alive beside a guest that never returns. Go
// can neither preempt compiled WebAssembly nor collect garbage while it runs;
// a tick is a call into Go, where both are possible, where the deadline is
// looked at, and where the processor is handed on. wazero's own switch
// (WithCloseOnContextDone) leaves the guest in every iteration of every loop,
// which makes an interpreter some times slower (BenchmarkMeter), and does not see
// recursion.
//
// With a depth, calls that nest deeper trap: wazero's own stack grows on Go's
// heap, up to 400 MB. QuickJS counts its stack itself.
//
// Functions are renumbered, since an import comes before them; the custom
// section "name" is left out.
func meter(wasm []byte, depth int32) ([]byte, error) {
	m := &metering{r: reader{b: wasm}, depth: depth}
	out, err := m.module()
	if err != nil {
		return nil, fmt.Errorf("meter: %w", err)
	}
	return out, nil
}

var errWasm = errors.New("not a WebAssembly module that this build understands")

// wasmFacts are what a module can change outside of its memory: the proof that
// an instance whose memory and globals are put back is as new.
type wasmFacts struct {
	mutableGlobals int // without the meter's own
	tableWrites    int // instructions that change a table
	segmentDrops   int // instructions that drop a segment
}

// metering is one rewrite.
type metering struct {
	r       reader
	depth   int32 // 0: as deep as it likes
	facts   wasmFacts
	types   uint32 // how many there were: the index of the tick's type
	imports uint32 // imported functions: the index of tick
	globals uint32 // how many there were: the index of the counter
}

// The sections of a module, in their order.
const (
	secCustom = iota
	secType
	secImport
	secFunction
	secTable
	secMemory
	secGlobal
	secExport
	secStart
	secElement
	secCode
	secData
	secDataCount
)

type section struct {
	id   byte
	body []byte
}

func (m *metering) module() (out []byte, err error) {
	defer func() {
		if r := recover(); r != nil {
			if e, ok := r.(error); ok && errors.Is(e, errWasm) {
				err = e
				return
			}
			panic(r)
		}
	}()
	out = append(out, m.r.take(8)...)
	if !slices.Equal(out, []byte("\x00asm\x01\x00\x00\x00")) {
		return nil, errWasm
	}
	var sections []section
	for !m.r.done() {
		s := section{id: m.r.byte()}
		s.body = m.r.take(int(m.r.u32()))
		if s.id == secCustom {
			name := reader{b: s.body}
			if string(name.take(int(name.u32()))) == "name" {
				continue
			}
		}
		sections = append(sections, s)
	}
	for _, id := range []byte{secType, secImport, secGlobal} {
		sections = ensureSection(sections, id)
	}
	for _, s := range sections { // first what the others' numbers depend on
		if s.id == secImport {
			m.countImports(s.body)
		}
	}
	for _, s := range sections {
		if s.id == secGlobal {
			m.globals += (&reader{b: s.body}).u32()
		}
	}
	for _, s := range sections {
		body := m.section(s)
		out = append(out, s.id)
		out = binary.AppendUvarint(out, uint64(len(body)))
		out = append(out, body...)
	}
	return out, nil
}

// ensureSection adds an empty vector of the kind where there is none.
func ensureSection(sections []section, id byte) []section {
	at := len(sections)
	for i, s := range sections {
		if s.id == id {
			return sections
		}
		if s.id != secCustom && order(s.id) > order(id) && at == len(sections) {
			at = i
		}
	}
	return slices.Insert(sections, at, section{id: id, body: []byte{0}})
}

// order is a section's place in a module: the data count stands before the code.
func order(id byte) int {
	if id == secDataCount {
		return 2*secCode - 1
	}
	return 2 * int(id)
}

func (m *metering) countImports(body []byte) {
	r := reader{b: body}
	for range r.u32() {
		r.take(int(r.u32()))
		r.take(int(r.u32()))
		switch kind := r.byte(); kind {
		case 0:
			r.u32()
			m.imports++
		case 1:
			r.byte()
			r.limits()
		case 2:
			r.limits()
		case 3:
			r.byte()
			if r.byte() == 1 {
				m.facts.mutableGlobals++
			}
			m.globals++
		default:
			panic(fmt.Errorf("%w: import of kind %d", errWasm, kind))
		}
	}
}

func (m *metering) section(s section) []byte {
	r, w := &reader{b: s.body}, &writer{}
	switch s.id {
	case secType:
		m.types = w.grown(r)
		w.rest(r)
		w.b = append(w.b, 0x60, 0, 0)
	case secImport:
		w.grown(r)
		w.rest(r)
		w.name(meterModule)
		w.name(meterTick)
		w.b = append(w.b, 0)
		w.u32(m.types)
	case secGlobal:
		n := r.u32()
		w.u32(n + 2)
		for range n {
			w.bytes(r.take(1))
			mutable := r.byte()
			m.facts.mutableGlobals += int(mutable)
			w.b = append(w.b, mutable)
			m.expr(r, w, false)
		}
		w.b = append(w.b, 0x7f, 1, 0x41) // i32, mutable, i32.const
		w.s32(meterInterval)
		w.b = append(w.b, 0x0b, 0x7f, 1, 0x41, 0, 0x0b)
	case secExport:
		for range w.vector(r) {
			w.bytes(r.take(int(w.copyU32(r))))
			kind := r.byte()
			w.b = append(w.b, kind)
			if kind == 0 {
				w.u32(m.function(r.u32()))
			} else {
				w.copyU32(r)
			}
		}
	case secStart:
		w.u32(m.function(r.u32()))
	case secElement:
		for range w.vector(r) {
			m.element(r, w)
		}
	case secCode:
		for range w.vector(r) {
			body := reader{b: r.take(int(r.u32()))}
			var code writer
			for range code.vector(&body) {
				code.copyU32(&body)
				code.bytes(body.take(1))
			}
			m.tick(&code)
			m.expr(&body, &code, true)
			w.u32(uint32(len(code.b)))
			w.bytes(code.b)
		}
	default:
		w.rest(r)
	}
	if !r.done() {
		panic(fmt.Errorf("%w: section %d is longer than what it holds", errWasm, s.id))
	}
	return w.b
}

// element copies one segment of section 9 in any of its eight forms.
func (m *metering) element(r *reader, w *writer) {
	flags := w.copyU32(r)
	if flags > 7 {
		panic(fmt.Errorf("%w: element segment of kind %d", errWasm, flags))
	}
	passive, explicit, exprs := flags&1 != 0, flags&2 != 0, flags&4 != 0
	if !passive {
		if explicit {
			w.copyU32(r)
		}
		m.expr(r, w, false)
	}
	if passive || explicit {
		w.bytes(r.take(1)) // the kind or the type of the elements
	}
	for range w.vector(r) {
		if exprs {
			m.expr(r, w, false)
		} else {
			w.u32(m.function(r.u32()))
		}
	}
}

// function is a function's number behind the new import.
func (m *metering) function(i uint32) uint32 {
	if i >= m.imports {
		i++
	}
	return i
}

// tick writes: if (--counter == 0) { counter = meterInterval; tick() }.
func (m *metering) tick(w *writer) {
	w.b = append(w.b, 0x23)
	w.u32(m.globals)
	w.b = append(w.b, 0x41, 1, 0x6b, 0x24)
	w.u32(m.globals)
	w.b = append(w.b, 0x23)
	w.u32(m.globals)
	w.b = append(w.b, 0x45, 0x04, 0x40, 0x41)
	w.s32(meterInterval)
	w.b = append(w.b, 0x24)
	w.u32(m.globals)
	w.b = append(w.b, 0x10)
	w.u32(m.imports)
	w.b = append(w.b, 0x0b)
}

// nest writes: if (++nested > depth) unreachable, around a call together with unnest.
func (m *metering) nest(w *writer) {
	m.count(w, 0x6a)
	w.b = append(w.b, 0x23)
	w.u32(m.globals + 1)
	w.b = append(w.b, 0x41)
	w.s32(m.depth)
	w.b = append(w.b, 0x4b, 0x04, 0x40, 0x00, 0x0b)
}

func (m *metering) unnest(w *writer) { m.count(w, 0x6b) }

// count adds 1 to the number of nested calls, or subtracts it.
func (m *metering) count(w *writer, op byte) {
	w.b = append(w.b, 0x23)
	w.u32(m.globals + 1)
	w.b = append(w.b, 0x41, 1, op, 0x24)
	w.u32(m.globals + 1)
}

// expr copies instructions up to the end of the expression.
func (m *metering) expr(r *reader, w *writer, code bool) {
	for depth := 1; depth > 0; {
		op := r.byte()
		call := code && m.depth > 0 && (op == 0x10 || op == 0x11)
		if call {
			m.nest(w)
		}
		w.b = append(w.b, op)
		switch {
		case op == 0x02, op == 0x03, op == 0x04: // block, loop, if
			w.leb(r)
			depth++
			if op == 0x03 && code {
				m.tick(w)
			}
		case op == 0x0b:
			depth--
		case op == 0x10, op == 0xd2: // call, ref.func
			w.u32(m.function(r.u32()))
		case op == 0x0e: // br_table
			for range w.vector(r) {
				w.leb(r)
			}
			w.leb(r)
		case op == 0x1c: // select with types
			for range w.vector(r) {
				w.bytes(r.take(1))
			}
		case op == 0x11, op >= 0x28 && op <= 0x3e: // call_indirect, loads and stores
			w.leb(r)
			w.leb(r)
		case op == 0x0c, op == 0x0d, op >= 0x20 && op <= 0x26, op >= 0x3f && op <= 0x42, op == 0xd0:
			if op == 0x26 {
				m.facts.tableWrites++
			}
			w.leb(r)
		case op == 0x43:
			w.bytes(r.take(4))
		case op == 0x44:
			w.bytes(r.take(8))
		case op == 0xfc:
			m.bulk(r, w)
		case op == 0xfd:
			simd(r, w)
		case op == 0x00, op == 0x01, op == 0x05, op == 0x0f, op == 0x1a, op == 0x1b, op == 0xd1, op >= 0x45 && op <= 0xc4:
		default:
			panic(fmt.Errorf("%w: instruction %#x", errWasm, op))
		}
		if call {
			m.unnest(w)
		}
	}
}

// bulk copies what follows 0xfc: saturating conversions, bulk memory, tables.
func (m *metering) bulk(r *reader, w *writer) {
	op := w.copyU32(r)
	operands := map[uint32]int{8: 2, 9: 1, 10: 2, 11: 1, 12: 2, 13: 1, 14: 2, 15: 1, 16: 1, 17: 1}
	if op > 17 {
		panic(fmt.Errorf("%w: instruction 0xfc %d", errWasm, op))
	}
	switch op {
	case 9, 13:
		m.facts.segmentDrops++
	case 12, 14, 15, 17:
		m.facts.tableWrites++
	}
	for range operands[op] {
		w.leb(r)
	}
}

// simd copies what follows 0xfd.
func simd(r *reader, w *writer) {
	switch op := w.copyU32(r); {
	case op <= 11, op == 92, op == 93:
		w.leb(r)
		w.leb(r)
	case op == 12, op == 13:
		w.bytes(r.take(16))
	case op >= 21 && op <= 34:
		w.bytes(r.take(1))
	case op >= 84 && op <= 91:
		w.leb(r)
		w.leb(r)
		w.bytes(r.take(1))
	case op > 255:
		panic(fmt.Errorf("%w: instruction 0xfd %d", errWasm, op))
	}
}

// reader reads a module; what is not there panics with errWasm.
type reader struct {
	b []byte
	n int
}

func (r *reader) done() bool { return r.n >= len(r.b) }

func (r *reader) take(n int) []byte {
	if n < 0 || n > len(r.b)-r.n {
		panic(fmt.Errorf("%w: it ends early", errWasm))
	}
	r.n += n
	return r.b[r.n-n : r.n]
}

func (r *reader) byte() byte { return r.take(1)[0] }

func (r *reader) u32() uint32 {
	v, n := binary.Uvarint(r.b[min(r.n, len(r.b)):])
	if n <= 0 || v > 1<<32-1 {
		panic(fmt.Errorf("%w: a number that is none", errWasm))
	}
	r.n += n
	return uint32(v)
}

func (r *reader) limits() {
	if r.byte()&1 != 0 {
		r.u32()
	}
	r.u32()
}

// writer makes a section.
type writer struct{ b []byte }

func (w *writer) bytes(b []byte) { w.b = append(w.b, b...) }
func (w *writer) u32(v uint32)   { w.b = binary.AppendUvarint(w.b, uint64(v)) }
func (w *writer) name(s string)  { w.u32(uint32(len(s))); w.b = append(w.b, s...) }
func (w *writer) rest(r *reader) { w.bytes(r.take(len(r.b) - r.n)) }

// s32 writes a positive number as a signed LEB128.
func (w *writer) s32(v int32) {
	for v > 63 {
		w.b = append(w.b, byte(v&0x7f)|0x80)
		v >>= 7
	}
	w.b = append(w.b, byte(v))
}

// leb copies one LEB128 of either sign as it stands.
func (w *writer) leb(r *reader) {
	for {
		b := r.byte()
		w.b = append(w.b, b)
		if b&0x80 == 0 {
			return
		}
	}
}

func (w *writer) copyU32(r *reader) uint32 {
	v := r.u32()
	w.u32(v)
	return v
}

// vector copies a vector's length.
func (w *writer) vector(r *reader) uint32 { return w.copyU32(r) }

// grown copies a vector's length, one more than it was, which it returns.
func (w *writer) grown(r *reader) uint32 {
	n := r.u32()
	w.u32(n + 1)
	return n
}
