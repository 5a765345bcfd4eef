package managed

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base32"
	"encoding/hex"
	"errors"
	"net/netip"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/jethook/jethook/config"
	"github.com/jethook/jethook/internal/event"
)

// Keys is the kind of API keys, which no file has in this form.
const Keys Kind = "keys"

// Key is an API key as it is kept: enough to recognise it, too little to use it.
type Key struct {
	ID        uuid.UUID
	Env       event.Env
	Hash      [sha256.Size]byte // of its text
	Name      string
	Last      string         // four characters of the text, for people to tell keys apart; may be empty
	Allow     []netip.Prefix // who may use it; all where there is none
	ReadOnly  bool
	CreatedAt time.Time
	CreatedBy string    // the id of the key that made it, or empty
	ExpiresAt time.Time // zero for never
	Deleted   bool      // it was made by a bridge before its keys were entries, and is deleted since

	Entry *Entry // nil for one of the file, and for such an earlier one
}

// maxKeys bounds the keys of an environment, all of which are compared with that
// of a request.
const maxKeys = 1000

const (
	keyBytes    = 32 // random
	keyChecksum = 6  // characters
)

var keyEncoding = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)

// NewKeyText makes the text of a key: its prefix, 256 random bits in base32, and
// six characters of the SHA-256 of what precedes them.
func NewKeyText(env event.Env) string {
	random := make([]byte, keyBytes)
	_, _ = rand.Read(random) // never fails
	text := KeyPrefix(env) + keyEncoding.EncodeToString(random)
	return text + checksum(text)
}

// KeyPrefix begins the keys of an environment.
func KeyPrefix(env event.Env) string { return "sk_" + string(env) + "_" }

func checksum(text string) string {
	sum := sha256.Sum256([]byte(text))
	return keyEncoding.EncodeToString(sum[:])[:keyChecksum]
}

// Mistyped reports whether a text is as long as a key that was made here and has
// another checksum.
func Mistyped(text string) bool {
	body := len(text) - keyChecksum
	return body == len(KeyPrefix(event.Prod))+keyEncoding.EncodedLen(keyBytes) && strings.HasPrefix(text, "sk_") && checksum(text[:body]) != text[body:]
}

// Valid reports whether the key may be used at that time.
func (k *Key) Valid(now time.Time) bool {
	return !k.Deleted && (k.ExpiresAt.IsZero() || k.ExpiresAt.After(now))
}

// Keys returns the keys that are entries.
func (s *Store) Keys() []Key {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.keys == nil {
		s.keys = []Key{}
		for _, e := range s.all(Keys) {
			s.keys = append(s.keys, e.apiKey())
		}
	}
	return s.keys
}

// apiKey reads a key from what is stored.
func (e Entry) apiKey() Key {
	k := Key{ID: e.ID, Env: e.Env, CreatedAt: e.CreatedAt, Entry: &e}
	hash, _ := e.spec["hash"].(string)
	_, _ = hex.Decode(k.Hash[:], []byte(hash)) // what cannot be read is nobody's key
	k.Name, _ = e.spec["name"].(string)
	k.Last, _ = e.spec["last"].(string)
	k.ReadOnly, _ = e.spec["read_only"].(bool)
	k.Deleted, _ = e.spec["deleted"].(bool)
	k.CreatedBy, _ = e.spec["created_by"].(string)
	if text, _ := e.spec["expires_at"].(string); text != "" {
		k.ExpiresAt, _ = time.Parse(time.RFC3339Nano, text)
	}
	allow, _ := e.spec["allow"].([]any)
	for _, item := range allow {
		if text, ok := item.(string); ok {
			if p, err := netip.ParsePrefix(text); err == nil {
				k.Allow = append(k.Allow, p)
			}
		}
	}
	return k
}

// spec is what is stored of a key.
func (k *Key) spec() map[string]any {
	spec := map[string]any{"hash": hex.EncodeToString(k.Hash[:]), "name": k.Name, "last": k.Last, "read_only": k.ReadOnly, "created_by": k.CreatedBy, "deleted": k.Deleted}
	if !k.ExpiresAt.IsZero() {
		spec["expires_at"] = k.ExpiresAt.UTC().Format(time.RFC3339Nano)
	}
	var allow []any
	for _, p := range k.Allow {
		allow = append(allow, p.String())
	}
	spec["allow"] = allow
	return spec
}

// CreateKey makes a key like k, and returns it with its text, which nobody can
// read again. The error is ErrMany, or of the bus.
func (s *Store) CreateKey(ctx context.Context, k Key) (Key, config.Secret, error) {
	count := 0
	for _, other := range s.Keys() {
		if other.Env == k.Env {
			count++
		}
	}
	if count >= maxKeys {
		return Key{}, config.Secret{}, ErrMany
	}
	var err error
	if k.ID, err = uuid.NewV7(); err != nil {
		return Key{}, config.Secret{}, err
	}
	text := NewKeyText(k.Env)
	k.Hash, k.Last = sha256.Sum256([]byte(text)), text[len(text)-4:]
	made, err := s.AddKey(ctx, k)
	return made, config.NewSecret(text), err
}

// AddKey stores a key whose ID and Hash are known. The error is ErrTaken where it
// is stored already, or of the bus.
func (s *Store) AddKey(ctx context.Context, k Key) (Key, error) {
	now := s.now().UTC().Truncate(time.Millisecond)
	e, err := s.write(ctx, Entry{Kind: Keys, Env: k.Env, Name: k.ID.String(), ID: k.ID, CreatedAt: now, UpdatedAt: now, spec: k.spec()},
		func(key string, sealed []byte) (uint64, error) { return s.create(ctx, key, sealed) })
	if err != nil {
		return Key{}, err
	}
	return e.apiKey(), nil
}

// SetKey replaces what is stored of a key that Keys returned and that was changed
// since. The error is ErrChanged, or of the bus.
func (s *Store) SetKey(ctx context.Context, k Key) (Key, error) {
	if k.Entry == nil {
		return Key{}, errors.New("the key is not stored")
	}
	e := *k.Entry
	e.spec, e.UpdatedAt = k.spec(), s.now().UTC().Truncate(time.Millisecond)
	e, err := s.write(ctx, e, func(key string, sealed []byte) (uint64, error) { return s.replaced(ctx, key, sealed, e.Revision) })
	if err != nil {
		return Key{}, err
	}
	return e.apiKey(), nil
}
