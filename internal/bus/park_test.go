package bus

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/nats-io/nats.go/jetstream"
)

func parkedOf(t *testing.T, b *Bus) map[string]jetstream.ConsumerConfig {
	t.Helper()
	parked, err := b.Parked("EVENTS_PROD")
	if err != nil {
		t.Fatal(err)
	}
	return parked
}

func park(t *testing.T, b *Bus) bool {
	t.Helper()
	parked, err := b.Park(t.Context(), "EVENTS_PROD", billing)
	if err != nil {
		t.Fatal(err)
	}
	return parked
}

func unpark(t *testing.T, b *Bus) {
	t.Helper()
	if err := b.Unpark(t.Context(), "EVENTS_PROD", billing); err != nil {
		t.Fatal(err)
	}
}

func waiting(t *testing.T, b *Bus) bool {
	t.Helper()
	waits, err := b.Waits(t.Context(), "EVENTS_PROD", billing)
	if err != nil {
		t.Fatal(err)
	}
	return waits
}

func TestADurableIsParkedWithItsPlaceAndDefinition(t *testing.T) {
	l, b, _ := remembered(t)
	before := infoOf(t, b, "EVENTS_PROD", billing).Config
	settle(t, b, 2, 9, 10)
	l.end(l.now(b), false)
	b = l.open()
	unpark(t, b)
	settle(t, b, 6, 5, 6, 7, 8, 9, 10)
	expect(t, "parked when nothing waits", park(t, b), true)
	expect(t, "known to the server", known(t, b), false)
	for _, restarted := range []bool{false, true} {
		if restarted {
			l.close()
			b = l.open()
		}
		expect(t, "something waits", waiting(t, b), false)
		after := parkedOf(t, b)[billing]
		after.DeliverPolicy, after.OptStartSeq = before.DeliverPolicy, before.OptStartSeq
		expect(t, "definition", after, before)
	}
	other := numbered(10)
	other.Source = "other"
	publish(t, b, other)
	expect(t, "something waits after an event for others", waiting(t, b), false)
	publish(t, b, numbered(11))
	expect(t, "something waits after an event", waiting(t, b), true)
	unpark(t, b)
	unpark(t, b) // which is nothing to do
	expect(t, "events", fetch(t, b, "EVENTS_PROD", billing, 1, 12), []uint64{12})
	expect(t, "still parked", len(parkedOf(t, b)), 0)
}

func known(t *testing.T, b *Bus) bool {
	t.Helper()
	_, err := b.JetStream().Consumer(t.Context(), "EVENTS_PROD", billing)
	if err != nil && !errors.Is(err, jetstream.ErrConsumerNotFound) {
		t.Fatal(err)
	}
	return err == nil
}

func TestADurableThatIsParkedSurvivesAKillAndIsForgottenForGood(t *testing.T) {
	l := &lives{t: t, dir: t.TempDir()}
	b := l.open()
	for n := range 4 {
		publish(t, b, numbered(n))
	}
	config := billingConfig()
	config.MemoryStorage = true
	for _, floor := range []uint64{2, 4} { // the second time it is there
		if err := b.ParkNew(t.Context(), "EVENTS_PROD", config, floor); err != nil {
			t.Fatal(err)
		}
	}
	l.end(l.now(b), false)
	b = l.open()
	expect(t, "something waits", waiting(t, b), true)
	unpark(t, b)
	expect(t, "events", fetch(t, b, "EVENTS_PROD", billing, 2, 3, 4), []uint64{3, 4})
	if err := b.ParkNew(t.Context(), "EVENTS_PROD", config, 0); err != nil {
		t.Fatal(err)
	}
	expect(t, "parked while the server knows it", len(parkedOf(t, b)), 0)
	expect(t, "parked", park(t, b), true)
	if err := b.RemoveConsumer(t.Context(), "EVENTS_PROD", billing); err != nil {
		t.Fatal(err)
	}
	l.end(l.now(b), false)
	b = l.open()
	expect(t, "parked after it was forgotten", len(parkedOf(t, b)), 0)
}

func TestAConsumerWithFilesIsNotParked(t *testing.T) {
	b := open(t, embedded(t.TempDir(), Process))
	makeConsumer(t, b, "EVENTS_PROD", billingConfig())
	expect(t, "may rest", park(t, b), true)
	expect(t, "known to the server", known(t, b), true)
}

