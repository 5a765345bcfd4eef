package bus

import (
	"context"
	"os"
	"time"
)

// retriesPause is how soon a change of the stream of retries is flushed.
const retriesPause = 100 * time.Millisecond

// keepRetries flushes the stream of retries whenever it has changed, until ctx
// ends. When a retry falls due the server stores it as due, then removes the
// message that waited, and with it perhaps a file, and flushes neither: a
// removal that reached the disk alone would lose the retry. This keeps the time
// in which it can short.
func (b *barrier) keepRetries(ctx context.Context) {
	ticker := time.NewTicker(retriesPause)
	defer ticker.Stop()
	retries := b.newBlocks(Retry)
	var flushed traces
	for {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
		now, err := retries.traces()
		if err != nil || now == flushed {
			continue // what is wrong fails the next Put, and the health
		}
		if b.wait(ctx, Retry) == nil && time.Since(now.names) > coarse {
			flushed = now // else a file put in place of another since would not show
		}
	}
}

// traces tell whether a stream's files have changed.
type traces struct {
	names, newest time.Time // when the directory and the newest block last changed
	size          int64     // of the newest block
}

// traces looks at the files as they are now. It must not be called beside flush.
func (b *blocks) traces() (traces, error) {
	about, err := os.Stat(b.dir)
	if err != nil {
		return traces{}, err
	}
	names := about.ModTime()
	stale, err := b.stale()
	if err != nil {
		return traces{}, err
	}
	if stale {
		files, err := b.files()
		if err != nil {
			return traces{}, err
		}
		b.last, b.changed = newest(files), names
	}
	if about, err = os.Stat(b.path(b.last)); err != nil {
		return traces{}, err
	}
	return traces{names, about.ModTime(), about.Size()}, nil
}
