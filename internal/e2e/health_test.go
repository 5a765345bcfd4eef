package e2e

import (
	"net/http"
	"strings"
	"testing"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

func TestReadinessFollowsTheBusAndSaysWhatFails(t *testing.T) {
	t.Parallel()
	bus, r := newNATS(t), newReceiver(t, nil)
	b := start(t, bus.on(), sources(shop("shop")), endpoints(endpoint("all", r)))
	if got := b.get("ops", "/healthz"); got.status != http.StatusOK {
		t.Errorf("healthz says %d, want 200", got.status)
	}
	if got := b.get("ops", "/readyz"); got.status != http.StatusOK || got.body != "ready\n" {
		t.Errorf("readyz says %d %q, want 200 and ready", got.status, got.body)
	}
	verbose := b.get("ops", "/readyz?verbose")
	for _, check := range []string{"process", "bus", "stream EVENTS_PROD", "stream EVENTS_TEST"} {
		if !strings.Contains(verbose.body, "[+] "+check+": ok\n") {
			t.Errorf("readyz?verbose says %q, want check %s", verbose.body, check)
		}
	}

	bus.kill()
	var down answer
	eventually(t, "readiness names the bus", func() bool {
		down = b.get("ops", "/readyz?verbose")
		return strings.Contains(down.body, "[-] bus: ")
	})
	if down.status != http.StatusServiceUnavailable || !strings.Contains(down.body, "[+] process: ok") || !strings.HasSuffix(down.body, "not ready\n") {
		t.Errorf("readyz?verbose says %d %q, want 503, and that the process is well", down.status, down.body)
	}
	if got := b.get("ops", "/healthz"); got.status != http.StatusOK {
		t.Errorf("healthz says %d while the bus is down, want 200: a restart does not mend it", got.status)
	}

	bus.again()
	eventually(t, "readiness is back", func() bool { return b.get("ops", "/readyz").status == http.StatusOK })
	id := b.sold(t, "after")
	if got := r.next().header.Get("webhook-id"); got != id {
		t.Errorf("%s was delivered after the bus was back, want %s", got, id)
	}
}

func TestMetricsCountWhatComesInAndWhatIsDelivered(t *testing.T) {
	t.Parallel()
	failed := make(chan struct{}, 1)
	r := newReceiver(t, func(http.ResponseWriter, delivery) int {
		select {
		case failed <- struct{}{}:
			return http.StatusInternalServerError
		default:
			return http.StatusOK
		}
	})
	b := start(t, embeddedIn(t.TempDir()), sources(shop("shop")),
		endpoints(endpoint("billing", r, "retry: {initial: 1ms, jitter: 0}")))
	b.sold(t, "1")
	b.sold(t, "2")
	b.sold(t, "1") // again
	b.post("shop", nil, order("3"))
	b.sell("made-up-by-a-stranger", order("4"))
	r.of(3)

	delivered := func(outcome string) map[string]string {
		return map[string]string{"jethook_endpoint": "billing", "jethook_env": "prod", "jethook_outcome": outcome}
	}
	received := func(source, outcome string) map[string]string {
		return map[string]string{"jethook_source": source, "jethook_outcome": outcome}
	}
	// An attempt is counted after its answer.
	eventually(t, "two deliveries are counted", func() bool {
		return counter(b.metrics(), "jethook_deliver_attempts_total", delivered("delivered")) == 2
	})
	families := b.metrics()
	for _, want := range []struct {
		name   string
		labels map[string]string
		value  float64
	}{
		{"jethook_ingest_requests_total", received("shop", "stored"), 2},
		{"jethook_ingest_requests_total", received("shop", "duplicate"), 1},
		{"jethook_ingest_requests_total", received("shop", "signature_missing"), 1},
		{"jethook_ingest_requests_total", received("unknown", "unknown_source"), 1},
		{"jethook_deliver_attempts_total", delivered("retry"), 1},
	} {
		if got := counter(families, want.name, want.labels); got != want.value {
			t.Errorf("%s%v is %v, want %v", want.name, want.labels, got, want.value)
		}
	}
	if text := b.get("ops", "/metrics").body; strings.Contains(text, "made-up-by-a-stranger") {
		t.Error("what a stranger made up became a label")
	}
}

// metrics reads /metrics as Prometheus does.
func (b *bridge) metrics() map[string]*dto.MetricFamily {
	b.t.Helper()
	got := b.get("ops", "/metrics")
	if kind := got.header.Get("Content-Type"); got.status != http.StatusOK || !strings.HasPrefix(kind, "text/plain; version=0.0.4") {
		b.t.Fatalf("metrics: %d %s, want 200 and Prometheus text", got.status, kind)
	}
	parser := expfmt.NewTextParser(model.LegacyValidation)
	families, err := parser.TextToMetricFamilies(strings.NewReader(got.body))
	if err != nil {
		b.t.Fatalf("metrics: %v\n%s", err, got.body)
	}
	return families
}

// counter is the value of the one counter with just these labels, or 0.
func counter(families map[string]*dto.MetricFamily, name string, labels map[string]string) float64 {
	for _, m := range families[name].GetMetric() {
		same := len(m.GetLabel()) == len(labels)
		for _, label := range m.GetLabel() {
			same = same && labels[label.GetName()] == label.GetValue()
		}
		if same {
			return m.GetCounter().GetValue()
		}
	}
	return 0
}
