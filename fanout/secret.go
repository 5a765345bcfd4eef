package fanout

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/jethook/jethook/internal/bus"
	"github.com/jethook/jethook/internal/event"
	"github.com/jethook/jethook/internal/signature"
	"github.com/jethook/jethook/internal/vault"
)

// keychain keeps the signing keys that were generated for endpoints of the file.
type keychain struct {
	bus        *bus.Bus
	vault      *vault.Vault
	logger     *slog.Logger
	showSecret func(endpoint, secret string)

	mu   sync.Mutex
	keys map[string]signature.Key // by key of the bucket
}

// secretKey is a secret's key in the bucket. The algorithm is part of it, so
// that an endpoint whose signature changes gets a secret that fits.
func secretKey(of ref, s signature.Scheme) string {
	return of.key() + "." + string(s.Algorithm)
}

func associated(of ref) string {
	return "endpoint/" + of.String() + "/secret"
}

// StoredSecrets is what this package has a vault encrypt.
func StoredSecrets() vault.Stored {
	return vault.Stored{Bucket: bus.Secrets, Place: func(key string) string {
		env, rest, _ := strings.Cut(key, ".")
		name, _, _ := strings.Cut(rest, ".") // the algorithm
		return associated(ref{event.Env(env), name})
	}}
}

// draft is a secret that was generated and is not stored yet.
type draft struct {
	ref    ref
	scheme signature.Scheme
	text   string
}

// key returns the endpoint's signing key: the stored one, or that of a draft,
// which store must keep before it is used.
func (k *keychain) key(ctx context.Context, of ref, s signature.Scheme) (signature.Key, *draft, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if key, ok := k.keys[secretKey(of, s)]; ok {
		return key, nil, nil
	}
	bucket, err := k.bus.JetStream().KeyValue(ctx, bus.Secrets)
	if err != nil {
		return signature.Key{}, nil, fmt.Errorf("open bucket %s: %w", bus.Secrets, err)
	}
	key, err := k.read(ctx, bucket, of, s)
	if !errors.Is(err, jetstream.ErrKeyNotFound) {
		return key, nil, err
	}
	if err := k.vault.Prepare(ctx); err != nil {
		return signature.Key{}, nil, err
	}
	text, err := signature.GenerateSecret(s.Algorithm)
	if err != nil {
		return signature.Key{}, nil, err
	}
	key, err = signature.ParseSigningKey(s.Algorithm, s.KeyEncoding, text)
	return key, &draft{of, s, text}, err
}

// read returns the stored key with mu held, or an error that wraps
// jetstream.ErrKeyNotFound.
func (k *keychain) read(ctx context.Context, bucket jetstream.KeyValue, of ref, s signature.Scheme) (signature.Key, error) {
	entry, err := bucket.Get(ctx, secretKey(of, s))
	if err != nil {
		return signature.Key{}, fmt.Errorf("read its secret: %w", err)
	}
	text, err := k.vault.Decrypt(entry.Value(), associated(of))
	if err != nil {
		return signature.Key{}, fmt.Errorf("its secret is stored encrypted: %w, or give the endpoint secrets in the file", err)
	}
	key, err := signature.ParseSigningKey(s.Algorithm, s.KeyEncoding, string(text))
	if err != nil {
		return signature.Key{}, fmt.Errorf("its stored secret: %w", err)
	}
	k.remember(of, s, key)
	return key, nil
}

// store keeps a draft and shows its secret, or returns the key that another
// replica stored first. It returns when the secret is as durable as the bus
// promises: it is not shown again.
func (k *keychain) store(ctx context.Context, d *draft) (signature.Key, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	bucket, err := k.bus.JetStream().KeyValue(ctx, bus.Secrets)
	if err != nil {
		return signature.Key{}, fmt.Errorf("open bucket %s: %w", bus.Secrets, err)
	}
	sealed, err := k.vault.Encrypt(ctx, []byte(d.text), associated(d.ref))
	if err != nil {
		return signature.Key{}, fmt.Errorf("encrypt the secret: %w", err)
	}
	_, err = bucket.Create(ctx, secretKey(d.ref, d.scheme), sealed)
	if errors.Is(err, jetstream.ErrKeyExists) {
		return k.read(ctx, bucket, d.ref, d.scheme)
	}
	if err == nil {
		err = k.bus.Sync()
	}
	if err != nil {
		return signature.Key{}, fmt.Errorf("store the secret: %w", err)
	}
	key, err := signature.ParseSigningKey(d.scheme.Algorithm, d.scheme.KeyEncoding, d.text)
	if err != nil {
		return signature.Key{}, err
	}
	k.remember(d.ref, d.scheme, key)
	k.showSecret(d.ref.name, d.text)
	return key, nil
}

// remember spares the next Apply the reading, and tells the public key, which
// receivers verify with.
func (k *keychain) remember(of ref, s signature.Scheme, key signature.Key) {
	k.keys[secretKey(of, s)] = key
	if public, err := signature.PublicKey(key); err == nil { // symmetric keys have none
		k.logger.Info("endpoint signs with this public key", "endpoint", of.name, "env", of.env, "public_key", public)
	}
}

// forget removes the secrets of an endpoint that is removed.
func (k *keychain) forget(ctx context.Context, of ref) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	bucket, err := k.bus.JetStream().KeyValue(ctx, bus.Secrets)
	if err != nil {
		return fmt.Errorf("open bucket %s: %w", bus.Secrets, err)
	}
	for _, s := range []signature.Scheme{signature.StandardWebhooks(), signature.CHIP()} { // Clink shares the former
		delete(k.keys, secretKey(of, s))
		_, err := bucket.Get(ctx, secretKey(of, s))
		if errors.Is(err, jetstream.ErrKeyNotFound) {
			continue
		}
		if err == nil {
			err = bucket.Purge(ctx, secretKey(of, s))
		}
		if err != nil {
			return fmt.Errorf("remove its secret: %w", err)
		}
	}
	return nil
}
