//go:build linux

package disk

import (
	"maps"
	"slices"
	"syscall"
	"time"

	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"
)

// fileSystem answers the kernel. Names and attributes are not cached there:
// every answer is good for no time.
type fileSystem struct {
	fuse.RawFileSystem // ENOSYS for what is missing
	tree               *tree
	flush              func() fuse.Status
}

const blockSize = 4096

func (f *fileSystem) String() string { return "torture" }

func (f *fileSystem) Lookup(_ <-chan struct{}, in *fuse.InHeader, name string, out *fuse.EntryOut) fuse.Status {
	f.tree.mu.Lock()
	defer f.tree.mu.Unlock()
	n := f.tree.child(f.tree.known[in.NodeId].node, name)
	if n == nil {
		return fuse.ENOENT
	}
	f.tree.tell(n, out)
	return fuse.OK
}

// tell tells the kernel of a node.
func (t *tree) tell(n *node, out *fuse.EntryOut) {
	if n.id == 0 {
		t.lastID++
		n.id = t.lastID
		t.known[n.id] = &known{node: n}
	}
	t.known[n.id].lookups++
	out.NodeId = n.id
	n.attributes(&out.Attr)
}

func (f *fileSystem) Forget(id, lookups uint64) {
	f.tree.mu.Lock()
	defer f.tree.mu.Unlock()
	k := f.tree.known[id]
	if k.lookups -= lookups; k.lookups > 0 {
		return
	}
	delete(f.tree.known, id)
	if k.node.id == id {
		k.node.id = 0
	}
}

func (n *node) attributes(out *fuse.Attr) {
	changed := time.Unix(0, n.changed.Load())
	*out = fuse.Attr{Ino: n.ino, Mode: n.mode, Nlink: 1, Blksize: blockSize}
	out.Uid, out.Gid = n.uid, n.gid
	out.SetTimes(&changed, &changed, &changed)
	if n.isDir() {
		out.Nlink = 2
	} else {
		out.Size = uint64(n.content.size())
		out.Blocks = (out.Size + 511) / 512
	}
	if n.at[live].dir == nil && n.ino != fuse.FUSE_ROOT_ID {
		out.Nlink = 0
	}
}

func (f *fileSystem) GetAttr(_ <-chan struct{}, in *fuse.GetAttrIn, out *fuse.AttrOut) fuse.Status {
	f.tree.mu.Lock()
	defer f.tree.mu.Unlock()
	f.tree.known[in.NodeId].node.attributes(&out.Attr)
	return fuse.OK
}

func (f *fileSystem) SetAttr(_ <-chan struct{}, in *fuse.SetAttrIn, out *fuse.AttrOut) fuse.Status {
	f.tree.mu.Lock()
	defer f.tree.mu.Unlock()
	n := f.tree.known[in.NodeId].node
	if size, ok := in.GetSize(); ok {
		if err := n.content.truncate(f.tree.space, int64(size)); err != nil {
			return fuse.ToStatus(err)
		}
		n.touch()
	}
	if mode, ok := in.GetMode(); ok {
		n.mode = n.mode&syscall.S_IFMT | mode&^syscall.S_IFMT
	}
	if uid, ok := in.GetUID(); ok {
		n.uid = uid
	}
	if gid, ok := in.GetGID(); ok {
		n.gid = gid
	}
	if changed, ok := in.GetMTime(); ok {
		n.changed.Store(changed.UnixNano())
	}
	n.attributes(&out.Attr)
	return fuse.OK
}

func (f *fileSystem) Mkdir(_ <-chan struct{}, in *fuse.MkdirIn, name string, out *fuse.EntryOut) fuse.Status {
	f.tree.mu.Lock()
	defer f.tree.mu.Unlock()
	dir := f.tree.known[in.NodeId].node
	if f.tree.child(dir, name) != nil {
		return fuse.Status(syscall.EEXIST)
	}
	f.tree.tell(f.tree.add(place{dir, name}, syscall.S_IFDIR|in.Mode, in.Uid, in.Gid), out)
	return fuse.OK
}

func (f *fileSystem) Create(_ <-chan struct{}, in *fuse.CreateIn, name string, out *fuse.CreateOut) fuse.Status {
	f.tree.mu.Lock()
	defer f.tree.mu.Unlock()
	dir := f.tree.known[in.NodeId].node
	n := f.tree.child(dir, name)
	switch {
	case n == nil:
		n = f.tree.add(place{dir, name}, syscall.S_IFREG|in.Mode&^syscall.S_IFMT, in.Uid, in.Gid)
	case in.Flags&syscall.O_EXCL != 0:
		return fuse.Status(syscall.EEXIST)
	case n.isDir():
		return fuse.Status(syscall.EISDIR)
	}
	n.opens++
	out.OpenFlags = fuse.FOPEN_DIRECT_IO
	f.tree.tell(n, &out.EntryOut)
	return fuse.OK
}

