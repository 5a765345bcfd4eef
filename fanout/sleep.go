package fanout

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/jethook/jethook/deliver"
	"github.com/jethook/jethook/internal/bus"
)

// sleep is of an endpoint that has nothing to do. It has no worker, which would
// cost fifteen goroutines, two pull requests and a consumer on RETRY; the alarm
// rouses it. On a cluster nobody sleeps, for other replicas store events too.
type sleep struct {
	falling bool // its worker still drains
	roused  bool // meanwhile
}

// alarmSubjects are those under which something is stored for an endpoint.
func alarmSubjects(e *Endpoint) []string {
	return append(subjects(e.Env, e.Events), retrySubjects(e.ref())...)
}

// arm has endpoints that are new begin asleep. The bus is looked at afterwards,
// and what is stored after that look rings.
func (r *Registry) arm(endpoints []Endpoint) {
	if r.alarm == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for i := range endpoints {
		of := endpoints[i].ref()
		if _, known := r.known[of]; !known {
			r.sleeps[of] = &sleep{falling: true}
			r.alarm.Set(of.key(), alarmSubjects(&endpoints[i]))
		}
	}
}

// restLocked rouses the endpoints of a list that have something to do, those
// whose consumer has changed, and those that are gone.
func (r *Registry) restLocked(p *plan) {
	for _, of := range within(p, r.sleeps) {
		s := r.sleeps[of]
		if _, known := r.known[of]; !known {
			s.falling = false
		}
		if _, listed := p.endpoints[of]; s.roused || !listed || p.busy[of] {
			r.rouseLocked(of)
		}
	}
}

// listen rouses those for whom the alarm rings, until ctx ends.
func (r *Registry) listen(ctx context.Context) {
	for {
		select {
		case <-r.alarm.Bell():
		case <-ctx.Done():
			return
		}
		r.rouseRung(ctx)
	}
}

// rouseRung rouses those for whom the alarm has rung.
func (r *Registry) rouseRung(ctx context.Context) {
	for _, key := range r.alarm.Rung() {
		r.rouse(ctx, refOf(key))
	}
}

// rouse lets an endpoint have a worker again. One that is disabled gets none,
// and its events wait on its consumer.
func (r *Registry) rouse(ctx context.Context, of ref) {
	r.mu.Lock()
	r.rouseLocked(of)
	e, ok := r.wanted[of]
	disabled := ok && !r.deliversLocked(&e)
	r.mu.Unlock()
	if !disabled {
		return // its worker does
	}
	if err := r.config.Bus.Unpark(ctx, bus.StreamName(of.env), of.name); err != nil {
		r.config.Logger.Warn("the backlog of a disabled endpoint cannot be told", "endpoint", of.name, "env", of.env, "error", err)
	}
}

// rouseLocked lets an endpoint have a worker again.
func (r *Registry) rouseLocked(of ref) {
	s := r.sleeps[of]
	if s == nil {
		return
	}
	if s.falling {
		s.roused = true
		return
	}
	delete(r.sleeps, of)
	r.alarm.Clear(of.key())
	r.wake()
}

// doze puts endpoints to sleep that had nothing to do between two readings, and
// rouses those that have something although no alarm rang.
func (r *Registry) doze(ctx context.Context, before, now readings) error {
	if r.alarm == nil {
		return nil
	}
	var idle, untold []ref
	r.mu.Lock()
	for of, e := range r.wanted {
		last, known := before.places[of]
		place, there := now.places[of]
		switch {
		case now.pending[of] > 0:
			r.rouseLocked(of)
		case !there && r.sleeps[of] == nil && !r.deliversLocked(&e): // it was disabled while it was roused
			untold = append(untold, of)
		case known && there && place == last && r.sleeps[of] == nil && r.deliversLocked(&e):
			idle = append(idle, of)
		}
	}
	r.mu.Unlock()
	var problems []error
	for _, of := range untold {
		problems = append(problems, r.config.Bus.Unpark(ctx, bus.StreamName(of.env), of.name))
	}
	for _, of := range idle {
		if err := r.sleep(ctx, of); err != nil {
			problems = append(problems, fmt.Errorf("end the idle worker of endpoint %s: %w", of, err))
		}
	}
	return errors.Join(problems...)
}

