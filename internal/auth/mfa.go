package auth

import (
	"context"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/limit"
	"github.com/pandobase/pando/internal/policy"
	"github.com/pandobase/pando/internal/store"
	"github.com/pandobase/pando/internal/value"
)

// The bounds of second factors.
const (
	maxFactors      = 10 // of a user
	maxFactorName   = 128
	maxIssuer       = 128
	unverifiedLife  = 5 * time.Minute // after which an enrolment that was given up makes room
	challengeLife   = 5 * time.Minute
	maxCodeAttempts = 5 // wrong codes for one challenge
)

// The states and the kind of a factor.
const (
	factorVerified   = "verified"
	factorUnverified = "unverified"
	factorTOTP       = "totp"
)

// factorRow is a row of auth.factors.
type factorRow struct {
	id, userID, kind, status, name string
	secret                         []byte // wrapped
	lastStep, failures             int64
	failed, created, updated       time.Time
	challenged                     time.Time
}

func (s *scan) factor() *factorRow {
	return &factorRow{
		id: s.text(), userID: s.text(), kind: s.text(), status: s.text(), name: s.text(), secret: s.bytes(),
		lastStep: s.int(), failures: s.int(), failed: s.time(), created: s.time(), updated: s.time(), challenged: s.time(),
	}
}

// factorsOf are a user's factors, the oldest first.
func (a *Auth) factorsOf(r store.Reader, userID string) (out []*factorRow, err error) {
	err = all(r, a.flows.factorsOf, args(text(userID)), func(s *scan) { out = append(out, s.factor()) })
	return out, err
}

func (a *Auth) factorByID(r store.Reader, id string) (f *factorRow, err error) {
	if !isUUID(id) {
		return nil, nil
	}
	_, err = one(r, a.flows.factorByID, args(text(id)), func(s *scan) { f = s.factor() })
	return f, err
}

func (a *Auth) updateFactor(tx store.Tx, f *factorRow) error {
	f.updated = a.now()
	_, err := tx.Exec(a.flows.factorUpdate, args(text(f.id), text(f.status), value.OfInt(f.lastStep), value.OfInt(f.failures), at(f.failed), at(f.updated), at(f.challenged)))
	return err
}

// secondFactor refuses what a user with a verified factor may only do in a
// session that has used one: [fault.AuthInsufficientAAL]. What can be done
// without it would be a way around the factor: a changed password or address,
// another account linked, a factor removed.
func (a *Auth) secondFactor(r store.Reader, id *policy.Identity, userID string) error {
	if id.Role == policy.Service {
		return nil
	}
	row, err := a.sessionByID(r, id.Session)
	if err != nil {
		return err
	}
	if row != nil && row.userID == userID && row.aal == aal2 {
		return nil
	}
	factors, err := a.factorsOf(r, userID)
	if err != nil {
		return err
	}
	if slices.ContainsFunc(factors, func(f *factorRow) bool { return f.status == factorVerified }) {
		return fault.New(fault.AuthInsufficientAAL, "AAL2 session is required for this").WithHint("verify a code of the second factor in this session first")
	}
	return nil
}

// self reads the caller for a change, and the session: both must be there.
func (a *Auth) self(tx store.Tx, id *Caller) (*userRow, *sessionRow, error) {
	if id.Role != policy.Authenticated || id.UID == "" || id.Session == "" {
		return nil, nil, errNobody()
	}
	u, err := a.lockUser(tx, id.UID)
	if err != nil {
		return nil, nil, err
	}
	row, err := a.sessionByID(tx, id.Session)
	switch {
	case err != nil:
		return nil, nil, err
	case u == nil:
		return nil, nil, fault.New(fault.AuthUserNotFound, "User from sub claim in JWT does not exist").WithStatus(403)
	case row == nil || row.userID != u.id:
		return nil, nil, fault.New(fault.AuthSessionNotFound, "Session from session_id claim in JWT does not exist")
	case u.banned(a.now()):
		return nil, nil, errBanned()
	}
	return u, row, nil
}

func errNobody() *fault.Error {
	return fault.New(fault.AuthNoAuthorization, "This endpoint requires a signed-in user").WithHint("send the access token of a session as Bearer")
}

// EnrollInput asks for a new factor.
type EnrollInput struct {
	FactorType   string // totp
	FriendlyName string // unique among the user's; may be empty
	Issuer       string // what authenticators show; default: the application's name
}

// Enrollment is a new factor. Its secret is shown this once.
type Enrollment struct {
	ID           string `json:"id"`
	Type         string `json:"type"` // totp
	FriendlyName string `json:"friendly_name,omitempty"`
	TOTP         struct {
		QRCode string `json:"qr_code"` // an SVG; clients put "data:image/svg+xml;utf-8," before it
		Secret string `json:"secret"`
		URI    string `json:"uri"`
	} `json:"totp"`
}

