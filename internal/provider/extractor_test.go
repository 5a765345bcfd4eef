package provider

import (
	"errors"
	"net/http"
	"strings"
	"testing"
)

func mustExtractor(t testing.TB, c ExtractorConfig) *Extractor {
	t.Helper()
	x, err := NewExtractor(c)
	if err != nil {
		t.Fatalf("NewExtractor(%+v): %v", c, err)
	}
	return x
}

func headers(pairs ...string) http.Header {
	h := http.Header{}
	for i := 0; i < len(pairs); i += 2 {
		h.Add(pairs[i], pairs[i+1])
	}
	return h
}

func TestTheFirstSourceThatIsPresentNamesTheEvent(t *testing.T) {
	tests := []struct {
		name    string
		sources []string
		header  http.Header
		body    string
		want    string
	}{
		{"a JSON string", []string{"json:type"}, nil, `{"type":"a.b"}`, "a.b"},
		{"a JSON number as it is written", []string{"json:code"}, nil, `{"code":1.50}`, "1.50"},
		{"a nested path", []string{"json:data.kind"}, nil, `{"data":{"kind":"x"}}`, "x"},
		{"an index of a list", []string{"json:events.0.eventCategory"}, nil, `{"events":[{"eventCategory":"INVOICE"}]}`, "INVOICE"},
		{"a header", []string{"header:x-event"}, headers("X-Event", "push"), ``, "push"},
		{"a form field", []string{"form:event"}, nil, `a=1&event=order%2Fpaid`, "order/paid"},
		{"a constant", []string{"const:ping"}, nil, ``, "ping"},
		{"a template", []string{"tmpl:{json:type}.{json:action}"}, nil, `{"type":"Issue","action":"create"}`, "Issue.create"},
		{"a template with text around", []string{"tmpl:v1/{header:X-E}!"}, headers("X-E", "e"), ``, "v1/e!"},
		{"the second if the first is absent", []string{"json:a", "json:b"}, nil, `{"b":"two"}`, "two"},
		{"the second if the first is blank", []string{"json:a", "json:b"}, nil, `{"a":" \t","b":"two"}`, "two"},
		{"the second if the first is an object", []string{"json:a", "json:b"}, nil, `{"a":{},"b":"two"}`, "two"},
		{"the second if the first is a boolean", []string{"json:a", "json:b"}, nil, `{"a":true,"b":"two"}`, "two"},
		{"the second if a part of a template is absent", []string{"tmpl:{json:a}.{json:c}", "json:b"}, nil, `{"a":"x","b":"two"}`, "two"},
		{"a header if the body is not JSON", []string{"json:a", "header:E"}, headers("E", "e"), `{"a":"x"`, "e"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			items, err := mustExtractor(t, ExtractorConfig{Event: tt.sources}).Items(tt.header, []byte(tt.body))
			if err != nil || len(items) != 1 || items[0].Type != tt.want || string(items[0].Data) != tt.body {
				t.Errorf("Items(%v, %s) with %v = %+v, %v, want one %q with the body untouched", tt.header, tt.body, tt.sources, items, err, tt.want)
			}
		})
	}
}

func TestNamesThatAreNoTokensComeThroughAsWritten(t *testing.T) {
	tests := map[string]string{ // name: preset
		"orders/create":                 "shopify",
		"zen:event-type:ticket.created": "zendesk",
		"Push Hook":                     "gitlab-token",
		"a.*.>":                         "stripe",
		"..":                            "clink",
		"naïve ☃\u0000\n":               "svix",
	}
	for name, preset := range tests {
		p := mustLookup(t, preset)
		var header http.Header
		var body []byte
		switch preset {
		case "shopify":
			header, body = headers("X-Shopify-Topic", name), []byte(`{}`)
		case "gitlab-token":
			header, body = headers("X-Gitlab-Event", name), []byte(`{}`)
		default:
			body = append(append([]byte(`{"type":`), encode(name)...), '}')
		}
		items, err := mustExtractor(t, p.ExtractorConfig()).Items(header, body)
		if err != nil || len(items) != 1 || items[0].Type != name {
			t.Errorf("%s: Items(%v, %s) = %+v, %v, want %q", preset, header, body, items, err, name)
		}
	}
}

