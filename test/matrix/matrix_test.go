package matrix

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"os"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// leastCells is how many cells the matrix must have, those of callers who are
// refused before any rule apart.
const leastCells = 5000

// mostMismatches are told; there may be thousands of one cause.
const mostMismatches = 12

// seedName names another seed than the usual one, to look for what no test has
// met before.
const seedName = "PANDO_MATRIX_SEED"

// allName asks for all classes of rows and values for each caller, entity and
// operation. Without it they take turns, so that the test takes seconds.
const allName = "PANDO_MATRIX_ALL"

// tally counts cells.
type tally struct {
	t          *testing.T
	cells      map[string]map[string]int // by what is counted, by its name
	refused    int
	mismatches int
}

func (c *tally) count(kind, name string) {
	if c.cells[kind] == nil {
		c.cells[kind] = map[string]int{}
	}
	c.cells[kind][name]++
}

// cell counts one cell and tells a mismatch.
func (c *tally) cell(door, op string, who *caller, mismatch string) {
	c.count("door", door)
	c.count("caller", who.name)
	c.count("operation", op)
	if who.refused != "" {
		c.refused++
	}
	if mismatch == "" {
		return
	}
	if c.mismatches++; c.mismatches <= mostMismatches {
		c.t.Errorf("%s, %s, %s: %s", door, who.name, op, mismatch)
	}
}

func (c *tally) total() (n int) {
	for _, k := range c.cells["door"] {
		n += k
	}
	return n
}

// report prints the counts and fails when there are too few.
func (c *tally) report() {
	var b strings.Builder
	for _, kind := range slices.Sorted(maps.Keys(c.cells)) {
		fmt.Fprintf(&b, "\n  by %s:", kind)
		for _, name := range slices.Sorted(maps.Keys(c.cells[kind])) {
			fmt.Fprintf(&b, " %s %d;", name, c.cells[kind][name])
		}
	}
	judged := c.total() - c.refused
	fmt.Printf("matrix: %d cells, %d of them judged by rules, %d mismatches%s\n", c.total(), judged, c.mismatches, b.String()) //nolint:forbidigo // it is what the suite answers
	if judged < leastCells {
		c.t.Errorf("%d cells are judged by rules, fewer than %d", judged, leastCells)
	}
	if c.mismatches > mostMismatches {
		c.t.Errorf("%d mismatches, %d of them told", c.mismatches, mostMismatches)
	}
}

// refusedTurns: who is let in nowhere tries one in so many entities.
const refusedTurns = 4

// TestMatrix lets every caller do everything to every entity.
func TestMatrix(t *testing.T) {
	seed := uint64(1)
	if text := os.Getenv(seedName); text != "" {
		var err error
		if seed, err = strconv.ParseUint(text, 10, 64); err != nil {
			t.Fatalf("%s: %v", seedName, err)
		}
	}
	a := generate(seed)
	n := start(t, a)
	who, p := callers(t, n)
	m := &matrix{tags: map[*entity]string{}, t: t, n: n, p: p, world: populate(a, p, seed), service: &caller{name: "service", key: n.secret, role: serviceRole}}
	m.load()
	count := &tally{t: t, cells: map[string]map[string]int{}}
	for _, d := range doors() {
		for i, c := range who {
			for j, e := range append(slices.Clone(a.entities), a.users, a.roles) {
				if c.refused != "" && (i+j)%refusedTurns != 0 && os.Getenv(allName) == "" {
					continue
				}
				list := slices.DeleteFunc(asks(m.world, e, c, p), func(q *ask) bool { return !d.says(e, q) })
				if os.Getenv(allName) == "" {
					list = rotate(list, c.share, i+j)
				}
				for _, q := range list {
					count.cell(d.name, q.op, c, m.cell(d, c, e, q))
				}
			}
		}
	}
	identityCells(m, who, count)
	count.report()
}

// matrix is what the cells share.
type matrix struct {
	t       *testing.T
	n       *node
	p       people
	world   *world
	service *caller
	tags    map[*entity]string // of the tables as they are between cells
}

// load stores the rows, and reads those that identity has made.
func (m *matrix) load() {
	m.t.Helper()
	for _, e := range m.world.app.entities {
		m.n.must(m.t, m.service, "POST", "/rest/v1/"+e.name, m.world.table(e), nil)
	}
	for _, b := range []struct {
		e           *entity
		fields, key string
	}{
		{m.world.app.users, "id,email,is_anonymous", "id"}, {m.world.app.roles, "user_id,role", "user_id"},
	} {
		var rows []row
		m.n.must(m.t, m.service, "GET", "/rest/v1/"+b.e.name+"?select="+b.fields, nil, &rows)
		m.world.rows[b.e.name] = map[any]row{}
		for _, r := range rows {
			m.world.rows[b.e.name][r[b.key]] = r
		}
	}
}

// cell does one ask and tells how its answer, or what it leaves behind,
// differs from what the oracle says.
func (m *matrix) cell(d door, c *caller, e *entity, q *ask) string {
	o := &oracle{world: m.world, who: c, method: d.method(q)}
	var want result
	if c.refused != "" {
		want = o.refused(c.refused, "the caller is not let in")
	} else {
		want = d.expect(o, e, q)
	}
	got, err := d.put(m.n, o, e, q)
	if err != nil {
		m.t.Fatal(err)
	}
	var told []string
	if diff := d.compare(o, e, q, &want, got); diff != "" {
		told = append(told, fmt.Sprintf("answered %d %s\n\tinstead of %s", got.status, got.body, diff))
	}
	if q.action != doRead {
		if diff := m.verify(e, want.after); diff != "" {
			told = append(told, diff)
		}
	}
	if told == nil {
		return ""
	}
	return fmt.Sprintf("%s (%s)\n\t%s\n\t%s\n\twhy: %s\n\trules: %s", e.name, q.class, got.request, strings.Join(told, "\n\t"), want.why, e.told())
}

