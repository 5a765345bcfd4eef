package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/jethook/jethook/api"
)

func TestWhatWasDroppedIsToldWhereTheRestCannotBe(t *testing.T) {
	t.Setenv("JETHOOK_KEY", "sk_test_the-key-of-this-test")
	whole := 0 // batches before the one that fails
	bridge := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var which api.DeadSelection
		if err := json.NewDecoder(r.Body).Decode(&which); err != nil || which.Type != "order.*" {
			t.Errorf("asked for %+v, %v", which, err)
		}
		for n := range whole {
			if which.After == strings.Repeat("x", n) {
				fmt.Fprintf(w, `{"dropped":1000,"next":%q}`, which.After+"x")
				return
			}
		}
		w.WriteHeader(http.StatusServiceUnavailable)
		fmt.Fprintf(w, `{"type":%q,"status":503,"detail":"The bus does not answer in time."}`, api.ProblemType+"unavailable")
	}))
	defer bridge.Close()
	for _, c := range []struct {
		whole          int
		format, stdout string
	}{
		{0, "table", ""},
		{2, "table", "2000 dead events of billing are dropped\n"},
		{2, "json", `{"dropped":2000}` + "\n"},
	} {
		whole = c.whole
		got := runCommand(t, "dead", "drop", "--endpoint", "billing", "--type", "order.*", "--server", bridge.URL, "-o", c.format)
		if got.code != exitUnreachable || got.stdout != c.stdout || !strings.Contains(got.stderr, "does not answer in time") {
			t.Errorf("after %d batches: %+v, want %q and the failure", c.whole, got, c.stdout)
		}
	}
}
