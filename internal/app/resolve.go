package app

import (
	"errors"
	"fmt"
	"time"

	"github.com/jethook/jethook/config"
	"github.com/jethook/jethook/deliver"
	"github.com/jethook/jethook/internal/provider"
	"github.com/jethook/jethook/internal/signature"
)

// Resolve returns what a source uses: its preset, if it names one, under the
// single knobs that the source sets itself. The error says what is missing or
// does not fit.
func Resolve(s config.Source) (provider.Preset, error) {
	preset, err := layered(s)
	if err != nil {
		return preset, err
	}
	if err := preset.Check(); err != nil {
		return preset, err
	}
	return preset, preset.Scheme.Validate()
}

// layered is Resolve before it is looked at whether all is there. With an error,
// that there is no such preset, it returns the source's own knobs.
func layered(s config.Source) (preset provider.Preset, err error) {
	preset = provider.Preset{Name: s.Name, Event: []string{"json:type"}, DeliveryID: []string{"hash:body"}}
	if s.Preset != "" {
		var found provider.Preset
		if found, err = provider.Lookup(s.Preset); err == nil {
			preset = found
		}
	}
	if s.Verify != nil {
		scheme := overlay(preset.Scheme, s.Verify)
		preset.Scheme = &scheme
	}
	if len(s.Event) > 0 {
		// The operator names events otherwise, so the preset's list does not
		// bound them: it is the way out where that list is too short.
		preset.Event, preset.EventUnsigned = s.Event, false
	}
	if len(s.DeliveryID) > 0 {
		preset.DeliveryID = s.DeliveryID
	}
	if s.Batch != "" {
		preset.Batch = s.Batch
	}
	return preset, err
}

// overlay returns the scheme with the knobs that are written beside it.
func overlay(base *signature.Scheme, v *config.Verify) signature.Scheme {
	var scheme signature.Scheme
	if base != nil {
		scheme = *base
	}
	set(&scheme.Algorithm, v.Algorithm)
	set(&scheme.KeyEncoding, v.KeyEncoding)
	set(&scheme.Signed, v.Signed)
	set(&scheme.Signature.Encoding, v.Signature.Encoding)
	set(&scheme.Signature.Prefix, v.Signature.Prefix)
	set(&scheme.Signature.Separator, v.Signature.Separator)
	set(&scheme.Signature.KeyValue, v.Signature.KeyValue)
	set(&scheme.Signature.Tag, v.Signature.Tag)
	if at := v.Signature; at.Header != nil || at.HeadersNumbered != nil || at.JSON != nil || at.Form != nil {
		// A place given here replaces the preset's, whichever it was.
		scheme.Signature.Header, scheme.Signature.HeadersNumbered = "", ""
		scheme.Signature.JSON, scheme.Signature.Form = "", ""
		set(&scheme.Signature.Header, at.Header)
		set(&scheme.Signature.HeadersNumbered, at.HeadersNumbered)
		set(&scheme.Signature.JSON, at.JSON)
		set(&scheme.Signature.Form, at.Form)
	}
	overlayTimestamp(&scheme.Timestamp, v.Timestamp)
	return scheme
}

func overlayTimestamp(t *signature.Timestamp, v config.VerifyTimestamp) {
	if v.Header != nil || v.Field != nil || v.JSON != nil {
		if *t == (signature.Timestamp{}) {
			t.Tolerance = defaultTolerance
		}
		t.Header, t.Field, t.JSON = "", "", ""
		set(&t.Header, v.Header)
		set(&t.Field, v.Field)
		set(&t.JSON, v.JSON)
	}
	set(&t.Unit, v.Unit)
	if v.Tolerance != nil {
		t.Tolerance = *v.Tolerance
	}
}

// defaultTolerance is how far a timestamp may be off where nobody said, the
// five minutes that providers have agreed on.
const defaultTolerance = 5 * time.Minute

func set[To, From ~string](to *To, from *From) {
	if from != nil {
		*to = To(*from)
	}
}

var (
	errNeedSecrets = errors.New("write secrets: the shared secrets that requests are signed with")
	errNeedKeys    = errors.New("write public_keys: the public keys that verify requests")
	errNoSecrets   = errors.New("secrets are not used by this algorithm, which verifies with public_keys")
	errNoKeys      = errors.New("public_keys are not used by this algorithm, which verifies with secrets")
)

// sourceKeys reads the keys that the source's scheme asks for.
func sourceKeys(s config.Source, preset provider.Preset) ([]signature.Key, error) {
	scheme := *preset.Scheme
	var texts []string
	switch {
	case scheme.Algorithm == signature.None:
		return nil, nil
	case scheme.Algorithm.Asymmetric():
		if len(s.Secrets) > 0 {
			return nil, errNoSecrets
		}
		if texts = s.PublicKeys; len(texts) == 0 {
			return nil, errNeedKeys
		}
	default:
		if len(s.PublicKeys) > 0 {
			return nil, errNoKeys
		}
		for _, secret := range s.Secrets {
			texts = append(texts, secret.Reveal())
		}
		if len(texts) == 0 {
			return nil, errNeedSecrets
		}
	}
	keys := make([]signature.Key, 0, len(texts))
	var wrong []error
	for i, text := range texts {
		key, err := signature.ParseKey(scheme.Algorithm, scheme.KeyEncoding, text)
		if err != nil {
			wrong = append(wrong, fmt.Errorf("key %d: %w", i+1, err))
		}
		keys = append(keys, key)
	}
	return keys, errors.Join(wrong...)
}

// endpointKeys reads the keys that deliveries are signed with; none where they
// are to be generated.
func endpointKeys(style deliver.Style, secrets []config.Secret) ([]signature.Key, error) {
	scheme, err := style.Scheme()
	if err != nil {
		return nil, err
	}
	if scheme.Algorithm == signature.None {
		if len(secrets) > 0 {
			return nil, errors.New("secrets are not used with signature: none")
		}
		return nil, nil
	}
	keys := make([]signature.Key, 0, len(secrets))
	var wrong []error
	for i, secret := range secrets {
		key, err := signature.ParseSigningKey(scheme.Algorithm, scheme.KeyEncoding, secret.Reveal())
		if err != nil {
			wrong = append(wrong, fmt.Errorf("secret %d: %w", i+1, err))
		}
		keys = append(keys, key)
	}
	return keys, errors.Join(wrong...)
}
