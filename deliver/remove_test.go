package deliver

import (
	"testing"
	"time"

	"github.com/jethook/jethook/internal/bus"
	"github.com/jethook/jethook/internal/event"
)

func TestWhatIsGoneMeanwhileIsNeitherCancelledNorAnError(t *testing.T) {
	b := newBench(t, always(200))
	e := sample()
	b.store(e)
	p := Pointer{Env: event.Test, Endpoint: "billing", Sequence: 1, EventID: e.ID, Attempts: 1, FirstAttempt: time.Now()}
	at, err := b.bus.Put(b.ctx, bus.Retry, p.At(time.Now().Add(time.Hour)))
	if err != nil {
		t.Fatal(err)
	}
	stream, err := b.bus.JetStream().Stream(b.ctx, bus.Retry)
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.DeleteMsg(b.ctx, at); err != nil {
		t.Fatal(err)
	}
	if done, err := p.cancel(b.ctx, b.bus, stream, at); done || err != nil {
		t.Errorf("a pointer that is gone is cancelled: %t, %v", done, err)
	}
	if dead, err := b.bus.Subjects(b.ctx, bus.Dead, DeadSubject(event.Test, "billing")); err != nil || len(dead) != 0 {
		t.Errorf("dead events %v, %v; want none", dead, err)
	}
	held := []lease{{Pointer: p, stored: at}}
	if late, err := end(b.ctx, stream, held); err != nil || len(late) != 1 {
		t.Errorf("a lease that is over: late %v, %v; want it and no error", late, err)
	}
}
