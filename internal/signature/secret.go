package signature

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
)

// GenerateSecret makes a new secret in the form ParseSigningKey reads with the
// algorithm's default encoding. For the HMACs, sha256-prefix and token it is
// whsec_ and the base64 of 32 random bytes, which is as good a raw key as a
// base64 one; for Ed25519 whsk_ and the base64 of 64 bytes; for RSA (2048 bits)
// and ECDSA a PKCS #8 PEM block. Basic and none have none to make.
func GenerateSecret(a Algorithm) (string, error) {
	entry, err := a.lookup()
	if err != nil {
		return "", err
	}
	var private any
	switch entry.family {
	case secretFamily, tokenFamily:
		random := make([]byte, 32)
		_, _ = rand.Read(random) // never fails, as documented since Go 1.24
		return "whsec_" + base64.StdEncoding.EncodeToString(random), nil
	case ed25519Family:
		_, key, err := ed25519.GenerateKey(rand.Reader)
		if err != nil {
			return "", fmt.Errorf("generating a secret for %s: %w", a, err)
		}
		return "whsk_" + base64.StdEncoding.EncodeToString(key), nil
	case ecdsaFamily:
		private, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case rsaFamily:
		private, err = rsa.GenerateKey(rand.Reader, minRSABits)
	default:
		return "", fmt.Errorf("a secret for %s cannot be generated", a)
	}
	if err != nil {
		return "", fmt.Errorf("generating a secret for %s: %w", a, err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return "", fmt.Errorf("generating a secret for %s: %w", a, err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})), nil
}

// PublicKey gives the public half of an RSA, ECDSA or Ed25519 key as a PEM block
// of type PUBLIC KEY, which may be shown to anyone.
func PublicKey(signing Key) (string, error) {
	m := signing.material()
	if m == nil || m.public == nil {
		return "", errors.New("the key has no public half")
	}
	der, err := x509.MarshalPKIXPublicKey(m.public)
	if err != nil {
		return "", fmt.Errorf("writing a public key: %w", err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})), nil
}
