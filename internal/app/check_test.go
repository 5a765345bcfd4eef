package app_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jethook/jethook/config"
	"github.com/jethook/jethook/internal/app"
	"github.com/jethook/jethook/internal/signature"
)

// load reads a configuration from text.
func load(t *testing.T, text string) *config.Config {
	t.Helper()
	file := filepath.Join(t.TempDir(), "jethook.yaml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := config.Load([]string{file})
	if err != nil {
		t.Fatalf("load:\n%s\n%v", text, err)
	}
	return c
}

func TestWhatTheFileCannotSeeIsCheckedAtItsPlace(t *testing.T) {
	for name, c := range map[string]struct{ text, line, want string }{
		"an unknown preset": {`
sources:
  - name: shop
    preset: strip
    secrets: [x]`, ":4:", `did you mean "stripe"`},
		"no secret for an HMAC": {`
sources:
  - name: hooks
    preset: stripe
    public_keys: [x]`, ":5:", "secrets"},
		"no public key for RSA": {`
sources:
  - name: chip
    preset: chip-collect
    secrets: [x]`, ":5:", "public_keys"},
		"a key that does not fit": {`
sources:
  - name: chip
    preset: chip-collect
    public_keys: [not-a-key]`, ":5:", "key 1"},
		"a sender that does not publish how it signs": {`
sources:
  - name: diddo
    preset: diddo
    secrets: [x]`, ":3:", "write a verify block"},
		"a preset that knows no event": {`
sources:
  - name: hub
    preset: hub-sha512
    secrets: [x]`, ":3:", "write event"},
		"a scheme with a hole": {`
sources:
  - name: shop
    verify: {algorithm: hmac-sha256}
    secrets: [x]`, ":4:", "signature"},
		"an event source nobody knows": {`
sources:
  - name: shop
    preset: stripe
    event: ["yaml:type"]
    secrets: [x]`, ":5:", "yaml"},
		"a filter that does not compile": {`
deliver: {allow_networks: [127.0.0.0/8]}
endpoints:
  - name: billing
    url: http://127.0.0.1/
    all_events: true
    filter: "amount >"`, ":7:", "filter"},
		"an address written so that only resolvers read it": {`
endpoints:
  - name: billing
    url: http://127.1/
    all_events: true`, ":4:", "127.1"},
		"a secret that is no key": {`
endpoints:
  - name: billing
    url: https://example.com/
    all_events: true
    secrets: [whsec_%%%]`, ":6:", "secret 1"},
	} {
		t.Run(name, func(t *testing.T) {
			err := app.Check(load(t, "version: 1"+c.text))
			var problems *config.Problems
			if !errors.As(err, &problems) || len(problems.List) != 1 {
				t.Fatalf("error %v, want one problem", err)
			}
			if text := err.Error(); !strings.Contains(text, "jethook.yaml"+c.line) || !strings.Contains(text, c.want) {
				t.Errorf("problem %q, want line %s and %q", text, c.line, c.want)
			}
		})
	}
}

func TestEveryProblemIsReportedAtOnce(t *testing.T) {
	for name, test := range map[string]struct {
		text string
		want []string
	}{
		"of several sources": {`
sources:
  - {name: a, preset: nope, secrets: [x]}
  - {name: b, preset: diddo, secrets: [x]}
`, []string{"3:23: sources[a].preset", "4:5: sources[b].verify"}},
		"of one source": {`
sources:
  - name: a
    preset: chip-collect
    rate: fast
    event: ["yaml:type"]
    delivery_id: ["yaml:id"]
    public_keys: [x]
`, []string{"5:11: sources[a].rate", "6:12: sources[a].event", "7:18: sources[a].delivery_id", "8:18: sources[a].public_keys"}},
		"of one endpoint": {`
endpoints:
  - name: a
    url: https://127.1/
    events: ["gh.>"]
    timeout: 15
    filter: data..x
    secrets: [whsec_%%%]
    retry: {initial: 5x, jitter: 1}
`, []string{"4:10: endpoints[a].url", "6:14: endpoints[a].timeout", "7:13: endpoints[a].filter", "8:14: endpoints[a].secrets", "9:22: endpoints[a].retry.initial", "9:34: endpoints[a].retry.jitter"}},
		"of an entry whose name is taken": {`
endpoints:
  - {name: a, url: "https://example.com/", events: ["gh.>"], filter: "x >"}
  - {name: a, url: "https://example.com/", events: ["gh.>"], timeout: 15, filter: "x >"}
`, []string{"3:70: endpoints[a].filter", "4:12: endpoints[1].name", "4:71: endpoints[1].timeout", "4:83: endpoints[1].filter"}},
		"and not what follows from them": {`
sources:
  - {name: a, preset: chip-collect, secrets: [x], verify: {algorithm: hmac}}
  - {name: b, preset: "no word", secrets: [x]}
endpoints:
  - {name: c, url: "https://example.com/", events: ["gh.>"], signature: chop, secrets: [x]}
  - {name: d, url: "http://10.0.0.7/", events: ["gh.>"]}
deliver: {allow_networks: [10.0.0.7/8]}
`, []string{"3:71: sources[a].verify.algorithm", "4:23: sources[b].preset", "6:73: endpoints[c].signature", "8:28: deliver.allow_networks[0]"}},
	} {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "jethook.yaml")
			if err := os.WriteFile(file, []byte("version: 1"+test.text), 0o600); err != nil {
				t.Fatal(err)
			}
			_, err := config.Load([]string{file}, app.Check)
			var got []string
			if problems := (*config.Problems)(nil); errors.As(err, &problems) {
				for _, p := range problems.List {
					got = append(got, fmt.Sprintf("%d:%d: %s", p.Line, p.Column, p.Key))
				}
			}
			if !slices.Equal(got, test.want) {
				t.Errorf("load:%s\n got %q\nwant %q\n%v", test.text, got, test.want, err)
			}
		})
	}
}

