// Package event defines an event, the name it is published under, and the patterns that select events.
package event

import (
	"errors"
	"time"
)

// System is the source name of jethook's own events, such as
// jethook.endpoint.disabled. No configured source may have it.
const System = "jethook"

// Bounds on what an event may carry. They keep a subject far below the 4096
// bytes at which the server closes a connection, and a message's headers below
// its 64 KiB.
const (
	// MaxTypeLength is the longest event name, in bytes.
	MaxTypeLength = 256
	// MaxHeaderBytes is the most that the kept provider headers of one event
	// may take, names and values together.
	MaxHeaderBytes = 16 << 10
)

// Errors that whoever stores events wraps, so that the ingest gateway can tell
// the sender to come back. In every other respect the outcome is unknown: the
// event may or may not be stored, and a redelivery is recognised by its ID.
var (
	// ErrFull means that the stream has no room: nothing was stored, and
	// nothing was dropped to make room.
	ErrFull = errors.New("event stream is full")
	// ErrUnavailable means that the bus did not confirm the event in time.
	ErrUnavailable = errors.New("event bus is unavailable")
)

// Event is one webhook as it was received, or one event of jethook's own.
type Event struct {
	ID     ID
	Env    Env
	Source string // name of the configured source
	Type   string // event name as the provider wrote it, at most MaxTypeLength bytes
	Time   time.Time

	ContentType string // of Data; empty when the sender gave none
	Traceparent string // W3C Trace Context of the ingest span; may be empty
	Tracestate  string

	// Header holds the provider's headers that its preset keeps, by lower-case
	// name; at most MaxHeaderBytes in all.
	Header map[string]string
	// Data is the body, byte for byte.
	Data []byte
}

// Receipt says that an event is stored as durably as the configuration promises.
type Receipt struct {
	ID ID
	// Sequence is the event's place in its stream; that of the first copy when
	// Duplicate is set, or zero when it is not known.
	Sequence uint64
	// Duplicate is set when the event was stored before: nothing new was published.
	Duplicate bool
}
