package fanout

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/jethook/jethook/deliver"
	"github.com/jethook/jethook/internal/bus"
	"github.com/jethook/jethook/internal/event"
)

// A subscriber's events are handed out by the server, which tells of one that was
// handed out too often, or that the subscriber has refused, by an advisory. The
// stream bus.Exhausted keeps these until the event is stored as dead.

const (
	// gravesConsumer is the durable on bus.Exhausted that all replicas share.
	gravesConsumer = "graves"
	gravesPending  = 100
	// buryWait comes before an event is tried again that could not be stored as dead.
	buryWait = 2 * time.Second
	// buryTimeout bounds what is asked of the bus for one event.
	buryTimeout = 10 * time.Second
)

// advisory is what the server tells.
type advisory struct {
	ID         string `json:"id"`
	Stream     string `json:"stream"`
	Consumer   string `json:"consumer"`
	Sequence   uint64 `json:"stream_seq"`
	Deliveries int    `json:"deliveries"`
	Reason     string `json:"reason"` // that the subscriber gave
}

// bury stores as dead what subscribers will not get again, until ctx ends.
func (r *Registry) bury(ctx context.Context) {
	for ctx.Err() == nil {
		if err := r.followExhausted(ctx); err != nil && ctx.Err() == nil {
			r.config.Logger.Warn("the dead events of subscribers are read again", "error", err)
			pause(ctx, watchPause)
		}
	}
}

func (r *Registry) followExhausted(ctx context.Context) error {
	consumer, err := r.config.Bus.JetStream().CreateOrUpdateConsumer(ctx, bus.Exhausted, jetstream.ConsumerConfig{
		Durable: gravesConsumer, AckPolicy: jetstream.AckExplicitPolicy, MaxAckPending: gravesPending,
		// Beside the embedded server it begins with what is still there.
		MemoryStorage: r.config.Bus.KeepsConsumers(),
	})
	if err != nil {
		return fmt.Errorf("open consumer %s: %w", gravesConsumer, err)
	}
	messages, err := consumer.Messages(jetstream.PullMaxMessages(gravesPending))
	if err != nil {
		return err
	}
	defer messages.Stop()
	for {
		m, err := messages.Next(jetstream.NextContext(ctx))
		if err != nil {
			return err
		}
		if err = r.buryOne(ctx, m); err != nil {
			r.config.Logger.Warn("event of a subscriber could not be stored as dead and is tried again", "error", err)
			err = m.NakWithDelay(buryWait)
		} else {
			err = m.Ack()
		}
		if err != nil {
			return err
		}
	}
}

// buryOne stores one event as dead, unless there is nothing that could be
// delivered or nobody to deliver it to.
func (r *Registry) buryOne(ctx context.Context, m jetstream.Msg) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), buryTimeout)
	defer cancel()
	var told advisory
	if err := json.Unmarshal(m.Data(), &told); err != nil { // which will not change
		r.config.Logger.Error("advisory is dropped", "subject", m.Subject(), "error", err)
		return nil
	}
	env, ok := bus.EnvOf(told.Stream)
	if !ok {
		return nil
	}
	of := ref{env, told.Consumer}
	consumer, err := r.config.Bus.JetStream().Consumer(ctx, told.Stream, told.Consumer)
	if errors.Is(err, jetstream.ErrConsumerNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	if !is(consumer.CachedInfo().Config, subscriberKind) {
		return nil // somebody else's
	}
	stored, err := r.config.Bus.Event(ctx, of.env, told.Sequence)
	if errors.Is(err, bus.ErrNotFound) {
		return nil // removed by age meanwhile, which the server tells of as well
	}
	if err != nil {
		return err
	}
	reason := fmt.Sprintf("handed out %d times and not acknowledged", told.Deliveries)
	if strings.Contains(m.Subject(), ".MSG_TERMINATED.") {
		reason = "refused by the subscriber"
		if told.Reason != "" {
			reason += ": " + told.Reason
		}
	}
	at, err := m.Metadata()
	if err != nil {
		return err
	}
	if err := deliver.Bury(ctx, r.config.Bus, deliver.Dead{
		EventID: stored.ID, Type: stored.Type, Source: stored.Source, Env: of.env, Endpoint: of.name, Stream: told.Stream, Sequence: told.Sequence,
		Reason: reason, Attempts: told.Deliveries, LastAttemptAt: at.Timestamp.UTC(),
	}, "advisory:"+told.ID); err != nil {
		return fmt.Errorf("store event %s of subscriber %s as dead: %w", stored.ID, of, err)
	}
	r.config.Logger.Warn("event is dead for a subscriber", "subscriber", of.name, "env", of.env, "event_id", stored.ID, "reason", reason)
	return nil
}

// HasSubscriber returns nil where there is a subscriber of that name, or
// bus.ErrNotFound.
func (d *Directory) HasSubscriber(ctx context.Context, env event.Env, name string) error {
	if !nameForm.MatchString(name) {
		return bus.ErrNotFound
	}
	consumer, err := d.bus.JetStream().Consumer(ctx, bus.StreamName(env), name)
	if errors.Is(err, jetstream.ErrConsumerNotFound) || err == nil && !is(consumer.CachedInfo().Config, subscriberKind) {
		return bus.ErrNotFound
	}
	return err
}
