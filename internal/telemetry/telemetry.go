// Package telemetry measures a process in the OpenTelemetry way and owns its
// logs: metrics under the names of the semantic conventions, read in the
// Prometheus format; traces over OTLP when the standard environment variables
// name an endpoint, and at no cost when they do not; structured logs in which
// no secret is written.
//
// Nothing here is global: two nodes in one process do not share a counter.
package telemetry

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"go.opentelemetry.io/contrib/instrumentation/runtime"
	otelprometheus "go.opentelemetry.io/otel/exporters/prometheus"
	"go.opentelemetry.io/otel/metric"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/exemplar"
	"go.opentelemetry.io/otel/sdk/resource"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
)

// Scope is the name of the instrumentation scope of Pando's own metrics and
// spans.
const Scope = "github.com/pandobase/pando"

// Config says what is measured under which name.
type Config struct {
	// Service is the resource's service.name. Default: "pando". The standard
	// variables OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES go before it.
	Service string
	// Version is the resource's service.version. Default: none.
	Version string
	// Logger hears of spans that could not be exported. Default: nobody.
	Logger *slog.Logger
}

// Telemetry is the metrics and traces of one node. Make it with [New] and end
// it with [Telemetry.Close]. It is safe for concurrent use.
type Telemetry struct {
	registry *prometheus.Registry
	metrics  *sdkmetric.MeterProvider
	tracer   *Tracer
}

// New sets the metrics up, and the traces when OTEL_EXPORTER_OTLP_ENDPOINT or
// OTEL_EXPORTER_OTLP_TRACES_ENDPOINT is set (and OTEL_SDK_DISABLED and
// OTEL_TRACES_EXPORTER do not forbid it). It contacts nobody: an endpoint that
// is down shows in the log when the first spans are sent. ctx is used for
// nothing that outlives the call.
func New(ctx context.Context, cfg Config) (*Telemetry, error) {
	if cfg.Service == "" {
		cfg.Service = "pando"
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	res, err := newResource(ctx, cfg)
	if err != nil {
		return nil, err
	}
	registry := prometheus.NewRegistry()
	exporter, err := otelprometheus.New(otelprometheus.WithRegisterer(registry), otelprometheus.WithoutScopeInfo())
	if err != nil {
		return nil, fmt.Errorf("telemetry: %w", err)
	}
	t := &Telemetry{
		registry: registry,
		metrics: sdkmetric.NewMeterProvider(
			sdkmetric.WithReader(exporter),
			sdkmetric.WithResource(res),
			// Exemplars cost a reservoir per attribute set and a draw per
			// measurement; the access log ties a request to its trace.
			sdkmetric.WithExemplarFilter(exemplar.AlwaysOffFilter),
		),
	}
	if err := t.observeProcess(); err != nil {
		return nil, errors.Join(err, t.Close(ctx))
	}
	if t.tracer, err = newTracer(ctx, cfg, res); err != nil {
		return nil, errors.Join(err, t.Close(ctx))
	}
	return t, nil
}

func newResource(ctx context.Context, cfg Config) (*resource.Resource, error) {
	opts := []resource.Option{
		resource.WithSchemaURL(semconv.SchemaURL),
		resource.WithAttributes(semconv.ServiceName(cfg.Service)),
	}
	if cfg.Version != "" {
		opts = append(opts, resource.WithAttributes(semconv.ServiceVersion(cfg.Version)))
	}
	// The environment comes last: of equal keys the last one counts.
	res, err := resource.New(ctx, append(opts, resource.WithTelemetrySDK(), resource.WithFromEnv())...)
	if err != nil && !errors.Is(err, resource.ErrSchemaURLConflict) {
		return nil, fmt.Errorf("telemetry: OTEL_RESOURCE_ATTRIBUTES: %w", err)
	}
	return res, nil
}

func (t *Telemetry) observeProcess() error {
	if err := runtime.Start(runtime.WithMeterProvider(t.metrics)); err != nil {
		return fmt.Errorf("telemetry: %w", err)
	}
	return observeProcess(t.Meter())
}

// Meter returns the meter of Pando's own instruments.
func (t *Telemetry) Meter() metric.Meter { return t.metrics.Meter(Scope) }

// Tracer returns the tracer; it is never nil and off when no endpoint is set.
func (t *Telemetry) Tracer() *Tracer { return t.tracer }

// Handler serves the metrics in the Prometheus text format, or in OpenMetrics
// to those who ask for it.
func (t *Telemetry) Handler() http.Handler {
	return promhttp.HandlerFor(t.registry, promhttp.HandlerOpts{
		Registry:            nil, // a scrape is not worth metrics of its own
		ErrorHandling:       promhttp.ContinueOnError,
		MaxRequestsInFlight: 4,
		EnableOpenMetrics:   true,
	})
}

// Close sends the spans that are left, within ctx, and ends the metrics. It is
// safe twice.
func (t *Telemetry) Close(ctx context.Context) error {
	err := t.metrics.Shutdown(ctx)
	if errors.Is(err, sdkmetric.ErrReaderShutdown) {
		err = nil
	}
	return errors.Join(err, t.tracer.close(ctx))
}

// tracesWanted reports whether the environment asks for traces over OTLP.
func tracesWanted() bool {
	if strings.EqualFold(os.Getenv("OTEL_SDK_DISABLED"), "true") || strings.EqualFold(os.Getenv("OTEL_TRACES_EXPORTER"), "none") {
		return false
	}
	return os.Getenv("OTEL_EXPORTER_OTLP_ENDPOINT") != "" || os.Getenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT") != ""
}
