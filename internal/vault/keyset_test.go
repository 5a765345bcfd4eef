package vault

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"pgregory.net/rapid"
)

func TestAKeysetDecryptsWhatItEncryptedForTheSamePlace(t *testing.T) {
	text, err := GenerateKeyset()
	if err != nil {
		t.Fatal(err)
	}
	keys, err := ParseKeyset(text)
	if err != nil {
		t.Fatal(err)
	}
	rapid.Check(t, func(t *rapid.T) {
		plain := rapid.SliceOf(rapid.Byte()).Draw(t, "plain")
		place, other := rapid.String().Draw(t, "place"), rapid.String().Draw(t, "other")
		sealed, err := keys.Encrypt(plain, place)
		if err != nil {
			t.Fatalf("encrypt: %v", err)
		}
		got, err := keys.Decrypt(sealed, place)
		if err != nil || !bytes.Equal(got, plain) {
			t.Fatalf("decrypt: got %q, error %v; want %q", got, err, plain)
		}
		if _, err := keys.Decrypt(sealed, other); (err == nil) != (place == other) {
			t.Fatalf("decrypt for %q what was encrypted for %q: got error %v", other, place, err)
		}
		sealed[rapid.IntRange(0, len(sealed)-1).Draw(t, "at")] ^= 1
		if _, err := keys.Decrypt(sealed, place); !errors.Is(err, ErrKeyset) {
			t.Fatalf("decrypt what was changed: got error %v, want %v", err, ErrKeyset)
		}
	})
}

func TestAKeysetFileIsMadeOnceForItsOwnerAlone(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keyset.json")
	made, err := makeKeysetFile(path)
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode() != 0o600 {
		t.Errorf("mode: got %v, error %v; want 0600", info.Mode(), err)
	}
	if _, err := makeKeysetFile(path); !errors.Is(err, fs.ErrExist) {
		t.Errorf("made again: got error %v, want %v", err, fs.ErrExist)
	}
	sealed, err := made.Encrypt([]byte("secret"), "place")
	if err != nil {
		t.Fatal(err)
	}
	read, err := readKeysetFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if plain, err := read.Decrypt(sealed, "place"); err != nil || string(plain) != "secret" {
		t.Errorf("decrypt with the file: got %q, error %v; want %q", plain, err, "secret")
	}
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil || len(entries) != 1 {
		t.Errorf("beside the keyset: got %v, error %v; want nothing", entries, err)
	}
}
