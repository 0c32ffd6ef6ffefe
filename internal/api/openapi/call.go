package openapi

import (
	"net/url"
	"slices"

	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/model"
	"github.com/pandobase/pando/internal/value"
)

// command is a path below /rpc with the operations of its name, one of each
// module that has it.
type command struct {
	name       string
	operations []*model.Operation
}

// commands are the paths below /rpc, by the modules in which they come first.
func commands(app *model.App) (out []*command) {
	for _, m := range modules(app) {
		for _, o := range m.Operations {
			at := slices.IndexFunc(out, func(c *command) bool { return c.name == o.Name })
			if at < 0 {
				out = append(out, &command{o.Name, []*model.Operation{o}})
			} else {
				out[at].operations = append(out[at].operations, o)
			}
		}
	}
	return out
}

func (c *command) path() string { return "/rpc/" + url.PathEscape(c.name) }

// callProblems is the response component of what only a call is answered with.
const callProblems = "Problem422Call"

// item describes what a command's path answers.
func (c *command) item() object {
	out := object{{"post", c.call("call", "Call ", c.body(), array{ref("parameters", "Idempotency-Key")}, true)}}
	if !slices.ContainsFunc(c.operations, func(o *model.Operation) bool { return !o.Reads }) {
		out = out.with("get", c.call("ask", "Ask ", nil, c.queryParams(), false))
	}
	return out
}

func (c *command) call(verb, summary string, body object, params array, write bool) object {
	var tags []string
	text, deprecated := "", true
	for _, o := range c.operations {
		tags = append(tags, o.Module.Name)
		text = join(text, markdown(o.Doc))
		deprecated = deprecated && o.Deprecated != nil
	}
	if text == "" {
		text = summary + c.name + "."
	}
	o := object{{"operationId", verb + "_" + componentKey(c.name)}, {"summary", summary + c.name}, {"description", text}, {"tags", tags}}
	if deprecated {
		o = o.with("deprecated", true)
	}
	if len(c.operations) > 1 {
		name := "Accept-Profile"
		if write {
			name = "Content-Profile"
		}
		params = append(array{object{
			{"name", name},
			{"in", "header"},
			{"description", "The module whose `" + c.name + "` is meant."},
			{"required", true},
			{"schema", object{{"type", "string"}, {"enum", tags}}},
		}}, params...)
	}
	o = o.with("parameters", params)
	if body != nil {
		o = o.with("requestBody", body)
	}
	responses := c.answers()
	statuses := []int{400, 401, 403, 404, 406}
	if write {
		statuses = append(statuses, 409, 413, 415)
	}
	responses = append(responses, problemRefs(statuses, write)...)
	return o.with("responses", responses.with("422", ref("responses", callProblems)))
}

func (c *command) body() object {
	var inputs array
	needed := false
	for _, o := range c.operations {
		inputs = append(inputs, paramsSchema(o.Input))
		needed = needed || slices.ContainsFunc(o.Input, func(p *model.Param) bool { return !p.Optional })
	}
	return object{
		{"description", "The operation's input."},
		{"required", needed},
		{"content", object{{"application/json", object{{"schema", anyOf(inputs)}}}}},
	}
}

func anyOf(schemas array) any {
	if len(schemas) == 1 {
		return schemas[0]
	}
	return object{{"anyOf", schemas}}
}

// answers are the successful responses.
func (c *command) answers() object {
	var bodies array
	silent := false
	for _, o := range c.operations {
		if o.Output == nil {
			silent = true
			continue
		}
		var one any = paramsSchema(o.Output.Fields)
		if o.Output.Entity != nil {
			one = outputRow(o.Output.Entity)
		}
		if o.Output.List {
			one = object{{"type", "array"}, {"items", one}}
		}
		bodies = append(bodies, one)
	}
	var out object
	if len(bodies) > 0 {
		out = out.with("200", object{
			{"description", "What the operation answers."},
			{"content", object{{"application/json", object{{"schema", anyOf(bodies)}}}}},
		})
	}
	if silent || len(bodies) > 0 { // Prefer: return=minimal
		out = out.with("204", ref("responses", "Done"))
	}
	return out
}

// outputRow is a row as code answers it: what is optional may be missing.
func outputRow(e *model.Entity) any {
	if e.Internal || e.Module.Builtin {
		return object{{"type", "object"}}
	}
	return ref("schemas", entityKey(e))
}

// queryParams are the input's members as a GET gives them.
func (c *command) queryParams() array {
	var out array
	seen := map[string]bool{}
	for _, o := range c.operations {
		for _, p := range o.Input {
			if seen[p.Name] {
				continue
			}
			seen[p.Name] = true
			text := markdown(p.Doc)
			schema := paramSchema(p)
			if p.Fields != nil || p.List {
				text, schema = join(text, "As JSON."), object{{"type", "string"}}
			}
			if text == "" {
				text = "The member " + p.Name + " of the input."
			}
			out = append(out, object{
				{"name", p.Name}, {"in", "query"}, {"description", text}, {"required", !p.Optional && len(c.operations) == 1}, {"schema", schema},
			})
		}
	}
	if out == nil {
		out = array{}
	}
	return out
}

// paramsSchema is an object of parameters.
func paramsSchema(params []*model.Param) object {
	props, names := object{}, []string(nil)
	for _, p := range params {
		props = props.with(p.Name, paramSchema(p))
		if !p.Optional {
			names = append(names, p.Name)
		}
	}
	s := object{{"type", "object"}, {"properties", props}}
	if names != nil {
		s = s.with("required", names)
	}
	return s.with("additionalProperties", false)
}

func paramSchema(p *model.Param) object {
	var s object
	switch {
	case p.Fields == nil:
		s = typeSchema(p.Type, p.Optional)
	case p.List:
		s = object{{"type", typeWord("array", p.Optional)}, {"items", paramsSchema(p.Fields)}}
	default:
		s = paramsSchema(p.Fields)
		if p.Optional {
			s = object{{"anyOf", array{s, object{{"type", "null"}}}}}
		}
	}
	if d := markdown(p.Doc); d != "" && p.Type.Kind != value.JSON {
		s = s.with("description", d)
	}
	return s
}

// callProblem is what a call is answered whose input or output is not of its type.
func callProblem() object {
	return problemResponse(fault.InvalidInput.Status(), []fault.Code{fault.InvalidInput, fault.InvalidOutput, fault.IdempotencyMismatch})
}
