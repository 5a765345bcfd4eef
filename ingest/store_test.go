package ingest_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/jethook/jethook/ingest"
	"github.com/jethook/jethook/internal/event"
	"github.com/jethook/jethook/internal/provider"
)

func TestAStoredEventIsTheBodyByteForByte(t *testing.T) {
	b := openBus(t)
	source := newSource(t, "stripe", "stripe")
	source.KeepHeaders = []string{"X-Kept", "X-Absent"}
	g := newGateway(t, ingest.Config{Publisher: b}, source)
	body := "{ \"type\" :\t\"invoice.paid\",\"id\":\"evt_1\", \"n\":1.00, \"s\":\"\\u00e4ä\xff\" }\n\n"
	a := g.send(newRequest(t, "stripe", secret, "http://hooks.example/in/stripe", body,
		http.Header{"Content-Type": {"application/json; charset=utf-8"}, "X-Kept": {"a", "b"}, "X-Dropped": {"c"}, "Nats-Rollup": {"all"}}))
	id := event.NewID(event.Test, "stripe", "evt_1")
	if want := fmt.Sprintf("{\"id\":%q,\"duplicate\":false}\n", id); a.status != 200 || a.text != want {
		t.Fatalf("got %d %s, want 200 %s", a.status, a.text, want)
	}
	if got := a.header.Get("Content-Type"); got != "application/json" {
		t.Errorf("content type of the answer is %q", got)
	}
	subjects, events := storedEvents(t, b)
	if diff := cmp.Diff([]string{"events.test.stripe.invoice.paid"}, subjects); diff != "" {
		t.Fatalf("subjects (-want +got):\n%s", diff)
	}
	want := &event.Event{
		ID: id, Env: event.Test, Source: "stripe", Type: "invoice.paid", Time: now,
		ContentType: "application/json; charset=utf-8",
		Traceparent: events[0].Traceparent,
		Header:      map[string]string{"x-kept": "a, b"},
		Data:        []byte(body),
	}
	if diff := cmp.Diff(want, events[0]); diff != "" {
		t.Errorf("event (-want +got):\n%s", diff)
	}
}

func TestARedeliveryIsADuplicateWithTheSameID(t *testing.T) {
	b := openBus(t)
	g := newGateway(t, ingest.Config{Publisher: b}, newSource(t, "stripe", "stripe"))
	first, second := g.send(stripe(t)), g.send(stripe(t))
	if first.Duplicate == nil || *first.Duplicate {
		t.Errorf("the first delivery is answered %s, want no duplicate", first.text)
	}
	if second.status != 200 || second.Duplicate == nil || !*second.Duplicate || second.ID != first.ID {
		t.Errorf("the second delivery is answered %d %s, want 200, %s and a duplicate", second.status, second.text, first.ID)
	}
	if _, events := storedEvents(t, b); len(events) != 1 {
		t.Errorf("%d events are stored, want 1", len(events))
	}
	if line := g.logs.last(t); line["code"] != "duplicate" || line["level"] != "DEBUG" {
		t.Errorf("logged as %v %v, want DEBUG duplicate", line["level"], line["code"])
	}
}

func TestAHostileNameCannotSelectOrForgeASubject(t *testing.T) {
	b := openBus(t)
	g := newGateway(t, ingest.Config{Publisher: b}, newSource(t, "stripe", "stripe"))
	names := []string{"a.*.>", ">", "*", "..", ".", "a b", "x\x00y\x7f", "ä", "%2E", "events.prod.bank.paid", "\r\nNats-Rollup: all"}
	for i, name := range names {
		body := fmt.Sprintf(`{"id":"evt_%d","type":%s}`, i, jsonString(name))
		if a := g.send(bodied(body)(t)); a.status != 200 {
			t.Fatalf("%q: got %d, want 200: %s", name, a.status, a.text)
		}
	}
	subjects, events := storedEvents(t, b)
	if len(events) != len(names) {
		t.Fatalf("%d events are stored, want %d", len(events), len(names))
	}
	seen := map[string]bool{}
	for i, subject := range subjects {
		if !strings.HasPrefix(subject, "events.test.stripe.") || strings.ContainsAny(subject, "*> \r\n\x00") || strings.Contains(subject, "..") {
			t.Errorf("name %q became the subject %q", names[i], subject)
		}
		if events[i].Type != names[i] {
			t.Errorf("name %q is stored as %q", names[i], events[i].Type)
		}
		if seen[subject] {
			t.Errorf("two names share the subject %q", subject)
		}
		seen[subject] = true
	}
}

