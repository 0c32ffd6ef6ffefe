package queue

import (
	"strings"

	"github.com/pandobase/pando/internal/store"
	"github.com/pandobase/pando/internal/value"
)

// statements are the queue's SQL texts, prepared once by each connection.
type statements struct {
	d store.Dialect

	inserts                            [len(insertSizes)]*store.Statement
	insertUnique, holder, freeKey      *store.Statement
	anyAvailable, nextDue              *store.Statement
	take, taken, dueJobs, promote      *store.Statement
	complete, completeUnique, forget   *store.Statement
	completeWith, again, end, progress *store.Statement

	newestID, slots, register, beat, unregister *store.Statement
	workers, removeWorker, removeWorkers        *store.Statement
	orphan, orphans                             *store.Statement

	cancelWaiting, cancelRunning, canceled, retry        *store.Statement
	stateOf, statesOf, get, pause, counts, depth, queues *store.Statement
	prunable, deleteJobs, deleteTicks                    *store.Statement

	schedule, setSchedule, scheduleNames, dropSchedule *store.Statement
	tick, lastTick                                     *store.Statement
}

// insertSizes are the numbers of jobs that one statement inserts.
var insertSizes = [...]int{64, 16, 4, 1} //nolint:gochecknoglobals // a constant

// integer is the type of parameters whose surroundings tell none.
var integer = value.Type{Kind: value.Int} //nolint:gochecknoglobals // a constant

// write writes a statement of a dialect: each ? is a parameter, # one that is an
// integer wherever it stands, and @ the condition that the id is in a list.
func (s *statements) write(sql string) *store.Statement {
	var out strings.Builder
	n := 0
	for i := 0; i < len(sql); i++ {
		switch sql[i] {
		case '?':
			n++
			out.WriteString(s.d.Param(n))
		case '#':
			n++
			out.WriteString(s.d.TypedParam(n, integer))
		case '@':
			n++
			out.WriteString(s.d.InList(integer, `"id"`, s.d.Param(n)))
		default:
			out.WriteByte(sql[i])
		}
	}
	return &store.Statement{SQL: out.String()}
}

const insertColumns = `"id","queue","kind","state","priority","run_at","max_attempts","timeout","unique_until","unique_key","trace","caller","args"`

const insertRow = `(?,?,?,?,?,?,?,?,?,?,?,?,?)`

// held is the condition that a try still holds its job.
const held = ` WHERE "id"=? AND "node"=? AND "attempt"=? AND "state"=2`

// keepKey frees the unique key of a job that finishes now, unless its window
// goes on.
const keepKey = `"unique_key"=CASE WHEN "unique_until">? THEN "unique_key" END`

