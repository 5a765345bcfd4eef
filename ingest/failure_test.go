package ingest_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jethook/jethook/ingest"
	"github.com/jethook/jethook/internal/event"
)

func TestASlowBusIsGivenUpAfterTheTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bus := publisher(func(ctx context.Context, _ *event.Event) (event.Receipt, error) {
			<-ctx.Done()
			return event.Receipt{}, fmt.Errorf("%w: %w", event.ErrUnavailable, ctx.Err())
		})
		g := newGateway(t, ingest.Config{Publisher: bus, Timeout: 3 * time.Second}, newSource(t, "stripe", "stripe"))
		began := time.Now()
		a := g.send(stripe(t))
		if took := time.Since(began); a.status != 503 || took != 3*time.Second {
			t.Errorf("got %d after %s, want 503 after 3s", a.status, took)
		}
	})
}

func TestACallerThatGoesAwayDoesNotStopAnEventBeingStored(t *testing.T) {
	ctx, leave := context.WithCancel(t.Context())
	bus := publisher(func(ctx context.Context, e *event.Event) (event.Receipt, error) {
		leave()
		if err := ctx.Err(); err != nil {
			return event.Receipt{}, err
		}
		if _, bounded := ctx.Deadline(); !bounded {
			return event.Receipt{}, errors.New("the publish has no deadline")
		}
		return accept(ctx, e)
	})
	g := newGateway(t, ingest.Config{Publisher: bus}, newSource(t, "stripe", "stripe"))
	if a := g.send(stripe(t).WithContext(ctx)); a.status != 200 {
		t.Errorf("got %d, want 200: %s", a.status, a.text)
	}
}

func TestMoreThanMaxInFlightIsRefusedAtOnce(t *testing.T) {
	entered, release := make(chan struct{}), make(chan struct{})
	bus := publisher(func(ctx context.Context, e *event.Event) (event.Receipt, error) {
		entered <- struct{}{}
		<-release
		return accept(ctx, e)
	})
	g := newGateway(t, ingest.Config{Publisher: bus, MaxInFlight: 1}, newSource(t, "stripe", "stripe"))
	first := make(chan answer, 1)
	go func() { first <- g.send(stripe(t)) }()
	<-entered
	if a := g.send(stripe(t)); a.status != 503 || a.Code != "not_stored" || a.header.Get("Retry-After") == "" {
		t.Errorf("over the limit got %d %s, want 503 not_stored with Retry-After", a.status, a.text)
	}
	close(release)
	if a := <-first; a.status != 200 {
		t.Errorf("within the limit got %d, want 200: %s", a.status, a.text)
	}
	go func() { <-entered }()
	if a := g.send(stripe(t)); a.status != 200 {
		t.Errorf("after the place was free again got %d, want 200: %s", a.status, a.text)
	}
}

func TestABatchOfWhichOneEventIsNotStoredIsNotStored(t *testing.T) {
	b := openBus(t)
	var broken atomic.Bool
	broken.Store(true)
	bus := publisher(func(ctx context.Context, e *event.Event) (event.Receipt, error) {
		if broken.Load() && strings.Contains(string(e.Data), `"eventId":50,`) {
			return event.Receipt{}, event.ErrFull
		}
		return b.Publish(ctx, e)
	})
	g := newGateway(t, ingest.Config{Publisher: bus}, newSource(t, "in", "hubspot-v3"))
	items := make([]string, 100)
	for i := range items {
		items[i] = hubspotItem(i)
	}
	body := "[" + strings.Join(items, ",") + "]"
	send := func() answer {
		return g.send(newRequest(t, "hubspot-v3", secret, "http://hooks.example/in/in", body, nil))
	}
	if a := send(); a.status != 503 || a.Code != "not_stored" || a.header.Get("Retry-After") != "30" {
		t.Errorf("got %d %s, want 503 not_stored", a.status, a.text)
	}
	broken.Store(false)
	if a := send(); a.status != 200 || *a.Duplicate || !a.Events[0].Duplicate || a.Events[50].Duplicate {
		t.Errorf("sent again got %d %s, want 200 with the first a duplicate and the 51st not", a.status, a.text)
	}
	if _, events := storedEvents(t, b); len(events) != 100 {
		t.Errorf("%d events are stored, want 100", len(events))
	}
}

func TestABatchIsPublishedABoundedNumberAtATime(t *testing.T) {
	var current, over atomic.Int64
	reached := make(chan struct{})
	full := sync.OnceFunc(func() { close(reached) })
	bus := publisher(func(ctx context.Context, e *event.Event) (event.Receipt, error) {
		switch n := current.Add(1); {
		case n == 32:
			full()
		case n > 32:
			over.Store(n)
		}
		<-reached
		current.Add(-1)
		return accept(ctx, e)
	})
	g := newGateway(t, ingest.Config{Publisher: bus}, newSource(t, "in", "hubspot-v3"))
	body := "[" + strings.Repeat(hubspotItem(1)+",", 199) + hubspotItem(1) + "]"
	a := g.send(newRequest(t, "hubspot-v3", secret, "http://hooks.example/in/in", body, nil))
	if a.status != 200 || over.Load() != 0 {
		t.Errorf("got %d and %d events at a time, want 200 and no more than 32", a.status, over.Load())
	}
}

func TestWhatTheBusSaysStaysInTheLog(t *testing.T) {
	g, a := refusal{request: stripeRequest, bus: failing(errors.New("nats at 10.1.2.3 is down"))}.send(t)
	if strings.Contains(a.text, "10.1.2.3") {
		t.Errorf("the answer tells strangers of the bus: %s", a.text)
	}
	if line := g.logs.last(t); !strings.Contains(fmt.Sprint(line["error"]), "10.1.2.3") {
		t.Errorf("the log does not tell the reason: %v", line)
	}
}

func TestAPanicPassesThroughAndIsNotLoggedAsStored(t *testing.T) {
	bus := publisher(func(context.Context, *event.Event) (event.Receipt, error) { panic("bus") })
	g := newGateway(t, ingest.Config{Publisher: bus}, newSource(t, "stripe", "stripe"))
	defer func() {
		if recover() == nil {
			t.Error("the panic was swallowed")
		}
		if line := g.logs.last(t); line["code"] != "aborted" || line["level"] != "WARN" {
			t.Errorf("logged as %v %v, want WARN aborted", line["level"], line["code"])
		}
	}()
	g.send(stripe(t))
}
