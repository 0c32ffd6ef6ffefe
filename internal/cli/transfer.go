package cli

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"strconv"
	"time"

	"github.com/schollz/progressbar/v3"
	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/server"
	"github.com/pandobase/pando/internal/transfer"
)

// importFlags are those of `pando import`.
type importFlags struct {
	format     string
	mapping    []string
	onConflict []string
	ignore     bool
	skipBad    bool
	errors     string
	from       int
}

func (r *root) importCommand() *cobra.Command {
	f := &importFlags{}
	cmd := &cobra.Command{
		Use: "import ENTITY FILE", Short: "Load rows from a CSV, JSON or NDJSON file (- for standard input)", Args: cobra.ExactArgs(2),
		Long: "Loads rows through validation and the write path, all or none. A column of the file goes into\nthe field of the same name; --map column=field names another, --map column=- leaves it out.\n\n  pando import countries countries.csv --map ident=code --on-conflict code\n\nWith --skip-bad, rows that cannot be stored are left out and written to --errors with their line\nand reason; an import that was stopped says how to go on.",
		RunE: func(cmd *cobra.Command, args []string) error {
			return r.with(cmd.Context(), true, func(c *client) error { return r.importFile(cmd.Context(), c, args[0], args[1], f) })
		},
	}
	cmd.Flags().StringVar(&f.format, "format", "", "csv, json or ndjson (default: by the file's name)")
	cmd.Flags().StringSliceVar(&f.mapping, "map", nil, "column=field, repeatable or separated by commas")
	cmd.Flags().StringSliceVar(&f.onConflict, "on-conflict", nil, "the unique key by which rows replace those that are there")
	cmd.Flags().BoolVar(&f.ignore, "ignore", false, "with --on-conflict: keep the row that is there")
	cmd.Flags().BoolVar(&f.skipBad, "skip-bad", false, "leave rows out that cannot be stored, instead of storing none")
	cmd.Flags().StringVar(&f.errors, "errors", "", "the file to write rows to that cannot be stored, with line and reason")
	cmd.Flags().IntVar(&f.from, "from", 0, "the line to go on with")
	return cmd
}

func (r *root) importFile(ctx context.Context, c *client, entity, path string, f *importFlags) (err error) {
	format, err := formatOf(f.format, path)
	if err != nil {
		return err
	}
	in, size, err := r.open(path)
	if err != nil {
		return err
	}
	defer in.Close()
	bad, err := badRows(f.errors)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, bad.Close()) }()
	q := url.Values{
		"entity": {entity}, "format": {string(format)}, "map": f.mapping, "on_conflict": f.onConflict, "from": {strconv.Itoa(f.from)},
		"skip_bad": {strconv.FormatBool(f.skipBad)}, "ignore": {strconv.FormatBool(f.ignore)}, "size": {strconv.FormatInt(size, 10)},
	}
	// A stop is asked for beside the import, which then says how far it came.
	id := rand.Text()
	q.Set("id", id)
	running, done := context.WithCancel(context.WithoutCancel(ctx))
	defer done()
	defer context.AfterFunc(ctx, func() { c.stopImport(running, id) })()
	body, err := c.call(running, "POST", "/import", q, in)
	if err != nil {
		return err
	}
	bar := r.bar(size, "importing")
	var failed error
	last, err := follow(body, func(ev *server.Event) {
		if ev.Progress != nil {
			bar.set(ev.Progress.Done)
		}
		if ev.Errors != "" && failed == nil {
			_, failed = io.WriteString(bad, ev.Errors)
		}
	})
	bar.end()
	if failed != nil {
		return failed
	}
	if last == nil || last.Report == nil {
		return err
	}
	rep := last.Report
	if err == nil || r.json || rep.Rows+rep.Kept+rep.Skipped > 0 {
		if perr := r.report(rep); perr != nil {
			return perr
		}
	}
	if stopped := (*fault.Error)(nil); !r.json && len(rep.Problems) > 0 && errors.As(err, &stopped) {
		stopped.Details = "" // the report has named the rows
	}
	return err
}

// stopImport asks until the import has heard it, or running has ended.
func (c *client) stopImport(running context.Context, id string) {
	for {
		if body, err := c.call(running, "DELETE", "/import/"+id, nil, nil); err == nil {
			_ = body.Close() // it holds nothing
			return
		}
		select {
		case <-running.Done():
			return
		case <-time.After(10 * time.Millisecond): // it has not begun
		}
	}
}

