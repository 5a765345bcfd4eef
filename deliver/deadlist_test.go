package deliver

import (
	"errors"
	"fmt"
	"testing"

	"github.com/jethook/jethook/internal/event"
)

func TestABatchOfDeadEventsThatFailsHalfWayIsGoneOnWithFromWhereItBegan(t *testing.T) {
	b := newBench(t, nil)
	r := DeadRange{Env: event.Test, Endpoint: "billing"}
	for n := range 200 {
		if err := Bury(b.ctx, b.bus, Dead{Env: event.Test, Endpoint: "billing", EventID: event.ID(fmt.Sprint(n)), Sequence: uint64(n + 1)}, fmt.Sprint(n)); err != nil {
			t.Fatal(err)
		}
	}
	refused := errors.New("the bus has refused it")
	failing := func(d DeadEvent) (bool, error) {
		if d.Number == 100 {
			return false, refused
		}
		return drop(b.ctx, b.bus, d)
	}
	first, err := allDead(b.ctx, b.bus, r, 7, failing)
	if err != nil || first.Done < 92 || !first.More || first.Next != 7 {
		t.Fatalf("%+v, %v, want what was done, and to go on after 7", first, err)
	}
	left, _, err := DeadEvents(b.ctx, b.bus, r, 0, 200)
	if err != nil || len(left) != 200-first.Done {
		t.Errorf("%d are left, %v, want %d", len(left), err, 200-first.Done)
	}
	if got, err := allDead(b.ctx, b.bus, r, 0, func(DeadEvent) (bool, error) { return false, refused }); !errors.Is(err, refused) || got != (Batch{}) {
		t.Errorf("where nothing can be done: %+v, %v, want the error", got, err)
	}
	if got, err := DropAllDead(b.ctx, b.bus, r, 0); err != nil || got != (Batch{Done: len(left)}) {
		t.Errorf("the rest: %+v, %v, want %d", got, err, len(left))
	}
}
