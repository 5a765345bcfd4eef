package ingest_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jethook/jethook/ingest"
	"github.com/jethook/jethook/internal/bus"
	"github.com/jethook/jethook/internal/event"
	"github.com/jethook/jethook/internal/provider"
	"github.com/jethook/jethook/internal/signature"
)

// Secrets of the sources under test. None may appear in an answer or a log.
const (
	secret      = "whsec_c2VjcmV0IG9mIHRoZSB0ZXN0cyBvZiBpbmdlc3Q="
	otherSecret = "whsec_YW5vdGhlciBzZWNyZXQgb2YgdGhlIHRlc3Rz"
)

// now is the clock of the tests.
var now = time.Date(2026, 11, 23, 8, 30, 0, 0, time.UTC)

// publisher is a bus that fails as a test wants. What succeeds is tested with
// the real one.
type publisher func(context.Context, *event.Event) (event.Receipt, error)

func (p publisher) Publish(ctx context.Context, e *event.Event) (event.Receipt, error) {
	return p(ctx, e)
}

// accept stores nothing and says that it did: for what happens before storing.
func accept(_ context.Context, e *event.Event) (event.Receipt, error) {
	return event.Receipt{ID: e.ID, Sequence: 1}, nil
}

// gateway is a Handler under test and the log it writes.
type gateway struct {
	*ingest.Handler
	t    *testing.T
	logs *logs
}

// newGateway returns a gateway whose logs, when the test has ended, must not
// contain a secret.
func newGateway(t *testing.T, config ingest.Config, sources ...ingest.Source) *gateway {
	t.Helper()
	g := &gateway{t: t, logs: &logs{}}
	if config.Now == nil {
		config.Now = func() time.Time { return now }
	}
	if config.Publisher == nil {
		config.Publisher = publisher(accept)
	}
	config.Logger = slog.New(slog.NewJSONHandler(g.logs, &slog.HandlerOptions{Level: slog.LevelDebug}))
	var err error
	if g.Handler, err = ingest.New(config); err != nil {
		t.Fatal(err)
	}
	if err := g.SetSources(sources); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { hasNoSecret(t, "the log", g.logs.String()) })
	return g
}

// send passes a request through the gateway and returns its answer, which must
// not contain a secret.
func (g *gateway) send(r *http.Request) answer {
	g.t.Helper()
	w := httptest.NewRecorder()
	g.ServeHTTP(w, r)
	return readAnswer(g.t, w.Code, w.Header(), w.Body.Bytes())
}

// answer is what a caller gets.
type answer struct {
	status int
	header http.Header
	text   string

	ID        string
	Duplicate *bool
	Events    []struct {
		ID        string
		Duplicate bool
	}

	Type, Title, Code, Detail string
	Status                    int
	RequestID                 string `json:"request_id"`
}

func readAnswer(t *testing.T, status int, header http.Header, body []byte) answer {
	t.Helper()
	a := answer{status: status, header: header, text: string(body)}
	hasNoSecret(t, "the answer", a.text)
	for name, values := range header {
		hasNoSecret(t, "header "+name, strings.Join(values, "\n"))
	}
	if len(body) > 0 && strings.Contains(header.Get("Content-Type"), "json") {
		if err := json.Unmarshal(body, &a); err != nil {
			t.Fatalf("answer %q is not JSON: %v", body, err)
		}
	}
	return a
}

func hasNoSecret(t *testing.T, where, text string) {
	t.Helper()
	for _, s := range []string{secret, otherSecret, strings.TrimPrefix(secret, "whsec_")} {
		if strings.Contains(text, s) {
			t.Errorf("%s contains a secret: %s", where, text)
		}
	}
}

// logs collects log lines.
type logs struct {
	sync.Mutex
	bytes.Buffer
}

func (l *logs) Write(p []byte) (int, error) {
	l.Lock()
	defer l.Unlock()
	return l.Buffer.Write(p)
}

func (l *logs) String() string {
	l.Lock()
	defer l.Unlock()
	return l.Buffer.String()
}

// last returns the fields of the last line.
func (l *logs) last(t *testing.T) map[string]any {
	t.Helper()
	lines := strings.Split(strings.TrimSpace(l.String()), "\n")
	var fields map[string]any
	if err := json.Unmarshal([]byte(lines[len(lines)-1]), &fields); err != nil {
		t.Fatalf("last log line %q: %v", lines[len(lines)-1], err)
	}
	return fields
}

