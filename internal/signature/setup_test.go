package signature

import (
	"maps"
	"net/http"
	"testing"
	"time"
)

// now is the clock of most tests.
var now = time.Unix(1_700_000_000, 0)

// fataler is testing.TB or a rapid.T.
type fataler interface {
	Helper()
	Fatalf(format string, args ...any)
}

func mustKey(t fataler, s Scheme, text string) Key {
	t.Helper()
	k, err := ParseKey(s.Algorithm, s.KeyEncoding, text)
	if err != nil {
		t.Fatalf("ParseKey(%s, %s): %v", s.Algorithm, s.KeyEncoding, err)
	}
	return k
}

func mustSigningKey(t fataler, s Scheme, text string) Key {
	t.Helper()
	k, err := ParseSigningKey(s.Algorithm, s.KeyEncoding, text)
	if err != nil {
		t.Fatalf("ParseSigningKey(%s, %s): %v", s.Algorithm, s.KeyEncoding, err)
	}
	return k
}

func mustVerifier(t fataler, s Scheme, keys ...Key) *Verifier {
	t.Helper()
	v, err := NewVerifier(s, keys)
	if err != nil {
		t.Fatalf("NewVerifier(%+v): %v", s, err)
	}
	return v
}

// signed is r with the headers of a signer added; r stays as it is.
func signed(t fataler, s Scheme, keys []Key, r Request, now time.Time) Request {
	t.Helper()
	signer, err := NewSigner(s, keys)
	if err != nil {
		t.Fatalf("NewSigner(%+v): %v", s, err)
	}
	added, err := signer.Sign(r, now)
	if err != nil {
		t.Fatalf("Sign with %+v: %v", s, err)
	}
	if r.Header = r.Header.Clone(); r.Header == nil {
		r.Header = http.Header{}
	}
	maps.Copy(r.Header, added)
	return r
}

// request has the headers given in pairs, set as net/http sets them.
func request(body string, headers ...string) Request {
	h := http.Header{}
	for i := 0; i+1 < len(headers); i += 2 {
		h.Add(headers[i], headers[i+1])
	}
	return Request{Method: http.MethodPost, Header: h, Body: []byte(body)}
}

// verify gives the answer of a new verifier for one key.
func verify(t testing.TB, s Scheme, key string, r Request, at time.Time) error {
	t.Helper()
	return mustVerifier(t, s, mustKey(t, s, key)).Verify(r, at)
}
