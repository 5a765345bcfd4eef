package main

import (
	"errors"
	"fmt"
	"os"
	"syscall"
)

// inMemory is the number of tmpfs, where a flush costs nothing.
const inMemory = 0x01021994

// newDirectory makes a directory for stores, on a disk if there is one to
// write to, and names its file system.
func newDirectory() (dir, fileSystem string, err error) {
	cache, _ := os.UserCacheDir() // "" is the temporary directory again
	for _, parent := range []string{"", cache, "."} {
		dir, err = os.MkdirTemp(parent, "jethook-bench-")
		if err != nil {
			continue
		}
		var kind int64
		if kind, fileSystem, err = fileSystemOf(dir); err == nil && kind != inMemory {
			return dir, fileSystem, nil
		}
		if err = errors.Join(err, os.Remove(dir)); err != nil {
			return "", "", err
		}
	}
	return "", "", errors.New("no directory on a disk can be written; set TMPDIR to one")
}

func fileSystemOf(dir string) (kind int64, name string, err error) {
	var stat syscall.Statfs_t
	if err := syscall.Statfs(dir, &stat); err != nil {
		return 0, "", fmt.Errorf("look at the file system of %s: %w", dir, err)
	}
	kind = int64(stat.Type)
	names := map[int64]string{0xef53: "ext4", 0x58465342: "xfs", 0x9123683e: "btrfs", 0x794c7630: "overlay", 0x2fc12fc1: "zfs", inMemory: "tmpfs"}
	if name, known := names[kind]; known {
		return kind, name, nil
	}
	return kind, fmt.Sprintf("file system %#x", kind), nil
}
