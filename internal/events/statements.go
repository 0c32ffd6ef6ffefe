package events

import (
	"github.com/pandobase/pando/internal/store"
)

type statements struct {
	park, later, unpark, parked, due         *store.Statement
	bury, deadList, deadOne, deadDrop, again *store.Statement
}

func newStatements(d store.Dialect) *statements {
	st := func(text string) *store.Statement {
		var out []byte
		n := 0
		for i := range len(text) {
			if text[i] == '?' {
				n++
				out = append(out, d.Param(n)...)
				continue
			}
			out = append(out, text[i])
		}
		return &store.Statement{SQL: string(out)}
	}
	const columns = `("consumer","id","seq","key","event","tries","due","replay","error") VALUES (?,?,?,?,?,?,?,?,?)`
	return &statements{
		park:   st(`INSERT INTO "pando_event_retries" ` + columns + ` ON CONFLICT DO NOTHING`),
		later:  st(`UPDATE "pando_event_retries" SET "tries"=?,"due"=?,"error"=? WHERE "consumer"=? AND "id"=? AND "replay"=?`),
		unpark: st(`DELETE FROM "pando_event_retries" WHERE "consumer"=? AND "id"=? AND "replay"=?`),
		parked: st(`SELECT "key",count(*) FROM "pando_event_retries" WHERE "consumer"=? AND "replay"=0 GROUP BY "key"`),
		due: st(`SELECT "key","event","tries","replay" FROM "pando_event_retries" AS r WHERE "consumer"=? AND "due"<=? AND NOT EXISTS ` +
			`(SELECT 1 FROM "pando_event_retries" AS b WHERE b."consumer"=r."consumer" AND b."key"=r."key" AND b."seq"<r."seq" AND b."replay"=r."replay") ` +
			`ORDER BY "seq" LIMIT ?`),

		bury: st(`INSERT INTO "pando_dead_events" ("consumer","id","at","event","tries","error") VALUES (?,?,?,?,?,?) ` +
			`ON CONFLICT ("consumer","id") DO UPDATE SET "at"=excluded."at","tries"=excluded."tries","error"=excluded."error"`),
		deadList: st(`SELECT "consumer","id","at","event","tries","error" FROM "pando_dead_events" WHERE ("consumer","id")>(?,?) ORDER BY "consumer","id" LIMIT ?`),
		deadOne:  st(`SELECT "event" FROM "pando_dead_events" WHERE "consumer"=? AND "id"=?`),
		deadDrop: st(`DELETE FROM "pando_dead_events" WHERE "consumer"=? AND "id"=?`),
		again:    st(`INSERT INTO "pando_event_retries" ` + columns + ` ON CONFLICT DO NOTHING`),
	}
}
