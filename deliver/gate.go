package deliver

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

// maxHold bounds for how long a Retry-After holds back the whole endpoint. The
// event that got it is tried again at the time it names.
const maxHold = time.Minute

// gate decides when attempts at an endpoint may begin, and how many. It stands
// between the sources and the endpoint: enter is asked before events are
// fetched, claim before one is given to a slot, begins right before its attempt.
// While nothing is wrong claim and begins read one variable.
type gate struct {
	window window
	shut   atomic.Bool   // the breaker is open, or the endpoint asked to be left alone
	round  atomic.Uint32 // counts the times the window was halved
	// failing is set while the endpoint's shared state says that it fails, so
	// that the next success is told to the other replicas.
	failing atomic.Bool

	mu      sync.Mutex
	breaker breaker
	held    time.Time                   // nothing begins before it
	asked   time.Time                   // when somebody asked for a probe last
	turns   map[bool]context.CancelFunc // end the reading of the sources, by due
	changed chan struct{}               // closed when those who wait in enter may look again
}

func newGate(limit int, failing bool, maxWait time.Duration) *gate {
	g := &gate{breaker: newBreaker(failing, maxWait), turns: make(map[bool]context.CancelFunc), changed: make(chan struct{})}
	start := startConcurrency
	if failing {
		start = 1
		g.shut.Store(true)
		g.failing.Store(true)
	}
	g.window.open(limit, start)
	return g
}

// enter waits until a source may be read: for a single event as a probe, or for
// any number. The context that it returns ends when that is over; ok is false
// when ctx has ended.
func (g *gate) enter(ctx context.Context, due bool) (turn context.Context, probe, ok bool) {
	for ctx.Err() == nil {
		g.mu.Lock()
		wait, changed := g.waitLocked(due, time.Now()), g.changed
		if wait <= 0 {
			defer g.mu.Unlock()
			g.endTurnLocked(due)
			turn, g.turns[due] = context.WithCancel(ctx)
			g.shut.Store(g.breaker.open)
			return turn, g.breaker.open, true
		}
		g.mu.Unlock()
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

// waitLocked is the time until a source may be read; for ever while a probe is
// under way, since its end changes everything.
func (g *gate) waitLocked(due bool, now time.Time) time.Duration {
	wait := g.held.Sub(now)
	switch {
	case g.breaker.open && g.breaker.probing:
		return time.Hour
	case g.breaker.open:
		wait = max(wait, g.breaker.readable(due).Sub(now))
	}
	return wait
}

// claim reports whether the attempt at a delivery may go to a slot. While the
// breaker is open it may once, as a probe, which ends the reading of the other
// source.
func (g *gate) claim(d *delivery) bool {
	if !g.shut.Load() {
		return true
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	now := time.Now()
	if now.Before(g.held) || g.breaker.open && (g.breaker.probing || now.Before(g.breaker.probeAt)) {
		return false
	}
	if g.breaker.open {
		g.breaker.probing, d.probe = true, true
		g.endTurnLocked(!d.key.due)
	}
	return true
}

// abandon takes back the claim of a delivery that got no slot.
func (g *gate) abandon(d *delivery) {
	if !d.probe {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.breaker.probing, d.probe = false, false
	g.wakeLocked()
}

// begins reports whether the attempt at a delivery may begin now, as it may not
// when things have changed on its way.
func (g *gate) begins(d *delivery) bool {
	d.round = g.round.Load()
	if d.probe || !g.shut.Load() {
		return true
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	return !g.breaker.open && !time.Now().Before(g.held)
}

// news is what the end of an attempt has changed.
type news struct {
	opened    bool // the breaker has opened
	closed    bool // it has closed
	failing   bool // it has opened, or a probe has failed
	recovered bool // the first success since the endpoint was failing

	reason string    // of opened and failing
	since  time.Time // of the first failure
	probe  time.Time // the next one
}

// ended notes what an attempt says about the endpoint. The reason is that of a
// failure; hold is the time before which the endpoint wants nothing.
func (g *gate) ended(d *delivery, says signal, reason string, hold time.Time) (n news) {
	now := time.Now()
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.window.ended { // the worker is stopping, perhaps because the endpoint is disabled for its failures
		return news{recovered: says == signalWell && g.failing.CompareAndSwap(true, false)}
	}
	if (says == signalBusy || says == signalDown) && d.round == g.round.Load() {
		g.round.Add(1) // those in flight meanwhile do not halve it again
		g.window.halve()
	}
	if says == signalBusy && now.Before(hold) {
		g.holdLocked(now, hold)
	}
	switch {
	case g.breaker.open && d.probe:
		return g.probedLocked(says, reason, now)
	case g.breaker.open: // it began before the breaker opened, and no longer counts
	case says == signalWell:
		g.breaker.succeeded(now)
		g.window.grow()
		n.recovered = g.failing.Load() && g.failing.CompareAndSwap(true, false)
	case says == signalDown || says == signalRefused:
		if why := g.breaker.failed(d.sequence, d.attempts == 0, now); why != "" {
			g.window.restart(1)
			g.failing.Store(true)
			g.stopLocked()
			return news{opened: true, failing: true, reason: why + ", the last with " + reason,
				since: g.breaker.row.since, probe: g.breaker.probeAt}
		}
	}
	return n
}

// probedLocked notes the end of a probe.
func (g *gate) probedLocked(says signal, reason string, now time.Time) (n news) {
	failed := says == signalDown || says == signalRefused
	g.breaker.probed(says == signalWell, failed, now)
	if !g.breaker.open {
		g.window.restart(startConcurrency)
		g.shut.Store(now.Before(g.held))
		n.closed, n.recovered = true, g.failing.CompareAndSwap(true, false)
	} else if failed {
		n = news{failing: true, reason: "a probe failed with " + reason, since: now, probe: g.breaker.probeAt}
		g.failing.Store(true)
	}
	g.wakeLocked()
	return n
}

func (g *gate) holdLocked(now, until time.Time) {
	if latest := now.Add(maxHold); until.After(latest) {
		until = latest
	}
	if until.After(g.held) {
		g.held = until
	}
	g.stopLocked()
}

// probe has the next probe begin now where the breaker is open. It is asked for at a
// time, so that to ask again for the same one changes nothing.
func (g *gate) probe(asked time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !asked.After(g.asked) {
		return
	}
	g.asked = asked
	if g.breaker.open {
		g.breaker.probeAt = time.Now()
		g.wakeLocked()
	}
}

// stopLocked ends the reading of both sources.
func (g *gate) stopLocked() {
	g.shut.Store(true)
	g.endTurnLocked(false)
	g.endTurnLocked(true)
}

func (g *gate) endTurnLocked(due bool) {
	if end := g.turns[due]; end != nil {
		end()
		delete(g.turns, due)
	}
}

func (g *gate) wakeLocked() {
	close(g.changed)
	g.changed = make(chan struct{})
}

// surrender reports whether a slot's goroutine has to end and leave the slot
// taken.
func (g *gate) surrender() bool {
	if g.window.debt.Load() == 0 {
		return false
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.window.giveUp()
}

// vacate frees the slot of a goroutine that ends by itself.
func (g *gate) vacate() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.window.giveUp() {
		<-g.window.slots
	}
}

// end tells the slots that nothing more comes.
func (g *gate) end() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.window.end()
}

// state is that of the breaker, for the gauge.
func (g *gate) state() Breaker {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.breaker.state(time.Now())
}
