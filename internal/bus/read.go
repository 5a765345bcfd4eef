package bus

import (
	"context"
	"errors"
	"fmt"
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

// errEnough ends a reading whose visitor needs no more.
var errEnough = errors.New("read enough")

// read visits the messages of a stream from a sequence on until nothing is left
// or visit returns errEnough, and returns where to go on. It does not end at
// what was last when it began: a message that moves to the end while it is read,
// as a pointer does that falls due, is then seen at one of its places. A work
// queue admits no consumer for reading, so each message is asked for, several at
// a time, so that a busy stream does not grow faster than it is read.
func (t *trimmer) read(ctx context.Context, name string, from uint64, visit func(*jetstream.RawStreamMsg) error) (next uint64, err error) {
	var mu sync.Mutex
	one := func(m *jetstream.RawStreamMsg) error {
		mu.Lock()
		defer mu.Unlock()
		return visit(m)
	}
	for {
		stream, err := t.leader(ctx, name)
		if err != nil {
			return from, err
		}
		state := stream.CachedInfo().State
		end := state.LastSeq + 1
		if from = max(from, state.FirstSeq, 1); from >= end {
			return from, nil
		}
		group, reading := errgroup.WithContext(ctx)
		for share := (end-from)/readers + 1; from < end; from = min(from+share, end) {
			begin, before := from, min(from+share, end)
			group.Go(func() error { return walk(reading, stream, begin, before, one) })
		}
		if err := group.Wait(); errors.Is(err, errEnough) {
			return from, nil
		} else if err != nil {
			return from, fmt.Errorf("read stream %s: %w", name, err)
		}
	}
}

// walk visits the messages from a sequence on that are before another.
func walk(ctx context.Context, stream jetstream.Stream, from, before uint64, visit func(*jetstream.RawStreamMsg) error) error {
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
		if err := visit(m); err != nil {
			return err
		}
		from = m.Sequence + 1
	}
	return nil
}
