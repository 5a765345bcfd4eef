package provider

import (
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/jethook/jethook/internal/signature"
)

// vector is a published request and whether it is genuine.
type vector struct {
	Name      string            `json:"name"`
	Scheme    string            `json:"scheme"`
	Secret    string            `json:"secret"`
	PublicKey string            `json:"public_key"`
	Headers   map[string]string `json:"headers"`
	URL       string            `json:"url"`
	Method    string            `json:"method"`
	Body      string            `json:"body"`
	Valid     bool              `json:"valid"`
	Now       *int64            `json:"now"`
	Note      string            `json:"note"`
}

func readVectors(t testing.TB) []vector {
	t.Helper()
	text, err := os.ReadFile("testdata/vectors.json")
	if err != nil {
		t.Fatal(err)
	}
	var vectors []vector
	if err := json.Unmarshal(text, &vectors); err != nil {
		t.Fatal(err)
	}
	return vectors
}

// schemesOfTheirOwn are those data cannot express.
func schemesOfTheirOwn() map[string]string {
	return map[string]string{
		"twilio":         "signs the URL with the sorted form, with and without the port",
		"adyen-payments": "signs fields of each item, inside the item",
	}
}

// schemesWithoutPreset are schemes of vectors that belong to no preset.
func schemesWithoutPreset() map[string]signature.Scheme {
	hmac := func(a signature.Algorithm, e signature.Encoding) signature.Scheme {
		return signature.Scheme{Algorithm: a, Signature: signature.Location{Header: "X-Convoy-Signature", Encoding: e}}
	}
	return map[string]signature.Scheme{
		"convoy-simple-sha256-hex":    hmac(signature.HMACSHA256, signature.Hex),
		"convoy-simple-sha256-base64": hmac(signature.HMACSHA256, signature.Base64),
		"convoy-simple-sha512-hex":    hmac(signature.HMACSHA512, signature.Hex),
		"convoy-advanced-sha256-hex": {
			Algorithm: signature.HMACSHA256,
			Signature: signature.Location{Header: "X-Convoy-Signature", Encoding: signature.Hex, Separator: ",", KeyValue: "=", Tag: "v1"},
			Timestamp: signature.Timestamp{Field: "t", Unit: signature.Seconds, Tolerance: 5 * time.Minute},
			Signed:    "{timestamp},{body}",
		},
		"rsa-sha256-raw": {
			Algorithm: signature.RSASHA256,
			Signature: signature.Location{Header: "X-Signature-SHA256", Encoding: signature.Base64},
		},
	}
}

func TestPublishedVectorsVerifyAsTheirPresetsSay(t *testing.T) {
	tested := 0
	for _, v := range readVectors(t) {
		if schemesOfTheirOwn()[v.Scheme] != "" {
			continue
		}
		tested++
		t.Run(v.Name, func(t *testing.T) {
			err := v.verify(t)
			if (err == nil) != v.Valid {
				t.Errorf("Verify = %v, want valid = %t (%s)", err, v.Valid, v.Note)
			}
		})
	}
	if tested != 34 {
		t.Errorf("%d vectors were tested, want 34: 39 without the 3 of twilio and the 2 of adyen-payments", tested)
	}
}

func TestAGenuineVectorThatIsTooOldIsExpired(t *testing.T) {
	old := []string{"stripe-13", "slack-38", "convoy-61"}
	for _, v := range readVectors(t) {
		if !slices.Contains(old, v.Name) {
			continue
		}
		if err := v.verify(t); !errors.Is(err, signature.ErrExpired) {
			t.Errorf("Verify of %s = %v, want ErrExpired", v.Name, err)
		}
	}
}

func (v vector) verify(t *testing.T) error {
	t.Helper()
	scheme, ok := schemesWithoutPreset()[v.Scheme]
	if !ok {
		scheme = *mustLookup(t, v.Scheme).Scheme
	}
	secret := v.Secret
	if secret == "" {
		secret = v.PublicKey
	}
	key, err := signature.ParseKey(scheme.Algorithm, scheme.KeyEncoding, secret)
	if err != nil {
		t.Fatalf("key of %s: %v", v.Name, err)
	}
	verifier, err := signature.NewVerifier(scheme, []signature.Key{key})
	if err != nil {
		t.Fatalf("scheme of %s: %v", v.Name, err)
	}
	return verifier.Verify(signature.Request{Method: v.Method, URL: v.URL, Header: v.header(), Body: []byte(v.Body)}, v.clock())
}

func (v vector) header() http.Header {
	h := http.Header{}
	for name, value := range v.Headers {
		h.Set(name, value)
	}
	return h
}

// clock is the time the vector is to be verified at. A vector without one that
// has a time (SendGrid's) was signed at that time.
func (v vector) clock() time.Time {
	if v.Now != nil {
		return time.Unix(*v.Now, 0)
	}
	return time.Unix(1600112502, 0)
}

func TestVectorsAreNamedAsTheirSenderDoes(t *testing.T) {
	want := map[string]string{
		"stripe-12":   "customer.created",
		"gitea-34":    "create",
		"sendgrid-79": "dropped",
		"square-87":   "webhooks.test_notification",
		"hubspot-99":  "contact.creation",
		"chip-110":    "purchase.created",
	}
	for _, v := range readVectors(t) {
		name, ok := want[v.Name]
		if !ok {
			continue
		}
		items, err := mustExtractor(t, mustLookup(t, v.Scheme).ExtractorConfig()).Items(v.header(), []byte(v.Body))
		if err != nil || len(items) != 1 || items[0].Type != name {
			t.Errorf("items of %s = %v, %v, want one %q", v.Name, items, err, name)
		}
	}
}
