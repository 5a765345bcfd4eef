package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/jethook/jethook/deliver"
	"github.com/jethook/jethook/internal/bus"
	"github.com/jethook/jethook/internal/event"
)

const (
	// waiters are the endpoints among which the retries are divided.
	waiters = 100
	// dueEvents of each waiter's fall due while it is measured, all waiters' at
	// the same instant, dueStep after the ones before.
	dueEvents = 100
	dueStep   = 100 * time.Millisecond
	// startBound is in what the process is to start again.
	startBound = 10 * time.Second
	// duePatience is how late a retry may be and still be counted.
	duePatience = 20 * time.Second
	// storedAtOnce bounds the retries that are being stored.
	storedAtOnce = 1024
	// waitingRounds bounds how often they are measured, which takes a minute and a half.
	waitingRounds = 3
)

// waiting is what retries take that wait. Figures have one value a round.
type waiting struct {
	retries                   int
	memory, start, late, slow []float64 // MB, ms, ms, and the p99 of live deliveries in hundredths of that with none
}

func (b *bench) waiting(ctx context.Context) (waiting, error) {
	w := waiting{retries: b.retries / waiters * waiters}
	for round := range min(b.rounds, waitingRounds) {
		fmt.Fprintf(b.progress, "waiting, round %d of %d\n", round+1, min(b.rounds, waitingRounds))
		none := waiting{}
		alone, err := b.wait(ctx, fmt.Sprintf("waiting-none-%d", round+1), &none)
		if err != nil {
			return w, err
		}
		beside, err := b.wait(ctx, fmt.Sprintf("waiting-%d", round+1), &w)
		if err != nil {
			return w, err
		}
		w.slow = append(w.slow, 100*float64(beside)/float64(alone))
	}
	return w, nil
}

// wait adds one life in which retries wait, and returns the p99 of live
// deliveries.
func (b *bench) wait(ctx context.Context, store string, w *waiting) (p99 time.Duration, err error) {
	var due time.Time
	if w.retries > 0 {
		if due, err = b.storeRetries(ctx, store, w.retries); err != nil {
			return 0, err
		}
	}
	live, err := newStopwatch()
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, live.server.Close()) }()
	late, err := newLatecomers(due)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, late.server.Close()) }()
	list := []endpoint{{name: "live", url: live.url + troubleNone, events: []string{"bench." + eventRoot + "0"}, fromNow: true}}
	for i := range waiters {
		list = append(list, endpoint{name: waiterName(i), url: late.url + waiterName(i), events: []string{"bench.none"}})
	}
	begin := time.Now()
	c, err := b.startJethook(ctx, store, "power", list...)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, c.kill()) }() // what it stored is thrown away
	if err := isReady(ctx, c.addresses["ops"]); err != nil {
		return 0, err
	}
	w.start = append(w.start, since(begin))
	if err := pause(ctx, b.settling()); err != nil {
		return 0, err
	}
	l := load{address: c.addresses["ingest"], connections: b.connections, size: b.size, rate: neighbourRate}
	if _, err := l.pace(ctx, warmUp, time.Duration(2*b.seconds*float64(time.Second))); err != nil {
		return 0, err
	}
	took, err := live.stop(ctx)
	if err != nil {
		return 0, err
	}
	p99 = newPace(took, 1).p99
	if w.retries == 0 {
		return p99, nil
	}
	resident, err := residentBytes(c.command.Process.Pid)
	if err != nil {
		return 0, err
	}
	w.memory = append(w.memory, megabytes(resident))
	latest, err := late.wait(ctx)
	if err != nil {
		return 0, err
	}
	w.late = append(w.late, milliseconds(latest))
	return p99, nil
}

// settling is how long after its start the process is left alone, until it no
// longer reads its store.
func (b *bench) settling() time.Duration { return time.Duration(4 * b.seconds * float64(time.Second)) }

// storeRetries receives events, stores retries of them while jethook is not
// running, and returns when the first ones fall due.
func (b *bench) storeRetries(ctx context.Context, store string, count int) (time.Time, error) {
	c, err := b.startJethook(ctx, store, "power")
	if err != nil {
		return time.Time{}, err
	}
	events := count / waiters
	l := load{address: c.addresses["ingest"], connections: 1, size: b.size, types: events} // one connection names each event otherwise
	if err := errors.Join(l.send(ctx, events), c.stop()); err != nil {
		return time.Time{}, fmt.Errorf("receive: %w", err)
	}
	if c, err = b.startSelf(ctx, "wait", "-store", b.store(store), "-events", strconv.Itoa(events),
		"-after", (startBound + 3*b.settling()).String()); err != nil {
		return time.Time{}, err
	}
	done, err := c.wait(ctx, deliveryTimeout)
	if err != nil {
		return time.Time{}, fmt.Errorf("store retries: %w", errors.Join(err, c.kill()))
	}
	if <-c.exited; c.err != nil {
		return time.Time{}, fmt.Errorf("store retries: %w", c.err)
	}
	return time.UnixMilli(int64(done.Events)), nil
}

