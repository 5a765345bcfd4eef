package deliver

import (
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/jethook/jethook/internal/bus"
	"github.com/jethook/jethook/internal/event"
	"github.com/jethook/jethook/internal/signature"
)

func TestAnEventThatTheFilterDoesNotWantIsSettledWithoutAnAttempt(t *testing.T) {
	b := newBench(t, always(200))
	b.endpoint.Filter = "data.object.amount >= 1000"
	b.start()
	b.publish("1", []byte(`{"data":{"object":{"amount":999}}}`))
	b.publish("2", []byte(`{"data":{}}`))
	wanted := b.publish("3", []byte(`{"data":{"object":{"amount":1000}}}`))
	if got := b.receiver.next().header.Get("Webhook-Id"); got != string(wanted.ID) {
		t.Errorf("got %s, want %s alone", got, wanted.ID)
	}
	b.settled("EVENTS_TEST", "billing")
	if len(b.receiver.got) != 0 || b.count(bus.Dead, ">") != 0 {
		t.Error("an event that the filter does not want was attempted or is dead")
	}
}

func TestJethooksOwnEventsAreDeliveredOnlyWhereTheyAreAskedFor(t *testing.T) {
	for _, asked := range []bool{false, true} {
		b := newBench(t, always(200))
		b.endpoint.SystemEvents = asked
		b.start()
		own := sample()
		own.ID, own.Source, own.Type = event.NewID(event.Test, event.System, "1"), event.System, "jethook.endpoint.failing"
		b.store(own)
		other := b.publish("2", []byte(`{}`))
		want := map[string]bool{string(other.ID): true}
		if asked {
			want[string(own.ID)] = true
		}
		for range len(want) {
			delete(want, b.receiver.next().header.Get("Webhook-Id"))
		}
		b.settled("EVENTS_TEST", "billing")
		if len(want) > 0 || len(b.receiver.got) > 0 {
			t.Errorf("asked for: %v; not delivered: %v, and %d more deliveries", asked, want, len(b.receiver.got))
		}
	}
}

func TestAnEventThatTheFilterCannotReadIsDeadAndNeverDropped(t *testing.T) {
	for name, body := range map[string]string{"not JSON": "a=1", "another type": `{"amount":"1000"}`} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, always(200))
			b.endpoint.Filter = "amount >= 1000"
			b.start()
			e := b.publish("1", []byte(body))
			if got := b.dead(); got.EventID != e.ID || !strings.HasPrefix(got.Reason, "filter: ") || got.Attempts != 0 || !got.FirstAttemptAt.IsZero() {
				t.Errorf("dead event is %+v, want %s without an attempt", got, e.ID)
			}
			b.settled("EVENTS_TEST", "billing")
		})
	}
}

func TestMetricsCountEveryOutcome(t *testing.T) {
	reader := metric.NewManualReader()
	b := newBench(t, inTurn(always(500), always(404), always(200)))
	b.config.Meter = metric.NewMeterProvider(metric.WithReader(reader)).Meter("test")
	b.endpoint.Filter = "wanted"
	b.endpoint.Retry.Attempts = 2
	stop := b.start()
	b.publish("1", []byte(`{"wanted":true}`))
	b.dead()
	b.publish("2", []byte(`{"wanted":true}`))
	b.publish("3", []byte(`{"wanted":false}`))
	b.publish("4", []byte(`nothing`))
	b.settled("EVENTS_TEST", "billing")
	stop()
	var data metricdata.ResourceMetrics
	if err := reader.Collect(b.ctx, &data); err != nil {
		t.Fatal(err)
	}
	got := make(map[string]int64)
	for _, m := range data.ScopeMetrics[0].Metrics {
		switch values := m.Data.(type) {
		case metricdata.Sum[int64]:
			for _, point := range values.DataPoints {
				outcome, _ := point.Attributes.Value(event.AttrOutcome)
				got[m.Name+" "+outcome.AsString()] += point.Value
			}
		case metricdata.Histogram[float64]:
			got[m.Name] += int64(values.DataPoints[0].Count)
		}
	}
	for name, want := range map[string]int64{
		"jethook.deliver.attempts delivered": 1, "jethook.deliver.attempts retry": 1, "jethook.deliver.attempts dead": 2,
		"jethook.deliver.attempts filtered": 1, "jethook.deliver.inflight ": 0, "jethook.deliver.duration": 3,
	} {
		if got[name] != want {
			t.Errorf("%s is %d, want %d; all: %v", name, got[name], want, got)
		}
	}
}

