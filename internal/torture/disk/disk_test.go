//go:build linux

package disk

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"
)

// roles are what a process does that this test starts from its own program: it
// is named by the variable roleVariable, and given a path of the disk.
var roles = map[string]func(path string) error{"publish": publish, "print": printStored, "flush": writeAndFlush, "write": writeBucket, "read": printBucket}

const roleVariable, pathVariable = "DISK_TEST_ROLE", "DISK_TEST_PATH"

func TestMain(m *testing.M) {
	if role := roles[os.Getenv(roleVariable)]; role != nil {
		if err := role(os.Getenv(pathVariable)); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	goleak.VerifyTestMain(m)
}

// start starts a process and returns a scanner of what it prints. It is killed
// when the test ends.
func start(t *testing.T, role, path string) (*exec.Cmd, *bufio.Scanner) {
	t.Helper()
	command := exec.Command(os.Args[0])
	command.Env = append(os.Environ(), roleVariable+"="+role, pathVariable+"="+path)
	command.Stderr = t.Output()
	output, err := command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = command.Process.Kill()
		_ = command.Wait()
	})
	return command, bufio.NewScanner(output)
}

func mount(t *testing.T, capacity int64) (*Disk, string) {
	t.Helper()
	dir := t.TempDir()
	d, err := Mount(dir, capacity)
	if err != nil {
		t.Fatalf("mount: %v", err)
	}
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return d, dir
}

func cut(t *testing.T, d *Disk, loss Loss) {
	t.Helper()
	if err := d.Cut(loss, nil); err != nil {
		t.Fatalf("cut: %v", err)
	}
}

// must ends the test at an error of what it prepares.
func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func open(t *testing.T, path string, flags int) *os.File {
	t.Helper()
	file, err := os.OpenFile(path, flags, 0o600)
	must(t, err)
	t.Cleanup(func() { _ = file.Close() })
	return file
}

// put appends to a file.
func put(t *testing.T, path, text string) {
	t.Helper()
	edit(t, path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, func(file *os.File) error {
		_, err := file.WriteString(text)
		return err
	})
}

// edit opens a file for as long as act takes.
func edit(t *testing.T, path string, flags int, act func(*os.File) error) {
	t.Helper()
	file, err := os.OpenFile(path, flags, 0o600)
	must(t, err)
	must(t, errors.Join(act(file), file.Close()))
}

// flush flushes files and directories.
func flush(t *testing.T, paths ...string) {
	t.Helper()
	for _, path := range paths {
		must(t, syncPath(path))
	}
}

// flushTree flushes all there is.
func flushTree(t *testing.T, dir string) {
	t.Helper()
	must(t, filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		return errors.Join(err, syncPath(path))
	}))
}

func syncPath(path string) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(file.Sync(), file.Close())
}

// contents returns what the files in a directory hold; the name of a directory
// ends in a slash.
func contents(t *testing.T, dir string) map[string]string {
	t.Helper()
	found := map[string]string{}
	must(t, filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		name, _ := filepath.Rel(dir, path)
		switch {
		case err != nil || name == ".":
			return err
		case entry.IsDir():
			found[name+"/"] = ""
			return nil
		}
		bytes, err := os.ReadFile(path)
		found[name] = string(bytes)
		return err
	}))
	return found
}

// eventually waits until the condition is met.
func eventually(t *testing.T, what string, met func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !met(); runtime.Gosched() {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain until %s", what)
		}
	}
}

// flushing returns how many threads of a process are in fdatasync.
func flushing(t *testing.T, pid int) int {
	t.Helper()
	paths, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/syscall", pid))
	must(t, err)
	count := 0
	for _, path := range paths {
		text, _ := os.ReadFile(path) // of a thread that may be gone
		if strings.HasPrefix(string(text), strconv.Itoa(unix.SYS_FDATASYNC)+" ") {
			count++
		}
	}
	return count
}

func TestTimesOfDirectoriesChangeWithTheirNames(t *testing.T) {
	_, dir := mount(t, 1<<20)
	path := filepath.Join(dir, "a")
	var last time.Time
	for n, act := range []func(){
		func() { put(t, path, "") },
		func() { put(t, path+"2", "") },
		func() { must(t, os.Rename(path, path+"3")) },
		func() { must(t, os.Remove(path+"3")) },
		func() { must(t, os.Mkdir(path, 0o700)) },
		func() { must(t, os.Remove(path)) },
	} {
		act()
		about, err := os.Stat(dir)
		must(t, err)
		if !about.ModTime().After(last) {
			t.Errorf("change %d left the time %v", n, last)
		}
		last = about.ModTime()
	}
}

func TestAFileIsOneWhoeverOpensIt(t *testing.T) {
	_, dir := mount(t, 1<<20)
	path := filepath.Join(dir, "a")
	first := open(t, path, os.O_CREATE|os.O_APPEND|os.O_WRONLY)
	second := open(t, path, os.O_APPEND|os.O_RDWR)
	for n := range 6 {
		_, err := fmt.Fprint([]*os.File{first, second}[n%2], n)
		must(t, err)
		third := open(t, path, os.O_RDWR)
		about, err := third.Stat()
		must(t, err)
		if about.Size() != int64(n+1) {
			t.Errorf("size %d after %d bytes", about.Size(), n+1)
		}
		if _, err := third.WriteAt([]byte("x"), 0); err != nil {
			t.Fatal(err)
		}
		if opened, err := first.Stat(); err != nil || !os.SameFile(about, opened) {
			t.Errorf("the file opened again is another one (%v)", err)
		}
	}
	if got, want := contents(t, dir)["a"], "x12345"; got != want {
		t.Errorf("contents %q, want %q", got, want)
	}
	must(t, os.Remove(path))
	put(t, path, "another")
	bytes := make([]byte, 6)
	if n, err := second.ReadAt(bytes, 0); err != nil || string(bytes[:n]) != "x12345" {
		t.Errorf("read %q, %v of a file that is removed but open", bytes[:n], err)
	}
}

