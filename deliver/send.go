package deliver

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"strings"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"github.com/jethook/jethook/internal/event"
)

// attempt makes one attempt at a delivery, tells the gate how it went and decides
// what follows.
func (w *Worker) attempt(ctx context.Context, in *slot, d *delivery) (a *Attempt, n news) {
	w.metrics.began(ctx)
	a, verdict := w.try(ctx, in, d.event, d.attempts+1, d.link)
	a.Sequence = d.sequence
	n = w.report(d, a, verdict)
	defer func() {
		w.metrics.ended(ctx, a.Outcome, time.Duration(a.DurationMS*float64(time.Millisecond)))
		w.log(ctx, a)
	}()
	if d.first.IsZero() {
		d.first = a.At
	}
	if a.Outcome != OutcomeRetry {
		return a, n
	}
	failures := a.Number - d.deferred
	if !verdict.NotBefore.IsZero() {
		d.deferred++
		failures--
	}
	if a.NextAt, a.Reason = w.endpoint.Retry.next(failures, d.first, time.Now(), verdict.NotBefore); a.Reason != "" {
		a.Outcome = OutcomeDead
	}
	return a, n
}

// try sends the event and reads the answer.
func (w *Worker) try(ctx context.Context, in *slot, e *event.Event, number int, at link) (*Attempt, Verdict) {
	started := time.Now()
	a := &Attempt{EventID: e.ID, EventType: e.Type, Env: w.endpoint.Env, Endpoint: w.endpoint.Name,
		Number: number, At: started.UTC()}
	got := w.send(ctx, in, e, a, at)
	now := time.Now()
	a.DurationMS = float64(now.Sub(started).Microseconds()) / 1000
	a.Status, a.Response = got.status, got.head
	verdict := Classify(got.status, got.header, got.err, now)
	a.Outcome = verdict.Outcome
	switch {
	case got.err != nil:
		a.Error = strings.ToValidUTF8(got.err.Error()[:min(len(got.err.Error()), maxErrorText)], "\uFFFD")
		if ctx.Err() != nil {
			a.Outcome = OutcomeInterrupted
		}
	case got.status >= 300 && got.status < 400:
		a.Error = "redirects are not followed"
	}
	return a, verdict
}

// send makes the request within the endpoint's timeout and a span of its own.
func (w *Worker) send(ctx context.Context, in *slot, e *event.Event, a *Attempt, at link) (got answer) {
	in.until = a.At.Add(w.endpoint.Timeout)
	var span trace.SpanContext
	if w.tracer != nil {
		var s trace.Span
		ctx, s = w.startSpan(ctx, e, a)
		span = s.SpanContext()
		defer func() { endSpan(s, got) }()
	}
	if err := w.composer.compose(in, e, a.Number, at, span, a.At); err != nil {
		return answer{err: fmt.Errorf("compose the request: %w", err)}
	}
	got = w.client.post(ctx, in, w.composer.target, in.header, e.Data)
	if errors.Is(got.err, os.ErrDeadlineExceeded) {
		got.err = w.timeout
	}
	return got
}

func (w *Worker) startSpan(ctx context.Context, e *event.Event, a *Attempt) (context.Context, trace.Span) {
	if e.Traceparent != "" {
		carrier := propagation.MapCarrier{"traceparent": e.Traceparent, "tracestate": e.Tracestate}
		ctx = propagation.TraceContext{}.Extract(ctx, carrier)
	}
	return w.tracer.Start(ctx, "deliver", trace.WithSpanKind(trace.SpanKindClient), trace.WithAttributes(
		attribute.String(event.AttrEventID, string(e.ID)),
		attribute.String(event.AttrEventType, e.Type),
		attribute.String(event.AttrEnv, string(a.Env)),
		attribute.String(event.AttrEndpoint, a.Endpoint),
		attribute.Int(event.AttrAttempt, a.Number),
		attribute.String(event.AttrMethod, http.MethodPost),
		attribute.String(event.AttrServer, w.composer.target.url.Hostname()),
	))
}

func endSpan(span trace.Span, got answer) {
	if got.status != 0 {
		span.SetAttributes(attribute.Int(event.AttrStatus, got.status))
	}
	switch {
	case got.err != nil:
		span.SetStatus(codes.Error, got.err.Error())
	case got.status >= 300:
		span.SetStatus(codes.Error, http.StatusText(got.status))
	}
	span.End()
}

// log writes the one line of an attempt.
func (w *Worker) log(ctx context.Context, a *Attempt) {
	level := slog.LevelInfo
	switch a.Outcome {
	case OutcomeDelivered:
		level = slog.LevelDebug
	case OutcomeDead, OutcomeGone:
		level = slog.LevelWarn
	}
	if !w.logger.Enabled(ctx, level) {
		return
	}
	line := [11]slog.Attr{
		slog.String("event_id", string(a.EventID)),
		slog.String("event_type", a.EventType),
		slog.String("endpoint", a.Endpoint),
		slog.String("env", string(a.Env)),
		slog.Int("attempt", a.Number),
		slog.Int("status", a.Status),
		slog.String("outcome", string(a.Outcome)),
		slog.Float64("duration_ms", a.DurationMS),
		slog.String("error", a.Error),
		slog.String("reason", a.Reason),
	}
	if !a.NextAt.IsZero() {
		line[10] = slog.Time("next_at", a.NextAt)
	}
	w.logger.LogAttrs(ctx, level, "attempt finished", line[:]...) // an empty attribute is left out
}