func (f *fileSystem) Unlink(_ <-chan struct{}, in *fuse.InHeader, name string) fuse.Status {
	f.tree.mu.Lock()
	defer f.tree.mu.Unlock()
	n := f.tree.child(f.tree.known[in.NodeId].node, name)
	if n == nil {
		return fuse.ENOENT
	}
	f.tree.move(n, place{})
	return fuse.OK
}

func (f *fileSystem) Rmdir(cancel <-chan struct{}, in *fuse.InHeader, name string) fuse.Status {
	f.tree.mu.Lock()
	defer f.tree.mu.Unlock()
	n := f.tree.child(f.tree.known[in.NodeId].node, name)
	if n == nil {
		return fuse.ENOENT
	}
	if len(n.children[live]) > 0 {
		return fuse.Status(syscall.ENOTEMPTY)
	}
	f.tree.move(n, place{})
	return fuse.OK
}

func (f *fileSystem) Rename(_ <-chan struct{}, in *fuse.RenameIn, from, name string) fuse.Status {
	f.tree.mu.Lock()
	defer f.tree.mu.Unlock()
	to := place{f.tree.known[in.Newdir].node, name}
	n, replaced := f.tree.child(f.tree.known[in.NodeId].node, from), f.tree.child(to.dir, name)
	switch {
	case n == nil:
		return fuse.ENOENT
	case in.Flags&^unix.RENAME_NOREPLACE != 0:
		return fuse.EINVAL
	case replaced == nil:
	case in.Flags != 0:
		return fuse.Status(syscall.EEXIST)
	case replaced == n:
		return fuse.OK
	case replaced.isDir() && !n.isDir():
		return fuse.Status(syscall.EISDIR)
	case n.isDir() && !replaced.isDir():
		return fuse.ENOTDIR
	case len(replaced.children[live]) > 0:
		return fuse.Status(syscall.ENOTEMPTY)
	}
	f.tree.move(n, to)
	return fuse.OK
}

func (f *fileSystem) OpenDir(_ <-chan struct{}, _ *fuse.OpenIn, out *fuse.OpenOut) fuse.Status {
	f.tree.mu.Lock()
	defer f.tree.mu.Unlock()
	f.tree.lastID++
	out.Fh = f.tree.lastID
	return fuse.OK
}

// ReadDir lists a directory as it was when the list began.
func (f *fileSystem) ReadDir(_ <-chan struct{}, in *fuse.ReadIn, out *fuse.DirEntryList) fuse.Status {
	f.tree.mu.Lock()
	defer f.tree.mu.Unlock()
	if in.Offset == 0 {
		f.tree.lists[in.Fh] = f.tree.known[in.NodeId].node.list()
	}
	list := f.tree.lists[in.Fh]
	for _, entry := range list[min(in.Offset, uint64(len(list))):] {
		if !out.AddDirEntry(entry) {
			break
		}
	}
	return fuse.OK
}

func (n *node) list() []fuse.DirEntry {
	var list []fuse.DirEntry
	for _, name := range slices.Sorted(maps.Keys(n.children[live])) {
		child := n.children[live][name]
		list = append(list, fuse.DirEntry{Mode: child.mode, Name: name, Ino: child.ino, Off: uint64(len(list)) + 1})
	}
	return list
}

func (f *fileSystem) ReleaseDir(in *fuse.ReleaseIn) {
	f.tree.mu.Lock()
	defer f.tree.mu.Unlock()
	delete(f.tree.lists, in.Fh)
}

// FsyncDir flushes the names that a directory had before.
func (f *fileSystem) FsyncDir(_ <-chan struct{}, in *fuse.FsyncIn) fuse.Status {
	f.tree.mu.Lock()
	before := f.tree.next
	f.tree.mu.Unlock()
	status := f.flush()
	if status != fuse.OK {
		return status
	}
	f.tree.mu.Lock()
	defer f.tree.mu.Unlock()
	f.tree.flush(f.tree.known[in.NodeId].node, before)
	return fuse.OK
}

func (f *fileSystem) StatFs(_ <-chan struct{}, _ *fuse.InHeader, out *fuse.StatfsOut) fuse.Status {
	used, all := f.tree.space.numbers()
	free := uint64(all-used) / blockSize
	*out = fuse.StatfsOut{
		Blocks: uint64(all) / blockSize, Bfree: free, Bavail: free,
		Files: 1 << 20, Ffree: 1 << 20, Bsize: blockSize, Frsize: blockSize, NameLen: 255,
	}
	return fuse.OK
}
