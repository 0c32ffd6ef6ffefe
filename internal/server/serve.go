package server

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"time"

	auditdoor "github.com/pandobase/pando/internal/api/audit"
	functionsdoor "github.com/pandobase/pando/internal/api/functions"
	graphqldoor "github.com/pandobase/pando/internal/api/graphql"
	hooksdoor "github.com/pandobase/pando/internal/api/hooks"
	jobsdoor "github.com/pandobase/pando/internal/api/jobs"
	"github.com/pandobase/pando/internal/api/openapi"
	"github.com/pandobase/pando/internal/api/rpc"
	"github.com/pandobase/pando/internal/edge"
	"github.com/pandobase/pando/internal/lifecycle"
	"github.com/pandobase/pando/internal/model"
	"github.com/pandobase/pando/internal/telemetry"
)

// ServeOptions say how a node serves.
type ServeOptions struct {
	Options
	Listen  string // overrides pando.yaml; port 0 takes a free one
	Ops     string
	Output  io.Writer // the logs; required
	Version string
	// Wait is how long a store that is not there is waited for at the start.
	Wait time.Duration
	// Drain is how long the node goes on serving after /readyz turned false.
	Drain time.Duration
	// Watch reloads the application when its files change.
	Watch bool
	// Ready is called once everything listens.
	Ready func(*Running)
}

// Running is a node that serves.
type Running struct {
	Node *Node
	// URL and Ops are the addresses that are listened on, with their schemes.
	URL string
	Ops string
}

// Serve opens the application and serves it until ctx ends, then lets what
// runs finish. A nil error is an orderly end.
func Serve(ctx context.Context, opt ServeOptions) error {
	tuneMemory(opt.Env)
	app, err := Load(opt.Dir, opt.Env)
	if err != nil {
		return err
	}
	cfg := app.Model.Config
	out := &masked{out: opt.Output}
	logs, err := openLogs(cfg.Log, out)
	if err != nil {
		return err
	}
	opt.Log = logs.log
	defer func() { _ = logs.access.Close() }() // a log that cannot be written has nowhere to say so
	tel, err := telemetry.New(ctx, telemetry.Config{Version: opt.Version, Logger: logs.log})
	if err != nil {
		return err
	}
	if opt.DB, err = tel.NewDB(app.storeSystem()); err != nil {
		return errors.Join(err, tel.Close(ctx))
	}
	opt.Meter = tel.Meter()
	at, err := findAddress(ctx, &cfg, opt.Listen)
	if err != nil {
		return errors.Join(err, tel.Close(ctx))
	}
	defer func() { _ = at.close() }() // the edge has closed it, unless it never took it over
	opt.Migrate, opt.Work, opt.Convert, opt.Develop, opt.URL = true, true, opt.Watch, opt.Watch, at.url
	w := &waiting{ops: cfg.Ops, log: logs.log, note: opt.Note, until: time.Now().Add(opt.Wait)}
	if opt.Ops != "" {
		w.ops = opt.Ops
	}
	if opt.Wait > 0 {
		opt.Await = w.wait
	}
	node, err := open(ctx, opt.Options, app)
	err = errors.Join(err, w.end())
	if err != nil {
		return errors.Join(err, tel.Close(ctx))
	}
	out.use(node.secrets)
	if opt.Watch {
		if err := app.WriteLock(); err != nil {
			return errors.Join(err, node.Close(context.WithoutCancel(ctx)))
		}
	}
	if err := errors.Join(node.observeReplicas(tel), node.observeJobs(tel.Meter())); err != nil {
		return errors.Join(err, node.Close(context.WithoutCancel(ctx)))
	}
	front, err := edge.New(edgeConfig(cfg, &opt, at, node, tel, logs))
	if err != nil {
		return errors.Join(err, node.Close(context.WithoutCancel(ctx)))
	}
	group := lifecycle.New(parts(node, front, tel, &opt)...)
	if err := group.Start(ctx); err != nil {
		return err
	}
	for _, part := range node.Application().Model.Inactive {
		logs.log.Info("declared, checked and not active in this build", "part", part)
	}
	scheme := "http"
	if cfg.TLS.Cert != "" {
		scheme = "https"
	}
	if opt.Ready != nil {
		opt.Ready(&Running{Node: node, URL: scheme + "://" + front.Addr().String(), Ops: opsURL(front)})
	}
	var failed error
	select {
	case <-ctx.Done():
	case failed = <-group.Failed():
	}
	logs.log.Info("stopping: what runs is finished first")
	stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), opt.Drain+cfg.Limits.Timeout+10*time.Second)
	defer cancel()
	return errors.Join(failed, group.Stop(stop))
}

