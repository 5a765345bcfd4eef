package fanout

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/jethook/jethook/internal/bus"
	"github.com/jethook/jethook/internal/event"
)

const (
	// sweepEvery is how many looks at the replays pass between two looks for
	// consumers that are left of some: a minute.
	sweepEvery = 60
	// makingTime is how old the consumer of a replay may be before its record is
	// written.
	makingTime = time.Minute
)

// sweepReplays deletes the consumers of replays that are over or have no record,
// as a process leaves them that ends between the two. Each would keep the trimmer
// from what it has not had.
func (r *Registry) sweepReplays(ctx context.Context) error {
	bucket, err := r.config.Bus.JetStream().KeyValue(ctx, bus.Replays)
	if err != nil {
		return fmt.Errorf("open bucket %s: %w", bus.Replays, err)
	}
	for _, env := range event.Envs() {
		left, err := r.replayConsumers(ctx, env)
		if err != nil {
			return fmt.Errorf("look for the consumers of replays: %w", err)
		}
		for name, made := range left {
			id := strings.TrimPrefix(name, replayPrefix)
			entry, err := bucket.Get(ctx, (&Replay{ID: id, Env: env}).key())
			if err != nil && !errors.Is(err, jetstream.ErrKeyNotFound) {
				return fmt.Errorf("read replay %s: %w", id, err)
			}
			if err != nil && made {
				continue
			}
			if err == nil {
				if of, err := decodeReplay(entry); err != nil || !of.over() {
					continue
				}
			}
			if err := r.config.Bus.RemoveConsumer(ctx, bus.StreamName(env), name); err != nil {
				return err
			}
			r.config.Logger.Info("consumer was left of a replay and is deleted", "replay", id, "env", env)
		}
	}
	return nil
}

// replayConsumers returns the consumers of replays by name, and of each whether
// it may be one that is being made. One that is parked is of an earlier process.
func (r *Registry) replayConsumers(ctx context.Context, env event.Env) (making map[string]bool, err error) {
	making = make(map[string]bool)
	ofReplay := func(config jetstream.ConsumerConfig) bool { return config.Metadata[metaOrigin] == replayOrigin }
	parked, err := r.config.Bus.Parked(bus.StreamName(env))
	if err != nil {
		return nil, err
	}
	for name, config := range parked {
		if ofReplay(config) {
			making[name] = false
		}
	}
	stream, err := r.config.Bus.JetStream().Stream(ctx, bus.StreamName(env))
	if err != nil {
		return nil, err
	}
	names := stream.ConsumerNames(ctx)
	for name := range names.Name() {
		if !strings.HasPrefix(name, replayPrefix) {
			continue
		}
		found, err := stream.Consumer(ctx, name)
		if errors.Is(err, jetstream.ErrConsumerNotFound) {
			continue
		}
		if err != nil {
			return nil, err
		}
		if info := found.CachedInfo(); ofReplay(info.Config) {
			making[name] = info.TimeStamp.Sub(info.Created) < makingTime
		}
	}
	return making, names.Err()
}
