package event

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// selects reports whether the server would hand the event to a consumer that is
// filtered by the pattern's subject.
func selects(p Pattern, e *Event) bool {
	wanted, tokens := strings.Split(p.Subject(e.Env), "."), strings.Split(e.Subject(), ".")
	for i, token := range wanted {
		switch {
		case i >= len(tokens):
			return false
		case token == ">":
			return true
		case token != "*" && token != tokens[i]:
			return false
		}
	}
	return len(wanted) == len(tokens)
}

func TestAPatternSelectsWhatItSays(t *testing.T) {
	for _, c := range []struct {
		pattern, source, name string
		want                  bool
	}{
		{"clink.order.succeeded", "clink", "order.succeeded", true},
		{"clink.order.succeeded", "clink", "order.failed", false},
		{"clink.order.*", "clink", "order.succeeded", true},
		{"clink.order.*", "clink", "order", false},
		{"clink.order.*", "clink", "order.next.action", false},
		{"chip.>", "chip", "purchase.paid", true},
		{"chip.>", "chipper", "purchase.paid", false},
		{"*.order.>", "clink", "order.a.b", true},
		{">", "any", "thing", true},
		{"shopify.orders/create", "shopify", "orders/create", true},
		{"shop.%2A", "shop", "*", false},
		{"jethook.endpoint.*", System, "jethook.endpoint.disabled", true},
	} {
		p, err := ParsePattern(c.pattern)
		if err != nil {
			t.Fatalf("pattern %q: %v", c.pattern, err)
		}
		if got := selects(p, &Event{Env: Prod, Source: c.source, Type: c.name}); got != c.want {
			t.Errorf("%q selects %q from %q: %v, want %v", c.pattern, c.name, c.source, got, c.want)
		}
	}
}

func TestOnlyAPatternThatNamesJethookAsksForItsEvents(t *testing.T) {
	for pattern, want := range map[Pattern]bool{AllEvents: false, "*.>": false, "*.endpoint.disabled": false, "jethooks.>": false,
		"jethook.>": true, "jethook.endpoint.*": true} {
		if got := pattern.NamesSystem(); got != want {
			t.Errorf("%q: %v, want %v", pattern, got, want)
		}
	}
}

func TestABadPatternIsRefused(t *testing.T) {
	for _, pattern := range []string{"", "clink", "clink.", ".a", "a..b", "a.>.b", ">.a", "a.b*", "a.>b", "a." + strings.Repeat("x", 400)} {
		if p, err := ParsePattern(pattern); err == nil {
			t.Errorf("pattern %q was taken as %q", pattern, p)
		}
	}
}

func TestCoveredPatternsAreReduced(t *testing.T) {
	for _, c := range []struct{ patterns, want []Pattern }{
		{[]Pattern{"a.b", "a.b"}, []Pattern{"a.b"}},
		{[]Pattern{"a.b", "a.*"}, []Pattern{"a.*"}},
		{[]Pattern{"a.b.c", "a.*", "a.>"}, []Pattern{"a.>"}},
		{[]Pattern{"a.*.c", "a.b.*"}, []Pattern{"a.*.c", "a.b.*"}},
		{[]Pattern{"b.>", ">", "a.b"}, []Pattern{">"}},
		{[]Pattern{"a.b", "c.d"}, []Pattern{"a.b", "c.d"}},
	} {
		if got := Reduce(c.patterns); !slices.Equal(got, c.want) {
			t.Errorf("reduce %q: %s", c.patterns, cmp.Diff(c.want, got))
		}
	}
}

func TestReducingLosesNothingAndLeavesNoCover(t *testing.T) {
	token := rapid.SampledFrom([]string{"a", "b", "*"})
	pattern := rapid.Custom(func(t *rapid.T) Pattern {
		tokens := rapid.SliceOfN(token, 1, 3).Draw(t, "tokens")
		if rapid.Bool().Draw(t, "rest") {
			tokens = append(tokens, ">")
		}
		return Pattern("s." + strings.Join(tokens, "."))
	})
	name := rapid.SliceOfN(rapid.SampledFrom([]string{"a", "b", "c"}), 1, 4)
	rapid.Check(t, func(t *rapid.T) {
		patterns := rapid.SliceOfN(pattern, 1, 6).Draw(t, "patterns")
		reduced := Reduce(patterns)
		for _, p := range reduced {
			for _, q := range reduced {
				if p != q && p.Covers(q) {
					t.Fatalf("%q still covers %q in %q", p, q, reduced)
				}
			}
		}
		e := &Event{Env: Test, Source: "s", Type: strings.Join(name.Draw(t, "name"), ".")}
		before := slices.ContainsFunc(patterns, func(p Pattern) bool { return selects(p, e) })
		after := slices.ContainsFunc(reduced, func(p Pattern) bool { return selects(p, e) })
		if before != after {
			t.Fatalf("%q selects %q: %v, but reduced to %q: %v", patterns, e.Type, before, reduced, after)
		}
	})
}

func FuzzPattern(f *testing.F) {
	for _, text := range []string{"clink.order.*", "chip.>", ">", "*.a", "a", "a..b", "a.*b", "a.\x00"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		p, err := ParsePattern(text)
		if err != nil {
			return
		}
		subject := p.Subject(Prod)
		if strings.ContainsAny(subject, " \t\r\n\f\x00") || strings.Contains(subject, "..") || !strings.HasPrefix(subject, "events.prod.") {
			t.Fatalf("pattern %q gives the subject %q", text, subject)
		}
		if !p.Covers(p) || !AllEvents.Covers(p) {
			t.Fatalf("pattern %q does not cover itself, or > does not cover it", text)
		}
	})
}
