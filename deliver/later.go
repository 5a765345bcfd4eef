package deliver

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"golang.org/x/sync/errgroup"

	"github.com/jethook/jethook/internal/bus"
	"github.com/jethook/jethook/internal/event"
)

// A schedule takes the server's memory as long as it waits, and time of every
// collection of its garbage. So a pointer that falls due much later waits as a plain
// message, together with those of its endpoint that fall due in the same slot, and
// gets its schedule shortly before.
const (
	laterThan   = 10 * time.Minute // from now on a pointer waits so
	slotLength  = 5 * time.Minute
	promoteLead = 2 * time.Minute // before the slot; what was meant for it is stored by then

	promotePause = 10 * time.Second
	// promoteShare is how many times as long as the last look at the slots took the
	// next one waits.
	promoteShare = 20
	// recentSlots are an hour's, which are looked at one by one. All are listed once an
	// hour: those of a thousand endpoints that wait for a day take a second and 300 MB
	// of garbage.
	recentSlots = 12
	// promotedAtOnce leaves the disk to the live events.
	promotedAtOnce = 16
	promoteBatch   = 500
)

// headerDue is when a pointer falls due that waits without a schedule, RFC 3339.
const headerDue = "jethook-due"

// LaterSubjects selects the pointers of an endpoint that wait without a schedule.
func LaterSubjects(env event.Env, endpoint string) string {
	return laterSubject(string(env), endpoint, "*")
}

// laterSubject ends with a slot's number: its beginning since 1970 in slots.
func laterSubject(env, endpoint, slot string) string {
	return bus.RetryWait + "." + env + "." + endpoint + ".later." + slot
}

// isLater reports whether a message of RETRY waits without a schedule.
func isLater(subject string) bool {
	tokens := strings.Split(subject, ".") // retry.wait.{env}.{endpoint}.later.{slot}
	return len(tokens) == 6 && tokens[4] == "later"
}

// slotOf returns the slot in which a time lies.
func slotOf(at time.Time) int64 { return at.Unix() / int64(slotLength/time.Second) }

// slotBegin is when a slot begins.
func slotBegin(slot int64) time.Time { return time.Unix(slot*int64(slotLength/time.Second), 0) }

// later returns the message that has the event wait without a schedule.
func (p Pointer) later(at time.Time) *nats.Msg {
	header := p.header()
	header[headerDue] = []string{at.UTC().Format(time.RFC3339Nano)}
	return &nats.Msg{Subject: laterSubject(string(p.Env), p.Endpoint, strconv.FormatInt(slotOf(at), 10)), Header: header}
}

// dueTime reads when a pointer that waits falls due.
func dueTime(header nats.Header) (time.Time, error) {
	if at := header.Get(headerDue); at != "" {
		return time.Parse(time.RFC3339Nano, at)
	}
	return time.Parse(time.RFC3339Nano, strings.TrimPrefix(header.Get(headerSchedule), "@at "))
}

// CountLater counts the pointers that wait without a schedule, by endpoint. The
// endpoint may be a wildcard.
func CountLater(ctx context.Context, b *bus.Bus, env event.Env, endpoint string) (map[string]uint64, error) {
	slots, err := b.Subjects(ctx, bus.Retry, LaterSubjects(env, endpoint))
	counts := make(map[string]uint64)
	for subject, n := range slots {
		counts[strings.Split(subject, ".")[3]] += n
	}
	return counts, err
}

// Promote gives the pointers of all endpoints that wait without a schedule theirs
// when it is time, until ctx ends. Any number of processes may do so: they share
// the work.
func Promote(ctx context.Context, b *bus.Bus, logger *slog.Logger) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	finder := slotFinder{bus: b}
	for {
		select {
		case <-timer.C:
		case <-ctx.Done():
			return
		}
		began := time.Now()
		slots, err := finder.before(ctx, began.Add(promoteLead))
		next := began.Add(max(promotePause, promoteShare*time.Since(began)))
		if err == nil {
			err = promoteSlots(ctx, b, slots, next)
		}
		if err != nil && ctx.Err() == nil {
			logger.Warn("retries that wait long could not be scheduled; tried again", "error", err)
		}
		timer.Reset(time.Until(next))
	}
}

