package vault

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/tink-crypto/tink-go/v2/aead"
	"github.com/tink-crypto/tink-go/v2/insecurecleartextkeyset"
	"github.com/tink-crypto/tink-go/v2/keyset"
	"github.com/tink-crypto/tink-go/v2/tink"
)

// ErrKeyset is wrapped where a keyset is absent, cannot be read, or is not the
// one a secret was encrypted with.
var ErrKeyset = errors.New("keyset")

// Keyset encrypts what is secret at rest. It is safe for concurrent use.
type Keyset struct{ primitive tink.AEAD }

// ParseKeyset reads a cleartext Tink keyset for AEAD in JSON. Its errors wrap
// ErrKeyset and hold no part of the text.
func ParseKeyset(text string) (*Keyset, error) {
	handle, err := insecurecleartextkeyset.Read(keyset.NewJSONReader(strings.NewReader(text)))
	if err != nil {
		return nil, fmt.Errorf("%w: it is not a cleartext Tink keyset in JSON", ErrKeyset)
	}
	primitive, err := aead.New(handle)
	if err != nil {
		return nil, fmt.Errorf("%w: its keys are not for AEAD", ErrKeyset)
	}
	return &Keyset{primitive}, nil
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

// GenerateKeyset returns a new keyset as ParseKeyset reads it. It is secret.
func GenerateKeyset() (string, error) {
	handle, err := keyset.NewHandle(aead.AES256GCMKeyTemplate())
	if err != nil {
		return "", err
	}
	var text bytes.Buffer
	if err := insecurecleartextkeyset.Write(handle, keyset.NewJSONWriter(&text)); err != nil {
		return "", err
	}
	return text.String(), nil
}

// readKeysetFile returns an error that wraps fs.ErrNotExist where there is no
// file.
func readKeysetFile(path string) (*Keyset, error) {
	text, err := os.ReadFile(path)
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
	parent, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(parent.Sync(), parent.Close())
}
