package replicas

import (
	"encoding/base64"
	"net/http"
	"strings"
	"testing"
)

const header = "Pando-Consistency"

// byReplicas is how many reads the replicas have answered.
func (n *node) byReplicas() float64 {
	total := 0.0
	for line := range strings.Lines(n.get(n.ops + "/metrics")) {
		if strings.HasPrefix(line, "pando_store_reads_total{") && !strings.Contains(line, `"primary"`) {
			total += n.metric(strings.TrimSpace(line[:strings.LastIndexByte(line, ' ')]))
		}
	}
	return total
}

// onReplica waits until a read goes to a replica.
func (n *node) onReplica(key, path string, headers ...string) {
	n.t.Helper()
	n.until("the way to a replica", func() bool {
		before := n.byReplicas()
		n.ok(key, http.MethodGet, path, "", headers...)
		return n.byReplicas() > before
	})
}

// TestConsistency: with the replay of the only replica paused, a write's
// token shows the write, from the header and from the cookie, and nothing that
// is wrong with a token makes an old row of it.
func TestConsistency(t *testing.T) {
	p := newPair(t, "one")
	n := p.serve(t, 1)
	standby := p.servers[1]
	n.ok(secretKey, http.MethodPost, "entries", `{"number":1}`)
	n.onReplica(secretKey, "entries?number=eq.1")
	must(t, standby.PauseReplay())
	wrote := n.ok(secretKey, http.MethodPost, "entries", `{"number":2}`)
	token := wrote.header.Get(header)
	cookie, _, _ := strings.Cut(wrote.header.Get("Set-Cookie"), ";")
	if token == "" || cookie != header+"="+token {
		t.Fatalf("token %q, cookie %q", token, cookie)
	}
	for _, attribute := range []string{"; Path=/", "; Max-Age=60", "; HttpOnly", "; SameSite=Lax"} {
		if !strings.Contains(wrote.header.Get("Set-Cookie"), attribute) {
			t.Errorf("the cookie has no %q: %s", attribute, wrote.header.Get("Set-Cookie"))
		}
	}
	if strings.Contains(wrote.header.Get("Set-Cookie"), "Secure") {
		t.Error("the cookie is for TLS alone, and there is none")
	}
	const path = "entries?number=eq.2"
	raw, err := base64.RawURLEncoding.DecodeString(token)
	must(t, err)
	raw[19] ^= 1 // within the position
	forged := base64.RawURLEncoding.EncodeToString(raw)
	for _, c := range []struct {
		name    string
		rows    int
		headers []string
	}{
		{"nothing", 0, nil},
		{"the header", 1, []string{header, token}},
		{"the cookie", 1, []string{"Cookie", "a=b; " + cookie}},
		{"strong", 1, []string{"Prefer", "consistency=strong"}},
		{"bounded", 0, []string{"Prefer", "consistency=bounded"}},
		{"eventual", 0, []string{"Prefer", "consistency=eventual"}},
		{"eventual with a token", 1, []string{"Prefer", "consistency=eventual", header, token}},
		{"a forged token", 1, []string{header, forged}},
		{"no token at all", 1, []string{header, "x"}},
		{"an empty cookie", 0, []string{"Cookie", header + "="}},
		{"rows line by line", 1, []string{header, token, "Accept", "application/x-ndjson"}},
	} {
		a := n.ok(secretKey, http.MethodGet, path, "", c.headers...)
		rows := a.rows()
		if strings.Contains(a.header.Get("Content-Type"), "ndjson") {
			rows = strings.Count(a.body, "\n")
		}
		if rows != c.rows {
			t.Errorf("%s: %d rows, want %d", c.name, rows, c.rows)
		}
		if len(c.headers) > 0 && c.headers[0] == "Prefer" && a.header.Get("Preference-Applied") != c.headers[1] {
			t.Errorf("%s: applied %q", c.name, a.header.Get("Preference-Applied"))
		}
		if a.header.Get(header) != "" || a.header.Get("Set-Cookie") != "" {
			t.Errorf("%s: a read answers with a token", c.name)
		}
	}
	a, err := n.do(secretKey, http.MethodGet, path, "", "Prefer", "consistency=sometimes")
	must(t, err)
	if a.status != http.StatusBadRequest || !strings.Contains(a.body, "sometimes") {
		t.Errorf("an unknown consistency: %d %s", a.status, a.body)
	}
	must(t, standby.ResumeReplay())
	n.onReplica(secretKey, path, header, token)
}

