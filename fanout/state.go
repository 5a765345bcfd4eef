package fanout

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/jethook/jethook/internal/bus"
)

// state is what replicas share about an endpoint: the value of its key in the
// bucket bus.Endpoints.
type state struct {
	Disabled *disabled `json:"disabled,omitempty"`
	Failing  *failing  `json:"failing,omitempty"` // not beside Disabled
	Paused   *paused   `json:"paused,omitempty"`  // beside either
	Resumed  *resumed  `json:"resumed,omitempty"` // not beside Disabled or Paused
}

// paused says since when an operator keeps an endpoint from getting anything. It
// is about the name: another URL does not end it.
type paused struct {
	At time.Time `json:"at"`
}

// resumed is the pace at which what waited when an endpoint was resumed is
// delivered.
type resumed struct {
	PerSecond float64   `json:"per_second"`
	Until     uint64    `json:"until"` // the last event in the stream when it was resumed
	At        time.Time `json:"at"`
}

// held reports whether the endpoint gets nothing until somebody resumes it.
func (s state) held() bool { return s.Paused != nil || s.Disabled != nil }

// disabled says since when and why an endpoint gets nothing. It is about one
// URL, so that replicas with different files disagree about nothing.
type disabled struct {
	Reason      string    `json:"reason"`
	At          time.Time `json:"at"`
	Fingerprint string    `json:"fingerprint"` // of the URL that answered
	// Since is when the failures began for which it is disabled, which a success
	// ends all the same; zero after a 410, which none does.
	Since  time.Time `json:"since,omitzero"`
	Untold bool      `json:"untold,omitempty"` // until the event that tells of it is stored
}

// failing says since when an endpoint takes nothing, and what was told of it.
// It is about one URL as well.
type failing struct {
	Since       time.Time `json:"since"`
	Reason      string    `json:"reason"`
	Fingerprint string    `json:"fingerprint"`
	Told        int       `json:"told"`           // the percent of the latest notice; untold before the first
	Asked       time.Time `json:"asked,omitzero"` // when an operator asked to try it now
}

// untold is less than the percent of any notice.
const untold = -1

// record is a state and its place in the bucket's history. Deleted ones keep
// their revision, so that an older state that arrives late is recognised.
type record struct {
	state
	revision uint64
	deleted  bool
	// recovered is when this process heard of the end of the last outage: no
	// later one began before it.
	recovered time.Time
}

// bars reports whether the record keeps an endpoint with that URL from getting
// events.
func (r record) bars(url string) bool {
	return !r.deleted && r.Disabled != nil && r.Disabled.Fingerprint == fingerprint(url)
}

// pauses reports whether an operator has paused the endpoint.
func (r record) pauses() bool { return !r.deleted && r.Paused != nil }

// fails reports whether the record says that an endpoint with that URL fails.
func (r record) fails(url string) bool {
	return !r.deleted && r.Failing != nil && r.Failing.Fingerprint == fingerprint(url)
}

// fingerprint tells URLs apart without showing them: they may hold a token.
func fingerprint(url string) string {
	sum := sha256.Sum256([]byte(url))
	return hex.EncodeToString(sum[:16])
}

// decodeRecord reads an entry of the bucket. An entry nobody of ours wrote is
// an error.
func decodeRecord(entry jetstream.KeyValueEntry) (record, error) {
	r := record{revision: entry.Revision(), deleted: entry.Operation() != jetstream.KeyValuePut}
	if r.deleted {
		return r, nil
	}
	if err := json.Unmarshal(entry.Value(), &r.state); err != nil {
		return record{}, fmt.Errorf("state of endpoint %q: %w", entry.Key(), err)
	}
	return r, nil
}

func openStates(ctx context.Context, js jetstream.JetStream) (jetstream.KeyValue, error) {
	bucket, err := js.KeyValue(ctx, bus.Endpoints)
	if err != nil {
		return nil, fmt.Errorf("open bucket %s: %w", bus.Endpoints, err)
	}
	return bucket, nil
}

// states reads the whole bucket.
func states(ctx context.Context, bucket jetstream.KeyValue) (map[ref]record, error) {
	watcher, err := bucket.WatchAll(ctx, jetstream.IgnoreDeletes())
	if err != nil {
		return nil, fmt.Errorf("read the state of endpoints: %w", err)
	}
	defer stopWatching(watcher)
	all := make(map[ref]record)
	for {
		select {
		case entry, open := <-watcher.Updates():
			if !open {
				return nil, errors.New("read the state of endpoints: the watch ended")
			}
			if entry == nil { // all current values were before it
				return all, nil
			}
			r, err := decodeRecord(entry)
			if err != nil {
				return nil, err
			}
			all[refOf(entry.Key())] = r
		case <-ctx.Done():
			return nil, fmt.Errorf("read the state of endpoints: %w", context.Cause(ctx))
		}
	}
}

