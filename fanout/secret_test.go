package fanout

import (
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/jethook/jethook/deliver"
	"github.com/jethook/jethook/internal/bus"
	"github.com/jethook/jethook/internal/signature"
	"github.com/jethook/jethook/internal/vault"
)

// keyless is an endpoint whose secret is generated.
func keyless(t *testing.T, name string, style deliver.Style) Endpoint {
	t.Helper()
	e := endpoint(t, name, "http://127.0.0.1:1", ">")
	e.Signature, e.Keys = style, nil
	return e
}

// checkSigns fails the test if the replica would sign the endpoint's events
// with another secret.
func (r *replica) checkSigns(t *testing.T, name, secret string) {
	t.Helper()
	e := r.wanted[ref{"prod", name}]
	scheme, err := e.Signature.Scheme()
	if err != nil {
		t.Fatal(err)
	}
	key, err := signature.ParseSigningKey(scheme.Algorithm, scheme.KeyEncoding, secret)
	if err != nil {
		t.Fatalf("the secret shown for %s: %v", name, err)
	}
	signer, err := signature.NewSigner(scheme, e.Keys)
	if err != nil {
		t.Fatal(err)
	}
	verifier, err := signature.NewVerifier(scheme, []signature.Key{key})
	if err != nil {
		t.Fatal(err)
	}
	request := signature.Request{Method: "POST", Header: http.Header{"Webhook-Id": {"evt_1"}}, Body: []byte("{}")}
	header, err := signer.Sign(request, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	for name, values := range header {
		request.Header[http.CanonicalHeaderKey(name)] = values
	}
	if err := verifier.Verify(request, time.Now()); err != nil {
		t.Errorf("endpoint %s does not sign with the secret that was shown: %v", name, err)
	}
}

func TestAGeneratedSecretIsShownOnceAndSurvivesARestart(t *testing.T) {
	for _, style := range []deliver.Style{deliver.StyleStandard, deliver.StyleClink, deliver.StyleCHIP} {
		t.Run(string(style), func(t *testing.T) {
			b := openBus(t, t.TempDir())
			file := filepath.Join(t.TempDir(), "keyset.json")
			withFile := func(c *Config) { c.Vault = vault.New(vault.Config{Bus: b, File: file}) }
			before := newReplica(t, b, withFile)
			before.apply(t, []Endpoint{keyless(t, "billing", style)})
			before.apply(t, []Endpoint{keyless(t, "billing", style)})
			shown := before.secrets()
			if len(shown) != 1 {
				t.Fatalf("secrets shown: got %d, want 1", len(shown))
			}
			before.checkSigns(t, "billing", shown[0])

			after := newReplica(t, b, withFile)
			after.apply(t, []Endpoint{keyless(t, "billing", style)})
			after.checkSigns(t, "billing", shown[0])
			if again := after.secrets(); len(again) != 0 {
				t.Errorf("secrets shown after the restart: got %d, want none", len(again))
			}
			public := strings.Contains(after.logs.String(), "PUBLIC KEY")
			if want := style == deliver.StyleCHIP; public != want {
				t.Errorf("public key logged: got %v, want %v", public, want)
			}
		})
	}
}

func TestSecretsAreStoredEncrypted(t *testing.T) {
	b := openBus(t, t.TempDir())
	r := newReplica(t, b, func(c *Config) { c.Vault = vault.New(vault.Config{Bus: b, File: t.TempDir() + "/keyset.json"}) })
	r.apply(t, []Endpoint{keyless(t, "billing", deliver.StyleStandard)})
	bucket, err := b.JetStream().KeyValue(t.Context(), bus.Secrets)
	if err != nil {
		t.Fatal(err)
	}
	entry, err := bucket.Get(t.Context(), "prod.billing.hmac-sha256")
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(entry.Value()), strings.TrimPrefix(r.secrets()[0], "whsec_")) {
		t.Error("the bucket holds the secret in cleartext")
	}
}

func TestASecretCopiedToAnotherEndpointIsRefused(t *testing.T) {
	b := openBus(t, t.TempDir())
	file := t.TempDir() + "/keyset.json"
	r := newReplica(t, b, func(c *Config) { c.Vault = vault.New(vault.Config{Bus: b, File: file}) })
	r.apply(t, []Endpoint{keyless(t, "billing", deliver.StyleStandard)})
	bucket, err := b.JetStream().KeyValue(t.Context(), bus.Secrets)
	if err != nil {
		t.Fatal(err)
	}
	entry, err := bucket.Get(t.Context(), "prod.billing.hmac-sha256")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := bucket.Put(t.Context(), "prod.other.hmac-sha256", entry.Value()); err != nil {
		t.Fatal(err)
	}
	if err := r.Apply(t.Context(), []Endpoint{keyless(t, "other", deliver.StyleStandard)}, nil); !errors.Is(err, vault.ErrKeyset) {
		t.Errorf("got error %v, want %v", err, vault.ErrKeyset)
	}
}

