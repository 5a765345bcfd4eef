package fanout

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"
)

// crowd returns so many endpoints that all get every event of the shop.
func crowd(t *testing.T, url string, n int) []Endpoint {
	t.Helper()
	var all []Endpoint
	for i := range n {
		e := endpoint(t, fmt.Sprint("e", i), url, "shop.>")
		e.Concurrency = 1
		all = append(all, e)
	}
	return all
}

// counted waits for n deliveries.
func (r *receiver) counted(t *testing.T, n int, patience time.Duration) {
	t.Helper()
	deadline := time.After(patience)
	for i := range n {
		select {
		case <-r.got:
		case <-deadline:
			t.Fatalf("%d of %d were delivered", i, n)
		}
	}
}

// waking is how many endpoints wake at once; JETHOOK_WAKING asks for more.
func waking(t *testing.T) int {
	t.Helper()
	n, err := strconv.Atoi(os.Getenv("JETHOOK_WAKING"))
	if err != nil {
		return 300
	}
	return n
}

func TestAllEndpointsWakeAtOnce(t *testing.T) {
	b := openBus(t, t.TempDir())
	to := newReceiver(t)
	r := newReplica(t, b, nil)
	n := waking(t)
	r.apply(t, crowd(t, to.url, n))
	r.start(t)
	began := time.Now()
	publish(t, b, "order.a")
	to.counted(t, n, max(patience, time.Duration(n)*100*time.Millisecond))
	t.Logf("%d woke in %s", n, time.Since(began))
	for line := range strings.Lines(r.logs.String()) {
		if strings.Contains(line, "delivery worker ended") {
			t.Fatalf("a worker could not be opened at its first try: %s", line)
		}
	}
}

func TestThoseThatWaitForTheirTurnToWakeHoldUpNeitherAReloadNorAStop(t *testing.T) {
	b := openBus(t, t.TempDir())
	to := newReceiver(t)
	r := newReplica(t, b, nil)
	all := crowd(t, to.url, waking(t))
	r.apply(t, all)
	for range openAtOnce { // so that nobody's turn comes
		r.opening <- struct{}{}
	}
	stop := r.start(t)
	publish(t, b, "order.a")
	eventually(t, "all wait for their turn", func() bool {
		r.Registry.mu.Lock()
		defer r.Registry.mu.Unlock()
		return len(r.workers) == len(all)
	})
	began := time.Now()
	r.apply(t, all[1:])
	stop()
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("reload and stop took %s, want 5 s at most", took)
	}
	if len(to.got) != 0 {
		t.Error("one was opened out of its turn")
	}
}
