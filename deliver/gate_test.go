package deliver

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/jethook/jethook/internal/bus"
)

// outage is an endpoint that is down until it is told to be up.
type outage struct {
	up       atomic.Bool
	inFlight atomic.Int32
	watching atomic.Bool  // since the breaker is known to be open
	most     atomic.Int32 // in flight at once while watching
}

func (o *outage) answer(w http.ResponseWriter, _ *http.Request) {
	n := o.inFlight.Add(1)
	defer o.inFlight.Add(-1)
	if o.up.Load() {
		return
	}
	if o.watching.Load() {
		for seen := o.most.Load(); n > seen && !o.most.CompareAndSwap(seen, n); seen = o.most.Load() {
		}
	}
	w.WriteHeader(http.StatusBadGateway)
}

const logOpened = "endpoint fails and its events wait"

// logged waits for a text in the log.
func (b *bench) logged(text string) {
	b.t.Helper()
	for deadline := time.Now().Add(patience); !strings.Contains(b.log.String(), text); {
		if time.Now().After(deadline) {
			b.t.Fatalf("the log never says %q:\n%s", text, b.log)
		}
		b.bus.JetStream().Conn().Flush() // so that the loop waits for something
	}
}

// fill publishes that many events.
func (b *bench) fill(name string, events int) {
	b.t.Helper()
	for i := range events {
		b.publish(fmt.Sprint(name, i), []byte(`{}`))
	}
}

func TestWhileTheBreakerIsOpenEventsWaitWithoutUsingUpAttempts(t *testing.T) {
	const before, while, wait = 20, 60, 100 * time.Millisecond
	var o outage
	b := newBench(t, o.answer)
	b.endpoint.Concurrency = 8
	b.config.MaxProbeWait = wait
	began := time.Now()
	b.fill("before", before)
	b.start()
	b.logged(logOpened)
	for o.inFlight.Load() > 0 { // what began before ends
		b.bus.JetStream().Conn().Flush()
	}
	o.watching.Store(true)
	b.fill("while", while)
	sent := len(b.receiver.got)
	for len(b.receiver.got) < sent+6 { // a few probes
		b.bus.JetStream().Conn().Flush()
	}
	o.up.Store(true)
	b.settled("EVENTS_TEST", "billing")
	b.settled(bus.Retry, "test_billing")

	probes := int(time.Since(began)/(wait*9/10)) + 1
	failed, delivered, first := 0, make(map[string]bool), 0
	b.messages(bus.Attempts, func(m jetstream.Msg) bool {
		group, err := ParseAttempts(m.Data())
		if err != nil {
			t.Fatal(err)
		}
		for _, a := range group {
			if a.Outcome != OutcomeDelivered {
				failed++
				continue
			}
			delivered[string(a.EventID)] = true
			if a.Number == 1 {
				first++
			}
		}
		return len(delivered) == before+while
	})
	if most := breakerFailures + 8 + probes; failed > most {
		t.Errorf("%d attempts failed, want no more than %d: a row, those in flight, and %d probes", failed, most, probes)
	}
	if least := before + while - breakerFailures - 8 - probes; first < least {
		t.Errorf("%d events were delivered at their first attempt, want %d at least", first, least)
	}
	if got := o.most.Load(); got != 1 {
		t.Errorf("%d probes at once, want 1", got)
	}
}

