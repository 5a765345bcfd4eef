package managed

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/jethook/jethook/config"
	"github.com/jethook/jethook/deliver"
	"github.com/jethook/jethook/internal/signature"
)

// MaxOverlap is how long a secret that was replaced may be valid yet.
const MaxOverlap = 7 * 24 * time.Hour

// maxRetiring bounds how many secrets sign a delivery beside the newest.
const maxRetiring = 4

// Rotate replaces an endpoint's secrets by one that is generated, or by one of the
// caller's where that is not empty. For overlap, at most MaxOverlap, those that
// were valid until now stay so beside it. The errors are those of Update.
func (s *Store) Rotate(ctx context.Context, e Entry, secret config.Secret, overlap time.Duration) (Entry, error) {
	if err := s.retire(&e, e.secrets(), overlap); err != nil {
		return Entry{}, err
	}
	e.spec = merge(e.spec, map[string]any{"secrets": nil})
	if !secret.Empty() {
		e.spec["secrets"] = []any{secret.Reveal()}
	}
	return s.replace(ctx, e, nil)
}

// RotateNKey replaces a subscriber's nkey by another public one. For overlap, at
// most MaxOverlap, the one before stays valid beside it. The errors are those of
// Update.
func (s *Store) RotateNKey(ctx context.Context, e Entry, public string, overlap time.Duration) (Entry, error) {
	var before []config.Secret
	if text, _ := e.spec["nkey"].(string); text != "" {
		before = append(before, config.NewSecret(text))
	}
	if err := s.retire(&e, before, overlap); err != nil {
		return Entry{}, err
	}
	e.spec = merge(e.spec, map[string]any{"nkey": public})
	return s.replace(ctx, e, nil)
}

// retire has what was valid until now stay so for overlap, and nothing after it.
func (s *Store) retire(e *Entry, before []config.Secret, overlap time.Duration) error {
	if overlap < 0 || overlap > MaxOverlap {
		return &Invalid{Fields: []Field{{"body.overlap", "is not between 0s and 168h"}}}
	}
	now := s.now().UTC()
	e.retiring = slices.Clone(e.retiring)
	e.forgetRetired(now)
	if overlap == 0 {
		e.retiring = nil
	}
	for _, old := range before {
		if overlap > 0 {
			e.retiring = append(e.retiring, retiring{old, now.Add(overlap).Truncate(time.Millisecond)})
		}
	}
	if len(e.retiring) > maxRetiring {
		return &Invalid{Fields: []Field{{"body.overlap", fmt.Sprintf("would leave more than %d secrets valid beside the new one; wait, or rotate without an overlap", maxRetiring)}}}
	}
	return nil
}

// giveSecret generates a secret for an endpoint that needs one and has none.
func (s *Store) giveSecret(e *Entry) error {
	scheme, err := e.scheme()
	if pull, _ := e.spec["pull"].(bool); pull {
		return nil // nothing is posted that could be signed
	}
	if err != nil || scheme.Algorithm == signature.None || len(e.secrets()) > 0 {
		return nil // what is wrong with the signature is said when the entry is checked
	}
	text, err := signature.GenerateSecret(scheme.Algorithm)
	if err != nil {
		return err
	}
	e.spec = merge(e.spec, map[string]any{"secrets": []any{text}})
	return nil
}

func (e *Entry) scheme() (signature.Scheme, error) {
	style, _ := e.spec["signature"].(string)
	return deliver.Style(style).Scheme()
}

// secrets are those of the spec.
func (e *Entry) secrets() (all []config.Secret) {
	list, _ := e.spec["secrets"].([]any)
	for _, item := range list {
		if text, ok := item.(string); ok && text != "" {
			all = append(all, config.NewSecret(text))
		}
	}
	return all
}

// Signing returns what an endpoint's receiver verifies deliveries with: the newest
// shared secret, or the public key in PEM where it signs with a private one.
// Both are empty where it does not sign.
func (e *Entry) Signing() (secret config.Secret, public string) {
	scheme, err := e.scheme()
	all := e.secrets()
	if err != nil || len(all) == 0 {
		return secret, ""
	}
	if !scheme.Algorithm.Asymmetric() {
		return all[0], ""
	}
	key, err := signature.ParseSigningKey(scheme.Algorithm, scheme.KeyEncoding, all[0].Reveal())
	if err != nil {
		return secret, ""
	}
	public, _ = signature.PublicKey(key) // a private key has one
	return secret, public
}

// restyle drops the secrets where another signature cannot sign with them.
func (e *Entry) restyle(before signature.Scheme) {
	after, err := e.scheme()
	if err == nil && after.Algorithm != before.Algorithm {
		e.retiring = nil
		delete(e.spec, "secrets")
	}
}

func (e *Entry) forgetRetired(now time.Time) {
	e.retiring = slices.DeleteFunc(slices.Clone(e.retiring), func(r retiring) bool { return !r.Until.After(now) })
}

// Newest is the first of a source's secrets; secret, and empty where it has none.
func (e *Entry) Newest() string {
	if all := e.secrets(); len(all) > 0 {
		return all[0].Reveal()
	}
	return ""
}

// PublicKey is the first of a source's public keys, empty where it has none.
func (e *Entry) PublicKey() string {
	list, _ := e.spec["public_keys"].([]any)
	if len(list) == 0 {
		return ""
	}
	text, _ := list[0].(string)
	return text
}

// Address is where a source's provider reaches it, as far as that was said.
func (e *Entry) Address() string {
	text, _ := e.spec["public_url"].(string)
	return text
}
