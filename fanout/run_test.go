package fanout

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/jethook/jethook/deliver"
	"github.com/jethook/jethook/internal/bus"
	"github.com/jethook/jethook/internal/event"
	"github.com/jethook/jethook/internal/signature"
)

func TestAPausedEndpointGoesOnWhereItWas(t *testing.T) {
	b := openBus(t, t.TempDir())
	r := newReplica(t, b, nil)
	r.start(t)
	to, witness := newReceiver(t), newReceiver(t)
	e, w := endpoint(t, "billing", to.url, "shop.>"), endpoint(t, "witness", witness.url, "shop.>")
	r.apply(t, []Endpoint{e, w})
	publish(t, b, "order.a")
	to.wants(t, "order.a")
	witness.wants(t, "order.a")

	e.Enabled = false
	r.apply(t, []Endpoint{e, w})
	eventually(t, "the paused endpoint has no worker", func() bool { return len(r.at("billing")) == 0 })
	publish(t, b, "order.b", "order.c")
	witness.wants(t, "order.b", "order.c")
	if len(to.got) != 0 {
		t.Errorf("delivered to the paused endpoint: %s", <-to.got)
	}

	e.Enabled = true
	r.apply(t, []Endpoint{e, w})
	to.wants(t, "order.b", "order.c")
}

// at returns the workers of an endpoint, those that drain too.
func (r *replica) at(name string) []*worker {
	r.Registry.mu.Lock()
	defer r.Registry.mu.Unlock()
	var all []*worker
	for w := range r.workers {
		if w.ref.name == name {
			all = append(all, w)
		}
	}
	return all
}

func TestChangedSettingsReplaceOneWorkerAndDisturbNoOther(t *testing.T) {
	b := openBus(t, t.TempDir())
	r := newReplica(t, b, nil)
	r.start(t)
	first, second, other := newReceiver(t), newReceiver(t), newReceiver(t)
	changing, staying := endpoint(t, "changing", first.url, "shop.>"), endpoint(t, "staying", other.url, "shop.>")
	r.apply(t, []Endpoint{changing, staying})
	publish(t, b, "order.a")
	first.wants(t, "order.a")
	other.wants(t, "order.a")
	before := r.at("staying")[0]

	changing = endpoint(t, "changing", second.url, "shop.>")
	staying = endpoint(t, "staying", other.url, "shop.>") // made anew from the same text
	r.apply(t, []Endpoint{changing, staying})
	eventually(t, "the old worker has drained", func() bool {
		at := r.at("changing")
		return len(at) == 1 && at[0].endpoint.URL == second.url
	})
	publish(t, b, "order.b")
	second.wants(t, "order.b")
	other.wants(t, "order.b")
	if after := r.at("staying"); len(after) != 1 || after[0] != before {
		t.Errorf("workers of the endpoint that stayed the same: got %d, want the one from before", len(after))
	}
}

func TestKeysReadTwiceFromTheSameTextAreNoChange(t *testing.T) {
	for _, style := range []deliver.Style{deliver.StyleStandard, deliver.StyleClink, deliver.StyleCHIP} {
		scheme, err := style.Scheme()
		if err != nil {
			t.Fatal(err)
		}
		read := func(text string) Endpoint {
			key, err := signature.ParseSigningKey(scheme.Algorithm, scheme.KeyEncoding, text)
			if err != nil {
				t.Fatal(err)
			}
			return Endpoint{Endpoint: deliver.Endpoint{Name: "billing", Signature: style, Keys: []signature.Key{key}}}
		}
		var texts [2]string
		for i := range texts {
			if texts[i], err = signature.GenerateSecret(scheme.Algorithm); err != nil {
				t.Fatal(err)
			}
		}
		first, again, other := read(texts[0]), read(texts[0]), read(texts[1])
		w := worker{endpoint: first.Endpoint}
		if !w.serves(&again) {
			t.Errorf("%s: the same key read again counts as a change", style)
		}
		if w.serves(&other) {
			t.Errorf("%s: another key does not count as a change", style)
		}
	}
}

func TestTLSThatIsReadAgainIsNoChange(t *testing.T) {
	read := func(ca, key string) Endpoint {
		return Endpoint{Endpoint: deliver.Endpoint{TLS: deliver.NewTLS(ca, "", key)}}
	}
	first, again := read("a", "b"), read("a", "b")
	w := worker{endpoint: first.Endpoint}
	if !w.serves(&again) {
		t.Error("the same texts read again count as a change")
	}
	for _, other := range []Endpoint{read("a", "c"), read("c", "b"), read("", "")} {
		if w.serves(&other) {
			t.Error("another text does not count as a change")
		}
	}
}

