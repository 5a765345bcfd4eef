package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"
)

// replicas are bridges on one bus behind a load balancer.
type replicas struct {
	t       *testing.T
	bridges [2]*bridge
	url     string // of the balancer

	turn      atomic.Uint64
	mu        sync.Mutex
	addresses [2]string // of those that the balancer asks; empty while one is away
}

// startReplicas starts two bridges of the same configuration.
func startReplicas(t *testing.T, parts ...string) *replicas {
	t.Helper()
	c := &replicas{t: t}
	for i := range c.bridges {
		c.bridges[i] = start(t, parts...)
		c.admit(i)
	}
	balancer := httptest.NewServer(&httputil.ReverseProxy{
		Rewrite:   func(*httputil.ProxyRequest) {},
		Transport: c,
	})
	t.Cleanup(balancer.Close)
	c.url = balancer.URL
	return c
}

// admit has the balancer ask a replica that has started.
func (c *replicas) admit(i int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.addresses[i] = c.bridges[i].addresses["ingest"]
}

// balanced keeps no connections, so that each request asks anew who is there.
var balanced = &http.Transport{DisableKeepAlives: true}

// RoundTrip asks the replicas in turn, and the next one where one has closed or
// broken the connection, as load balancers do.
func (c *replicas) RoundTrip(request *http.Request) (*http.Response, error) {
	var body bytes.Buffer
	if _, err := body.ReadFrom(request.Body); err != nil {
		return nil, err
	}
	turn := int(c.turn.Add(1))
	var failed error
	for try := range 2 * len(c.addresses) {
		c.mu.Lock()
		address := c.addresses[(turn+try)%len(c.addresses)]
		c.mu.Unlock()
		again := request.Clone(request.Context())
		again.URL = &url.URL{Scheme: "http", Host: address, Path: request.URL.Path}
		again.Body = http.NoBody
		if body.Len() > 0 {
			again.Body = readCloser{bytes.NewReader(body.Bytes())}
		}
		response, err := balanced.RoundTrip(again)
		if err == nil {
			return response, nil
		}
		failed = err
	}
	return nil, failed
}

type readCloser struct{ *bytes.Reader }

func (readCloser) Close() error { return nil }

// hand posts an event of the desk to the balancer, or with its URL to a
// replica.
func (c *replicas) hand(ctx context.Context, url, name string) (answer, error) {
	header := http.Header{"X-Event": {"order.paid"}, "X-Id": {name}, "Content-Type": {"application/json"}}
	return send(ctx, http.MethodPost, url+"/in/desk", header, fmt.Appendf(nil, `{"name":%q}`, name))
}

// load posts events from several clients until it is ended. Each is posted again
// after 503, as providers do, and must be stored in the end.
type load struct {
	stop    context.CancelFunc
	group   errgroup.Group
	sent    atomic.Int64
	refused atomic.Int64 // how often the answer was 503

	mu  sync.Mutex
	ids []string
}

func (c *replicas) startLoad() *load {
	const clients = 8
	ctx, stop := context.WithCancel(c.t.Context())
	l := &load{stop: stop}
	for range clients {
		l.group.Go(func() error {
			for ctx.Err() == nil {
				id, err := l.post(c, strconv.FormatInt(l.sent.Add(1), 10))
				if err != nil {
					return err
				}
				l.mu.Lock()
				l.ids = append(l.ids, id)
				l.mu.Unlock()
			}
			return nil
		})
	}
	return l
}

// post has one event stored and returns its id. It goes on where the load is
// ended meanwhile, for the event may be stored already.
func (l *load) post(c *replicas, name string) (string, error) {
	for {
		got, err := c.hand(c.t.Context(), c.url, name)
		if err != nil {
			return "", err
		}
		if got.status == http.StatusServiceUnavailable {
			l.refused.Add(1)
			select {
			case <-time.After(100 * time.Millisecond): // providers wait longer
			case <-c.t.Context().Done():
				return "", c.t.Context().Err()
			}
			continue
		}
		var stored receipt
		if err := json.Unmarshal([]byte(got.body), &stored); err != nil || got.status != http.StatusOK {
			return "", fmt.Errorf("answer %d %s", got.status, got.body)
		}
		return stored.ID, nil
	}
}

// more waits until that many further events are stored.
func (l *load) more(t *testing.T, events int) {
	t.Helper()
	count := func() int { l.mu.Lock(); defer l.mu.Unlock(); return len(l.ids) }
	before := count()
	eventually(t, fmt.Sprintf("%d more events are stored", events), func() bool { return count() >= before+events })
}

// end stops the load and returns the ids of what was stored.
func (l *load) end(t *testing.T) []string {
	t.Helper()
	l.stop()
	if err := l.group.Wait(); err != nil {
		t.Errorf("a request was not answered 2xx: %v", err)
	}
	return l.ids
}

