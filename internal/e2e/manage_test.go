package e2e

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/jethook/jethook/api"
)

// managed has the management API served as well.
const managed = "roles: [ingest, deliver, admin]\nlisten: {admin: \"127.0.0.1:0\"}\n"

const (
	prodKey = "sk_prod_key-of-the-tests-70efdf2e"
	testKey = "sk_test_key-of-the-tests-6f4922f4"
)

const adminKeys = "admin: {keys: [" + prodKey + ", " + testKey + "]}"

// startManaged is start with the management API.
func startManaged(t *testing.T, parts ...string) *bridge {
	t.Helper()
	b := newBridge(t, parts...)
	b.overlay(managed)
	b.run()
	return b
}

// manager is a client of the bridge's management API.
func (b *bridge) manager(key string) *api.Client {
	b.t.Helper()
	client, err := api.NewClient(b.url("admin", ""), key)
	if err != nil {
		b.t.Fatal(err)
	}
	return client
}

// done fails the test where a client was refused.
func done[T any](t *testing.T) func(T, error) T {
	return func(answer T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return answer
	}
}

// refusedAs checks that the error is a refusal of that status.
func refusedAs(t *testing.T, err error, status int) {
	t.Helper()
	var refused *api.Problem
	if !errors.As(err, &refused) || refused.Status != status {
		t.Errorf("error %v, want a refusal with %d", err, status)
	}
}

var generatedKey = regexp.MustCompile(`sk_(prod|test)_[a-z2-7]{58}`)

func TestAKeyForEachEnvironmentIsGeneratedAndShownOnce(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	b := startManaged(t, embeddedIn(dir), sources(desk))
	id := b.hand("order.paid", "1")
	keys := map[string]string{}
	for _, key := range generatedKey.FindAllString(b.stdout.String(), -1) {
		keys[key[:8]] = key
	}
	if len(keys) != 2 {
		t.Fatalf("stdout shows %d keys, want two: %q", len(keys), b.stdout)
	}
	for _, restarted := range []bool{false, true} {
		if e, err := b.manager(keys["sk_prod_"]).Event(t.Context(), id); err != nil || e.ID != id {
			t.Errorf("restarted %v: event %+v, error %v", restarted, e, err)
		}
		_, err := b.manager(keys["sk_test_"]).Event(t.Context(), id)
		refusedAs(t, err, http.StatusNotFound)
		_, err = b.manager("sk_prod_guessed").Event(t.Context(), id)
		refusedAs(t, err, http.StatusUnauthorized)
		if log := b.log.String(); generatedKey.MatchString(log) || strings.Contains(log, "guessed") {
			t.Errorf("the log shows a key:\n%s", log)
		}
		if code := b.stop(syscall.SIGTERM); code != 0 {
			t.Fatalf("exit code %d, want 0", code)
		}
		if !restarted {
			b.run()
			if out := b.stdout.String(); generatedKey.MatchString(out) {
				t.Errorf("a key is shown again: %q", out)
			}
		}
	}
	for _, key := range keys {
		notStored(t, dir, key)
	}
}

