package ingest

import (
	"strings"
	"testing"
)

func TestARequestIDIsShortAndPlain(t *testing.T) {
	for id, want := range map[string]bool{
		"0193a5c0-7e5b-7b1c-9d2e-0123456789ab": true,
		"A.b_c-9":                              true,
		strings.Repeat("a", 128):               true,
		strings.Repeat("a", 129):               false,
		"":                                     false,
		"a b":                                  false,
		"a\nb":                                 false,
		"ä":                                    false,
		"a{b}":                                 false,
		"@[`":                                  false,
	} {
		if got := validRequestID(id); got != want {
			t.Errorf("%q: got %t, want %t", id, got, want)
		}
	}
}
