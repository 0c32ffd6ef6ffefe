// Command guest is a module of functions: GOOS=wasip1 GOARCH=wasm go build
// -buildmode=c-shared.
package main

import (
	"encoding/json"
	"os"
	"time"
	"unsafe"
)

//go:wasmimport pando input_size
func inputSize() uint32

//go:wasmimport pando input
func input(p unsafe.Pointer)

//go:wasmimport pando context_size
func contextSize() uint32

//go:wasmimport pando context
func context(p unsafe.Pointer)

//go:wasmimport pando output
func output(p unsafe.Pointer, n uint32)

//go:wasmimport pando fail
func fail(p unsafe.Pointer, n uint32)

//go:wasmimport pando log
func log(level uint32, p unsafe.Pointer, n uint32)

//go:wasmimport pando call
func call(method unsafe.Pointer, methodLen uint32, body unsafe.Pointer, bodyLen uint32) uint32

//go:wasmimport pando result_ok
func resultOK(handle uint32) uint32

//go:wasmimport pando result_size
func resultSize(handle uint32) uint32

//go:wasmimport pando result
func result(handle uint32, p unsafe.Pointer)

func read(size uint32, into func(unsafe.Pointer)) []byte {
	b := make([]byte, size+1)
	into(unsafe.Pointer(&b[0]))
	return b[:size]
}

func give(f func(unsafe.Pointer, uint32), v any) {
	b, _ := json.Marshal(v)
	f(unsafe.Pointer(&b[0]), uint32(len(b)))
}

func host(method, body string) ([]byte, bool) {
	h := call(unsafe.Pointer(unsafe.StringData(method)), uint32(len(method)), unsafe.Pointer(unsafe.StringData(body)), uint32(len(body)))
	ok := resultOK(h) == 1
	return read(resultSize(h), func(p unsafe.Pointer) { result(h, p) }), ok
}

var counter int

//go:wasmexport place
func place() {
	counter++
	var in struct{ N int }
	_ = json.Unmarshal(read(inputSize(), input), &in)
	var about struct{ Auth struct{ UID string } }
	_ = json.Unmarshal(read(contextSize(), context), &about)
	secret, ok := host("secret", `{"name":"x"}`)
	line := "placing"
	log(1, unsafe.Pointer(unsafe.StringData(line)), uint32(len(line)))
	give(output, map[string]any{
		"n": 2 * in.N, "uid": about.Auth.UID, "secret": string(secret), "ok": ok, "counter": counter, "env": len(os.Environ()), "args": len(os.Args),
	})
}

//go:wasmexport refuse
func refuse() {
	problem, ok := host("secret", `{"name":"none"}`)
	if ok {
		panic("it should fail")
	}
	give(fail, json.RawMessage(problem))
}

//go:wasmexport loop
func loop() {
	for {
		counter++
	}
}

//go:wasmexport sleep
func sleep() { time.Sleep(time.Hour) }

//go:wasmexport nest
func nest() { counter = deep(1 << 30) }

//go:noinline
func deep(n int) int {
	if n == 0 {
		return 1
	}
	return deep(n-1) + deep(n-2)
}

//go:wasmexport bomb
func bomb() {
	var all [][]byte
	for {
		b := make([]byte, 1<<20)
		for i := range b {
			b[i] = 1
		}
		all = append(all, b)
		counter = len(all)
	}
}

//go:wasmexport outside
func outside() { output(unsafe.Pointer(uintptr(0xfffffff0)), 100) }

//go:wasmexport huge
func huge() {
	b := make([]byte, 20<<20)
	output(unsafe.Pointer(&b[0]), uint32(len(b)))
}

//go:wasmexport words
func words() {
	s := "no JSON"
	output(unsafe.Pointer(unsafe.StringData(s)), uint32(len(s)))
}

//go:wasmexport crash
func crash() { panic("crashed on purpose") }

//go:wasmexport files
func files() {
	_, err := os.ReadFile("/etc/passwd")
	give(output, err != nil)
}

func main() {}
