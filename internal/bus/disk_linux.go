package bus

import (
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// flushFile waits until the data of the file, and what is needed to read them
// back, are on the disk.
func flushFile(f *os.File) error { return unix.Fdatasync(int(f.Fd())) }

// lockFile takes the file for this process, or fails at once.
func lockFile(f *os.File) error { return unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB) }

// bootID returns what names this run of the kernel, or nothing.
func bootID() string {
	id, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(id))
}

// volumeOf returns the size of the volume that holds dir.
func volumeOf(dir string) (volume, error) {
	var about unix.Statfs_t
	if err := unix.Statfs(dir, &about); err != nil {
		return volume{}, err
	}
	return volume{total: int64(about.Blocks) * about.Frsize, free: int64(about.Bavail) * about.Frsize}, nil
}
