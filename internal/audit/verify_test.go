package audit_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/pandobase/pando/internal/audit"
	"github.com/pandobase/pando/internal/store"
	"github.com/pandobase/pando/internal/store/teststore"
	"github.com/pandobase/pando/internal/value"
)

// tamper runs SQL as somebody with the database in hand does: the triggers
// keep nobody from it who can drop them.
func (tr *trail) tamper(sql ...string) {
	tr.t.Helper()
	drop := []string{
		`DROP TRIGGER IF EXISTS "pando_audit.UPDATE"`, `DROP TRIGGER IF EXISTS "pando_audit.DELETE"`,
		`DROP TRIGGER IF EXISTS "pando_audit_seals.UPDATE"`, `DROP TRIGGER IF EXISTS "pando_audit_seals.DELETE"`,
	}
	if teststore.Kind(tr.t) == teststore.Postgres {
		drop = []string{
			`DROP TRIGGER IF EXISTS "pando_audit_refuse" ON "pando_audit"`, `DROP TRIGGER IF EXISTS "pando_audit_seals_refuse" ON "pando_audit_seals"`,
		}
	}
	all := append(drop, sql...)
	err := tr.driver.Write(tr.t.Context(), func(tx store.Tx) error {
		for _, s := range all {
			if _, err := tx.Exec(tr.statement(s), nil); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		tr.t.Fatal(err)
	}
}

// statement is SQLite's SQL as the trail's store writes it.
func (tr *trail) statement(sql string) *store.Statement {
	if teststore.Kind(tr.t) == teststore.Postgres {
		sql = regexp.MustCompile(`x'([0-9a-f]*)'`).ReplaceAllString(sql, `'\x$1'::bytea`)
		sql = regexp.MustCompile(`zeroblob\((\d+)\)`).ReplaceAllString(sql, `decode(repeat('00',$1),'hex')`)
		sql = regexp.MustCompile(`\?(\d)`).ReplaceAllString(sql, `$$$1`)
		sql = strings.ReplaceAll(sql, `"b.b"`, `"b_b"`)
	}
	return &store.Statement{SQL: sql}
}

func (tr *trail) verify(anchors ...audit.Checkpoint) *audit.Report {
	tr.t.Helper()
	rep, err := tr.Verify(tr.t.Context(), anchors)
	if err != nil {
		tr.t.Fatal(err)
	}
	return rep
}

func (tr *trail) anchor() audit.Checkpoint {
	tr.t.Helper()
	c, err := tr.Checkpoint(tr.t.Context())
	if err != nil {
		tr.t.Fatal(err)
	}
	var line bytes.Buffer
	if err := json.NewEncoder(&line).Encode(c); err != nil {
		tr.t.Fatal(err)
	}
	list, err := audit.ReadAnchors(&line)
	if err != nil || len(list) != 1 {
		tr.t.Fatal(list, err)
	}
	return list[0]
}

// fill writes twelve records: ids 1 to 4 alone, 5 to 8 in one commit, 9 to 12
// alone.
func (tr *trail) fill() {
	for i := range 4 {
		tr.write(number(i))
	}
	tr.write(number(4), number(5), number(6), number(7))
	for i := 8; i < 12; i++ {
		tr.write(number(i))
	}
}

const all = `"at","actor","entity","key","action","outcome","body","hash"`

// TestTampering: what was done to the trail is found, and the first record
// that it was done to is named.
func TestTampering(t *testing.T) {
	tests := []struct {
		name   string
		sql    []string
		kind   audit.Kind
		record int64
	}{
		{"a byte of the body", []string{`UPDATE "pando_audit" SET "body"=replace("body",'"fields":["id"','"fields":["ID"') WHERE "id"=3`}, audit.Changed, 3},
		{"the whole body", []string{`UPDATE "pando_audit" SET "body"='{' WHERE "id"=3`}, audit.Changed, 3},
		{"the time", []string{`UPDATE "pando_audit" SET "at"="at"+1 WHERE "id"=3`}, audit.Changed, 3},
		{"the actor", []string{`UPDATE "pando_audit" SET "actor"='somebody' WHERE "id"=6`}, audit.Changed, 6},
		{"the entity", []string{`UPDATE "pando_audit" SET "entity"=NULL WHERE "id"=6`}, audit.Changed, 6},
		{"the key", []string{`UPDATE "pando_audit" SET "key"='99' WHERE "id"=12`}, audit.Changed, 12},
		{"the action", []string{`UPDATE "pando_audit" SET "action"='read' WHERE "id"=1`}, audit.Changed, 1},
		{"the outcome", []string{`UPDATE "pando_audit" SET "outcome"='denied' WHERE "id"=1`}, audit.Changed, 1},
		{"the hash", []string{`UPDATE "pando_audit" SET "hash"=zeroblob(32) WHERE "id"=7`}, audit.Changed, 7},
		{"a cell moved to its neighbour", []string{`UPDATE "pando_audit" SET "actor"='',"entity"="actor"||"entity" WHERE "id"=2`}, audit.Changed, 2},
		{"the first record", []string{`DELETE FROM "pando_audit" WHERE "id"=1`}, audit.Removed, 1},
		{"a middle record", []string{`DELETE FROM "pando_audit" WHERE "id"=6`}, audit.Removed, 6},
		{"the last record", []string{`DELETE FROM "pando_audit" WHERE "id"=12`}, audit.Removed, 12},
		{"every record", []string{`DELETE FROM "pando_audit"`}, audit.Removed, 1},
		{"the first seal with its record", []string{`DELETE FROM "pando_audit" WHERE "id"=1`, `DELETE FROM "pando_audit_seals" WHERE "seq"=1`}, audit.BadSeal, 1},
		{"a middle seal with its records", []string{`DELETE FROM "pando_audit" WHERE "id" BETWEEN 5 AND 8`, `DELETE FROM "pando_audit_seals" WHERE "seq"=5`}, audit.BadSeal, 5},
		{"a middle seal", []string{`DELETE FROM "pando_audit_seals" WHERE "seq"=5`}, audit.BadSeal, 5},
		{"the last seal", []string{`DELETE FROM "pando_audit_seals" WHERE "seq"=9`}, audit.Inserted, 12},
		{"two records exchanged", []string{
			`UPDATE "pando_audit" SET "id"=-1 WHERE "id"=6`, `UPDATE "pando_audit" SET "id"=6 WHERE "id"=7`, `UPDATE "pando_audit" SET "id"=7 WHERE "id"=-1`,
		}, audit.Reordered, 6},
		{"two records of different seals exchanged", []string{
			`UPDATE "pando_audit" SET "id"=-1 WHERE "id"=2`, `UPDATE "pando_audit" SET "id"=2 WHERE "id"=10`, `UPDATE "pando_audit" SET "id"=10 WHERE "id"=-1`,
		}, audit.Changed, 2},
		{"a record put at the end", []string{`INSERT INTO "pando_audit" ("id",` + all + `) SELECT 13,` + all + ` FROM "pando_audit" WHERE "id"=3`}, audit.Inserted, 13},
		{"a record put before the first", []string{`INSERT INTO "pando_audit" ("id",` + all + `) SELECT 0,` + all + ` FROM "pando_audit" WHERE "id"=3`}, audit.Inserted, 0},
		{"a record moved away", []string{`UPDATE "pando_audit" SET "id"=100 WHERE "id"=6`}, audit.Removed, 6},
		{"the hash of a seal", []string{`UPDATE "pando_audit_seals" SET "hash"=zeroblob(32) WHERE "seq"=5`}, audit.BadSeal, 5},
		{"the list of a seal", []string{`UPDATE "pando_audit_seals" SET "members"=x'00' WHERE "seq"=5`}, audit.BadSeal, 5},
		{"the count of a seal", []string{`UPDATE "pando_audit_seals" SET "count"=-4 WHERE "seq"=5`}, audit.BadSeal, 5},
		{"the bounds of a seal", []string{`UPDATE "pando_audit_seals" SET "first"=4 WHERE "seq"=5`}, audit.BadSeal, 4},
		{"two seals exchanged", []string{
			`UPDATE "pando_audit_seals" SET "seq"=-1 WHERE "seq"=2`, `UPDATE "pando_audit_seals" SET "seq"=2 WHERE "seq"=3`, `UPDATE "pando_audit_seals" SET "seq"=3 WHERE "seq"=-1`,
		}, audit.Inserted, 2},
		{"seals without records", []string{`INSERT INTO "pando_audit_seals" VALUES (10,13,13,1,zeroblob(9),zeroblob(32))`}, audit.Removed, 13},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tr := open(t)
			tr.fill()
			if rep := tr.verify(); !rep.OK || rep.Records != 12 || rep.Seals != 9 || rep.Unsealed != 0 {
				t.Fatalf("before: %+v", rep)
			}
			tr.tamper(tt.sql...)
			if _, err := tr.Search(t.Context(), audit.Query{}); err != nil {
				t.Errorf("a trail that was changed cannot be searched: %v", err)
			}
			rep := tr.verify()
			if rep.OK || len(rep.Findings) == 0 {
				t.Fatalf("nothing was found: %+v", rep)
			}
			if f := rep.Findings[0]; f.Kind != tt.kind || f.Record != tt.record {
				t.Errorf("found %+v", rep.Findings)
			}
			if tt.name == "seals without records" {
				teststore.Only(t, teststore.SQLite, "PostgreSQL refuses a write whose seal is there already")
			}
			// What is written afterwards does not hide it.
			tr.write(number(50))
			if again := tr.verify(); again.OK || again.Findings[0].Record != tt.record {
				t.Errorf("after another write: %+v", again.Findings)
			}
		})
	}
}

