package e2e

import (
	"encoding/hex"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
)

// collector receives spans as OTLP over HTTP.
type collector struct {
	server *httptest.Server
	mu     sync.Mutex
	spans  []*tracepb.Span
}

func newCollector(t *testing.T) *collector {
	c := &collector{}
	c.server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		body, err := io.ReadAll(request.Body)
		var sent tracepb.TracesData // its encoding is that of an export request
		if err == nil {
			err = proto.Unmarshal(body, &sent)
		}
		if err != nil || request.URL.Path != "/v1/traces" {
			t.Errorf("%s %s: %v", request.Method, request.URL, err)
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		for _, resource := range sent.ResourceSpans {
			for _, scope := range resource.ScopeSpans {
				c.spans = append(c.spans, scope.Spans...)
			}
		}
		w.Header().Set("Content-Type", "application/x-protobuf")
	}))
	t.Cleanup(c.server.Close)
	return c
}

// one is the only span of a kind in a trace.
func (c *collector) one(t *testing.T, kind tracepb.Span_SpanKind, traceID string) *tracepb.Span {
	t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	var found []*tracepb.Span
	for _, span := range c.spans {
		if span.Kind == kind && hex.EncodeToString(span.TraceId) == traceID {
			found = append(found, span)
		}
	}
	if len(found) != 1 {
		t.Fatalf("trace %s has %d spans of %s, want 1; all are %v", traceID, len(found), kind, c.spans)
	}
	return found[0]
}

func TestATraceBeginsAtIngestAndTravelsToEveryAttempt(t *testing.T) {
	t.Parallel()
	bus, spans, r := newNATS(t), newCollector(t), newReceiver(t, nil)
	b := newBridge(t, bus.on(), sources(shop("shop")), endpoints(endpoint("all", r)))
	b.env = []string{
		"OTEL_TRACES_EXPORTER=otlp", "OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=" + spans.server.URL + "/v1/traces",
	}
	b.run()
	const strangers = "0af7651916cd43dd8448eb211c80319c"
	header := signShop(shopSecret, time.Now(), order("traced"))
	header["Traceparent"] = []string{"00-" + strangers + "-b7ad6b7169203331-01"}
	b.post("shop", header, order("traced")).accepted(t)
	d := r.next()
	stored := messages(t, bus.stream("EVENTS_PROD"))[0]
	if code := b.stop(syscall.SIGTERM); code != 0 { // what waits is sent
		t.Fatalf("exit code %d, want 0", code)
	}

	parent := strings.Split(d.header.Get("traceparent"), "-")
	if len(parent) != 4 {
		t.Fatalf("traceparent of the delivery is %q", d.header.Get("traceparent"))
	}
	ingest, attempt := spans.one(t, tracepb.Span_SPAN_KIND_SERVER, parent[1]), spans.one(t, tracepb.Span_SPAN_KIND_CLIENT, parent[1])
	if got := hex.EncodeToString(attempt.SpanId); got != parent[2] {
		t.Errorf("the delivery's parent is span %s, want the attempt's, %s", parent[2], got)
	}
	if got, want := hex.EncodeToString(attempt.ParentSpanId), hex.EncodeToString(ingest.SpanId); got != want {
		t.Errorf("the attempt's parent is span %s, want that of ingest, %s", got, want)
	}
	if want := "00-" + parent[1] + "-" + hex.EncodeToString(ingest.SpanId) + "-01"; first(stored.Header["traceparent"]) != want {
		t.Errorf("the message's traceparent is %v, want %s", stored.Header["traceparent"], want)
	}
	if len(ingest.ParentSpanId) != 0 || len(ingest.Links) != 1 || hex.EncodeToString(ingest.Links[0].TraceId) != strangers {
		t.Errorf("ingest has parent %x and links %v, want none and a link to the stranger's trace %s", ingest.ParentSpanId, ingest.Links, strangers)
	}
}
