package model

import (
	"strings"
	"time"

	"go.yaml.in/yaml/v4"
)

// rawModule is one file of modules/ as it is written.
type rawModule struct {
	module, doc  at[string]
	entities     at[[]entry[rawEntity]]
	operations   at[[]entry[rawOperation]]
	functions    at[[]entry[rawFunction]]
	events       at[[]entry[rawEvent]]
	jobs         at[[]entry[rawJob]]
	webhooks     at[[]entry[rawWebhook]]
	integrations at[[]entry[rawIntegration]]
}

type rawLifespan struct {
	since, until, was at[string]
	deprecated        at[rawDeprecated]
}

type rawDeprecated struct {
	since, sunset, grace, use at[string]
}

type rawEntity struct {
	doc       at[string]
	fields    at[[]entry[rawField]]
	unique    at[[]at[[]at[string]]]
	index     at[[]at[[]at[string]]]
	check     at[[]at[*Expression]]
	policy    at[rawPolicy]
	cache     at[rawCache]
	retain    at[rawRetain]
	search    at[[]at[string]]
	realtime  at[bool]
	partition at[rawPartition]
	managed   at[bool]
	readOnly  at[bool]
	table     at[rawTable]
	audit     at[[]at[string]]
	rawLifespan
}

type rawTable struct {
	schema, name at[string]
}

type rawField struct {
	doc, kind                        at[string]
	ref, as, inverse, onDelete, link at[string]
	primary, optional, list          at[bool]
	encrypted, hidden, generated     at[bool]
	column                           at[string]
	fallback, least, most            at[*yaml.Node]
	onUpdate                         at[string]
	scale                            at[int]
	values                           at[[]at[string]]
	read, write                      at[*Expression]
	rawLifespan
}

type rawPolicy struct {
	read, create, delete at[*Expression]
	update               at[rawUpdate]
}

type rawUpdate struct {
	when, check at[*Expression]
	fields      at[[]at[string]]
}

type rawCache struct {
	ttl at[time.Duration]
}

type rawRetain struct {
	period, from, then at[string]
}

type rawPartition struct {
	by, with at[string]
	into     at[int]
}

type rawOperation struct {
	doc, run           at[string]
	input              at[[]entry[rawParam]]
	output             at[rawOutput]
	allow              at[*Expression]
	timeout            at[time.Duration]
	reads, transaction at[bool]
	rawCode
	rawLifespan
}

// rawCode is what the code of an operation, a function or a job may use.
type rawCode struct {
	memory         at[int64]
	calls, secrets at[[]at[string]]
}

type rawFunction struct {
	doc, run at[string]
	allow    at[*Expression]
	timeout  at[time.Duration]
	rawCode
}

type rawParam struct {
	doc, kind, ref at[string]
	optional, list at[bool]
	scale          at[int]
	values         at[[]at[string]]
	least, most    at[*yaml.Node]
	fields         at[[]entry[rawParam]]
}

type rawOutput struct {
	of     at[string]
	list   at[bool]
	fields at[[]entry[rawParam]]
}

type rawEvent struct {
	doc, on at[string]
	when    at[*Expression]
	fields  at[[]at[string]]
	version at[int]
	data    at[[]entry[rawParam]]
}

type rawJob struct {
	doc, on, cron, zone, run, queue at[string]
	input                           at[[]entry[rawParam]]
	retry, priority                 at[int]
	timeout                         at[time.Duration]
	rawCode
}

type rawWebhook struct {
	doc, on, url, sign, rate at[string]
	timeout, disable         at[time.Duration]
	private                  at[bool]
}

type rawIntegration struct {
	doc, url, auth     at[string]
	timeout, hedge     at[time.Duration]
	retry, concurrency at[int]
	response           at[int64]
	private            at[bool]
	fallback           at[*yaml.Node]
	breaker            at[rawBreaker]
	hook               at[rawHook]
}

type rawHook struct {
	sign, job at[string]
}

type rawBreaker struct {
	failures at[int]
	open     at[time.Duration]
}

