// Package openapi describes what a version of the API, as /rest/v1, serves as an OpenAPI 3.1 document,
// made of the model alone, and serves the page that renders it.
//
// A document names exactly the entities that have a door, their visible
// fields, the filters of each field's type and every error code. The same
// application gives the same bytes.
package openapi

import (
	"encoding/json"

	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/model"
	"github.com/pandobase/pando/internal/surface"
	"github.com/pandobase/pando/internal/value"
)

// MediaType is the media type of a document, in Accept and Content-Type.
const MediaType = "application/openapi+json"

// SurfaceKey is the member of a document that has the surface of every version of
// the API, which `pando diff` compares.
const SurfaceKey = "x-pando-api"

// rootTag is the tag of the operation that answers the document itself. It has
// a space so that no module can have its name.
const rootTag = "API description"

// Options are what a document says beyond the model.
type Options struct {
	// View is the version of the application's API. Default: the newest.
	View *model.View
	// Server is the URL of the door, absolute or with a leading slash, without
	// a trailing one. Default: /rest/v1, with the version of the view.
	Server string
	// Contact is who answers for the API. Default: the application's name.
	Contact Contact
	// License is under which terms the API is offered. Default: all rights
	// reserved.
	License License
}

// Contact is a person or team; empty members are left out.
type Contact struct{ Name, URL, Email string }

// License names terms; Identifier is an SPDX expression.
type License struct{ Name, Identifier string }

func (o Options) withDefaults(app *model.App) Options {
	if o.View == nil {
		o.View = app.Latest()
	}
	if o.Server == "" {
		o.Server = "/rest/" + o.View.Version
	}
	if o.Contact.Name == "" {
		o.Contact.Name = "The team of " + appName(app)
	}
	if o.License.Name == "" {
		o.License = License{Name: "All rights reserved", Identifier: "LicenseRef-All-Rights-Reserved"}
	}
	return o
}

func appName(app *model.App) string {
	if app.Config.App == "" {
		return "pando"
	}
	return app.Config.App
}

// document holds what is made once and used by every operation.
type document struct {
	app       *model.App // as the version shows it
	whole     *model.App
	opt       Options
	resources []*resource
	methods   []method
	common    map[string]commonParts // by the method's name
}

// commonParts are what a method has on every path, encoded.
type commonParts struct {
	params   raw // an array
	problems raw // an object
}

// Document returns the OpenAPI 3.1 description of app as JSON. It is made
// anew at each call, in time and memory linear in the number of fields; a
// caller that serves it should keep it for as long as it keeps app. The same
// app and options give the same bytes. The error is a [fault.Internal] when
// app has an entity that cannot be described.
func Document(app *model.App, opt Options) ([]byte, error) {
	opt = opt.withDefaults(app)
	app = opt.View.Shown()
	d := &document{
		app:       app,
		whole:     opt.View.App,
		opt:       opt,
		resources: resources(app),
		methods:   methods(),
		common:    make(map[string]commonParts),
	}
	for _, r := range d.resources {
		for _, e := range r.entities {
			if e.Primary == nil {
				return nil, fault.New(fault.Internal, "entity %s has no primary key", e.QualifiedName())
			}
		}
	}
	for _, m := range d.methods {
		var refs array
		for _, name := range m.params {
			refs = append(refs, ref("parameters", name))
		}
		d.common[m.name] = commonParts{params: compact(refs), problems: compact(problemRefs(m.problems, m.write))}
	}
	return d.appendTo(make([]byte, 0, d.size())), nil
}

// size estimates the document's length in bytes, a little too high, so that
// it is seldom moved while it grows.
func (d *document) size() int {
	n := 64 << 10
	for _, r := range d.resources {
		for _, e := range r.entities {
			n += 9<<10 + len(e.Fields)*1600
		}
	}
	return n
}

// appendTo writes the document part by part, so that only one entity's part is
// in memory as a tree at a time.
func (d *document) appendTo(dst []byte) []byte {
	dst = append(dst, `{"openapi":"3.1.0","info":`...)
	dst = appendJSON(dst, d.info())
	dst = append(dst, `,"servers":`...)
	dst = appendJSON(dst, array{object{{"url", d.opt.Server}, {"description", "This server."}}})
	dst = append(dst, `,"security":`...)
	dst = appendJSON(dst, array{object{{"apikey", array{}}}, object{{"bearer", array{}}}})
	dst = append(dst, `,"tags":`...)
	dst = appendJSON(dst, d.tags())
	dst = append(dst, `,"paths":{"/":`...)
	dst = appendJSON(dst, d.rootItem())
	for _, r := range d.resources {
		dst = append(dst, ',')
		dst = value.AppendQuoted(dst, r.path())
		dst = append(dst, ':')
		dst = appendJSON(dst, d.pathItem(r))
	}
	for _, c := range commands(d.app) {
		dst = append(dst, ',')
		dst = value.AppendQuoted(dst, c.path())
		dst = append(dst, ':')
		dst = appendJSON(dst, c.item())
	}
	dst = append(dst, `},"components":`...)
	dst = d.appendComponents(dst)
	dst = append(dst, `,"x-pando":`...)
	dst = appendJSON(dst, d.index())
	dst = append(dst, `,"`+SurfaceKey+`":`...)
	whole, _ := json.Marshal(surface.Of(d.whole)) // of texts, numbers and lists: it cannot fail
	dst = append(dst, whole...)
	return append(dst, '}')
}

func (d *document) info() object {
	contact := object{{"name", d.opt.Contact.Name}}
	if d.opt.Contact.URL != "" {
		contact = contact.with("url", d.opt.Contact.URL)
	}
	if d.opt.Contact.Email != "" {
		contact = contact.with("email", d.opt.Contact.Email)
	}
	license := object{{"name", d.opt.License.Name}}
	if d.opt.License.Identifier != "" {
		license = license.with("identifier", d.opt.License.Identifier)
	}
	return object{
		{"title", appName(d.app)},
		{"version", d.opt.View.Version},
		{"summary", "The REST interface of " + appName(d.app) + "."},
		{"description", introduction},
		{"contact", contact},
		{"license", license},
	}
}

func (d *document) tags() array {
	out := array{object{{"name", rootTag}, {"description", "This document."}}}
	for _, m := range modules(d.app) {
		text := join(markdown(m.Doc), "The entities of the module "+m.Name+".")
		out = append(out, object{{"name", m.Name}, {"description", text}})
	}
	return out
}

// rootItem is the path that answers the document itself.
func (d *document) rootItem() object {
	responses := object{{"200", object{
		{"description", "The OpenAPI document."},
		{"content", object{
			{MediaType, object{{"schema", object{{"type", "object"}}}}},
			{"application/json", object{{"schema", object{{"type", "object"}}}}},
		}},
	}}}
	responses = append(responses, problemRefs([]int{401, 406}, false)...)
	return object{{"get", object{
		{"operationId", "describe"},
		{"summary", "Describe the API"},
		{"description", "Answers this document: every entity, filter and error of the application."},
		{"tags", []string{rootTag}},
		{"responses", responses},
	}}}
}
