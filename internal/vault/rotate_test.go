package vault

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"github.com/jethook/jethook/internal/bus"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func openBus(t *testing.T) *bus.Bus {
	t.Helper()
	b, err := bus.Open(t.Context(), bus.Config{
		Embedded: &bus.Embedded{StoreDir: t.TempDir(), Durability: bus.Process},
		Stream:   bus.Stream{Replicas: 1, MaxAge: 24 * time.Hour, MaxBytes: 64 << 20, DedupeWindow: time.Minute},
		Logger:   slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	})
	return b
}

// secretsIn is the bucket that the tests encrypt in.
var secretsIn = Stored{Bucket: bus.Secrets, Place: func(key string) string { return "test/" + key }}

// store encrypts n values, with what encrypts them in their text.
func store(t *testing.T, b *bus.Bus, v *Vault, who string, n int) {
	t.Helper()
	bucket, err := b.JetStream().KeyValue(t.Context(), bus.Secrets)
	if err != nil {
		t.Fatal(err)
	}
	for i := range n {
		key := fmt.Sprintf("%s-%d", who, i)
		sealed, err := v.Encrypt(t.Context(), []byte(key), secretsIn.Place(key))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := bucket.Put(t.Context(), key, sealed); err != nil {
			t.Fatal(err)
		}
	}
}

// readable counts the values that a keyset decrypts, and all.
func readable(t *testing.T, b *bus.Bus, k *Keyset) (read, all int) {
	t.Helper()
	if err := b.Rewrite(t.Context(), bus.Secrets, func(key string, value []byte, _ time.Time) ([]byte, error) {
		all++
		if plain, err := k.Decrypt(value, secretsIn.Place(key)); err == nil && string(plain) == key {
			read++
		}
		return nil, nil
	}); err != nil {
		t.Fatal(err)
	}
	return read, all
}

func rotate(t *testing.T, path string, step Step) {
	t.Helper()
	if _, err := Rotate(path, step); err != nil {
		t.Fatal(err)
	}
}

func newKeysetFile(t *testing.T) (path string, made *Keyset) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "keyset.json")
	made, err := makeKeysetFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return path, made
}

func TestWhatIsStoredIsReadableAtEveryStepAndAfterTheLastWithTheNewKeyAlone(t *testing.T) {
	b := openBus(t)
	path, old := newKeysetFile(t)
	config := Config{Bus: b, File: path, Stored: []Stored{secretsIn}}
	first, second := New(config), New(config) // two replicas
	store(t, b, first, "old", 50)
	takeUp := func(v *Vault) {
		t.Helper()
		if changed, err := v.Refresh(t.Context()); !changed || err != nil {
			t.Fatalf("refresh: changed %v, error %v", changed, err)
		}
	}
	if n, left, err := first.Renew(t.Context()); n != 0 || left != 0 || err != nil {
		t.Errorf("renewed %d, %d left, error %v; want nothing to do", n, left, err)
	}
	rotate(t, path, StepAdd)
	takeUp(first)
	takeUp(second)
	rotate(t, path, StepPromote)
	takeUp(first)
	store(t, b, first, "new", 10)
	cut, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := first.Renew(cut); err == nil {
		t.Error("renewed although it was cut off")
	}
	// The second has the new key and encrypts with the old one yet.
	if n, left, err := second.Renew(t.Context()); n != 0 || left != 0 || err != nil {
		t.Errorf("the slower replica renewed %d, %d left, error %v; want it to leave what newer keys encrypted", n, left, err)
	}
	store(t, b, second, "late", 10)
	k, err := readKeysetFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if read, all := readable(t, b, k); read != 70 || all != 70 {
		t.Fatalf("half way %d of %d are readable", read, all)
	}
	rotate(t, path, StepDisable)
	if _, err := first.Refresh(t.Context()); !errors.Is(err, ErrKeyset) {
		t.Errorf("disabled too early: error %v, want %v", err, ErrKeyset)
	}
	if n, _, err := first.Renew(t.Context()); n != 60 || err != nil {
		t.Errorf("renewed %d, error %v; want 60", n, err)
	}
	if n, left, err := first.Renew(t.Context()); n != 0 || left != 0 || err != nil {
		t.Errorf("again: renewed %d, %d left, error %v; want nothing to do", n, left, err)
	}
	takeUp(first)
	rotate(t, path, StepRemove)
	takeUp(first)
	if read, all := readable(t, b, old); read != 0 || all != 70 {
		t.Errorf("the old keyset reads %d of %d, want none", read, all)
	}
	if k, err = readKeysetFile(path); err != nil {
		t.Fatal(err)
	}
	if read, all := readable(t, b, k); read != 70 || all != 70 || len(k.states) != 1 {
		t.Errorf("at the end %d of %d are readable with %d keys", read, all, len(k.states))
	}
	third := New(config)
	store(t, b, third, "after", 1)
}

