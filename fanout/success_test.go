package fanout

import (
	"testing"
	"time"

	"github.com/jethook/jethook/deliver"
	"github.com/jethook/jethook/internal/bus"
)

// outageOf has a replica note an outage that began an hour ago, and warn of it.
func outageOf(t *testing.T, r *replica, e Endpoint) (since time.Time) {
	t.Helper()
	since = time.Now().Add(-time.Hour).UTC()
	if err := r.failing(t.Context(), &e.Endpoint, deliver.Failing{Since: since, Reason: "status 500"}); err != nil {
		t.Fatal(err)
	}
	return since
}

func TestASuccessWinsOverADisablingThatIsUnderWay(t *testing.T) {
	b := openBus(t, t.TempDir())
	e := endpoint(t, "billing", "http://127.0.0.1:1", ">")
	first, second := newReplica(t, b, nil), newReplica(t, b, nil)
	for _, r := range []*replica{first, second} {
		r.apply(t, []Endpoint{e}, watcher)
	}
	since := outageOf(t, first, e)
	told(t, b, failingType, 0)
	if err := second.recovered(t.Context(), &e.Endpoint); err != nil {
		t.Fatal(err)
	}
	told(t, b, recoveredType, -1)
	if err := first.gone(t.Context(), &e.Endpoint, "nothing but failures", since); err != nil {
		t.Fatal(err)
	}
	if got := stateOf(t, b, "billing"); got.state != (state{}) {
		t.Errorf("state %+v, want none", got.state)
	}
	untoldMore(t, b)
}

func TestASuccessEndsADisablingOfTheSameInstant(t *testing.T) {
	b := openBus(t, t.TempDir())
	e := endpoint(t, "billing", "http://127.0.0.1:1", ">")
	r := newReplica(t, b, nil)
	r.apply(t, []Endpoint{e}, watcher)
	since := outageOf(t, r, e)
	told(t, b, failingType, 0)
	if err := r.gone(t.Context(), &e.Endpoint, "nothing but failures", since); err != nil {
		t.Fatal(err)
	}
	told(t, b, disabledType, -1)
	for range 2 {
		if err := r.recovered(t.Context(), &e.Endpoint); err != nil {
			t.Fatal(err)
		}
	}
	told(t, b, recoveredType, -1)
	if got := stateOf(t, b, "billing"); got.state != (state{}) {
		t.Errorf("state %+v, want none", got.state)
	}
	untoldMore(t, b)
}

func TestASuccessDoesNotEndThatAnEndpointIsGone(t *testing.T) {
	b := openBus(t, t.TempDir())
	e := endpoint(t, "billing", "http://127.0.0.1:1", ">")
	r := newReplica(t, b, nil)
	r.apply(t, []Endpoint{e}, watcher)
	if err := r.gone(t.Context(), &e.Endpoint, "410 Gone", time.Time{}); err != nil {
		t.Fatal(err)
	}
	if err := r.recovered(t.Context(), &e.Endpoint); err != nil {
		t.Fatal(err)
	}
	if got := stateOf(t, b, "billing"); !got.bars(e.URL) {
		t.Errorf("state %+v, want it disabled", got.state)
	}
}

func TestAnOutageDoesNotReachBackBeforeASuccessOfAnotherReplica(t *testing.T) {
	for name, heard := range map[string]bool{"heard of": true, "not heard of yet": false} {
		t.Run(name, func(t *testing.T) {
			b := openBus(t, t.TempDir())
			e := endpoint(t, "billing", "http://127.0.0.1:1", ">")
			first, second := newReplica(t, b, nil), newReplica(t, b, nil)
			for _, r := range []*replica{first, second} {
				r.apply(t, []Endpoint{e}, watcher)
			}
			since := outageOf(t, first, e)
			if err := second.recovered(t.Context(), &e.Endpoint); err != nil {
				t.Fatal(err)
			}
			if heard {
				first.note(ref{"prod", "billing"}, stateOf(t, b, "billing"))
			}
			if err := first.failing(t.Context(), &e.Endpoint, deliver.Failing{Since: since}); err != nil {
				t.Fatal(err)
			}
			if got := stateOf(t, b, "billing"); got.Failing == nil || time.Since(got.Failing.Since) > time.Minute {
				t.Errorf("state %+v, want an outage since the success", got.Failing)
			}
		})
	}
}

func TestADisablingThatACrashLeftUntoldIsToldAtTheStart(t *testing.T) {
	b := openBus(t, t.TempDir())
	e := endpoint(t, "billing", "http://127.0.0.1:1", ">")
	newReplica(t, b, nil).apply(t, []Endpoint{e}, watcher)
	bucket, err := openStates(t.Context(), b.JetStream())
	if err != nil {
		t.Fatal(err)
	}
	at := time.Now().UTC()
	if _, err := disable(t.Context(), bucket, "prod.billing", disabled{Reason: "410 Gone", At: at, Fingerprint: fingerprint(e.URL)}); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		r := newReplica(t, b, nil)
		r.apply(t, []Endpoint{e}, watcher)
		r.start(t)
		eventually(t, "the record says that it is told", func() bool {
			got := stateOf(t, b, "billing")
			return got.bars(e.URL) && !got.Disabled.Untold
		})
	}
	if got := told(t, b, disabledType, -1); got.Data.Reason != "410 Gone" || !got.Timestamp.Equal(at) {
		t.Errorf("told %+v, want what the record says", got)
	}
	untoldMore(t, b)
}

func TestNothingIsRememberedOfAnEndpointThatIsRemoved(t *testing.T) {
	b := openBus(t, t.TempDir())
	to := newReceiver(t)
	r := newReplica(t, b, nil)
	r.start(t)
	for _, name := range []string{"one", "two", "three"} {
		e := endpoint(t, name, to.url, "shop.>")
		r.apply(t, []Endpoint{e})
		publish(t, b, "order."+name)
		to.wants(t, "order."+name)
		if _, err := r.disable(t, name, to.url); err != nil {
			t.Fatal(err)
		}
		r.disabledIn(t, name)
	}
	for range 2 { // the second time for what is heard of the first
		r.apply(t, nil)
		eventually(t, "the removal is heard of", func() bool { return len(keysOf(t, b, bus.Endpoints)) == 0 })
	}
	r.Registry.mu.Lock()
	defer r.Registry.mu.Unlock()
	if n := len(r.records) + len(r.told) + len(r.sleeps) + len(r.known); n > 1 {
		t.Errorf("remembered: states %v, what was told %v, sleepers %v, known %v", r.records, r.told, r.sleeps, r.known)
	}
}
