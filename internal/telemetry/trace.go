package telemetry

import (
	"context"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"
)

// Tracer starts spans. A nil Tracer and one without an endpoint are off: they
// start nothing, allocate nothing and give the context back as it was. It is
// safe for concurrent use.
type Tracer struct {
	tracer   trace.Tracer // nil: off
	provider *sdktrace.TracerProvider
}

func newTracer(ctx context.Context, cfg Config, res *resource.Resource) (*Tracer, error) {
	if !tracesWanted() {
		return &Tracer{}, nil
	}
	exporter, err := otlptracehttp.New(ctx) // reads the OTEL_EXPORTER_OTLP_* variables
	if err != nil {
		return nil, fmt.Errorf("telemetry: OTLP: %w", err)
	}
	return newTracerTo(exporter, cfg, res), nil
}

func newTracerTo(exporter sdktrace.SpanExporter, cfg Config, res *resource.Resource) *Tracer {
	// The sampler comes from OTEL_TRACES_SAMPLER; without it all is sampled
	// that the caller did not decide against.
	provider := sdktrace.NewTracerProvider(
		sdktrace.WithBatcher(&loggedExporter{SpanExporter: exporter, logger: cfg.Logger}),
		sdktrace.WithResource(res),
	)
	return &Tracer{tracer: provider.Tracer(Scope), provider: provider}
}

// Enabled reports whether spans are recorded. Ask it before attributes are
// made: their slice is allocated even for a tracer that is off.
func (t *Tracer) Enabled() bool { return t != nil && t.tracer != nil }

// Start starts a span below the one in ctx and returns it with the context
// that carries it. The caller ends the span.
func (t *Tracer) Start(ctx context.Context, name string, opts ...trace.SpanStartOption) (context.Context, trace.Span) {
	if !t.Enabled() {
		return ctx, noop.Span{}
	}
	return t.tracer.Start(ctx, name, opts...)
}

func (t *Tracer) close(ctx context.Context) error {
	if t == nil || t.provider == nil {
		return nil
	}
	return t.provider.Shutdown(ctx)
}

// loggedExporter tells the node's log of spans that were lost, at most once a
// minute. Without it the SDK would write to a global handler.
type loggedExporter struct {
	sdktrace.SpanExporter
	logger *slog.Logger
	last   atomic.Int64 // Unix seconds of the last line
}

// ExportSpans implements sdktrace.SpanExporter.
func (e *loggedExporter) ExportSpans(ctx context.Context, spans []sdktrace.ReadOnlySpan) error {
	err := e.SpanExporter.ExportSpans(ctx, spans)
	if err == nil {
		return nil
	}
	const interval = 60
	now, last := time.Now().Unix(), e.last.Load()
	if now-last >= interval && e.last.CompareAndSwap(last, now) {
		e.logger.LogAttrs(ctx, slog.LevelWarn, "spans could not be exported",
			slog.Int("spans", len(spans)), slog.String("error", err.Error()))
	}
	return nil // it is told; returned, it would go to the global handler too
}
