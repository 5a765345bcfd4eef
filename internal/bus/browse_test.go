package bus

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/jethook/jethook/internal/event"
)

// fillEvents stores events of two sources: of each hundred, one is from rare.
func fillEvents(t *testing.T, b *Bus, count int) []event.ID {
	t.Helper()
	var ids []event.ID
	for n := range count {
		e := &event.Event{Env: event.Test, Source: "busy", Type: "order.paid", Time: time.Now(), Data: fmt.Appendf(nil, "%d", n)}
		if n%100 == 7 {
			e.Source, e.Type = "rare", "refund.made"
		}
		e.ID = event.NewID(event.Test, e.Source, fmt.Sprint(n))
		publish(t, b, e)
		ids = append(ids, e.ID)
	}
	return ids
}

func idsOf(events []Stored) []event.ID {
	var ids []event.ID
	for _, e := range events {
		ids = append(ids, e.ID)
	}
	return ids
}

func TestEventsAreListedTheNewestFirst(t *testing.T) {
	b := open(t, embedded(t.TempDir(), Process))
	ids := fillEvents(t, b, 450)
	slices.Reverse(ids)
	for _, c := range []struct {
		name          string
		r             EventRange
		offset, limit int
		want          []event.ID
		more          bool
	}{
		{"the newest", EventRange{Pattern: event.AllEvents}, 0, 3, ids[:3], true},
		{"after some", EventRange{Pattern: event.AllEvents}, 440, 20, ids[440:], false},
		{"exactly all", EventRange{Pattern: event.AllEvents}, 0, 450, ids, false},
		{"all but one", EventRange{Pattern: event.AllEvents}, 0, 449, ids[:449], true},
		{"past the end", EventRange{Pattern: event.AllEvents}, 500, 20, nil, false},
		{"few of many", EventRange{Pattern: "rare.>"}, 1, 2, []event.ID{ids[449-307], ids[449-207]}, true},
		{"the last of few", EventRange{Pattern: "*.refund.*"}, 4, 2, []event.ID{ids[449-7]}, false},
		{"of nobody", EventRange{Pattern: "nobody.>"}, 0, 20, nil, false},
	} {
		c.r.Env = event.Test
		got, more, err := b.Events(t.Context(), c.r, c.offset, c.limit)
		if err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		if !slices.Equal(idsOf(got), c.want) || more != c.more {
			t.Errorf("%s: got %d events %v and more %v, want %d and %v", c.name, len(got), idsOf(got), more, len(c.want), c.more)
		}
	}
	t.Run("the other environment's are not", func(t *testing.T) {
		got, _, err := b.Events(t.Context(), EventRange{Env: event.Prod, Pattern: event.AllEvents}, 0, 20)
		if err != nil || len(got) != 0 {
			t.Errorf("got %d events, %v, want none", len(got), err)
		}
	})
	t.Run("without bodies, but with their sizes", func(t *testing.T) {
		got, _, err := b.Events(t.Context(), EventRange{Env: event.Test, Pattern: event.AllEvents}, 0, 1)
		if err != nil || len(got) != 1 {
			t.Fatalf("got %d events, %v", len(got), err)
		}
		if got[0].Data != nil || got[0].Size != len("449") {
			t.Errorf("got a body %q of size %d, want none and 3", got[0].Data, got[0].Size)
		}
	})
	noConsumers(t, b, event.Test)
}

// noConsumers fails where a look at the stream has left something.
func noConsumers(t *testing.T, b *Bus, env event.Env) {
	t.Helper()
	eventually(t, "no consumer is left", func() bool {
		stream, err := b.JetStream().Stream(t.Context(), StreamName(env))
		if err != nil {
			t.Fatal(err)
		}
		return stream.CachedInfo().State.Consumers == 0
	})
}