func TestReplicasAgreeOnAGeneratedSecret(t *testing.T) {
	b := openBus(t, t.TempDir())
	text, err := vault.GenerateKeyset()
	if err != nil {
		t.Fatal(err)
	}
	var replicas []*replica
	var group sync.WaitGroup
	for range 4 {
		r := newReplica(t, b, func(c *Config) { c.Vault = vault.New(vault.Config{Bus: b, Keyset: text}) })
		replicas = append(replicas, r)
		group.Go(func() {
			if err := r.Apply(t.Context(), []Endpoint{keyless(t, "billing", deliver.StyleStandard)}, nil); err != nil {
				t.Errorf("apply: %v", err)
			}
		})
	}
	group.Wait()
	var shown []string
	for _, r := range replicas {
		shown = append(shown, r.secrets()...)
	}
	if len(shown) != 1 {
		t.Fatalf("secrets shown by four replicas: got %d, want 1", len(shown))
	}
	for _, r := range replicas {
		r.checkSigns(t, "billing", shown[0])
	}
}

func TestAnEndpointThatChangesItsSignatureGetsASecretThatFits(t *testing.T) {
	b := openBus(t, t.TempDir())
	r := newReplica(t, b, func(c *Config) { c.Vault = vault.New(vault.Config{Bus: b, File: t.TempDir() + "/keyset.json"}) })
	for _, style := range []deliver.Style{deliver.StyleStandard, deliver.StyleCHIP, deliver.StyleClink, deliver.StyleNone} {
		r.apply(t, []Endpoint{keyless(t, "billing", style)})
	}
	if got := len(r.secrets()); got != 2 {
		t.Errorf("secrets shown: got %d, want one for each algorithm, 2", got)
	}
}

func TestAWrongKeysetIsRefusedAndNothingIsMadeAnew(t *testing.T) {
	b := openBus(t, t.TempDir())
	file := filepath.Join(t.TempDir(), "keyset.json")
	newReplica(t, b, func(c *Config) { c.Vault = vault.New(vault.Config{Bus: b, File: file}) }).apply(t, []Endpoint{keyless(t, "billing", deliver.StyleStandard)})
	bucket, err := b.JetStream().KeyValue(t.Context(), bus.Secrets)
	if err != nil {
		t.Fatal(err)
	}
	stored, err := bucket.Get(t.Context(), "prod.billing.hmac-sha256")
	if err != nil {
		t.Fatal(err)
	}
	other, err := vault.GenerateKeyset()
	if err != nil {
		t.Fatal(err)
	}
	lost := filepath.Join(t.TempDir(), "keyset.json")
	garbage := filepath.Join(t.TempDir(), "garbage.json")
	if err := os.WriteFile(garbage, []byte("{}"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name     string
		endpoint string
		change   func(*Config)
		want     string
	}{
		{"another keyset", "billing", func(c *Config) { c.Vault = vault.New(vault.Config{Bus: b, Keyset: other}) }, "encryption.keyset"},
		{"a text that is no keyset", "billing", func(c *Config) { c.Vault = vault.New(vault.Config{Bus: b, Keyset: "{}"}) }, "encryption.keyset"},
		{"a file that is no keyset", "billing", func(c *Config) { c.Vault = vault.New(vault.Config{Bus: b, File: garbage}) }, garbage},
		{"a lost file", "billing", func(c *Config) { c.Vault = vault.New(vault.Config{Bus: b, File: lost}) }, "restore"},
		{"a lost file, for another endpoint", "second", func(c *Config) { c.Vault = vault.New(vault.Config{Bus: b, File: lost}) }, lost},
		{"no keyset at all", "billing", func(*Config) {}, "encryption.keyset"},
	} {
		r := newReplica(t, b, test.change)
		err := r.Apply(t.Context(), []Endpoint{keyless(t, test.endpoint, deliver.StyleStandard)}, nil)
		if !errors.Is(err, vault.ErrKeyset) || !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), other) {
			t.Errorf("%s: got error %v, want one that wraps ErrKeyset, says %q and shows no key", test.name, err, test.want)
		}
		if _, err := os.Stat(lost); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s: a keyset was made beside secrets of another", test.name)
		}
	}
	if now, err := bucket.Get(t.Context(), "prod.billing.hmac-sha256"); err != nil || now.Revision() != stored.Revision() {
		t.Errorf("the stored secret was changed: %v", err)
	}
	if _, err := bucket.Get(t.Context(), "prod.second.hmac-sha256"); !errors.Is(err, jetstream.ErrKeyNotFound) {
		t.Errorf("secret of the refused endpoint: got error %v, want %v", err, jetstream.ErrKeyNotFound)
	}
}

func TestWithoutAKeysetAnEndpointNeedsSecretsOfItsOwn(t *testing.T) {
	b := openBus(t, t.TempDir())
	r := newReplica(t, b, nil)
	err := r.Apply(t.Context(), []Endpoint{keyless(t, "billing", deliver.StyleStandard)}, nil)
	for _, want := range []string{"encryption.keyset", "tinkey create-keyset", "prod/billing"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got error %v, want one that says %q", err, want)
		}
	}
	r.apply(t, []Endpoint{endpoint(t, "billing", "http://127.0.0.1:1", ">"), keyless(t, "open", deliver.StyleNone)})
}
