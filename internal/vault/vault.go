// Package vault encrypts what is secret at rest, with a keyset that the operator gives or that it keeps beside the embedded bus.
package vault

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"sync"

	"github.com/jethook/jethook/internal/bus"
)

// Config is what a Vault needs. With neither keyset, whatever needs encryption
// is an error that says what to set.
type Config struct {
	Bus *bus.Bus // required

	// Stored are the buckets of what was encrypted, for Reload and Renew.
	Stored []Stored

	// Keyset is a cleartext Tink keyset for AEAD in JSON. It is itself a secret.
	Keyset string
	// File is the keyset's file beside the embedded bus, made when something is
	// first encrypted; Keyset takes its place. It must not be set where replicas
	// share the bus: they would make different ones.
	File string
}

// Vault encrypts and decrypts. It reads or makes the keyset when that is first
// needed. It is safe for concurrent use.
type Vault struct {
	config Config

	mu     sync.Mutex
	keyset *Keyset
}

// New returns a vault; nothing is read yet.
func New(config Config) *Vault { return &Vault{config: config} }

// Encrypt encrypts plaintext for one place: place names record and field, so
// that a ciphertext copied elsewhere cannot be decrypted there. Where there is no
// keyset, and none can be made, the error wraps ErrKeyset.
func (v *Vault) Encrypt(ctx context.Context, plaintext []byte, place string) ([]byte, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if err := v.prepare(ctx); err != nil {
		return nil, err
	}
	if v.keyset == nil {
		made, err := makeKeysetFile(v.config.File)
		if err != nil {
			return nil, err
		}
		v.keyset = made
	}
	return v.keyset.Encrypt(plaintext, place)
}

// Decrypt is the inverse of Encrypt for the same place. The error wraps ErrKeyset
// where the keyset is absent or not the one it was encrypted with, and names the
// remedy.
func (v *Vault) Decrypt(ciphertext []byte, place string) ([]byte, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if err := v.load(); err != nil {
		return nil, err
	}
	plaintext, err := v.keyset.Decrypt(ciphertext, place)
	if err != nil {
		return nil, fmt.Errorf("%w; %s", err, v.remedy())
	}
	return plaintext, nil
}

// Prepare finds out whether Encrypt will have a keyset, and makes none.
func (v *Vault) Prepare(ctx context.Context) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.prepare(ctx)
}

// remedy is what to do where the keyset is not the right one, with mu held.
func (v *Vault) remedy() string {
	if v.config.Keyset == "" && v.config.File != "" {
		return "restore " + v.config.File + ", or where keys of it were disabled, `jethook keys rotate-keyset " + v.config.File + " enable`"
	}
	return "set encryption.keyset to the keyset it was encrypted with, with all its keys enabled"
}

// load reads the keyset where it was not read yet, and makes none.
func (v *Vault) load() (err error) {
	if v.keyset == nil {
		v.keyset, err = v.read(v.config.Keyset)
	}
	return err
}

// read reads the keyset of the configuration, or where that has none the file's.
func (v *Vault) read(given string) (*Keyset, error) {
	switch {
	case given != "":
		k, err := ParseKeyset(given)
		if err != nil {
			return nil, fmt.Errorf("encryption.keyset: %w", err)
		}
		return k, nil
	case v.config.File != "":
		k, err := readKeysetFile(v.config.File)
		if errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("%w: restore the file", err)
		}
		return k, err
	}
	return nil, fmt.Errorf("%w: encrypting secrets needs encryption.keyset, a cleartext Tink AEAD keyset in JSON: "+
		"make one with `tinkey create-keyset --key-template AES256_GCM --out-format json`, the same for every replica", ErrKeyset)
}

// prepare loads the keyset where there is one. A file is not made anew beside
// what needs the old one.
func (v *Vault) prepare(ctx context.Context) error {
	missing := v.load()
	if !errors.Is(missing, fs.ErrNotExist) {
		return missing
	}
	for _, name := range []string{bus.Secrets, bus.Managed} {
		stored, err := v.config.Bus.Holds(ctx, name)
		if err != nil {
			return err
		}
		if stored {
			return fmt.Errorf("secrets are stored that another keyset encrypted: %w", missing)
		}
	}
	return nil
}
