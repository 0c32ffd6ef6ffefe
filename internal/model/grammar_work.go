package model

import (
	"time"

	"go.yaml.in/yaml/v4"
)

// paramsSpec is an operation's input, and the members of an object within it.
func paramsSpec(g *grammar) spec[[]entry[rawParam]] {
	var param spec[rawParam] // set below: a parameter can hold parameters
	self := spec[rawParam]{
		schema: &schema{Ref: "#/$defs/param"}, want: "a parameter",
		decode: func(d *document, n *yaml.Node) (rawParam, bool) { return param.decode(d, n) },
	}
	fields := mapping("fields", identifier("a parameter's name"), self)
	short := convert(enum("a type", kinds()...), func(kind string, n *yaml.Node) rawParam {
		return rawParam{kind: at[string]{v: kind, n: n, ok: kind != ""}}
	})
	param = either(short, object("a parameter",
		bind("doc", "What the value is.", text("a text"), func(p *rawParam) *at[string] { return &p.doc }),
		bind("type", "The type.", enum("a type", kinds()...), func(p *rawParam) *at[string] { return &p.kind }),
		bind("ref", "The entity whose key this is.", reference(), func(p *rawParam) *at[string] { return &p.ref }),
		bind("optional", "May be left out or null.", boolean(), func(p *rawParam) *at[bool] { return &p.optional }, defaults(false)),
		bind("list", "A list of such values.", boolean(), func(p *rawParam) *at[bool] { return &p.list }, defaults(false)),
		bind("scale", "Digits after a decimal's point.", integer(0, 18), func(p *rawParam) *at[int] { return &p.scale }, defaults(0)),
		bind("values", "The words of an enum.", list("a list of words", text("a word"), 1), func(p *rawParam) *at[[]at[string]] { return &p.values }),
		bind("min", "The least value; of text and bytes the least length.", literal(), func(p *rawParam) *at[*yaml.Node] { return &p.least }),
		bind("max", "The greatest value; of text and bytes the greatest length.", literal(), func(p *rawParam) *at[*yaml.Node] { return &p.most }),
		bind("fields", "The members of an object.", fields, func(p *rawParam) *at[[]entry[rawParam]] { return &p.fields })))
	g.definitions["param"] = param.schema
	return fields
}

const runPattern = `^(go|functions/[A-Za-z0-9_./-]+\.(ts|js|wasm)(#[A-Za-z_][A-Za-z0-9_]*)?)$`

func runner() spec[string] {
	return pattern("what to run", runPattern, "functions/NAME.ts, functions/NAME.wasm#export, or go")
}

func operationSpec(params spec[[]entry[rawParam]]) spec[rawOperation] {
	short := convert(reference(), func(name string, n *yaml.Node) rawOutput {
		return rawOutput{of: at[string]{v: name, n: n, ok: name != ""}}
	})
	output := either(short, object("an output",
		bind("of", "The entity whose rows are answered.", reference(), func(o *rawOutput) *at[string] { return &o.of }),
		bind("list", "Many rows instead of one.", boolean(), func(o *rawOutput) *at[bool] { return &o.list }, defaults(false)),
		bind("fields", "The members of the answered object.", params, func(o *rawOutput) *at[[]entry[rawParam]] { return &o.fields })))
	keys := []key[rawOperation]{
		bind("doc", "What the operation does.", text("a text"), func(o *rawOperation) *at[string] { return &o.doc }),
		bind("input", "The named, typed arguments.", params, func(o *rawOperation) *at[[]entry[rawParam]] { return &o.input }),
		bind("output", "What is answered: an entity (one row), { list: true, of: entity }, or { fields }.", output, func(o *rawOperation) *at[rawOutput] { return &o.output }),
		bind("allow", "CEL: who may call it; absent: nobody but the secret key's holder.", expression(), func(o *rawOperation) *at[*Expression] { return &o.allow }, example("auth.uid != null")),
		bind("run", "The code: functions/NAME.ts, functions/NAME.wasm#export, or go.", runner(), func(o *rawOperation) *at[string] { return &o.run }, required),
		bind("timeout", "The time one call may take.", duration(), func(o *rawOperation) *at[time.Duration] { return &o.timeout }, defaults("10s")),
		bind("reads", "It only reads, so GET may call it.", boolean(), func(o *rawOperation) *at[bool] { return &o.reads }, defaults(false)),
		bind("transaction", "Run as one transaction.", boolean(), func(o *rawOperation) *at[bool] { return &o.transaction }, defaults(true)),
	}
	keys = append(keys, codeKeys(func(o *rawOperation) *rawCode { return &o.rawCode })...)
	return object("an operation", append(keys, lifespanKeys(func(o *rawOperation) *rawLifespan { return &o.rawLifespan })...)...)
}

