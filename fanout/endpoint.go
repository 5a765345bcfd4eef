package fanout

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/jethook/jethook/deliver"
	"github.com/jethook/jethook/internal/event"
)

// Endpoint is an address that events are delivered to, and which events.
type Endpoint struct {
	// Endpoint says where and how events are delivered. Its Keys may be empty:
	// Apply generates a secret where the signature needs one.
	deliver.Endpoint
	// Events selects the events; at least one pattern.
	Events []event.Pattern
	// Enabled is false while events shall wait.
	Enabled bool
	// Description is shown beside the consumer, at most 4096 bytes.
	Description string
	// Start is where a new endpoint begins. It means nothing to one that has a
	// place already.
	Start Start
	// ID tells an endpoint from an earlier one of the same name, whose ID is less:
	// what the bus has of that is removed, as if it had left the list. Empty, as
	// for those of the file, is the same endpoint as any.
	ID string
}

// Subscriber is an internal service that consumes its durable with a NATS
// client of its own.
type Subscriber struct {
	Name   string
	Env    event.Env
	Events []event.Pattern // at least one
	Start  Start           // as that of an endpoint

	AckWait    time.Duration // after which an event is handed out again; zero is 30 seconds
	MaxDeliver int           // how often, before the event is dead; zero is without end

	ID string // as that of an endpoint
}

// Start is where a new consumer begins. The zero value is now.
type Start struct {
	Beginning bool      // the oldest event that is still stored
	At        time.Time // the first event stored then or later, unless zero
	Sequence  uint64    // the event of that place in the stream or the first one after it, unless zero
}

// Name is what an endpoint or a subscriber is known by: the two share one set of
// names in each environment.
type Name struct {
	Env  event.Env
	Name string
}

// kind tells the consumers of endpoints from those of subscribers.
type kind string

const (
	endpointKind   kind = "endpoint"
	subscriberKind kind = "subscriber"
)

// ref is a Name.
type ref struct {
	env  event.Env
	name string
}

// key is the ref's key in the buckets.
func (r ref) key() string { return string(r.env) + "." + r.name }

// refOf is the ref of a key.
func refOf(key string) ref {
	env, name, _ := strings.Cut(key, ".")
	return ref{event.Env(env), name}
}

// String is the ref as messages to people write it.
func (r ref) String() string { return string(r.env) + "/" + r.name }

// nameForm is what subjects, consumer names and bucket keys all take as it is.
var nameForm = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`)

// maxDescription is the server's bound on a consumer's description, in bytes.
const maxDescription = 4096

func (r ref) check() error {
	if _, err := event.ParseEnv(string(r.env)); err != nil {
		return fmt.Errorf("%q: %w", r.name, err)
	}
	if !nameForm.MatchString(r.name) {
		return fmt.Errorf("name %q is not 1 to 64 letters, digits, - or _", r.name)
	}
	return nil
}

func checkPatterns(patterns []event.Pattern) error {
	if len(patterns) == 0 {
		return errors.New("no events are selected: list patterns, or > for all")
	}
	for _, p := range patterns {
		if _, err := event.ParsePattern(string(p)); err != nil {
			return err
		}
	}
	return nil
}

func (e *Endpoint) ref() ref   { return ref{e.Env, e.Name} }
func (s *Subscriber) ref() ref { return ref{s.Env, s.Name} }

func (e *Endpoint) check() error {
	if err := e.ref().check(); err != nil {
		return err
	}
	if len(e.Description) > maxDescription {
		return fmt.Errorf("description of %d bytes is longer than %d", len(e.Description), maxDescription)
	}
	return checkPatterns(e.Events)
}

func (s *Subscriber) check() error {
	if err := s.ref().check(); err != nil {
		return err
	}
	return checkPatterns(s.Events)
}

// checkList finds what is wrong with a list in itself, all of it.
func checkList(endpoints []Endpoint, subscribers []Subscriber) error {
	var problems []error
	known := make(map[ref]bool, len(endpoints)+len(subscribers))
	note := func(k kind, of ref, err error) {
		if err == nil && known[of] {
			err = errors.New("the name is given twice")
		}
		if err != nil {
			problems = append(problems, fmt.Errorf("%s %s: %w", k, of, err))
		}
		known[of] = true
	}
	for i := range endpoints {
		note(endpointKind, endpoints[i].ref(), endpoints[i].check())
	}
	for i := range subscribers {
		note(subscriberKind, subscribers[i].ref(), subscribers[i].check())
	}
	return errors.Join(problems...)
}