func opsURL(front *edge.Server) string {
	if front.OpsAddr() == nil {
		return ""
	}
	return "http://" + front.OpsAddr().String()
}

// parts is the order of the start; the stop runs it backwards.
func parts(node *Node, front *edge.Server, tel *telemetry.Telemetry, opt *ServeOptions) []lifecycle.Part {
	socket := &socket{node: node}
	list := []lifecycle.Part{
		{Name: "telemetry", Stop: tel.Close},
		{Name: "store", Stop: node.Close},
		{Name: "socket", Start: func(ctx context.Context, _ lifecycle.Life) error { return socket.start(ctx) }, Stop: socket.stop},
	}
	if opt.Watch {
		list = append(list, lifecycle.Background("watch", func(life lifecycle.Life) { watch(life.Intake, node) }))
	}
	return append(list, lifecycle.Part{
		Name:  "edge",
		Start: func(ctx context.Context, life lifecycle.Life) error { return front.Start(ctx, life) },
		Stop:  front.Stop,
	}, lifecycle.Part{
		Name:  "work",
		Start: func(ctx context.Context, _ lifecycle.Life) error { return node.startWork(ctx) },
		Stop:  node.stopWork,
	}, lifecycle.Part{
		Name:  "late indexes", // behind the edge: the node is ready without them
		Start: func(ctx context.Context, _ lifecycle.Life) error { node.late.start(ctx); return nil },
		Stop:  func(context.Context) error { node.late.stop(); return nil },
	})
}

func edgeConfig(cfg model.Config, opt *ServeOptions, at *address, node *Node, tel *telemetry.Telemetry, logs *logs) edge.Config {
	ops := cfg.Ops
	if opt.Ops != "" {
		ops = opt.Ops
	}
	config := edge.Config{
		Listen: at.listen, Listener: at.listener, Ops: ops,
		TLS:     edge.TLS{Cert: cfg.TLS.Cert, Key: cfg.TLS.Key},
		Limits:  edge.Limits{Body: cfg.Limits.Body, Header: int(cfg.Limits.Header), Request: cfg.Limits.Timeout},
		Origins: cfg.CORS.Origins,
		Proxies: cfg.Proxies,
		Mounts: append(restMounts(cfg.Versions, node), []edge.Mount{
			{Prefix: graphqldoor.Prefix, Route: graphqldoor.Prefix + "/{version}", Handler: node.reading(func(l *live) http.Handler { return l.graphql })},
			{Prefix: auditdoor.Prefix, Route: auditdoor.Prefix + "/{resource}", Handler: node.writing(func(l *live) http.Handler { return l.audit })},
			{Prefix: "/auth/v1", Route: "/auth/v1", Handler: node.writing(func(l *live) http.Handler { return l.auth })},
			{Prefix: functionsdoor.Prefix, Route: functionsdoor.Prefix + "/{function}", Handler: node.writing(func(l *live) http.Handler { return l.functions })},
			{Prefix: jobsdoor.Prefix, Route: jobsdoor.Prefix + "/{id}", Handler: node.door(func(l *live) http.Handler { return l.jobsDoor })},
			{Prefix: hooksdoor.Prefix, Route: hooksdoor.Prefix + "/{integration}", Handler: node.writing(func(l *live) http.Handler { return l.hooks })},
			{Prefix: openapi.PagePath, Handler: openapi.Page(func() []string { return node.Application().Model.Config.Versions })},
		}...),
		Checks:     []edge.Check{{Name: "store", Func: node.Ready}},
		DrainDelay: opt.Drain,
		Logger:     logs.log,
		Access:     logs.handler,
		Telemetry:  tel,
		Redact:     node.redact,
	}
	for _, prefix := range rpc.Prefixes() {
		config.Mounts = append(config.Mounts, edge.Mount{Prefix: prefix, Handler: http.HandlerFunc(node.serveRPC)})
	}
	return config
}

// logs are the application's log and the access log.
type logs struct {
	log     *slog.Logger
	access  *telemetry.AsyncWriter
	handler slog.Handler // nil: no access log
}

func openLogs(cfg model.Log, out io.Writer) (*logs, error) {
	conf := telemetry.LogConfig{Format: cfg.Format, Level: cfg.Level, Writer: out}
	log, err := telemetry.NewLogger(conf)
	if err != nil {
		return nil, err
	}
	l := &logs{log: log, access: telemetry.NewAsyncWriter(out)}
	if cfg.Access {
		conf.Writer = l.access
		l.handler, err = telemetry.NewAccessHandler(conf)
	}
	return l, err
}
