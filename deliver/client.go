package deliver

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
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
	pool      *pool           // for http and bodies of up to maxPlain
	transport *http.Transport // for everything else
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
	dialer := &net.Dialer{Timeout: dialTimeout, KeepAlive: 30 * time.Second, Control: config.Guard.Control}
	client := &Client{
		heads:     heads{sync.Pool{New: func() any { return new([headBytes]byte) }}},
		userAgent: "jethook/" + version,
		transport: &http.Transport{
			DialContext:            dialer.DialContext,
			TLSHandshakeTimeout:    handshakeTimeout,
			ForceAttemptHTTP2:      true,
			MaxIdleConns:           idleTotal,
			MaxIdleConnsPerHost:    idlePerHost,
			IdleConnTimeout:        idleTimeout,
			DisableCompression:     true,
			MaxResponseHeaderBytes: maxAnswerHeader,
		},
	}
	client.pool = newPool(dialer, &client.heads)
	return client, nil
}

// Close closes the connections that are not in use.
func (c *Client) Close() {
	c.pool.close()
	c.transport.CloseIdleConnections()
}

// answer is what came back from one attempt.
type answer struct {
	status int // 0 when there was none
	header http.Header
	head   string // the beginning of the body, valid UTF-8
	err    error  // why there was no answer; never contains the URL
}

// post makes one attempt. The status decides, so a body that breaks off does
// not undo it.
func (c *Client) post(ctx context.Context, to *target, header http.Header, data []byte) answer {
	var got answer
	if to.address != "" && len(data) <= maxPlain {
		got = c.pool.post(ctx, to, header, data)
	} else {
		got = c.transfer(to.request(ctx, header, data))
	}
	if got.err != nil {
		if cause := context.Cause(ctx); cause != nil {
			got.err = cause
		}
	}
	return got
}

// transfer uses the transport itself, and not an http.Client, for it follows no
// redirects.
func (c *Client) transfer(request *http.Request) answer {
	response, err := c.transport.RoundTrip(request)
	if err != nil {
		return answer{err: err}
	}
	defer func() { _ = response.Body.Close() }()
	got := answer{status: response.StatusCode, header: response.Header, head: c.heads.read(response)}
	_, _ = io.CopyN(io.Discard, response.Body, maxAnswer-headBytes)
	return got
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
	return strings.ToValidUTF8(string(buffer[:n]), "\uFFFD")
}
