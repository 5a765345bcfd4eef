//go:build linux

package disk

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestAFullDiskRefusesAndRecovers(t *testing.T) {
	d, dir := mount(t, 2*blockSize)
	path := filepath.Join(dir, "a")
	put(t, path, strings.Repeat("x", 2*blockSize-100))
	file := open(t, path, os.O_RDWR|os.O_APPEND)
	if n, err := file.WriteString(strings.Repeat("y", 300)); n != 100 || !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("wrote %d bytes, %v; want 100, no space", n, err)
	}
	if err := file.Truncate(3 * blockSize); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("lengthened with %v, want no space", err)
	}
	if used := d.Used(); used != 2*blockSize {
		t.Errorf("%d bytes used, want %d", used, 2*blockSize)
	}
	free := func() (blocks, free uint64) {
		var about unix.Statfs_t
		must(t, unix.Statfs(dir, &about))
		return about.Blocks, about.Bavail
	}
	if all, free := free(); all != 2 || free != 0 {
		t.Errorf("%d blocks, %d free; want 2, 0", all, free)
	}
	edit(t, path, os.O_WRONLY, func(file *os.File) error { // takes no room
		_, err := file.WriteAt([]byte("z"), 0)
		return err
	})

	d.SetCapacity(4 * blockSize)
	if all, free := free(); all != 4 || free != 2 {
		t.Errorf("%d blocks, %d free; want 4, 2", all, free)
	}
	_, err := file.WriteString("more")
	must(t, err)

	d.SetCapacity(blockSize)
	if _, err := file.WriteString("more"); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("wrote with %v beyond a smaller capacity", err)
	}
	must(t, os.Remove(path))
	if d.Used() == 0 {
		t.Error("a removed file that is open takes no room")
	}
	must(t, file.Close())
	eventually(t, "the room of the removed file is free", func() bool { return d.Used() == 0 })
	put(t, path, strings.Repeat("x", blockSize))
}

func TestAFlushThatFailsFlushesNothingNorDoesTheNext(t *testing.T) {
	d, dir := mount(t, 1<<20)
	path := filepath.Join(dir, "a")
	put(t, path, "old")
	flushTree(t, dir)
	put(t, path, "new")
	put(t, path+".tmp", "")
	d.SetFlushError(syscall.EIO)
	for what, err := range map[string]error{"file": syncPath(path), "directory": syncPath(dir)} {
		if !errors.Is(err, syscall.EIO) {
			t.Errorf("flushed the %s with %v, want EIO", what, err)
		}
	}
	edit(t, path+".tmp", os.O_WRONLY|os.O_SYNC, func(file *os.File) error {
		if _, err := file.WriteString("x"); !errors.Is(err, syscall.EIO) {
			t.Errorf("wrote through with %v, want EIO", err)
		}
		return nil
	})
	d.SetFlushError(nil)
	put(t, path, "newer")
	flush(t, path)
	if got := contents(t, dir)["a"]; got != "oldnewnewer" {
		t.Errorf("contents %q before the cut", got)
	}
	cut(t, d, LoseAll)
	if got, want := contents(t, dir), (map[string]string{"a": "old\x00\x00\x00newer"}); !maps.Equal(got, want) {
		t.Errorf("left %q, want %q", got, want)
	}
}

func TestASlowFlushHoldsUpNobodyElse(t *testing.T) {
	d, dir := mount(t, 1<<20)
	in := func(name string) string { return filepath.Join(dir, name) }
	put(t, in("a"), "before")
	put(t, in("b"), "before")
	flushTree(t, dir)
	writer := open(t, in("a"), os.O_WRONLY|os.O_APPEND)
	_, err := writer.WriteString(" first")
	must(t, err)

	const delay = 2 * time.Second
	d.SetFlushDelay(delay)
	flushed := make(chan error, 2)
	for _, name := range []string{"a", "b"} {
		go func() {
			file, err := os.Open(in(name))
			if err == nil {
				err = errors.Join(unix.Fdatasync(int(file.Fd())), file.Close())
			}
			flushed <- err
		}()
	}
	eventually(t, "two flushes are under way", func() bool { return flushing(t, os.Getpid()) == 2 })
	began := time.Now()
	_, err = writer.WriteString(" second") // to the very file
	must(t, err)
	put(t, in("c"), "new")
	must(t, os.Rename(in("c"), in("d")))
	if got := contents(t, dir); got["a"] != "before first second" || got["d"] != "new" {
		t.Errorf("contents %q", got)
	}
	if took := time.Since(began); took > delay/2 {
		t.Errorf("others waited for %v", took)
	}
	for range 2 {
		must(t, <-flushed)
	}
	must(t, writer.Close())
	cut(t, d, LoseAll)
	if got, want := contents(t, dir)["a"], "before first"; got != want {
		t.Errorf("contents %q after the cut, want %q: what came after a flush began is not of it", got, want)
	}
}

// writeAndFlush writes a file and does not end but by a kill.
func writeAndFlush(path string) error {
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	for range 8 {
		go func() { _ = unix.Fdatasync(int(file.Fd())) }()
	}
	for {
		if _, err := fmt.Fprintln(file, "text"); err != nil {
			return err
		}
	}
}

func TestAProcessKilledInAFlushLeavesTheDiskInOrder(t *testing.T) {
	d, dir := mount(t, 1<<30)
	d.SetFlushDelay(200 * time.Millisecond)
	for n := range 3 {
		command, _ := start(t, "flush", filepath.Join(dir, "a"))
		eventually(t, "the process flushes", func() bool { return flushing(t, command.Process.Pid) > 0 })
		fds, err := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", command.Process.Pid))
		must(t, err)
		for _, fd := range fds {
			if target, _ := os.Readlink(fd); target == "/dev/fuse" {
				t.Error("the process has inherited a connection to the kernel")
			}
		}
		must(t, command.Process.Kill())
		put(t, filepath.Join(dir, "b"), "x")
		_ = command.Wait() // it was killed
		cut(t, d, LoseRenamed)
		if got := contents(t, dir)["b"]; got != "" {
			t.Errorf("round %d: %q is left of what was not flushed", n, got)
		}
	}
}
