//go:build linux

package disk

import (
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/hanwen/go-fuse/v2/fuse"
)

// maxUnflushedNames is how many changes of names may wait for a flush. Beyond
// it all are flushed, as a journal is committed.
const maxUnflushedNames = 10_000

// view is one of the two states of the tree.
type view int

const (
	live    view = iota // what programs see
	flushed             // what the disk is sure to have
	views
)

// place is a name in a directory; without a directory, none.
type place struct {
	dir  *node
	name string
}

// node is a file or a directory. All but content and changed belong to the
// tree's lock.
type node struct {
	ino      uint64
	mode     uint32
	uid, gid uint32
	changed  atomic.Int64 // nanoseconds since 1970
	content  content      // of a file

	children [views]map[string]*node // of a directory
	at       [views]place
	id       uint64 // by which the kernel will know it from the next lookup on; 0 where a new one is needed
	opens    int
	freed    bool // its bytes are counted no more
}

func newNode(ino uint64, mode uint32) *node {
	n := &node{ino: ino, mode: mode}
	n.changed.Store(time.Now().UnixNano())
	if n.isDir() {
		n.children = [views]map[string]*node{{}, {}}
	}
	return n
}

func (n *node) isDir() bool { return n.mode&syscall.S_IFMT == syscall.S_IFDIR }

// touch changes the node's time, also where the clock stands still.
func (n *node) touch() {
	for {
		last := n.changed.Load()
		if n.changed.CompareAndSwap(last, max(time.Now().UnixNano(), last+1)) {
			return
		}
	}
}

// move takes the node's name away in a view and gives it another, or none. What
// had that name before is returned, without one. A directory does not move into
// itself, which a power cut may ask for that lost the moves between.
func (n *node) move(v view, to place) (replaced *node) {
	for dir := to.dir; dir != nil; dir = dir.at[v].dir {
		if dir == n {
			return nil
		}
	}
	if from := n.at[v]; from.dir != nil {
		delete(from.dir.children[v], from.name)
	}
	n.at[v] = to
	if to.dir == nil {
		return nil
	}
	if replaced = to.dir.children[v][to.name]; replaced != nil {
		replaced.at[v] = place{}
	}
	to.dir.children[v][to.name] = n
	return replaced
}

// change is one change of a name: a new one, another one, or its end.
type change struct {
	number int
	node   *node
	from   *node // the directory; nil of a new node
	to     place
}

// tree is the files and directories, and how the kernel knows them.
type tree struct {
	space *space

	mu      sync.Mutex
	root    *node
	log     []change // what was not flushed, oldest first
	next    int      // the number of the next change
	known   map[uint64]*known
	lists   map[uint64][]fuse.DirEntry // of the open directories
	lastIno uint64
	lastID  uint64 // of known and lists
}

// known is a node that the kernel knows.
type known struct {
	node    *node
	lookups uint64 // to be taken back by forgets
}

func newTree(space *space) *tree {
	root := newNode(fuse.FUSE_ROOT_ID, syscall.S_IFDIR|0o755)
	root.id = fuse.FUSE_ROOT_ID
	return &tree{
		space:   space,
		root:    root,
		known:   map[uint64]*known{fuse.FUSE_ROOT_ID: {node: root, lookups: 1}},
		lists:   map[uint64][]fuse.DirEntry{},
		lastIno: fuse.FUSE_ROOT_ID,
		lastID:  fuse.FUSE_ROOT_ID,
	}
}

// child returns what has a name in a directory, or nil.
func (t *tree) child(dir *node, name string) *node { return dir.children[live][name] }

// add makes a file or directory.
func (t *tree) add(to place, mode, uid, gid uint32) *node {
	t.lastIno++
	n := newNode(t.lastIno, mode)
	n.uid, n.gid = uid, gid
	t.move(n, to)
	return n
}

// move gives a node another name, or none.
func (t *tree) move(n *node, to place) {
	c := change{number: t.next, node: n, from: n.at[live].dir, to: to}
	replaced := n.move(live, to)
	for _, dir := range []*node{c.from, to.dir} {
		if dir != nil {
			dir.touch()
		}
	}
	t.log, t.next = append(t.log, c), t.next+1
	if len(t.log) > maxUnflushedNames {
		for _, c := range t.log {
			c.node.move(flushed, c.to)
		}
		t.log = nil
	}
	if replaced != nil {
		t.free(replaced)
	}
	t.free(n)
}

// free gives back the space of a file that has no name and is not open.
func (t *tree) free(n *node) {
	if n.at[live].dir == nil && n.opens == 0 && !n.freed && !n.isDir() {
		n.freed = true
		t.space.add(-n.content.size())
	}
}

// flush makes the names of a directory sure, those that changed before a
// number. A rename from or to another directory takes that one's along.
func (t *tree) flush(dir *node, before int) {
	dirs := map[*node]bool{dir: true}
	belongs := func(c change) bool { return c.number < before && (dirs[c.from] || dirs[c.to.dir]) }
	for grown := 0; grown != len(dirs); {
		grown = len(dirs)
		for _, c := range t.log {
			if !belongs(c) {
				continue
			}
			for _, other := range []*node{c.from, c.to.dir} {
				if other != nil {
					dirs[other] = true
				}
			}
		}
	}
	t.log = slices.DeleteFunc(t.log, func(c change) bool {
		if belongs(c) {
			c.node.move(flushed, c.to)
			return true
		}
		return false
	})
}
