package provider

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"
)

// FuzzExtract feeds requests of any shape to every preset's extractor.
func FuzzExtract(f *testing.F) {
	for _, v := range readVectors(f) {
		f.Add("push", "id", []byte(v.Body))
	}
	f.Add("a.*.>", "", []byte(`{"events":[{"eventCategory":"x"},{"eventCategory":"x"}]}`))
	f.Add("", "#", []byte(`[{"event":1},[],"",null]`))
	f.Add("\x00", "\xff", []byte(`{"type":{"type":[[[`))
	extractors := map[string]*Extractor{}
	for _, preset := range []string{"github", "shopify", "standard-webhooks", "sendgrid", "xero", "hubspot-v3", "linear", "mailgun", "x-twitter"} {
		extractors[preset] = mustExtractor(f, mustLookup(f, preset).ExtractorConfig())
	}
	f.Fuzz(func(t *testing.T, name, id string, body []byte) {
		header := headers("X-GitHub-Event", name, "X-GitHub-Delivery", id, "X-Shopify-Topic", name, "webhook-id", id)
		for preset, x := range extractors {
			items, err := x.Items(header, body)
			if err != nil {
				if !errors.Is(err, ErrUnnamed) && !errors.Is(err, ErrNotCatalogued) && !errors.Is(err, ErrTooMany) {
					t.Fatalf("%s: unexpected error %v", preset, err)
				}
				continue
			}
			checkItems(t, preset, items, body)
			again, err := x.Items(header, body)
			if err != nil || len(again) != len(items) {
				t.Fatalf("%s: a retry has %d events, %v, want %d", preset, len(again), err, len(items))
			}
			for i := range items {
				if items[i].DeliveryID != again[i].DeliveryID || items[i].Type != again[i].Type {
					t.Fatalf("%s: item %d of a retry differs: %+v and %+v", preset, i, items[i], again[i])
				}
			}
		}
	})
}

func checkItems(t *testing.T, preset string, items []Item, body []byte) {
	t.Helper()
	for i, item := range items {
		switch {
		case item.Type == "" || len(item.Type) > maxName:
			t.Fatalf("%s: item %d has name %q", preset, i, item.Type)
		case item.DeliveryID == "" || len(item.DeliveryID) > maxID+5:
			t.Fatalf("%s: item %d has id %q", preset, i, item.DeliveryID)
		case !bytes.Contains(body, item.Data):
			t.Fatalf("%s: item %d is %q, which is not in %q", preset, i, item.Data, body)
		case len(items) > 1 && !json.Valid(item.Data):
			t.Fatalf("%s: item %d is no JSON: %q", preset, i, item.Data)
		}
	}
}

func FuzzValidJSON(f *testing.F) {
	for _, body := range []string{"", "{}", `{"a":[1,2,{"b":null}]}`, "[[[", `"\ud800"`, "01", "{\"a\":1}\x00", strings.Repeat("[", 20_000), "\xff"} {
		f.Add([]byte(body))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		if got, want := validJSON(body), json.Valid(body); got && !want {
			t.Fatalf("%q is taken for JSON, encoding/json refuses it", body)
		}
	})
}
