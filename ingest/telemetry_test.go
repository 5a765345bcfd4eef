package ingest_test

import (
	"context"
	"net/http"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"github.com/jethook/jethook/ingest"
	"github.com/jethook/jethook/internal/event"
)

func TestMeasurementsAreBySourceAndOutcome(t *testing.T) {
	reader := metric.NewManualReader()
	meters := metric.NewMeterProvider(metric.WithReader(reader))
	g := newGateway(t, ingest.Config{Meter: meters.Meter("test")}, newSource(t, "stripe", "stripe"))
	g.send(stripe(t))
	g.send(stripe(t))
	g.send(bodied(`{}`)(t))
	g.send(to("/in/made-up")(t))
	g.send(to("/in/made-up-too")(t))

	var data metricdata.ResourceMetrics
	if err := reader.Collect(t.Context(), &data); err != nil {
		t.Fatal(err)
	}
	requests, sizes, durations := map[string]int64{}, map[string]int64{}, map[string]uint64{}
	for _, m := range data.ScopeMetrics[0].Metrics {
		switch points := m.Data.(type) {
		case metricdata.Sum[int64]:
			for _, p := range points.DataPoints {
				requests[m.Name+" "+p.Attributes.Encoded(labelEncoder{})] = p.Value
			}
		case metricdata.Histogram[int64]:
			for _, p := range points.DataPoints {
				sizes[m.Name+" "+p.Attributes.Encoded(labelEncoder{})] = p.Sum
			}
		case metricdata.Histogram[float64]:
			for _, p := range points.DataPoints {
				durations[m.Name+" "+p.Attributes.Encoded(labelEncoder{})] = p.Count
			}
		}
	}
	if diff := cmp.Diff(map[string]int64{
		"jethook.ingest.requests jethook.outcome=stored,jethook.source=stripe":          2,
		"jethook.ingest.requests jethook.outcome=event_unnamed,jethook.source=stripe":   1,
		"jethook.ingest.requests jethook.outcome=unknown_source,jethook.source=unknown": 2,
	}, requests); diff != "" {
		t.Errorf("requests (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(map[string]int64{
		"jethook.ingest.body.size jethook.outcome=stored,jethook.source=stripe":        2 * int64(len(stripeBody)),
		"jethook.ingest.body.size jethook.outcome=event_unnamed,jethook.source=stripe": 2,
	}, sizes); diff != "" {
		t.Errorf("body sizes (-want +got):\n%s", diff)
	}
	if got := durations["jethook.ingest.duration jethook.outcome=stored,jethook.source=stripe"]; got != 2 {
		t.Errorf("%d durations of stored requests, want 2: %v", got, durations)
	}
}

const strangersTrace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

func TestAStrangersTraceIsLinkedAndNeverTheParent(t *testing.T) {
	recorder := tracetest.NewSpanRecorder()
	tracers := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(recorder))
	var published *event.Event
	var within trace.SpanContext
	bus := publisher(func(ctx context.Context, e *event.Event) (event.Receipt, error) {
		published, within = e, trace.SpanContextFromContext(ctx)
		return accept(ctx, e)
	})
	g := newGateway(t, ingest.Config{Publisher: bus, Tracer: tracers.Tracer("test")}, newSource(t, "stripe", "stripe"))
	r := stripe(t)
	r.Header.Set("Traceparent", strangersTrace)
	a := g.send(r)
	if a.status != 200 {
		t.Fatalf("got %d, want 200: %s", a.status, a.text)
	}

	span := recorder.Ended()[0]
	if span.Name() != "POST /in/{source}" || span.SpanKind() != trace.SpanKindServer {
		t.Errorf("span is %v %q, want server POST /in/{source}", span.SpanKind(), span.Name())
	}
	if span.Parent().IsValid() || span.SpanContext().TraceID().String() == strangersTrace[3:35] {
		t.Errorf("span %v has the parent %v, want none", span.SpanContext(), span.Parent())
	}
	if links := span.Links(); len(links) != 1 || links[0].SpanContext.TraceID().String() != strangersTrace[3:35] {
		t.Errorf("links are %v, want one to the stranger's trace", links)
	}
	sc := span.SpanContext()
	if want := "00-" + sc.TraceID().String() + "-" + sc.SpanID().String() + "-01"; published.Traceparent != want {
		t.Errorf("the event's traceparent is %q, want %q", published.Traceparent, want)
	}
	if within.SpanID() != sc.SpanID() {
		t.Errorf("the bus works under span %v, want %v", within.SpanID(), sc.SpanID())
	}
	if got := a.header.Get("X-Request-Id"); got != sc.TraceID().String() {
		t.Errorf("the request's id is %q, want that of the trace %s", got, sc.TraceID())
	}
	attributes := map[string]string{}
	for _, kv := range span.Attributes() {
		attributes[string(kv.Key)] = kv.Value.String()
	}
	if diff := cmp.Diff(map[string]string{
		event.AttrMethod: "POST", event.AttrRoute: "/in/{source}", event.AttrStatus: "200",
		event.AttrOutcome: "stored", event.AttrSource: "stripe", event.AttrEnv: "test",
		event.AttrEventID: a.ID, event.AttrEventType: "invoice.paid",
	}, attributes); diff != "" {
		t.Errorf("attributes (-want +got):\n%s", diff)
	}
}