// TestForgedTail: who rewrites a record, its hash, its seal and every later
// seal makes a chain that is sound in itself. An anchor finds it.
func TestForgedTail(t *testing.T) {
	tr := open(t)
	tr.fill()
	early := tr.anchor()
	tr.write(number(20))
	anchor := tr.anchor()
	tr.tamper(`UPDATE "pando_audit" SET "actor"='somebody' WHERE "id">=9`)
	tr.reseal(9)
	if rep := tr.verify(); !rep.OK {
		t.Fatalf("the forgery is not sound: %+v", rep.Findings)
	}
	rep := tr.verify(early, anchor)
	if rep.OK || rep.Findings[0].Kind != audit.Rewritten {
		t.Errorf("against the anchors: %+v", rep)
	}
	// Forged without the later seals, the chain itself shows it.
	tr = open(t)
	tr.fill()
	tr.tamper(`UPDATE "pando_audit" SET "actor"='somebody' WHERE "id"=9`)
	tr.resealOnly(9, 1)
	if rep := tr.verify(); rep.OK || rep.Findings[0].Kind != audit.BadSeal || rep.Findings[0].Seal != 7 {
		t.Errorf("one seal forged: %+v", rep.Findings)
	}
}

// TestTruncation: records and seals that were cut off are missed by an anchor.
func TestTruncation(t *testing.T) {
	tr := open(t)
	empty := tr.anchor()
	tr.fill()
	before, anchor := tr.anchor(), tr.anchor()
	tr.tamper(`DELETE FROM "pando_audit" WHERE "id">8`, `DELETE FROM "pando_audit_seals" WHERE "seq">5`)
	if rep := tr.verify(); !rep.OK {
		t.Fatalf("the cut is not clean: %+v", rep.Findings)
	}
	rep := tr.verify(empty, before, anchor)
	if rep.OK || rep.Findings[0].Kind != audit.Truncated || rep.Findings[0].Record != 9 || rep.Anchors != 1 {
		t.Errorf("against the anchors: %+v", rep)
	}
	tr.end()
	tr.start() // and goes on: still found
	tr.write(number(1), number(2), number(3))
	for range 6 {
		tr.write(number(4))
	}
	if rep := tr.verify(anchor); rep.OK || rep.Findings[0].Kind != audit.Rewritten {
		t.Errorf("after the trail grew past the anchor: %+v", rep.Findings)
	}
}