func TestADurableThatHasNotHeardOfItsNextEventMayNotRest(t *testing.T) {
	b := open(t, embedded(t.TempDir(), Process))
	config := billingConfig()
	config.MemoryStorage, config.OptStartSeq = true, 1
	makeConsumer(t, b, "EVENTS_PROD", config)
	for i := range 200 { // the more there are, the later the last one hears
		makeConsumer(t, b, "EVENTS_PROD", jetstream.ConsumerConfig{
			Durable: fmt.Sprint("other", i), AckPolicy: jetstream.AckExplicitPolicy, MemoryStorage: true, FilterSubject: "events.prod.other.>",
		})
	}
	for range 2000 {
		if _, err := b.publisher.PublishAsync("events.prod.other.a", nil); err != nil {
			t.Fatal(err)
		}
	}
	publish(t, b, numbered(1))
	expect(t, "may rest", park(t, b), false)
	unpark(t, b)
	expect(t, "events", fetch(t, b, "EVENTS_PROD", billing, 1), []uint64{2001})
}

// What the server hands out to somebody who is gone by then is to come again before
// its time.
func TestWhatWasHandedOutToNobodyComesAtOnceAfterAParking(t *testing.T) {
	_, b, _ := remembered(t)
	settle(t, b, 2, 9)
	expect(t, "parked with nothing to do", park(t, b), false)
	expect(t, "left to do", left(t, b), []uint64{5, 8, 10})
	expect(t, "parked while events wait", park(t, b), false)
	expect(t, "known to the server", known(t, b), true)
	expect(t, "handed out", fetch(t, b, "EVENTS_PROD", billing, 6), []uint64{5, 6, 7, 8, 9, 10})
}

func TestADurableWithAFileForWhichEventsWaitMayNotRest(t *testing.T) {
	b := (&lives{t: t, dir: t.TempDir()}).open()
	for n := range 4 {
		publish(t, b, numbered(n))
	}
	makeConsumer(t, b, "EVENTS_PROD", billingConfig())
	fetch(t, b, "EVENTS_PROD", billing, 1)
	expect(t, "may rest with an event in work", park(t, b), false)
}

// guarded is a lock that is looked at before it is given back.
type guarded struct {
	sync.Locker
	before func()
}

func (g guarded) Unlock() {
	g.before()
	g.Locker.Unlock()
}

// TestNoConsumerIsParkedWhileTheTrimmerListsThem is about the pages of that
// list: parking one shifts those behind it, and one of them could be in no page.
func TestNoConsumerIsParkedWhileTheTrimmerListsThem(t *testing.T) {
	b, trimmer, _ := small(t)
	config := billingConfig()
	config.MemoryStorage, config.FilterSubjects = true, []string{"events.prod.clink.>"}
	makeConsumer(t, b, "EVENTS_PROD", config)
	parked := make(chan error, 1)
	listed := false
	trimmer.still = guarded{trimmer.still, func() {
		listed = true
		go func() {
			_, err := b.Park(context.Background(), "EVENTS_PROD", billing)
			parked <- err
		}()
		if _, err := b.JetStream().Consumer(t.Context(), "EVENTS_PROD", billing); err != nil {
			t.Errorf("at the end of the listing its consumer is gone: %v", err)
		}
		if b.cursors.mu.TryLock() {
			b.cursors.mu.Unlock()
			t.Error("one may be parked during the listing")
		}
	}}
	fill(t, b, 0, trimAbove)
	trimmer.must(t)
	if !listed {
		t.Fatal("the consumers were not listed")
	}
	if err := <-parked; err != nil {
		t.Fatal(err)
	}
	if len(parkedOf(t, b)) != 1 {
		t.Error("afterwards it is not parked")
	}
}

func TestOfAConsumerThatIsRemovedNothingIsRemembered(t *testing.T) {
	l, b, _ := remembered(t)
	for range 2 { // the second time there is nothing to do
		if err := b.RemoveConsumer(t.Context(), "EVENTS_PROD", billing); err != nil {
			t.Fatal(err)
		}
	}
	expect(t, "known to the server", known(t, b), false)
	if _, kept := b.cursors.progress[[2]string{"EVENTS_PROD", billing}]; kept {
		t.Error("its progress is remembered")
	}
	if err := b.Sync(); err != nil {
		t.Fatal(err)
	}
	l.end(l.now(b), false)
	expect(t, "parked after a restart", len(parkedOf(t, l.open())), 0)
}