// EnrollTOTP gives the caller a new factor, which counts once a code of it was
// verified. A user with a verified factor needs a session of aal2 for it, or a
// stolen password would be enough to add one's own.
func (a *Auth) EnrollTOTP(ctx context.Context, id *Caller, in EnrollInput) (*Enrollment, error) {
	switch in.FactorType {
	case factorTOTP, "":
	case "phone":
		return nil, fault.New(fault.AuthMFAPhoneDisabled, "MFA enroll is disabled for Phone").WithHint("enroll a factor of type totp")
	case "webauthn":
		return nil, fault.New(fault.AuthMFAWebAuthnDisabled, "MFA enroll is disabled for WebAuthn").WithHint("enroll a factor of type totp")
	default:
		return nil, fault.New(fault.AuthValidation, "factor_type needs to be totp")
	}
	if !printable(in.FriendlyName, maxFactorName) || !printable(in.Issuer, maxIssuer) {
		return nil, fault.New(fault.AuthValidation, "friendly_name or issuer is too long or holds characters that cannot be printed").WithHint("%d characters at most", maxFactorName)
	}
	if err := a.limit(ctx, id, "mfa", id.UID); err != nil {
		return nil, err
	}
	if in.Issuer == "" {
		in.Issuer = a.live.Load().app.Config.App
	}
	out := &Enrollment{Type: factorTOTP, FriendlyName: in.FriendlyName}
	err := a.cfg.Driver.Write(ctx, func(tx store.Tx) error {
		u, _, err := a.self(tx, id)
		if err != nil {
			return err
		}
		if err := a.roomForFactor(tx, id, u, in.FriendlyName); err != nil {
			return err
		}
		account := u.email
		if account == "" {
			account = u.id
		}
		key, err := newTOTP(a.cfg.Random, in.Issuer, account)
		if err != nil {
			return fault.Wrap(err, fault.AuthValidation, "the issuer or the address is too long for a QR code")
		}
		out.ID = a.newID()
		out.TOTP.QRCode, out.TOTP.Secret, out.TOTP.URI = key.SVG, key.Secret, key.URI
		sealed, err := a.cfg.Wrapper.Wrap([]byte(key.Secret), factorContext(out.ID, u.id))
		if err != nil {
			return err
		}
		now := a.now()
		_, err = tx.Exec(a.flows.factorInsert, args(text(out.ID), text(u.id), text(factorTOTP), text(factorUnverified), optText(in.FriendlyName),
			value.OfBytes(string(sealed)), value.OfInt(0), value.OfInt(0), value.Null(), at(now), at(now), value.Null()))
		if err != nil {
			return err
		}
		return a.record(tx, id, "auth.factor.enroll", u.id, a.detail("factor", out.ID, "type", factorTOTP))
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// roomForFactor checks that a user may have one more factor of a name.
func (a *Auth) roomForFactor(tx store.Tx, id *Caller, u *userRow, name string) error {
	if err := a.secondFactor(tx, id, u.id); err != nil {
		return err
	}
	if _, err := tx.Exec(a.flows.factorsDeleteUnverified, args(text(u.id), at(a.now().Add(-unverifiedLife)))); err != nil {
		return err
	}
	factors, err := a.factorsOf(tx, u.id)
	if err != nil {
		return err
	}
	if len(factors) >= maxFactors {
		return fault.New(fault.AuthMFATooManyFactors, "Maximum number of enrolled factors reached, unenroll to continue").WithDetails("%d factors", len(factors))
	}
	if name != "" && slices.ContainsFunc(factors, func(f *factorRow) bool { return f.name == name }) {
		return fault.New(fault.AuthMFAFactorNameConflict, "A factor with the friendly name %q for this user already exists", name)
	}
	return nil
}

// factorContext binds a wrapped secret to its row: copied to another user's
// factor it cannot be read.
func factorContext(factorID, userID string) []byte {
	return []byte("factor " + factorID + " " + userID)
}

// printable reports whether a name has at most n characters, all of them
// printable.
func printable(s string, n int) bool {
	return utf8.ValidString(s) && utf8.RuneCountInString(s) <= n && !strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) })
}

// FactorChallenge is a question for a code.
type FactorChallenge struct {
	ID        string `json:"id"`
	Type      string `json:"type"`       // totp
	ExpiresAt int64  `json:"expires_at"` // Unix seconds
}

