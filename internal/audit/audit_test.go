package audit_test

import (
	"encoding/json"
	"errors"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pandobase/pando/internal/audit"
	"github.com/pandobase/pando/internal/keys"
	"github.com/pandobase/pando/internal/policy"
	"github.com/pandobase/pando/internal/store"
	"github.com/pandobase/pando/internal/store/teststore"
)

// trail is a log over a database of its own.
type trail struct {
	*audit.Log
	driver store.Driver
	cfg    audit.Config
	db     teststore.Database
	t      testing.TB
}

func open(t testing.TB) *trail {
	t.Helper()
	dir := t.TempDir()
	w, err := keys.OpenWrapper(dir)
	if err != nil {
		t.Fatal(err)
	}
	tr := &trail{db: teststore.New(t), t: t, cfg: audit.Config{Wrapper: w}}
	tr.start()
	t.Cleanup(func() { tr.end() })
	return tr
}

func (tr *trail) start() {
	tr.t.Helper()
	var err error
	tr.driver = tr.db.Open(tr.t)
	tr.cfg.Driver = tr.driver
	if tr.Log, err = audit.Open(tr.t.Context(), tr.cfg); err != nil {
		tr.t.Fatal(err)
	}
}

func (tr *trail) end() {
	if err := errors.Join(tr.Close(tr.t.Context()), tr.driver.Close()); err != nil && tr.t.Context().Err() == nil {
		tr.t.Error(err)
	}
}

