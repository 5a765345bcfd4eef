package signature

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
)

// verifyPublic verifies one signature over the payload of a plan.
func (p *plan) verifyPublic(k Key, payload, signature []byte) bool {
	switch public := k.material().public.(type) {
	case ed25519.PublicKey:
		return ed25519.Verify(public, payload, signature)
	case *ecdsa.PublicKey:
		return ecdsa.VerifyASN1(public, payload, signature)
	case *rsa.PublicKey:
		return rsa.VerifyPKCS1v15(public, p.hash, payload, signature) == nil
	}
	return false
}

// signPrivate signs the payload of a plan. The standard library's signers give
// ASN.1 for ECDSA and PKCS #1 v1.5 for RSA when told only the hash.
func (p *plan) signPrivate(k Key, payload []byte) ([]byte, error) {
	return k.material().private.Sign(rand.Reader, payload, crypto.SignerOpts(p.hash))
}
