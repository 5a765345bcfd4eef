package main

import (
	"fmt"
	"sync"
	"time"
)

// endpoint is a place that events are delivered to.
type endpoint int

const (
	// billing is there from the start and gets every event.
	billing endpoint = iota
	// audit comes at the end and begins with the stream's first event, so that
	// it gets what the stream has.
	audit
	endpoints
)

// ledger knows of each event what its sender was told and what the receiver
// got. An event is known by the id that its sender gave it.
type ledger struct {
	mu         sync.Mutex
	events     map[string]*account
	duplicates int
	faults     []string
	moved      time.Time // when the last event was acknowledged or delivered
	// The pauses since the last break.
	acknowledging, delivering pauses
}

// account is what became of one event.
type account struct {
	acknowledged bool
	forgotten    bool // acknowledged, and not recognised when it came again
	attempts     int  // that billing has seen
	delivered    [endpoints]bool
}

// maxFaults that are kept; one is enough to fail.
const maxFaults = 20

func newLedger() *ledger {
	return &ledger{events: map[string]*account{}, moved: time.Now()}
}

// of needs the lock.
func (l *ledger) of(id string) *account {
	if l.events[id] == nil {
		l.events[id] = &account{}
	}
	return l.events[id]
}

// acknowledge notes an answer of 2xx. What was acknowledged before must be
// answered as a duplicate: else it was not stored any more, and the answer has
// stored it again, which would hide the loss.
func (l *ledger) acknowledge(id string, duplicate bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	a := l.of(id)
	if a.acknowledged && !duplicate {
		a.forgotten = true
	}
	a.acknowledged = true
	l.moved = time.Now()
	l.acknowledging.end(l.moved)
}

// attempt notes that billing got an event and returns how often it now has.
func (l *ledger) attempt(id string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	a := l.of(id)
	a.attempts++
	return a.attempts
}

// deliver notes that an endpoint took an event.
func (l *ledger) deliver(to endpoint, id string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	a := l.of(id)
	if a.delivered[to] && to == billing {
		l.duplicates++
	}
	a.delivered[to] = true
	l.moved = time.Now()
	if to == billing {
		l.delivering.end(l.moved)
	}
}

// fault notes what must not happen, whatever becomes of the events.
func (l *ledger) fault(format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.faults) < maxFaults {
		l.faults = append(l.faults, fmt.Sprintf(format, args...))
	}
}

// breaks begins to measure pauses.
func (l *ledger) breaks() {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	l.acknowledging, l.delivering = pauses{last: now}, pauses{last: now}
}

// resumed returns the longest times without a 2xx and without a delivery since
// the last break.
func (l *ledger) resumed() (acknowledging, delivering time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	return l.acknowledging.until(now), l.delivering.until(now)
}

// count is the sums of a ledger.
type count struct {
	acknowledged int
	delivered    int // to billing, of what was acknowledged
	missing      int // of what was acknowledged, by one endpoint or both
	duplicates   int // deliveries to billing of what it had taken
	quiet        time.Duration
}

func (l *ledger) count() count {
	l.mu.Lock()
	defer l.mu.Unlock()
	c := count{duplicates: l.duplicates, quiet: time.Since(l.moved)}
	for _, a := range l.events {
		if !a.acknowledged {
			continue
		}
		c.acknowledged++
		if a.delivered[billing] {
			c.delivered++
		}
		if a.delivered != [endpoints]bool{true, true} {
			c.missing++
		}
	}
	return c
}

// loss is an event that was acknowledged and is not where it should be.
type loss struct{ id, how string }

// lost returns what was lost, once both endpoints got all they will get.
func (l *ledger) lost() []loss {
	l.mu.Lock()
	defer l.mu.Unlock()
	var all []loss
	for id, a := range l.events {
		if how := a.lost(); how != "" {
			all = append(all, loss{id, how})
		}
	}
	return all
}

// lost says how an event was lost; empty means it was not.
func (a *account) lost() string {
	switch {
	case !a.acknowledged:
		return ""
	case a.forgotten:
		return "stored anew when it came again after its acknowledgement"
	case a.delivered[billing] && a.delivered[audit]:
		return ""
	case a.delivered[billing]:
		return "delivered, but the stream has it no more"
	case a.delivered[audit]:
		return "in the stream, but never delivered"
	}
	return "neither delivered nor in the stream"
}

// pauses finds the longest time between one event and the next.
type pauses struct {
	last    time.Time
	longest time.Duration
}

func (p *pauses) end(now time.Time) {
	p.longest, p.last = p.until(now), now
}

// until counts the pause that has not ended.
func (p *pauses) until(now time.Time) time.Duration {
	if p.last.IsZero() {
		return 0 // nothing is measured
	}
	return max(p.longest, now.Sub(p.last))
}
