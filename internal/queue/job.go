package queue

import (
	"encoding/json"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/pandobase/pando/internal/fault"
)

// DefaultQueue is the queue of jobs that name none.
const DefaultQueue = "default"

// The priorities of jobs.
const (
	Urgent          = 1
	DefaultPriority = 2
	Lowest          = 4
)

const (
	maxName   = 200     // bytes of a kind or a queue
	maxKey    = 1 << 10 // of a unique key
	maxCaller = 64 << 10
	maxTrace  = 200
)

// Job is what is enqueued.
type Job struct {
	Kind     string        // what is to be done, such as "orders.send_receipt"; required
	Queue    string        // default: [DefaultQueue]
	Args     []byte        // JSON; none is null
	Priority int           // 1 to 4, 1 first; default: [DefaultPriority]
	RunAt    time.Time     // not before; default: now
	Attempts int           // tries before it is dead; default: [Config.MaxAttempts]
	Timeout  time.Duration // of one try; default: [Config.Timeout]

	// Unique is a key: while a job of the same kind and key has not finished,
	// another one is not added, and the one that is there is answered in its place.
	Unique string
	// Window is how long from its enqueuing on a job keeps others of its key from
	// being added, even when it has finished before. 0: until it has finished.
	Window time.Duration

	Caller []byte // who enqueued it: opaque
	Trace  string // the trace that it belongs to
}

// check fills the defaults in and reports what cannot be stored.
func (j *Job) check(c *Config) error {
	if j.Queue == "" {
		j.Queue = DefaultQueue
	}
	if j.Priority == 0 {
		j.Priority = DefaultPriority
	}
	if j.Attempts == 0 {
		j.Attempts = c.MaxAttempts
	}
	if j.Timeout == 0 {
		j.Timeout = c.Timeout
	}
	if err := checkName("kind", j.Kind); err != nil {
		return err
	}
	if err := checkName("queue", j.Queue); err != nil {
		return err
	}
	switch {
	case len(j.Args) > c.MaxArgs:
		return fault.New(fault.LimitExceeded, "the arguments of a job %q have %d bytes", j.Kind, len(j.Args)).
			WithHint("at most %d are stored: store what is large, and pass its id", c.MaxArgs)
	case len(j.Args) > 0 && !json.Valid(j.Args):
		return fault.New(fault.InvalidBody, "the arguments of a job %q are not JSON", j.Kind)
	case j.Priority < Urgent || j.Priority > Lowest:
		return fault.New(fault.BadRequest, "the priority of a job %q is %d", j.Kind, j.Priority).WithHint("it is 1 (first), 2, 3 or 4")
	case j.Attempts < 1:
		return fault.New(fault.BadRequest, "a job %q has %d attempts", j.Kind, j.Attempts).WithHint("it is a number from 1 on")
	case j.Timeout < time.Millisecond:
		return fault.New(fault.BadRequest, "the timeout of a job %q is %s", j.Kind, j.Timeout).WithHint("it is a time from 1ms on")
	case j.Window < 0 || j.Window > 0 && j.Unique == "":
		return fault.New(fault.BadRequest, "a job %q has a window and no unique key, or a negative one", j.Kind)
	case len(j.Unique) > maxKey || !storable(j.Unique):
		return fault.New(fault.BadRequest, "the unique key of a job %q cannot be stored", j.Kind).
			WithHint("it is a text of at most %d bytes, without NUL", maxKey)
	case len(j.Caller) > maxCaller || len(j.Trace) > maxTrace || !storable(j.Trace):
		return fault.New(fault.BadRequest, "the caller or the trace of a job %q is too large, or is no text", j.Kind).
			WithHint("at most %d and %d bytes are stored", maxCaller, maxTrace)
	}
	return nil
}

// uniqueKey is what the store holds of a unique key; empty: none.
func (j *Job) uniqueKey() string {
	if j.Unique == "" {
		return ""
	}
	return j.Kind + "\n" + j.Unique
}

