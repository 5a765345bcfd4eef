package app_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/jethook/jethook/internal/app"
)

const manageKey = "sk_prod_the-key-of-the-tests"

// managedConfig is a bridge with the management API; more is the rest of its file.
func managedConfig(dir, more string) string {
	return fmt.Sprintf(`
roles: [deliver, admin]
listen: {admin: "127.0.0.1:0", ops: "127.0.0.1:0", drain_delay: 0s}
nats: {embedded: {store_dir: %q}, stream: {max_bytes: 64MiB}}
deliver: {allow_networks: [127.0.0.0/8]}
admin: {keys: [%s]}
`, dir, manageKey) + more
}

// ask asks the management API and returns the status and the answer.
func ask(t *testing.T, method, url, body string) (status int, answer map[string]any) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Error(err)
		return 0, nil
	}
	r.Header.Set("Authorization", "Bearer "+manageKey)
	r.Header.Set("Content-Type", "application/json")
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Error(err)
		return 0, nil
	}
	defer response.Body.Close()
	if err := json.NewDecoder(response.Body).Decode(&answer); err != nil && err != io.EOF {
		t.Errorf("%s %s: %v", method, url, err)
	}
	return response.StatusCode, answer
}

// startManaged runs a bridge until the test ends, and returns where its endpoints are
// managed.
func startManaged(t *testing.T, dir string) (a *app.App, url string) {
	t.Helper()
	a, err := app.New(t.Context(), load(t, managedConfig(dir, "")), app.Options{Version: "test", Logger: slog.New(slog.DiscardHandler), Stdout: io.Discard})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan error, 1)
	go func() { ended <- a.Run(ctx) }()
	t.Cleanup(func() {
		http.DefaultClient.CloseIdleConnections()
		stop()
		if err := <-ended; err != nil {
			t.Errorf("run: %v", err)
		}
	})
	return a, "http://" + a.Addresses()["admin"] + "/v1/endpoints"
}

func TestAChangeIsListedWhenItIsAnswered(t *testing.T) {
	_, url := startManaged(t, t.TempDir())
	var asking sync.WaitGroup
	for who := range 4 {
		asking.Go(func() {
			for i := range 10 {
				name := fmt.Sprintf("endpoint-%d-%d", who, i)
				for _, step := range []struct {
					method, url, body string
					want              int
				}{
					{http.MethodPost, url, fmt.Sprintf(`{"name":%q,"url":"http://127.0.0.1:1/","events":["shop.>"]}`, name), http.StatusCreated},
					{http.MethodGet, url + "/" + name, "", http.StatusOK},
					{http.MethodDelete, url + "/" + name, "", http.StatusNoContent},
					{http.MethodGet, url + "/" + name, "", http.StatusNotFound},
					{http.MethodPost, url, fmt.Sprintf(`{"name":%q,"url":"http://127.0.0.1:2/","events":["shop.>"]}`, name), http.StatusCreated},
				} {
					if status, answer := ask(t, step.method, step.url, step.body); status != step.want {
						t.Errorf("%s %s: answered %d %v, want %d", step.method, step.url, status, answer, step.want)
					}
				}
			}
		})
	}
	asking.Wait()
}

func TestTheFileWinsAsLongAsItHasTheName(t *testing.T) {
	dir := t.TempDir()
	a, url := startManaged(t, dir)
	shows := func(when, by, at string) {
		t.Helper()
		status, answer := ask(t, http.MethodGet, url+"/billing", "")
		if status != http.StatusOK || answer["managed_by"] != by || answer["url"] != at {
			t.Errorf("%s: answered %d, managed by %v at %v; want 200, %s, %s", when, status, answer["managed_by"], answer["url"], by, at)
		}
	}
	if status, answer := ask(t, http.MethodPost, url, `{"name":"billing","url":"http://127.0.0.1:1/","events":["shop.>"]}`); status != http.StatusCreated {
		t.Fatalf("answered %d %v", status, answer)
	}
	shows("made", "api", "http://127.0.0.1:1/")
	if err := a.Reload(t.Context(), load(t, managedConfig(dir, `endpoints: [{name: billing, url: "http://127.0.0.1:2/", events: [shop.>], signature: none}]`))); err != nil {
		t.Fatal(err)
	}
	shows("the file has it too", "file", "http://127.0.0.1:2/")
	if status, answer := ask(t, http.MethodPut, url+"/billing", `{"timeout":"3s"}`); status != http.StatusOK || answer["url"] != "http://127.0.0.1:2/" {
		t.Errorf("the one of the API is changed: answered %d %v", status, answer)
	}
	shows("the one of the API has changed", "file", "http://127.0.0.1:2/")
	if err := a.Reload(t.Context(), load(t, managedConfig(dir, ""))); err != nil {
		t.Fatal(err)
	}
	shows("the file has it no longer", "api", "http://127.0.0.1:1/")
	if status, answer := ask(t, http.MethodDelete, url+"/billing", ""); status != http.StatusNoContent {
		t.Errorf("deleted: answered %d %v", status, answer)
	}
	if status, _ := ask(t, http.MethodGet, url+"/billing", ""); status != http.StatusNotFound {
		t.Errorf("after it was deleted: answered %d, want 404", status)
	}
}
