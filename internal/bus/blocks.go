package bus

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// blocks follows the block files of one stream, 1.blk, 2.blk and so on. The
// server appends to the one with the highest number only.
type blocks struct {
	dir  string
	last int // number of the newest block that has been flushed; 0 before the first flush
}

// flush puts on the disk whatever has been written since the last flush.
func (b *blocks) flush() error {
	if b.last == 0 {
		if err := b.scan(); err != nil {
			return err
		}
	}
	for {
		err := flushBlock(b.path(b.last))
		if errors.Is(err, fs.ErrNotExist) {
			// Purged or trimmed away; the stream goes on under another number.
			err = b.scan()
		}
		if err != nil {
			return err
		}
		if _, err := os.Stat(b.path(b.last + 1)); err != nil {
			if errors.Is(err, fs.ErrNotExist) {
				return nil
			}
			return err
		}
		b.last++
		if err := syncPath(b.dir); err != nil { // the new block's name
			return err
		}
	}
}

// scan flushes every block and remembers the newest.
func (b *blocks) scan() error {
	entries, err := os.ReadDir(b.dir)
	if err != nil {
		return err
	}
	newest := 0
	for _, entry := range entries {
		name, ok := strings.CutSuffix(entry.Name(), ".blk")
		number, err := strconv.Atoi(name)
		if !ok || err != nil {
			continue
		}
		if err := flushBlock(b.path(number)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		newest = max(newest, number)
	}
	if newest == 0 {
		return fmt.Errorf("no block file in %s", b.dir)
	}
	b.last = newest
	return syncPath(b.dir)
}

func (b *blocks) path(number int) string {
	return filepath.Join(b.dir, strconv.Itoa(number)+".blk")
}

// flushBlock flushes a block file, and again if the server has put another
// file in its place meanwhile.
func flushBlock(path string) error {
	for {
		file, err := os.Open(path)
		if err != nil {
			return err
		}
		err = flushFile(file)
		flushed, statErr := file.Stat()
		if err = errors.Join(err, statErr, file.Close()); err != nil {
			return err
		}
		current, err := os.Stat(path)
		if err != nil {
			return err
		}
		if os.SameFile(flushed, current) {
			return nil
		}
	}
}
