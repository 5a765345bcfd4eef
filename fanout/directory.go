package fanout

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"golang.org/x/sync/errgroup"

	"github.com/jethook/jethook/deliver"
	"github.com/jethook/jethook/internal/bus"
	"github.com/jethook/jethook/internal/event"
	"github.com/jethook/jethook/internal/signature"
	"github.com/jethook/jethook/internal/vault"
)

// Condition is whether an endpoint gets events, and why not.
type Condition string

// The conditions. The first that holds counts.
const (
	Disabled Condition = "disabled" // by the file, by a 410, or after failing for too long
	Paused   Condition = "paused"   // by an operator
	Failing  Condition = "failing"  // its events wait, and one is tried now and then
	Enabled  Condition = "enabled"
)

// Status is an endpoint and how it is doing.
type Status struct {
	Name, Description string
	Env               event.Env
	URL               string // empty where this process's file does not have the endpoint, and where Pull
	Pull              bool   // its receiver takes its events
	Events            []string
	Enabled           bool // by the file

	Condition Condition
	Since     time.Time // of the condition, unless it is Enabled or by the file
	Reason    string
	Warning   time.Time // when the next warning is due, for Failing; zero where none is
	Disabling time.Time // when it will be disabled, for Failing; zero for never

	DrainRate float64 // at which what waited when it was resumed is delivered, a second; 0 once that is done

	// Oldest is when the oldest event was stored that waits, and Expires when the
	// stream removes it, for endpoints that do not get their events; zero where
	// none waits or none is removed by age.
	Oldest, Expires time.Time

	Waiting uint64 // events that it has not had yet, or not settled
	Retries uint64 // events that are tried again later
	Dead    uint64
}

// ErrNotEnabled means that the file says enabled: false, which nobody but the
// file can change.
var ErrNotEnabled = errors.New("the file says that the endpoint is not enabled")

// Directory shows the endpoints of the bus, and pauses and resumes them. It
// needs no Registry: any process on the bus may have one. It is safe for
// concurrent use.
type Directory struct {
	bus          *bus.Bus
	keys         *keychain
	logger       *slog.Logger
	disableAfter time.Duration
	now          func() time.Time

	mu    sync.Mutex
	known map[ref]Endpoint
}

// NewDirectory returns a directory of what is on the bus. The vault and
// disableAfter are those of Config.
func NewDirectory(b *bus.Bus, v *vault.Vault, logger *slog.Logger, disableAfter time.Duration) *Directory {
	// Its keys are read one by one where they are needed; what they are is told by
	// the process that delivers.
	keys := &keychain{bus: b, vault: v, logger: slog.New(slog.DiscardHandler), keys: make(map[string]signature.Key)}
	return &Directory{bus: b, keys: keys, logger: logger, disableAfter: disableAfter, now: time.Now, known: make(map[ref]Endpoint)}
}

// SetEndpoints says what this process's file has. Of endpoints that another
// process has delivered to, the bus tells less.
func (d *Directory) SetEndpoints(endpoints []Endpoint) {
	known := make(map[ref]Endpoint, len(endpoints))
	for _, e := range endpoints {
		known[e.ref()] = e
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.known = known
}

// Change is SetEndpoints for some names: endpoints are those that there are of them.
func (d *Directory) Change(names []Name, endpoints []Endpoint) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, of := range names {
		delete(d.known, ref{of.Env, of.Name})
	}
	for _, e := range endpoints {
		d.known[e.ref()] = e
	}
}

// List returns the endpoints of an environment by name, with their counts.
func (d *Directory) List(ctx context.Context, env event.Env) ([]Status, error) {
	found, infos, records, err := d.look(ctx, env)
	if err != nil {
		return nil, err
	}
	return found, d.count(ctx, env, "*", found, infos, records)
}

// count says how the endpoints are doing and what waits for them. They are those
// that names selects.
func (d *Directory) count(ctx context.Context, env event.Env, names string, found []Status, infos map[string]*jetstream.ConsumerInfo, records map[ref]record) error {
	stream, err := d.bus.JetStream().Stream(ctx, bus.StreamName(env))
	if err != nil {
		return fmt.Errorf("open stream %s: %w", bus.StreamName(env), err)
	}
	maxAge := stream.CachedInfo().Config.MaxAge
	dead, err := d.bus.Subjects(ctx, bus.Dead, deliver.DeadSubject(env, names))
	if err != nil {
		return err
	}
	due, err := d.bus.Subjects(ctx, bus.Retry, deliver.DueSubject(env, names))
	if err != nil {
		return err
	}
	later, err := deliver.CountLater(ctx, d.bus, env, names)
	if err != nil {
		return err
	}
	counting, ctx := errgroup.WithContext(ctx)
	counting.SetLimit(countsAtOnce)
	for i := range found {
		s := &found[i]
		d.judge(s, records[ref{env, s.Name}])
		s.Dead, s.Retries = dead[deliver.DeadSubject(env, s.Name)], due[deliver.DueSubject(env, s.Name)]+later[s.Name]
		if info := infos[s.Name]; s.Condition != Enabled && info != nil {
			counting.Go(func() (err error) {
				if s.Oldest, err = oldest(ctx, stream, info); maxAge > 0 && !s.Oldest.IsZero() {
					s.Expires = s.Oldest.Add(maxAge)
				}
				return err
			})
		}
		counting.Go(func() error {
			waiting, err := d.bus.CountSubjects(ctx, bus.Retry, bus.WaitSubjects(env, s.Name))
			s.Retries += uint64(waiting)
			if err != nil || !s.Pull {
				return err
			}
			taken, err := d.bus.CountSubjects(ctx, bus.Retry, deliver.LeaseSubjects(env, s.Name))
			s.Waiting += uint64(taken)
			return err
		})
	}
	return counting.Wait()
}