func TestTwoReplicasShareTheWork(t *testing.T) {
	b := openBus(t, t.TempDir())
	to := newReceiver(t)
	for range 2 {
		r := newReplica(t, b, nil)
		r.apply(t, []Endpoint{endpoint(t, "billing", to.url, "shop.order.>")})
		r.start(t)
	}
	var names []string
	for i := range 100 {
		names = append(names, "order."+strconv.Itoa(i))
	}
	publish(t, b, names...)
	to.wants(t, names...)
	eventually(t, "everything is acknowledged", func() bool {
		info := durable(t, b, "billing").CachedInfo()
		return info.NumPending == 0 && info.NumAckPending == 0
	})
	if len(to.got) != 0 {
		t.Errorf("%s was delivered twice", <-to.got)
	}
}

func TestAWorkerThatEndsCostsTheOthersNothing(t *testing.T) {
	b := openBus(t, t.TempDir())
	r := newReplica(t, b, nil)
	to := newReceiver(t)
	r.apply(t, []Endpoint{endpoint(t, "broken", to.url, "shop.>"), endpoint(t, "well", to.url, "shop.>")})
	stream, err := b.JetStream().Stream(t.Context(), bus.StreamName(event.Prod))
	if err != nil {
		t.Fatal(err)
	}
	durable(t, b, "broken") // which the server does not know before
	if err := stream.DeleteConsumer(t.Context(), "broken"); err != nil {
		t.Fatal(err)
	}
	r.start(t)
	publish(t, b, "order.a")
	to.wants(t, "order.a")
	eventually(t, "the end of the other is logged", func() bool {
		return strings.Contains(r.logs.String(), "delivery worker ended")
	})
}

func TestRunReturnsWhenWorkersHaveHandedBack(t *testing.T) {
	b := openBus(t, t.TempDir())
	r := newReplica(t, b, nil)
	arrived := make(chan struct{}, 100)
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, req *http.Request) {
		_, _ = io.Copy(io.Discard, req.Body)
		arrived <- struct{}{}
		<-req.Context().Done() // until the worker gives up
	}))
	t.Cleanup(server.Close)
	e := endpoint(t, "billing", server.URL, "shop.>")
	e.Timeout = 200 * time.Millisecond
	r.apply(t, []Endpoint{e})
	stop := r.start(t)
	publish(t, b, "order.a")
	<-arrived
	stop()
	if n := len(r.at("billing")); n != 0 {
		t.Errorf("workers after Run: got %d, want none", n)
	}
	if err := r.Run(t.Context()); err == nil {
		t.Error("a second Run: got no error, want one")
	}
}

func TestTheBacklogIsMeasured(t *testing.T) {
	b := openBus(t, t.TempDir())
	reader := metric.NewManualReader()
	provider := metric.NewMeterProvider(metric.WithReader(reader))
	r := newReplica(t, b, func(c *Config) { c.Meter = provider.Meter("") })
	paused := endpoint(t, "billing", "http://127.0.0.1:1", "shop.>")
	paused.Enabled = false
	r.apply(t, []Endpoint{paused}, subscriber(">"))
	publish(t, b, "order.a", "order.b")
	putRetries(t, b, "billing")
	r.start(t)
	for name, want := range map[string]int64{
		"jethook.endpoint.pending": 2, "jethook.endpoint.enabled": 0, "jethook.retry.waiting": 2, "jethook.endpoint.retries": 2, "jethook.subscriber.pending": 2,
	} {
		eventually(t, name+" is known", func() bool { _, ok := gauge(t, reader, name); return ok })
		if got, _ := gauge(t, reader, name); got != want {
			t.Errorf("%s: got %d, want %d", name, got, want)
		}
	}
}

func TestRetriesAreCountedByEndpointWhileTheyAreFewInAll(t *testing.T) {
	b := openBus(t, t.TempDir())
	reader := metric.NewManualReader()
	provider := metric.NewMeterProvider(metric.WithReader(reader))
	r := newReplica(t, b, func(c *Config) { c.Meter = provider.Meter("") })
	unregister, err := r.register()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = unregister() }() // the reader goes with the test
	putRetries(t, b, "billing")
	putRetries(t, b, "another") // which the list does not have
	r.apply(t, []Endpoint{endpoint(t, "billing", "http://127.0.0.1:1", "shop.>")})
	for _, c := range []struct {
		most    uint64
		counted bool
	}{{4, true}, {3, false}, {4, true}} { // it ends, and comes back
		if err := r.readRetries(t.Context(), c.most); err != nil {
			t.Fatal(err)
		}
		if got, counted := gauge(t, reader, "jethook.endpoint.retries"); counted != c.counted || counted && got != 2 {
			t.Errorf("with 4 retries of at most %d: got %d, counted: %t", c.most, got, counted)
		}
	}
}

// gauge reads the only point of a gauge.
func gauge(t *testing.T, reader metric.Reader, name string) (int64, bool) {
	t.Helper()
	var all metricdata.ResourceMetrics
	if err := reader.Collect(context.Background(), &all); err != nil {
		t.Fatal(err)
	}
	for _, scope := range all.ScopeMetrics {
		for _, m := range scope.Metrics {
			points, ok := m.Data.(metricdata.Gauge[int64])
			if m.Name == name && ok && len(points.DataPoints) == 1 {
				return points.DataPoints[0].Value, true
			}
		}
	}
	return 0, false
}
