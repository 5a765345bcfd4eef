package signature

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// KeyEncoding is how a key is written as text. It is always said and never
// guessed: whsec_ begins base64 in Standard Webhooks and is part of the key in
// Stripe and Clink.
type KeyEncoding string

// The encodings of keys.
const (
	// KeyRaw is the bytes of the text as it stands, prefix and spaces included.
	KeyRaw KeyEncoding = "raw"
	// KeyBase64 is the standard alphabet, padding optional; whsec_ before a
	// secret, whpk_ before a public and whsk_ before a private Ed25519 key are
	// dropped. The URL alphabet is refused: a key that has it is usually raw.
	KeyBase64 KeyEncoding = "base64"
	KeyHex    KeyEncoding = "hex"
	// KeyPEM is one PEM block: PUBLIC KEY, RSA PUBLIC KEY or CERTIFICATE (whose
	// dates are not looked at) to verify, PRIVATE KEY, RSA PRIVATE KEY or
	// EC PRIVATE KEY to sign. Quotes around it, and \n for line breaks, are
	// read as in the JSON string that CHIP's /public_key/ answers.
	KeyPEM KeyEncoding = "pem"
	// KeySPKI is the base64 of a DER SubjectPublicKeyInfo, as SendGrid shows
	// it; for signing, of a DER PKCS #8 private key.
	KeySPKI KeyEncoding = "spki-base64"
)

// maxKeyText bounds a key's text; an RSA key of 8192 bits has 6.4 kB.
const maxKeyText = 16 << 10

// forFamily gives the encoding to use for keys of a family: e, or the default
// if e is empty.
func (e KeyEncoding) forFamily(f family) (KeyEncoding, error) {
	var allowed []KeyEncoding // the default first
	switch f {
	case secretFamily:
		allowed = []KeyEncoding{KeyRaw, KeyBase64, KeyHex}
	case tokenFamily, basicFamily:
		allowed = []KeyEncoding{KeyRaw}
	case ed25519Family:
		allowed = []KeyEncoding{KeyBase64, KeyHex, KeyPEM, KeySPKI}
	case ecdsaFamily, rsaFamily:
		allowed = []KeyEncoding{KeyPEM, KeySPKI}
	case noFamily:
		if e != "" {
			return "", fmt.Errorf("key encoding %q for an algorithm without keys", e)
		}
		return "", nil
	}
	if e == "" {
		return allowed[0], nil
	}
	if !slices.Contains(allowed, e) {
		return "", notAllowed("key encoding", e, allowed)
	}
	return e, nil
}

// ParseKey reads a key to verify with: the secret, or the public key where the
// algorithm has one. An empty enc is the algorithm's default. Empty keys are
// refused, and RSA keys outside 2048 to 8192 bits: shorter ones are within reach
// of attackers, longer ones cost too much for each forged request. No error
// contains any part of text.
func ParseKey(a Algorithm, enc KeyEncoding, text string) (Key, error) {
	return parse(a, enc, text, parsePublic)
}

// ParseSigningKey reads a key to sign with: the private key where the algorithm
// has one, else the same as ParseKey. The key also verifies. An Ed25519 key is
// the 32 bytes of its seed, or 64 with the public key behind them. No error
// contains any part of text.
func ParseSigningKey(a Algorithm, enc KeyEncoding, text string) (Key, error) {
	return parse(a, enc, text, parsePrivate)
}

// parseAsymmetric reads a key of a public family.
type parseAsymmetric func(f family, enc KeyEncoding, text string) (*material, error)

func parse(a Algorithm, enc KeyEncoding, text string, asymmetric parseAsymmetric) (Key, error) {
	entry, err := a.lookup()
	if err != nil {
		return Key{}, err
	}
	if enc, err = enc.forFamily(entry.family); err != nil {
		return Key{}, fmt.Errorf("key for %s: %w", a, err)
	}
	var m *material
	switch {
	case entry.family == noFamily:
		err = errors.New("there is none")
	case strings.TrimSpace(text) == "":
		err = errors.New("it is empty")
	case len(text) > maxKeyText:
		err = fmt.Errorf("it is longer than %d bytes", maxKeyText)
	case entry.family.public():
		m, err = asymmetric(entry.family, enc, text)
	default:
		m, err = parseSecret(entry.family, enc, text)
	}
	if err != nil {
		return Key{}, fmt.Errorf("key for %s: %w", a, err)
	}
	m.family = entry.family
	return Key{&m}, nil
}

func parseSecret(f family, enc KeyEncoding, text string) (*material, error) {
	switch f {
	case tokenFamily:
		unprintable := func(r rune) bool { return r < ' ' || r == 0x7f }
		if strings.TrimSpace(text) != text || strings.ContainsFunc(text, unprintable) {
			return nil, errors.New("a token has no control characters, nor spaces around it")
		}
	case basicFamily:
		if !strings.Contains(text, ":") || text == ":" {
			return nil, errors.New(`it is written "user:password"`)
		}
	}
	secret, err := decodeKey(enc, text, "whsec_")
	return &material{secret: secret, digest: sha256.Sum256(secret)}, err
}

// decodeKey decodes the text of a key made of plain bytes. Its errors are its
// own: those of encoding/hex quote the byte that is wrong.
func decodeKey(enc KeyEncoding, text, prefix string) ([]byte, error) {
	var key []byte
	switch enc {
	case KeyRaw:
		key = []byte(text)
	case KeyHex:
		var err error
		if key, err = hex.DecodeString(strings.TrimSpace(text)); err != nil {
			return nil, errors.New("it is not hex")
		}
	default:
		text = strings.TrimPrefix(strings.TrimSpace(text), prefix)
		var ok bool
		if key, ok = decodeBase64(strictBase64, nil, []byte(text)); !ok {
			return nil, fmt.Errorf("it is not standard base64, with or without %s", prefix)
		}
	}
	if len(key) == 0 {
		return nil, errors.New("it is empty")
	}
	return key, nil
}

func parsePublic(f family, enc KeyEncoding, text string) (*material, error) {
	switch enc {
	case KeyPEM:
		public, err := publicFromPEM(text)
		if err != nil {
			return nil, err
		}
		return publicMaterial(f, public)
	case KeySPKI:
		public, err := publicFromSPKI(text)
		if err != nil {
			return nil, err
		}
		return publicMaterial(f, public)
	}
	key, err := decodeKey(enc, text, "whpk_")
	if err != nil {
		return nil, err
	}
	if len(key) != ed25519.PublicKeySize {
		return nil, fmt.Errorf("it has %d bytes, an Ed25519 public key %d", len(key), ed25519.PublicKeySize)
	}
	return publicMaterial(f, ed25519.PublicKey(key))
}

func parsePrivate(f family, enc KeyEncoding, text string) (*material, error) {
	switch enc {
	case KeyPEM:
		private, err := privateFromPEM(text)
		if err != nil {
			return nil, err
		}
		return privateMaterial(f, private)
	case KeySPKI:
		private, err := privateFromPKCS8(text)
		if err != nil {
			return nil, err
		}
		return privateMaterial(f, private)
	}
	key, err := decodeKey(enc, text, "whsk_")
	if err != nil {
		return nil, err
	}
	private, err := ed25519Private(key)
	if err != nil {
		return nil, err
	}
	return privateMaterial(f, private)
}