func source(t *testing.T, text string) config.Source {
	t.Helper()
	return load(t, "version: 1\nsources:\n  - name: shop\n    secrets: [x]\n"+text).Sources[0]
}

func TestAVerifyBlockOverridesSingleKnobsOfAPreset(t *testing.T) {
	preset, err := app.Resolve(source(t, "    preset: stripe\n"))
	if err != nil {
		t.Fatal(err)
	}
	want := *preset.Scheme
	if want.Timestamp.Tolerance != 5*time.Minute {
		t.Errorf("tolerance %s, want 5m: an unchecked time is never a default", want.Timestamp.Tolerance)
	}
	for name, c := range map[string]struct {
		text   string
		change func(*signature.Scheme)
	}{
		"the time is not checked": {"timestamp: {tolerance: 0}", func(s *signature.Scheme) { s.Timestamp.Tolerance = 0 }},
		"another header":          {"signature: {header: X-Other}", func(s *signature.Scheme) { s.Signature.Header = "X-Other" }},
		"another algorithm":       {"algorithm: hmac-sha512", func(s *signature.Scheme) { s.Algorithm = signature.HMACSHA512 }},
		"another place of the time": {"timestamp: {header: X-Time, unit: ms}", func(s *signature.Scheme) {
			s.Timestamp.Header, s.Timestamp.Field, s.Timestamp.Unit = "X-Time", "", signature.Milliseconds
		}},
	} {
		t.Run(name, func(t *testing.T) {
			preset, err := app.Resolve(source(t, "    preset: stripe\n    verify: {"+c.text+"}\n"))
			if err != nil {
				t.Fatal(err)
			}
			want := want
			c.change(&want)
			if *preset.Scheme != want {
				t.Errorf("scheme %+v, want %+v", *preset.Scheme, want)
			}
		})
	}
}

func TestAUnitOverridesHowAPresetReadsAndWritesTimes(t *testing.T) {
	preset, err := app.Resolve(source(t, "    preset: clink\n    verify: {timestamp: {unit: s}}\n"))
	if err != nil {
		t.Fatal(err)
	}
	if got := preset.Scheme.Timestamp.Written(); got != signature.Seconds {
		t.Errorf("times are written in %q, want %q", got, signature.Seconds)
	}
	if err := preset.Scheme.Validate(); err != nil {
		t.Error(err)
	}
}

func TestASchemeWrittenOutHasACheckedTime(t *testing.T) {
	preset, err := app.Resolve(source(t, `    verify:
      algorithm: hmac-sha256
      signature: {header: X-Shop-Signature, encoding: hex, prefix: "sha256="}
      timestamp: {header: X-Shop-Timestamp}
      signed: "{timestamp}.{body}"
`))
	if err != nil {
		t.Fatal(err)
	}
	if got := preset.Scheme.Timestamp.Tolerance; got != 5*time.Minute {
		t.Errorf("tolerance %s, want 5m", got)
	}
}

func TestAnOperatorsEventListLiftsTheCatalogue(t *testing.T) {
	bound, err := app.Resolve(source(t, "    preset: github\n"))
	if err != nil {
		t.Fatal(err)
	}
	free, err := app.Resolve(source(t, "    preset: github\n    event: [\"header:X-GitHub-Event\"]\n"))
	if err != nil {
		t.Fatal(err)
	}
	if len(bound.ExtractorConfig().Catalogue) == 0 || len(free.ExtractorConfig().Catalogue) != 0 {
		t.Errorf("%d names bound the preset's events and %d the operator's, want some and none",
			len(bound.ExtractorConfig().Catalogue), len(free.ExtractorConfig().Catalogue))
	}
}
