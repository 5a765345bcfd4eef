package deliver

import (
	"context"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"
)

// rateBurst is the time whose attempts may be made at once, so that the
// coarseness of timers does not slow a high rate down.
const rateBurst = 50 * time.Millisecond

// pace limits how many attempts begin in a second. It can be changed at any time.
type pace struct {
	limited atomic.Bool

	mu      sync.Mutex
	limiter *rate.Limiter // nil where the rate is unlimited
	limit   float64
	changed chan struct{} // closed when limiter is another one
}

func newPace(perSecond float64) *pace {
	p := &pace{changed: make(chan struct{})}
	p.set(perSecond)
	return p
}

// set changes the limit, where 0 is none. Who waits by the old one waits by the
// new one from then on.
func (p *pace) set(perSecond float64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if perSecond == p.limit {
		return
	}
	p.limit, p.limiter = perSecond, nil
	if perSecond > 0 {
		p.limiter = rate.NewLimiter(rate.Limit(perSecond), max(1, int(math.Ceil(perSecond*rateBurst.Seconds()))))
	}
	p.limited.Store(p.limiter != nil)
	close(p.changed)
	p.changed = make(chan struct{})
}

// wait returns true when an attempt may begin, and false when ctx has ended first.
func (p *pace) wait(ctx context.Context) bool {
	for p.limited.Load() {
		p.mu.Lock()
		limiter, changed := p.limiter, p.changed
		p.mu.Unlock()
		if limiter == nil {
			continue
		}
		turn := limiter.Reserve()
		delay := turn.Delay()
		if delay == 0 {
			return true
		}
		timer := time.NewTimer(delay)
		select {
		case <-timer.C:
			return true
		case <-changed:
			timer.Stop()
		case <-ctx.Done():
			timer.Stop()
			turn.Cancel()
			return false
		}
	}
	return true
}
