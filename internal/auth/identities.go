package auth

import (
	"context"
	"slices"

	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/store"
)

// Identities are the caller's accounts, the oldest first.
func (a *Auth) Identities(ctx context.Context, id *Caller) ([]UserIdentity, error) {
	if id.UID == "" {
		return nil, fault.New(fault.AuthNoAuthorization, "This endpoint requires a signed-in user")
	}
	out := []UserIdentity{}
	err := a.cfg.Driver.Read(ctx, false, func(r store.Reader) error {
		rows, err := a.identities(r, id.UID)
		if err != nil {
			return err
		}
		for _, row := range rows {
			view, err := row.view()
			if err != nil {
				return err
			}
			out = append(out, view)
		}
		return nil
	})
	return out, err
}

// UnlinkIdentity removes one of the caller's identities, but not the last one.
// With the one of the address goes the password; the address stays if another
// account vouches for it. A user with a second factor needs a session of aal2.
func (a *Auth) UnlinkIdentity(ctx context.Context, id *Caller, identityID string) error {
	if !a.settings().Linking {
		return errLinking()
	}
	if err := a.limit(ctx, id, "other", id.UID); err != nil {
		return err
	}
	err := a.cfg.Driver.Write(ctx, func(tx store.Tx) error {
		u, _, err := a.self(tx, id)
		if err != nil {
			return err
		}
		if err := a.secondFactor(tx, id, u.id); err != nil {
			return err
		}
		ids, err := a.identities(tx, u.id)
		if err != nil {
			return err
		}
		i := slices.IndexFunc(ids, func(row *identityRow) bool { return row.id == identityID })
		switch {
		case i < 0:
			return fault.New(fault.AuthIdentityNotFound, "Identity doesn't exist")
		case len(ids) == 1:
			return fault.New(fault.AuthLastIdentity, "User must have at least 1 identity after unlinking")
		}
		if err := a.unlink(tx, u, ids, ids[i]); err != nil {
			return err
		}
		return a.record(tx, id, "auth.identity.unlink", u.id, a.detail("provider", ids[i].provider))
	})
	if err == nil {
		a.forget(id.UID)
	}
	return err
}

func errLinking() error {
	return fault.New(fault.AuthLinkingDisabled, "Manual linking is disabled").WithHint("set linking: true under auth in pando.yaml")
}
