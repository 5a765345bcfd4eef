package deliver

import (
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/jethook/jethook/internal/bus"
	"github.com/jethook/jethook/internal/event"
)

// Headers of a pointer.
const (
	headerStream       = "jethook-stream"
	headerSequence     = bus.HeaderSequence
	headerEventID      = "jethook-event-id"
	headerAttempt      = "jethook-attempt"       // attempts made so far
	headerDeferred     = "jethook-deferred"      // of them; absent when none
	headerFirstAttempt = "jethook-first-attempt" // RFC 3339; absent when none was made
	headerPrevious     = "jethook-seq-previous"  // absent when it is not known

	headerMsgID          = "Nats-Msg-Id"
	headerSchedule       = "Nats-Schedule"
	headerScheduleTarget = "Nats-Schedule-Target"
)

// Pointer is a message of stream RETRY: it names an event that one endpoint is
// to be given, now or at a time, and carries no body. Whoever wants an event
// delivered again, to one endpoint alone, stores one.
type Pointer struct {
	Env          event.Env
	Endpoint     string
	Sequence     uint64 // of the event in the stream of Env
	EventID      event.ID
	Attempts     int       // made so far
	Deferred     int       // of them, those whose answer asked to come later, which use up no attempt
	FirstAttempt time.Time // zero when none was made
	Previous     *uint64   // the event that was selected for the endpoint before it, 0 for none; nil where that is not known
}

// At returns the message that has the event delivered at a time. The server is
// late by up to half a second. It has no Nats-Msg-Id, which would cost the server
// more memory than the retry itself: where it falls due within ten minutes it
// replaces one that waits so for the same event already; further ahead, storing it
// again after an unknown outcome may store it twice.
func (p Pointer) At(at time.Time) *nats.Msg {
	if time.Until(at) > laterThan {
		return p.later(at)
	}
	return p.schedule(at)
}

func (p Pointer) schedule(at time.Time) *nats.Msg {
	header := p.header()
	header[headerSchedule] = []string{"@at " + at.UTC().Format(time.RFC3339Nano)}
	header[headerScheduleTarget] = []string{p.dueSubject()}
	return &nats.Msg{
		Subject: bus.WaitSubject(p.Env, p.Endpoint, p.Sequence),
		Header:  header,
	}
}

func (p Pointer) dueSubject() string { return DueSubject(p.Env, p.Endpoint) }

// DueSubject returns the subject of the pointers of an endpoint that are due.
func DueSubject(env event.Env, endpoint string) string {
	return bus.RetryDue + "." + string(env) + "." + endpoint
}

// DueConsumer returns the name of the durable consumer on stream RETRY that a
// worker keeps. Whoever removes an endpoint deletes it, and purges the
// endpoint's subjects.
func DueConsumer(env event.Env, endpoint string) string { return string(env) + "_" + endpoint }

func (p Pointer) header() nats.Header {
	header := nats.Header{
		headerStream:   {bus.StreamName(p.Env)},
		headerSequence: {strconv.FormatUint(p.Sequence, 10)},
		headerEventID:  {string(p.EventID)},
		headerAttempt:  {strconv.Itoa(p.Attempts)},
	}
	if p.Deferred > 0 {
		header[headerDeferred] = []string{strconv.Itoa(p.Deferred)}
	}
	if !p.FirstAttempt.IsZero() {
		header[headerFirstAttempt] = []string{p.FirstAttempt.UTC().Format(time.RFC3339Nano)}
	}
	if p.Previous != nil {
		header[headerPrevious] = []string{strconv.FormatUint(*p.Previous, 10)}
	}
	return header
}

// parsePointer reads a pointer of an endpoint. It returns what it could read
// together with the error.
func parsePointer(env event.Env, endpoint string, header nats.Header) (Pointer, error) {
	get := func(name string) string {
		if values := header[name]; len(values) > 0 {
			return values[0]
		}
		return ""
	}
	p := Pointer{Env: env, Endpoint: endpoint, EventID: event.ID(get(headerEventID))}
	var problems [5]error
	p.Sequence, problems[0] = strconv.ParseUint(get(headerSequence), 10, 64)
	p.Attempts, problems[1] = strconv.Atoi(get(headerAttempt))
	if first := get(headerFirstAttempt); first != "" {
		p.FirstAttempt, problems[2] = time.Parse(time.RFC3339Nano, first)
	}
	if previous := get(headerPrevious); previous != "" {
		p.Previous = new(uint64)
		*p.Previous, problems[3] = strconv.ParseUint(previous, 10, 64)
	}
	if deferred := get(headerDeferred); deferred != "" {
		p.Deferred, problems[4] = strconv.Atoi(deferred)
	}
	if err := errors.Join(problems[:]...); err != nil {
		return p, fmt.Errorf("pointer cannot be read: %w", err)
	}
	if stream := get(headerStream); stream != bus.StreamName(env) {
		return p, fmt.Errorf("pointer cannot be read: stream %q is not that of %s", stream, env)
	}
	if p.EventID == "" || p.Attempts < 0 || p.Deferred < 0 || p.Deferred > p.Attempts {
		return p, errors.New("pointer cannot be read: event id or attempts are absent")
	}
	return p, nil
}