// TestForgedAnchor: only the trail's own key signs its anchors.
func TestForgedAnchor(t *testing.T) {
	tr := open(t)
	tr.fill()
	anchor := tr.anchor()
	changed := anchor
	changed.Seal = 8
	if rep := tr.verify(changed); rep.OK || rep.Findings[0].Kind != audit.BadAnchor {
		t.Errorf("a changed anchor: %+v", rep.Findings)
	}
	other := open(t)
	other.fill()
	if rep := tr.verify(other.anchor()); rep.OK || rep.Findings[0].Kind != audit.BadAnchor {
		t.Errorf("another trail's anchor: %+v", rep.Findings)
	}
	tr.tamper(`DELETE FROM "pando_meta" WHERE "key"='audit.signing'`)
	if rep := tr.verify(anchor); rep.OK || rep.Findings[0].Kind != audit.BadAnchor {
		t.Errorf("with the key gone: %+v", rep.Findings)
	}
	for _, text := range []string{"x", `{}`, `{"pando_audit":2}`, strings.Repeat("x", 5000)} {
		if _, err := audit.ReadAnchors(strings.NewReader(text)); err == nil {
			t.Errorf("%.20q is an anchor", text)
		}
	}
}

// TestErase: an erased person's values are gone, other people's are not, and
// the chain is whole.
func TestErase(t *testing.T) {
	tr := open(t)
	r := caller("ann")
	r.Keys = []string{"7"}
	r.Detail = map[string]string{"email": "ann@example.com", "provider": "github"}
	r.Values = []audit.Values{
		{Key: "7", Data: json.RawMessage(`{"note":"mine"}`)},
		{Key: "8", Subject: "bob", Data: json.RawMessage(`{"note":"his"}`)},
	}
	tr.write(r)
	tr.write(caller("bob"))
	got, err := tr.Get(t.Context(), 1)
	if err != nil || got.IP != "203.0.113.9" || got.UserAgent != "test/1" || got.Detail["email"] != "ann@example.com" ||
		string(got.Values[0].Data) != `{"note":"mine"}` || string(got.Values[1].Data) != `{"note":"his"}` || got.Erased {
		t.Fatalf("before: %+v, %v", got, err)
	}
	by := audit.Record{Role: "service", Service: true, Key: "command line"}
	if there, err := tr.Erase(t.Context(), by, "ann"); !there || err != nil {
		t.Fatal(there, err)
	}
	if there, err := tr.Erase(t.Context(), by, "ann"); there || err != nil {
		t.Fatal("a second time:", there, err)
	}
	got, err = tr.Get(t.Context(), 1)
	if err != nil || !got.Erased || got.IP != "" || got.UserAgent != "" || got.Detail["email"] != "" || got.Values[0].Data != nil {
		t.Errorf("after: %+v, %v", got, err)
	}
	if got.Detail["provider"] != "github" || got.UID != "ann" || string(got.Values[1].Data) != `{"note":"his"}` {
		t.Errorf("what is not ann's: %+v", got)
	}
	if other, err := tr.Get(t.Context(), 2); err != nil || other.IP == "" {
		t.Errorf("bob's: %+v, %v", other, err)
	}
	if rep := tr.verify(); !rep.OK || rep.Records != 4 {
		t.Errorf("the chain: %+v", rep)
	}
	tr.write(caller("ann")) // who goes on gets a new key
	if again, err := tr.Get(t.Context(), 5); err != nil || again.IP == "" {
		t.Errorf("afterwards: %+v, %v", again, err)
	}
	tr.end()
	tr.start()
	if again, err := tr.Get(t.Context(), 5); err != nil || again.IP == "" {
		t.Errorf("after a restart: %+v, %v", again, err)
	}
}

