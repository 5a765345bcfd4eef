package fanout

import (
	"errors"
	"log/slog"
	"net/http"
	"testing"
	"time"

	"github.com/jethook/jethook/internal/bus"
	"github.com/jethook/jethook/internal/event"
	"github.com/jethook/jethook/internal/vault"
)

// directoryOf is a directory that knows the endpoints.
func directoryOf(b *bus.Bus, endpoints ...Endpoint) *Directory {
	d := NewDirectory(b, vault.New(vault.Config{Bus: b}), slog.New(slog.DiscardHandler), 100*time.Hour)
	d.SetEndpoints(endpoints)
	return d
}

func (d *Directory) status(t *testing.T, name string) Status {
	t.Helper()
	s, err := d.Get(t.Context(), event.Prod, name)
	if err != nil {
		t.Fatalf("endpoint %s: %v", name, err)
	}
	return s
}

func TestAPausedEndpointIsDeliveredNothingByAnyReplicaUntilItIsResumed(t *testing.T) {
	b, r := openBus(t, t.TempDir()), newReceiver(t)
	e := endpoint(t, "billing", r.url, "shop.>")
	d := directoryOf(b, e)
	var replicas []*replica
	for range 2 {
		one := newReplica(t, b, nil)
		one.apply(t, []Endpoint{e})
		one.start(t)
		replicas = append(replicas, one)
	}
	publish(t, b, "one")
	r.wants(t, "one")
	if s, err := d.Pause(t.Context(), event.Prod, "billing"); err != nil || s.Condition != Paused {
		t.Fatalf("pause: %+v, %v", s, err)
	}
	for _, one := range replicas {
		eventually(t, "the replica has no worker", func() bool {
			one.mu.Lock()
			defer one.mu.Unlock()
			one.Registry.mu.Lock()
			defer one.Registry.mu.Unlock()
			return len(one.workers) == 0
		})
	}
	publish(t, b, "two")
	eventually(t, "the event waits", func() bool { return d.status(t, "billing").Waiting == 1 })
	if got := r.calls.Load(); got != 1 {
		t.Errorf("%d deliveries while paused, want the one before", got)
	}
	if s, err := d.Resume(t.Context(), event.Prod, "billing", 0); err != nil || s.Condition != Enabled {
		t.Fatalf("resume: %+v, %v", s, err)
	}
	r.wants(t, "two")
}

func TestAPauseOutlivesWhatEndsADisabling(t *testing.T) {
	b, r := openBus(t, t.TempDir()), newReceiver(t)
	r.status.Store(http.StatusGone)
	e := endpoint(t, "billing", r.url, "shop.>")
	d := directoryOf(b, e)
	one := newReplica(t, b, nil)
	one.apply(t, []Endpoint{e})
	stop := one.start(t)
	publish(t, b, "one")
	eventually(t, "it is disabled", func() bool { return d.status(t, "billing").Condition == Disabled })
	if _, err := d.Pause(t.Context(), event.Prod, "billing"); err != nil {
		t.Fatal(err)
	}
	if s := d.status(t, "billing"); s.Condition != Disabled || s.Reason == "" {
		t.Errorf("shown as %+v, want what keeps it from its events first", s)
	}
	r.status.Store(http.StatusOK)
	e.URL += "/new" // which ends the disabling
	one.apply(t, []Endpoint{e})
	d.SetEndpoints([]Endpoint{e})
	if s := d.status(t, "billing"); s.Condition != Paused {
		t.Errorf("shown as %+v, want it paused", s)
	}
	stop()
	two := newReplica(t, b, nil)
	two.apply(t, []Endpoint{e})
	two.start(t)
	if _, err := d.Resume(t.Context(), event.Prod, "billing", 0); err != nil {
		t.Fatal(err)
	}
	r.wants(t, "one")
}

