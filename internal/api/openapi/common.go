package openapi

// params are the parameters that are the same for every entity, by the name
// that an operation refers to them with.
func params() []member {
	text := object{{"type", "string"}}
	count := object{{"type", "integer"}, {"minimum", 0}}
	query := func(name string, schema object, ex any, text string) member {
		return member{name, object{{"name", name}, {"in", "query"}, {"description", text}, {"schema", schema}, {"example", ex}}}
	}
	header := func(key, name, ex, text string) member {
		return member{key, object{{"name", name}, {"in", "header"}, {"description", text}, {"schema", object{{"type", "string"}}}, {"example", ex}}}
	}
	return []member{
		query("select", text, "*",
			"The members of each row: fields, `alias:field`, `field::text` casts, `json->path`, relations as `relation(field,...)` with `!inner`, `!left` or `...` before them, and the aggregates `count()`, `sum()`, `avg()`, `min()`, `max()`. Without it, every field."),
		query("order", text, "id.desc",
			"The order of the rows: `field.asc` or `field.desc`, with `.nullsfirst` or `.nullslast`, separated by commas; `relation(field)` orders by a to-one relation that `select` embeds. The primary key decides between equals."),
		query("limit", count, 10,
			"The greatest number of rows. The application's own limit holds as well."),
		query("offset", count, 0,
			"How many rows to skip. Far into a list, follow the `Link` header instead: its pages all cost the same."),
		query("and", text, "(a.gte.1,b.is.null)",
			"Conditions that must all hold: `(field.operator.value,...)`, with `and(...)`, `or(...)` and `not.` inside."),
		query("or", text, "(a.gte.1,b.is.null)",
			"Conditions of which one must hold: `(field.operator.value,...)`, with `and(...)`, `or(...)` and `not.` inside."),
		query("not.and", text, "(a.gte.1,b.is.null)", "Conditions of which one must fail; written like `and`."),
		query("not.or", text, "(a.gte.1,b.is.null)", "Conditions that must all fail; written like `or`."),
		{"cursor", object{
			{"name", "cursor"},
			{"in", "query"},
			{"description", "The place of a page in a list, taken from a `Link` header; opaque, and good only for the same query and caller."},
			{"schema", text},
		}},
		query("columns", text, "id",
			"The fields to take from the body, separated by commas; others in it are left out."),
		query("on_conflict", text, "id",
			"The unique key that decides whether a row exists already, as fields separated by commas. The primary key by default. Used with `Prefer: resolution=`."),
		header("PreferRead", "Prefer", "count=exact",
			"`count=exact`, `planned` or `estimated` puts the number of rows into `Content-Range`; `consistency=strong`, `bounded` or `eventual` says how old the rows may be where the store has replicas; `handling=strict` refuses what is not known."),
		header("PreferCreate", "Prefer", "return=representation",
			"`return=representation`, `headers-only` or `minimal`; `resolution=merge-duplicates` or `ignore-duplicates`; `missing=null` makes absent fields null instead of their defaults; `count=exact`; `handling=strict`."),
		header("PreferUpdate", "Prefer", "return=representation",
			"`return=representation`, `headers-only` or `minimal`; `max-affected=N` with `handling=strict` refuses to touch more rows; `count=exact`."),
		header("PreferReplace", "Prefer", "return=representation",
			"`return=representation`, `headers-only` or `minimal`; `handling=strict`."),
		{"Pando-Consistency", object{
			{"name", "Pando-Consistency"},
			{"in", "header"},
			{"description", "The header of that name of an answer to a write: the read sees that write. It is opaque, holds for a minute, and comes as a cookie too; a store without replicas gives none and needs none."},
			{"schema", text},
		}},
		header("Range", "Range", "0-9", "The first and the last row that are wanted, counted from 0; the same as `offset` and `limit`."),
		header("Range-Unit", "Range-Unit", "items", "The unit of `Range`: items."),
		header("Idempotency-Key", "Idempotency-Key", "order-2026-0001",
			"A key of your own, at most once per write. Repeating the request with it within 24 hours answers as the first time and writes nothing; with another body it is refused (422)."),
		header("If-Match", "If-Match", `"5d41402abc4b2a76"`,
			"Write only if the row's entity tag is still one of these (412 otherwise)."),
		header("If-None-Match", "If-None-Match", `"5d41402abc4b2a76"`,
			"Answer 304 without a body if the answer's entity tag is still one of these."),
	}
}

