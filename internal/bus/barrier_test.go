package bus

import (
	"bytes"
	"encoding/json"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jethook/jethook/internal/event"
)

func TestAFlushThatFailsFailsEveryWaiterAndReadiness(t *testing.T) {
	b := open(t, embedded(t.TempDir(), Power))
	publish(t, b, numbered(0))
	// A directory in the place of the next block cannot be flushed like a file
	// that the server may write to; a dangling link cannot be opened at all.
	loop := filepath.Join(b.barrier.streams, StreamName(event.Prod), "msgs", "2.blk")
	if err := os.Symlink("2.blk", loop); err != nil {
		t.Fatal(err)
	}
	var group sync.WaitGroup
	for n := range 8 {
		group.Go(func() {
			if _, err := b.Publish(t.Context(), numbered(n+1)); !errors.Is(err, event.ErrUnavailable) {
				t.Errorf("event %d: error %v, want event.ErrUnavailable", n+1, err)
			}
		})
	}
	group.Wait()
	if check := failingCheck(b.Health(t.Context())); check == nil || check.Name != "store" {
		t.Errorf("failing check %+v, want store", check)
	}
	if err := os.Remove(loop); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Publish(t.Context(), numbered(9)); !errors.Is(err, event.ErrUnavailable) {
		t.Errorf("error %v after the obstacle is gone: what the kernel forgot must not be taken as stored", err)
	}
}

