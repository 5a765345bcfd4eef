package main

import (
	"bytes"
	"io"
	"strings"
	"testing"

	"github.com/jethook/jethook/api"
)

func TestTheLastAttemptShowsAtWhatItFailed(t *testing.T) {
	for want, a := range map[string]api.Attempt{
		" attempts used up: 2 of 2; the last: connection refused\n": {Outcome: "dead", Reason: "attempts used up: 2 of 2", Error: "connection refused"},
		" attempts used up: 3 of 3\n":                               {Outcome: "dead", Reason: "attempts used up: 3 of 3", Status: 500},
		" connection refused\n":                                     {Outcome: "retry", Error: "connection refused"},
	} {
		var b bytes.Buffer
		story := eventStory{Attempts: []api.Attempt{a}, AttemptsComplete: true}
		if err := story.write(&b, io.Discard); err != nil || !strings.HasSuffix(b.String(), want) {
			t.Errorf("%+v: got %v and\n%swant it to end with %q", a, err, &b, want)
		}
	}
}
