package bus

import (
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/jethook/jethook/internal/event"
)

// small is a bus whose event streams hold 1 MiB, about 60 events of roomy, with a
// consumer that wants none of them, and a trimmer for the test to run. Its own
// looks too seldom to take part.
func small(t *testing.T) (*Bus, *trimmer, *logBuffer) {
	t.Helper()
	config := embedded(t.TempDir(), Process)
	config.Stream.MaxBytes = 1 << 20
	b, log := open(t, config), new(logBuffer)
	durable(t, b, "elsewhere", "events.prod.elsewhere.>")
	return b, newTrimmer(b, slog.New(slog.NewTextHandler(log, nil))), log
}

func roomy(n int) *event.Event {
	e := numbered(n)
	e.Data = make([]byte, 16<<10)
	return e
}

// fill publishes events until the stream of prod is at least so full, and
// returns the number of the next.
func fill(t *testing.T, b *Bus, from, atLeast int) int {
	t.Helper()
	for fullness(t, b) < atLeast {
		publish(t, b, roomy(from))
		from++
	}
	return from
}

func fullness(t *testing.T, b *Bus) int {
	t.Helper()
	return percent(prod(t, b).CachedInfo())
}

func prod(t *testing.T, b *Bus) jetstream.Stream {
	t.Helper()
	stream, err := b.JetStream().Stream(t.Context(), StreamName(event.Prod))
	if err != nil {
		t.Fatal(err)
	}
	return stream
}

// durable makes a consumer of its own, with explicit acknowledgements.
func durable(t *testing.T, b *Bus, name, filter string) jetstream.Consumer {
	t.Helper()
	consumer, err := prod(t, b).CreateConsumer(t.Context(), jetstream.ConsumerConfig{
		Durable: name, AckPolicy: jetstream.AckExplicitPolicy, FilterSubject: filter, MaxAckPending: -1,
	})
	if err != nil {
		t.Fatal(err)
	}
	return consumer
}

