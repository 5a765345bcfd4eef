package provider

import (
	"bytes"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jethook/jethook/internal/signature"
)

var testNow = time.Date(2026, 3, 1, 12, 0, 0, 123e6, time.UTC)

// generatedKeys makes a key to sign with and the one that verifies it.
func generatedKeys(t *testing.T, s signature.Scheme) (signing, verifying signature.Key) {
	t.Helper()
	secret, err := signature.GenerateSecret(s.Algorithm)
	if err != nil {
		t.Fatal(err)
	}
	encoding := signature.KeyEncoding("")
	if s.Algorithm == signature.Ed25519 {
		encoding = signature.KeyBase64
	}
	if signing, err = signature.ParseSigningKey(s.Algorithm, encoding, secret); err != nil {
		t.Fatal(err)
	}
	public, err := signature.PublicKey(signing)
	if err != nil {
		return signing, signing // not a key pair
	}
	if verifying, err = signature.ParseKey(s.Algorithm, signature.KeyPEM, public); err != nil {
		t.Fatal(err)
	}
	return signing, verifying
}

// sampleEvent is an event p would send.
func sampleEvent(p Preset) string {
	switch {
	case p.Name == "linear":
		return "Issue.create"
	case len(p.Catalogue) > 0:
		return p.Catalogue[0]
	default:
		return "order.paid"
	}
}

// TestASampleSignedLikeTheSenderIsTakenUnderItsName goes the whole road of an
// event: composed, signed, verified, extracted.
func TestASampleSignedLikeTheSenderIsTakenUnderItsName(t *testing.T) {
	bodySigned := []string{"mailgun"} // its signature is inside the body, which a signer cannot write
	eachPreset(t, func(t *testing.T, p Preset) {
		if p.Name == "diddo" {
			scheme := signature.StandardWebhooks()
			scheme.Signed = "{timestamp}.{body}"
			p.Scheme = &scheme
		}
		if p.Name == "hub-sha512" {
			p.Event = []string{"json:event"}
		}
		event := sampleEvent(p)
		header, body, err := p.Compose(event, "sample-1", testNow)
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Contains(bodySigned, p.Name) {
			signAndVerify(t, *p.Scheme, header, body)
		}
		items, err := mustExtractor(t, p.ExtractorConfig()).Items(header, body)
		if err != nil || len(items) != 1 || items[0].Type != event {
			t.Fatalf("Items(%v, %s) = %+v, %v, want one %q", header, body, items, err, event)
		}
		if id := items[0].DeliveryID; len(p.DeliveryID) == 1 && p.DeliveryID[0] != "hash:body" && id != "sample-1" {
			t.Errorf("delivery id %q, want sample-1", id)
		}
	})
}

func signAndVerify(t *testing.T, s signature.Scheme, header http.Header, body []byte) {
	t.Helper()
	signing, verifying := generatedKeys(t, s)
	signer, err := signature.NewSigner(s, []signature.Key{signing})
	if err != nil {
		t.Fatal(err)
	}
	verifier, err := signature.NewVerifier(s, []signature.Key{verifying})
	if err != nil {
		t.Fatal(err)
	}
	r := signature.Request{Method: http.MethodPost, URL: "https://hooks.example.com/in/x", Header: header, Body: body}
	added, err := signer.Sign(r, testNow)
	if err != nil {
		t.Fatal(err)
	}
	for name, values := range added {
		header[name] = values
	}
	if err := verifier.Verify(r, testNow); err != nil {
		t.Errorf("Verify(%v, %s) = %v", header, body, err)
	}
}

func TestAnotherIDMakesAnotherEventAndTheSameIDTheSame(t *testing.T) {
	eachPreset(t, func(t *testing.T, p Preset) {
		if p.Name == "hub-sha512" {
			p.Event = []string{"const:ping"}
		}
		id := func(id string) string {
			event := sampleEvent(p)
			if p.Name == "hub-sha512" {
				event = "ping"
			}
			header, body, err := p.Compose(event, id, testNow)
			if err != nil {
				t.Fatal(err)
			}
			return oneID(t, p.ExtractorConfig(), header, string(body))
		}
		if a, b := id("a"), id("b"); a == b {
			t.Errorf("samples a and b have the same delivery id %q", a)
		}
		if a, again := id("a"), id("a"); a != again {
			t.Errorf("sample a has ids %q and %q", a, again)
		}
	})
}

func TestSamplesLookLikeTheirSenders(t *testing.T) {
	tests := map[string]struct{ event, want string }{
		"clink":             {"order.succeeded", `{"id": "x\"1", "object": "event", "type": "order.succeeded", "created": 1772366400123, "data": {"object": {"id": "order_1042", "amount": 1250,`},
		"chip-collect":      {"purchase.paid", `"status": "paid", "is_test": true, `},
		"standard-webhooks": {"order.paid", `{"type": "order.paid", "timestamp": "2026-03-01T12:00:00.123Z", "data": {`},
		"stripe":            {"charge.succeeded", `"created": 1772366400, "type": "charge.succeeded", "livemode": false`},
		"linear":            {"Issue.update", `{"action": "update", "type": "Issue"`},
		"mailgun":           {"opened", `"timestamp": "1772366400"`},
	}
	for name, tt := range tests {
		_, body, err := mustLookup(t, name).Compose(tt.event, `x"1`, testNow)
		if err != nil || !strings.Contains(string(body), tt.want) || !json.Valid(body) {
			t.Errorf("sample of %s = %s, %v, want valid JSON with %s", name, body, err, tt.want)
		}
	}
}

