package bus

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/nats-io/jsm.go/natscontext"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// External is a NATS cluster that others run.
type External struct {
	URL     string // nats://a:4222,nats://b:4222
	Creds   []byte // the text of a .creds file; may be empty
	Context string // a context of the nats CLI, used instead of URL and Creds; may be empty
	TLS     TLS
	Signing Signing
}

// TLS holds PEM texts; empty ones are not used.
type TLS struct{ CA, Cert, Key []byte }

const (
	reconnectWait = 500 * time.Millisecond
	// pingInterval and maxPings find within 9 seconds that a server does not
	// answer any more without having closed the connection, as when the network
	// is cut. The client's own values need six minutes, in which nothing is
	// delivered by way of that server.
	pingInterval = 3 * time.Second
	maxPings     = 2
	// publishPending bounds the publishes in flight. The gateway bounds its
	// requests below it.
	publishPending = 4096
	// ackTimeout ends the wait for a lost acknowledgement, so that none is
	// waited for for ever; callers give up long before.
	ackTimeout = time.Minute
)

func (b *Bus) connect(ctx context.Context) error {
	var err error
	var once sync.Once
	closed := func(conn *nats.Conn) {
		once.Do(func() {
			b.config.Logger.Error("connection to the bus has ended", "error", conn.LastError())
			close(b.closed)
		})
	}
	if b.publishing, err = b.dial(ctx, "jethook publish", closed); err != nil {
		return err
	}
	if b.consuming, err = b.dial(ctx, "jethook deliver", closed); err != nil {
		return err
	}
	if b.publisher, err = jetstream.New(b.publishing,
		jetstream.WithPublishAsyncMaxPending(publishPending), jetstream.WithPublishAsyncTimeout(ackTimeout)); err != nil {
		return fmt.Errorf("open JetStream: %w", err)
	}
	if b.consumer, err = jetstream.New(b.consuming); err != nil {
		return fmt.Errorf("open JetStream: %w", err)
	}
	return nil
}

func (b *Bus) dial(ctx context.Context, name string, closed nats.ConnHandler) (*nats.Conn, error) {
	options := []nats.Option{
		nats.Name(name), nats.MaxReconnects(-1), nats.ReconnectWait(reconnectWait),
		nats.ClosedHandler(closed),
		nats.DisconnectErrHandler(func(_ *nats.Conn, err error) {
			if err != nil {
				b.config.Logger.Warn("disconnected from the bus", "error", err)
			}
		}),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) {
			if errors.Is(err, nats.ErrPermissionViolation) {
				b.deny(err)
				return
			}
			b.config.Logger.Warn("bus reports an error", "error", err)
		}),
	}
	if b.server != nil {
		conn, err := nats.Connect("", append(options, nats.InProcessServer(b.server), b.gate.option())...)
		if err != nil {
			return nil, fmt.Errorf("connect to the embedded server: %w", err)
		}
		return conn, nil
	}
	return b.dialExternal(ctx, append(options, nats.PingInterval(pingInterval), nats.MaxPingsOutstanding(maxPings)))
}

// disconnect ends the connections that there are.
func (b *Bus) disconnect() {
	for _, conn := range []*nats.Conn{b.publishing, b.consuming} {
		if conn != nil {
			conn.SetClosedHandler(nil)
			conn.Close()
		}
	}
}

// dialExternal tries again until ctx ends, so that a bridge may start before
// its cluster does.
func (b *Bus) dialExternal(ctx context.Context, options []nats.Option) (*nats.Conn, error) {
	connect, err := b.config.External.connector(options)
	if err != nil {
		return nil, err
	}
	for warned := false; ; warned = true {
		conn, err := connect()
		if err == nil {
			return conn, nil
		}
		if !warned {
			b.config.Logger.Warn("bus is not reachable; trying again", "error", err)
		}
		if errors.Is(err, nats.ErrAuthorization) || errors.Is(err, nats.ErrAuthExpired) {
			return nil, fmt.Errorf("connect to the bus: %w: check nats.creds", err)
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("connect to the bus: %w", err)
		case <-time.After(reconnectWait):
		}
	}
}

func (e External) connector(options []nats.Option) (func() (*nats.Conn, error), error) {
	if e.Context != "" {
		known, err := natscontext.New(e.Context, true)
		if err != nil {
			return nil, fmt.Errorf("nats.context %q: %w", e.Context, err)
		}
		return func() (*nats.Conn, error) { return known.Connect(options...) }, nil
	}
	if len(e.Creds) > 0 {
		options = append(options, nats.UserCredentialBytes(e.Creds))
	}
	config, err := e.TLS.config()
	if err != nil {
		return nil, err
	}
	if config != nil {
		options = append(options, nats.Secure(config))
	}
	return func() (*nats.Conn, error) { return nats.Connect(e.URL, options...) }, nil
}

func (t TLS) config() (*tls.Config, error) {
	if len(t.CA)+len(t.Cert)+len(t.Key) == 0 {
		return nil, nil
	}
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if len(t.CA) > 0 {
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(t.CA) {
			return nil, errors.New("nats.tls.ca holds no PEM certificate")
		}
	}
	if len(t.Cert)+len(t.Key) > 0 {
		pair, err := tls.X509KeyPair(t.Cert, t.Key)
		if err != nil {
			return nil, fmt.Errorf("nats.tls.cert and nats.tls.key: %w", err)
		}
		config.Certificates = []tls.Certificate{pair}
	}
	return config, nil
}
