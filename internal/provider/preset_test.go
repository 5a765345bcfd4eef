package provider

import (
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jethook/jethook/internal/signature"
)

// mustLookup returns a preset that must exist.
func mustLookup(t testing.TB, name string) Preset {
	t.Helper()
	p, err := Lookup(name)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// eachPreset runs test for every preset.
func eachPreset(t *testing.T, test func(t *testing.T, p Preset)) {
	t.Helper()
	for _, name := range Names() {
		t.Run(name, func(t *testing.T) { test(t, mustLookup(t, name)) })
	}
}

func TestEveryPresetHasAValidScheme(t *testing.T) {
	eachPreset(t, func(t *testing.T, p Preset) {
		if p.Name == "diddo" {
			return // published without one
		}
		if p.Scheme == nil {
			t.Fatalf("%s has no verify", p.Name)
		}
		if err := p.Scheme.Validate(); err != nil {
			t.Errorf("verify of %s: %v", p.Name, err)
		}
	})
}

func TestEveryPresetHasATitleAndSaysWhereItsFactsComeFrom(t *testing.T) {
	eachPreset(t, func(t *testing.T, p Preset) {
		if p.Title == "" || !strings.Contains(p.Docs, "[doc]") && !strings.Contains(p.Docs, "[seen]") {
			t.Errorf("title %q, docs %q: want a title, and docs with [doc] or [seen]", p.Title, p.Docs)
		}
	})
}

func TestAnUncheckedTimeIsNeverADefault(t *testing.T) {
	eachPreset(t, func(t *testing.T, p Preset) {
		if p.Scheme == nil || p.Scheme.Timestamp == (signature.Timestamp{}) {
			return
		}
		if got := p.Scheme.Timestamp.Tolerance; got < time.Second || got > 5*time.Minute {
			t.Errorf("tolerance of %s is %s, want up to 5m", p.Name, got)
		}
	})
}

func TestEveryPresetsExtractorCompiles(t *testing.T) {
	eachPreset(t, func(t *testing.T, p Preset) {
		_, err := NewExtractor(p.ExtractorConfig())
		if p.Name == "hub-sha512" {
			if !errors.Is(err, ErrNoEvent) {
				t.Errorf("got %v, want an error that asks for event: the preset names none", err)
			}
		} else if err != nil {
			t.Errorf("NewExtractor(%+v): %v", p.ExtractorConfig(), err)
		}
		if p.Timeout != "" {
			if _, err := time.ParseDuration(p.Timeout); err != nil {
				t.Errorf("timeout: %v", err)
			}
		}
		if p.RejectStatus != 0 && http.StatusText(p.RejectStatus) == "" {
			t.Errorf("reject_status %d is no status", p.RejectStatus)
		}
	})
}

func TestNoCredentialIsKept(t *testing.T) {
	secret := []string{"authorization", "proxy-authorization", "cookie", "token", "secret", "password", "api-key", "apikey"}
	eachPreset(t, func(t *testing.T, p Preset) {
		for _, header := range p.Headers {
			for _, word := range secret {
				if strings.Contains(strings.ToLower(header), word) {
					t.Errorf("%s keeps %s", p.Name, header)
				}
			}
			sends := p.Scheme != nil && (p.Scheme.Algorithm == signature.Token || p.Scheme.Algorithm == signature.Basic)
			if sends && strings.EqualFold(header, p.Scheme.Signature.Header) {
				t.Errorf("%s keeps %s, which is the secret itself", p.Name, header)
			}
		}
	})
}

func TestDeliveriesSetTheirOwnWebhookHeaders(t *testing.T) {
	eachPreset(t, func(t *testing.T, p Preset) {
		for _, header := range p.Headers {
			if strings.HasPrefix(strings.ToLower(header), "webhook-") {
				t.Errorf("%s keeps %s, which a delivery sets itself", p.Name, header)
			}
		}
	})
}

func TestANameTakenFromAHeaderFirstIsSaidToBeUnsigned(t *testing.T) {
	want := []string{"chip-send", "gitea", "github", "github-sha1", "gogs", "sanity", "shopify", "woocommerce"}
	var got []string
	eachPreset(t, func(t *testing.T, p Preset) {
		if p.EventUnsigned {
			got = append(got, p.Name)
			if !strings.Contains(p.Docs, "not cover") {
				t.Errorf("docs do not warn: %q", p.Docs)
			}
		}
		if len(p.Event) > 0 && strings.HasPrefix(p.Event[0], "header:") && !p.EventUnsigned {
			t.Errorf("%s is named by %s and not event_unsigned", p.Name, p.Event[0])
		}
	})
	if !slices.Equal(got, want) {
		t.Errorf("unsigned presets\n got %v\nwant %v", got, want)
	}
}

func TestNoSignatureOrTimeIsPartOfADeliveryID(t *testing.T) {
	eachPreset(t, func(t *testing.T, p Preset) {
		if p.Scheme == nil {
			return
		}
		varies := []string{p.Scheme.Signature.Header, p.Scheme.Timestamp.Header, p.Scheme.Signature.JSON, p.Scheme.Timestamp.JSON}
		for _, id := range p.DeliveryID {
			for _, part := range varies {
				if part != "" && strings.Contains(id, ":"+part) {
					t.Errorf("delivery id %q of %s changes with every retry", id, p.Name)
				}
			}
		}
	})
}

func TestCataloguesAreComplete(t *testing.T) {
	tests := map[string]struct {
		count int
		has   string
	}{
		"clink":        {44, "vic_device.binding_succeeded"},
		"chip-collect": {21, "billing_template_client.subscription_billing_cancelled"},
		"diddo":        {6, "order.submitted"},
		"chip-send":    {3, "budget_allocation_status"},
		"gogs":         {8, "release"},
		"gitea":        {30, "pull_request_review_request"},
		"github":       {75, "sub_issues"},
		"github-sha1":  {75, "ping"},
	}
	eachPreset(t, func(t *testing.T, p Preset) {
		want := tests[p.Name]
		if len(p.Catalogue) != want.count || want.has != "" && !slices.Contains(p.Catalogue, want.has) {
			t.Errorf("catalogue of %s has %d events, want %d with %q", p.Name, len(p.Catalogue), want.count, want.has)
		}
		if sorted := slices.Sorted(slices.Values(p.Catalogue)); len(slices.Compact(sorted)) != len(p.Catalogue) {
			t.Errorf("catalogue of %s has an event twice", p.Name)
		}
	})
}

func TestOnlyUnsignedNamesAreCheckedAgainstTheCatalogue(t *testing.T) {
	if got := mustLookup(t, "clink").ExtractorConfig().Catalogue; got != nil {
		t.Errorf("clink checks %d names; a new event of a sender that signs them would be lost", len(got))
	}
	if got := mustLookup(t, "github").ExtractorConfig().Catalogue; len(got) == 0 {
		t.Error("github checks no names, although anyone can change them")
	}
}

func TestDiddoDemandsAVerifyBlock(t *testing.T) {
	p := mustLookup(t, "diddo")
	err := p.Check()
	if !errors.Is(err, ErrNoScheme) || !strings.Contains(err.Error(), "the signature scheme of diddo is not published") {
		t.Errorf("Check of diddo = %v, want ErrNoScheme", err)
	}
	if p.Timeout != "20s" {
		t.Errorf("timeout of diddo = %q, want 20s", p.Timeout)
	}
	scheme := signature.Clink()
	p.Scheme = &scheme
	if err := p.Check(); err != nil {
		t.Errorf("Check with the operator's verify block: %v", err)
	}
}

func TestAPresetThatNamesNoEventDemandsOne(t *testing.T) {
	p := mustLookup(t, "hub-sha512")
	if err := p.Check(); !errors.Is(err, ErrNoEvent) {
		t.Errorf("Check of hub-sha512 = %v, want ErrNoEvent", err)
	}
	p.Event = []string{"const:ping"}
	if err := p.Check(); err != nil {
		t.Errorf("Check with the operator's event: %v", err)
	}
}

func TestAnUnknownPresetSuggestsTheNearest(t *testing.T) {
	tests := map[string]string{
		"strpie": `did you mean "stripe"?`,
		"Clink":  `did you mean "clink"?`,
		"chip":   `no preset "chip"`,
		"":       "there are adyen-header, chip-collect",
		"../x":   `no preset "../x"`,
	}
	for name, want := range tests {
		if _, err := Lookup(name); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Lookup(%q) = %v, want an error with %s", name, err, want)
		}
	}
}

