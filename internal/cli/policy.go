package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/server"
)

func (r *root) policyCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "policy", Short: "Explain and test who may do what", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(r.policyExplainCommand(), r.policyTestCommand())
	return cmd
}

func (r *root) policyExplainCommand() *cobra.Command {
	var as, do, row string
	cmd := &cobra.Command{
		Use: "explain --as USER ENTITY", Short: "Show a rule, what it is for one caller, and which term says no", Args: cobra.ExactArgs(1),
		Long: "Prints the rules that are asked, with their places; what is left of them for the caller; the fields\nthat the caller reads and writes; and the SQL that would run. With --row, which term of the rules\nsays no to one stored row. It changes nothing.\n\n  pando policy explain --as ann@example.com --do update orders.orders --row 0197...",
		RunE: func(cmd *cobra.Command, args []string) error {
			if as == "" {
				return usageError{errors.New("--as is missing"), "a user's e-mail or id, anon, service, or role:NAME,..."}
			}
			q := url.Values{"as": {as}, "do": {do}, "entity": {args[0]}}
			if cmd.Flags().Changed("row") {
				q.Set("row", row)
			}
			return r.with(cmd.Context(), true, func(c *client) error { return r.policyExplain(cmd.Context(), c, q) })
		},
	}
	cmd.Flags().StringVar(&as, "as", "", "the caller: a user's e-mail or id, anon, service, or role:NAME,...")
	cmd.Flags().StringVar(&do, "do", "read", "read, create, update or delete")
	cmd.Flags().StringVar(&row, "row", "", "the primary key of a stored row")
	return cmd
}

func (r *root) policyExplain(ctx context.Context, c *client, q url.Values) error {
	var a server.PolicyAnswer
	if err := c.get(ctx, "GET", "/policy/explain", q, &a); err != nil {
		return err
	}
	if r.json {
		return r.printJSON(a)
	}
	fmt.Fprintf(r.out, "%s %s as %s\n", a.Do, a.Entity, callerText(&a.Caller))
	for i := range a.Rules {
		fmt.Fprintln(r.out)
		showRule(r.out, &a.Rules[i], "")
	}
	fmt.Fprintln(r.out)
	if err := r.showFields(&a); err != nil {
		return err
	}
	for _, sql := range a.SQL {
		fmt.Fprintf(r.out, "\nSQL: %s\n", sql)
	}
	if a.Denied != "" {
		fmt.Fprintf(r.out, "\nnothing runs: %s\n", a.Denied)
	}
	if a.Row != "" {
		fmt.Fprintf(r.out, "\nrow %s: %s\n", plainText(a.Row), a.Verdict)
	}
	return nil
}

func callerText(c *server.PolicyCaller) string {
	text := string(c.Role)
	if c.Email != "" {
		text += " " + c.Email
	}
	if c.UID != "" {
		text += " " + c.UID
	}
	if len(c.Roles) > 0 {
		text += ", roles " + strings.Join(c.Roles, " ")
	}
	return plainText(text)
}

// showRule prints a rule with its terms.
func showRule(w io.Writer, p *server.PolicyRule, indent string) {
	head := p.Rule
	if p.Place != "" {
		head += "  (" + p.Place + ")"
	} else if p.Source != "" {
		head += "  (built in)"
	}
	fmt.Fprintln(w, indent+head)
	if p.Source == "" {
		fmt.Fprintf(w, "%s  no rule is asked: %s\n", indent, plainText(p.Reason))
		return
	}
	fmt.Fprintf(w, "%s  rule    %s\n", indent, plainText(p.Source))
	for _, t := range p.Caller {
		fmt.Fprintf(w, "%s  caller  %s: %s\n", indent, plainText(t.Term), t.Answer)
	}
	fmt.Fprintf(w, "%s  left    %s\n", indent, plainText(p.Folded))
	for i, t := range p.Row {
		if t.Term == p.Folded && (t.Term == "true" || t.Term == "false") {
			continue // it says nothing of the row
		}
		term := plainText(t.Term)
		if i > 0 && i == len(p.Row)-1 {
			term = "the whole"
		}
		fmt.Fprintf(w, "%s  row     %s: %s\n", indent, term, t.Answer)
	}
}

func (r *root) showFields(a *server.PolicyAnswer) error {
	w := tabwriter.NewWriter(r.out, 0, 4, 2, ' ', 0)
	verb := "UPDATE"
	if a.Do == "create" {
		verb = "CREATE"
	}
	fmt.Fprintf(w, "FIELD\tREAD\t%s\n", verb)
	for _, f := range a.Fields {
		fmt.Fprintf(w, "%s\t%s\t%s\n", f.Name, plainText(f.Read), plainText(f.Write))
	}
	if err := w.Flush(); err != nil {
		return err
	}
	for _, f := range a.Fields {
		for _, rule := range f.Rules {
			if rule.Answer != "" {
				fmt.Fprintf(r.out, "in this row: %s %s: %s\n", rule.Rule, f.Name, rule.Answer)
			}
		}
	}
	return nil
}

func (r *root) policyTestCommand() *cobra.Command {
	return &cobra.Command{
		Use: "test [FILE...]", Short: "Run the policy tests of modules/*.test.yaml", Args: cobra.ArbitraryArgs,
		Long: "Runs the cases of modules/*.test.yaml, or of the files that are named, against the rules of the\nmodules. Each file gets a store of its own, which is thrown away; the application's is not touched.\nExits with 1 when a case fails. `pando schema tests` prints the format for editors.",
		RunE: func(cmd *cobra.Command, args []string) error { return r.policyTest(cmd.Context(), args) },
	}
}

func (r *root) policyTest(ctx context.Context, files []string) error {
	app, err := server.Load(r.dir, r.env)
	if err != nil {
		return err
	}
	tests, err := app.CheckTests(files...)
	if err != nil {
		return err
	}
	if len(tests) == 0 {
		return fault.New(fault.NotFound, "there are no policy tests").WithHint("write some in modules/NAME.test.yaml; docs/policies.md has an example")
	}
	rep, err := app.TestPolicies(ctx, tests)
	if err != nil {
		return err
	}
	if r.json {
		if err := r.printJSON(rep); err != nil {
			return err
		}
	} else {
		r.showTests(rep)
	}
	if rep.Failed > 0 {
		return silentError{errors.New("policy tests failed")}
	}
	return nil
}

func (r *root) showTests(rep *server.TestReport) {
	for i := range rep.Results {
		t := &rep.Results[i]
		if t.OK {
			continue
		}
		fmt.Fprintf(r.out, "%s:%d:%d: %s: expected %s, got %s\n", t.File, t.Line, t.Column, t.Case, t.Expect, plainText(t.Got))
		if t.Detail != "" {
			fmt.Fprintln(r.out, "  "+plainText(t.Detail))
		}
		for j := range t.Explain {
			showRule(r.out, &t.Explain[j], "  ")
		}
	}
	state := "all pass"
	if rep.Failed > 0 {
		state = count(rep.Failed, "fails", "fail")
	}
	fmt.Fprintf(r.out, "%s, %s\n", count(rep.Cases, "case", "cases"), state)
}
