package receive

import (
	"context"
	"errors"
	"strconv"
	"testing"
	"testing/synctest"
)

func TestOnceHandlesAnEventUntilItIsHandled(t *testing.T) {
	calls := 0
	outcome := errors.New("not yet")
	handle := Once(10, func(context.Context, Event) error { calls++; return outcome })
	if err := handle(t.Context(), Event{ID: "a"}); !errors.Is(err, outcome) {
		t.Errorf("error %v, want that of the function", err)
	}
	outcome = nil
	for range 3 {
		if err := handle(t.Context(), Event{ID: "a"}); err != nil {
			t.Error(err)
		}
	}
	if calls != 2 {
		t.Errorf("called %d times, want once more after the failure", calls)
	}
}

func TestOnceRemembersTheLastIDsAndNoMore(t *testing.T) {
	calls := map[string]int{}
	handle := Once(2, func(_ context.Context, e Event) error { calls[e.ID]++; return nil })
	for _, id := range []string{"a", "b", "b", "c", "b", "a", "c"} { // c drives a out, then a drives b out
		if err := handle(t.Context(), Event{ID: id}); err != nil {
			t.Error(err)
		}
	}
	if calls["a"] != 2 || calls["b"] != 1 || calls["c"] != 1 {
		t.Errorf("calls %v, want a twice", calls)
	}
	s := &seen{limit: 3, ids: map[string]bool{}, running: map[string]chan struct{}{}}
	for i := range 1000 {
		id := strconv.Itoa(i)
		if handled, err := s.begin(t.Context(), id); handled || err != nil {
			t.Fatal(handled, err)
		}
		s.end(id, true)
	}
	if len(s.ids) != 3 || len(s.order) != 3 || len(s.running) != 0 {
		t.Errorf("%d ids, %d places and %d running are kept, want 3, 3 and 0", len(s.ids), len(s.order), len(s.running))
	}
}

func TestOnceLetsADuplicateWaitForTheOutcome(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		calls, release, failed := 0, make(chan error), errors.New("failed")
		handle := Once(10, func(context.Context, Event) error { calls++; return <-release })
		first, second := make(chan error, 1), make(chan error, 1)
		go func() { first <- handle(t.Context(), Event{ID: "a"}) }()
		synctest.Wait()
		go func() { second <- handle(t.Context(), Event{ID: "a"}) }()
		synctest.Wait()
		if calls != 1 {
			t.Fatalf("%d calls at once", calls)
		}
		hangUp, cancel := context.WithCancelCause(t.Context())
		cancel(failed)
		if err := handle(hangUp, Event{ID: "a"}); !errors.Is(err, failed) {
			t.Errorf("one that is not waited for gets %v", err)
		}
		release <- failed // so the second has its turn
		release <- nil
		if err := <-first; !errors.Is(err, failed) {
			t.Errorf("the first gets %v", err)
		}
		if err := <-second; err != nil || calls != 2 {
			t.Errorf("the second gets %v after %d calls", err, calls)
		}
	})
}

func TestOnceForgetsWhatPanicked(t *testing.T) {
	panics := true
	handle := Once(10, func(context.Context, Event) error {
		if panics {
			panic("boom")
		}
		return nil
	})
	func() {
		defer func() { _ = recover() }()
		_ = handle(t.Context(), Event{ID: "a"})
	}()
	panics = false
	if err := handle(t.Context(), Event{ID: "a"}); err != nil {
		t.Error(err)
	}
}
