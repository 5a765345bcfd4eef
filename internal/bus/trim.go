package bus

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/jethook/jethook/internal/event"
)

// How full an event stream is, in hundredths of its max_bytes, when something
// happens.
const (
	trimAbove = 80 // delivered history is removed
	trimTo    = 70 // as much of it stays, to be delivered again on demand
	dropDead  = 90 // the bodies of dead events go too
)

const (
	trimInterval = 10 * time.Second
	// trimTimeout bounds one look at everything that may need an event. There
	// may be a million pointers in RETRY, and a hundred thousand take 6 seconds.
	trimTimeout = 5 * time.Minute
	// trimShare is how many times as long as the last look took the next one
	// waits, so that looking takes a fifth of the time at most.
	trimShare = 4
)

// trimmer removes delivered history from the front of an event stream that is
// nearly full, so that it does not keep new events out. Several replicas may do
// so at once: each removes only what it has found that nobody needs.
type trimmer struct {
	js     jetstream.JetStream
	parked func(stream string) []*jetstream.ConsumerInfo // consumers that the server does not know
	still  sync.Locker                                   // while it is locked, none is parked or unparked
	logger *slog.Logger
	held   map[event.Env]need // what was in the way when it was looked at last
}

// need is the first event that must stay, and who needs it.
type need struct {
	sequence uint64
	by       string // empty where nobody does, and enough is removed up to there
	remedy   string
	stream   string // and sequence of the message that names the event, where one does
	message  uint64
}

// lower makes n the other need, where that begins before it.
func (n *need) lower(other need) {
	if other.sequence < n.sequence {
		*n = other
	}
}

func newTrimmer(b *Bus, logger *slog.Logger) *trimmer {
	t := &trimmer{js: b.consumer, parked: b.parkedInfos, still: new(sync.Mutex), logger: logger, held: make(map[event.Env]need)}
	if b.cursors != nil {
		t.still = &b.cursors.mu
	}
	return t
}

func (t *trimmer) run(ctx context.Context) {
	for {
		began := time.Now()
		for _, env := range event.Envs() {
			if err := t.check(ctx, env); err != nil && ctx.Err() == nil {
				t.logger.Warn("delivered history could not be removed; tried again", "stream", StreamName(env), "error", err)
			}
		}
		select {
		case <-time.After(max(trimInterval, trimShare*time.Since(began))):
		case <-ctx.Done():
			return
		}
	}
}

// check trims the stream of env where it is full enough.
func (t *trimmer) check(ctx context.Context, env event.Env) error {
	ctx, cancel := context.WithTimeout(ctx, trimTimeout)
	defer cancel()
	stream, err := t.leader(ctx, StreamName(env))
	if err != nil {
		t.logger.Debug("fullness of a stream could not be read", "stream", StreamName(env), "error", err)
		return nil // readiness tells
	}
	info := stream.CachedInfo()
	full := percent(info)
	if full < trimAbove {
		delete(t.held, env)
		return nil
	}
	if old := t.held[env]; old.message != 0 && full < dropDead && old.sequence == info.State.FirstSeq {
		if holder, err := t.leader(ctx, old.stream); err == nil {
			if _, err := holder.GetMsg(ctx, old.message); err == nil {
				return nil // as before, and there may be a million to read
			}
		}
	}
	first, bodies, err := t.needed(ctx, env, stream)
	if err != nil {
		return err
	}
	if first.sequence <= info.State.FirstSeq {
		t.report(env, full, first)
		return nil
	}
	if bodies > 0 {
		t.logger.Warn("stream is over 90 % full; the bodies of dead events are removed with it", "stream", StreamName(env), "dead", bodies)
	}
	if err := stream.Purge(ctx, jetstream.WithPurgeSequence(first.sequence)); err != nil {
		return fmt.Errorf("remove the events before %d: %w", first.sequence, err)
	}
	t.logger.Info("delivered history is removed to make room", "stream", StreamName(env), "percent", full,
		"events", first.sequence-info.State.FirstSeq, "first", first.sequence)
	return nil
}

// report names what is in the way, once.
func (t *trimmer) report(env event.Env, full int, first need) {
	if t.held[env].by != first.by {
		t.logger.Warn("stream is nearly full and nothing can be removed from it", "stream", StreamName(env), "percent", full,
			"held_by", first.by, "sequence", first.sequence, "remedy", first.remedy)
	}
	t.held[env] = first
}

