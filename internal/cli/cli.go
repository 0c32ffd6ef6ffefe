// Package cli is the command line. Every command works on the application in a
// folder; those that touch its store go through the socket of the node that
// runs on it, or open the store themselves when none does, so that there is
// only ever one process that writes.
//
// Exit codes: 0 done; 1 it failed, and standard error says why; 2 the command
// line itself is wrong.
package cli

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"slices"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/pandobase/pando/internal/model"
	"github.com/pandobase/pando/internal/operations"
)

// root is what all commands share.
type root struct {
	opt Options

	dir     string
	json    bool
	version string
	env     []string
	in      io.Reader
	out     io.Writer
	err     io.Writer
}

// Options say what a command line is for.
type Options struct {
	Version string
	Dir     string   // the default of -C; default: .
	Env     []string // PANDO_* settings; default: os.Environ()
	// Go holds the code of the application that is written in Go, by module.name.
	Go map[string]operations.Func
	// Check lists what is wrong with an application beside what its files say, before
	// it is served; nil: nothing.
	Check func(*model.App) []model.Problem
}

// Main runs a command line of pando and returns its exit code.
func Main(args []string, version string) int { return Run(args, Options{Version: version}) }

// Run runs a command line and returns its exit code.
func Run(args []string, opt Options) int {
	if slices.Equal(args, []string{hashCommand}) {
		return hashPasswords()
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	// A second Ctrl-C ends what the first one waits for. Not at once: what runs a
	// command often sends its signal to the process and to its group.
	context.AfterFunc(ctx, func() { time.AfterFunc(time.Second, stop) })
	r := &root{opt: opt, version: buildVersion(opt.Version), env: opt.Env, in: os.Stdin, out: os.Stdout, err: os.Stderr}
	if r.env == nil {
		r.env = os.Environ()
	}
	cmd := r.command()
	cmd.SetArgs(args)
	err := cmd.ExecuteContext(ctx)
	if err == nil {
		return 0
	}
	if _, silent := errors.AsType[silentError](err); !silent {
		r.show(err)
	}
	if _, usage := errors.AsType[usageError](err); usage {
		return 2
	}
	return 1
}

func (r *root) command() *cobra.Command {
	cmd := &cobra.Command{
		Use:           "pando",
		Short:         "A complete application backend in one binary",
		Long:          "Pando serves an application that is written as YAML modules: entities, relations and\npolicies become a secure, documented API.\n\nStart with: pando demo, or pando init shop && cd shop && pando dev",
		Version:       r.version,
		SilenceUsage:  true,
		SilenceErrors: true,
		Args:          cobra.NoArgs,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.SetVersionTemplate("pando {{.Version}}\n")
	cmd.SetOut(r.out)
	cmd.SetErr(r.err)
	cmd.PersistentFlags().StringVarP(&r.dir, "dir", "C", cmp.Or(r.opt.Dir, "."), "the application's folder")
	cmd.PersistentFlags().BoolVar(&r.json, "json", false, "answer as JSON, for scripts")
	cmd.AddCommand(
		r.initCommand(), r.devCommand(), r.serveCommand(), r.demoCommand(), r.checkCommand(), r.secretsCommand(), r.jobsCommand(), r.eventsCommand(), r.webhooksCommand(), r.schemaCommand(), r.typesCommand(), r.clientCommand(), r.genCommand(), r.openapiCommand(), r.protoCommand(), r.graphqlCommand(),
		r.migrateCommand(), r.moveCommand(), r.importCommand(), r.exportCommand(), r.keysCommand(), r.usersCommand(), r.policyCommand(), r.auditCommand(), r.adviseCommand(), r.apiCommand(), r.diffCommand(), r.pullCommand(), r.versionCommand(),
	)
	cmd.InitDefaultCompletionCmd() // now, so that strict covers it
	for _, c := range cmd.Commands() {
		if c.Name() == "completion" { // cobra checks the arguments of what it can run only
			c.RunE = func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
		}
	}
	strict(cmd)
	return cmd
}

func (r *root) printJSON(v any) error {
	enc := json.NewEncoder(r.out)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}

// printLine writes one line of JSON, for those who follow a long command.
func (r *root) printLine(v any) error { return json.NewEncoder(r.out).Encode(v) }

func buildVersion(linked string) string {
	if linked != "" {
		return linked
	}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "(devel)"
}

func (r *root) versionCommand() *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "Print the version", Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			if r.json {
				return r.printJSON(map[string]string{"version": r.version, "go": runtime.Version(), "platform": runtime.GOOS + "/" + runtime.GOARCH})
			}
			fmt.Fprintf(r.out, "pando %s %s %s/%s\n", r.version, runtime.Version(), runtime.GOOS, runtime.GOARCH)
			return nil
		},
	}
}
