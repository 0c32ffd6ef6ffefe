package transfer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync/atomic"

	"github.com/pandobase/pando/internal/engine"
	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/policy"
	"github.com/pandobase/pando/internal/query"
	"github.com/pandobase/pando/internal/store"
)

// ImportOptions say what is imported, and how. Target, Reader and Format are
// required.
type ImportOptions struct {
	Target query.Target
	Reader io.Reader
	Size   int64 // of what Reader holds, in bytes, for Progress; 0: unknown
	Format Format

	// Map names the field for a column of the file, where they differ. The
	// empty name and "-" leave the column out.
	Map map[string]string

	// OnConflict is a unique key: a row whose key is stored already replaces
	// the fields that the file gives. Of two such rows in a file the later one
	// stays. Ignore keeps the stored row instead; without OnConflict the key is
	// then the primary one.
	OnConflict []string
	Ignore     bool

	// SkipBad stores the good rows in chunks of some thousand and leaves the
	// bad ones out. Without it one bad row is enough for nothing to be stored.
	SkipBad bool
	// Errors, when set, receives each bad row as it stood, with its line, code
	// and reason: CSV for CSV, else NDJSON. Corrected, it can be imported.
	Errors io.Writer

	// Quiet has the rows be no events.
	Quiet bool
	// From skips what begins before this line.
	From int

	// Progress, when set, is told now and then how far the import is: bytes
	// read, Size, and rows stored. It may be called on any goroutine, one at a
	// time.
	Progress func(done, total int64, rows int)
}

// Report is what an import did.
type Report struct {
	Rows     int       `json:"rows"`      // stored: new ones, and with OnConflict replaced ones
	Kept     int       `json:"kept"`      // left as they were stored (Ignore)
	Skipped  int       `json:"skipped"`   // bad
	LastLine int       `json:"last_line"` // up to where the file is dealt with: go on behind it
	Problems []Problem `json:"problems"`  // the first bad rows, at most 100
}

// Problem is why a row is bad.
type Problem struct {
	Line   int        `json:"line"` // where the row begins, counted from 1
	Code   fault.Code `json:"code"`
	Reason string     `json:"reason"`
}

const (
	maxProblems = 100     // bad rows that a report holds
	chunkRows   = 4096    // rows of one transaction with SkipBad,
	chunkBytes  = 8 << 20 // or fewer, when they are this long together
)

// Import stores the rows of a file: all of them, or with SkipBad the good
// ones. Rows are validated, checked and authorised like those of a request,
// and references must lead to rows that are stored.
//
// The report tells what is stored, also when there is an error: with SkipBad
// the chunks that were committed before, otherwise nothing. An import that was
// stopped says in its hint how to go on. Errors are *fault.Error.
func Import(ctx context.Context, e *engine.Engine, id policy.Identity, opt ImportOptions) (*Report, error) {
	im, err := newImporter(ctx, e, id, opt)
	if err != nil {
		return &Report{}, fault.From(err)
	}
	if opt.SkipBad {
		err = im.chunks()
	} else {
		err = im.whole(nil)
	}
	if err != nil {
		return &im.report, fault.From(err)
	}
	return &im.report, nil
}

// importer is one import on its way.
type importer struct {
	ctx context.Context //nolint:containedctx // of this one import
	e   *engine.Engine
	id  policy.Identity
	opt ImportOptions
	src source

	done   atomic.Int64 // bytes read
	report Report

	// Of the chunk, or of the whole file where there are none:
	begin, end int // lines of its first row, and of the one behind its last
	seen, size int // rows, and their bytes
	chunk      []badRow

	ended  bool
	broken *fault.Error // why no further row can be read
}

type badRow struct {
	Problem
	source string
}

func newImporter(ctx context.Context, e *engine.Engine, id policy.Identity, opt ImportOptions) (*importer, error) {
	entity, err := e.Entity(opt.Target)
	if err != nil {
		return nil, err
	}
	if _, err := opt.Format.format(); err != nil {
		return nil, err
	}
	m, err := newMapping(entity, e.Guard(id), opt.Map)
	if err != nil {
		return nil, err
	}
	im := &importer{ctx: ctx, e: e, id: id, opt: opt}
	w := newWindow(im)
	if opt.Format == CSV {
		im.src, err = newCSVSource(w, m)
	} else {
		im.src, err = newJSONSource(w, m, opt.Format == NDJSON, len(opt.OnConflict) > 0 && !opt.Ignore)
	}
	if f, ok := endingOf(err); ok {
		return nil, f
	}
	return im, err
}

// Read counts what is read of the file, and ends with the context.
func (im *importer) Read(p []byte) (int, error) {
	if err := im.ctx.Err(); err != nil {
		return 0, stoppedBy(err)
	}
	n, err := im.opt.Reader.Read(p)
	im.done.Add(int64(n))
	return n, err
}

func (im *importer) load() *engine.Load {
	l := &engine.Load{Target: im.opt.Target, Quiet: im.opt.Quiet, Columns: im.src.columns(), Next: im.next, Bad: im.refuse}
	switch {
	case im.opt.Ignore:
		l.Conflict = query.Conflict{Resolution: query.Ignore, Fields: im.opt.OnConflict}
	case len(im.opt.OnConflict) > 0:
		l.Conflict = query.Conflict{Resolution: query.Merge, Fields: im.opt.OnConflict}
	}
	if im.opt.Progress != nil {
		before := im.report.Rows
		l.Progress = func(rows int) { im.opt.Progress(im.done.Load(), im.opt.Size, before+rows) }
	}
	return l
}

