package signature

import (
	"crypto"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
)

// Key is the material one signature is made or verified with. It cannot be
// printed, marshalled or logged: every form of it is "***". The zero value is
// no key; NewVerifier and NewSigner refuse it. Keys are made by ParseKey and
// ParseSigningKey and never change.
type Key struct {
	// hidden is a pointer to a pointer, which fmt prints as an address. It calls
	// no method on a Key in an unexported field, and would follow one pointer.
	hidden **material
}

type material struct {
	family  family
	secret  []byte            // secretFamily, tokenFamily, basicFamily
	digest  [sha256.Size]byte // of secret, which tokens are compared by
	public  crypto.PublicKey  // public families
	private crypto.Signer     // public families, signing keys only
}

// material is nil for the zero Key.
func (k Key) material() *material {
	if k.hidden == nil {
		return nil
	}
	return *k.hidden
}

const redacted = "***"

// Format writes "***" for every verb.
func (Key) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(redacted)) }

// String returns "***".
func (Key) String() string { return redacted }

// GoString returns "***".
func (Key) GoString() string { return redacted }

// MarshalText returns "***".
func (Key) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// LogValue returns "***".
func (Key) LogValue() slog.Value { return slog.StringValue(redacted) }

// maxKeys is how many keys one scheme takes. Rotating needs two.
const maxKeys = 16

// fit checks that keys are what the plan needs.
func (p *plan) fit(keys []Key) error {
	if p.family == noFamily {
		if len(keys) > 0 {
			return errors.New("none verifies nothing: it takes no keys")
		}
		return nil
	}
	if len(keys) == 0 || len(keys) > maxKeys {
		return fmt.Errorf("%s takes 1 to %d keys, not %d", p.name, maxKeys, len(keys))
	}
	for i, k := range keys {
		if m := k.material(); m == nil || m.family != p.family {
			return fmt.Errorf("key %d of %d was not read for %s", i+1, len(keys), p.name)
		}
	}
	return nil
}
