package managed

import (
	"errors"
	"maps"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/jethook/jethook/config"
	"github.com/jethook/jethook/internal/event"
)

// actions are what a plan does, by kind and name.
func actions(t *testing.T, s *Store, of Document, prune bool) map[string]Action {
	t.Helper()
	planned, err := s.Plan(t.Context(), event.Prod, of, prune)
	if err != nil {
		t.Fatal(err)
	}
	found := make(map[string]Action)
	for _, p := range planned {
		found[string(p.Kind)+"/"+p.Name] = p.Action
	}
	return found
}

func TestAPlanSaysWhatWouldBecomeOfEachEntry(t *testing.T) {
	file := load(t)
	file.Endpoints = []config.Endpoint{{Name: "files", Env: "prod", URL: "https://files.example", AllEvents: true}, {Name: "other", Env: "prod"}}
	s, changes := openStore(t, openBus(t), filepath.Join(t.TempDir(), "keyset.json"), file)
	spec := billing()
	spec["secrets"] = []any{"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"}
	made, err := s.Create(t.Context(), Endpoints, event.Prod, "", spec)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"old", "kept"} {
		if _, err := s.Create(t.Context(), Subscribers, event.Prod, "", map[string]any{"name": name, "all_events": true}); err != nil {
			t.Fatal(err)
		}
	}
	before := changes.Load()
	changed := maps.Clone(spec)
	changed["url"], changed["secrets"] = "https://billing.example/v2", []any{"whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"}
	delete(changed, "headers")
	for name, c := range map[string]struct {
		of    Document
		prune bool
		want  map[string]Action
	}{
		"the same": {Document{Endpoints: {spec}}, false, map[string]Action{"endpoints/billing": Keep, "endpoints/files": Leave, "endpoints/other": Leave}},
		"the same without its secret": {Document{Endpoints: {billing()}}, true,
			map[string]Action{"endpoints/billing": Keep, "endpoints/files": Leave, "endpoints/other": Leave}},
		"changed": {Document{Endpoints: {changed}}, false, map[string]Action{"endpoints/billing": Change, "endpoints/files": Leave, "endpoints/other": Leave}},
		"pruned":  {Document{Endpoints: {}}, true, map[string]Action{"endpoints/billing": Remove, "endpoints/files": Leave, "endpoints/other": Leave}},
		"two kinds": {Document{Sources: {{"name": "shop", "preset": "stripe", "secrets": []any{"whsec_1"}}}, Subscribers: {{"name": "kept", "events": []any{"shop.>"}}}}, true,
			map[string]Action{"sources/shop": Make, "subscribers/kept": Change, "subscribers/old": Remove}},
		"the file's": {Document{Endpoints: {{"name": "files", "url": "https://files.example/v2", "all_events": true}}}, true,
			map[string]Action{"endpoints/files": Conflict, "endpoints/other": Leave, "endpoints/billing": Remove}},
	} {
		if diff := cmp.Diff(c.want, actions(t, s, c.of, c.prune)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	planned, err := s.Plan(t.Context(), event.Prod, Document{Endpoints: {changed}}, false)
	if err != nil {
		t.Fatal(err)
	}
	want := []config.Difference{
		{Key: "url", From: spec["url"], To: changed["url"]}, {Key: "secrets", From: []any{"***"}, To: []any{"***"}}, {Key: "headers.X-Token", From: "***"},
	}
	if diff := cmp.Diff(want, planned[0].Differences); diff != "" || planned[0].Revision != made.Revision {
		t.Errorf("revision %d (-want +got):\n%s", planned[0].Revision, diff)
	}
	overtaken := load(t)
	overtaken.Endpoints = []config.Endpoint{{Name: "billing", Env: "prod", URL: "https://elsewhere.example", AllEvents: true}}
	defer s.SetFile(file)
	s.SetFile(overtaken)
	if diff := cmp.Diff(map[string]Action{"endpoints/billing": Conflict}, actions(t, s, Document{Endpoints: {spec}}, true)); diff != "" {
		t.Errorf("overtaken by the file (-want +got):\n%s", diff)
	}
	if now, err := s.Get(Endpoints, event.Prod, "billing"); err != nil || now.Revision != made.Revision || changes.Load() != before {
		t.Errorf("the plans have changed something: %v", err)
	}
}

func TestAPlanFindsAllThatWouldBeRefused(t *testing.T) {
	s, _ := openStore(t, openBus(t), filepath.Join(t.TempDir(), "keyset.json"), load(t))
	if _, err := s.Create(t.Context(), Endpoints, event.Prod, "", billing()); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Create(t.Context(), Sources, event.Test, "", map[string]any{"name": "tests", "preset": "stripe", "secrets": []any{"whsec_1"}}); err != nil {
		t.Fatal(err)
	}
	to := func(name, url string, more ...any) map[string]any {
		spec := map[string]any{"name": name, "url": url, "events": []any{"shop.>"}}
		for i := 0; i+1 < len(more); i += 2 {
			spec[more[i].(string)] = more[i+1]
		}
		return spec
	}
	_, err := s.Plan(t.Context(), event.Prod, Document{
		Sources: {{"name": "clink", "preset": "clink", "secrets": []any{"whsec_1"}}, {"name": "tests", "preset": "stripe", "secrets": []any{"whsec_1"}}},
		Endpoints: {
			to("one", "https://one.example", "events", []any{"clink.no.such.event"}), to("two", "https://private.example"),
			to("three", "https://three.example", "retry", map[string]any{"attempts": 0}), to("one", "https://one.example"),
			to("four", "https://four.example", "env", "test"), to("five", "https://five.example"),
		},
		Subscribers: {{"name": "billing", "all_events": true}, {"name": "five", "all_events": true}, {"name": "six", "events": []any{"shop.>", "clink.ordr.*"}}},
	}, false)
	var wrong *Invalid
	if !errors.As(err, &wrong) {
		t.Fatalf("error %v, want one that names fields", err)
	}
	got := make(map[string]bool)
	for _, f := range wrong.Fields {
		got[f.Name] = true
	}
	want := map[string]bool{"body.sources[1].name": true, "body.endpoints[0].events[0]": true, "body.endpoints[1].url": true, "body.endpoints[2].retry.attempts": true,
		"body.endpoints[3].name": true, "body.endpoints[4].env": true, "body.subscribers[0].name": true, "body.subscribers[1].name": true, "body.subscribers[2].events[1]": true}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%v\n(-want +got):\n%s", err, diff)
	}
}

