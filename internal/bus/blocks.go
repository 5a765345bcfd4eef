package bus

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// blocks follows the block files of one stream, 1.blk, 2.blk and so on. The
// server appends to the one with the highest number only, and removes others in
// any order.
type blocks struct {
	dir     string
	sync    func(path string) error // flushBlock
	last    int                     // number of the newest block; 0 before the first flush
	changed time.Time               // when the directory had changed before last was looked for
}

func newBlocks(dir string) *blocks { return &blocks{dir: dir, sync: flushBlock} }

// flush puts on the disk whatever was written before the call. It looks for the
// newest block first: were it to look after the flush, what the server appended
// in between, before it went on to another block, would never be flushed.
func (b *blocks) flush() error {
	stale, err := b.stale()
	if err != nil {
		return err
	}
	if !stale {
		if err := b.sync(b.path(b.last)); !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return b.scan()
}

// stale reports whether last may not be the newest block. The time of the
// directory is as coarse as the kernel's clock, so that a block made just after
// the last look is asked for by its name.
func (b *blocks) stale() (bool, error) {
	if b.last == 0 {
		return true, nil
	}
	about, err := os.Stat(b.dir)
	if err != nil {
		return false, err
	}
	if !about.ModTime().Equal(b.changed) {
		return true, nil
	}
	_, err = os.Lstat(b.path(b.last + 1))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return true, err
}

// scan flushes the blocks from last on, or all where last is gone, and
// remembers the newest.
func (b *blocks) scan() error {
	about, err := os.Stat(b.dir)
	if err != nil {
		return err
	}
	numbers, err := b.numbers()
	if err != nil {
		return err
	}
	if len(numbers) == 0 {
		return fmt.Errorf("no block file in %s", b.dir)
	}
	kept := slices.Contains(numbers, b.last)
	for _, number := range numbers {
		if kept && number < b.last {
			continue
		}
		if err := b.sync(b.path(number)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	b.last, b.changed = slices.Max(numbers), about.ModTime()
	return syncPath(b.dir) // the names of new blocks
}

func (b *blocks) numbers() ([]int, error) {
	entries, err := os.ReadDir(b.dir)
	if err != nil {
		return nil, err
	}
	var numbers []int
	for _, entry := range entries {
		name, ok := strings.CutSuffix(entry.Name(), ".blk")
		if number, err := strconv.Atoi(name); ok && err == nil {
			numbers = append(numbers, number)
		}
	}
	return numbers, nil
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
