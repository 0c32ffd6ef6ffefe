package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/pandobase/pando/internal/audit"
	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/server"
)

func (r *root) auditCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "audit", Short: "Search, verify and export the audit trail", Args: cobra.NoArgs,
		Long: "The audit trail has a record of every write, of every refusal of a known caller and of every\nevent of identity. Records are chained by their hashes: `pando audit verify` finds what was changed\nor removed, and with an anchor that was kept elsewhere, what was rewritten or cut off.",
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(r.auditSearchCommand(), r.auditVerifyCommand(), r.auditExportCommand(), r.auditAnchorCommand(), r.auditEraseCommand())
	return cmd
}

// auditFilter are the flags that choose records.
type auditFilter struct{ values map[string]*string }

func (f *auditFilter) add(cmd *cobra.Command) {
	f.values = map[string]*string{}
	for _, flag := range []struct{ name, usage string }{
		{"actor", "who did it: a user's id, or an API key's"},
		{"entity", "of which entity: module.entity"},
		{"key", "of which row, with --entity"},
		{"action", "what was done: create, update, delete, read, auth.*, ..."},
		{"outcome", "allowed or denied"},
		{"door", "through which door: rest, auth, cli, ..."},
		{"from", "not before this time or day"},
		{"to", "before this time or day"},
	} {
		f.values[flag.name] = cmd.Flags().String(flag.name, "", flag.usage)
	}
}

func (f *auditFilter) query() url.Values {
	q := url.Values{}
	for name, v := range f.values {
		if *v != "" {
			q.Set(name, *v)
		}
	}
	return q
}

func (r *root) auditSearchCommand() *cobra.Command {
	var filter auditFilter
	var limit int
	var before int64
	cmd := &cobra.Command{
		Use: "search", Short: "Show records, the newest first", Args: cobra.NoArgs,
		Long: "Shows records, the newest first. The search is itself put on record.\n\n  pando audit search --entity shop.orders --key 0197... --from 2026-01-02",
		RunE: func(cmd *cobra.Command, _ []string) error {
			q := filter.query()
			q.Set("limit", strconv.Itoa(limit))
			if before > 0 {
				q.Set("before", strconv.FormatInt(before, 10))
			}
			return r.with(cmd.Context(), false, func(c *client) error { return r.auditSearch(cmd.Context(), c, q) })
		},
	}
	filter.add(cmd)
	cmd.Flags().IntVar(&limit, "limit", audit.DefaultLimit, "the most records, up to 1000")
	cmd.Flags().Int64Var(&before, "before", 0, "go on before the record with this id")
	return cmd
}

func (r *root) auditSearch(ctx context.Context, c *client, q url.Values) error {
	var page audit.Page
	if err := c.get(ctx, "GET", "/audit/records", q, &page); err != nil {
		return err
	}
	if r.json {
		return r.printJSON(page)
	}
	w := tabwriter.NewWriter(r.out, 0, 4, 2, ' ', 0)
	fmt.Fprintln(w, "ID\tTIME\tACTOR\tACTION\tENTITY\tKEY\tOUTCOME\tDOOR")
	for _, rec := range page.Records {
		fmt.Fprintf(w, "%d\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", rec.ID, rec.Time.Format("2006-01-02T15:04:05Z"),
			dash(auditActor(rec)), rec.Action, dash(rec.Entity), dash(auditKeys(rec)), rec.Outcome, dash(rec.Door))
	}
	if err := w.Flush(); err != nil {
		return err
	}
	if page.Next > 0 {
		fmt.Fprintf(r.err, "there are more: go on with --before %d\n", page.Next)
	}
	return nil
}

func dash(s string) string {
	if s == "" {
		return "-"
	}
	return plainText(s)
}

// plainText keeps what a caller chose from steering the terminal.
func plainText(s string) string {
	return strings.Map(func(c rune) rune {
		if c < ' ' || c >= 0x7f && c < 0xa0 {
			return '\uFFFD'
		}
		return c
	}, s)
}

func auditActor(rec *audit.Record) string {
	switch {
	case rec.UID != "":
		return rec.UID
	case rec.Key != "":
		return rec.Key
	}
	return rec.Role
}

func auditKeys(rec *audit.Record) string {
	switch len(rec.Keys) {
	case 0:
		return ""
	case 1:
		return rec.Keys[0]
	}
	return fmt.Sprintf("%d rows", rec.Rows)
}

func (r *root) auditVerifyCommand() *cobra.Command {
	var anchor string
	cmd := &cobra.Command{
		Use: "verify", Short: "Prove that no record was changed, removed or added", Args: cobra.NoArgs,
		Long: "Recomputes the hash of every record and every seal and names the first that is not as it was\nwritten. With --anchor, the trail is compared with what `pando audit anchor` wrote elsewhere:\nthat finds a trail that was cut off or rewritten as a whole. Exits with 1 when something is wrong.",
		RunE: func(cmd *cobra.Command, _ []string) error {
			return r.with(cmd.Context(), false, func(c *client) error { return r.auditVerify(cmd.Context(), c, anchor) })
		},
	}
	cmd.Flags().StringVar(&anchor, "anchor", "", "the file with the checkpoints (- for standard input)")
	return cmd
}

