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
}

// disabled says since when and why an endpoint gets nothing. It is about one
// URL, so that replicas with different files disagree about nothing.
type disabled struct {
	Reason      string    `json:"reason"`
	At          time.Time `json:"at"`
	Fingerprint string    `json:"fingerprint"` // of the URL that answered
}

// record is a state and its place in the bucket's history. Deleted ones keep
// their revision, so that an older state that arrives late is recognised.
type record struct {
	state
	revision uint64
	deleted  bool
}

// bars reports whether the record keeps an endpoint with that URL from getting
// events.
func (r record) bars(url string) bool {
	return !r.deleted && r.Disabled != nil && r.Disabled.Fingerprint == fingerprint(url)
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

// states reads the whole bucket, by key.
func states(ctx context.Context, bucket jetstream.KeyValue) (map[string]record, error) {
	watcher, err := bucket.WatchAll(ctx, jetstream.IgnoreDeletes())
	if err != nil {
		return nil, fmt.Errorf("read the state of endpoints: %w", err)
	}
	defer stopWatching(watcher)
	all := make(map[string]record)
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
			all[entry.Key()] = r
		case <-ctx.Done():
			return nil, fmt.Errorf("read the state of endpoints: %w", context.Cause(ctx))
		}
	}
}

// stopWatching ends a watch and takes what it still holds, without which its
// goroutine could wait for ever to hand it over.
func stopWatching(watcher jetstream.KeyWatcher) {
	_ = watcher.Stop() // the only errors say that it has ended
	for range watcher.Updates() {
	}
}

// disable writes that the endpoint is disabled and returns the record in
// force: that of another replica where it was first.
func disable(ctx context.Context, bucket jetstream.KeyValue, key string, d disabled) (record, error) {
	value, err := json.Marshal(state{Disabled: &d})
	if err != nil {
		return record{}, err
	}
	for range maxRaces {
		entry, err := bucket.Get(ctx, key)
		var revision uint64
		switch {
		case errors.Is(err, jetstream.ErrKeyNotFound):
			revision, err = bucket.Create(ctx, key, value)
		case err == nil:
			have, broken := decodeRecord(entry)
			if broken == nil && have.Disabled != nil && have.Disabled.Fingerprint == d.Fingerprint {
				return have, nil
			}
			revision, err = bucket.Update(ctx, key, value, entry.Revision())
		}
		if err == nil {
			return record{state: state{Disabled: &d}, revision: revision}, nil
		}
		if !errors.Is(err, jetstream.ErrKeyExists) && !errors.Is(err, jetstream.ErrKeyRevisionMismatch) {
			return record{}, err
		}
	}
	return record{}, errors.New("others keep changing the endpoint's state")
}

// enable removes a record, unless it was changed since it was read.
func enable(ctx context.Context, bucket jetstream.KeyValue, key string, r record) error {
	err := bucket.Delete(ctx, key, jetstream.LastRevision(r.revision))
	if errors.Is(err, jetstream.ErrKeyRevisionMismatch) {
		return nil // the newer state is for the replica that wrote it to answer for
	}
	return err
}
