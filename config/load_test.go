package config

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// write puts files into a directory of their own and returns their paths in the
// order given: name, content, name, content …
func write(t *testing.T, files ...string) []string {
	t.Helper()
	dir := t.TempDir()
	var paths []string
	for i := 0; i < len(files); i += 2 {
		path := filepath.Join(dir, files[i])
		if err := os.WriteFile(path, []byte(files[i+1]), 0o600); err != nil {
			t.Fatal(err)
		}
		paths = append(paths, path)
	}
	return paths
}

func mustLoad(t *testing.T, paths ...string) *Config {
	t.Helper()
	c, err := Load(paths)
	if err != nil {
		t.Fatalf("Load(%q): %v", paths, err)
	}
	return c
}

// wantProblem loads one file that has to be refused with a message.
func wantProblem(t *testing.T, text, message string) {
	t.Helper()
	_, err := Load(write(t, "bad.yaml", text))
	if err == nil || !strings.Contains(err.Error(), message) {
		t.Errorf("Load(%.200q)\n got %v\nwant a problem with %q", text, err, message)
	}
}

func TestWithoutFilesEverythingIsDefault(t *testing.T) {
	c := mustLoad(t)
	if got, want := c.NATS.Stream, (Stream{Replicas: 1, MaxAge: 30 * 24 * time.Hour, MaxBytes: 20 << 30, DedupeWindow: 10 * time.Minute}); got != want {
		t.Errorf("stream = %+v, want %+v", got, want)
	}
	if got, want := c.Roles, []Role{RoleIngest, RoleDeliver, RoleAdmin}; !cmp.Equal(got, want) {
		t.Errorf("roles = %v, want %v", got, want)
	}
	if !c.NATS.UseEmbedded() || len(c.Sources) != 0 || !c.Encryption.Keyset.Empty() {
		t.Errorf("got %s, want the embedded server, no sources and no keyset", c.Show())
	}
}

func TestTheShippedExampleShowsEveryKey(t *testing.T) {
	example, err := os.ReadFile("jethook.example.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for _, keys := range keyTable {
		for _, k := range keys {
			if !regexp.MustCompile(`\b` + k.name + `:`).Match(example) {
				t.Errorf("%s is not shown: %s", k.name, k.doc)
			}
		}
	}
}

func TestFurtherChecksReportBesideLoadsOwn(t *testing.T) {
	const text = "sources:\n  - {name: a, preset: x, secrets: [a], rate: fast}\n  - {name: b, preset: x, secrets: [b]}\n"
	check := func(c *Config) error {
		var problems Problems
		for _, s := range c.Sources {
			problems.Add(s.Pos, "does not\nfit") // as a compiler shows where
		}
		return problems.Err(nil)
	}
	paths := write(t, "bad.yaml", text)
	c, err := Load(paths, check, func(*Config) error { return errors.New("anything else") })
	got := strings.ReplaceAll(fmt.Sprint(err), paths[0], "bad.yaml")
	want := `anything else
bad.yaml:2:46: sources[a].rate: "fast" is not a rate such as 500/s, 100/m or 10/h, or none
bad.yaml:3:5: sources[b]: does not fit`
	if c != nil || got != want {
		t.Errorf("Load(%q)\n got %v, %s\nwant %s", text, c, got, want)
	}
}

func TestTheShippedExampleLoads(t *testing.T) {
	example, err := os.ReadFile("jethook.example.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"CLINK_SECRET", "STRIPE_TEST_SECRET", "SHOP_SECRET", "BILLING_SECRET", "BILLING_TOKEN"} {
		t.Setenv(name, leak)
	}
	paths := write(t, "jethook-keyset.json", `{"key":[]}`, "chip.pem", "-----BEGIN PUBLIC KEY-----\n", "jethook.yaml", "")
	here := strings.NewReplacer("file:/run/secrets/", "file:", "file:/etc/jethook/", "file:").Replace(string(example))
	if err := os.WriteFile(paths[2], []byte(here), 0o600); err != nil {
		t.Fatal(err)
	}
	c := mustLoad(t, paths[2])
	clink, billing := c.Sources[0], c.Endpoints[0]
	if len(clink.Secrets) != 1 || clink.Secrets[0].Reveal() != leak {
		t.Errorf("clink has %d secrets, want one: the old one is not set and so left out", len(clink.Secrets))
	}
	want := Retry{Attempts: 10, Initial: 10 * time.Second, Multiplier: 3, MaxInterval: 12 * time.Hour, MaxElapsed: 24 * time.Hour, Jitter: 0.2}
	if billing.Retry != want || billing.Rate != 200 || billing.Headers["X-Team"].Reveal() != "payments" {
		t.Errorf("billing = %+v, want retry %+v, rate 200/s and the header X-Team: payments", billing, want)
	}
	if len(c.Admin.Keys) != 0 {
		t.Errorf("admin has %d keys, want none: the variable is not set", len(c.Admin.Keys))
	}
	wantSameWhenLoadedAgain(t, c)
}

