package signature

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"net/http"
	"testing"
	"time"
)

// BenchmarkHMAC is the cost that BenchmarkVerify cannot go below: one
// HMAC-SHA256 of a 1 KiB body with the key's state computed before.
func BenchmarkHMAC(b *testing.B) {
	body := bytes.Repeat([]byte("x"), 1024)
	h := hmac.New(sha256.New, []byte("secret"))
	var sum [sha256.Size]byte
	b.ReportAllocs()
	for b.Loop() {
		h.Reset()
		h.Write(body)
		h.Sum(sum[:0])
	}
}

func BenchmarkVerify(b *testing.B) {
	now := time.Unix(1_700_000_000, 0)
	for _, c := range []struct {
		name   string
		scheme Scheme
		secret string
	}{
		{"hmac-sha256", Clink(), "secret"},
		{"standard-webhooks", StandardWebhooks(), "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"},
	} {
		b.Run(c.name, func(b *testing.B) {
			key := mustSigningKey(b, c.scheme, c.secret)
			r := Request{
				Method: http.MethodPost,
				Header: http.Header{"Webhook-Id": {"msg_1"}},
				Body:   bytes.Repeat([]byte("x"), 1024),
			}
			r = signed(b, c.scheme, []Key{key}, r, now)
			v := mustVerifier(b, c.scheme, key)
			b.ReportAllocs()
			for b.Loop() {
				if err := v.Verify(r, now); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkSign(b *testing.B) {
	scheme := StandardWebhooks()
	signer, err := NewSigner(scheme, []Key{mustSigningKey(b, scheme, "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")})
	if err != nil {
		b.Fatal(err)
	}
	r := Request{Header: http.Header{"Webhook-Id": {"msg_1"}}, Body: bytes.Repeat([]byte("x"), 1024)}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := signer.Sign(r, time.Unix(1_700_000_000, 0)); err != nil {
			b.Fatal(err)
		}
	}
}
