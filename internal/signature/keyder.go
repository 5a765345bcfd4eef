package signature

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"
)

// The sizes of RSA keys that are accepted, in bits.
const (
	minRSABits = 2048
	maxRSABits = 8192
)

// pemBlock reads the one block in text. Quotes and escapes are those of a JSON
// string; neither occurs in PEM.
func pemBlock(text string) (*pem.Block, error) {
	text = strings.Trim(strings.TrimSpace(text), `"`)
	text = strings.NewReplacer(`\n`, "\n", `\r`, "", `\/`, "/").Replace(text)
	block, rest := pem.Decode([]byte(text))
	if block == nil {
		return nil, errors.New("there is no PEM block")
	}
	if len(bytes.TrimSpace(rest)) > 0 {
		return nil, errors.New("there is more than one PEM block")
	}
	return block, nil
}

func publicFromPEM(text string) (crypto.PublicKey, error) {
	block, err := pemBlock(text)
	if err != nil {
		return nil, err
	}
	var public crypto.PublicKey
	switch block.Type {
	case "PUBLIC KEY":
		public, err = x509.ParsePKIXPublicKey(block.Bytes)
	case "RSA PUBLIC KEY":
		public, err = x509.ParsePKCS1PublicKey(block.Bytes)
	case "CERTIFICATE":
		var certificate *x509.Certificate
		if certificate, err = x509.ParseCertificate(block.Bytes); err == nil {
			public = certificate.PublicKey
		}
	default:
		return nil, errors.New("its PEM block is none of PUBLIC KEY, RSA PUBLIC KEY, CERTIFICATE; a private key does not verify")
	}
	if err != nil {
		return nil, errors.New("its PEM block does not hold a public key")
	}
	return public, nil
}

func publicFromSPKI(text string) (crypto.PublicKey, error) {
	der, err := decodeKey(KeyBase64, text, "")
	if err != nil {
		return nil, errors.New("it is not standard base64")
	}
	public, err := x509.ParsePKIXPublicKey(der)
	if err != nil {
		return nil, errors.New("it is not a DER SubjectPublicKeyInfo")
	}
	return public, nil
}

func privateFromPEM(text string) (any, error) {
	block, err := pemBlock(text)
	if err != nil {
		return nil, err
	}
	var private any
	switch block.Type {
	case "PRIVATE KEY":
		private, err = x509.ParsePKCS8PrivateKey(block.Bytes)
	case "RSA PRIVATE KEY":
		private, err = x509.ParsePKCS1PrivateKey(block.Bytes)
	case "EC PRIVATE KEY":
		private, err = x509.ParseECPrivateKey(block.Bytes)
	default:
		return nil, errors.New("its PEM block is none of PRIVATE KEY, RSA PRIVATE KEY, EC PRIVATE KEY; a public key does not sign")
	}
	if err != nil {
		return nil, errors.New("its PEM block does not hold a private key")
	}
	return private, nil
}

func privateFromPKCS8(text string) (any, error) {
	der, err := decodeKey(KeyBase64, text, "")
	if err != nil {
		return nil, errors.New("it is not standard base64")
	}
	private, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		return nil, errors.New("it is not a DER PKCS #8 private key")
	}
	return private, nil
}

// ed25519Private reads a seed, or a seed with its public key behind it.
func ed25519Private(key []byte) (ed25519.PrivateKey, error) {
	if len(key) != ed25519.SeedSize && len(key) != ed25519.PrivateKeySize {
		return nil, fmt.Errorf("it has %d bytes, an Ed25519 private key %d or %d", len(key), ed25519.SeedSize, ed25519.PrivateKeySize)
	}
	private := ed25519.NewKeyFromSeed(key[:ed25519.SeedSize])
	if !bytes.HasPrefix(private, key) {
		return nil, errors.New("its public half does not belong to its seed")
	}
	return private, nil
}

func publicMaterial(f family, public crypto.PublicKey) (*material, error) {
	var got family
	switch k := public.(type) {
	case ed25519.PublicKey:
		got = ed25519Family
	case *ecdsa.PublicKey:
		got = ecdsaFamily
		if k.Curve != elliptic.P256() {
			return nil, errors.New("its curve is not P-256")
		}
	case *rsa.PublicKey:
		got = rsaFamily
		if bits := k.N.BitLen(); bits < minRSABits || bits > maxRSABits {
			return nil, fmt.Errorf("it has %d bits; %d to %d are accepted", bits, minRSABits, maxRSABits)
		}
	}
	if got != f {
		return nil, errors.New("it is a key of another algorithm")
	}
	return &material{public: public}, nil
}

func privateMaterial(f family, private any) (*material, error) {
	signer, ok := private.(crypto.Signer)
	if !ok {
		return nil, errors.New("it is a key of another algorithm")
	}
	m, err := publicMaterial(f, signer.Public())
	if err != nil {
		return nil, err
	}
	m.private = signer
	return m, nil
}
