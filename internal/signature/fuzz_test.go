package signature

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"
)

// FuzzVerifyHeader gives every reader of a signature arbitrary text. None may
// panic or be satisfied, and the error is one of the three.
func FuzzVerifyHeader(f *testing.F) {
	for _, seed := range []string{
		"", " ", "=", ",", "v1,", "v1,,v1", "t=1700000000,v1=", "t=Infinity,v1=00", "t=,v1", "sha256=00", "v0=",
		"v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=", "t=1700000000,v1=" + strings.Repeat("0", 64),
		"Basic dXNlcjpwYXNz", "Basic ====", "MAYCAQECAQE=", strings.Repeat("v1,AA== ", 120), strings.Repeat("A", 9000),
		"\x00", "v1,\xff\xfe", strings.Repeat("A", 88), strings.Repeat("A", 344),
	} {
		f.Add(seed, `{"signature":{"timestamp":"1700000000","token":"t","signature":"00"}}`)
	}
	f.Add("x", `{"signature":`)
	f.Add("x", "signature=00&signature=%")

	var verifiers []*Verifier
	for _, s := range []shape{
		{scheme: StandardWebhooks(), keys: [2]string{"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"}},
		{scheme: stripeScheme(), keys: [2]string{"secret"}},
		{scheme: CHIP(), keys: [2]string{privatePEM(rsaKey())}},
		{scheme: mailgunScheme(), keys: [2]string{"secret"}},
		{scheme: Scheme{Algorithm: HMACSHA256, Signature: Location{Form: "signature", Encoding: Hex}}, keys: [2]string{"secret"}},
		{scheme: Scheme{Algorithm: HMACSHA256, Signature: Location{HeadersNumbered: "X-Signature-", Encoding: Base64URL}}, keys: [2]string{"secret"}},
		{scheme: Scheme{Algorithm: Ed25519, KeyEncoding: KeyHex, Signature: Location{Header: "X-Signature", Encoding: Hex},
			Timestamp: Timestamp{Header: "X-Time"}, Signed: "{timestamp}{body}"}, keys: [2]string{strings.Repeat("5a", 32)}},
		{scheme: Scheme{Algorithm: Token, Signature: Location{Header: "X-Signature"}}, keys: [2]string{strings.Repeat("never sent ", 20) + "."}},
		{scheme: Scheme{Algorithm: Basic}, keys: [2]string{"user:" + strings.Repeat("never sent ", 20)}},
	} {
		verifiers = append(verifiers, mustVerifier(f, s.scheme, mustSigningKey(f, s.scheme, s.keys[0])))
	}
	f.Fuzz(func(t *testing.T, header, body string) {
		r := Request{Method: http.MethodPost, URL: "https://example.com", Header: http.Header{}, Body: []byte(body)}
		for _, name := range []string{"X-Signature", "X-Signature-1", "Stripe-Signature", "Webhook-Signature", "Authorization"} {
			r.Header.Set(name, header)
		}
		for _, name := range []string{"X-Time", "Webhook-Timestamp", "Webhook-Id"} {
			r.Header.Set(name, "1700000000")
		}
		for _, v := range verifiers {
			err := v.Verify(r, now)
			if !errors.Is(err, ErrMissing) && !errors.Is(err, ErrMismatch) {
				t.Errorf("Verify with %s = %v, want %v or %v; header %q, body %q", v.plan.name, err, ErrMissing, ErrMismatch, header, body)
			}
		}
	})
}

// FuzzTimestamp reads arbitrary text in every unit: what is accepted as a number
// has digits only, and lies between 1970 and 9999.
func FuzzTimestamp(f *testing.F) {
	for _, seed := range []string{
		"", "0", "1700000000", "1700000000123", "Infinity", "NaN", "+1", "-1", "1e3", "0x1", "1.5", "1 ", "１",
		"999999999999", "1000000000000", "253402300799", "253402300800", "9223372036854775807", "18446744073709551616",
		"2023-11-14T22:13:20Z", "2023-11-14T22:13:20.5+01:00", "9999-12-31T23:59:59Z", "0000-01-01T00:00:00Z",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		for _, unit := range []Unit{Seconds, Milliseconds, Auto} {
			got, ok := unit.parse(text)
			if !ok {
				continue
			}
			if text == "" || strings.Trim(text, "0123456789") != "" {
				t.Errorf("%s.parse(%q) = %s, want it refused", unit, text, got)
			}
			if got.Before(time.Unix(0, 0)) || got.UTC().Year() > 9999 {
				t.Errorf("%s.parse(%q) = %s, which is no year from 1970 to 9999", unit, text, got)
			}
			if unit == Auto && got.UnixMilli() < 1e12 {
				continue // before 2001 auto's milliseconds read as seconds
			}
			if again, ok := unit.parse(unit.format(got)); !ok || !again.Equal(got) {
				t.Errorf("%s: %q is %s, written and read again %s", unit, text, got, again)
			}
		}
		if got, ok := RFC3339.parse(text); ok {
			_ = Timestamp{Tolerance: time.Minute}.tolerates(got, now)
		}
	})
}
