-- system
CREATE TABLE IF NOT EXISTS "pando_meta" ("key" TEXT PRIMARY KEY NOT NULL, "value" TEXT) STRICT;
CREATE TABLE IF NOT EXISTS "pando_migrations" ("id" INTEGER PRIMARY KEY NOT NULL, "at" TEXT NOT NULL, "plan" TEXT NOT NULL, "state" TEXT NOT NULL, "step" INTEGER NOT NULL, "manifest" TEXT NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS "pando_idempotency" ("scope" TEXT PRIMARY KEY NOT NULL, "digest" BLOB NOT NULL, "at" TEXT NOT NULL, "result" BLOB) STRICT;
CREATE INDEX IF NOT EXISTS "pando_idempotency_at" ON "pando_idempotency" ("at");
CREATE TABLE IF NOT EXISTS "pando_seeds" ("file" TEXT PRIMARY KEY NOT NULL, "at" TEXT NOT NULL, "rows" INTEGER NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS "pando_move" ("key" TEXT PRIMARY KEY NOT NULL, "value" TEXT NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS "pando_audit" ("id" INTEGER PRIMARY KEY NOT NULL, "at" INTEGER NOT NULL, "actor" TEXT, "entity" TEXT, "key" TEXT, "action" TEXT NOT NULL, "outcome" TEXT NOT NULL, "body" TEXT NOT NULL, "hash" BLOB NOT NULL) STRICT;
CREATE INDEX IF NOT EXISTS "pando_audit_actor" ON "pando_audit" ("actor") WHERE "actor" IS NOT NULL;
CREATE INDEX IF NOT EXISTS "pando_audit_entity" ON "pando_audit" ("entity","key") WHERE "entity" IS NOT NULL;
CREATE TABLE IF NOT EXISTS "pando_audit_seals" ("seq" INTEGER PRIMARY KEY NOT NULL, "first" INTEGER NOT NULL, "last" INTEGER NOT NULL, "count" INTEGER NOT NULL, "members" BLOB NOT NULL, "hash" BLOB NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS "pando_audit_subjects" ("subject" TEXT PRIMARY KEY NOT NULL, "key" BLOB NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS "pando_audit_counts" ("key" TEXT NOT NULL, "rule" TEXT NOT NULL, "minute" INTEGER NOT NULL, "count" INTEGER NOT NULL, PRIMARY KEY ("minute","key","rule")) STRICT, WITHOUT ROWID;
CREATE TRIGGER IF NOT EXISTS "pando_audit.UPDATE" BEFORE UPDATE ON "pando_audit" BEGIN SELECT RAISE(ABORT, 'the audit trail can only be added to'); END;
CREATE TRIGGER IF NOT EXISTS "pando_audit.DELETE" BEFORE DELETE ON "pando_audit" BEGIN SELECT RAISE(ABORT, 'the audit trail can only be added to'); END;
CREATE TRIGGER IF NOT EXISTS "pando_audit_seals.UPDATE" BEFORE UPDATE ON "pando_audit_seals" BEGIN SELECT RAISE(ABORT, 'the audit trail can only be added to'); END;
CREATE TRIGGER IF NOT EXISTS "pando_audit_seals.DELETE" BEFORE DELETE ON "pando_audit_seals" BEGIN SELECT RAISE(ABORT, 'the audit trail can only be added to'); END;
CREATE TABLE IF NOT EXISTS "pando_jobs" ("id" INTEGER PRIMARY KEY NOT NULL, "queue" TEXT NOT NULL, "kind" TEXT NOT NULL, "state" INTEGER NOT NULL, "priority" INTEGER NOT NULL, "run_at" INTEGER NOT NULL, "max_attempts" INTEGER NOT NULL, "timeout" INTEGER NOT NULL, "attempt" INTEGER NOT NULL DEFAULT 0, "failed" INTEGER NOT NULL DEFAULT 0, "cancel" INTEGER NOT NULL DEFAULT 0, "node" INTEGER, "started" INTEGER, "finished" INTEGER, "unique_until" INTEGER, "unique_key" TEXT, "progress" INTEGER, "message" TEXT, "trace" TEXT, "caller" BLOB, "args" BLOB, "result" BLOB, "errors" TEXT) STRICT;
CREATE INDEX IF NOT EXISTS "pando_jobs_available" ON "pando_jobs" ("queue","priority","run_at","id") WHERE "state"=1;
CREATE INDEX IF NOT EXISTS "pando_jobs_scheduled" ON "pando_jobs" ("run_at") WHERE "state"=0;
CREATE INDEX IF NOT EXISTS "pando_jobs_running" ON "pando_jobs" ("node","cancel") WHERE "state"=2;
CREATE INDEX IF NOT EXISTS "pando_jobs_failed" ON "pando_jobs" ("id") WHERE "state">=4;
CREATE UNIQUE INDEX IF NOT EXISTS "pando_jobs_unique" ON "pando_jobs" ("unique_key") WHERE "unique_key" IS NOT NULL;
CREATE TABLE IF NOT EXISTS "pando_queues" ("name" TEXT PRIMARY KEY NOT NULL, "paused" INTEGER NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS "pando_workers" ("id" INTEGER PRIMARY KEY NOT NULL, "slot" INTEGER NOT NULL UNIQUE, "beat" INTEGER NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS "pando_schedules" ("name" TEXT PRIMARY KEY NOT NULL, "spec" TEXT NOT NULL, "since" INTEGER NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS "pando_ticks" ("name" TEXT NOT NULL, "tick" INTEGER NOT NULL, PRIMARY KEY ("name","tick")) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS "pando_outbox" ("seq" INTEGER PRIMARY KEY AUTOINCREMENT, "id" TEXT NOT NULL, "at" INTEGER NOT NULL, "type" TEXT NOT NULL, "key" TEXT NOT NULL, "data" TEXT NOT NULL, "schema" TEXT, "subject" TEXT, "trace" TEXT, "published" INTEGER) STRICT;
CREATE INDEX IF NOT EXISTS "pando_outbox_pending" ON "pando_outbox" ("seq") WHERE "published" IS NULL;
CREATE TABLE IF NOT EXISTS "pando_outbox_leases" ("name" TEXT PRIMARY KEY NOT NULL, "holder" TEXT NOT NULL, "fence" INTEGER NOT NULL, "beat" INTEGER NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS "pando_inbox" ("consumer" TEXT NOT NULL, "id" TEXT NOT NULL, "at" INTEGER NOT NULL, PRIMARY KEY ("consumer","id")) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS "pando_event_retries" ("consumer" TEXT NOT NULL, "id" TEXT NOT NULL, "seq" INTEGER NOT NULL, "key" TEXT NOT NULL, "event" TEXT NOT NULL, "tries" INTEGER NOT NULL, "due" INTEGER NOT NULL, "replay" INTEGER NOT NULL, "error" TEXT NOT NULL, PRIMARY KEY ("consumer","id","replay")) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS "pando_event_retries_key" ON "pando_event_retries" ("consumer","key","seq");
CREATE TABLE IF NOT EXISTS "pando_dead_events" ("consumer" TEXT NOT NULL, "id" TEXT NOT NULL, "at" INTEGER NOT NULL, "event" TEXT NOT NULL, "tries" INTEGER NOT NULL, "error" TEXT NOT NULL, PRIMARY KEY ("consumer","id")) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS "pando_webhooks" ("name" TEXT PRIMARY KEY NOT NULL, "failures" INTEGER NOT NULL, "failing" INTEGER, "succeeded" INTEGER, "disabled" INTEGER, "reason" TEXT) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS "pando_webhook_deliveries" ("endpoint" TEXT NOT NULL, "id" TEXT NOT NULL, "at" INTEGER NOT NULL, "outcome" TEXT NOT NULL, "status" INTEGER NOT NULL, "tries" INTEGER NOT NULL, "took" INTEGER NOT NULL, "error" TEXT, "event" TEXT, "body" BLOB, PRIMARY KEY ("endpoint","id")) STRICT;
CREATE INDEX IF NOT EXISTS "pando_webhook_deliveries_at" ON "pando_webhook_deliveries" ("endpoint","at");
CREATE TABLE IF NOT EXISTS "pando_usage" ("day" INTEGER NOT NULL, "thing" TEXT NOT NULL, "version" TEXT NOT NULL, "door" TEXT NOT NULL, "key" TEXT NOT NULL, "client" TEXT NOT NULL, "count" INTEGER NOT NULL, "first" INTEGER NOT NULL, "last" INTEGER NOT NULL, PRIMARY KEY ("day","thing","version","door","key","client")) STRICT, WITHOUT ROWID;

-- create table
CREATE TABLE "m.people" ("id" TEXT PRIMARY KEY NOT NULL, "name" TEXT, "rank" TEXT, "state" TEXT NOT NULL DEFAULT 'it''s', "share" REAL DEFAULT 5e-01, "total" INTEGER, "photo" BLOB DEFAULT x'00ff', "tags" TEXT, "boss_id" TEXT REFERENCES "m.people"("id") ON DELETE SET NULL) STRICT;
CREATE UNIQUE INDEX "m.people_name_key" ON "m.people" ("name");
CREATE INDEX "m.people_boss_id_ref" ON "m.people" ("boss_id", "id");
CREATE VIRTUAL TABLE "m.people.search" USING fts5("_name", "_rank", content='', contentless_delete=1, tokenize="ascii tokenchars '!""#$%&()*+,-./:;<=>?@[\]^_`{|}~'");
CREATE TRIGGER "m.people.search.insert" AFTER INSERT ON "m.people" BEGIN INSERT INTO "m.people.search" (rowid, "_name", "_rank") VALUES (new._rowid_, pando_tokens(new."name"), pando_tokens(new."rank")); END;
CREATE TRIGGER "m.people.search.update" AFTER UPDATE OF "name", "rank" ON "m.people" WHEN old."name" IS NOT new."name" OR old."rank" IS NOT new."rank" BEGIN DELETE FROM "m.people.search" WHERE rowid = old._rowid_; INSERT INTO "m.people.search" (rowid, "_name", "_rank") VALUES (new._rowid_, pando_tokens(new."name"), pando_tokens(new."rank")); END;
CREATE TRIGGER "m.people.search.delete" AFTER DELETE ON "m.people" BEGIN DELETE FROM "m.people.search" WHERE rowid = old._rowid_; END;

-- create table, int key
CREATE TABLE "m.pets" ("id" INTEGER PRIMARY KEY NOT NULL, "owner_id" TEXT NOT NULL REFERENCES "m.people"("id") ON DELETE CASCADE, "name" TEXT) STRICT;
CREATE INDEX "m.pets_owner_id_ref" ON "m.pets" ("owner_id", "id");
CREATE VIRTUAL TABLE "m.pets.search" USING fts5("_name", content='', contentless_delete=1, tokenize="ascii tokenchars '!""#$%&()*+,-./:;<=>?@[\]^_`{|}~'");
CREATE TRIGGER "m.pets.search.insert" AFTER INSERT ON "m.pets" BEGIN INSERT INTO "m.pets.search" (rowid, "_name") VALUES (new._rowid_, pando_tokens(new."name")); END;
CREATE TRIGGER "m.pets.search.update" AFTER UPDATE OF "id", "name" ON "m.pets" WHEN old."id" IS NOT new."id" OR old."name" IS NOT new."name" BEGIN DELETE FROM "m.pets.search" WHERE rowid = old._rowid_; INSERT INTO "m.pets.search" (rowid, "_name") VALUES (new._rowid_, pando_tokens(new."name")); END;
CREATE TRIGGER "m.pets.search.delete" AFTER DELETE ON "m.pets" BEGIN DELETE FROM "m.pets.search" WHERE rowid = old._rowid_; END;

-- drop table
DROP TRIGGER "m.people.search.insert";
DROP TRIGGER "m.people.search.update";
DROP TRIGGER "m.people.search.delete";
DROP TABLE "m.people.search";
DROP TABLE "m.people";

-- rename table
DROP TRIGGER "m.people.search.insert";
DROP TRIGGER "m.people.search.update";
DROP TRIGGER "m.people.search.delete";
ALTER TABLE "m.people.search" RENAME TO "m.persons.search";
PRAGMA legacy_alter_table=OFF;
ALTER TABLE "m.people" RENAME TO "m.persons";
PRAGMA legacy_alter_table=ON;
CREATE TRIGGER "m.persons.search.insert" AFTER INSERT ON "m.persons" BEGIN INSERT INTO "m.persons.search" (rowid, "_name", "_rank") VALUES (new._rowid_, pando_tokens(new."name"), pando_tokens(new."rank")); END;
CREATE TRIGGER "m.persons.search.update" AFTER UPDATE OF "name", "rank" ON "m.persons" WHEN old."name" IS NOT new."name" OR old."rank" IS NOT new."rank" BEGIN DELETE FROM "m.persons.search" WHERE rowid = old._rowid_; INSERT INTO "m.persons.search" (rowid, "_name", "_rank") VALUES (new._rowid_, pando_tokens(new."name"), pando_tokens(new."rank")); END;
CREATE TRIGGER "m.persons.search.delete" AFTER DELETE ON "m.persons" BEGIN DELETE FROM "m.persons.search" WHERE rowid = old._rowid_; END;

-- add column
ALTER TABLE "m.people" ADD COLUMN "state" TEXT NOT NULL DEFAULT 'it''s';

-- add reference
ALTER TABLE "m.people" ADD COLUMN "boss_id" TEXT REFERENCES "m.people"("id") ON DELETE SET NULL;

-- drop column
ALTER TABLE "m.people" DROP COLUMN "total";

-- rename column
PRAGMA legacy_alter_table=OFF;
ALTER TABLE "m.people" RENAME COLUMN "titel" TO "name";
PRAGMA legacy_alter_table=ON;

-- create index
CREATE INDEX "m.people_boss_id_ref" ON "m.people" ("boss_id", "id");

-- create unique index
CREATE UNIQUE INDEX "m.people_name_key" ON "m.people" ("name");

-- drop index
DROP INDEX "m.people_boss_id_ref";

-- rebuild table
DROP TRIGGER "m.people.search.insert";
DROP TRIGGER "m.people.search.update";
DROP TRIGGER "m.people.search.delete";
DROP TABLE "m.people.search";
CREATE TABLE "m.people.new" ("id" TEXT PRIMARY KEY NOT NULL, "name" TEXT, "rank" TEXT, "state" TEXT NOT NULL DEFAULT 'it''s', "share" REAL DEFAULT 5e-01, "total" INTEGER, "photo" BLOB DEFAULT x'00ff', "tags" TEXT, "boss_id" TEXT REFERENCES "m.people"("id") ON DELETE SET NULL, "made" TEXT NOT NULL DEFAULT (rtrim(rtrim(strftime('%Y-%m-%dT%H:%M:%f','now'),'0'),'.')||'+00:00'), "day" TEXT DEFAULT (date('now')), "at" TEXT DEFAULT (rtrim(rtrim(strftime('%H:%M:%f','now'),'0'),'.')), "key" TEXT NOT NULL DEFAULT (pando_uuid())) STRICT;
INSERT INTO "m.people.new" (_rowid_, "id", "name", "rank", "state", "share", "total", "photo", "tags", "boss_id") SELECT _rowid_, "id", "name", "rank", coalesce("state", 'it''s'), "share", "total" * 10, "photo", "tags", "boss_id" FROM "m.people";
DROP TABLE "m.people";
ALTER TABLE "m.people.new" RENAME TO "m.people";
CREATE UNIQUE INDEX "m.people_name_key" ON "m.people" ("name");
CREATE INDEX "m.people_boss_id_ref" ON "m.people" ("boss_id", "id");
CREATE VIRTUAL TABLE "m.people.search" USING fts5("_name", "_rank", content='', contentless_delete=1, tokenize="ascii tokenchars '!""#$%&()*+,-./:;<=>?@[\]^_`{|}~'");
CREATE TRIGGER "m.people.search.insert" AFTER INSERT ON "m.people" BEGIN INSERT INTO "m.people.search" (rowid, "_name", "_rank") VALUES (new._rowid_, pando_tokens(new."name"), pando_tokens(new."rank")); END;
CREATE TRIGGER "m.people.search.update" AFTER UPDATE OF "name", "rank" ON "m.people" WHEN old."name" IS NOT new."name" OR old."rank" IS NOT new."rank" BEGIN DELETE FROM "m.people.search" WHERE rowid = old._rowid_; INSERT INTO "m.people.search" (rowid, "_name", "_rank") VALUES (new._rowid_, pando_tokens(new."name"), pando_tokens(new."rank")); END;
CREATE TRIGGER "m.people.search.delete" AFTER DELETE ON "m.people" BEGIN DELETE FROM "m.people.search" WHERE rowid = old._rowid_; END;
INSERT INTO "m.people.search" (rowid, "_name", "_rank") SELECT _rowid_, pando_tokens("name"), pando_tokens("rank") FROM "m.people";

-- rebuild table, int key
DROP TRIGGER "m.pets.search.insert";
DROP TRIGGER "m.pets.search.update";
DROP TRIGGER "m.pets.search.delete";
DROP TABLE "m.pets.search";
CREATE TABLE "m.pets.new" ("id" INTEGER PRIMARY KEY NOT NULL, "owner_id" TEXT NOT NULL REFERENCES "m.people"("id") ON DELETE CASCADE, "name" TEXT) STRICT;
INSERT INTO "m.pets.new" ("id", "owner_id", "name") SELECT "id", "owner_id", "name" FROM "m.pets";
DROP TABLE "m.pets";
ALTER TABLE "m.pets.new" RENAME TO "m.pets";
CREATE INDEX "m.pets_owner_id_ref" ON "m.pets" ("owner_id", "id");
CREATE VIRTUAL TABLE "m.pets.search" USING fts5("_name", content='', contentless_delete=1, tokenize="ascii tokenchars '!""#$%&()*+,-./:;<=>?@[\]^_`{|}~'");
CREATE TRIGGER "m.pets.search.insert" AFTER INSERT ON "m.pets" BEGIN INSERT INTO "m.pets.search" (rowid, "_name") VALUES (new._rowid_, pando_tokens(new."name")); END;
CREATE TRIGGER "m.pets.search.update" AFTER UPDATE OF "id", "name" ON "m.pets" WHEN old."id" IS NOT new."id" OR old."name" IS NOT new."name" BEGIN DELETE FROM "m.pets.search" WHERE rowid = old._rowid_; INSERT INTO "m.pets.search" (rowid, "_name") VALUES (new._rowid_, pando_tokens(new."name")); END;
CREATE TRIGGER "m.pets.search.delete" AFTER DELETE ON "m.pets" BEGIN DELETE FROM "m.pets.search" WHERE rowid = old._rowid_; END;
INSERT INTO "m.pets.search" (rowid, "_name") SELECT _rowid_, pando_tokens("name") FROM "m.pets";

-- create search
CREATE VIRTUAL TABLE "m.people.search" USING fts5("_name", "_rank", content='', contentless_delete=1, tokenize="ascii tokenchars '!""#$%&()*+,-./:;<=>?@[\]^_`{|}~'");
CREATE TRIGGER "m.people.search.insert" AFTER INSERT ON "m.people" BEGIN INSERT INTO "m.people.search" (rowid, "_name", "_rank") VALUES (new._rowid_, pando_tokens(new."name"), pando_tokens(new."rank")); END;
CREATE TRIGGER "m.people.search.update" AFTER UPDATE OF "name", "rank" ON "m.people" WHEN old."name" IS NOT new."name" OR old."rank" IS NOT new."rank" BEGIN DELETE FROM "m.people.search" WHERE rowid = old._rowid_; INSERT INTO "m.people.search" (rowid, "_name", "_rank") VALUES (new._rowid_, pando_tokens(new."name"), pando_tokens(new."rank")); END;
CREATE TRIGGER "m.people.search.delete" AFTER DELETE ON "m.people" BEGIN DELETE FROM "m.people.search" WHERE rowid = old._rowid_; END;
INSERT INTO "m.people.search" (rowid, "_name", "_rank") SELECT _rowid_, pando_tokens("name"), pando_tokens("rank") FROM "m.people";

-- drop search
DROP TRIGGER "m.people.search.insert";
DROP TRIGGER "m.people.search.update";
DROP TRIGGER "m.people.search.delete";
DROP TABLE "m.people.search";