func waiterName(i int) string { return "waiter-" + strconv.Itoa(i) }

// storeWaiting stores a retry of each event for each waiter and says when the first ones
// fall due, in milliseconds since 1970.
func storeWaiting(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("wait", flag.ContinueOnError)
	dir := flags.String("store", "", "directory")
	events := flags.Uint64("events", 0, "how many the stream holds")
	after := flags.Duration("after", 0, "when the first ones fall due")
	if err := flags.Parse(args); err != nil {
		return err
	}
	b, err := bus.Open(ctx, bus.Config{
		Embedded: &bus.Embedded{StoreDir: *dir, Durability: bus.Process},
		Stream:   bus.Stream{Replicas: 1, MaxAge: 7 * 24 * time.Hour, MaxBytes: maxStreamBytes, DedupeWindow: dedupeWindow},
		Logger:   slog.New(slog.DiscardHandler),
	})
	if err != nil {
		return err
	}
	if err := say(message{Addresses: map[string]string{}}); err != nil {
		return err
	}
	due, err := storeAll(ctx, b, *events, *after)
	if err = errors.Join(err, b.Close()); err != nil {
		return err
	}
	return say(message{Events: int(due.UnixMilli())})
}

// storeAll stores those last that fall due first.
func storeAll(ctx context.Context, b *bus.Bus, events uint64, after time.Duration) (due time.Time, err error) {
	storing, ctx := errgroup.WithContext(ctx)
	storing.SetLimit(storedAtOnce)
	begun := time.Now()
	var soon []bus.Stored
	put := func(e bus.Stored, at time.Time) {
		for i := range waiters {
			p := deliver.Pointer{Env: event.Prod, Endpoint: waiterName(i), Sequence: e.Sequence, EventID: e.ID, Attempts: 1, FirstAttempt: begun}
			storing.Go(func() error {
				_, err := b.Put(ctx, bus.Retry, p.At(at))
				return err
			})
		}
	}
	for sequence := uint64(1); sequence <= events && ctx.Err() == nil; sequence++ {
		e, err := b.Event(ctx, event.Prod, sequence)
		if err != nil {
			return due, errors.Join(err, storing.Wait())
		}
		if number, err := eventNumber(e.Type); err != nil || number < dueEvents {
			soon = append(soon, e)
			continue
		}
		put(e, begun.Add(time.Hour+time.Duration(sequence)*time.Second))
	}
	due = time.Now().Add(after)
	for _, e := range soon {
		number, err := eventNumber(e.Type)
		if err != nil {
			return due, errors.Join(err, storing.Wait())
		}
		put(e, due.Add(time.Duration(number)*dueStep))
	}
	return due, storing.Wait()
}

// eventNumber reads the number of a type.
func eventNumber(name string) (int, error) { return strconv.Atoi(strings.TrimPrefix(name, eventRoot)) }

// latecomers receives retries and notes how late the latest is.
type latecomers struct {
	url    string
	server *http.Server
	due    time.Time // of the first

	mu     sync.Mutex
	seen   map[string]bool // waiter and event
	latest time.Duration
	wrong  error
	all    chan struct{} // closed when all have come
}

func newLatecomers(due time.Time) (l *latecomers, err error) {
	l = &latecomers{due: due, seen: make(map[string]bool), all: make(chan struct{})}
	l.url, l.server, err = listen(l)
	return l, err
}

func (l *latecomers) ServeHTTP(answer http.ResponseWriter, r *http.Request) {
	now := time.Now()
	if _, err := io.Copy(io.Discard, r.Body); err != nil {
		return
	}
	number, err := eventNumber(r.Header.Get("ce-type"))
	l.mu.Lock()
	defer l.mu.Unlock()
	if err != nil || number >= dueEvents {
		l.wrong = fmt.Errorf("event %q came, which is not due", r.Header.Get("ce-type"))
		return
	}
	late := now.Sub(l.due.Add(time.Duration(number) * dueStep))
	if late < 0 {
		l.wrong = fmt.Errorf("event %d came %s early", number, -late)
	}
	l.latest = max(l.latest, late)
	if of := r.URL.Path + "/" + strconv.Itoa(number); !l.seen[of] {
		if l.seen[of] = true; len(l.seen) == waiters*dueEvents {
			close(l.all)
		}
	}
}

// wait returns how late the latest was when all have come.
func (l *latecomers) wait(ctx context.Context) (time.Duration, error) {
	ctx, cancel := context.WithDeadline(ctx, l.due.Add(dueEvents*dueStep+duePatience))
	defer cancel()
	select {
	case <-l.all:
	case <-ctx.Done():
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.wrong == nil && len(l.seen) < waiters*dueEvents {
		l.wrong = fmt.Errorf("%d of %d retries came in time: %w", len(l.seen), waiters*dueEvents, ctx.Err())
	}
	return l.latest, l.wrong
}
