package model

import (
	"net"
	"net/mail"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v4"
)

// or returns what was given, or the default.
func or[T any](a at[T], fallback T) T {
	if a.ok {
		return a.v
	}
	return fallback
}

func texts(a at[[]at[string]]) []string {
	var out []string
	for _, m := range a.v {
		if m.ok {
			out = append(out, m.v)
		}
	}
	return out
}

// config fills the defaults and checks what the schema cannot see.
func (l *loader) config(d *document, raw *rawConfig) {
	c := &l.app.Config
	c.App = or(raw.app, defaultApp)
	c.Listen = or(raw.listen, defaultListen)
	c.Ops = or(raw.ops, defaultOps)
	c.Data = or(raw.data, defaultData)
	c.Store = Store{URL: or(raw.store.v.url, "sqlite://"+c.App+".db"), Replicas: texts(raw.store.v.replicas), MaxLag: or(raw.store.v.maxLag, defaultMaxLag)}
	c.Cache = or(raw.cache, defaultCache)
	c.Broker = or(raw.broker, defaultBroker)
	c.Files = or(raw.files, defaultFiles)
	c.Keys = or(raw.keys, defaultKeys)
	c.Mail = or(raw.mail, defaultMail)
	c.TLS = TLS{Cert: raw.tls.v.cert.v, Key: raw.tls.v.key.v}
	c.CORS = CORS{Origins: []string{"*"}}
	if raw.cors.v.origins.ok {
		c.CORS.Origins = texts(raw.cors.v.origins)
	}
	lim := raw.limits.v
	c.Limits = Limits{
		Body: or(lim.body, defaultBody), Header: or(lim.header, defaultHeader), Rows: or(lim.rows, defaultRows),
		Depth: or(lim.depth, defaultDepth), Filters: or(lim.filters, defaultFilters), Timeout: or(lim.timeout, defaultTimeout),
	}
	c.Reflection = raw.api.v.reflection.v
	g := raw.api.v.graphql.v
	c.GraphQL = GraphQL{
		Introspection: g.introspection.v, Documents: g.documents.v, Document: int(or(g.document, defaultGraphQLDocument)),
		Tokens: or(g.tokens, defaultGraphQLTokens), Depth: or(g.depth, c.Limits.Depth), Aliases: or(g.aliases, defaultGraphQLAliases),
		Fields: or(g.fields, defaultGraphQLFields), Directives: or(g.directives, defaultGraphQLDirectives),
		Batch: or(g.batch, defaultGraphQLBatch), Cost: or(g.maxCost, defaultGraphQLCost),
	}
	for _, q := range raw.queues.v {
		if q.ok && c.Queues == nil {
			c.Queues = map[string]int{}
		}
		if q.ok {
			c.Queues[q.name] = q.v
		}
	}
	c.Log = Log{Format: or(raw.log.v.format, "text"), Level: or(raw.log.v.level, "info"), Access: or(raw.log.v.access, true)}

	c.URL = strings.TrimSuffix(raw.url.v, "/")
	for _, p := range raw.proxies.v {
		if !p.ok {
			continue
		}
		prefix, err := netip.ParsePrefix(p.v)
		if addr, errAddr := netip.ParseAddr(p.v); err != nil && errAddr == nil {
			prefix, err = addr.Prefix(addr.BitLen())
		}
		if err != nil {
			d.problem(p.n, "like 10.0.0.0/8, or one address", "%s is no network", quote(p.v))
			continue
		}
		c.Proxies = append(c.Proxies, prefix.Masked())
	}

	l.checkAddresses(d, raw)
	l.checkStore(d, raw)
	l.roles(d, raw.roles.v)
	l.auth(d, raw)
	l.versions(d, raw.versions)
	if origins := raw.cors.v.origins; len(origins.v) > 1 {
		for _, o := range origins.v {
			if o.v == "*" {
				d.problem(o.n, "name the origins, or write * alone", "* beside other origins allows every origin")
			}
		}
	}
}

func (l *loader) checkAddresses(d *document, raw *rawConfig) {
	for _, a := range []at[string]{raw.listen, raw.ops} {
		if !a.ok {
			continue
		}
		_, port, err := net.SplitHostPort(a.v)
		if n, errPort := strconv.Atoi(port); err != nil || errPort != nil || n > 65535 {
			d.problem(a.n, "HOST:PORT; an IPv6 host stands in brackets; the port is at most 65535", "%s is no address", quote(a.v))
		}
	}
	c := l.app.Config
	if c.Listen == c.Ops && !strings.HasSuffix(c.Ops, ":0") {
		at := raw.ops
		if !at.ok {
			at = raw.listen
		}
		d.problem(at.n, "give ops a port of its own: it is never on the public listener", "listen and ops are the same address %s", c.Ops)
	}
}

