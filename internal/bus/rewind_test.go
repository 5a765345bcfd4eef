package bus

import (
	"errors"
	"testing"
)

func placeOf(t *testing.T, b *Bus) Place {
	t.Helper()
	place, err := b.Place(t.Context(), "EVENTS_PROD", billing)
	if err != nil {
		t.Fatal(err)
	}
	return place
}

func rewind(t *testing.T, b *Bus, to uint64) {
	t.Helper()
	if err := b.Rewind(t.Context(), "EVENTS_PROD", billing, to); err != nil {
		t.Fatal(err)
	}
}

func TestADurableIsRewoundAlsoToBeforeItsBeginningAndStaysSo(t *testing.T) {
	for name, restart := range map[string]func(*lives, *Bus) *Bus{
		"goes on":     func(_ *lives, b *Bus) *Bus { return b },
		"is killed":   func(l *lives, _ *Bus) *Bus { l.end(l.kept(), false); return l.open() },
		"is cut off":  func(l *lives, _ *Bus) *Bus { l.end(l.kept(), true); return l.open() },
		"is stopped ": func(l *lives, _ *Bus) *Bus { l.close(); return l.open() },
	} {
		t.Run(name, func(t *testing.T) {
			l, b, _ := worked(t) // begins with 3, has settled up to 7
			for _, to := range []uint64{5, 2} {
				expect(t, "floor", placeOf(t, b).Floor >= to, true)
				rewind(t, b, to)
				b = restart(l, b)
				expect(t, "floor afterwards", placeOf(t, b).Floor, to-1)
				expect(t, "events", fetch(t, b, "EVENTS_PROD", billing, 3, to, to+1, to+2), []uint64{to, to + 1, to + 2})
			}
		})
	}
}

func TestADurableThatIsParkedIsRewound(t *testing.T) {
	l, b, _ := remembered(t)
	settle(t, b, 2, 9, 10)
	l.end(l.now(b), false)
	b = l.open()
	unpark(t, b)
	settle(t, b, 6, 5, 6, 7, 8, 9, 10)
	expect(t, "parked", park(t, b), true)
	expect(t, "place", placeOf(t, b).Last, uint64(10))
	for _, to := range []uint64{0, 12} {
		if err := b.Rewind(t.Context(), "EVENTS_PROD", billing, to); !errors.Is(err, ErrAhead) {
			t.Errorf("rewinding to %d says %v, want %v", to, err, ErrAhead)
		}
	}
	rewind(t, b, 9)
	expect(t, "still parked", len(parkedOf(t, b)), 0)
	l.end(l.kept(), false)
	b = l.open()
	unpark(t, b)
	expect(t, "events", fetch(t, b, "EVENTS_PROD", billing, 2, 9, 10), []uint64{9, 10})
}

func TestADurableIsNotRewoundForwards(t *testing.T) {
	_, b, _ := worked(t)
	for name, want := range map[string]error{billing: ErrAhead, "nobody": ErrNotFound} {
		if err := b.Rewind(t.Context(), "EVENTS_PROD", name, 9); !errors.Is(err, want) {
			t.Errorf("rewinding %s says %v, want %v", name, err, want)
		}
	}
	expect(t, "floor", placeOf(t, b).Floor, uint64(7))
}

func TestWhatWasSettledBeforeARewindIsHandedOutAgainAfterAKill(t *testing.T) {
	l, b, _ := remembered(t) // was handed out 3 to 8, as the first to the sixth
	rewind(t, b, 2)
	b.Progress("EVENTS_PROD", billing).Settle(handedOut(6, 8, 1)) // it was under way
	// The fifth from now on is the event 6, and 7 comes between.
	b.Progress("EVENTS_PROD", billing).Settle(handedOut(5, 6, 1))
	l.end(l.now(b), false)
	b = l.open()
	expect(t, "events", left(t, b), []uint64{2, 3, 4, 5, 7, 9, 10})
}
