package event

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func sample() *Event {
	return &Event{
		ID: NewID(Prod, "clink", "event_1"), Env: Prod, Source: "clink", Type: "order.succeeded",
		Time:        time.Date(2026, 11, 23, 10, 0, 0, 250_000_000, time.UTC),
		ContentType: "application/json", Traceparent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
		Header: map[string]string{"x-clink-timestamp": "1782112780956"}, Data: []byte(`{"id":"event_1"}`),
	}
}

func TestAMessageIsACloudEventInBinaryMode(t *testing.T) {
	e := sample()
	subject, header := e.Encode()
	want := map[string][]string{
		"Nats-Msg-Id":                      {string(e.ID)},
		"ce-specversion":                   {"1.0"},
		"ce-id":                            {string(e.ID)},
		"ce-source":                        {"/prod/clink"},
		"ce-type":                          {"order.succeeded"},
		"ce-time":                          {"2026-11-23T10:00:00.25Z"},
		"content-type":                     {"application/json"},
		"traceparent":                      {e.Traceparent},
		"jethook-header-x-clink-timestamp": {"1782112780956"},
	}
	if diff := cmp.Diff(want, header); diff != "" {
		t.Errorf("headers: %s", diff)
	}
	if subject != "events.prod.clink.order.succeeded" {
		t.Errorf("subject %q", subject)
	}
}

func TestWhatIsEncodedIsDecoded(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		e := sample()
		e.Type = rapid.StringN(1, 64, MaxTypeLength).Draw(t, "type")
		e.ContentType = rapid.SampledFrom([]string{"", "text/plain"}).Draw(t, "content type")
		e.Data = rapid.SliceOf(rapid.Byte()).Draw(t, "data")
		_, header := e.Encode()
		back, err := Decode(header, e.Data)
		if err != nil {
			t.Fatalf("decode %v: %v", header, err)
		}
		if diff := cmp.Diff(e, back); diff != "" {
			t.Fatalf("decoded differs: %s", diff)
		}
	})
}

func TestASenderCannotReachTheServersCommands(t *testing.T) {
	e := sample()
	e.Header = map[string]string{"nats-rollup": "all", "nats-expected-last-sequence": "1"}
	_, header := e.Encode()
	for name := range header {
		if strings.HasPrefix(strings.ToLower(name), "nats-") && name != "Nats-Msg-Id" {
			t.Errorf("header %q of the sender is a command to the server", name)
		}
	}
}

func TestAForeignMessageIsRefusedByName(t *testing.T) {
	for _, c := range []struct{ name, value, want string }{
		{"ce-specversion", "0.3", "ce-specversion"},
		{"ce-id", "", "ce-id"},
		{"ce-source", "clink", "ce-source"},
		{"ce-source", "/live/clink", "ce-source"},
		{"ce-source", "/prod/", "ce-source"},
		{"ce-type", "", "ce-type"},
		{"ce-type", "a%2", "ce-type"},
		{"ce-time", "yesterday", "ce-time"},
	} {
		_, header := sample().Encode()
		header[c.name] = []string{c.value}
		if _, err := Decode(header, nil); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s %q: error %v, want one that names %s", c.name, c.value, err, c.want)
		}
	}
}

func TestAnIDIsAFunctionOfEnvironmentSourceAndDelivery(t *testing.T) {
	id := NewID(Prod, "clink", "event_1")
	if want := ID("evt_xpuj4azcvz7ajuyrlzoezhc44a"); id != want {
		t.Errorf("id %q, want %q: a redelivery after an upgrade must have the same id", id, want)
	}
	seen := map[ID]string{}
	for _, parts := range [][3]string{
		{"prod", "clink", "event_1"}, {"test", "clink", "event_1"}, {"prod", "clin", "kevent_1"},
		{"prod", "clinkevent_1", ""}, {"prod", "", "clinkevent_1"},
	} {
		id := NewID(Env(parts[0]), parts[1], parts[2])
		if other, taken := seen[id]; taken {
			t.Errorf("%q and %q share the id %s", parts, other, id)
		}
		seen[id] = parts[1]
		if _, err := id.Sum(); err != nil {
			t.Errorf("sum of %s: %v", id, err)
		}
	}
	for _, text := range []ID{"", "evt_", "evt_short", "msg_irbq7d2gs3bbhsigmnqwc5lj2e", "evt_IRBQ7D2GS3BBHSIGMNQWC5LJ2E"} {
		if _, err := text.Sum(); err == nil {
			t.Errorf("%q was taken as an id", text)
		}
	}
}

func TestOnlyTwoEnvironmentsExist(t *testing.T) {
	for _, env := range Envs() {
		if got, err := ParseEnv(string(env)); err != nil || got != env {
			t.Errorf("environment %s: %v, %v", env, got, err)
		}
	}
	if _, err := ParseEnv("live"); err == nil {
		t.Error("live was taken as an environment")
	}
}
