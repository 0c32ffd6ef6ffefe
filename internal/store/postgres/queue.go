package postgres

import "github.com/pandobase/pando/internal/store"

var _ store.Skipper = dialect{}

// LockFree implements store.Skipper.
func (dialect) LockFree(alias string) string {
	return " FOR NO KEY UPDATE OF " + alias + " SKIP LOCKED"
}

// queueDDL creates the tables of the job queue; see the SQLite driver for what
// the indexes are for. A job's row is written anew at each step of its life, so
// the table is vacuumed long before the usual fifth of it is dead.
func queueDDL() []string {
	return []string{
		`CREATE TABLE IF NOT EXISTS "pando_jobs" ("id" bigint PRIMARY KEY, "queue" text COLLATE "C" NOT NULL, "kind" text COLLATE "C" NOT NULL, ` +
			`"state" bigint NOT NULL, "priority" bigint NOT NULL, "run_at" bigint NOT NULL, "max_attempts" bigint NOT NULL, "timeout" bigint NOT NULL, ` +
			`"attempt" bigint NOT NULL DEFAULT 0, "failed" bigint NOT NULL DEFAULT 0, "cancel" bigint NOT NULL DEFAULT 0, ` +
			`"node" bigint, "started" bigint, "finished" bigint, "unique_until" bigint, "unique_key" text COLLATE "C", ` +
			`"progress" bigint, "message" text, "trace" text, "caller" bytea, "args" bytea, "result" bytea, "errors" text) ` +
			`WITH (autovacuum_vacuum_scale_factor=0.02, autovacuum_vacuum_threshold=5000, autovacuum_analyze_scale_factor=0.05)`,
		`CREATE INDEX IF NOT EXISTS "pando_jobs_available" ON "pando_jobs" ("queue","priority","run_at","id") WHERE "state"=1`,
		`CREATE INDEX IF NOT EXISTS "pando_jobs_scheduled" ON "pando_jobs" ("run_at") WHERE "state"=0`,
		`CREATE INDEX IF NOT EXISTS "pando_jobs_running" ON "pando_jobs" ("node","cancel") WHERE "state"=2`,
		`CREATE INDEX IF NOT EXISTS "pando_jobs_failed" ON "pando_jobs" ("id") WHERE "state">=4`,
		`CREATE UNIQUE INDEX IF NOT EXISTS "pando_jobs_unique" ON "pando_jobs" ("unique_key") WHERE "unique_key" IS NOT NULL`,
		`CREATE TABLE IF NOT EXISTS "pando_queues" ("name" text COLLATE "C" PRIMARY KEY, "paused" bigint NOT NULL)`,
		`CREATE TABLE IF NOT EXISTS "pando_workers" ("id" bigint PRIMARY KEY, "slot" bigint NOT NULL UNIQUE, "beat" bigint NOT NULL)`,
		`CREATE TABLE IF NOT EXISTS "pando_schedules" ("name" text COLLATE "C" PRIMARY KEY, "spec" text COLLATE "C" NOT NULL, "since" bigint NOT NULL)`,
		`CREATE TABLE IF NOT EXISTS "pando_ticks" ("name" text COLLATE "C" NOT NULL, "tick" bigint NOT NULL, PRIMARY KEY ("name","tick"))`,
	}
}