func TestAPresetBelongsToItsCaller(t *testing.T) {
	p := mustLookup(t, "stripe")
	p.Scheme.Timestamp.Tolerance = time.Hour
	p.Event[0] = "json:changed"
	if q := mustLookup(t, "stripe"); q.Scheme.Timestamp.Tolerance != 5*time.Minute || q.Event[0] != "json:type" {
		t.Errorf("a change of one caller reached another: %+v", q)
	}
}

func TestPresetFilesHaveNoUnknownFieldAtAnyDepth(t *testing.T) {
	allowed := map[string][]string{
		"":                 {"title", "docs", "verify", "event", "delivery_id", "batch", "handshake", "keep_headers", "event_unsigned", "reject_status", "timeout", "catalogue", "sample"},
		"verify":           {"algorithm", "key_encoding", "signature", "timestamp", "signed"},
		"verify.signature": {"header", "headers_numbered", "json", "form", "encoding", "prefix", "separator", "key_value", "tag"},
		"verify.timestamp": {"header", "field", "json", "unit", "writes", "tolerance"},
	}
	for _, name := range Names() {
		text, err := os.ReadFile("presets/" + name + ".json")
		if err != nil {
			t.Fatal(err)
		}
		checkFields(t, name, "", text, allowed)
	}
}

func checkFields(t *testing.T, name, path string, text []byte, allowed map[string][]string) {
	t.Helper()
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(text, &fields); err != nil {
		t.Fatalf("%s at %q: %v", name, path, err)
	}
	for field, value := range fields {
		if !slices.Contains(allowed[path], field) {
			t.Errorf("%s has unknown field %q at %q", name, field, path)
		}
		below := strings.TrimPrefix(path+"."+field, ".")
		if _, ok := allowed[below]; ok {
			checkFields(t, name, below, value, allowed)
		}
	}
}

func TestThereAreThirtySixPresets(t *testing.T) {
	names := Names()
	if len(names) != 36 || !slices.IsSorted(names) {
		t.Errorf("%d presets, want 36 in order: %v", len(names), names)
	}
}
