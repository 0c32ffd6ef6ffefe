package sqlite

// queueDDL creates the tables of the job queue. A job's state is 0 while it waits
// for its time, 1 while it can be taken, 2 while it runs, and from 3 on when it
// has finished: 3 completed, 4 canceled, 5 dead. Each index holds the jobs of one
// step of their life alone: a job is in one at a time, and a completed one in none.
func queueDDL() []string {
	return []string{
		`CREATE TABLE IF NOT EXISTS "pando_jobs" ("id" INTEGER PRIMARY KEY NOT NULL, "queue" TEXT NOT NULL, "kind" TEXT NOT NULL, ` +
			`"state" INTEGER NOT NULL, "priority" INTEGER NOT NULL, "run_at" INTEGER NOT NULL, "max_attempts" INTEGER NOT NULL, "timeout" INTEGER NOT NULL, ` +
			`"attempt" INTEGER NOT NULL DEFAULT 0, "failed" INTEGER NOT NULL DEFAULT 0, "cancel" INTEGER NOT NULL DEFAULT 0, ` +
			`"node" INTEGER, "started" INTEGER, "finished" INTEGER, "unique_until" INTEGER, "unique_key" TEXT, ` +
			`"progress" INTEGER, "message" TEXT, "trace" TEXT, "caller" BLOB, "args" BLOB, "result" BLOB, "errors" TEXT) STRICT`,
		`CREATE INDEX IF NOT EXISTS "pando_jobs_available" ON "pando_jobs" ("queue","priority","run_at","id") WHERE "state"=1`,
		`CREATE INDEX IF NOT EXISTS "pando_jobs_scheduled" ON "pando_jobs" ("run_at") WHERE "state"=0`,
		`CREATE INDEX IF NOT EXISTS "pando_jobs_running" ON "pando_jobs" ("node","cancel") WHERE "state"=2`,
		`CREATE INDEX IF NOT EXISTS "pando_jobs_failed" ON "pando_jobs" ("id") WHERE "state">=4`,
		`CREATE UNIQUE INDEX IF NOT EXISTS "pando_jobs_unique" ON "pando_jobs" ("unique_key") WHERE "unique_key" IS NOT NULL`,
		`CREATE TABLE IF NOT EXISTS "pando_queues" ("name" TEXT PRIMARY KEY NOT NULL, "paused" INTEGER NOT NULL) STRICT, WITHOUT ROWID`,
		`CREATE TABLE IF NOT EXISTS "pando_workers" ("id" INTEGER PRIMARY KEY NOT NULL, "slot" INTEGER NOT NULL UNIQUE, "beat" INTEGER NOT NULL) STRICT`,
		`CREATE TABLE IF NOT EXISTS "pando_schedules" ("name" TEXT PRIMARY KEY NOT NULL, "spec" TEXT NOT NULL, "since" INTEGER NOT NULL) STRICT, WITHOUT ROWID`,
		`CREATE TABLE IF NOT EXISTS "pando_ticks" ("name" TEXT NOT NULL, "tick" INTEGER NOT NULL, PRIMARY KEY ("name","tick")) STRICT, WITHOUT ROWID`,
	}
}