func TestAPathHasNoQueriesOrModifiers(t *testing.T) {
	body := `{"a":{"b":["x","y"]},"@this":"at","a|b":"pipe","#":"hash","*":"star","\\":"back"}`
	tests := map[string]string{
		"json:@this": "at", "json:a|b": "pipe", "json:#": "hash", "json:*": "star", `json:\`: "back",
		"json:a.b.#": "", "json:a.b.#(=x)": "", "json:a.*.1": "", "json:@keys": "", "json:a.b.@join": "",
	}
	for source, want := range tests {
		items, err := mustExtractor(t, ExtractorConfig{Event: []string{source}}).Items(nil, []byte(body))
		if want == "" {
			if !errors.Is(err, ErrUnnamed) {
				t.Errorf("%s = %+v, %v, want ErrUnnamed", source, items, err)
			}
		} else if err != nil || items[0].Type != want {
			t.Errorf("%s = %+v, %v, want %q", source, items, err, want)
		}
	}
}

func TestAnEventWithoutAUsableNameIsUnnamed(t *testing.T) {
	deep := strings.Repeat("[", 1<<20)
	tests := map[string]string{
		"no body":               ``,
		"not JSON":              `type=order`,
		"a list":                `["type"]`,
		"null":                  `{"type":null}`,
		"an empty string":       `{"type":""}`,
		"only blanks":           `{"type":" \n "}`,
		"an object":             `{"type":{"a":1}}`,
		"257 bytes":             `{"type":"` + strings.Repeat("x", 257) + `"}`,
		"a million open lists":  deep,
		"deep but closed lists": `{"type":"a","x":` + deep[:20_000] + strings.Repeat("]", 20_000) + `}`,
	}
	x := mustExtractor(t, ExtractorConfig{Event: []string{"json:type", "header:Type"}})
	for name, body := range tests {
		t.Run(name, func(t *testing.T) {
			items, err := x.Items(nil, []byte(body))
			if !errors.Is(err, ErrUnnamed) {
				t.Errorf("Items(%.80q) = %+v, %v, want ErrUnnamed", body, items, err)
			}
		})
	}
}

func TestANameOf256BytesIsAName(t *testing.T) {
	name := strings.Repeat("x", 256)
	items, err := mustExtractor(t, ExtractorConfig{Event: []string{"header:E"}}).Items(headers("E", name), nil)
	if err != nil || items[0].Type != name {
		t.Errorf("Items = %+v, %v, want the name of 256 bytes", items, err)
	}
}

func TestANameOutsideTheCatalogueIsRefused(t *testing.T) {
	x := mustExtractor(t, mustLookup(t, "github").ExtractorConfig())
	if _, err := x.Items(headers("X-GitHub-Event", "push"), []byte(`{}`)); err != nil {
		t.Errorf("push: %v", err)
	}
	_, err := x.Items(headers("X-GitHub-Event", "pushed"), []byte(`{}`))
	if !errors.Is(err, ErrNotCatalogued) || !strings.Contains(err.Error(), `"pushed"`) {
		t.Errorf("pushed: got %v, want ErrNotCatalogued that says which", err)
	}
}

func TestASignedNameWeHaveNotHeardOfIsTaken(t *testing.T) {
	items, err := mustExtractor(t, mustLookup(t, "clink").ExtractorConfig()).Items(nil, []byte(`{"id":"event_1","type":"order.teleported"}`))
	if err != nil || items[0].Type != "order.teleported" {
		t.Errorf("Items = %+v, %v, want the new event", items, err)
	}
}

func TestWrongSourcesAreRefusedWhenTheyAreRead(t *testing.T) {
	tests := []struct {
		c    ExtractorConfig
		want string
	}{
		{ExtractorConfig{}, "write event"},
		{ExtractorConfig{Event: []string{"type"}}, `event: source "type": it must begin with json:, header:, form:, tmpl:, const: or`},
		{ExtractorConfig{Event: []string{"xml:type"}}, `source "xml:type"`},
		{ExtractorConfig{Event: []string{"json:"}}, "empty name"},
		{ExtractorConfig{Event: []string{"json:a..b"}}, "empty name"},
		{ExtractorConfig{Event: []string{"header: "}}, "nothing follows header"},
		{ExtractorConfig{Event: []string{"const:"}}, "nothing follows const"},
		{ExtractorConfig{Event: []string{"hash:body"}}, "a hash names no event"},
		{ExtractorConfig{Event: []string{"tmpl:{json:a"}}, "not closed"},
		{ExtractorConfig{Event: []string{"tmpl:plain"}}, "needs a source"},
		{ExtractorConfig{Event: []string{"tmpl:{const:a}"}}, "braces hold"},
		{ExtractorConfig{Event: []string{"tmpl:{tmpl:{json:a}}"}}, "tmpl"},
		{ExtractorConfig{Event: []string{"json:a"}, DeliveryID: []string{"hash:md5"}}, "delivery_id"},
		{ExtractorConfig{Event: []string{"json:a"}, DeliveryID: []string{"sha256"}}, "hash:body"},
		{ExtractorConfig{Event: []string{"json:a"}, Batch: "events"}, `batch: "events" is neither "array" nor "json:PATH"`},
		{ExtractorConfig{Event: []string{"json:a"}, Batch: "header:X"}, "batch"},
	}
	for _, tt := range tests {
		if _, err := NewExtractor(tt.c); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("NewExtractor(%+v) = %v, want an error with %q", tt.c, err, tt.want)
		}
	}
}
