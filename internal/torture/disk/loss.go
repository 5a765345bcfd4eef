//go:build linux

package disk

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
)

// Loss says how a power cut treats what was not flushed.
type Loss string

const (
	// LoseAll: nothing that was not flushed is there.
	LoseAll Loss = "all"
	// LoseSome: each write and each change of a name that was not flushed is
	// kept or lost by chance, whatever their order was.
	LoseSome Loss = "some"
	// LoseContents: names and sizes are kept; bytes that were not flushed
	// read as zeros.
	LoseContents Loss = "contents"
	// LoseRenamed: names are kept, and files hold what was flushed of them: a
	// renamed file may be empty or old.
	LoseRenamed Loss = "renamed"
)

func (l Loss) check() error {
	switch l {
	case LoseAll, LoseSome, LoseContents, LoseRenamed:
		return nil
	}
	return fmt.Errorf("there is no loss %q: it is all, some, contents or renamed", l)
}

// cut returns what is left of the tree after a power cut. The tree must not be
// used afterwards. One seed leaves the same, given the same tree.
func (t *tree) cut(loss Loss, rng *rand.Rand) *tree {
	for _, c := range t.log {
		if loss == LoseContents || loss == LoseRenamed || loss == LoseSome && kept(rng) {
			c.node.move(flushed, c.to)
		}
	}
	left := newTree(t.space)
	left.lastIno = t.lastIno
	t.space.empty()
	left.keep(left.root, t.root, loss, rng)
	return left
}

// keep copies what is left in a directory.
func (t *tree) keep(to, from *node, loss Loss, rng *rand.Rand) {
	to.mode, to.uid, to.gid = from.mode, from.uid, from.gid
	to.changed.Store(from.changed.Load())
	if !from.isDir() {
		bytes := from.content.left(loss, rng)
		to.content.live, to.content.flushed = bytes, slices.Clone(bytes)
		t.space.add(int64(len(bytes)))
		return
	}
	for _, name := range slices.Sorted(maps.Keys(from.children[flushed])) {
		child := from.children[flushed][name]
		copied := newNode(child.ino, child.mode)
		copied.move(live, place{to, name})
		copied.move(flushed, place{to, name})
		t.keep(copied, child, loss, rng)
	}
}

// left returns what a power cut leaves of a file.
func (c *content) left(loss Loss, rng *rand.Rand) []byte {
	bytes := c.flushed
	switch loss {
	case LoseSome:
		for _, w := range c.log {
			if kept(rng) {
				bytes = w.apply(bytes)
			}
		}
	case LoseContents:
		for _, w := range c.log {
			clear(w.data)
			bytes = w.apply(bytes)
		}
		bytes = resize(bytes, int64(len(c.live)))
	}
	return bytes
}

func kept(rng *rand.Rand) bool { return rng.IntN(2) == 0 }
