package rpc

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"sync"

	"connectrpc.com/connect"
	"connectrpc.com/grpchealth"
	"connectrpc.com/grpcreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/model"
	"github.com/pandobase/pando/internal/policy"
	"github.com/pandobase/pando/internal/query"
)

// reflections answer who asks for the services: each caller with what his policies
// could ever allow. Callers who see the same share an answer.
type reflections struct {
	mu   sync.Mutex
	kept map[string]http.Handler // by what is seen
}

// mostReflections bounds the answers that are kept: as many as there are roles,
// in practice.
const mostReflections = 16

const reflectionPrefix = "/grpc.reflection."

// reflect answers grpc.reflection.v1 and v1alpha.
func (d *Door) reflect(w http.ResponseWriter, r *http.Request) {
	everything := d.cfg.Reflection == model.IntrospectionAll
	var id policy.Identity
	var err error
	switch {
	case d.cfg.Reflection == model.IntrospectionOff:
		err = fault.New(fault.NotImplemented, "the services are not told").WithHint("`pando proto` writes them; api.reflection in pando.yaml says who may ask")
	case !everything:
		if id, err = d.cfg.Authenticate(r); err == nil && id.Role != policy.Authenticated && id.Role != policy.Service {
			err = fault.New(fault.Forbidden, "the services are told to who is signed in").
				WithHint("sign in, or use the secret key; api.reflection in pando.yaml says who may ask").ToStranger()
		}
	}
	var h http.Handler
	if err == nil {
		h, err = d.reflection(id, everything)
	}
	if err != nil {
		d.refuse(w, r, err)
		return
	}
	h.ServeHTTP(w, r)
}

// reflection is what a caller is told.
func (d *Door) reflection(id policy.Identity, everything bool) (http.Handler, error) {
	schemas := make([]*schema, 0, len(d.app.Config.Versions))
	for _, name := range d.app.Config.Versions {
		schemas = append(schemas, d.versions[name].schema())
	}
	see, key := (*sight)(nil), ""
	if !everything {
		see, key = d.sight(id, schemas)
	}
	d.reflections.mu.Lock()
	defer d.reflections.mu.Unlock()
	if h := d.reflections.kept[key]; h != nil {
		return h, nil
	}
	files, err := describing{see: see}.registry(schemas...)
	if err != nil {
		return nil, err
	}
	names := []string{}
	for _, s := range schemas {
		for _, service := range s.services {
			if see == nil || slices.ContainsFunc(service.methods, see.method) {
				names = append(names, service.full)
			}
		}
	}
	reflector := grpcreflect.NewReflector(grpcreflect.NamerFunc(func() []string { return names }),
		grpcreflect.WithDescriptorResolver(files), grpcreflect.WithExtensionResolver(new(protoregistry.Types)))
	h := http.NewServeMux()
	h.Handle(grpcreflect.NewHandlerV1(reflector, connect.WithReadMaxBytes(int(d.limits.Body))))
	h.Handle(grpcreflect.NewHandlerV1Alpha(reflector, connect.WithReadMaxBytes(int(d.limits.Body))))
	if len(d.reflections.kept) >= mostReflections || d.reflections.kept == nil {
		d.reflections.kept = map[string]http.Handler{}
	}
	d.reflections.kept[key] = h
	return h, nil
}

// sight is what an identity's policies could ever show or let it do, and a text
// that is equal for two identities who see the same.
func (d *Door) sight(id policy.Identity, schemas []*schema) (*sight, string) {
	guard := d.cfg.Engine.Guard(id)
	fields := map[*model.Field]bool{}
	reads, writes := map[*model.Entity]bool{}, map[*model.Entity]bool{}
	methods, rows := map[*method]bool{}, map[*model.Entity]bool{}
	var key strings.Builder
	note := func(b bool) bool {
		if b {
			key.WriteByte('1')
		} else {
			key.WriteByte('0')
		}
		return b
	}
	may := func(e *model.Entity, rule policy.Rule) bool {
		return policy.Ever(guard, policy.Use{Entity: e, Rule: rule})
	}
	for _, m := range d.app.Modules {
		for _, e := range m.Entities {
			reads[e] = note(may(e, policy.RuleRead))
			writes[e] = note(may(e, policy.RuleCreate) || may(e, policy.RuleUpdate) || may(e, policy.RuleDelete))
			rows[e] = reads[e] || writes[e]
			for _, f := range e.Fields {
				fields[f] = note(guard.Visible(f) || guard.Writable(f, query.Create) || guard.Writable(f, query.Update))
			}
		}
	}
	for _, s := range schemas {
		for _, m := range s.methods {
			switch {
			case m.operation != nil:
				methods[m] = d.cfg.Allows(m.operation, &id)
			case m.reads:
				methods[m] = reads[m.entity.model]
			default:
				methods[m] = writes[m.entity.model]
			}
		}
	}
	for _, m := range d.app.Modules {
		for _, o := range m.Operations {
			if note(d.cfg.Allows(o, &id)) && o.Output != nil && o.Output.Entity != nil {
				rows[o.Output.Entity] = true // it answers them
			}
		}
	}
	return &sight{
		method: func(m *method) bool { return methods[m] },
		row:    func(e *entity) bool { return rows[e.model] },
		field:  func(f *model.Field) bool { return fields[f] },
	}, key.String()
}

// health answers grpc.health.v1 for the node as a whole. Of services it tells
// nothing: their names are not for strangers.
type health struct{ ready func(context.Context) error }

var _ grpchealth.Checker = health{}

// Check implements [grpchealth.Checker].
func (h health) Check(ctx context.Context, req *grpchealth.CheckRequest) (*grpchealth.CheckResponse, error) {
	if req.Service != "" {
		return nil, connect.NewError(connect.CodeNotFound, fault.New(fault.NotFound, "the health of single services is not told: leave the name out"))
	}
	if h.ready(ctx) != nil { // why is for the operators' page /readyz
		return &grpchealth.CheckResponse{Status: grpchealth.StatusNotServing}, nil //nolint:nilerr // the answer is that it does not serve
	}
	return &grpchealth.CheckResponse{Status: grpchealth.StatusServing}, nil
}
