// Package app assembles jethook from its configuration and runs it; tests embed it.
package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"github.com/jethook/jethook/config"
	"github.com/jethook/jethook/deliver"
	"github.com/jethook/jethook/fanout"
	"github.com/jethook/jethook/ingest"
	"github.com/jethook/jethook/internal/admin"
	"github.com/jethook/jethook/internal/bus"
	"github.com/jethook/jethook/internal/managed"
	"github.com/jethook/jethook/internal/vault"
)

// Options is what the configuration does not say.
type Options struct {
	// Version is the program's, for user-agent and telemetry. Required.
	Version string
	// Logger is required.
	Logger *slog.Logger
	// Stdout gets what is shown once, such as generated secrets; nothing else
	// is written there. Required.
	Stdout io.Writer
}

const (
	// openTimeout is how long a start waits for an external bus to be there and
	// have a leader. A supervisor tries again after that.
	openTimeout = time.Minute
	// readTimeout is how long a start waits for the embedded server, which after a
	// crash reads its whole store: whoever gave up earlier would only begin anew.
	readTimeout = 15 * time.Minute
)

// App is one jethook process: the roles of its configuration on one bus.
type App struct {
	options   Options
	started   *config.Config // what the process was started with
	telemetry *telemetry
	bus       *bus.Bus
	vault     *vault.Vault
	guard     *deliver.Guard
	client    *deliver.Client
	managed   *managed.Store
	ops       *listener

	// of the role ingest; nil without it
	ingest *ingest.Handler
	public *listener

	// of the role deliver; nil without it
	registry *fanout.Registry

	// of the role admin; nil without it
	admin     *admin.Handler
	directory *fanout.Directory
	private   *listener

	readiness readiness

	woken chan struct{} // tells follow that something has changed

	keysetChanged chan struct{}
	keysetState   atomic.Pointer[keysetState] // for /readyz

	mu     sync.Mutex // held while a configuration or a change is put into force
	config *config.Config
	stale  bool // the stages may have other lists than what is listed but for what has changed

	listing sync.Mutex // held while the lists are changed, and the directory is told of them
	lists   *assembly
	changed map[fanout.Name]bool // since they were applied
	told    map[uuid.UUID]string // why an entry is not in force, by its ID
}

// New opens the bus and the listeners and puts the configuration into force;
// the result takes traffic once Run is called. The error is *config.Problems
// where the configuration is at fault. ctx bounds the start alone.
func New(ctx context.Context, c *config.Config, options Options) (a *App, err error) {
	if err := Check(c); err != nil {
		return nil, err
	}
	a = &App{options: options, started: c, config: c, woken: make(chan struct{}, 1), changed: make(map[fanout.Name]bool), keysetChanged: make(chan struct{}, 1), told: make(map[uuid.UUID]string)}
	defer func() {
		if err != nil {
			err = errors.Join(err, a.close())
			a = nil
		}
	}()
	if a.telemetry, err = newTelemetry(ctx, &a.options); err != nil {
		return a, fmt.Errorf("set up telemetry: %w", err)
	}
	patience := openTimeout
	if c.NATS.UseEmbedded() {
		patience = readTimeout
	}
	opening, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if a.bus, err = bus.Open(opening, busConfig(c, a.options.Logger, a.telemetry.meter("bus"))); err != nil {
		return a, err
	}
	if a.guard, err = deliver.NewGuard(c.Deliver.AllowNetworks); err != nil {
		return a, fmt.Errorf("deliver.allow_networks: %w", err)
	}
	if a.client, err = deliver.NewClient(deliver.ClientConfig{Guard: a.guard, Version: a.options.Version}); err != nil {
		return a, err
	}
	a.vault = vault.New(vault.Config{Bus: a.bus, Stored: encrypted(), Keyset: c.Encryption.Keyset.Reveal(), File: keysetFile(c)})
	if a.managed, err = managed.Open(opening, managed.Config{
		Bus: a.bus, Vault: a.vault, Logger: a.options.Logger, Check: Check, Resolve: a.guard.Resolve, Changed: a.onManaged,
	}, c); err != nil {
		return a, err
	}
	if has(c, config.RoleDeliver) {
		if err := a.openDelivery(c); err != nil {
			return a, err
		}
	}
	if has(c, config.RoleIngest) {
		if err := a.openIngest(c); err != nil {
			return a, err
		}
	}
	if has(c, config.RoleAdmin) {
		if err := a.openAdmin(c); err != nil {
			return a, err
		}
	}
	if err := a.apply(ctx, c); err != nil {
		return a, err
	}
	if a.ops, err = listen(c.Listen.Ops, a.opsHandler()); err != nil {
		return a, fmt.Errorf("listen.ops: %w", err)
	}
	return a, nil
}

func (a *App) openIngest(c *config.Config) error {
	var err error
	if a.ingest, err = ingest.New(ingest.Config{
		Publisher:      a.bus,
		TrustedProxies: c.Listen.TrustedProxies,
		Logger:         a.options.Logger,
		Tracer:         a.telemetry.tracer("ingest"),
		Meter:          a.telemetry.meter("ingest"),
	}); err != nil {
		return err
	}
	if a.public, err = listen(c.Listen.Ingest, a.ingest); err != nil {
		return fmt.Errorf("listen.ingest: %w", err)
	}
	return nil
}

func (a *App) openDelivery(c *config.Config) error {
	var err error
	a.registry, err = fanout.New(fanout.Config{
		Bus:        a.bus,
		Client:     a.client,
		Vault:      a.vault,
		ShowSecret: a.showSecret,
		Logger:     a.options.Logger,
		Tracer:     a.telemetry.tracer("deliver"),
		Meter:      a.telemetry.meter("deliver"),

		DrainTimeout: c.Listen.DrainTimeout,
		DisableAfter: c.Deliver.DisableAfter,
	})
	return err
}

// keysetFile is where an embedded bridge keeps the keyset it makes.
func keysetFile(c *config.Config) string {
	if !c.NATS.UseEmbedded() {
		return ""
	}
	return filepath.Join(c.NATS.Embedded.StoreDir, "keyset.json")
}

func (a *App) showSecret(endpoint, secret string) {
	fmt.Fprintf(a.options.Stdout, "endpoint %s: generated signing secret, shown this once: %s\n", endpoint, secret)
}

// Addresses returns where the process listens, by "ingest", "admin", "ops" and "nats";
// those it does not have are absent.
func (a *App) Addresses() map[string]string {
	addresses := map[string]string{"ops": a.ops.address()}
	if a.public != nil {
		addresses["ingest"] = a.public.address()
	}
	if a.private != nil {
		addresses["admin"] = a.private.address()
	}
	if addr := a.bus.Addr(); addr != nil {
		addresses["nats"] = addr.String()
	}
	return addresses
}

// listener is a server and the socket it serves.
type listener struct {
	server *http.Server
	socket net.Listener
}

func listen(address string, handler http.Handler) (*listener, error) {
	socket, err := net.Listen("tcp", address)
	if err != nil {
		return nil, err
	}
	return &listener{server: newServer(handler), socket: socket}, nil
}

func (l *listener) address() string { return l.socket.Addr().String() }

func (l *listener) serve() error {
	if err := l.server.Serve(l.socket); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

func has(c *config.Config, role config.Role) bool {
	for _, r := range c.Roles {
		if r == role {
			return true
		}
	}
	return false
}
