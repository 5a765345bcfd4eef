package bus

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// ErrAhead means that a durable is to go on at an event that it has not had yet,
// which would skip those before it.
var ErrAhead = errors.New("the durable has not come so far")

// Place is where a durable stands.
type Place struct {
	Config jetstream.ConsumerConfig
	// Floor is the sequence up to which everything is acknowledged, and Last that
	// of the newest event that was handed out.
	Floor, Last uint64
}

// Place returns where a durable stands, or ErrNotFound.
func (b *Bus) Place(ctx context.Context, stream, name string) (Place, error) {
	if b.cursors != nil {
		b.cursors.mu.Lock()
		defer b.cursors.mu.Unlock()
		if entry, parked := b.cursors.parked[stream][name]; parked {
			config, err := clientConfig(entry.Config)
			return Place{Config: config, Floor: entry.Floor, Last: entry.Floor}, err
		}
	}
	found, err := b.consumer.Consumer(ctx, stream, name)
	if errors.Is(err, jetstream.ErrConsumerNotFound) {
		return Place{}, ErrNotFound
	}
	if err != nil {
		return Place{}, fmt.Errorf("consumer %s of %s: %w", name, stream, err)
	}
	info := found.CachedInfo()
	return Place{Config: info.Config, Floor: info.AckFloor.Stream, Last: info.Delivered.Stream}, nil
}

// Rewind has a durable go on at the sequence to, and hand out again what it selects
// from there on. Its clients go on, or find it deleted and there again. It is
// kept when Rewind has returned nil; a process that dies meanwhile leaves the
// durable where it was or where it was to be. ErrAhead and ErrNotFound change
// nothing.
func (b *Bus) Rewind(ctx context.Context, stream, name string, to uint64) error {
	of, err := b.consumer.Stream(ctx, stream)
	if err != nil {
		return fmt.Errorf("open stream %s: %w", stream, err)
	}
	if b.cursors == nil {
		err = b.moveBack(ctx, of, name, to, b.moveShared)
	} else {
		err = b.rewindKept(ctx, of, name, to)
	}
	if err != nil {
		return fmt.Errorf("rewind consumer %s of %s: %w", name, stream, err)
	}
	return b.Sync()
}

// rewindKept holds the checkpoint back until the durable is where it shall be, so
// that no file is written in which it is missing.
func (b *Bus) rewindKept(ctx context.Context, of jetstream.Stream, name string, to uint64) error {
	stream := of.CachedInfo().Config.Name
	b.cursors.mu.Lock()
	defer b.cursors.mu.Unlock()
	if entry, parked := b.cursors.parked[stream][name]; parked {
		if err := behind(entry.Floor, to); err != nil {
			return err
		}
		entry.Floor, entry.Settled, entry.Last = to-1, nil, nil
		b.cursors.park(stream, name, entry)
		return b.unpark(ctx, stream, name)
	}
	progress, last := b.cursors.progressOf(stream, name), of.CachedInfo().State.LastSeq
	return b.moveBack(ctx, of, name, to, func(ctx context.Context, of jetstream.Stream, config jetstream.ConsumerConfig, to uint64) error {
		progress.rewind(last) // nothing that comes again is taken for settled
		err := b.moveOwn(ctx, of, config, to)
		progress.rewind(last) // nor what was settled just before
		return err
	})
}

// behind checks that a durable with that floor skips nothing where it goes on at a
// sequence.
func behind(floor, to uint64) error {
	if to == 0 || to > floor+1 {
		return ErrAhead
	}
	return nil
}

// moveBack checks that a durable the server knows is moved back, and not on.
func (b *Bus) moveBack(ctx context.Context, of jetstream.Stream, name string, to uint64,
	move func(context.Context, jetstream.Stream, jetstream.ConsumerConfig, uint64) error,
) error {
	found, err := of.Consumer(ctx, name)
	if errors.Is(err, jetstream.ErrConsumerNotFound) {
		return ErrNotFound
	}
	if err != nil {
		return err
	}
	if err := behind(found.CachedInfo().AckFloor.Stream, to); err != nil {
		return err
	}
	return move(ctx, of, found.CachedInfo().Config, to)
}

func (b *Bus) moveOwn(ctx context.Context, of jetstream.Stream, config jetstream.ConsumerConfig, to uint64) error {
	own, err := serverConfig(config)
	if err != nil {
		return err
	}
	return b.move(ctx, of, config.Durable, own, to)
}

// placeholderPrefix begins the name of a durable that says where another begins
// again. No endpoint's name has the sign in it.
const placeholderPrefix = "rewind="

// moveShared moves a durable that replicas share. The server moves none to before
// its beginning: such a one is deleted and made anew. In between, a placeholder says
// where it begins, which Placeholder finds, and keeps the events from being
// trimmed.
func (b *Bus) moveShared(ctx context.Context, of jetstream.Stream, config jetstream.ConsumerConfig, to uint64) error {
	ctx, cancel := context.WithTimeout(ctx, restoreTimeout)
	defer cancel()
	_, err := of.ResetConsumerToSequence(ctx, config.Durable, to)
	if !errors.Is(err, jetstream.ErrConsumerInvalidReset) {
		return err
	}
	placeholder := PlaceholderName(config.Durable)
	if err := ignoreAbsent(of.DeleteConsumer(ctx, placeholder)); err != nil { // of a process that died
		return err
	}
	config.DeliverPolicy, config.OptStartSeq, config.OptStartTime = jetstream.DeliverByStartSequencePolicy, to, nil
	held := config
	held.Durable, held.Name, held.Metadata = placeholder, "", nil
	if _, err := of.CreateConsumer(ctx, held); err != nil {
		return err
	}
	if err := ignoreAbsent(of.DeleteConsumer(ctx, config.Durable)); err != nil {
		return err
	}
	if _, err := of.CreateConsumer(ctx, config); err != nil && !errors.Is(err, jetstream.ErrConsumerExists) { // a replica was first
		return err
	}
	return ignoreAbsent(of.DeleteConsumer(ctx, placeholder))
}

// PlaceholderName returns the name of a durable's placeholder.
func PlaceholderName(name string) string { return placeholderPrefix + name }

// Placeholder returns the sequence at which a durable is to be made that is
// missing because whoever rewound it died meanwhile; 0 where that is not so.
func (b *Bus) Placeholder(ctx context.Context, of jetstream.Stream, name string) (uint64, error) {
	if b.cursors != nil {
		return 0, nil
	}
	found, err := of.Consumer(ctx, PlaceholderName(name))
	if errors.Is(err, jetstream.ErrConsumerNotFound) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	return found.CachedInfo().Config.OptStartSeq, nil
}

// DropPlaceholder removes the placeholder of a durable, if it has one that is older
// than a rewinding takes.
func (b *Bus) DropPlaceholder(ctx context.Context, of jetstream.Stream, name string) error {
	found, err := of.Consumer(ctx, PlaceholderName(name))
	if err == nil && time.Since(found.CachedInfo().Created) > restoreTimeout {
		err = of.DeleteConsumer(ctx, PlaceholderName(name))
	}
	return ignoreAbsent(err)
}

func ignoreAbsent(err error) error {
	if errors.Is(err, jetstream.ErrConsumerNotFound) {
		return nil
	}
	return err
}
