package deliver

import (
	"context"
	"fmt"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/metric/noop"

	"github.com/jethook/jethook/internal/event"
)

// metrics are the instruments of one endpoint, their attributes made once.
type metrics struct {
	attempts metric.Int64Counter
	duration metric.Float64Histogram
	inflight metric.Int64UpDownCounter

	byOutcome map[Outcome][]metric.AddOption
	added     []metric.AddOption
	recorded  []metric.RecordOption
}

func newMetrics(meter metric.Meter, e Endpoint) (*metrics, error) {
	if meter == nil {
		meter = noop.Meter{}
	}
	m := &metrics{byOutcome: make(map[Outcome][]metric.AddOption)}
	var err error
	if m.attempts, err = meter.Int64Counter("jethook.deliver.attempts",
		metric.WithDescription("Attempts by outcome, and events that a filter passed over."), metric.WithUnit("{attempt}")); err != nil {
		return nil, fmt.Errorf("make metrics: %w", err)
	}
	if m.duration, err = meter.Float64Histogram("jethook.deliver.duration",
		metric.WithDescription("Time from the start of an attempt to its answer."), metric.WithUnit("s"),
		metric.WithExplicitBucketBoundaries(.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60)); err != nil {
		return nil, fmt.Errorf("make metrics: %w", err)
	}
	if m.inflight, err = meter.Int64UpDownCounter("jethook.deliver.inflight",
		metric.WithDescription("Attempts under way."), metric.WithUnit("{attempt}")); err != nil {
		return nil, fmt.Errorf("make metrics: %w", err)
	}
	base := []attribute.KeyValue{
		attribute.String(event.AttrEnv, string(e.Env)), attribute.String(event.AttrEndpoint, e.Name)}
	set := metric.WithAttributeSet(attribute.NewSet(base...))
	m.added, m.recorded = []metric.AddOption{set}, []metric.RecordOption{set}
	for _, outcome := range [...]Outcome{OutcomeDelivered, OutcomeRetry, OutcomeDead, OutcomeGone, OutcomeFiltered, OutcomeInterrupted} {
		attributes := append([]attribute.KeyValue{attribute.String(event.AttrOutcome, string(outcome))}, base...)
		m.byOutcome[outcome] = []metric.AddOption{metric.WithAttributeSet(attribute.NewSet(attributes...))}
	}
	return m, nil
}

func (m *metrics) began(ctx context.Context) { m.inflight.Add(ctx, 1, m.added...) }

func (m *metrics) ended(ctx context.Context, outcome Outcome, took time.Duration) {
	m.inflight.Add(ctx, -1, m.added...)
	m.duration.Record(ctx, took.Seconds(), m.recorded...)
	m.count(ctx, outcome)
}

// count adds an event that had no attempt.
func (m *metrics) count(ctx context.Context, outcome Outcome) {
	m.attempts.Add(ctx, 1, m.byOutcome[outcome]...)
}