// report tells what an import did; the bad rows go to standard error.
func (r *root) report(rep *transfer.Report) error {
	if r.json {
		if rep.Problems == nil {
			rep.Problems = []transfer.Problem{}
		}
		return r.printJSON(rep)
	}
	for _, p := range rep.Problems {
		fmt.Fprintf(r.err, "line %d: %s (%s)\n", p.Line, p.Reason, p.Code)
	}
	if more := rep.Skipped - len(rep.Problems); more > 0 {
		fmt.Fprintf(r.err, "and %s more\n", count(more, "bad row", "bad rows"))
	}
	fmt.Fprintf(r.out, "%s stored", count(rep.Rows, "row", "rows"))
	if rep.Kept > 0 {
		fmt.Fprintf(r.out, ", %d kept as they were", rep.Kept)
	}
	if rep.Skipped > 0 {
		fmt.Fprintf(r.out, ", %d bad", rep.Skipped)
	}
	fmt.Fprintln(r.out)
	return nil
}

// open opens the file to import; - is standard input, whose size is unknown.
func (r *root) open(path string) (io.ReadCloser, int64, error) {
	if path == "-" {
		return io.NopCloser(r.in), 0, nil
	}
	in, err := os.Open(path) //nolint:gosec // the user names the file
	if err != nil {
		return nil, 0, fault.Wrap(err, fault.NotFound, "%s cannot be read", path).WithDetails("%s", err)
	}
	fi, err := in.Stat()
	if err != nil {
		return nil, 0, errors.Join(err, in.Close())
	}
	return in, fi.Size(), nil
}

type discard struct{ io.Writer }

func (discard) Close() error { return nil }

func badRows(path string) (io.WriteCloser, error) {
	if path == "" {
		return discard{io.Discard}, nil
	}
	return create(path)
}

func create(path string) (*os.File, error) {
	f, err := os.Create(path) //nolint:gosec // the user names the file
	if err != nil {
		return nil, fault.Wrap(err, fault.BadRequest, "%s cannot be written", path).WithDetails("%s", err)
	}
	return f, nil
}

func formatOf(flag, path string) (format transfer.Format, err error) {
	if flag != "" {
		format, err = transfer.ParseFormat(flag)
	} else {
		format, err = transfer.FormatOf(path)
	}
	if err != nil {
		f := fault.From(err)
		return "", usageError{errors.New(f.Message), f.Hint}
	}
	return format, nil
}

func (r *root) exportCommand() *cobra.Command {
	var format, file string
	cmd := &cobra.Command{
		Use: "export ENTITY", Short: "Write all rows as CSV, JSON or NDJSON", Args: cobra.ExactArgs(1),
		Long: "Writes all rows of an entity to standard output, or to --output, in the order of the primary\nkey. `pando import` reads the CSV back to the same rows.",
		RunE: func(cmd *cobra.Command, args []string) error {
			if _, err := formatOf(format, ""); err != nil {
				return err
			}
			return r.with(cmd.Context(), true, func(c *client) error {
				return r.download(cmd.Context(), c, "/export", url.Values{"entity": {args[0]}, "format": {format}}, file)
			})
		},
	}
	cmd.Flags().StringVar(&format, "format", "csv", "csv, json or ndjson")
	cmd.Flags().StringVarP(&file, "output", "o", "", "the file to write (default: standard output)")
	return cmd
}

// download writes what the node exports to a file, or to standard output
// where none is named.
func (r *root) download(ctx context.Context, c *client, path string, q url.Values, file string) (err error) {
	body, err := c.call(ctx, "GET", path, q, nil)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, body.Close()) }()
	out := r.out
	if file != "" {
		f, err := create(file)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, f.Close()) }()
		out = f
	}
	if _, err = io.Copy(out, body); err != nil {
		return fault.Wrap(err, fault.StoreUnavailable, "the export ended early: what was written is not whole")
	}
	return nil
}

// bar shows progress on a terminal and nothing elsewhere.
type bar struct{ b *progressbar.ProgressBar }

func (r *root) bar(size int64, what string) *bar {
	f, ok := r.err.(*os.File)
	if !ok || size <= 0 || !term.IsTerminal(int(f.Fd())) {
		return &bar{}
	}
	return &bar{progressbar.NewOptions64(size,
		progressbar.OptionSetWriter(f), progressbar.OptionSetDescription(what), progressbar.OptionShowBytes(true),
		progressbar.OptionThrottle(100_000_000), progressbar.OptionClearOnFinish())}
}

// rowsBar is a bar that counts rows.
func (r *root) rowsBar(rows int64, what string) *bar {
	f, ok := r.err.(*os.File)
	if !ok || rows <= 0 || !term.IsTerminal(int(f.Fd())) {
		return &bar{}
	}
	return &bar{progressbar.NewOptions64(rows,
		progressbar.OptionSetWriter(f), progressbar.OptionSetDescription(what), progressbar.OptionShowCount(), progressbar.OptionShowIts(),
		progressbar.OptionSetItsString("rows"), progressbar.OptionThrottle(100_000_000), progressbar.OptionClearOnFinish())}
}

func (b *bar) set(done int64) {
	if b.b != nil {
		_ = b.b.Set64(done) // a bar that cannot be drawn harms nothing
	}
}

func (b *bar) end() {
	if b.b != nil {
		_ = b.b.Finish()
	}
}
