package deliver

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/jethook/jethook/internal/bus"
)

func TestEveryEventIsDeliveredOnceWhileNothingFails(t *testing.T) {
	const events = 500
	b := newBench(t, always(200))
	b.start()
	want := make(map[string]bool)
	for i := range events {
		want[string(b.publish(fmt.Sprint(i), []byte(`{}`)).ID)] = true
	}
	b.settled("EVENTS_TEST", "billing")
	records := b.attempts(events)
	if len(records) != events || len(b.receiver.got) != events {
		t.Fatalf("%d records and %d requests for %d events", len(records), len(b.receiver.got), events)
	}
	for range events {
		id := b.receiver.next().header.Get("Webhook-Id")
		if !want[id] {
			t.Errorf("%s came twice or was never published", id)
		}
		delete(want, id)
	}
}

func TestNoMoreAttemptsAreInFlightThanTheConcurrencyAllows(t *testing.T) {
	const allowed, events = 3, 60
	var now, most atomic.Int32
	full := make(chan struct{})
	b := newBench(t, func(w http.ResponseWriter, q *http.Request) {
		n := now.Add(1)
		defer now.Add(-1)
		for seen := most.Load(); n > seen && !most.CompareAndSwap(seen, n); seen = most.Load() {
		}
		if n == allowed {
			select {
			case <-full:
			default:
				close(full)
			}
		}
		<-full // the first ones wait for one another, so that they do overlap
		if q.Header.Get("Jethook-Attempt") == "1" {
			w.WriteHeader(http.StatusConflict) // and live and due events compete
		}
	})
	b.endpoint.Concurrency = allowed
	b.config.MaxProbeWait = 10 * time.Millisecond // for so many refusals look like an outage
	b.start()
	for i := range events {
		b.publish(fmt.Sprint(i), []byte(`{}`))
	}
	b.attempts(2 * events)
	if got := most.Load(); got != allowed {
		t.Errorf("%d attempts at once, want exactly %d", got, allowed)
	}
}

func TestTheRateIsNotExceeded(t *testing.T) {
	const rate, events = 50, 40
	b := newBench(t, always(200))
	b.endpoint.Rate = rate
	for i := range events {
		b.publish(fmt.Sprint(i), []byte(`{}`))
	}
	b.start()
	var at []time.Time
	for range events {
		at = append(at, b.receiver.next().at)
	}
	slices.SortFunc(at, time.Time.Compare)
	burst := 3 // rateBurst's worth
	if took, least := at[events-1].Sub(at[0]), time.Duration(events-burst-1)*time.Second/rate; took < least {
		t.Errorf("%d events took %s, want at least %s", events, took, least)
	}
}

func TestAtAShutdownAttemptsFinishAndTheRestIsHandedBack(t *testing.T) {
	began, release := make(chan struct{}, 10), make(chan struct{})
	b := newBench(t, func(http.ResponseWriter, *http.Request) { began <- struct{}{}; <-release })
	free := sync.OnceFunc(func() { close(release) })
	t.Cleanup(free)
	b.endpoint.Concurrency = 2
	stop := b.start()
	for i := range 6 {
		b.publish(fmt.Sprint(i), []byte(`{}`))
	}
	<-began
	<-began
	b.until("EVENTS_TEST", "billing", func(info *jetstream.ConsumerInfo) bool { return info.NumAckPending > 2 })
	acks := make(chan *nats.Msg, 100)
	watch, err := b.bus.JetStream().Conn().ChanSubscribe("$JS.ACK.EVENTS_TEST.billing.>", acks)
	if err != nil {
		t.Fatal(err)
	}
	stopped := make(chan struct{})
	go func() { defer close(stopped); stop() }()
	select { // at least the event that waits for its turn
	case m := <-acks:
		if !strings.HasPrefix(string(m.Data), "-NAK ") {
			t.Fatalf("an event is settled with %s, want it handed back", m.Data)
		}
	case <-time.After(patience):
		t.Fatal("nothing is handed back")
	}
	free()
	<-stopped
	if err := watch.Unsubscribe(); err != nil {
		t.Error(err)
	}
	if got := len(b.attempts(2)); got != 2 || len(b.receiver.got) != 2 {
		t.Errorf("%d attempts recorded and %d made, want the two that were in flight", got, len(b.receiver.got))
	}
	b.start()
	b.settled("EVENTS_TEST", "billing")
	if got := len(b.attempts(6)); got != 6 {
		t.Errorf("%d attempts in all, want each event delivered once", got)
	}
}

func TestAnAttemptThatOutlastsTheShutdownIsCutOffAndDoesNotCount(t *testing.T) {
	began := make(chan struct{}, 10)
	b := newBench(t, inTurn(func(_ http.ResponseWriter, q *http.Request) { began <- struct{}{}; <-q.Context().Done() }, always(200)))
	b.config.DrainTimeout = 10 * time.Millisecond
	stop := b.start()
	b.publish("1", []byte(`{}`))
	<-began
	stop()
	b.start()
	if got, want := numbers(b.attempts(1)), "1 delivered 200; "; got != want {
		t.Errorf("recorded %s, want %s", got, want)
	}
	b.settled("EVENTS_TEST", "billing")
}

