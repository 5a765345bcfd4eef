package e2e

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"
)

func TestAnyOfASourcesSecretsMayMatchWhileTheyRotate(t *testing.T) {
	t.Parallel()
	b := start(t, embeddedIn(t.TempDir()), sources(
		fmt.Sprintf("{name: stripe, preset: stripe, secrets: [%q, %q]}", "whsec_new", "whsec_old"),
	))
	for _, secret := range []string{"whsec_new", "whsec_old"} {
		body := order(secret)
		b.post("stripe", signStripe(secret, time.Now(), body), body).accepted(t)
	}
	body := order("whsec_older")
	b.post("stripe", signStripe("whsec_older", time.Now(), body), body).refused(t, http.StatusUnauthorized, "signature_mismatch")
}

func TestAVerifyBlockOverridesSingleKnobsOfAPreset(t *testing.T) {
	t.Parallel()
	b := start(t, embeddedIn(t.TempDir()), sources(
		source("stripe", "stripe", "whsec_a"),
		source("timeless", "stripe", "whsec_a", "verify: {timestamp: {tolerance: 0}}"),
		source("renamed", "stripe", "whsec_a", "verify: {signature: {header: X-Relayed-Signature}}"),
	))
	body := order("a")
	old := signStripe("whsec_a", time.Now().Add(-240*time.Hour), body)
	fresh := signStripe("whsec_a", time.Now(), body)
	relayed := http.Header{"X-Relayed-Signature": fresh["Stripe-Signature"]}

	b.post("stripe", old, body).refused(t, http.StatusUnauthorized, "signature_expired")
	b.post("timeless", old, body).accepted(t)
	b.post("timeless", signStripe("whsec_b", time.Now(), body), body).refused(t, http.StatusUnauthorized, "signature_mismatch")
	b.post("renamed", fresh, body).refused(t, http.StatusUnauthorized, "signature_missing")
	b.post("renamed", relayed, body).accepted(t)
	b.post("renamed", http.Header{"X-Relayed-Signature": old["Stripe-Signature"]}, body).refused(t, http.StatusUnauthorized, "signature_expired")
}

func TestAPresetsHandshakeIsAnsweredAndIsNoEvent(t *testing.T) {
	t.Parallel()
	vectors := readTestdata[[]struct{ Provider, Request, Secret string }](t, "handshakes.json")
	crc := vectors[0]
	token, ok := strings.CutPrefix(crc.Request, "GET ")
	if crc.Provider != "x-twitter" || !ok {
		t.Fatalf("vector %+v, want one of X's", crc)
	}
	r := newReceiver(t, nil)
	b := start(t, embeddedIn(t.TempDir()), endpoints(endpoint("all", r)), sources(
		source("slack", "slack", "slack-signing-secret"), source("x", "x-twitter", crc.Secret),
	))

	challenge := []byte(`{"token":"t","challenge":"3eZbrw1aBm2rZgRNFdxV2595E9CY3gmdALWMmHkvFXO7tYXAYM8P","type":"url_verification"}`)
	got := b.post("slack", signSlack(challenge), challenge)
	if want := `{"challenge":"3eZbrw1aBm2rZgRNFdxV2595E9CY3gmdALWMmHkvFXO7tYXAYM8P"}`; got.status != http.StatusOK || strings.TrimSpace(got.body) != want {
		t.Errorf("Slack's challenge is answered %d %s, want 200 %s", got.status, got.body, want)
	}
	b.post("slack", nil, challenge).refused(t, http.StatusUnauthorized, "signature_missing")

	got = b.get("ingest", "/in/x"+token)
	if want := `{"response_token":"sha256=Cytd4Sq+NvEcV3MMrXxWJGJx5A+y/lXzzU2Maartkx8="}`; got.status != http.StatusOK || strings.TrimSpace(got.body) != want {
		t.Errorf("X's challenge is answered %d %s, want 200 %s", got.status, got.body, want)
	}
	b.get("ingest", "/in/x").refused(t, http.StatusMethodNotAllowed, "method_not_allowed")

	message := []byte(`{"type":"event_callback","event":{"type":"message"},"event_id":"Ev1"}`)
	id := b.post("slack", signSlack(message), message).accepted(t).ID
	if d := r.next(); d.header.Get("webhook-id") != id || d.header.Get("ce-type") != "message" {
		t.Errorf("%s %s was delivered first, want only the event %s", d.header.Get("ce-type"), d.header.Get("webhook-id"), id)
	}
}

func signSlack(body []byte) http.Header {
	seconds := strconv.FormatInt(time.Now().Unix(), 10)
	mac := hmacSHA256("slack-signing-secret", "v0:"+seconds+":"+string(body))
	return http.Header{"X-Slack-Request-Timestamp": {seconds}, "X-Slack-Signature": {"v0=" + hex.EncodeToString(mac)}}
}