func TestARangeIsBoundByTheTimeOfStoring(t *testing.T) {
	b := open(t, embedded(t.TempDir(), Process))
	early := fillEvents(t, b, 30)
	stream, err := b.JetStream().Stream(t.Context(), StreamName(event.Test))
	if err != nil {
		t.Fatal(err)
	}
	at := func(sequence uint64) time.Time {
		m, err := stream.GetMsg(t.Context(), sequence)
		if err != nil {
			t.Fatal(err)
		}
		return m.Time
	}
	r := EventRange{Env: event.Test, Pattern: event.AllEvents, Since: at(11), Until: at(16)}
	got, more, err := b.Events(t.Context(), r, 0, 100)
	want := slices.Clone(early[10:15])
	slices.Reverse(want)
	if err != nil || more || !slices.Equal(idsOf(got), want) {
		t.Errorf("got %v, more %v, %v, want %v", idsOf(got), more, err, want)
	}
	var seen []uint64
	if err := b.Each(t.Context(), Range{Stream: StreamName(event.Test), Since: at(11), Until: at(16), After: 12}, func(m Message) bool {
		seen = append(seen, m.Sequence)
		return len(seen) < 2
	}); err != nil || !slices.Equal(seen, []uint64{13, 14}) {
		t.Errorf("visited %v, %v, want 13 and 14", seen, err)
	}
	for through, want := range map[uint64]uint64{11: 0, 12: 0, 13: 1, 14: 2, 99: 3} {
		got, err := b.Count(t.Context(), Range{Stream: StreamName(event.Test), Since: at(11), Until: at(16), After: 12}, through)
		if err != nil || got != want {
			t.Errorf("counted %d up to %d, %v, want %d", got, through, err, want)
		}
	}
	r.Since, r.Until = time.Now().Add(time.Hour), time.Time{}
	if got, _, err := b.Events(t.Context(), r, 0, 100); err != nil || len(got) != 0 {
		t.Errorf("of the future: got %d events, %v, want none", len(got), err)
	}
}

func TestALookThatMissesAMessageSaysSo(t *testing.T) {
	t.Parallel() // it waits for what does not come
	b := open(t, embedded(t.TempDir(), Process))
	fillEvents(t, b, 6)
	stream, err := b.JetStream().Stream(t.Context(), StreamName(event.Test))
	if err != nil {
		t.Fatal(err)
	}
	for name, missed := range map[string]int{"one in between": 1, "all that follow": 4} {
		var seen []uint64
		err := b.Each(t.Context(), Range{Stream: StreamName(event.Test), Batch: 2}, func(m Message) bool {
			if seen = append(seen, m.Sequence); len(seen) != 2 {
				return true
			}
			for look := range stream.ConsumerNames(t.Context()).Name() { // the only one
				consumer, err := stream.Consumer(t.Context(), look)
				if err != nil {
					t.Fatal(err)
				}
				for range missed { // handed out, and not to the look
					if _, err := consumer.Next(); err != nil {
						t.Fatal(err)
					}
				}
			}
			return true
		})
		if !errors.Is(err, event.ErrUnavailable) || !slices.Equal(seen, []uint64{1, 2}) {
			t.Errorf("%s: visited %v, %v, want 1 and 2 and an error", name, seen, err)
		}
	}
}

func TestALookEndsWhereTheRestIsRemoved(t *testing.T) {
	t.Parallel() // it waits for what does not come
	b := open(t, embedded(t.TempDir(), Process))
	fillEvents(t, b, 6)
	stream, err := b.JetStream().Stream(t.Context(), StreamName(event.Test))
	if err != nil {
		t.Fatal(err)
	}
	var seen []uint64
	if err := b.Each(t.Context(), Range{Stream: StreamName(event.Test), Batch: 2}, func(m Message) bool {
		if seen = append(seen, m.Sequence); len(seen) == 2 {
			if err := stream.Purge(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		return true
	}); err != nil || !slices.Equal(seen, []uint64{1, 2}) {
		t.Errorf("visited %v, %v, want 1 and 2", seen, err)
	}
}

func TestAnEventIsFoundByItsIDInItsEnvironmentAlone(t *testing.T) {
	b := open(t, embedded(t.TempDir(), Process))
	ids := fillEvents(t, b, 3)
	found, err := b.Find(t.Context(), event.Test, ids[1])
	if err != nil || found.Sequence != 2 || string(found.Data) != "1" || found.Size != 1 {
		t.Errorf("found %+v, %v, want the event at 2", found, err)
	}
	if _, err := b.Find(t.Context(), event.Prod, ids[1]); !errors.Is(err, ErrNotFound) {
		t.Errorf("in the other environment: %v, want ErrNotFound", err)
	}
	if _, err := b.Event(t.Context(), event.Test, 4); !errors.Is(err, ErrNotFound) {
		t.Errorf("past the end: %v, want ErrNotFound", err)
	}
}

func TestAKeyIsGeneratedOnce(t *testing.T) {
	b := open(t, embedded(t.TempDir(), Power))
	if _, err := b.Key(t.Context(), event.Prod); !errors.Is(err, ErrNotFound) {
		t.Errorf("before: %v, want ErrNotFound", err)
	}
	for _, want := range []bool{true, false} {
		if created, err := b.CreateKey(t.Context(), event.Prod, fmt.Sprint(want)); err != nil || created != want {
			t.Errorf("created %v, %v, want %v", created, err, want)
		}
	}
	if hash, err := b.Key(t.Context(), event.Prod); err != nil || hash != "true" {
		t.Errorf("key %q, %v, want that of the first", hash, err)
	}
}
