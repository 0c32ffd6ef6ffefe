package model

import (
	"time"

	"go.yaml.in/yaml/v4"
)

// rawConfig is pando.yaml as it is written.
type rawConfig struct {
	app, listen, ops, data, url      at[string]
	proxies                          at[[]at[string]]
	store                            at[rawStore]
	cache, broker, files, keys, mail at[string]
	roles                            at[[]entry[rawRole]]
	auth                             at[rawAuth]
	limits                           at[rawLimits]
	api                              at[rawAPI]
	queues                           at[[]entry[int]]
	versions                         at[[]at[string]]
	tls                              at[rawTLS]
	cors                             at[rawCORS]
	log                              at[rawLog]
}

type rawStore struct {
	url      at[string]
	replicas at[[]at[string]]
	maxLag   at[time.Duration]
}

type rawRole struct {
	inherits at[[]at[string]]
}

type rawAuth struct {
	autoconfirm, signup, anonymous, linking at[bool]
	minPassword                             at[int]
	site, jwtSecret, sender                 at[string]
	redirects                               at[[]at[string]]
	providers                               at[[]entry[rawProvider]]
	accessToken                             at[time.Duration]
	rates                                   at[[]entry[string]]
	users                                   at[rawUsers]
}

type rawUsers struct{ read at[*Expression] }

type rawProvider struct {
	clientID, clientSecret, issuer at[string]
	scopes                         at[[]at[string]]
}

type rawLimits struct {
	body, header         at[int64]
	rows, depth, filters at[int]
	timeout              at[time.Duration]
}

type rawAPI struct {
	graphql    at[rawGraphQL]
	reflection at[string]
}

type rawGraphQL struct {
	introspection, documents                                   at[string]
	document                                                   at[int64]
	tokens, depth, aliases, fields, directives, batch, maxCost at[int]
}

type rawTLS struct {
	cert, key at[string]
}

type rawCORS struct {
	origins at[[]at[string]]
}

type rawLog struct {
	format, level at[string]
	access        at[bool]
}

// The defaults of pando.yaml that are not made from another value.
const (
	defaultApp         = "app"
	defaultListen      = "127.0.0.1:7263"
	defaultOps         = "127.0.0.1:7264"
	defaultData        = "./data"
	defaultCache       = "memory://"
	defaultBroker      = "embedded://"
	defaultFiles       = "file://files"
	defaultKeys        = "file://keys"
	defaultMail        = "mailbox://"
	defaultMaxLag      = 5 * time.Second
	longestLag         = 30 * time.Second
	defaultMinPassword = 15
	defaultBody        = 1 << 20
	defaultHeader      = 32 << 10
	defaultRows        = 1000
	defaultDepth       = 8
	defaultFilters     = 200
	defaultTimeout     = 30 * time.Second

	defaultGraphQLDocument   = 32 << 10
	defaultGraphQLTokens     = 4000
	defaultGraphQLAliases    = 30
	defaultGraphQLFields     = 20
	defaultGraphQLDirectives = 50
	defaultGraphQLBatch      = 10
	defaultGraphQLCost       = 100_000
)

// The values of api.graphql.introspection and api.reflection: who may ask for the
// schema.
const (
	IntrospectionOff      = "off"
	IntrospectionSignedIn = "signed-in" // callers that are users or services
	IntrospectionAll      = "all"
)

