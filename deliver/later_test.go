package deliver

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"pgregory.net/rapid"

	"github.com/jethook/jethook/internal/bus"
	"github.com/jethook/jethook/internal/event"
)

// put stores a message in RETRY and returns its sequence.
func (b *bench) put(m *nats.Msg) uint64 {
	b.t.Helper()
	at, err := b.bus.Put(b.ctx, bus.Retry, m)
	if err != nil {
		b.t.Fatal(err)
	}
	return at
}

// left waits until that many messages of RETRY have a subject.
func (b *bench) left(subject string, want uint64) {
	b.t.Helper()
	for deadline := time.Now().Add(patience); b.count(bus.Retry, subject) != want; {
		if time.Now().After(deadline) {
			b.t.Fatalf("%d messages under %s, want %d", b.count(bus.Retry, subject), subject, want)
		}
	}
}

// retry returns the stream of retries.
func (b *bench) retry() jetstream.Stream {
	b.t.Helper()
	stream, err := b.bus.JetStream().Stream(b.ctx, bus.Retry)
	if err != nil {
		b.t.Fatal(err)
	}
	return stream
}

// scheduled returns for when the pointer of an event is scheduled.
func (b *bench) scheduled(p Pointer) (time.Time, bool) {
	b.t.Helper()
	m, err := b.retry().GetLastMsgForSubject(b.ctx, bus.WaitSubject(p.Env, p.Endpoint, p.Sequence))
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return time.Time{}, false
	}
	if err != nil {
		b.t.Fatal(err)
	}
	at, err := dueTime(m.Header)
	if err != nil {
		b.t.Fatal(err)
	}
	return at, true
}

// promote runs processes that promote until the test ends.
func (b *bench) promote(processes int) {
	ctx, cancel := context.WithCancel(b.ctx)
	var running sync.WaitGroup
	for range processes {
		running.Go(func() { Promote(ctx, b.bus, slog.Default()) })
	}
	b.t.Cleanup(func() { cancel(); running.Wait() })
}

func pointerTo(sequence uint64) Pointer {
	return Pointer{Env: event.Test, Endpoint: "billing", Sequence: sequence,
		EventID: event.NewID(event.Test, "shop", fmt.Sprint(sequence)), Attempts: 3, FirstAttempt: time.Now().Add(-time.Hour).UTC()}
}

func TestOnlyWhatFallsDueSoonHasASchedule(t *testing.T) {
	p := pointerTo(7)
	for _, wait := range []time.Duration{-time.Hour, 0, time.Minute, laterThan} {
		m := p.At(time.Now().Add(wait))
		if m.Subject != "retry.wait.test.billing.7" || m.Header.Get(headerSchedule) == "" {
			t.Errorf("due in %s: %s with %v, want a schedule of the event's own", wait, m.Subject, m.Header)
		}
	}
	at := time.Now().Add(laterThan + time.Minute)
	m := p.At(at)
	if !isLater(m.Subject) || m.Header.Get(headerSchedule) != "" {
		t.Errorf("due in 11 minutes: %s with %v, want none", m.Subject, m.Header)
	}
	if due, err := dueTime(m.Header); err != nil || !due.Equal(at) {
		t.Errorf("it falls due at %s, %v; want %s", due, err, at)
	}
}

// What is stored for a slot is stored before the slot is promoted, though it takes a
// minute, and no time lies outside its slot.
func TestASlotHoldsItsTimes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		at := time.Unix(rapid.Int64Range(0, 1<<33).Draw(t, "seconds"), rapid.Int64Range(0, 999_999_999).Draw(t, "nanoseconds"))
		begin := slotBegin(slotOf(at))
		if at.Before(begin) || !at.Before(begin.Add(slotLength)) {
			t.Errorf("%s is in the slot that begins at %s", at, begin)
		}
		if stored := at.Add(-laterThan); begin.Add(-promoteLead).Before(stored.Add(time.Minute)) {
			t.Errorf("what falls due at %s may be stored at %s, and its slot is promoted from %s on", at, stored, begin.Add(-promoteLead))
		}
	})
}

