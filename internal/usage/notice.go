package usage

import (
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/model"
)

// Thing is something deprecated that a request has named.
type Thing struct {
	// Name is what the version calls it: module.entity, module.entity.field or
	// module.operation.
	Name string
	Life *model.Deprecated
	// Successor is the path of what replaces it; empty: it has none of its own.
	Successor string
}

// Notice is what a client is told about the deprecated things that its request
// has named. The zero Notice tells nothing.
type Notice struct {
	// Since is the first day of the deprecations. The zero Unix time where the
	// days are not known, since the model tells versions.
	Since  time.Time
	Sunset time.Time // the first of the sunsets; zero: no day is set
	Things []Thing
}

// Tell is what a client is told about the things that it has named, each once.
// The error is fault.Gone when one of them is answered no more; it names what
// replaces it.
func Tell(now time.Time, things ...Thing) (Notice, error) {
	n := Notice{Things: things, Since: time.Unix(0, 0).UTC()}
	for _, t := range things {
		if t.Life.Gone(now) {
			return Notice{}, gone(t)
		}
		if day, ok := t.Life.Day(); ok && (n.Since.Unix() == 0 || day.Before(n.Since)) {
			n.Since = day
		}
		if day, ok := t.Life.SunsetDay(); ok && (n.Sunset.IsZero() || day.Before(n.Sunset)) {
			n.Sunset = day
		}
	}
	return n, nil
}

func gone(t Thing) error {
	end, _ := t.Life.End()
	f := fault.New(fault.Gone, "%s is gone", t.Name).
		WithDetails("it was deprecated since %s and is answered no more since %s", t.Life.Since, end.Format(time.DateOnly))
	if t.Life.Use != "" {
		f = f.WithHint("use %s", t.Life.Use)
	}
	return f
}

// Set sets the headers of an answer: Deprecation (RFC 9745), Sunset (RFC 8594)
// and Link with the relations deprecation, sunset and successor-version (RFC
// 5829). docs is where the things are described. Links that are there stay. A
// notice that tells nothing sets nothing.
func (n Notice) Set(h http.Header, docs string) {
	if len(n.Things) == 0 {
		return
	}
	h.Set("Deprecation", "@"+strconv.FormatInt(n.Since.Unix(), 10))
	relation := `"deprecation"`
	if !n.Sunset.IsZero() {
		h.Set("Sunset", n.Sunset.UTC().Format(http.TimeFormat))
		relation = `"deprecation sunset"`
	}
	var links []string
	add := func(link string) {
		if !slices.Contains(links, link) {
			links = append(links, link)
		}
	}
	for _, t := range n.Things {
		add("<" + docs + "#" + url.PathEscape(t.Name) + `>; rel=` + relation + `; type="text/html"`)
		if t.Successor != "" {
			add("<" + t.Successor + `>; rel="successor-version"`)
		}
	}
	const most = 16 // of a header's size; the documentation has them all
	links = links[:min(len(links), most)]
	if was := h.Get("Link"); was != "" {
		links = append(links, was)
	}
	h.Set("Link", strings.Join(links, ", "))
}
