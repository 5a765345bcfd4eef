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

// Client is the HTTP transport that the workers of a process share. It uses no
// proxy, since a proxy would connect where the guard cannot see, follows no
// redirects, and reads a bounded part of each answer. It is safe for concurrent
// use.
type Client struct {
	transport *http.Transport
	userAgent string
	heads     sync.Pool // of *[headBytes]byte
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
	client.heads.New = func() any { return new([headBytes]byte) }
	return client, nil
}

// Close closes the connections that are not in use.
func (c *Client) Close() { c.transport.CloseIdleConnections() }

// answer is what came back from one attempt.
type answer struct {
	status int // 0 when there was none
	header http.Header
	head   string // the beginning of the body, valid UTF-8
	err    error  // why there was no answer; never contains the URL
}

// send makes one attempt. The status decides, so a body that breaks off does
// not undo it. The transport itself is used, and not an http.Client, for it
// follows no redirects.
func (c *Client) send(request *http.Request) answer {
	response, err := c.transport.RoundTrip(request)
	if err != nil {
		if cause := context.Cause(request.Context()); cause != nil {
			err = cause
		}
		return answer{err: err}
	}
	return answer{status: response.StatusCode, header: response.Header, head: c.read(response)}
}

// read returns the beginning of the body, reads on within bounds, and closes it.
func (c *Client) read(response *http.Response) string {
	defer func() { _ = response.Body.Close() }()
	if response.ContentLength == 0 {
		return ""
	}
	buffer := c.heads.Get().(*[headBytes]byte)
	defer c.heads.Put(buffer)
	n, err := io.ReadFull(response.Body, buffer[:])
	head := strings.ToValidUTF8(string(buffer[:n]), "\uFFFD")
	if err == nil {
		_, _ = io.CopyN(io.Discard, response.Body, maxAnswer-headBytes)
	}
	return head
}
