package webhooks

import (
	"context"
	"time"

	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/store"
	"github.com/pandobase/pando/internal/value"
)

// Status is how an endpoint fares.
type Status struct {
	Endpoint  string    `json:"endpoint"`
	Failures  int64     `json:"failures"`           // since it last worked
	Failing   time.Time `json:"failing,omitzero"`   // since when
	Succeeded time.Time `json:"succeeded,omitzero"` // last; to the minute or so
	Disabled  time.Time `json:"disabled,omitzero"`
	Reason    string    `json:"reason,omitempty"` // why it is disabled, or why it failed last
}

// statements are the SQL texts, prepared once by each connection.
type statements struct {
	states, state, failed, succeeded, disable, enable       *store.Statement
	record, recent, lost, replayed, expired, surplus, floor *store.Statement
}

func newStatements(d store.Dialect) *statements {
	st := func(text string) *store.Statement {
		var out []byte
		n := 0
		for i := range len(text) {
			if text[i] == '?' {
				n++
				out = append(out, d.Param(n)...)
				continue
			}
			out = append(out, text[i])
		}
		return &store.Statement{SQL: string(out)}
	}
	const state = `SELECT "name","failures","failing","succeeded","disabled","reason" FROM "pando_webhooks"`
	const entry = `SELECT "endpoint","id","at","outcome","status","tries","took","error","event","body" FROM "pando_webhook_deliveries"`
	const oldest = `DELETE FROM "pando_webhook_deliveries" WHERE ("endpoint","id") IN (SELECT "endpoint","id" FROM "pando_webhook_deliveries" `
	return &statements{
		states: st(state + ` ORDER BY "name"`),
		state:  st(state + ` WHERE "name"=?`),
		failed: st(`INSERT INTO "pando_webhooks" ("name","failures","failing","reason") VALUES (?,1,?,?) ON CONFLICT ("name") DO UPDATE SET ` +
			`"failures"="pando_webhooks"."failures"+1, "failing"=COALESCE("pando_webhooks"."failing",excluded."failing"), ` +
			`"reason"=CASE WHEN "pando_webhooks"."disabled" IS NULL THEN excluded."reason" ELSE "pando_webhooks"."reason" END`),
		succeeded: st(`INSERT INTO "pando_webhooks" ("name","failures","succeeded") VALUES (?,0,?) ON CONFLICT ("name") DO UPDATE SET ` +
			`"failures"=0, "failing"=NULL, "succeeded"=excluded."succeeded", ` +
			`"reason"=CASE WHEN "pando_webhooks"."disabled" IS NULL THEN NULL ELSE "pando_webhooks"."reason" END`),
		disable: st(`INSERT INTO "pando_webhooks" ("name","failures","disabled","reason") VALUES (?,0,?,?) ON CONFLICT ("name") DO UPDATE SET ` +
			`"disabled"=excluded."disabled", "reason"=excluded."reason" WHERE "pando_webhooks"."disabled" IS NULL`),
		enable: st(`UPDATE "pando_webhooks" SET "failures"=0, "failing"=NULL, "disabled"=NULL, "reason"=NULL WHERE "name"=?`),

		record: st(`INSERT INTO "pando_webhook_deliveries" ("endpoint","id","at","outcome","status","tries","took","error","event","body") ` +
			`VALUES (?,?,?,?,?,?,?,?,?,?) ON CONFLICT ("endpoint","id") DO UPDATE SET "at"=excluded."at", "outcome"=excluded."outcome", ` +
			`"status"=excluded."status", "tries"=excluded."tries", "took"=excluded."took", "error"=excluded."error", "body"=excluded."body"`),
		recent: st(entry + ` WHERE "endpoint"=? ORDER BY "at" DESC, "id" LIMIT ?`),
		lost: st(entry + ` WHERE "endpoint"=? AND "at">=? AND "at"<? AND "outcome"='lost' AND "body" IS NOT NULL ` +
			`AND ("at">? OR "at"=? AND "id">?) ORDER BY "at","id" LIMIT ?`),
		replayed: st(`UPDATE "pando_webhook_deliveries" SET "outcome"='failing' WHERE "endpoint"=? AND "id"=? AND "outcome"='lost'`),
		expired:  st(oldest + `WHERE "at"<? LIMIT ?)`),
		floor:    st(`SELECT "at" FROM "pando_webhook_deliveries" WHERE "endpoint"=? ORDER BY "at" DESC LIMIT 1 OFFSET ?`),
		surplus:  st(oldest + `WHERE "endpoint"=? AND "at"<=? ORDER BY "at" LIMIT ?)`),
	}
}

func millis(t time.Time) value.Value { return value.OfInt(t.UnixMilli()) }

func instant(row store.Row, i int) time.Time {
	if row.Null(i) {
		return time.Time{}
	}
	return time.UnixMilli(row.Int(i)).UTC()
}

func readStatus(row store.Row) Status {
	return Status{
		Endpoint: string(row.Append(nil, 0)), Failures: row.Int(1), Failing: instant(row, 2),
		Succeeded: instant(row, 3), Disabled: instant(row, 4), Reason: string(row.Append(nil, 5)),
	}
}