func TestASampleIsBuiltWhereTheOperatorSaysTheNameIs(t *testing.T) {
	clink := mustLookup(t, "clink")
	tests := []struct {
		name              string
		event, id         []string
		batch, body, mime string
	}{
		{"in the body", []string{"json:data.kind"}, []string{"json:data.key"}, "", `{"data":{"key":"i","kind":"a.b"},"sample_id":"i"}`, "application/json"},
		{"in a list", []string{"json:events.1.kind"}, nil, "", `{"events":[null,{"kind":"a.b"}],"sample_id":"i"}`, "application/json"},
		{"in two fields", []string{"tmpl:{json:x}.{json:y}"}, []string{"json:x.y"}, "", `{"sample_id":"i","x":"a","y":"b"}`, "application/json"},
		{"in a header", []string{"header:Kind"}, []string{"json:data.object.id"}, "", `{"data":{"object":{"id":"i"}},"sample_id":"i"}`, "application/json"},
		{"in a form", []string{"form:kind"}, []string{"form:key"}, "", `key=i&kind=a.b&sample_id=i`, "application/x-www-form-urlencoded"},
		{"in the items of the body", []string{"json:kind"}, []string{"json:key"}, "array", `[{"key":"i","kind":"a.b","sample_id":"i"}]`, "application/json"},
		{"in the items of a list", []string{"json:kind"}, nil, "json:data.list", `{"data":{"list":[{"kind":"a.b","sample_id":"i"}]}}`, "application/json"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := clink
			p.Event, p.DeliveryID, p.Batch = tt.event, tt.id, tt.batch
			header, body, err := p.Compose("a.b", "i", testNow)
			if err != nil || string(body) != tt.body || header.Get("Content-Type") != tt.mime {
				t.Errorf("Compose = %v, %s, %v, want %s of %s", header, body, err, tt.body, tt.mime)
			}
		})
	}
}

func TestASourceWithoutAPresetHasSamplesToo(t *testing.T) {
	p := Preset{Name: "shop", Event: []string{"json:type"}, DeliveryID: []string{"json:id", "hash:body"}}
	p.Scheme = &signature.Scheme{
		Algorithm: signature.HMACSHA256,
		Signature: signature.Location{Header: "X-Shop-Signature", Encoding: signature.Hex},
		Timestamp: signature.Timestamp{JSON: "meta.sent", Unit: signature.Milliseconds, Tolerance: time.Minute},
	}
	header, body, err := p.Compose("order.<paid>", "o1", testNow)
	if err != nil {
		t.Fatal(err)
	}
	if want := []byte(`{"id":"o1","meta":{"sent":1772366400123},"sample_id":"o1","type":"order.<paid>"}`); !bytes.Equal(body, want) {
		t.Errorf("body %s, want %s", body, want)
	}
	signAndVerify(t, *p.Scheme, header, body)
}

func TestASampleHasItsTimeInTheUnitAndPlaceThatTheSchemeReads(t *testing.T) {
	tests := []struct {
		unit        signature.Unit
		batch, body string
	}{
		{"", "", `{"sample_id":"i","sent":{"at":1772366400},"type":"a.b"}`},
		{signature.Auto, "", `{"sample_id":"i","sent":{"at":1772366400},"type":"a.b"}`},
		{signature.Milliseconds, "", `{"sample_id":"i","sent":{"at":1772366400123},"type":"a.b"}`},
		{signature.Seconds, "", `{"sample_id":"i","sent":{"at":1772366400},"type":"a.b"}`},
		{signature.RFC3339, "", `{"sample_id":"i","sent":{"at":"2026-03-01T12:00:00Z"},"type":"a.b"}`},
		{signature.Seconds, "json:list", `{"list":[{"sample_id":"i","type":"a.b"}],"sent":{"at":1772366400}}`},
	}
	for _, tt := range tests {
		p := Preset{Name: "shop", Event: []string{"json:type"}, Batch: tt.batch, Scheme: &signature.Scheme{
			Algorithm: signature.HMACSHA256,
			Signature: signature.Location{Header: "X-Shop-Signature", Encoding: signature.Hex},
			Timestamp: signature.Timestamp{JSON: "sent.at", Unit: tt.unit, Tolerance: time.Minute},
		}}
		header, body, err := p.Compose("a.b", "i", testNow)
		if err != nil || string(body) != tt.body {
			t.Errorf("unit %q, batch %q: Compose = %s, %v, want %s", tt.unit, tt.batch, body, err, tt.body)
			continue
		}
		signAndVerify(t, *p.Scheme, header, body)
	}
}

func TestAnEventTheSenderCannotNameIsRefused(t *testing.T) {
	tests := map[string]string{"linear": "Issue", "github": "no_such_event", "clink": "", "stripe": "\xff"}
	for name, event := range tests {
		if _, body, err := mustLookup(t, name).Compose(event, "i", testNow); err == nil || !strings.Contains(err.Error(), "cannot be an event") {
			t.Errorf("Compose(%q) for %s = %s, %v, want an error", event, name, body, err)
		}
	}
}