func (l *loader) checkStore(d *document, raw *rawConfig) {
	replicas := raw.store.v.replicas
	if len(replicas.v) > 0 && strings.HasPrefix(l.app.Config.Store.URL, "sqlite:") {
		d.problem(replicas.n, "leave replicas out, or use postgres://", "SQLite has no read replicas")
	}
	if lag := raw.store.v.maxLag; lag.ok && (lag.v < time.Second || lag.v > longestLag) {
		d.problem(lag.n, "a read that has to be newer says so: Prefer: consistency=strong", "max_lag is from 1s to %s", longestLag)
	}
}

func (l *loader) roles(d *document, raw []entry[rawRole]) {
	c := &l.app.Config
	c.Roles = make(map[string]Role, len(raw))
	known := make([]string, 0, len(raw))
	for _, r := range raw {
		known = append(known, r.name)
		if slices.Contains([]string{"anon", "authenticated", "service"}, r.name) {
			d.problem(r.key, "choose another name", "%s is one of Pando's own roles", r.name)
		}
		c.Roles[r.name] = Role{Inherits: texts(r.v.inherits), Pos: d.pos(r.key)}
	}
	for _, r := range raw {
		for _, i := range r.v.inherits.v {
			if _, ok := c.Roles[i.v]; i.ok && !ok {
				d.problem(i.n, nearest(i.v, known), "unknown role %s", quote(i.v))
			}
		}
	}
	state := map[string]int{} // 1: being followed, 2: done
	var follow func(name string) bool
	follow = func(name string) bool {
		if state[name] != 0 {
			return state[name] == 2
		}
		state[name] = 1
		for _, i := range c.Roles[name].Inherits {
			if !follow(i) {
				return false
			}
		}
		state[name] = 2
		return true
	}
	for _, r := range raw {
		if !follow(r.name) {
			d.problem(r.key, "break the circle", "the role %s inherits itself", r.name)
			return
		}
	}
}

func (l *loader) auth(d *document, raw *rawConfig) {
	a := raw.auth.v
	l.authGiven = raw.auth.given()
	c := &l.app.Config.Auth
	*c = Auth{
		Autoconfirm: a.autoconfirm.v, MinPassword: or(a.minPassword, defaultMinPassword), Signup: or(a.signup, true), Anonymous: a.anonymous.v,
		Linking: a.linking.v, Redirects: texts(a.redirects), Providers: map[string]Provider{},
		AccessToken: or(a.accessToken, defaultAccessToken), JWTSecret: a.jwtSecret.v, Sender: a.sender.v, Rates: DefaultRates(), UserRead: a.users.v.read.v,
	}
	if c.AccessToken < minAccessToken || c.AccessToken > defaultAccessToken {
		d.problem(a.accessToken.n, "an hour at most: what ends a session earlier is asked at each request", "an access token lives from %s to %s", minAccessToken, defaultAccessToken)
	}
	for _, r := range a.rates.v {
		if r.ok {
			c.Rates[r.name] = rate(r.v)
		}
	}
	if len(c.Redirects) > 0 {
		c.Site = c.Redirects[0]
	}
	if a.site.ok {
		c.Site = a.site.v
	}
	if _, err := mail.ParseAddress(c.Sender); a.sender.ok && err != nil {
		d.problem(a.sender.n, "like Shop <no-reply@shop.example>", "%s is no address", quote(c.Sender))
	}
	for _, r := range a.redirects.v {
		if _, err := url.Parse(r.v); r.ok && err != nil {
			d.problem(r.n, "", "%s is no URL", quote(r.v))
		}
	}
	for _, p := range a.providers.v {
		c.Providers[p.name] = Provider{ClientID: p.v.clientID.v, ClientSecret: p.v.clientSecret.v, Issuer: p.v.issuer.v, Scopes: texts(p.v.scopes)}
	}
}

func (l *loader) versions(d *document, raw at[[]at[string]]) {
	c := &l.app.Config
	c.Versions = []string{"v1"}
	if given := texts(raw); len(given) > 0 {
		c.Versions = given
	}
	for i := 1; i < len(raw.v); i++ {
		if raw.v[i].ok && raw.v[i-1].ok && versionNumber(raw.v[i].v) <= versionNumber(raw.v[i-1].v) {
			d.problem(raw.v[i].n, "list each once, the oldest first", "the version %s comes after %s", raw.v[i].v, raw.v[i-1].v)
		}
	}
}

// absolute reports whether the text is a URL with a host, or a secret's name.
func (f *moduleFile) absolute(n *yaml.Node, text string) {
	if strings.HasPrefix(text, "secret:") {
		return
	}
	if u, err := url.Parse(text); err != nil || u.Host == "" {
		f.problem(n, "https://HOST/..., or secret:NAME", "this is no URL")
	} else if u.User != nil {
		f.problem(n, "put the whole URL into a secret: secret:NAME", "a URL with a password does not belong into a file")
	}
}