func TestARotationWhileValuesAreWrittenLosesNone(t *testing.T) {
	b := openBus(t)
	path, old := newKeysetFile(t)
	v := New(Config{Bus: b, File: path, Stored: []Stored{secretsIn}})
	store(t, b, v, "before", 20)
	ctx, stop := context.WithCancel(t.Context())
	written := make(chan int)
	bucket, err := b.JetStream().KeyValue(t.Context(), bus.Secrets)
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		n := 0
		defer func() { written <- n }()
		for ; ctx.Err() == nil && n < 2000; n++ {
			key := fmt.Sprintf("writer-%d", n)
			sealed, err := v.Encrypt(t.Context(), []byte(key), secretsIn.Place(key))
			if err == nil {
				_, err = bucket.Put(t.Context(), key, sealed)
			}
			if err != nil {
				t.Error(err)
				return
			}
		}
	}()
	rotate(t, path, StepAdd)
	rotate(t, path, StepPromote) // one process may skip a step
	if _, err := v.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	settle := func() {
		t.Helper()
		for n := 1; n > 0; {
			var err error
			if n, _, err = v.Renew(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	}
	settle()
	stop()
	n := <-written
	settle() // what was encrypted before the refresh is stored by now
	rotate(t, path, StepDisable)
	if _, err := v.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	rotate(t, path, StepRemove)
	k, err := readKeysetFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if read, all := readable(t, b, k); read != 20+n || all != 20+n {
		t.Errorf("%d of %d are readable, want %d", read, all, 20+n)
	}
	if read, _ := readable(t, b, old); read != 0 {
		t.Errorf("the old keyset reads %d", read)
	}
}

func TestAValueThatRestsIsLeftAndTheKeyItNeedsIsNotGivenUp(t *testing.T) {
	b := openBus(t)
	path, _ := newKeysetFile(t)
	resting := secretsIn
	resting.Rest = time.Hour
	v := New(Config{Bus: b, File: path, Stored: []Stored{resting}})
	store(t, b, v, "reply", 3)
	rotate(t, path, StepAdd)
	rotate(t, path, StepPromote)
	if _, err := v.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n, left, err := v.Renew(t.Context()); n != 0 || left != 3 || err != nil {
		t.Errorf("renewed %d, %d left, error %v; want 3 left", n, left, err)
	}
	rotate(t, path, StepDisable)
	if _, err := v.Refresh(t.Context()); !errors.Is(err, ErrKeyset) || !strings.Contains(err.Error(), "reply-") {
		t.Errorf("error %v, want %v that names a value", err, ErrKeyset)
	}
	rotate(t, path, StepEnable)
	if changed, err := v.Refresh(t.Context()); changed || err != nil {
		t.Errorf("taken back: changed %v, error %v; want the one in force", changed, err)
	}
}

func TestAStepReplacesTheFileAtOnceAndKeepsItsModeAndTheLinkToIt(t *testing.T) {
	path, _ := newKeysetFile(t)
	if err := os.Chmod(path, 0o640); err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(t.TempDir(), "link.json")
	if err := os.Symlink(path, link); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path+".next", []byte("of a step that was cut off"), 0o600); err != nil {
		t.Fatal(err)
	}
	rotate(t, link, StepAdd)
	info, err := os.Lstat(path)
	if err != nil || info.Mode() != 0o640 {
		t.Errorf("mode %v, error %v; want 0640", info.Mode(), err)
	}
	if info, err := os.Lstat(link); err != nil || info.Mode()&os.ModeSymlink == 0 {
		t.Errorf("the link has mode %v, error %v", info.Mode(), err)
	}
	if entries, err := os.ReadDir(filepath.Dir(path)); err != nil || len(entries) != 1 {
		t.Errorf("beside the keyset: %v, error %v; want nothing", entries, err)
	}
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	if err := unix.Flock(int(file.Fd()), unix.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	if _, err := Rotate(path, StepPromote); !errors.Is(err, ErrBusy) {
		t.Errorf("while somebody else changes it: error %v, want %v", err, ErrBusy)
	}
	if after, err := os.ReadFile(path); err != nil || string(after) != string(before) {
		t.Errorf("it was changed all the same, error %v", err)
	}
}

func TestStepsComeInTheirOrder(t *testing.T) {
	path, _ := newKeysetFile(t)
	for _, due := range []Step{StepAdd, StepPromote, StepDisable, StepRemove, StepAdd} {
		for _, step := range Steps() {
			if step == due || step == StepEnable {
				continue
			}
			if _, err := Rotate(path, step); !errors.Is(err, ErrStep) || !strings.Contains(err.Error(), "next is "+string(due)) {
				t.Errorf("%s where %s is due: error %v, want %v", step, due, err, ErrStep)
			}
		}
		rotate(t, path, due)
	}
	if _, err := Rotate(path, StepEnable); !errors.Is(err, ErrStep) {
		t.Errorf("enable where nothing is disabled: error %v, want %v", err, ErrStep)
	}
}
