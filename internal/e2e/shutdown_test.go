package e2e

import (
	"bytes"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// terminate asks for an orderly end and does not wait for it.
func (b *bridge) terminate() {
	b.t.Helper()
	if err := b.command.Process.Signal(syscall.SIGTERM); err != nil {
		b.t.Fatal(err)
	}
}

func TestSIGTERMFailsReadinessFirstAndLetsAttemptsInFlightFinish(t *testing.T) {
	t.Parallel()
	begun, release := make(chan string, 10), make(chan struct{})
	r := newReceiver(t, func(_ http.ResponseWriter, d delivery) int {
		begun <- d.header.Get("webhook-id")
		<-release
		return http.StatusOK
	})
	let := sync.OnceFunc(func() { close(release) })
	t.Cleanup(let) // a server does not close while it answers
	b := newBridge(t, embeddedIn(t.TempDir()), sources(shop("shop")), endpoints(endpoint("slow", r)))
	b.overlay("listen: {drain_delay: 3s}\n")
	b.run()
	first := b.sold(t, "first")
	if got := <-begun; got != first {
		t.Errorf("%s is in flight, want %s", got, first)
	}

	b.terminate()
	var draining answer
	eventually(t, "readiness fails", func() bool {
		draining = b.get("ops", "/readyz")
		return draining.status == http.StatusServiceUnavailable
	})
	if !strings.Contains(draining.body, "[-] process: draining") {
		t.Errorf("readyz says %q, want draining", draining.body)
	}
	second := b.sold(t, "second") // traffic goes on for drain_delay
	eventually(t, "the listener closes", func() bool {
		_, err := send(t.Context(), http.MethodPost, b.url("ingest", "/in/shop"), nil, nil)
		return err != nil
	})
	select {
	case <-b.exited:
		t.Error("the process ended before the attempt in flight")
	default:
	}
	let()
	<-b.exited
	if code := b.command.ProcessState.ExitCode(); code != 0 {
		t.Errorf("exit code %d, want 0", code)
	}

	b.run()
	third := b.sold(t, "third")
	delivered := r.of(3)
	for _, id := range []string{first, second, third} {
		if got := delivered[id]; len(got) != 1 || got[0].header.Get("jethook-attempt") != "1" {
			t.Errorf("%s was delivered %d times, want once: what finished is settled", id, len(got))
		}
	}
}

// acknowledged are the bodies that were answered 2xx, by the event's id.
type acknowledged struct {
	mu     sync.Mutex
	bodies map[string][]byte
	more   chan struct{}
}

func (a *acknowledged) add(id string, body []byte) {
	a.mu.Lock()
	a.bodies[id] = body
	a.mu.Unlock()
	a.more <- struct{}{}
}

// hammer posts orders until the gateway is gone.
func (a *acknowledged) hammer(t *testing.T, url, name string) {
	for i := 0; ; i++ {
		body := order(fmt.Sprintf("%s-%d", name, i))
		got, err := send(t.Context(), http.MethodPost, url, signShop(shopSecret, time.Now(), body), body)
		if err != nil {
			return // not answered: it may be stored or not
		}
		a.add(got.accepted(t).ID, body)
	}
}

func TestSIGKILLLosesNothingThatWasAnswered2xx(t *testing.T) {
	t.Parallel()
	const rounds, senders, each = 3, 8, 60
	r := newReceiver(t, nil)
	b := start(t, embeddedIn(t.TempDir()), sources(shop("shop")), endpoints(endpoint("all", r, "timeout: 1s")))
	all := &acknowledged{bodies: map[string][]byte{}, more: make(chan struct{}, 100_000)}
	for round := range rounds {
		var posting sync.WaitGroup
		for sender := range senders {
			posting.Go(func() { all.hammer(t, b.url("ingest", "/in/shop"), fmt.Sprintf("%d-%d", round, sender)) })
		}
		for range each {
			<-all.more
		}
		b.kill()
		posting.Wait()
		b.run()
	}
	// What was in flight comes again when its acknowledgement is overdue, half
	// a minute later.
	for len(all.bodies) > 0 {
		d := r.next()
		id := d.header.Get("webhook-id")
		if body, ok := all.bodies[id]; ok && !bytes.Equal(body, d.body) {
			t.Errorf("%s was delivered as %q, want %q", id, d.body, body)
		}
		delete(all.bodies, id)
	}
}
