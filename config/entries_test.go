package config

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// everything is an entry of each kind with what is hard to write.
func everything() map[string]map[string]any {
	return map[string]map[string]any{
		"sources": {"name": "shop", "env": "prod", "verify": map[string]any{"algorithm": "token", "signature": map[string]any{"header": "X-Sign"}, "timestamp": map[string]any{"tolerance": "0"}},
			"secrets": []any{leak, "second-" + leak}, "max_body": "2MiB", "allow_ips": []any{"203.0.113.7"}},
		"endpoints": {"name": "billing", "env": "prod", "url": "https://billing.example/${env:HOME}?a=$${b}", "events": []any{"shop.>"}, "enabled": false,
			"description": "yes", "filter": "type == 'a' # \"b\"\nand c", "concurrency": 3.0, "headers": map[string]any{"X-Token": leak, "X.Y": "z"},
			"auth": map[string]any{"basic": map[string]any{"user": "me", "password": leak}}, "retry": map[string]any{"attempts": 3.0, "jitter": 0.25}},
		"subscribers": {"name": "ledger", "env": "prod", "all_events": true},
	}
}

func TestWhatIsWrittenForEntriesIsWhatTheyAre(t *testing.T) {
	lists := map[string][]Written{}
	for list, spec := range everything() {
		shown, masked := MaskSpec(list, spec)
		wantNoLeak(t, list, fmt.Sprint(shown))
		w := Written{Spec: shown, Variables: map[string]Variable{}}
		for i, path := range masked {
			name := strings.ToUpper(fmt.Sprintf("%s_%d", list, i))
			w.Variables[path] = Variable{Name: name, Comment: "what " + path + " is", Optional: list == "sources"}
			t.Setenv(name, secretAt(t, spec, path))
		}
		lists[list] = []Written{w}
	}
	text := WriteEntries(lists)
	wantNoLeak(t, "the file", string(text))
	for _, want := range []string{"# what secrets[0] is\n", "# what headers.X-Token is\n", "${env:SOURCES_0:-}", "${env:ENDPOINTS_0}"} {
		if !strings.Contains(string(text), want) {
			t.Errorf("the file has no %q:\n%s", want, text)
		}
	}
	path := filepath.Join(t.TempDir(), "made.yaml")
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	entries, err := LoadEntries([]string{path})
	if err != nil {
		t.Fatalf("%v in:\n%s", err, text)
	}
	for list, spec := range everything() {
		want, _ := MaskSpec(list, spec) // without the secrets, which the variables have shown to differ or not
		specs := entries.Specs(list)
		if len(specs) != 1 {
			t.Fatalf("%d entries of %s", len(specs), list)
		}
		got, _ := MaskSpec(list, specs[0])
		if diff := cmp.Diff(fmt.Sprint(want), fmt.Sprint(got)); diff != "" {
			t.Errorf("%s (-) is read as (+):\n%s", list, diff)
		}
		for i, path := range maskedOf(list, spec) {
			if got, want := secretAt(t, specs[0], path), secretAt(t, spec, path); got != want {
				t.Errorf("secret %d of %s is not that of its variable", i, list)
			}
		}
	}
	wantNoLeak(t, "printing the entries", fmt.Sprintf("%v %+v %#v", entries, entries, entries))
	if _, err := Load([]string{path}); err != nil {
		t.Errorf("the bridge itself does not read it: %v", err)
	}
}

func maskedOf(list string, spec map[string]any) []string {
	_, masked := MaskSpec(list, spec)
	return masked
}

// secretAt is the text at one of the places that everything has.
func secretAt(t *testing.T, spec map[string]any, path string) string {
	t.Helper()
	var value any
	switch path {
	case "secrets[0]":
		value = spec["secrets"].([]any)[0]
	case "secrets[1]":
		value = spec["secrets"].([]any)[1]
	case "auth.basic.password":
		value = spec["auth"].(map[string]any)["basic"].(map[string]any)["password"]
	default:
		value = spec["headers"].(map[string]any)[strings.TrimPrefix(path, "headers.")]
	}
	return value.(string)
}

