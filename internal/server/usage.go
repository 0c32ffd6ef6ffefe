package server

import (
	"net/http"
	"time"

	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/model"
	"github.com/pandobase/pando/internal/usage"
)

// DeprecatedUse is one line of `pando api usage`.
type DeprecatedUse struct {
	usage.Use
	Sunset  string `json:"sunset,omitempty"` // a day
	Instead string `json:"instead,omitempty"`
}

// cmdUsage lists who uses what is deprecated.
func (n *Node) cmdUsage(w http.ResponseWriter, r *http.Request) error {
	var since time.Time
	if text := r.FormValue("since"); text != "" {
		var err error
		if since, err = time.Parse(time.DateOnly, text); err != nil {
			return fault.New(fault.BadRequest, "%q is no day", text).WithHint("write it as 2026-01-31")
		}
	}
	uses, err := n.usage.List(r.Context(), since)
	if err != nil {
		return err
	}
	known := deprecations(n.Application().Model)
	out := make([]DeprecatedUse, len(uses))
	for i, u := range uses {
		out[i].Use = u
		if d := known[u.Version+" "+u.Thing]; d != nil {
			out[i].Sunset, out[i].Instead = d.Sunset, d.Use
		}
	}
	return answer(w, out)
}

// deprecations finds what is deprecated by version and name, as doors count it.
func deprecations(app *model.App) map[string]*model.Deprecated {
	out := map[string]*model.Deprecated{}
	for _, version := range app.Config.Versions {
		v := app.View(version)
		for _, m := range app.Modules {
			prefix := version + " " + m.Name + "."
			for _, e := range m.Entities {
				name, _ := v.EntityName(e)
				out[prefix+name] = e.Deprecated
				for _, f := range e.Fields {
					field, _ := v.FieldName(f)
					out[prefix+name+"."+field] = f.Deprecated
				}
			}
			for _, o := range m.Operations {
				if name, _ := v.OperationName(o); o.Deprecated != nil {
					out[prefix+name] = o.Deprecated
				}
			}
		}
	}
	return out
}
