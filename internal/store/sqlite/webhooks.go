package sqlite

// webhooksDDL creates the tables of outgoing webhooks: how each endpoint fares,
// and what was sent lately. Times are milliseconds since 1970.
func webhooksDDL() []string {
	return []string{
		`CREATE TABLE IF NOT EXISTS "pando_webhooks" ("name" TEXT PRIMARY KEY NOT NULL, "failures" INTEGER NOT NULL, "failing" INTEGER, ` +
			`"succeeded" INTEGER, "disabled" INTEGER, "reason" TEXT) STRICT, WITHOUT ROWID`,
		`CREATE TABLE IF NOT EXISTS "pando_webhook_deliveries" ("endpoint" TEXT NOT NULL, "id" TEXT NOT NULL, "at" INTEGER NOT NULL, ` +
			`"outcome" TEXT NOT NULL, "status" INTEGER NOT NULL, "tries" INTEGER NOT NULL, "took" INTEGER NOT NULL, "error" TEXT, "event" TEXT, "body" BLOB, ` +
			`PRIMARY KEY ("endpoint","id")) STRICT`,
		`CREATE INDEX IF NOT EXISTS "pando_webhook_deliveries_at" ON "pando_webhook_deliveries" ("endpoint","at")`,
	}
}
