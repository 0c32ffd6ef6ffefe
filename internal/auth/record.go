package auth

import (
	"context"
	"time"

	"github.com/pandobase/pando/internal/audit"
	"github.com/pandobase/pando/internal/limit"
	"github.com/pandobase/pando/internal/policy"
	"github.com/pandobase/pando/internal/store"
)

// usersEntity is what identity events are about.
const usersEntity = "auth.users"

// event is the record of an identity event. userID is whom it is about, whose
// key hides what is personal; empty: nobody that is known.
func event(id *policy.Identity, action, userID string, detail map[string]string) audit.Record {
	r := audit.FromIdentity(id)
	r.Action, r.Entity, r.Detail = action, usersEntity, detail
	if userID != "" {
		r.Keys, r.Rows, r.Subject = []string{userID}, 1, userID
	}
	return r
}

// record writes an identity event into the audit trail, in the transaction of
// what it tells. userID is whom it is about; empty: nobody that is known.
// detail never holds a secret.
func (a *Auth) record(tx store.Tx, id *policy.Identity, action, userID string, detail map[string]string) error {
	r := event(id, action, userID, detail)
	return a.cfg.Audit.Append(tx, &r)
}

// recordDenied is record for what was refused.
func (a *Auth) recordDenied(tx store.Tx, id *policy.Identity, action, userID string, detail map[string]string) error {
	r := event(id, action, userID, detail)
	r.Outcome = audit.Denied
	return a.cfg.Audit.Append(tx, &r)
}

// refuse writes the denial of an identity event in a transaction of its own.
func (a *Auth) refuse(ctx context.Context, id *policy.Identity, action, userID string, detail map[string]string) error {
	r := event(id, action, userID, detail)
	r.Outcome = audit.Denied
	return a.cfg.Audit.Write(ctx, &r)
}

// refusalsKept is how many refusals about one account or client are written down
// one by one. They come before authentication, so that strangers on many networks
// could fill the disk with them; the caller has counted all of them.
func refusalsKept() limit.Rate { return limit.Rate{Count: 60, Per: time.Hour} }

// refuseLater is refuse behind the answer, so that its time tells nothing of
// whom it is about: about is a user's id or a client's. Where too much waits, or
// there were enough, the count is all that is kept.
func (a *Auth) refuseLater(id *policy.Identity, action, about, userID string, detail map[string]string) {
	who := aside(id)
	err := a.later("audit", func(ctx context.Context) error {
		if ok, _, err := a.cfg.Limits.Take(ctx, "refused "+about, refusalsKept()); err != nil || !ok {
			return err
		}
		return a.refuse(ctx, who, action, userID, detail)
	})
	if err != nil {
		a.log.Warn("a refusal was counted and not written down one by one", "action", action, "error", err)
	}
}
