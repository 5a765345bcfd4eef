package deliver

import (
	"cmp"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

const (
	idlePerHost = 256 // connections kept for the next attempts at one host
	idleTotal   = 4096
	idleTimeout = 90 * time.Second

	dialTimeout      = 10 * time.Second
	handshakeTimeout = 10 * time.Second
	maxAnswerHeader  = 64 << 10

	// maxAnswer is how much of an answer's body is read so that its connection
	// can be used again; after more than that it is closed.
	maxAnswer = 64 << 10
	// headBytes is how much of an answer's body an attempt's record keeps.
	headBytes = 1 << 10
)

// ClientConfig is what NewClient needs.
type ClientConfig struct {
	Guard   *Guard // required: decides which addresses are connected to
	Version string // of jethook, for the user-agent; empty means "dev"
}

// Client is the HTTP client that the workers of a process share. It uses no
// proxy, since a proxy would connect where the guard cannot see, follows no
// redirects, and reads a bounded part of each answer. It is safe for concurrent
// use.
type Client struct {
	dialer    *net.Dialer
	pool      *pool        // for http and bodies of up to maxPlain
	shared    *transport   // for everything else, but endpoints with TLS of their own
	closes    atomic.Int64 // counts the calls of Close
	userAgent string
	heads     heads
}

// NewClient makes a client.
func NewClient(config ClientConfig) (*Client, error) {
	if config.Guard == nil {
		return nil, errors.New("deliver: a client needs a guard")
	}
	version := config.Version
	if version == "" {
		version = "dev"
	}
	client := &Client{
		dialer:    &net.Dialer{Timeout: dialTimeout, KeepAlive: 30 * time.Second, Control: config.Guard.Control},
		heads:     heads{sync.Pool{New: func() any { return new([headBytes]byte) }}},
		userAgent: "jethook/" + version,
	}
	client.pool = newPool(client.dialer, &client.heads)
	client.shared = client.newTransport(TLS{})
	return client, nil
}

// Close closes the connections that are not in use, and has none that is open
// used again: a request that follows makes another. Those of endpoints with TLS
// of their own close when their worker is done, or at their next request.
func (c *Client) Close() {
	c.pool.close()
	c.closes.Add(1)
	c.shared.close()
}

// answer is what came back from one attempt.
type answer struct {
	status int         // 0 when there was none
	header http.Header // nil where it was plain
	head   string      // the beginning of the body, valid UTF-8
	err    error       // why there was no answer; never contains the URL
}

// post makes one attempt. The status decides, so a body that breaks off does
// not undo it. The error is os.ErrDeadlineExceeded after the attempt's time, and
// the cause of ctx's end where that came first.
func (c *Client) post(ctx context.Context, in *slot, to *target, header http.Header, data []byte) answer {
	var got answer
	if to.address != "" && len(data) <= maxPlain {
		got = c.pool.post(ctx, in, to, header, data)
	} else {
		timed, cancel := context.WithDeadline(ctx, in.until)
		defer cancel()
		got = c.transfer(cmp.Or(to.own, c.shared), to.request(timed, header, data))
	}
	if got.err == nil {
		return got
	}
	if cause := context.Cause(ctx); cause != nil {
		got.err = cause
	} else if !time.Now().Before(in.until) {
		got.err = os.ErrDeadlineExceeded
	}
	return got
}

// transfer uses the transport itself, and not an http.Client, for it follows no
// redirects.
func (c *Client) transfer(by *transport, request *http.Request) answer {
	response, err := by.take().RoundTrip(request)
	if err != nil && request.URL.Scheme == "https" {
		err = explained(err)
	}
	if err != nil {
		return answer{err: err}
	}
	defer func() { _ = response.Body.Close() }()
	got := answer{status: response.StatusCode, header: response.Header, head: c.heads.read(response)}
	_, _ = io.CopyN(io.Discard, response.Body, maxAnswer-headBytes)
	return got
}

func headOf(body string) string {
	return strings.ToValidUTF8(body[:min(len(body), headBytes)], "\uFFFD")
}

// heads reads the beginnings of answers' bodies.
type heads struct{ buffers sync.Pool } // of *[headBytes]byte

func (h *heads) read(response *http.Response) string {
	if response.ContentLength == 0 {
		return ""
	}
	buffer := h.buffers.Get().(*[headBytes]byte)
	defer h.buffers.Put(buffer)
	n, _ := io.ReadFull(response.Body, buffer[:]) // shorter, or broken off: what came is kept
	return headOf(string(buffer[:n]))
}
