package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/pandobase/pando/internal/fault"
	"github.com/pandobase/pando/internal/model"
	"github.com/pandobase/pando/internal/server"
)

// usageError is a command line that cannot be understood: exit code 2.
type usageError struct {
	err  error
	hint string
}

func (e usageError) Error() string { return e.err.Error() }

func (e usageError) Unwrap() error { return e.err }

// silentError is an error that was shown already.
type silentError struct{ error }

// strict makes wrong arguments and flags usage errors, with the nearest valid
// one as hint, in every command below c too.
func strict(c *cobra.Command) {
	c.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error { return usageError{err, flagHint(cmd, err)} })
	if check := c.Args; check != nil {
		c.Args = func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 && cmd.HasAvailableSubCommands() && len(cmd.ValidArgs) == 0 {
				return unknownCommand(cmd, args[0], nil)
			}
			err := check(cmd, args)
			if err == nil {
				return nil
			}
			if len(args) > 0 && len(cmd.ValidArgs) > 0 {
				return unknownCommand(cmd, args[0], cmd.ValidArgs)
			}
			if len(args) > 0 && strings.HasPrefix(err.Error(), "unknown command") { // what cobra.NoArgs says
				err = fmt.Errorf("unexpected argument %q", args[0])
			}
			return usageError{err, "usage: " + cmd.UseLine()}
		}
	}
	for _, sub := range c.Commands() {
		strict(sub)
	}
}

// unknownCommand names the nearest of a command's subcommands and arguments.
func unknownCommand(cmd *cobra.Command, word string, valid []string) error {
	for _, sub := range cmd.Commands() {
		if sub.IsAvailableCommand() {
			valid = append(valid, sub.Name())
		}
	}
	kind := "command"
	if !cmd.HasAvailableSubCommands() {
		kind = "argument"
	}
	hint := "usage: " + cmd.UseLine()
	if len(valid) > 0 {
		hint = "one of: " + strings.Join(valid, ", ")
	}
	if near := fault.Nearest(word, valid); near != "" {
		hint = "did you mean `" + cmd.CommandPath() + " " + near + "`?"
	}
	return usageError{fmt.Errorf("unknown %s %q for %q", kind, word, cmd.CommandPath()), hint}
}

func flagHint(cmd *cobra.Command, err error) string {
	var unknown *pflag.NotExistError
	if errors.As(err, &unknown) && unknown.GetSpecifiedShortnames() == "" {
		var names []string
		cmd.Flags().VisitAll(func(f *pflag.Flag) { names = append(names, f.Name) })
		if near := fault.Nearest(unknown.GetSpecifiedName(), names); near != "" {
			return "did you mean --" + near + "?"
		}
	}
	return "see `" + cmd.CommandPath() + " --help`"
}

// failure is an error as --json gives it, on standard error.
type failure struct {
	Code     string    `json:"code"`
	Message  string    `json:"message"`
	Details  string    `json:"details,omitempty"`
	Hint     string    `json:"hint,omitempty"`
	Problems []finding `json:"problems,omitempty"`
}

// finding is a problem as --json gives it.
type finding struct {
	File    string `json:"file"`
	Line    int    `json:"line"`
	Column  int    `json:"column"`
	Message string `json:"message"`
	Hint    string `json:"hint,omitempty"`
}

func findings(invalid *server.InvalidError) []finding {
	if invalid == nil {
		return found(nil)
	}
	return found(invalid.Problems)
}

func found(problems []model.Problem) []finding {
	list := []finding{}
	for _, p := range problems {
		list = append(list, finding{p.File, p.Line, p.Column, p.Message, p.Hint})
	}
	return list
}

// show prints an error for a person, or as one line of JSON for a script.
func (r *root) show(err error) {
	fail, cause := explain(err)
	if r.json {
		_ = json.NewEncoder(r.err).Encode(fail) // there is nowhere left to report to
		return
	}
	if len(fail.Problems) > 0 {
		fmt.Fprintln(r.err, fail.Details)
		return
	}
	fmt.Fprintln(r.err, "pando:", fail.Message)
	if fail.Details != "" {
		fmt.Fprintln(r.err, "  "+strings.ReplaceAll(fail.Details, "\n", "\n  "))
	}
	if fail.Hint != "" {
		fmt.Fprintln(r.err, "  hint: "+fail.Hint)
	}
	if cause != nil {
		fmt.Fprintln(r.err, "  cause:", cause)
	}
}

// explain makes an error presentable; the cause is only for internal ones.
func explain(err error) (failure, error) {
	if usage, ok := errors.AsType[usageError](err); ok {
		return failure{Code: "usage", Message: usage.Error(), Hint: usage.hint}, nil
	}
	if invalid, ok := errors.AsType[*server.InvalidError](err); ok {
		f := invalid.Fault()
		return failure{Code: string(f.Code), Message: f.Message, Details: f.Details, Problems: findings(invalid)}, nil
	}
	var f *fault.Error
	if !errors.As(err, &f) {
		return failure{Code: string(fault.Internal), Message: err.Error()}, nil
	}
	fail := failure{Code: string(f.Code), Message: f.Message, Details: f.Details, Hint: f.Hint}
	if f.Code == fault.Internal {
		return fail, f.Cause
	}
	return fail, nil
}
