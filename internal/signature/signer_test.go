package signature

import (
	"errors"
	"net/http"
	"reflect"
	"strings"
	"testing"

	standard "github.com/standard-webhooks/standard-webhooks/libraries/go"
)

func TestTheHeadersASignerAdds(t *testing.T) {
	const key = "secret"
	other := mac("other", "1700000000.{}")
	good := mac(key, "1700000000.{}")
	goodMilli := mac(key, "1700000000000.{}")
	untimed := mac(key, "{}")
	list := Scheme{Algorithm: HMACSHA256, Signature: Location{Header: "S", Encoding: Hex, Separator: " "}}
	rfc := Clink()
	rfc.Timestamp.Unit, rfc.Signed = RFC3339, "{header:X-Clink-Timestamp}.{body}"
	for _, c := range []struct {
		sentence string
		scheme   Scheme
		keys     []string
		want     http.Header
	}{
		{"a header with a prefix", Scheme{Algorithm: HMACSHA256, Signature: Location{Header: "x-hub-signature-256", Encoding: Hex, Prefix: "sha256="}},
			[]string{key}, http.Header{"X-Hub-Signature-256": {"sha256=" + untimed}}},
		{"the first key signs where one signature fits", plainScheme(), []string{key, "other"}, http.Header{"X-Signature": {untimed}}},
		{"every key signs in a list", stripeScheme(), []string{key, "other"},
			http.Header{"Stripe-Signature": {"t=1700000000,v1=" + good + ",v1=" + other}}},
		{"a list without tags", list, []string{key, "other"}, http.Header{"S": {untimed + " " + mac("other", "{}")}}},
		{"Clink, in milliseconds", Clink(), []string{key},
			http.Header{"X-Clink-Signature": {goodMilli}, "X-Clink-Timestamp": {"1700000000000"}}},
		{"a time named as a header is filled in", rfc, []string{key}, http.Header{
			"X-Clink-Signature": {mac(key, "2023-11-14T22:13:20Z.{}")}, "X-Clink-Timestamp": {"2023-11-14T22:13:20Z"}}},
		{"every key signs in numbered headers", Scheme{Algorithm: HMACSHA256, Signature: Location{HeadersNumbered: "S-", Encoding: Hex}},
			[]string{key, "other"}, http.Header{"S-1": {untimed}, "S-2": {mac("other", "{}")}}},
		{"a token", Scheme{Algorithm: Token, Signature: Location{Header: "Authorization", Prefix: "Bearer "}}, []string{key}, http.Header{"Authorization": {"Bearer secret"}}},
		{"basic", Scheme{Algorithm: Basic}, []string{"user:pass"}, http.Header{"Authorization": {"Basic dXNlcjpwYXNz"}}},
		{"none", Scheme{Algorithm: None}, nil, http.Header{}},
	} {
		t.Run(c.sentence, func(t *testing.T) {
			var keys []Key
			for _, text := range c.keys {
				keys = append(keys, mustSigningKey(t, c.scheme, text))
			}
			s, err := NewSigner(c.scheme, keys)
			if err != nil {
				t.Fatal(err)
			}
			got, err := s.Sign(request("{}"), now)
			if err != nil || !reflect.DeepEqual(got, c.want) {
				t.Errorf("Sign = %v, %v; want %v", got, err, c.want)
			}
		})
	}
}

func TestASignatureInTheBodyCannotBeProduced(t *testing.T) {
	form := plainScheme()
	form.Signature = Location{Form: "sig", Encoding: Hex}
	for _, s := range []Scheme{mailgunScheme(), form} {
		_, err := NewSigner(s, []Key{mustSigningKey(t, s, "secret")})
		if err == nil || !strings.Contains(err.Error(), "inside the body") {
			t.Errorf("NewSigner of %+v = %v, want an error that says why", s.Signature, err)
		}
	}
}

func TestAPublicKeyDoesNotSign(t *testing.T) {
	key := mustKey(t, CHIP(), publicPEM(&rsaKey().PublicKey))
	if _, err := NewSigner(CHIP(), []Key{key}); err == nil || !strings.Contains(err.Error(), "private") {
		t.Errorf("NewSigner with a public key = %v, want an error that asks for a private one", err)
	}
}

func TestWhatIsSignedMustBeInTheRequest(t *testing.T) {
	url := plainScheme()
	url.Signed = "{url}{body}"
	body := plainScheme()
	body.Timestamp = Timestamp{JSON: "at"}
	for _, s := range []Scheme{StandardWebhooks(), url, body} {
		signer, err := NewSigner(s, []Key{mustSigningKey(t, s, "c2VjcmV0")})
		if err != nil {
			t.Fatal(err)
		}
		if got, err := signer.Sign(request("{}"), now); !errors.Is(err, ErrMissing) {
			t.Errorf("Sign of an empty request with %q = %v, %v; want %v", s.Signed, got, err, ErrMissing)
		}
	}
}

func TestStandardWebhooksOwnLibraryAcceptsWhatWeSign(t *testing.T) {
	secret, err := GenerateSecret(HMACSHA256)
	if err != nil {
		t.Fatal(err)
	}
	reference, err := standard.NewWebhook(secret)
	if err != nil {
		t.Fatal(err)
	}
	s := StandardWebhooks()
	old, err := GenerateSecret(HMACSHA256)
	if err != nil {
		t.Fatal(err)
	}
	keys := []Key{mustSigningKey(t, s, old), mustSigningKey(t, s, secret)}
	r := signed(t, s, keys, request(`{"type":"a.b"}`, "webhook-id", "msg_1"), now)
	if err := reference.VerifyIgnoringTimestamp(r.Body, r.Header); err != nil {
		t.Errorf("the library says %v of %v, want no error", err, r.Header)
	}
	theirs, err := reference.Sign("msg_1", now, r.Body)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("webhook-signature", theirs)
	if err := mustVerifier(t, s, keys...).Verify(r, now); err != nil {
		t.Errorf("Verify of what the library signed = %v, want no error", err)
	}
}
