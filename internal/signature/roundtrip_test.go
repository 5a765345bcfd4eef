package signature

import (
	"bytes"
	"errors"
	"net/http"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// shape is a scheme that can sign, with two of its keys.
type shape struct {
	name   string
	scheme Scheme
	keys   [2]string // to sign with
}

// shapes are all ways to sign, each with a time in the signed string.
func shapes(t fataler) []shape {
	digests := map[Algorithm][2]string{
		HMACSHA1: {"one", "two"}, HMACSHA256: {"one", "two"}, HMACSHA512: {"one", "two"}, SHA256Prefix: {"one", "two"},
		RSASHA1:   {privatePEM(rsaKey()), privatePEM(rsaKey())},
		RSASHA256: {privatePEM(rsaKey()), privatePEM(rsaKey())},
		RSASHA512: {privatePEM(rsaKey()), privatePEM(rsaKey())},
	}
	for _, a := range []Algorithm{Ed25519, ECDSAP256SHA256} {
		var pair [2]string
		for i := range pair {
			secret, err := GenerateSecret(a)
			if err != nil {
				t.Fatalf("GenerateSecret(%s): %v", a, err)
			}
			pair[i] = secret
		}
		digests[a] = pair
	}
	locations := map[string]Location{
		"header":   {Header: "X-Signature", Encoding: Hex, Prefix: "sig="},
		"list":     {Header: "X-Signature", Encoding: Base64URL, Separator: " "},
		"tagged":   {Header: "X-Signature", Encoding: Base64, Separator: " ", KeyValue: ",", Tag: "v1"},
		"numbered": {HeadersNumbered: "X-Signature-", Encoding: Base64},
	}
	var all []shape
	for algorithm, keys := range digests {
		for place, location := range locations {
			wanted := place == "header" || place == "tagged" && algorithm == ECDSAP256SHA256
			if entry, _ := algorithm.lookup(); entry.family.public() && !wanted {
				continue // slow, and the places do not depend on the algorithm
			}
			s := Scheme{
				Algorithm: algorithm,
				Signature: location,
				Timestamp: Timestamp{Header: "X-Time", Unit: Seconds, Tolerance: time.Minute},
				Signed:    "{method} {url}\n{header:X-Id}.{timestamp}.{body}",
			}
			all = append(all, shape{string(algorithm) + " " + place, s, keys})
			if place == "tagged" {
				s.Timestamp = Timestamp{Field: "t", Unit: Milliseconds, Tolerance: time.Minute}
				all = append(all, shape{string(algorithm) + " time in the list", s, keys})
			}
			if place == "header" {
				s.Signed, s.Timestamp = "", Timestamp{}
				all = append(all, shape{string(algorithm) + " body alone", s, keys})
			}
		}
	}
	return all
}

func TestWhatIsSignedIsGenuineAndAnyChangeToItIsSeen(t *testing.T) {
	for _, shape := range shapes(t) {
		t.Run(shape.name, func(t *testing.T) {
			first := mustSigningKey(t, shape.scheme, shape.keys[0])
			second := mustSigningKey(t, shape.scheme, shape.keys[1])
			verifier := mustVerifier(t, shape.scheme, first)
			rapid.Check(t, func(t *rapid.T) {
				checkRoundTrip(t, shape.scheme, verifier, []Key{second, first}[rapid.IntRange(0, 1).Draw(t, "first key"):])
			})
		})
	}
}

// checkRoundTrip signs with keys, of which the last is the verifier's, and
// changes the result.
func checkRoundTrip(t *rapid.T, s Scheme, verifier *Verifier, keys []Key) {
	at := time.UnixMilli(rapid.Int64Range(0, 4e12).Draw(t, "now"))
	r := Request{
		Method: rapid.SampledFrom([]string{"POST", "PUT"}).Draw(t, "method"),
		URL:    "https://example.com/" + rapid.StringMatching(`[a-z?&=]{0,20}`).Draw(t, "url"),
		Header: http.Header{"X-Id": {rapid.StringMatching(`[a-zA-Z0-9_-]{1,20}`).Draw(t, "id")}},
		Body:   rapid.SliceOf(rapid.Byte()).Draw(t, "body"),
	}
	lists := s.Signature.Separator != "" || s.Signature.HeadersNumbered != ""
	if !lists {
		keys = keys[len(keys)-1:]
	}
	r = signed(t, s, keys, r, at)
	if err := verifier.Verify(r, at); err != nil {
		t.Fatalf("Verify of what was signed = %v, want no error; %+v", err, r)
	}
	late := at.Add(time.Minute + time.Second)
	if err := verifier.Verify(r, late); s.Timestamp.present() && !errors.Is(err, ErrExpired) {
		t.Fatalf("Verify 61 seconds later = %v, want %v", err, ErrExpired)
	}

	changed := r
	flip := rapid.IntRange(0, len(r.Body)).Draw(t, "byte")
	changed.Body = append(bytes.Clone(r.Body), 0)
	changed.Body[flip] ^= byte(rapid.IntRange(1, 255).Draw(t, "bits"))
	mustMismatch(t, verifier, changed, at, "a changed body")

	if len(r.Body) > 0 {
		changed.Body = r.Body[:len(r.Body)-1]
		mustMismatch(t, verifier, changed, at, "a shortened body")
	}
	if s.Signed == "" {
		return
	}
	changed = r
	changed.URL += "x"
	mustMismatch(t, verifier, changed, at, "another URL")
	changed = r
	changed.Method = "PATCH"
	mustMismatch(t, verifier, changed, at, "another method")
	changed = r
	changed.Header = r.Header.Clone()
	changed.Header.Set("X-Id", r.Header.Get("X-Id")+"x")
	mustMismatch(t, verifier, changed, at, "another id")
	if s.Timestamp.Header == "" {
		return
	}
	changed.Header = r.Header.Clone()
	text := []byte(r.Header.Get(s.Timestamp.Header))
	i := rapid.IntRange(0, len(text)-1).Draw(t, "digit")
	text[i] = '0' + (text[i]-'0'+byte(rapid.IntRange(1, 9).Draw(t, "step")))%10
	changed.Header.Set(s.Timestamp.Header, string(text))
	mustMismatch(t, verifier, changed, at, "another time")
}

func mustMismatch(t *rapid.T, v *Verifier, r Request, at time.Time, what string) {
	t.Helper()
	if err := v.Verify(r, at); !errors.Is(err, ErrMismatch) {
		t.Fatalf("Verify with %s = %v, want %v; %+v", what, err, ErrMismatch, r)
	}
}

func TestAnotherKeyNeverVerifies(t *testing.T) {
	for _, a := range []Algorithm{HMACSHA1, HMACSHA256, HMACSHA512, SHA256Prefix, Token, Basic} {
		s := Scheme{Algorithm: a, Signature: Location{Header: "X-Signature", Encoding: Hex}}
		if entry, _ := a.lookup(); !entry.family.signs() {
			s.Signature.Encoding = ""
		}
		t.Run(string(a), func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) {
				secret := []byte(rapid.StringMatching(`[a-y]{1,30}:[a-y]{1,30}`).Draw(t, "secret"))
				r := signed(t, s, []Key{mustSigningKey(t, s, string(secret))}, request("body"), now)
				i := rapid.IntRange(0, len(secret)-1).Draw(t, "byte")
				if secret[i] == ':' {
					secret = append(secret, 'x')
				} else {
					secret[i]++
				}
				mustMismatch(t, mustVerifier(t, s, mustKey(t, s, string(secret))), r, now, "another key")
			})
		})
	}
}