func TestOnlyEntriesAreReadForAnotherBridge(t *testing.T) {
	paths := write(t, "a.yaml", "version: 1\nnats: {url: nats://bus:4222}\nendpoints:\n  - name: billing\n    url: https://billing.example\n    timeout: soon\n")
	_, err := LoadEntries(paths)
	var problems *Problems
	if !errors.As(err, &problems) || len(problems.List) != 2 || problems.List[0].Line != 2 || problems.List[1].Key != "endpoints[billing].timeout" {
		t.Errorf("error %v, want one for nats and one for the timeout", err)
	}
}

func TestAFieldThatTheBridgeNamesIsFoundInTheFile(t *testing.T) {
	paths := write(t, "a.yaml", "sources: []\nendpoints:\n  - name: billing\n    url: https://billing.example\n  - name: ledger\n    url: https://ledger.example\n    retry:\n      attempts: 3\n")
	entries, err := LoadEntries(paths)
	if err != nil {
		t.Fatal(err)
	}
	for field, want := range map[string]string{
		"body.endpoints[1].retry.attempts": ":8:17", "body.endpoints[1].events": ":5:5", "body.endpoints[0].url": ":4:10", "body.endpoints[7].url": "", "body": "", "header": "",
	} {
		if got := entries.Position(field); !strings.HasSuffix(got.String(), want) || want == "" && got.String() != "" {
			t.Errorf("%s is at %q, want %q", field, got.String(), want)
		}
	}
	if !entries.Has("sources") || entries.Has("subscribers") || len(entries.Specs("endpoints")) != 2 {
		t.Error("the lists are not those of the file")
	}
	if spec := entries.Specs("endpoints")[0]; len(spec) != 3 || spec["env"] != "prod" {
		t.Errorf("an entry is %v, want what is written and its environment", spec)
	}
}

func TestADifferenceShowsNoSecret(t *testing.T) {
	one := func(list string, change func(spec map[string]any)) *Config {
		t.Helper()
		spec := everything()[list]
		change(spec)
		c, err := mustLoad(t).Entry(list, mustJSON(t, spec))
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	same := func(map[string]any) {}
	if got := Diff(one("endpoints", same).Endpoints[0], one("endpoints", same).Endpoints[0]); got != nil {
		t.Errorf("an endpoint differs from itself in %v", got)
	}
	got := Diff(one("endpoints", same).Endpoints[0], one("endpoints", func(spec map[string]any) {
		spec["headers"] = map[string]any{"X-Token": leak + "2", "X-New": "v"}
		spec["auth"] = map[string]any{"bearer": leak}
		spec["retry"] = map[string]any{"attempts": 4}
		spec["events"] = []any{"shop.>", "pay.>"}
	}).Endpoints[0])
	want := []Difference{
		{"events", []any{"shop.>"}, []any{"shop.>", "pay.>"}}, {"headers.X-New", nil, "***"}, {"headers.X-Token", "***", "***"}, {"headers.X.Y", "***", nil},
		{"auth.bearer", nil, "***"}, {"auth.basic.user", "me", nil}, {"auth.basic.password", "***", nil},
		{"retry.attempts", 3, 4}, {"retry.jitter", 0.25, 0.2},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	got = Diff(one("sources", same).Sources[0], one("sources", func(spec map[string]any) { spec["secrets"] = []any{leak} }).Sources[0])
	if diff := cmp.Diff([]Difference{{"secrets", []any{"***", "***"}, []any{"***"}}}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	got = Diff(nil, one("subscribers", same).Subscribers[0])
	if diff := cmp.Diff([]Difference{{"name", nil, "ledger"}, {"all_events", false, true}}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func mustJSON(t *testing.T, value any) []byte {
	t.Helper()
	text, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	return text
}