// TestJudgedByNewRows is the attack of a member who is being thrown out: a
// replica that has not heard of it yet must not go on showing the group's rows,
// with or without a token, whatever the reader prefers.
func TestJudgedByNewRows(t *testing.T) {
	p := newPair(t, "one")
	n := p.serve(t, 1)
	for path, body := range map[string]string{
		"groups":  `[{"id":1,"open":true},{"id":2,"open":true},{"id":3,"open":true}]`,
		"members": "", "notes": "", "letters": "",
	} {
		if body != "" {
			n.ok(secretKey, http.MethodPost, path, body)
		}
	}
	n.ok(secretKey, http.MethodPost, "members", `[{"id":1,"group_id":1,"name":"guest"},{"id":2,"group_id":2,"name":"guest"},{"id":3,"group_id":3,"name":"guest"}]`)
	n.ok(secretKey, http.MethodPost, "notes", `[{"id":1,"group_id":1,"text":"a"},{"id":2,"group_id":2,"text":"b"},{"id":3,"group_id":3,"text":"c"}]`)
	n.ok(secretKey, http.MethodPost, "letters", `[{"id":1,"group_id":1,"text":"a"}]`)
	n.onReplica(publishableKey, "notes")
	if a := n.ok(publishableKey, http.MethodGet, "notes", ""); a.rows() != 3 {
		t.Fatalf("the guest reads %s", a.body)
	}
	must(t, p.servers[1].PauseReplay())
	// That the replica is read from at all, and is behind:
	n.ok(secretKey, http.MethodPost, "entries", `{"number":1}`)
	if a := n.ok(secretKey, http.MethodGet, "entries", ""); a.rows() != 0 {
		t.Fatalf("the paused replica is not read from: %s", a.body)
	}
	for _, revoke := range []struct {
		method, path, body, read string
		left                     int
	}{
		{http.MethodDelete, "members?id=eq.1", "", "notes", 2},
		{http.MethodPatch, "members?id=eq.2", `{"name":"nobody"}`, "notes", 1},
		{http.MethodDelete, "groups?id=eq.3", "", "notes", 0}, // the member goes with it
		{http.MethodPatch, "groups?id=eq.1", `{"open":false}`, "letters", 0},
	} {
		n.ok(secretKey, revoke.method, revoke.path, revoke.body)
		for range 5 {
			for _, prefer := range []string{"consistency=eventual", "consistency=bounded", "consistency=strong"} {
				if a := n.ok(publishableKey, http.MethodGet, revoke.read, "", "Prefer", prefer); a.rows() != revoke.left {
					t.Errorf("after %s %s the guest reads with %s: %s", revoke.method, revoke.path, prefer, a.body)
				}
			}
		}
	}
	if lag := n.metric("pando_store_replica_lag_seconds"); lag <= 0 {
		t.Errorf("the metric of the lag is %v", lag)
	}
	if n.metric("pando_store_reads_total", `"primary"`) <= 0 || n.metric("pando_store_replica_healthy") != 1 {
		t.Errorf("metrics:\n%s", n.get(n.ops+"/metrics"))
	}
	must(t, p.servers[1].ResumeReplay())
	n.onReplica(publishableKey, "notes")
	if a := n.ok(publishableKey, http.MethodGet, "notes", ""); a.rows() != 0 {
		t.Errorf("at the end the guest reads %s", a.body)
	}
}

// TestWithoutReplicas: a store without them answers without tokens, takes those
// of others, and honours every preference.
func TestWithoutReplicas(t *testing.T) {
	n := newPair(t).serve(t)
	wrote := n.ok(secretKey, http.MethodPost, "entries", `{"number":1}`)
	if wrote.header.Get(header) != "" || wrote.header.Get("Set-Cookie") != "" {
		t.Errorf("a token: %v", wrote.header)
	}
	a := n.ok(secretKey, http.MethodGet, "entries", "", header, "x", "Prefer", "consistency=eventual")
	if a.rows() != 1 || a.header.Get("Preference-Applied") != "consistency=eventual" {
		t.Errorf("%s %v", a.body, a.header)
	}
}
