package main

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/jethook/jethook/api"
)

// readings is a client of an API that answers requests for events one after another,
// and what those asked for.
func readings(t *testing.T, answers ...string) (*api.Client, *[]url.Values) {
	t.Helper()
	asked := new([]url.Values)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/v1/events/read" || len(*asked) == len(answers) {
			http.NotFound(w, r)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, answers[len(*asked)])
		*asked = append(*asked, r.URL.Query())
	}))
	t.Cleanup(s.Close)
	client, err := api.NewClient(s.URL, "sk_test_key")
	if err != nil {
		t.Fatal(err)
	}
	return client, asked
}

func TestAFollowerThatSelectsNothingGoesOnWhereItLooked(t *testing.T) {
	client, asked := readings(t, `{"data":[],"next":20000,"complete":false}`, `{"data":[{"sequence":20001}],"next":20001,"complete":true}`)
	f, err := newFollower(t.Context(), client, followFlags{since: "1h", where: "rare"})
	if err != nil {
		t.Fatal(err)
	}
	enough := errors.New("enough")
	if err := f.each(t.Context(), func(err error) { t.Error(err) }, func(*api.ReadEvent) error { return enough }); !errors.Is(err, enough) {
		t.Fatal(err)
	}
	var got [][2]string
	for _, q := range *asked {
		got = append(got, [2]string{q.Get("since"), q.Get("after")})
	}
	// An hour before the second request would be later than an hour before the first.
	if diff := cmp.Diff([][2]string{{"1h", ""}, {"", "20000"}}, got); diff != "" {
		t.Errorf("since and after that were asked for (-want +got):\n%s", diff)
	}
}
