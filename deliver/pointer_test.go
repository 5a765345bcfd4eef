package deliver

import (
	"testing"

	"github.com/jethook/jethook/internal/bus"
	"github.com/jethook/jethook/internal/event"
)

func TestTheBusReadsWhichEventIsDead(t *testing.T) {
	m, err := Dead{Env: event.Prod, Endpoint: "billing", Sequence: 1 << 60}.message("")
	if err != nil {
		t.Fatal(err)
	}
	if got, err := bus.DeadSequence(m.Data); err != nil || got != 1<<60 {
		t.Errorf("the bus reads %d, %v, want %d: it would remove the event", got, err, uint64(1<<60))
	}
}