func TestALaterFileWinsKeyByKey(t *testing.T) {
	c := mustLoad(t, write(t,
		"base.yaml", `
listen: {ingest: ":1", admin: ":2"}
deliver: {allow_networks: [10.0.0.0/8, 127.0.0.0/8]}
encryption: {keyset: "${file:absent.json}"}
sources:
  - {name: shop, verify: {algorithm: hmac-sha256, signed: "{body}"}, secrets: ["${env:ABSENT_HERE}", b], rate: 10/s}
endpoints:
  - {name: billing, url: "https://a.example.com/", all_events: true, headers: {X-A: a, X-B: b}}
`,
		"site.yaml", `
listen: {admin: ":3"}
log:
deliver: {allow_networks: [192.168.0.0/16]}
encryption: {keyset: "{}"}
sources:
  - {name: till, verify: {algorithm: none}}
  - {name: shop, secrets: [c], verify: {key_encoding: hex}}
endpoints:
  - {name: billing, headers: {X-B: c}, timeout: 1s}
`)...)
	if got := []string{c.Listen.Ingest, c.Listen.Admin, c.Listen.Ops}; !cmp.Equal(got, []string{":1", ":3", "127.0.0.1:9090"}) {
		t.Errorf("listen = %q, want the base's, the site's and the default", got)
	}
	if got := c.Deliver.AllowNetworks; len(got) != 1 || got[0].String() != "192.168.0.0/16" {
		t.Errorf("allow_networks = %v, want the site's list alone", got)
	}
	shop := c.Sources[0]
	if len(c.Sources) != 2 || shop.Name != "shop" || shop.Rate != 10 || *shop.Verify.KeyEncoding != "hex" || *shop.Verify.Signed != "{body}" {
		t.Errorf("sources = %+v, want shop with both files' keys, then till", c.Sources)
	}
	if len(shop.Secrets) != 1 || shop.Secrets[0].Reveal() != "c" {
		t.Errorf("shop has %d secrets, want the site's alone; the base's variable is not needed then", len(shop.Secrets))
	}
	billing := c.Endpoints[0]
	if billing.URL != "https://a.example.com/" || billing.Timeout != time.Second || billing.Headers["X-A"].Reveal() != "a" || billing.Headers["X-B"].Reveal() != "c" {
		t.Errorf("billing = %+v, want both files' keys", billing)
	}
}

func TestProblemsNameTheFileTheyAreIn(t *testing.T) {
	paths := write(t,
		"z.yaml", "sources:\n  - {name: shop, colour: red, verify: {algorithm: nine}}\n  - {name: jethook, verify: {algorithm: none}}\n",
		"a.yaml", "colour: red\nsources:\n  - name: shop\n    colour: blue\n    verify: {algorithm: none}\n    rate: quick\n")
	_, err := Load(append(paths, filepath.Join(filepath.Dir(paths[0]), "absent.yaml")))
	problems, ok := errors.AsType[*Problems](err)
	if !ok {
		t.Fatalf("Load: %v, want *Problems", err)
	}
	var got []string
	for _, p := range problems.List {
		p.File = filepath.Base(p.File)
		got = append(got, p.String())
	}
	want := []string{
		`z.yaml:2:18: sources[shop].colour: unknown key; `,
		`z.yaml:3:12: sources[jethook].name: jethook is the source of events`,
		`a.yaml:1:1: colour: unknown key; `,
		`a.yaml:4:5: sources[shop].colour: unknown key; `,
		`a.yaml:6:11: sources[shop].rate: "quick" is not a rate`,
		`absent.yaml: cannot be read: no such file`,
	}
	if len(got) != len(want) {
		t.Fatalf("got %d problems, want %d:\n%s", len(got), len(want), strings.Join(got, "\n"))
	}
	for i := range want {
		if !strings.HasPrefix(got[i], want[i]) {
			t.Errorf("problem %d\n got %s\nwant %s…", i, got[i], want[i])
		}
	}
}

func TestAFileOverFourMebibytesIsRefused(t *testing.T) {
	wantProblem(t, "#"+strings.Repeat("x", 4<<20), "cannot be read: it is larger than 4MiB")
	if c := mustLoad(t, write(t, "big.yaml", "#"+strings.Repeat("x", 4<<20-1))...); c == nil {
		t.Error("a file of 4 MiB is refused")
	}
}

func TestAliasesCannotGrowAFileWithoutEnd(t *testing.T) {
	begin := time.Now()
	var laughs strings.Builder
	laughs.WriteString("a: &a0 [x, x, x, x, x, x, x, x, x, x]\n")
	for i := range 25 {
		name := "a" + string(rune('a'+i))
		before := "a0"
		if i > 0 {
			before = "a" + string(rune('a'+i-1))
		}
		laughs.WriteString(name + ": &" + name + " [" + strings.Repeat("*"+before+", ", 9) + "*" + before + "]\n")
	}
	wantProblem(t, laughs.String(), "aliases expand to more than 100000 values")
	if took := time.Since(begin); took > 10*time.Second {
		t.Errorf("it took %v", took)
	}
}

func TestPositionFindsTheNearestKeyThatIsWritten(t *testing.T) {
	c := mustLoad(t, write(t, "a.yaml", "nats:\n  stream:\n    max_age: 1d\nsources:\n  - name: shop\n    verify: {algorithm: none}\n")...)
	for path, want := range map[string][2]int{
		"nats.stream.max_age":            {3, 14},
		"nats.stream.replicas":           {3, 5},
		"nats.url":                       {2, 3},
		"sources[shop].verify.algorithm": {6, 25},
		c.Sources[0].Pos.Key + ".preset": {5, 5},
		"sources[shop].secrets[3]":       {5, 5},
		"log.level":                      {1, 1},
	} {
		got := c.Position(path)
		if got.Line != want[0] || got.Column != want[1] || got.Key != path {
			t.Errorf("Position(%q) = %v %q, want line %d, column %d", path, got, got.Key, want[0], want[1])
		}
	}
	if got := mustLoad(t).Position("log.level"); got != (Position{Key: "log.level"}) {
		t.Errorf("Position without files = %+v, want no line", got)
	}
}
