package e2e

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"github.com/jethook/jethook/receive"
)

// TestAServiceReceivesWithThePackage runs package receive against a bridge: the
// first attempt fails, and the second is answered 2xx once it is handled.
func TestAServiceReceivesWithThePackage(t *testing.T) {
	t.Parallel()
	events := make(chan receive.Event, 10)
	handle := func(_ context.Context, e receive.Event) error {
		events <- e
		if e.Attempt == 1 {
			return receive.RetryAfter(time.Second, errors.New("the first attempt fails"))
		}
		return nil
	}
	handler, err := receive.Handler([]string{"whsec_YW5vdGhlciBzZWNyZXQgb2YgaXRzIG93bg==", endpointSecret}, handle)
	if err != nil {
		t.Fatal(err)
	}
	service := httptest.NewServer(handler)
	defer service.Close()
	b := start(t, embeddedIn(t.TempDir()), sources(desk), endpoints(to("billing", service.URL, signed)))
	id := b.hand("order.paid now", "1")
	for attempt := 1; attempt <= 2; attempt++ {
		select {
		case got := <-events:
			if got.ID != id || got.Attempt != attempt || got.Type != "order.paid now" || got.Source != "desk" || got.Env != "prod" || got.Time.IsZero() {
				t.Errorf("event %+v, want attempt %d of %s", got, attempt, id)
			}
			verifiedElsewhere(t, got)
		case <-time.After(patience):
			t.Fatalf("attempt %d never came:\n%s", attempt, b.log)
		}
	}
	b.waitLog(`"outcome":"delivered"`)
}

// verifiedElsewhere checks that the library of Standard Webhooks agrees.
func verifiedElsewhere(t *testing.T, e receive.Event) {
	t.Helper()
	library, err := standardwebhooks.NewWebhook(endpointSecret)
	if err != nil {
		t.Fatal(err)
	}
	if err := library.Verify(e.Data, e.Header); err != nil {
		t.Errorf("the library of Standard Webhooks: %v", err)
	}
}

// TestAServiceWithAnotherSecretRefusesDeliveries shows the operator why.
func TestAServiceWithAnotherSecretRefusesDeliveries(t *testing.T) {
	t.Parallel()
	handler, err := receive.Handler([]string{"whsec_YW5vdGhlciBzZWNyZXQgb2YgaXRzIG93bg=="}, func(context.Context, receive.Event) error {
		t.Error("it was handled")
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	answered := make(chan string, 1)
	service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		recorded := httptest.NewRecorder()
		handler.ServeHTTP(recorded, r)
		w.WriteHeader(recorded.Code)
		answered <- http.StatusText(recorded.Code) + ": " + recorded.Body.String()
	}))
	defer service.Close()
	b := start(t, embeddedIn(t.TempDir()), sources(desk), endpoints(to("billing", service.URL, signed)))
	b.hand("order.paid", "1")
	select {
	case got := <-answered:
		if !strings.HasPrefix(got, "Unauthorized: signature mismatch") {
			t.Errorf("answer %q", got)
		}
	case <-time.After(patience):
		t.Fatal("nothing was delivered")
	}
}
