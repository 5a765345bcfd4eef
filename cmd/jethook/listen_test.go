package main

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jethook/jethook/api"
	"github.com/jethook/jethook/config"
)

func TestAListenerGoesOnInItsOwnStreamAlone(t *testing.T) {
	for _, c := range []struct {
		name, place string
		code        exitCode // 0 is that it goes on
	}{
		{"where it was", `{"after":7}`, 0},
		{"at the end", `{"after":12}`, 0},
		{"past the end", `{"after":5000}`, exitConflict},
	} {
		t.Run(c.name, func(t *testing.T) {
			client, _ := readings(t, `{"data":[],"next":12,"complete":true}`)
			l := &listener{cursor: filepath.Join(t.TempDir(), "laptop.json"), follower: &follower{client: client}}
			if err := os.WriteFile(l.cursor, []byte(c.place), 0o600); err != nil {
				t.Fatal(err)
			}
			err := l.restore(t.Context())
			refused := &failure{}
			if errors.As(err, &refused); refused.code != c.code || c.code == 0 && err != nil {
				t.Errorf("error %v, want one with code %d", err, c.code)
			}
		})
	}
}

func TestWhatAListenerPrintsCommandsNoTerminal(t *testing.T) {
	var out bytes.Buffer
	l := &listener{printBody: true, out: &out}
	if err := l.print(&heard{Event: api.Event{Type: "order\x1b]0;x\a"}, Body: "{\n\t\"name\": \"\x1b[2J\u009b\r\"\n}"}); err != nil {
		t.Fatal(err)
	}
	if strings.ContainsAny(out.String(), "\x1b\a\r\u009b") || !strings.HasSuffix(out.String(), "{\n\t\"name\": \"·[2J··\"\n}\n") {
		t.Errorf("printed %q", &out)
	}
}

func TestAListenerTakesARedirectForARefusal(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if got, want := r.UserAgent(), "jethook/"+thisBuild().Version; got != want {
			t.Errorf("sent as %q, want %q", got, want)
		}
		http.Redirect(w, r, "/elsewhere", http.StatusFound)
	}))
	t.Cleanup(s.Close)
	l := &listener{forward: s.URL, notes: io.Discard}
	if err := l.prepare("test", ""); err != nil {
		t.Fatal(err)
	}
	of := heard{Event: api.Event{ID: "evt_1", Type: "order.paid", Source: "shop", Env: "test"}}
	if err := l.post(t.Context(), &of, []byte("{}"), 1); err != nil || of.Status != http.StatusFound {
		t.Errorf("status %d, error %v; want %d", of.Status, err, http.StatusFound)
	}
	localClient.CloseIdleConnections()
}

func TestAListenerSignsWithTheSecretThatItIsGiven(t *testing.T) {
	const secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
	receiver, err := newDevReceiver(io.Discard, config.NewSecret(secret), 0)
	if err != nil {
		t.Fatal(err)
	}
	defer receiver.close()
	var notes bytes.Buffer
	l := &listener{forward: receiver.url(), key: keyFlag{"forward-key", "@" + writeFile(t, "secret", secret+"\n")}, notes: &notes}
	if err := l.prepare("test", ""); err != nil {
		t.Fatal(err)
	}
	of := heard{Event: api.Event{ID: "evt_1", Type: "order.paid", Source: "shop", Env: "test"}}
	if err := l.post(t.Context(), &of, []byte("{}"), 3); err != nil || of.Status != http.StatusOK {
		t.Errorf("status %d, error %v; want that it is verified", of.Status, err)
	}
	if !strings.Contains(notes.String(), "with the secret of --forward-key") || strings.Contains(notes.String(), secret) {
		t.Errorf("it says %q", &notes)
	}
	localClient.CloseIdleConnections()
}