// media are the bodies that are not rows as JSON with every member.
func media() object {
	return object{
		{"StrippedRow", object{{"type", "object"}, {"description", "A row without the members that are null."}}},
		{"CSV", object{{"type", "string"}, {"description", "RFC 4180: a header line with the fields' names, then one line for each row."}}},
		{"NDJSON", object{{"type", "string"}, {"description", "One row as JSON on each line; streamed, so that a list of any length is answered."}}},
	}
}

// headers are the response headers that the answers refer to.
func headers() object {
	header := func(name, ex, text string) member {
		return member{name, object{{"description", text}, {"schema", object{{"type", "string"}}}, {"example", ex}}}
	}
	return object{
		header("Content-Range", "0-9/120", "The rows answered and, when `Prefer: count=` asked for it, how many there are; `*` otherwise."),
		header("ETag", `"5d41402abc4b2a76"`, "The entity tag of the answer, for `If-None-Match` and `If-Match`."),
		header("Idempotency-Replayed", "true", "Set when this is the answer of an earlier request with the same `Idempotency-Key`."),
		header("Link", `</rest/v1/orders?cursor=b64>; rel="next"`, "The next and the previous page, where there is one (RFC 8288)."),
		header("Location", "/rest/v1/orders?id=eq.1", "Where the created row is, when one row was created."),
		header("Pando-Consistency", "AAAB", "Where the store has replicas: what a read gives back to see this write."),
		header("Preference-Applied", "return=representation", "The preferences that were honoured (RFC 7240)."),
	}
}

// headerRefs are references to the named headers.
func headerRefs(names ...string) []member {
	out := make([]member, 0, len(names))
	for _, n := range names {
		out = append(out, member{n, ref("headers", n)})
	}
	return out
}

// securitySchemes are the two ways to show a key.
func securitySchemes() object {
	return object{
		{"apikey", object{
			{"type", "apiKey"},
			{"in", "header"},
			{"name", "apikey"},
			{"description", "An API key; `pando keys` shows the first pair."},
		}},
		{"bearer", object{
			{"type", "http"},
			{"scheme", "bearer"},
			{"description", "The same key, or a user's access token, as `Authorization: Bearer`."},
		}},
	}
}

// introduction is the description of the whole interface for somebody who
// meets it for the first time.
const introduction = `Each entity of the application is one path. GET reads rows, POST creates, PATCH changes, DELETE deletes, PUT creates or replaces one.

Send your key as the header ` + "`apikey`" + `, or as ` + "`Authorization: Bearer`" + `.

A query parameter with a field's name filters: ` + "`?status=eq.open&total=gte.10`" + `. The value starts with the operator; the parameter may be given again to add a condition; ` + "`not.`" + ` before it negates, and ` + "`(any)`" + ` or ` + "`(all)`" + ` after it compares with several values, as in ` + "`?name=like(any).{A*,B*}`" + `. ` + "`select`" + ` chooses members and embeds related rows: ` + "`?select=id,customer(name)`" + `. A filter, ` + "`order`" + ` or ` + "`limit`" + ` on an embedded relation carries its name: ` + "`?customer.name=eq.Ada`" + `.

The schemas of rows are those of a whole row; with ` + "`select`" + ` a row has the members that were asked for.

An entity whose name several modules have is chosen by the header ` + "`Accept-Profile`" + ` (reading) or ` + "`Content-Profile`" + ` (writing), which holds the module.

Every error is one JSON body with ` + "`code`, `message`, `details` and `hint`" + `.`
