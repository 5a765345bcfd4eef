package deliver

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jethook/jethook/internal/bus"
	"github.com/jethook/jethook/internal/event"
)

// newPullBench is a bench whose endpoint is pulled.
func newPullBench(t *testing.T) (*bench, *Puller) {
	t.Helper()
	b := newBench(t, always(200))
	b.endpoint.Pull, b.endpoint.URL, b.endpoint.Signature, b.endpoint.Keys = true, "", StyleNone, nil
	b.endpoint = b.endpoint.WithDefaults()
	b.makeDurable()
	return b, b.puller()
}

// puller returns another process's puller.
func (b *bench) puller() *Puller {
	b.t.Helper()
	p, err := NewPuller(b.pullerConfig())
	if err != nil {
		b.t.Fatal(err)
	}
	return p
}

func (b *bench) pullerConfig() PullerConfig {
	return PullerConfig{Bus: b.bus, Client: b.client, Logger: b.config.Logger}
}

// lapse makes failed attempts of leases that lapse, until the test's end.
func (b *bench) lapse() {
	ctx, cancel := context.WithCancel(b.ctx)
	var ended sync.WaitGroup
	ended.Go(func() {
		if err := Lapse(ctx, b.pullerConfig(), func(event.Env, string) (Endpoint, bool) { return b.endpoint, true }); err != nil {
			b.t.Errorf("lapse: %v", err)
		}
	})
	b.t.Cleanup(func() { cancel(); ended.Wait() })
}

func readyIs(yes bool) func(context.Context) (bool, error) {
	return func(context.Context) (bool, error) { return yes, nil }
}

func (b *bench) takeFrom(p *Puller, limit int, wait time.Duration) []Taken {
	b.t.Helper()
	taken, err := p.Take(b.ctx, b.endpoint, limit, wait, readyIs(true))
	if err != nil {
		b.t.Fatalf("take: %v", err)
	}
	return taken
}

// leases is how many events are out.
func (b *bench) leases() int {
	b.t.Helper()
	out, err := b.bus.CountSubjects(b.ctx, bus.Retry, LeaseSubjects(b.endpoint.Env, b.endpoint.Name))
	if err != nil {
		b.t.Fatal(err)
	}
	return out
}

func tokens(taken []Taken) (all []string) {
	for _, t := range taken {
		all = append(all, t.Token)
	}
	return all
}

func TestWhatIsTakenAndAcknowledgedIsDeliveredOnceAndRecorded(t *testing.T) {
	b, p := newPullBench(t)
	data := []byte("{ \"a\" :1.0,\n\"b\":\"<\xff>\"}")
	e := b.publish("1", data)
	taken := b.takeFrom(p, 10, patience)
	if len(taken) != 1 || taken[0].Event.ID != e.ID || !bytes.Equal(taken[0].Event.Data, data) || taken[0].Attempt != 1 || taken[0].Sequence != 1 {
		t.Fatalf("taken %+v, want the event as it was", taken)
	}
	if again := b.takeFrom(b.puller(), 10, 0); len(again) != 0 {
		t.Errorf("it is given out twice: %+v", again)
	}
	// Another process may be asked.
	if over, err := b.puller().Ack(b.ctx, b.endpoint, tokens(taken)); len(over) != 0 || err != nil {
		t.Fatalf("ack: over %v, error %v", over, err)
	}
	b.settled("EVENTS_TEST", "billing")
	if a := b.attempts(1); a[0].Outcome != OutcomeDelivered || a[0].EventID != e.ID || a[0].Number != 1 || a[0].EventType != e.Type {
		t.Errorf("record %+v", a[0])
	}
	if n := b.leases(); n != 0 {
		t.Errorf("%d leases are left", n)
	}
	if over, err := p.Ack(b.ctx, b.endpoint, tokens(taken)); len(over) != 1 || err != nil {
		t.Errorf("acknowledged again: over %v, error %v", over, err)
	}
}

func TestAnEndpointThatWasMadeJustNowIsWaitedFor(t *testing.T) {
	b, p := newPullBench(t)
	if err := b.bus.JetStream().DeleteConsumer(b.ctx, bus.StreamName(b.endpoint.Env), b.endpoint.Name); err != nil {
		t.Fatal(err)
	}
	e := b.publish("1", []byte("{}"))
	if taken := b.takeFrom(p, 10, 0); len(taken) != 0 {
		t.Errorf("taken before there is a consumer: %+v", taken)
	}
	var waiting sync.WaitGroup
	waiting.Go(func() {
		taken, err := p.Take(b.ctx, b.endpoint, 10, patience, readyIs(true))
		if err != nil || len(taken) != 1 || taken[0].Event.ID != e.ID {
			t.Errorf("taken %+v, error %v; want the event", taken, err)
		}
	})
	b.makeDurable()
	waiting.Wait()
}