func TestOnlyAFailureOfOursMakesTheSpanAnError(t *testing.T) {
	for _, row := range []refusal{
		{bus: failing(event.ErrFull), request: stripeRequest},
		{request: edited(func(r *http.Request) { r.Header.Del("Stripe-Signature") })},
	} {
		recorder := tracetest.NewSpanRecorder()
		tracers := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(recorder))
		config := ingest.Config{Tracer: tracers.Tracer("test")}
		if row.bus != nil {
			config.Publisher = row.bus
		}
		newGateway(t, config, newSource(t, "stripe", "stripe")).send(row.request(t))
		want := codes.Unset
		if row.bus != nil {
			want = codes.Error
		}
		if got := recorder.Ended()[0].Status().Code; got != want {
			t.Errorf("span status is %v, want %v", got, want)
		}
	}
}

func TestWithoutATracerEventsStillBelongToATrace(t *testing.T) {
	b := openBus(t)
	g := newGateway(t, ingest.Config{Publisher: b}, newSource(t, "stripe", "stripe"))
	r := stripe(t)
	r.Header.Set("Traceparent", strangersTrace)
	a := g.send(r)
	_, events := storedEvents(t, b)
	got := events[0].Traceparent
	if len(got) != 55 || !strings.HasSuffix(got, "-00") || strings.Contains(got, strangersTrace[3:35]) {
		t.Errorf("traceparent is %q, want a new trace that is not sampled", got)
	}
	if id := a.header.Get("X-Request-Id"); id != got[3:35] {
		t.Errorf("the request's id is %q, want that of the trace in %q", id, got)
	}
}

func TestARequestIDIsTakenFromTrustedProxiesAlone(t *testing.T) {
	proxies := []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")} // httptest's caller is 192.0.2.1
	for _, test := range []struct {
		given   string
		proxies []netip.Prefix
		taken   bool
	}{
		{"0193a5c0-7e5b", proxies, true},
		{"0193a5c0-7e5b", nil, false},
		{"no spaces, please", proxies, false},
	} {
		g := newGateway(t, ingest.Config{TrustedProxies: test.proxies}, newSource(t, "stripe", "stripe"))
		r := stripe(t)
		r.Header.Set("X-Request-Id", test.given)
		if got := g.send(r).header.Get("X-Request-Id"); got == "" || (got == test.given) != test.taken {
			t.Errorf("%q was answered with %q, want it taken: %t", test.given, got, test.taken)
		}
	}
}

func TestTheLogLineTellsOfAStoredEvent(t *testing.T) {
	g := newGateway(t, ingest.Config{}, newSource(t, "stripe", "stripe"))
	a := g.send(stripe(t))
	line := g.logs.last(t)
	delete(line, "time")
	if diff := cmp.Diff(map[string]any{
		"level": "DEBUG", "msg": "request received",
		"request_id": a.header.Get("X-Request-Id"), "source": "stripe", "env": "test", "status": 200.0, "code": "stored",
		"event_id": a.ID, "event_type": "invoice.paid", "events": 1.0, "address": "192.0.2.1",
		"bytes": float64(len(stripeBody)), "duration_ms": 0.0,
	}, line); diff != "" {
		t.Errorf("log line (-want +got):\n%s", diff)
	}
}

func TestAMadeUpSourceIsLoggedCutShort(t *testing.T) {
	g := newGateway(t, ingest.Config{})
	r := to("/in/" + strings.Repeat("x\n", 500))(t)
	g.send(r)
	if name := g.logs.last(t)["source"].(string); len(name) > 64 {
		t.Errorf("%d bytes of a made-up name are logged, want 64", len(name))
	}
	if lines := strings.Count(g.logs.String(), "\n"); lines != 1 {
		t.Errorf("%d log lines for one request", lines)
	}
}
