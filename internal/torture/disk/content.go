//go:build linux

package disk

import (
	"slices"
	"sync"
	"syscall"
)

// maxUnflushed is how many bytes of a file may wait for a flush. Beyond it all
// are flushed, as a kernel writes back when much is dirty.
const maxUnflushed = 64 << 20

// content is what a file holds.
type content struct {
	mu      sync.Mutex
	live    []byte  // what a read sees
	flushed []byte  // what the disk is sure to have
	log     []write // made since, oldest first
	first   int     // the number of log[0]; a file's writes are numbered
	pending int     // bytes in log
}

// write is one change of a file: bytes at an offset, or a new size.
type write struct {
	offset int64
	data   []byte // nil: offset is the new size
}

// apply returns bytes after the write.
func (w write) apply(bytes []byte) []byte {
	if w.data == nil {
		return resize(bytes, w.offset)
	}
	if end := w.offset + int64(len(w.data)); end > int64(len(bytes)) {
		bytes = resize(bytes, end)
	}
	copy(bytes[w.offset:], w.data)
	return bytes
}

// resize cuts bytes, or lengthens them with zeros.
func resize(bytes []byte, size int64) []byte {
	if size <= int64(len(bytes)) {
		return bytes[:size]
	}
	old := len(bytes)
	bytes = slices.Grow(bytes, int(size)-old)[:size]
	clear(bytes[old:])
	return bytes
}

func (c *content) size() int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return int64(len(c.live))
}

// read returns a copy of up to n bytes at an offset.
func (c *content) read(offset int64, n int) []byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	if offset >= int64(len(c.live)) {
		return nil
	}
	rest := c.live[offset:]
	return slices.Clone(rest[:min(n, len(rest))])
}

// atEnd is the offset of a write that appends.
const atEnd = -1

// write stores data, which it keeps, at an offset, and returns how many bytes
// there was room for.
func (c *content) write(space *space, offset int64, data []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(data) == 0 {
		return 0, nil
	}
	size := int64(len(c.live))
	if offset == atEnd {
		offset = size
	}
	if growth := offset + int64(len(data)) - size; growth > 0 {
		missing := growth - space.take(growth)
		if missing >= int64(len(data)) {
			space.add(missing - growth)
			return 0, syscall.ENOSPC
		}
		data = data[:int64(len(data))-missing]
	}
	c.add(write{offset, data})
	return len(data), nil
}

func (c *content) truncate(space *space, size int64) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	growth := size - int64(len(c.live))
	if growth > 0 {
		if got := space.take(growth); got < growth {
			space.add(-got)
			return syscall.ENOSPC
		}
	} else {
		space.add(growth)
	}
	c.add(write{offset: size})
	return nil
}

func (c *content) add(w write) {
	c.live = w.apply(c.live)
	c.log = append(c.log, w)
	if c.pending += len(w.data); c.pending > maxUnflushed {
		c.settle(c.first+len(c.log), true)
	}
}

// next returns the number of the next write.
func (c *content) next() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.first + len(c.log)
}

// flush makes the writes before a number sure, or, if the flush failed, lost
// at a power cut for good: a kernel takes what it could not write for written,
// and the next flush succeeds without it.
func (c *content) flush(before int, succeeded bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.settle(before, succeeded)
}

func (c *content) settle(before int, succeeded bool) {
	n := before - c.first
	if n <= 0 {
		return // another flush was faster
	}
	for _, w := range c.log[:n] {
		c.pending -= len(w.data)
		if succeeded {
			c.flushed = w.apply(c.flushed)
		}
	}
	c.log = slices.Delete(c.log, 0, n)
	c.first = before
}
