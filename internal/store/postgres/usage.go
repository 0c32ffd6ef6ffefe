package postgres

// usageDDL creates the table of who uses deprecated things, by day. Days and
// milliseconds are since 1970.
func usageDDL() []string {
	return []string{
		`CREATE TABLE IF NOT EXISTS "pando_usage" ("day" bigint NOT NULL, "thing" text COLLATE "C" NOT NULL, "version" text COLLATE "C" NOT NULL, ` +
			`"door" text COLLATE "C" NOT NULL, "key" text COLLATE "C" NOT NULL, "client" text COLLATE "C" NOT NULL, "count" bigint NOT NULL, ` +
			`"first" bigint NOT NULL, "last" bigint NOT NULL, PRIMARY KEY ("day","thing","version","door","key","client"))`,
	}
}
