package auth

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"time"

	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/mail"
	"github.com/pandobase/pando/internal/password"
	"github.com/pandobase/pando/internal/store"
)

const (
	// importChunk is how many users one transaction stores: enough to share
	// the commit, few enough not to keep other writers waiting.
	importChunk = 200
	// maxImportProblems bounds the report; the rest is counted.
	maxImportProblems = 1000
)

// ImportOptions say what is imported and how.
type ImportOptions struct {
	Format ImportFormat
	DryRun bool // read and check everything, store nothing
}

// ImportReport tells what an import did.
type ImportReport struct {
	Read     int  `json:"read"`     // users in the file
	Imported int  `json:"imported"` // stored; with a dry run: would be
	Skipped  int  `json:"skipped"`  // not stored: see Problems
	DryRun   bool `json:"dry_run"`
	// Ignored are the columns that mean nothing to Pando, sorted.
	Ignored []string `json:"ignored_columns"`
	// Problems are the first thousand of the skipped users.
	Problems []ImportProblem `json:"problems"`
}

// ImportProblem is why a user was skipped. It holds nothing of the user: the
// line tells who it is.
type ImportProblem struct {
	Line   int    `json:"line"`
	Reason string `json:"reason"`
}

func (r *ImportReport) skip(line int, reason string) {
	r.Skipped++
	if len(r.Problems) < maxImportProblems {
		r.Problems = append(r.Problems, ImportProblem{line, reason})
	}
}

// ImportUsers stores the users of a file with their ids, metadata and password
// hashes. It reads the file as it goes, in transactions of 200 users with one
// audit record each. A user whose id or address is taken is skipped, so that an
// import which was broken off can be run again. Only the service may.
//
// An id that is no UUID becomes one, always the same; app_metadata.imported_id
// keeps it. A user whose hash cannot be verified here is skipped, never
// imported without a word. A file that ends in the middle is a
// [fault.AuthValidation]; the report tells what was stored before.
func (a *Auth) ImportUsers(ctx context.Context, id *Caller, r io.Reader, opt ImportOptions) (*ImportReport, error) {
	if err := admin(id); err != nil {
		return nil, err
	}
	in, err := newUserReader(r, opt.Format)
	if err != nil {
		return nil, err
	}
	report, err := a.importAll(ctx, id, in, opt)
	report.Ignored = append([]string{}, in.ignored()...)
	slices.SortFunc(report.Problems, func(x, y ImportProblem) int { return x.Line - y.Line })
	return report, err
}

func (a *Auth) importAll(ctx context.Context, id *Caller, in *userReader, opt ImportOptions) (*ImportReport, error) {
	im := &userImport{auth: a, id: id, opt: opt, report: &ImportReport{DryRun: opt.DryRun, Problems: []ImportProblem{}}, seen: map[string]bool{}}
	for {
		row, err := in.next()
		var bad *rowError
		switch {
		case errors.Is(err, io.EOF):
			return im.report, im.flush(ctx)
		case errors.As(err, &bad):
			im.report.Read++
			im.report.skip(bad.line, bad.reason)
			continue
		case err != nil:
			return im.report, errors.Join(im.flush(ctx), err)
		}
		im.report.Read++
		if reason := row.check(); reason != "" {
			im.report.skip(row.line, reason)
			continue
		}
		im.chunk = append(im.chunk, row)
		if len(im.chunk) == importChunk {
			if err := im.flush(ctx); err != nil {
				return im.report, err
			}
		}
	}
}

// check brings a row into stored form and returns what is wrong with it.
func (row *importRow) check() string {
	if row.email != "" {
		email, err := mail.Address(row.email)
		if err != nil {
			return "email: not an address"
		}
		row.email = email
	}
	switch {
	case row.email == "" && row.confirmed != nil:
		row.confirmed = nil
	case row.password != "" && !password.Importable(row.password):
		return "password: a hash that cannot be verified here"
	case row.phone != "" && !printable(row.phone, 32):
		return "phone: not a number"
	}
	if row.email == "" {
		row.password = "" // nothing to sign in with it
	}
	return ""
}

// userImport is one import.
type userImport struct {
	auth   *Auth
	id     *Caller
	opt    ImportOptions
	report *ImportReport
	chunk  []*importRow
	seen   map[string]bool // ids and addresses of a dry run, which stores none
}

