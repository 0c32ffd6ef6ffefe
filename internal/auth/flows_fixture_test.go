package auth

import (
	"sync"
	"testing"

	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/policy"
	"github.com/pandobase/pando/internal/store"
)

// house is a world seen from within: rows are made and read past the doors.
type house struct{ *world }

// openHouse makes one; lines are added to the auth section of pando.yaml.
func openHouse(t *testing.T, lines ...string) *house { return &house{newWorld(t, lines...)} }

// write runs fn in a transaction.
func (h *house) write(fn func(store.Tx) error) {
	h.t.Helper()
	if err := h.cfg.Driver.Write(h.t.Context(), fn); err != nil {
		h.t.Fatal(err, fault.From(err).Cause)
	}
}

// person makes a user with an address, confirmed or not, a password's hash and
// the identity of the address.
func (h *house) person(email string, confirmed bool) *userRow {
	h.t.Helper()
	var u *userRow
	h.write(func(tx store.Tx) error {
		u = h.newUser(providerEmail, email)
		u.password = "$argon2id$a-hash"
		if confirmed {
			u.emailConfirmed = h.now()
		}
		if err := h.insertUser(tx, u); err != nil {
			return err
		}
		return h.insertIdentity(tx, h.emailIdentity(u))
	})
	return u
}

// session signs a user in with a password.
func (h *house) session(u *userRow) *Caller {
	h.t.Helper()
	var s *session
	h.write(func(tx store.Tx) (err error) {
		locked, err := h.lockUser(tx, u.id)
		if err != nil {
			return err
		}
		s, err = h.newSession(tx, h.anon(), locked, h.amrEntry(methodPassword))
		return err
	})
	return h.caller(s.row)
}

func (h *house) caller(row *sessionRow) *Caller {
	return &Caller{Role: policy.Authenticated, UID: row.userID, Session: row.id, AAL: row.aal, Request: h.anon().Request}
}

// stored reads a user; nil: there is none.
func (h *house) stored(id string) (u *userRow) {
	h.t.Helper()
	h.read(func(r store.Reader) (err error) {
		u, err = h.userByID(r, id)
		return err
	})
	return u
}

func (h *house) read(fn func(store.Reader) error) {
	h.t.Helper()
	if err := h.cfg.Driver.Read(h.t.Context(), true, fn); err != nil {
		h.t.Fatal(err, fault.From(err).Cause)
	}
}

// alive reports whether a caller's session is there, and its level.
func (h *house) alive(c *Caller) (aal string) {
	h.t.Helper()
	h.read(func(r store.Reader) error {
		row, err := h.sessionByID(r, c.Session)
		if row != nil {
			aal = row.aal
		}
		return err
	})
	return aal
}

// want fails unless err has the code; "" means no error.
func want(t *testing.T, what string, err error, code fault.Code) {
	t.Helper()
	switch {
	case code == "" && err != nil:
		t.Errorf("%s: %v (%v)", what, err, fault.From(err).Cause)
	case code != "" && !fault.Is(err, code):
		t.Errorf("%s: %v, want %s", what, err, code)
	}
}

// race runs fn n times at once and returns how many had no error.
func race(n int, fn func(i int) error) (won int) {
	var wg sync.WaitGroup
	start := make(chan struct{})
	errs := make([]error, n)
	for i := range n {
		wg.Go(func() {
			<-start
			errs[i] = fn(i)
		})
	}
	close(start)
	wg.Wait()
	for _, err := range errs {
		if err == nil {
			won++
		}
	}
	return won
}