// slotFinder finds the slots whose time has come.
type slotFinder struct {
	bus    *bus.Bus
	listed time.Time // when all were, and none was older than the recent ones
	newest int64     // at the last look
}

// before returns slots that hold pointers and begin before a time, the earliest
// first. It looks at all of them until older ones than the last hour's are done with,
// once an hour, and where the clock has jumped; otherwise at those of the last hour.
func (f *slotFinder) before(ctx context.Context, at time.Time) (slots []int64, err error) {
	now, newest := time.Now(), slotOf(at)
	if passed := newest - f.newest; passed < 0 || passed > recentSlots || now.Sub(f.listed) > recentSlots*slotLength {
		f.listed, f.newest = time.Time{}, newest
		slots, err = slotsBefore(ctx, f.bus, at)
		if err == nil && (len(slots) == 0 || slots[0] >= newest-recentSlots) {
			f.listed = now
		}
		return slots, err
	}
	for slot := newest - recentSlots; slot <= newest; slot++ {
		endpoints, err := f.bus.CountSubjects(ctx, bus.Retry, laterSubject("*", "*", strconv.FormatInt(slot, 10)))
		if err != nil {
			return nil, err
		}
		if endpoints > 0 {
			slots = append(slots, slot)
		}
	}
	f.newest = newest
	return slots, nil
}

// slotsBefore returns the slots that hold pointers and begin before a time, the
// earliest first.
func slotsBefore(ctx context.Context, b *bus.Bus, at time.Time) ([]int64, error) {
	subjects, err := b.Subjects(ctx, bus.Retry, laterSubject("*", "*", "*"))
	if err != nil {
		return nil, err
	}
	slots := make(map[int64]bool)
	for subject := range subjects {
		slot, err := strconv.ParseInt(subject[strings.LastIndexByte(subject, '.')+1:], 10, 64)
		if err == nil && slotBegin(slot).Before(at) {
			slots[slot] = true
		}
	}
	return slices.Sorted(maps.Keys(slots)), nil
}

// promoteSlots gives the pointers of slots their schedules until none is left, or
// until it is time to look for slots again. The slots take turns: one in which a
// million have waited through a downtime does not make the others late.
func promoteSlots(ctx context.Context, b *bus.Bus, slots []int64, until time.Time) error {
	if len(slots) == 0 {
		return nil
	}
	stream, err := openRetry(ctx, b)
	if err != nil {
		return err
	}
	var problems []error
	var left []jetstream.Consumer
	turn := func(slot jetstream.Consumer) {
		count, err := promoteSome(ctx, b, stream, slot)
		if err != nil {
			problems = append(problems, fmt.Errorf("slot %s: %w", slot.CachedInfo().Name, err))
		} else if count > 0 {
			left = append(left, slot)
		}
	}
	for _, slot := range slots {
		consumer, err := slotConsumer(ctx, stream, slot)
		if err != nil {
			problems = append(problems, err)
			continue
		}
		turn(consumer)
	}
	for len(left) > 0 && time.Now().Before(until) && ctx.Err() == nil {
		some := left
		left = nil
		for _, slot := range some {
			turn(slot)
		}
	}
	return errors.Join(problems...)
}