// next hands out the rows of one chunk.
func (im *importer) next(row *engine.Row) error {
	for {
		if im.ended || im.opt.SkipBad && (im.seen >= chunkRows || im.size >= chunkBytes) {
			return io.EOF
		}
		*row = engine.Row{}
		err := im.src.next(row)
		if f, ok := endingOf(err); ok {
			im.ended, im.broken = true, f
			return io.EOF
		}
		im.end = im.src.nextLine()
		if errors.Is(err, io.EOF) {
			im.ended = true
			return io.EOF
		}
		if row.Line < im.opt.From {
			continue
		}
		im.seen++
		im.size += len(row.Source)
		return err
	}
}

// refuse takes a bad row.
func (im *importer) refuse(line int, source string, err error) error {
	f := fault.From(err)
	p := Problem{Line: line, Code: f.Code, Reason: f.Error()}
	if f.Hint != "" {
		p.Reason += " (" + f.Hint + ")"
	}
	im.chunk = append(im.chunk, badRow{p, source})
	if !im.opt.SkipBad && len(im.chunk) == maxProblems { // nothing can take them back
		return im.tell()
	}
	return nil
}

// tell moves the chunk's bad rows to the report and to Errors.
func (im *importer) tell() error {
	var out []byte
	if im.report.Skipped == 0 && len(im.chunk) > 0 {
		out = append(out, im.src.header()...)
	}
	for i := range im.chunk {
		b := &im.chunk[i]
		if len(im.report.Problems) < maxProblems {
			im.report.Problems = append(im.report.Problems, b.Problem)
		}
		if im.opt.Errors != nil {
			out = im.src.report(out, &b.Problem, b.source)
		}
	}
	im.report.Skipped += len(im.chunk)
	clear(im.chunk)
	im.chunk = im.chunk[:0]
	if im.opt.Errors == nil || len(out) == 0 {
		return nil
	}
	if _, err := im.opt.Errors.Write(out); err != nil {
		return fault.Wrap(err, fault.BadRequest, "the file of bad rows could not be written")
	}
	return nil
}

// whole imports the file in one transaction, which mark, when given, joins.
func (im *importer) whole(mark func(tx store.Tx, rows int) error) error {
	l := im.load()
	l.Finish = func(tx store.Tx, rows int) error {
		if err := im.tell(); err != nil {
			return err
		}
		switch {
		case im.broken != nil:
			return im.broken
		case im.report.Skipped > 0:
			return im.refused()
		case mark != nil:
			return mark(tx, rows)
		}
		return nil
	}
	rows, err := im.e.Load(im.ctx, im.id, l)
	if err != nil {
		f := im.cause(err)
		if f.Hint == "" {
			f.Hint = "nothing was stored: run it again when the cause is gone"
		}
		return f
	}
	im.report.Rows, im.report.Kept, im.report.LastLine = rows, im.seen-rows, im.end-1
	return nil
}

// refused is the fault of a file that has bad rows.
func (im *importer) refused() *fault.Error {
	const shown = 3
	rows := "rows of the file cannot be stored"
	if im.report.Skipped == 1 {
		rows = "row of the file cannot be stored"
	}
	f := fault.New(im.report.Problems[0].Code, "%d %s, so nothing was", im.report.Skipped, rows)
	for i, p := range im.report.Problems {
		switch {
		case i == shown:
			f.Details += "; ..."
		case i > shown:
		case i > 0:
			f.Details += fmt.Sprintf("; line %d: %s", p.Line, p.Reason)
		default:
			f.Details = fmt.Sprintf("line %d: %s", p.Line, p.Reason)
		}
	}
	return f.WithHint("correct them, or leave them out with --skip-bad --errors FILE")
}

// chunks imports the good rows in one transaction after the other.
func (im *importer) chunks() error {
	for !im.ended {
		im.begin = max(im.src.nextLine(), im.opt.From)
		im.seen, im.size = 0, 0
		rows, err := im.e.Load(im.ctx, im.id, im.load())
		if err != nil {
			return im.stopped(err, im.begin)
		}
		im.report.Rows += rows
		im.report.Kept += im.seen - len(im.chunk) - rows
		im.report.LastLine = im.end - 1
		if err := im.tell(); err != nil {
			return im.stopped(err, im.end)
		}
	}
	if im.broken != nil {
		return im.stopped(im.broken, im.end)
	}
	return nil
}

// stopped completes the error of an import of which a part is stored.
func (im *importer) stopped(err error, line int) error {
	f := im.cause(err)
	if f.Hint != "" {
		f.Hint += "; "
	}
	f.Hint += fmt.Sprintf("%d rows are stored: go on with --from %d", im.report.Rows, line)
	return f
}

// cause returns the error of a load as a fault of its own. Where the caller
// stopped the import, the store speaks of a statement, of which the caller
// knows nothing.
func (im *importer) cause(err error) *fault.Error {
	f := *fault.From(err)
	if f.Code == fault.QueryCanceled && im.ctx.Err() != nil {
		return stoppedBy(im.ctx.Err())
	}
	return &f
}

func stoppedBy(err error) *fault.Error {
	return fault.Wrap(err, fault.QueryCanceled, "the import was stopped")
}