func configSpec() spec[rawConfig] {
	address := func() spec[string] {
		return pattern("an address like 127.0.0.1:7263", `^[^ /]*:[0-9]{1,5}$`, "HOST:PORT; an empty host listens on every interface")
	}
	return object("pando.yaml",
		bind("app", "The application's name; the embedded store's file is named after it.",
			pattern("a name", `^[a-z][a-z0-9_-]{0,62}$`, "a lower-case letter, then lower-case letters, digits, - and _"),
			func(c *rawConfig) *at[string] { return &c.app }, defaults(defaultApp), example("shop")),
		bind("listen", "Where the public API listens. Loopback unless told otherwise.", address(),
			func(c *rawConfig) *at[string] { return &c.listen }, defaults(defaultListen), example("0.0.0.0:7263")),
		bind("ops", "Where /healthz, /readyz and /metrics are served; never on the public listener.", address(),
			func(c *rawConfig) *at[string] { return &c.ops }, defaults(defaultOps)),
		bind("url", "Where clients reach the public API, as in links and in tokens; by default the listener's address.",
			pattern("a URL", `^https?://[^/ ?#@]+$`, "scheme and host, without a path"),
			func(c *rawConfig) *at[string] { return &c.url }, example("https://api.shop.example")),
		bind("proxies", "The networks of the balancers before this node: their X-Forwarded-For counts, nobody else's.",
			list("a list of networks", text("a network like 10.0.0.0/8"), 0),
			func(c *rawConfig) *at[[]at[string]] { return &c.proxies }, example([]string{"10.0.0.0/8"})),
		bind("data", "The folder where the embedded parts live; made at first start, never committed.", text("a folder"),
			func(c *rawConfig) *at[string] { return &c.data }, defaults(defaultData)),
		bind("store", "The database: a URL, or { url, replicas, max_lag }. By default SQLite in the data folder.", storeSpec(),
			func(c *rawConfig) *at[rawStore] { return &c.store }, example("sqlite://shop.db", "secret:store_url")),
		bind("cache", "Where cached answers live.", locator("a cache's URL", "memory", "redis", "rediss", "memcached"),
			func(c *rawConfig) *at[string] { return &c.cache }, defaults(defaultCache), example("redis://cache:6379")),
		bind("broker", "What carries events between nodes.", locator("a broker's URL", "embedded", "nats", "amqp", "amqps", "kafka", "sqs"),
			func(c *rawConfig) *at[string] { return &c.broker }, defaults(defaultBroker), example("nats://nats:4222")),
		bind("files", "Where uploaded files are kept.", locator("a file store's URL", "file", "s3", "gs", "azblob"),
			func(c *rawConfig) *at[string] { return &c.files }, defaults(defaultFiles), example("s3://bucket")),
		bind("keys", "What wraps the signing and encryption keys.",
			locator("a key store's URL", "file", "awskms", "gcpkms", "azurekeyvault", "hashivault"),
			func(c *rawConfig) *at[string] { return &c.keys }, defaults(defaultKeys)),
		bind("mail", "How mail leaves. mailbox:// keeps it in the data folder, for development.", locator("a mail URL", "mailbox", "smtp", "smtps"),
			func(c *rawConfig) *at[string] { return &c.mail }, defaults(defaultMail)),
		bind("roles", "The application's roles. A role has the rights of those that it inherits.", mapping("roles", identifier("a role's name"),
			object("a role",
				bind("inherits", "Roles whose rights this one has too.", list("a list of roles", identifier("a role's name"), 0),
					func(r *rawRole) *at[[]at[string]] { return &r.inherits }, example([]string{"staff"})))),
			func(c *rawConfig) *at[[]entry[rawRole]] { return &c.roles }, example(map[string]any{"staff": map[string]any{}})),
		bind("auth", "How users sign in.", authSpec(), func(c *rawConfig) *at[rawAuth] { return &c.auth }),
		bind("limits", "What one request may ask for.", limitsSpec(), func(c *rawConfig) *at[rawLimits] { return &c.limits }),
		bind("api", "The doors to rows, one by one.", object("api",
			bind("graphql", "The GraphQL door.", graphqlSpec(), func(a *rawAPI) *at[rawGraphQL] { return &a.graphql }),
			bind("reflection", "Who may ask the gRPC door for its services; by default everybody in `pando dev`, and who is signed in otherwise.",
				enum("who may ask for the services", IntrospectionOff, IntrospectionSignedIn, IntrospectionAll),
				func(a *rawAPI) *at[string] { return &a.reflection }, example(IntrospectionAll))),
			func(c *rawConfig) *at[rawAPI] { return &c.api }),
		bind("queues", "How many jobs of each queue run at once on a node; 10 by default.", mapping("queues", identifier("a queue's name"), integer(1, 10_000)),
			func(c *rawConfig) *at[[]entry[int]] { return &c.queues }, example(map[string]any{"mail": 2})),
		bind("versions", "The API's versions, the oldest first.", list("a list of versions", version("a version like v1"), 1),
			func(c *rawConfig) *at[[]at[string]] { return &c.versions }, defaults([]string{"v1"}), example([]string{"v1", "v2"})),
		bind("tls", "The certificate of the public listener; without it, it speaks plain HTTP.", object("tls",
			bind("cert", "The certificate chain's PEM file.", text("a file"), func(t *rawTLS) *at[string] { return &t.cert }, required),
			bind("key", "The private key's PEM file.", text("a file"), func(t *rawTLS) *at[string] { return &t.key }, required)),
			func(c *rawConfig) *at[rawTLS] { return &c.tls }),
		bind("cors", "Which web pages may call the API from a browser.", object("cors",
			bind("origins", "The allowed origins; * allows any, without cookies.",
				list("a list of origins", pattern("an origin like https://shop.example", `^(\*|https?://[^/ ]+)$`, "scheme and host, without a path; or *"), 0),
				func(c *rawCORS) *at[[]at[string]] { return &c.origins }, defaults([]string{"*"}))),
			func(c *rawConfig) *at[rawCORS] { return &c.cors }),
		bind("log", "The log on standard error.", logSpec(), func(c *rawConfig) *at[rawLog] { return &c.log }),
	)
}

