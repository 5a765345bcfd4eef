package managed

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/jethook/jethook/config"
	"github.com/jethook/jethook/internal/bus"
	"github.com/jethook/jethook/internal/vault"
)

// Config is what a Store needs. Every field is required.
type Config struct {
	Bus    *bus.Bus
	Vault  *vault.Vault
	Logger *slog.Logger
	// Check finds what is wrong with a configuration that package config cannot
	// see. Its error is a *config.Problems.
	Check func(*config.Config) error
	// Resolve refuses the URL of an endpoint whose address is not allowed, as far as
	// DNS knows it now. It is asked when the URL is set.
	Resolve func(ctx context.Context, url string) error
	// Changed is called with an entry after it was made, changed or deleted, here or
	// by another replica, and when the time of one of its secrets is over. An
	// endpoint's name may be a subscriber's since, and the other way round. It
	// returns soon and changes no entry.
	Changed func(Entry)
}

// maxEntries bounds the memory. An entry takes a few kilobytes.
const maxEntries = 20_000

// watchPause comes before a broken watch is tried again.
const watchPause = time.Second

// Store is the entries, and those of the file beside them. It is safe for
// concurrent use.
type Store struct {
	config Config
	bucket jetstream.KeyValue
	now    func() time.Time

	mu      sync.Mutex
	file    *config.Config
	filed   map[string]filed    // the file's entries, by key
	entries map[string]Entry    // by key
	seen    map[string]uint64   // the newest revision of each key that changed while the process ran
	views   map[string]view     // by key
	retires map[string]struct{} // the keys of entries with secrets that were replaced
	keys    []Key               // those that are entries; nil where they are to be read anew

	again chan struct{} // what could not be read may be readable now
}

// Open reads the entries. One that cannot be decrypted is an error that wraps
// vault.ErrKeyset and names the remedy: to start without it would be to lose
// what it is for. file is the configuration of the files.
func Open(ctx context.Context, cfg Config, file *config.Config) (*Store, error) {
	bucket, err := cfg.Bus.JetStream().KeyValue(ctx, bus.Managed)
	if err != nil {
		return nil, fmt.Errorf("open bucket %s: %w", bus.Managed, err)
	}
	s := &Store{config: cfg, bucket: bucket, now: time.Now, file: file, filed: index(file),
		entries: make(map[string]Entry), seen: make(map[string]uint64), views: make(map[string]view), retires: make(map[string]struct{}),
		again: make(chan struct{}, 1)}
	watcher, err := bucket.WatchAll(ctx, jetstream.IgnoreDeletes())
	if err != nil {
		return nil, fmt.Errorf("read bucket %s: %w", bus.Managed, err)
	}
	defer stopWatching(watcher)
	for {
		select {
		case found, open := <-watcher.Updates():
			if !open {
				return nil, fmt.Errorf("read bucket %s: the watch ended", bus.Managed)
			}
			if found == nil { // all current values were before it
				return s, nil
			}
			e, err := s.decrypt(found)
			if err != nil {
				return nil, err
			}
			s.put(found.Key(), e, found.Revision(), false)
		case <-ctx.Done():
			return nil, fmt.Errorf("read bucket %s: %w", bus.Managed, context.Cause(ctx))
		}
	}
}

// Run follows what other replicas change, until ctx ends.
func (s *Store) Run(ctx context.Context) error {
	for ctx.Err() == nil {
		if err := s.follow(ctx); err != nil && ctx.Err() == nil {
			s.config.Logger.Warn("watch of what was made over the API is tried again", "error", err)
			select {
			case <-time.After(watchPause):
			case <-ctx.Done():
			}
		}
	}
	return nil
}

func (s *Store) follow(ctx context.Context) error {
	watcher, err := s.bucket.WatchAll(ctx)
	if err != nil {
		return err
	}
	defer stopWatching(watcher)
	retire := time.NewTimer(s.retireIn())
	defer retire.Stop()
	for {
		select {
		case found, open := <-watcher.Updates():
			if !open {
				return errors.New("the watch ended")
			}
			if found != nil {
				s.note(found)
			}
		case <-retire.C:
			for _, e := range s.retiring() {
				s.config.Changed(e)
			}
		case <-s.again:
			return nil // the next watch begins with all that is stored
		case <-ctx.Done():
			return nil
		}
		retire.Reset(s.retireIn())
	}
}

