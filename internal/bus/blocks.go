package bus

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// blocks follows the block files of one stream, 1.blk, 2.blk and so on. The
// server appends to the one with the highest number only, and removes others in
// any order. In a work queue or a bucket it also writes one of which little is
// left anew, and puts that in its place without flushing it.
type blocks struct {
	dir     string
	sync    func(path string) error // flushBlock
	last    int                     // number of the newest block; 0 before the first flush
	changed time.Time               // when the directory had changed before last was looked for; zero when it may have since
	queue   bool                    // the stream is a work queue, or a bucket
	flushed map[int]fs.FileInfo     // of a work queue: the files that were found then
}

func newBlocks(dir string) *blocks { return &blocks{dir: dir, sync: flushBlock} }

// coarse is more than the kernel's clock for files is off.
const coarse = 50 * time.Millisecond

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

// scan flushes the blocks from last on and those that were replaced, or all
// where last is gone, and remembers the newest.
func (b *blocks) scan() error {
	about, err := os.Stat(b.dir)
	if err != nil {
		return err
	}
	files, err := b.files()
	if err != nil {
		return err
	}
	if len(files) == 0 {
		return fmt.Errorf("no block file in %s", b.dir)
	}
	_, kept := files[b.last]
	for number, file := range files {
		if kept && number < b.last && (!b.queue || sameFile(file, b.flushed[number])) {
			continue
		}
		if err := b.sync(b.path(number)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	b.last, b.changed, b.flushed = newest(files), about.ModTime(), files
	if b.queue && time.Since(about.ModTime()) < coarse {
		b.changed = time.Time{} // a block put in place of another now would not show
	}
	return syncPath(b.dir) // the names of new blocks
}

// newest returns the highest number, or 0 where there is none.
func newest(files map[int]fs.FileInfo) (number int) {
	for n := range files {
		number = max(number, n)
	}
	return number
}

// sameFile reports whether a block that nobody appends to is the one it was. A
// file may get the number of one that is gone.
func sameFile(now, before fs.FileInfo) bool {
	return before != nil && os.SameFile(now, before) && now.ModTime().Equal(before.ModTime())
}

// files returns the blocks by their numbers, with what tells them apart where
// that is needed.
func (b *blocks) files() (map[int]fs.FileInfo, error) {
	entries, err := os.ReadDir(b.dir)
	if err != nil {
		return nil, err
	}
	files := make(map[int]fs.FileInfo, len(entries))
	for _, entry := range entries {
		name, ok := strings.CutSuffix(entry.Name(), ".blk")
		number, err := strconv.Atoi(name)
		if !ok || err != nil {
			continue
		}
		files[number] = nil
		if !b.queue {
			continue
		}
		if files[number], err = entry.Info(); errors.Is(err, fs.ErrNotExist) {
			delete(files, number) // removed meanwhile
		} else if err != nil {
			return nil, err
		}
	}
	return files, nil
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
