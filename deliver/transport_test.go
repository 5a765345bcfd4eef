package deliver

import (
	"bytes"
	"context"
	"net"
	"net/http"
	"sync/atomic"
	"testing"
	"time"
)

// socket tells of its connections' beginnings and ends. It is
// for HTTP/1.1 and HTTP/2 alike, of which the server tells differently.
type socket struct {
	net.Listener
	accepted, closed chan *connection
}

type connection struct {
	net.Conn
	of    *socket
	mute  atomic.Bool // what the receiver writes gets lost
	ended atomic.Bool
}

func (s *socket) Accept() (net.Conn, error) {
	conn, err := s.Listener.Accept()
	if err != nil {
		return nil, err
	}
	c := &connection{Conn: conn, of: s}
	s.accepted <- c
	return c, nil
}

func (c *connection) Write(p []byte) (int, error) {
	if c.mute.Load() {
		return len(p), nil
	}
	return c.Conn.Write(p)
}

func (c *connection) Close() error {
	if !c.ended.Swap(true) {
		c.of.closed <- c
	}
	return c.Conn.Close()
}

func TestOneConnectionOfHTTP2CarriesAllAttemptsWhereItIsOffered(t *testing.T) {
	ours := newAuthority(t, "ours")
	for want, protocols := range map[string][]string{"HTTP/2.0": nil, "HTTP/1.1": {"http/1.1"}} {
		release := make(chan struct{})
		r, connections := newTLSReceiver(t, ours, inTurn(always(200), func(http.ResponseWriter, *http.Request) { <-release }), protocols)
		client := newTestClient(t)
		to := own(t, client, r, NewTLS(ours.pem, "", ""))
		large := bytes.Repeat([]byte("a"), 1<<20)
		const together = 16
		answers := make(chan answer, together)
		attemptBy(t.Context(), client, to, http.Header{}, large) // the connection is known to speak HTTP/2 from now on
		for range together {
			go func() { answers <- attemptBy(t.Context(), client, to, http.Header{}, large) }()
		}
		for range together + 1 {
			if got := r.next(); got.proto != want || len(got.body) != len(large) {
				t.Errorf("%d bytes came over %s, want %d over %s", len(got.body), got.proto, len(large), want)
			}
		}
		close(release)
		for range together {
			if got := <-answers; got.err != nil || got.status != 200 {
				t.Errorf("%s: answer is %d, error %v", want, got.status, got.err)
			}
		}
		limit := together
		if want == "HTTP/2.0" {
			limit = 1
		}
		if n := len(connections.accepted); n > limit {
			t.Errorf("%s: %d attempts took %d connections, want %d", want, together+1, n, limit)
		}
		for range together {
			attemptBy(t.Context(), client, to, http.Header{}, nil)
			r.next()
		}
		if n := len(connections.accepted); n > limit {
			t.Errorf("%s: %d attempts more took %d connections, want those there were", want, together, n)
		}
	}
}

// A connection that is never idle would otherwise stay for ever, and with it the
// address that its name had once.
func TestABusyConnectionIsNotUsedAnyMoreOnceItIsOld(t *testing.T) {
	ours := newAuthority(t, "ours")
	for _, protocols := range [][]string{nil, {"http/1.1"}} {
		for name, age := range map[string]func(*Client, *transport){
			"five minutes": func(_ *Client, own *transport) { own.made = time.Now().Add(-maxAge - time.Second) },
			"closed":       func(client *Client, _ *transport) { client.Close() },
		} {
			release, began := make(chan struct{}), make(chan struct{})
			r, connections := newTLSReceiver(t, ours, inTurn(always(200),
				func(w http.ResponseWriter, _ *http.Request) { close(began); <-release; _, _ = w.Write([]byte("late")) }, always(204)), protocols)
			client := newTestClient(t)
			to := own(t, client, r, NewTLS(ours.pem, "", ""))
			attemptBy(t.Context(), client, to, http.Header{}, nil)
			old := <-connections.accepted
			late := make(chan answer)
			go func() { late <- attemptBy(t.Context(), client, to, http.Header{}, nil) }()
			<-began
			age(client, to.own)
			if got := attemptBy(t.Context(), client, to, http.Header{}, nil); got.status != 204 || len(connections.accepted) != 1 {
				t.Errorf("%s, %q: answer is %d, error %v, over %d connections more; want 204 over one", name, protocols, got.status, got.err, len(connections.accepted))
			}
			close(release)
			if got := <-late; got.status != 200 || got.head != "late" {
				t.Errorf("%s, %q: the attempt in flight ends with %d %q, error %v; want it to finish", name, protocols, got.status, got.head, got.err)
			}
			if len(protocols) > 0 { // HTTP/2 waits for idleTimeout
				select {
				case closed := <-connections.closed:
					if closed != old {
						t.Errorf("%s, %q: the new connection is closed, want the old one", name, protocols)
					}
				case <-time.After(patience):
					t.Errorf("%s, %q: the old connection stays open", name, protocols)
				}
			}
		}
	}
}

func TestAConnectionOfHTTP2ThatIsDeadIsGivenUp(t *testing.T) {
	ours := newAuthority(t, "ours")
	r, connections := newTLSReceiver(t, ours, always(200), nil)
	client := newTestClient(t)
	to := own(t, client, r, NewTLS(ours.pem, "", ""))
	settings := to.own.take().HTTP2
	if settings.SendPingTimeout != pingAfter {
		t.Errorf("the endpoint is asked after %s, want %s", settings.SendPingTimeout, pingAfter)
	}
	settings.SendPingTimeout, settings.PingTimeout = 50*time.Millisecond, 50*time.Millisecond
	attemptBy(t.Context(), client, to, http.Header{}, nil)
	(<-connections.accepted).mute.Store(true)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if got := attemptBy(ctx, client, to, http.Header{}, nil); ctx.Err() != nil {
		t.Fatalf("the attempt waits until its timeout: %d, error %v", got.status, got.err)
	}
	if got := attemptBy(ctx, client, to, http.Header{}, nil); got.status != 200 || len(connections.accepted) != 1 {
		t.Errorf("answer is %d, error %v, over %d connections more; want 200 over a new one", got.status, got.err, len(connections.accepted))
	}
}

func TestTheConnectionsOfAnEndpointsOwnCloseWithItsWorker(t *testing.T) {
	ours := newAuthority(t, "ours")
	for _, protocols := range [][]string{nil, {"http/1.1"}} {
		r, connections := newTLSReceiver(t, ours, always(200), protocols)
		b := newBench(t, always(200))
		b.endpoint.URL, b.endpoint.TLS = r.server.URL, NewTLS(ours.pem, "", "")
		stop := b.start()
		for i := range 3 {
			b.publish(string(rune('a'+i)), []byte("{}"))
			r.next()
		}
		b.settled("EVENTS_TEST", b.endpoint.Name)
		stop()
		for n := len(connections.accepted); n > 0; n-- {
			select {
			case <-connections.closed:
			case <-time.After(patience):
				t.Fatalf("%q: %d connections stay open after the worker has ended", protocols, n)
			}
		}
	}
}
