package fanout

import (
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jethook/jethook/internal/bus"
)

func TestAnEndpointWhoseCursorIsDestroyedGoesOnWhereItWas(t *testing.T) {
	dir := t.TempDir()
	to := newReceiver(t)
	e := endpoint(t, "billing", to.url, "shop.>", "clink.>")
	serve := func(use func(b *bus.Bus, r *replica)) {
		b, err := bus.Open(t.Context(), bus.Config{
			Embedded: &bus.Embedded{StoreDir: dir, Durability: bus.Power},
			Stream:   bus.Stream{Replicas: 1, MaxAge: time.Hour, MaxBytes: 64 << 20, DedupeWindow: time.Minute},
			Logger:   slog.New(slog.DiscardHandler),
		})
		if err != nil {
			t.Fatal(err)
		}
		defer func() {
			if err := b.Close(); err != nil {
				t.Error(err)
			}
		}()
		r := newReplica(t, b, nil)
		r.apply(t, []Endpoint{e})
		defer r.start(t)()
		use(b, r)
	}
	serve(func(b *bus.Bus, _ *replica) {
		publish(t, b, "order.a", "order.b", "order.c")
		to.wants(t, "order.a", "order.b", "order.c")
	})
	state := filepath.Join(dir, "jetstream", "$G", "streams", "EVENTS_PROD", "obs", "billing", "o.dat")
	about, err := os.Stat(state)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(state, make([]byte, about.Size()), 0o600); err != nil {
		t.Fatal(err)
	}
	serve(func(b *bus.Bus, r *replica) {
		publish(t, b, "order.d")
		to.wants(t, "order.d")
		if logs := r.logs.String(); strings.Contains(logs, "consumer is as the file says") {
			t.Errorf("the consumer that was restored differs from the file:\n%s", logs)
		}
	})
}

func TestTheConsumerOfARemovedEndpointIsForgottenAtOnce(t *testing.T) {
	dir := t.TempDir()
	b := openBus(t, dir)
	r := newReplica(t, b, nil)
	keeps := func(name string) bool {
		t.Helper()
		kept, err := os.ReadFile(filepath.Join(dir, "cursors.json"))
		if err != nil {
			t.Fatal(err)
		}
		return strings.Contains(string(kept), name)
	}
	staying, leaving := endpoint(t, "staying", "http://127.0.0.1:1", ">"), endpoint(t, "leaving", "http://127.0.0.1:1", ">")
	r.apply(t, []Endpoint{staying, leaving})
	if !keeps("staying") || !keeps("leaving") {
		t.Error("a consumer that was made is not kept")
	}
	r.apply(t, []Endpoint{staying})
	if !keeps("staying") || keeps("leaving") {
		t.Error("the consumer that was deleted is kept, or the other is not")
	}
}
