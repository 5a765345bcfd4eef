package deliver

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/jethook/jethook/internal/bus"
	"github.com/jethook/jethook/internal/event"
)

// Headers of a lease beside those of its pointer.
const (
	headerLease  = "jethook-lease"  // its id
	headerLeased = "jethook-leased" // when the event was taken, RFC 3339
)

// maxLease bounds the time for which an event can be kept by extending its lease.
const maxLease = 12 * time.Hour

// lease is an event that somebody has taken and neither acknowledged nor refused.
// It is a pointer in RETRY that lapses at its time: so it is known to every
// replica, survives them, and whoever has the event may go to any of them. Its
// Attempts count the one under way.
type lease struct {
	Pointer
	id     string // random; only who has taken the event knows it
	taken  time.Time
	stored uint64 // its sequence in RETRY
}

func newLease(p Pointer, now time.Time) lease {
	random := make([]byte, 16)
	_, _ = rand.Read(random) // never fails
	p.Attempts++
	if p.FirstAttempt.IsZero() {
		p.FirstAttempt = now
	}
	return lease{Pointer: p, id: hex.EncodeToString(random), taken: now}
}

// LeaseSubjects selects the leases of an endpoint.
func LeaseSubjects(env event.Env, endpoint string) string { return leaseSubject(env, endpoint, "*") }

func leaseSubject(env event.Env, endpoint, sequence string) string {
	return bus.RetryWait + "." + string(env) + "." + endpoint + ".lease." + sequence
}

// LapsedSubject returns the subject of the leases of an endpoint that have lapsed.
func LapsedSubject(env event.Env, endpoint string) string {
	return DueSubject(env, endpoint) + ".lapsed"
}

// until returns the message that has the lease lapse at a time. It replaces an
// earlier lease of the event.
func (l *lease) until(at time.Time) *nats.Msg {
	header := l.header()
	header[headerSchedule] = []string{"@at " + at.UTC().Format(time.RFC3339Nano)}
	header[headerScheduleTarget] = []string{LapsedSubject(l.Env, l.Endpoint)}
	header[headerLease] = []string{l.id}
	header[headerLeased] = []string{l.taken.UTC().Format(time.RFC3339Nano)}
	header[headerMsgID] = []string{"lease:" + l.id + ":" + strconv.FormatInt(at.UnixNano(), 10)}
	return &nats.Msg{Subject: leaseSubject(l.Env, l.Endpoint, strconv.FormatUint(l.Sequence, 10)), Header: header}
}

// noLater returns when a lease lapses that is extended until at.
func (l *lease) noLater(at time.Time) time.Time {
	if last := l.taken.Add(maxLease); at.After(last) {
		return last
	}
	return at
}

// parseLease reads a message of RETRY.
func parseLease(env event.Env, endpoint string, header nats.Header, stored uint64) (l lease, err error) {
	if l.Pointer, err = parsePointer(env, endpoint, header); err != nil {
		return l, err
	}
	l.id, l.stored = header.Get(headerLease), stored
	if l.taken, err = time.Parse(time.RFC3339Nano, header.Get(headerLeased)); err != nil || l.id == "" {
		return l, errors.New("lease cannot be read: its id or its time is absent")
	}
	return l, nil
}

// token is what settles the lease. It says where the lease is and proves who asks.
func (l *lease) token() string { return strconv.FormatUint(l.Sequence, 10) + "." + l.id }

// findLease returns the lease of a token; ok is false where it is over, or never
// was this endpoint's.
func (w *Worker) findLease(ctx context.Context, retry jetstream.Stream, token string) (l lease, ok bool, err error) {
	sequence, id, _ := strings.Cut(token, ".")
	if _, err := strconv.ParseUint(sequence, 10, 64); err != nil {
		return l, false, nil
	}
	stored, err := retry.GetLastMsgForSubject(ctx, leaseSubject(w.endpoint.Env, w.endpoint.Name, sequence))
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return l, false, nil
	}
	if err != nil {
		return l, false, fmt.Errorf("read lease: %w", err)
	}
	l, err = parseLease(w.endpoint.Env, w.endpoint.Name, stored.Header, stored.Sequence)
	if err != nil || subtle.ConstantTimeCompare([]byte(l.id), []byte(id)) != 1 {
		return l, false, nil
	}
	return l, true, nil
}