// needed returns the first event of a stream that must stay, and how many dead
// events before it lose their bodies.
//
// The order of the reading matters. A worker stores a pointer in RETRY before
// it acknowledges the event, so the consumers come first and RETRY after them:
// the other way around, an event could leave its consumer between the two and
// be seen in neither. For the same reason RETRY comes before DEAD, where a
// pointer ends, and what was added to it meanwhile is read after DEAD, from
// where a dead event that is tried again comes back. What a subscriber has not
// acknowledged moves from its consumer by way of EXHAUSTED to DEAD.
func (t *trimmer) needed(ctx context.Context, env event.Env, stream jetstream.Stream) (need, int, error) {
	info := stream.CachedInfo()
	begin := info.State.FirstSeq
	first := need{sequence: goal(info)}
	if err := t.consumers(ctx, stream, &first); err != nil || first.sequence <= begin {
		return first, 0, err
	}
	enough := func() error {
		if first.sequence <= begin {
			return errEnough
		}
		return nil
	}
	retries := func(m *jetstream.RawStreamMsg) error {
		if p, ok := pointedBy(m.Subject, m.Header, m.Data); ok && p.env == env && p.sequence >= begin {
			first.lower(need{p.sequence, "retries of endpoint " + p.endpoint,
				"they end by themselves with the endpoint's retry; removing the endpoint ends them at once", Retry, m.Sequence})
		}
		return enough()
	}
	if _, err := t.read(ctx, Exhausted, 0, retries); err != nil || first.sequence <= begin {
		return first, 0, err
	}
	next, err := t.read(ctx, Retry, 0, retries)
	if err != nil || first.sequence <= begin {
		return first, 0, err
	}
	var dead []uint64
	stay := percent(info) < dropDead
	if _, err := t.read(ctx, Dead, 0, func(m *jetstream.RawStreamMsg) error {
		switch p, ok := pointedBy(m.Subject, m.Header, m.Data); {
		case !ok || p.env != env || p.sequence < begin || p.sequence >= first.sequence:
		case stay:
			first.lower(need{p.sequence, "dead events of endpoint " + p.endpoint,
				"their bodies are removed when the stream is 90 % full; raise nats.stream.max_bytes to keep them", Dead, m.Sequence})
		default:
			dead = append(dead, p.sequence)
		}
		return enough()
	}); err != nil || first.sequence <= begin {
		return first, 0, err
	}
	if _, err := t.read(ctx, Retry, next, retries); err != nil {
		return first, 0, err
	}
	bodies := 0
	for _, sequence := range dead {
		if sequence < first.sequence {
			bodies++
		}
	}
	return first, bodies, nil
}

// consumers lowers first to what a consumer has not acknowledged. Those that are
// parked come first: one that is unparked meanwhile is seen twice, and one that is
// parked meanwhile needs nothing.
func (t *trimmer) consumers(ctx context.Context, stream jetstream.Stream, first *need) error {
	all := t.parked(stream.CachedInfo().Config.Name)
	anybody := len(all) > 0
	awake, err := t.awake(ctx, stream)
	if err != nil {
		return err
	}
	for _, info := range append(all, awake...) {
		anybody = anybody || keeps(info)
		if err := t.consumer(ctx, stream, info, first); err != nil {
			return err
		}
	}
	if !anybody { // what nobody has had is no delivered history
		first.lower(need{sequence: stream.CachedInfo().State.FirstSeq, by: "events that nobody has had: the stream has no consumer",
			remedy: "add an endpoint or a subscriber, or raise nats.stream.max_bytes"})
	}
	return nil
}

// awake returns the consumers that the server knows. Its lists come in pages, of
// which one begins later by as many consumers as were deleted before it: so none
// is parked meanwhile, or one that exists could be left out. A list of a cluster
// may leave one out for other reasons, and so the names are asked for as well; one
// that does not answer is an error.
func (t *trimmer) awake(ctx context.Context, stream jetstream.Stream) (all []*jetstream.ConsumerInfo, err error) {
	t.still.Lock()
	defer t.still.Unlock()
	seen := make(map[string]bool)
	list := stream.ListConsumers(ctx)
	for info := range list.Info() {
		seen[info.Name] = true
		all = append(all, info)
	}
	if err := list.Err(); err != nil {
		return nil, fmt.Errorf("list consumers: %w", err)
	}
	names := stream.ConsumerNames(ctx)
	for name := range names.Name() {
		if seen[name] {
			continue
		}
		left, err := stream.Consumer(ctx, name)
		if errors.Is(err, jetstream.ErrConsumerNotFound) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("consumer %s: %w", name, err)
		}
		all = append(all, left.CachedInfo())
	}
	if err := names.Err(); err != nil {
		return nil, fmt.Errorf("list consumers: %w", err)
	}
	return all, nil
}

// keeps reports whether a consumer has a place that it comes back to.
func keeps(info *jetstream.ConsumerInfo) bool {
	return info.Config.AckPolicy != jetstream.AckNonePolicy || info.Config.Durable != ""
}

// consumer lowers first to the first event that the consumer selects after the
// last one up to which it has acknowledged all. Those in between are none of
// its business, however long nothing of its own has come.
func (t *trimmer) consumer(ctx context.Context, stream jetstream.Stream, info *jetstream.ConsumerInfo, first *need) error {
	config, from := info.Config, info.AckFloor.Stream+1
	if !keeps(info) || from >= first.sequence {
		return nil
	}
	of := need{by: "consumer " + info.Name,
		remedy: "it has not acknowledged the event: let it catch up, or remove it if nobody uses it"}
	sequence, found, err := selects(ctx, stream, config, from)
	if err != nil {
		return fmt.Errorf("next event of consumer %s: %w", info.Name, err)
	}
	if found {
		of.sequence = sequence
		first.lower(of)
	}
	if !found && info.NumPending+uint64(info.NumAckPending) > 0 { // it says otherwise
		of.sequence = from
		first.lower(of)
	}
	return nil
}

// percent is how full a stream is; zero where it has no limit.
func percent(info *jetstream.StreamInfo) int {
	if info.Config.MaxBytes <= 0 {
		return 0
	}
	return int(float64(info.State.Bytes) / float64(info.Config.MaxBytes) * 100)
}

// goal returns the first event to keep so that the stream is trimTo full, if
// its events are of one size; a second look corrects that.
func goal(info *jetstream.StreamInfo) uint64 {
	state := info.State
	keep := float64(info.Config.MaxBytes) * trimTo / 100 / float64(state.Bytes)
	span := state.LastSeq - state.FirstSeq + 1
	return state.LastSeq + 1 - min(span, uint64(float64(span)*keep))
}
