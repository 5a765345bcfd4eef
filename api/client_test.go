package api

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

const key = "sk_prod_the-key-of-the-tests"

// answering is a client of a server that answers as told.
func answering(t *testing.T, handle http.HandlerFunc) *Client {
	t.Helper()
	server := httptest.NewServer(handle)
	t.Cleanup(server.Close)
	client, err := NewClient(server.URL+"/", key)
	if err != nil {
		t.Fatal(err)
	}
	return client
}

func TestARefusalIsAProblemWithItsParts(t *testing.T) {
	client := answering(t, func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusUnprocessableEntity)
		fmt.Fprint(w, `{"type":"urn:jethook:problem:invalid","title":"Request not valid","status":422,"code":"invalid","detail":"See errors.","request_id":"r","errors":[{"field":"query.limit","message":"is too large"},{"field":"body","message":"says nothing"}]}`)
	})
	_, err := client.Events(t.Context(), EventQuery{})
	var refused *Problem
	if !errors.As(err, &refused) || refused.Code != "invalid" || err.Error() != "limit: is too large; says nothing" {
		t.Errorf("error %v, want the problem with its field", err)
	}
}

func TestAFailureOfTheBridgeNamesItsRequest(t *testing.T) {
	client := answering(t, func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusInternalServerError)
		_, _ = w.Write([]byte(`{"type":"urn:jethook:problem:internal","code":"internal","status":500,"detail":"The log has it under this request_id.","request_id":"4711"}`))
	})
	if _, err := client.Events(t.Context(), EventQuery{}); err == nil || err.Error() != "The log has it under this request_id. (request_id 4711)" {
		t.Errorf("error %v", err)
	}
}

func TestWhatIsNotTheAPIWasNotReached(t *testing.T) {
	for name, handle := range map[string]http.HandlerFunc{
		"a page":    func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "<html>") },
		"a refusal": func(w http.ResponseWriter, _ *http.Request) { http.NotFound(w, nil) },
		"another's problem": func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(404)
			fmt.Fprint(w, `{"type":"about:blank","status":404}`)
		},
		"a broken answer": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "100")
			fmt.Fprint(w, "{")
		},
	} {
		_, err := answering(t, handle).Events(t.Context(), EventQuery{})
		if !errors.Is(err, ErrUnreachable) {
			t.Errorf("%s: error %v, want ErrUnreachable", name, err)
		}
	}
}

func TestAKeyGoesToItsServerAloneAndIntoNoErrorOrOutput(t *testing.T) {
	stranger := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		t.Errorf("a redirect was followed, with %q", r.Header.Get("Authorization"))
	}))
	defer stranger.Close()
	client := answering(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer "+key {
			t.Errorf("the server got %q", r.Header.Get("Authorization"))
		}
		http.Redirect(w, r, stranger.URL, http.StatusTemporaryRedirect)
	})
	_, err := client.Events(t.Context(), EventQuery{})
	if !errors.Is(err, ErrUnreachable) {
		t.Errorf("error %v, want ErrUnreachable", err)
	}
	nobody, unreachable := NewClient("http://127.0.0.1:1", key)
	if unreachable != nil {
		t.Fatal(unreachable)
	}
	_, unreachable = nobody.Events(t.Context(), EventQuery{})
	_, malformed := NewClient("http://127.0.0.1:1", key+"\n")
	for _, shown := range []string{err.Error(), unreachable.Error(), malformed.Error(), fmt.Sprintf("%v %+v %#v", client, *client, client)} {
		if strings.Contains(shown, "the-key-of-the-tests") {
			t.Errorf("the key is in %q", shown)
		}
	}
}

func TestAServerHasAnAddress(t *testing.T) {
	for _, server := range []string{"", "localhost", "localhost:8081", "ftp://a.example", "http://", "://"} {
		if _, err := NewClient(server, key); err == nil {
			t.Errorf("%q was taken as an address", server)
		}
	}
}
