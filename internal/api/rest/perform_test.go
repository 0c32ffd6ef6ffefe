package rest_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/pandobase/pando/internal/api/rest"
	"github.com/pandobase/pando/internal/engine"
	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/policy"
)

// TestPerformAnswersAsTheDoor plays the same requests over HTTP, to the engine,
// and within a transaction that is undone.
func TestPerformAnswersAsTheDoor(t *testing.T) {
	calls := []rest.Call{
		{Method: "POST", Entity: "lists", Prefer: "return=representation", Body: json.RawMessage(`[{"id":1,"name":"a"},{"id":2,"name":"b"}]`)},
		{Method: "POST", Entity: "tasks", Module: "todo", Body: json.RawMessage(`{"id":1,"title":"x","list_id":1}`)},
		{Method: "GET", Entity: "lists", Query: "select=id,name,tasks(title)&order=id.desc", Prefer: "count=exact"},
		{Method: "GET", Entity: "lists", Query: "id=eq.1", Single: true},
		{Method: "GET", Entity: "lists", Query: "id=eq.9", Single: true},
		{Method: "PATCH", Entity: "tasks", Query: "id=eq.1", Prefer: "return=representation", Single: true, Body: json.RawMessage(`{"done":true}`)},
		{Method: "PATCH", Entity: "tasks", Body: json.RawMessage(`{"done":true}`)},
		{Method: "PUT", Entity: "lists", Query: "id=eq.3", Body: json.RawMessage(`{"id":3,"name":"c"}`)},
		{Method: "GET", Entity: "lists", Query: "name=like.*&limit=1", Prefer: "count=exact"},
		{Method: "GET", Entity: "lists", Query: "name=frob.1"},
		{Method: "GET", Entity: "nothing"},
		{Method: "GET", Entity: "lists", Module: "nowhere"},
		{Method: "POST", Entity: "lists", Body: json.RawMessage(`{"nam`)},
		{Method: "DELETE", Entity: "lists", Query: "id=eq.2", Prefer: "return=representation"},
		{Method: "TRACE", Entity: "lists"},
	}
	play := func(x engine.Executor) (out []string) {
		for _, c := range calls {
			a, err := rest.Perform(t.Context(), x, policy.Identity{Role: policy.Service}, c)
			if err != nil {
				out = append(out, string(fault.From(err).Code))
				continue
			}
			out = append(out, told(a.Status, a.Count, a.Body))
		}
		return out
	}
	e := newEngine(t)
	door := rest.New(rest.Config{Engine: e, Authenticate: func(*http.Request) (policy.Identity, error) {
		return policy.Identity{Role: policy.Service}, nil
	}})
	undo := errors.New("undo")
	var within []string
	_, err := e.Transact(t.Context(), policy.Identity{}, engine.TransactOptions{}, func(_ context.Context, tx *engine.Tx) ([]byte, error) {
		within = play(tx)
		return nil, undo
	})
	if !errors.Is(err, undo) {
		t.Fatal(err)
	}
	var over []string
	for _, c := range calls {
		w := httptest.NewRecorder()
		r := httptest.NewRequestWithContext(t.Context(), c.Method, "/rest/v1/"+c.Entity+"?"+c.Query, strings.NewReader(string(c.Body)))
		for name, text := range map[string]string{"Prefer": c.Prefer, "Accept-Profile": c.Module, "Content-Profile": c.Module} {
			if text != "" {
				r.Header.Set(name, text)
			}
		}
		if c.Single {
			r.Header.Set("Accept", "application/vnd.pgrst.object+json")
		}
		door.ServeHTTP(w, r)
		var problem struct{ Code string }
		if w.Code >= 400 {
			_ = json.Unmarshal(w.Body.Bytes(), &problem)
			over = append(over, problem.Code)
			continue
		}
		var count *int64
		if _, total, ok := strings.Cut(w.Header().Get("Content-Range"), "/"); ok && total != "*" {
			count = new(int64)
			_ = json.Unmarshal([]byte(total), count)
		}
		over = append(over, told(w.Code, count, w.Body.Bytes()))
	}
	for i, c := range calls {
		if over[i] != within[i] || over[i] == "" {
			t.Errorf("%s %s?%s\nover HTTP:        %s\nin a transaction: %s", c.Method, c.Entity, c.Query, over[i], within[i])
		}
	}
	if _, err := rest.Perform(t.Context(), e, policy.Identity{Role: policy.Anon}, calls[3]); !fault.Is(err, fault.Forbidden) {
		t.Errorf("as the anonymous: %v", err)
	}
	long := rest.Call{Method: "POST", Entity: "lists", Body: json.RawMessage(`{"id":9,"name":"` + strings.Repeat("x", 2<<20) + `"}`)}
	if _, err := rest.Perform(t.Context(), e, policy.Identity{Role: policy.Service}, long); !fault.Is(err, fault.BodyTooLarge) {
		t.Errorf("a long body: %v", err)
	}
}

func told(status int, count *int64, body []byte) string {
	b, _ := json.Marshal([]any{status, count, string(body)})
	return string(b)
}
