package deliver

import "sync"

// messageKey identifies a message among those of a worker's two sources.
type messageKey struct {
	due      bool
	sequence uint64 // in the stream of the source
}

// held are the messages that the worker has and has not settled, so that one
// which the server hands out again meanwhile is not attempted twice at once.
type held struct {
	mu       sync.Mutex
	messages map[messageKey]*delivery
}

// add reports whether the message was not held already.
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

func (h *held) each(do func(*delivery)) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, d := range h.messages {
		do(d)
	}
}
