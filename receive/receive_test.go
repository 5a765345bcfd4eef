package receive

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	secret = "whsec_c2VjcmV0IG9mIHRoZSByZWNlaXZlcg=="
	other  = "whsec_YW5vdGhlciBzZWNyZXQgb2YgaXRzIG93bg=="
	id     = "evt_xpuj4azcvz7ajuyrlzoezhc44a"
)

// delivery is a request as jethook sends it, signed by the library of Standard
// Webhooks at that time. More headers may replace those.
func delivery(t *testing.T, secret string, at time.Time, body string, header ...string) *http.Request {
	t.Helper()
	library, err := standardwebhooks.NewWebhook(secret)
	if err != nil {
		t.Fatal(err)
	}
	signature, err := library.Sign(id, at, []byte(body))
	if err != nil {
		t.Fatal(err)
	}
	r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/events", strings.NewReader(body))
	for name, value := range map[string]string{
		"webhook-id": id, "webhook-timestamp": strconv.FormatInt(at.Unix(), 10), "webhook-signature": signature,
		"ce-specversion": "1.0", "ce-id": id, "ce-source": "/prod/stripe", "ce-type": "invoice.paid%20late", "ce-time": "2026-11-23T10:00:00.25Z",
		"content-type": "application/json", "jethook-attempt": "2", "stripe-signature": "t=1,v1=00",
	} {
		r.Header.Set(name, value)
	}
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	return r
}

func newReceiver(t *testing.T, c Config) *Receiver {
	t.Helper()
	r, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestADeliveryIsReadAsItsEvent(t *testing.T) {
	r := newReceiver(t, Config{Secrets: []string{other, secret}})
	request := delivery(t, secret, time.Now(), `{"id":1}`, "jethook-replay", "rpl_1")
	got, err := r.Event(httptest.NewRecorder(), request)
	if err != nil {
		t.Fatal(err)
	}
	want := Event{
		ID: id, Type: "invoice.paid late", Env: "prod", Source: "stripe", Attempt: 2, Replay: "rpl_1",
		Time: time.Date(2026, 11, 23, 10, 0, 0, 250_000_000, time.UTC), Header: request.Header, Data: []byte(`{"id":1}`),
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("event (-want +got):\n%s", diff)
	}
}

func TestWhatIsNoGenuineDeliveryIsRefusedWithTheReason(t *testing.T) {
	now := time.Now()
	for _, c := range []struct {
		name    string
		config  Config
		request *http.Request
		want    error
		status  int
	}{
		{"another secret", Config{}, delivery(t, other, now, "{}"), ErrMismatch, 401},
		{"an id that was changed", Config{}, delivery(t, secret, now, "{}", "webhook-id", "evt_other"), ErrMismatch, 401},
		{"no signature", Config{}, delivery(t, secret, now, "{}", "webhook-signature", ""), ErrMissing, 401},
		{"an old one", Config{}, delivery(t, secret, now.Add(-6*time.Minute), "{}"), ErrExpired, 401},
		{"one of the future", Config{}, delivery(t, secret, now.Add(6*time.Minute), "{}"), ErrExpired, 401},
		{"one older than a narrow tolerance", Config{Tolerance: time.Minute}, delivery(t, secret, now.Add(-2*time.Minute), "{}"), ErrExpired, 401},
		{"a body over the default", Config{}, delivery(t, secret, now, strings.Repeat("a", 1<<20+1)), ErrTooLarge, 413},
		{"a body over MaxBody", Config{MaxBody: 2}, delivery(t, secret, now, "{ }"), ErrTooLarge, 413},
		{"an id that is not the signed one", Config{}, delivery(t, secret, now, "{}", "ce-id", "evt_other"), ErrNoEvent, 400},
		{"no event", Config{}, delivery(t, secret, now, "{}", "ce-type", ""), ErrNoEvent, 400},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.config.Secrets = []string{secret}
			var got error
			r := newReceiver(t, c.config)
			handler := r.Handler(func(context.Context, Event) error { t.Error("it was handled"); return nil })
			w := httptest.NewRecorder()
			handler.ServeHTTP(w, c.request.Clone(t.Context()))
			if w.Code != c.status {
				t.Errorf("status %d, want %d: %s", w.Code, c.status, w.Body)
			}
			if body := w.Body.String(); !strings.Contains(body, c.want.Error()) || strings.Contains(body, secret) {
				t.Errorf("answer %q, want %q", body, c.want)
			}
			// Without a body that is read twice: what was read at once is judged alike.
			if c.status != http.StatusRequestEntityTooLarge {
				_, got = r.Verify(c.request.Header, []byte("{}"))
			} else {
				_, got = r.Verify(c.request.Header, make([]byte, r.maxBody+1))
			}
			if !errors.Is(got, c.want) {
				t.Errorf("error %v, want %v", got, c.want)
			}
		})
	}
}

