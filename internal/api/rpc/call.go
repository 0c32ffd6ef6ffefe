package rpc

import (
	"context"
	"crypto/sha256"
	"net/http"

	"github.com/pandobase/pando/internal/api/position"
	"github.com/pandobase/pando/internal/engine"
	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/policy"
	"github.com/pandobase/pando/internal/query"
	"github.com/pandobase/pando/internal/usage"
)

// call is one call of a method while it is answered.
type call struct {
	door   *Door
	schema *schema
	method *method
	id     policy.Identity
	w      http.ResponseWriter
	r      *http.Request
	ctx    context.Context    //nolint:containedctx // the call's own: it ends with its deadline
	send   func([]byte) error // of a stream
	reply  http.Header        // metadata of the answer
	things []usage.Thing      // that are deprecated and named
}

// handler answers a call with a message, or sends its messages and answers
// nothing.
type handler func(*call, *given) ([]byte, error)

// serve answers the call. ctx has the client's deadline.
func (c *call) serve(ctx context.Context, req *frame) ([]byte, error) {
	c.ctx = ctx
	in, err := req.read()
	if err == nil {
		var out []byte
		if out, err = c.method.serve(c, in); err == nil {
			return out, nil
		}
	}
	return nil, c.door.fault(c.r, c.method, err)
}

// Metadata of requests and answers, as the REST door has it in headers.
const (
	idempotencyName = "Idempotency-Key"
	replayedName    = "Idempotency-Replayed"
)

// read asks the engine for rows. The read sees what the caller has written.
func (c *call) read(q *query.Read, opt engine.ReadOptions) (*engine.Result, error) {
	if err := c.notify(); err != nil {
		return nil, err
	}
	opt.After = position.Of(c.r)
	return c.door.cfg.Engine.Read(c.ctx, c.id, q, opt)
}

// told puts what a client has to know of a write into the answer's metadata.
func (c *call) told(res *engine.Result) {
	if res.Position != "" {
		c.reply.Set(position.Name, res.Position)
	}
	if res.Replayed {
		c.reply.Set(replayedName, "true")
	}
}

// longestIdempotencyKey is in bytes.
const longestIdempotencyKey = 255

// idempotency reads the key of a call that may be repeated; nil without one.
func (c *call) idempotency(in *given) (*engine.Idempotency, error) {
	keys := c.r.Header[idempotencyName]
	if keys == nil {
		return nil, nil //nolint:nilnil // there is none, and nothing is wrong
	}
	if len(keys) > 1 || keys[0] == "" || len(keys[0]) > longestIdempotencyKey {
		return nil, fault.New(fault.BadRequest, "idempotency-key must be one text of 1 to %d bytes", longestIdempotencyKey).
			WithHint("a random UUID is a good one")
	}
	wire, err := in.appendWire(nil)
	if err != nil {
		return nil, err
	}
	return &engine.Idempotency{Key: keys[0], Method: http.MethodPost, Path: c.method.path, Digest: sha256.Sum256(wire)}, nil
}

// field is a field of the rows by its name in the version.
func (c *call) field(name string) (*field, error) {
	f := c.method.entity.row.byName(name)
	if f == nil || f.model.Hidden {
		return nil, c.noField(name)
	}
	c.names(f)
	return f, nil
}

// noField is the fault of a name that the caller may not know, or nobody does.
func (c *call) noField(name string) error {
	e := c.method.entity
	guard := c.door.cfg.Engine.Guard(c.id)
	var names []string
	for _, f := range e.row.fields {
		if guard.Visible(f.model) {
			names = append(names, f.name)
		}
	}
	out := fault.New(fault.UndefinedField, "%s has no field %s", e.row.name, shorten(name))
	out.Field = shorten(name)
	if near := fault.Nearest(name, names); near != "" {
		return out.WithHint("did you mean %s?", near)
	}
	return out
}

// selection are the fields of a read mask; nil: all that the caller may read.
func (c *call) selection(in *given) ([]query.Item, error) {
	paths, err := in.mask(nameReadMask)
	if err != nil {
		return nil, err
	}
	var out []query.Item
	for _, path := range paths {
		if path == "*" {
			return nil, nil
		}
		f, err := c.field(path)
		if err != nil {
			return nil, err
		}
		out = append(out, &query.Column{Path: query.Path{Field: f.json}})
	}
	return out, nil
}

// byKey is the condition that a row has a key.
func (e *entity) byKey(text string) query.Expr {
	return &query.Compare{Left: ref(e.key), Op: query.Eq, Right: &query.Literal{Text: text}}
}

func ref(f *field) *query.FieldRef { return &query.FieldRef{Path: query.Path{Field: f.json}} }

// keyOf is the key in a message; it has to be there.
func (e *entity) keyOf(in *given, name string) (string, error) {
	f, v, ok := in.one(name)
	if !ok {
		out := fault.New(fault.InvalidInput, "%s is missing: it says which row", name)
		out.Field = name
		return "", out
	}
	return f.literal(v)
}

// missing is the fault of a row that is not there for the caller.
func (e *entity) missing(key string) error {
	return fault.New(fault.NotFound, "there is no such row in %s", e.name).WithDetails("%s is %s", e.key.name, shorten(key))
}
