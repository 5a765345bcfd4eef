package signature

import (
	"crypto"
	"errors"
	"fmt"
	"log/slog"
)

// Key is the material one signature is made or verified with. It cannot be
// printed, marshalled or logged: every form of it is "***". The zero value is
// no key; NewVerifier and NewSigner refuse it. Keys are made by ParseKey and
// ParseSigningKey and never change.
type Key struct {
	// material is behind a pointer so that fmt, which calls no methods on an
	// unexported field that holds a Key, prints an address and not the bytes.
	material *material
}

type material struct {
	family  family
	secret  []byte           // secretFamily, tokenFamily, basicFamily
	public  crypto.PublicKey // public families
	private crypto.Signer    // public families, signing keys only
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

// materials checks that keys fit the plan and takes them out of their wrapping.
func (p *plan) materials(keys []Key) ([]*material, error) {
	if p.family == noFamily {
		if len(keys) > 0 {
			return nil, errors.New("none verifies nothing: it takes no keys")
		}
		return nil, nil
	}
	if len(keys) == 0 || len(keys) > maxKeys {
		return nil, fmt.Errorf("%s takes 1 to %d keys, not %d", p.name, maxKeys, len(keys))
	}
	out := make([]*material, len(keys))
	for i, k := range keys {
		if k.material == nil || k.material.family != p.family {
			return nil, fmt.Errorf("key %d of %d was not read for %s", i+1, len(keys), p.name)
		}
		out[i] = k.material
	}
	return out, nil
}