func TestAfterARecoveryTheConcurrencyBeginsSmallAndGrowsWithSuccess(t *testing.T) {
	const events = 200
	var down, over atomic.Bool
	var inFlight, succeeded atomic.Int32
	down.Store(true)
	b := newBench(t, func(w http.ResponseWriter, _ *http.Request) {
		if down.Load() {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		if inFlight.Add(1) > startConcurrency+succeeded.Load() {
			over.Store(true)
		}
		succeeded.Add(1)
		inFlight.Add(-1)
	})
	b.endpoint.Concurrency = 64
	b.config.MaxProbeWait = 50 * time.Millisecond
	b.fill("", events)
	b.makeDurable()
	worker := b.worker()
	ctx, cancel := context.WithCancel(b.ctx)
	ended := make(chan error, 1)
	go func() { ended <- worker.Run(ctx) }()
	b.logged(`"msg":"` + logOpened + `","endpoint":"billing","env":"test"`) // as the line of an attempt names it
	if got := worker.Concurrency(); got != 1 || worker.Breaker() == BreakerClosed {
		t.Errorf("breaker %d, %d may be in flight while it is open, want 1", worker.Breaker(), got)
	}
	down.Store(false)
	b.settled("EVENTS_TEST", "billing")
	if over.Load() {
		t.Error("more attempts were in flight than four and one for each success")
	}
	if got := worker.Concurrency(); got != 64 || worker.Breaker() != BreakerClosed {
		t.Errorf("breaker %d, %d may be in flight in the end, want closed and 64", worker.Breaker(), got)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func TestTheBacklogOfAnOutageDrainsAtTheRate(t *testing.T) {
	const rate, events = 50, 40
	var o outage
	b := newBench(t, o.answer)
	b.endpoint.Rate = rate
	b.config.MaxProbeWait = 50 * time.Millisecond
	b.fill("", events)
	b.start()
	b.logged(logOpened)
	for len(b.receiver.got) > 0 {
		b.receiver.next()
	}
	o.up.Store(true)
	var at []time.Time
	for range events {
		at = append(at, b.receiver.next().at)
	}
	slices.SortFunc(at, time.Time.Compare)
	if took, least := at[events-1].Sub(at[0]), (events-4)*time.Second/rate; took < least {
		t.Errorf("%d events took %s, want at least %s", events, took, least)
	}
}

func TestALoneEventGoesThroughItsAttemptsByItsSchedule(t *testing.T) {
	b := newBench(t, always(500))
	b.endpoint.Retry.Attempts = 25
	b.start()
	b.publish("1", []byte(`{}`))
	if got := b.dead(); got.Attempts != 25 {
		t.Errorf("dead after %d attempts, want 25", got.Attempts)
	}
	if strings.Contains(b.log.String(), logOpened) {
		t.Error("one event that fails opened the breaker")
	}
}

func TestAProbeIsAnAttempt(t *testing.T) {
	b := newBench(t, always(500))
	b.endpoint.Retry.Attempts = 6
	b.config.MaxProbeWait = 10 * time.Millisecond
	b.start()
	b.fill("", 5)
	b.settled("EVENTS_TEST", "billing")
	dead := 0
	b.messages(bus.Dead, func(jetstream.Msg) bool { dead++; return dead == 5 })
	if !strings.Contains(b.log.String(), logOpened) {
		t.Error("the breaker did not open")
	}
	if got := len(b.attempts(30)); got != 30 {
		t.Errorf("%d attempts, want 30", got)
	}
}

func TestA429IsNoFailure(t *testing.T) {
	b := newBench(t, func(w http.ResponseWriter, q *http.Request) {
		if q.Header.Get("Jethook-Attempt") == "1" {
			w.WriteHeader(http.StatusTooManyRequests)
		}
	})
	b.fill("", 40)
	b.start()
	b.attempts(80)
	if strings.Contains(b.log.String(), logOpened) {
		t.Error("the breaker opened")
	}
}

func TestRetryAfterHoldsTheWholeEndpointBack(t *testing.T) {
	busy := func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", "1")
		w.WriteHeader(http.StatusServiceUnavailable)
	}
	b := newBench(t, inTurn(busy, always(200)))
	b.endpoint.Concurrency = 1
	b.fill("", 5)
	b.start()
	asked := b.receiver.next().at
	for range 5 {
		if at := b.receiver.next().at; at.Before(asked.Add(time.Second)) {
			t.Errorf("an attempt began %s after the answer, want a second at least", at.Sub(asked))
		}
	}
	b.settled("EVENTS_TEST", "billing")
}

func TestAProbeThatIsAskedForBeginsAtOnce(t *testing.T) {
	g := newGate(4, true, DefaultMaxProbeWait)
	wait := func() time.Duration {
		g.mu.Lock()
		defer g.mu.Unlock()
		return g.waitLocked(g.breaker.probeDue, time.Now())
	}
	fails := func() { g.ended(&delivery{probe: true}, signalDown, "", time.Time{}) }
	fails()
	if wait() <= 0 {
		t.Error("after a probe that failed the next one does not wait")
	}
	asked := time.Now()
	g.probe(asked)
	if wait() > 0 {
		t.Errorf("the probe that was asked for waits %s", wait())
	}
	fails()
	g.probe(asked) // as whoever tells does with every change of the state
	if wait() <= 0 {
		t.Error("a probe that was asked for once is made twice")
	}
}

func TestARetryAfterHoldsTheEndpointForAMinuteAtMost(t *testing.T) {
	g := newGate(4, false, DefaultMaxProbeWait)
	g.ended(new(delivery), signalBusy, "", time.Now().Add(24*time.Hour))
	g.mu.Lock()
	wait := g.waitLocked(false, time.Now())
	g.mu.Unlock()
	if wait > maxHold || wait < maxHold-time.Second {
		t.Errorf("held for %s, want %s", wait, maxHold)
	}
}

func TestAShutdownWhileTheBreakerIsOpenIsImmediate(t *testing.T) {
	b := newBench(t, always(500))
	b.fill("", 30)
	stop := b.start()
	b.logged(logOpened)
	b.until("EVENTS_TEST", "billing", func(info *jetstream.ConsumerInfo) bool { return info.NumWaiting == 0 })
	began := time.Now()
	stop()
	if took := time.Since(began); took > probeWait/2 {
		t.Errorf("it took %s", took)
	}
}

func TestHowManyAreFetchedInAdvanceFollowsTheWindow(t *testing.T) {
	for _, test := range []struct {
		name                string
		window, batch, want int
		waited              time.Duration
		size                int
		rate                float64
	}{
		{"few slots and not slow", 4, 16, 16, time.Second, 1, 0},
		{"few slots and slow", 4, 16, 4, 3 * time.Second, 1, 0},
		{"all slots and slow", 16, 16, 16, time.Minute, 1, 0},
		{"twice the slots", 8, 4, 8, time.Second, 1, 0},
		{"a few more slots", 7, 4, 4, time.Second, 1, 0},
		{"all slots again", 16, 10, 16, time.Second, 1, 0},
		{"quick", 16, 16, 64, time.Millisecond, 1, 0},
		{"quick and few slots", 4, 4, 16, time.Millisecond, 1, 0},
		{"quick no more", 16, 64, 64, 100 * time.Millisecond, 1, 0},
		{"slow after it was quick", 16, 64, 16, 500 * time.Millisecond, 1, 0},
		{"quick and large", 16, 16, 16, time.Millisecond, 1 << 20, 0},
		{"large after they were small", 16, 64, 16, time.Millisecond, 1 << 20, 0},
		{"quick, at a rate", 16, 16, 16, time.Millisecond, 1, 100},
		{"quick, at a low rate", 16, 8, 8, time.Millisecond, 1, 8},
	} {
		endpoint := Endpoint{Concurrency: 16, Rate: test.rate}
		s := &shift{Worker: &Worker{endpoint: endpoint, pace: newPace(test.rate), gate: newGate(16, false, time.Minute)}}
		s.gate.window.resize(test.window)
		if got := s.inAdvance(test.batch, test.waited, test.size); got != test.want {
			t.Errorf("%s: %d in advance, want %d", test.name, got, test.want)
		}
	}
}

func TestASourceIsReadOnWithMoreInAdvance(t *testing.T) {
	const events, most = 300, slotAdvance * DefaultConcurrency
	b := newBench(t, always(200))
	b.fill("", events)
	b.makeDurable()
	worker := b.worker()
	s, err := worker.open(b.ctx)
	if err != nil {
		t.Fatal(err)
	}
	go s.recorder.run(b.ctx)
	ctx, cancel := context.WithCancel(b.ctx)
	var grown int
	ended := make(chan error, 1)
	go func() {
		var err error
		grown, err = s.pull(ctx, b.ctx, s.sources[0], 1)
		ended <- err
	}()
	b.settled("EVENTS_TEST", "billing")
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	s.gate.end()
	s.attempts.Wait()
	s.recorder.close()
	if n := len(b.receiver.got); n != events || grown != most {
		t.Errorf("%d requests for %d events, and %d in advance at the end, want %d", n, events, grown, most)
	}
}

func TestAProbeTakesOneEventAndEndsItsReading(t *testing.T) {
	b := newBench(t, always(200))
	b.fill("", 3)
	consumer := b.makeDurable()
	b.config.Failing = true
	s, err := b.worker().open(b.ctx)
	if err != nil {
		t.Fatal(err)
	}
	go s.recorder.run(b.ctx)
	turn, probe, _ := s.gate.enter(b.ctx, false)
	if _, err := s.pull(turn, b.ctx, s.sources[0], 1); err != nil || !probe {
		t.Errorf("pull: %v, as a probe: %t", err, probe)
	}
	s.gate.end()
	s.attempts.Wait()
	s.recorder.close()
	if n := b.info(consumer).Delivered.Consumer; n != 1 {
		t.Errorf("%d events were handed out for one probe", n)
	}
}