func TestAWaitingTakeGetsWhatComes(t *testing.T) {
	b, p := newPullBench(t)
	var both sync.WaitGroup
	got := make([][]Taken, 2)
	for i := range got {
		both.Go(func() { got[i] = b.takeFrom(p, 1, patience) })
	}
	b.publish("1", []byte(`{}`))
	b.publish("2", []byte(`{}`))
	both.Wait()
	if len(got[0]) != 1 || len(got[1]) != 1 || got[0][0].Event.ID == got[1][0].Event.ID {
		t.Errorf("two who wait got %v and %v, want an event each", got[0], got[1])
	}
}

func TestATokenSettlesItsOwnLeaseAlone(t *testing.T) {
	b, p := newPullBench(t)
	b.publish("1", []byte(`{}`))
	token := b.takeFrom(p, 1, patience)[0].Token
	other := b.endpoint
	other.Name = "ledger"
	forged := token[:len(token)-1] + string("0123456789abcdef"[(strings.IndexByte("0123456789abcdef", token[len(token)-1])+1)%16])
	for _, ask := range []struct {
		of    Endpoint
		token string
	}{{other, token}, {b.endpoint, forged}, {b.endpoint, "1."}, {b.endpoint, "*.x"}, {b.endpoint, ""}, {b.endpoint, "1.>"}, {b.endpoint, "999." + token[2:]}} {
		if over, err := p.Ack(b.ctx, ask.of, []string{ask.token}); len(over) != 1 || err != nil {
			t.Errorf("token %q of %s: over %v, error %v; want it over", ask.token, ask.of.Name, over, err)
		}
	}
	if n := b.leases(); n != 1 {
		t.Errorf("%d leases, want the one", n)
	}
}

func TestALeaseThatLapsesIsAFailedAttemptUntilTheEventIsDead(t *testing.T) {
	b, p := newPullBench(t)
	b.endpoint.Timeout, b.endpoint.Retry.Attempts = 20*time.Millisecond, 2
	b.lapse()
	e := b.publish("1", []byte(`{}`))
	first := b.takeFrom(p, 1, patience)
	second := b.takeFrom(p, 1, patience)
	if len(second) != 1 || second[0].Event.ID != e.ID || second[0].Attempt != 2 {
		t.Fatalf("after the lease has lapsed %+v is given out, want attempt 2", second)
	}
	if over, err := p.Ack(b.ctx, b.endpoint, tokens(first)); len(over) != 1 || err != nil {
		t.Errorf("the first token: over %v, error %v; want it over", over, err)
	}
	dead := b.dead()
	if dead.EventID != e.ID || dead.Attempts != 2 || dead.LastError != reasonLapsed || dead.Type != e.Type || dead.Source != e.Source {
		t.Errorf("dead event %+v", dead)
	}
	got := b.attempts(2)
	if got[0].Outcome != OutcomeRetry || got[1].Outcome != OutcomeDead || got[0].Error != reasonLapsed {
		t.Errorf("records %+v", got)
	}
}

func TestARefusedEventComesAgainWhenItsReceiverSays(t *testing.T) {
	b, p := newPullBench(t)
	b.publish("1", []byte(`{}`))
	begun := time.Now()
	if over, err := p.Nack(b.ctx, b.endpoint, tokens(b.takeFrom(p, 1, patience)), "database is down", 2*time.Second); len(over) != 0 || err != nil {
		t.Fatalf("nack: over %v, error %v", over, err)
	}
	if a := b.attempts(1)[0]; a.Outcome != OutcomeRetry || a.Error != "database is down" || a.NextAt.Sub(begun) < 2*time.Second {
		t.Errorf("record %+v", a)
	}
	again := b.takeFrom(p, 1, patience)
	if took := time.Since(begun); len(again) != 1 || again[0].Attempt != 2 || took < 2*time.Second {
		t.Errorf("after %s %+v, want attempt 2 after two seconds", took, again)
	}
}

func TestALeaseIsExtendedNoFurtherThanItsBound(t *testing.T) {
	taken := time.Now()
	l := lease{taken: taken}
	for by, want := range map[time.Duration]time.Duration{
		time.Minute: time.Minute, maxLease: maxLease, maxLease + 1: maxLease, 2 * maxLease: maxLease,
	} {
		if got := l.noLater(taken.Add(by)).Sub(taken); got != want {
			t.Errorf("extended to %s after it was taken: lapses after %s, want %s", by, got, want)
		}
	}
}

