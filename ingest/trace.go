package ingest

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"net/http"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"github.com/jethook/jethook/internal/caller"
	"github.com/jethook/jethook/internal/event"
)

// route is how spans name the path.
const route = pathPrefix + "{source}"

// maxRequestID is the longest request id that is taken over from a proxy.
const maxRequestID = 128

// identify finds out who calls, and gives the request its trace and its id.
// The id is that of the trace, so that one string finds the answer, the log
// line and the trace; a trusted proxy may have given it one already.
func (in *intake) identify() {
	in.peer = caller.Peer(in.r)
	in.address = in.peer
	in.proxied = caller.Within(in.config.TrustedProxies, in.peer)
	if in.proxied {
		in.address = caller.Address(in.peer, in.r.Header["X-Forwarded-For"], in.config.TrustedProxies)
	}
	if in.config.Tracer != nil {
		in.startSpan()
	}
	in.traceparent = newTraceparent(in.span)
	in.requestID = in.traceparent[3:35]
	if given := in.r.Header.Get("X-Request-Id"); in.proxied && validRequestID(given) {
		in.requestID = given
	}
}

// startSpan begins the trace. A caller's traceparent is a stranger's: it
// becomes a link, never the parent.
func (in *intake) startSpan() {
	method := in.r.Method
	name := method + " " + route
	if method != http.MethodPost && method != http.MethodGet {
		method, name = "_OTHER", "HTTP "+route
	}
	options := []trace.SpanStartOption{
		trace.WithNewRoot(),
		trace.WithSpanKind(trace.SpanKindServer),
		trace.WithAttributes(attribute.String(event.AttrMethod, method), attribute.String(event.AttrRoute, route)),
	}
	if in.r.Header["Traceparent"] != nil {
		strangers := propagation.TraceContext{}.Extract(context.Background(), propagation.HeaderCarrier(in.r.Header))
		if sc := trace.SpanContextFromContext(strangers); sc.IsValid() {
			options = append(options, trace.WithLinks(trace.Link{SpanContext: sc}))
		}
	}
	_, in.span = in.config.Tracer.Start(in.r.Context(), name, options...)
}

// endSpan writes into the span what became of the request.
func (in *intake) endSpan() {
	attributes := []attribute.KeyValue{
		attribute.Int(event.AttrStatus, in.status),
		attribute.String(event.AttrOutcome, in.outcome.String()),
	}
	if in.source != nil {
		attributes = append(attributes,
			attribute.String(event.AttrSource, in.source.Name), attribute.String(event.AttrEnv, string(in.source.Env)))
	}
	if in.eventID != "" {
		attributes = append(attributes,
			attribute.String(event.AttrEventID, in.eventID), attribute.String(event.AttrEventType, in.eventType))
	}
	in.span.SetAttributes(attributes...)
	if in.status >= 500 {
		in.span.SetStatus(codes.Error, in.outcome.String())
		if in.cause != nil {
			in.span.RecordError(in.cause)
		}
	}
	in.span.End()
}

// newTraceparent writes the span's context as a traceparent (W3C Trace
// Context, section 3.2). Without one it begins a trace that is not recorded,
// so that an event can be followed by its id all the same.
func newTraceparent(span trace.Span) string {
	var (
		ids   [24]byte
		flags trace.TraceFlags
		text  [55]byte
	)
	if span != nil && span.SpanContext().IsValid() {
		sc := span.SpanContext()
		traceID, spanID := sc.TraceID(), sc.SpanID()
		copy(ids[:16], traceID[:])
		copy(ids[16:], spanID[:])
		flags = sc.TraceFlags() & trace.FlagsSampled
	} else {
		_, _ = rand.Read(ids[:]) // never fails
	}
	copy(text[:], "00-")
	hex.Encode(text[3:], ids[:16])
	text[35] = '-'
	hex.Encode(text[36:], ids[16:])
	copy(text[52:], "-00")
	if flags != 0 {
		text[54] = '1'
	}
	return string(text[:])
}

func validRequestID(id string) bool {
	if id == "" || len(id) > maxRequestID {
		return false
	}
	for i := range len(id) {
		c := id[i]
		letter := 'a' <= c|0x20 && c|0x20 <= 'z'
		if !letter && (c < '0' || c > '9') && c != '.' && c != '_' && c != '-' {
			return false
		}
	}
	return true
}