func newStatements(d store.Dialect) *statements {
	s := &statements{d: d}
	st := s.write
	lock := store.LockFree(d, "j")
	for i, n := range insertSizes {
		s.inserts[i] = st(`INSERT INTO "pando_jobs" (` + insertColumns + `) VALUES ` + strings.Repeat(insertRow+",", n-1) + insertRow)
	}
	s.insertUnique = st(`INSERT INTO "pando_jobs" (` + insertColumns + `) VALUES ` + insertRow + ` ON CONFLICT ("unique_key") WHERE "unique_key" IS NOT NULL DO NOTHING`)
	s.holder = st(`SELECT "id" FROM "pando_jobs" WHERE "unique_key"=?`)
	s.freeKey = st(`UPDATE "pando_jobs" SET "unique_key"=NULL WHERE "unique_key"=? AND "state">=3 AND ("unique_until" IS NULL OR "unique_until"<=?)`)

	s.anyAvailable = st(`SELECT 1 FROM "pando_jobs" WHERE "state"=1 AND "queue"=? AND NOT EXISTS (SELECT 1 FROM "pando_queues" WHERE "name"=? AND "paused"<>0) LIMIT 1`)
	s.nextDue = st(`SELECT min("run_at") FROM "pando_jobs" WHERE "state"=0`)
	s.take = st(`SELECT "id","kind","args","caller","trace","priority","run_at","attempt","failed","max_attempts","timeout","errors","unique_key" ` +
		`FROM "pando_jobs" AS j WHERE "state"=1 AND "queue"=? AND EXISTS (SELECT 1 FROM "pando_workers" WHERE "id"=?) ` +
		`AND NOT EXISTS (SELECT 1 FROM "pando_queues" WHERE "name"=? AND "paused"<>0) ORDER BY "priority","run_at","id" LIMIT ?` + lock)
	s.taken = st(`UPDATE "pando_jobs" SET "state"=2,"node"=?,"started"=?,"attempt"="attempt"+1 WHERE @`)
	s.dueJobs = st(`SELECT "id" FROM "pando_jobs" AS j WHERE "state"=0 AND "run_at"<=? ORDER BY "run_at" LIMIT ?` + lock)
	s.promote = st(`UPDATE "pando_jobs" SET "state"=1 WHERE @`)

	s.complete = st(`UPDATE "pando_jobs" SET "state"=3,"finished"=? WHERE "node"=? AND "attempt"=? AND "state"=2 AND @`)
	s.completeUnique = st(`UPDATE "pando_jobs" SET "state"=3,"finished"=?,` + keepKey + ` WHERE "node"=? AND "attempt"=? AND "state"=2 AND @`)
	s.forget = st(`DELETE FROM "pando_jobs" WHERE "node"=? AND "attempt"=? AND "state"=2 AND @`)
	s.completeWith = st(`UPDATE "pando_jobs" SET "state"=3,"finished"=?,` + keepKey + `,"result"=?,"errors"=?` + held)
	s.again = st(`UPDATE "pando_jobs" SET "state"=CASE WHEN "cancel"<>0 THEN 4 ELSE # END,"finished"=CASE WHEN "cancel"<>0 THEN # END,` +
		`"unique_key"=CASE WHEN "cancel"=0 OR "unique_until"># THEN "unique_key" END,"cancel"=0,"run_at"=?,"failed"=?,"errors"=?,"node"=NULL` + held)
	s.end = st(`UPDATE "pando_jobs" SET "state"=?,"finished"=?,` + keepKey + `,"cancel"=0,"failed"=?,"errors"=?` + held)
	s.progress = st(`UPDATE "pando_jobs" SET "progress"=?,"message"=?` + held)

	s.newestID = st(`SELECT max("id") FROM "pando_jobs"`)
	s.slots = st(`SELECT "slot" FROM "pando_workers"`)
	s.register = st(`INSERT INTO "pando_workers" ("id","slot","beat") VALUES (?,?,0) ON CONFLICT DO NOTHING`)
	s.beat = st(`UPDATE "pando_workers" SET "beat"="beat"+1 WHERE "id"=?`)
	s.unregister = st(`DELETE FROM "pando_workers" WHERE "id"=?`)
	s.workers = st(`SELECT "id","beat" FROM "pando_workers"`)
	s.removeWorker = st(`DELETE FROM "pando_workers" WHERE "id"=? AND "beat"=?`)
	s.removeWorkers = st(`DELETE FROM "pando_workers"`)
	const orphaned = ` FROM "pando_jobs" AS j WHERE "state"=2 AND NOT EXISTS (SELECT 1 FROM "pando_workers" AS w WHERE w."id"=j."node") LIMIT `
	s.orphan = st(`SELECT 1` + orphaned + `1`)
	s.orphans = st(`SELECT "id","node","attempt","failed","max_attempts","errors","queue"` + orphaned + `500` + lock)

	s.cancelWaiting = st(`UPDATE "pando_jobs" SET "state"=4,"finished"=?,"unique_key"=NULL WHERE "id"=? AND "state"<2`)
	s.cancelRunning = st(`UPDATE "pando_jobs" SET "cancel"=1 WHERE "id"=? AND "state"=2`)
	s.canceled = st(`SELECT "id" FROM "pando_jobs" WHERE "state"=2 AND "node"=? AND "cancel"=1`)
	s.retry = st(`UPDATE "pando_jobs" SET "state"=1,"run_at"=?,"finished"=NULL,"failed"=0,"cancel"=0,"node"=NULL,"progress"=NULL,"message"=NULL WHERE "id"=? AND "state">=4`)
	s.stateOf = st(`SELECT "state","queue" FROM "pando_jobs" WHERE "id"=?`)
	s.statesOf = st(`SELECT "id","attempt","state" FROM "pando_jobs" WHERE @`)
	s.get = st(`SELECT ` + infoColumns + `,"args","result","errors" FROM "pando_jobs" WHERE "id"=?`)
	s.pause = st(`INSERT INTO "pando_queues" ("name","paused") VALUES (?,?) ON CONFLICT ("name") DO UPDATE SET "paused"=excluded."paused"`)
	s.queues = st(`SELECT "name" FROM "pando_queues" WHERE "paused"<>0`)
	s.counts = st(`SELECT "queue","state",count(*) FROM "pando_jobs" GROUP BY "queue","state"`)
	s.depth = st(`SELECT "queue",0,count(*) FROM "pando_jobs" WHERE "state"=0 GROUP BY "queue" UNION ALL ` +
		`SELECT "queue",1,count(*) FROM "pando_jobs" WHERE "state"=1 GROUP BY "queue" UNION ALL ` +
		`SELECT "queue",2,count(*) FROM "pando_jobs" WHERE "state"=2 GROUP BY "queue" UNION ALL ` +
		`SELECT "queue","state",count(*) FROM "pando_jobs" WHERE "state">=4 GROUP BY "queue","state"`)

	s.prunable = st(`SELECT "id" FROM "pando_jobs" AS j WHERE "id">? AND "id"<? AND "state">=3 AND (("state"=3 AND "finished"<?) OR ("state">3 AND "finished"<?)) ` +
		`ORDER BY "id" LIMIT ?` + lock)
	s.deleteJobs = st(`DELETE FROM "pando_jobs" WHERE @`)
	s.deleteTicks = st(`DELETE FROM "pando_ticks" WHERE "tick"<?`)

	s.schedule = st(`SELECT "since" FROM "pando_schedules" WHERE "name"=?`)
	s.setSchedule = st(`INSERT INTO "pando_schedules" ("name","spec","since") VALUES (?,?,?) ` +
		`ON CONFLICT ("name") DO UPDATE SET "spec"=excluded."spec","since"=excluded."since" WHERE "pando_schedules"."spec"<>excluded."spec"`)
	s.scheduleNames = st(`SELECT "name" FROM "pando_schedules"`)
	s.dropSchedule = st(`DELETE FROM "pando_schedules" WHERE "name"=?`)
	s.tick = st(`INSERT INTO "pando_ticks" ("name","tick") VALUES (?,?) ON CONFLICT ("name","tick") DO NOTHING`)
	s.lastTick = st(`SELECT max("tick") FROM "pando_ticks" WHERE "name"=? AND "tick"<=?`)
	return s
}

// null is a column's value; empty is null.
func null(s string) value.Value {
	if s == "" {
		return value.Null()
	}
	return value.OfText(s)
}

func bytesOrNull(b []byte) value.Value {
	if b == nil {
		return value.Null()
	}
	return value.OfBytes(string(b))
}

// idList packs ids into one parameter.
func (s *statements) idList(list []ID) value.Value {
	values := make([]value.Value, len(list))
	for i, id := range list {
		values[i] = value.OfInt(int64(id))
	}
	return s.d.ListParam(values)
}
