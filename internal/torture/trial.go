package main

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"
)

const (
	// usualPatience is the setting by default. An attempt that died with its
	// process comes back after the endpoint's timeout and 30 s, and one that was
	// refused 5 s later at most.
	usualPatience = time.Minute
	// concurrency of billing is how many deliveries are in flight.
	concurrency = 16
	// usualPace is the events a second that are sent, where a row says nothing.
	usualPace = 200
)

// row is one way of breaking jethook.
type row struct {
	name string
	// share of the usual pace; 0 is all of it.
	share float64
	// prepare changes what a trial starts with, which is one bridge with a bus
	// of its own on this machine's disk; nil changes nothing.
	prepare func(context.Context, *trial) error
	// strike breaks something once and has it run again.
	strike func(context.Context, *trial) error
	// check says what is wrong beside events that were lost; may be nil.
	check func(*trial) error
	// resumes is set where it is of interest how long a break is felt.
	resumes bool
	// control is set where events must be lost: if none are, none of the rows
	// says anything.
	control bool
}

// trial is a run of one row: bridges under load, broken once a round, and what
// became of each event.
type trial struct {
	settings
	row      row
	random   *rand.Rand
	dir      string
	file     string // the configuration
	jethook  string // the program
	nats     string // the NATS server's
	progress io.Writer
	log      *logFile
	starting *sync.Mutex // held while any process is started

	ledger   *ledger
	signer   signer
	receiver *receiver
	balancer *balancer
	load     *load
	bus      options // the key nats of the configuration
	bridges  []*bridge
	servers  servers // of rows about a cluster
	felt     resumed
	cleanup  []func() // in reverse order
}

// try runs a row in a directory that is the trial's own. An error is about the
// trial; what it found is in the result.
func (h *harness) try(ctx context.Context, of row, dir string) (result, error) {
	log, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		return result{}, err
	}
	defer log.Close()
	name := fnv.New64a()
	name.Write([]byte(of.name))
	t := &trial{
		settings: h.settings, row: of, dir: dir, file: filepath.Join(dir, "jethook.yaml"),
		random:  rand.New(rand.NewPCG(h.seed, name.Sum64())), // the same whichever rows run
		jethook: h.jethook, nats: h.nats, progress: h.progress, starting: h.starting,
		log: &logFile{file: log}, ledger: newLedger(), balancer: &balancer{Transport: http.Transport{MaxIdleConnsPerHost: clients}},
		bus: options{
			"embedded": options{"store_dir": filepath.Join(dir, "store")},
			"stream":   options{"max_bytes": "1GiB"},
		},
	}
	defer t.close()
	err = t.run(ctx)
	if ctx.Err() != nil {
		return result{}, context.Cause(ctx)
	}
	return t.result(err), nil
}

// run returns what went wrong beside what is in the ledger.
func (t *trial) run(ctx context.Context) (err error) {
	if t.signer, err = newSigner(); err != nil {
		return err
	}
	if t.receiver, err = newReceiver(t.ledger, t.signer); err != nil {
		return err
	}
	t.cleanup = append(t.cleanup, t.receiver.close)
	if t.row.prepare != nil {
		if err := t.row.prepare(ctx, t); err != nil {
			return err
		}
	}
	t.addBridge("jethook")
	if err := t.configure(t.entry("billing", nil)); err != nil {
		return err
	}
	for _, b := range t.bridges {
		if err := b.start(ctx); err != nil {
			return err
		}
	}
	pace := t.pace
	if t.row.share > 0 {
		pace *= t.row.share
	}
	t.load = newLoad(t.ledger, t.log, t.signer, t.balancer, pace)
	loading, stop := context.WithCancel(ctx)
	defer func() { stop(); t.load.group.Wait() }()
	t.load.start(loading, t.random)
	for round := 0; round < t.rounds && err == nil; round++ {
		if err = t.strike(ctx, round); err != nil {
			err = fmt.Errorf("round %d: %w", round+1, err)
		}
	}
	if err := pause(ctx, t.before()); err != nil {
		return err
	}
	t.load.end(t.patience)
	return errors.Join(err, t.settle(ctx)) // what is lost is of interest all the same
}

// addBridge before they are started.
func (t *trial) addBridge(name string) {
	b := &bridge{trial: t, name: name}
	t.bridges = append(t.bridges, b)
	t.balancer.bridges = t.bridges
	t.cleanup = append(t.cleanup, b.kill)
}

// before is how long the load goes on before a break: around the setting, so
// that a break comes at any moment of what else goes on.
func (t *trial) before() time.Duration {
	return time.Duration((0.5 + t.random.Float64()) * t.seconds * float64(time.Second))
}

// within is a random time up to the longest.
func (t *trial) within(longest time.Duration) time.Duration {
	return time.Duration(t.random.Int64N(int64(longest)))
}

func (t *trial) strike(ctx context.Context, round int) error {
	if err := pause(ctx, t.before()); err != nil {
		return err
	}
	c := t.ledger.count()
	t.say("round %d of %d: %d acknowledged, %d delivered, %d of them again", round+1, t.rounds, c.acknowledged, c.delivered, c.duplicates)
	t.log.printf("round %d", round+1)
	t.ledger.breaks()
	defer func() { t.felt.feel(t.ledger.resumed()) }()
	return t.row.strike(ctx, t)
}

// acknowledged is nil when an event was.
func (t *trial) acknowledged(context.Context) error {
	if t.ledger.count().acknowledged == 0 {
		return errors.New("no event was acknowledged")
	}
	return nil
}

func (t *trial) say(format string, args ...any) {
	fmt.Fprintf(t.progress, "%s: "+format+"\n", append([]any{t.row.name}, args...)...)
}

// settle has an endpoint added that gets the whole stream, and waits until
// nothing is missing at either, or nothing comes any more.
func (t *trial) settle(ctx context.Context) error {
	t.receiver.calm()
	err := t.configure(t.entry("billing", nil), t.entry("audit", options{"start": "beginning", "concurrency": 64}))
	if err != nil {
		return err
	}
	for _, b := range t.bridges {
		b.reload()
	}
	for c := t.ledger.count(); c.missing > 0 && c.quiet < t.patience; c = t.ledger.count() {
		if err := pause(ctx, 100*time.Millisecond); err != nil {
			return err
		}
	}
	var errs []error
	for _, b := range t.bridges {
		errs = append(errs, b.terminate(ctx))
	}
	return errors.Join(errs...)
}

func (t *trial) close() {
	for i := len(t.cleanup) - 1; i >= 0; i-- {
		t.cleanup[i]()
	}
	t.balancer.CloseIdleConnections()
}