// delivered takes deliveries until each of the ids was among them, and returns
// how many there were.
func delivered(t *testing.T, r *receiver, ids []string) int {
	t.Helper()
	missing := make(map[string]bool, len(ids))
	for _, id := range ids {
		missing[id] = true
	}
	count := 0
	for ; len(missing) > 0; count++ {
		delete(missing, r.next().id())
	}
	return count
}

func TestTwoReplicasShareTheWork(t *testing.T) {
	t.Parallel()
	const events = 200
	n, r := newNATS(t), newReceiver(t, nil)
	c := startReplicas(t, n.on(), sources(desk), endpoints(to("billing", r.server.URL, signed)))
	var posting errgroup.Group
	posting.SetLimit(16)
	for i := range events {
		posting.Go(func() error {
			got, err := c.hand(t.Context(), c.url, strconv.Itoa(i))
			if err == nil && got.status != http.StatusOK {
				err = fmt.Errorf("answer %d %s", got.status, got.body)
			}
			return err
		})
	}
	if err := posting.Wait(); err != nil {
		t.Fatal(err)
	}
	for id, attempts := range r.of(events) {
		if len(attempts) != 1 {
			t.Errorf("%s was delivered %d times, want once while all is calm", id, len(attempts))
		}
	}
	n.idle("billing")
	r.empty()
	if got := len(messages(t, n.stream("EVENTS_PROD"))); got != events {
		t.Errorf("the stream has %d messages, want %d: each event once", got, events)
	}
	for i, b := range c.bridges {
		stored, finished := strings.Count(b.log.String(), "request received"), strings.Count(b.log.String(), "attempt finished")
		if stored == 0 || finished == 0 {
			t.Errorf("replica %d received %d events and made %d attempts, want some of each", i+1, stored, finished)
		}
	}
}

func TestTheSameEventAtTwoReplicasAtOnceIsStoredOnce(t *testing.T) {
	t.Parallel()
	const events = 50
	n, r := newNATS(t), newReceiver(t, nil)
	c := startReplicas(t, n.on(), sources(desk), endpoints(to("billing", r.server.URL, signed)))
	for i := range events {
		var answers [2]answer
		var posting errgroup.Group
		for j, b := range c.bridges {
			posting.Go(func() (err error) {
				answers[j], err = c.hand(t.Context(), b.url("ingest", ""), strconv.Itoa(i))
				return err
			})
		}
		if err := posting.Wait(); err != nil {
			t.Fatal(err)
		}
		one, two := answers[0].accepted(t), answers[1].accepted(t)
		if one.ID != two.ID || one.Duplicate == two.Duplicate {
			t.Errorf("the replicas answered %+v and %+v, want one id, and one of them a duplicate", one, two)
		}
	}
	r.of(events)
	n.idle("billing")
	r.empty()
	if got := len(messages(t, n.stream("EVENTS_PROD"))); got != events {
		t.Errorf("the stream has %d messages, want %d", got, events)
	}
}

func TestReplicasAreStartedAgainUnderLoadWithoutARefusal(t *testing.T) {
	t.Parallel()
	n, r := newNATS(t), newReceiver(t, nil)
	c := startReplicas(t, n.on(), sources(desk), endpoints(to("billing", r.server.URL, signed, soon)))
	l := c.startLoad()
	for i, b := range c.bridges { // one after the other, as an upgrade does
		l.more(t, 50)
		if code := b.stop(syscall.SIGTERM); code != 0 {
			t.Errorf("exit code %d, want 0", code)
		}
		l.more(t, 50)
		b.run()
		c.admit(i)
	}
	l.more(t, 50)
	ids := l.end(t)
	if got := l.refused.Load(); got != 0 {
		t.Errorf("%d requests were answered 503, want all 2xx", got)
	}
	if count := delivered(t, r, ids); count != len(ids) {
		t.Errorf("%d deliveries of %d events, want each once: what had begun was finished", count, len(ids))
	}
	n.idle("billing")
	r.empty()
}

func TestAReplicaThatIsKilledLosesNothingThatWasAcknowledged(t *testing.T) {
	t.Parallel()
	n, r := newNATS(t), newReceiver(t, nil)
	// What the killed one held comes back after the timeout and 30 s.
	c := startReplicas(t, n.on(), sources(desk), endpoints(to("billing", r.server.URL, signed, soon, "timeout: 1s")))
	l := c.startLoad()
	l.more(t, 100)
	c.bridges[0].kill()
	l.more(t, 100)
	ids := l.end(t)
	if got := l.refused.Load(); got != 0 {
		t.Errorf("%d requests were answered 503, want all 2xx", got)
	}
	delivered(t, r, ids)
	n.idle("billing")
}