// countsAtOnce is how many endpoints' retries are counted at a time.
const countsAtOnce = 4

// Get returns one endpoint, or bus.ErrNotFound.
func (d *Directory) Get(ctx context.Context, env event.Env, name string) (Status, error) {
	found, infos, records, err := d.lookOne(ctx, ref{env, name})
	if err != nil {
		return Status{}, err
	}
	return found[0], d.count(ctx, env, name, found, infos, records)
}

// lookOne is look for one endpoint, or bus.ErrNotFound.
func (d *Directory) lookOne(ctx context.Context, at ref) ([]Status, map[string]*jetstream.ConsumerInfo, map[ref]record, error) {
	if !nameForm.MatchString(at.name) {
		return nil, nil, nil, bus.ErrNotFound
	}
	info, err := d.consumer(ctx, at)
	if err != nil {
		return nil, nil, nil, err
	}
	infos := make(map[string]*jetstream.ConsumerInfo)
	var s Status
	switch {
	case info != nil && d.shows(at, info.Config):
		s = d.describe(at, info)
		s.Waiting = info.NumPending + uint64(max(info.NumAckPending, 0))
		if info.Stream != "" { // the server knows it
			infos[at.name] = info
		}
	case d.of(at) != nil: // nobody has delivered to it yet
		s = d.describe(at, nil)
	default:
		return nil, nil, nil, bus.ErrNotFound
	}
	bucket, err := openStates(ctx, d.bus.JetStream())
	if err != nil {
		return nil, nil, nil, err
	}
	r, err := readState(ctx, bucket, at)
	return []Status{s}, infos, map[ref]record{at: r}, err
}

// consumer returns an endpoint's consumer, nil where there is none, and its
// configuration alone where it is parked.
func (d *Directory) consumer(ctx context.Context, at ref) (*jetstream.ConsumerInfo, error) {
	for last := false; ; last = true {
		config, parked, err := d.bus.IsParked(bus.StreamName(at.env), at.name)
		if parked || err != nil {
			return &jetstream.ConsumerInfo{Config: config}, err
		}
		found, err := d.bus.JetStream().Consumer(ctx, bus.StreamName(at.env), at.name)
		switch {
		case err == nil:
			return found.CachedInfo(), nil
		case !errors.Is(err, jetstream.ErrConsumerNotFound):
			return nil, fmt.Errorf("look for consumer %s of %s: %w", at.name, bus.StreamName(at.env), err)
		case last: // it was not parked meanwhile either
			return nil, nil
		}
	}
}

// Has returns nil where there is an endpoint of that name, or bus.ErrNotFound.
func (d *Directory) Has(ctx context.Context, env event.Env, name string) error {
	if d.of(ref{env, name}) != nil {
		return nil
	}
	if !nameForm.MatchString(name) {
		return bus.ErrNotFound
	}
	info, err := d.consumer(ctx, ref{env, name})
	if err == nil && (info == nil || !d.shows(ref{env, name}, info.Config)) {
		return bus.ErrNotFound
	}
	return err
}

// of returns what the file says of an endpoint, or nil.
func (d *Directory) of(at ref) *Endpoint {
	d.mu.Lock()
	defer d.mu.Unlock()
	if e, ok := d.known[at]; ok {
		return &e
	}
	return nil
}