func moduleSpec(g *grammar) spec[rawModule] {
	params := paramsSpec(g)
	return object("a module file",
		bind("module", "The module's name: the schema that clients choose by Accept-Profile.", identifier("a module's name"),
			func(m *rawModule) *at[string] { return &m.module }, required, example("orders")),
		bind("doc", "What the module is for.", text("a text"), func(m *rawModule) *at[string] { return &m.doc }),
		bind("entities", "The kinds of rows, by name.", mapping("entities", identifier("an entity's name"), define(g, "entity", entitySpec(g))),
			func(m *rawModule) *at[[]entry[rawEntity]] { return &m.entities }),
		bind("operations", "Typed commands: business logic behind one door.", mapping("operations", identifier("an operation's name"), define(g, "operation", operationSpec(params))),
			func(m *rawModule) *at[[]entry[rawOperation]] { return &m.operations }),
		bind("functions", "Code behind /functions/v1/NAME.", mapping("functions", identifier("a function's name"), define(g, "function", functionSpec())),
			func(m *rawModule) *at[[]entry[rawFunction]] { return &m.functions }),
		bind("events", "Facts that are derived from writes, or published by code.", mapping("events", identifier("an event's name"), define(g, "event", eventSpec(params))),
			func(m *rawModule) *at[[]entry[rawEvent]] { return &m.events }),
		bind("jobs", "Work in the background: by event, by schedule, or enqueued by code.", mapping("jobs", identifier("a job's name"), define(g, "job", jobSpec(params))),
			func(m *rawModule) *at[[]entry[rawJob]] { return &m.jobs }),
		bind("webhooks", "Events that are sent to other systems.", mapping("webhooks", identifier("a webhook's name"), define(g, "webhook", webhookSpec())),
			func(m *rawModule) *at[[]entry[rawWebhook]] { return &m.webhooks }),
		bind("integrations", "The only ways out for functions: named, bounded, observed.",
			mapping("integrations", identifier("an integration's name"), define(g, "integration", integrationSpec())),
			func(m *rawModule) *at[[]entry[rawIntegration]] { return &m.integrations }),
	)
}

// lifespanKeys are the keys of everything that a version of the API can have
// or lack.
func lifespanKeys[T any](of func(*T) *rawLifespan) []key[T] {
	return []key[T]{
		bind("since", "The API version that first has it.", version("a version like v2"), func(t *T) *at[string] { return &of(t).since }, example("v2")),
		bind("until", "The last API version that has it.", version("a version like v1"), func(t *T) *at[string] { return &of(t).until }, example("v1")),
		bind("deprecated", "That it will go, and when.", object("deprecated",
			bind("since", "Since which version, or which day.", pattern("a version or a day", `^(v[1-9][0-9]{0,3}|[0-9]{4}-[0-9]{2}-[0-9]{2})$`, "v2, or 2027-06-30"),
				func(d *rawDeprecated) *at[string] { return &d.since }, required),
			bind("sunset", "The day on which it goes.", day("a day"), func(d *rawDeprecated) *at[string] { return &d.sunset }, example("2027-06-30")),
			bind("grace", "For how long after its sunset it is still answered.", period(), func(d *rawDeprecated) *at[string] { return &d.grace }, example("30d")),
			bind("use", "What to use instead.", text("what to use instead"), func(d *rawDeprecated) *at[string] { return &d.use })),
			func(t *T) *at[rawDeprecated] { return &of(t).deprecated }),
		bind("was", "Its name before; older API versions keep that name, and the migration renames.", identifier("a name"),
			func(t *T) *at[string] { return &of(t).was }),
	}
}

// period is a span of days, weeks, months or years.
func period() spec[string] {
	return pattern("a period like 7y", `^[1-9][0-9]{0,4}(d|w|mo|y)$`, "a number with d, w, mo or y")
}

func names(want, member string) spec[[]at[string]] {
	return list(want, identifier(member), 1)
}