func TestAFailingEndpointIsShownWithWhatComesNext(t *testing.T) {
	b := openBus(t, t.TempDir())
	e := endpoint(t, "billing", "http://127.0.0.1:1", "shop.>")
	d := directoryOf(b, e)
	now := time.Now().UTC()
	d.now = func() time.Time { return now }
	bucket, err := openStates(t.Context(), b.JetStream())
	if err != nil {
		t.Fatal(err)
	}
	since := now.Add(-60 * time.Hour)
	if _, err := fail(t.Context(), bucket, e.ref().key(), failing{Since: since, Reason: "no answer", Fingerprint: fingerprint(e.URL)}); err != nil {
		t.Fatal(err)
	}
	s := d.status(t, "billing")
	if s.Condition != Failing || !s.Since.Equal(since) || s.Reason != "no answer" ||
		!s.Warning.Equal(since.Add(75*time.Hour)) || !s.Disabling.Equal(since.Add(100*time.Hour)) {
		t.Errorf("shown as %+v, want it failing for 60 of 100 hours", s)
	}
	now = since.Add(95 * time.Hour)
	if s := d.status(t, "billing"); !s.Warning.IsZero() {
		t.Errorf("after the last warning another is foreseen at %s", s.Warning)
	}
	if _, err := d.Pause(t.Context(), event.Prod, "billing"); err != nil {
		t.Fatal(err)
	}
	if s := d.status(t, "billing"); s.Condition != Paused {
		t.Errorf("shown as %+v, want it paused", s)
	}
	if s, err := d.Resume(t.Context(), event.Prod, "billing", 0); err != nil || s.Condition != Enabled {
		t.Errorf("resumed it is %+v, %v, want it enabled as if it had never failed", s, err)
	}
	e.URL = "http://127.0.0.1:2"
	if _, err := fail(t.Context(), bucket, e.ref().key(), failing{Since: since, Reason: "no answer", Fingerprint: fingerprint(e.URL)}); err != nil {
		t.Fatal(err)
	}
	if s := d.status(t, "billing"); s.Condition != Enabled {
		t.Errorf("shown as %+v, want nothing known of its own url", s)
	}
}

func TestADirectoryShowsWhatItsFileDoesNotHave(t *testing.T) {
	b := openBus(t, t.TempDir())
	one := newReplica(t, b, nil)
	e := endpoint(t, "billing", "http://127.0.0.1:1", "shop.order.*", "other.>")
	e.Description, e.Enabled = "ledger postings", false // so that what it gets waits
	one.apply(t, []Endpoint{e}, Subscriber{Name: "ledger", Env: event.Prod, Events: []event.Pattern{"shop.>"}})
	one.start(t)
	d := directoryOf(b)
	list := func() Status {
		t.Helper()
		all, err := d.List(t.Context(), event.Prod)
		if err != nil || len(all) != 1 {
			t.Fatalf("listed %+v, %v, want the endpoint and no subscriber", all, err)
		}
		return all[0]
	}
	if s := list(); s.Name != "billing" || s.Waiting != 0 {
		t.Errorf("shown as %+v before there was an event", s)
	}
	publish(t, b, "order.paid", "customer")
	eventually(t, "an event waits", func() bool { return list().Waiting > 0 })
	if s := list(); s.Name != "billing" || s.URL != "" || s.Description != "ledger postings" || len(s.Events) != 2 || s.Waiting != 1 || s.Condition != Enabled {
		t.Errorf("shown as %+v", s)
	}
	for _, name := range []string{"ledger", "nobody", "a.b", ""} {
		if err := d.Has(t.Context(), event.Prod, name); !errors.Is(err, bus.ErrNotFound) {
			t.Errorf("%q: %v, want ErrNotFound", name, err)
		}
	}
	if err := d.Has(t.Context(), event.Prod, "billing"); err != nil {
		t.Errorf("billing: %v", err)
	}
	if err := d.Has(t.Context(), event.Test, "billing"); !errors.Is(err, bus.ErrNotFound) {
		t.Errorf("in the other environment: %v, want ErrNotFound", err)
	}
}

func TestWhatWaitsForAnEndpointThatIsMissingInTheFileIsCounted(t *testing.T) {
	b := openBus(t, t.TempDir())
	e := endpoint(t, "billing", "http://127.0.0.1:1", "shop.>")
	newReplica(t, b, nil).apply(t, []Endpoint{e})
	newReplica(t, b, nil).apply(t, nil) // as at the next start
	publish(t, b, "order.paid")
	d := directoryOf(b)
	eventually(t, "one event is shown to wait", func() bool { return d.status(t, "billing").Waiting == 1 })
}
