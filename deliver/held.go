package deliver

import (
	"maps"
	"slices"
	"sync"

	"github.com/jethook/jethook/internal/bus"
)

// messageKey identifies a message among those of a worker's two sources.
type messageKey struct {
	due      bool
	sequence uint64 // in the stream of the source
}

// held are the messages that the worker has and has not settled, so that one
// which the server hands out again meanwhile is not attempted twice at once.
type held struct {
	progress *bus.Progress // of the durable consumer; nil where the bus keeps none

	mu       sync.Mutex
	messages map[messageKey]*delivery
	last     map[bool]string // reply subject of the last of each source that was acknowledged, by due
	tried    map[uint64]int  // attempts made at what is to be handed out again by a replay that goes alone
}

// tries is how many attempts were made at a delivery, where nothing else says so.
func (h *held) tries(d *delivery) int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.tried[d.key.sequence]
}

// try notes the attempts that were made at a delivery which comes again.
func (h *held) try(d *delivery, attempts int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.tried == nil {
		h.tried = make(map[uint64]int)
	}
	h.tried[d.key.sequence] = attempts
}

// add reports whether the message is not held already.
func (h *held) add(d *delivery) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if _, known := h.messages[d.key]; known {
		return false
	}
	h.messages[d.key] = d
	return true
}

func (h *held) remove(d *delivery) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.messages, d.key)
}

// ack acknowledges a message again. At worst that is repeated after a restart.
func (h *held) ack(d *delivery) {
	if err := d.msg.Ack(); err == nil {
		h.settled(d)
	}
}

// settled removes a message that was acknowledged.
func (h *held) settled(d *delivery) {
	if h.progress != nil && !d.key.due {
		h.progress.Settle(&d.place)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.messages, d.key)
	delete(h.tried, d.key.sequence)
	h.last[d.key.due] = d.msg.Reply
}

// lastSettled returns the reply subject of the last message of each source that
// was acknowledged. The message itself is not kept: it may be large.
func (h *held) lastSettled() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Collect(maps.Values(h.last))
}

func (h *held) each(do func(*delivery)) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, d := range h.messages {
		do(d)
	}
}
