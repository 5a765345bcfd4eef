package bus

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// barrier makes acknowledged messages durable. The server writes a message to
// its stream's newest block file before it acknowledges it, but flushes that
// file only every two minutes; the barrier flushes it, once for everybody who
// is waiting: a flush serves each waiter that came before it began. One flush
// runs at a time, since two or three in flight were slower.
type barrier struct {
	store   string // the directory of the server
	streams string // that of its streams
	wake    chan struct{}
	quit    chan struct{}
	stopped chan struct{}

	// coming counts the publishes under way, which will wait when they are
	// acknowledged.
	coming atomic.Int64

	mu     sync.Mutex
	next   *round
	failed error
	left   *failure // for the next start; nil before a flush has failed

	// of the flushing goroutine alone
	blocks map[string]*blocks
	took   time.Duration // by the last flush
	began  time.Time     // when the last one that succeeded did
}

// round is one flush to come and those who wait for it.
type round struct {
	streams []string
	waiting int
	wanted  int           // how many shall wait before the flush begins; 0 before that is known
	full    chan struct{} // closed when they do
	done    chan struct{}
	err     error
}

func newRound() *round {
	return &round{full: make(chan struct{}), done: make(chan struct{})}
}

// A flush costs the same for one as for many, most of all processor time. So it
// is held back for the publishes that are under way already, but not longer
// than gatherFlushes flushes take, and not longer than maxGather. Whoever
// publishes alone never waits for this.
const (
	gatherFlushes = 3
	maxGather     = 4 * time.Millisecond
)

// errClosed is returned to those who wait while the bus is closed.
var errClosed = errors.New("the bus is closed")

func newBarrier(storeDir string) (*barrier, error) {
	b := &barrier{
		store:   storeDir,
		streams: streamsDir(storeDir),
		wake:    make(chan struct{}, 1),
		quit:    make(chan struct{}),
		stopped: make(chan struct{}),
		next:    newRound(),
		blocks:  make(map[string]*blocks),
		began:   time.Now(),
	}
	if err := errors.Join(b.syncAll(), syncAbove(storeDir)); err != nil {
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
	if r.waiting++; r.waiting == r.wanted {
		close(r.full)
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
			b.gather()
			r := b.take()
			err := b.err() // of a flush during which these came
			if err == nil {
				err = b.flushRound(r)
			}
			b.finish(r, err)
		case <-b.quit:
			b.fail(errClosed)
			b.finish(b.take(), errClosed)
			return
		}
	}
}

// flushRound leaves word of a failure for the next start.
func (b *barrier) flushRound(r *round) error {
	began := time.Now()
	err := b.flush(r.streams)
	b.took = time.Since(began)
	if err != nil {
		return errors.Join(err, b.leave(failure{Boot: bootID(), Since: b.began}))
	}
	b.began = began
	return nil
}

// leave records a failure. Of two at one time, as where Sync is called on a disk
// that fails, the one that reaches further back stays.
func (b *barrier) leave(f failure) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.left != nil && !f.Since.Before(b.left.Since) {
		return nil
	}
	b.left = &f
	return f.record(b.store)
}

// syncAll is syncTree, and fails the barrier where that fails. What has not
// reached the disk may be of any age.
func (b *barrier) syncAll() error {
	err := b.syncTree()
	if err != nil {
		err = errors.Join(err, b.leave(failure{Boot: bootID()}))
		b.fail(err)
	}
	return err
}

// gather waits for the publishes under way to join the next round.
func (b *barrier) gather() {
	coming := int(b.coming.Load())
	if coming == 0 {
		return
	}
	b.mu.Lock()
	r := b.next
	r.wanted = r.waiting + coming
	b.mu.Unlock()
	timer := time.NewTimer(min(gatherFlushes*b.took, maxGather))
	defer timer.Stop()
	select {
	case <-r.full:
	case <-timer.C:
	}
}

// take begins a round: who comes now waits for the next.
func (b *barrier) take() *round {
	b.mu.Lock()
	defer b.mu.Unlock()
	r := b.next
	b.next = newRound()
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
			newest = b.newBlocks(stream)
			b.blocks[stream] = newest
		}
		if err := newest.flush(); err != nil {
			return fmt.Errorf("the disk did not take stream %s; free or replace it and start again: %w", stream, err)
		}
	}
	return nil
}

func (b *barrier) newBlocks(stream string) *blocks {
	of := newBlocks(filepath.Join(b.streams, stream, "msgs"))
	of.queue = stream == Retry || strings.HasPrefix(stream, bucketStream) // a bucket removes what was replaced, anywhere
	return of
}

// syncTree flushes the definitions of streams and consumers, which the server
// writes without flushing, every block file, and the names of the directories
// on the way there. What else there is in the store directory is not ours, such
// as lost+found where it is a volume of its own.
func (b *barrier) syncTree() error {
	err := filepath.WalkDir(serverDir(b.store), func(path string, entry fs.DirEntry, err error) error {
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
	return errors.Join(err, syncPath(b.store))
}

// serverDir is all that the server makes in the store directory.
func serverDir(storeDir string) string { return filepath.Join(storeDir, "jetstream") }

// syncAbove flushes the names of a directory and of those above it, which may
// have been made just now. Those that are not ours to open are not ours either.
func syncAbove(dir string) error {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return err
	}
	for parent := filepath.Dir(dir); parent != dir; dir, parent = parent, filepath.Dir(parent) {
		if err := syncPath(parent); err != nil && !errors.Is(err, fs.ErrPermission) {
			return fmt.Errorf("flush the directories above the store: %w", err)
		}
	}
	return nil
}

func syncPath(path string) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(file.Sync(), file.Close())
}
