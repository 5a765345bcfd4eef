package signature

import (
	"bytes"
	"errors"
	"strings"
	"testing"
)

func TestASignatureIsDecodedStrictlyButWithOrWithoutPadding(t *testing.T) {
	for _, c := range []struct {
		encoding Encoding
		text     string
		want     string // empty: refused
	}{
		{Hex, "fbff", "\xfb\xff"},
		{Hex, "FbFf", "\xfb\xff"},
		{Hex, "fbf", ""},
		{Hex, "0xfbff", ""},
		{Hex, " fbff", ""},
		{Base64, "+/8=", "\xfb\xff"},
		{Base64, "+/8", "\xfb\xff"},
		{Base64, "+/8==", ""},
		{Base64, "+/9=", ""}, // the last bits stand for nothing
		{Base64, "-_8=", ""},
		{Base64, "+/8=\n", ""},
		{Base64, "+/\n8=", ""},
		{Base64, "=", ""},
		{Base64, "====", ""},
		{Base64URL, "-_8=", "\xfb\xff"},
		{Base64URL, "-_8", "\xfb\xff"},
		{Base64URL, "+/8=", ""},
	} {
		got, ok := c.encoding.decode(nil, []byte(c.text))
		if ok = ok && len(got) > 0; ok != (c.want != "") || ok && string(got) != c.want {
			t.Errorf("%s.decode(%q) = %q, %v; want %q", c.encoding, c.text, got, ok, c.want)
		}
	}
}

// A large message of Ed25519 is copied into one piece; the copy must not be
// mistaken for the next one.
func TestALargeMessageIsForgottenBeforeTheNext(t *testing.T) {
	s := Scheme{
		Algorithm: Ed25519,
		Signature: Location{Header: "X-Signature", Encoding: Base64},
		Timestamp: Timestamp{Header: "X-Time"},
		Signed:    "{timestamp}{body}",
	}
	secret, err := GenerateSecret(Ed25519)
	if err != nil {
		t.Fatal(err)
	}
	key := mustSigningKey(t, s, secret)
	v := mustVerifier(t, s, key)
	large := signed(t, s, []Key{key}, request(strings.Repeat("x", 2*maxMessage)), now)
	small := signed(t, s, []Key{key}, request("x"), now)
	for _, r := range []Request{large, small, large} {
		if err := v.Verify(r, now); err != nil {
			t.Errorf("Verify of %d bytes = %v, want no error", len(r.Body), err)
		}
		r.Body = append(bytes.Clone(r.Body), 'x')
		if err := v.Verify(r, now); !errors.Is(err, ErrMismatch) {
			t.Errorf("Verify of one byte more than %d = %v, want %v", len(r.Body)-1, err, ErrMismatch)
		}
	}
}

func TestAnAlgorithmWithAPublicKeyIsAsymmetric(t *testing.T) {
	for _, e := range algorithmTable() {
		name := string(e.name)
		want := strings.HasPrefix(name, "rsa") || strings.HasPrefix(name, "ec") || strings.HasPrefix(name, "ed")
		if got := e.name.Asymmetric(); got != want {
			t.Errorf("%s.Asymmetric() = %v, want %v", name, got, want)
		}
	}
	if Algorithm("md5").Asymmetric() {
		t.Error("an unknown algorithm is asymmetric, want it not to be")
	}
}
