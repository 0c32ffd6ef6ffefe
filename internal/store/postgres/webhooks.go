package postgres

// webhooksDDL creates the tables of outgoing webhooks: how each endpoint fares,
// and what was sent lately. Times are milliseconds since 1970.
func webhooksDDL() []string {
	return []string{
		`CREATE TABLE IF NOT EXISTS "pando_webhooks" ("name" text COLLATE "C" PRIMARY KEY, "failures" bigint NOT NULL, "failing" bigint, ` +
			`"succeeded" bigint, "disabled" bigint, "reason" text)`,
		`CREATE TABLE IF NOT EXISTS "pando_webhook_deliveries" ("endpoint" text COLLATE "C" NOT NULL, "id" text COLLATE "C" NOT NULL, "at" bigint NOT NULL, ` +
			`"outcome" text COLLATE "C" NOT NULL, "status" bigint NOT NULL, "tries" bigint NOT NULL, "took" bigint NOT NULL, "error" text, "event" text, "body" bytea, ` +
			`PRIMARY KEY ("endpoint","id"))`,
		`CREATE INDEX IF NOT EXISTS "pando_webhook_deliveries_at" ON "pando_webhook_deliveries" ("endpoint","at")`,
	}
}
