//go:build linux

package disk

import (
	"slices"
	"syscall"

	"github.com/hanwen/go-fuse/v2/fuse"
)

// Open opens a file past the kernel's cache: its reads and writes come here at
// once, and what they see does not depend on the id by which it was opened.
func (f *fileSystem) Open(_ <-chan struct{}, in *fuse.OpenIn, out *fuse.OpenOut) fuse.Status {
	f.tree.mu.Lock()
	defer f.tree.mu.Unlock()
	n := f.tree.known[in.NodeId].node
	if n.freed {
		return fuse.ENOENT
	}
	n.opens++
	out.OpenFlags = fuse.FOPEN_DIRECT_IO
	return fuse.OK
}

func (f *fileSystem) Release(_ <-chan struct{}, in *fuse.ReleaseIn) {
	f.tree.mu.Lock()
	defer f.tree.mu.Unlock()
	n := f.tree.known[in.NodeId].node
	n.opens--
	f.tree.free(n)
}

func (f *fileSystem) Read(_ <-chan struct{}, in *fuse.ReadIn, buf []byte) (fuse.ReadResult, fuse.Status) {
	return fuse.ReadResultData(f.node(in.NodeId).content.read(int64(in.Offset), len(buf))), fuse.OK
}

// Writev stores bytes, and flushes them where the file was opened so.
func (f *fileSystem) Writev(_ <-chan struct{}, in *fuse.WriteIn, parts [][]byte) (uint32, fuse.Status) {
	n := f.writer(in.NodeId)
	offset := int64(in.Offset)
	if in.Flags&syscall.O_APPEND != 0 {
		offset = atEnd
	}
	written, err := n.content.write(f.tree.space, offset, slices.Concat(parts...))
	if err != nil {
		return 0, fuse.ToStatus(err)
	}
	n.touch()
	if in.Flags&syscall.O_DSYNC != 0 { // a part of O_SYNC
		if status := f.flushFile(n); status != fuse.OK {
			return 0, status
		}
	}
	return uint32(written), fuse.OK
}

func (f *fileSystem) Fsync(_ <-chan struct{}, in *fuse.FsyncIn) fuse.Status {
	return f.flushFile(f.node(in.NodeId))
}

// flushFile flushes what was written before. It does not end at a signal, as
// on a disk, and holds nobody up meanwhile.
func (f *fileSystem) flushFile(n *node) fuse.Status {
	before := n.content.next()
	status := f.flush()
	n.content.flush(before, status == fuse.OK)
	return status
}

func (f *fileSystem) node(id uint64) *node {
	f.tree.mu.Lock()
	defer f.tree.mu.Unlock()
	return f.tree.known[id].node
}

// writer returns the node that is written by an id, and has later lookups of it
// return another. The kernel lets nobody write to an id while it is being
// flushed; a disk does. So who opens a file after somebody else has written to
// it, as who flushes it does, has another id. Locks are the kernel's and belong
// to an id: they work for files that nobody writes to.
func (f *fileSystem) writer(id uint64) *node {
	f.tree.mu.Lock()
	defer f.tree.mu.Unlock()
	n := f.tree.known[id].node
	if n.id == id {
		n.id = 0
	}
	return n
}
