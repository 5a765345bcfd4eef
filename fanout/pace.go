package fanout

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/jethook/jethook/deliver"
	"github.com/jethook/jethook/internal/bus"
)

// attendEvery is how often a replica says that it is there, and counts who is.
// One that is killed counts for bus.ReplicaTTL more.
const attendEvery = bus.ReplicaTTL / 3

// paceLocked is how many attempts this replica may begin in a second: its part of
// the endpoint's rate, or of the rate at which its backlog is delivered.
func (r *Registry) paceLocked(e *deliver.Endpoint) float64 {
	perSecond := e.Rate
	found := r.records[ref{e.Env, e.Name}]
	if slow := found.Resumed; !found.deleted && slow != nil && (perSecond == 0 || slow.PerSecond < perSecond) {
		perSecond = slow.PerSecond
	}
	return perSecond / float64(max(r.replicas, 1))
}

// attend has the replicas share the rates of endpoints, until ctx ends. Beside the
// embedded server there is one alone.
func (r *Registry) attend(ctx context.Context) {
	if r.config.Bus.KeepsConsumers() {
		return
	}
	name := uuid.NewString()
	ticker := time.NewTicker(attendEvery)
	defer ticker.Stop()
	for {
		if err := r.count(ctx, name); err != nil && ctx.Err() == nil {
			r.config.Logger.Warn("the replicas that share the rates of endpoints could not be counted; tried again", "error", err)
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			r.leave(ctx, name)
			return
		}
	}
}

// count says that the replica of that name is there, and notes how many there are.
func (r *Registry) count(ctx context.Context, name string) error {
	ctx, cancel := context.WithTimeout(ctx, attendEvery)
	defer cancel()
	bucket, err := r.config.Bus.JetStream().KeyValue(ctx, bus.Replicas)
	if err != nil {
		return fmt.Errorf("open bucket %s: %w", bus.Replicas, err)
	}
	if _, err := bucket.Put(ctx, name, nil); err != nil {
		return fmt.Errorf("write to bucket %s: %w", bus.Replicas, err)
	}
	keys, err := bucket.ListKeys(ctx, jetstream.MetaOnly())
	if err != nil {
		return fmt.Errorf("list bucket %s: %w", bus.Replicas, err)
	}
	there := 0
	for range keys.Keys() {
		there++
	}
	r.mu.Lock()
	changed := r.replicas != there
	r.replicas = there
	r.mu.Unlock()
	if changed {
		r.config.Logger.Info("replicas share the rates of endpoints", "replicas", there)
		r.wake()
	}
	return nil
}

// leave says that a replica is there no more.
func (r *Registry) leave(ctx context.Context, name string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	if bucket, err := r.config.Bus.JetStream().KeyValue(ctx, bus.Replicas); err == nil {
		_ = bucket.Purge(ctx, name) // or its time ends it
	}
}

// passed ends the pace of those whose backlog of then has been delivered. floors
// are those of the consumers, of which those that are not there have nothing.
func (r *Registry) passed(ctx context.Context, floors map[ref]uint64) error {
	var over []ref
	r.mu.Lock()
	for of := range r.wanted {
		found := r.records[of]
		if floor, there := floors[of]; !found.deleted && found.Resumed != nil && (!there || floor >= found.Resumed.Until) {
			over = append(over, of)
		}
	}
	r.mu.Unlock()
	if len(over) == 0 {
		return nil
	}
	bucket, err := openStates(ctx, r.config.Bus.JetStream())
	if err != nil {
		return err
	}
	var problems []error
	for _, of := range over {
		until := uint64(0)
		found, err := change(ctx, bucket, of.key(), func(have state) state {
			if have.Resumed == nil || floors[of] != 0 && floors[of] < have.Resumed.Until {
				return have // somebody was faster, or has resumed it again
			}
			until, have.Resumed = have.Resumed.Until, nil
			return have
		})
		if err != nil {
			problems = append(problems, fmt.Errorf("note that the backlog of endpoint %s is delivered: %w", of, err))
			continue
		}
		r.note(of, found)
		if until > 0 {
			r.config.Logger.Info("what waited when the endpoint was resumed is delivered, and its own rate holds again",
				"endpoint", of.name, "env", of.env, "sequence", until)
		}
	}
	return errors.Join(problems...)
}
