package ingest

import (
	"context"
	"errors"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/jethook/jethook/internal/event"
)

// unknownLabel is the label of all sources that do not exist: what strangers
// make up must not become labels.
const unknownLabel = "unknown"

// metrics are the instruments of this package, each by source and outcome.
type metrics struct {
	requests metric.Int64Counter
	duration metric.Float64Histogram
	bodySize metric.Int64Histogram
}

func newMetrics(meter metric.Meter) (*metrics, error) {
	requests, err1 := meter.Int64Counter("jethook.ingest.requests",
		metric.WithUnit("{request}"),
		metric.WithDescription("Webhook requests received."))
	duration, err2 := meter.Float64Histogram("jethook.ingest.duration",
		metric.WithUnit("s"),
		metric.WithDescription("Time from a request's headers to its answer."),
		metric.WithExplicitBucketBoundaries(.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10))
	bodySize, err3 := meter.Int64Histogram("jethook.ingest.body.size",
		metric.WithUnit("By"),
		metric.WithDescription("Size of the bodies read."),
		metric.WithExplicitBucketBoundaries(256, 1<<10, 4<<10, 16<<10, 64<<10, 256<<10, 1<<20, 4<<20, 16<<20))
	return &metrics{requests, duration, bodySize}, errors.Join(err1, err2, err3)
}

func (m *metrics) record(ctx context.Context, l *label, elapsed time.Duration, bytes int) {
	m.requests.Add(ctx, 1, l.add...)
	m.duration.Record(ctx, elapsed.Seconds(), l.record...)
	if bytes > 0 {
		m.bodySize.Record(ctx, int64(bytes), l.record...)
	}
}

// labels are the attributes of one source's measurements by outcome, made
// once: making them is most of the cost of a measurement.
type labels [outcomes]label

type label struct {
	add    []metric.AddOption
	record []metric.RecordOption
}

func newLabels(source string) *labels {
	l := new(labels)
	for o := range outcomes {
		set := metric.WithAttributeSet(attribute.NewSet(
			attribute.String(event.AttrSource, source),
			attribute.String(event.AttrOutcome, o.String()),
		))
		l[o] = label{[]metric.AddOption{set}, []metric.RecordOption{set}}
	}
	return l
}
