package vault

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"time"
)

// Stored is a bucket of what a Vault has encrypted.
type Stored struct {
	Bucket string
	// Place is what the value of a key is encrypted for.
	Place func(key string) string
	// Rest is how long a value is left alone after it was written, because whoever
	// wrote it counts on finding it as it was; zero for not at all.
	Rest time.Duration
}

// Reload puts a keyset into force that has changed: given, or where that is empty
// the file's. It reports false where it has not changed, or there is none yet. A keyset that does not decrypt all that is stored is refused, with an error
// that wraps ErrKeyset, and the one before stays in force.
func (v *Vault) Reload(ctx context.Context, given string) (bool, error) {
	next, err := v.read(given)
	if err != nil {
		none := given == "" && (v.config.File == "" || errors.Is(err, fs.ErrNotExist))
		if none && !v.loaded() {
			return false, nil // it is said when something is to be encrypted
		}
		return false, err
	}
	v.mu.Lock()
	same := v.keyset != nil && v.keyset.text == next.text
	v.mu.Unlock()
	if same {
		return false, nil
	}
	for _, stored := range v.config.Stored {
		if err := v.config.Bus.Rewrite(ctx, stored.Bucket, func(key string, value []byte, _ time.Time) ([]byte, error) {
			if _, err := next.Decrypt(value, stored.Place(key)); err != nil {
				return nil, fmt.Errorf("%w; %s of bucket %s needs a key that is not in it or is disabled: enable it, and wait until nothing is left to be encrypted anew", ErrKeyset, key, stored.Bucket)
			}
			return nil, nil
		}); err != nil {
			return false, err
		}
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	v.keyset, v.config.Keyset = next, given
	return true, nil
}

// Refresh is Reload for a keyset of which only the file may have changed.
func (v *Vault) Refresh(ctx context.Context) (bool, error) {
	v.mu.Lock()
	given := v.config.Keyset
	v.mu.Unlock()
	if given != "" || v.config.File == "" {
		return false, nil
	}
	return v.Reload(ctx, "")
}

func (v *Vault) loaded() bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.keyset != nil
}

// Keys returns the ids of the key that encrypts and of all that decrypt, the
// oldest first; none before the keyset was needed. They are not secret.
func (v *Vault) Keys() (primary uint32, enabled []uint32) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.keyset == nil {
		return 0, nil
	}
	return v.keyset.ids()
}

// Renew encrypts with the primary key what is stored under an older one. It
// returns how much that was, and how much rests and is left for another time.
// Done again until both are nothing, nothing needs an older key; cut off at any
// moment, everything can be read. What a newer key has encrypted stays: another
// replica may have got its keyset earlier.
func (v *Vault) Renew(ctx context.Context) (renewed, left int, err error) {
	for _, stored := range v.config.Stored {
		err := v.config.Bus.Rewrite(ctx, stored.Bucket, func(key string, value []byte, written time.Time) ([]byte, error) {
			place := stored.Place(key)
			if old, err := v.outdated(value, place); !old || err != nil {
				return nil, err
			}
			if time.Since(written) < stored.Rest {
				left++
				return nil, nil
			}
			plaintext, err := v.Decrypt(value, place)
			if err != nil {
				return nil, fmt.Errorf("%s of bucket %s: %w", key, stored.Bucket, err)
			}
			renewed++
			return v.Encrypt(ctx, plaintext, place)
		})
		if err != nil {
			return renewed, left, err
		}
	}
	return renewed, left, nil
}

// outdated reports whether a key older than the primary one has encrypted it.
func (v *Vault) outdated(ciphertext []byte, place string) (bool, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if err := v.load(); err != nil {
		return false, err
	}
	return v.keyset.outdated(ciphertext, place), nil
}
