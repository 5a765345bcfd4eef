package bus

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"
)

// barrier makes acknowledged messages durable. The server writes a message to
// its stream's newest block file before it acknowledges it, but flushes that
// file only every two minutes; the barrier flushes it, once for everybody who
// is waiting: a flush serves each waiter that came before it began. One flush
// runs at a time, since two or three in flight were slower.
type barrier struct {
	streams string // the directory of the server's streams
	wake    chan struct{}
	quit    chan struct{}
	stopped chan struct{}

	mu     sync.Mutex
	next   *round
	failed error

	blocks map[string]*blocks // of the flushing goroutine alone
}

// round is one flush to come and those who wait for it.
type round struct {
	streams []string
	done    chan struct{}
	err     error
}

// errClosed is returned to those who wait while the bus is closed.
var errClosed = errors.New("the bus is closed")

func newBarrier(storeDir string) (*barrier, error) {
	b := &barrier{
		streams: filepath.Join(storeDir, "jetstream", "$G", "streams"),
		wake:    make(chan struct{}, 1),
		quit:    make(chan struct{}),
		stopped: make(chan struct{}),
		next:    &round{done: make(chan struct{})},
		blocks:  make(map[string]*blocks),
	}
	if err := b.syncTree(); err != nil {
		return nil, err
	}
	go b.run()
	return b, nil
}

// wait returns when everything that was in the stream before the call is on
// the disk. After a flush has failed it fails until the process is started
// again: the kernel forgets what it could not write, so that a later flush
// would succeed without it.
func (b *barrier) wait(ctx context.Context, stream string) error {
	b.mu.Lock()
	if err := b.failed; err != nil {
		b.mu.Unlock()
		return err
	}
	r := b.next
	if !slices.Contains(r.streams, stream) {
		r.streams = append(r.streams, stream)
	}
	b.mu.Unlock()
	select {
	case b.wake <- struct{}{}:
	default:
	}
	select {
	case <-r.done:
		return r.err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// err returns why the barrier has failed, or nil.
func (b *barrier) err() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.failed
}

func (b *barrier) close() {
	close(b.quit)
	<-b.stopped
}

func (b *barrier) run() {
	defer close(b.stopped)
	for {
		select {
		case <-b.wake:
			r := b.take()
			err := b.err() // of a flush during which these came
			if err == nil {
				err = b.flush(r.streams)
			}
			b.finish(r, err)
		case <-b.quit:
			b.fail(errClosed)
			b.finish(b.take(), errClosed)
			return
		}
	}
}

// take begins a round: who comes now waits for the next.
func (b *barrier) take() *round {
	b.mu.Lock()
	defer b.mu.Unlock()
	r := b.next
	b.next = &round{done: make(chan struct{})}
	return r
}

func (b *barrier) finish(r *round, err error) {
	if err != nil {
		b.fail(err)
	}
	r.err = err
	close(r.done)
}

// fail has every later wait fail at once.
func (b *barrier) fail(err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.failed = err
}

func (b *barrier) flush(streams []string) error {
	for _, stream := range streams {
		newest := b.blocks[stream]
		if newest == nil {
			newest = newBlocks(filepath.Join(b.streams, stream, "msgs"))
			b.blocks[stream] = newest
		}
		if err := newest.flush(); err != nil {
			return fmt.Errorf("the disk did not take stream %s; free or replace it and start again: %w", stream, err)
		}
	}
	return nil
}

// syncTree flushes the definitions of streams and consumers, which the server
// writes without flushing, and every block file.
func (b *barrier) syncTree() error {
	return filepath.WalkDir(filepath.Dir(b.streams), func(path string, entry fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil // the server replaces files as it runs
		}
		if err != nil {
			return err
		}
		if err := syncPath(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("flush the store directory: %w", err)
		}
		return nil
	})
}

func syncPath(path string) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(file.Sync(), file.Close())
}
