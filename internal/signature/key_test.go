package signature

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"math/big"
	"strings"
	"sync"
	"testing"
	"time"
)

// rsaKey is one RSA key for all tests, since making one takes long.
var rsaKey = sync.OnceValue(func() *rsa.PrivateKey {
	key, err := rsa.GenerateKey(rand.Reader, minRSABits)
	if err != nil {
		panic(err)
	}
	return key
})

func pemText(kind string, der []byte, err error) string {
	if err != nil {
		panic(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
}

func publicPEM(public any) string {
	der, err := x509.MarshalPKIXPublicKey(public)
	return pemText("PUBLIC KEY", der, err)
}

func privatePEM(private any) string {
	der, err := x509.MarshalPKCS8PrivateKey(private)
	return pemText("PRIVATE KEY", der, err)
}

func certificatePEM(t *testing.T, key *rsa.PrivateKey) string {
	t.Helper()
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Unix(1, 0)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	return pemText("CERTIFICATE", der, err)
}

func TestEveryFormOfAPublicKeyVerifiesTheSameSignature(t *testing.T) {
	key := rsaKey()
	publicText := publicPEM(&key.PublicKey)
	asJSON, err := json.Marshal(publicText)
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode([]byte(publicText))
	s := CHIP()
	r := signed(t, s, []Key{mustSigningKey(t, s, privatePEM(key))}, request(`{"a":1}`), now)
	for _, c := range []struct {
		form     string
		encoding KeyEncoding
		text     string
	}{
		{"PUBLIC KEY", KeyPEM, publicText},
		{"the default encoding", "", publicText},
		{"Windows line ends", KeyPEM, strings.ReplaceAll(publicText, "\n", "\r\n")},
		{"RSA PUBLIC KEY", KeyPEM, pemText("RSA PUBLIC KEY", x509.MarshalPKCS1PublicKey(&key.PublicKey), nil)},
		{"an expired CERTIFICATE", KeyPEM, certificatePEM(t, key)},
		{"the JSON string CHIP answers", KeyPEM, string(asJSON)},
		{"the JSON string without its quotes", KeyPEM, strings.Trim(string(asJSON), `"`)},
		{"quotes around real lines", KeyPEM, `"` + publicText + `"`},
		{"spaces around it", KeyPEM, "\n  " + publicText + "\n"},
		{"base64 of the DER", KeySPKI, base64.StdEncoding.EncodeToString(block.Bytes)},
	} {
		s.KeyEncoding = c.encoding
		if err := verify(t, s, c.text, r, now); err != nil {
			t.Errorf("Verify with a key as %s = %v, want no error", c.form, err)
		}
	}
}

func TestEveryFormOfASigningKeyMakesASignatureItsPublicKeyVerifies(t *testing.T) {
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	ecDER, err := x509.MarshalECPrivateKey(ec)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(ec)
	if err != nil {
		t.Fatal(err)
	}
	edPublic, ed, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		algorithm       Algorithm
		encoding        KeyEncoding
		private, public string
	}{
		{RSASHA1, KeyPEM, privatePEM(rsaKey()), publicPEM(&rsaKey().PublicKey)},
		{RSASHA256, KeyPEM, pemText("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(rsaKey()), nil), publicPEM(&rsaKey().PublicKey)},
		{RSASHA512, KeyPEM, privatePEM(rsaKey()), publicPEM(&rsaKey().PublicKey)},
		{ECDSAP256SHA256, KeyPEM, privatePEM(ec), publicPEM(&ec.PublicKey)},
		{ECDSAP256SHA256, KeyPEM, pemText("EC PRIVATE KEY", ecDER, nil), publicPEM(&ec.PublicKey)},
		{ECDSAP256SHA256, KeySPKI, base64.StdEncoding.EncodeToString(pkcs8), ""},
		{Ed25519, KeyPEM, privatePEM(ed), publicPEM(edPublic)},
		{Ed25519, KeyHex, hex.EncodeToString(ed.Seed()), hex.EncodeToString(edPublic)},
		{Ed25519, KeyHex, hex.EncodeToString(ed), hex.EncodeToString(edPublic)},
		{Ed25519, KeyBase64, base64.StdEncoding.EncodeToString(ed.Seed()), "whpk_" + base64.StdEncoding.EncodeToString(edPublic)},
		{Ed25519, "", "whsk_" + base64.StdEncoding.EncodeToString(ed), base64.RawStdEncoding.EncodeToString(edPublic)},
	} {
		s := Scheme{Algorithm: c.algorithm, KeyEncoding: c.encoding, Signature: Location{Header: "X-S", Encoding: Base64}}
		signing := mustSigningKey(t, s, c.private)
		r := signed(t, s, []Key{signing}, request("body"), now)
		if err := mustVerifier(t, s, signing).Verify(r, now); err != nil {
			t.Errorf("%s %s: Verify with the signing key itself = %v, want no error", c.algorithm, c.encoding, err)
		}
		if c.public == "" {
			continue
		}
		if err := verify(t, s, c.public, r, now); err != nil {
			t.Errorf("%s %s: Verify with the public key = %v, want no error", c.algorithm, c.encoding, err)
		}
	}
}

func TestAKeyThatCannotBeRightIsRefusedWithoutBeingQuoted(t *testing.T) {
	small, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	_, ed, _ := ed25519.GenerateKey(rand.Reader)
	otherHalf := append(append([]byte{}, ed.Seed()...), make([]byte, 32)...)
	public := publicPEM(&rsaKey().PublicKey)
	for _, c := range []struct {
		sentence  string
		algorithm Algorithm
		encoding  KeyEncoding
		text      string
		want      string
	}{
		{"an empty key", HMACSHA256, KeyRaw, "", "empty"},
		{"a blank key", HMACSHA256, KeyRaw, " \n", "empty"},
		{"a prefix and no key", HMACSHA256, KeyBase64, "whsec_", "empty"},
		{"an empty token", Token, "", "", "empty"},
		{"an empty public key", RSASHA256, KeyPEM, "", "empty"},
		{"base64 with a stray character", HMACSHA256, KeyBase64, "hunter2!", "base64"},
		{"base64 of the URL alphabet", HMACSHA256, KeyBase64, "Ibxx_5AKakO-3qeNVR61Dw", "base64"},
		{"base64 with a public key's prefix", HMACSHA256, KeyBase64, "whpk_c2VjcmV0", "base64"},
		{"hex with a stray character", HMACSHA256, KeyHex, "hunter2hunter2", "hex"},
		{"hex of odd length", HMACSHA256, KeyHex, "abc", "hex"},
		{"a token with a line break", Token, "", "hunter2\nx", "control"},
		{"a token with a space behind it", Token, "", "hunter2 ", "spaces"},
		{"basic without a colon", Basic, "", "hunter2", "user:password"},
		{"basic with only a colon", Basic, "", ":", "user:password"},
		{"an Ed25519 key of 31 bytes", Ed25519, KeyHex, strings.Repeat("ab", 31), "31 bytes"},
		{"a private key where a public one belongs", RSASHA256, KeyPEM, privatePEM(rsaKey()), "does not verify"},
		{"an RSA key of 1024 bits", RSASHA256, KeyPEM, publicPEM(&small.PublicKey), "1024 bits"},
		{"a curve that is not P-256", ECDSAP256SHA256, KeyPEM, publicPEM(&p384.PublicKey), "P-256"},
		{"an RSA key for ECDSA", ECDSAP256SHA256, KeyPEM, public, "another algorithm"},
		{"two PEM blocks", RSASHA256, KeyPEM, public + public, "more than one"},
		{"a PEM block without content", RSASHA256, KeyPEM, pemText("PUBLIC KEY", []byte("hunter2"), nil), "public key"},
		{"a PEM block of another kind", RSASHA256, KeyPEM, pemText("HUNTER2", []byte("hunter2"), nil), "none of"},
		{"no PEM at all", RSASHA256, KeyPEM, "hunter2", "no PEM"},
		{"base64 that is no public key", RSASHA256, KeySPKI, "aHVudGVyMg==", "DER"},
		{"no base64 for spki", RSASHA256, KeySPKI, "hunter2!", "base64"},
		{"an overlong key", HMACSHA256, KeyRaw, strings.Repeat("hunter2", 3000), "longer"},
		{"a key for none", None, "", "hunter2", "none"},
		{"an encoding the algorithm has not", RSASHA256, KeyRaw, "hunter2", "pem, spki-base64"},
		{"an encoding there is not", HMACSHA256, "base32", "hunter2", "raw, base64, hex"},
		{"an algorithm there is not", "md5", KeyRaw, "hunter2", "hmac-sha256"},
	} {
		t.Run(c.sentence, func(t *testing.T) {
			_, err := ParseKey(c.algorithm, c.encoding, c.text)
			checkRefusal(t, err, c.text, c.want)
		})
	}
	for _, c := range []struct {
		sentence  string
		algorithm Algorithm
		encoding  KeyEncoding
		text      string
		want      string
	}{
		{"a public key where a private one belongs", RSASHA256, KeyPEM, public, "does not sign"},
		{"a short private key", RSASHA256, KeyPEM, privatePEM(small), "1024 bits"},
		{"an Ed25519 key whose halves differ", Ed25519, KeyHex, hex.EncodeToString(otherHalf), "seed"},
		{"an Ed25519 seed of 33 bytes", Ed25519, KeyHex, strings.Repeat("ab", 33), "33 bytes"},
		{"a PEM block without content to sign with", RSASHA256, KeyPEM, pemText("PRIVATE KEY", []byte("hunter2"), nil), "private key"},
		{"base64 that is no private key", RSASHA256, KeySPKI, "aHVudGVyMg==", "PKCS #8"},
		{"an Ed25519 key for RSA", RSASHA256, KeyPEM, privatePEM(ed), "another algorithm"},
		{"an empty signing key", HMACSHA256, KeyRaw, "", "empty"},
	} {
		t.Run(c.sentence, func(t *testing.T) {
			_, err := ParseSigningKey(c.algorithm, c.encoding, c.text)
			checkRefusal(t, err, c.text, c.want)
		})
	}
}

func checkRefusal(t *testing.T, err error, text, want string) {
	t.Helper()
	if err == nil || !strings.Contains(err.Error(), want) {
		t.Fatalf("error = %v, want one that says %q; key %q", err, want, text)
	}
	lower := strings.ToLower(err.Error())
	if len(text) > 8 && strings.Contains(err.Error(), text) || strings.Contains(lower, "hunter2") {
		t.Errorf("error = %q, which quotes the key", err)
	}
}

func TestAGeneratedSecretSignsAndItsPublicHalfVerifies(t *testing.T) {
	for _, a := range []Algorithm{HMACSHA1, HMACSHA256, HMACSHA512, SHA256Prefix, Token, Ed25519, ECDSAP256SHA256, RSASHA256} {
		text, err := GenerateSecret(a)
		if err != nil {
			t.Fatalf("GenerateSecret(%s): %v", a, err)
		}
		if again, _ := GenerateSecret(a); again == text {
			t.Errorf("GenerateSecret(%s) gave the same secret twice", a)
		}
		s := Scheme{Algorithm: a, Signature: Location{Header: "X-S", Encoding: Base64}}
		if a == Token {
			s.Signature.Encoding = ""
		}
		key := mustSigningKey(t, s, text)
		r := signed(t, s, []Key{key}, request("body"), now)
		public, err := PublicKey(key)
		if entry, _ := a.lookup(); !entry.family.public() {
			if err == nil {
				t.Errorf("PublicKey of a key for %s = %q, want an error", a, public)
			}
			continue
		}
		if err != nil {
			t.Fatalf("PublicKey of a key for %s: %v", a, err)
		}
		s.KeyEncoding = KeyPEM
		if err := verify(t, s, public, r, now); err != nil {
			t.Errorf("%s: Verify with the public half = %v, want no error", a, err)
		}
	}
	for _, a := range []Algorithm{Basic, None, "md5"} {
		if text, err := GenerateSecret(a); err == nil {
			t.Errorf("GenerateSecret(%s) = %q, want an error", a, text)
		}
	}
	for _, s := range []Scheme{StandardWebhooks(), Clink(), CHIP()} {
		text, err := GenerateSecret(s.Algorithm)
		if err != nil {
			t.Fatal(err)
		}
		mustSigningKey(t, s, text)
	}
	if _, err := PublicKey(Key{}); err == nil {
		t.Error("PublicKey of no key = no error, want one")
	}
}
