package telemetry

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/semconv/v1.43.0/dbconv"
)

// dbBuckets are the semantic conventions' bucket bounds in seconds, with four
// below them for the embedded store.
//
//nolint:gochecknoglobals // a constant table; Go has no slice constants
var dbBuckets = []float64{0.00001, 0.00005, 0.0001, 0.0005, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10}

// DB measures the operations of one store: db.client.operation.duration, and
// pando.db.scattered. A nil DB measures nothing.
type DB struct {
	system    string
	duration  metric.Float64Histogram
	scattered metric.Int64Counter
}

// NewDB registers the instrument. system is the conventions' db.system.name,
// such as "sqlite" or "postgresql".
func (t *Telemetry) NewDB(system string) (*DB, error) {
	var conv dbconv.ClientOperationDuration // its own constructor insists on the coarse buckets
	duration, err := t.Meter().Float64Histogram(conv.Name(), metric.WithUnit(conv.Unit()),
		metric.WithDescription(conv.Description()), metric.WithExplicitBucketBoundaries(dbBuckets...))
	if err != nil {
		return nil, fmt.Errorf("telemetry: %w", err)
	}
	scattered, err := t.Meter().Int64Counter("pando.db.scattered", metric.WithUnit("{operation}"),
		metric.WithDescription("Operations that look for rows of a partitioned entity in every partition, since no condition names its partition key."))
	if err != nil {
		return nil, fmt.Errorf("telemetry: %w", err)
	}
	return &DB{system: system, duration: duration, scattered: scattered}, nil
}

// Scatter returns the counter of one kind of operation that does not name the
// partition key of a table. Keep it: it holds the attribute set.
func (d *DB) Scatter(name, collection string) *Scatter {
	if d == nil {
		return nil
	}
	attrs := attribute.NewSet(semconv.DBSystemNameKey.String(d.system), semconv.DBOperationName(name), semconv.DBCollectionName(collection))
	return &Scatter{count: d.scattered, opts: []metric.AddOption{metric.WithAttributeSet(attrs)}}
}

// Scatter counts operations. A nil Scatter counts nothing. It is safe for
// concurrent use.
type Scatter struct {
	count metric.Int64Counter
	opts  []metric.AddOption
}

// Count counts one.
func (s *Scatter) Count(ctx context.Context) {
	if s != nil {
		s.count.Add(ctx, 1, s.opts...)
	}
}

// Operation returns the recorder of one kind of operation: its name
// (db.operation.name, such as "select" or "commit") and the table
// (db.collection.name; may be empty). Keep it, for instance with the plan: it
// holds the attribute sets.
func (d *DB) Operation(name, collection string) *Operation {
	if d == nil {
		return nil
	}
	attrs := []attribute.KeyValue{semconv.DBSystemNameKey.String(d.system), semconv.DBOperationName(name)}
	if collection != "" {
		attrs = append(attrs, semconv.DBCollectionName(collection))
	}
	return &Operation{db: d, attrs: attrs, ok: recordOptions(attrs)}
}

func recordOptions(attrs []attribute.KeyValue) []metric.RecordOption {
	return []metric.RecordOption{metric.WithAttributeSet(attribute.NewSet(attrs...))}
}

// Operation records the runs of one kind of operation. A nil Operation records
// nothing. It is safe for concurrent use.
type Operation struct {
	db     *DB
	attrs  []attribute.KeyValue
	ok     []metric.RecordOption
	failed sync.Map // error type -> []metric.RecordOption
}

// Record records one finished run. errType is error.type: empty for success,
// else a word from a small closed set such as a fault's code, never a message.
// It allocates nothing but at the first use of an errType.
func (o *Operation) Record(ctx context.Context, d time.Duration, errType string) {
	if o == nil {
		return
	}
	opts := o.ok
	if errType != "" {
		opts = o.failure(errType)
	}
	o.db.duration.Record(ctx, d.Seconds(), opts...)
}

func (o *Operation) failure(errType string) []metric.RecordOption {
	if v, ok := o.failed.Load(errType); ok {
		if opts, ok := v.([]metric.RecordOption); ok {
			return opts
		}
	}
	attrs := append(slices.Clip(o.attrs), semconv.ErrorTypeKey.String(errType))
	opts := recordOptions(attrs)
	o.failed.Store(errType, opts)
	return opts
}

// ErrorType returns the error.type of the errors that are no fault: "" for
// nil, "timeout" and "canceled" for a context's end, else "_OTHER".
func ErrorType(err error) string {
	switch {
	case err == nil:
		return ""
	case errors.Is(err, context.DeadlineExceeded):
		return "timeout"
	case errors.Is(err, context.Canceled):
		return "canceled"
	default:
		return "_OTHER"
	}
}
