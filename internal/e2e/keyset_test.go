package e2e

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"github.com/jethook/jethook/api"
	"github.com/jethook/jethook/internal/vault"
)

// rotated takes a step with a keyset's file, and adds what is secret of it to the
// material.
func rotated(t *testing.T, file, step string, material map[string]bool) {
	t.Helper()
	if got := jethook(t, "keys", "rotate-keyset", file, step); got.code != 0 || !strings.Contains(got.stderr, "next step") {
		t.Fatalf("%s: exit code %d, %s", step, got.code, got.stderr)
	} else {
		secretsOf(t, file, material)
		for secret := range material {
			if strings.Contains(got.stdout+got.stderr, secret) {
				t.Errorf("%s prints key material", step)
			}
		}
	}
}

// secretsOf are the forms that a keyset's keys could be written in.
func secretsOf(t *testing.T, file string, material map[string]bool) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var keyset struct {
		Key []struct {
			KeyData struct{ Value []byte }
		}
	}
	if err := json.Unmarshal(text, &keyset); err != nil || len(keyset.Key) == 0 {
		t.Fatalf("%d keys, error %v", len(keyset.Key), err)
	}
	for _, k := range keyset.Key {
		value := k.KeyData.Value
		raw := value[len(value)-32:] // an AES-256 key is the last field
		for _, form := range []string{base64.StdEncoding.EncodeToString(value), base64.StdEncoding.EncodeToString(raw), hex.EncodeToString(raw), string(raw)} {
			material[form] = true
		}
	}
}

// noneOf checks that what the bridge has told holds none of the secrets.
func (b *bridge) noneOf(material map[string]bool) {
	b.t.Helper()
	for where, text := range map[string]string{"the log": b.log.String(), "stdout": b.stdout.String(),
		"/metrics": b.get("ops", "/metrics").body, "/readyz": b.get("ops", "/readyz?verbose").body} {
		for secret := range material {
			if strings.Contains(text, secret) {
				b.t.Errorf("%s has key material", where)
			}
		}
	}
}

// says waits until /readyz says it of the keyset.
func (b *bridge) says(text string) {
	b.t.Helper()
	eventually(b.t, "/readyz says "+text, func() bool {
		for line := range strings.Lines(b.get("ops", "/readyz?verbose").body) {
			if strings.HasPrefix(line, "[+] keyset: ") && strings.Contains(line, text) {
				return true
			}
		}
		return false
	})
}

func TestARotationOfTheKeysetThatIsKilledInTheMiddleLosesNothing(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := filepath.Join(dir, "keyset.json")
	r := newReceiver(t, nil)
	b := startManaged(t, embeddedIn(dir), sources(desk), adminKeys, endpoints(fmt.Sprintf(`{name: generated, url: %q, all_events: true}`, r.server.URL)))
	verifier, err := standardwebhooks.NewWebhook(generatedSecret.FindString(b.waitOut("generated")))
	if err != nil {
		t.Fatal(err)
	}
	secrets := map[string]bool{}
	secretsOf(t, file, secrets)
	old, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var made []api.Key
	create := func(ctx context.Context) error {
		k, err := b.manager(prodKey).CreateKey(ctx, api.KeySpec{})
		if err == nil {
			made = append(made, k)
		}
		return err
	}
	for range 150 {
		if err := create(t.Context()); err != nil {
			t.Fatal(err)
		}
	}

	rotated(t, file, "add", secrets)
	b.says("decrypt")
	ctx, stop := context.WithCancel(t.Context())
	var creating sync.WaitGroup
	creating.Go(func() {
		for create(ctx) == nil { // until the bridge is killed
		}
	})
	rotated(t, file, "promote", secrets)
	b.waitLog("the keyset is in force") // also of the step before; killed somewhere in what follows
	b.noneOf(secrets)
	b.kill()
	stop()
	creating.Wait()
	for range 2 { // killed again as soon as it may encrypt anew
		b.run()
		b.kill()
	}
	b.run()
	b.says("older keys are not needed")
	rotated(t, file, "disable", secrets)
	b.waitLog(`"msg":"the keyset is in force"`)
	eventually(t, "one key is in force", func() bool {
		return !strings.Contains(b.get("ops", "/readyz?verbose").body, "decrypt")
	})
	b.noneOf(secrets)
	rotated(t, file, "remove", secrets)
	b.kill()
	b.run()
	for _, k := range made {
		b.asked(k.Key, "127.0.0.1").okay(t)
	}
	b.hand("order.paid", "1")
	if d := r.next(); verifier.Verify(d.body, d.header) != nil {
		t.Error("what was generated before the rotation does not sign any more")
	}
	b.noneOf(secrets)
	if code := b.stop(syscall.SIGTERM); code != 0 {
		t.Errorf("exit code %d, want 0", code)
	}

	// The old keyset reads nothing any more.
	if err := os.WriteFile(file, old, 0o600); err != nil {
		t.Fatal(err)
	}
	failed := begin(t, nil, "serve", "-c", b.file, "-c", b.overlays[0])
	<-failed.exited
	if code, text := failed.command.ProcessState.ExitCode(), failed.stderr.String(); code != 1 || !strings.Contains(text, "keyset") || !strings.Contains(text, "restore "+file) {
		t.Errorf("with the old keyset: exit code %d, %s", code, text)
	}
}

