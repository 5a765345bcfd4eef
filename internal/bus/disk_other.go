//go:build !linux

package bus

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

func flushFile(f *os.File) error { return f.Sync() }

func lockFile(f *os.File) error { return unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB) }

// bootID is not known: each start that does not follow an orderly stop counts
// as one after a power cut.
func bootID() string { return "" }

// volumeOf is not known here: the volume must not be let run full.
func volumeOf(string) (volume, error) { return volume{}, errors.ErrUnsupported }
