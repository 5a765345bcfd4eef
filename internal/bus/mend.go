package bus

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"time"
)

const (
	failureFile = "flush-failed.json"
	// failureMargin is more than passes between a write to a file and the start
	// of the flush that serves it.
	failureMargin = time.Minute
)

// failure is left in the store directory when a flush has failed. The kernel
// then takes the pages it could not write for written: they can be read, and
// whatever is appended after them can be flushed, but at a power cut they are a
// hole, and the server drops all that comes after it.
type failure struct {
	// Boot is the kernel's boot in which it happened. In another one the pages
	// are gone, and what the server finds is what there is.
	Boot string `json:"boot"`
	// Since is when the last flush began that succeeded: files that were not
	// changed since then are whole.
	Since time.Time `json:"since"`
}

// record leaves the failure for the next start. It is not flushed: the file is
// of use only as long as the kernel keeps the pages.
func (f failure) record(storeDir string) error {
	data, err := json.Marshal(f)
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(storeDir, failureFile), data, 0o600)
}

// mendStore makes good a flush that failed before this start, before the server
// opens its files: it writes their pages anew, and flushes them.
func mendStore(storeDir string, logger *slog.Logger) error {
	path := filepath.Join(storeDir, failureFile)
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	var f failure // a file that cannot be read has everything written anew
	if err == nil {
		err = json.Unmarshal(data, &f)
	}
	if err == nil && f.Boot != bootID() {
		return os.Remove(path)
	}
	logger.Warn("a flush failed before this start; what it should have flushed is written anew", "changed_since", f.Since)
	if err := errors.Join(rewriteTree(serverDir(storeDir), f.Since.Add(-failureMargin)), syncPath(storeDir)); err != nil {
		return fmt.Errorf("the disk still does not take what a flush failed to write; mend or replace it and start again: %w", err)
	}
	return os.Remove(path)
}

// rewriteTree writes anew and flushes every file in a directory that was changed
// since then, and flushes the directories.
func rewriteTree(dir string, since time.Time) error {
	return filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil // the server has made none
		}
		if err != nil {
			return err
		}
		if entry.IsDir() {
			return syncPath(path)
		}
		about, err := entry.Info()
		if err != nil || !about.Mode().IsRegular() || about.ModTime().Before(since) {
			return err
		}
		return rewrite(path)
	})
}

// rewrite writes the content of a file where it is already, and flushes it.
func rewrite(path string) error {
	file, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	buffer := make([]byte, 256<<10)
	for at := int64(0); err == nil; {
		var n int
		n, err = file.ReadAt(buffer, at)
		if _, writeErr := file.WriteAt(buffer[:n], at); writeErr != nil {
			err = writeErr
		}
		at += int64(n)
	}
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return errors.Join(err, file.Sync(), file.Close())
}
