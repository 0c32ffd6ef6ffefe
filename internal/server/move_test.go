package server

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	neturl "net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/store"
	"github.com/pandobase/pando/internal/store/postgres/pgtest"
)

const moving = `module: m
entities:
  notes:
    fields:
      id: { type: int, primary: true }
      text: { type: text, optional: true }
    policy: { read: "true" }
    audit: [reads]
`

// database is an empty one of a PostgreSQL server that stops with the test.
func database(t *testing.T) string {
	t.Helper()
	s, err := pgtest.Start(false)
	if errors.Is(err, pgtest.ErrMissing) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Stop(); err != nil {
			t.Error(err)
		}
	})
	url, err := s.Database()
	if err != nil {
		t.Fatal(err)
	}
	return url
}

func writeApp(t *testing.T, dir, module string) {
	t.Helper()
	for name, text := range map[string]string{"pando.yaml": "app: test\nlisten: 127.0.0.1:0\nops: 127.0.0.1:0\n", "modules/m.yaml": module} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// told is what a node says to whoever runs it.
type told struct{ lines []string }

func (n *told) open(t *testing.T, dir string, env ...string) (*Node, error) {
	t.Helper()
	n.lines = nil
	return Open(t.Context(), Options{
		Dir: dir, Env: append(env, "PANDO_SECRET_KEY=a-secret-key-of-this-test-and-of-nothing-else"), Migrate: true,
		Note: func(line string) { n.lines = append(n.lines, line) },
	})
}

func closeNode(t *testing.T, n *Node) {
	t.Helper()
	if err := n.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
}

// command runs a command of the socket and returns its last event.
func command(t *testing.T, n *Node, path string, form neturl.Values) (*Event, error) {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, path, strings.NewReader(form.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	rec := httptest.NewRecorder()
	n.Commands().ServeHTTP(rec, r)
	if rec.Code != http.StatusOK {
		return nil, errors.New(rec.Body.String())
	}
	lines := bytes.Split(bytes.TrimSpace(rec.Body.Bytes()), []byte("\n"))
	ev := &Event{}
	if err := json.Unmarshal(lines[len(lines)-1], ev); err != nil {
		t.Fatalf("%v: %s", err, rec.Body)
	}
	if ev.Error != nil {
		return ev, errors.New(ev.Error.Code + ": " + ev.Error.Message)
	}
	return ev, nil
}

func request(t *testing.T, n *Node, method, path, body string, want int) string {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), method, path, strings.NewReader(body))
	r.Header.Set("Apikey", "a-secret-key-of-this-test-and-of-nothing-else")
	r.Header.Set("Content-Type", "application/json")
	rec := httptest.NewRecorder()
	n.ServeHTTP(rec, r)
	if rec.Code != want {
		t.Fatalf("%s %s: %d %s", method, path, rec.Code, rec.Body)
	}
	return rec.Body.String()
}

