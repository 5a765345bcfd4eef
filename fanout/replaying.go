package fanout

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"reflect"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/jethook/jethook/deliver"
	"github.com/jethook/jethook/internal/bus"
)

// replayInterval is how often the replays are looked at.
const replayInterval = time.Second

// listingTime is what a process has to hear of an endpoint that was made over the API,
// at the latest.
const listingTime = time.Minute

// tallyTimeout bounds the last count of a worker that ends.
const tallyTimeout = 5 * time.Second

// replayer is a worker that delivers again.
type replayer struct {
	endpoint deliver.Endpoint // as it was listed
	worker   *deliver.Worker
	tally    *deliver.Tally // what the record does not have yet
	stop     context.CancelCauseFunc
	done     chan struct{}
}

// replays are those of the bus, as a process tends them.
type replays struct {
	running map[string]*replayer // by id
	over    map[string]bool      // by key: for good, and so not read again
	told    map[string]bool      // by id: that it waits for its endpoint
	ending  sync.WaitGroup       // workers
}

func newReplays() *replays {
	return &replays{running: make(map[string]*replayer), told: make(map[string]bool)}
}

// replay runs the replays until ctx ends. Every process that delivers has a worker
// for each, and they share its consumer.
func (r *Registry) replay(ctx context.Context) {
	all := newReplays()
	defer all.ending.Wait()
	ticker := time.NewTicker(replayInterval)
	defer ticker.Stop()
	for looks := 0; ; looks++ {
		var err error
		if looks%sweepEvery == 0 {
			err = r.sweepReplays(ctx)
		}
		if err := errors.Join(err, r.tendReplays(ctx, all)); err != nil && ctx.Err() == nil {
			r.config.Logger.Warn("the replays could not be looked after; tried again", "error", err)
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
	}
}

// tendReplays starts and stops workers as the records say, and ends the replays
// that have delivered all.
func (r *Registry) tendReplays(ctx context.Context, all *replays) error {
	bucket, err := r.config.Bus.JetStream().KeyValue(ctx, bus.Replays)
	if err != nil {
		return fmt.Errorf("open bucket %s: %w", bus.Replays, err)
	}
	status, err := bucket.Status(ctx)
	if err != nil {
		return fmt.Errorf("look at bucket %s: %w", bus.Replays, err)
	}
	if status.Values() == 0 && len(all.running) == 0 {
		return nil
	}
	keys, err := bucket.ListKeys(ctx)
	if err != nil {
		return fmt.Errorf("list bucket %s: %w", bus.Replays, err)
	}
	wanted, over := make(map[string]bool), make(map[string]bool)
	var problems []error
	for key := range keys.Keys() {
		if all.over[key] {
			over[key] = true
			continue
		}
		entry, err := bucket.Get(ctx, key)
		if err != nil {
			problems = append(problems, fmt.Errorf("read replay %s: %w", key, err))
			continue
		}
		one, err := decodeReplay(entry)
		if err == nil && one.over() {
			over[key] = true
		}
		if err != nil || one.State != ReplayRunning {
			continue
		}
		wanted[one.ID] = true
		problems = append(problems, r.tendReplay(ctx, one, all))
	}
	all.over = over
	maps.DeleteFunc(all.told, func(id string, _ bool) bool { return !wanted[id] })
	for id, w := range all.running {
		if !wanted[id] {
			w.stop(deliver.ErrStopped)
			delete(all.running, id)
		}
	}
	return errors.Join(problems...)
}

// tendReplay has a running replay go on, or ends it.
func (r *Registry) tendReplay(ctx context.Context, one Replay, all *replays) error {
	consumer, err := r.config.Bus.JetStream().Consumer(ctx, bus.StreamName(one.Env), one.consumer())
	if errors.Is(err, jetstream.ErrConsumerNotFound) {
		one, consumer, err = r.wakeReplay(ctx, one)
	}
	if errors.Is(err, jetstream.ErrConsumerNotFound) {
		return r.failReplay(ctx, &one, "its consumer was deleted by somebody else")
	}
	if err != nil {
		return err
	}
	w, info := all.running[one.ID], consumer.CachedInfo()
	if info.NumAckPending == 0 && (info.Delivered.Stream >= one.End || info.NumPending == 0) {
		if w != nil { // it has nothing left in work, and its counts are part of the record
			w.stop(deliver.ErrRemoved)
			<-w.done
			delete(all.running, one.ID)
		}
		return r.endReplay(ctx, &one, ReplayDone, "")
	}
	e, listed, err := r.endpointOf(&one)
	if errors.Is(err, errReplaced) {
		return r.failReplay(ctx, &one, reasonRemoved) // which ends its worker at the next look
	}
	if err != nil {
		return err
	}
	r.mu.Lock()
	share := float64(max(r.replicas, 1))
	r.mu.Unlock()
	if w != nil && (!listed || !reflect.DeepEqual(w.endpoint, e)) {
		w.stop(deliver.ErrStopped) // once it is done it starts with what holds now
	}
	if !listed {
		removed, err := r.removed(ctx, &one, w != nil)
		if err == nil && !removed {
			all.tellOfWaiting(r.config.Logger, &one, r.now())
		}
		if err != nil || !removed {
			return err
		}
		return r.failReplay(ctx, &one, reasonRemoved)
	}
	if w == nil {
		if w, err = r.startReplay(ctx, one, e, &all.ending); err != nil {
			return err
		}
		all.running[one.ID] = w
	}
	select {
	case <-w.done:
		delete(all.running, one.ID) // and starts again
	default:
		perSecond := w.endpoint.Rate
		if one.PerSecond > 0 {
			perSecond = one.PerSecond
		}
		w.worker.Pace(perSecond / share)
	}
	return r.tallyReplay(ctx, &one, w.tally)
}

// tellOfWaiting logs once that a replay waits for an endpoint that is not in the list.
func (all *replays) tellOfWaiting(logger *slog.Logger, one *Replay, now time.Time) {
	if all.told[one.ID] || now.Sub(one.CreatedAt) < listingTime {
		return
	}
	all.told[one.ID] = true
	logger.Warn("replay waits for its endpoint, which this process does not have; to end it: jethook replay cancel "+one.ID,
		"replay", one.ID, "endpoint", one.Endpoint, "env", one.Env)
}

// removed reports whether the endpoint of a replay, which this process does not list,
// was removed: it has no consumer, also not by another process that lists it. What was
// made over the API is heard of only after a moment, and may have a replay before.
func (r *Registry) removed(ctx context.Context, one *Replay, served bool) (bool, error) {
	if !served && r.now().Sub(one.CreatedAt) < listingTime {
		return false, nil
	}
	stream := bus.StreamName(one.Env)
	if _, err := r.config.Bus.Place(ctx, stream, one.Endpoint); !errors.Is(err, bus.ErrNotFound) {
		return false, err
	}
	events, err := r.config.Bus.JetStream().Stream(ctx, stream)
	if err != nil {
		return false, err
	}
	rewound, err := r.config.Bus.Placeholder(ctx, events, one.Endpoint)
	return rewound == 0 && err == nil, err
}

// endReplay ends a replay for good.
func (r *Registry) endReplay(ctx context.Context, one *Replay, to ReplayState, reason string) error {
	_, err := changeReplay(ctx, r.config.Bus, one.Env, one.ID, func(have *Replay) bool {
		if have.over() {
			return false
		}
		have.State, have.Reason, have.EndedAt = to, reason, r.now().UTC()
		if to == ReplayDone {
			have.Handed = have.Count
		}
		return true
	})
	return err
}

// tallyReplay moves what a worker has counted into the record, also that of a
// replay which is over.
func (r *Registry) tallyReplay(ctx context.Context, one *Replay, counted *deliver.Tally) error {
	delivered, filtered, failed := counted.Delivered.Swap(0), counted.Filtered.Swap(0), counted.Failed.Swap(0)
	if delivered+filtered+failed == 0 {
		return nil
	}
	_, err := changeReplay(ctx, r.config.Bus, one.Env, one.ID, func(have *Replay) bool {
		have.Delivered += delivered
		have.Filtered += filtered
		have.Failed += failed
		return true
	})
	if err != nil {
		counted.Delivered.Add(delivered)
		counted.Filtered.Add(filtered)
		counted.Failed.Add(failed)
	}
	return err
}

// wakeReplay has the server know the consumer of a replay that the bus has kept
// over a restart, and notes how far it was.
func (r *Registry) wakeReplay(ctx context.Context, one Replay) (Replay, jetstream.Consumer, error) {
	if err := r.config.Bus.Unpark(ctx, bus.StreamName(one.Env), one.consumer()); err != nil {
		return one, nil, err
	}
	consumer, err := r.config.Bus.JetStream().Consumer(ctx, bus.StreamName(one.Env), one.consumer())
	if err != nil {
		return one, nil, err
	}
	rest := one.stored()
	rest.After = max(rest.After, consumer.CachedInfo().AckFloor.Stream)
	left, err := r.config.Bus.Count(ctx, rest, one.End)
	if err != nil {
		return one, nil, err
	}
	one.Before = one.Count - min(one.Count, left)
	one.Handed = one.Before
	return one, consumer, ignoreRace(writeReplay(ctx, r.config.Bus, one))
}

// ignoreRace passes over that another replica was faster.
func ignoreRace(err error) error {
	if bus.Raced(err) {
		return nil
	}
	return err
}

func (r *Registry) startReplay(ctx context.Context, one Replay, e deliver.Endpoint, ending *sync.WaitGroup) (*replayer, error) {
	listed := e
	e, err := replayed(e, one.Where)
	if err != nil {
		return nil, err
	}
	ctx, stop := context.WithCancelCause(ctx)
	config := deliver.WorkerConfig{
		Endpoint: e, Bus: r.config.Bus, Client: r.config.Client, Logger: r.config.Logger, Tracer: r.config.Tracer, Meter: r.config.Meter,
		OnGone:       func(ctx context.Context, reason string) error { return r.gone(ctx, &e, reason, time.Time{}) },
		Replay:       &deliver.Replay{ID: one.ID, Consumer: one.consumer(), End: one.End},
		DrainTimeout: r.config.DrainTimeout,
	}
	if len(one.Target) > 0 {
		r.forTarget(&config, one)
	}
	worker, err := deliver.NewWorker(config)
	if err != nil {
		stop(nil)
		return nil, err
	}
	w := &replayer{endpoint: listed, worker: worker, tally: &config.Replay.Tally, stop: stop, done: make(chan struct{})}
	ending.Go(func() {
		defer close(w.done)
		defer func() {
			ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), tallyTimeout)
			defer cancel()
			if err := r.tallyReplay(ctx, &one, w.tally); err != nil {
				r.config.Logger.Warn("the last counts of a replay are lost", "replay", one.ID, "env", one.Env, "error", err)
			}
		}()
		if err := worker.Run(ctx); err != nil && !r.replayEnded(ctx, &one) && ctx.Err() == nil { // which may end while it is looked
			r.config.Logger.Warn("worker of a replay ended and starts again", "replay", one.ID, "endpoint", one.Endpoint, "env", one.Env, "error", err)
		}
	})
	return w, nil
}

// replayEnded reports whether a replay is over, whose consumer was deleted then.
func (r *Registry) replayEnded(ctx context.Context, one *Replay) bool {
	found, err := readReplay(ctx, r.config.Bus, one.Env, one.ID)
	return errors.Is(err, bus.ErrNotFound) || err == nil && found.over()
}