func TestTheBodyAndItsTypeAreKeptExactly(t *testing.T) {
	t.Parallel()
	r := newReceiver(t, nil)
	b := start(t, embeddedIn(t.TempDir()), endpoints(endpoint("all", r)),
		sources(shop("shop", `event: ["header:X-Shop-Event"]`)))
	random := make([]byte, 1<<20) // max_body
	if _, err := rand.Read(random); err != nil {
		t.Fatal(err)
	}
	for i, row := range []struct {
		name, contentType string
		body              []byte
	}{
		{"blanks and line ends", "application/json", []byte("\r\n { \"b\" : 1,\t\"a\":2 }\n\n")},
		{"numbers, escapes and repeated keys", "application/json; charset=utf-8", []byte(`{"a":1.0,"a":1e400,"b":12345678901234567890,"c":"\u00e9\/<&>"}`)},
		{"a byte order mark", "application/json", []byte("\xef\xbb\xbf{}")},
		{"what is not UTF-8", "text/plain; charset=iso-8859-1", []byte("caf\xe9\x00\xff")},
		{"a form", "application/x-www-form-urlencoded", []byte("a=1&b=%20+%2B&a=2")},
		{"XML", "text/xml", []byte("<?xml version='1.0'?><a>\r</a>")},
		{"nothing", "application/json", nil},
		{"no type", "", []byte("{}")},
		{"a mebibyte of anything", "application/octet-stream", random},
	} {
		t.Run(row.name, func(t *testing.T) {
			header := signShop(shopSecret, time.Now(), row.body)
			header["X-Shop-Event"], header["X-Shop-Delivery"] = []string{"kept"}, []string{strconv.Itoa(i)}
			if header.Set("Content-Type", row.contentType); row.contentType == "" {
				header.Del("Content-Type")
			}
			b.post("shop", header, row.body).accepted(t)
			d := r.next()
			if !bytes.Equal(d.body, row.body) {
				t.Errorf("%.80q arrived as %.80q", row.body, d.body)
			}
			if got := d.header.Get("Content-Type"); got != row.contentType {
				t.Errorf("content type %q, want %q", got, row.contentType)
			}
		})
	}
}

func TestEachEventOfABatchIsStoredByItself(t *testing.T) {
	t.Parallel()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	public, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	r := newReceiver(t, nil)
	b := start(t, embeddedIn(t.TempDir()), endpoints(endpoint("all", r)),
		sources(fmt.Sprintf("{name: mail, preset: sendgrid, public_keys: [%q]}", base64.StdEncoding.EncodeToString(public))))

	opened, clicked, bounced := `{"sg_event_id":"1", "event":"open" }`, `{"sg_event_id":"2","event":"click"}`, `{"sg_event_id":"3","event":"bounce"}`
	first := batchReceipt(t, b.post("mail", signSendGrid(t, key, opened, clicked), sendGridBody(opened, clicked)))
	if first.Duplicate || len(first.Events) != 2 || first.ID != first.Events[0].ID || first.Events[0].Duplicate || first.Events[1].Duplicate {
		t.Errorf("two new events are answered %+v", first)
	}
	second := batchReceipt(t, b.post("mail", signSendGrid(t, key, clicked, bounced), sendGridBody(clicked, bounced)))
	if second.Duplicate || len(second.Events) != 2 || second.Events[0] != (receipt{first.Events[1].ID, true}) || second.Events[1].Duplicate {
		t.Errorf("a known and a new event are answered %+v", second)
	}
	b.post("mail", signSendGrid(t, key, opened), sendGridBody(clicked)).refused(t, http.StatusUnauthorized, "signature_mismatch")

	delivered := r.of(3)
	for id, want := range map[string]string{first.Events[0].ID: opened, first.Events[1].ID: clicked, second.Events[1].ID: bounced} {
		if got := delivered[id]; len(got) != 1 || string(got[0].body) != want {
			t.Errorf("%s was delivered as %v, want once %s", id, got, want)
		}
	}
}

// batch is the gateway's answer to several events at once.
type batch struct {
	receipt
	Events []receipt
}

func batchReceipt(t *testing.T, a answer) batch {
	t.Helper()
	a.accepted(t)
	var all batch
	if err := json.Unmarshal([]byte(a.body), &all); err != nil {
		t.Fatalf("answer %s: %v", a.body, err)
	}
	return all
}

func sendGridBody(events ...string) []byte {
	return []byte("[" + strings.Join(events, ",\r\n") + "]\r\n")
}

func signSendGrid(t *testing.T, key *ecdsa.PrivateKey, events ...string) http.Header {
	t.Helper()
	seconds := strconv.FormatInt(time.Now().Unix(), 10)
	digest := sha256.Sum256(append([]byte(seconds), sendGridBody(events...)...))
	signed, err := ecdsa.SignASN1(rand.Reader, key, digest[:])
	if err != nil {
		t.Fatal(err)
	}
	return http.Header{
		"X-Twilio-Email-Event-Webhook-Timestamp": {seconds},
		"X-Twilio-Email-Event-Webhook-Signature": {base64.StdEncoding.EncodeToString(signed)},
	}
}
