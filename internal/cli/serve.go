package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/pandobase/pando/examples"
	"github.com/pandobase/pando/internal/model"
	"github.com/pandobase/pando/internal/server"
)

// addresses are the flags of everything that serves.
type addresses struct {
	listen, ops string
	drain, wait time.Duration
}

func (a *addresses) flags(cmd *cobra.Command) {
	cmd.Flags().StringVar(&a.listen, "listen", "", "the public address, host:port; port 0 takes a free one (default from pando.yaml: 127.0.0.1:7263)")
	cmd.Flags().StringVar(&a.ops, "ops", "", "the address of /healthz, /readyz and /metrics (default from pando.yaml: 127.0.0.1:7264)")
}

func (r *root) serveCommand() *cobra.Command {
	a := &addresses{}
	cmd := &cobra.Command{
		Use: "serve", Short: "Serve the application", Args: cobra.NoArgs,
		Long: "Serves the application until SIGTERM or SIGINT; then /readyz turns false, what runs is\nfinished, and it exits with 0.",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := r.complete(); err != nil {
				return err
			}
			return server.Serve(cmd.Context(), r.serveOptions(a, r.dir, false, nil))
		},
	}
	a.flags(cmd)
	cmd.Flags().DurationVar(&a.drain, "drain", 0, "how long to go on serving after /readyz turned false")
	cmd.Flags().DurationVar(&a.wait, "wait", 0, "how long to wait at the start for a store that cannot be reached; /readyz is 503 meanwhile")
	return cmd
}

// complete loads the application and refuses it where Check has something against it.
func (r *root) complete() error {
	if r.opt.Check == nil {
		return nil
	}
	app, err := server.Load(r.dir, r.env)
	if err != nil {
		return err
	}
	if problems := r.opt.Check(app.Model); len(problems) > 0 {
		return &server.InvalidError{Problems: problems}
	}
	return nil
}

func (r *root) serveOptions(a *addresses, dir string, watch bool, ready func(*server.Running)) server.ServeOptions {
	note := func(line string) { fmt.Fprintln(r.out, line) }
	opt := server.Options{Dir: dir, Env: r.env, Note: note, HashWorker: hashWorker, Go: r.opt.Go}
	if watch { // the links and codes in mails are secrets: only a developer's terminal shows them
		opt.Mail = note
	}
	return server.ServeOptions{
		Options: opt,
		Listen:  a.listen, Ops: a.ops, Output: r.err, Version: r.version, Drain: a.drain, Wait: a.wait, Watch: watch,
		Ready: func(run *server.Running) {
			fmt.Fprintln(r.out, "listening on "+run.URL)
			if run.Ops != "" {
				fmt.Fprintln(r.out, "operations on "+run.Ops)
			}
			if ready != nil {
				ready(run)
			}
		},
	}
}

func (r *root) devCommand() *cobra.Command {
	a := &addresses{}
	cmd := &cobra.Command{
		Use: "dev", Short: "Serve the application and reload it when its files change", Args: cobra.NoArgs,
		Long: "Serves like `serve`, reloads when a file changes, keeps serving the last good application\nwhile a file is broken, and prints what is wrong with it. Renames and type changes that lose\nnothing are applied on their own too.",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := r.complete(); err != nil {
				return err
			}
			return server.Serve(cmd.Context(), r.serveOptions(a, r.dir, true, func(run *server.Running) {
				fmt.Fprintf(r.out, "docs on %s/docs\ngraphiql on %s/graphql\n\n", run.URL, run.URL)
				if e := firstEntity(run.Node.Application().Model); e != nil {
					fmt.Fprintf(r.out, "try:  curl -H \"apikey: $(pando%s keys secret)\" %s/rest/v1/%s\n\n", r.dirFlag(), run.URL, e.Name)
				}
			}))
		},
	}
	a.flags(cmd)
	return cmd
}

// dirFlag repeats -C in a command that is printed.
func (r *root) dirFlag() string {
	if r.dir == "." {
		return ""
	}
	return " -C " + r.dir
}

func firstEntity(app *model.App) *model.Entity {
	for _, m := range app.Modules {
		for _, e := range m.Entities {
			if !m.Builtin {
				return e
			}
		}
	}
	return nil
}

