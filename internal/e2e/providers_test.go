package e2e

import (
	"bytes"
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-playground/webhooks/v6/github"
	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
	"github.com/stripe/stripe-go/v82/webhook"
	svix "github.com/svix/svix-webhooks/go"
)

// provider is one sender, its own library on both sides: it signs what comes
// in, and where the receiver gets the sender's headers too, it verifies what
// is delivered.
type provider struct {
	name, entry, event string
	body               []byte
	sign               func(t *testing.T, body []byte) http.Header
	verify             func(d delivery) error
}

const (
	stripeSecret = "whsec_stripe_1f3870be"
	githubSecret = "It's a Secret to Everybody"
	relaySecret  = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"
)

func providers(t *testing.T) []provider {
	t.Helper()
	standard, err := standardwebhooks.NewWebhook(relaySecret)
	if err != nil {
		t.Fatal(err)
	}
	relay, err := svix.NewWebhook(relaySecret)
	if err != nil {
		t.Fatal(err)
	}
	return []provider{
		stripeProvider(),
		{
			name: "standard-webhooks", entry: source("standard", "standard-webhooks", relaySecret), event: "standard.contact.created",
			body: []byte(`{"type":"contact.created", "timestamp":"2026-11-23T08:30:00Z","data":{}}`),
			sign: func(t *testing.T, body []byte) http.Header {
				now := time.Now()
				signed, err := standard.Sign("msg_1", now, body)
				return signedBy(t, "Webhook-", "msg_1", signed, now, err)
			},
		},
		{
			name: "svix", entry: source("svix", "svix", relaySecret), event: "svix.invoice.paid",
			body: []byte(`{"type":"invoice.paid","data":{"amount": 1250}}`),
			sign: func(t *testing.T, body []byte) http.Header {
				now := time.Now()
				signed, err := relay.Sign("msg_2", now, body)
				return signedBy(t, "Svix-", "msg_2", signed, now, err)
			},
			verify: func(d delivery) error { return relay.Verify(d.body, d.header) },
		},
		githubProvider(),
		chipProvider(t),
	}
}

func signedBy(t *testing.T, prefix, id, signature string, at time.Time, err error) http.Header {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	return http.Header{
		prefix + "Id":        {id},
		prefix + "Timestamp": {fmt.Sprint(at.Unix())},
		prefix + "Signature": {signature},
	}
}

func stripeProvider() provider {
	return provider{
		name: "stripe", entry: source("stripe", "stripe", stripeSecret), event: "stripe.invoice.paid",
		body: []byte(`{"id":"evt_1042", "object":"event","type":"invoice.paid","api_version":"2025-06-30.basil","data":{"object":{}}}`),
		sign: func(_ *testing.T, body []byte) http.Header {
			signed := webhook.GenerateTestSignedPayload(&webhook.UnsignedPayload{Payload: body, Secret: stripeSecret})
			return http.Header{"Stripe-Signature": {signed.Header}}
		},
		verify: func(d delivery) error {
			e, err := webhook.ConstructEventWithOptions(d.body, d.header.Get("Stripe-Signature"), stripeSecret, webhook.ConstructEventOptions{IgnoreAPIVersionMismatch: true})
			if err == nil && e.ID != "evt_1042" {
				err = fmt.Errorf("event %s, want evt_1042", e.ID)
			}
			return err
		},
	}
}

