package fanout

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/jethook/jethook/deliver"
	"github.com/jethook/jethook/internal/bus"
	"github.com/jethook/jethook/internal/event"
)

var watcher = Subscriber{Name: "watcher", Env: event.Prod, Events: []event.Pattern{"jethook.>"}}

// told wants the next notice to be of that type and percent; -1 is for none.
func told(t *testing.T, b *bus.Bus, kind string, percent int) noticeBody {
	t.Helper()
	got := toldOf(t, b)
	have := -1
	if got.Data.Percent != nil {
		have = *got.Data.Percent
	}
	if got.Type != kind || have != percent || got.Data.Endpoint != "billing" || got.Data.Env != event.Prod {
		t.Fatalf("told %+v at %d percent, want %s about prod/billing at %d", got, have, kind, percent)
	}
	return got
}

func untoldMore(t *testing.T, b *bus.Bus) {
	t.Helper()
	if n := durable(t, b, "watcher").CachedInfo().NumPending; n != 0 {
		t.Errorf("told %d times more", n)
	}
}

// stateOf returns the endpoint's record as the bucket has it.
func stateOf(t *testing.T, b *bus.Bus, name string) record {
	t.Helper()
	bucket, err := openStates(t.Context(), b.JetStream())
	if err != nil {
		t.Fatal(err)
	}
	found, err := change(t.Context(), bucket, "prod."+name, func(have state) state { return have })
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func TestThatAnEndpointFailsIsToldOnceOverTwoReplicas(t *testing.T) {
	b := openBus(t, t.TempDir())
	e := endpoint(t, "billing", "http://127.0.0.1:1", ">")
	first, second := newReplica(t, b, nil), newReplica(t, b, nil)
	since := time.Now().UTC()
	for _, r := range []*replica{first, second} {
		r.apply(t, []Endpoint{e}, watcher)
	}
	for i, r := range []*replica{first, second, first} {
		f := deliver.Failing{Since: since.Add(time.Duration(i) * time.Second), Reason: fmt.Sprint("reason ", i)}
		if err := r.failing(t.Context(), &e.Endpoint, f); err != nil {
			t.Fatal(err)
		}
	}
	if got := told(t, b, failingType, 0); !got.Data.Since.Equal(since) || got.Data.Reason != "reason 0" {
		t.Errorf("told %+v, want what the first replica said", got)
	}
	for _, r := range []*replica{second, first} {
		if err := r.recovered(t.Context(), &e.Endpoint); err != nil {
			t.Fatal(err)
		}
	}
	if got := told(t, b, recoveredType, -1); !got.Data.Since.Equal(since) {
		t.Errorf("told %+v, want since when it failed", got)
	}
	untoldMore(t, b)
	if keys := keysOf(t, b, bus.Endpoints); len(keys) != 0 {
		t.Errorf("states after the recovery: got %q, want none", keys)
	}
}

func TestAnEndpointThatFailsForTooLongIsDisabledAfterThreeWarnings(t *testing.T) {
	const after = 5 * 24 * time.Hour
	for name, hours := range map[string][]float64{
		"with probes all the time": {0, 1, 59, 60, 60.1, 89, 90, 91, 107, 108, 119, 120},
		"without a probe between":  {0, 60, 93, 118, 500},
	} {
		t.Run(name, func(t *testing.T) {
			b := openBus(t, t.TempDir())
			e := endpoint(t, "billing", "http://127.0.0.1:1", ">")
			began := time.Now()
			now := began
			var replicas []*replica
			for range 2 {
				r := newReplica(t, b, func(c *Config) { c.DisableAfter = after })
				r.now = func() time.Time { return now }
				r.apply(t, []Endpoint{e}, watcher)
				replicas = append(replicas, r)
			}
			for _, passed := range hours {
				now = began.Add(time.Duration(passed * float64(time.Hour)))
				for _, r := range replicas {
					if err := r.failing(t.Context(), &e.Endpoint, deliver.Failing{Since: now, Reason: "status 500"}); err != nil {
						t.Fatal(err)
					}
				}
			}
			for _, percent := range []int{0, 50, 75, 90} {
				told(t, b, failingType, percent)
			}
			if got := told(t, b, disabledType, -1); !strings.Contains(got.Data.Reason, "nothing but failures since "+began.UTC().Format(time.RFC3339)) || !strings.Contains(got.Data.Reason, "status 500") {
				t.Errorf("disabled because %q", got.Data.Reason)
			}
			untoldMore(t, b)
			if got := stateOf(t, b, "billing"); !got.bars(e.URL) || got.Failing != nil {
				t.Errorf("state %+v, want it disabled alone", got.state)
			}
		})
	}
}

func TestASuccessBeginsTheTimeToDisablingAnew(t *testing.T) {
	b := openBus(t, t.TempDir())
	e := endpoint(t, "billing", "http://127.0.0.1:1", ">")
	r := newReplica(t, b, func(c *Config) { c.DisableAfter = time.Hour })
	now := time.Now()
	r.now = func() time.Time { return now }
	r.apply(t, []Endpoint{e}, watcher)
	fail := func() {
		t.Helper()
		if err := r.failing(t.Context(), &e.Endpoint, deliver.Failing{Since: now}); err != nil {
			t.Fatal(err)
		}
	}
	fail()
	now = now.Add(55 * time.Minute)
	fail()
	if err := r.recovered(t.Context(), &e.Endpoint); err != nil {
		t.Fatal(err)
	}
	now = now.Add(10 * time.Minute)
	fail()
	for _, want := range []int{0, 90} {
		told(t, b, failingType, want)
	}
	told(t, b, recoveredType, -1)
	told(t, b, failingType, 0)
	untoldMore(t, b)
}

func TestAnEndpointIsNotDisabledBeforeAWarning(t *testing.T) {
	for _, c := range []struct {
		passed, after time.Duration
		want          int
	}{
		{0, time.Hour, 0}, {29 * time.Minute, time.Hour, 0}, {30 * time.Minute, time.Hour, 50},
		{50 * time.Minute, time.Hour, 75}, {54 * time.Minute, time.Hour, 90}, {time.Hour, time.Hour, 100},
		{1000 * time.Hour, 0, 0}, {-time.Hour, time.Hour, 0},
	} {
		if got := warning(c.passed, c.after); got != c.want {
			t.Errorf("after %s of %s: %d percent, want %d", c.passed, c.after, got, c.want)
		}
	}
	b := openBus(t, t.TempDir())
	e := endpoint(t, "billing", "http://127.0.0.1:1", ">")
	r := newReplica(t, b, func(c *Config) { c.DisableAfter = time.Hour })
	r.apply(t, []Endpoint{e}, watcher)
	for range 2 {
		if err := r.failing(t.Context(), &e.Endpoint, deliver.Failing{Since: time.Now().Add(-1000 * time.Hour)}); err != nil {
			t.Fatal(err)
		}
	}
	told(t, b, failingType, 90)
	told(t, b, disabledType, -1)
}

func TestWhatACrashLeftUntoldIsToldByTheNextProbe(t *testing.T) {
	b := openBus(t, t.TempDir())
	e := endpoint(t, "billing", "http://127.0.0.1:1", ">")
	r := newReplica(t, b, nil)
	r.apply(t, []Endpoint{e}, watcher)
	bucket, err := openStates(t.Context(), b.JetStream())
	if err != nil {
		t.Fatal(err)
	}
	since := time.Now().UTC()
	if _, err := fail(t.Context(), bucket, "prod.billing", failing{Since: since, Fingerprint: fingerprint(e.URL)}); err != nil {
		t.Fatal(err)
	}
	if err := r.failing(t.Context(), &e.Endpoint, deliver.Failing{Since: time.Now()}); err != nil {
		t.Fatal(err)
	}
	if got := told(t, b, failingType, 0); !got.Data.Since.Equal(since) {
		t.Errorf("told %+v, want since %s", got, since)
	}
}

func TestFailingEndsWithTheURLAndWithEnabled(t *testing.T) {
	b := openBus(t, t.TempDir())
	e := endpoint(t, "billing", "http://127.0.0.1:1", ">")
	moved, paused := e, e
	moved.URL, paused.Enabled = "http://127.0.0.1:2", false
	r := newReplica(t, b, nil)
	for name, list := range map[string][]Endpoint{"moved": {moved}, "paused": {paused}} {
		r.apply(t, []Endpoint{e})
		if err := r.failing(t.Context(), &e.Endpoint, deliver.Failing{Since: time.Now()}); err != nil {
			t.Fatal(err)
		}
		r.apply(t, []Endpoint{e})
		if got := stateOf(t, b, "billing"); !got.fails(e.URL) {
			t.Errorf("applied again: state %+v, want that it fails", got.state)
		}
		r.apply(t, list)
		if keys := keysOf(t, b, bus.Endpoints); len(keys) != 0 {
			t.Errorf("%s: got states %q, want none", name, keys)
		}
		if err := r.failing(t.Context(), &e.Endpoint, deliver.Failing{Since: time.Now()}); err != nil {
			t.Fatal(err)
		}
		if keys := keysOf(t, b, bus.Endpoints); len(keys) != 0 {
			t.Errorf("%s, and the old worker tells later: got states %q, want none", name, keys)
		}
	}
}

func TestTheEndOfAnOutageIsToldWhereAnOperatorEndsIt(t *testing.T) {
	e := endpoint(t, "billing", "http://127.0.0.1:1", ">")
	moved, off := e, e
	moved.URL, off.Enabled = "http://127.0.0.1:2", false
	resume := func(t *testing.T, d *Directory) {
		if _, err := d.Resume(t.Context(), event.Prod, "billing", 0); err != nil {
			t.Fatal(err)
		}
	}
	for name, end := range map[string]func(t *testing.T, d *Directory, r *replica){
		"paused and resumed": func(t *testing.T, d *Directory, _ *replica) {
			if _, err := d.Pause(t.Context(), event.Prod, "billing"); err != nil {
				t.Fatal(err)
			}
			resume(t, d)
		},
		"disabled for it and resumed": func(t *testing.T, d *Directory, r *replica) {
			since := stateOf(t, d.bus, "billing").Failing.Since
			if err := r.gone(t.Context(), &e.Endpoint, "nothing but failures", since); err != nil {
				t.Fatal(err)
			}
			told(t, d.bus, disabledType, -1)
			resume(t, d)
		},
		"another url":    func(t *testing.T, _ *Directory, r *replica) { r.apply(t, []Endpoint{moved}, watcher) },
		"enabled: false": func(t *testing.T, _ *Directory, r *replica) { r.apply(t, []Endpoint{off}, watcher) },
	} {
		t.Run(name, func(t *testing.T) {
			b := openBus(t, t.TempDir())
			r := newReplica(t, b, nil)
			r.apply(t, []Endpoint{e}, watcher)
			if err := r.failing(t.Context(), &e.Endpoint, deliver.Failing{Since: time.Now()}); err != nil {
				t.Fatal(err)
			}
			began := told(t, b, failingType, 0)
			d := directoryOf(b, e)
			resume(t, d) // which has it tried, and ends nothing while it is neither paused nor disabled
			untoldMore(t, b)
			if found := stateOf(t, b, "billing"); found.Failing == nil || found.Failing.Asked.IsZero() {
				t.Errorf("state %+v, want that it fails and is to be tried", found)
			}
			end(t, d, r)
			if ended := told(t, b, recoveredType, -1); !ended.Data.Since.Equal(began.Data.Since) {
				t.Errorf("told %+v and %+v, want one outage", began, ended)
			}
			untoldMore(t, b)
		})
	}
}

// hasten has a registry probe every few milliseconds, and disable nothing for
// long.
func hasten(c *Config) { c.DisableAfter = time.Second }

func TestAnEndpointThatFailsRecoversInEveryReplica(t *testing.T) {
	b := openBus(t, t.TempDir())
	to := newReceiver(t)
	to.status.Store(http.StatusBadGateway)
	e := endpoint(t, "billing", to.url, "shop.>")
	e.Retry = deliver.Retry{Attempts: 100, Initial: 20 * time.Millisecond, Multiplier: 1, MaxInterval: time.Second}
	first, second := newReplica(t, b, hasten), newReplica(t, b, hasten)
	for _, r := range []*replica{first, second} {
		began := time.Now()
		r.now = func() time.Time { return began } // so that it is not disabled
		r.apply(t, []Endpoint{e}, watcher)
		r.start(t)
	}
	var names []string
	for i := range 60 {
		names = append(names, fmt.Sprint("order.", i))
	}
	publish(t, b, names...)
	began := told(t, b, failingType, 0)
	eventually(t, "the endpoint fails in both replicas", func() bool { return first.knows(e) && second.knows(e) })
	to.status.Store(http.StatusOK)
	if ended := told(t, b, recoveredType, -1); !ended.Data.Since.Equal(began.Data.Since) {
		t.Errorf("told %+v and %+v, want one outage", began, ended)
	}
	to.wants(t, names...)
}

// knows reports whether the replica has heard that the endpoint fails.
func (r *replica) knows(e Endpoint) bool {
	r.Registry.mu.Lock()
	defer r.Registry.mu.Unlock()
	return r.failsLocked(&e.Endpoint)
}

func TestAnEndpointThatFailsAtWhatIsToldOfItTellsNoMore(t *testing.T) {
	b := openBus(t, t.TempDir())
	to := newReceiver(t)
	to.status.Store(http.StatusBadGateway)
	e := endpoint(t, "billing", to.url, ">", "jethook.>")
	e.Retry = deliver.Retry{Attempts: 100, Initial: 20 * time.Millisecond, Multiplier: 1, MaxInterval: time.Second}
	r := newReplica(t, b, hasten)
	began := time.Now()
	r.now = func() time.Time { return began }
	r.apply(t, []Endpoint{e}, watcher)
	r.start(t)
	publish(t, b, "order.a", "order.b", "order.c")
	told(t, b, failingType, 0)
	for before := to.calls.Load(); to.calls.Load() < before+10; { // probes, of which some are at what was told
		r.config.Bus.JetStream().Conn().Flush()
	}
	untoldMore(t, b)
	to.status.Store(http.StatusOK)
	to.wants(t, "order.a", "order.b", "order.c", failingType, recoveredType)
	told(t, b, recoveredType, -1)
	untoldMore(t, b)
}

func TestAWorkerKnowsAfterARestartThatItsEndpointFailed(t *testing.T) {
	b := openBus(t, t.TempDir())
	to := newReceiver(t)
	e := endpoint(t, "billing", to.url, "shop.>")
	before := newReplica(t, b, nil)
	before.apply(t, []Endpoint{e}, watcher)
	if err := before.failing(t.Context(), &e.Endpoint, deliver.Failing{Since: time.Now()}); err != nil {
		t.Fatal(err)
	}
	told(t, b, failingType, 0)

	reader := metric.NewManualReader()
	after := newReplica(t, b, func(c *Config) {
		hasten(c)
		c.Meter = metric.NewMeterProvider(metric.WithReader(reader)).Meter("")
	})
	began := time.Now()
	after.now = func() time.Time { return began } // so that it is not disabled
	after.apply(t, []Endpoint{e}, watcher)
	after.start(t)
	to.status.Store(http.StatusBadGateway)
	publish(t, b, "order.a", "order.b")
	reads(t, reader, map[string]int64{"jethook.deliver.breaker": 2, "jethook.deliver.concurrency": 1})
	if calls := to.calls.Load(); calls > 10 {
		t.Errorf("%d attempts, want few probes", calls)
	}
	to.status.Store(http.StatusOK)
	to.wants(t, "order.a", "order.b")
	told(t, b, recoveredType, -1)
	reads(t, reader, map[string]int64{"jethook.deliver.breaker": 0, "jethook.deliver.concurrency": 4})
}

// reads waits until the gauges have these values.
func reads(t *testing.T, reader *metric.ManualReader, want map[string]int64) {
	t.Helper()
	eventually(t, fmt.Sprint("the gauges are ", want), func() bool {
		var all metricdata.ResourceMetrics
		if err := reader.Collect(context.Background(), &all); err != nil {
			t.Fatal(err)
		}
		matching := 0
		for _, scope := range all.ScopeMetrics {
			for _, m := range scope.Metrics {
				gauge, ok := m.Data.(metricdata.Gauge[int64])
				if value, asked := want[m.Name]; ok && asked && len(gauge.DataPoints) == 1 && gauge.DataPoints[0].Value == value {
					matching++
				}
			}
		}
		return matching == len(want)
	})
}
