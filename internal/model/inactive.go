package model

import (
	"fmt"
	"strings"
)

// inactive lists what the application declares and this build does not act on.
func (l *loader) inactive() []string {
	var out []string
	off := func(part string) bool { return !l.features.Active[part] }
	policies := false
	l.each(func(e *entityDraft) { policies = policies || e.Policy != nil })
	if policies && off(PartPolicy) {
		out = append(out, "policies: only the secret key gets in")
	}
	if l.authGiven && off(PartAuth) {
		out = append(out, "auth: users cannot sign in")
	}
	if v := l.app.Config.Versions; off(PartVersions) && (len(v) > 1 || v[0] != "v1") {
		out = append(out, "versions: "+strings.Join(v, ", ")+" show the same data")
	}
	for _, m := range l.app.Modules {
		var cached, live, divided int
		for _, e := range m.Entities {
			cached += count(e.Cache > 0)
			live += count(e.Realtime)
			divided += count(e.Partition != nil)
		}
		for _, p := range []struct {
			part, one, many string
			n               int
		}{
			{PartOperations, "operation", "operations", len(m.Operations)},
			{PartFunctions, "function", "functions", len(m.Functions)},
			{PartEvents, "event", "events", len(m.Events)},
			{PartJobs, "job", "jobs", len(m.Jobs)},
			{PartWebhooks, "webhook", "webhooks", len(m.Webhooks)},
			{PartIntegrations, "integration", "integrations", len(m.Integrations)},
			{PartCache, "cached entity", "cached entities", cached},
			{PartRealtime, "realtime entity", "realtime entities", live},
			{PartPartitions, "partitioned entity", "partitioned entities", divided},
		} {
			switch {
			case p.n == 0 || !off(p.part):
			case p.n == 1:
				out = append(out, m.Name+": 1 "+p.one)
			default:
				out = append(out, fmt.Sprintf("%s: %d %s", m.Name, p.n, p.many))
			}
		}
	}
	return out
}

func count(b bool) int {
	if b {
		return 1
	}
	return 0
}
