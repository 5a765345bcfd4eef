package e2e

import (
	"bytes"
	"encoding/base64"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/jethook/jethook/api"
)

func TestNothingSecretThatWasMadeOverTheAPIIsInTheClearAnywhere(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	to := newReceiver(t, func(_ http.ResponseWriter, d delivery) int {
		if d.header.Get("jethook-attempt") == "1" {
			return http.StatusInternalServerError
		}
		return http.StatusOK
	})
	b := startManaged(t, embeddedIn(dir), sources(desk), adminKeys)
	client := b.manager(prodKey)
	secrets := map[string]string{"header": "header-b1c2d3e4", "bearer": "bearer-c2d3e4f5", "source": "source-d3e4f5a6", "query": "query-e4f5a6b7", "given": "whsec_" + base64.StdEncoding.EncodeToString([]byte("given-f5a6b7c8d9e0f1a2"))}
	made := done[api.Endpoint](t)(client.CreateEndpoint(t.Context(), api.EndpointSpec{
		Name: "billing", URL: to.server.URL + "/?token=" + secrets["query"], Events: []string{"desk.>"},
		Headers: map[string]string{"X-Token": secrets["header"]}, Auth: &api.Auth{Bearer: secrets["bearer"]}, Retry: &api.Retry{Initial: "10ms"},
	}))
	secrets["generated"] = made.Secret
	secrets["rotated"] = done[api.Endpoint](t)(client.RotateSecret(t.Context(), "billing", api.RotateSecret{})).Secret
	done[api.Endpoint](t)(client.RotateSecret(t.Context(), "billing", api.RotateSecret{Secret: secrets["given"]}))
	done[api.Source](t)(client.CreateSource(t.Context(), api.SourceSpec{Name: "stripe", Preset: "stripe", Secrets: []string{secrets["source"]}}))
	key := done[api.Key](t)(client.CreateKey(t.Context(), api.KeySpec{}))
	secrets["key"] = key.Key
	once := b.do("POST", b.url("admin", "/v1/keys"), http.Header{"Authorization": {"Bearer " + prodKey}, "Content-Type": {"application/json"}, "Idempotency-Key": {"once"}}, []byte("{}"))
	secrets["key of a kept answer"] = once.body[strings.Index(once.body, `"key":"`)+len(`"key":"`):][:len(key.Key)]
	b.hand("order.paid", "1")
	to.of(2)
	done[api.Attempt](t)(client.TestEndpoint(t.Context(), "billing"))

	shown := map[string]string{"metrics": b.get("ops", "/metrics").body}
	for _, path := range []string{"/v1/endpoints", "/v1/endpoints/billing", "/v1/sources", "/v1/keys", "/v1/events", "/v1/dead", "/v1/endpoints/nobody"} {
		shown[path] = b.do("GET", b.url("admin", path), http.Header{"Authorization": {"Bearer " + secrets["key"]}}, nil).body
	}
	if code := b.stop(syscall.SIGTERM); code != 0 {
		t.Errorf("exit code %d", code)
	}
	shown["log"], shown["stdout"] = b.log.String(), b.stdout.String()
	files := 0
	if err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || entry.Name() == "keyset.json" {
			return err
		}
		text, err := os.ReadFile(path)
		shown[path] = string(text)
		files++
		return err
	}); err != nil || files < 10 {
		t.Fatalf("%d files are in the store, error %v", files, err)
	}
	for where, text := range shown {
		for what, secret := range secrets {
			raw, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(secret, "whsec_"))
			if strings.Contains(text, secret) || err == nil && bytes.Contains([]byte(text), raw) {
				t.Errorf("%s has the secret %s in the clear", where, what)
			}
		}
	}
	if secrets["rotated"] == "" || !strings.HasPrefix(secrets["key of a kept answer"], "sk_prod_") {
		t.Fatalf("a secret is missing: %d", len(secrets))
	}
}
