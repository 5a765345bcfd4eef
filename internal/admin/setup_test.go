package admin

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
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/jethook/jethook/api"
	"github.com/jethook/jethook/config"
	"github.com/jethook/jethook/deliver"
	"github.com/jethook/jethook/fanout"
	"github.com/jethook/jethook/internal/bus"
	"github.com/jethook/jethook/internal/event"
	"github.com/jethook/jethook/internal/managed"
	"github.com/jethook/jethook/internal/vault"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	prodKey = "sk_prod_the-key-of-the-tests"
	testKey = "sk_test_the-key-of-the-tests"
)

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

// desk is a handler under test on a bus of its own.
type desk struct {
	*Handler
	t         *testing.T
	bus       *bus.Bus
	directory *fanout.Directory
	logs      *logBuffer
}

func newDesk(t *testing.T) *desk {
	t.Helper()
	b, err := bus.Open(t.Context(), bus.Config{
		Embedded: &bus.Embedded{StoreDir: t.TempDir(), Durability: bus.Process},
		Stream:   bus.Stream{Replicas: 1, MaxAge: 24 * time.Hour, MaxBytes: 64 << 20, DedupeWindow: time.Minute},
		Logger:   slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatalf("open the bus: %v", err)
	}
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Errorf("close the bus: %v", err)
		}
	})
	d := &desk{t: t, bus: b, directory: fanout.NewDirectory(b, vault.New(vault.Config{Bus: b}), slog.New(slog.DiscardHandler), 100*time.Hour), logs: new(logBuffer)}
	d.directory.SetEndpoints([]fanout.Endpoint{
		endpoint("billing", event.Prod, "shop.>"), endpoint("ledger", event.Prod, "shop.order.*"), endpoint("billing", event.Test, "shop.>"),
	})
	file, err := config.Load(nil)
	if err != nil {
		t.Fatal(err)
	}
	store, err := managed.Open(t.Context(), managed.Config{
		Bus: b, Vault: vault.New(vault.Config{Bus: b, File: t.TempDir() + "/keyset.json"}), Logger: slog.New(slog.DiscardHandler),
		Check: func(*config.Config) error { return nil }, Resolve: func(context.Context, string) error { return nil }, Changed: func(managed.Entry) {},
	}, file)
	if err != nil {
		t.Fatal(err)
	}
	guard, err := deliver.NewGuard([]netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")})
	if err != nil {
		t.Fatal(err)
	}
	client, err := deliver.NewClient(deliver.ClientConfig{Guard: guard, Version: "test"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	if d.Handler, err = New(Config{Bus: b, Directory: d.directory, Managed: store, Guard: guard, Client: client,
		Logger: slog.New(slog.NewTextHandler(d.logs, &slog.HandlerOptions{Level: slog.LevelDebug}))}); err != nil {
		t.Fatalf("new handler: %v", err)
	}
	d.SetKeys([]Key{parsed(t, prodKey), parsed(t, testKey)})
	t.Cleanup(func() {
		if logs := d.logs.String(); strings.Contains(logs, "the-key-of-the-tests") {
			t.Errorf("the log holds a key:\n%s", logs)
		}
	})
	return d
}

func endpoint(name string, env event.Env, patterns ...event.Pattern) fanout.Endpoint {
	return fanout.Endpoint{Endpoint: deliver.Endpoint{Name: name, Env: env, URL: "https://jethook:hunter2@" + name + ".example/events"},
		Events: patterns, Enabled: true}
}

func parsed(t *testing.T, text string) Key {
	t.Helper()
	key, err := ParseKey(text)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// publish stores an event of the shop.
func (d *desk) publish(env event.Env, kind, name string) *event.Event {
	d.t.Helper()
	e := &event.Event{ID: event.NewID(env, "shop", name), Env: env, Source: "shop", Type: kind, Time: time.Now(),
		ContentType: "application/json", Data: fmt.Appendf(nil, `{"name":%q}`, name)}
	if _, err := d.bus.Publish(d.t.Context(), e); err != nil {
		d.t.Fatalf("publish: %v", err)
	}
	return e
}

// ask makes a request. A body that is not empty is JSON.
func (d *desk) ask(method, path, key, body string, header ...string) *httptest.ResponseRecorder {
	d.t.Helper()
	var content io.Reader
	if body != "" {
		content = strings.NewReader(body)
	}
	r := httptest.NewRequestWithContext(d.t.Context(), method, path, content)
	if key != "" {
		r.Header.Set("Authorization", "Bearer "+key)
	}
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	d.ServeHTTP(w, r)
	return w
}

// read asks for something that must be there.
func read[T any](d *desk, method, path, key, body string) T {
	d.t.Helper()
	var v T
	w := d.ask(method, path, key, body)
	if w.Code < 200 || w.Code > 299 {
		d.t.Fatalf("%s %s: %d %s", method, path, w.Code, w.Body)
	}
	if err := json.Unmarshal(w.Body.Bytes(), &v); err != nil {
		d.t.Fatalf("%s %s: %v in %s", method, path, err, w.Body)
	}
	return v
}

// refused checks that an answer is a complete problem.
func (d *desk) refused(w *httptest.ResponseRecorder, status int, code string) api.Problem {
	d.t.Helper()
	var p api.Problem
	if err := json.Unmarshal(w.Body.Bytes(), &p); err != nil {
		d.t.Fatalf("answer %d %q is no problem: %v", w.Code, w.Body, err)
	}
	if w.Code != status || p.Status != status || p.Code != code {
		d.t.Errorf("answer %d %s, want %d %s", w.Code, w.Body, status, code)
	}
	if p.Type != "urn:jethook:problem:"+code || p.Title == "" || p.Detail == "" || p.RequestID == "" {
		d.t.Errorf("a member of the problem is missing: %s", w.Body)
	}
	if got := w.Header().Get("Content-Type"); got != "application/problem+json" {
		d.t.Errorf("content type %q, want application/problem+json", got)
	}
	if !strings.Contains(d.logs.String(), p.RequestID) {
		d.t.Errorf("the log does not have request %s", p.RequestID)
	}
	return p
}

var _ http.Handler = (*Handler)(nil)