func (tr *trail) write(recs ...audit.Record) {
	tr.t.Helper()
	err := tr.driver.Write(tr.t.Context(), func(tx store.Tx) error {
		for i := range recs {
			if err := tr.Append(tx, &recs[i]); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		tr.t.Fatal(err)
	}
}

func caller(uid string) audit.Record {
	r := audit.FromIdentity(&policy.Identity{
		Role: policy.Authenticated, UID: uid, Session: "s-" + uid,
		Request: &policy.Request{Door: "rest", Method: "POST", Operation: "create", IP: "203.0.113.9", UserAgent: "test/1", ID: "req-1"},
	})
	r.Action, r.Entity = "create", "shop.orders"
	return r
}

func number(n int) audit.Record {
	r := caller("u" + strconv.Itoa(n%3))
	r.Keys, r.Fields, r.Rows = []string{strconv.Itoa(n)}, []string{"id", "note"}, 1
	return r
}

func rows(t testing.TB, r store.Driver, sql string) (out [][]string) {
	t.Helper()
	err := r.Read(t.Context(), false, func(r store.Reader) error {
		return r.Query(&store.Statement{SQL: sql}, nil, func(row store.Row) error {
			var cells []string
			for i := range 2 {
				cells = append(cells, string(row.Append(nil, i)))
			}
			out = append(out, cells)
			return nil
		})
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// TestSealedWithTheCommit: when Write returns, the record is in the chain.
func TestSealedWithTheCommit(t *testing.T) {
	tr := open(t)
	for i := range 5 {
		tr.write(number(i))
	}
	tr.write(number(5), number(6))
	got := rows(t, tr.driver, `SELECT max("seq"), sum("count") FROM "pando_audit_seals"`)
	if got[0][0] != "6" || got[0][1] != "7" {
		t.Errorf("seals and sealed records: %v", got)
	}
	tr.end()
	tr.start() // goes on where it stopped
	tr.write(number(7))
	if got := rows(t, tr.driver, `SELECT max("seq"), max("last") FROM "pando_audit_seals"`); got[0][0] != "7" || got[0][1] != "8" {
		t.Errorf("after a restart: %v", got)
	}
}

// TestUndoneWithTheWrite: a failing write takes its record and the key that
// was made for it along, and its neighbours keep theirs.
func TestUndoneWithTheWrite(t *testing.T) {
	tr := open(t)
	failed := errors.New("no")
	var wg sync.WaitGroup
	for i := range 300 {
		wg.Go(func() {
			err := tr.driver.Write(t.Context(), func(tx store.Tx) error {
				r := number(i)
				r.UID = "user-" + strconv.Itoa(i%40)
				if err := tr.Append(tx, &r); err != nil {
					return err
				}
				inner := tx.Savepoint(func() error {
					r := number(i)
					r.UID = "inner-" + strconv.Itoa(i)
					return errors.Join(tr.Append(tx, &r), failed)
				})
				if !errors.Is(inner, failed) {
					return inner
				}
				if i%3 == 0 {
					return failed
				}
				if i%3 == 1 { // the key that the savepoint took along
					r.UID = "again-" + strconv.Itoa(i%7)
					again := tx.Savepoint(func() error { return errors.Join(tr.Append(tx, &r), failed) })
					if !errors.Is(again, failed) {
						return again
					}
					return tr.Append(tx, &r)
				}
				return nil
			})
			if want := i%3 == 0; errors.Is(err, failed) != want || (err != nil && !want) {
				t.Errorf("write %d: %v", i, err)
			}
		})
	}
	wg.Wait()
	got := rows(t, tr.driver, `SELECT (SELECT count(*) FROM "pando_audit"), (SELECT sum("count") FROM "pando_audit_seals")`)
	if got[0][0] != "300" || got[0][1] != "300" {
		t.Errorf("records and sealed ones: %v", got)
	}
	// The keys that are used are those of the store.
	tr.end()
	tr.start()
	if got := rows(t, tr.driver, `SELECT count(*), 0 FROM "pando_audit_subjects" WHERE "subject" LIKE 'inner%'`); got[0][0] != "0" {
		t.Errorf("keys of undone records: %v", got)
	}
	err := tr.Each(t.Context(), audit.Query{}, func(r *audit.Record) error {
		if r.Erased || r.IP != "203.0.113.9" {
			t.Errorf("record %d lies under a key that is not stored", r.ID)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	if rep := tr.verify(); !rep.OK {
		t.Errorf("%+v", rep)
	}
}

// TestAppendOnly: the database itself refuses to change what was recorded.
func TestAppendOnly(t *testing.T) {
	tr := open(t)
	tr.write(number(1))
	for _, sql := range []string{
		`UPDATE "pando_audit" SET "action"='x'`, `DELETE FROM "pando_audit"`,
		`UPDATE "pando_audit_seals" SET "count"=2`, `DELETE FROM "pando_audit_seals"`,
	} {
		err := tr.driver.Write(t.Context(), func(tx store.Tx) error {
			_, err := tx.Exec(&store.Statement{SQL: sql}, nil)
			return err
		})
		if err == nil {
			t.Errorf("%s was done", sql)
		}
	}
}

// TestPersonal: what is about a person is not in the table as it is.
func TestPersonal(t *testing.T) {
	tr := open(t)
	r := number(1)
	r.Detail = map[string]string{"email": "ann@example.com", "provider": "github"}
	r.Values = []audit.Values{{Key: "1", Data: json.RawMessage(`{"note":"secret note"}`)}}
	tr.write(r)
	body := rows(t, tr.driver, `SELECT "body", "actor" FROM "pando_audit"`)[0]
	for _, s := range []string{"203.0.113.9", "test/1", "ann@example.com", "secret note"} {
		if strings.Contains(body[0], s) {
			t.Errorf("%q stands in %s", s, body[0])
		}
	}
	if !strings.Contains(body[0], `"provider":"github"`) || !json.Valid([]byte(body[0])) {
		t.Errorf("body: %s", body[0])
	}
}

func BenchmarkAppend(b *testing.B) {
	for _, with := range []bool{false, true} {
		b.Run("audit="+strconv.FormatBool(with), func(b *testing.B) {
			tr := open(b)
			err := tr.driver.Write(b.Context(), func(tx store.Tx) error {
				_, err := tx.Exec(&store.Statement{SQL: `CREATE TABLE "b.b" ("id" INTEGER PRIMARY KEY, "x" TEXT)`}, nil)
				return err
			})
			if err != nil {
				b.Fatal(err)
			}
			st := &store.Statement{SQL: `INSERT INTO "b.b" ("x") VALUES ('12345678901234567890')`}
			r := number(1)
			r.Time = time.Time{}
			b.ReportAllocs()
			for b.Loop() {
				err := tr.driver.Write(b.Context(), func(tx store.Tx) error {
					if _, err := tx.Exec(st, nil); err != nil {
						return err
					}
					if with {
						return tr.Append(tx, &r)
					}
					return nil
				})
				if err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// TestFailedCommit: a commit that fails takes records, seals and new keys along,
// and the chain goes on from what is stored.
func TestFailedCommit(t *testing.T) {
	tr := open(t)
	err := tr.driver.Alter(t.Context(), func(tx store.Tx) error {
		_, err := tx.Exec(tr.statement(`CREATE TABLE "b.b" ("id" INTEGER PRIMARY KEY, "ref" INTEGER REFERENCES "b.b"("id") DEFERRABLE INITIALLY DEFERRED)`), nil)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	tr.write(number(1))
	r := caller("new")
	err = tr.driver.Write(t.Context(), func(tx store.Tx) error {
		if _, err := tx.Exec(tr.statement(`INSERT INTO "b.b" VALUES (1, 2)`), nil); err != nil {
			return err
		}
		return tr.Append(tx, &r)
	})
	if err == nil {
		t.Fatal("the commit did not fail")
	}
	tr.write(r, number(2))
	if rep := tr.verify(); !rep.OK || rep.Records != 3 || rep.Seals != 2 {
		t.Errorf("%+v", rep)
	}
	got := 0
	err = tr.Each(t.Context(), audit.Query{}, func(r *audit.Record) error {
		if got++; r.IP == "" {
			t.Errorf("%+v", r)
		}
		return nil
	})
	if err != nil || got != 3 {
		t.Error(got, err)
	}
}
