package ingest_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/http"
	"net/netip"
	"strings"
	"testing"

	"github.com/jethook/jethook/ingest"
)

// hmacSHA256 is written apart from the engine, as a provider would.
func hmacSHA256(key, message string) string {
	mac := hmac.New(sha256.New, []byte(key))
	mac.Write([]byte(message))
	return hex.EncodeToString(mac.Sum(nil))
}

func TestARequestSignedAsItsProviderDoesIsTaken(t *testing.T) {
	for preset, request := range map[string]struct {
		body   string
		header http.Header
	}{
		"stripe":            {stripeBody, nil},
		"clink":             {`{"id":"event_1","object":"event","type":"order.succeeded"}`, nil},
		"github":            {`{"action":"opened"}`, http.Header{"X-Github-Event": {"issues"}, "X-Github-Delivery": {"72d3162e"}}},
		"standard-webhooks": {`{"type":"user.created"}`, http.Header{"Webhook-Id": {"msg_1"}}},
	} {
		t.Run(preset, func(t *testing.T) {
			g := newGateway(t, ingest.Config{}, newSource(t, "in", preset))
			a := g.send(newRequest(t, preset, secret, "http://hooks.example/in/in", request.body, request.header))
			if a.status != 200 || a.ID == "" {
				t.Errorf("got %d, want 200: %s", a.status, a.text)
			}
			a = g.send(newRequest(t, preset, otherSecret, "http://hooks.example/in/in", request.body, request.header))
			if a.status != 401 || a.Code != "signature_mismatch" {
				t.Errorf("with another secret got %d %s, want 401 signature_mismatch", a.status, a.Code)
			}
		})
	}
}

func TestEitherSecretIsGoodWhileTheyRotate(t *testing.T) {
	g := newGateway(t, ingest.Config{}, newSource(t, "stripe", "stripe", secret, otherSecret))
	for _, s := range []string{secret, otherSecret} {
		if a := g.send(newRequest(t, "stripe", s, "http://hooks.example/in/stripe", stripeBody, nil)); a.status != 200 {
			t.Errorf("got %d, want 200: %s", a.status, a.text)
		}
	}
}

func TestANameOutsideTheCatalogueIsRefusedWithoutRepeatingIt(t *testing.T) {
	g := newGateway(t, ingest.Config{}, newSource(t, "in", "github"))
	name := strings.Repeat("made.up.", 20)
	a := g.send(newRequest(t, "github", secret, "http://hooks.example/in/in", `{}`, http.Header{"X-Github-Event": {name}}))
	if a.status != 422 || a.Code != "event_unnamed" || !strings.Contains(a.Detail, "catalogue") {
		t.Errorf("got %d %s, want 422 event_unnamed and a word on the catalogue: %s", a.status, a.Code, a.text)
	}
	if strings.Contains(a.text, name[:65]) {
		t.Errorf("the answer repeats what a stranger made up: %s", a.text)
	}
}

const hubspotBody = `[{"eventId":1,"subscriptionId":2,"portalId":3,"occurredAt":4,"subscriptionType":"contact.creation","objectId":5}]`

func TestTheSignedAddressIsTheOneTheProviderCalled(t *testing.T) {
	proxies := []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")} // httptest's caller is 192.0.2.1
	for _, test := range []struct {
		name    string
		signed  string // the address that was signed
		public  string
		proxies []netip.Prefix
		forward http.Header
		status  int
	}{
		{name: "that of the request, with its query", signed: "http://hooks.example/in/in?a=1&b=%2F", status: 200},
		{name: "not that of another host", signed: "http://other.example/in/in", status: 401},
		{name: "what a trusted proxy says", signed: "https://hooks.example.com/in/in?a=1", proxies: proxies,
			forward: http.Header{"X-Forwarded-Proto": {"https"}, "X-Forwarded-Host": {"hooks.example.com"}}, status: 200},
		{name: "the last of what several proxies say", signed: "https://hooks.example.com/in/in", proxies: proxies,
			forward: http.Header{"X-Forwarded-Proto": {"http", "gopher, https"}, "X-Forwarded-Host": {"evil.example, hooks.example.com"}}, status: 200},
		{name: "not what a stranger says", signed: "https://hooks.example.com/in/in",
			forward: http.Header{"X-Forwarded-Proto": {"https"}, "X-Forwarded-Host": {"hooks.example.com"}}, status: 401},
		{name: "the configured one", signed: "https://public.example/hook", public: "https://public.example/hook", status: 200},
		{name: "the configured one and the request's query", signed: "https://public.example/hook?a=1", public: "https://public.example/hook", status: 200},
		{name: "the configured one with its own query", signed: "https://public.example/hook?b=2", public: "https://public.example/hook?b=2", status: 200},
	} {
		t.Run(test.name, func(t *testing.T) {
			source := newSource(t, "in", "hubspot-v3")
			source.PublicURL = test.public
			g := newGateway(t, ingest.Config{TrustedProxies: test.proxies}, source)
			r := newRequest(t, "hubspot-v3", secret, test.signed, hubspotBody, test.forward)
			r.Host, r.URL.Path = "hooks.example", "/in/in"
			if a := g.send(r); a.status != test.status {
				t.Errorf("got %d, want %d: %s", a.status, test.status, a.text)
			}
		})
	}
}

