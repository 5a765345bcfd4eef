package bus

import (
	"cmp"
	"slices"
	"sort"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// maxSpans bounds what is remembered of one consumer above its floor. What
// does not fit is repeated after a restart.
const maxSpans = 4096

// Progress is which events of a durable are settled although an earlier one is
// not: what the ack floor alone does not say. The consumers of endpoints are in
// the embedded server's memory, so the checkpoint keeps this for them. Its
// methods may be called on nil, which keeps nothing.
type Progress struct {
	mu      sync.Mutex
	created time.Time // of the consumer
	floor   uint64
	spans   []span      // by their place, of events handed out once
	again   []uint64    // those that were handed out again, in no order
	earlier [][2]uint64 // before the restart, from and to, in order
	chain   Chain
	moved   uint64 // the newest event when the consumer was last moved back
}

// Chain returns the chain of the durable's events, which is kept over restarts; a
// new one that is not, where nothing is kept.
func (p *Progress) Chain() *Chain {
	if p == nil {
		return new(Chain)
	}
	return &p.chain
}

// span is a row of events, all settled: the server numbers what it hands out,
// so between two that were handed out one after the other there is none.
type span struct{ first, last place }

// place is an event's number in what the consumer has handed out, and in the
// stream.
type place struct{ consumer, stream uint64 }

// Settle notes that a message is settled, whether or not its acknowledgement
// has arrived.
func (p *Progress) Settle(at *jetstream.MsgMetadata) {
	if p == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.spans)+len(p.again) >= maxSpans || at.Sequence.Stream <= p.floor {
		return
	}
	if at.NumDelivered > 1 || at.Sequence.Stream <= p.moved { // its number says nothing of its neighbours
		p.again = append(p.again, at.Sequence.Stream)
		return
	}
	p.insert(place{at.Sequence.Consumer, at.Sequence.Stream})
}

func (p *Progress) insert(at place) {
	i := sort.Search(len(p.spans), func(i int) bool { return p.spans[i].first.consumer > at.consumer })
	before := i > 0 && follows(p.spans[i-1].last, at)
	after := i < len(p.spans) && follows(at, p.spans[i].first)
	switch {
	case i > 0 && at.consumer <= p.spans[i-1].last.consumer: // known
	case before && after:
		p.spans[i-1].last = p.spans[i].last
		p.spans = slices.Delete(p.spans, i, i+1)
	case before:
		p.spans[i-1].last = at
	case after:
		p.spans[i].first = at
	default:
		p.spans = slices.Insert(p.spans, i, span{at, at})
	}
}

// follows reports whether b was handed out right after a. One whose sequence is
// not higher was handed out after somebody had moved the consumer back.
func follows(a, b place) bool { return b.consumer == a.consumer+1 && b.stream > a.stream }

// Settled reports whether an event was settled before the last restart, so that
// it needs to be acknowledged only.
func (p *Progress) Settled(sequence uint64) bool {
	if p == nil {
		return false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	i := sort.Search(len(p.earlier), func(i int) bool { return p.earlier[i][1] >= sequence })
	return i < len(p.earlier) && p.earlier[i][0] <= sequence
}

// restore begins anew with the events between from and to, in order, as settled,
// and with the last one that was selected up to the floor, nil where that is not
// known.
func (p *Progress) restore(settled [][2]uint64, last *uint64) {
	p.chain.restart(last)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.created, p.floor = time.Time{}, 0
	p.spans, p.again, p.earlier = nil, nil, slices.Clone(settled)
}

// rewind forgets what is settled, for it is handed out again. Of what may have been
// handed out before that, up to last, the numbers are of another row.
func (p *Progress) rewind(last uint64) {
	p.restore(nil, nil)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.moved = last
}

// above returns what is settled above the floor of the consumer that was
// created then, and forgets what is not. A consumer that is another, or that
// somebody has moved back, has settled nothing.
func (p *Progress) above(created time.Time, floor uint64) [][2]uint64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.created.IsZero() && !p.created.Equal(created) || floor < p.floor {
		p.spans, p.again, p.earlier = nil, nil, nil
		p.chain.restart(nil)
	}
	p.created, p.floor = created, floor
	p.spans = slices.DeleteFunc(p.spans, func(s span) bool { return s.last.stream <= floor })
	p.again = slices.DeleteFunc(p.again, func(sequence uint64) bool { return sequence <= floor })
	p.earlier = slices.DeleteFunc(p.earlier, func(s [2]uint64) bool { return s[1] <= floor })
	all := slices.Clone(p.earlier)
	for _, s := range p.spans {
		all = append(all, [2]uint64{s.first.stream, s.last.stream})
	}
	for _, sequence := range p.again {
		all = append(all, [2]uint64{sequence, sequence})
	}
	return joined(all)
}

// upTo returns what of the ranges is not past the end of a stream.
func upTo(last uint64, all [][2]uint64) [][2]uint64 {
	var kept [][2]uint64
	for _, s := range all {
		if s[0] <= min(s[1], last) {
			kept = append(kept, [2]uint64{s[0], min(s[1], last)})
		}
	}
	return joined(kept)
}

// joined puts ranges in order and makes one of those that overlap or touch.
func joined(all [][2]uint64) [][2]uint64 {
	slices.SortFunc(all, func(a, b [2]uint64) int { return cmp.Compare(a[0], b[0]) })
	var joint [][2]uint64
	for _, next := range all {
		if n := len(joint) - 1; n >= 0 && next[0] <= joint[n][1]+1 {
			joint[n][1] = max(joint[n][1], next[1])
		} else {
			joint = append(joint, next)
		}
	}
	return joint
}

// Progress returns the progress of a durable, which is kept over restarts. On a
// cluster, which keeps its consumers itself, it is nil.
func (b *Bus) Progress(stream, consumer string) *Progress {
	if b.cursors == nil {
		return nil
	}
	return b.cursors.progressOf(stream, consumer)
}

func (c *cursors) progressOf(stream, consumer string) *Progress {
	c.progressing.Lock()
	defer c.progressing.Unlock()
	key := [2]string{stream, consumer}
	if c.progress[key] == nil {
		c.progress[key] = &Progress{chain: Chain{keeps: true}}
	}
	return c.progress[key]
}

// forget drops the progress of a durable that was deleted.
func (c *cursors) forget(stream, consumer string) {
	c.progressing.Lock()
	defer c.progressing.Unlock()
	delete(c.progress, [2]string{stream, consumer})
}

// KeepsConsumers reports whether the bus itself keeps the places of durables on
// the event streams, so that their consumers can be in the server's memory.
func (b *Bus) KeepsConsumers() bool { return b.cursors != nil }
