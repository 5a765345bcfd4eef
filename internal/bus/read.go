package bus

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sync"

	"github.com/nats-io/nats.go/jetstream"
	"golang.org/x/sync/errgroup"
)

// readers is how many messages of one stream are asked for at a time.
const readers = 8

// leader opens a stream so that messages come from its leader. The other
// replicas answer as well otherwise, and one that lags would leave out the
// newest.
func (t *trimmer) leader(ctx context.Context, name string) (jetstream.Stream, error) {
	stream, err := t.js.Stream(ctx, name)
	if err != nil {
		return nil, fmt.Errorf("open stream %s: %w", name, err)
	}
	stream.CachedInfo().Config.AllowDirect = false // this client asks accordingly
	return stream, nil
}

// read visits the messages of a stream from a sequence on until nothing is
// left, and returns where to go on. It does not end at what was last when it
// began: a message that moves to the end while it is read, as a pointer does
// that falls due, is then seen at one of its places. A work queue admits no
// consumer for reading, so each message is asked for.
func (t *trimmer) read(ctx context.Context, name string, from uint64, visit func(*jetstream.RawStreamMsg)) (next uint64, err error) {
	stream, err := t.leader(ctx, name)
	if err != nil {
		return 0, err
	}
	state := stream.CachedInfo().State
	from = max(from, state.FirstSeq, 1)
	var mu sync.Mutex
	group, reading := errgroup.WithContext(ctx)
	end := state.LastSeq + 1
	for share := (max(end, from)-from)/readers + 1; from < end; from = min(from+share, end) {
		begin, before := from, min(from+share, end)
		group.Go(func() error {
			return walk(reading, stream, begin, before, func(m *jetstream.RawStreamMsg) {
				mu.Lock()
				defer mu.Unlock()
				visit(m)
			})
		})
	}
	if err := group.Wait(); err != nil {
		return 0, fmt.Errorf("read stream %s: %w", name, err)
	}
	next = from
	err = walk(ctx, stream, from, math.MaxUint64, func(m *jetstream.RawStreamMsg) {
		next = m.Sequence + 1
		visit(m)
	})
	if err != nil {
		return 0, fmt.Errorf("read stream %s: %w", name, err)
	}
	return next, nil
}

// walk visits the messages from a sequence on that are before another.
func walk(ctx context.Context, stream jetstream.Stream, from, before uint64, visit func(*jetstream.RawStreamMsg)) error {
	for from < before {
		m, err := stream.GetMsg(ctx, from, jetstream.WithGetMsgSubject(">"))
		if errors.Is(err, jetstream.ErrMsgNotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		if m.Sequence >= before {
			return nil
		}
		visit(m)
		from = m.Sequence + 1
	}
	return nil
}