func TestAnAttemptThatCannotBeRecordedSettlesNothing(t *testing.T) {
	b := newBench(t, always(200))
	js := b.bus.JetStream()
	stream, err := js.Stream(b.ctx, bus.Attempts)
	if err != nil {
		t.Fatal(err)
	}
	config := stream.CachedInfo().Config
	if err := js.DeleteStream(b.ctx, bus.Attempts); err != nil {
		t.Fatal(err)
	}
	b.start()
	b.publish("1", []byte(`{}`))
	b.receiver.next()
	b.receiver.next() // it is taken up again
	if _, err := js.CreateStream(b.ctx, config); err != nil {
		t.Fatal(err)
	}
	if got := b.attempts(1)[0]; got.Outcome != OutcomeDelivered || got.Number != 1 {
		t.Errorf("recorded %+v, want a delivery", got)
	}
	b.settled("EVENTS_TEST", "billing")
	if !strings.Contains(b.log.String(), "attempts could not be recorded") {
		t.Errorf("the log does not say so:\n%s", b.log)
	}
}

func TestALongAttemptIsNotDisturbedByARedelivery(t *testing.T) {
	release := make(chan struct{})
	b := newBench(t, func(http.ResponseWriter, *http.Request) { <-release })
	free := sync.OnceFunc(func() { close(release) })
	t.Cleanup(free)
	// A durable whose AckWait is far below the attempt's length.
	_, err := b.bus.JetStream().CreateOrUpdateConsumer(b.ctx, "EVENTS_TEST", jetstream.ConsumerConfig{
		Durable: "billing", AckPolicy: jetstream.AckExplicitPolicy, AckWait: 600 * time.Millisecond, MaxAckPending: 10})
	if err != nil {
		t.Fatal(err)
	}
	progress := make(chan *nats.Msg, 100)
	watch, err := b.bus.JetStream().Conn().ChanSubscribe("$JS.ACK.EVENTS_TEST.billing.>", progress)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(b.ctx)
	ended := make(chan error, 1)
	worker := b.worker()
	go func() { ended <- worker.Run(ctx) }()
	b.publish("1", []byte(`{}`))
	for range 6 { // two AckWaits
		select {
		case m := <-progress:
			if string(m.Data) != "+WPI" {
				t.Fatalf("the message is settled with %s while its attempt is under way", m.Data)
			}
		case <-time.After(patience):
			t.Fatal("no sign of progress")
		}
	}
	free()
	b.settled("EVENTS_TEST", "billing")
	cancel()
	if err := errors.Join(<-ended, watch.Unsubscribe()); err != nil {
		t.Error(err)
	}
	if n := len(b.receiver.got); n != 1 {
		t.Errorf("%d attempts, want 1", n)
	}
}

func TestAWorkerWithoutItsDurableSaysSo(t *testing.T) {
	b := newBench(t, always(200))
	if err := b.worker().Run(b.ctx); !errors.Is(err, jetstream.ErrConsumerNotFound) {
		t.Errorf("run ended with %v, want %v", err, jetstream.ErrConsumerNotFound)
	}
}

func TestAWorkerWhoseDurableIsDeletedSaysSo(t *testing.T) {
	b := newBench(t, always(200))
	b.makeDurable()
	ended := make(chan error, 1)
	worker := b.worker()
	go func() { ended <- worker.Run(b.ctx) }()
	b.publish("1", []byte(`{}`))
	b.settled("EVENTS_TEST", "billing")
	if err := b.bus.JetStream().DeleteConsumer(b.ctx, "EVENTS_TEST", "billing"); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-ended:
		if !errors.Is(err, jetstream.ErrConsumerDeleted) && !errors.Is(err, jetstream.ErrConsumerNotFound) {
			t.Errorf("run ended with %v, want %v", err, jetstream.ErrConsumerDeleted)
		}
	case <-time.After(patience):
		t.Error("run does not end")
	}
}

func TestEndpointsOfOneNameInBothEnvironmentsRetryApart(t *testing.T) {
	b := newBench(t, inTurn(always(500), always(500), always(200)))
	b.start()
	b.endpoint.Env = "prod"
	b.start()
	b.publish("1", []byte(`{}`))
	b.endpoint.Env = "test"
	b.publish("1", []byte(`{}`))
	got := make(map[string]int)
	for range 4 {
		q := b.receiver.next()
		got[q.header.Get("Ce-Source")+" "+q.header.Get("Jethook-Attempt")]++
	}
	for _, want := range []string{"/test/shop 1", "/test/shop 2", "/prod/shop 1", "/prod/shop 2"} {
		if got[want] != 1 {
			t.Errorf("attempts are %v, want two of each environment", got)
		}
	}
}
