package functions

import (
	"encoding/json"
	"time"

	"github.com/pandobase/pando/internal/fault"
)

// Kind is what a function is called as.
type Kind string

// The kinds. Operations and jobs take a value and answer one; an event's
// function takes a CloudEvent; an HTTP function takes a Request and answers a Response
// ([HTTPRequest] and [HTTPResponse] as JSON).
const (
	KindOperation Kind = "operation"
	KindJob       Kind = "job"
	KindEvent     Kind = "event"
	KindHTTP      Kind = "http"
)

// Call is one call of a function.
type Call struct {
	// Entry is the file: functions/orders/place.ts.
	Entry string
	// Export is the function in it. Default: default; for WebAssembly
	// without one, the program itself.
	Export string
	// Kind is what it is called as. Default: operation.
	Kind Kind
	// Input is its first argument, JSON. Default: null.
	Input json.RawMessage
	// Context is the object that becomes its second argument, JSON: auth,
	// requestId, name, attempt. signal and deadline are added. Default: {}.
	Context json.RawMessage
	// RequestID goes on each line of the log and into the hint of a
	// failure.
	RequestID string
	// Depth counts the calls that wait for this one. Default: none does.
	Depth int
	// Host is what the function reaches. Default: nothing.
	Host Host
	// Limits are the call's own; what is 0 is the runtime's.
	Limits Limits
}

// Limits bound one call. A call also ends with its context.
type Limits struct {
	// Memory is the most that the call may use, in bytes; at most Config.Memory,
	// at least 8 MiB. Default: Config.Memory.
	Memory int64
	// Timeout is how long it may take. Default: 30 s.
	Timeout time.Duration
	// Calls is how often it may call its host. Default: 1000.
	Calls int
	// Concurrent is how many of these run at a time; the others wait.
	// Default: 32.
	Concurrent int
	// Input and Output are the most that goes in, comes out, and crosses the
	// border in one call of the host, in bytes. Default: 10 MiB.
	Input, Output int64
	// LogLines and LogBytes bound what it logs. Default: 1000 and 64 KiB.
	LogLines, LogBytes int
	// Timers is how many may wait at a time. Default: 1000.
	Timers int
}

// or fills in what l leaves open.
func (l Limits) or(d Limits) Limits {
	fill(&l.Memory, d.Memory)
	fill(&l.Timeout, d.Timeout)
	fill(&l.Calls, d.Calls)
	fill(&l.Concurrent, d.Concurrent)
	fill(&l.Input, d.Input)
	fill(&l.Output, d.Output)
	fill(&l.LogLines, d.LogLines)
	fill(&l.LogBytes, d.LogBytes)
	fill(&l.Timers, d.Timers)
	return l
}

func fill[T comparable](v *T, d T) {
	var none T
	if *v == none {
		*v = d
	}
}

// Result is what a call came to.
type Result struct {
	// Output is what the function returned, one JSON value.
	Output json.RawMessage
	// Computed is how long it used a processor, with what waiting for its turn
	// of Go's scheduler took within.
	Computed time.Duration
	// Calls is how often it called its host.
	Calls int
}

// HTTPRequest is the input of a call of [KindHTTP].
type HTTPRequest struct {
	Method  string      `json:"method"`
	URL     string      `json:"url"`
	Headers [][2]string `json:"headers"`
	Body    []byte      `json:"body"` // base64 in JSON; null: none
}

// HTTPResponse is its output.
type HTTPResponse struct {
	Status  int         `json:"status"`
	Headers [][2]string `json:"headers"`
	Body    []byte      `json:"body"`
}

// check fills in c's defaults and refuses what cannot be called.
func (c *Call) check() error {
	fill(&c.Kind, KindOperation)
	if c.Input == nil {
		c.Input = json.RawMessage("null")
	}
	if c.Context == nil {
		c.Context = json.RawMessage("{}")
	}
	if size := int64(len(c.Input)); size > c.Limits.Input {
		return fault.New(fault.BodyTooLarge, "the input has %d bytes; a function takes %d", size, c.Limits.Input)
	}
	if !json.Valid(c.Input) || !json.Valid(c.Context) {
		return fault.New(fault.Internal, "the input of a function is not JSON")
	}
	return nil
}
