package deliver

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/jethook/jethook/internal/bus"
)

func TestAnEventAnsweredWith2xxIsDeliveredOnce(t *testing.T) {
	for _, status := range []int{200, 201, 202, 204} {
		t.Run(fmt.Sprint(status), func(t *testing.T) {
			b := newBench(t, always(status))
			b.start()
			want := b.publish("1", []byte(`{"amount":1}`))
			got := b.receiver.next()
			if got.method != http.MethodPost || got.path != "/events" || !bytes.Equal(got.body, want.Data) {
				t.Errorf("got %s %s %q, want POST /events %q", got.method, got.path, got.body, want.Data)
			}
			b.settled(bus.StreamName(b.endpoint.Env), b.endpoint.Name)
			if a := b.attempts(1)[0]; a.Outcome != OutcomeDelivered || a.Status != status || a.EventID != want.ID || a.Number != 1 {
				t.Errorf("recorded %+v, want a delivery of %s with status %d", a, want.ID, status)
			}
			if n := b.count(bus.Retry, ">"); n != 0 {
				t.Errorf("%d retries are waiting, want none", n)
			}
		})
	}
}

func TestAnEventThatFailsTwiceIsDeliveredAtTheThirdAttempt(t *testing.T) {
	b := newBench(t, inTurn(always(500), always(404), always(200)))
	b.start()
	e := b.publish("1", []byte(`{}`))
	for i := range 3 {
		got := b.receiver.next()
		if number := got.header.Get("Jethook-Attempt"); number != fmt.Sprint(i+1) {
			t.Errorf("jethook-attempt is %s, want %d", number, i+1)
		}
		if id := got.header.Get("Webhook-Id"); id != string(e.ID) {
			t.Errorf("webhook-id of attempt %d is %s, want %s", i+1, id, e.ID)
		}
	}
	records := b.attempts(3)
	if got, want := numbers(records), "1 retry 500; 2 retry 404; 3 delivered 200; "; got != want {
		t.Errorf("recorded %s, want %s", got, want)
	}
	if !records[1].NextAt.After(records[1].At) || !records[2].At.After(records[0].NextAt) {
		t.Errorf("attempts at %s and %s, each after its time %s and %s", records[1].At, records[2].At, records[0].NextAt, records[1].NextAt)
	}
	b.settled(bus.Retry, DueConsumer(b.endpoint.Env, b.endpoint.Name))
	if n := b.count(bus.Retry, ">"); n != 0 {
		t.Errorf("%d pointers are left, want none", n)
	}
}

func TestAnEventWhoseAttemptsAreUsedUpIsDead(t *testing.T) {
	b := newBench(t, func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "ledger closed", http.StatusConflict) })
	b.endpoint.Retry.Attempts = 3
	b.start()
	e := b.publish("1", []byte(`{}`))
	got := b.dead()
	if got.EventID != e.ID || got.Type != e.Type || got.Source != e.Source || got.Attempts != 3 || got.LastStatus != 409 ||
		got.Reason != "attempts used up: 3 of 3" || got.Stream != "EVENTS_TEST" || got.Sequence != 1 || got.Endpoint != "billing" {
		t.Errorf("dead event is %+v, want %s with 3 attempts, the last answered 409", got, e.ID)
	}
	if got.FirstAttemptAt.IsZero() || !got.LastAttemptAt.After(got.FirstAttemptAt) {
		t.Errorf("dead event was tried from %s to %s, want a first and a later last attempt", got.FirstAttemptAt, got.LastAttemptAt)
	}
	records := b.attempts(3)
	if got, want := numbers(records), "1 retry 409; 2 retry 409; 3 dead 409; "; got != want {
		t.Errorf("recorded %s, want %s", got, want)
	}
	if records[2].Response != "ledger closed\n" {
		t.Errorf("recorded the answer %q, want its body", records[2].Response)
	}
	b.settled(bus.Retry, DueConsumer(b.endpoint.Env, b.endpoint.Name))
	if n := b.count(bus.Dead, DeadSubject(b.endpoint.Env, b.endpoint.Name)); n != 1 {
		t.Errorf("%d dead events, want 1", n)
	}
}

func TestAnEventWhoseTimeIsUsedUpIsDead(t *testing.T) {
	b := newBench(t, always(500))
	b.endpoint.Retry = Retry{Attempts: 10, Initial: time.Minute, Multiplier: 2, MaxInterval: time.Hour, MaxElapsed: time.Second}
	b.start()
	b.publish("1", []byte(`{}`))
	if got := b.dead(); got.Attempts != 1 || got.Reason != "time used up: the next attempt would begin more than 1s after the first" {
		t.Errorf("dead event is %+v, want it dead after 1 attempt for want of time", got)
	}
}

