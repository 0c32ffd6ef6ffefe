package metamorphic

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/pandobase/pando/internal/api/rest"
	"github.com/pandobase/pando/internal/engine"
	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/keys"
	"github.com/pandobase/pando/internal/model"
	"github.com/pandobase/pando/internal/policy"
	"github.com/pandobase/pando/internal/store"
	"github.com/pandobase/pando/internal/store/teststore"
)

// side is one of the stores with what stands before it.
type side struct {
	kind   string
	driver store.Driver
	random *chacha
	log    bytes.Buffer
	door   http.Handler
}

// chacha is randomness that begins anew with each request.
type chacha struct{ *rand.ChaCha8 }

func (c *chacha) restart(n int) {
	var seed [32]byte
	binary.LittleEndian.PutUint64(seed[:], uint64(n)) //nolint:gosec // a count
	c.ChaCha8 = rand.NewChaCha8(seed)
}

// pair is the same application on both stores.
type pair struct {
	t      testing.TB
	sides  [2]*side
	signer *keys.Signer
	now    time.Time
	tables []*store.Table // of the application before
	app    *application
	next   string // the cursor of the last page that had one
	tag    string // the last ETag
	sent   int
}

func newPair(t testing.TB) *pair {
	t.Helper()
	signed := &chacha{}
	signed.restart(1)
	signer, err := keys.OpenSigner(keys.SignerConfig{Dir: t.TempDir(), Rand: signed})
	if err != nil {
		t.Fatal(err)
	}
	p := &pair{t: t, signer: signer}
	for i, kind := range []string{teststore.SQLite, teststore.Postgres} {
		d := teststore.Of(t, kind).Open(t)
		t.Cleanup(func() {
			if err := d.Close(); err != nil {
				t.Error(err)
			}
		})
		p.sides[i] = &side{kind: kind, driver: d, random: &chacha{}}
	}
	return p
}

// load reads an application.
func load(a *application) (*model.App, *policy.Rules, error) {
	app, problems := model.Load(fstest.MapFS{
		"pando.yaml":     {Data: []byte("app: metamorphic\nroles: { staff: {} }\nlimits: { rows: 20, depth: 6 }\n")},
		"modules/t.yaml": {Data: []byte(a.yaml())},
	}, nil, model.Features{FieldPolicies: true})
	if len(problems) > 0 {
		return nil, nil, fmt.Errorf("%v", problems)
	}
	rules, problems := policy.Compile(app)
	if len(problems) > 0 {
		return nil, nil, fmt.Errorf("%v", problems)
	}
	return app, rules, nil
}

// install puts an application with empty tables on both stores.
func (p *pair) install(a *application) error {
	app, rules, err := load(a)
	if err != nil {
		return err
	}
	var tables []*store.Table
	for _, e := range app.Module("t").Entities {
		tables = append(tables, store.TableOf(e))
	}
	for _, s := range p.sides {
		if err := replace(s.driver, p.tables, tables); err != nil {
			return fmt.Errorf("%s: %w", s.kind, fault.From(err).Cause)
		}
		e := engine.New(engine.Config{
			App: app, Rules: rules, Driver: s.driver, Signer: p.signer, Random: s.random, Now: func() time.Time { return p.now },
		})
		s.door = rest.New(rest.Config{
			Engine: e, Authenticate: p.authenticate, OpenAPI: func() []byte { return nil },
			Logger: slog.New(slog.NewTextHandler(&s.log, nil)),
		})
	}
	p.tables, p.app, p.next, p.tag, p.sent = tables, a, "", "", 0
	return nil
}

func replace(d store.Driver, old, tables []*store.Table) error {
	return d.Alter(context.Background(), func(tx store.Tx) error {
		var sqls []string
		for _, t := range slices.Backward(old) {
			sqls = append(sqls, d.Dialect().DDL(store.Change{Kind: store.DropTable, Table: t})...)
		}
		for _, t := range tables {
			sqls = append(sqls, d.Dialect().DDL(store.Change{Kind: store.CreateTable, Table: t})...)
		}
		for _, sql := range append(sqls, `DELETE FROM "pando_idempotency"`) {
			if _, err := tx.Exec(&store.Statement{SQL: sql}, nil); err != nil {
				return err
			}
		}
		return nil
	})
}

// authenticate names the caller of a request.
func (p *pair) authenticate(r *http.Request) (policy.Identity, error) {
	return callerOf(r, &policy.Request{Door: "rest", Method: r.Method, Time: p.now}), nil
}

