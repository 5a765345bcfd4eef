package fanout

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/jethook/jethook/deliver"
	"github.com/jethook/jethook/internal/bus"
	"github.com/jethook/jethook/internal/event"
)

// ReplayState is what becomes of a replay.
type ReplayState string

// The states. The last three are for good.
const (
	ReplayRunning   ReplayState = "running"
	ReplayPaused    ReplayState = "paused"
	ReplayDone      ReplayState = "done"
	ReplayCancelled ReplayState = "cancelled"
	ReplayFailed    ReplayState = "failed" // whom it is for is gone
)

// Replay is events that an endpoint is delivered again. It has a consumer of its
// own, and leaves the endpoint's place and what is known of its health alone; an
// event that fails goes through the endpoint's retries.
type Replay struct {
	ID         string          `json:"id"`
	Env        event.Env       `json:"env"`
	Endpoint   string          `json:"endpoint,omitempty"`
	EndpointID string          `json:"endpoint_id,omitempty"` // of the endpoint, where it has one
	Target     []byte          `json:"target,omitempty"`      // in place of Endpoint, encrypted
	To         string          `json:"to,omitempty"`          // its scheme and host
	Events     []event.Pattern `json:"events"`
	Begin      uint64          `json:"begin"` // the sequence it begins with
	End        uint64          `json:"end"`   // and ends with
	Where      string          `json:"where,omitempty"`
	// PerSecond is the rate, over all replicas; 0 is the endpoint's own.
	PerSecond float64     `json:"per_second,omitempty"`
	State     ReplayState `json:"state"`
	Reason    string      `json:"reason,omitempty"`
	Count     uint64      `json:"count"`             // events that are selected, before Where
	Matched   *Matched    `json:"matched,omitempty"` // where Where or a filter selects among them
	Handed    uint64      `json:"handed"`            // as far as the consumer tells
	// What became of those, as deliver.Tally has it; Failed is for a target what was
	// given up. What a process counted in the last second before it was killed is
	// missing.
	Delivered uint64 `json:"delivered,omitempty"`
	Filtered  uint64 `json:"filtered,omitempty"`
	Failed    uint64 `json:"failed,omitempty"`
	// Before is how many were handed out before a restart, at which the consumer
	// was made anew and began to count.
	Before uint64 `json:"before,omitempty"`

	CreatedAt time.Time `json:"created_at"`
	EndedAt   time.Time `json:"ended_at,omitzero"`

	// Secret is what deliveries to a target are signed with where it was generated,
	// which Replay alone returns.
	Secret string `json:"-"`

	revision uint64
}

// ReplaySpec is what is to be delivered again.
type ReplaySpec struct {
	Endpoint     string
	Target       *Target         // in place of Endpoint
	Events       []event.Pattern // none: those that the endpoint gets, and for a target all
	Since, Until time.Time       // Until excluded; zero is what is stored now
	Where        string          // an expression beside the endpoint's filter
	PerSecond    float64
	DryRun       bool // count, and make nothing
}

// consumer is the name of the replay's durable.
func (r *Replay) consumer() string { return replayPrefix + r.ID }

// replayPrefix begins the names of the consumers of replays. Other consumers may
// have such names too.
const replayPrefix = "replay_"

// stored is what the replay selects, and what follows its end.
func (r *Replay) stored() bus.Range {
	return bus.Range{Stream: bus.StreamName(r.Env), Subjects: subjects(r.Env, r.Events), After: r.Begin - 1}
}

// over reports whether nothing more comes of the replay.
func (r *Replay) over() bool { return r.State != ReplayRunning && r.State != ReplayPaused }

func (r *Replay) key() string { return string(r.Env) + "." + r.ID }

// replayOrigin marks the consumers of replays.
const replayOrigin = "replay"

// ErrReplayOver means that a replay has ended, for good.
var ErrReplayOver = errors.New("the replay is over")

// ErrWhere means that a replay's expression is none.
var ErrWhere = errors.New("not an expression")