// notStored fails where a file below dir holds the text.
func notStored(t *testing.T, dir, text string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, entry os.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		content, err := os.ReadFile(path)
		if strings.Contains(string(content), text) {
			t.Errorf("%s holds a key", path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestKeysOfTheFileChangeWhileItRuns(t *testing.T) {
	t.Parallel()
	store := embeddedIn(t.TempDir())
	b := startManaged(t, store, sources(desk), adminKeys)
	if generatedKey.MatchString(b.stdout.String()) {
		t.Errorf("a key is generated although the file has some: %q", b.stdout)
	}
	done[api.List[api.Event]](t)(b.manager(prodKey).Events(t.Context(), api.EventQuery{}))
	b.reconfigure(store, sources(desk), "admin: {keys: [sk_prod_another]}")
	_, err := b.manager(prodKey).Events(t.Context(), api.EventQuery{})
	refusedAs(t, err, http.StatusUnauthorized)
	done[api.List[api.Event]](t)(b.manager("sk_prod_another").Events(t.Context(), api.EventQuery{}))
}

func TestADeadEventIsDeliveredAgainToItsEndpointAloneAndItsAttemptsAreShown(t *testing.T) {
	t.Parallel()
	var back atomic.Bool
	billing := newReceiver(t, func(http.ResponseWriter, delivery) int {
		if back.Load() {
			return http.StatusOK
		}
		return http.StatusInternalServerError
	})
	ledger := newReceiver(t, nil)
	b := startManaged(t, embeddedIn(t.TempDir()), sources(desk), adminKeys, endpoints(
		to("billing", billing.server.URL, signed, "retry: {attempts: 2, initial: 50ms, multiplier: 1, jitter: 0}"),
		to("ledger", ledger.server.URL, signed)))
	m := b.manager(prodKey)
	id := b.hand("order.paid", "1")
	billing.of(2)
	ledger.next()
	var dead api.Dead
	eventually(t, "it is dead", func() bool {
		list, err := m.DeadEvents(t.Context(), api.DeadQuery{Endpoint: "billing"})
		if err == nil && len(list.Data) == 1 {
			dead = list.Data[0]
		}
		return dead.ID != ""
	})
	if dead.EventID != id || dead.EventType != "order.paid" || dead.Attempts != 2 || dead.LastStatus != 500 || dead.Reason == "" {
		t.Errorf("dead event %+v", dead)
	}
	back.Store(true)
	done[api.Redelivery](t)(m.RetryDead(t.Context(), dead.ID))
	if got := billing.next(); got.id() != id || got.status != http.StatusOK || got.attempt() != "1" {
		t.Errorf("%s attempt %s was answered %d, want %s, 1 and 200", got.id(), got.attempt(), got.status, id)
	}
	_, err := m.DeadEvent(t.Context(), dead.ID)
	refusedAs(t, err, http.StatusNotFound)

	// The next event shows that the other endpoint got nothing in between.
	next := b.hand("order.paid", "2")
	if got := ledger.next(); got.id() != next {
		t.Errorf("the other endpoint got %s, want %s", got.id(), next)
	}
	var attempts api.Attempts
	eventually(t, "all attempts are recorded", func() bool {
		attempts, err = m.Attempts(t.Context(), id, "")
		return err == nil && len(attempts.Data) == 4
	})
	outcomes := map[string]int{}
	for _, a := range attempts.Data {
		outcomes[a.Endpoint+" "+a.Outcome]++
	}
	if !attempts.Complete || outcomes["ledger delivered"] != 1 || outcomes["billing delivered"] != 1 || outcomes["billing retry"] != 1 || outcomes["billing dead"] != 1 {
		t.Errorf("attempts %v, want one of ledger and three of billing", outcomes)
	}
}

func TestAnEventIsSentAgainTwiceWhereItIsAskedForTwice(t *testing.T) {
	t.Parallel()
	billing, ledger := newReceiver(t, nil), newReceiver(t, nil)
	b := startManaged(t, embeddedIn(t.TempDir()), sources(desk), adminKeys,
		endpoints(to("billing", billing.server.URL, signed), to("ledger", ledger.server.URL, signed)))
	m := b.manager(prodKey)
	id := b.hand("order.paid", "1")
	first := billing.next()
	ledger.next()
	for range 2 {
		done[api.Redelivery](t)(m.Resend(t.Context(), id, "billing"))
	}
	for range 2 {
		if got := billing.next(); got.id() != id || string(got.body) != string(first.body) {
			t.Errorf("got %s with %s, want %s with %s", got.id(), got.body, id, first.body)
		}
	}
	if body := done[[]byte](t)(m.Body(t.Context(), id)); string(body) != string(first.body) {
		t.Errorf("body %s, want %s", body, first.body)
	}
	ledger.empty()
}

func TestAPausedEndpointGetsNothingAndLosesNothing(t *testing.T) {
	t.Parallel()
	billing, ledger := newReceiver(t, nil), newReceiver(t, nil)
	store := embeddedIn(t.TempDir())
	configured := func(url string) []string {
		return []string{store, sources(desk), adminKeys, endpoints(to("billing", url, signed), to("ledger", ledger.server.URL, signed))}
	}
	b := startManaged(t, configured(billing.server.URL)...)
	paused, err := b.manager(prodKey).Pause(t.Context(), "billing")
	if err != nil || paused.State != "paused" {
		t.Fatalf("%+v, %v, want it paused", paused, err)
	}
	b.waitLog("endpoint is paused and its events wait")
	ids := []string{b.hand("order.paid", "1"), b.hand("order.paid", "2")}
	done[api.Redelivery](t)(b.manager(prodKey).Resend(t.Context(), ids[0], "billing"))
	ledger.of(2)
	t.Run("also after a restart and with another url", func(t *testing.T) {
		if code := b.stop(syscall.SIGTERM); code != 0 {
			t.Fatalf("exit code %d, want 0", code)
		}
		b.configure(configured(billing.server.URL + "/new")...)
		b.run()
		b.waitLog("endpoint is paused and its events wait")
		ids = append(ids, b.hand("order.paid", "3"))
		ledger.next()
		billing.empty()
		shown, err := b.manager(prodKey).Endpoint(t.Context(), "billing")
		if err != nil || shown.State != "paused" || shown.Waiting != 3 || shown.Retries != 1 || !shown.Since.Equal(paused.Since) {
			t.Errorf("%+v, %v, want it paused since %s with 3 waiting and 1 retry", shown, err, paused.Since)
		}
	})
	if resumed, err := b.manager(prodKey).Resume(t.Context(), "billing", api.Resume{}); err != nil || resumed.State != "enabled" {
		t.Fatalf("%+v, %v, want it enabled", resumed, err)
	}
	got := billing.of(4)
	if len(got[ids[0]]) != 2 || len(got[ids[1]]) != 1 || len(got[ids[2]]) != 1 {
		t.Errorf("delivered %d, %d and %d times, want 2, 1 and 1", len(got[ids[0]]), len(got[ids[1]]), len(got[ids[2]]))
	}
}

func TestAnEndpointThatAnswered410IsResumed(t *testing.T) {
	t.Parallel()
	var back atomic.Bool
	r := newReceiver(t, func(http.ResponseWriter, delivery) int {
		if back.Load() {
			return http.StatusOK
		}
		return http.StatusGone
	})
	b := startManaged(t, embeddedIn(t.TempDir()), sources(desk), adminKeys, endpoints(to("billing", r.server.URL, signed)))
	id := b.hand("order.paid", "1")
	r.next()
	b.waitLog("endpoint is disabled and its events wait")
	shown, err := b.manager(prodKey).Endpoint(t.Context(), "billing")
	if err != nil || shown.State != "disabled" || !strings.Contains(shown.Reason, "410") || shown.Since.IsZero() {
		t.Errorf("%+v, %v, want it disabled because of a 410", shown, err)
	}
	back.Store(true)
	if resumed, err := b.manager(prodKey).Resume(t.Context(), "billing", api.Resume{}); err != nil || resumed.State != "enabled" {
		t.Fatalf("%+v, %v, want it enabled", resumed, err)
	}
	if got := r.next(); got.id() != id || got.status != http.StatusOK {
		t.Errorf("%s was answered %d, want %s and 200", got.id(), got.status, id)
	}
}

func TestAProcessWithTheRoleAdminAloneManagesASharedBus(t *testing.T) {
	t.Parallel()
	n := newNATS(t)
	billing := newReceiver(t, nil)
	worker := start(t, n.on(), sources(desk), endpoints(to("billing", billing.server.URL, signed)))
	office := newBridge(t, n.on(), adminKeys)
	office.overlay("roles: [admin]\nlisten: {admin: \"127.0.0.1:0\"}\n")
	office.run()
	m := office.manager(prodKey)

	id := worker.hand("order.paid", "1")
	billing.next()
	eventually(t, "the event is found", func() bool {
		e, err := m.Event(t.Context(), id)
		return err == nil && e.ID == id
	})
	if got, err := m.Pause(t.Context(), "billing"); err != nil || got.State != "paused" || len(got.Events) != 1 || got.Events[0] != "desk.>" {
		t.Errorf("%+v, %v, want it paused with its events", got, err)
	}
	worker.waitLog("endpoint is paused and its events wait")
	next := worker.hand("order.paid", "2")
	eventually(t, "it waits", func() bool {
		e, err := m.Endpoint(t.Context(), "billing")
		return err == nil && e.Waiting == 1
	})
	billing.empty()
	done[api.Endpoint](t)(m.Resume(t.Context(), "billing", api.Resume{}))
	if got := billing.next(); got.id() != next {
		t.Errorf("got %s, want %s", got.id(), next)
	}
}

func TestAResumedEndpointGetsWhatWaitedAtTheRateThatWasChosen(t *testing.T) {
	t.Parallel()
	r := newReceiver(t, nil)
	b := startManaged(t, embeddedIn(t.TempDir()), sources(desk), adminKeys, endpoints(to("billing", r.server.URL, signed)))
	client := b.manager(prodKey)
	done[api.Endpoint](t)(client.Pause(t.Context(), "billing"))
	first := time.Now()
	const waited = 30
	for i := range waited {
		b.hand("order.paid", fmt.Sprint(i))
	}
	shown := done[api.Endpoint](t)(client.Endpoint(t.Context(), "billing"))
	if shown.OldestWaiting.Before(first.Add(-time.Second)) || shown.ExpiresAt.Sub(shown.OldestWaiting) != 30*24*time.Hour {
		t.Errorf("the oldest is shown to wait since %s and to expire at %s, want since %s and 30 days later", shown.OldestWaiting, shown.ExpiresAt, first)
	}
	if resumed := done[api.Endpoint](t)(client.Resume(t.Context(), "billing", api.Resume{Rate: "20/s"})); resumed.DrainRate != "20/s" || resumed.State != "enabled" {
		t.Errorf("resumed as %+v, want at 20/s", resumed)
	}
	begun := r.next().at
	b.kill() // the rate holds after a restart
	b.run()
	client = b.manager(prodKey)
	var last delivery
	for seen := map[string]bool{}; len(seen) < waited-1; seen[last.header.Get("webhook-id")] = true {
		last = r.next()
	}
	if took := last.at.Sub(begun); took < (waited-4)*time.Second/20 {
		t.Errorf("%d events were delivered in %v, want 20 a second", waited, took)
	}
	eventually(t, "its own rate holds again", func() bool {
		return done[api.Endpoint](t)(client.Endpoint(t.Context(), "billing")).DrainRate == ""
	})
	_, err := client.Resume(t.Context(), "billing", api.Resume{Rate: "20"})
	refusedAs(t, err, http.StatusUnprocessableEntity)
}