// reseal makes the seals of the records from an id on anew, as a forger who has
// read the source does: with hashes of their own, down to the end of the chain.
func (tr *trail) reseal(from int64) { tr.resealOnly(from, 1<<30) }

func (tr *trail) resealOnly(from int64, most int) {
	tr.t.Helper()
	err := tr.driver.Write(tr.t.Context(), func(tx store.Tx) error {
		type rec struct {
			id   int64
			hash [32]byte
		}
		var recs []rec
		err := tx.Query(&store.Statement{SQL: `SELECT "id",` + all + ` FROM "pando_audit" ORDER BY "id"`}, nil, func(r store.Row) error {
			buf := []byte("pando.audit.record.v1")
			buf = binary.BigEndian.AppendUint64(buf, uint64(r.Int(1)))
			for i := 2; i <= 7; i++ {
				cell := r.Append(nil, i)
				buf = append(binary.AppendUvarint(buf, uint64(len(cell))), cell...)
			}
			recs = append(recs, rec{r.Int(0), sha256.Sum256(buf)})
			return nil
		})
		if err != nil {
			return err
		}
		type link struct{ seq, first, last, count int64 }
		var links []link
		var prev []byte
		err = tx.Query(&store.Statement{SQL: `SELECT "seq","first","last","count","hash" FROM "pando_audit_seals" ORDER BY "seq"`}, nil, func(r store.Row) error {
			if r.Int(2) >= from {
				links = append(links, link{r.Int(0), r.Int(1), r.Int(2), r.Int(3)})
			} else {
				prev = r.Append(nil, 4)
			}
			return nil
		})
		if err != nil {
			return err
		}
		for _, rc := range recs {
			sql := `UPDATE "pando_audit" SET "hash"=x'` + hex.EncodeToString(rc.hash[:]) + `' WHERE "id"=` + strconv.FormatInt(rc.id, 10)
			if _, err := tx.Exec(tr.statement(sql), nil); err != nil {
				return err
			}
		}
		for i, l := range links {
			if i == most {
				break
			}
			buf := append([]byte("pando.audit.seal.v1"), prev...)
			for _, n := range []int64{l.seq, l.first, l.last, l.count} {
				buf = binary.BigEndian.AppendUint64(buf, uint64(n))
			}
			var members []byte
			before := l.first
			for _, rc := range recs {
				if rc.id >= l.first && rc.id <= l.last {
					buf = append(binary.BigEndian.AppendUint64(buf, uint64(rc.id)), rc.hash[:]...)
					members = append(binary.AppendUvarint(members, uint64(rc.id-before)), rc.hash[:8]...)
					before = rc.id
				}
			}
			sum := sha256.Sum256(buf)
			prev = sum[:]
			_, err := tx.Exec(tr.statement(`UPDATE "pando_audit_seals" SET "hash"=?1,"members"=?2 WHERE "seq"=?3`),
				[]value.Value{value.OfBytes(string(sum[:])), value.OfBytes(string(members)), value.OfInt(l.seq)})
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		tr.t.Fatal(err)
	}
}
