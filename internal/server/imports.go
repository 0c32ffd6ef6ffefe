package server

import (
	"context"
	"net/http"
	"strconv"
	"strings"
	"sync"

	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/transfer"
)

// imports are those that run on a node's socket.
type imports struct {
	node    *Node
	running sync.Map // id -> context.CancelFunc
}

// stop stops the import that was begun under an id. The import itself
// answers how far it came, which it could not if its own request just ended.
func (im *imports) stop(w http.ResponseWriter, r *http.Request) error {
	stop, ok := im.running.Load(r.PathValue("id"))
	if !ok {
		return fault.New(fault.NotFound, "no import of that id is running")
	}
	stop.(context.CancelFunc)() //nolint:forcetypeassert // the map holds nothing else
	return answer(w, struct{}{})
}

func (im *imports) run(w http.ResponseWriter, r *http.Request) error {
	q := r.URL.Query()
	ctx, stop := context.WithCancel(r.Context())
	defer stop()
	if id := q.Get("id"); id != "" {
		im.running.Store(id, stop)
		defer im.running.Delete(id)
	}
	opt := transfer.ImportOptions{
		Target: target(q.Get("entity")), Reader: r.Body, Format: transfer.Format(q.Get("format")),
		OnConflict: q["on_conflict"], SkipBad: q.Get("skip_bad") == "true", Ignore: q.Get("ignore") == "true",
	}
	opt.From, _ = strconv.Atoi(q.Get("from"))
	opt.Size, _ = strconv.ParseInt(q.Get("size"), 10, 64)
	for _, m := range q["map"] {
		if opt.Map == nil {
			opt.Map = map[string]string{}
		}
		column, field, ok := strings.Cut(m, "=")
		if !ok {
			return fault.New(fault.BadRequest, "--map %q is not column=field", m)
		}
		opt.Map[column] = field
	}
	if err := im.node.Engine().Known(opt.Target); err != nil {
		return err
	}
	ev := newEventStream(w)
	opt.Errors = ev
	opt.Progress = func(done, total int64, rows int) { ev.send(Event{Progress: &Progress{done, total, rows}}) }
	report, err := transfer.Import(ctx, im.node.Engine(), operator(), opt)
	return ev.end(Event{Report: report}, err)
}