func entitySpec(g *grammar) spec[rawEntity] {
	keysOf := func() spec[[]at[[]at[string]]] {
		return list("a list of lists of fields", list("a list of fields, like [[customer_id, created_at]]", identifier("a field's name"), 1), 0)
	}
	keys := []key[rawEntity]{
		bind("doc", "What a row is.", text("a text"), func(e *rawEntity) *at[string] { return &e.doc }),
		bind("fields", "The columns, by name. A uuid key named id is implied where no field is primary.",
			mapping("fields", identifier("a field's name"), define(g, "field", fieldSpec())), func(e *rawEntity) *at[[]entry[rawField]] { return &e.fields }, required),
		bind("unique", "Lists of fields whose values no two rows share.", keysOf(),
			func(e *rawEntity) *at[[]at[[]at[string]]] { return &e.unique }, example([][]string{{"customer_id", "created_at"}})),
		bind("index", "Lists of fields to find and sort rows by.", keysOf(),
			func(e *rawEntity) *at[[]at[[]at[string]]] { return &e.index }, example([][]string{{"status", "created_at"}})),
		bind("check", "CEL that must not be false for any row.", list("a list of CEL expressions", expression(), 0),
			func(e *rawEntity) *at[[]at[*Expression]] { return &e.check }, example([]string{"row.status != 'paid' || row.total > 0"})),
		bind("policy", "Who may do what; absent: nobody but the secret key's holder.", policySpec(), func(e *rawEntity) *at[rawPolicy] { return &e.policy }),
		bind("cache", "Keep answers for a while.", object("cache",
			bind("ttl", "How long.", duration(), func(c *rawCache) *at[time.Duration] { return &c.ttl }, required, example("30s"))),
			func(e *rawEntity) *at[rawCache] { return &e.cache }),
		bind("retain", "How long rows are kept.", object("retain",
			bind("for", "The time, in days, weeks, months or years.", period(),
				func(r *rawRetain) *at[string] { return &r.period }, required, example("7y")),
			bind("from", "The field that it counts from.", identifier("a field's name"), func(r *rawRetain) *at[string] { return &r.from }, required),
			bind("then", "What happens then.", enum("what happens then", "erase", "anonymise", "archive"), func(r *rawRetain) *at[string] { return &r.then }, required)),
			func(e *rawEntity) *at[rawRetain] { return &e.retain }),
		bind("search", "Text fields that full-text filters look into.", names("a list of fields", "a field's name"), func(e *rawEntity) *at[[]at[string]] { return &e.search }),
		bind("realtime", "Send changes to subscribers.", boolean(), func(e *rawEntity) *at[bool] { return &e.realtime }, defaults(false)),
		bind("partition", "How rows are divided: by a field, or with the row that a relation leads to.", object("partition",
			bind("by", "The partition key: a required field of this entity.", identifier("a field's name"), func(p *rawPartition) *at[string] { return &p.by }),
			bind("into", "How many partitions.", integer(1, 1024), func(p *rawPartition) *at[int] { return &p.into }),
			bind("with", "The relation to the partitioned entity that these rows lie with.", identifier("a relation's name"), func(p *rawPartition) *at[string] { return &p.with })),
			func(e *rawEntity) *at[rawPartition] { return &e.partition }, example(map[string]any{"by": "customer_id", "into": 16})),
		bind("audit", "What the audit record has beside every write: reads, values, or both.", auditSpec(),
			func(e *rawEntity) *at[[]at[string]] { return &e.audit }, example("reads")),
		bind("managed", "false: the table exists already and Pando never changes its schema.", boolean(), func(e *rawEntity) *at[bool] { return &e.managed }, defaults(true)),
		bind("read_only", "Nobody writes through Pando, as to a view; only with managed: false.", boolean(), func(e *rawEntity) *at[bool] { return &e.readOnly }, defaults(false)),
		bind("table", "The table or view, where it is called otherwise than module.entity; only with managed: false.", tableSpec(),
			func(e *rawEntity) *at[rawTable] { return &e.table }, example("sales.Customers")),
	}
	return object("an entity", append(keys, lifespanKeys(func(e *rawEntity) *rawLifespan { return &e.rawLifespan })...)...)
}

// tableSpec is schema.table, or a mapping for names that have a dot.
func tableSpec() spec[rawTable] {
	short := convert(text("a table's name"), func(v string, n *yaml.Node) rawTable {
		schema, name, qualified := strings.Cut(v, ".")
		if !qualified {
			schema, name = "", v
		}
		return rawTable{schema: at[string]{v: schema, n: n, ok: schema != ""}, name: at[string]{v: name, n: n, ok: name != ""}}
	})
	return either(short, object("a table",
		bind("schema", "The schema; by default the module's name.", text("a schema's name"), func(t *rawTable) *at[string] { return &t.schema }),
		bind("name", "The table.", text("a table's name"), func(t *rawTable) *at[string] { return &t.name }, required)))
}

func auditSpec() spec[[]at[string]] {
	word := func() spec[string] { return enum("what is audited", "reads", "values") }
	short := convert(word(), func(v string, n *yaml.Node) []at[string] { return []at[string]{{v: v, n: n, ok: v != ""}} })
	return either(short, list("a list of what is audited", word(), 1))
}

func policySpec() spec[rawPolicy] {
	short := convert(expression(), func(x *Expression, n *yaml.Node) rawUpdate {
		return rawUpdate{when: at[*Expression]{v: x, n: n, ok: x != nil}}
	})
	return object("a policy",
		bind("read", "Which rows may be read.", expression(), func(p *rawPolicy) *at[*Expression] { return &p.read },
			example("row.customer_id == auth.uid || 'staff' in auth.roles")),
		bind("create", "Which rows may be created.", expression(), func(p *rawPolicy) *at[*Expression] { return &p.create }),
		bind("update", "Which rows may be changed, into what: CEL, or { when, check, fields }.", either(short, object("an update policy",
			bind("when", "Judges the stored row.", expression(), func(u *rawUpdate) *at[*Expression] { return &u.when }, required),
			bind("check", "Judges the new row; by default the same as when.", expression(), func(u *rawUpdate) *at[*Expression] { return &u.check }),
			bind("fields", "The fields that may be changed; by default all.", names("a list of fields", "a field's name"), func(u *rawUpdate) *at[[]at[string]] { return &u.fields }))),
			func(p *rawPolicy) *at[rawUpdate] { return &p.update }),
		bind("delete", "Which rows may be deleted.", expression(), func(p *rawPolicy) *at[*Expression] { return &p.delete }),
	)
}

