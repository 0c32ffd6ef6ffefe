package graphql

import (
	"context"
	"errors"
	"net/http"
	"strconv"

	"github.com/vektah/gqlparser/v2/ast"

	"github.com/pandobase/pando/internal/engine"
	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/model"
	"github.com/pandobase/pando/internal/policy"
)

// session answers the operations of one request.
type session struct {
	*door
	out    *reply
	id     policy.Identity
	guard  policy.Guard
	schema *schema
	runs   []*run
}

// run is one operation of the request, ready to be executed or refused.
type run struct {
	call *call
	cost int
	errs []error // why it is refused; nil: it is not
}

// mayIntrospect reports whether the caller may ask for the schema.
func (s *session) mayIntrospect() bool {
	switch s.limits.Introspection {
	case model.IntrospectionOff:
		return false
	case model.IntrospectionAll:
		return true
	case model.IntrospectionSignedIn:
		return s.id.Role != policy.Anon
	}
	return s.Develop || s.id.Role != policy.Anon
}

// prepare gets every operation ready. The limits of one operation are those of
// all that a request has together. The fault is one of the whole request.
func (s *session) prepare(in *asked) error {
	left, fields := s.limits.Cost, s.limits.Fields
	for i := range in.operations {
		r := s.ready(&in.operations[i], &left)
		s.runs = append(s.runs, r)
		if r.errs != nil {
			continue
		}
		if fields -= len(r.call.collect(r.call.op.SelectionSet)); fields < 0 {
			return fault.New(fault.LimitExceeded, "the operations of the request have more than %d root fields together", s.limits.Fields).
				WithHint("send them in parts, or raise api.graphql.fields in pando.yaml")
		}
		if r.call.op.Operation != ast.Query {
			if s.out.r.Method == http.MethodGet {
				return s.out.methodNotAllowed("GET executes queries only, and this is a %s", r.call.op.Operation)
			}
			r.call.idempotency = in.idempotent(i)
		}
	}
	return nil
}

// idempotent is the key of the i-th operation.
func (in *asked) idempotent(i int) *engine.Idempotency {
	if in.idem == nil || !in.batch {
		return in.idem
	}
	one := *in.idem
	one.Path += "#" + strconv.Itoa(i)
	return &one
}

// ready finds, validates and bounds an operation. left is what is left of the
// cost.
func (s *session) ready(o *operation, left *int) *run {
	text, err := s.document(&s.id, o)
	if err != nil {
		return &run{errs: []error{err}}
	}
	open := s.mayIntrospect()
	p, errs := s.door.prepare(s.schema, text, open)
	if errs != nil {
		return &run{errs: s.toStranger(errs)}
	}
	if o.hash != "" && o.query != "" {
		s.persists.put(o.hash, text, len(text))
	}
	op, err := p.operation(o.name)
	if err != nil {
		return &run{errs: []error{err}}
	}
	if op.introspects != nil && !open {
		return &run{errs: []error{invalid(op.introspects, fault.GraphQLIntrospection, "the schema cannot be asked for here").
			because(nil, "__typename works; api.graphql.introspection of pando.yaml says who may ask for more")}}
	}
	if op.def.Operation == ast.Subscription {
		return &run{errs: []error{invalid(op.def.Position, fault.NotImplemented, "subscriptions are not part of this server").
			because(nil, "ask again with a query")}}
	}
	c := &call{
		door: s.door, schema: s.schema, id: s.id, guard: s.guard, doc: p.doc, op: op.def, fixed: &p.fixed, w: s.out.w.Header(),
		reading: readOptions(s.out.r), secure: s.Secure,
	}
	if errs := c.coerce(o.variables, op.strict, open); errs != nil {
		return &run{errs: errs}
	}
	r := &run{call: c}
	if r.cost, err = s.cost(s.out.r.Context(), c, op, *left); err != nil {
		return &run{errs: []error{err}}
	}
	*left -= r.cost
	return r
}

// toStranger says to an anonymous caller that others may have more in their
// schema.
func (s *session) toStranger(errs []error) []error {
	if s.id.Role != policy.Anon {
		return errs
	}
	for _, err := range errs {
		if at, ok := errors.AsType[*refused](err); ok && at.fault.Code == fault.GraphQLInvalid && at.fault.Hint == "" {
			at.fault.WithHint("you are not signed in: what policies keep for users is not in your schema")
		}
	}
	return errs
}

// answer executes what is ready and answers.
func (s *session) answer(in *asked) {
	ctx := s.out.r.Context()
	if !in.batch {
		r := s.result(ctx, s.runs[0])
		defer r.release()
		s.out.send(s.out.status(r), r)
		return
	}
	results := make([]*result, len(s.runs))
	for i, r := range s.runs {
		results[i] = s.result(ctx, r)
		defer results[i].release()
	}
	s.out.sendAll(results)
}

// result executes one operation, unless it is refused.
func (s *session) result(ctx context.Context, r *run) *result {
	if r.errs != nil {
		return s.out.refused(r.errs...) //nolint:contextcheck // it is the request's
	}
	a := s.execute(ctx, r.call)
	return &result{answer: a, cost: r.cost, limit: s.limits.Cost}
}
