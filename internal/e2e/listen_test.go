package e2e

import (
	"bytes"
	"os/exec"
	"regexp"
	"sync"
	"syscall"
	"testing"
)

// lockedBuffer collects what a process writes while a test reads it.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func TestAListenerGetsEveryEventOnceAlsoWhatCameWhileItWasStopped(t *testing.T) {
	t.Parallel()
	r := newReceiver(t, nil)
	b := startManaged(t, embeddedIn(t.TempDir()), sources(desk), adminKeys)
	home := t.TempDir()
	listen := func() (notes *lockedBuffer, stop func()) {
		t.Helper()
		notes = new(lockedBuffer)
		c := exec.Command(binary, "listen", "--prod", "--durable", "laptop", "--events", "desk.order.*", "--events", "desk.refund", "--where", `name != "unwanted"`, "--forward-to", r.server.URL, "--server", b.url("admin", ""))
		c.Env = append(c.Environ(), "JETHOOK_KEY="+prodKey, "XDG_CONFIG_HOME="+home, "HOME="+home)
		c.Stderr = notes
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		stop = sync.OnceFunc(func() {
			_ = c.Process.Signal(syscall.SIGTERM) // it may have ended
			_ = c.Wait()
		})
		t.Cleanup(stop)
		return notes, stop
	}
	secret := regexp.MustCompile(`secret (whsec_\S+)`)
	b.hand("order.paid", "before")
	notes, stop := listen()
	eventually(t, "the place is remembered", func() bool {
		return exec.Command("test", "-s", home+"/jethook/listen/prod/laptop.json").Run() == nil
	})
	id := b.hand("order.paid", "1")
	b.hand("other", "x")
	b.hand("refund", "unwanted")
	d := r.next()
	if d.header.Get("webhook-id") != id {
		t.Errorf("%s came first, want %s", d.header.Get("webhook-id"), id)
	}
	d.signedWith(t, secret.FindStringSubmatch(notes.String())[1])
	stop()
	missed := b.hand("refund", "2")
	_, stop = listen()
	if got := r.next().header.Get("webhook-id"); got != missed && (got != id || r.next().header.Get("webhook-id") != missed) { // the last may come again
		t.Errorf("after a pause %s came, want %s", got, missed)
	}
	stop()
	r.empty()
}
