package config

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the golden files anew, for review")

// leak is what no message and no printed configuration may contain.
const leak = "tops3cret"

func setCorpusEnv(t *testing.T) {
	t.Helper()
	t.Setenv("LEAKY", leak+"\x01"+strings.ToUpper(leak))
	t.Setenv("CLINK_SECRET", leak)
	t.Setenv("NAME", "ledger")
}

func TestEveryBadFileIsRefusedWithItsMessages(t *testing.T) {
	setCorpusEnv(t)
	for _, path := range corpus(t, "bad") {
		t.Run(filepath.Base(path), func(t *testing.T) {
			c, err := Load([]string{path})
			if err == nil {
				t.Fatalf("Load(%s) = %s, want problems", path, c.Show())
			}
			text := strings.ReplaceAll(err.Error(), filepath.Dir(path)+string(filepath.Separator), "") + "\n"
			if strings.Contains(strings.ToLower(text), leak) {
				t.Errorf("Load(%s): a message holds a secret:\n%s", path, text)
			}
			compareGolden(t, path, text)
		})
	}
}

func TestEveryGoodFileIsShownAsItIsInForce(t *testing.T) {
	setCorpusEnv(t)
	for _, path := range corpus(t, "good") {
		t.Run(filepath.Base(path), func(t *testing.T) {
			c, err := Load([]string{path})
			if err != nil {
				t.Fatalf("Load(%s): %v", path, err)
			}
			shown := string(c.Show())
			if strings.Contains(shown, leak) {
				t.Errorf("Show() holds a secret:\n%s", shown)
			}
			compareGolden(t, path, shown)
			wantSameWhenLoadedAgain(t, c)
		})
	}
}

func corpus(t *testing.T, kind string) []string {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join("testdata", kind, "*.yaml"))
	if err != nil || len(paths) == 0 {
		t.Fatalf("no files in testdata/%s: %v", kind, err)
	}
	return paths
}

func compareGolden(t *testing.T, path, got string) {
	t.Helper()
	golden := strings.TrimSuffix(path, ".yaml") + ".golden"
	if *update {
		if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatalf("%v (run the test with -update and review the file)", err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s differs (-want +got):\n%s", golden, diff)
	}
}

// wantSameWhenLoadedAgain loads what is shown, with its masks replaced.
func wantSameWhenLoadedAgain(t *testing.T, c *Config) {
	t.Helper()
	shown := string(c.Show())
	masked := strings.NewReplacer(
		"creds: '***'", "creds: '-----BEGIN NATS USER JWT-----'", "key: '***'", "key: '-----BEGIN x'",
		"keyset: '***'", "keyset: '{}'", "'***'", "sk_prod_x",
	).Replace(shown)
	path := filepath.Join(t.TempDir(), "shown.yaml")
	if err := os.WriteFile(path, []byte(masked), 0o600); err != nil {
		t.Fatal(err)
	}
	again, err := Load([]string{path})
	if err != nil {
		t.Fatalf("loading what is shown: %v\n%s", err, masked)
	}
	if diff := cmp.Diff(shown, string(again.Show())); diff != "" {
		t.Errorf("loading what is shown gives something else (-want +got):\n%s", diff)
	}
}
