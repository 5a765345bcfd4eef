package bus

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go/jetstream"
)

// A durable of the embedded bus is parked while nothing waits for it: it is in
// the checkpoint, with its definition and place, and not in the server, where
// each costs 45 kB and half a millisecond at every start. Unparked it goes on
// after its place. Where consumers have files, and on a cluster, none is parked.

// Parked returns the durables of a stream that are parked, by name.
func (b *Bus) Parked(stream string) (map[string]jetstream.ConsumerConfig, error) {
	if b.cursors == nil {
		return map[string]jetstream.ConsumerConfig{}, nil
	}
	b.cursors.mu.Lock()
	defer b.cursors.mu.Unlock()
	all := make(map[string]jetstream.ConsumerConfig, len(b.cursors.parked[stream]))
	for name := range b.cursors.parked[stream] {
		config, err := b.cursors.client(stream, name)
		if err != nil {
			return nil, err
		}
		all[name] = config
	}
	return all, nil
}

// IsParked returns a durable of a stream, where it is parked.
func (b *Bus) IsParked(stream, name string) (config jetstream.ConsumerConfig, parked bool, err error) {
	if b.cursors == nil {
		return config, false, nil
	}
	b.cursors.mu.Lock()
	defer b.cursors.mu.Unlock()
	if _, parked = b.cursors.parked[stream][name]; !parked {
		return config, false, nil
	}
	config, err = b.cursors.client(stream, name)
	return config, err == nil, err
}

// client returns a parked durable as the client has it, with mu held. Turning it
// into that takes long, and is done once.
func (c *cursors) client(stream, name string) (config jetstream.ConsumerConfig, err error) {
	entry := c.parked[stream][name]
	if entry.client == nil {
		if config, err = clientConfig(entry.Config); err != nil {
			return config, fmt.Errorf("consumer %s of %s: %w", name, stream, err)
		}
		entry.client = &config
		c.parked[stream][name] = entry
	}
	config = *entry.client
	config.FilterSubjects, config.Metadata = slices.Clone(config.FilterSubjects), maps.Clone(config.Metadata)
	return config, nil
}

// ParkNew keeps a new durable that begins after the sequence floor. One that is
// there keeps its place.
func (b *Bus) ParkNew(ctx context.Context, stream string, config jetstream.ConsumerConfig, floor uint64) error {
	own, err := serverConfig(config)
	if err != nil {
		return err
	}
	b.cursors.mu.Lock()
	defer b.cursors.mu.Unlock()
	if _, parked := b.cursors.parked[stream][config.Durable]; parked {
		return nil
	}
	if _, err := b.consumer.Consumer(ctx, stream, config.Durable); !errors.Is(err, jetstream.ErrConsumerNotFound) {
		return err
	}
	b.cursors.park(stream, config.Durable, cursor{Floor: floor, Config: own, Last: new(uint64)})
	return nil
}

// Park parks a durable that nobody reads and for which nothing waits, as far as the
// server says, and reports whether that is so: where it is not, the durable is to be
// unparked. What it had handed out and nobody settled comes at once then.
func (b *Bus) Park(ctx context.Context, stream, name string) (bool, error) {
	b.cursors.mu.Lock() // no checkpoint sees it in neither place
	defer b.cursors.mu.Unlock()
	found, err := b.consumer.Consumer(ctx, stream, name)
	if err != nil {
		return false, err
	}
	info := found.CachedInfo()
	if !info.Config.MemoryStorage {
		return info.NumPending == 0 && info.NumAckPending == 0, nil
	}
	if info.NumPending > 0 && info.NumAckPending == 0 {
		return false, nil
	}
	own, err := serverConfig(info.Config)
	if err != nil {
		return false, err
	}
	progress := b.cursors.progressOf(stream, name)
	entry := cursor{Created: info.Created, Floor: info.AckFloor.Stream, Config: own,
		Settled: progress.above(info.Created, info.AckFloor.Stream),
		Last:    progress.chain.upTo(info.AckFloor.Consumer, info.AckFloor.Stream)}
	b.cursors.park(stream, name, entry) // and it stays so where the server's answer is lost
	if err := b.consumer.DeleteConsumer(ctx, stream, name); err != nil && !errors.Is(err, jetstream.ErrConsumerNotFound) {
		return false, err
	}
	// The server tells its consumers of an event after it has acknowledged it,
	// with many consumers tens of milliseconds later: the stream knows first. What
	// was handed out and not settled lies behind the floor as well.
	of, err := b.consumer.Stream(ctx, stream)
	if err != nil {
		return false, err
	}
	_, late, err := selects(ctx, of, info.Config, info.AckFloor.Stream+1)
	return !late && err == nil, err
}

// Unpark has the server know a durable that is parked, if it is. It goes on with
// the first event it selects after its place, or else with the next one that is
// stored: where a pattern is added to it then, older events are not meant.
func (b *Bus) Unpark(ctx context.Context, stream, name string) error {
	if b.cursors == nil {
		return nil
	}
	b.cursors.mu.Lock()
	defer b.cursors.mu.Unlock()
	return b.unpark(ctx, stream, name)
}

