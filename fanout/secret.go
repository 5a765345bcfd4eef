package fanout

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"sync"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/jethook/jethook/internal/bus"
	"github.com/jethook/jethook/internal/event"
	"github.com/jethook/jethook/internal/signature"
)

// vault keeps the secrets that were generated for endpoints. It reads or makes
// the keyset when the first secret asks for it.
type vault struct {
	bus        *bus.Bus
	logger     *slog.Logger
	text       string // of the keyset; secret
	file       string
	showSecret func(endpoint, secret string)

	mu     sync.Mutex
	keyset *Keyset
	keys   map[string]signature.Key // by key of the bucket
}

// secretKey is a secret's key in the bucket. The algorithm is part of it, so
// that an endpoint whose signature changes gets a secret that fits.
func secretKey(of ref, s signature.Scheme) string {
	return of.key() + "." + string(s.Algorithm)
}

func associated(of ref) string {
	return "endpoint/" + of.String() + "/secret"
}

// draft is a secret that was generated and is not stored yet.
type draft struct {
	ref    ref
	scheme signature.Scheme
	text   string
}

// key returns the endpoint's signing key: the stored one, or that of a draft,
// which store must keep before it is used.
func (v *vault) key(ctx context.Context, of ref, s signature.Scheme) (signature.Key, *draft, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if key, ok := v.keys[secretKey(of, s)]; ok {
		return key, nil, nil
	}
	bucket, err := v.bus.JetStream().KeyValue(ctx, bus.Secrets)
	if err != nil {
		return signature.Key{}, nil, fmt.Errorf("open bucket %s: %w", bus.Secrets, err)
	}
	key, err := v.read(ctx, bucket, of, s)
	if !errors.Is(err, jetstream.ErrKeyNotFound) {
		return key, nil, err
	}
	if err := v.prepare(ctx, bucket); err != nil {
		return signature.Key{}, nil, err
	}
	text, err := signature.GenerateSecret(s.Algorithm)
	if err != nil {
		return signature.Key{}, nil, err
	}
	key, err = signature.ParseSigningKey(s.Algorithm, s.KeyEncoding, text)
	return key, &draft{of, s, text}, err
}

// read returns the stored key, or an error that wraps
// jetstream.ErrKeyNotFound.
func (v *vault) read(ctx context.Context, bucket jetstream.KeyValue, of ref, s signature.Scheme) (signature.Key, error) {
	entry, err := bucket.Get(ctx, secretKey(of, s))
	if err != nil {
		return signature.Key{}, fmt.Errorf("read its secret: %w", err)
	}
	if err := v.load(); err != nil {
		return signature.Key{}, fmt.Errorf("its secret is stored encrypted: %w", err)
	}
	text, err := v.keyset.Decrypt(entry.Value(), associated(of))
	if err != nil {
		return signature.Key{}, fmt.Errorf("its stored secret: %w; %s, or give the endpoint secrets in the file", err, v.remedy())
	}
	key, err := signature.ParseSigningKey(s.Algorithm, s.KeyEncoding, string(text))
	if err != nil {
		return signature.Key{}, fmt.Errorf("its stored secret: %w", err)
	}
	v.remember(of, s, key)
	return key, nil
}

func (v *vault) remedy() string {
	if v.text == "" && v.file != "" {
		return "restore " + v.file
	}
	return "set encryption.keyset to the keyset it was encrypted with"
}

// store keeps a draft and shows its secret, or returns the key that another
// replica stored first. It returns when the secret is as durable as the bus
// promises: it is not shown again.
func (v *vault) store(ctx context.Context, d *draft) (signature.Key, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	bucket, err := v.bus.JetStream().KeyValue(ctx, bus.Secrets)
	if err != nil {
		return signature.Key{}, fmt.Errorf("open bucket %s: %w", bus.Secrets, err)
	}
	if err := v.make(); err != nil {
		return signature.Key{}, err
	}
	sealed, err := v.keyset.Encrypt([]byte(d.text), associated(d.ref))
	if err != nil {
		return signature.Key{}, fmt.Errorf("encrypt the secret: %w", err)
	}
	_, err = bucket.Create(ctx, secretKey(d.ref, d.scheme), sealed)
	if errors.Is(err, jetstream.ErrKeyExists) {
		return v.read(ctx, bucket, d.ref, d.scheme)
	}
	if err == nil {
		err = v.bus.Sync()
	}
	if err != nil {
		return signature.Key{}, fmt.Errorf("store the secret: %w", err)
	}
	key, err := signature.ParseSigningKey(d.scheme.Algorithm, d.scheme.KeyEncoding, d.text)
	if err != nil {
		return signature.Key{}, err
	}
	v.remember(d.ref, d.scheme, key)
	v.showSecret(d.ref.name, d.text)
	return key, nil
}

// remember spares the next Apply the reading, and tells the public key, which
// receivers verify with.
func (v *vault) remember(of ref, s signature.Scheme, key signature.Key) {
	v.keys[secretKey(of, s)] = key
	if public, err := signature.PublicKey(key); err == nil { // symmetric keys have none
		v.logger.Info("endpoint signs with this public key", event.AttrEndpoint, of.name, event.AttrEnv, of.env, "public_key", public)
	}
}

// forget removes the secrets of an endpoint that is removed.
func (v *vault) forget(ctx context.Context, of ref) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	bucket, err := v.bus.JetStream().KeyValue(ctx, bus.Secrets)
	if err != nil {
		return fmt.Errorf("open bucket %s: %w", bus.Secrets, err)
	}
	for _, s := range []signature.Scheme{signature.StandardWebhooks(), signature.CHIP()} { // Clink shares the former
		delete(v.keys, secretKey(of, s))
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

// load reads the keyset and makes none.
func (v *vault) load() (err error) {
	switch {
	case v.keyset != nil:
	case v.text != "":
		if v.keyset, err = ParseKeyset(v.text); err != nil {
			return fmt.Errorf("encryption.keyset: %w", err)
		}
	case v.file != "":
		v.keyset, err = readKeysetFile(v.file)
		if errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("%w: restore the file, or give the endpoint secrets in the configuration", err)
		}
		return err
	default:
		return fmt.Errorf("%w: a generated secret needs encryption.keyset, a cleartext Tink AEAD keyset in JSON: "+
			"make one with `tinkey create-keyset --key-template AES256_GCM --out-format json`, the same for every replica, or give the endpoint secrets", ErrKeyset)
	}
	return nil
}

// prepare finds out whether store will have a keyset. A keyset file is not
// made anew beside secrets that need the old one.
func (v *vault) prepare(ctx context.Context, bucket jetstream.KeyValue) error {
	missing := v.load()
	if !errors.Is(missing, fs.ErrNotExist) {
		return missing
	}
	keys, err := bucket.ListKeys(ctx, jetstream.MetaOnly())
	if err != nil {
		return fmt.Errorf("list bucket %s: %w", bus.Secrets, err)
	}
	var stored bool
	for range keys.Keys() {
		stored = true
	}
	if stored {
		return fmt.Errorf("secrets are stored that another keyset encrypted: %w", missing)
	}
	return nil
}

// make loads the keyset, or makes its file where there is none yet.
func (v *vault) make() error {
	err := v.load()
	if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	v.keyset, err = makeKeysetFile(v.file)
	return err
}