// Reread has Run read all entries again, after the keyset has changed: one that
// could not be decrypted was left out. It returns at once.
func (s *Store) Reread() {
	select {
	case s.again <- struct{}{}:
	default: // it is asked for already
	}
}

// Stored is what the store has its vault encrypt. The answer to a request is not
// to be touched while the request is under way.
func Stored() []vault.Stored {
	return []vault.Stored{{Bucket: bus.Managed, Place: place}, {Bucket: bus.Replies, Place: replyPlace, Rest: staleAfter}}
}

// note takes over what the watch tells, and tells of it where it is news.
func (s *Store) note(found jetstream.KeyValueEntry) {
	deleted := found.Operation() != jetstream.KeyValuePut
	var e Entry
	if !deleted {
		var err error
		if e, err = s.decrypt(found); err != nil {
			s.config.Logger.Error("an entry that was made over the API cannot be read, and what was known of it stays in force", "error", err)
			return
		}
	}
	if of, news := s.put(found.Key(), e, found.Revision(), deleted); news {
		s.config.Changed(of)
	}
}

// put takes over a revision, unless a newer one is known, and reports whether it
// says anything new: one that was only encrypted anew does not. It returns the
// entry, that which was before where it is deleted.
func (s *Store) put(key string, e Entry, revision uint64, deleted bool) (of Entry, news bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	before, known := s.entries[key]
	if revision <= max(s.seen[key], before.Revision) {
		return e, false
	}
	if before.Kind == Keys || e.Kind == Keys {
		s.keys = nil
	}
	delete(s.retires, key)
	if deleted {
		if len(s.seen) >= maxEntries {
			clear(s.seen) // the watch is not that far behind
		}
		s.seen[key] = revision
		delete(s.entries, key)
		delete(s.views, key)
		return before, known
	}
	delete(s.seen, key)
	s.entries[key] = e
	if len(e.retiring) > 0 {
		s.retires[key] = struct{}{}
	}
	if !known || !before.says(&e) {
		return e, true
	}
	if v, ok := s.views[key]; ok && v.revision == before.Revision {
		v.revision = e.Revision
		s.views[key] = v
	}
	return e, false
}

func (s *Store) decrypt(found jetstream.KeyValueEntry) (Entry, error) {
	data, err := s.config.Vault.Decrypt(found.Value(), place(found.Key()))
	if err != nil {
		return Entry{}, fmt.Errorf("%s of bucket %s is stored encrypted: %w", found.Key(), bus.Managed, err)
	}
	e, err := decodeEntry(data, found.Revision())
	if err != nil {
		return Entry{}, fmt.Errorf("%s of bucket %s: %w", found.Key(), bus.Managed, err)
	}
	return e, nil
}

// place is what an entry is encrypted for.
func place(key string) string { return "managed/" + key }

// retireIn is how long it is until the next secret ceases to be valid.
func (s *Store) retireIn() time.Duration {
	const never = 24 * time.Hour // looked at again then
	s.mu.Lock()
	defer s.mu.Unlock()
	next, now := never, s.now()
	for key := range s.retires {
		for _, r := range s.entries[key].retiring {
			if in := r.Until.Sub(now); in > 0 && in < next {
				next = in
			}
		}
	}
	return next
}

// retiring returns the entries with secrets that were replaced.
func (s *Store) retiring() []Entry {
	s.mu.Lock()
	defer s.mu.Unlock()
	var found []Entry
	for key := range s.retires {
		found = append(found, s.entries[key])
	}
	return found
}

// SetFile says what the files have now.
func (s *Store) SetFile(file *config.Config) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.file, s.filed = file, index(file)
	clear(s.views)
}

// all returns the entries of a kind by name.
func (s *Store) all(kind Kind) []Entry {
	var found []Entry
	for _, e := range s.entries {
		if e.Kind == kind {
			found = append(found, e)
		}
	}
	slices.SortFunc(found, func(a, b Entry) int { return cmp.Or(cmp.Compare(a.Env, b.Env), cmp.Compare(a.Name, b.Name)) })
	return found
}

// stopWatching ends a watch and takes what it still holds, without which its
// goroutine could wait for ever to hand it over.
func stopWatching(watcher jetstream.KeyWatcher) {
	_ = watcher.Stop() // the only errors say that it has ended
	for range watcher.Updates() {
	}
}
