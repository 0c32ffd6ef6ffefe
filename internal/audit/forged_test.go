package audit_test

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"

	"github.com/pandobase/pando/internal/store/teststore"
)

// TestForgedWhileRunning: what is put into the trail under a running node is in
// the node's log, whatever Verify could make of it.
func TestForgedWhileRunning(t *testing.T) {
	teststore.Only(t, teststore.SQLite, "on PostgreSQL other nodes write to the trail, too")
	teststore.Only(t, teststore.SQLite, "on PostgreSQL other nodes write to the trail, too")
	tr := open(t)
	tr.end()
	var log bytes.Buffer
	tr.cfg.Log = slog.New(slog.NewTextHandler(&log, nil))
	tr.start()
	tr.write(number(1))
	tr.tamper(
		`INSERT INTO "pando_audit" SELECT "id"+1,"at","actor","entity","key",'delete',"outcome","body","hash" FROM "pando_audit"`,
		`INSERT INTO "pando_audit_seals" SELECT "seq"+1,"first"+1,"last"+1,"count","members","hash" FROM "pando_audit_seals"`,
	)
	if log.Len() > 0 {
		t.Fatalf("nothing was forged yet: %s", &log)
	}
	tr.write(number(2))
	for _, want := range []string{"a record of the audit trail is there that this node did not write", "a seal of the audit trail is there that this node did not make"} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("the log has no %q:\n%s", want, &log)
		}
	}
	if rep := tr.verify(); rep.OK {
		t.Error("the forged record is not found")
	}
}
