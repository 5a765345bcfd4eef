package admin

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"github.com/jethook/jethook/internal/bus"
	"github.com/jethook/jethook/internal/event"
	"github.com/jethook/jethook/internal/managed"
)

// Key is an API key, and whether it is the file's.
type Key struct {
	managed.Key
	ofFile bool
}

// keyID begins the ids of keys.
const keyID = "key_"

func (k *Key) id() string { return wireID(keyID, k.ID) }

// ParseKey returns a key of the file from its text, which names its environment.
func ParseKey(text string) (Key, error) {
	for _, env := range event.Envs() {
		if secret, ok := strings.CutPrefix(text, managed.KeyPrefix(env)); ok && secret != "" {
			k := keyOf(env, sha256.Sum256([]byte(text)))
			k.ofFile = true
			return k, nil
		}
	}
	return Key{}, errors.New("an API key begins with sk_test_ or sk_prod_")
}

// keyOf is a key of which the hash alone is known, and its ID made of that.
func keyOf(env event.Env, hash [sha256.Size]byte) Key {
	return Key{Key: managed.Key{ID: managed.FileID(managed.Keys, env, hex.EncodeToString(hash[:])), Env: env, Hash: hash}}
}

// all returns the keys that there are: those that are entries, and those of the
// file and of the first start that no entry says anything else about.
func (h *Handler) all() []Key {
	stored := h.config.Managed.Keys()
	keys := make([]Key, 0, len(stored)+4)
	known := make(map[[sha256.Size]byte]bool, len(stored))
	for _, k := range stored {
		keys = append(keys, Key{Key: k})
		known[k.Hash] = true
	}
	for _, k := range *h.keys.Load() {
		if k.ofFile || !known[k.Hash] {
			keys = append(keys, k)
		}
	}
	return keys
}

// find returns the key that the text is, the file's where another is the same. It
// takes as long whichever it is, and where it is none.
func find(keys []Key, text string) (Key, bool) {
	hash := sha256.Sum256([]byte(text))
	var found Key
	ok := false
	for _, k := range keys {
		if subtle.ConstantTimeCompare(hash[:], k.Hash[:]) == 1 {
			found, ok = k, true
		}
	}
	return found, ok
}

// GeneratedKeys returns the key that the bus has of each environment since the
// first start, and makes it where there is none and missing says that there is no
// other key either: the bus gets the SHA-256. show is called with the text of each
// that was made, after it was stored; nothing else ever shows it.
func GeneratedKeys(ctx context.Context, b *bus.Bus, missing func(event.Env) bool, show func(env event.Env, text string)) ([]Key, error) {
	var keys []Key
	for _, env := range event.Envs() {
		key, err := generatedKey(ctx, b, env, missing(env), show)
		if errors.Is(err, bus.ErrNotFound) {
			continue
		}
		if err != nil {
			return nil, err
		}
		keys = append(keys, key)
	}
	return keys, nil
}

func generatedKey(ctx context.Context, b *bus.Bus, env event.Env, missing bool, show func(env event.Env, text string)) (Key, error) {
	stored, err := b.Key(ctx, env)
	if errors.Is(err, bus.ErrNotFound) && missing {
		text := managed.NewKeyText(env)
		hash := sha256.Sum256([]byte(text))
		created, failed := b.CreateKey(ctx, env, hex.EncodeToString(hash[:]))
		if created {
			show(env, text)
		}
		if created || failed != nil {
			return keyOf(env, hash), failed
		}
		stored, err = b.Key(ctx, env) // another replica was first
	}
	if err != nil {
		return Key{}, err
	}
	var hash [sha256.Size]byte
	if n, err := hex.Decode(hash[:], []byte(stored)); n != len(hash) || err != nil {
		return Key{}, fmt.Errorf("the API key of %s in bucket %s cannot be read: delete it there, or set admin.keys", env, bus.Keys)
	}
	return keyOf(env, hash), nil
}
