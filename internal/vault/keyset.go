package vault

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/tink-crypto/tink-go/v2/aead"
	"github.com/tink-crypto/tink-go/v2/insecurecleartextkeyset"
	"github.com/tink-crypto/tink-go/v2/keyset"
	"github.com/tink-crypto/tink-go/v2/tink"
)

// ErrKeyset is wrapped where a keyset is absent, cannot be read, or is not the
// one a secret was encrypted with.
var ErrKeyset = errors.New("keyset")

// maxKeyset bounds the bytes of a keyset's file. A key takes 300.
const maxKeyset = 64 << 10

// Keyset encrypts what is secret at rest. It is safe for concurrent use.
type Keyset struct {
	text      string // secret
	handle    *keyset.Handle
	primitive tink.AEAD
	older     tink.AEAD // of the keys before the one that encrypts; may be nil
	states    []KeyState
}

// ParseKeyset reads a cleartext Tink keyset for AEAD in JSON. Its errors wrap
// ErrKeyset and hold no part of the text.
func ParseKeyset(text string) (*Keyset, error) {
	handle, err := insecurecleartextkeyset.Read(keyset.NewJSONReader(strings.NewReader(text)))
	if err != nil {
		return nil, fmt.Errorf("%w: it is not a cleartext Tink keyset in JSON", ErrKeyset)
	}
	k := &Keyset{text: text, handle: handle}
	for i := range handle.Len() {
		entry, err := handle.Entry(i)
		if err != nil {
			return nil, fmt.Errorf("%w: its keys cannot be read", ErrKeyset)
		}
		k.states = append(k.states, KeyState{entry.KeyID(), entry.IsPrimary(), entry.KeyStatus() == keyset.Enabled})
	}
	if k.primitive, err = aead.New(handle); err != nil {
		return nil, fmt.Errorf("%w: its keys are not for AEAD", ErrKeyset)
	}
	if k.older, err = k.withoutNewer(); err != nil {
		return nil, fmt.Errorf("%w: its older keys cannot be used", ErrKeyset)
	}
	return k, nil
}

// withoutNewer is the keyset of the keys that are older than the primary one, nil
// where none of them is enabled.
func (k *Keyset) withoutNewer() (tink.AEAD, error) {
	manager := keyset.NewManagerFromHandle(k.handle)
	primary := slices.IndexFunc(k.states, func(s KeyState) bool { return s.Primary })
	first := slices.IndexFunc(k.states, func(s KeyState) bool { return s.Enabled })
	if first == primary {
		return nil, nil
	}
	if err := manager.SetPrimary(k.states[first].ID); err != nil {
		return nil, err
	}
	for _, s := range k.states[primary:] {
		if err := manager.Delete(s.ID); err != nil {
			return nil, err
		}
	}
	handle, err := manager.Handle()
	if err != nil {
		return nil, err
	}
	return aead.New(handle)
}

// Encrypt encrypts plaintext for one place: associated names record and field,
// so that a ciphertext copied elsewhere cannot be decrypted there.
func (k *Keyset) Encrypt(plaintext []byte, associated string) ([]byte, error) {
	return k.primitive.Encrypt(plaintext, []byte(associated))
}

// Decrypt is the inverse of Encrypt for the same associated. The error wraps
// ErrKeyset where another keyset encrypted it.
func (k *Keyset) Decrypt(ciphertext []byte, associated string) ([]byte, error) {
	plaintext, err := k.primitive.Decrypt(ciphertext, []byte(associated))
	if err != nil {
		return nil, fmt.Errorf("%w: it does not decrypt this: it was encrypted with another keyset, or was changed", ErrKeyset)
	}
	return plaintext, nil
}

// outdated reports whether a key older than the primary one has encrypted it.
func (k *Keyset) outdated(ciphertext []byte, associated string) bool {
	if k.older == nil {
		return false
	}
	_, err := k.older.Decrypt(ciphertext, []byte(associated))
	return err == nil
}

// ids are the keys that decrypt, and the one that encrypts. They are not secret:
// each ciphertext begins with one.
func (k *Keyset) ids() (primary uint32, enabled []uint32) {
	for _, s := range k.states {
		if s.Primary {
			primary = s.ID
		}
		if s.Enabled {
			enabled = append(enabled, s.ID)
		}
	}
	return primary, enabled
}

// GenerateKeyset returns a new keyset as ParseKeyset reads it. It is secret.
func GenerateKeyset() (string, error) {
	handle, err := keyset.NewHandle(aead.AES256GCMKeyTemplate())
	if err != nil {
		return "", err
	}
	return keysetText(handle)
}

// keysetText is a keyset in the clear.
func keysetText(handle *keyset.Handle) (string, error) {
	var text bytes.Buffer
	if err := insecurecleartextkeyset.Write(handle, keyset.NewJSONWriter(&text)); err != nil {
		return "", err
	}
	return text.String(), nil
}

// readKeysetFile returns an error that wraps fs.ErrNotExist where there is no
// file.
func readKeysetFile(path string) (*Keyset, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrKeyset, err)
	}
	defer func() { _ = file.Close() }() // nothing was written
	return readKeyset(file, path)
}

func readKeyset(file *os.File, path string) (*Keyset, error) {
	text, err := io.ReadAll(io.LimitReader(file, maxKeyset))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrKeyset, err)
	}
	k, err := ParseKeyset(string(text))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return k, nil
}

// makeKeysetFile makes a keyset and returns it when it is on the disk: losing
// it would lose every secret encrypted with it. A file that exists is an error.
func makeKeysetFile(path string) (*Keyset, error) {
	text, err := GenerateKeyset()
	if err != nil {
		return nil, fmt.Errorf("make a keyset: %w", err)
	}
	if err := writeOnce(path, text); err != nil {
		return nil, fmt.Errorf("make a keyset: %w", err)
	}
	return ParseKeyset(text)
}

// writeOnce writes a file for this user alone, whole or not at all, and flushes
// it and its name. A file that exists stays and is an error.
func writeOnce(path, text string) error {
	dir := filepath.Dir(path)
	file, err := os.CreateTemp(dir, filepath.Base(path)+".*") // mode 0600, O_EXCL
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(file.Name()) }() // only its second name stays
	_, err = file.WriteString(text)
	if err == nil {
		err = file.Sync()
	}
	if err = errors.Join(err, file.Close()); err != nil {
		return err
	}
	if err := os.Link(file.Name(), path); err != nil {
		return err
	}
	return syncDir(dir)
}

// syncDir flushes the names in a directory.
func syncDir(dir string) error {
	parent, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(parent.Sync(), parent.Close())
}