func (r *root) demoCommand() *cobra.Command {
	a := &addresses{}
	var dir string
	cmd := &cobra.Command{
		Use: "demo", Short: "Serve the example shop, seeded", Args: cobra.NoArgs,
		Long: "Writes the example shop to a temporary folder, loads its seeds, serves it, and prints its\nURLs, keys and three requests to try. The folder is removed at the end; --keep DIR keeps it.",
		RunE: func(cmd *cobra.Command, _ []string) error { return r.demo(cmd.Context(), a, dir) },
	}
	a.flags(cmd)
	cmd.Flags().StringVar(&dir, "keep", "", "the folder to write the shop to, and to keep")
	return cmd
}

func (r *root) demo(ctx context.Context, a *addresses, dir string) (err error) {
	if dir == "" {
		if dir, err = os.MkdirTemp("", "pando-demo-"); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	}
	if err := writeShop(dir); err != nil {
		return err
	}
	if a.listen == "" {
		a.listen = freeUnlessDefault("127.0.0.1:7263")
	}
	if a.ops == "" {
		a.ops = freeUnlessDefault("127.0.0.1:7264")
	}
	opt := r.serveOptions(a, dir, true, nil)
	opt.Note = func(line string) {
		if !strings.HasPrefix(line, "seeded") {
			fmt.Fprintln(r.out, line)
		}
	}
	opt.Ready = func(run *server.Running) { r.tour(run, dir) }
	return server.Serve(ctx, opt)
}

// tour prints what a newcomer can do with the demo.
func (r *root) tour(run *server.Running, dir string) {
	pub, secret := run.Node.Keys().Pair()
	fmt.Fprint(r.out, strings.NewReplacer("DIR", dir, "URL", run.URL, "OPS", run.Ops, "PUB", pub, "SECRET", secret).Replace(demoTour))
}

const demoTour = `The example shop is served from DIR

  API          URL/rest/v1
  identity     URL/auth/v1
  docs         URL/docs
  operations   OPS
  publishable  PUB
  secret       SECRET

Try what everybody may read, with the key that may stand in an app's source:

  curl -H 'apikey: PUB' 'URL/rest/v1/products?select=sku,name,price,category(name)&price=lt.12&order=price.desc'

Sign up and write a review, which is yours alone to change:

  TOKEN=$(curl -s -H 'apikey: PUB' -H 'content-type: application/json' \
       -d '{"email":"ann@shop.example","password":"correct horse battery staple"}' 'URL/auth/v1/signup' |
       sed 's/.*"access_token":"\([^"]*\)".*/\1/')
  curl -H 'apikey: PUB' -H "authorization: Bearer $TOKEN" -H 'content-type: application/json' -H 'prefer: return=representation' \
       -d '{"product_id":"01980002-0000-7000-8000-000000000001","stars":5,"text":"Every morning."}' 'URL/rest/v1/reviews'

Place an order. The operation is TypeScript, in one transaction with what it takes from the stock; a job
confirms the order behind it:

  curl -H 'apikey: PUB' -H "authorization: Bearer $TOKEN" -H 'content-type: application/json' \
       -d '{"email":"ann@shop.example","name":"Ann","lines":[{"product_id":"01980002-0000-7000-8000-000000000001","qty":2}]}' 'URL/rest/v1/rpc/place'

Read what only the staff may, with the secret key, which no policy binds; the audit trail has it all:

  curl -H 'apikey: SECRET' 'URL/rest/v1/orders?select=number,status,total,customer(name),lines(qty,product(name))&status=eq.paid&limit=2'
  curl -H 'apikey: SECRET' 'URL/audit/v1/records?limit=3'

Ctrl-C stops it.
`

// freeUnlessDefault is the default address, or a free one where that is taken.
func freeUnlessDefault(addr string) string {
	l, err := net.Listen("tcp", addr) //nolint:noctx // closed at once
	if err != nil {
		return "127.0.0.1:0"
	}
	_ = l.Close()
	return addr
}

// writeShop writes the example shop, leaving what is there already.
func writeShop(dir string) error {
	shop := examples.Shop()
	return fs.WalkDir(shop, ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		to := filepath.Join(dir, filepath.FromSlash(path))
		if d.IsDir() {
			return os.MkdirAll(to, 0o755) //nolint:gosec // an application's sources are no secret
		}
		if _, err := os.Stat(to); err == nil {
			return nil
		}
		data, err := fs.ReadFile(shop, path)
		if err != nil {
			return err
		}
		return os.WriteFile(to, data, 0o644) //nolint:gosec // the same
	})
}
