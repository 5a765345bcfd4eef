package fanout

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/jethook/jethook/deliver"
	"github.com/jethook/jethook/internal/bus"
	"github.com/jethook/jethook/internal/event"
)

// ledger is a subscriber that is given an event twice.
func ledger() Subscriber {
	return Subscriber{Name: "ledger", Env: event.Prod, Events: []event.Pattern{event.AllEvents}, AckWait: 100 * time.Millisecond, MaxDeliver: 2}
}

// taken is an event that a subscriber gets within patience.
func taken(t *testing.T, b *bus.Bus, name string) jetstream.Msg {
	t.Helper()
	consumer, err := b.JetStream().Consumer(t.Context(), bus.StreamName(event.Prod), name)
	if err != nil {
		t.Fatal(err)
	}
	m, err := consumer.Next(jetstream.FetchMaxWait(patience))
	if err != nil {
		t.Fatalf("%s got nothing: %v", name, err)
	}
	return m
}

// ask has the server look for events of the ledger, which is when it finds that
// one was handed out too often.
func ask(t *testing.T, b *bus.Bus) {
	t.Helper()
	consumer, err := b.JetStream().Consumer(t.Context(), bus.StreamName(event.Prod), "ledger")
	if err != nil {
		t.Fatal(err)
	}
	batch, err := consumer.FetchNoWait(1)
	if err != nil {
		t.Fatal(err)
	}
	for m := range batch.Messages() {
		t.Errorf("got %s once more", m.Subject())
	}
}

// died waits for the dead events of an endpoint or a subscriber.
func died(t *testing.T, b *bus.Bus, count int) (found []deliver.DeadEvent) {
	t.Helper()
	eventually(t, fmt.Sprint(count, " events are dead"), func() bool {
		if count > 0 {
			ask(t, b)
		}
		var err error
		found, _, err = deliver.DeadEvents(t.Context(), b, deliver.DeadRange{Env: event.Prod, Endpoint: "ledger"}, 0, 100)
		if err != nil {
			t.Fatal(err)
		}
		return len(found) == count
	})
	return found
}

func TestWhatASubscriberDoesNotAcknowledgeIsDeadAndIsHandedAgainToItAlone(t *testing.T) {
	b := openBus(t, t.TempDir())
	r := newReplica(t, b, nil)
	audit := Subscriber{Name: "audit", Env: event.Prod, Events: []event.Pattern{event.AllEvents}}
	if err := r.Apply(t.Context(), nil, []Subscriber{ledger(), audit}); err != nil {
		t.Fatal(err)
	}
	stop := r.start(t)
	publish(t, b, "order.paid")
	id := event.NewID(event.Prod, "shop", "order.paid")
	for want := uint64(1); want <= 2; want++ {
		if at, err := taken(t, b, "ledger").Metadata(); err != nil || at.NumDelivered != want {
			t.Errorf("handed out the %dth time (%v), want the %dth", at.NumDelivered, err, want)
		}
	}
	dead := died(t, b, 1)[0]
	if dead.EventID != id || !dead.Subscriber || dead.Attempts != 2 || dead.Reason != "handed out 2 times and not acknowledged" || dead.Type != "order.paid" {
		t.Errorf("dead is %+v, want event %s after two times", dead.Dead, id)
	}
	for range 2 { // the second time it is stored already
		if err := deliver.RetryDead(t.Context(), b, dead); err != nil {
			t.Fatal(err)
		}
	}
	died(t, b, 0)
	again := taken(t, b, "ledger")
	if got := again.Headers().Get("ce-id"); got != string(id) || again.Subject() != "again.prod.ledger.shop.order.paid" {
		t.Errorf("got %s under %s, want %s again", got, again.Subject(), id)
	}
	if err := again.DoubleAck(t.Context()); err != nil {
		t.Error(err)
	}
	publish(t, b, "order.refused")
	next := event.NewID(event.Prod, "shop", "order.refused")
	for name, want := range map[string][]event.ID{"audit": {id, next}, "ledger": {next}} {
		for _, id := range want {
			m := taken(t, b, name)
			if got := m.Headers().Get("ce-id"); got != string(id) {
				t.Errorf("%s got %s under %s, want %s", name, got, m.Subject(), id)
			}
			if err := m.TermWithReason("no such account"); err != nil {
				t.Error(err)
			}
		}
	}
	if dead := died(t, b, 1)[0]; dead.EventID != next || dead.Reason != "refused by the subscriber: no such account" {
		t.Errorf("dead is %+v, want %s with the subscriber's reason", dead.Dead, next)
	}
	stop()
}

func TestWhatASubscriberDoesNotAcknowledgeWhileNothingDeliversIsDeadAfterwards(t *testing.T) {
	dir := t.TempDir()
	t.Run("nothing delivers", func(t *testing.T) {
		b := openBus(t, dir)
		r := newReplica(t, b, nil) // which does not run
		if err := r.Apply(t.Context(), nil, []Subscriber{ledger()}); err != nil {
			t.Fatal(err)
		}
		publish(t, b, "order.paid")
		taken(t, b, "ledger")
		taken(t, b, "ledger")
		eventually(t, "the server tells of it", func() bool {
			ask(t, b)
			stream, err := b.JetStream().Stream(t.Context(), bus.Exhausted)
			return err == nil && stream.CachedInfo().State.Msgs == 1
		})
	})
	b := openBus(t, dir)
	r := newReplica(t, b, nil)
	if err := r.Apply(t.Context(), nil, []Subscriber{ledger()}); err != nil {
		t.Fatal(err)
	}
	r.start(t)
	died(t, b, 1)
}

func TestAnAdvisoryThatCannotBeReadIsDropped(t *testing.T) {
	b := openBus(t, t.TempDir())
	r := newReplica(t, b, nil)
	if _, err := b.JetStream().Publish(t.Context(), "$JS.EVENT.ADVISORY.CONSUMER.MAX_DELIVERIES.EVENTS_PROD.ledger", []byte("{")); err != nil {
		t.Fatal(err)
	}
	r.start(t)
	eventually(t, "it is gone", func() bool {
		stream, err := b.JetStream().Stream(t.Context(), bus.Exhausted)
		if err != nil {
			t.Fatal(err)
		}
		return stream.CachedInfo().State.Msgs == 0
	})
	if logs := r.logs.String(); !strings.Contains(logs, "advisory is dropped") {
		t.Errorf("log %q, want it told", logs)
	}
}

func TestADirectoryKnowsSubscribersOfTheBus(t *testing.T) {
	b := openBus(t, t.TempDir())
	r := newReplica(t, b, nil)
	e := endpoint(t, "billing", "http://127.0.0.1:1", event.AllEvents)
	if err := r.Apply(t.Context(), []Endpoint{e}, []Subscriber{ledger()}); err != nil {
		t.Fatal(err)
	}
	d := NewDirectory(b, nil, r.config.Logger, 0)
	for name, want := range map[string]error{"ledger": nil, "billing": bus.ErrNotFound, "nobody": bus.ErrNotFound, "no.name": bus.ErrNotFound} {
		if err := d.HasSubscriber(context.Background(), event.Prod, name); !errors.Is(err, want) {
			t.Errorf("%s: got %v, want %v", name, err, want)
		}
	}
}