func TestNoSecretIsLoggedOrPrinted(t *testing.T) {
	b := newBench(t, inTurn(always(500), always(302), func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }))
	b.endpoint.URL = strings.Replace(b.endpoint.URL, "http://", "http://anna:geheim@", 1) + "?token=geheim"
	b.endpoint.Header = http.Header{"X-Token": {"geheim"}}
	b.endpoint.Retry.Attempts = 4
	b.config.Client = newTestClient(t)
	b.start()
	b.publish("1", []byte(`{"card":"geheim"}`))
	dead := fmt.Sprintf("%+v", b.dead())
	slog.New(slog.NewJSONHandler(b.log, nil)).Info("endpoint", "endpoint", b.endpoint)
	bad := b.endpoint
	bad.URL, bad.Header, bad.Timeout = "http://anna:geheim@[", http.Header{"X-Token": {"geheim\n"}}, -1
	records := fmt.Sprintf("%+v", b.attempts(4))
	for what, text := range map[string]string{"log": b.log.String(), "dead event": dead, "records": records,
		"endpoint": fmt.Sprintf("%v %+v %s", b.endpoint, b.endpoint, b.endpoint), "problems": bad.Validate().Error()} {
		if strings.Contains(text, "geheim") || strings.Contains(text, secret) || strings.Contains(text, strings.TrimPrefix(secret, "whsec_")) {
			t.Errorf("%s holds a secret: %s", what, text)
		}
	}
}

func TestAnEndpointIsValid(t *testing.T) {
	good := Endpoint{Name: "billing-2_a", Env: event.Prod, URL: "https://example.com/", Keys: []signature.Key{mustKey(t, StyleStandard, secret)}}
	if err := good.Validate(); err != nil {
		t.Fatalf("a good endpoint is refused: %v", err)
	}
	for name, change := range map[string]func(*Endpoint){
		"name must":            func(e *Endpoint) { e.Name = "" },
		"name may":             func(e *Endpoint) { e.Name = "a.b" },
		"environment":          func(e *Endpoint) { e.Env = "staging" },
		"url must begin":       func(e *Endpoint) { e.URL = "ftp://example.com" },
		"url names no host":    func(e *Endpoint) { e.URL = "https://" },
		"signature":            func(e *Endpoint) { e.Signature = "hmac" },
		"signature standard":   func(e *Endpoint) { e.Keys = nil },
		"signature chip":       func(e *Endpoint) { e.Signature = StyleCHIP },
		"timeout":              func(e *Endpoint) { e.Timeout = time.Hour },
		"concurrency":          func(e *Endpoint) { e.Concurrency = -1 },
		"rate":                 func(e *Endpoint) { e.Rate = -1 },
		"filter":               func(e *Endpoint) { e.Filter = "a >" },
		"is set by jethook":    func(e *Endpoint) { e.Header = http.Header{"webhook-id": {"x"}} },
		"is not a header name": func(e *Endpoint) { e.Header = http.Header{"a b": {"x"}} },
		"characters that":      func(e *Endpoint) { e.Header = http.Header{"a": {"x\r\ny: z"}} },
		"headers: more than":   func(e *Endpoint) { e.Header = http.Header{"a": {strings.Repeat("x", maxHeaderBytes)}} },
		"retry.attempts":       func(e *Endpoint) { e.Retry.Attempts = 101 },
		"retry.initial":        func(e *Endpoint) { e.Retry.Initial = -1 },
		"retry.multiplier":     func(e *Endpoint) { e.Retry.Multiplier = 0.5 },
		"retry.max_interval":   func(e *Endpoint) { e.Retry = Retry{Initial: 2, MaxInterval: 1} },
		"retry.max_elapsed":    func(e *Endpoint) { e.Retry.MaxElapsed = -1 },
		"retry.jitter":         func(e *Endpoint) { e.Retry.Jitter = 1 },
	} {
		bad := good
		change(&bad)
		if err := bad.Validate(); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("got %v, want a problem with %q", err, name)
		}
	}
}