func TestAHandshakeIsAnsweredAndNotStored(t *testing.T) {
	bus := failing(errors.New("a handshake was stored"))
	for _, test := range []struct {
		name, preset string
		request      func(t *testing.T) *http.Request
		status       int
		contains     string
	}{
		{"Slack's challenge", "slack", func(t *testing.T) *http.Request {
			return newRequest(t, "slack", secret, "http://hooks.example/in/in", `{"type":"url_verification","challenge":"3eZbrw1aB"}`, nil)
		}, 200, "3eZbrw1aB"},
		{"Zoom's validation", "zoom", func(t *testing.T) *http.Request {
			return newRequest(t, "zoom", secret, "http://hooks.example/in/in", `{"event":"endpoint.url_validation","payload":{"plainToken":"qgg8vlvZRS6UYooatFL8Aw"}}`, nil)
		}, 200, hmacSHA256(secret, "qgg8vlvZRS6UYooatFL8Aw")},
		{"X's check by GET", "x-twitter", func(t *testing.T) *http.Request {
			r, _ := http.NewRequest(http.MethodGet, "http://hooks.example/in/in?crc_token=9b4507b3", nil)
			return r
		}, 200, "response_token"},
		{"Xero's empty list", "xero", func(t *testing.T) *http.Request {
			return newRequest(t, "xero", secret, "http://hooks.example/in/in", `{"events":[]}`, nil)
		}, 200, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			g := newGateway(t, ingest.Config{Publisher: bus}, newSource(t, "in", test.preset))
			a := g.send(test.request(t))
			if a.status != test.status || !strings.Contains(a.text, test.contains) {
				t.Errorf("got %d %q, want %d and %q", a.status, a.text, test.status, test.contains)
			}
			if line := g.logs.last(t); line["code"] != "handshake" {
				t.Errorf("logged as %v, want handshake", line["code"])
			}
		})
	}
}

func TestAHandshakePassesTheChecksBeforeIt(t *testing.T) {
	source := newSource(t, "in", "x-twitter")
	get := func(query string) *http.Request {
		r, _ := http.NewRequest(http.MethodGet, "http://hooks.example/in/in?"+query, nil)
		return r
	}
	if a := newGateway(t, ingest.Config{}, source).send(get("page=1")); a.status != 405 {
		t.Errorf("a GET that is no handshake got %d, want 405", a.status)
	}
	limited := source
	limited.Rate = .5
	g := newGateway(t, ingest.Config{}, limited)
	g.send(get("crc_token=abc"))
	if a := g.send(get("crc_token=abc")); a.status != 429 {
		t.Errorf("a handshake over the rate got %d, want 429", a.status)
	}
	refuseAll(&source)
	if a := newGateway(t, ingest.Config{}, source).send(get("crc_token=abc")); a.status != 403 {
		t.Errorf("a handshake from a refused address got %d, want 403", a.status)
	}
}

func TestAnUnsignedHandshakeByPostIsNotAnswered(t *testing.T) {
	g := newGateway(t, ingest.Config{}, newSource(t, "in", "zoom"))
	r := newRequest(t, "zoom", otherSecret, "http://hooks.example/in/in", `{"event":"endpoint.url_validation","payload":{"plainToken":"abc"}}`, nil)
	if a := g.send(r); a.status != 401 || strings.Contains(a.text, "encryptedToken") {
		t.Errorf("got %d %s, want 401", a.status, a.text)
	}
}

func TestAHandshakeWithoutAUsableChallengeIsAProblem(t *testing.T) {
	g := newGateway(t, ingest.Config{}, newSource(t, "in", "zoom"))
	a := g.send(newRequest(t, "zoom", secret, "http://hooks.example/in/in", `{"event":"endpoint.url_validation","payload":{"plainToken":"v0:1:{}"}}`, nil))
	if a.status != 400 || a.Code != "body_unreadable" || a.Detail == "" {
		t.Errorf("got %d %s, want 400 body_unreadable", a.status, a.text)
	}
}

func TestABodyThatIsAChallengeProvesNothing(t *testing.T) {
	g := newGateway(t, ingest.Config{}, newSource(t, "in", "x-twitter"))
	a := g.send(newRequest(t, "x-twitter", secret, "http://hooks.example/in/in", "9b4507b3", nil))
	if a.status != 401 || a.Code != "signature_mismatch" {
		t.Errorf("got %d %s, want 401 signature_mismatch", a.status, a.text)
	}
}