// look reads what the bus and the file say: an endpoint is where either has it.
// Those that the server knows are returned by name beside it.
func (d *Directory) look(ctx context.Context, env event.Env) ([]Status, map[string]*jetstream.ConsumerInfo, map[ref]record, error) {
	js := d.bus.JetStream()
	stream, err := js.Stream(ctx, bus.StreamName(env))
	if err != nil {
		return nil, nil, nil, fmt.Errorf("open stream %s: %w", bus.StreamName(env), err)
	}
	parked, err := d.bus.Parked(bus.StreamName(env))
	if err != nil {
		return nil, nil, nil, err
	}
	var found []Status
	seen := make(map[ref]bool)
	infos := make(map[string]*jetstream.ConsumerInfo)
	list := stream.ListConsumers(ctx)
	for info := range list.Info() {
		at := ref{env, info.Name}
		if !d.shows(at, info.Config) {
			continue
		}
		seen[at], infos[info.Name] = true, info
		s := d.describe(at, info)
		s.Waiting = info.NumPending + uint64(max(info.NumAckPending, 0))
		found = append(found, s)
	}
	if err := list.Err(); err != nil {
		return nil, nil, nil, fmt.Errorf("list the consumers of %s: %w", bus.StreamName(env), err)
	}
	// An endpoint may have been parked or unparked meanwhile: it was before, or is
	// now, one of these, for which nothing waits.
	after, err := d.bus.Parked(bus.StreamName(env))
	if err != nil {
		return nil, nil, nil, err
	}
	maps.Copy(parked, after)
	for name, config := range parked {
		if at := (ref{env, name}); !seen[at] && d.shows(at, config) {
			seen[at] = true
			found = append(found, d.describe(at, &jetstream.ConsumerInfo{Config: config}))
		}
	}
	d.mu.Lock()
	var unseen []ref
	for at := range d.known {
		if at.env == env && !seen[at] {
			unseen = append(unseen, at)
		}
	}
	d.mu.Unlock()
	for _, at := range unseen { // nobody has delivered to it yet
		found = append(found, d.describe(at, nil))
	}
	slices.SortFunc(found, func(a, b Status) int { return cmp.Compare(a.Name, b.Name) })
	bucket, err := openStates(ctx, js)
	if err != nil {
		return nil, nil, nil, err
	}
	records, err := states(ctx, bucket)
	return found, infos, records, err
}

// shows reports whether a consumer is an endpoint's. One with an ID that the list
// does not have was deleted, and its consumer is on its way out.
func (d *Directory) shows(at ref, config jetstream.ConsumerConfig) bool {
	return isEndpoint(config) && (config.Metadata[metaID] == "" || d.of(at) != nil)
}

func isEndpoint(config jetstream.ConsumerConfig) bool { return is(config, endpointKind) }

// is reports whether a consumer was made for a listed one of that kind.
func is(config jetstream.ConsumerConfig, k kind) bool {
	return config.Metadata[metaOrigin] == originFile && config.Metadata[metaKind] == string(k)
}

// describe says what an endpoint is, by the file or else by its consumer.
func (d *Directory) describe(at ref, info *jetstream.ConsumerInfo) Status {
	s := Status{Name: at.name, Env: at.env, Enabled: true}
	if e := d.of(at); e != nil {
		s.Description, s.URL, s.Pull, s.Enabled = e.Description, e.URL, e.Pull, e.Enabled
		for _, p := range e.Events {
			s.Events = append(s.Events, string(p))
		}
		return s
	}
	if info != nil {
		s.Description = info.Config.Description
		filters := info.Config.FilterSubjects
		if info.Config.FilterSubject != "" {
			filters = []string{info.Config.FilterSubject}
		}
		for _, filter := range filters {
			s.Events = append(s.Events, strings.TrimPrefix(filter, event.SubjectRoot+"."+string(at.env)+"."))
		}
	}
	return s
}

// judge finds the condition. What is known of another URL does not count.
func (d *Directory) judge(s *Status, r record) {
	if r.Resumed != nil {
		s.DrainRate = r.Resumed.PerSecond
	}
	about := func(fingerprinted string) bool { return s.URL == "" || fingerprinted == fingerprint(s.URL) }
	switch {
	case !s.Enabled:
		s.Condition, s.Reason = Disabled, "enabled: false in the file"
	case r.Disabled != nil && about(r.Disabled.Fingerprint):
		s.Condition, s.Since, s.Reason = Disabled, r.Disabled.At, r.Disabled.Reason
	case r.Paused != nil:
		s.Condition, s.Since, s.Reason = Paused, r.Paused.At, "paused by an operator"
	case r.Failing != nil && about(r.Failing.Fingerprint):
		s.Condition, s.Since, s.Reason = Failing, r.Failing.Since, r.Failing.Reason
		d.foresee(s)
	default:
		s.Condition = Enabled
	}
}

// foresee says when a failing endpoint is warned of next, and when it is
// disabled.
func (d *Directory) foresee(s *Status) {
	if d.disableAfter == 0 {
		return
	}
	s.Disabling = s.Since.Add(d.disableAfter)
	for _, step := range warnings {
		if at := s.Since.Add(d.disableAfter / 100 * time.Duration(step)); step < 100 && at.After(d.now()) {
			s.Warning = at
			return
		}
	}
}
