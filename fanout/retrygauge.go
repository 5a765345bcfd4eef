package fanout

import (
	"context"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/jethook/jethook/deliver"
	"github.com/jethook/jethook/internal/bus"
	"github.com/jethook/jethook/internal/event"
)

// retriesShare is how many times as long as the last count of retries took the
// next one waits: the server walks a million in about a second.
const retriesShare = 20

// mostCounted is how many retries there may be in all for them to be counted by
// endpoint. To count more would take the neighbours' time and much memory; the
// gauge of all goes on.
const mostCounted = 100_000

// readRetries counts what is due again for each endpoint, now or later, unless
// they are more than most in all. Those that sleep have nothing.
func (r *Registry) readRetries(ctx context.Context, most uint64) error {
	ctx, cancel := context.WithTimeout(ctx, pollInterval)
	defer cancel()
	counts := make(map[ref]int64)
	retry, err := r.config.Bus.JetStream().Stream(ctx, bus.Retry)
	if err != nil {
		return fmt.Errorf("open stream %s: %w", bus.Retry, err)
	}
	switch msgs := retry.CachedInfo().State.Msgs; {
	case msgs > most:
		counts = nil
	case msgs > 0:
		if counts, err = r.countRetries(ctx); err != nil {
			return err
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.retries = counts
	return nil
}

func (r *Registry) countRetries(ctx context.Context) (map[ref]int64, error) {
	var awake []ref
	r.mu.Lock()
	for of := range r.wanted {
		if r.sleeps[of] == nil {
			awake = append(awake, of)
		}
	}
	r.mu.Unlock()
	counts := make(map[ref]int64, len(awake))
	for _, env := range event.Envs() {
		due, err := r.config.Bus.Subjects(ctx, bus.Retry, deliver.DueSubject(env, "*"))
		if err != nil {
			return nil, err
		}
		later, err := deliver.CountLater(ctx, r.config.Bus, env, "*")
		if err != nil {
			return nil, err
		}
		for _, of := range awake {
			if of.env == env {
				counts[of] = int64(due[deliver.DueSubject(env, of.name)] + later[of.name])
			}
		}
	}
	waiting := make([]int, len(awake))
	counting, ctx := errgroup.WithContext(ctx)
	counting.SetLimit(countsAtOnce)
	for i, of := range awake {
		counting.Go(func() (err error) {
			waiting[i], err = r.config.Bus.CountSubjects(ctx, bus.Retry, bus.WaitSubjects(of.env, of.name))
			return err
		})
	}
	if err := counting.Wait(); err != nil {
		return nil, err
	}
	for i, of := range awake {
		counts[of] += int64(waiting[i])
	}
	return counts, nil
}

// pollRetries is readRetries, at most a part of the time: it returns from when on
// it shall be called again.
func (r *Registry) pollRetries(ctx context.Context, from time.Time) (next time.Time, err error) {
	began := time.Now()
	if began.Before(from) {
		return from, nil
	}
	err = r.readRetries(ctx, mostCounted)
	return began.Add(retriesShare * time.Since(began)), err
}