func TestALateDeliveryIsTakenWithAWideTolerance(t *testing.T) {
	r := newReceiver(t, Config{Secrets: []string{secret}, Tolerance: time.Hour})
	if _, err := r.Event(httptest.NewRecorder(), delivery(t, secret, time.Now().Add(-30*time.Minute), "{}")); err != nil {
		t.Error(err)
	}
}

func TestAnAnswerIs2xxOnlyWhenTheFunctionReturnedNil(t *testing.T) {
	for _, c := range []struct {
		name       string
		err        error
		status     int
		retryAfter string
	}{
		{"nil", nil, 204, ""},
		{"an error", errors.New("the ledger is down"), 500, ""},
		{"an error that asks for time", fmt.Errorf("wrapped: %w", RetryAfter(1500*time.Millisecond, errors.New("the ledger is down"))), 503, "2"},
		{"an error that asks for none", RetryAfter(0, errors.New("the ledger is down")), 503, "1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var log bytes.Buffer
			r := newReceiver(t, Config{Secrets: []string{secret}, Logger: slog.New(slog.NewTextHandler(&log, nil))})
			w := httptest.NewRecorder()
			r.Handler(func(context.Context, Event) error { return c.err }).ServeHTTP(w, delivery(t, secret, time.Now(), "{}"))
			if w.Code != c.status || w.Header().Get("Retry-After") != c.retryAfter {
				t.Errorf("%d with Retry-After %q, want %d and %q", w.Code, w.Header().Get("Retry-After"), c.status, c.retryAfter)
			}
			if strings.Contains(w.Body.String(), "ledger") {
				t.Errorf("the answer %q has what the service said", w.Body)
			}
			if logged := strings.Contains(log.String(), "the ledger is down") && strings.Contains(log.String(), id); logged != (c.err != nil) {
				t.Errorf("log %q", &log)
			}
		})
	}
}

func TestAnythingButAPostIsRefused(t *testing.T) {
	handler, err := Handler([]string{secret}, func(context.Context, Event) error { return nil })
	if err != nil {
		t.Fatal(err)
	}
	w := httptest.NewRecorder()
	handler.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/events", nil))
	if w.Code != http.StatusMethodNotAllowed || w.Header().Get("Allow") != http.MethodPost {
		t.Errorf("%d, Allow %q", w.Code, w.Header().Get("Allow"))
	}
}

func TestAWrongConfigurationIsRefusedWithoutItsSecret(t *testing.T) {
	for name, c := range map[string]Config{
		"no secret":          {},
		"an empty secret":    {Secrets: []string{""}},
		"no base64":          {Secrets: []string{secret, "whsec_hunter2!"}},
		"too many":           {Secrets: make([]string, 17)},
		"negative tolerance": {Secrets: []string{secret}, Tolerance: -1},
		"negative size":      {Secrets: []string{secret}, MaxBody: -1},
	} {
		_, err := New(c)
		if err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: error %v", name, err)
		}
	}
}
