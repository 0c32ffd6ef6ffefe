// Package functions runs an application's own code: TypeScript and JavaScript,
// bundled by esbuild and run by QuickJS in WebAssembly, and users' WebAssembly.
//
// # What it guarantees
//
// Every call has an isolate of its own: memory that is, to the byte, what it was
// before the first call. Nothing that a call does is seen by another one. Code
// reaches nothing but the [Host] of its call: no file, no environment, no network,
// no module of Node's.
//
// Every call ends: at its deadline, at its limit of memory, of calls, of input,
// output and log, or at once when nothing is left that it could wait for. That
// does not depend on the code's good will, nor on the prelude's, which it can
// change: limits are counted outside of the isolate. Code that never ends takes
// turns with the others, and waits behind those that have computed less.
//
// All functions together use at most Isolates times 6 MiB, Budget and Snapshots
// of memory (see [Config]), beside Go's own for each isolate, about 0.4 MB.
//
// # How
//
// An entry is bundled to one script, which is evaluated once behind the prelude.
// The memory that results is the entry's snapshot: a file without a name, which an
// isolate maps copy on write in place of its linear memory. After the call it is mapped
// again, which drops what the call wrote, and the stack pointer is put back;
// QuickJS has no other state (TestQuickJSState). An isolate whose engine stopped within,
// or whose memory grew, is thrown away.
//
// A module's own code (outside of functions) runs once for all calls, so it can
// neither call out, nor wait, nor ask for randomness. Math.random is seeded anew
// for each call, and the clock is the host's.
//
// WebAssembly is metered before it is compiled (see meter.go), instead of by wazero's
// WithCloseOnContextDone: a count in each loop and function calls into Go
// every 16,384 times, about each 70 µs. There the deadline is looked at, the
// turn handed on, and Go's collector and scheduler find the goroutine.
//
// # What the host is asked
//
// Methods and their JSON bodies, and what they answer:
//
//	rows       {"service":false,"method":"GET","module":"","entity":"orders","query":"select=id&status=eq.open",
//	           "prefer":"return=representation","single":false,"body":any}
//	           -> {"status":200,"count":null,"body":any}
//	           method: GET HEAD POST PATCH DELETE; module "": by the name alone; query and prefer: PostgREST's; body is
//	           absent where there is none; single: exactly one row, answered as an object
//	operation  {"service":false,"name":"orders.place","input":any} -> output
//	publish    {"name":"orders.noted","data":any} -> {"id":"..."}
//	enqueue    {"name":"orders.send_receipt","input":any,"at":"RFC 3339"|null,"unique":"..."|null,"priority":1|null} -> {"id":"..."}
//	progress   {"fraction":0.5,"message":"..."} -> null
//	secret     {"name":"x"} -> "value"
//	fetch      {"url":"https://...","method":"GET","headers":[["a","b"]],"body":base64|null}
//	           -> {"status":200,"headers":[["a","b"]],"body":base64|null,"url":"https://..."}
//	           with "integration" and "path" where the call names the integration; the url is then below
//	           https://NAME.integration.invalid/ and only its path and query mean something
//	file.*     reserved
//
// service: the function asks with the application's own rights. An error becomes a
// PandoError with the fault's code, message, details, hint and status.
//
// # Users' WebAssembly
//
// functions/x.wasm#place calls the export place, which has no parameters and no results, after
// _initialize where the module has it. Without an export the module is a program: it is started at
// _start, reads the input from standard input and writes its result to standard output; standard
// error goes to the log. Both find WASI preview 1 with clocks and randomness, and neither files,
// arguments nor environment. A module imports from "pando" (all i32; pointers into its memory):
//
//	input_size() -> n        input(p)         the input's bytes, JSON
//	context_size() -> n      context(p)       the second argument of TypeScript's functions, JSON
//	output(p, n)                              the result, JSON; the last one counts; none: null
//	fail(p, n)                                a problem instead: {"status","code","message","details","hint"}
//	log(level, p, n)                          0 debug, 1 info, 2 warn, 3 error
//	call(method, n, body, n) -> handle        asks the host and waits
//	result_ok(handle) -> 1 or 0               0: the result is a problem
//	result_size(handle) -> n  result(handle, p)  the answer's bytes, which ends the handle
//
// A module is instantiated for each call. It has the same limits; calls within it nest 10,000 deep.
package functions