func TestEachRetryIsScheduledOnceForItsTimeWhenItsSlotComes(t *testing.T) {
	b := newBench(t, always(200))
	soon, far := time.Now().Add(time.Minute), time.Now().Add(time.Hour)
	const events = 3 * promoteBatch / 2
	for i := range uint64(events) {
		b.put(pointerTo(i + 1).later(soon.Add(time.Duration(i) * time.Millisecond)))
	}
	b.put(pointerTo(events + 1).later(far))
	if counts, err := CountLater(b.ctx, b.bus, event.Test, "*"); err != nil || counts["billing"] != events+1 {
		t.Errorf("%v wait, %v; want %d", counts, err, events+1)
	}
	b.promote(3)
	b.left(LaterSubjects(event.Test, "billing"), 1)
	for i := range uint64(events) {
		if at, ok := b.scheduled(pointerTo(i + 1)); !ok || !at.Equal(soon.Add(time.Duration(i)*time.Millisecond)) {
			t.Fatalf("retry %d is scheduled for %s, %t", i+1, at, ok)
		}
	}
	if n := b.count(bus.Retry, ">"); n != events+1 {
		t.Errorf("%d messages, want %d", n, events+1)
	}
}

func TestSlotsAreFoundWithoutAListOfAll(t *testing.T) {
	b := newBench(t, always(200))
	now := time.Now()
	slot := slotOf(now)
	finder := slotFinder{bus: b.bus}
	find := func(at time.Time, want ...int64) {
		t.Helper()
		if got, err := finder.before(b.ctx, at); !slices.Equal(got, want) || err != nil {
			t.Errorf("slots %v, %v; want %v", got, err, want)
		}
	}
	put := func(of int64) uint64 { return b.put(pointerTo(1).later(slotBegin(of))) }
	old := put(slot - 100)
	put(slot - 1)
	put(slot)
	put(slot + 1)
	find(now, slot-100, slot-1, slot)
	find(now, slot-100, slot-1, slot) // until it is done with
	if err := b.retry().DeleteMsg(b.ctx, old); err != nil {
		t.Fatal(err)
	}
	find(now, slot-1, slot)
	put(slot - 100)
	find(now, slot-1, slot) // those of the last hour
	find(now.Add(slotLength), slot-1, slot, slot+1)
	find(now.Add(24*time.Hour), slot-100, slot-1, slot, slot+1) // the clock has jumped
	find(now, slot-100, slot-1, slot)                           // and back
}

