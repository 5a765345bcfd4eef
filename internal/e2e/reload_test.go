package e2e

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// hangUp asks for a reload.
func (b *bridge) hangUp() {
	b.t.Helper()
	if err := b.command.Process.Signal(syscall.SIGHUP); err != nil {
		b.t.Fatal(err)
	}
}

func TestAChangedFileIsPutIntoForceWithoutARestart(t *testing.T) {
	t.Parallel()
	r := newReceiver(t, nil)
	bus := embeddedIn(t.TempDir())
	b := start(t, bus, sources(shop("shop")))
	b.sold(t, "nobody wants it")
	b.configure(bus, sources(shop("shop"), shop("store")), endpoints(endpoint("new", r)))
	b.waitLog(`"because":"changed file"`)
	id := b.sell("store", order("1")).accepted(t).ID
	if got := r.next().header.Get("webhook-id"); got != id {
		t.Errorf("%s was delivered to the new endpoint, want %s: it starts now", got, id)
	}
}

func TestSIGHUPPutsTheFileIntoForce(t *testing.T) {
	t.Parallel()
	bus := embeddedIn(t.TempDir())
	b := start(t, bus, sources(shop("shop"), shop("store")))
	if err := os.WriteFile(b.file, []byte(preamble+bus+sources(source("shop", "stripe", "whsec_next"))), 0o600); err != nil {
		t.Fatal(err)
	}
	b.hangUp()
	b.waitLog(`"because":"SIGHUP"`)
	body := order("a")
	b.sell("store", body).refused(t, http.StatusNotFound, "unknown_source")
	b.sell("shop", body).refused(t, http.StatusUnauthorized, "signature_missing")
	b.post("shop", signStripe("whsec_next", time.Now(), body), body).accepted(t)
}

func TestRequestsDoNotNoticeAReload(t *testing.T) {
	t.Parallel()
	r := newReceiver(t, nil)
	bus := embeddedIn(t.TempDir())
	b := start(t, bus, sources(shop("shop")), endpoints(endpoint("all", r)))
	done := make(chan struct{})
	var senders sync.WaitGroup
	var sent int
	senders.Go(func() {
		for {
			select {
			case <-done:
				return
			default:
			}
			body := order(fmt.Sprint(sent))
			a, err := send(t.Context(), http.MethodPost, b.url("ingest", "/in/shop"), signShop(shopSecret, time.Now(), body), body)
			if err != nil || a.status != http.StatusOK {
				t.Errorf("request %d during a reload: %v %d %s", sent, err, a.status, a.body)
				return
			}
			sent++
		}
	})
	for i := range 3 {
		b.configure(bus, sources(shop("shop"), shop(fmt.Sprintf("new-%d", i))), endpoints(endpoint("all", r, fmt.Sprintf("timeout: %ds", 10+i))))
		b.hangUp()
		eventually(t, "the new source is there", func() bool {
			return b.sell(fmt.Sprintf("new-%d", i), order("a")).status == http.StatusOK
		})
	}
	close(done)
	senders.Wait()
	seen := map[string]bool{}
	for len(seen) < sent+3 {
		seen[r.next().header.Get("webhook-id")] = true
	}
}

// badFiles are configurations that are wrong, each with a text where it is.
func badFiles() []struct{ name, text, where, problem string } {
	good := sources(shop("shop"))
	return []struct{ name, text, where, problem string }{
		{"an unknown key", good + "endpoints:\n  - {name: a, url: 'http://127.0.0.1:1', all_events: true, retrys: {}}\n", "retrys", "retry"},
		{"a wrong unit", good + "endpoints:\n  - {name: a, url: 'http://127.0.0.1:1', all_events: true, timeout: 15parsecs}\n", "15parsecs", "timeout"},
		{"an unknown preset", "sources:\n  - {name: shop, preset: strype, secrets: [a]}\n", "strype", "stripe"},
		{"no YAML", good + "endpoints: }\n", "endpoints: }", "not YAML"},
		{"a filter that does not compile", good + "endpoints:\n  - {name: a, url: 'http://127.0.0.1:1', all_events: true, filter: 'data.amount >'}\n", "data.amount >", "filter"},
		{"a metadata address", good + "endpoints:\n  - {name: a, url: 'http://169.254.169.254/', all_events: true}\n", "169.254.169.254", "link-local"},
	}
}

func TestABadFileLeavesTheRunningConfigurationInForceAndSaysWhere(t *testing.T) {
	t.Parallel()
	bus := embeddedIn(t.TempDir())
	b := start(t, bus, sources(shop("shop")))
	for i, bad := range badFiles() {
		t.Run(bad.name, func(t *testing.T) {
			b.configure(bus, strings.Repeat("#\n", 5*i)+bad.text) // lines of its own for each
			line := b.waitLog(fmt.Sprintf(`"at":"%s:%d:`, b.file, lineOf(t, b.file, bad.where)))
			if !strings.Contains(line, bad.problem) {
				t.Errorf("the log says %s, want %s in it", line, bad.problem)
			}
			b.sold(t, fmt.Sprint(i))
		})
	}
	b.configure(bus, sources(shop("shop"), shop("store")))
	b.waitLog("configuration reloaded")
	b.sell("store", order("a")).accepted(t)
}

// lineOf is the number of the first line with the text.
func lineOf(t *testing.T, file, text string) int {
	t.Helper()
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	before, _, found := strings.Cut(string(content), text)
	if !found {
		t.Fatalf("%s has no %q:\n%s", file, text, content)
	}
	return 1 + strings.Count(before, "\n")
}

func TestABadFileDoesNotStart(t *testing.T) {
	t.Parallel()
	for _, bad := range badFiles() {
		t.Run(bad.name, func(t *testing.T) {
			t.Parallel()
			b := newBridge(t, embeddedIn(t.TempDir()), bad.text)
			command := exec.CommandContext(t.Context(), binary, "serve", "-c", b.file)
			var stderr strings.Builder
			command.Stderr = &stderr
			err := command.Run()
			var exit *exec.ExitError
			if !errors.As(err, &exit) || exit.ExitCode() != 1 {
				t.Errorf("ended with %v, want exit code 1", err)
			}
			place := fmt.Sprintf("%s:%d:", b.file, lineOf(t, b.file, bad.where))
			if !strings.Contains(stderr.String(), place) || !strings.Contains(stderr.String(), bad.problem) {
				t.Errorf("stderr is %q, want %s and %q", &stderr, place, bad.problem)
			}
		})
	}
}
