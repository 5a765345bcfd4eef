package fanout

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jethook/jethook/internal/bus"
)

// serve runs a registry with one endpoint on a store until use returns.
func serve(t *testing.T, dir string, e Endpoint, use func(b *bus.Bus, r *replica)) {
	t.Helper()
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
	r := newReplica(t, b, func(c *Config) { c.DrainTimeout = 100 * time.Millisecond })
	r.apply(t, []Endpoint{e})
	defer r.start(t)()
	use(b, r)
}

func TestAnEndpointGoesOnWhereItWasAfterItsProcessWasKilled(t *testing.T) {
	dir, copied := t.TempDir(), filepath.Join(t.TempDir(), "copied")
	to := newReceiver(t)
	e := endpoint(t, "billing", to.url, "shop.>", "clink.>")
	serve(t, dir, e, func(b *bus.Bus, _ *replica) {
		publish(t, b, "order.a", "order.b", "order.c")
		to.wants(t, "order.a", "order.b", "order.c")
		eventually(t, "the three are acknowledged", func() bool {
			return durable(t, b, "billing").CachedInfo().AckFloor.Stream == 3
		})
		if err := b.Sync(); err != nil {
			t.Fatal(err)
		}
		if err := os.CopyFS(copied, os.DirFS(dir)); err != nil { // what is left of a process that is killed now
			t.Fatal(err)
		}
	})
	serve(t, copied, e, func(b *bus.Bus, r *replica) {
		publish(t, b, "order.d")
		to.wants(t, "order.d")
		if logs := r.logs.String(); strings.Contains(logs, "consumer is as it is configured") {
			t.Errorf("the consumer that was restored differs from the file:\n%s", logs)
		}
	})
}

func TestAnEventThatAnEndpointHasBehindAnotherIsNotRepeatedAfterAStop(t *testing.T) {
	dir := t.TempDir()
	to := newReceiver(t)
	slow, release := make(chan struct{}), make(chan struct{})
	first := sync.OnceFunc(func() { close(slow); <-release })
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if req.Header.Get("ce-type") == "order.a" {
			first() // the attempt is cut off at the stop
		}
		to.got <- req.Header.Get("ce-type")
	}))
	t.Cleanup(server.Close)
	e := endpoint(t, "billing", server.URL, "shop.>")
	serve(t, dir, e, func(b *bus.Bus, _ *replica) {
		publish(t, b, "order.a", "order.b", "order.c")
		<-slow
		to.wants(t, "order.b", "order.c")
		eventually(t, "the two are acknowledged", func() bool {
			return durable(t, b, "billing").CachedInfo().NumAckPending == 1
		})
	})
	close(release)
	<-to.got // order.a of the attempt that was cut off
	serve(t, dir, e, func(b *bus.Bus, _ *replica) {
		publish(t, b, "order.d")
		to.wants(t, "order.a", "order.d")
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