func TestWhatAFailedFlushLeftIsWrittenAnewAtTheNextStart(t *testing.T) {
	dir, log := t.TempDir(), new(logBuffer)
	config := embedded(dir, Power)
	config.Logger = slog.New(slog.NewTextHandler(log, nil))
	b, err := Open(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	publish(t, b, numbered(0))
	obstacle := filepath.Join(b.barrier.streams, StreamName(event.Prod), "msgs", "2.blk")
	if err := os.Symlink("2.blk", obstacle); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Publish(t.Context(), numbered(1)); !errors.Is(err, event.ErrUnavailable) {
		t.Fatalf("error %v, want event.ErrUnavailable", err)
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(obstacle); err != nil {
		t.Fatal(err)
	}
	old := filepath.Join(serverDir(dir), "old")
	if err := os.WriteFile(old, []byte("whole"), 0o400); err != nil {
		t.Fatal(err)
	}
	before := time.Now().Add(-2 * failureMargin).Truncate(time.Second)
	if err := os.Chtimes(old, before, before); err != nil {
		t.Fatal(err)
	}
	again := open(t, config)
	if !strings.Contains(log.String(), "written anew") {
		t.Errorf("the log does not tell of it:\n%s", log)
	}
	if receipt := publish(t, again, numbered(0)); !receipt.Duplicate {
		t.Errorf("receipt %+v of what was stored before, want a duplicate", receipt)
	}
	publish(t, again, numbered(1))
	if about, err := os.Stat(old); err != nil || !about.ModTime().Equal(before) {
		t.Errorf("a file that was whole was written to: %v %v", about, err)
	}
	if _, err := os.Stat(filepath.Join(dir, failureFile)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the word of the failure is still there: %v", err)
	}
}

func TestOfTwoFailuresAtOneTimeThatWhichReachesFurtherBackStays(t *testing.T) {
	b, err := newBarrier(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.close)
	blocks := newBlocks(t.TempDir())
	if err := os.WriteFile(blocks.path(1), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	broken := errors.New("broken")
	blocks.sync = func(string) error { // of the newest block, while Sync fails as well
		if err := os.MkdirAll(b.streams, 0o700); err != nil {
			t.Error(err)
		}
		if err := os.Symlink("loop", filepath.Join(b.streams, "loop")); err != nil {
			t.Error(err)
		}
		if err := b.syncAll(); err == nil {
			t.Error("a file that cannot be opened was flushed")
		}
		return broken
	}
	b.blocks["S"] = blocks
	if err := b.wait(t.Context(), "S"); !errors.Is(err, broken) {
		t.Fatalf("error %v, want %v", err, broken)
	}
	var left failure
	data, err := os.ReadFile(filepath.Join(b.store, failureFile))
	if err == nil {
		err = json.Unmarshal(data, &left)
	}
	if err != nil || !left.Since.IsZero() {
		t.Errorf("left %+v, error %v; want word that everything may be lost", left, err)
	}
}

func TestWhatIsNotOursInTheStoreDirectoryIsLeftAlone(t *testing.T) {
	dir := t.TempDir()
	// What cannot be opened, as lost+found of a volume by anybody but root.
	if err := os.Symlink("lost+found", filepath.Join(dir, "lost+found")); err != nil {
		t.Fatal(err)
	}
	if err := (failure{Boot: bootID()}).record(dir); err != nil {
		t.Fatal(err)
	}
	b := open(t, embedded(dir, Power))
	publish(t, b, numbered(0))
	if err := b.Sync(); err != nil {
		t.Error(err)
	}
}

func TestAFlushThatFailsAtTheEndIsMadeGoodAtTheNextStart(t *testing.T) {
	dir := t.TempDir()
	b, err := Open(t.Context(), embedded(dir, Power))
	if err != nil {
		t.Fatal(err)
	}
	publish(t, b, numbered(0))
	obstacle := filepath.Join(b.barrier.streams, StreamName(event.Prod), "msgs", "2.blk")
	if err := os.Symlink("2.blk", obstacle); err != nil {
		t.Fatal(err)
	}
	if err := b.Close(); err == nil {
		t.Error("the bus was closed without an error, though not all could be flushed")
	}
	if _, err := os.Stat(filepath.Join(dir, failureFile)); err != nil {
		t.Errorf("no word of the failure is left: %v", err)
	}
	if err := os.Remove(obstacle); err != nil {
		t.Fatal(err)
	}
	if receipt := publish(t, open(t, embedded(dir, Power)), numbered(0)); !receipt.Duplicate {
		t.Errorf("receipt %+v of what was stored before, want a duplicate", receipt)
	}
	if _, err := os.Stat(filepath.Join(dir, failureFile)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the word of the failure is still there: %v", err)
	}
}

func TestAFailureInAnotherBootIsForgotten(t *testing.T) {
	dir := t.TempDir()
	if err := (failure{Boot: "another"}).record(dir); err != nil {
		t.Fatal(err)
	}
	if err := mendStore(dir, slog.New(slog.DiscardHandler)); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(dir, failureFile)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the word of the failure is still there: %v", err)
	}
}

func TestAFileThatIsWrittenAnewKeepsItsContent(t *testing.T) {
	path := filepath.Join(t.TempDir(), "1.blk")
	for _, size := range []int{0, 1, 256 << 10, 256<<10 + 1, 1 << 20} {
		content := make([]byte, size)
		for i := range content {
			content[i] = byte(i * 7)
		}
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := rewrite(path); err != nil {
			t.Fatal(err)
		}
		if got, err := os.ReadFile(path); err != nil || !bytes.Equal(got, content) {
			t.Errorf("%d bytes became %d, or others; error %v", size, len(got), err)
		}
	}
}

func TestNobodyIsToldOfSuccessAfterAFlushHasFailed(t *testing.T) {
	b, err := newBarrier(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.close)
	const stream = "S"
	blocks := newBlocks(t.TempDir())
	if err := os.WriteFile(blocks.path(1), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	flushing, answer := make(chan struct{}, 1), make(chan error)
	blocks.sync = func(string) error {
		flushing <- struct{}{}
		return <-answer
	}
	b.blocks[stream] = blocks
	results := make(chan error, 2)
	wait := func() { results <- b.wait(t.Context(), stream) }
	go wait()
	<-flushing
	go wait() // while the disk is busy with what will fail
	for joined := false; !joined; runtime.Gosched() {
		b.mu.Lock()
		joined = len(b.next.streams) > 0
		b.mu.Unlock()
	}
	broken := errors.New("broken")
	answer <- broken
	close(answer) // every later flush succeeds, of what the kernel has not forgotten
	for range 2 {
		if err := <-results; !errors.Is(err, broken) {
			t.Errorf("a wait ended with %v, want %v", err, broken)
		}
	}
}

func TestEveryBlockFileIsFlushed(t *testing.T) {
	dir := t.TempDir()
	write := func(name string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	b := newBlocks(dir)
	if err := b.flush(); err == nil {
		t.Error("a stream without a block was flushed")
	}
	write("7.blk")
	write("index.db")
	for _, step := range []struct {
		add  string
		want int
	}{{"", 7}, {"8.blk", 8}, {"9.blk", 9}} {
		if step.add != "" {
			write(step.add)
		}
		if err := b.flush(); err != nil || b.last != step.want {
			t.Errorf("after adding %q the newest flushed is %d, %v; want %d", step.add, b.last, err, step.want)
		}
	}
	// A purge takes the blocks away and goes on with another.
	for _, name := range []string{"7.blk", "8.blk", "9.blk"} {
		if err := os.Remove(filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	write("12.blk")
	if err := b.flush(); err != nil || b.last != 12 {
		t.Errorf("after a purge the newest flushed is %d, %v; want 12", b.last, err)
	}
}

func TestWhatIsAppendedDuringAFlushIsFlushedByTheNext(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("1.blk", "first")
	flushed := make(map[string]string)
	b := newBlocks(dir)
	b.sync = func(path string) error {
		text, err := os.ReadFile(path)
		flushed[filepath.Base(path)] = string(text)
		return err
	}
	flush := func() {
		t.Helper()
		if err := b.flush(); err != nil {
			t.Fatal(err)
		}
	}
	flush()
	onDisk := b.sync
	b.sync = func(path string) error { // the server goes on while the disk is busy
		defer write("2.blk", "third")
		defer write("1.blk", "first second")
		return onDisk(path)
	}
	flush()
	b.sync = onDisk
	flush()
	for name, want := range map[string]string{"1.blk": "first second", "2.blk": "third"} {
		if flushed[name] != want {
			t.Errorf("of %s %q is on the disk, want %q", name, flushed[name], want)
		}
	}
}

func TestABlockIsFlushedAlsoWhereThoseBeforeItAreGone(t *testing.T) {
	dir := t.TempDir()
	write := func(name string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	b := newBlocks(dir)
	write("5.blk")
	if err := b.flush(); err != nil {
		t.Fatal(err)
	}
	for _, next := range []int{7, 19} { // 6 was made and removed between two flushes
		write(filepath.Base(b.path(next)))
		later := time.Now().Add(time.Duration(next) * time.Second)
		if err := os.Chtimes(dir, later, later); err != nil { // the kernel's clock is coarse
			t.Fatal(err)
		}
		if err := b.flush(); err != nil || b.last != next {
			t.Errorf("the newest flushed is %d, %v; want %d", b.last, err, next)
		}
	}
}

func TestStoringGoesOnAcrossBlocksAndPurges(t *testing.T) {
	config := embedded(t.TempDir(), Power)
	config.Stream.MaxBytes = 32 << 20 // blocks of 4 MiB or less
	b := open(t, config)
	for n := range 40 {
		e := numbered(n)
		e.Data = make([]byte, 400<<10)
		publish(t, b, e)
		if n == 20 {
			stream, err := b.JetStream().Stream(t.Context(), StreamName(event.Prod))
			if err != nil {
				t.Fatal(err)
			}
			if err := stream.Purge(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	}
}