// slotConsumer returns the consumer of a slot, which hands each pointer to one
// process.
func slotConsumer(ctx context.Context, stream jetstream.Stream, slot int64) (jetstream.Consumer, error) {
	number := strconv.FormatInt(slot, 10)
	consumer, err := stream.CreateOrUpdateConsumer(ctx, jetstream.ConsumerConfig{
		Durable:           "later_" + number,
		Description:       "retries that fall due from " + slotBegin(slot).UTC().Format(time.RFC3339) + " on",
		FilterSubject:     laterSubject("*", "*", number),
		AckPolicy:         jetstream.AckExplicitPolicy,
		AckWait:           ackMargin,
		MaxDeliver:        -1,
		InactiveThreshold: 2 * ackMargin, // after a downtime there is one for each slot of it
		MemoryStorage:     true,          // what is left is in the work queue itself
	})
	if err != nil {
		return nil, fmt.Errorf("consumer of slot %s: %w", number, err)
	}
	return consumer, nil
}

// promoteSome gives some pointers of a slot their schedules and returns how many
// there were. When ctx ends it lets go of those that it has not begun with.
func promoteSome(ctx context.Context, b *bus.Bus, stream jetstream.Stream, slot jetstream.Consumer) (count int, err error) {
	batch, err := slot.FetchNoWait(promoteBatch)
	if err != nil {
		return 0, err
	}
	var promoting errgroup.Group
	promoting.SetLimit(promotedAtOnce)
	for m := range batch.Messages() {
		count++
		promoting.Go(func() error {
			if ctx.Err() != nil {
				return nil
			}
			return promote(context.WithoutCancel(ctx), b, stream, m, time.Now())
		})
	}
	return count, errors.Join(promoting.Wait(), batch.Error())
}

// promote gives one pointer its schedule. Where its event waits with a schedule
// already that one stays: somebody has hastened it, or an attempt was repeated.
func promote(ctx context.Context, b *bus.Bus, stream jetstream.Stream, m jetstream.Msg, now time.Time) error {
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	meta, err := m.Metadata()
	if err != nil {
		return err
	}
	tokens := strings.Split(m.Subject(), ".") // retry.wait.{env}.{endpoint}.later.{slot}
	env, endpoint := event.Env(tokens[2]), tokens[3]
	p, err := parsePointer(env, endpoint, m.Headers())
	due, wrong := dueTime(m.Headers())
	next := p.schedule(due)
	if err != nil || wrong != nil { // the worker makes it dead, with its reason
		next = &nats.Msg{Subject: DueSubject(env, endpoint), Header: m.Headers()}
	} else {
		next.Header[headerExpected] = []string{"0"}
	}
	_, err = replaceLater(ctx, b, stream, meta.Sequence.Stream, next)
	if isElsewhere(err) {
		return dropLater(ctx, stream, m, next.Subject, now)
	}
	if err != nil {
		return fmt.Errorf("schedule event %s of endpoint %s: %w", p.EventID, endpoint, err)
	}
	return nil
}

// replaceLater stores next in place of a pointer that waits without a schedule, and
// reports whether that was still there. Otherwise next is taken back: whoever took
// the pointer meanwhile answers for it.
func replaceLater(ctx context.Context, b *bus.Bus, stream jetstream.Stream, sequence uint64, next *nats.Msg) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	stored, err := b.Put(ctx, bus.Retry, next)
	if err != nil {
		return false, err
	}
	there, err := removeMessage(ctx, stream, sequence)
	if err == nil && !there {
		_, err = removeMessage(ctx, stream, stored)
	}
	return there, err
}

// dropLater removes a pointer whose event waits with a schedule, unless that was
// stored just now: then whoever stored it may take it back, as replaceLater does,
// and the pointer has to be there until that is over. It is handed out again.
func dropLater(ctx context.Context, stream jetstream.Stream, m jetstream.Msg, scheduled string, now time.Time) error {
	has, err := stream.GetLastMsgForSubject(ctx, scheduled)
	switch {
	case errors.Is(err, jetstream.ErrMsgNotFound): // it has fallen due, or was taken back
		return nil
	case err != nil:
		return fmt.Errorf("read what waits under %s: %w", scheduled, err)
	case now.Sub(has.Time) < 2*storeTimeout:
		return nil
	}
	return m.Ack()
}
