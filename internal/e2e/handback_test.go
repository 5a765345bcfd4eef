package e2e

import (
	"net/http"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

func TestSIGTERMEndsWithinItsBoundAndHandsTheRestBack(t *testing.T) {
	t.Parallel()
	var attempts atomic.Int64
	begun, release := make(chan struct{}), make(chan struct{})
	r := newReceiver(t, func(http.ResponseWriter, delivery) int {
		if attempts.Add(1) == 1 {
			close(begun)
			<-release
		}
		return http.StatusOK
	})
	t.Cleanup(func() { close(release) }) // a server does not close while it answers
	b := newBridge(t, embeddedIn(t.TempDir()), sources(shop("shop")), endpoints(endpoint("stuck", r, "timeout: 10m", "concurrency: 1")))
	b.overlay("listen: {drain_timeout: 1s}\n")
	b.run()
	id := b.sold(t, "stuck")
	<-begun
	asked := time.Now()
	if code := b.stop(syscall.SIGTERM); code != 0 {
		t.Errorf("exit code %d, want 0", code)
	}
	// The bound is a second; the rest is for a busy machine to close the bus.
	if took := time.Since(asked); took > 15*time.Second {
		t.Errorf("it took %s to end, want drain_timeout, 1s, and a little", took)
	}
	b.run()
	d := r.next()
	if got := d.header.Get("webhook-id"); got != id || d.header.Get("jethook-attempt") != "1" {
		t.Errorf("after the restart came %s attempt %s, want %s attempt 1: one cut off does not count", got, d.header.Get("jethook-attempt"), id)
	}
}
