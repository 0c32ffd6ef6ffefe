package telemetry

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/semconv/v1.43.0/httpconv"
)

// httpBuckets are the semantic conventions' bucket bounds in seconds, with
// four below them: an answer from an embedded store takes microseconds.
//
//nolint:gochecknoglobals // a constant table; Go has no slice constants
var httpBuckets = []float64{
	0.0001, 0.00025, 0.0005, 0.001, 0.0025,
	0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10,
}

// method is an HTTP method that metrics tell apart; everything else is
// methodOther, so that a caller cannot make series.
type method uint8

const (
	methodOther method = iota
	methodGet
	methodHead
	methodPost
	methodPut
	methodPatch
	methodDelete
	methodOptions
	methods // their number
)

func methodOf(s string) method {
	switch s {
	case http.MethodGet:
		return methodGet
	case http.MethodHead:
		return methodHead
	case http.MethodPost:
		return methodPost
	case http.MethodPut:
		return methodPut
	case http.MethodPatch:
		return methodPatch
	case http.MethodDelete:
		return methodDelete
	case http.MethodOptions:
		return methodOptions
	default:
		return methodOther
	}
}

func (m method) String() string {
	return [methods]string{
		"_OTHER", http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut,
		http.MethodPatch, http.MethodDelete, http.MethodOptions,
	}[m]
}

// HTTP counts the requests of one listener: http.server.request.duration and
// http.server.active_requests. A nil HTTP counts nothing.
type HTTP struct {
	scheme   string
	duration metric.Float64Histogram
	active   [methods]atomic.Int64
	used     [methods]atomic.Bool // begun once: then its zero is told too
}

// NewHTTP registers the instruments. scheme is "http" or "https"; a telemetry
// has one HTTP for each scheme at most.
func (t *Telemetry) NewHTTP(scheme string) (*HTTP, error) {
	meter := t.Meter()
	h := &HTTP{scheme: scheme}
	var name httpconv.ServerRequestDuration // its own constructor insists on the coarse buckets
	duration, err := meter.Float64Histogram(name.Name(), metric.WithUnit(name.Unit()),
		metric.WithDescription(name.Description()), metric.WithExplicitBucketBoundaries(httpBuckets...))
	if err != nil {
		return nil, fmt.Errorf("telemetry: %w", err)
	}
	h.duration = duration

	// An observed counter: a request then costs two atomic additions.
	active, err := meter.Int64ObservableUpDownCounter(httpconv.ServerActiveRequests{}.Name(),
		metric.WithUnit(httpconv.ServerActiveRequests{}.Unit()),
		metric.WithDescription(httpconv.ServerActiveRequests{}.Description()))
	if err != nil {
		return nil, fmt.Errorf("telemetry: %w", err)
	}
	var sets [methods]metric.ObserveOption
	for m := range methods {
		sets[m] = metric.WithAttributeSet(attribute.NewSet(
			semconv.HTTPRequestMethodKey.String(m.String()), semconv.URLScheme(scheme)))
	}
	_, err = meter.RegisterCallback(func(_ context.Context, o metric.Observer) error {
		for m := range methods {
			if h.used[m].Load() {
				o.ObserveInt64(active, h.active[m].Load(), sets[m])
			}
		}
		return nil
	}, active)
	if err != nil {
		return nil, fmt.Errorf("telemetry: %w", err)
	}
	return h, nil
}

// Begin counts a request as active until [HTTP.End] with the same method.
func (h *HTTP) Begin(method string) {
	if h == nil {
		return
	}
	m := methodOf(method)
	if !h.used[m].Load() {
		h.used[m].Store(true)
	}
	h.active[m].Add(1)
}

// End ends what Begin began.
func (h *HTTP) End(method string) {
	if h != nil {
		h.active[methodOf(method)].Add(-1)
	}
}

// Route returns the recorder of one route, http.route: a template such as
// "/rest/v1/{entity}", never a path. The empty route stands for requests that
// met none. Keep the recorder: it holds the attribute sets.
func (h *HTTP) Route(route string) *Route {
	if h == nil {
		return nil
	}
	return &Route{http: h, route: route}
}

// statuses is the range of HTTP status codes, 100 to 599.
const statuses = 500

// Route records the requests of one route. A nil Route records nothing. It is
// safe for concurrent use.
type Route struct {
	http  *HTTP
	route string
	sets  [methods]atomic.Pointer[[statuses]atomic.Pointer[[]metric.RecordOption]]
}

// Record records one finished request. Beyond the first with the same method
// and status it allocates nothing. A status outside 100 to 599 counts as 500.
func (r *Route) Record(ctx context.Context, method string, status int, d time.Duration) {
	if r == nil {
		return
	}
	if status < 100 || status >= 100+statuses {
		status = http.StatusInternalServerError
	}
	r.http.duration.Record(ctx, d.Seconds(), *r.options(methodOf(method), status)...)
}

func (r *Route) options(m method, status int) *[]metric.RecordOption {
	byStatus := r.sets[m].Load()
	if byStatus == nil {
		// Two that meet here make two; one is stored, both are right.
		r.sets[m].CompareAndSwap(nil, new([statuses]atomic.Pointer[[]metric.RecordOption]))
		byStatus = r.sets[m].Load()
	}
	slot := &byStatus[status-100]
	if opts := slot.Load(); opts != nil {
		return opts
	}
	attrs := []attribute.KeyValue{
		semconv.HTTPRequestMethodKey.String(m.String()),
		semconv.URLScheme(r.http.scheme),
		semconv.HTTPResponseStatusCode(status),
	}
	if r.route != "" {
		attrs = append(attrs, semconv.HTTPRoute(r.route))
	}
	if status >= http.StatusInternalServerError {
		attrs = append(attrs, semconv.ErrorTypeKey.String(strconv.Itoa(status)))
	}
	slot.Store(&[]metric.RecordOption{metric.WithAttributeSet(attribute.NewSet(attrs...))})
	return slot.Load()
}
