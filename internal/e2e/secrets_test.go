package e2e

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
)

var generatedSecret = regexp.MustCompile(`whsec_[A-Za-z0-9+/=]+`)

func TestNoSecretIsInAnyOutput(t *testing.T) {
	t.Parallel()
	r := newReceiver(t, nil)
	dead := httptest.NewServer(http.NotFoundHandler())
	dead.Close()
	host := strings.TrimPrefix(dead.URL, "http://")
	b := newBridge(t, embeddedIn(t.TempDir()), sources(
		shop("shop"),
		fmt.Sprintf("{name: stripe, preset: stripe, secrets: [%q, '${env:STRIPE_SECRET}']}", "whsec_inthefile_c74d97b0"),
		`{name: basic, verify: {algorithm: basic, signature: {header: Authorization}}, secrets: ["caller:basicpass_70efdf2e"]}`,
		`{name: token, verify: {algorithm: token, signature: {header: X-Token}}, secrets: ["token_6f4922f4"]}`,
	), endpoints(
		endpoint("all", r, `headers: {Authorization: "Bearer bearer_1679091c"}`),
		fmt.Sprintf(`{name: generated, url: %q, all_events: true, auth: {basic: {user: caller, password: authpass_45c48cce}}}`, r.server.URL+"/generated"),
		fmt.Sprintf(`{name: dead, url: "http://%s/?key=urlkey_c9f0f895", all_events: true, secrets: [%s], retry: {attempts: 2, initial: 1ms}, auth: {bearer: authtoken_8f14e45f}}`, host, endpointSecret),
	), `admin: {keys: ["sk_prod_admin_45c48cce2e2d7fbdea1afc51"]}`)
	b.env = []string{"STRIPE_SECRET=whsec_fromenv_d3d94468"}
	b.overlay(managed)
	b.run()
	secrets := []string{
		shopSecret, "whsec_inthefile_c74d97b0", "whsec_fromenv_d3d94468", "basicpass_70efdf2e", "token_6f4922f4", "wrongtoken_e4da3b7f",
		base64.StdEncoding.EncodeToString([]byte("caller:basicpass_70efdf2e")), "bearer_1679091c", "urlkey_c9f0f895",
		"authpass_45c48cce", base64.StdEncoding.EncodeToString([]byte("caller:authpass_45c48cce")), "authtoken_8f14e45f",
		endpointSecret, strings.TrimPrefix(endpointSecret, "whsec_"), "sk_prod_admin_45c48cce2e2d7fbdea1afc51", "misplaced_eccbc87e",
	}
	generated := generatedSecret.FindString(b.waitOut("generated"))
	if generated == "" {
		t.Fatalf("stdout shows no generated secret: %q", b.stdout)
	}

	answers := useAndMisuse(b, generated, r)
	b.configure(embeddedIn(t.TempDir()), sources(`{name: shop, preset: stripe, secret: "misplaced_eccbc87e"}`))
	b.waitLog("configuration not reloaded")
	b.waitLog(`"outcome":"dead"`)
	outputs := map[string]string{
		"an answer": answers, "the management API": manageAll(b, "sk_prod_admin_45c48cce2e2d7fbdea1afc51"), "/metrics": b.get("ops", "/metrics").body, "/readyz": b.get("ops", "/readyz?verbose").body,
	}
	if code := b.stop(syscall.SIGTERM); code != 0 {
		t.Errorf("exit code %d, want 0", code)
	}
	outputs["the log"], outputs["stdout"] = b.log.String(), b.stdout.String()
	if n := strings.Count(outputs["stdout"], generated); n != 1 {
		t.Errorf("stdout shows the generated secret %d times, want once", n)
	}
	outputs["stdout"] = strings.Replace(outputs["stdout"], generated, "", 1)
	for where, text := range outputs {
		for _, secret := range append(secrets, generated) {
			if at := strings.Index(text, secret); at >= 0 {
				t.Errorf("%s has the secret %s: …%s", where, secret, text[max(0, at-200):at+len(secret)])
			}
		}
	}
}

