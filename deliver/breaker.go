package deliver

import (
	"context"
	"sync"
	"time"
)

const (
	// breakerFailures in a row, of attempts at any events, show that the
	// endpoint is down and not that it dislikes an event.
	breakerFailures = 20
	// The first probe comes after breakerWait, each later one after twice the
	// wait of the one before, up to breakerMaxWait.
	breakerWait    = time.Second
	breakerMaxWait = 30 * time.Second
)

// breaker stops the reading while the endpoint is down, so that the events wait
// in their stream without using up attempts. Now and then one real event is
// tried; the first that the endpoint answers closes the breaker.
type breaker struct {
	mu       sync.Mutex
	failures int // in a row
	wait     time.Duration
	probeAt  time.Time     // zero while the breaker is closed
	changed  chan struct{} // closed when the breaker opens or closes
}

func newBreaker() *breaker { return &breaker{changed: make(chan struct{})} }

// report tells how an attempt has ended. It reports whether the breaker has
// opened or closed with it.
func (b *breaker) report(failed bool, now time.Time) (changed bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	open := !b.probeAt.IsZero()
	switch {
	case !failed:
		b.failures, b.probeAt = 0, time.Time{}
		changed = open
	case !open:
		b.failures++
		if changed = b.failures >= breakerFailures; changed {
			b.wait = breakerWait
			b.probeAt = now.Add(b.wait)
		}
	case !now.Before(b.probeAt): // earlier ones began before the breaker opened
		b.wait = min(2*b.wait, breakerMaxWait)
		b.probeAt = now.Add(b.wait)
	}
	if changed {
		close(b.changed)
		b.changed = make(chan struct{})
	}
	return changed
}

// enter waits until events may be taken: any number until changed is closed,
// or one as a probe. It returns false when ctx has ended.
func (b *breaker) enter(ctx context.Context) (changed <-chan struct{}, probe, ok bool) {
	for ctx.Err() == nil {
		b.mu.Lock()
		probeAt, changed := b.probeAt, b.changed
		b.mu.Unlock()
		if probeAt.IsZero() {
			return changed, false, true
		}
		wait := time.Until(probeAt)
		if wait <= 0 {
			return changed, true, true
		}
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-changed:
		case <-ctx.Done():
		}
		timer.Stop()
	}
	return nil, false, false
}