func TestAnExtendedLeaseKeepsItsToken(t *testing.T) {
	b, p := newPullBench(t)
	b.endpoint.Timeout = 5 * time.Second
	b.lapse()
	e := b.publish("1", []byte(`{}`))
	taken := b.takeFrom(p, 1, patience)
	if over, err := p.Extend(b.ctx, b.endpoint, tokens(taken), time.Hour); len(over) != 0 || err != nil {
		t.Fatalf("extend: over %v, error %v", over, err)
	}
	retry, err := b.bus.JetStream().Stream(b.ctx, bus.Retry)
	if err != nil {
		t.Fatal(err)
	}
	stored, err := retry.GetLastMsgForSubject(b.ctx, leaseSubject(e.Env, "billing", "1"))
	if err != nil {
		t.Fatal(err)
	}
	if at, err := dueTime(stored.Header); err != nil || at.Before(time.Now().Add(maxTimeout-time.Minute)) || at.After(time.Now().Add(maxTimeout)) {
		t.Errorf("it lapses at %s, error %v; want it to in ten minutes", at, err)
	}
	if over, err := p.Ack(b.ctx, b.endpoint, tokens(taken)); len(over) != 0 || err != nil {
		t.Errorf("ack: over %v, error %v", over, err)
	}
}

func TestNoMoreEventsAreOutThanTheConcurrencyAllows(t *testing.T) {
	b, p := newPullBench(t)
	b.endpoint.Concurrency = 3
	for i := range 5 {
		b.publish(fmt.Sprint(i), []byte(`{}`))
	}
	taken := b.takeFrom(p, 10, patience)
	if len(taken) != 3 {
		t.Fatalf("%d events at once, want 3", len(taken))
	}
	if more := b.takeFrom(p, 10, 0); len(more) != 0 {
		t.Fatalf("%d more although three are out", len(more))
	}
	if _, err := p.Ack(b.ctx, b.endpoint, tokens(taken)[:2]); err != nil {
		t.Fatal(err)
	}
	if more := b.takeFrom(p, 10, patience); len(more) != 2 {
		t.Errorf("%d more after two were acknowledged, want 2", len(more))
	}
}

func TestAnEndpointThatIsNotReadyGivesNothing(t *testing.T) {
	b, p := newPullBench(t)
	b.publish("1", []byte(`{}`))
	if got, err := p.Take(b.ctx, b.endpoint, 1, time.Millisecond, readyIs(false)); len(got) != 0 || err != nil {
		t.Errorf("got %v, error %v; want nothing", got, err)
	}
	if got := b.takeFrom(p, 1, 0); len(got) != 1 {
		t.Errorf("got %v once it is ready, want the event", got)
	}
}

func TestAFilterAndTheSizeOfAnAnswerBoundWhatIsTaken(t *testing.T) {
	b, p := newPullBench(t)
	b.endpoint.Filter = "wanted"
	for i := range 20 {
		b.publish("small"+fmt.Sprint(i), []byte(`{"wanted":false}`))
	}
	large := fmt.Appendf(nil, `{"wanted":true,"x":%q}`, strings.Repeat("x", 3<<20))
	b.publish("1", large)
	b.publish("2", large)
	for range 2 {
		if got := b.takeFrom(p, 100, patience); len(got) != 1 || len(got[0].Event.Data) != len(large) {
			t.Fatalf("%d events in an answer, want one large one", len(got))
		}
	}
}

func TestTooManyWhoWaitAreRefused(t *testing.T) {
	b, p := newPullBench(t)
	ctx, cancel := context.WithCancel(b.ctx)
	var waiting sync.WaitGroup
	asked := make(chan struct{}, maxWaiters)
	for range maxWaiters {
		waiting.Go(func() {
			_, _ = p.Take(ctx, b.endpoint, 1, patience, func(context.Context) (bool, error) {
				select {
				case asked <- struct{}{}:
				default:
				}
				return true, nil
			})
		})
	}
	for range maxWaiters {
		<-asked
	}
	if _, err := p.Take(ctx, b.endpoint, 1, 0, readyIs(true)); !errors.Is(err, ErrManyWaiting) {
		t.Errorf("error %v, want ErrManyWaiting", err)
	}
	cancel()
	waiting.Wait()
	b.publish("1", []byte(`{}`))
	if got := b.takeFrom(p, 1, patience); len(got) != 1 {
		t.Errorf("got %v after those who waited have left, want the event", got)
	}
}

func TestBesideTheEmbeddedBusNobodyWaitsForLapsedLeasesWhenTheProcessEnds(t *testing.T) {
	b := newBench(t, always(200))
	ctx, cancel := context.WithCancel(b.ctx)
	ended := make(chan error, 1)
	go func() {
		ended <- Lapse(ctx, b.pullerConfig(), func(event.Env, string) (Endpoint, bool) { return b.endpoint, true })
	}()
	for asks := false; !asks && b.ctx.Err() == nil; {
		consumer, err := b.bus.JetStream().Consumer(b.ctx, bus.Retry, lapsedConsumer)
		asks = err == nil && consumer.CachedInfo().NumWaiting == 1
	}
	began := time.Now()
	cancel()
	if err := <-ended; err != nil || time.Since(began) > requestHolds/2 {
		t.Errorf("ended with %v after %s", err, time.Since(began))
	}
}
