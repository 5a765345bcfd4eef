package ingest

import (
	"log/slog"
	"strings"
)

// maxLoggedName is how much of the name of a source that does not exist is
// logged, in bytes.
const maxLoggedName = 64

// finish gives back what the request held, and tells of it: one measurement,
// one span, one log line.
func (in *intake) finish() {
	in.buffered.give(in.reserved)
	elapsed := in.config.Now().Sub(in.start)
	l := in.unknown
	if in.source != nil {
		l = in.source.labels
	}
	ctx := in.r.Context()
	in.metrics.record(ctx, &l[in.outcome], elapsed, in.bytes)
	if in.span != nil {
		in.endSpan()
	}
	level := in.level()
	if !in.config.Logger.Enabled(ctx, level) {
		return
	}
	name, env := in.logName()
	attributes := append(make([]slog.Attr, 0, 16),
		slog.String("request_id", in.requestID),
		slog.String("source", name),
		slog.String("env", env),
		slog.Int("status", in.status),
		slog.String("code", in.outcome.String()),
		slog.String("event_id", in.eventID),
		slog.String("event_type", in.eventType),
		slog.Int("events", in.events),
		slog.String("address", in.address.String()),
		slog.Int("bytes", in.bytes),
		slog.Float64("duration_ms", float64(elapsed.Microseconds())/1e3),
	)
	if in.requestID != in.traceparent[3:35] {
		attributes = append(attributes, slog.String("trace_id", in.traceparent[3:35]))
	}
	if len(in.leftHeaders) > 0 {
		attributes = append(attributes, slog.String("headers_left_out", strings.Join(in.leftHeaders, ",")))
	}
	if in.cause != nil {
		attributes = append(attributes, slog.String("error", in.cause.Error()))
	}
	in.config.Logger.LogAttrs(ctx, level, "request received", attributes...)
}

// level is Debug for what went well, which is too much to write by default;
// Warn for what an operator must look at; Info for what callers did wrong.
func (in *intake) level() slog.Level {
	switch in.outcome {
	case stored, duplicate, empty, handshake:
		return slog.LevelDebug
	case notStored, aborted:
		return slog.LevelWarn
	}
	return slog.LevelInfo
}

func (in *intake) logName() (name, env string) {
	if in.source != nil {
		return in.source.Name, string(in.source.Env)
	}
	name = strings.TrimPrefix(in.r.URL.Path, pathPrefix)
	return name[:min(len(name), maxLoggedName)], ""
}