// challengeRow is a row of auth.challenges.
type challengeRow struct {
	id, factorID, sessionID, ip string
	attempts                    int64
	verified, created, expires  time.Time
}

func (s *scan) challenge() *challengeRow {
	return &challengeRow{
		id: s.text(), factorID: s.text(), sessionID: s.text(), ip: s.text(), attempts: s.int(),
		verified: s.time(), created: s.time(), expires: s.time(),
	}
}

func errNoFactor() error { return fault.New(fault.AuthMFAFactorNotFound, "Factor not found") }

// ownFactor reads a factor of the caller's; anybody else's is not there.
func (a *Auth) ownFactor(tx store.Tx, u *userRow, factorID string) (*factorRow, error) {
	f, err := a.factorByID(tx, factorID)
	if err != nil {
		return nil, err
	}
	if f == nil || f.userID != u.id {
		return nil, errNoFactor()
	}
	return f, nil
}

// Challenge begins the verification of a factor. The challenge is bound to the
// caller's session, lives five minutes and ends with its fifth wrong code.
func (a *Auth) Challenge(ctx context.Context, id *Caller, factorID string) (*FactorChallenge, error) {
	if err := a.limit(ctx, id, "mfa", id.UID); err != nil {
		return nil, err
	}
	var out *FactorChallenge
	err := a.cfg.Driver.Write(ctx, func(tx store.Tx) error {
		u, row, err := a.self(tx, id)
		if err != nil {
			return err
		}
		f, err := a.ownFactor(tx, u, factorID)
		if err != nil {
			return err
		}
		now := a.now()
		f.challenged = now
		if err := a.updateFactor(tx, f); err != nil {
			return err
		}
		ip := ""
		if id.Request != nil {
			ip = id.Request.IP
		}
		out = &FactorChallenge{ID: a.newID(), Type: f.kind, ExpiresAt: now.Add(challengeLife).Unix()}
		_, err = tx.Exec(a.flows.challengeInsert, args(text(out.ID), text(f.id), text(row.id), optText(ip), value.OfInt(0), value.Null(), at(now), at(now.Add(challengeLife))))
		if err != nil {
			return err
		}
		return a.record(tx, id, "auth.factor.challenge", u.id, a.detail("factor", f.id))
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// VerifyFactor answers a challenge with a code. The session becomes one of
// aal2 with new tokens; its earlier refresh tokens and the user's sessions of
// aal1 end, so that what was stolen before the second factor is worth nothing
// after it.
//
// A code is accepted once: the step it belongs to and all before it are spent.
// Wrong codes count against the challenge and slow the factor down: from the
// sixth in a row on, the next try has to wait up to five minutes
// ([fault.AuthRateLimit]).
func (a *Auth) VerifyFactor(ctx context.Context, id *Caller, factorID, challengeID, code string) (*Grant, error) {
	if err := a.limit(ctx, id, "mfa", id.UID); err != nil {
		return nil, err
	}
	var (
		s      *session
		denied *fault.Error // answered although the failure's count is kept
	)
	err := a.cfg.Driver.Write(ctx, func(tx store.Tx) error {
		s, denied = nil, nil
		u, row, err := a.self(tx, id)
		if err != nil {
			return err
		}
		f, err := a.ownFactor(tx, u, factorID)
		if err != nil {
			return err
		}
		if f.status != factorVerified { // one that was left open must not be the way around the others
			if err := a.secondFactor(tx, id, u.id); err != nil {
				return err
			}
		}
		if err := a.checkChallengeOf(tx, f, row, challengeID); err != nil {
			return err
		}
		step, why, err := a.tryCode(tx, f, challengeID, code)
		if err != nil || why != nil {
			denied = why
			return err
		}
		first := f.status != factorVerified
		f.status, f.lastStep, f.failures, f.failed = factorVerified, step, 0, time.Time{}
		if err := a.updateFactor(tx, f); err != nil {
			return err
		}
		if s, err = a.raise(tx, u, row, f, challengeID); err != nil {
			return err
		}
		action := "auth.factor.verify"
		if first {
			action = "auth.factor.enrolled"
		}
		return a.record(tx, id, action, u.id, a.detail("factor", f.id))
	})
	if err != nil {
		return nil, err
	}
	if denied != nil {
		return nil, a.denied(ctx, id, "auth.factor.verify", id.UID, denied)
	}
	a.forget(s.user.id)
	return a.issue(s)
}

// checkChallengeOf refuses a challenge that is not this factor's and session's,
// or that has ended.
func (a *Auth) checkChallengeOf(tx store.Tx, f *factorRow, row *sessionRow, challengeID string) error {
	var c *challengeRow
	if isUUID(challengeID) {
		if _, err := one(tx, a.flows.challengeByID, args(text(challengeID)), func(s *scan) { c = s.challenge() }); err != nil {
			return err
		}
	}
	switch {
	case c == nil || c.factorID != f.id || c.sessionID != row.id:
		return fault.New(fault.AuthMFAFactorNotFound, "MFA factor with the provided challenge ID not found").WithHint("make a new challenge in this session; a challenge is used once")
	case !c.verified.IsZero() || c.attempts >= maxCodeAttempts || !a.now().Before(c.expires):
		return fault.New(fault.AuthMFAChallengeExpired, "MFA challenge %s has expired, verify against another challenge or create a new challenge.", c.id)
	}
	return nil
}

// tryCode judges a code and counts it when it is wrong; why says what is wrong.
func (a *Auth) tryCode(tx store.Tx, f *factorRow, challengeID, code string) (step int64, why *fault.Error, err error) {
	now := a.now()
	if wait := limit.DefaultBackoff().Delay(int(f.failures), f.failed, now); wait > 0 {
		why = fault.New(fault.AuthRateLimit, "Too many wrong codes for this factor")
		why.RetryAfter = wait
		return 0, why, nil
	}
	secret, err := a.cfg.Wrapper.Unwrap(f.secret, factorContext(f.id, f.userID))
	if err != nil {
		return 0, nil, err
	}
	step, ok := checkTOTP(string(secret), code, now, f.lastStep)
	if ok {
		return step, nil, nil
	}
	f.failures, f.failed = f.failures+1, now
	if err := a.updateFactor(tx, f); err != nil {
		return 0, nil, err
	}
	if _, err := tx.Exec(a.flows.challengeTried, args(text(challengeID))); err != nil {
		return 0, nil, err
	}
	return 0, fault.New(fault.AuthMFAVerificationFailed, "Invalid TOTP code entered").WithHint("a code is used once; wait for the next one"), nil
}

// raise makes a session one of aal2 by a factor.
func (a *Auth) raise(tx store.Tx, u *userRow, row *sessionRow, f *factorRow, challengeID string) (*session, error) {
	row.aal, row.factorID = aal2, f.id
	row.amr = append(slices.DeleteFunc(row.amr, func(m method) bool { return m.Method == methodTOTP }), a.amrEntry(methodTOTP))
	if err := a.updateSession(tx, row); err != nil {
		return nil, err
	}
	for _, c := range []struct {
		st   *store.Statement
		args []value.Value
	}{
		{a.flows.challengeDelete, args(text(challengeID))},
		{a.flows.refreshOfSession, args(text(row.id))},
		{a.flows.sessionsBelow, args(text(u.id), text(row.id))},
		{a.flows.factorsDeleteUnverified, args(text(u.id), at(a.now().Add(time.Second)))},
	} {
		if _, err := tx.Exec(c.st, c.args); err != nil {
			return nil, err
		}
	}
	return a.openSession(tx, row, u)
}

// Unenroll removes a factor of the caller's. A verified one needs a session of
// aal2, and the sessions that it raised fall back to aal1.
func (a *Auth) Unenroll(ctx context.Context, id *Caller, factorID string) error {
	if err := a.limit(ctx, id, "mfa", id.UID); err != nil {
		return err
	}
	err := a.cfg.Driver.Write(ctx, func(tx store.Tx) error {
		u, _, err := a.self(tx, id)
		if err != nil {
			return err
		}
		f, err := a.ownFactor(tx, u, factorID)
		if err != nil {
			return err
		}
		if f.status == factorVerified {
			if err := a.secondFactor(tx, id, u.id); err != nil {
				return err
			}
		}
		if err := a.removeFactor(tx, f); err != nil {
			return err
		}
		return a.record(tx, id, "auth.factor.remove", u.id, a.detail("factor", f.id))
	})
	if err == nil {
		a.forget(id.UID)
	}
	return err
}

// removeFactor deletes a factor and takes from the sessions that it raised what
// it gave them. Call [Auth.forget] after the commit.
func (a *Auth) removeFactor(tx store.Tx, f *factorRow) error {
	var rows []*sessionRow
	if err := all(tx, a.flows.sessionsOfFactor, args(text(f.id)), func(s *scan) { rows = append(rows, s.session()) }); err != nil {
		return err
	}
	for _, row := range rows {
		row.aal, row.factorID = aal1, ""
		row.amr = slices.DeleteFunc(row.amr, func(m method) bool { return m.Method == methodTOTP })
		if err := a.updateSession(tx, row); err != nil {
			return err
		}
	}
	_, err := tx.Exec(a.flows.factorDelete, args(text(f.id)))
	return err
}
