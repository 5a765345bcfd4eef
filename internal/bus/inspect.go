package bus

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"golang.org/x/sys/unix"

	"github.com/jethook/jethook/internal/event"
)

// ErrInUse says that another process has the store directory.
var ErrInUse = errors.New("in use by another process")

func inUse(dir string) error {
	return fmt.Errorf("nats.embedded.store_dir %s is %w: stop it, or give this one a directory of its own", dir, ErrInUse)
}

// inspectTimeout is how long an external bus has to answer.
const inspectTimeout = 5 * time.Second

// Inspect finds out whether Open would succeed, and changes nothing. The errors
// say what to do; that of a store directory which another process has wraps
// ErrInUse, and that of an external bus which does not answer event.ErrUnavailable.
// What is merely less than it could be goes to the logger, as at a start. A process
// that starts at this very moment may find its store directory in use.
func Inspect(ctx context.Context, config Config) []Check {
	if config.Embedded != nil {
		return inspectStore(config)
	}
	ctx, cancel := context.WithTimeout(ctx, inspectTimeout)
	defer cancel()
	check := Check{Name: "bus"}
	check.Note, check.Err = inspectExternal(ctx, config)
	return []Check{check}
}

func inspectStore(config Config) []Check {
	dir := config.Embedded.StoreDir
	store, room := Check{Name: "store"}, Check{Name: "space"}
	store.Note, store.Err = inspectDirectory(dir)
	checks := []Check{store}
	nearest := existing(dir)
	v, err := volumeOf(nearest)
	if err != nil {
		return checks // not known on this system
	}
	if v.free < v.reserve() {
		room.Err = fmt.Errorf("only %s are free on the volume of %s, where there must be %s: make room there, or give nats.embedded.store_dir another volume",
			mebibytes(v.free), nearest, mebibytes(v.reserve()))
	} else {
		room.Note = mebibytes(v.free) + " free"
		s := &space{dir: dir, logger: config.Logger, last: v}
		s.warn(int64(len(event.Envs()))*config.Stream.MaxBytes, sizeOf(dir))
	}
	return append(checks, room)
}

// existing is dir, or the nearest directory above that is there.
func existing(dir string) string {
	dir = filepath.Clean(dir)
	for {
		_, err := os.Stat(dir)
		above := filepath.Dir(dir)
		if !errors.Is(err, fs.ErrNotExist) || above == dir {
			return dir
		}
		dir = above
	}
}

// sizeOf is what the files below dir hold, as far as they can be seen.
func sizeOf(dir string) (size int64) {
	_ = filepath.WalkDir(dir, func(_ string, entry fs.DirEntry, err error) error {
		if err != nil {
			return nil // it went away, or there is none
		}
		if about, err := entry.Info(); err == nil && about.Mode().IsRegular() {
			size += about.Size()
		}
		return nil
	})
	return size
}

func inspectDirectory(dir string) (note string, err error) {
	nearest := existing(dir)
	about, err := os.Stat(nearest)
	switch {
	case err != nil:
		return "", fmt.Errorf("nats.embedded.store_dir: %w: let the user that runs jethook reach it", err)
	case !about.IsDir():
		return "", fmt.Errorf("nats.embedded.store_dir %s: %s is not a directory: name another", dir, nearest)
	case unix.Access(nearest, unix.W_OK|unix.X_OK) != nil:
		return "", fmt.Errorf("nats.embedded.store_dir %s: this user may not write to %s: run this as the user that runs jethook, or give that user the directory", dir, nearest)
	case nearest != filepath.Clean(dir):
		return dir + " is made at the first start", nil
	}
	lock, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_RDWR, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return dir, nil
	}
	if err != nil {
		return "", fmt.Errorf("nats.embedded.store_dir: %w", err)
	}
	defer func() { _ = lock.Close() }() // which releases it
	if lockFile(lock) != nil {
		return "", inUse(dir)
	}
	return dir, nil
}

// inspectExternal asks what is asked at a start.
func inspectExternal(ctx context.Context, config Config) (note string, err error) {
	b := &Bus{config: config, closed: make(chan struct{})}
	defer b.disconnect()
	if err := b.connect(ctx); err != nil {
		if ctx.Err() != nil {
			return "", fmt.Errorf("%w: %w: start the servers, or correct nats.url or nats.context", event.ErrUnavailable, err)
		}
		return "", err
	}
	if err := b.checkServer(); err != nil {
		return "", err
	}
	note = "NATS " + b.publishing.ConnectedServerVersion()
	_, err = b.consumer.Stream(ctx, StreamName(event.Prod))
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		return note + "; the streams are made at the first start", nil
	}
	if err != nil {
		return "", fmt.Errorf("open stream %s: %w: give the user the permissions of deploy/nats", StreamName(event.Prod), explain(err))
	}
	return note, b.checkAccount(ctx)
}