// waitOut is waitLog for stdout.
func (b *bridge) waitOut(text string) string {
	b.t.Helper()
	line, ok := b.stdout.wait(text, b.exited)
	if !ok {
		b.t.Fatalf("stdout never said %q:\n%s", text, b.stdout)
	}
	return line
}

// useAndMisuse sends good and bad requests to each source, and returns all
// that was answered.
func useAndMisuse(b *bridge, generated string, r *receiver) string {
	b.t.Helper()
	var answers strings.Builder
	note := func(a answer) answer { fmt.Fprintln(&answers, a.header, a.body); return a }
	now, body := time.Now(), order("a")
	basic := func(password string) http.Header {
		return http.Header{"Authorization": {"Basic " + base64.StdEncoding.EncodeToString([]byte("caller:"+password))}}
	}
	for _, good := range []struct {
		source string
		header http.Header
	}{
		{"shop", signShop(shopSecret, now, body)},
		{"stripe", signStripe("whsec_fromenv_d3d94468", now, body)},
		{"basic", basic("basicpass_70efdf2e")},
		{"token", http.Header{"X-Token": {"token_6f4922f4"}}},
	} {
		note(b.post(good.source, good.header, body)).accepted(b.t)
	}
	for source, header := range map[string]http.Header{
		"shop": signShop("wrong", now, body), "stripe": signStripe("wrong", now, body),
		"basic": basic("wrongtoken_e4da3b7f"), "token": {"X-Token": {"wrongtoken_e4da3b7f"}},
	} {
		note(b.post(source, header, body)).refused(b.t, http.StatusUnauthorized, "signature_mismatch")
	}
	verifier, err := standardwebhooks.NewWebhook(generated)
	if err != nil {
		b.t.Fatalf("the generated secret: %v", err)
	}
	for range 8 { // four events for each of two endpoints
		if d := r.next(); d.path == "/generated" {
			if err := verifier.Verify(d.body, d.header); err != nil {
				b.t.Errorf("delivery with the generated secret: %v", err)
			}
		}
	}
	return answers.String()
}

// manageAll asks the management API for all that it shows, with the key and with
// wrong ones, and returns what it answered.
func manageAll(b *bridge, key string) string {
	b.t.Helper()
	var answers strings.Builder
	for _, path := range []string{"/v1/events", "/v1/events/1", "/v1/events/1/attempts", "/v1/endpoints", "/v1/endpoints/dead", "/v1/dead", "/openapi.yaml", "/v1/" + key} {
		for _, header := range []http.Header{{"Authorization": {"Bearer " + key}}, {"X-Api-Key": {key + "x"}}, {"Authorization": {"Basic " + key}}} {
			got := b.do(http.MethodGet, b.url("admin", path), header, nil)
			fmt.Fprintln(&answers, got.header, got.body)
		}
	}
	return answers.String()
}

func TestAGeneratedSecretIsShownOnceAndStaysInForce(t *testing.T) {
	t.Parallel()
	r := newReceiver(t, nil)
	b := start(t, embeddedIn(t.TempDir()), sources(shop("shop")),
		endpoints(fmt.Sprintf(`{name: billing, url: %q, all_events: true}`, r.server.URL)))
	generated := generatedSecret.FindString(b.waitOut("billing"))
	verifier, err := standardwebhooks.NewWebhook(generated)
	if err != nil {
		t.Fatalf("the generated secret %q: %v", generated, err)
	}
	for _, id := range []string{"before", "after"} {
		b.sold(t, id)
		d := r.next()
		if err := verifier.Verify(d.body, d.header); err != nil {
			t.Errorf("%s the restart: %v", id, err)
		}
		b.stop(syscall.SIGTERM)
		if id == "after" && b.stdout.String() != "" {
			t.Errorf("stdout after a restart is %q, want nothing", b.stdout)
		}
		b.run()
	}
}
