package deliver

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/goleak"

	"github.com/jethook/jethook/internal/bus"
	"github.com/jethook/jethook/internal/event"
	"github.com/jethook/jethook/internal/signature"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const patience = 30 * time.Second

const secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"

// bench is an open bus, one endpoint and its receiver.
type bench struct {
	t        testing.TB
	ctx      context.Context
	bus      *bus.Bus
	client   *Client
	receiver *receiver
	endpoint Endpoint
	config   WorkerConfig
	log      *lockedBuffer
}

func newBench(t testing.TB, answer http.HandlerFunc) *bench {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*patience)
	t.Cleanup(cancel)
	log := &lockedBuffer{}
	logger := slog.New(slog.NewJSONHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	opened, err := bus.Open(ctx, bus.Config{
		Embedded: &bus.Embedded{StoreDir: t.TempDir(), Durability: bus.Process},
		Stream:   bus.Stream{Replicas: 1, MaxAge: time.Hour, MaxBytes: 256 << 20, DedupeWindow: 10 * time.Minute},
		Logger:   slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatalf("open the bus: %v", err)
	}
	t.Cleanup(func() {
		if err := opened.Close(); err != nil {
			t.Errorf("close the bus: %v", err)
		}
	})
	b := &bench{t: t, ctx: ctx, bus: opened, log: log, receiver: newReceiver(t, answer), client: newTestClient(t)}
	b.endpoint = Endpoint{Name: "billing", Env: event.Test, URL: b.receiver.server.URL + "/events",
		Keys: []signature.Key{mustKey(t, StyleStandard, secret)},
		Retry: Retry{Attempts: 10, Initial: 20 * time.Millisecond, Multiplier: 1, MaxInterval: time.Second,
			MaxElapsed: time.Hour}}
	b.config = WorkerConfig{Bus: opened, Client: b.client, Logger: logger,
		OnGone: func(context.Context, string) error { return nil }}
	return b
}

func newTestClient(t testing.TB) *Client {
	t.Helper()
	guard, err := NewGuard([]netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")})
	if err != nil {
		t.Fatal(err)
	}
	client, err := NewClient(ClientConfig{Guard: guard, Version: "1.2.3"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return client
}

func mustKey(t testing.TB, style Style, text string) signature.Key {
	t.Helper()
	scheme, err := style.Scheme()
	if err != nil {
		t.Fatal(err)
	}
	key, err := signature.ParseSigningKey(scheme.Algorithm, scheme.KeyEncoding, text)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// makeDurable makes the endpoint's durable, as the registry does.
func (b *bench) makeDurable() jetstream.Consumer {
	b.t.Helper()
	consumer, err := b.bus.JetStream().CreateOrUpdateConsumer(b.ctx, bus.StreamName(b.endpoint.Env), jetstream.ConsumerConfig{
		Durable: b.endpoint.Name, AckPolicy: jetstream.AckExplicitPolicy, MaxDeliver: -1,
		FilterSubject: event.AllEvents.Subject(b.endpoint.Env),
		AckWait:       AckWait(b.endpoint), MaxAckPending: MaxAckPending(b.endpoint)})
	if err != nil {
		b.t.Fatalf("make the durable: %v", err)
	}
	return consumer
}

// worker makes the endpoint's worker.
func (b *bench) worker() *Worker {
	b.t.Helper()
	b.config.Endpoint = b.endpoint
	worker, err := NewWorker(b.config)
	if err != nil {
		b.t.Fatalf("make the worker: %v", err)
	}
	return worker
}

// start makes the durable and runs a worker; stop ends it and waits. The test
// ends it otherwise.
func (b *bench) start() (stop func()) {
	b.t.Helper()
	b.makeDurable()
	worker := b.worker()
	ctx, cancel := context.WithCancel(b.ctx)
	ended := make(chan error, 1)
	go func() { ended <- worker.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		select {
		case err := <-ended:
			if err != nil {
				b.t.Errorf("run ended with %v", err)
			}
		case <-time.After(patience):
			b.t.Error("run does not end")
		}
	})
	b.t.Cleanup(stop)
	return stop
}

// publish stores an event of source shop and returns it.
func (b *bench) publish(delivery string, data []byte) *event.Event {
	b.t.Helper()
	e := &event.Event{ID: event.NewID(b.endpoint.Env, "shop", delivery), Env: b.endpoint.Env, Source: "shop",
		Type: "order.paid", Time: time.Now(), ContentType: "application/json", Data: data}
	b.store(e)
	return e
}

func (b *bench) store(e *event.Event) {
	b.t.Helper()
	if _, err := b.bus.Publish(b.ctx, e); err != nil {
		b.t.Fatalf("publish: %v", err)
	}
}

// next reads messages of a stream from its beginning until enough says so.
func (b *bench) messages(stream string, each func(jetstream.Msg) (enough bool)) {
	b.t.Helper()
	consumer, err := b.bus.JetStream().OrderedConsumer(b.ctx, stream, jetstream.OrderedConsumerConfig{})
	if err != nil {
		b.t.Fatal(err)
	}
	messages, err := consumer.Messages()
	if err != nil {
		b.t.Fatal(err)
	}
	defer messages.Stop()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	for {
		message, err := messages.Next(jetstream.NextContext(ctx))
		if err != nil {
			b.t.Fatalf("wait for a message of %s: %v\nlog:\n%s", stream, err, b.log)
		}
		if each(message) {
			return
		}
	}
}

// attempts waits for n records.
func (b *bench) attempts(n int) []Attempt {
	b.t.Helper()
	var all []Attempt
	b.messages(bus.Attempts, func(m jetstream.Msg) bool {
		if want := AttemptsSubject(b.endpoint.Env, b.endpoint.Name); m.Subject() != want {
			b.t.Errorf("records on %s, want %s", m.Subject(), want)
		}
		group, err := ParseAttempts(m.Data())
		if err != nil {
			b.t.Fatal(err)
		}
		all = append(all, group...)
		return len(all) >= n
	})
	return all
}

// dead waits for one dead event.
func (b *bench) dead() Dead {
	b.t.Helper()
	var dead Dead
	b.messages(bus.Dead, func(m jetstream.Msg) bool {
		if err := json.Unmarshal(m.Data(), &dead); err != nil {
			b.t.Fatal(err)
		}
		return true
	})
	return dead
}

// settled waits until the consumer has nothing left.
func (b *bench) settled(stream, consumer string) {
	b.t.Helper()
	b.until(stream, consumer, func(info *jetstream.ConsumerInfo) bool {
		return info.NumPending == 0 && info.NumAckPending == 0
	})
}

func (b *bench) until(stream, name string, reached func(*jetstream.ConsumerInfo) bool) {
	b.t.Helper()
	deadline := time.Now().Add(patience)
	for {
		consumer, err := b.bus.JetStream().Consumer(b.ctx, stream, name)
		if err != nil {
			b.t.Fatal(err)
		}
		info := consumer.CachedInfo()
		if reached(info) {
			return
		}
		if time.Now().After(deadline) {
			b.t.Fatalf("consumer %s has %d pending and %d unacknowledged\nlog:\n%s", name, info.NumPending, info.NumAckPending, b.log)
		}
	}
}

// count returns the messages of a stream under a subject.
func (b *bench) count(stream, subject string) uint64 {
	b.t.Helper()
	s, err := b.bus.JetStream().Stream(b.ctx, stream)
	if err != nil {
		b.t.Fatal(err)
	}
	info, err := s.Info(b.ctx, jetstream.WithSubjectFilter(subject))
	if err != nil {
		b.t.Fatal(err)
	}
	var n uint64
	for _, of := range info.State.Subjects {
		n += of
	}
	return n
}

// request is what the receiver got.
type request struct {
	method, path, proto string

	header http.Header
	body   []byte
	at     time.Time
}

// receiver is an endpoint. Its answer sees the body still unread.
type receiver struct {
	t      testing.TB
	server *httptest.Server
	got    chan request
}

func newReceiver(t testing.TB, answer http.HandlerFunc) *receiver {
	r := newUnstartedReceiver(t, answer)
	r.server.Start()
	return r
}

func newUnstartedReceiver(t testing.TB, answer http.HandlerFunc) *receiver {
	r := &receiver{t: t, got: make(chan request, 10_000)}
	r.server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		at := time.Now()
		body, err := io.ReadAll(q.Body)
		if err != nil {
			return
		}
		q.Body = io.NopCloser(bytes.NewReader(body))
		r.got <- request{q.Method, q.URL.Path, q.Proto, q.Header.Clone(), body, at}
		answer(w, q)
	}))
	r.server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	t.Cleanup(r.server.Close)
	return r
}

func (r *receiver) next() request {
	r.t.Helper()
	select {
	case q := <-r.got:
		return q
	case <-time.After(patience):
		r.t.Fatal("the receiver got nothing")
		return request{}
	}
}

// always answers with one status.
func always(status int) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) }
}

// inTurn answers with each in turn, and with the last one from then on.
func inTurn(answers ...http.HandlerFunc) http.HandlerFunc {
	var mu sync.Mutex
	return func(w http.ResponseWriter, q *http.Request) {
		mu.Lock()
		answer := answers[0]
		if len(answers) > 1 {
			answers = answers[1:]
		}
		mu.Unlock()
		answer(w, q)
	}
}

// lockedBuffer holds the log.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func numbers(attempts []Attempt) string {
	text := ""
	for _, a := range attempts {
		text += fmt.Sprintf("%d %s %d; ", a.Number, a.Outcome, a.Status)
	}
	return text
}