func TestReplicasRotateTheirKeysetOneAfterTheOther(t *testing.T) {
	t.Parallel()
	bus := newNATS(t)
	text, err := vault.GenerateKeyset()
	if err != nil {
		t.Fatal(err)
	}
	secrets := map[string]bool{}
	var files [2]string
	var all [2]*bridge
	for i := range all {
		files[i] = filepath.Join(t.TempDir(), "keyset.json")
		if err := os.WriteFile(files[i], []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		all[i] = newBridge(t, adminKeys, sources(desk), bus.on(), fmt.Sprintf("encryption: {keyset: %q}", "${file:"+files[i]+"}"))
		all[i].overlay("roles: [admin]\nlisten: {admin: \"127.0.0.1:0\"}\n")
		all[i].run()
	}
	secretsOf(t, files[0], secrets)
	give := func() { // what the first has to the second
		t.Helper()
		text, err := os.ReadFile(files[0])
		if err == nil {
			err = os.WriteFile(files[1], text, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	made := map[string]bool{}
	create := func(from int) {
		t.Helper()
		k := done[api.Key](t)(all[from].manager(prodKey).CreateKey(t.Context(), api.KeySpec{}))
		made[k.Key] = true
		eventually(t, "the other replica reads it", func() bool { return all[1-from].asked(k.Key, "").status == http.StatusOK })
	}
	create(0)
	rotated(t, files[0], "add", secrets)
	all[0].says("decrypt")
	give()
	all[1].says("decrypt")
	create(1)
	rotated(t, files[0], "promote", secrets)
	keys, err := vault.FileKeys(files[0])
	if err != nil {
		t.Fatal(err)
	}
	promoted := fmt.Sprintf("key %d encrypts", keys[1].ID)
	all[0].says(promoted)
	all[0].says("older keys are not needed")
	create(0) // with the new key, and the other has yet to promote it
	create(1) // with the old one
	give()
	all[1].says(promoted)
	all[1].waitLog("encrypted anew")
	all[1].says("older keys are not needed")
	rotated(t, files[0], "disable", secrets)
	eventually(t, "the first has one key", func() bool { return !strings.Contains(all[0].get("ops", "/readyz?verbose").body, "decrypt") })
	create(0)
	create(1)

	// One that was forgotten and gets the file at the end has missed nothing.
	rotated(t, files[0], "remove", secrets)
	give()
	eventually(t, "the second has one key", func() bool { return !strings.Contains(all[1].get("ops", "/readyz?verbose").body, "decrypt") })
	create(1)
	for _, b := range all {
		b.noneOf(secrets)
		b.kill()
		b.run()
		for key := range made {
			b.asked(key, "").okay(t)
		}
	}
}
