package config

import (
	"os"
	"testing"

	"pgregory.net/rapid"
)

func TestAnyTextIsShownSoThatItLoadsAgain(t *testing.T) {
	paths := write(t, "text", "", "a.yaml", `
sources:
  - {name: shop, verify: {algorithm: none, signed: "${file:text}", signature: {prefix: "${file:text}"}}}
endpoints:
  - {name: billing, url: "https://billing.example.com/", all_events: true, description: "${file:text}"}
`, "shown.yaml", "")
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.OneOf(
			rapid.String(),
			rapid.StringMatching(`[ \t\n\r:#'"\\|>*&!%@{}$\[\]~a-z0-9.-]{0,20}`),
			rapid.SampledFrom([]string{"null", "~", "true", "0x1f", "1_000", ".inf", "2026-01-31", "<<", "=", "${env:A}", "$${", "\u0085", "\ufeff", "\u2028"}),
		).Draw(t, "text")
		rewriteRapid(t, paths[0], text)
		c, err := Load(paths[1:2])
		if err != nil {
			t.Fatalf("Load with the text %q: %v", text, err)
		}
		shown := c.Show()
		rewriteRapid(t, paths[2], string(shown))
		again, err := Load(paths[2:3])
		if err != nil {
			t.Fatalf("loading what is shown of %q: %v\n%s", text, err, shown)
		}
		for what, pair := range map[string][2]string{
			"description": {c.Endpoints[0].Description, again.Endpoints[0].Description},
			"signed":      {*c.Sources[0].Verify.Signed, *again.Sources[0].Verify.Signed},
			"prefix":      {*c.Sources[0].Verify.Signature.Prefix, *again.Sources[0].Verify.Signature.Prefix},
		} {
			if pair[0] != pair[1] {
				t.Fatalf("%s: got %q, want %q, shown as\n%s", what, pair[1], pair[0], shown)
			}
		}
	})
}

func rewriteRapid(t *rapid.T, path, text string) {
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
