package event

import (
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func subject(source, name string) string {
	return (&Event{Env: Prod, Source: source, Type: name}).Subject()
}

func TestASubjectIsNamedAfterItsEvent(t *testing.T) {
	for _, c := range []struct{ source, name, want string }{
		{"clink", "order.succeeded", "events.prod.clink.order.succeeded"},
		{"clink", "subscription.updated.plan_changed", "events.prod.clink.subscription.updated.plan_changed"},
		{"shopify", "orders/create", "events.prod.shopify.orders/create"},
		{"gitlab-token", "Push Hook", "events.prod.gitlab-token.Push%20Hook"},
		{"zendesk", "zen:event-type:ticket.created", "events.prod.zendesk.zen:event-type:ticket.created"},
		{"shop", "a.*.>", "events.prod.shop.a.%2A.%3E"},
		{"shop", "a..b", "events.prod.shop.a.%.b"},
		{"shop", ".", "events.prod.shop.%.%"},
		{"shop", "%", "events.prod.shop.%25"},
		{"shop", "a\r\nPUB x 1", "events.prod.shop.a%0D%0APUB%20x%201"},
		{"shop", "zażółć", "events.prod.shop.za%C5%BC%C3%B3%C5%82%C4%87"},
		{System, "jethook.endpoint.disabled", "events.prod.jethook.endpoint.disabled"},
	} {
		if got := subject(c.source, c.name); got != c.want {
			t.Errorf("subject of %q from %q is %q, want %q", c.name, c.source, got, c.want)
		}
	}
}

func TestATokenIsReversibleAndHasNoCollisions(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := rapid.String().Draw(t, "a"), rapid.String().Draw(t, "b")
		checkToken(t, a)
		if a != b && Token(a) == Token(b) {
			t.Fatalf("%q and %q share the token %q", a, b, Token(a))
		}
	})
}

// parseToken is the inverse of Token. Text that Token cannot have written is an
// error.
func parseToken(token string) (string, error) {
	if token == emptyToken {
		return "", nil
	}
	s, err := unescape(token)
	if err != nil {
		return "", err
	}
	if Token(s) != token {
		return "", fmt.Errorf("token %q is not in its canonical form", token)
	}
	return s, nil
}

func TestOnlyCanonicalTokensAreRead(t *testing.T) {
	for _, token := range []string{"%2", "%zz", "%2a", "%41", "a%", "a b", "a.b", "*"} {
		if s, err := parseToken(token); err == nil {
			t.Errorf("token %q was read as %q", token, s)
		}
	}
}

type failer interface {
	Fatalf(format string, args ...any)
}

// checkToken holds what every token promises.
func checkToken(t failer, s string) {
	token := Token(s)
	if token == "" || strings.ContainsAny(token, ".*> \t\r\n\f\x00") {
		t.Fatalf("token %q of %q is not one literal token", token, s)
	}
	if back, err := parseToken(token); err != nil || back != s {
		t.Fatalf("token %q of %q reads back as %q, %v", token, s, back, err)
	}
}

func FuzzEventName(f *testing.F) {
	for _, name := range []string{"order.succeeded", "", ".", "a..b", "*", ">", "%", "%2E", "a.*.>", "\x00", "é"} {
		f.Add(name)
	}
	f.Fuzz(func(t *testing.T, name string) {
		if name == "" {
			return // no event without a name gets this far
		}
		for token := range strings.SplitSeq(name, ".") {
			checkToken(t, token)
		}
		got := subject("shop", name)
		tokens := strings.Split(got, ".")
		if want := strings.Count(name, ".") + 4; len(tokens) != want {
			t.Fatalf("subject %q of %q has %d tokens, want %d", got, name, len(tokens), want)
		}
		e := &Event{ID: NewID(Prod, "shop", name), Env: Prod, Source: "shop", Type: name}
		_, header := e.Encode()
		for _, value := range header["ce-type"] {
			if strings.ContainsAny(value, "\r\n") {
				t.Fatalf("header value %q of %q holds a line break", value, name)
			}
		}
		back, err := Decode(header, nil)
		if err != nil || back.Type != name {
			t.Fatalf("name %q reads back as %+v, %v", name, back, err)
		}
	})
}