func storeSpec() spec[rawStore] {
	url := func() spec[string] { return locator("a store's URL", "sqlite", "postgres", "postgresql") }
	short := convert(url(), func(v string, n *yaml.Node) rawStore {
		return rawStore{url: at[string]{v: v, n: n, ok: v != ""}}
	})
	return either(short, object("a store",
		bind("url", "The primary.", url(), func(s *rawStore) *at[string] { return &s.url }, required, example("postgres://db/shop")),
		bind("replicas", "Read replicas; reads go to those that have replayed what the caller wrote.",
			list("a list of URLs", locator("a replica's URL", "postgres", "postgresql"), 0),
			func(s *rawStore) *at[[]at[string]] { return &s.replicas }),
		bind("max_lag", "How old the rows of a read may be that asks for nothing else; at most 30s.", duration(),
			func(s *rawStore) *at[time.Duration] { return &s.maxLag }, defaults("5s"))))
}

func authSpec() spec[rawAuth] {
	return object("auth",
		bind("autoconfirm", "Accept a new address without a mail that confirms it.", boolean(),
			func(a *rawAuth) *at[bool] { return &a.autoconfirm }, defaults(false)),
		bind("min_password", "The least number of characters of a password.", integer(8, 256),
			func(a *rawAuth) *at[int] { return &a.minPassword }, defaults(defaultMinPassword)),
		bind("signup", "Strangers may sign up.", boolean(), func(a *rawAuth) *at[bool] { return &a.signup }, defaults(true)),
		bind("anonymous", "Sign-in without any credential.", boolean(), func(a *rawAuth) *at[bool] { return &a.anonymous }, defaults(false)),
		bind("linking", "Users may link further providers to their account.", boolean(), func(a *rawAuth) *at[bool] { return &a.linking }, defaults(false)),
		bind("site", "Where a sign-in leads back to when it names no place; by default the first of redirects.",
			pattern("an absolute URL", `^[a-z][a-z0-9+.-]*://[^ ]+$`, "like https://shop.example"),
			func(a *rawAuth) *at[string] { return &a.site }, example("https://shop.example")),
		bind("access_token", "How long an access token lives; at most an hour.", duration(),
			func(a *rawAuth) *at[time.Duration] { return &a.accessToken }, defaults("1h")),
		bind("jwt_secret", "The secret of HS256 tokens that are accepted beside Pando's own, as secret:NAME.", concealed(text("a secret"), "write secret:NAME"),
			func(a *rawAuth) *at[string] { return &a.jwtSecret }, example("secret:jwt")),
		bind("sender", "The From of mails.", text("an address"), func(a *rawAuth) *at[string] { return &a.sender }, example("Shop <no-reply@shop.example>")),
		bind("rates", "How often things may happen.", mapping("rates", enum("what a rate bounds", rateNames()...),
			pattern("a rate like 30/5m", `^[1-9][0-9]{0,5}/([1-9][0-9]{0,3})?(s|m|h)$`, "COUNT/TIME, the time in s, m or h")),
			func(a *rawAuth) *at[[]entry[string]] { return &a.rates }, example(map[string]any{"sign_in": "30/5m"})),
		bind("users", "The entity auth.users.", object("users",
			bind("read", "Which users may be read; by default the caller's own: "+DefaultUserRead, expression(),
				func(u *rawUsers) *at[*Expression] { return &u.read }, example(DefaultUserRead+" || 'staff' in auth.roles"))),
			func(a *rawAuth) *at[rawUsers] { return &a.users }),
		bind("redirects", "Where a sign-in may lead back to.",
			list("a list of URLs", pattern("an absolute URL", `^[a-z][a-z0-9+.-]*://[^ ]+$`, "like https://shop.example/after"), 0),
			func(a *rawAuth) *at[[]at[string]] { return &a.redirects }, example([]string{"https://shop.example/after"})),
		bind("providers", "External identity providers.", mapping("providers", identifier("a provider's name"), object("a provider",
			bind("client_id", "The client id that the provider gave.", text("a client id"), func(p *rawProvider) *at[string] { return &p.clientID }, required),
			bind("client_secret", "The client secret, as secret:NAME.", concealed(text("a client secret"), "write secret:NAME"),
				func(p *rawProvider) *at[string] { return &p.clientSecret }, required, example("secret:google")),
			bind("issuer", "The OpenID issuer, for providers that are not built in.", pattern("an issuer's URL", `^https?://[^ ]+$`, "like https://id.example"),
				func(p *rawProvider) *at[string] { return &p.issuer }),
			bind("scopes", "The scopes to ask for.", list("a list of scopes", text("a scope"), 0), func(p *rawProvider) *at[[]at[string]] { return &p.scopes }))),
			func(a *rawAuth) *at[[]entry[rawProvider]] { return &a.providers }),
	)
}

