package admin

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base32"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"github.com/jethook/jethook/internal/bus"
	"github.com/jethook/jethook/internal/event"
)

// Key is an API key as it is kept: enough to recognise it, too little to use it.
type Key struct {
	hash [sha256.Size]byte
	env  event.Env
}

// name tells keys apart in the log.
func (k Key) name() string { return hex.EncodeToString(k.hash[:4]) }

// ParseKey returns a key from its text, which names its environment.
func ParseKey(text string) (Key, error) {
	for _, env := range event.Envs() {
		if secret, ok := strings.CutPrefix(text, keyPrefix(env)); ok && secret != "" {
			return Key{hash: sha256.Sum256([]byte(text)), env: env}, nil
		}
	}
	return Key{}, errors.New("an API key begins with sk_test_ or sk_prod_")
}

func keyPrefix(env event.Env) string { return "sk_" + string(env) + "_" }

// find returns the key that the text is. It takes as long whichever it is, and
// where it is none.
func find(keys []Key, text string) (Key, bool) {
	hash := sha256.Sum256([]byte(text))
	var found Key
	ok := false
	for _, k := range keys {
		if subtle.ConstantTimeCompare(hash[:], k.hash[:]) == 1 {
			found, ok = k, true
		}
	}
	return found, ok
}

var keyEncoding = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)

// GeneratedKeys returns the bus's own key of each environment, and makes those
// that there are none of yet: 256 random bits, of which the bus gets the
// SHA-256. show is called with the text of each that was made, after it was
// stored; nothing else ever shows it.
func GeneratedKeys(ctx context.Context, b *bus.Bus, show func(env event.Env, text string)) ([]Key, error) {
	var keys []Key
	for _, env := range event.Envs() {
		key, err := generatedKey(ctx, b, env, show)
		if err != nil {
			return nil, err
		}
		keys = append(keys, key)
	}
	return keys, nil
}

func generatedKey(ctx context.Context, b *bus.Bus, env event.Env, show func(env event.Env, text string)) (Key, error) {
	key := Key{env: env}
	stored, err := b.Key(ctx, env)
	if errors.Is(err, bus.ErrNotFound) {
		random := make([]byte, sha256.Size)
		_, _ = rand.Read(random) // never fails
		text := keyPrefix(env) + keyEncoding.EncodeToString(random)
		key.hash = sha256.Sum256([]byte(text))
		created, failed := b.CreateKey(ctx, env, hex.EncodeToString(key.hash[:]))
		if created {
			show(env, text)
		}
		if created || failed != nil {
			return key, failed
		}
		stored, err = b.Key(ctx, env) // another replica was first
	}
	if err != nil {
		return key, err
	}
	if n, err := hex.Decode(key.hash[:], []byte(stored)); n != len(key.hash) || err != nil {
		return key, fmt.Errorf("the API key of %s in bucket %s cannot be read: delete it there, or set admin.keys", env, bus.Keys)
	}
	return key, nil
}
