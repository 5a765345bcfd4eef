package deliver

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/jethook/jethook/internal/bus"
)

// taking is one Take.
type taking struct {
	*shift
	queue *queue
	ready func(context.Context) (bool, error)
	limit int
}

// take returns what is there, or else the first that comes until the time.
func (t *taking) take(ctx context.Context, until time.Time) ([]Taken, error) {
	for {
		taken, idle, err := t.look(ctx)
		if err != nil || len(taken) > 0 {
			return taken, err
		}
		left := time.Until(until)
		switch {
		case left <= 0:
			return nil, nil
		case idle:
			taken, err = t.await(ctx, left)
		default:
			err = pause(ctx, min(left, lookEvery))
		}
		if err != nil || len(taken) > 0 {
			return taken, err
		}
	}
}

// look gives out what is there. It reports idle where there is nothing, and not
// where the endpoint has nothing to give just now.
func (t *taking) look(ctx context.Context) (taken []Taken, idle bool, err error) {
	t.queue.turn.Lock()
	defer t.queue.turn.Unlock()
	for {
		room, err := t.room(ctx)
		if err != nil || room <= 0 {
			return nil, false, err
		}
		got, err := t.there(ctx, min(room, t.limit))
		if err != nil || len(got) == 0 {
			return nil, err == nil, err
		}
		if taken, err = t.give(ctx, got); err != nil || len(taken) > 0 {
			return taken, false, err
		}
	}
}

// room is how many events may be given out now.
func (t *taking) room(ctx context.Context) (int, error) {
	if ready, err := t.ready(ctx); err != nil || !ready {
		return 0, err
	}
	out, err := t.config.Bus.CountSubjects(ctx, bus.Retry, LeaseSubjects(t.endpoint.Env, t.endpoint.Name))
	return t.endpoint.Concurrency - out, err
}

// there fetches what is there from both sources, by chance from one or the other
// first, so that neither keeps the other waiting for ever.
func (t *taking) there(ctx context.Context, limit int) (got []fetched, err error) {
	sources := t.sources
	if rand.IntN(2) == 0 {
		sources = []source{sources[1], sources[0]}
	}
	size := 0
	for _, from := range sources {
		if len(got) == limit || size >= takenBytes {
			break
		}
		more, large, err := t.fetch(ctx, 0, want{from, limit - len(got), takenBytes - size})
		if err == nil && large && len(got)+len(more) == 0 {
			more, _, err = t.fetch(ctx, 0, want{from: from, batch: 1})
		}
		got = append(got, more...)
		if err != nil {
			t.giveBack(got)
			return nil, err
		}
		for _, m := range more {
			size += len(m.msg.Data)
		}
	}
	return got, nil
}

// await gives out the first that comes.
func (t *taking) await(ctx context.Context, wait time.Duration) ([]Taken, error) {
	got, _, err := t.fetch(ctx, wait, want{from: t.sources[0], batch: 1}, want{from: t.sources[1], batch: 1})
	if len(got) == 0 {
		return nil, err
	}
	t.queue.turn.Lock()
	defer t.queue.turn.Unlock()
	room, err := t.room(ctx)
	if room = min(room, t.limit); err != nil || ctx.Err() != nil || room <= 0 {
		t.giveBack(got)
		return nil, err
	}
	if len(got) > room {
		t.giveBack(got[room:])
		got = got[:room]
	}
	return t.give(ctx, got)
}

// giveBack hands back what was fetched and is not given out.
func (t *taking) giveBack(all []fetched) {
	over, cancel := context.WithCancel(context.Background())
	cancel()
	for _, m := range all {
		t.shift.take(over, over, m.from, m.msg)
	}
}

// give stores a lease for each event that the endpoint wants and that the answer
// has room for, and only then settles the message that brought it.
func (t *taking) give(ctx context.Context, got []fetched) ([]Taken, error) {
	leases := make([]*Taken, len(got))
	storing, size := errgroup.Group{}, 0
	storing.SetLimit(atOnce)
	for i, m := range got {
		d := t.shift.take(ctx, ctx, m.from, m.msg)
		if d == nil {
			continue
		}
		if size += len(d.event.Data); size > takenBytes && size > len(d.event.Data) {
			t.handBack(d, 0)
			continue
		}
		storing.Go(func() (err error) {
			leases[i], err = t.lease(ctx, d)
			return err
		})
	}
	err := storing.Wait()
	var taken []Taken
	for _, l := range leases {
		if l != nil {
			taken = append(taken, *l)
		}
	}
	return taken, err
}

// lease stores the lease of one event. It runs to its end although nobody waits
// for the answer any more.
func (t *taking) lease(ctx context.Context, d *delivery) (*Taken, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), storeTimeout)
	defer cancel()
	now := time.Now()
	until := now.Add(t.endpoint.Timeout)
	l := newLease(Pointer{Env: t.endpoint.Env, Endpoint: t.endpoint.Name, Sequence: d.sequence, EventID: d.eventID,
		Attempts: d.attempts, FirstAttempt: d.first, Previous: d.before()}, now)
	if _, err := t.config.Bus.Put(ctx, bus.Retry, l.until(until)); err != nil {
		t.handBack(d, unrecorded)
		return nil, fmt.Errorf("store lease: %w", err)
	}
	t.settled(d)
	return &Taken{Token: l.token(), Attempt: l.Attempts, Until: until, Sequence: d.sequence, Previous: d.before(), Event: d.event}, nil
}

// offer has an event given out that is replayed, beside those that are due.
func (s *shift) offer(ctx context.Context, d *delivery) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), storeTimeout)
	defer cancel()
	p := Pointer{Env: s.endpoint.Env, Endpoint: s.endpoint.Name, Sequence: d.sequence, EventID: d.eventID}
	if err := p.deliverNow(ctx, s.config.Bus, fmt.Sprintf("replay:%s:%d", s.config.Replay.ID, d.sequence)); err != nil {
		s.logger.Error("replayed event could not be offered; it is tried again", s.endpoint.who(), "event_id", d.eventID, "error", err)
		s.handBack(d, unrecorded)
		return
	}
	s.config.Replay.count(OutcomeDelivered)
	s.settled(d)
}

// pause waits, or returns why ctx ended.
func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