func TestWhoAppendsAtOneTimeWritesOverNobody(t *testing.T) {
	_, dir := mount(t, 1<<20)
	path := filepath.Join(dir, "a")
	const writers, writes = 4, 500
	var group sync.WaitGroup
	for range writers {
		file := open(t, path, os.O_CREATE|os.O_APPEND|os.O_WRONLY)
		_, err := file.WriteString("x") // so that the next is opened by another id
		must(t, err)
		group.Go(func() {
			for range writes {
				if _, err := file.WriteString("x"); err != nil {
					t.Error(err)
				}
			}
		})
	}
	group.Wait()
	if got, want := contents(t, dir)["a"], strings.Repeat("x", writers*(writes+1)); got != want {
		t.Errorf("%d of %d bytes are there", len(got), len(want))
	}
}

func TestWhatTheKernelForgetsIsForgotten(t *testing.T) {
	d, dir := mount(t, 1<<20)
	path := filepath.Join(dir, "a")
	for range 100 {
		put(t, path, "x")
		must(t, os.Remove(path))
	}
	eventually(t, "the kernel has forgotten the files", func() bool {
		d.tree.mu.Lock()
		defer d.tree.mu.Unlock()
		return len(d.tree.known) < 10
	})
}

func TestALockKeepsOthersOut(t *testing.T) {
	_, dir := mount(t, 1<<20)
	path := filepath.Join(dir, "lock")
	first := open(t, path, os.O_CREATE|os.O_RDWR)
	must(t, unix.Flock(int(first.Fd()), unix.LOCK_EX|unix.LOCK_NB))
	second := open(t, path, os.O_CREATE|os.O_RDWR)
	if err := unix.Flock(int(second.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != unix.EWOULDBLOCK {
		t.Errorf("error %v, want %v", err, unix.EWOULDBLOCK)
	}
	must(t, first.Close())
	must(t, unix.Flock(int(second.Fd()), unix.LOCK_EX|unix.LOCK_NB))
}

func TestNamesAreRefusedAsElsewhere(t *testing.T) {
	_, dir := mount(t, 1<<20)
	in := func(name string) string { return filepath.Join(dir, name) }
	must(t, os.MkdirAll(in("d/e"), 0o700))
	put(t, in("f"), "")
	for what, try := range map[string]struct {
		err  error
		want syscall.Errno
	}{
		"remove a directory in use":  {syscall.Rmdir(in("d")), syscall.ENOTEMPTY},
		"make it again":              {os.Mkdir(in("d"), 0o700), syscall.EEXIST},
		"rename a file to it":        {syscall.Rename(in("f"), in("d")), syscall.EISDIR},
		"rename it to a file":        {syscall.Rename(in("d"), in("f")), syscall.ENOTDIR},
		"rename it into itself":      {syscall.Rename(in("d"), in("d/e/d")), syscall.EINVAL},
		"open what is not there":     {syncPath(in("g")), syscall.ENOENT},
		"unlink what is not there":   {syscall.Unlink(in("g")), syscall.ENOENT},
		"rename what is not there":   {syscall.Rename(in("g"), in("h")), syscall.ENOENT},
		"rename without replacement": {unix.Renameat2(unix.AT_FDCWD, in("f"), unix.AT_FDCWD, in("d"), unix.RENAME_NOREPLACE), syscall.EEXIST},
	} {
		if !errors.Is(try.err, try.want) {
			t.Errorf("%s: error %v, want %v", what, try.err, try.want)
		}
	}
	must(t, os.Chmod(in("f"), 0o640))
	about, err := os.Stat(in("f"))
	must(t, err)
	if about.Mode() != 0o640 {
		t.Errorf("mode %v", about.Mode())
	}
}

func TestALongDirectoryIsListedWholeWhileItChanges(t *testing.T) {
	_, dir := mount(t, 1<<20)
	for n := range 1000 {
		put(t, filepath.Join(dir, fmt.Sprintf("name-%04d", n)), "")
	}
	list := open(t, dir, os.O_RDONLY)
	seen := 0
	for {
		names, _ := list.Readdirnames(100)
		if len(names) == 0 {
			break
		}
		seen += len(names)
		for _, name := range names {
			must(t, os.Remove(filepath.Join(dir, name)))
		}
	}
	if seen != 1000 {
		t.Errorf("saw %d of 1000 names", seen)
	}
	if left := contents(t, dir); len(left) > 0 {
		t.Errorf("%d names are left", len(left))
	}
}

func TestADiskInUseIsNotCut(t *testing.T) {
	d, dir := mount(t, 1<<20)
	path := filepath.Join(dir, "a")
	put(t, path, "text")
	file := open(t, path, os.O_RDONLY)
	if err := d.Cut(LoseAll, nil); err == nil {
		t.Error("a disk with an open file was cut")
	}
	if got := contents(t, dir)["a"]; got != "text" {
		t.Errorf("contents %q after a cut that did not happen", got)
	}
	must(t, file.Close())
	if err := d.Cut("most", nil); err == nil {
		t.Error("a loss that does not exist was taken")
	}
	if _, err := Mount(filepath.Join(dir, "missing"), 1); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("error %v of a directory that is missing", err)
	}
}
