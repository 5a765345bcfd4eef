package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/jethook/jethook/config"
	"github.com/jethook/jethook/internal/app"
)

// Where dev listens when the ports are free.
const (
	devIngest = "127.0.0.1:8080"
	devAdmin  = "127.0.0.1:8081"
	devOps    = "127.0.0.1:9090"
)

// dev is one run of the command.
type dev struct {
	data        string
	listen      string
	listenGiven bool
	count       int
	rate        string
	out, err    io.Writer
}

func newDev() *cobra.Command {
	var d dev
	cmd := &cobra.Command{
		Use:   "dev",
		Short: "Run the whole bridge on this machine, with events to watch",
		Long: `Runs a gateway, a bus and a receiver in this process, and posts signed sample
events of four providers to the gateway. A line is an attempt to deliver one; a
few are refused on purpose, to be delivered by a later attempt.`,
		Example: "  jethook dev\n  jethook dev --data ./playground --listen 127.0.0.1:8888",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			d.listenGiven = cmd.Flags().Changed("listen")
			d.out, d.err = cmd.OutOrStdout(), cmd.ErrOrStderr()
			return d.run(cmd.Context())
		},
	}
	cmd.Flags().StringVar(&d.data, "data", "", "`DIR` to keep events and configuration in (default one that is removed at the end)")
	cmd.Flags().StringVar(&d.listen, "listen", devIngest, "the gateway's `ADDRESS`; another port where this one is taken")
	cmd.Flags().IntVar(&d.count, "count", 0, "end when `N` events are delivered, at least 2 (default: at Ctrl-C)")
	cmd.Flags().StringVar(&d.rate, "rate", "1/s", "sample events per time")
	return cmd
}

func (d *dev) run(ctx context.Context) (err error) {
	if d.count < 0 || d.count == 1 {
		return misused("--count is at least 2: one event is delivered at once and one is retried")
	}
	limiter, err := newLimiter(d.rate)
	if err != nil {
		return err
	}
	// Whoever reads no further, such as head, would else end the process before its
	// directory is removed.
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGPIPE)
	defer stop()
	dir, remove, err := d.directory()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, remove()) }()
	setup, err := newDevSetup(dir)
	if err != nil {
		return err
	}
	receiver, err := newDevReceiver(d.out, setup.endpoint, d.count)
	if err != nil {
		return err
	}
	defer receiver.close() // after the bridge, whose last attempts it answers
	setup.receiver = receiver.url()
	bridge, c, err := d.start(ctx, setup)
	if err != nil {
		return err
	}
	samples, err := newDevSamples(c, setup, limiter, d.err)
	if err != nil {
		return err
	}
	d.greet(setup)
	receiver.printHead()
	err = watch(ctx, bridge, samples, receiver, d.count)
	return d.conclude(samples, receiver, err)
}

// watch runs the bridge and posts samples until ctx ends or the receiver has
// seen enough.
func watch(ctx context.Context, bridge *app.App, samples *devSamples, receiver *devReceiver, count int) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error {
		defer stop()
		return bridge.Run(ctx)
	})
	group.Go(func() error { return samples.run(ctx, count) })
	group.Go(func() error {
		select {
		case <-receiver.done:
			stop()
		case <-ctx.Done():
		}
		return nil
	})
	return group.Wait()
}

// directory returns where to keep things and what to do with it at the end.
func (d *dev) directory() (dir string, remove func() error, err error) {
	if d.data == "" {
		dir, err = os.MkdirTemp("", "jethook-dev-")
		return dir, func() error { return os.RemoveAll(dir) }, err
	}
	if dir, err = filepath.Abs(d.data); err != nil {
		return "", nil, err
	}
	return dir, func() error { return nil }, os.MkdirAll(dir, 0o700)
}

// start opens the bridge, and writes down the addresses it got.
func (d *dev) start(ctx context.Context, setup *devSetup) (*app.App, *config.Config, error) {
	setup.ingest, setup.admin, setup.ops = d.listen, freeAddress(devAdmin), freeAddress(devOps)
	if !d.listenGiven {
		setup.ingest = freeAddress(d.listen)
	} else if strings.HasSuffix(d.listen, ":0") {
		setup.admin, setup.ops = anyPort(devAdmin), anyPort(devOps) // whoever wants no fixed port wants none
	}
	if err := setup.write(); err != nil {
		return nil, nil, err
	}
	c, err := config.Load([]string{setup.file()})
	if err != nil {
		return nil, nil, err
	}
	bridge, err := app.New(ctx, c, app.Options{
		Version: thisBuild().Version,
		// Refusals on purpose are no news; the receiver's lines tell of them.
		Logger: newLogger(config.Log{Level: "error", Format: "text"}, d.err),
		Stdout: d.err,
	})
	if err != nil {
		return nil, nil, fmt.Errorf("starting: %w", err)
	}
	addresses := bridge.Addresses()
	setup.ingest, setup.admin, setup.ops = addresses["ingest"], addresses["admin"], addresses["ops"]
	return bridge, c, setup.write()
}

// freeAddress is the preferred address, or any port there where it is taken.
func freeAddress(preferred string) string {
	socket, err := net.Listen("tcp", preferred)
	if err == nil {
		_ = socket.Close() // only tried
		return preferred
	}
	return anyPort(preferred)
}

// anyPort is an address of ours with whatever port is free.
func anyPort(address string) string { return address[:strings.LastIndexByte(address, ':')] + ":0" }

func (d *dev) greet(setup *devSetup) {
	if !d.listenGiven && setup.ingest != d.listen {
		fmt.Fprintf(d.err, "%s is taken, so the gateway is at %s.\n", d.listen, setup.ingest)
	}
	keeping := "They are removed at the end; keep them with --data DIR."
	if d.data != "" {
		keeping = "They are kept."
	}
	fmt.Fprintf(d.err, `The bridge runs in this process: gateway, bus, delivery and a receiver.

  gateway        http://%s/in/{clink,chip,stripe,standard}
  managing       http://%s/v1, described by /openapi.yaml
  operating      http://%s/readyz and /metrics
  configuration  %s
  events         %s
                 %s

Post an event of your own from another terminal:
  %[7]s trigger stripe charge.refunded -c %[4]s
  %[7]s trigger chip purchase.paid -c %[4]s --key @%[8]s
and see what became of it, with the key of the environment test:
  export JETHOOK_SERVER=http://%[2]s JETHOOK_KEY="$(cat %[9]s)"
  %[7]s events list

Ctrl-C ends it. Each line is an attempt to deliver a sample event:
`, setup.ingest, setup.admin, setup.ops, setup.file(), setup.store(), keeping, invocation(os.Args[0]), setup.chipKey(), setup.keyFile())
}

// invocation is how this program is called from where it was called: `go run`
// leaves nothing behind that could be.
func invocation(program string) string {
	if strings.Contains(filepath.ToSlash(program), "/go-build") {
		return "go run ./cmd/jethook"
	}
	return program
}

// conclude writes the summary. With --count, all must have gone as it should.
func (d *dev) conclude(samples *devSamples, receiver *devReceiver, err error) error {
	seen := receiver.tally()
	fmt.Fprintf(d.err, "\n%d sent, %d stored, %d delivered, %d of them after a retry\n",
		samples.sent, samples.stored, seen.delivered, seen.retried)
	switch {
	case err != nil:
		return err
	case seen.unverified > 0:
		return fmt.Errorf("deliveries that were not signed as they should be: %d", seen.unverified)
	case d.count > 0 && (seen.delivered < d.count || seen.retried == 0):
		return fmt.Errorf("ended before %d events were delivered and one of them retried", d.count)
	}
	return nil
}
