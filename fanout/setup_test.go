package fanout

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	metricnoop "go.opentelemetry.io/otel/metric/noop"
	tracenoop "go.opentelemetry.io/otel/trace/noop"
	"go.uber.org/goleak"

	"github.com/jethook/jethook/deliver"
	"github.com/jethook/jethook/internal/bus"
	"github.com/jethook/jethook/internal/event"
	"github.com/jethook/jethook/internal/signature"
	"github.com/jethook/jethook/internal/vault"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience is how long anything may take that must happen.
const patience = 20 * time.Second

func embedded(dir string) bus.Config {
	return bus.Config{
		Embedded: &bus.Embedded{StoreDir: dir, Durability: bus.Process},
		Stream:   bus.Stream{Replicas: 1, MaxAge: 24 * time.Hour, MaxBytes: 64 << 20, DedupeWindow: time.Minute},
		Logger:   slog.New(slog.DiscardHandler),
	}
}

func openBus(t *testing.T, dir string) *bus.Bus {
	t.Helper()
	b, err := bus.Open(t.Context(), embedded(dir))
	if err != nil {
		t.Fatalf("open the bus: %v", err)
	}
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Errorf("close the bus: %v", err)
		}
	})
	return b
}

// logBuffer collects what is logged.
type logBuffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *logBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *logBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

// replica is a registry under test, with what it logged and the secrets it
// showed.
type replica struct {
	*Registry
	logs  *logBuffer
	mu    sync.Mutex
	shown []string
}

func newReplica(t *testing.T, b *bus.Bus, change func(*Config)) *replica {
	t.Helper()
	guard, err := deliver.NewGuard([]netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")})
	if err != nil {
		t.Fatal(err)
	}
	client, err := deliver.NewClient(deliver.ClientConfig{Guard: guard, Version: "test"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	r := &replica{logs: new(logBuffer)}
	config := Config{
		Bus: b, Client: client, Vault: vault.New(vault.Config{Bus: b}),
		Logger: slog.New(slog.NewTextHandler(r.logs, &slog.HandlerOptions{Level: slog.LevelDebug})),
		Tracer: tracenoop.NewTracerProvider().Tracer(""),
		Meter:  metricnoop.NewMeterProvider().Meter(""),
		ShowSecret: func(_, secret string) {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.shown = append(r.shown, secret)
		},
	}
	if change != nil {
		change(&config)
	}
	if r.Registry, err = New(config); err != nil {
		t.Fatalf("new registry: %v", err)
	}
	t.Cleanup(func() { r.checkLogs(t) })
	return r
}

// checkLogs fails the test if anything secret was logged in it.
func (r *replica) checkLogs(t *testing.T) {
	logs := r.logs.String()
	for _, secret := range append(r.secrets(), "whsec_", "PRIVATE KEY") {
		if secret != "" && strings.Contains(logs, secret) {
			t.Errorf("the logs hold a secret (%.12s…):\n%s", secret, logs)
		}
	}
}

func (r *replica) secrets() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]string(nil), r.shown...)
}

// start runs the registry until the returned function, or the test's end.
func (r *replica) start(t *testing.T) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		select {
		case err := <-done:
			if err != nil {
				t.Errorf("run: got %v, want no error", err)
			}
		case <-time.After(patience):
			t.Errorf("run did not return after its context ended")
		}
	})
	t.Cleanup(stop)
	return stop
}

func (r *replica) apply(t *testing.T, endpoints []Endpoint, subscribers ...Subscriber) {
	t.Helper()
	if err := r.Apply(t.Context(), endpoints, subscribers); err != nil {
		t.Fatalf("apply: %v", err)
	}
}

// receiver is an endpoint's service. It passes on the type of each event it
// accepts, and answers with its status.
type receiver struct {
	url    string
	status atomic.Int32
	calls  atomic.Int32
	got    chan string
}

func newReceiver(t *testing.T) *receiver {
	t.Helper()
	r := &receiver{got: make(chan string, 1000)}
	r.status.Store(http.StatusOK)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		_, _ = io.Copy(io.Discard, req.Body)
		r.calls.Add(1)
		status := int(r.status.Load())
		w.WriteHeader(status)
		if status == http.StatusOK {
			r.got <- req.Header.Get("ce-type")
		}
	}))
	t.Cleanup(server.Close)
	r.url = server.URL
	return r
}

// next returns the type of the next event that the receiver accepts.
func (r *receiver) next(t *testing.T) string {
	t.Helper()
	select {
	case got := <-r.got:
		return got
	case <-time.After(patience):
		t.Fatal("no event was delivered")
		return ""
	}
}

func (r *receiver) wants(t *testing.T, names ...string) {
	t.Helper()
	left := make(map[string]int)
	for _, name := range names {
		left[name]++
	}
	for range names {
		got := r.next(t)
		if left[got]--; left[got] < 0 {
			t.Fatalf("delivered %q, want each of %q once", got, names)
		}
	}
}

// endpoint is one that signs with a key of the file.
func endpoint(t *testing.T, name, url string, patterns ...event.Pattern) Endpoint {
	t.Helper()
	scheme := signature.StandardWebhooks()
	key, err := signature.ParseSigningKey(scheme.Algorithm, scheme.KeyEncoding, "whsec_c2VjcmV0IG9mIHRoZSB0ZXN0cw==")
	if err != nil {
		t.Fatal(err)
	}
	return Endpoint{
		Endpoint: deliver.Endpoint{
			Name: name, Env: event.Prod, URL: url, Signature: deliver.StyleStandard, Keys: []signature.Key{key},
			Timeout: 5 * time.Second, Concurrency: 4,
		},
		Events: patterns, Enabled: true,
	}
}

// publish stores an event shop.{name} whose delivery id is its name.
func publish(t *testing.T, b *bus.Bus, names ...string) {
	t.Helper()
	for _, name := range names {
		_, err := b.Publish(t.Context(), &event.Event{
			ID: event.NewID(event.Prod, "shop", name), Env: event.Prod, Source: "shop", Type: name,
			Time: time.Now(), ContentType: "application/json", Data: fmt.Appendf(nil, `{"type":%q}`, name),
		})
		if err != nil {
			t.Fatalf("publish %s: %v", name, err)
		}
	}
}

// durable returns the consumer, or nil where there is none.
func durable(t *testing.T, b *bus.Bus, name string) jetstream.Consumer {
	t.Helper()
	if err := b.Unpark(t.Context(), bus.StreamName(event.Prod), name); err != nil {
		t.Fatal(err)
	}
	found, err := b.JetStream().Consumer(t.Context(), bus.StreamName(event.Prod), name)
	if err != nil {
		if ignoreAbsent(err) == nil {
			return nil
		}
		t.Fatalf("consumer %s: %v", name, err)
	}
	return found
}

// take fetches and acknowledges n events and returns their subjects.
func take(t *testing.T, c jetstream.Consumer, n int) []string {
	t.Helper()
	var subjects []string
	for range n {
		message, err := c.Next(jetstream.FetchMaxWait(patience))
		if err != nil {
			t.Fatalf("next event after %q: %v", subjects, err)
		}
		if err := message.DoubleAck(t.Context()); err != nil {
			t.Fatalf("acknowledge: %v", err)
		}
		subjects = append(subjects, message.Subject())
	}
	return subjects
}

// eventually waits for what nothing tells of.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(patience)
	for !holds() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("in %s it did not come about that %s", patience, what)
		}
	}
}