func TestReplacingAnEntryTakesTheRestBackToItsDefault(t *testing.T) {
	s, _ := openStore(t, openBus(t), filepath.Join(t.TempDir(), "keyset.json"), load(t))
	spec := billing()
	spec["retry"], spec["start"] = map[string]any{"attempts": 3}, "beginning"
	e, err := s.Create(t.Context(), Endpoints, event.Prod, "", spec)
	if err != nil {
		t.Fatal(err)
	}
	secret, _ := e.Signing()
	if e, err = s.Rotate(t.Context(), e, secret, time.Hour); err != nil {
		t.Fatal(err)
	}
	if e, err = s.Replace(t.Context(), e, map[string]any{"url": "https://billing.example", "all_events": true, "headers": map[string]any{"X-New": "1"}}); err != nil {
		t.Fatal(err)
	}
	got := s.Endpoints()[0].Config
	if kept, _ := e.Signing(); kept.Reveal() != secret.Reveal() || len(got.Secrets) != 2 {
		t.Errorf("%d secrets sign, want the same two", len(got.Secrets))
	}
	if got.Name != "billing" || !got.Start.Beginning || got.Retry.Attempts != 10 || len(got.Headers) != 1 || !got.AllEvents || got.Events != nil {
		t.Errorf("replaced it is %+v", got)
	}
	if e, err = s.Replace(t.Context(), e, map[string]any{"url": "https://billing.example", "all_events": true, "signature": "chip"}); err != nil {
		t.Fatal(err)
	}
	if old, public := e.Signing(); !old.Empty() || public == "" {
		t.Error("another signature has not another secret")
	}
	var wrong *Invalid
	if _, err := s.Replace(t.Context(), e, map[string]any{"name": "other", "url": "https://billing.example", "all_events": true}); !errors.As(err, &wrong) {
		t.Errorf("another name: error %v", err)
	}
}

func TestASubscriberThatIsReplacedKeepsTheKeyThatWasMadeForIt(t *testing.T) {
	s, _ := openStore(t, openBus(t), filepath.Join(t.TempDir(), "keyset.json"), load(t))
	const made, other = "UD5YC5WIGP2W4K3ONDB4NS4O2A46J7TAASC54W6YXUZGZ3JHNRVZYQHJ", "UADQ7JELB6HUTOC6FLYXWPTSXLIJWKOFK6JJZAFQIBOMM5MZLIYZDDIU"
	e, err := s.Create(t.Context(), Subscribers, event.Prod, "", map[string]any{"name": "ledger", "all_events": true, "nkey": made})
	if err != nil {
		t.Fatal(err)
	}
	if e, err = s.Replace(t.Context(), e, map[string]any{"all_events": true, "max_deliver": 3}); err != nil {
		t.Fatal(err)
	}
	if got := s.Subscribers()[0].Config; got.NKey != made || got.MaxDeliver != 3 {
		t.Errorf("replaced it is %+v", got)
	}
	if _, err = s.Replace(t.Context(), e, map[string]any{"all_events": true, "nkey": other}); err != nil {
		t.Fatal(err)
	}
	if got := s.Subscribers()[0].Config.NKey; got != other {
		t.Errorf("its key is %s, want the one that was given", got)
	}
}

func TestSpecsShowWhatWasGivenAndNoSecret(t *testing.T) {
	s, _ := openStore(t, openBus(t), filepath.Join(t.TempDir(), "keyset.json"), load(t))
	for _, name := range []string{"a", "b", "c"} {
		spec := billing()
		spec["name"] = name
		if _, err := s.Create(t.Context(), Endpoints, event.Prod, "", spec); err != nil {
			t.Fatal(err)
		}
	}
	found, more := s.Specs(Endpoints, event.Prod, "a", 1)
	if len(found) != 1 || !more || found[0].Name != "b" {
		t.Fatalf("after a: %v, more %v", found, more)
	}
	want := Spec{Name: "b", Masked: []string{"secrets[0]", "headers.X-Token"}, Keys: map[string]any{
		"name": "b", "env": "prod", "url": billing()["url"], "events": []any{"shop.>"}, "headers": map[string]any{"X-Token": "***"}, "secrets": []any{"***"},
	}}
	if diff := cmp.Diff(want, found[0]); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if found, more := s.Specs(Endpoints, event.Test, "", 10); len(found) != 0 || more {
		t.Errorf("the other environment has %v", found)
	}
}