func (r *root) auditVerify(ctx context.Context, c *client, anchor string) error {
	var in io.Reader = strings.NewReader("")
	if anchor != "" {
		f, _, err := r.open(anchor)
		if err != nil {
			return err
		}
		defer f.Close()
		in = f
	}
	body, err := c.call(ctx, "POST", "/audit/verify", nil, in)
	if err != nil {
		return err
	}
	defer func() { _ = body.Close() }()
	var rep audit.Report
	if err := json.NewDecoder(body).Decode(&rep); err != nil {
		return fault.Wrap(err, fault.StoreUnavailable, "the node went away before the trail was verified")
	}
	if r.json {
		if err := r.printJSON(rep); err != nil {
			return err
		}
	} else {
		r.showReport(&rep)
	}
	if rep.OK {
		return nil
	}
	return silentError{errors.New("the audit trail is not whole")}
}

func (r *root) showReport(rep *audit.Report) {
	for _, f := range rep.Findings {
		fmt.Fprintf(r.err, "%s: %s\n", f.Kind, f.Message)
	}
	if rep.More > 0 {
		fmt.Fprintf(r.err, "and %s more\n", count(rep.More, "finding", "findings"))
	}
	if rep.Unsealed > 0 {
		fmt.Fprintf(r.err, "%s behind the last seal, from record %d on: nothing proves them yet\n", count(int(rep.Unsealed), "record lies", "records lie"), rep.FirstUnsealed)
	}
	state := "the audit trail is whole"
	if !rep.OK {
		state = "the audit trail is NOT whole"
	}
	fmt.Fprintf(r.out, "%s: %s, %s, %s\n", state, count(int(rep.Records), "record", "records"), count(int(rep.Seals), "seal", "seals"),
		count(rep.Anchors, "anchor agrees", "anchors agree"))
}

func (r *root) auditExportCommand() *cobra.Command {
	var filter auditFilter
	var format, file string
	cmd := &cobra.Command{
		Use: "export", Short: "Write records as NDJSON or CloudEvents, the oldest first", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			q := filter.query()
			q.Set("format", format)
			return r.with(cmd.Context(), false, func(c *client) error { return r.download(cmd.Context(), c, "/audit/export", q, file) })
		},
	}
	filter.add(cmd)
	cmd.Flags().StringVar(&format, "format", string(audit.NDJSON), "ndjson, cloudevents (one a line) or batch (a JSON array of events)")
	cmd.Flags().StringVarP(&file, "output", "o", "", "the file to write (default: standard output)")
	return cmd
}

func (r *root) auditAnchorCommand() *cobra.Command {
	var to string
	cmd := &cobra.Command{
		Use: "anchor", Short: "Write a signed checkpoint of the trail, to be kept elsewhere", Args: cobra.NoArgs,
		Long: "Adds one line to a file: where the trail ends now, and its hash, signed. Keep the file where\nwho can change the database cannot change it; `pando audit verify --anchor FILE` compares.",
		RunE: func(cmd *cobra.Command, _ []string) error {
			return r.with(cmd.Context(), false, func(c *client) error { return r.auditAnchor(cmd.Context(), c, to) })
		},
	}
	cmd.Flags().StringVar(&to, "to", "-", "the file to add the line to (- for standard output)")
	return cmd
}

func (r *root) auditAnchor(ctx context.Context, c *client, to string) (err error) {
	var cp audit.Checkpoint
	if err := c.get(ctx, "POST", "/audit/anchor", nil, &cp); err != nil {
		return err
	}
	var line bytes.Buffer
	if err := json.NewEncoder(&line).Encode(cp); err != nil {
		return err
	}
	if to == "-" {
		_, err := r.out.Write(line.Bytes())
		return err
	}
	f, err := os.OpenFile(to, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o644) //nolint:gosec // the user names the file, and it holds no secret
	if err != nil {
		return fault.Wrap(err, fault.BadRequest, "%s cannot be written", to).WithDetails("%s", err)
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if _, err := f.Write(line.Bytes()); err != nil {
		return fault.Wrap(err, fault.BadRequest, "%s cannot be written", to).WithDetails("%s", err)
	}
	if err := f.Sync(); err != nil {
		return fault.Wrap(err, fault.BadRequest, "%s cannot be written", to).WithDetails("%s", err)
	}
	if r.json {
		return r.printJSON(cp)
	}
	fmt.Fprintf(r.out, "anchored seal %d, up to record %d, in %s\n", cp.Seal, cp.Record, to)
	return nil
}

func (r *root) auditEraseCommand() *cobra.Command {
	return &cobra.Command{
		Use: "erase USER", Short: "Delete the key of a user's personal values in the trail, for ever", Args: cobra.ExactArgs(1),
		Long: "Deletes the key under which the personal values of a user (addresses, e-mail, values of their\nrows) lie in the trail. They are lost, in copies of the database made from now on; the records stay,\nand the chain verifies as before. USER is the user's id, or day:2026-01-02 for the callers of a day\nwho were no users. The erasure is itself put on record.",
		RunE: func(cmd *cobra.Command, args []string) error {
			return r.with(cmd.Context(), false, func(c *client) error {
				var done server.Erased
				if err := c.get(cmd.Context(), "DELETE", "/audit/subjects/"+url.PathEscape(args[0]), nil, &done); err != nil {
					return err
				}
				switch {
				case r.json:
					return r.printJSON(done)
				case done.Erased:
					fmt.Fprintln(r.out, "erased the personal values of", plainText(done.Subject))
				default:
					fmt.Fprintln(r.out, "there were no personal values of", plainText(done.Subject))
				}
				return nil
			})
		},
	}
}
