package deploy_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/jethook/jethook/config"
	"github.com/jethook/jethook/internal/app"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestTheReplicasConfigurationIsValidWithTheSecretsThatAreMade(t *testing.T) {
	c := loadConfig(t, makeSecrets(t))
	if err := app.Check(c); err != nil {
		t.Fatal(err)
	}
	if c.NATS.UseEmbedded() {
		t.Error("the replicas share no store: jethook.yaml uses the embedded server")
	}
	if got := c.NATS.Stream.Replicas; got != 3 {
		t.Errorf("nats.stream.replicas is %d, want 3, one for each server of compose.yaml", got)
	}
}

func TestSecretsThatExistAreKept(t *testing.T) {
	dir := makeSecrets(t)
	before := readFile(t, filepath.Join(dir, "nats.conf"))
	if err := os.Remove(filepath.Join(dir, "clink_secret")); err != nil {
		t.Fatal(err)
	}
	runSecrets(t, dir)
	if after := readFile(t, filepath.Join(dir, "nats.conf")); after != before {
		t.Error("a second run replaced nats.conf")
	}
	if readFile(t, filepath.Join(dir, "clink_secret")) == "" {
		t.Error("a second run did not make clink_secret, which was missing")
	}
}

func TestOnlyTheOwnerEntersTheDirectoryOfSecrets(t *testing.T) {
	info, err := os.Stat(makeSecrets(t))
	if err != nil {
		t.Fatal(err)
	}
	if got := info.Mode().Perm(); got != 0o700 {
		t.Errorf("the directory has mode %o, want 700", got)
	}
}

// makeSecrets runs secrets.sh and returns the directory it filled.
func makeSecrets(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "secrets")
	runSecrets(t, dir)
	return dir
}

func runSecrets(t *testing.T, dir string) {
	t.Helper()
	if out, err := exec.Command("sh", "secrets.sh", dir).CombinedOutput(); err != nil {
		t.Fatalf("secrets.sh: %v\n%s", err, out)
	}
}

// loadConfig loads jethook.yaml as a container does whose /run/secrets is the
// given directory.
func loadConfig(t *testing.T, secrets string) *config.Config {
	t.Helper()
	path := filepath.Join(t.TempDir(), "jethook.yaml")
	writeFile(t, path, strings.ReplaceAll(readFile(t, "jethook.yaml"), "/run/secrets", secrets))
	c, err := config.Load([]string{path})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func readFile(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func writeFile(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