// newSource returns a source of that name, made from a preset.
func newSource(t testing.TB, name, preset string, secrets ...string) ingest.Source {
	t.Helper()
	p, err := provider.Lookup(preset)
	if err != nil {
		t.Fatal(err)
	}
	if len(secrets) == 0 {
		secrets = []string{secret}
	}
	keys := make([]signature.Key, len(secrets))
	for i, s := range secrets {
		if keys[i], err = signature.ParseKey(p.Scheme.Algorithm, p.Scheme.KeyEncoding, s); err != nil {
			t.Fatal(err)
		}
	}
	s := ingest.Source{Name: name, Env: event.Test, KeepHeaders: p.Headers, RejectStatus: p.RejectStatus}
	if s.Verifier, err = signature.NewVerifier(*p.Scheme, keys); err != nil {
		t.Fatal(err)
	}
	if s.Extractor, err = provider.NewExtractor(p.ExtractorConfig()); err != nil {
		t.Fatal(err)
	}
	if s.Handshake, err = provider.NewHandshake(p.Handshake, keys); err != nil {
		t.Fatal(err)
	}
	return s
}

// newRequest returns a request to the source, signed as the preset says.
func newRequest(t testing.TB, preset, secret, url, body string, header http.Header) *http.Request {
	t.Helper()
	p, err := provider.Lookup(preset)
	if err != nil {
		t.Fatal(err)
	}
	key, err := signature.ParseSigningKey(p.Scheme.Algorithm, p.Scheme.KeyEncoding, secret)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := signature.NewSigner(*p.Scheme, []signature.Key{key})
	if err != nil {
		t.Fatal(err)
	}
	r := httptest.NewRequest(http.MethodPost, url, strings.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	maps.Copy(r.Header, header)
	signed, err := signer.Sign(signature.Request{Method: r.Method, URL: url, Header: r.Header, Body: []byte(body)}, now)
	if err != nil {
		t.Fatal(err)
	}
	maps.Copy(r.Header, signed)
	return r
}

const stripeBody = `{"id":"evt_1","type":"invoice.paid","data":{"object":{"amount":1250}}}`

// stripe returns a signed request of Stripe's shape to the source named so.
func stripe(t testing.TB) *http.Request {
	t.Helper()
	return newRequest(t, "stripe", secret, "http://hooks.example/in/stripe", stripeBody, nil)
}

// openBus opens a real bus that ends with the test.
func openBus(t testing.TB) *bus.Bus {
	t.Helper()
	b, err := bus.Open(t.Context(), bus.Config{
		Embedded: &bus.Embedded{StoreDir: t.TempDir(), Durability: bus.Process},
		Stream:   bus.Stream{Replicas: 1, MaxAge: time.Hour, MaxBytes: 64 << 20, DedupeWindow: time.Minute},
		Logger:   slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	})
	return b
}

// storedEvents returns all events of the test environment, in their order.
func storedEvents(t *testing.T, b *bus.Bus) (subjects []string, events []*event.Event) {
	t.Helper()
	stream, err := b.JetStream().Stream(t.Context(), bus.StreamName(event.Test))
	if err != nil {
		t.Fatal(err)
	}
	for sequence := range stream.CachedInfo().State.LastSeq {
		m, err := stream.GetMsg(t.Context(), sequence+1)
		if err != nil {
			t.Fatal(err)
		}
		e, err := event.Decode(m.Header, m.Data)
		if err != nil {
			t.Fatalf("message %d: %v", sequence+1, err)
		}
		subjects, events = append(subjects, m.Subject), append(events, e)
	}
	return slices.Clip(subjects), events
}

func setBody(r *http.Request, body string) {
	r.Body = io.NopCloser(strings.NewReader(body))
	r.ContentLength = int64(len(body))
}

func verifiesNothing(t testing.TB) *signature.Verifier {
	t.Helper()
	v, err := signature.NewVerifier(signature.Scheme{Algorithm: signature.None}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func jsonString(s string) string {
	text, _ := json.Marshal(s) // a string cannot fail
	return string(text)
}

// hubspotItem is one event of a request of HubSpot's, which carries a list.
func hubspotItem(id int) string {
	return fmt.Sprintf(`{"eventId":%d,"subscriptionId":2,"portalId":3,"occurredAt":4, "subscriptionType":"contact.creation","objectId":5}`, id)
}

// after returns a bus that takes its time.
func after(d time.Duration) publisher {
	return func(ctx context.Context, e *event.Event) (event.Receipt, error) {
		select {
		case <-time.After(d):
			return accept(ctx, e)
		case <-ctx.Done():
			return event.Receipt{}, ctx.Err()
		}
	}
}