// flush stores what was gathered.
func (im *userImport) flush(ctx context.Context) error {
	if len(im.chunk) == 0 {
		return nil
	}
	var stored []*importRow
	var skipped []ImportProblem
	work := func(r store.Reader, put func(*importRow) error) error {
		stored, skipped = nil, nil
		for _, row := range im.chunk {
			reason, err := im.taken(r, row)
			if err == nil && reason == "" {
				err = put(row)
				if f := fault.From(err); err != nil && f.Code == fault.AuthValidation {
					reason, err = f.Error(), nil
				}
			}
			switch {
			case err != nil:
				return fmt.Errorf("line %d: %w", row.line, err)
			case reason != "":
				skipped = append(skipped, ImportProblem{row.line, reason})
			default:
				stored = append(stored, row)
			}
		}
		return nil
	}
	var err error
	if im.opt.DryRun {
		err = im.auth.cfg.Driver.Read(ctx, false, func(r store.Reader) error {
			return work(r, func(row *importRow) error { return im.note(row) })
		})
	} else {
		err = im.auth.cfg.Driver.Write(ctx, func(tx store.Tx) error {
			if err := work(tx, func(row *importRow) error { return im.put(tx, row) }); err != nil || len(stored) == 0 {
				return err
			}
			return im.auth.record(tx, im.id, "admin.users.import", "", map[string]string{
				"format": string(im.opt.Format), "users": fmt.Sprint(len(stored)),
				"lines": fmt.Sprintf("%d-%d", stored[0].line, stored[len(stored)-1].line),
			})
		})
	}
	im.chunk = im.chunk[:0]
	if err != nil {
		return err
	}
	im.report.Imported += len(stored)
	for _, p := range skipped {
		im.report.skip(p.Line, p.Reason)
	}
	return nil
}

// taken tells whether the id or the address has a user already.
func (im *userImport) taken(r store.Reader, row *importRow) (string, error) {
	u, err := im.auth.userByID(r, row.id)
	if err != nil {
		return "", err
	}
	if u != nil || im.seen[row.id] {
		return "id: a user has it already", nil
	}
	if row.email == "" {
		return "", nil
	}
	if u, err = im.auth.userByEmail(r, row.email); err != nil {
		return "", err
	}
	if u != nil || im.seen[row.email] {
		return "email: a user has it already", nil
	}
	return "", nil
}

// note remembers a row of a dry run and checks what storing would.
func (im *userImport) note(row *importRow) error {
	u := im.user(row)
	if _, err := u.values(); err != nil {
		return err
	}
	im.seen[row.id] = true
	if row.email != "" {
		im.seen[row.email] = true
	}
	return nil
}

// user is the user of a row.
func (im *userImport) user(row *importRow) *userRow {
	now := im.auth.now().UTC().Truncate(time.Microsecond)
	or := func(t *time.Time, fallback time.Time) time.Time {
		if t == nil || t.IsZero() {
			return fallback
		}
		return t.Truncate(time.Microsecond)
	}
	u := &userRow{
		id: row.id, email: row.email, phone: row.phone, password: row.password, app: map[string]any{}, user: map[string]any{},
		lastSignIn: or(row.lastSignIn, time.Time{}), invited: or(row.invited, time.Time{}), bannedUntil: or(row.banned, time.Time{}),
		anonymous: row.anonymous, created: or(row.created, now),
	}
	u.updated = or(row.updated, u.created)
	if row.confirmed != nil {
		u.emailConfirmed = or(row.confirmed, now)
	}
	maps.Copy(u.app, row.appData)
	maps.Copy(u.user, row.userData)
	if row.sourceID != "" {
		u.app["imported_id"] = row.sourceID
	}
	// Who signed in at a provider only is linked again by the address at the
	// first sign-in there, if it was confirmed.
	if u.email != "" && (u.password != "" || len(u.providers()) == 0) {
		u.addProvider(providerEmail)
	}
	return u
}

func (im *userImport) put(tx store.Tx, row *importRow) error {
	u := im.user(row)
	if err := im.auth.insertUser(tx, u); err != nil || u.email == "" || !slices.Contains(u.providers(), providerEmail) {
		return err
	}
	i := im.auth.emailIdentity(u)
	i.lastSignIn, i.created, i.updated = u.lastSignIn, u.created, u.updated
	return im.auth.insertIdentity(tx, i)
}
