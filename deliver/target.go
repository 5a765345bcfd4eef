package deliver

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
)

// maxPlain is the largest body that is sent over a wire. It fits into the
// buffers of a socket, so that writing it never waits for a receiver that has
// answered already; net/http reads while it writes.
const maxPlain = 64 << 10

// target is where an endpoint's requests go.
type target struct {
	url *url.URL
	// address and line are for wires: host and port, and the request's first
	// line with the host. Empty where net/http is to send.
	address, line string
	own           *transport // of an endpoint with TLS of its own, else nil
}

func newTarget(u *url.URL) *target {
	t := &target{url: u}
	host, port := u.Hostname(), u.Port()
	if u.Scheme != "http" || !plainHost(host) {
		return t
	}
	if port == "" {
		port = "80"
	}
	t.address = net.JoinHostPort(host, port)
	t.line = "POST " + u.RequestURI() + " HTTP/1.1\r\nHost: " + strings.TrimSuffix(u.Host, ":") + "\r\n"
	return t
}

const idempotencyKey = "X-Idempotency-Key"

// request is what net/http sends.
func (t *target) request(ctx context.Context, header http.Header, data []byte) *http.Request {
	header = header.Clone() // net/http may read it after the attempt's end
	// A connection that the endpoint closed while it was idle is no failed
	// attempt: this key, which is not sent when it is empty, lets the transport
	// use another one.
	if _, given := header[idempotencyKey]; !given {
		header[idempotencyKey] = nil
	}
	body := func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(data)), nil }
	request := &http.Request{
		Method: http.MethodPost, URL: t.url, Host: t.url.Host, Header: header,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Body: http.NoBody, ContentLength: int64(len(data)),
	}
	if len(data) > 0 {
		request.Body, _ = body()
		request.GetBody = body
	}
	return request.WithContext(ctx)
}

// plainHost reports whether the host is sent as it is written. Names outside
// ASCII and zones of addresses are not; net/http knows how.
func plainHost(host string) bool {
	for _, c := range []byte(host) {
		if c <= ' ' || c >= 0x7f || c == '%' {
			return false
		}
	}
	return host != ""
}