// state reads how an endpoint fares; one that nothing is known of fares well.
func (w *Webhooks) state(ctx context.Context, name string) (Status, error) {
	s := Status{Endpoint: name}
	err := w.cfg.Driver.Read(ctx, false, func(r store.Reader) error { return w.stateIn(r, name, &s) })
	return s, err
}

func (w *Webhooks) stateIn(r store.Reader, name string, s *Status) error {
	return r.Query(w.st.state, []value.Value{value.OfText(name)}, func(row store.Row) error {
		*s = readStatus(row)
		return nil
	})
}

// List returns how the endpoints fare, by name: those that are declared, and
// those of which something is stored.
func (w *Webhooks) List(ctx context.Context) ([]Status, error) {
	byName := map[string]Status{}
	w.mu.RLock()
	for name := range w.endpoints {
		byName[name] = Status{Endpoint: name}
	}
	w.mu.RUnlock()
	err := w.cfg.Driver.Read(ctx, false, func(r store.Reader) error {
		return r.Query(w.st.states, nil, func(row store.Row) error {
			s := readStatus(row)
			byName[s.Endpoint] = s
			return nil
		})
	})
	return sorted(byName), err
}

// Disable stops deliveries to an endpoint until it is enabled.
func (w *Webhooks) Disable(ctx context.Context, name, reason string) error {
	if err := w.known(name); err != nil {
		return err
	}
	return w.cfg.Driver.Write(ctx, func(tx store.Tx) error {
		_, err := tx.Exec(w.st.disable, []value.Value{value.OfText(name), millis(w.cfg.Now()), value.OfText(reason)})
		return err
	})
}

// Enable lets deliveries through again, as if nothing had failed. Those that were
// lost meanwhile can be replayed.
func (w *Webhooks) Enable(ctx context.Context, name string) error {
	if err := w.known(name); err != nil {
		return err
	}
	return w.cfg.Driver.Write(ctx, func(tx store.Tx) error {
		_, err := tx.Exec(w.st.enable, []value.Value{value.OfText(name)})
		return err
	})
}

func (w *Webhooks) known(name string) error {
	w.mu.RLock()
	defer w.mu.RUnlock()
	if w.endpoints[name] != nil {
		return nil
	}
	f := fault.New(fault.NotFound, "there is no webhook %q", name)
	names := make([]string, 0, len(w.endpoints))
	for n := range w.endpoints {
		names = append(names, n)
	}
	if near := fault.Nearest(name, names); near != "" {
		f.WithHint("did you mean %s?", near)
	}
	return f
}

// write stores what came of deliveries, and what follows for their endpoints;
// failed is why the one of them has not worked, or nil.
func (w *Webhooks) write(ctx context.Context, list []Entry, failed *Failed) error {
	var disabled *Notice
	err := w.cfg.Driver.Write(ctx, func(tx store.Tx) error {
		disabled = nil
		latest := map[string]time.Time{}
		for i := range list {
			if err := w.record(tx, &list[i]); err != nil {
				return err
			}
			if e := &list[i]; e.Outcome == Delivered && e.At.After(latest[e.Endpoint]) {
				latest[e.Endpoint] = e.At
			}
		}
		for _, s := range sortedTimes(latest) {
			if _, err := tx.Exec(w.st.succeeded, []value.Value{value.OfText(s.name), millis(s.at)}); err != nil {
				return err
			}
		}
		if failed == nil {
			return nil
		}
		var err error
		disabled, err = w.judge(tx, list[0].Endpoint, failed)
		return err
	})
	if err == nil && disabled != nil {
		w.cfg.Log.Error("a webhook was disabled", "webhook", disabled.Endpoint, "reason", disabled.Reason, "failing_since", disabled.Since)
		w.cfg.Notice(ctx, *disabled)
	}
	return err
}

// judge counts a failure and disables its endpoint if it is time; then it returns
// the notice.
func (w *Webhooks) judge(tx store.Tx, name string, failed *Failed) (*Notice, error) {
	now := w.cfg.Now()
	var s Status
	if err := w.stateIn(tx, name, &s); err != nil || !s.Disabled.IsZero() {
		return nil, err // nothing was sent
	}
	if _, err := tx.Exec(w.st.failed, []value.Value{value.OfText(name), millis(now), value.OfText(failed.Reason)}); err != nil {
		return nil, err
	}
	if err := w.stateIn(tx, name, &s); err != nil {
		return nil, err
	}
	reason := failed.Reason
	switch {
	case failed.Status == goneStatus:
	case now.Sub(s.Failing) >= w.disableAfter(s.Endpoint) && s.Failures >= leastFailures:
		reason = "it has failed since " + s.Failing.Format(time.RFC3339) + ", last: " + reason
	default:
		return nil, nil
	}
	n, err := tx.Exec(w.st.disable, []value.Value{value.OfText(name), millis(now), value.OfText(reason)})
	if err != nil || n == 0 {
		return nil, err // another node was first
	}
	return &Notice{Endpoint: name, Since: s.Failing, Reason: reason}, nil
}

// disableAfter is for how long an endpoint may fail.
func (w *Webhooks) disableAfter(name string) time.Duration {
	w.mu.RLock()
	defer w.mu.RUnlock()
	if e := w.endpoints[name]; e != nil && e.DisableAfter > 0 {
		return e.DisableAfter
	}
	return w.cfg.DisableAfter
}
