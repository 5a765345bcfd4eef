package fanout

import (
	"errors"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/jethook/jethook/deliver"
	"github.com/jethook/jethook/internal/bus"
	"github.com/jethook/jethook/internal/event"
)

// dozes has the registry look at what its endpoints do until one has no worker.
func (r *replica) dozes(t *testing.T, name string) {
	t.Helper()
	eventually(t, name+" sleeps", func() bool {
		if err := r.read(t.Context()); err != nil {
			t.Fatal(err)
		}
		return len(r.at(name)) == 0
	})
}

// dueConsumer reports whether the endpoint has a consumer on RETRY.
func dueConsumer(t *testing.T, b *bus.Bus, name string) bool {
	t.Helper()
	_, err := b.JetStream().Consumer(t.Context(), bus.Retry, deliver.DueConsumer(event.Prod, name))
	if err != nil && !errors.Is(err, jetstream.ErrConsumerNotFound) {
		t.Fatal(err)
	}
	return err == nil
}

func TestAnEndpointWithNothingToDoSleepsUntilItsNextEvent(t *testing.T) {
	b := openBus(t, t.TempDir())
	r := newReplica(t, b, nil)
	r.start(t)
	to, witness := newReceiver(t), newReceiver(t)
	r.apply(t, []Endpoint{endpoint(t, "billing", to.url, "shop.order.>"), endpoint(t, "witness", witness.url, "shop.>")})
	publish(t, b, "other.a")
	witness.wants(t, "other.a")
	if n := len(r.at("billing")); n != 0 || dueConsumer(t, b, "billing") {
		t.Errorf("an endpoint without an event has %d workers, or a consumer of retries", n)
	}
	for _, name := range []string{"order.a", "order.b"} {
		publish(t, b, name)
		to.wants(t, name)
		if !dueConsumer(t, b, "billing") {
			t.Error("an endpoint that is awake has no consumer of retries")
		}
		r.dozes(t, "billing")
		if dueConsumer(t, b, "billing") {
			t.Error("an endpoint that sleeps has a consumer of retries")
		}
	}
}

func TestAnEndpointWithARetryToComeStaysAwake(t *testing.T) {
	b := openBus(t, t.TempDir())
	r := newReplica(t, b, nil)
	r.start(t)
	to, witness := newReceiver(t), newReceiver(t)
	to.status.Store(http.StatusServiceUnavailable)
	e := endpoint(t, "billing", to.url, "shop.>")
	e.Retry = deliver.Retry{Initial: 2 * time.Second, Multiplier: 1, MaxInterval: 2 * time.Second}
	r.apply(t, []Endpoint{e, endpoint(t, "witness", witness.url, "shop.>")})
	publish(t, b, "order.a")
	eventually(t, "the event waits for its retry", func() bool {
		info := durable(t, b, "billing").CachedInfo()
		return info.Delivered.Consumer == 1 && info.NumAckPending == 0
	})
	r.dozes(t, "witness")
	if len(r.at("billing")) != 1 {
		t.Error("an endpoint with a retry to come has no worker")
	}
	to.status.Store(http.StatusOK)
	to.wants(t, "order.a")
	r.dozes(t, "billing")
}

func TestAnEventThatRangNoAlarmIsFound(t *testing.T) {
	b := openBus(t, t.TempDir())
	r := newReplica(t, b, nil)
	r.start(t)
	to := newReceiver(t)
	r.apply(t, []Endpoint{endpoint(t, "billing", to.url, "shop.>")})
	publish(t, b, "order.a")
	to.wants(t, "order.a")
	r.dozes(t, "billing")
	late := &event.Event{ID: event.NewID(event.Prod, "shop", "late"), Env: event.Prod, Source: "shop", Type: "order.late",
		Time: time.Now(), Data: []byte(`{}`)}
	subject, header := late.Encode()
	if _, err := b.JetStream().PublishMsg(t.Context(), &nats.Msg{Subject: subject, Header: header, Data: late.Data}); err != nil {
		t.Fatal(err)
	}
	if err := r.revisit(t.Context()); err != nil {
		t.Fatal(err)
	}
	to.wants(t, "order.late")
}

func TestAnEndpointForWhichSomethingWaitsIsAwakeFromTheStart(t *testing.T) {
	for _, waiting := range []string{"event", "retry"} {
		t.Run(waiting, func(t *testing.T) {
			b := openBus(t, t.TempDir())
			to := newReceiver(t)
			e := endpoint(t, "billing", to.url, "shop.>")
			first := newReplica(t, b, nil)
			first.apply(t, []Endpoint{e})
			publish(t, b, "order.a")
			if waiting == "retry" {
				take(t, durable(t, b, "billing"), 1)
				pointer := deliver.Pointer{Env: event.Prod, Endpoint: "billing", Sequence: 1, EventID: event.NewID(event.Prod, "shop", "order.a")}
				if _, err := b.Put(t.Context(), bus.Retry, pointer.At(time.Now().Add(time.Second))); err != nil {
					t.Fatal(err)
				}
			}
			r := newReplica(t, b, nil)
			r.apply(t, []Endpoint{e})
			r.start(t)
			to.wants(t, "order.a")
		})
	}
}

