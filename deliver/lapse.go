package deliver

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"golang.org/x/sync/errgroup"

	"github.com/jethook/jethook/internal/bus"
	"github.com/jethook/jethook/internal/event"
)

// lapsedConsumer is the durable on RETRY of the leases that have lapsed, of all
// endpoints, which the processes that deliver share.
const lapsedConsumer = "lapsed"

// lapsedSubjects are those of every endpoint.
const lapsedSubjects = bus.RetryDue + ".*.*.lapsed"

// LapsedWait reports whether leases have lapsed that nobody has dealt with.
func LapsedWait(ctx context.Context, b *bus.Bus) (bool, error) {
	stream, err := openRetry(ctx, b)
	if err != nil {
		return false, err
	}
	_, err = stream.GetMsg(ctx, 1, jetstream.WithGetMsgSubject(lapsedSubjects))
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return false, nil
	}
	return err == nil, err
}

// Lapse makes failed attempts of the leases that lapse, by the schedules of their
// endpoints, until ctx ends or the bus fails. find returns an endpoint; the events
// of one that it does not know are left to be given out.
func Lapse(ctx context.Context, c PullerConfig, find func(event.Env, string) (Endpoint, bool)) error {
	consumer, err := c.Bus.JetStream().CreateOrUpdateConsumer(ctx, bus.Retry, jetstream.ConsumerConfig{
		Durable:       lapsedConsumer,
		Description:   "events that were taken and not acknowledged in time",
		FilterSubject: lapsedSubjects,
		AckPolicy:     jetstream.AckExplicitPolicy,
		AckWait:       ackMargin,
		MaxDeliver:    -1,
		MemoryStorage: c.Bus.KeepsConsumers(),
	})
	if err != nil {
		return fmt.Errorf("consumer of lapsed leases: %w", err)
	}
	feed, err := newFeed(c.Bus, consumer, atOnce, atOnce)
	if err != nil {
		return err
	}
	defer feed.close()
	end := feed.drain
	if c.Bus.KeepsConsumers() { // what reaches nobody comes at once at the next start
		end = feed.hurry
	}
	defer context.AfterFunc(ctx, end)()
	var working errgroup.Group
	working.SetLimit(atOnce)
	defer func() { _ = working.Wait() }() // what failed is logged
	for {
		m, err := feed.next()
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case errors.Is(err, jetstream.ErrNoHeartbeat):
			if isDeleted(ctx, consumer) {
				return jetstream.ErrConsumerNotFound
			}
			continue
		case err != nil:
			return err
		}
		working.Go(func() error {
			if err := lapse(context.WithoutCancel(ctx), c, m, find); err != nil {
				c.Logger.Warn("an event that was not acknowledged in time could not be followed up; tried again", "error", err)
			}
			return nil
		})
	}
}

// lapse follows up one lease.
func lapse(ctx context.Context, c PullerConfig, m *nats.Msg, find func(event.Env, string) (Endpoint, bool)) error {
	ctx, cancel := context.WithTimeout(ctx, 2*storeTimeout)
	defer cancel()
	meta, err := m.Metadata()
	if err != nil {
		return err
	}
	tokens := strings.Split(m.Subject, ".") // retry.due.{env}.{endpoint}.lapsed
	env, name := event.Env(tokens[2]), tokens[3]
	l, err := parseLease(env, name, m.Header, meta.Sequence.Stream)
	if err != nil {
		c.Logger.Error("lease is dropped", "endpoint", name, "env", env, "error", err)
		return m.Term()
	}
	if e, known := find(env, name); known {
		err = c.fail(ctx, e, l)
	} else {
		err = l.deliverNow(ctx, c.Bus, "lapsed:"+l.id)
	}
	if err != nil {
		return errors.Join(err, m.NakWithDelay(time.Second))
	}
	return m.Ack()
}

func (c *PullerConfig) fail(ctx context.Context, e Endpoint, l lease) error {
	w, err := pulledWorker(*c, e)
	if err != nil {
		return err
	}
	return w.fail(ctx, []lease{l}, reasonLapsed, time.Time{})
}
