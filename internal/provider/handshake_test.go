package provider

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"github.com/jethook/jethook/internal/signature"
)

func rawKeys(t testing.TB, secrets ...string) []signature.Key {
	t.Helper()
	var keys []signature.Key
	for _, secret := range secrets {
		key, err := signature.ParseKey(signature.HMACSHA256, signature.KeyRaw, secret)
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, key)
	}
	return keys
}

func mustHandshake(t testing.TB, name string, secrets ...string) *Handshake {
	t.Helper()
	h, err := NewHandshake(name, rawKeys(t, secrets...))
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func get(query string) *http.Request  { return httptest.NewRequest(http.MethodGet, "/in/x?"+query, nil) }
func post() *http.Request             { return httptest.NewRequest(http.MethodPost, "/in/x", nil) }
func badRequest() (Reply, bool)       { return Reply{Status: http.StatusBadRequest}, true }
func unauthorized() (Reply, bool)     { return Reply{Status: http.StatusUnauthorized}, true }
func notHandled() (Reply, bool)       { return Reply{}, false }
func empty(status int) (Reply, bool)  { return Reply{Status: status}, true }
func answered(b string) (Reply, bool) { return Reply{200, "application/json", []byte(b)}, true }

func TestThePublishedChallengeIsAnsweredAsPublished(t *testing.T) {
	text, err := os.ReadFile("testdata/handshakes.json")
	if err != nil {
		t.Fatal(err)
	}
	var vectors []struct {
		Provider, Request, Secret string
		Response                  struct {
			Status int
			JSON   map[string]string
		}
	}
	if err := json.Unmarshal(text, &vectors); err != nil || len(vectors) != 1 {
		t.Fatalf("%d vectors, %v", len(vectors), err)
	}
	v := vectors[0]
	h := mustHandshake(t, mustLookup(t, v.Provider).Handshake, v.Secret)
	reply, handled := h.Answer(get(strings.TrimPrefix(v.Request, "GET ?")), nil)
	var got map[string]string
	if err := json.Unmarshal(reply.Body, &got); err != nil {
		t.Fatalf("body %q: %v", reply.Body, err)
	}
	if !handled || reply.Status != v.Response.Status || got["response_token"] != v.Response.JSON["response_token"] || len(got) != 1 {
		t.Errorf("Answer(%s) = %d %s, %t, want %+v", v.Request, reply.Status, reply.Body, handled, v.Response)
	}
}

func TestHandshakesAreAnsweredAsTheirSenderWants(t *testing.T) {
	tests := []struct {
		name, handshake string
		request         *http.Request
		body            string
		want            func() (Reply, bool)
	}{
		{"slack repeats the challenge", "slack", post(), `{"type":"url_verification","challenge":"3eZbrw1a<"}`, func() (Reply, bool) { return answered(`{"challenge":"3eZbrw1a\u003c"}`) }},
		{"slack's events are no handshake", "slack", post(), `{"type":"event_callback","challenge":"x"}`, notHandled},
		{"slack's challenge may not be missing", "slack", post(), `{"type":"url_verification"}`, badRequest},
		{"slack's challenge may not be huge", "slack", post(), `{"type":"url_verification","challenge":"` + strings.Repeat("x", 1025) + `"}`, badRequest},
		{"slack has none that is not signed", "slack", get("challenge=x"), ``, notHandled},
		{"zoom's events are no handshake", "zoom", post(), `{"event":"meeting.started"}`, notHandled},
		{"zoom has none that is not signed", "zoom", get("plainToken=x"), `{"event":"endpoint.url_validation","payload":{"plainToken":"abc"}}`, notHandled},
		{"discord's ping of webhook events", "discord", post(), `{"version":1,"application_id":"1","type":0}`, func() (Reply, bool) { return empty(204) }},
		{"discord's ping of interactions", "discord", post(), `{"id":"1","type":1,"token":"x"}`, func() (Reply, bool) { return answered(`{"type":1}`) }},
		{"discord's events are no handshake", "discord", post(), `{"type":1,"event":{"type":"ENTITLEMENT_CREATE"}}`, notHandled},
		{"discord's other interactions are none", "discord", post(), `{"type":2}`, notHandled},
		{"xero's intent to receive", "status-only", post(), `{"events":[],"firstEventSequence":0,"lastEventSequence":0,"entropy":"x"}`, func() (Reply, bool) { return empty(200) }},
		{"xero's events are no handshake", "status-only", post(), `{"events":[{"eventCategory":"INVOICE"}]}`, notHandled},
		{"another body is not xero's", "status-only", post(), `{}`, notHandled},
		{"a body that is not JSON", "slack", post(), `{"type":"url_verification","challenge":"x"`, notHandled},
		{"x's check without a token", "x-crc", get("nonce=1"), ``, notHandled},
		{"x's check by another method", "x-crc", httptest.NewRequest(http.MethodPut, "/in/x?crc_token=a", nil), ``, notHandled},
		{"x's events are no handshake", "x-crc", post(), `{"data":{}}`, notHandled},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, handled := mustHandshake(t, tt.handshake, "secret").Answer(tt.request, []byte(tt.body))
			want, wantHandled := tt.want()
			if handled != wantHandled || got.Status != want.Status || got.ContentType != want.ContentType || string(got.Body) != string(want.Body) {
				t.Errorf("Answer(%s %s, %.100s) = %d %q %s, %t, want %d %q %s, %t", tt.request.Method, tt.request.URL, tt.body,
					got.Status, got.ContentType, got.Body, handled, want.Status, want.ContentType, want.Body, wantHandled)
			}
		})
	}
}