func githubProvider() provider {
	return provider{
		name: "github", entry: source("github", "github", githubSecret), event: "github.push",
		body: []byte("{\"ref\":\"refs/heads/main\", \"after\":\"a10867b14bb761a232cd80139fbd4c0d33264240\",\n\"commits\":[]}"),
		sign: func(_ *testing.T, body []byte) http.Header {
			return http.Header{
				"Content-Type":        {"application/json"},
				"X-Github-Event":      {"push"},
				"X-Github-Delivery":   {"72d3162e-cc78-11e3-81ab-4c9367dc0958"},
				"X-Hub-Signature-256": {"sha256=" + hex.EncodeToString(hmacSHA256(githubSecret, string(body)))},
			}
		},
		verify: func(d delivery) error {
			hook, err := github.New(github.Options.Secret(githubSecret))
			if err != nil {
				return err
			}
			request, err := http.NewRequest(http.MethodPost, d.path, bytes.NewReader(d.body))
			if err != nil {
				return err
			}
			request.Header = d.header
			parsed, err := hook.Parse(request, github.PushEvent, github.PingEvent)
			if err != nil {
				return err
			}
			if push, ok := parsed.(github.PushPayload); !ok || push.Ref != "refs/heads/main" {
				return fmt.Errorf("parsed as %T, want a push to main", parsed)
			}
			if got := d.header.Get("X-GitHub-Delivery"); got != "72d3162e-cc78-11e3-81ab-4c9367dc0958" {
				return fmt.Errorf("X-GitHub-Delivery is %q", got)
			}
			return nil
		},
	}
}

// vector is a request that a provider has published.
type vector struct {
	Name      string
	PublicKey string `json:"public_key"`
	Headers   map[string]string
	Body      string
}

// chipProvider sends what CHIP itself has signed and published: nobody else
// has its key.
func chipProvider(t *testing.T) provider {
	t.Helper()
	vectors := readTestdata[[]vector](t, "vectors.json")
	const published = "chip-110"
	i := slices.IndexFunc(vectors, func(v vector) bool { return v.Name == published })
	if i < 0 {
		t.Fatalf("no vector %s", published)
	}
	v := vectors[i]
	signature := v.Headers["X-Signature"]
	return provider{
		name: "chip", entry: fmt.Sprintf("{name: chip, preset: chip-collect, public_keys: [%q]}", v.PublicKey), event: "chip.purchase.created",
		body: []byte(v.Body),
		sign: func(*testing.T, []byte) http.Header { return http.Header{"X-Signature": {signature}} },
		verify: func(d delivery) error {
			block, _ := pem.Decode([]byte(v.PublicKey))
			if block == nil {
				return fmt.Errorf("%q is no PEM", v.PublicKey)
			}
			key, err := x509.ParsePKIXPublicKey(block.Bytes)
			if err != nil {
				return err
			}
			raw, err := base64.StdEncoding.DecodeString(d.header.Get("X-Signature"))
			if err != nil {
				return err
			}
			digest := sha256.Sum256(d.body)
			return rsa.VerifyPKCS1v15(key.(*rsa.PublicKey), crypto.SHA256, digest[:], raw)
		},
	}
}

func TestWhatAProvidersOwnLibrarySignsComesThroughUnchanged(t *testing.T) {
	t.Parallel()
	all := providers(t)
	var entries []string
	for _, p := range all {
		entries = append(entries, p.entry)
	}
	r := newReceiver(t, nil)
	b := start(t, embeddedIn(t.TempDir()), sources(entries...), endpoints(endpoint("all", r)))
	receiving, err := standardwebhooks.NewWebhook(endpointSecret)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range all {
		t.Run(p.name, func(t *testing.T) {
			name, kind, _ := strings.Cut(p.event, ".")
			header := p.sign(t, p.body)
			tampered := append(bytes.Clone(p.body), ' ')
			b.post(name, header, tampered).refused(t, http.StatusUnauthorized, "signature_mismatch")
			id := b.post(name, header, p.body).accepted(t).ID

			d := r.next()
			if !bytes.Equal(d.body, p.body) {
				t.Errorf("sent %q, delivered %q", p.body, d.body)
			}
			for name, want := range map[string]string{
				"webhook-id": id, "ce-id": id, "ce-type": kind, "ce-source": "/prod/" + name,
			} {
				if got := d.header.Get(name); got != want {
					t.Errorf("%s is %q, want %q", name, got, want)
				}
			}
			if err := receiving.Verify(d.body, d.header); err != nil {
				t.Errorf("the delivery's own signature: %v", err)
			}
			if p.verify != nil {
				if err := p.verify(d); err != nil {
					t.Errorf("the provider's library on the delivery: %v", err)
				}
			}
		})
	}
}
