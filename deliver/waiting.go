package deliver

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/synadia-io/orbit.go/jetstreamext"
	"golang.org/x/sync/errgroup"

	"github.com/jethook/jethook/internal/bus"
	"github.com/jethook/jethook/internal/event"
)

// Bounds of one pass over what waits for an endpoint.
const (
	maxPassed    = 1_000_000
	passTime     = 15 * time.Second
	passBatch    = 1000
	passedAtOnce = 512 // so that they share a flush
)

// headerExpected has the server refuse a message unless the last one of its
// subject is at that sequence.
const headerExpected = "Nats-Expected-Last-Subject-Sequence"

// isElsewhere reports whether the server has refused a message so.
func isElsewhere(err error) bool { return isRefused(err, 10071) }

// isContended reports whether a cluster has refused a message with such a demand
// because another one of its subject is being stored.
func isContended(err error) bool { return isRefused(err, 10164) }

func isRefused(err error, code jetstream.ErrorCode) bool {
	var refused *jetstream.APIError
	return errors.As(err, &refused) && refused.ErrorCode == code
}

// openRetry opens stream RETRY so that its leader answers: a replica that lags shows
// what has gone.
func openRetry(ctx context.Context, b *bus.Bus) (jetstream.Stream, error) {
	stream, err := b.JetStream().Stream(ctx, bus.Retry)
	if err != nil {
		return nil, fmt.Errorf("open stream %s: %w", bus.Retry, err)
	}
	stream.CachedInfo().Config.AllowDirect = false // this client asks accordingly
	return stream, nil
}

// reasonCancelled is why an event is dead whose retry was cancelled.
const reasonCancelled = "cancelled"

// Hasten has the retries that wait for an endpoint fall due now. It returns how
// many there were, and whether there are more: ask again then.
func Hasten(ctx context.Context, b *bus.Bus, env event.Env, endpoint string) (count int, more bool, err error) {
	begun := time.Now()
	return passAll(ctx, b, waitSubjects(env, endpoint), func(ctx context.Context, stream jetstream.Stream, stored *jetstream.RawStreamMsg) (bool, error) {
		p, wrong := parsePointer(env, endpoint, stored.Header)
		at, err := dueTime(stored.Header)
		if wrong != nil || err != nil || !at.After(begun) {
			return false, nil // it falls due by itself
		}
		m, done := p.schedule(begun), true
		if isLater(stored.Subject) {
			m.Header[headerExpected] = []string{"0"}
			done, err = replaceLater(ctx, b, stream, stored.Sequence, m)
		} else {
			m.Header[headerExpected] = []string{strconv.FormatUint(stored.Sequence, 10)}
			_, err = b.Put(ctx, bus.Retry, m)
		}
		if isElsewhere(err) || isContended(err) { // it has fallen due meanwhile, or got its schedule
			return false, nil
		}
		return done && err == nil, err
	})
}

// waitSubjects select what waits for an endpoint, in the order of its way.
func waitSubjects(env event.Env, endpoint string) []string {
	return []string{LaterSubjects(env, endpoint), bus.WaitSubjects(env, endpoint)}
}

// Cancel makes dead events of the retries that wait for an endpoint, those that
// are due too, so that none is lost. An attempt under way is not cut short. It
// returns how many there were, and whether there are more: ask again then.
func Cancel(ctx context.Context, b *bus.Bus, env event.Env, endpoint string) (count int, more bool, err error) {
	subjects := append(waitSubjects(env, endpoint), DueSubject(env, endpoint))
	return passAll(ctx, b, subjects, func(ctx context.Context, stream jetstream.Stream, stored *jetstream.RawStreamMsg) (bool, error) {
		p, err := parsePointer(env, endpoint, stored.Header)
		if err != nil {
			return false, nil // the worker makes it dead itself, with its reason
		}
		return p.cancel(ctx, b, stream, stored.Sequence)
	})
}

// cancel stores the pointer's event as dead, then removes the pointer. Where the
// pointer went its way meanwhile, the event is not dead.
func (p Pointer) cancel(ctx context.Context, b *bus.Bus, stream jetstream.Stream, at uint64) (bool, error) {
	d := Dead{EventID: p.EventID, Env: p.Env, Endpoint: p.Endpoint, Stream: bus.StreamName(p.Env), Sequence: p.Sequence,
		Reason: reasonCancelled, Attempts: p.Attempts, FirstAttemptAt: p.FirstAttempt, Previous: p.Previous}
	if e, err := b.Event(ctx, p.Env, p.Sequence); err == nil && e.ID == p.EventID {
		d.Type, d.Source = e.Type, e.Source
	}
	number, err := d.store(ctx, b, d.id(messageKey{due: true, sequence: at}))
	if err != nil {
		return false, err
	}
	there, err := removeMessage(ctx, stream, at)
	if err == nil && !there {
		err = DropDead(ctx, b, DeadEvent{Dead: d, Number: number})
	}
	return there, err
}

// action is what a pass does with a message of RETRY. It says whether it counts.
type action func(ctx context.Context, stream jetstream.Stream, stored *jetstream.RawStreamMsg) (bool, error)

// passAll is pass with one subject after the other.
func passAll(ctx context.Context, b *bus.Bus, subjects []string, act action) (count int, more bool, err error) {
	for _, subject := range subjects {
		var done int
		done, more, err = pass(ctx, b, subject, act)
		if count += done; more || err != nil {
			break
		}
	}
	return count, more, err
}

// pass calls act with the messages of RETRY that have the subject, many side by
// side, and counts those of which it says so. It ends at what was there when
// it began, or at its bounds.
func pass(ctx context.Context, b *bus.Bus, subject string, act action) (int, bool, error) {
	stream, err := openRetry(ctx, b)
	if err != nil {
		return 0, false, err
	}
	var count atomic.Int64
	last, deadline := stream.CachedInfo().State.LastSeq, time.Now().Add(passTime)
	acting, ctx := errgroup.WithContext(ctx)
	acting.SetLimit(passedAtOnce)
	for from, passed := uint64(1), 0; ; {
		batch, err := waitingBatch(ctx, b, subject, from, last)
		if err != nil {
			return int(count.Load()), false, errors.Join(acting.Wait(), err)
		}
		for _, stored := range batch {
			acting.Go(func() error {
				done, err := act(ctx, stream, stored)
				if done {
					count.Add(1)
				}
				return err
			})
			from = stored.Sequence + 1
		}
		passed += len(batch)
		if more := passed >= maxPassed || time.Now().After(deadline); more || len(batch) == 0 || ctx.Err() != nil {
			err := acting.Wait()
			return int(count.Load()), more && len(batch) > 0, err
		}
	}
}

// waitingBatch reads the next messages of RETRY that have the subject, from a
// sequence on. A replica of the stream that lags may answer, and leave out the
// newest or show what has gone; whoever acts is told then.
func waitingBatch(ctx context.Context, b *bus.Bus, subject string, from, last uint64) ([]*jetstream.RawStreamMsg, error) {
	messages, err := jetstreamext.GetBatch(ctx, b.JetStream(), bus.Retry, passBatch,
		jetstreamext.GetBatchSeq(from), jetstreamext.GetBatchSubject(subject))
	if err != nil {
		return nil, fmt.Errorf("read stream %s: %w", bus.Retry, err)
	}
	var batch []*jetstream.RawStreamMsg
	for stored, err := range messages {
		if errors.Is(err, jetstreamext.ErrNoMessages) {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("read stream %s: %w", bus.Retry, err)
		}
		if stored.Sequence <= last {
			batch = append(batch, stored)
		}
	}
	return batch, nil
}