func TestAnEventThatIsStoredWhileItsEndpointFallsAsleepIsDelivered(t *testing.T) {
	b := openBus(t, t.TempDir())
	r := newReplica(t, b, nil)
	r.start(t)
	to := newReceiver(t)
	r.apply(t, []Endpoint{endpoint(t, "billing", to.url, "shop.>")})
	quit := make(chan struct{})
	var dozing sync.WaitGroup
	dozing.Go(func() {
		for {
			select {
			case <-quit:
				return
			default:
			}
			if err := r.read(t.Context()); err != nil {
				t.Errorf("read: %v", err)
				return
			}
		}
	})
	for i := range 100 {
		began := time.Now()
		name := "order." + strconv.Itoa(i)
		publish(t, b, name)
		to.wants(t, name)
		if took := time.Since(began); took > pollInterval/2 {
			t.Errorf("event %d took %s", i, took)
		}
	}
	close(quit)
	dozing.Wait()
}

func TestAnEndpointThatIsChangedInItsSleepKeepsItsPlace(t *testing.T) {
	b := openBus(t, t.TempDir())
	r := newReplica(t, b, nil)
	r.start(t)
	to := newReceiver(t)
	e := endpoint(t, "billing", to.url, "shop.order.>")
	r.apply(t, []Endpoint{e})
	publish(t, b, "refund.a", "order.a")
	to.wants(t, "order.a")
	r.dozes(t, "billing")
	publish(t, b, "refund.b")
	e.Events = []event.Pattern{"shop.refund.>", "shop.order.>"}
	e.Timeout = time.Minute
	r.apply(t, []Endpoint{e})
	publish(t, b, "refund.c", "order.b")
	to.wants(t, "refund.c", "order.b") // it had passed the others
	if logs := r.logs.String(); strings.Contains(logs, "deleted by somebody else") {
		t.Error(logs)
	}
}

func TestAnEndpointThatIsRemovedInItsSleepAndComesBackIsNew(t *testing.T) {
	b := openBus(t, t.TempDir())
	r := newReplica(t, b, nil)
	r.start(t)
	to := newReceiver(t)
	e := endpoint(t, "billing", to.url, "shop.>")
	r.apply(t, []Endpoint{e})
	publish(t, b, "order.a")
	to.wants(t, "order.a")
	r.dozes(t, "billing")
	r.apply(t, nil)
	publish(t, b, "order.b")
	r.apply(t, []Endpoint{e})
	publish(t, b, "order.c")
	to.wants(t, "order.c")
}

func TestWhatWaitsForAnEndpointThatIsDisabledWhileItWakesIsCounted(t *testing.T) {
	b := openBus(t, t.TempDir())
	r := newReplica(t, b, nil)
	e := endpoint(t, "billing", "http://127.0.0.1:1", "shop.>")
	e.Enabled = false
	r.apply(t, []Endpoint{e})
	r.Registry.mu.Lock()
	r.rouseLocked(e.ref()) // for a worker that it does not get
	r.Registry.mu.Unlock()
	publish(t, b, "order.a")
	if err := r.read(t.Context()); err != nil {
		t.Fatal(err)
	}
	if s := directoryOf(b, e).status(t, "billing"); s.Waiting != 1 {
		t.Errorf("shown as %+v, want one event to wait", s)
	}
}

func TestWhatWasHandedOutToNobodyComesAtOnceWhereARetryEndsTheSleep(t *testing.T) {
	b := openBus(t, t.TempDir())
	r := newReplica(t, b, nil)
	e := endpoint(t, "billing", "http://127.0.0.1:1", "shop.>")
	r.apply(t, []Endpoint{e})
	publish(t, b, "order.a")
	if _, err := durable(t, b, "billing").Next(); err != nil { // by a worker that has ended meanwhile
		t.Fatal(err)
	}
	pointer := deliver.Pointer{Env: event.Prod, Endpoint: "billing", Sequence: 1, EventID: event.NewID(event.Prod, "shop", "order.a")}
	if _, err := b.Put(t.Context(), bus.Retry, pointer.At(time.Now().Add(time.Hour))); err != nil {
		t.Fatal(err)
	}
	if idle, err := r.lay(t.Context(), e.ref()); idle || err != nil {
		t.Errorf("asleep: %t, %v", idle, err)
	}
	if unsettled := durable(t, b, "billing").CachedInfo().NumAckPending; unsettled != 0 {
		t.Errorf("%d wait for whoever has them", unsettled)
	}
}
