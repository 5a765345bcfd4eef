package deliver

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"golang.org/x/sync/errgroup"

	"github.com/jethook/jethook/internal/bus"
	"github.com/jethook/jethook/internal/event"
)

// DeadEvent is a dead event in its list.
type DeadEvent struct {
	Dead
	Number uint64    // its place in stream DEAD
	At     time.Time // when it was given up
}

// DeadRange selects dead events of one environment.
type DeadRange struct {
	Env          event.Env
	Endpoint     string        // empty for all
	Pattern      event.Pattern // empty for all; what it leaves out is read all the same
	Since, Until time.Time     // of giving up; zero does not bound
}

// ErrEventGone means that a dead event's body is no longer stored.
var ErrEventGone = errors.New("the event is not stored any more")

const (
	// deadBatch is how many dead events are retried or dropped at a time, deadAtOnce
	// how many of them side by side: they then share flushes of the disk.
	deadBatch  = 1000
	deadAtOnce = 32
)

func (r DeadRange) of(after uint64) bus.Range {
	endpoint := r.Endpoint
	if endpoint == "" {
		endpoint = "*"
	}
	of := bus.Range{Stream: bus.Dead, Subject: DeadSubject(r.Env, endpoint), After: after, Since: r.Since, Until: r.Until}
	if r.Pattern != "" {
		of.Only = func(m bus.Message) bool {
			d, err := decodeDead(m.Data, m.Sequence, m.Time)
			return err == nil && r.Pattern.Covers(event.Pattern(d.Source+"."+d.Type))
		}
	}
	return of
}

// DeadEvents returns limit dead events, the newest first, after leaving out the
// offset newest, and whether there are more.
func DeadEvents(ctx context.Context, b *bus.Bus, r DeadRange, offset, limit int) ([]DeadEvent, bool, error) {
	messages, more, err := b.Newest(ctx, r.of(0), offset, limit)
	if err != nil {
		return nil, false, err
	}
	found := make([]DeadEvent, 0, len(messages))
	for _, m := range messages {
		d, err := decodeDead(m.Data, m.Sequence, m.Time)
		if err != nil {
			return nil, false, err
		}
		found = append(found, d)
	}
	return found, more, nil
}

// DeadEventAt returns the dead event of that number, or bus.ErrNotFound, also
// where it is another environment's.
func DeadEventAt(ctx context.Context, b *bus.Bus, env event.Env, number uint64) (DeadEvent, error) {
	if number == 0 {
		return DeadEvent{}, bus.ErrNotFound
	}
	stream, err := b.JetStream().Stream(ctx, bus.Dead)
	if err != nil {
		return DeadEvent{}, fmt.Errorf("open stream %s: %w", bus.Dead, err)
	}
	m, err := stream.GetMsg(ctx, number)
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return DeadEvent{}, bus.ErrNotFound
	}
	if err != nil {
		return DeadEvent{}, fmt.Errorf("read dead event %d: %w", number, err)
	}
	d, err := decodeDead(m.Data, m.Sequence, m.Time)
	if err == nil && d.Env != env {
		return DeadEvent{}, bus.ErrNotFound
	}
	return d, err
}

func decodeDead(data []byte, number uint64, at time.Time) (DeadEvent, error) {
	d := DeadEvent{Number: number, At: at}
	if err := json.Unmarshal(data, &d.Dead); err != nil {
		return d, fmt.Errorf("dead event %d cannot be read: %w", number, err)
	}
	return d, nil
}

