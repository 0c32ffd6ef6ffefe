package rpc_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"connectrpc.com/connect"
	"connectrpc.com/grpcreflect"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"
)

// reflected are the services and the names of everything that a caller is told of.
func (w *world) reflected(key string) (services []protoreflect.FullName, names string, err error) {
	w.t.Helper()
	var protocols http.Protocols
	protocols.SetUnencryptedHTTP2(true)
	transport := &http.Transport{Protocols: &protocols}
	defer transport.CloseIdleConnections()
	client := grpcreflect.NewClient(&http.Client{Transport: transport}, w.url, connect.WithGRPC())
	header := http.Header{}
	if key != "" {
		header.Set("Apikey", key)
	}
	stream := client.NewStream(w.t.Context(), grpcreflect.WithRequestHeaders(header))
	defer func() { _, _ = stream.Close() }()
	if services, err = stream.ListServices(); err != nil {
		return nil, "", err
	}
	var all []string
	for _, s := range services {
		files, err := stream.FileContainingSymbol(s)
		if err != nil {
			w.t.Fatal(err)
		}
		for _, f := range files {
			for _, m := range f.GetMessageType() {
				all = append(all, messageNames(m)...)
			}
			for _, s := range f.GetService() {
				for _, m := range s.GetMethod() {
					all = append(all, m.GetName()+"()")
				}
			}
		}
	}
	return services, " " + strings.Join(all, " ") + " ", nil
}

func messageNames(m *descriptorpb.DescriptorProto) []string {
	out := []string{m.GetName()}
	for _, f := range m.GetField() {
		out = append(out, m.GetName()+"."+f.GetName())
	}
	for _, n := range m.GetNestedType() {
		out = append(out, messageNames(n)...)
	}
	for _, e := range m.GetEnumType() {
		out = append(out, e.GetName())
	}
	return append(out, m.GetReservedName()...)
}

// Reflection tells a caller what his policies could ever allow, and no name beside.
func TestReflectionShowsWhatPoliciesCouldAllow(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	const shop = "pando.app.shop.v1.ShopService"
	for _, c := range []struct {
		key         string
		there, away []string
	}{
		{"service", []string{"GetThings()", "Things.cost", "GetClosed()", "Closed", "Sum()", "BatchThings()", "Things.secret"}, []string{"ThingsFilter.secret"}},
		{"staff", []string{"GetThings()", "Things.cost", "Sum()", "CreateDrops()"}, []string{"Closed", "GetClosed()", "GetDrops()", "DropsFilter.closed"}},
		{"user", []string{"GetThings()", "Things.name", "Sum()"}, []string{"Closed", "CreateClosed()", "GetDrops()"}},
	} {
		services, names, err := w.reflected(c.key)
		if err != nil {
			t.Fatalf("%s: %v", c.key, err)
		}
		if !slices.Contains(services, protoreflect.FullName(shop)) {
			t.Errorf("%s: the services are %v", c.key, services)
		}
		for _, name := range c.there {
			if !strings.Contains(names, " "+name+" ") {
				t.Errorf("%s is not told of %s:%s", c.key, name, names)
			}
		}
		for _, name := range c.away {
			if strings.Contains(names, " "+name+" ") {
				t.Errorf("%s is told of %s:%s", c.key, name, names)
			}
		}
	}
	for key, want := range map[string]connect.Code{"": connect.CodeUnauthenticated, "anon": connect.CodeUnauthenticated} {
		if _, _, err := w.reflected(key); connect.CodeOf(err) != want {
			t.Errorf("%q asks for the services: %v, want %v", key, err, want)
		}
	}
}