// codeKeys are the keys of everything that runs code of the application.
func codeKeys[T any](of func(*T) *rawCode) []key[T] {
	call := pattern("an operation", `^[a-z][a-z0-9_]{0,62}\.[a-z][a-z0-9_]{0,62}$`, "module.operation")
	return []key[T]{
		bind("memory", "The memory that one call may take, in bytes.", size(), func(t *T) *at[int64] { return &of(t).memory }, defaults("64MiB")),
		bind("calls", "The operations of other modules that the code calls.", list("a list of operations", call, 1),
			func(t *T) *at[[]at[string]] { return &of(t).calls }, example([]string{"catalog.reserve"})),
		bind("secrets", "The secrets that the code may read.", list("a list of secrets", secret(), 1),
			func(t *T) *at[[]at[string]] { return &of(t).secrets }, example([]string{"secret:signing_key"})),
	}
}

func functionSpec() spec[rawFunction] {
	keys := []key[rawFunction]{
		bind("doc", "What the function does.", text("a text"), func(f *rawFunction) *at[string] { return &f.doc }),
		bind("allow", "CEL: who may call it; absent: nobody but the secret key's holder.", expression(), func(f *rawFunction) *at[*Expression] { return &f.allow }, example("auth.uid != null")),
		bind("run", "The code; by default functions/NAME.ts.", runner(), func(f *rawFunction) *at[string] { return &f.run }),
		bind("timeout", "The time one call may take.", duration(), func(f *rawFunction) *at[time.Duration] { return &f.timeout }, defaults("10s")),
	}
	return object("a function", append(keys, codeKeys(func(f *rawFunction) *rawCode { return &f.rawCode })...)...)
}

// DefaultQueue is where jobs wait that name no queue.
const DefaultQueue = "default"

// The defaults of work; with them, all of it is bounded.
const (
	defaultMemory      = 64 << 20 // of code
	leastMemory        = 4 << 20
	mostMemory         = 1 << 30
	defaultResponse    = 10 << 20         // of integrations
	defaultConcurrency = 64               // of integrations
	defaultHookTimeout = 15 * time.Second // of webhooks
	defaultDisable     = 5 * 24 * time.Hour
	defaultPriority    = 2
	defaultCallTimeout = 10 * time.Second // operations and integrations
	defaultJobTimeout  = time.Minute
	defaultRetry       = 10 // jobs
)

// trigger names what starts a job or a webhook.
func trigger() spec[string] {
	return pattern("an event", `^[a-z][a-z0-9_]{0,62}(\.[a-z][a-z0-9_]{0,62}){0,2}$`, "an event's name, or entity.create, entity.update, entity.delete")
}

func eventSpec(params spec[[]entry[rawParam]]) spec[rawEvent] {
	return object("an event",
		bind("doc", "What has happened.", text("a text"), func(e *rawEvent) *at[string] { return &e.doc }),
		bind("on", "The write: entity.create, entity.update or entity.delete. Without it, code publishes the event.",
			pattern("a write like orders.update", `^([a-z][a-z0-9_]{0,62}\.)?[a-z][a-z0-9_]{0,62}\.(create|update|delete)$`, "entity.create, entity.update or entity.delete"),
			func(e *rawEvent) *at[string] { return &e.on }, example("orders.update")),
		bind("when", "CEL over row and old: which writes.", expression(), func(e *rawEvent) *at[*Expression] { return &e.when }),
		bind("fields", "Hidden fields that the event's data holds all the same.", names("a list of fields", "a field's name"), func(e *rawEvent) *at[[]at[string]] { return &e.fields }),
		bind("data", "What an event holds that code publishes.", params, func(e *rawEvent) *at[[]entry[rawParam]] { return &e.data }),
		bind("version", "The version of what it holds; count on when that changes.", integer(1, 10_000), func(e *rawEvent) *at[int] { return &e.version }, defaults(1)),
	)
}

func jobSpec(params spec[[]entry[rawParam]]) spec[rawJob] {
	keys := []key[rawJob]{
		bind("doc", "What the job does.", text("a text"), func(j *rawJob) *at[string] { return &j.doc }),
		bind("on", "The event that starts it: an event's name, or entity.action.", trigger(), func(j *rawJob) *at[string] { return &j.on }, example("order_paid", "auth.users.create")),
		bind("cron", "The schedule that starts it: minute hour day month weekday.", text("a schedule"), func(j *rawJob) *at[string] { return &j.cron }, example("0 3 * * *")),
		bind("zone", "The time zone of the schedule.", text("a time zone"), func(j *rawJob) *at[string] { return &j.zone }, defaults("UTC"), example("Europe/Berlin")),
		bind("input", "What code gives the job when it enqueues it.", params, func(j *rawJob) *at[[]entry[rawParam]] { return &j.input }),
		bind("queue", "The queue it waits in; queues of pando.yaml bounds how many run at once.", identifier("a queue's name"), func(j *rawJob) *at[string] { return &j.queue }, defaults("default")),
		bind("priority", "Which jobs of a queue come first: 1 before 4.", integer(1, 4), func(j *rawJob) *at[int] { return &j.priority }, defaults(defaultPriority)),
		bind("run", "The code.", runner(), func(j *rawJob) *at[string] { return &j.run }, required),
		bind("retry", "How often it is tried again.", integer(0, 1000), func(j *rawJob) *at[int] { return &j.retry }, defaults(defaultRetry)),
		bind("timeout", "The time one try may take.", duration(), func(j *rawJob) *at[time.Duration] { return &j.timeout }, defaults("1m")),
	}
	return object("a job", append(keys, codeKeys(func(j *rawJob) *rawCode { return &j.rawCode })...)...)
}

