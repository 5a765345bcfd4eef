package provider

import (
	"strings"
	"testing"
)

func TestAPatternThatSelectsNoEventOfTheSenderIsRefusedWithTheNearestOne(t *testing.T) {
	for _, test := range []struct{ preset, pattern, want string }{
		{"clink", "order.succeeded", ""},
		{"clink", ">", ""},
		{"clink", "*.*", ""},
		{"clink", "order.*", ""},
		{"clink", "subscription.>", ""},
		{"clink", "*.updated.renewed", ""},
		{"clink", "subscription.*.*", ""},
		{"stripe", "invoic.*", ""}, // its events are not all known
		{"clink", "order.suceeded", `"order.succeeded"`},
		{"clink", "*", `">"`},
		{"clink", "ordr.*", `"order.*"`},
		{"clink", "ordr.>", `"order.>"`},
		{"clink", "order.succeeded.*", `"order.succeeded"`},
		{"clink", "order.succeeded.>", `"order.succeeded"`},
		{"clink", "subscription.updatd.*", `"subscription.updated.*"`},
		{"clink", "*.suceeded", `"*.succeeded"`},
		{"github", "push.*", `"push"`},
		{"github", "no_event_at_all_that_is_like_it.*.*.*", "GitHub has no event"},
	} {
		err := mustLookup(t, test.preset).CheckPattern(test.pattern)
		if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
			t.Errorf("%s: pattern %q: %v, want %q in it", test.preset, test.pattern, err, test.want)
		}
	}
}
