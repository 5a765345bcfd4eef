//go:build linux

package disk

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/hanwen/go-fuse/v2/fuse"
)

// Disk is a mounted file system. It is safe for concurrent use.
type Disk struct {
	dir   string
	space *space

	flushDelay atomic.Int64 // nanoseconds
	flushError atomic.Int64 // a syscall.Errno

	mu     sync.Mutex
	server *fuse.Server
	tree   *tree
}

// Mount mounts an empty file system at dir, an existing directory, with room
// for capacity bytes of data.
func Mount(dir string, capacity int64) (*Disk, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	if _, err := os.Stat(dir); err != nil {
		return nil, fmt.Errorf("mount a file system: %w", err)
	}
	space := &space{capacity: capacity}
	d := &Disk{dir: dir, space: space, tree: newTree(space)}
	if err := d.mount(); err != nil {
		return nil, errors.Join(err, d.Close())
	}
	return d, nil
}

// Cut is a power cut: it unmounts, forgets what was not flushed as loss says,
// and mounts what is left, which counts as flushed, at the same directory. No
// process may have files of the disk open. Only LoseSome uses rng.
func (d *Disk) Cut(loss Loss, rng *rand.Rand) error {
	if err := loss.check(); err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.unmount(); err != nil {
		return err
	}
	d.tree = d.tree.cut(loss, rng)
	return d.mount()
}

// SetFlushDelay sets how long every flush takes. Flushes overlap. What is
// written while a flush is under way is not flushed by it. Only names of a
// directory that is being flushed have to wait, for the kernel locks it.
func (d *Disk) SetFlushDelay(delay time.Duration) { d.flushDelay.Store(int64(delay)) }

// SetFlushError has every flush fail, with EIO unless err is another
// syscall.Errno; nil ends it. A failed flush flushes nothing, and as on Linux a
// later one of the same file that succeeds does not flush what the failed one
// should have: those writes are lost at the next power cut.
func (d *Disk) SetFlushError(err error) {
	var number syscall.Errno
	if err != nil && !errors.As(err, &number) {
		number = syscall.EIO
	}
	d.flushError.Store(int64(number))
}

// SetCapacity sets the room for data in bytes. A write beyond it stores what
// there is room for, and fails with ENOSPC where there is none.
func (d *Disk) SetCapacity(bytes int64) { d.space.resize(bytes) }

// Used returns how many bytes of data the files have, those included that have
// no name any more but are open.
func (d *Disk) Used() int64 {
	used, _ := d.space.numbers()
	return used
}

// Close unmounts. No process may have files of the disk open.
func (d *Disk) Close() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.unmount()
}

// flush waits as long as a flush takes and returns how it ended.
func (d *Disk) flush() fuse.Status {
	time.Sleep(time.Duration(d.flushDelay.Load()))
	return fuse.Status(d.flushError.Load())
}

func (d *Disk) mount() error {
	files := &fileSystem{RawFileSystem: fuse.NewDefaultRawFileSystem(), tree: d.tree, flush: d.flush}
	server, err := fuse.NewServer(files, d.dir, &fuse.MountOptions{
		FsName:             "torture",
		Name:               "torture",
		DirectMount:        true, // before fusermount
		DisableXAttrs:      true,
		DisableReadDirPlus: true,
	})
	if err != nil {
		return fmt.Errorf("mount a file system at %s: be root, or install fusermount (package fuse3), and have /dev/fuse: %w", d.dir, err)
	}
	go server.Serve()
	if err := server.WaitMount(); err != nil {
		return errors.Join(fmt.Errorf("mount a file system at %s: %w", d.dir, err), server.Unmount())
	}
	d.server = server
	return keepFromChildren()
}

func (d *Disk) unmount() error {
	if d.server == nil {
		return nil
	}
	if err := d.server.Unmount(); err != nil {
		return fmt.Errorf("unmount %s: end the processes that use it: %w", d.dir, err)
	}
	d.server.Wait()
	d.server = nil
	return nil
}

// keepFromChildren has no process that is started from now on inherit the
// connections to the kernel, which the library leaves open to them: while one
// of them lived, a process that uses the disk would wait for a server that is
// gone.
func keepFromChildren() error {
	const fds = "/proc/self/fd"
	entries, err := os.ReadDir(fds)
	if err != nil {
		return err
	}
	for _, entry := range entries {
		fd, err := strconv.Atoi(entry.Name())
		if err != nil {
			continue
		}
		if target, _ := os.Readlink(filepath.Join(fds, entry.Name())); target == "/dev/fuse" {
			syscall.CloseOnExec(fd)
		}
	}
	return nil
}