func limitsSpec() spec[rawLimits] {
	return object("limits",
		bind("body", "A request's body, in bytes.", size(), func(l *rawLimits) *at[int64] { return &l.body }, defaults("1MiB")),
		bind("rows", "Rows of one JSON or CSV answer.", integer(1, 1_000_000), func(l *rawLimits) *at[int] { return &l.rows }, defaults(defaultRows)),
		bind("depth", "How deep relations and and/or nest in one request.", integer(1, 64), func(l *rawLimits) *at[int] { return &l.depth }, defaults(defaultDepth)),
		bind("filters", "Conditions of one request.", integer(1, 10_000), func(l *rawLimits) *at[int] { return &l.filters }, defaults(defaultFilters)),
		bind("timeout", "The time one request may take.", duration(), func(l *rawLimits) *at[time.Duration] { return &l.timeout }, defaults("30s")),
		bind("header", "A request's headers, in bytes.", size(), func(l *rawLimits) *at[int64] { return &l.header }, defaults("32KiB")),
	)
}

func graphqlSpec() spec[rawGraphQL] {
	return object("graphql",
		bind("introspection", "Who may ask for the schema; by default everybody in `pando dev`, and who is signed in otherwise.",
			enum("who may ask for the schema", IntrospectionOff, IntrospectionSignedIn, IntrospectionAll),
			func(g *rawGraphQL) *at[string] { return &g.introspection }, example(IntrospectionAll)),
		bind("documents", "A folder with the only documents that are executed, one .graphql file each, or manifests that map a hash to a document.",
			text("a folder"), func(g *rawGraphQL) *at[string] { return &g.documents }, example("documents")),
		bind("document", "A document, in bytes.", size(), func(g *rawGraphQL) *at[int64] { return &g.document }, defaults("32KiB")),
		bind("tokens", "Words and signs of a document.", integer(1, 1_000_000), func(g *rawGraphQL) *at[int] { return &g.tokens }, defaults(defaultGraphQLTokens)),
		bind("depth", "How deep relations nest; by default limits.depth.", integer(1, 64), func(g *rawGraphQL) *at[int] { return &g.depth }, example(5)),
		bind("aliases", "How often fields may be asked for again beside themselves.", integer(0, 10_000),
			func(g *rawGraphQL) *at[int] { return &g.aliases }, defaults(defaultGraphQLAliases)),
		bind("fields", "Root fields of an operation.", integer(1, 10_000), func(g *rawGraphQL) *at[int] { return &g.fields }, defaults(defaultGraphQLFields)),
		bind("directives", "Directives of an operation.", integer(0, 10_000), func(g *rawGraphQL) *at[int] { return &g.directives }, defaults(defaultGraphQLDirectives)),
		bind("batch", "Operations of one request; together they have the limits of one.", integer(1, 1000),
			func(g *rawGraphQL) *at[int] { return &g.batch }, defaults(defaultGraphQLBatch)),
		bind("cost", "Rows that an operation may read, as far as page sizes and the sizes of tables tell.", integer(1, 1_000_000_000),
			func(g *rawGraphQL) *at[int] { return &g.maxCost }, defaults(defaultGraphQLCost)),
	)
}

func logSpec() spec[rawLog] {
	return object("log",
		bind("format", "How a line looks.", enum("a log format", "text", "json"), func(l *rawLog) *at[string] { return &l.format }, defaults("text")),
		bind("level", "The least level that is written.", enum("a log level", "debug", "info", "warn", "error"),
			func(l *rawLog) *at[string] { return &l.level }, defaults("info")),
		bind("access", "One line for each request.", boolean(), func(l *rawLog) *at[bool] { return &l.access }, defaults(true)),
	)
}