// readState reads the state of one endpoint, which is empty where there is none.
func readState(ctx context.Context, bucket jetstream.KeyValue, of ref) (record, error) {
	entry, err := bucket.Get(ctx, of.key())
	if errors.Is(err, jetstream.ErrKeyNotFound) {
		return record{}, nil
	}
	if err != nil {
		return record{}, fmt.Errorf("read the state of endpoint %s: %w", of, err)
	}
	return decodeRecord(entry)
}

// stopWait bounds the wait for the end of a watch.
const stopWait = 2 * time.Second

// stopWatching ends a watch and takes what it still holds, without which its
// goroutine could wait for ever to hand it over. The client never says that a watch
// has ended whose context ended as it began.
func stopWatching(watcher jetstream.KeyWatcher) {
	_ = watcher.Stop() // the only errors say that it has ended
	late := time.NewTimer(stopWait)
	defer late.Stop()
	for {
		select {
		case _, open := <-watcher.Updates():
			if !open {
				return
			}
		case <-late.C:
			return
		}
	}
}

// change replaces a state by what next makes of it, again when somebody else
// changes it meanwhile, and returns the record in force. An empty state is
// removed; one that next leaves as it is, is not written.
func change(ctx context.Context, bucket jetstream.KeyValue, key string, next func(have state) state) (record, error) {
	for range maxRaces {
		have := record{deleted: true}
		entry, err := bucket.Get(ctx, key)
		switch {
		case err == nil:
			if have, err = decodeRecord(entry); err != nil { // nobody of ours wrote it: it counts as none
				have = record{revision: entry.Revision()}
			}
		case !errors.Is(err, jetstream.ErrKeyNotFound):
			return record{}, err
		}
		to := record{state: next(have.state)}
		if to.state == have.state {
			return have, nil
		}
		to.revision, err = write(ctx, bucket, key, to.state, have.revision)
		if err == nil {
			to.deleted = to.state == state{}
			return to, nil
		}
		if !bus.Raced(err) {
			return record{}, err
		}
	}
	return record{}, errors.New("others keep changing the endpoint's state")
}

// write stores a state in place of that revision, where 0 is none, and returns
// the new revision: the same where it removes the state.
func write(ctx context.Context, bucket jetstream.KeyValue, key string, to state, revision uint64) (uint64, error) {
	if to == (state{}) {
		return revision, bucket.Delete(ctx, key, jetstream.LastRevision(revision))
	}
	value, err := json.Marshal(to)
	if err != nil {
		return 0, err
	}
	if revision == 0 {
		return bucket.Create(ctx, key, value)
	}
	return bucket.Update(ctx, key, value, revision)
}

// disable writes that the endpoint is disabled and returns the record in
// force: that of another replica where it was first, and that of a success where
// d is about an outage which that has ended.
func disable(ctx context.Context, bucket jetstream.KeyValue, key string, d disabled) (record, error) {
	d.Untold = true
	return change(ctx, bucket, key, func(have state) state {
		if have.Disabled != nil && have.Disabled.Fingerprint == d.Fingerprint || !d.Since.IsZero() && !have.outage(d.Fingerprint).Equal(d.Since) {
			return have
		}
		return state{Disabled: &d, Paused: have.Paused}
	})
}

// outage is since when an endpoint at the URL of that fingerprint has nothing but
// failures, be it disabled for them or not; zero where it has not.
func (s state) outage(fingerprint string) time.Time {
	switch {
	case s.Failing != nil && s.Failing.Fingerprint == fingerprint:
		return s.Failing.Since
	case s.Disabled != nil && s.Disabled.Fingerprint == fingerprint:
		return s.Disabled.Since
	}
	return time.Time{}
}

// failedSince is outage at whichever URL.
func (s state) failedSince() time.Time {
	switch {
	case s.Failing != nil:
		return s.Failing.Since
	case s.Disabled != nil:
		return s.Disabled.Since
	}
	return time.Time{}
}

// fail writes that the endpoint fails and returns the record in force: what
// another replica wrote before stands but for the reason, and so does that it is
// disabled.
func fail(ctx context.Context, bucket jetstream.KeyValue, key string, f failing) (record, error) {
	f.Told = untold
	return change(ctx, bucket, key, func(have state) state {
		switch {
		case have.Disabled != nil && have.Disabled.Fingerprint == f.Fingerprint:
			return have
		case have.Failing != nil && have.Failing.Fingerprint == f.Fingerprint:
			if have.Failing.Reason != f.Reason {
				next := *have.Failing
				next.Reason = f.Reason
				have.Failing = &next
			}
			return have
		}
		return state{Failing: &f, Paused: have.Paused, Resumed: have.Resumed}
	})
}

// enable ends that an endpoint is disabled or fails, unless its record was
// changed since it was read, and returns the record in force. That it is paused
// stays.
func enable(ctx context.Context, bucket jetstream.KeyValue, key string, r record) (record, error) {
	to := record{state: state{Paused: r.Paused, Resumed: r.Resumed}}
	var err error
	to.revision, err = write(ctx, bucket, key, to.state, r.revision)
	if bus.Raced(err) {
		return r, nil // the newer state is for the replica that wrote it to answer for
	}
	to.deleted = to.state == state{}
	return to, err
}
