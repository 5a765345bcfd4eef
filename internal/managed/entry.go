// Package managed keeps the sources, endpoints and subscribers that were made over the management API, encrypted on the bus, beside those of the configuration file.
package managed

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"

	"github.com/google/uuid"

	"github.com/jethook/jethook/config"
	"github.com/jethook/jethook/internal/event"
)

// Kind is the list of the configuration file that an entry could be of.
type Kind string

// The kinds.
const (
	Sources     Kind = "sources"
	Endpoints   Kind = "endpoints"
	Subscribers Kind = "subscribers"
)

// Entry is what was made over the API. Its zero Revision is that of one that is
// not stored.
type Entry struct {
	Kind     Kind
	Env      event.Env
	Name     string
	Revision uint64 // changes with every change

	// ID stays when everything else changes, and sorts by time.
	ID        uuid.UUID
	CreatedAt time.Time
	UpdatedAt time.Time
	// Begin is the sequence of the first event that it may get, for what begins
	// with the events after it was made; zero otherwise.
	Begin uint64
	// Face is the dialect that it was made in, empty for /v1.
	Face string

	spec     map[string]any // what the file would say; secret
	retiring []retiring     // secrets that are valid for a while yet
}

// retiring is a secret that was replaced.
type retiring struct {
	Secret config.Secret
	Until  time.Time
}

// Retires is when the last secret that was replaced ceases to be valid; zero
// where none is left.
func (e *Entry) Retires(now time.Time) (last time.Time) {
	for _, r := range e.retiring {
		if r.Until.After(now) && r.Until.After(last) {
			last = r.Until
		}
	}
	return last
}

// key is the entry's key in the bucket. Sources have one set of names, for their
// addresses name no environment; endpoints and subscribers share another in each.
func (e *Entry) key() string {
	switch e.Kind {
	case Sources:
		return "source." + e.Name
	case Keys:
		return "key." + e.Name
	}
	return string(e.Env) + "." + e.Name
}

// String names the entry in messages.
func (e Entry) String() string { return string(e.Kind) + " " + string(e.Env) + "/" + e.Name }

// Format prints String for every verb, for there are secrets in an entry.
func (e Entry) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, e.String()) }

// LogValue is String.
func (e Entry) LogValue() slog.Value { return slog.StringValue(e.String()) }

// Errors of changes.
var (
	// ErrTaken means that another entry has the name, in the file or in the store.
	ErrTaken = errors.New("the name is taken")
	// ErrChanged means that somebody else changed or deleted the entry meanwhile.
	ErrChanged = errors.New("the entry was changed meanwhile")
	// ErrFile means that the entry is the file's, which alone can change it.
	ErrFile = errors.New("the entry is managed by the configuration file")
	// ErrMany means that there are as many entries as the store takes.
	ErrMany = errors.New("there are too many entries")
)

// Invalid is the error of an entry that the configuration would refuse.
type Invalid struct{ Fields []Field }

// Field is one part of an entry that is wrong.
type Field struct {
	Name    string // such as body.retry.attempts
	Message string
}

// Error is all of it on one line.
func (i *Invalid) Error() string {
	text := "the entry is not valid"
	for _, f := range i.Fields {
		text += "; " + f.Name + ": " + f.Message
	}
	return text
}

// invalid makes an Invalid of what config found wrong.
func invalid(err error) error {
	if err == nil {
		return nil
	}
	var problems *config.Problems
	if !errors.As(err, &problems) {
		return err
	}
	found := &Invalid{}
	for _, p := range problems.List {
		found.Fields = append(found.Fields, Field{Name: p.Key, Message: p.Message})
	}
	return found
}

// record is an entry as it is stored.
type record struct {
	Kind      Kind             `json:"kind"`
	Env       event.Env        `json:"env"`
	Name      string           `json:"name"`
	ID        uuid.UUID        `json:"id"`
	CreatedAt time.Time        `json:"created_at"`
	UpdatedAt time.Time        `json:"updated_at"`
	Begin     uint64           `json:"begin,omitempty"`
	Face      string           `json:"face,omitempty"`
	Spec      map[string]any   `json:"spec"`
	Retiring  []retiringRecord `json:"retiring,omitempty"`
}

type retiringRecord struct {
	Secret string    `json:"secret"`
	Until  time.Time `json:"until"`
}

func (e *Entry) encode() ([]byte, error) {
	r := record{Kind: e.Kind, Env: e.Env, Name: e.Name, ID: e.ID, CreatedAt: e.CreatedAt, UpdatedAt: e.UpdatedAt, Begin: e.Begin, Face: e.Face, Spec: e.spec}
	for _, old := range e.retiring {
		r.Retiring = append(r.Retiring, retiringRecord{old.Secret.Reveal(), old.Until})
	}
	return json.Marshal(r)
}

// says reports whether an entry and another are the same but for their revisions.
func (e *Entry) says(other *Entry) bool {
	one, err := e.encode()
	two, failed := other.encode()
	return err == nil && failed == nil && bytes.Equal(one, two)
}

func decodeEntry(data []byte, revision uint64) (Entry, error) {
	var r record
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.UseNumber()
	if err := decoder.Decode(&r); err != nil {
		return Entry{}, errors.New("it is not an entry of this version") // the reason may repeat a secret
	}
	e := Entry{Kind: r.Kind, Env: r.Env, Name: r.Name, Revision: revision, ID: r.ID, CreatedAt: r.CreatedAt, UpdatedAt: r.UpdatedAt, Begin: r.Begin, Face: r.Face, spec: r.Spec}
	for _, old := range r.Retiring {
		e.retiring = append(e.retiring, retiring{config.NewSecret(old.Secret), old.Until})
	}
	return e, nil
}

// Selection is which events the entry names: its keys events and all_events.
func (e Entry) Selection() map[string]any {
	return map[string]any{"events": e.spec["events"], "all_events": e.spec["all_events"]}
}
