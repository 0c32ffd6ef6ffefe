package password

import (
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"os/exec"
	"sync"
	"time"
)

// idle is how long a worker that has nothing to do is kept.
const idle = time.Minute

// job is what a worker is asked: the sum of a new hash, or whether a password
// is the one that Encoded was made of.
type job struct {
	ID       uint64 `json:"id"`
	Salt     []byte `json:"salt,omitempty"`
	Encoded  string `json:"encoded,omitempty"`
	Password []byte `json:"password"`
}

// result is what it answers.
type result struct {
	ID    uint64 `json:"id"`
	Sum   []byte `json:"sum,omitempty"`
	Match bool   `json:"match,omitempty"`
	Err   string `json:"error,omitempty"`
}

// run does the work of a job.
func (j *job) run() result {
	r := result{ID: j.ID}
	if j.Encoded == "" {
		r.Sum = ownArgon2(j.Salt).derive(string(j.Password), sumBytes)
		return r
	}
	h, err := parse(j.Encoded)
	if err != nil {
		r.Err = err.Error()
		return r
	}
	r.Match = h.matches(string(j.Password))
	return r
}

// worker is the process that hashes at the lowest priority. Go gives a long
// computation as much of a processor as a request, and argon2 does not pause:
// in the node's own process, a flood of sign-ins holds up every read. The
// operating system does better. The process is started by the first job, ends
// when it was idle for a while, and ends with the node, whose pipe it reads.
type worker struct {
	command func() *exec.Cmd
	log     *slog.Logger

	mu     sync.Mutex
	proc   *process // nil: none runs
	last   uint64   // id of the newest job
	closed bool
	reaped sync.WaitGroup
}

// process is one life of the worker.
type process struct {
	cmd     *exec.Cmd
	in      io.WriteCloser
	encode  *json.Encoder
	waiting map[uint64]chan result
	quit    *time.Timer
}

var errWorker = errors.New("the process that hashes passwords has ended")

// do hands a job to the process. It fails when that cannot run or ends.
func (w *worker) do(j job) (result, error) {
	answer := make(chan result, 1)
	if err := w.send(&j, answer); err != nil {
		return result{}, err
	}
	r, ok := <-answer
	if !ok {
		return result{}, errWorker
	}
	return r, nil
}

func (w *worker) send(j *job, answer chan result) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		return errWorker
	}
	if w.proc == nil {
		if err := w.start(); err != nil {
			return err
		}
	}
	p := w.proc
	p.quit.Stop()
	w.last++
	j.ID = w.last
	p.waiting[j.ID] = answer
	if err := p.encode.Encode(j); err != nil {
		delete(p.waiting, j.ID)
		return err
	}
	return nil
}

// start starts the process. mu is held.
func (w *worker) start() error {
	cmd := w.command()
	in, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	separate(cmd)
	if err := cmd.Start(); err != nil {
		return err
	}
	p := &process{cmd: cmd, in: in, encode: json.NewEncoder(in), waiting: map[uint64]chan result{}}
	p.quit = time.AfterFunc(idle, func() { w.rest(p) })
	w.proc = p
	w.reaped.Go(func() { w.receive(p, out) })
	return nil
}

// receive hands out the answers until the process ends.
func (w *worker) receive(p *process, out io.Reader) {
	d := json.NewDecoder(out)
	for {
		var r result
		if d.Decode(&r) != nil {
			break
		}
		w.mu.Lock()
		answer := p.waiting[r.ID]
		delete(p.waiting, r.ID)
		if len(p.waiting) == 0 {
			p.quit.Reset(idle)
		}
		w.mu.Unlock()
		if answer != nil {
			answer <- r
		}
	}
	w.mu.Lock()
	w.drop(p)
	for _, answer := range p.waiting {
		close(answer)
	}
	w.mu.Unlock()
	if err := p.cmd.Wait(); err != nil {
		w.log.Warn("the process that hashes passwords ended", "error", err)
	}
}

// rest ends a process that has nothing to do.
func (w *worker) rest(p *process) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(p.waiting) == 0 {
		w.drop(p)
	}
}

// drop lets the process end after what it was given. mu is held.
func (w *worker) drop(p *process) {
	p.quit.Stop()
	_ = p.in.Close() // a pipe that is closed already is as good
	if w.proc == p {
		w.proc = nil
	}
}

// close ends the process and waits for it.
func (w *worker) close() {
	w.mu.Lock()
	w.closed = true
	if w.proc != nil {
		w.drop(w.proc)
	}
	w.mu.Unlock()
	w.reaped.Wait()
}
