package deliver

import (
	"crypto/tls"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// pingAfter is for how long nothing may come over a connection of HTTP/2 before
// the endpoint is asked whether it is there; it has 15 seconds to answer. Many
// attempts share such a connection, and without this each would wait for its
// timeout until the kernel gives up, a quarter of an hour later.
const pingAfter = 15 * time.Second

// transport sends what the pool does not: by TLS, and large bodies. It lets no
// connection be used for new requests that is older than maxAge, or that was
// made before the client was told to close. net/http keeps to neither: a
// connection that is used stays, and one of HTTP/2 even where its transport
// is told to close idle ones. So the transport beneath is replaced; requests
// finish on the old one, whose last connection goes when it has been idle for
// idleTimeout. Safe for concurrent use.
type transport struct {
	dialer *net.Dialer
	tls    *tls.Config
	closes *atomic.Int64 // of the client

	mu      sync.Mutex
	current *http.Transport // nil when there are no connections
	made    time.Time
	after   int64 // closes when it was made
}

func (c *Client) newTransport(of TLS) *transport {
	return &transport{dialer: c.dialer, tls: of.config(), closes: &c.closes}
}

// take returns what the next request is to be sent with.
func (t *transport) take() *http.Transport {
	t.mu.Lock()
	defer t.mu.Unlock()
	if closes := t.closes.Load(); t.current == nil || t.after != closes || time.Since(t.made) > maxAge {
		t.closeLocked()
		t.current, t.made, t.after = t.fresh(), time.Now(), closes
	}
	return t.current
}

func (t *transport) fresh() *http.Transport {
	return &http.Transport{
		DialContext:            t.dialer.DialContext,
		TLSClientConfig:        t.tls.Clone(), // net/http writes to it
		TLSHandshakeTimeout:    handshakeTimeout,
		ForceAttemptHTTP2:      true,
		HTTP2:                  &http.HTTP2Config{SendPingTimeout: pingAfter},
		MaxIdleConns:           idleTotal,
		MaxIdleConnsPerHost:    idlePerHost,
		IdleConnTimeout:        idleTimeout,
		DisableCompression:     true,
		MaxResponseHeaderBytes: maxAnswerHeader,
	}
}

// close closes the connections, those in use after their answers.
func (t *transport) close() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.closeLocked()
}

func (t *transport) closeLocked() {
	if t.current != nil {
		t.current.CloseIdleConnections()
		t.current = nil
	}
}
