package bus

import (
	"slices"
	"sync"

	"github.com/nats-io/nats.go/jetstream"
)

// maxReturned bounds how many links of messages that were handed back are
// remembered.
const maxReturned = 4096

// Chain knows which event was selected for an endpoint before another, as far as
// that can be known: the server numbers what a consumer hands out, so between two
// messages that came here one after the other there is none. Where one of them
// went to another replica, or before a restart, the chain begins anew; beside the
// embedded server a restart does not end it, for the checkpoint has the last event
// up to the floor. Its zero value is that of a consumer that has handed out
// nothing. It is safe for concurrent use.
type Chain struct {
	mu       sync.Mutex
	handed   uint64            // number of the last message that came
	head     uint64            // sequence of the last one that was new
	last     uint64            // of the last that was selected; 0 before the first
	broken   bool              // last is not known
	selected []uint64          // those above the floor, in order, for the checkpoint
	base     uint64            // the last that was selected up to the floor
	unbased  bool              // base is not known
	keeps    bool              // selected is kept
	returned map[uint64]uint64 // what preceded those that were handed back
}

// Link notes that a message came, and whether its event is selected. It returns
// the sequence of the event that was selected before it, 0 where it is the first,
// and whether that is known. Messages are to be noted as they come.
func (c *Chain) Link(at *jetstream.MsgMetadata, selected bool) (previous uint64, known bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	number, sequence := at.Sequence.Consumer, at.Sequence.Stream
	if number != c.handed+1 {
		c.breakOff()
	}
	c.handed = number
	if at.NumDelivered > 1 {
		previous, known = c.returned[sequence]
		delete(c.returned, sequence)
		return previous, known
	}
	if sequence <= c.head { // somebody has moved the consumer back
		c.breakOff()
	}
	c.head = sequence
	if !selected {
		return 0, false
	}
	if c.keeps {
		c.selected = append(c.selected, sequence)
	}
	previous, known = c.last, !c.broken
	c.last, c.broken = sequence, false
	return previous, known
}

// Return remembers what precedes an event whose message is handed back, for when
// it comes again.
func (c *Chain) Return(sequence, previous uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.returned == nil {
		c.returned = make(map[uint64]uint64)
	}
	if len(c.returned) < maxReturned {
		c.returned[sequence] = previous
	}
}

// breakOff forgets what is not certain any more where a message did not come here.
func (c *Chain) breakOff() {
	c.broken, c.unbased, c.selected = true, true, nil
}

// upTo returns the last event up to a floor that was selected, 0 for none, or nil
// where that is not known, and forgets those before it. number is that of the
// message at the floor: one that has not come here was somebody else's.
func (c *Chain) upTo(number, floor uint64) *uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	if number > c.handed {
		c.breakOff()
	}
	i, found := slices.BinarySearch(c.selected, floor)
	if found {
		i++
	}
	if i > 0 {
		c.base, c.unbased = c.selected[i-1], false
		c.selected = slices.Delete(c.selected, 0, i)
	}
	if c.unbased {
		return nil
	}
	base := c.base
	return &base
}

// restart is for a consumer that begins anew after a floor, up to which the event
// at last was the last one selected; nil where that is not known.
func (c *Chain) restart(last *uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.handed, c.head, c.last, c.base = 0, 0, 0, 0
	c.selected, c.returned = nil, nil
	c.broken, c.unbased = last == nil, last == nil
	if last != nil {
		c.last, c.base = *last, *last
	}
}
