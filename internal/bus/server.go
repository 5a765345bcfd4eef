package bus

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

// Embedded is a NATS server inside this process.
type Embedded struct {
	// StoreDir is made when it is absent. One process at a time uses it.
	StoreDir string
	// Listen is the address for services that subscribe natively, such as
	// 127.0.0.1:4222; empty opens no port.
	Listen     string
	Durability Durability
	// TLS is that of Listen; the zero value is none.
	TLS ServerTLS
	// Users may connect to Listen, each to its own consumer and nothing else.
	Users []User
}

const (
	// maxPayload holds the largest body a source may accept, 7 MiB, and the
	// headers of its message.
	maxPayload = 8 << 20
	// maxStore leaves the limits to the streams': the server would otherwise
	// take three quarters of what happens to be free at start.
	maxStore = 1 << 50
	// maxConnections bounds those to the embedded server, the bridge's own too.
	maxConnections = 10_000
	// startPoll is how often is looked whether the embedded server has given up.
	startPoll = 100 * time.Millisecond
)

// startServer returns when the server is ready: after a crash it reads its whole
// store before, for as long as ctx allows.
func (b *Bus) startServer(ctx context.Context) error {
	embedded := b.config.Embedded
	if err := os.MkdirAll(embedded.StoreDir, 0o700); err != nil {
		return fmt.Errorf("make nats.embedded.store_dir: %w", err)
	}
	var err error
	if b.lock, err = lockStore(embedded.StoreDir); err != nil {
		return err
	}
	if err := mendStore(embedded.StoreDir, b.config.Logger); err != nil {
		return err
	}
	if b.cursors, err = newCursors(embedded.StoreDir); err != nil {
		return err
	}
	if err := b.cursors.distrust(embedded.StoreDir); err != nil {
		return err
	}
	if err := checkUsers(embedded.Users); err != nil {
		return err
	}
	if b.gate, err = newGate(); err != nil {
		return err
	}
	if err := b.SetTLS(embedded.TLS); err != nil {
		return err
	}
	options, err := b.serverOptions()
	if err != nil {
		return err
	}
	if b.server, err = server.NewServer(options); err != nil {
		return fmt.Errorf("start the embedded NATS server: %w", err)
	}
	gaveUp := make(chan error, 1)
	b.server.SetLoggerV2(serverLog{b.config.Logger, gaveUp}, false, false, false)
	go b.server.Start()
	for !b.server.ReadyForConnections(startPoll) {
		select {
		case err := <-gaveUp:
			return fmt.Errorf("start the embedded NATS server: %w", err)
		case <-ctx.Done():
			return fmt.Errorf("start the embedded NATS server: it was not ready in time, its log lines say why: %w", context.Cause(ctx))
		default:
		}
	}
	b.gate.server = b.server
	if err := b.gate.export(); err != nil {
		return fmt.Errorf("offer durables to subscribers: %w", err)
	}
	return b.gate.set(embedded.Users)
}

func (b *Bus) serverOptions() (*server.Options, error) {
	embedded := b.config.Embedded
	options := &server.Options{
		ServerName:             "jethook",
		DontListen:             embedded.Listen == "",
		NoSigs:                 true,
		DisableJetStreamBanner: true,
		JetStream:              true,
		StoreDir:               embedded.StoreDir,
		JetStreamMaxStore:      maxStore,
		JetStreamMaxMemory:     64 << 20,
		MaxPayload:             maxPayload,
		MaxControlLine:         4096,
		MaxConn:                maxConnections,
		// Users come and go without a reload of the server, which would forget what
		// pull requests of the others wait for.
		CustomClientAuthentication: b.gate,
		AlwaysEnableNonce:          true,
	}
	options.JetStreamLimits.DefaultMaxConsumers = -1 // the server's own limit is 1000 a stream
	if embedded.Listen == "" {
		return options, nil
	}
	host, port, err := net.SplitHostPort(embedded.Listen)
	if err != nil {
		return nil, fmt.Errorf("nats.embedded.listen %q: %w", embedded.Listen, err)
	}
	options.Host = host
	if options.Port, err = strconv.Atoi(port); err != nil {
		return nil, fmt.Errorf("nats.embedded.listen %q: the port is not a number", embedded.Listen)
	}
	if options.Port == 0 {
		options.Port = server.RANDOM_PORT
	}
	if b.tls.Load() != nil {
		options.TLS, options.TLSVerify = true, len(embedded.TLS.ClientCA) > 0
		options.TLSConfig = &tls.Config{MinVersion: tls.VersionTLS12, GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
			return b.tls.Load(), nil
		}}
	}
	return options, nil
}

// SetUsers replaces the users of the embedded server. Connections of users that
// are gone, and of those whose keys are, are closed. It is an error where the bus is an external one, whose
// users are its operator's.
func (b *Bus) SetUsers(list []User) error {
	if b.server == nil {
		return errors.New("the users of an external bus are not jethook's to set")
	}
	if err := checkUsers(list); err != nil {
		return err
	}
	return b.gate.set(list)
}

// Addr returns the address the embedded server listens on, or nil.
func (b *Bus) Addr() net.Addr {
	if b.server == nil || b.config.Embedded.Listen == "" {
		return nil
	}
	return b.server.Addr()
}

// storeLock keeps a second process out of the store directory; two would write
// over each other's blocks.
type storeLock struct{ file *os.File }

func lockStore(dir string) (*storeLock, error) {
	file, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock nats.embedded.store_dir: %w", err)
	}
	if err := lockFile(file); err != nil {
		return nil, errors.Join(inUse(dir), file.Close())
	}
	return &storeLock{file}, nil
}

func (l *storeLock) release() error {
	if l == nil {
		return nil
	}
	return l.file.Close()
}
