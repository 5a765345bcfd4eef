package vault

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"syscall"

	"github.com/tink-crypto/tink-go/v2/aead"
	"github.com/tink-crypto/tink-go/v2/keyset"
	"golang.org/x/sys/unix"
)

// Step is one step of the rotation of a keyset. Each may be taken only when the
// step before it is in force in every process that uses the keyset.
type Step string

// The steps, in their order; StepEnable takes StepDisable back.
const (
	StepAdd     Step = "add"     // a new key, which decrypts and does not encrypt yet
	StepPromote Step = "promote" // the new key encrypts from now on
	StepDisable Step = "disable" // the old keys are kept, and not used
	StepEnable  Step = "enable"
	StepRemove  Step = "remove" // the disabled keys are destroyed
)

// Steps are all of them.
func Steps() []Step { return []Step{StepAdd, StepPromote, StepDisable, StepEnable, StepRemove} }

// ErrStep is wrapped where another step is due.
var ErrStep = errors.New("this step is not due")

// ErrBusy is wrapped where somebody else is changing the keyset's file.
var ErrBusy = errors.New("the file is being changed by another process")

// KeyState is a key of a keyset without what is secret of it.
type KeyState struct {
	ID      uint32 `json:"id"`
	Primary bool   `json:"primary"` // it encrypts
	Enabled bool   `json:"enabled"` // it decrypts
}

// FileKeys returns the keys of a keyset's file, the oldest first.
func FileKeys(path string) ([]KeyState, error) {
	k, err := readKeysetFile(path)
	if err != nil {
		return nil, err
	}
	return k.states, nil
}

// Due is the step that comes next, by the keys of a file.
func Due(keys []KeyState) Step {
	last := len(keys) - 1
	switch {
	case !keys[last].Primary:
		return StepPromote
	case slices.ContainsFunc(keys[:last], func(k KeyState) bool { return k.Enabled }):
		return StepDisable
	case last > 0:
		return StepRemove
	}
	return StepAdd
}

// Rotate takes a step with a keyset's file and returns its keys after that. The
// file is replaced at once and flushed, and keeps its owner and mode. The error
// wraps ErrStep where another step is due, ErrKeyset where the file is none, or
// ErrBusy.
func Rotate(path string, step Step) ([]KeyState, error) {
	path, err := filepath.EvalSymlinks(path) // the file is replaced, not a link to it
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrKeyset, err)
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrKeyset, err)
	}
	defer func() { _ = file.Close() }() // which ends the lock
	if err := lock(file, path); err != nil {
		return nil, err
	}
	k, err := readKeyset(file, path)
	if err != nil {
		return nil, err
	}
	next, err := k.step(step)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	text, err := keysetText(next)
	if err != nil {
		return nil, err
	}
	changed, err := ParseKeyset(text) // before it takes the place of one that works
	if err != nil {
		return nil, err
	}
	return changed.states, replaceFile(file, path, text)
}

// lock keeps others from changing the file until it is closed.
func lock(file *os.File, path string) error {
	if err := unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		return fmt.Errorf("%s: %w; try again", path, ErrBusy)
	}
	locked, err := file.Stat()
	if err != nil {
		return err
	}
	current, err := os.Stat(path)
	if err != nil {
		return err
	}
	if !os.SameFile(locked, current) { // replaced before it was locked
		return fmt.Errorf("%s: %w; try again", path, ErrBusy)
	}
	return nil
}

// step returns what the keyset is after a step.
func (k *Keyset) step(step Step) (*keyset.Handle, error) {
	due := Due(k.states)
	disabled := slices.ContainsFunc(k.states, func(s KeyState) bool { return !s.Enabled })
	if step != due && (step != StepEnable || !disabled) {
		return nil, fmt.Errorf("%w: %s; next is %s", ErrStep, step, due)
	}
	manager := keyset.NewManagerFromHandle(k.handle)
	if step == StepAdd {
		if _, err := manager.Add(aead.AES256GCMKeyTemplate()); err != nil {
			return nil, fmt.Errorf("add a key: %w", err)
		}
	}
	for i, s := range k.states {
		var err error
		switch last := i == len(k.states)-1; {
		case step == StepPromote && last:
			if err = manager.Enable(s.ID); err == nil {
				err = manager.SetPrimary(s.ID)
			}
		case step == StepDisable && !last:
			err = manager.Disable(s.ID)
		case step == StepEnable:
			err = manager.Enable(s.ID)
		case step == StepRemove && !last:
			err = manager.Delete(s.ID)
		}
		if err != nil {
			return nil, fmt.Errorf("%s key %d: %w", step, s.ID, err)
		}
	}
	return manager.Handle()
}

// replaceFile puts text in the place of a file, whole or not at all, and flushes
// it and its name. Whoever could read the file can read it after that.
func replaceFile(old *os.File, path, text string) error {
	info, err := old.Stat()
	if err != nil {
		return err
	}
	name := path + ".next"
	if err := os.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) { // of a step that was cut off
		return err
	}
	next, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = io.WriteString(next, text)
	if err == nil {
		err = keepOwner(next, info)
	}
	if err == nil {
		err = next.Chmod(info.Mode().Perm())
	}
	if err == nil {
		err = next.Sync()
	}
	if err = errors.Join(err, next.Close()); err == nil {
		err = os.Rename(name, path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(name))
	}
	return syncDir(filepath.Dir(path))
}

// keepOwner gives a file the owner of another, without which a bridge of another
// user could not read it any more.
func keepOwner(file *os.File, of os.FileInfo) error {
	own, err := file.Stat()
	if err != nil {
		return err
	}
	want, is := owner(of), owner(own)
	if want == is {
		return nil
	}
	if err := file.Chown(want.uid, want.gid); err != nil {
		return fmt.Errorf("keep the owner of the file: %w; run this as its owner or as root", err)
	}
	return nil
}

type owns struct{ uid, gid int }

func owner(of os.FileInfo) (o owns) {
	if stat, ok := of.Sys().(*syscall.Stat_t); ok {
		o = owns{int(stat.Uid), int(stat.Gid)}
	}
	return o
}
