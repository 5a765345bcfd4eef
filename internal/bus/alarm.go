package bus

import (
	"sync"

	"github.com/nats-io/nats-server/v2/server/gsl"
)

// Alarm tells when something is stored under subjects that somebody waits for,
// at a lower price than that of a pull request at a consumer. It knows of what
// this process stores, which with the embedded bus is everything.
type Alarm struct {
	bell chan struct{}

	mu       sync.Mutex
	waiting  *gsl.GenericSublist[string]
	subjects map[string][]string // by name
	rung     map[string]struct{}
}

// NewAlarm returns an alarm that works as long as the bus is open, or nil on a
// cluster, where others store too. Its methods may be called on nil.
func (b *Bus) NewAlarm() *Alarm {
	if b.server == nil {
		return nil
	}
	a := &Alarm{
		bell:    make(chan struct{}, 1),
		waiting: gsl.NewSublist[string](), subjects: make(map[string][]string), rung: make(map[string]struct{}),
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.alarms = append(b.alarms, a)
	return a
}

// Set has the alarm ring for a name whenever something is stored under one of
// the subjects, which may hold wildcards, from now on until Clear.
func (a *Alarm) Set(name string, subjects []string) {
	if a == nil {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.clear(name)
	for _, subject := range subjects {
		_ = a.waiting.Insert(subject, name) // which refuses no subject that a consumer takes
	}
	a.subjects[name] = subjects
}

// Clear ends what Set began.
func (a *Alarm) Clear(name string) {
	if a == nil {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.clear(name)
}

func (a *Alarm) clear(name string) {
	for _, subject := range a.subjects[name] {
		_ = a.waiting.Remove(subject, name)
	}
	delete(a.subjects, name)
	delete(a.rung, name)
}

// Bell has something to receive when the alarm has rung.
func (a *Alarm) Bell() <-chan struct{} {
	if a == nil {
		return nil
	}
	return a.bell
}

// Rung returns for whom the alarm has rung since it was asked last.
func (a *Alarm) Rung() []string {
	if a == nil {
		return nil
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	names := make([]string, 0, len(a.rung))
	for name := range a.rung {
		names = append(names, name)
	}
	clear(a.rung)
	return names
}

// ring tells that something may have been stored under a subject.
func (a *Alarm) ring(subject string) {
	a.mu.Lock()
	a.waiting.Match(subject, func(name string) { a.rung[name] = struct{}{} })
	any := len(a.rung) > 0
	a.mu.Unlock()
	if !any {
		return
	}
	select {
	case a.bell <- struct{}{}:
	default:
	}
}

// Ring has the alarms ring as if something had been stored under a subject, for who
// has made something wait without that.
func (b *Bus) Ring(subject string) { b.ring(subject) }

// ring has the alarms ring, also after a publish whose outcome is not known.
func (b *Bus) ring(subject string) {
	b.mu.Lock()
	alarms := b.alarms
	b.mu.Unlock()
	for _, a := range alarms {
		a.ring(subject)
	}
}