func checkName(what, name string) error {
	if name == "" || len(name) > maxName || !storable(name) || strings.ContainsAny(name, "\n\r") {
		return fault.New(fault.BadRequest, "the %s of a job is %q", what, name).WithHint("it is a text of 1 to %d bytes on one line", maxName)
	}
	return nil
}

func storable(s string) bool { return utf8.ValidString(s) && strings.IndexByte(s, 0) < 0 }

// ID names a job in its store. Ids grow with the time at which jobs are enqueued,
// roughly between nodes.
type ID int64

// String is the id as callers write it.
func (id ID) String() string { return strconv.FormatInt(int64(id), 10) }

// ParseID reads what [ID.String] writes.
func ParseID(s string) (ID, error) {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n <= 0 {
		return 0, fault.New(fault.Parse, "%q is no id of a job", s).WithHint("it is the number that was answered when the job was enqueued")
	}
	return ID(n), nil
}

// Enqueued is the time at which the job was enqueued, in milliseconds.
func (id ID) Enqueued() time.Time { return time.UnixMilli(int64(id)>>idBits + idEpoch) }

// State is where a job is in its life.
type State uint8

// The states. A job in one of the last three has finished; [Queue.Retry] brings
// the last two back.
const (
	Scheduled State = iota // its time has not come: of its first try, or of the next
	Available              // it is taken next
	Running
	Completed
	Canceled
	Dead // its last try has failed
)

//nolint:gochecknoglobals // a constant table
var stateNames = [...]string{"scheduled", "available", "running", "completed", "canceled", "dead"}

// String is the state's name.
func (s State) String() string { return stateNames[s] }

// ParseState reads a state's name.
func ParseState(name string) (State, error) {
	for i, n := range stateNames {
		if n == name {
			return State(i), nil
		}
	}
	return 0, fault.New(fault.Parse, "there is no state %q", name).WithHint("there are %s", strings.Join(stateNames[:], ", "))
}

// Finished reports whether nothing happens to the job any more by itself.
func (s State) Finished() bool { return s >= Completed }

// Info is what the store knows of a job.
type Info struct {
	ID       ID
	Kind     string
	Queue    string
	State    State
	Priority int
	RunAt    time.Time     // of the next try, or of the last one
	Timeout  time.Duration // of one try
	Attempts int           // after which it is dead
	Failed   int           // tries that have failed
	Started  time.Time     // of the last try; zero: there was none
	Finished time.Time     // zero: it has not
	Progress float64       // 0 to 1, as the handler last said
	Message  string        // beside it
	Caller   []byte
	Trace    string
	Args     []byte
	Result   []byte
	Errors   []TryError // of the tries that failed, the last ones
}

// TryError is what a try failed with.
type TryError struct {
	Try   int       `json:"try"` // counted from 1
	At    time.Time `json:"at"`
	Error string    `json:"error"`
}

const (
	maxErrors = 50      // tries whose errors are kept
	maxError  = 2 << 10 // bytes of one
)

// addError adds an error to those of a job, as the store holds them.
func addError(list string, e TryError) string {
	errs := readErrors(list)
	e.Error = strings.ReplaceAll(strings.ToValidUTF8(e.Error, "\uFFFD"), "\x00", "\uFFFD")
	if len(e.Error) > maxError {
		e.Error = strings.ToValidUTF8(e.Error[:maxError], "") + "…"
	}
	errs = append(errs, e)
	if n := len(errs) - maxErrors; n > 0 {
		errs = errs[n:]
	}
	out, err := json.Marshal(errs)
	if err != nil { // a time beyond the year 9999
		return list
	}
	return string(out)
}

func readErrors(list string) (errs []TryError) {
	if list == "" {
		return nil
	}
	if json.Unmarshal([]byte(list), &errs) != nil {
		return nil
	}
	return errs
}