// callerOf is the caller that the header As holds.
func callerOf(r *http.Request, told *policy.Request) policy.Identity {
	switch r.Header.Get("As") {
	case "ann":
		return policy.Identity{Role: policy.Authenticated, UID: uids()[0], Email: "a@b.c", Request: told}
	case "bob":
		return policy.Identity{Role: policy.Authenticated, UID: uids()[1], Roles: []string{"staff"}, Request: told}
	case "anon":
		return policy.Identity{Role: policy.Anon, Request: told}
	}
	return policy.Identity{Role: policy.Service, Request: told}
}

// answer is all that a client sees.
type answer struct {
	status int
	text   string
	header http.Header
}

// outcome is the status, and the code of a problem.
func (a *answer) outcome() string {
	out := fmt.Sprint(a.status)
	if m := codePattern.FindStringSubmatch(a.text); m != nil && a.status >= 400 {
		out += " " + m[1] + " " + m[2]
	}
	return out
}

var (
	codePattern   = regexp.MustCompile(`"code":"([^"]*)","message":"([^"]{0,30})`)
	cursorPattern = regexp.MustCompile(`cursor=([^>&]+)>; rel="next"`)
)

// send sends a request to both stores.
func (p *pair) send(q *request) [2]answer {
	p.sent++
	p.now = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC).Add(time.Duration(p.sent) * 1001 * time.Millisecond)
	var out [2]answer
	for i, s := range p.sides {
		s.random.restart(p.sent)
		s.log.Reset()
		out[i] = p.ask(s, q)
	}
	if tag := out[0].header.Get("ETag"); tag != "" {
		p.tag = tag
	}
	if q.method == http.MethodGet && q.headers == nil {
		p.next = ""
	}
	if m := cursorPattern.FindStringSubmatch(out[0].header.Get("Link")); m != nil {
		p.next = m[1]
	}
	return out
}

// path is a request's path with the cursor that was seen last.
func (p *pair) path(q *request) string {
	if p.next == "" {
		return strings.TrimRight(strings.ReplaceAll(q.path, "cursor=$next", ""), "?&")
	}
	return strings.ReplaceAll(q.path, "$next", p.next)
}

func (p *pair) ask(s *side, q *request) (out answer) {
	r := httptest.NewRequestWithContext(context.Background(), q.method, p.path(q), strings.NewReader(q.body))
	r.Header.Set("As", q.as)
	for _, h := range q.headers {
		r.Header.Add(h[0], strings.ReplaceAll(h[1], "$tag", p.tag))
	}
	w := httptest.NewRecorder()
	defer func() {
		if cause := recover(); cause != nil {
			out = answer{status: 599, text: fmt.Sprintf("cut off: %v\n%s", cause, w.Body), header: w.Header()}
		}
	}()
	s.door.ServeHTTP(w, r)
	var b strings.Builder
	fmt.Fprintln(&b, w.Code)
	names := make([]string, 0, len(w.Header()))
	for name := range w.Header() {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		fmt.Fprintf(&b, "%s: %s\n", name, strings.Join(w.Header()[name], ", "))
	}
	b.WriteString("\n" + w.Body.String())
	return answer{status: w.Code, text: b.String(), header: w.Header()}
}

// compare sends a request, and after a write asks for all rows. It reports
// where the stores differ, or where they both fail for a reason of their own.
func (p *pair) compare(q *request) (outcome, difference string) {
	got := p.send(q)
	if got[0].text != got[1].text || got[0].status >= 500 {
		return got[0].outcome(), p.report("answer", got)
	}
	if !q.writing() || got[0].status >= 400 {
		return got[0].outcome(), ""
	}
	for _, e := range p.app.entities {
		rows := p.send(&request{as: "service", method: "GET", path: "/rest/v1/" + e.name, headers: [][2]string{{"Accept", "application/x-ndjson"}}})
		if rows[0].text != rows[1].text || rows[0].status >= 500 {
			return got[0].outcome(), p.report("rows of "+e.name, rows)
		}
	}
	return got[0].outcome(), ""
}

func (p *pair) report(what string, got [2]answer) string {
	var b strings.Builder
	for i, s := range p.sides {
		fmt.Fprintf(&b, "%s on %s: %s\n", what, s.kind, got[i].text)
		if s.log.Len() > 0 {
			fmt.Fprintf(&b, "log: %s\n", &s.log)
		}
	}
	return b.String()
}