// acknowledge takes all that a consumer has.
func acknowledge(t *testing.T, consumer jetstream.Consumer) {
	t.Helper()
	for {
		batch, err := consumer.FetchNoWait(1000)
		if err != nil {
			t.Fatal(err)
		}
		some := false
		for m := range batch.Messages() {
			some = true
			if err := m.DoubleAck(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		if !some {
			return
		}
	}
}

func (t *trimmer) must(tb testing.TB) {
	tb.Helper()
	if err := t.check(tb.Context(), event.Prod); err != nil {
		tb.Fatal(err)
	}
}

func TestAnEventThatAParkedConsumerWaitsForStays(t *testing.T) {
	b, trimmer, _ := small(t)
	config := billingConfig()
	config.MemoryStorage, config.FilterSubjects = true, []string{"events.prod.clink.>"}
	if err := b.ParkNew(t.Context(), "EVENTS_PROD", config, 0); err != nil {
		t.Fatal(err)
	}
	for n := range 3 {
		publish(t, b, roomy(n))
	}
	e := roomy(3)
	e.Source = "clink"
	publish(t, b, e)
	fill(t, b, 4, trimAbove)
	trimmer.must(t)
	expect(t, "first event", prod(t, b).CachedInfo().State.FirstSeq, uint64(4))
	unpark(t, b)
	expect(t, "events", fetch(t, b, "EVENTS_PROD", billing, 1, 4), []uint64{4})
	fill(t, b, 100, trimAbove)
	trimmer.must(t)
	if got := fullness(t, b); got > trimTo {
		t.Errorf("the stream is %d %% full after all is delivered", got)
	}
}

func TestIntakeGoesOnWhereEverythingIsDelivered(t *testing.T) {
	b, trimmer, _ := small(t)
	consumer := durable(t, b, "billing", "events.prod.>")
	next := 0
	for next < 600 { // ten times what the stream holds
		next = fill(t, b, next, trimAbove)
		acknowledge(t, consumer)
		trimmer.must(t)
		if got := fullness(t, b); got > trimTo || got < trimTo-5 {
			t.Fatalf("after the trimming the stream is %d %% full, want about %d", got, trimTo)
		}
	}
	publish(t, b, roomy(next))
}

func TestNothingIsRemovedBeforeTheStreamIsNearlyFull(t *testing.T) {
	b, trimmer, _ := small(t)
	fill(t, b, 0, trimAbove-5)
	trimmer.must(t)
	stored(t, b, event.Prod, 1)
}

func TestAConsumerThatLagsKeepsItsEvents(t *testing.T) {
	b, trimmer, log := small(t)
	lagging, other := durable(t, b, "ledger", "events.prod.>"), durable(t, b, "billing", "events.prod.>")
	fill(t, b, 0, 95)
	acknowledge(t, other)
	trimmer.must(t)
	trimmer.must(t)
	stored(t, b, event.Prod, 1)
	if text := log.String(); strings.Count(text, "held_by=") != 1 || !strings.Contains(text, `held_by="consumer ledger"`) {
		t.Errorf("the log does not name, once, who is in the way:\n%s", text)
	}
	m, err := lagging.Next()
	if err != nil {
		t.Fatal(err)
	}
	if err := m.DoubleAck(t.Context()); err != nil {
		t.Fatal(err)
	}
	trimmer.must(t)
	if got := prod(t, b).CachedInfo().State.FirstSeq; got != 2 {
		t.Errorf("the stream begins at %d, want 2: what is acknowledged goes and no more", got)
	}
}

func TestAConsumerKeepsOnlyWhatItSelects(t *testing.T) {
	b, trimmer, _ := small(t)
	consumer := durable(t, b, "refunds", "events.prod.shop.refund.>")
	next := fill(t, b, 0, 50)
	refund := roomy(next)
	refund.Type = "refund.made"
	at := publish(t, b, refund).Sequence
	fill(t, b, next+1, 85)
	trimmer.must(t)
	if got := prod(t, b).CachedInfo().State.FirstSeq; got == 1 || got > at {
		t.Errorf("the stream begins at %d, want it after 1 and not after %d, which the consumer needs", got, at)
	}
	acknowledge(t, consumer)
	for next = 1000; next < 1200; { // and nothing of its own comes any more
		next = fill(t, b, next, trimAbove)
		trimmer.must(t)
	}
}

func TestWhatNobodyHasHadIsNotRemoved(t *testing.T) {
	b, trimmer, log := small(t)
	if err := prod(t, b).DeleteConsumer(t.Context(), "elsewhere"); err != nil {
		t.Fatal(err)
	}
	fill(t, b, 0, 95)
	trimmer.must(t)
	stored(t, b, event.Prod, 1)
	if !strings.Contains(log.String(), "the stream has no consumer") {
		t.Errorf("the log does not say why:\n%s", log)
	}
}

func TestAReaderWithoutAPlaceKeepsNothing(t *testing.T) {
	b, trimmer, _ := small(t)
	fill(t, b, 0, 85)
	reader, err := prod(t, b).CreateConsumer(t.Context(), jetstream.ConsumerConfig{AckPolicy: jetstream.AckNonePolicy})
	if err != nil {
		t.Fatal(err)
	}
	trimmer.must(t)
	if prod(t, b).CachedInfo().State.FirstSeq == 1 {
		t.Errorf("reader %s was waited for", reader.CachedInfo().Name)
	}
}

// retry stores a pointer that waits for an hour, or is due.
func retry(t *testing.T, b *Bus, env event.Env, sequence uint64, due bool) {
	t.Helper()
	m := &nats.Msg{Subject: WaitSubject(env, "billing", sequence), Header: nats.Header{
		"Nats-Schedule":        {"@at " + time.Now().Add(time.Hour).UTC().Format(time.RFC3339Nano)},
		"Nats-Schedule-Target": {RetryDue + "." + string(env) + ".billing"},
	}}
	if due {
		m = &nats.Msg{Subject: RetryDue + "." + string(env) + ".billing", Header: nats.Header{}}
	}
	m.Header.Set(HeaderSequence, fmt.Sprint(sequence))
	if _, err := b.Put(t.Context(), Retry, m); err != nil {
		t.Fatal(err)
	}
}

func TestAPointerInRetryKeepsItsEvent(t *testing.T) {
	for name, due := range map[string]bool{"waits": false, "is due": true} {
		t.Run(name, func(t *testing.T) {
			b, trimmer, log := small(t)
			fill(t, b, 0, 90)
			for n := range uint64(30) {
				retry(t, b, event.Test, 1, due) // of the other environment
				retry(t, b, event.Prod, 40-n, due)
			}
			retry(t, b, event.Prod, 3, due)
			trimmer.must(t)
			if got := prod(t, b).CachedInfo().State.FirstSeq; got != 3 {
				t.Fatalf("the stream begins at %d, want 3, which the pointer names", got)
			}
			trimmer.must(t)
			trimmer.must(t)
			if text := log.String(); strings.Count(text, `held_by="retries of endpoint billing"`) != 1 {
				t.Errorf("the log does not name, once, who is in the way:\n%s", text)
			}
			queue, err := b.JetStream().Stream(t.Context(), Retry)
			if err != nil {
				t.Fatal(err)
			}
			if err := queue.DeleteMsg(t.Context(), queue.CachedInfo().State.LastSeq); err != nil {
				t.Fatal(err)
			}
			trimmer.must(t)
			if got := prod(t, b).CachedInfo().State.FirstSeq; got != 11 {
				t.Errorf("the stream begins at %d after the pointer is gone, want 11, which another names", got)
			}
		})
	}
}

// A worker postpones the first event, the only one in the way, while the trimmer
// looks: wherever it finds it, it must not be removed.
func TestAnEventOnItsWayIsNeverRemoved(t *testing.T) {
	b, trimmer, _ := small(t)
	live := durable(t, b, "billing", "events.prod.>")
	due, err := b.JetStream().CreateConsumer(t.Context(), Retry, jetstream.ConsumerConfig{
		Durable: "prod_billing", AckPolicy: jetstream.AckExplicitPolicy, FilterSubject: RetryDue + ".prod.billing",
	})
	if err != nil {
		t.Fatal(err)
	}
	next := func(from jetstream.Consumer) jetstream.Msg {
		t.Helper()
		m, err := from.Next()
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
	n := 0
	for range 100 {
		n = fill(t, b, n, 85)
		m := next(live)
		at, err := m.Metadata()
		if err != nil {
			t.Fatal(err)
		}
		var trimming sync.WaitGroup
		trimming.Go(func() {
			if err := trimmer.check(t.Context(), event.Prod); err != nil {
				t.Error(err)
			}
		})
		<-time.After(rand.N(2 * time.Millisecond))
		retry(t, b, event.Prod, at.Sequence.Stream, true)
		if err := m.DoubleAck(t.Context()); err != nil {
			t.Fatal(err)
		}
		trimming.Wait()
		stored(t, b, event.Prod, at.Sequence.Stream)
		if err := next(due).DoubleAck(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

func TestADeadEventKeepsItsBodyUntilTheStreamIsNinetyPerCentFull(t *testing.T) {
	b, trimmer, log := small(t)
	next := fill(t, b, 0, 82)
	for _, sequence := range []int{2, 3, 60} {
		if _, err := b.Put(t.Context(), Dead, &nats.Msg{Subject: DeadRoot + ".prod.billing",
			Data: fmt.Appendf(nil, `{"env":"prod","sequence":%d}`, sequence)}); err != nil {
			t.Fatal(err)
		}
	}
	trimmer.must(t)
	if got := prod(t, b).CachedInfo().State.FirstSeq; got != 2 {
		t.Fatalf("the stream begins at %d, want 2, which died", got)
	}
	trimmer.must(t)
	if text := log.String(); !strings.Contains(text, `held_by="dead events of endpoint billing"`) {
		t.Errorf("the log does not name what is in the way:\n%s", text)
	}
	fill(t, b, next, dropDead)
	trimmer.must(t)
	if got := prod(t, b).CachedInfo().State.FirstSeq; got <= 3 {
		t.Errorf("the stream begins at %d though it was over 90 %% full", got)
	}
	if text := log.String(); !strings.Contains(text, "dead=2") {
		t.Errorf("the log does not say that two dead events have lost their bodies:\n%s", text)
	}
}

func TestWhatNamesAnEventThatIsGoneKeepsNothing(t *testing.T) {
	b, trimmer, _ := small(t)
	next := fill(t, b, 0, 85)
	trimmer.must(t)
	retry(t, b, event.Prod, 1, true)
	fill(t, b, next, 85)
	before := prod(t, b).CachedInfo().State.FirstSeq
	trimmer.must(t)
	if got := prod(t, b).CachedInfo().State.FirstSeq; got <= before {
		t.Errorf("the stream begins at %d, as before", got)
	}
}

func TestTheBusTrimsByItself(t *testing.T) {
	config := embedded(t.TempDir(), Process)
	config.Stream.MaxBytes = 1 << 20
	b, err := Open(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	durable(t, b, "elsewhere", "events.prod.elsewhere.>")
	fill(t, b, 0, 95)
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	b = open(t, config)
	eventually(t, "the stream is trimmed", func() bool { return fullness(t, b) <= trimTo })
}