func TestZoomsTokenIsEncryptedWithTheFirstSecret(t *testing.T) {
	const token = "qgg8vlvZRS6UYooatFL8Aw"
	signer, err := signature.NewSigner(*mustLookup(t, "gitea").Scheme, rawKeys(t, "new"))
	if err != nil {
		t.Fatal(err)
	}
	header, err := signer.Sign(signature.Request{Body: []byte(token)}, testNow)
	if err != nil {
		t.Fatal(err)
	}
	want := `{"plainToken":"` + token + `","encryptedToken":"` + header.Get("X-Gitea-Signature") + `"}`
	reply, handled := mustHandshake(t, "zoom", "new", "old").Answer(post(), []byte(`{"event":"endpoint.url_validation","payload":{"plainToken":"`+token+`"}}`))
	if !handled || reply.Status != http.StatusOK || string(reply.Body) != want {
		t.Errorf("Answer = %d %s, %t, want %s", reply.Status, reply.Body, handled, want)
	}
}

func TestTheGatewayIsNoOracle(t *testing.T) {
	hostile := map[string]string{
		"zoom's signed string":  `v0:1700000000:{\"event\":\"meeting.ended\"}`,
		"the start of one":      `v0:1700000000:`,
		"a JSON object":         `{}`,
		"a JSON list":           `[1]`,
		"a blank":               ` `,
		"nothing":               ``,
		"129 letters":           strings.Repeat("a", 129),
		"a letter and a colon":  `a:b`,
		"a token and a newline": `abc\n`,
		"letters beyond ASCII":  `é`,
	}
	zoom, crc := mustHandshake(t, "zoom", "secret"), mustHandshake(t, "x-crc", "secret")
	for name, token := range hostile {
		t.Run(name, func(t *testing.T) {
			body := `{"event":"endpoint.url_validation","payload":{"plainToken":"` + token + `"}}`
			if reply, handled := zoom.Answer(post(), []byte(body)); !handled || reply.Status != http.StatusBadRequest || reply.Body != nil {
				t.Errorf("zoom signed %q: %d %s, %t", token, reply.Status, reply.Body, handled)
			}
			var plain string
			if err := json.Unmarshal([]byte(`"`+token+`"`), &plain); err != nil {
				t.Fatal(err)
			}
			r := get("")
			r.URL.RawQuery = "crc_token=" + strings.NewReplacer("{", "%7B", " ", "%20", "\n", "%0A", `"`, "%22").Replace(plain)
			if reply, handled := crc.Answer(r, nil); handled || reply.Body != nil {
				t.Errorf("x-crc signed %q: %d %s", plain, reply.Status, reply.Body)
			}
		})
	}
}

func TestABodyWhoseHMACAnyoneMayAskForProvesNothing(t *testing.T) {
	h := mustHandshake(t, "x-crc", "secret")
	for _, body := range []string{"123", "true", "9b4507b3-9040-4669-9ca3-6b94edb50553", "bm90IEpTT04="} {
		if _, handled := h.Answer(get("crc_token="+body), nil); !handled {
			t.Errorf("token %q is not answered", body)
		}
		got, handled := h.Answer(post(), []byte(body))
		if want, _ := unauthorized(); !handled || got.Status != want.Status {
			t.Errorf("POST of %q = %d, %t, want it refused with 401", body, got.Status, handled)
		}
	}
}

func TestAHandshakeThatCannotBeIsRefused(t *testing.T) {
	if h, err := NewHandshake("", nil); h != nil || err != nil {
		t.Errorf("no handshake = %v, %v, want none", h, err)
	}
	if _, handled := (*Handshake)(nil).Answer(post(), nil); handled {
		t.Error("no handshake answered")
	}
	rsa, err := signature.ParseKey(signature.Token, "", "secret")
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name string
		keys []signature.Key
		want string
	}{
		{"stripe", nil, "not one of slack, zoom, x-crc, discord, status-only"},
		{"zoom", nil, "handshake zoom: a secret is required"},
		{"x-crc", []signature.Key{rsa}, "handshake x-crc: "},
	}
	for _, tt := range tests {
		if _, err := NewHandshake(tt.name, tt.keys); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("NewHandshake(%q) = %v, want an error with %q", tt.name, err, tt.want)
		}
	}
}

func TestEveryPresetsHandshakeIsKnown(t *testing.T) {
	eachPreset(t, func(t *testing.T, p Preset) {
		h, err := NewHandshake(p.Handshake, rawKeys(t, "secret"))
		if err != nil || (h == nil) != (p.Handshake == "") {
			t.Errorf("NewHandshake(%q) = %v, %v", p.Handshake, h, err)
		}
	})
}
