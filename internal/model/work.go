package model

import (
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v4"
)

// actions are the writes that events can be derived from.
func actions() []string { return []string{"create", "update", "delete"} }

// events resolves the module's events; jobs and webhooks of every module can
// name them afterwards.
func (l *loader) events(f *moduleFile) {
	for _, raw := range f.raw.events.v {
		e := &Event{Module: f.module, Name: raw.name, Pos: f.pos(raw.key), Doc: raw.v.doc.v, When: raw.v.when.v, Version: or(raw.v.version, 1)}
		f.module.Events = append(f.module.Events, e)
		e.Data = l.params(f, raw.name, raw.v.data.v)
		if !raw.v.on.given() {
			for _, n := range []*yaml.Node{raw.v.when.n, raw.v.fields.n} {
				if n != nil {
					f.problem(n, "add on: ENTITY.update, or leave it out", "the event %s is about no write", raw.name)
				}
			}
			continue
		}
		if raw.v.data.given() {
			f.problem(raw.v.data.n, "leave it out: such an event holds row and old", "the event %s is derived from a write", raw.name)
		}
		if !raw.v.on.ok {
			continue
		}
		at := strings.LastIndexByte(raw.v.on.v, '.')
		e.Action = raw.v.on.v[at+1:]
		e.Entity = l.find(f, raw.v.on.n, raw.v.on.v[:at])
		if e.Entity == nil {
			continue
		}
		for _, name := range raw.v.fields.v {
			if name.ok && e.Entity.fields[name.v] == nil {
				f.problem(name.n, nearest(name.v, e.Entity.fieldNames()), "%s has no field %s", e.Entity.QualifiedName(), quote(name.v))
			}
		}
		e.Fields = texts(raw.v.fields)
	}
}

// work resolves the module's operations, functions and jobs.
func (l *loader) work(f *moduleFile) {
	for i := range f.raw.operations.v {
		l.operation(f, &f.raw.operations.v[i])
	}
	for i := range f.raw.functions.v {
		l.function(f, &f.raw.functions.v[i])
	}
	for i := range f.raw.jobs.v {
		l.job(f, &f.raw.jobs.v[i])
	}
}

func (l *loader) job(f *moduleFile, e *entry[rawJob]) {
	raw := &e.v
	j := &Job{
		Module: f.module, Name: e.name, Pos: f.pos(e.key), Doc: raw.doc.v, On: raw.on.v, Cron: raw.cron.v, Zone: time.UTC,
		Run: raw.run.v, Retry: or(raw.retry, defaultRetry), Timeout: or(raw.timeout, defaultJobTimeout),
		Queue: or(raw.queue, DefaultQueue), Priority: or(raw.priority, defaultPriority), Code: f.code(&raw.rawCode),
	}
	f.module.Jobs = append(f.module.Jobs, j)
	j.Input = l.params(f, e.name, raw.input.v)
	switch {
	case raw.on.given() && raw.cron.given():
		f.problem(e.key, "make two jobs of it", "the job %s has both on and cron", e.name)
	case raw.input.given() && (raw.on.given() || raw.cron.given()):
		f.problem(raw.input.n, "leave it out: an event is given as it is, and a schedule gives nothing", "the job %s is not enqueued by code", e.name)
	}
	j.Trigger = l.trigger(f, raw.on)
	if raw.cron.ok {
		if err := checkCron(raw.cron.v); err != nil {
			f.problem(raw.cron.n, "minute hour day month weekday, like \"0 3 * * *\"; or @hourly, @daily, @weekly, @monthly, @yearly", "%s", err)
		}
	}
	if raw.zone.ok {
		zone, err := time.LoadLocation(raw.zone.v)
		switch {
		case err != nil || raw.zone.v == "Local":
			f.problem(raw.zone.n, "a name of the IANA database, like Europe/Berlin", "%s is no time zone", quote(raw.zone.v))
		case !raw.cron.given():
			f.problem(raw.zone.n, "leave it out", "the job %s has no schedule", e.name)
		default:
			j.Zone = zone
		}
	}
	l.run(f, raw.run)
}

// trigger resolves what a job or webhook waits for: event, module.event,
// entity.action or module.entity.action.
func (l *loader) trigger(f *moduleFile, on at[string]) (t Trigger) {
	if !on.ok {
		return t
	}
	parts := strings.Split(on.v, ".")
	last := parts[len(parts)-1]
	if len(parts) > 1 && slices.Contains(actions(), last) {
		t.Entity, t.Action = l.find(f, on.n, strings.Join(parts[:len(parts)-1], ".")), last
		return t
	}
	if len(parts) == 3 {
		f.problem(on.n, nearest(last, actions()), "unknown action %s", quote(last))
		return t
	}
	m := f.module
	if len(parts) == 2 {
		if e := f.module.entities[parts[0]]; e != nil {
			f.problem(on.n, nearest(last, actions()), "unknown action %s", quote(last))
			return t
		}
		if m = l.app.modules[parts[0]]; m == nil {
			if !l.unknown[parts[0]] {
				f.problem(on.n, "an event's name, or entity.create, entity.update, entity.delete", "%s is neither a module nor an entity of %s", quote(parts[0]), f.module.Name)
			}
			return t
		}
	}
	var names []string
	for _, e := range m.Events {
		if e.Name == last {
			t.Event = e
			return t
		}
		names = append(names, e.Name)
	}
	f.problem(on.n, nearest(last, names), "the module %s has no event %s", m.Name, quote(last))
	return t
}