// kinds are the words that type: accepts, in the order of the design.
func kinds() []string {
	return []string{"text", "int", "float", "decimal", "bool", "uuid", "timestamp", "date", "time", "json", "bytes", "enum", "file"}
}

// literal is a value of a type that is only known later.
func literal() spec[*yaml.Node] {
	const want = "a value"
	return spec[*yaml.Node]{
		schema: &schema{Type: []string{"string", "number"}}, want: want,
		decode: func(d *document, n *yaml.Node) (*yaml.Node, bool) {
			if n.Kind != yaml.ScalarNode || isNull(n) || n.ShortTag() == tagBool {
				d.mismatch(n, "", "expected %s, not %s", want, describe(n))
				return nil, false
			}
			return n, true
		},
	}
}

func fieldSpec() spec[rawField] {
	short := convert(enum("a type", kinds()...), func(kind string, n *yaml.Node) rawField {
		return rawField{kind: at[string]{v: kind, n: n, ok: kind != ""}}
	})
	keys := []key[rawField]{
		bind("doc", "What the value is.", text("a text"), func(f *rawField) *at[string] { return &f.doc }),
		bind("type", "The type; a reference has ref instead.", enum("a type", kinds()...), func(f *rawField) *at[string] { return &f.kind }),
		bind("ref", "The entity whose key this is: entity, or module.entity.", reference(), func(f *rawField) *at[string] { return &f.ref }, example("auth.users", "orders")),
		bind("as", "The relation's name; by default the field's name less _id.", identifier("a relation's name"), func(f *rawField) *at[string] { return &f.as }),
		bind("inverse", "The name of the way back; by default this entity's name.", identifier("a relation's name"), func(f *rawField) *at[string] { return &f.inverse }),
		bind("on_delete", "What happens to this row when the one it refers to is deleted.", enum("an action", "restrict", "cascade", "set_null"),
			func(f *rawField) *at[string] { return &f.onDelete }, defaults("restrict")),
		bind("link", "loose: no foreign key in the store; existence is checked at write.", enum("a kind of link", "loose"), func(f *rawField) *at[string] { return &f.link }),
		bind("primary", "This field is the primary key.", boolean(), func(f *rawField) *at[bool] { return &f.primary }, defaults(false)),
		bind("default", "Fills the field when the input leaves it out: a literal, uuid(), now(), auth.uid, { cel: ... }, or database() for the column's own default.",
			anything("a default", &schema{}), func(f *rawField) *at[*yaml.Node] { return &f.fallback }, example("open", "uuid()", "now()", "auth.uid", map[string]any{"cel": "row.total * 2"})),
		bind("on_update", "now(): set to the time of each update.", enum("an update rule", "now()"), func(f *rawField) *at[string] { return &f.onUpdate }),
		bind("optional", "null is allowed.", boolean(), func(f *rawField) *at[bool] { return &f.optional }, defaults(false)),
		bind("list", "A list of values of the type.", boolean(), func(f *rawField) *at[bool] { return &f.list }, defaults(false)),
		bind("scale", "Digits after a decimal's point.", integer(0, 18), func(f *rawField) *at[int] { return &f.scale }, defaults(0)),
		bind("values", "The words of an enum.", list("a list of words", text("a word"), 1), func(f *rawField) *at[[]at[string]] { return &f.values }, example([]string{"open", "paid"})),
		bind("min", "The least value; of text and bytes the least length.", literal(), func(f *rawField) *at[*yaml.Node] { return &f.least }),
		bind("max", "The greatest value; of text and bytes the greatest length.", literal(), func(f *rawField) *at[*yaml.Node] { return &f.most }),
		bind("encrypted", "Stored encrypted.", boolean(), func(f *rawField) *at[bool] { return &f.encrypted }, defaults(false)),
		bind("hidden", "Never leaves through an API.", boolean(), func(f *rawField) *at[bool] { return &f.hidden }, defaults(false)),
		bind("column", "The column, where it is called otherwise than the field; only with managed: false.", text("a column's name"), func(f *rawField) *at[string] { return &f.column }),
		bind("generated", "The database always makes the value and nobody gives it; only with managed: false.", boolean(), func(f *rawField) *at[bool] { return &f.generated }, defaults(false)),
		bind("read", "CEL: who may read the field.", expression(), func(f *rawField) *at[*Expression] { return &f.read }),
		bind("write", "CEL: who may write the field.", expression(), func(f *rawField) *at[*Expression] { return &f.write }),
	}
	return either(short, object("a field", append(keys, lifespanKeys(func(f *rawField) *rawLifespan { return &f.rawLifespan })...)...))
}