func TestASlotWithManyRetriesDoesNotHoldUpAnother(t *testing.T) {
	b := newBench(t, always(200))
	past := time.Now().Add(-24 * time.Hour)
	first, second := slotOf(past), slotOf(past)+1
	const many = promoteBatch + 10
	for i := range uint64(many) {
		b.put(pointerTo(i + 1).later(slotBegin(first)))
	}
	b.put(pointerTo(many + 1).later(slotBegin(second)))
	if err := promoteSlots(b.ctx, b.bus, []int64{first, second}, time.Now()); err != nil {
		t.Fatal(err)
	}
	counts, err := b.bus.Subjects(b.ctx, bus.Retry, LaterSubjects(event.Test, "billing"))
	if got := counts[laterSubject("test", "billing", fmt.Sprint(first))]; got != 10 || len(counts) != 1 || err != nil {
		t.Errorf("after a turn of each %v wait, %v; want 10 of the first slot", counts, err)
	}
	if err := promoteSlots(b.ctx, b.bus, []int64{first}, time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	b.left(LaterSubjects(event.Test, "billing"), 0)
}

func TestAProcessThatEndsLetsGoOfTheRetriesOfASlot(t *testing.T) {
	b := newBench(t, always(200))
	soon := time.Now().Add(time.Minute)
	for i := range uint64(10) {
		b.put(pointerTo(i + 1).later(soon))
	}
	slot, err := slotConsumer(b.ctx, b.retry(), slotOf(soon))
	if err != nil {
		t.Fatal(err)
	}
	ended, end := context.WithCancel(b.ctx)
	end()
	if count, err := promoteSome(ended, b.bus, b.retry(), slot); count != 10 || err != nil {
		t.Errorf("it had %d in hand, %v; want 10", count, err)
	}
	if later, all := b.count(bus.Retry, LaterSubjects(event.Test, "billing")), b.count(bus.Retry, ">"); later != 10 || all != 10 {
		t.Errorf("%d of %d wait without a schedule, want 10 of 10", later, all)
	}
}

func TestARetryThatWaitedLongIsDelivered(t *testing.T) {
	b := newBench(t, always(200))
	b.makeDurable()
	e := b.publish("1", []byte(`{}`))
	b.start()
	b.receiver.next() // the event itself
	due := time.Now().Add(time.Second)
	b.put(pointerTo(1).later(due))
	b.promote(1)
	got := b.receiver.next()
	if got.header.Get("Webhook-Id") != string(e.ID) || got.header.Get("Jethook-Attempt") != "4" || got.at.Before(due) {
		t.Errorf("got %s, attempt %s, at %s; want %s, attempt 4, from %s on", got.header.Get("Webhook-Id"), got.header.Get("Jethook-Attempt"), got.at, e.ID, due)
	}
	b.settled(bus.Retry, DueConsumer(b.endpoint.Env, b.endpoint.Name))
	if n := b.count(bus.Retry, ">"); n != 0 {
		t.Errorf("%d pointers are left, want none", n)
	}
}

func TestAPointerThatCannotBeReadIsDeadWhenItsSlotComes(t *testing.T) {
	b := newBench(t, always(200))
	b.start()
	b.publish("1", []byte(`{}`))
	m := pointerTo(1).later(time.Now())
	m.Header[headerDue] = []string{"soon"}
	m.Header[headerAttempt] = []string{"many"}
	b.put(m)
	b.promote(1)
	if got := b.dead(); got.EventID != pointerTo(1).EventID {
		t.Errorf("dead event is %+v", got)
	}
}

// taken is a pointer of a slot, as the process has read it that promotes it.
func (b *bench) taken(p Pointer, at time.Time) (m jetstream.Msg, stored uint64) {
	b.t.Helper()
	stored = b.put(p.later(at))
	consumer, err := b.retry().CreateOrUpdateConsumer(b.ctx, jetstream.ConsumerConfig{
		Durable: "taken", FilterSubject: LaterSubjects(p.Env, p.Endpoint), AckPolicy: jetstream.AckExplicitPolicy})
	if err != nil {
		b.t.Fatal(err)
	}
	if m, err = consumer.Next(); err != nil {
		b.t.Fatal(err)
	}
	return m, stored
}

func TestWhatIsHastenedWhileItIsPromotedKeepsItsTime(t *testing.T) {
	b := newBench(t, always(200))
	p, soon := pointerTo(1), time.Now().Add(time.Minute)
	m, _ := b.taken(p, time.Now().Add(time.Hour))
	b.put(p.schedule(soon))
	// Whoever stored that schedule takes it back where the pointer is gone.
	if err := promote(b.ctx, b.bus, b.retry(), m, time.Now()); err != nil {
		t.Fatal(err)
	}
	if later := b.count(bus.Retry, LaterSubjects(p.Env, p.Endpoint)); later != 1 {
		t.Errorf("%d wait without a schedule while the other one is being stored, want 1", later)
	}
	if err := promote(b.ctx, b.bus, b.retry(), m, time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	if at, ok := b.scheduled(p); !ok || !at.Equal(soon) {
		t.Errorf("scheduled for %s, %t; want %s", at, ok, soon)
	}
	b.left(">", 1)
}

func TestWhatWasTakenMeanwhileIsNotHastened(t *testing.T) {
	b := newBench(t, always(200))
	p := pointerTo(1)
	stored := b.put(p.later(time.Now().Add(time.Hour)))
	if err := b.retry().DeleteMsg(b.ctx, stored); err != nil {
		t.Fatal(err)
	}
	there, err := replaceLater(b.ctx, b.bus, b.retry(), stored, p.schedule(time.Now().Add(time.Minute)))
	if there || err != nil {
		t.Errorf("it was there: %t, %v", there, err)
	}
	if at, ok := b.scheduled(p); ok {
		t.Errorf("it is scheduled for %s", at)
	}
}

func TestWhatIsCancelledWhileItIsPromotedIsNotDelivered(t *testing.T) {
	b := newBench(t, always(200))
	p := pointerTo(1)
	m, stored := b.taken(p, time.Now().Add(time.Hour))
	if err := b.retry().DeleteMsg(b.ctx, stored); err != nil {
		t.Fatal(err)
	}
	if err := promote(b.ctx, b.bus, b.retry(), m, time.Now()); err != nil {
		t.Fatal(err)
	}
	if at, ok := b.scheduled(p); ok {
		t.Errorf("it is scheduled for %s", at)
	}
}

func TestWhatWaitsWithAndWithoutAScheduleIsHastenedAndCancelled(t *testing.T) {
	b := newBench(t, always(200))
	fill := func() {
		for i := range uint64(10) {
			b.put(pointerTo(2*i + 1).At(time.Now().Add(time.Minute)))
			b.put(pointerTo(2*i + 2).At(time.Now().Add(time.Hour)))
		}
	}
	fill()
	if n, more, err := Hasten(b.ctx, b.bus, event.Test, "billing"); n != 20 || more || err != nil {
		t.Errorf("hastened %d, more %t, %v; want 20", n, more, err)
	}
	b.left(DueSubject(event.Test, "billing"), 20)
	fill()
	if n, more, err := Cancel(b.ctx, b.bus, event.Test, "billing"); n != 40 || more || err != nil {
		t.Errorf("cancelled %d, more %t, %v; want 20 that wait and 20 that are due", n, more, err)
	}
	if n := b.count(bus.Retry, ">"); n != 0 {
		t.Errorf("%d pointers are left, want none", n)
	}
}

func TestAnEventThatIsSentAgainIsNotRetriedBesides(t *testing.T) {
	b := newBench(t, always(200))
	e := b.publish("1", []byte(`{}`))
	other := pointerTo(2)
	b.put(pointerTo(1).At(time.Now().Add(time.Hour)))
	b.put(other.At(time.Now().Add(time.Hour)))
	if err := Resend(b.ctx, b.bus, e, 1, "billing"); err != nil {
		t.Fatal(err)
	}
	if due, later := b.count(bus.Retry, DueSubject(event.Test, "billing")), b.count(bus.Retry, LaterSubjects(event.Test, "billing")); due != 1 || later != 1 {
		t.Errorf("%d due and %d waiting, want one due and the other event waiting", due, later)
	}
}

// An endpoint that refuses at once may have failed before what waited is removed.
func TestARetryOfWhatIsSentAgainStays(t *testing.T) {
	b := newBench(t, always(200))
	p := pointerTo(1)
	for _, wait := range []time.Duration{time.Minute, time.Hour} {
		b.put(p.At(time.Now().Add(wait)))
	}
	due, err := p.storeDue(b.ctx, b.bus, "resend:1")
	if err != nil {
		t.Fatal(err)
	}
	b.put(p.later(time.Now().Add(2 * time.Hour)))
	if err := errors.Join(p.removeLater(b.ctx, b.bus, due), p.removeScheduled(b.ctx, b.bus, due)); err != nil {
		t.Fatal(err)
	}
	if later, scheduled := b.count(bus.Retry, LaterSubjects(event.Test, "billing")), b.count(bus.Retry, bus.WaitSubjects(event.Test, "billing")); later != 1 || scheduled != 0 {
		t.Errorf("%d wait without a schedule and %d with one, want the one that was stored last", later, scheduled)
	}
	b.put(p.At(time.Now().Add(time.Minute)))
	if err := p.removeScheduled(b.ctx, b.bus, due); err != nil {
		t.Fatal(err)
	}
	if _, ok := b.scheduled(p); !ok {
		t.Error("a retry with a schedule is gone that was stored behind the delivery")
	}
}
