package sqlite

// auditDDL creates the tables of the audit trail. Records and seals can only be
// added. Of the two indexes, the first answers what somebody has done, the
// second what was done to a row or an entity; ids grow with time, so that a
// span of time is found without one.
func auditDDL() []string {
	ddl := []string{
		`CREATE TABLE IF NOT EXISTS "pando_audit" ("id" INTEGER PRIMARY KEY NOT NULL, "at" INTEGER NOT NULL, "actor" TEXT, "entity" TEXT, ` +
			`"key" TEXT, "action" TEXT NOT NULL, "outcome" TEXT NOT NULL, "body" TEXT NOT NULL, "hash" BLOB NOT NULL) STRICT`,
		`CREATE INDEX IF NOT EXISTS "pando_audit_actor" ON "pando_audit" ("actor") WHERE "actor" IS NOT NULL`,
		`CREATE INDEX IF NOT EXISTS "pando_audit_entity" ON "pando_audit" ("entity","key") WHERE "entity" IS NOT NULL`,
		`CREATE TABLE IF NOT EXISTS "pando_audit_seals" ("seq" INTEGER PRIMARY KEY NOT NULL, "first" INTEGER NOT NULL, "last" INTEGER NOT NULL, ` +
			`"count" INTEGER NOT NULL, "members" BLOB NOT NULL, "hash" BLOB NOT NULL) STRICT`,
		`CREATE TABLE IF NOT EXISTS "pando_audit_subjects" ("subject" TEXT PRIMARY KEY NOT NULL, "key" BLOB NOT NULL) STRICT, WITHOUT ROWID`,
		`CREATE TABLE IF NOT EXISTS "pando_audit_counts" ("key" TEXT NOT NULL, "rule" TEXT NOT NULL, "minute" INTEGER NOT NULL, ` +
			`"count" INTEGER NOT NULL, PRIMARY KEY ("minute","key","rule")) STRICT, WITHOUT ROWID`,
	}
	for _, table := range []string{"pando_audit", "pando_audit_seals"} {
		for _, action := range []string{"UPDATE", "DELETE"} {
			ddl = append(ddl, `CREATE TRIGGER IF NOT EXISTS "`+table+`.`+action+`" BEFORE `+action+` ON "`+table+
				`" BEGIN SELECT RAISE(ABORT, 'the audit trail can only be added to'); END`)
		}
	}
	return ddl
}
