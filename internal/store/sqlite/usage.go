package sqlite

// usageDDL creates the table of who uses deprecated things, by day. Days and
// milliseconds are since 1970.
func usageDDL() []string {
	return []string{
		`CREATE TABLE IF NOT EXISTS "pando_usage" ("day" INTEGER NOT NULL, "thing" TEXT NOT NULL, "version" TEXT NOT NULL, "door" TEXT NOT NULL, ` +
			`"key" TEXT NOT NULL, "client" TEXT NOT NULL, "count" INTEGER NOT NULL, "first" INTEGER NOT NULL, "last" INTEGER NOT NULL, ` +
			`PRIMARY KEY ("day","thing","version","door","key","client")) STRICT, WITHOUT ROWID`,
	}
}
