package deliver

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/url"
)

// Reach connects to an endpoint's address as an attempt does, by TLS where it is
// https, and sends nothing. The error does not quote the URL; where the address is
// not allowed it wraps ErrAddressRefused.
func (c *Client) Reach(ctx context.Context, raw string, of TLS) error {
	u, err := url.Parse(raw)
	if err != nil {
		return errors.New("url cannot be parsed")
	}
	port := u.Port()
	switch {
	case port != "":
	case u.Scheme == "https":
		port = "443"
	default:
		port = "80"
	}
	conn, err := c.dialer.DialContext(ctx, "tcp", net.JoinHostPort(u.Hostname(), port))
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }() // nothing was sent
	if u.Scheme != "https" {
		return nil
	}
	config := of.config()
	config.ServerName = u.Hostname()
	if err := tls.Client(conn, config).HandshakeContext(ctx); err != nil {
		return explained(err)
	}
	return nil
}
