package model

import (
	"encoding/json"
	"slices"

	"go.yaml.in/yaml/v4"
)

// outside resolves what connects the module with other systems.
func (l *loader) outside(f *moduleFile) {
	for i := range f.raw.webhooks.v {
		l.webhook(f, &f.raw.webhooks.v[i])
	}
	for i := range f.raw.integrations.v {
		l.integration(f, &f.raw.integrations.v[i])
	}
}

func (l *loader) webhook(f *moduleFile, e *entry[rawWebhook]) {
	raw := &e.v
	w := &Webhook{
		Module: f.module, Name: e.name, Pos: f.pos(e.key), Doc: raw.doc.v, On: raw.on.v, URL: raw.url.v, Sign: raw.sign.v, Trigger: l.trigger(f, raw.on),
		Timeout: or(raw.timeout, defaultHookTimeout), Disable: or(raw.disable, defaultDisable), Private: raw.private.v,
	}
	f.module.Webhooks = append(f.module.Webhooks, w)
	if raw.rate.ok {
		w.Rate = rate(raw.rate.v)
	}
	if raw.url.ok {
		f.absolute(raw.url.n, w.URL)
	}
}

func (l *loader) integration(f *moduleFile, e *entry[rawIntegration]) {
	raw := &e.v
	in := &Integration{
		Module: f.module, Name: e.name, Pos: f.pos(e.key), Doc: raw.doc.v, URL: raw.url.v, Auth: raw.auth.v,
		Timeout: or(raw.timeout, defaultCallTimeout), Retry: raw.retry.v, Concurrency: or(raw.concurrency, defaultConcurrency),
		Hedge: raw.hedge.v, Response: or(raw.response, defaultResponse), Private: raw.private.v,
	}
	f.module.Integrations = append(f.module.Integrations, in)
	if b := raw.breaker; b.given() {
		in.Breaker = &Breaker{Failures: b.v.failures.v, Open: b.v.open.v}
	}
	if raw.fallback.given() {
		in.Fallback = f.jsonOf(raw.fallback.n)
	}
	if raw.url.ok {
		f.absolute(raw.url.n, in.URL)
	}
	if raw.hook.given() {
		in.Hook = l.hook(f, &raw.hook.v)
	}
	if !raw.url.given() && !raw.hook.given() && e.ok {
		f.problem(e.key, "add url: https://HOST/..., or hook: { sign, job }", "the integration %s has neither url nor hook", e.name)
	}
	for _, m := range l.app.Modules {
		for _, other := range m.Integrations {
			if other != in && other.Name == in.Name && other.Hook != nil && in.Hook != nil {
				f.problem(e.key, "hooks share one path, so their names differ in all modules", "the module %s has an integration %s with a hook too", m.Name, in.Name)
			}
		}
	}
}

func (l *loader) hook(f *moduleFile, raw *rawHook) *Hook {
	h := &Hook{Sign: raw.sign.v}
	if !raw.job.ok {
		return h
	}
	var names []string
	for _, j := range f.module.Jobs {
		names = append(names, j.Name)
	}
	at := slices.Index(names, raw.job.v)
	if at < 0 {
		f.problem(raw.job.n, nearest(raw.job.v, names), "the module %s has no job %s", f.module.Name, quote(raw.job.v))
		return h
	}
	if h.Job = f.module.Jobs[at]; h.Job.Trigger.Given() || h.Job.Cron != "" || len(h.Job.Input) > 0 {
		f.problem(raw.job.n, "write a job without on, cron and input", "the job %s is not there for a hook", h.Job.Name)
	}
	return h
}

// jsonOf is a YAML value as JSON.
func (f *moduleFile) jsonOf(n *yaml.Node) []byte {
	var v any
	err := n.Decode(&v)
	if err == nil {
		var out []byte
		if out, err = json.Marshal(v); err == nil {
			return out
		}
	}
	f.problem(n, "", "this has no form in JSON")
	return nil
}
