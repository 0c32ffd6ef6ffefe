package password

import (
	"encoding/json"
	"errors"
	"io"
	"runtime/debug"
	"sync"
)

// Work is the other side of [Config.Worker]: it hashes at the lowest priority
// what it reads from in, until in ends. The node lets no more jobs come at once
// than may run.
func Work(in io.Reader, out io.Writer) error {
	lowerPriority()
	debug.SetGCPercent(20) // each hash leaves as much garbage as everything else takes
	d, e := json.NewDecoder(in), json.NewEncoder(out)
	var running sync.WaitGroup
	var mu sync.Mutex // of e
	defer running.Wait()
	for {
		var j job
		err := d.Decode(&j)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		running.Go(func() {
			r := j.run()
			mu.Lock()
			defer mu.Unlock()
			_ = e.Encode(r) // a node that is gone ends in as well
		})
	}
}