// outward is a URL that Pando calls.
func outward(want string) spec[string] {
	const hint = "https://HOST/..., or secret:NAME"
	return concealed(pattern(want, `^(https?://[^ /]+[^ ]*|`+secretPattern+`)$`, hint), hint)
}

func webhookSpec() spec[rawWebhook] {
	return object("a webhook",
		bind("doc", "Who is told.", text("a text"), func(w *rawWebhook) *at[string] { return &w.doc }),
		bind("on", "The event that is sent: an event's name, or entity.action.", trigger(), func(w *rawWebhook) *at[string] { return &w.on }, required),
		bind("url", "Where it is sent.", outward("a URL"), func(w *rawWebhook) *at[string] { return &w.url }, required, example("secret:warehouse_url")),
		bind("sign", "The secret that signs it.", secret(), func(w *rawWebhook) *at[string] { return &w.sign }, example("secret:warehouse_key")),
		bind("timeout", "The time one delivery may take.", duration(), func(w *rawWebhook) *at[time.Duration] { return &w.timeout }, defaults("15s")),
		bind("rate", "How many deliveries are made at most.",
			pattern("a rate like 100/1m", `^[1-9][0-9]{0,5}/([1-9][0-9]{0,3})?(s|m|h)$`, "COUNT/TIME, the time in s, m or h"),
			func(w *rawWebhook) *at[string] { return &w.rate }, example("100/1m")),
		bind("disable", "It is disabled after failing for so long.", duration(), func(w *rawWebhook) *at[time.Duration] { return &w.disable }, defaults("120h")),
		bind("private", "Private and loopback addresses are allowed.", boolean(), func(w *rawWebhook) *at[bool] { return &w.private }, defaults(false)),
	)
}

func integrationSpec() spec[rawIntegration] {
	return object("an integration",
		bind("doc", "What is on the other side.", text("a text"), func(i *rawIntegration) *at[string] { return &i.doc }),
		bind("url", "The base URL; code reaches nothing outside of it.", outward("a URL"), func(i *rawIntegration) *at[string] { return &i.url }, example("https://api.payments.example")),
		bind("auth", "The secret that is sent as a bearer token.", secret(), func(i *rawIntegration) *at[string] { return &i.auth }),
		bind("timeout", "The time one call may take.", duration(), func(i *rawIntegration) *at[time.Duration] { return &i.timeout }, defaults("10s")),
		bind("retry", "How often a call is tried again.", integer(0, 100), func(i *rawIntegration) *at[int] { return &i.retry }, defaults(0)),
		bind("breaker", "Stop calling for a while after failures.", object("a breaker",
			bind("failures", "How many failures in a row.", integer(1, 10_000), func(b *rawBreaker) *at[int] { return &b.failures }, required),
			bind("open", "For how long.", duration(), func(b *rawBreaker) *at[time.Duration] { return &b.open }, required)),
			func(i *rawIntegration) *at[rawBreaker] { return &i.breaker }),
		bind("concurrency", "How many calls may run at once on a node.", integer(1, 10_000), func(i *rawIntegration) *at[int] { return &i.concurrency }, defaults(defaultConcurrency)),
		bind("hedge", "Ask a second time when a read has not been answered for so long.", duration(), func(i *rawIntegration) *at[time.Duration] { return &i.hedge }, example("200ms")),
		bind("response", "The greatest answer, in bytes.", size(), func(i *rawIntegration) *at[int64] { return &i.response }, defaults("10MiB")),
		bind("private", "Private and loopback addresses are allowed.", boolean(), func(i *rawIntegration) *at[bool] { return &i.private }, defaults(false)),
		bind("fallback", "What is answered, as JSON, when the other side fails.", anything("a value", &schema{}), func(i *rawIntegration) *at[*yaml.Node] { return &i.fallback }),
		bind("hook", "Webhooks that the other side sends to /hooks/v1/NAME.", object("a hook",
			bind("sign", "The secret that signs them (Standard Webhooks).", secret(), func(h *rawHook) *at[string] { return &h.sign }, required, example("secret:payments_hook")),
			bind("job", "The job of this module that is given each of them.", identifier("a job's name"), func(h *rawHook) *at[string] { return &h.job }, required)),
			func(i *rawIntegration) *at[rawHook] { return &i.hook }),
	)
}