func TestABatchIsStoredAsSeparateEvents(t *testing.T) {
	b := openBus(t)
	g := newGateway(t, ingest.Config{Publisher: b}, newSource(t, "in", "hubspot-v3"))
	send := func(ids ...int) answer {
		t.Helper()
		items := make([]string, len(ids))
		for i, id := range ids {
			items[i] = hubspotItem(id)
		}
		return g.send(newRequest(t, "hubspot-v3", secret, "http://hooks.example/in/in", "["+strings.Join(items, ", ")+"]", nil))
	}

	ids := make([]int, 100)
	for i := range ids {
		ids[i] = i
	}
	a := send(ids...)
	if a.status != 200 || len(a.Events) != 100 || a.ID != a.Events[0].ID || *a.Duplicate {
		t.Fatalf("got %d %s, want 200 and 100 events", a.status, a.text)
	}
	_, events := storedEvents(t, b)
	stored := map[string]string{}
	for _, e := range events {
		stored[string(e.ID)] = string(e.Data)
	}
	for i, e := range a.Events {
		if stored[e.ID] != hubspotItem(i) {
			t.Errorf("event %d is stored as %q, want %q", i, stored[e.ID], hubspotItem(i))
		}
	}

	if a = send(99, 100); *a.Duplicate || !a.Events[0].Duplicate || a.Events[1].Duplicate {
		t.Errorf("half a duplicate is answered %s", a.text)
	}
	if a = send(5); !*a.Duplicate || len(a.Events) != 1 || !a.Events[0].Duplicate {
		t.Errorf("a list of one duplicate is answered %s", a.text)
	}
}

func TestAnEmptyBatchIsWell(t *testing.T) {
	g := newGateway(t, ingest.Config{}, newSource(t, "in", "hubspot-v3"))
	a := g.send(newRequest(t, "hubspot-v3", secret, "http://hooks.example/in/in", "[]", nil))
	if want := "{\"id\":\"\",\"duplicate\":false,\"events\":[]}\n"; a.status != 200 || a.text != want {
		t.Errorf("got %d %s, want 200 %s", a.status, a.text, want)
	}
}

func TestABatchOfTooManyEventsIsTooLarge(t *testing.T) {
	g := newGateway(t, ingest.Config{}, newSource(t, "in", "hubspot-v3"))
	body := "[" + strings.Repeat(`{"subscriptionType":"a"},`, 10_000) + `{"subscriptionType":"a"}]`
	if a := g.send(newRequest(t, "hubspot-v3", secret, "http://hooks.example/in/in", body, nil)); a.status != 413 || a.Code != "body_too_large" {
		t.Errorf("got %d %s, want 413 body_too_large", a.status, a.Code)
	}
}

func TestHeadersThatDoNotFitAreLeftOutAndNamedInTheLog(t *testing.T) {
	b := openBus(t)
	source := newSource(t, "stripe", "stripe")
	source.KeepHeaders = []string{"x-big", "x-small"}
	g := newGateway(t, ingest.Config{Publisher: b}, source)
	r := stripe(t)
	r.Header.Set("X-Big", strings.Repeat("b", event.MaxHeaderBytes))
	r.Header.Set("X-Small", "s")
	r.Header.Set("Content-Type", strings.Repeat("c", 257))
	if a := g.send(r); a.status != 200 {
		t.Fatalf("got %d, want 200: %s", a.status, a.text)
	}
	_, events := storedEvents(t, b)
	if diff := cmp.Diff(map[string]string{"x-small": "s"}, events[0].Header); diff != "" || events[0].ContentType != "" {
		t.Errorf("content type %q, headers (-want +got):\n%s", events[0].ContentType, diff)
	}
	if left := g.logs.last(t)["headers_left_out"]; left != "content-type,x-big" {
		t.Errorf("the log names %v, want content-type,x-big", left)
	}
}

func TestASourceWithoutSignaturesTakesAnyBody(t *testing.T) {
	b := openBus(t)
	source := newSource(t, "open", "stripe")
	source.Verifier = verifiesNothing(t)
	var err error
	if source.Extractor, err = provider.NewExtractor(provider.ExtractorConfig{Event: []string{"const:ping"}}); err != nil {
		t.Fatal(err)
	}
	g := newGateway(t, ingest.Config{Publisher: b}, source)
	for _, body := range []string{"", "\x00\xff", strings.Repeat("x", 1<<20)} {
		r := stripe(t)
		r.URL.Path = "/in/open"
		setBody(r, body)
		if a := g.send(r); a.status != 200 {
			t.Errorf("%d bytes: got %d, want 200: %s", len(body), a.status, a.text)
		}
	}
	_, events := storedEvents(t, b)
	if len(events) != 3 || string(events[1].Data) != "\x00\xff" || len(events[2].Data) != 1<<20 {
		t.Errorf("%d events are stored, want 3 with their bytes", len(events))
	}
}
