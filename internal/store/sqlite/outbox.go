package sqlite

// outboxDDL creates the tables of events. Of those in the outbox, the relay looks
// for the ones that are not published; the number never comes back, also when all
// rows are gone.
func outboxDDL() []string {
	return []string{
		`CREATE TABLE IF NOT EXISTS "pando_outbox" ("seq" INTEGER PRIMARY KEY AUTOINCREMENT, "id" TEXT NOT NULL, "at" INTEGER NOT NULL, ` +
			`"type" TEXT NOT NULL, "key" TEXT NOT NULL, "data" TEXT NOT NULL, "schema" TEXT, "subject" TEXT, "trace" TEXT, "published" INTEGER) STRICT`,
		`CREATE INDEX IF NOT EXISTS "pando_outbox_pending" ON "pando_outbox" ("seq") WHERE "published" IS NULL`,
		`CREATE TABLE IF NOT EXISTS "pando_outbox_leases" ("name" TEXT PRIMARY KEY NOT NULL, "holder" TEXT NOT NULL, ` +
			`"fence" INTEGER NOT NULL, "beat" INTEGER NOT NULL) STRICT, WITHOUT ROWID`,
		`CREATE TABLE IF NOT EXISTS "pando_inbox" ("consumer" TEXT NOT NULL, "id" TEXT NOT NULL, "at" INTEGER NOT NULL, ` +
			`PRIMARY KEY ("consumer","id")) STRICT, WITHOUT ROWID`,
		`CREATE TABLE IF NOT EXISTS "pando_event_retries" ("consumer" TEXT NOT NULL, "id" TEXT NOT NULL, "seq" INTEGER NOT NULL, "key" TEXT NOT NULL, ` +
			`"event" TEXT NOT NULL, "tries" INTEGER NOT NULL, "due" INTEGER NOT NULL, "replay" INTEGER NOT NULL, "error" TEXT NOT NULL, ` +
			`PRIMARY KEY ("consumer","id","replay")) STRICT, WITHOUT ROWID`,
		`CREATE INDEX IF NOT EXISTS "pando_event_retries_key" ON "pando_event_retries" ("consumer","key","seq")`,
		`CREATE TABLE IF NOT EXISTS "pando_dead_events" ("consumer" TEXT NOT NULL, "id" TEXT NOT NULL, "at" INTEGER NOT NULL, "event" TEXT NOT NULL, ` +
			`"tries" INTEGER NOT NULL, "error" TEXT NOT NULL, PRIMARY KEY ("consumer","id")) STRICT, WITHOUT ROWID`,
	}
}