// TestMoveIsFollowed moves, restarts under the old and the new settings, goes
// back, and does so again.
func TestMoveIsFollowed(t *testing.T) {
	dir, url := t.TempDir(), database(t)
	writeApp(t, dir, moving)
	var said told
	n, err := said.open(t, dir)
	if err != nil {
		t.Fatal(describe(err))
	}
	put := func(id, text string) {
		t.Helper()
		request(t, n, http.MethodPost, "/rest/v1/notes", `{"id":`+id+`,"text":"`+text+`"}`, http.StatusCreated)
	}
	has := func(want string) {
		t.Helper()
		if got := request(t, n, http.MethodGet, "/rest/v1/notes?select=id,text", "", http.StatusOK); got != want {
			t.Fatalf("there is %s, not %s", got, want)
		}
	}
	reopen := func(env ...string) {
		t.Helper()
		closeNode(t, n)
		if n, err = said.open(t, dir, env...); err != nil {
			t.Fatal(describe(err))
		}
	}
	put("1", "before")
	if _, err := command(t, n, "/move", neturl.Values{"to": {url}, "dry_run": {"true"}}); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(n.notePath()); err == nil {
		t.Fatal("a dry run has left a note")
	}
	if _, err := command(t, n, "/move", neturl.Values{"to": {url}, "freeze": {"20s"}}); err != nil {
		t.Fatal(err)
	}
	if fi, err := os.Stat(n.notePath()); err != nil || fi.Mode().Perm() != 0o600 {
		t.Errorf("the note is %v %v", fi, err)
	}
	put("2", "behind")
	has(`[{"id":1,"text":"before"},{"id":2,"text":"behind"}]`)

	reopen() // pando.yaml still names the old store
	if !strings.Contains(strings.Join(said.lines, "\n"), "the application's store is postgres://") {
		t.Errorf("the node said %q", said.lines)
	}
	has(`[{"id":1,"text":"before"},{"id":2,"text":"behind"}]`)
	reopen("PANDO_STORE=" + url)
	if len(said.lines) > 0 {
		t.Errorf("the node said %q", said.lines)
	}
	put("3", "there")

	t.Run("the schema stands still", func(t *testing.T) {
		writeApp(t, dir, strings.Replace(moving, "text: {", "more: { type: int, optional: true }\n      text: {", 1))
		if err := n.Reload(t.Context()); !fault.Is(err, fault.Conflict) {
			t.Errorf("a reload with another schema: %v", err)
		}
		writeApp(t, dir, moving)
	})
	t.Run("somebody else's old file", func(t *testing.T) {
		other := t.TempDir()
		writeApp(t, other, moving)
		_, err := said.open(t, other, "PANDO_STORE=sqlite://"+filepath.Join(dir, "data", "test.db"))
		if !fault.Is(err, fault.ConfigInvalid) || !strings.Contains(err.Error(), "has moved") {
			t.Errorf("it is opened: %v", err)
		}
	})

	if _, err := command(t, n, "/move/rollback", neturl.Values{"freeze": {"20s"}}); err != nil {
		t.Fatal(err)
	}
	put("4", "back")
	const all = `[{"id":1,"text":"before"},{"id":2,"text":"behind"},{"id":3,"text":"there"},{"id":4,"text":"back"}]`
	has(all)
	reopen("PANDO_STORE=" + url) // the settings name the store that was left again
	has(all)
	reopen()
	if len(said.lines) > 0 {
		t.Errorf("the node said %q", said.lines)
	}

	// Away once more, and for good.
	if _, err := command(t, n, "/move", neturl.Values{"to": {url}, "freeze": {"20s"}}); err != nil {
		t.Fatal(err)
	}
	if _, err := command(t, n, "/move/confirm", nil); err != nil {
		t.Fatal(err)
	}
	if _, err := command(t, n, "/move/rollback", nil); err == nil {
		t.Error("a confirmed move was taken back")
	}
	reopen()
	has(all)
	rep, err := n.audit.Verify(t.Context(), nil)
	if err != nil || !rep.OK {
		t.Errorf("the trail: %+v %v", rep, err)
	}
	closeNode(t, n)
}

// TestMoveRefuses meets targets and values that are none.
func TestMoveRefuses(t *testing.T) {
	dir := t.TempDir()
	writeApp(t, dir, moving)
	var said told
	n, err := said.open(t, dir)
	if err != nil {
		t.Fatal(describe(err))
	}
	defer closeNode(t, n)
	request(t, n, http.MethodPost, "/rest/v1/notes", `{"id":1,"text":"fine"}`, http.StatusCreated)

	other := t.TempDir()
	writeApp(t, other, moving)
	o, err := said.open(t, other)
	if err != nil {
		t.Fatal(describe(err))
	}
	closeNode(t, o)
	refused := func(to, want string) {
		t.Helper()
		_, err := command(t, n, "/move", neturl.Values{"to": {to}})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("a move to %s: %v", to, err)
		}
		if err != nil && strings.Contains(err.Error(), "hunter2") {
			t.Errorf("the password is in %v", err)
		}
	}
	refused("sqlite://"+filepath.Join(other, "data", "test.db"), "holds another application")
	refused("sqlite://test.db", "already")
	refused("mysql://host/x", "not part of this build")
	refused("postgres://pando:hunter2@127.0.0.1:1/x", "cannot be reached")

	// What something other than Pando has written.
	err = n.driver.Write(t.Context(), func(tx store.Tx) error {
		_, err := tx.Exec(&store.Statement{SQL: `INSERT INTO "m.notes" (id,text) VALUES (7, 'a'||char(0)||'b'), (8, CAST(x'ff' AS TEXT))`}, nil)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, dry := range []string{"true", "false"} {
		ev, err := command(t, n, "/move", neturl.Values{"to": {"sqlite://second.db"}, "dry_run": {dry}})
		if err == nil || ev.Error.Details == nil {
			t.Fatalf("dry_run=%s: values that do not fit: %v", dry, err)
		}
		for _, want := range []string{"m.notes.text of id=7: the text holds a NUL", "m.notes.text of id=8: the text is not UTF-8"} {
			if !strings.Contains(*ev.Error.Details, want) {
				t.Errorf("dry_run=%s: %s does not say %s", dry, *ev.Error.Details, want)
			}
		}
	}
	request(t, n, http.MethodDelete, "/rest/v1/notes?id=gt.1", "", http.StatusNoContent)
	// Nothing was left of it: neither here nor there.
	if _, err := command(t, n, "/move", neturl.Values{"to": {"sqlite://second.db"}, "freeze": {"20s"}}); err != nil {
		t.Fatal(err)
	}
	if got := request(t, n, http.MethodGet, "/rest/v1/notes", "", http.StatusOK); got != `[{"id":1,"text":"fine"}]` {
		t.Errorf("there is %s", got)
	}
}
