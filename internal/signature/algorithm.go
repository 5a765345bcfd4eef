package signature

import (
	"crypto"
	"fmt"
	"slices"
	"strings"
)

// Algorithm is the way a signature is computed.
type Algorithm string

// The algorithms.
const (
	HMACSHA1        Algorithm = "hmac-sha1"
	HMACSHA256      Algorithm = "hmac-sha256"
	HMACSHA512      Algorithm = "hmac-sha512"
	Ed25519         Algorithm = "ed25519"
	ECDSAP256SHA256 Algorithm = "ecdsa-p256-sha256" // signature in ASN.1 DER
	RSASHA1         Algorithm = "rsa-sha1"          // PKCS #1 v1.5, as the next two
	RSASHA256       Algorithm = "rsa-sha256"
	RSASHA512       Algorithm = "rsa-sha512"
	// SHA256Prefix is the plain SHA-256 of the key followed by the signed
	// string, which HubSpot's versions 1 and 2 use. It is not an HMAC: whoever
	// has one signature can extend the signed string.
	SHA256Prefix Algorithm = "sha256-prefix"
	// Token means that the key itself is sent. Nothing is signed.
	Token Algorithm = "token"
	// Basic means HTTP basic authentication; the key is "user:password".
	// Nothing is signed.
	Basic Algorithm = "basic"
	// None verifies nothing. It exists so that an operator has to write it.
	None Algorithm = "none"
)

// family groups the algorithms whose keys have the same form.
type family int

const (
	unknownFamily family = iota
	secretFamily         // bytes that both sides know
	tokenFamily          // text that is sent as it is
	basicFamily          // user:password
	ed25519Family
	ecdsaFamily
	rsaFamily
	noFamily // no key at all
)

// algorithmTable is every algorithm in the order errors list them. The hash is
// that of the signed string; zero where there is none of its own.
func algorithmTable() []algorithmEntry {
	return []algorithmEntry{
		{HMACSHA1, secretFamily, crypto.SHA1},
		{HMACSHA256, secretFamily, crypto.SHA256},
		{HMACSHA512, secretFamily, crypto.SHA512},
		{Ed25519, ed25519Family, 0},
		{ECDSAP256SHA256, ecdsaFamily, crypto.SHA256},
		{RSASHA1, rsaFamily, crypto.SHA1},
		{RSASHA256, rsaFamily, crypto.SHA256},
		{RSASHA512, rsaFamily, crypto.SHA512},
		{SHA256Prefix, secretFamily, crypto.SHA256},
		{Token, tokenFamily, 0},
		{Basic, basicFamily, 0},
		{None, noFamily, 0},
	}
}

type algorithmEntry struct {
	name   Algorithm
	family family
	hash   crypto.Hash
}

// lookup finds a's entry. Its error names a and lists the algorithms there are.
func (a Algorithm) lookup() (algorithmEntry, error) {
	table := algorithmTable()
	i := slices.IndexFunc(table, func(e algorithmEntry) bool { return e.name == a })
	if i >= 0 {
		return table[i], nil
	}
	names := make([]Algorithm, len(table))
	for i, e := range table {
		names[i] = e.name
	}
	return algorithmEntry{}, notAllowed("algorithm", a, names)
}

// Asymmetric reports whether a is verified with a public key rather than a
// shared secret; false for an unknown algorithm.
func (a Algorithm) Asymmetric() bool {
	entry, err := a.lookup()
	return err == nil && entry.family.public()
}

// public says that a signature is made with a private key and verified with a
// public one.
func (f family) public() bool {
	return f == ed25519Family || f == ecdsaFamily || f == rsaFamily
}

// signs says that there is a signed string at all.
func (f family) signs() bool { return f == secretFamily || f.public() }

// notAllowed is the error for a word that is not one of allowed.
func notAllowed[T ~string](what string, got T, allowed []T) error {
	words := make([]string, len(allowed))
	for i, a := range allowed {
		words[i] = string(a)
	}
	return fmt.Errorf("%s %q is not one of %s", what, string(got), strings.Join(words, ", "))
}