func TestADeadEventCanBeRedeliveredToTheEndpointAlone(t *testing.T) {
	b := newBench(t, inTurn(always(500), always(200)))
	b.endpoint.Retry.Attempts = 1
	b.start()
	e := b.publish("1", []byte(`{}`))
	dead := b.dead()
	b.receiver.next()
	again := Pointer{Env: dead.Env, Endpoint: dead.Endpoint, Sequence: dead.Sequence, EventID: dead.EventID}
	if _, err := b.bus.Put(b.ctx, bus.Retry, again.At(time.Now())); err != nil {
		t.Fatal(err)
	}
	got := b.receiver.next()
	if got.header.Get("Webhook-Id") != string(e.ID) || got.header.Get("Jethook-Attempt") != "1" {
		t.Errorf("got %s, attempt %s; want %s, attempt 1", got.header.Get("Webhook-Id"), got.header.Get("Jethook-Attempt"), e.ID)
	}
	b.settled(bus.Retry, DueConsumer(b.endpoint.Env, b.endpoint.Name))
}

func TestAnAnswerThatAsksToComeLaterUsesUpNoAttempt(t *testing.T) {
	busy := func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", "1")
		w.WriteHeader(503)
	}
	b := newBench(t, inTurn(busy, busy, always(500), busy, always(500)))
	b.endpoint.Retry.Attempts = 2
	b.start()
	b.publish("1", []byte(`{}`))
	if got := b.dead(); got.Attempts != 5 || got.Reason != "attempts used up: 2 of 2" {
		t.Errorf("dead event is %+v, want it dead after two failures at five attempts", got)
	}
	if got, want := numbers(b.attempts(5)), "1 retry 503; 2 retry 503; 3 retry 500; 4 retry 503; 5 dead 500; "; got != want {
		t.Errorf("recorded %s, want %s", got, want)
	}
}

func TestRetryAfterSetsTheTimeOfTheNextAttempt(t *testing.T) {
	forms := map[string]func() string{
		"seconds": func() string { return "2" },
		"date":    func() string { return time.Now().Add(3 * time.Second).UTC().Format(http.TimeFormat) },
	}
	for name, form := range forms {
		for _, status := range []int{429, 503} {
			t.Run(fmt.Sprintf("%s with %d", name, status), func(t *testing.T) {
				t.Parallel()
				b := newBench(t, inTurn(func(w http.ResponseWriter, _ *http.Request) {
					w.Header().Set("Retry-After", form())
					w.WriteHeader(status)
				}, always(200)))
				b.start()
				b.publish("1", []byte(`{}`))
				first, second := b.receiver.next(), b.receiver.next()
				if waited := second.at.Sub(first.at); waited < time.Second || waited > 10*time.Second {
					t.Errorf("second attempt after %s, want the time of Retry-After and not the schedule's 20ms", waited)
				}
				if a := b.attempts(1)[0]; second.at.Before(a.NextAt) {
					t.Errorf("second attempt at %s, before %s", second.at, a.NextAt)
				}
			})
		}
	}
}

// Whatever is handed out and handed back meanwhile, as when a breaker opens.
func TestAReplayThatGoesAloneGivesAnEventUpAfterItsAttempts(t *testing.T) {
	b := newBench(t, always(500))
	b.publish("1", []byte(`{}`))
	consumer := b.makeDurable()
	for range 5 {
		m, err := consumer.Next()
		if err == nil {
			err = m.Nak()
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	b.endpoint.Retry = Retry{Attempts: 3, Initial: time.Millisecond, Multiplier: 1, MaxInterval: time.Millisecond}
	ctx, stop := context.WithCancel(b.ctx)
	b.config.Replay = &Replay{ID: "again", Consumer: "billing", End: 100, GiveUp: func(context.Context) error { stop(); return nil }}
	if err := b.worker().Run(ctx); err != nil {
		t.Fatal(err)
	}
	if n := len(b.receiver.got); n != 3 {
		t.Errorf("given up after %d attempts, want 3", n)
	}
}

func TestTheTimeOfADrainBeginsWithTheStopAndNotWhenTheReadingIsOver(t *testing.T) {
	began, cut := make(chan struct{}), make(chan time.Time, 1)
	b := newBench(t, func(_ http.ResponseWriter, r *http.Request) {
		close(began)
		<-r.Context().Done()
		cut <- time.Now()
	})
	b.publish("1", []byte(`{}`))
	b.makeDurable()
	b.config.DrainTimeout = time.Millisecond
	ctx, stop := context.WithCancelCause(b.ctx)
	ended := make(chan error, 1)
	worker := b.worker()
	go func() { ended <- worker.Run(ctx) }()
	<-began
	stopped := time.Now()
	stop(ErrStopped)
	if took := (<-cut).Sub(stopped); took > requestHolds/2 {
		t.Errorf("an attempt went on for %s", took)
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
