package fanout

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// passWait is how long the server is asked for an event that is not there.
const passWait = 100 * time.Millisecond

// passOver has an endpoint's consumer for which nothing waits go on after the
// events that are stored, none of which it selects, so that a pattern that is
// added selects from now on. The server moves a consumer past such events when it
// is asked for the next one, which an awake worker does twice a minute, and nobody
// for an endpoint that is disabled. Where something waits, or is stored meanwhile,
// the consumer's place is the endpoint's own.
func passOver(ctx context.Context, stream jetstream.Stream, name string) error {
	info, err := stream.Info(ctx)
	if err != nil {
		return err
	}
	for range maxRaces {
		found, err := stream.Consumer(ctx, name)
		if err != nil {
			return err
		}
		at := found.CachedInfo()
		if at.NumPending > 0 || at.Delivered.Stream >= info.State.LastSeq || at.NumAckPending >= at.Config.MaxAckPending {
			return nil
		}
		batch, err := found.Fetch(1, jetstream.FetchMaxWait(passWait))
		if err != nil {
			return err
		}
		for m := range batch.Messages() { // it was stored just now
			if err := m.Nak(); err != nil {
				return fmt.Errorf("hand event back: %w", err)
			}
		}
	}
	return nil
}

// widens reports whether a consumer is to select what it does not select yet.
func (c *consumer) widens(have jetstream.ConsumerConfig) bool {
	filters := have.FilterSubjects
	if have.FilterSubject != "" {
		filters = []string{have.FilterSubject}
	}
	return slices.ContainsFunc(c.filters, func(filter string) bool { return !slices.Contains(filters, filter) })
}
