package e2e

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"strconv"
	"strings"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
	svix "github.com/svix/svix-webhooks/go"
)

// verifies checks a delivery with the libraries that its receiver might use.
func verifies(t *testing.T, secret string, d delivery) {
	t.Helper()
	standard, err := standardwebhooks.NewWebhook(secret)
	if err != nil {
		t.Fatal(err)
	}
	if err := standard.Verify(d.body, d.header); err != nil {
		t.Errorf("the library of Standard Webhooks: %v; headers %v", err, d.header)
	}
	other, err := svix.NewWebhook(secret)
	if err != nil {
		t.Fatal(err)
	}
	if err := other.Verify(d.body, d.header); err != nil {
		t.Errorf("the library of Svix: %v; headers %v", err, d.header)
	}
}

func TestEachOfTwoSecretsVerifiesADelivery(t *testing.T) {
	t.Parallel()
	secrets := []string{endpointSecret, "whsec_" + base64.StdEncoding.EncodeToString([]byte("the secret before the rotation--"))}
	r := newReceiver(t, nil)
	b := start(t, embeddedIn(t.TempDir()), sources(desk),
		endpoints(to("billing", r.server.URL, "secrets: ["+strings.Join(secrets, ", ")+"]")))
	b.hand("order.paid", "1")
	got := r.next()
	for _, secret := range secrets {
		verifies(t, secret, got)
	}
	if got := len(strings.Fields(got.header.Get("webhook-signature"))); got != 2 {
		t.Errorf("%d signatures, want one of each secret", got)
	}
}

func TestSignatureClinkSignsAsClinkDoes(t *testing.T) {
	t.Parallel()
	r := newReceiver(t, nil)
	b := start(t, embeddedIn(t.TempDir()), sources(desk), endpoints(to("billing", r.server.URL, "signature: clink", signed)))
	before := time.Now()
	b.hand("order.paid", "1")
	got := r.next()
	timestamp := got.header.Get("X-Clink-Timestamp")
	if ms, err := strconv.ParseInt(timestamp, 10, 64); err != nil || ms < before.UnixMilli() || ms > got.at.UnixMilli() {
		t.Errorf("X-Clink-Timestamp %q (%v), want milliseconds between %d and %d", timestamp, err, before.UnixMilli(), got.at.UnixMilli())
	}
	// The key is the secret as it stands, not what its base64 holds.
	want := hex.EncodeToString(hmacSHA256(endpointSecret, timestamp+"."+string(got.body)))
	if got := got.header.Get("X-Clink-Signature"); got != want {
		t.Errorf("X-Clink-Signature %q, want %q", got, want)
	}
	notStandard(t, got)
}

func TestSignatureChipSignsAsCHIPDoes(t *testing.T) {
	t.Parallel()
	own, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(own)
	if err != nil {
		t.Fatal(err)
	}
	private := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
	given, generated := newReceiver(t, nil), newReceiver(t, nil)
	b := start(t, embeddedIn(t.TempDir()), sources(desk), endpoints(
		to("given", given.server.URL, "signature: chip", "secrets: ["+strconv.Quote(string(private))+"]"),
		to("generated", generated.server.URL, "signature: chip")))
	b.hand("order.paid", "1")

	t.Run("with the private key of the file", func(t *testing.T) {
		verifiesCHIP(t, &own.PublicKey, given.next())
	})
	t.Run("with a generated key, whose public part the log tells", func(t *testing.T) {
		var line struct {
			Endpoint  string
			PublicKey string `json:"public_key"`
		}
		if err := json.Unmarshal([]byte(b.waitLog("endpoint signs with this public key")), &line); err != nil {
			t.Fatal(err)
		}
		block, _ := pem.Decode([]byte(line.PublicKey))
		if block == nil {
			t.Fatalf("public key %q of %q is no PEM", line.PublicKey, line.Endpoint)
		}
		public, err := x509.ParsePKIXPublicKey(block.Bytes)
		if err != nil {
			t.Fatal(err)
		}
		verifiesCHIP(t, public.(*rsa.PublicKey), generated.next())
	})
}

func verifiesCHIP(t *testing.T, public *rsa.PublicKey, d delivery) {
	t.Helper()
	signature, err := base64.StdEncoding.DecodeString(d.header.Get("X-Signature"))
	if err != nil {
		t.Fatalf("X-Signature %q: %v", d.header.Get("X-Signature"), err)
	}
	digest := sha256.Sum256(d.body)
	if err := rsa.VerifyPKCS1v15(public, crypto.SHA256, digest[:], signature); err != nil {
		t.Errorf("X-Signature: %v", err)
	}
	notStandard(t, d)
}

func TestSignatureNoneSignsNothing(t *testing.T) {
	t.Parallel()
	r := newReceiver(t, nil)
	b := start(t, embeddedIn(t.TempDir()), sources(desk), endpoints(to("billing", r.server.URL, "signature: none")))
	b.hand("order.paid", "1")
	got := r.next()
	notStandard(t, got)
	for name := range got.header {
		if strings.HasSuffix(name, "-Signature") {
			t.Errorf("header %s: %q, want no signature", name, got.header.Get(name))
		}
	}
}

// notStandard checks that a delivery of another style has the id and no
// signature of Standard Webhooks.
func notStandard(t *testing.T, d delivery) {
	t.Helper()
	if d.id() == "" || d.header.Get("webhook-signature") != "" {
		t.Errorf("webhook-id %q, webhook-signature %q, want an id and no signature", d.id(), d.header.Get("webhook-signature"))
	}
}