// Replay counts what is selected and, unless it is a dry run, has it delivered
// again by whichever processes deliver. There is no such endpoint: bus.ErrNotFound.
func (d *Directory) Replay(ctx context.Context, env event.Env, spec ReplaySpec) (Replay, error) {
	id, err := uuid.NewV7()
	if err != nil {
		return Replay{}, err
	}
	r := Replay{ID: strings.ReplaceAll(id.String(), "-", ""), Env: env, Endpoint: spec.Endpoint, Events: spec.Events, Where: spec.Where,
		PerSecond: spec.PerSecond, State: ReplayRunning, CreatedAt: d.now().UTC()}
	e, err := d.replayEndpoint(ctx, &r, spec)
	if err == nil {
		e, err = replayed(e, spec.Where)
	}
	if err != nil {
		return Replay{}, err
	}
	if err := d.bound(ctx, &r, spec); err != nil {
		return r, err
	}
	stream, err := d.bus.JetStream().Stream(ctx, bus.StreamName(env))
	if err != nil {
		return r, fmt.Errorf("open stream %s: %w", bus.StreamName(env), err)
	}
	config := jetstream.ConsumerConfig{
		Durable: r.consumer(), Description: "events delivered again to " + e.Name, FilterSubjects: subjects(env, r.Events),
		AckPolicy: jetstream.AckExplicitPolicy, DeliverPolicy: jetstream.DeliverByStartSequencePolicy, OptStartSeq: r.Begin,
		AckWait: deliver.AckWait(e), MaxAckPending: deliver.MaxAckPending(e), MaxDeliver: -1, MaxWaiting: maxWaiting,
		Metadata:      map[string]string{metaOrigin: replayOrigin},
		MemoryStorage: d.bus.KeepsConsumers(), // so that after a kill its events come at once
	}
	r.Count, err = d.bus.Count(ctx, r.stored(), r.End)
	if err == nil && r.Count > 0 && e.Filter != "" {
		r.Matched, err = d.match(ctx, &r, e)
	}
	if err != nil || spec.DryRun {
		return r, err
	}
	if r.Count == 0 {
		r.State, r.EndedAt = ReplayDone, r.CreatedAt
	} else if _, err := stream.CreateConsumer(ctx, config); err != nil {
		return r, fmt.Errorf("make the replay's consumer: %w", err)
	}
	return d.storeReplay(ctx, r)
}

// replayed is an endpoint with a replay's expression beside its filter.
func replayed(e deliver.Endpoint, where string) (deliver.Endpoint, error) {
	switch {
	case where != "" && e.Filter != "":
		e.Filter = "(" + e.Filter + ") && (" + where + ")"
	case where != "":
		e.Filter = where
	default:
		return e, nil
	}
	if _, err := deliver.Selects(deliver.Endpoint{Filter: where}); err != nil {
		return e, fmt.Errorf("%w: %w", ErrWhere, err)
	}
	return e, nil
}

// bound finds the sequences that a replay begins and ends with.
func (d *Directory) bound(ctx context.Context, r *Replay, spec ReplaySpec) error {
	name := bus.StreamName(r.Env)
	stream, err := d.bus.JetStream().Stream(ctx, name)
	if err != nil {
		return fmt.Errorf("open stream %s: %w", name, err)
	}
	state := stream.CachedInfo().State
	r.Begin, r.End = max(state.FirstSeq, 1), state.LastSeq
	if !spec.Since.IsZero() {
		at, err := d.bus.SequenceAt(ctx, name, spec.Since)
		if err != nil {
			return err
		}
		r.Begin = max(r.Begin, at)
	}
	if !spec.Until.IsZero() {
		at, err := d.bus.SequenceAt(ctx, name, spec.Until)
		if err != nil {
			return err
		}
		r.End = min(r.End, at-1)
	}
	return nil
}

func (d *Directory) storeReplay(ctx context.Context, r Replay) (Replay, error) {
	bucket, err := d.bus.JetStream().KeyValue(ctx, bus.Replays)
	if err != nil {
		return r, fmt.Errorf("open bucket %s: %w", bus.Replays, err)
	}
	text, err := json.Marshal(r)
	if err != nil {
		return r, err
	}
	if _, err := bucket.Create(ctx, r.key(), text); err != nil {
		return r, fmt.Errorf("keep the replay: %w", err)
	}
	return r, d.bus.Sync()
}