// RetryDead has a dead event delivered again, now, to its endpoint alone and
// with all its attempts anew, and takes it from the list once that is stored.
// A crash in between leaves it in the list; asking again does not deliver twice
// then. The error is ErrEventGone where there is nothing left to deliver.
func RetryDead(ctx context.Context, b *bus.Bus, d DeadEvent) error {
	stored, err := b.Event(ctx, d.Env, d.Sequence)
	if errors.Is(err, bus.ErrNotFound) || err == nil && stored.ID != d.EventID {
		return ErrEventGone
	}
	if err != nil {
		return err
	}
	id := fmt.Sprintf("dead:%s:%d", d.EventID, d.Number)
	if d.Subscriber {
		err = handAgain(ctx, b, stored.Event, d.Endpoint, id)
	} else {
		p := Pointer{Env: d.Env, Endpoint: d.Endpoint, Sequence: d.Sequence, EventID: d.EventID, Previous: d.Previous}
		err = p.deliverNow(ctx, b, id)
	}
	if err != nil {
		return err
	}
	return DropDead(ctx, b, d)
}

// DropDead takes a dead event from the list for good. The event stays in its
// stream.
func DropDead(ctx context.Context, b *bus.Bus, d DeadEvent) error {
	_, err := drop(ctx, b, d)
	return err
}

// drop is DropDead, and reports whether it was there.
func drop(ctx context.Context, b *bus.Bus, d DeadEvent) (there bool, err error) {
	stream, err := b.JetStream().Stream(ctx, bus.Dead)
	if err == nil {
		there, err = removeMessage(ctx, stream, d.Number)
	}
	if err != nil {
		return false, fmt.Errorf("take dead event %d from the list: %w", d.Number, err)
	}
	return there, nil
}

// Batch is what became of a batch of dead events.
type Batch struct {
	Done int    // retried or dropped, and not listed any more
	Gone int    // not retried, and listed still: their bodies are not stored any more
	More bool   // there are more: go on after Next
	Next uint64 // may be zero
}

// RetryAllDead does RetryDead with a batch of a range, the oldest first. One that
// fails half way says what it has done, and returns the error when nothing is done.
func RetryAllDead(ctx context.Context, b *bus.Bus, r DeadRange, after uint64) (Batch, error) {
	return allDead(ctx, b, r, after, func(d DeadEvent) (bool, error) {
		err := RetryDead(ctx, b, d)
		if errors.Is(err, ErrEventGone) {
			return false, nil
		}
		return err == nil, err
	})
}

// DropAllDead does DropDead as RetryAllDead does RetryDead.
func DropAllDead(ctx context.Context, b *bus.Bus, r DeadRange, after uint64) (Batch, error) {
	batch, err := allDead(ctx, b, r, after, func(d DeadEvent) (bool, error) { return drop(ctx, b, d) })
	batch.Gone = 0 // somebody else has dropped them
	return batch, err
}

// allDead does something with a batch of a range, the oldest first. do reports
// whether it was done.
func allDead(ctx context.Context, b *bus.Bus, r DeadRange, after uint64, do func(DeadEvent) (bool, error)) (Batch, error) {
	var batch []DeadEvent
	var result Batch
	err := b.Each(ctx, r.of(after), func(m bus.Message) bool {
		if len(batch) == deadBatch {
			result.More, result.Next = true, batch[deadBatch-1].Number
			return false
		}
		if d, err := decodeDead(m.Data, m.Sequence, m.Time); err == nil {
			batch = append(batch, d)
		}
		return true
	})
	if err != nil {
		return Batch{}, err
	}
	var done, gone atomic.Int64
	var failed atomic.Bool // nothing more is begun then; what is under way ends, and is counted
	var group errgroup.Group
	group.SetLimit(deadAtOnce)
	for _, d := range batch {
		if failed.Load() {
			break
		}
		group.Go(func() error {
			did, err := do(d)
			switch {
			case err != nil:
				failed.Store(true)
			case did:
				done.Add(1)
			default:
				gone.Add(1)
			}
			return err
		})
	}
	err = group.Wait()
	result.Done, result.Gone = int(done.Load()), int(gone.Load())
	switch {
	case err == nil:
		return result, nil
	case result.Done == 0:
		return Batch{}, err
	}
	return Batch{Done: result.Done, More: true, Next: after}, nil // what is gone is met once more
}