// revisit rouses those for whom an event waits although no alarm has rung for it
// any more, such as one that was stored long after its publish was given up.
func (r *Registry) revisit(ctx context.Context) error {
	r.mu.Lock()
	sleepers := slices.Collect(maps.Keys(r.sleeps))
	r.mu.Unlock()
	for _, of := range sleepers {
		waits, err := r.config.Bus.Waits(ctx, bus.StreamName(of.env), of.name)
		if err != nil {
			return fmt.Errorf("look after the sleeping endpoint %s: %w", of, err)
		}
		if waits {
			r.rouse(ctx, of)
		}
	}
	return nil
}

// sleep ends the worker of an endpoint and its consumer on RETRY, and parks its
// own, unless there is something to do after all.
func (r *Registry) sleep(ctx context.Context, of ref) error {
	if idle, err := r.idle(ctx, of); err != nil || !idle {
		return err
	}
	s := &sleep{falling: true}
	r.mu.Lock()
	e, ok := r.wanted[of]
	if !ok || r.sleeps[of] != nil {
		r.mu.Unlock()
		return nil
	}
	r.sleeps[of] = s
	r.alarm.Set(of.key(), alarmSubjects(&e)) // before the look that finds nothing
	r.mu.Unlock()

	idle, err := r.lay(ctx, of)
	r.mu.Lock()
	defer r.mu.Unlock()
	s.falling = false
	if _, ok := r.wanted[of]; !ok || !idle || err != nil || s.roused {
		r.rouseLocked(of)
	}
	return err
}

// lay ends the worker and both consumers, and reports whether nothing waits for the
// endpoint. What the server has handed out while the worker ended has reached nobody:
// without the consumers it comes again at once.
func (r *Registry) lay(ctx context.Context, of ref) (idle bool, err error) {
	if err := r.stopWorkers(ctx, of); err != nil {
		return false, err
	}
	if err := ignoreAbsent(r.config.Bus.JetStream().DeleteConsumer(ctx, bus.Retry, deliver.DueConsumer(of.env, of.name))); err != nil {
		return false, err
	}
	r.applying.Lock() // which looks at those that are parked and those that are not
	idle, err = r.config.Bus.Park(ctx, bus.StreamName(of.env), of.name)
	r.applying.Unlock()
	if err != nil || !idle {
		return false, err
	}
	return r.hasNoRetries(ctx, of)
}

// idle reports whether nothing waits for an endpoint, neither on its consumer
// nor to be tried again.
func (r *Registry) idle(ctx context.Context, of ref) (bool, error) {
	consumer, err := r.config.Bus.JetStream().Consumer(ctx, bus.StreamName(of.env), of.name)
	if err != nil {
		return false, err
	}
	if waits(consumer.CachedInfo()) > 0 {
		return false, nil
	}
	return r.hasNoRetries(ctx, of)
}

// hasNoRetries reports whether the endpoint has no deliveries that are due again.
func (r *Registry) hasNoRetries(ctx context.Context, of ref) (bool, error) {
	retry, err := r.config.Bus.JetStream().Stream(ctx, bus.Retry)
	if err != nil {
		return false, err
	}
	tried, err := retries(ctx, retry, of)
	return !tried && err == nil, err
}

// waits returns how many events a consumer has not delivered or not settled.
func waits(info *jetstream.ConsumerInfo) int64 {
	return int64(info.NumPending) + int64(info.NumAckPending)
}

// retries reports whether the endpoint has deliveries that are due again, now
// or later.
func retries(ctx context.Context, retry jetstream.Stream, of ref) (bool, error) {
	for _, subject := range retrySubjects(of) {
		_, err := retry.GetMsg(ctx, 1, jetstream.WithGetMsgSubject(subject))
		if !errors.Is(err, jetstream.ErrMsgNotFound) {
			return err == nil, err
		}
	}
	return false, nil
}