// Replays returns those of an environment, in no order.
func (d *Directory) Replays(ctx context.Context, env event.Env) ([]Replay, error) {
	bucket, err := d.bus.JetStream().KeyValue(ctx, bus.Replays)
	if err != nil {
		return nil, fmt.Errorf("open bucket %s: %w", bus.Replays, err)
	}
	keys, err := bucket.ListKeysFiltered(ctx, string(env)+".*")
	if err != nil {
		return nil, fmt.Errorf("list bucket %s: %w", bus.Replays, err)
	}
	var found []Replay
	for key := range keys.Keys() {
		entry, err := bucket.Get(ctx, key)
		if errors.Is(err, jetstream.ErrKeyNotFound) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("read replay %s: %w", key, err)
		}
		if r, err := decodeReplay(entry); err == nil {
			found = append(found, d.progressOf(ctx, r))
		}
	}
	return found, nil
}

func decodeReplay(entry jetstream.KeyValueEntry) (Replay, error) {
	r := Replay{revision: entry.Revision()}
	err := json.Unmarshal(entry.Value(), &r)
	return r, err
}

// progressOf reads how far a replay is that is not over.
func (d *Directory) progressOf(ctx context.Context, r Replay) Replay {
	if r.over() {
		return r
	}
	if consumer, err := d.bus.JetStream().Consumer(ctx, bus.StreamName(r.Env), r.consumer()); err == nil {
		r.Handed = min(r.Count, r.Before+consumer.CachedInfo().AckFloor.Consumer)
	}
	return r
}

// GetReplay returns one, or bus.ErrNotFound.
func (d *Directory) GetReplay(ctx context.Context, env event.Env, id string) (Replay, error) {
	if !nameForm.MatchString(id) {
		return Replay{}, bus.ErrNotFound
	}
	r, err := readReplay(ctx, d.bus, env, id)
	return d.progressOf(ctx, r), err
}

// readReplay reads a replay's record.
func readReplay(ctx context.Context, b *bus.Bus, env event.Env, id string) (Replay, error) {
	bucket, err := b.JetStream().KeyValue(ctx, bus.Replays)
	if err != nil {
		return Replay{}, fmt.Errorf("open bucket %s: %w", bus.Replays, err)
	}
	entry, err := bucket.Get(ctx, string(env)+"."+id)
	if errors.Is(err, jetstream.ErrKeyNotFound) {
		return Replay{}, bus.ErrNotFound
	}
	if err != nil {
		return Replay{}, fmt.Errorf("read replay %s: %w", id, err)
	}
	return decodeReplay(entry)
}

// SetReplay pauses, resumes or cancels a replay. One that is over stays as it is:
// it cannot be paused or resumed, which is ErrReplayOver.
func (d *Directory) SetReplay(ctx context.Context, env event.Env, id string, to ReplayState) (Replay, error) {
	if !nameForm.MatchString(id) {
		return Replay{}, bus.ErrNotFound
	}
	var over bool
	r, err := changeReplay(ctx, d.bus, env, id, func(have *Replay) bool {
		if over = have.over(); over {
			return false
		}
		*have = d.progressOf(ctx, *have)
		if have.State = to; to == ReplayCancelled {
			have.EndedAt = d.now().UTC()
		}
		return true
	})
	if err == nil && over && to != ReplayCancelled {
		err = ErrReplayOver
	}
	return r, err
}

// changeReplay changes the record of a replay, again where somebody else was faster,
// and returns it. Where change reports false the record stays.
func changeReplay(ctx context.Context, b *bus.Bus, env event.Env, id string, change func(*Replay) bool) (Replay, error) {
	for range maxRaces * maxRaces {
		r, err := readReplay(ctx, b, env, id)
		if err != nil || !change(&r) {
			return r, err
		}
		if err = writeReplay(ctx, b, r); err == nil || ignoreRace(err) != nil {
			return r, err
		}
	}
	return Replay{}, fmt.Errorf("others keep changing replay %s", id)
}

// writeReplay replaces a replay's record, and removes the consumer of one that is
// over.
func writeReplay(ctx context.Context, b *bus.Bus, r Replay) error {
	bucket, err := b.JetStream().KeyValue(ctx, bus.Replays)
	if err != nil {
		return fmt.Errorf("open bucket %s: %w", bus.Replays, err)
	}
	text, err := json.Marshal(r)
	if err != nil {
		return err
	}
	if _, err := bucket.Update(ctx, r.key(), text, r.revision); err != nil {
		return fmt.Errorf("change replay %s: %w", r.ID, err)
	}
	if !r.over() {
		return nil
	}
	return b.RemoveConsumer(ctx, bus.StreamName(r.Env), r.consumer())
}