// told is an entity's policy for a person.
func (e *entity) told() string {
	var b strings.Builder
	for i, name := range []string{"read", "create", "update", "check", "delete"} {
		if c := e.rules[rule(i)]; c != nil {
			fmt.Fprintf(&b, "%s: %s; ", name, c.cel)
		}
	}
	for _, f := range e.fields {
		if f.read != nil {
			fmt.Fprintf(&b, "read of %s: %s; ", f.name, f.read.cel)
		}
		if f.write != nil {
			fmt.Fprintf(&b, "write of %s: %s; ", f.name, f.write.cel)
		}
	}
	return b.String()
}

// verify compares what is stored with what must be, and brings the rows of the
// matrix back.
func (m *matrix) verify(e *entity, after *world) string {
	if e.builtin {
		return m.identityStands(e)
	}
	var told []string
	for _, o := range m.world.app.entities {
		if o != e && (o.of == nil || o.of != e) && (o.left == nil || o.left != e && o.right != e) {
			continue
		}
		if after.rows[o.name] == nil || sameTable(after.rows[o.name], m.world.rows[o.name]) {
			if m.stands(o) {
				continue
			}
		}
		want := []any{}
		for _, r := range after.table(o) {
			want = append(want, stored(o, r))
		}
		var have []row
		m.n.must(m.t, m.service, "GET", "/rest/v1/"+o.name+"?order=id", nil, &have)
		text, err := json.Marshal(have)
		if err != nil {
			m.t.Fatal(err)
		}
		if !sameRows(want, text, true) {
			told = append(told, fmt.Sprintf("stored in %s: %s", o.name, difference(want, text)))
		}
		m.restore(o, after, have)
	}
	return strings.Join(told, "\n\t")
}

// sameTable tells whether a table is the very same: no write has touched it.
func sameTable(a, b map[any]row) bool {
	return reflect.ValueOf(a).Pointer() == reflect.ValueOf(b).Pointer()
}

// stands tells, by its entity tag, whether a table is as it was.
func (m *matrix) stands(e *entity) bool {
	path := "/rest/v1/" + e.name + "?order=id"
	h := http.Header{}
	if tag := m.tags[e]; tag != "" {
		h.Set("If-None-Match", tag)
	}
	got, err := m.n.send(m.service, http.MethodGet, path, nil, h)
	if err != nil {
		m.t.Fatal(err)
	}
	if got.status == http.StatusNotModified {
		return true
	}
	var want []any
	for _, r := range m.world.table(e) {
		want = append(want, stored(e, r))
	}
	if !sameRows(want, got.body, true) {
		return false
	}
	m.tags[e] = got.header.Get("Etag")
	return true
}

// difference tells which rows should not be there, and which should.
func difference(want []any, have []byte) string {
	text, err := json.Marshal(want)
	var is, must []any
	if err != nil || json.Unmarshal(have, &is) != nil || json.Unmarshal(text, &must) != nil {
		return string(have)
	}
	var b strings.Builder
	for _, side := range []struct {
		name   string
		in, of []any
	}{{"there are", is, must}, {"there should be", must, is}} {
		for _, r := range side.in {
			if !slices.ContainsFunc(side.of, func(o any) bool { return reflect.DeepEqual(o, r) }) {
				fmt.Fprintf(&b, "\n\t\t%s %v", side.name, r)
			}
		}
	}
	return b.String()
}

// stored is a row as the service reads it.
func stored(e *entity, r row) map[string]any {
	out := map[string]any{}
	for _, f := range e.fields {
		if !f.hidden {
			out[f.name] = r[f.name]
		}
	}
	return out
}

// restore brings an entity's rows back to those of the matrix, from what is
// stored and, as for the hidden fields, from what should be.
func (m *matrix) restore(e *entity, after *world, have []row) {
	base := m.world.rows[e.name]
	there := map[any]row{}
	var extra []string
	for _, r := range have {
		id := int(r["id"].(float64)) //nolint:forcetypeassert // every key is a number
		there[id] = r
		if base[id] == nil {
			extra = append(extra, itoa(id))
		}
	}
	if extra != nil {
		m.n.must(m.t, m.service, http.MethodDelete, "/rest/v1/"+e.name+"?id=in.("+strings.Join(extra, ",")+")", nil, nil)
	}
	var back []row
	for _, r := range m.world.table(e) {
		id := r["id"]
		same := there[id] != nil && reflect.DeepEqual(after.rows[e.name][id], r)
		if same {
			text, err := json.Marshal([]row{there[id]})
			if err != nil {
				m.t.Fatal(err)
			}
			same = sameRows([]any{stored(e, r)}, text, true)
		}
		if !same {
			back = append(back, r)
		}
	}
	if back != nil {
		m.n.must(m.t, m.service, http.MethodPost, "/rest/v1/"+e.name, back, nil)
	}
}

// identityStands tells whether the tables of identity are as they were.
func (m *matrix) identityStands(e *entity) string {
	fields := "id,email,is_anonymous"
	if e == m.world.app.roles {
		fields = "user_id,role"
	}
	var have []any
	m.n.must(m.t, m.service, "GET", "/rest/v1/"+e.name+"?select="+fields, nil, &have)
	text, err := json.Marshal(have)
	if err != nil {
		m.t.Fatal(err)
	}
	var want []any
	for _, r := range m.world.table(e) {
		want = append(want, map[string]any(r))
	}
	if !sameRows(want, text, false) {
		return fmt.Sprintf("the table %s has changed: %s", e.name, text)
	}
	return ""
}