// unpark is Unpark with mu held.
func (b *Bus) unpark(ctx context.Context, stream, name string) error {
	entry, parked := b.cursors.parked[stream][name]
	if !parked {
		return nil
	}
	of, err := b.consumer.Stream(ctx, stream)
	if err != nil {
		return err
	}
	config, err := clientConfig(entry.Config)
	if err != nil {
		return err
	}
	next, found, err := selects(ctx, of, config, entry.Floor+1)
	if err != nil {
		return fmt.Errorf("consumer %s of %s: %w", name, stream, err)
	}
	if !found {
		next = max(entry.Floor, of.CachedInfo().State.LastSeq) + 1
	}
	b.cursors.progressOf(stream, name).restore(entry.Settled, entry.Last)
	err = b.create(ctx, of, startingAt(entry.Config, next))
	if err != nil && !errors.Is(err, jetstream.ErrConsumerExists) { // the answer may have been lost
		return fmt.Errorf("consumer %s of %s: %w", name, stream, err)
	}
	delete(b.cursors.parked[stream], name)
	return nil
}

// RemoveConsumer deletes a durable, parked or not, with all that is remembered of
// it. One that is gone already is no error. Until Sync has returned, a crash may
// bring it back.
func (b *Bus) RemoveConsumer(ctx context.Context, stream, name string) error {
	if b.cursors != nil {
		b.cursors.mu.Lock() // nothing unparks it meanwhile, and no checkpoint remembers it anew
		defer b.cursors.mu.Unlock()
		delete(b.cursors.parked[stream], name)
	}
	err := b.consumer.DeleteConsumer(ctx, stream, name)
	if err != nil && !errors.Is(err, jetstream.ErrConsumerNotFound) {
		return fmt.Errorf("delete consumer %s of %s: %w", name, stream, err)
	}
	if b.cursors != nil {
		b.cursors.forget(stream, name)
	}
	return nil
}

// Waits reports whether an event waits for a durable that is parked.
func (b *Bus) Waits(ctx context.Context, stream, name string) (bool, error) {
	if b.cursors == nil {
		return false, nil
	}
	b.cursors.mu.Lock()
	entry, parked := b.cursors.parked[stream][name]
	b.cursors.mu.Unlock()
	if !parked {
		return false, nil
	}
	of, err := b.consumer.Stream(ctx, stream)
	if err != nil {
		return false, err
	}
	if of.CachedInfo().State.LastSeq <= entry.Floor {
		return false, nil
	}
	config, err := clientConfig(entry.Config)
	if err != nil {
		return false, err
	}
	_, found, err := selects(ctx, of, config, entry.Floor+1)
	return found, err
}

// parkedInfos are what the server would say of those that are parked, as far as
// the trimmer needs it.
func (b *Bus) parkedInfos(stream string) (all []*jetstream.ConsumerInfo) {
	if b.cursors == nil {
		return nil
	}
	b.cursors.mu.Lock()
	defer b.cursors.mu.Unlock()
	for name, entry := range b.cursors.parked[stream] {
		all = append(all, &jetstream.ConsumerInfo{Stream: stream, Name: name,
			AckFloor: jetstream.SequenceInfo{Stream: entry.Floor},
			Config:   jetstream.ConsumerConfig{Durable: name, FilterSubject: entry.Config.FilterSubject, FilterSubjects: entry.Config.FilterSubjects}})
	}
	return all
}

// park keeps a durable with mu held.
func (c *cursors) park(stream, name string, entry cursor) {
	if c.parked[stream] == nil {
		c.parked[stream] = make(map[string]cursor)
	}
	c.parked[stream][name] = entry
}

// selects returns the first event from a sequence on that a consumer selects.
func selects(ctx context.Context, stream jetstream.Stream, config jetstream.ConsumerConfig, from uint64) (first uint64, found bool, err error) {
	filters := config.FilterSubjects
	if len(filters) == 0 {
		filters = []string{config.FilterSubject}
	}
	for _, filter := range filters {
		if filter == "" {
			filter = ">"
		}
		m, err := stream.GetMsg(ctx, from, jetstream.WithGetMsgSubject(filter))
		if errors.Is(err, jetstream.ErrMsgNotFound) {
			continue
		}
		if err != nil {
			return 0, false, err
		}
		if !found || m.Sequence < first {
			first, found = m.Sequence, true
		}
	}
	return first, found, nil
}

// serverConfig is the inverse of clientConfig.
func serverConfig(config jetstream.ConsumerConfig) (*server.ConsumerConfig, error) {
	data, err := json.Marshal(config)
	if err != nil {
		return nil, err
	}
	own := new(server.ConsumerConfig)
	return own, json.Unmarshal(data, own)
}

// clientConfig is the server's own definition as a client writes it: the two
// are the same in JSON.
func clientConfig(config *server.ConsumerConfig) (same jetstream.ConsumerConfig, err error) {
	data, err := json.Marshal(config)
	if err != nil {
		return same, err
	}
	err = json.Unmarshal(data, &same)
	return same, err
}
