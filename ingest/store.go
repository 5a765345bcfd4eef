package ingest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/trace"

	"github.com/jethook/jethook/internal/event"
	"github.com/jethook/jethook/internal/provider"
)

// When to come back after a 503. A full stream needs an operator or the
// trimmer; anything else is usually over in the time of a leader's election.
const (
	retryFull = 30 * time.Second
	retryBusy = 2 * time.Second
)

// errTimeout is why a publish is cancelled.
var errTimeout = errors.New("the bus took longer than the timeout of a request")

// maxBatchInFlight is how many events of one batch are published at a time.
const maxBatchInFlight = 32

// maxContentType is the longest content type that is kept, in bytes. A longer
// one is left out: half of it would mean something else.
const maxContentType = 256

// store publishes the items and answers, with 2xx only if all of them are
// stored. Whatever was stored before a failure is recognised by its id when
// the caller sends the same again.
func (in *intake) store(items []provider.Item) *problem {
	select {
	case in.inFlight <- struct{}{}:
		defer func() { <-in.inFlight }()
	default:
		return &problem{
			outcome:    notStored,
			detail:     "Too many requests wait to be stored. Nothing was stored; send the same request again.",
			retryAfter: retryBusy,
			cause:      fmt.Errorf("%d requests wait for the bus", in.config.MaxInFlight),
		}
	}
	events := in.newEvents(items)
	ctx, cancel := in.context()
	defer cancel()
	receipts, err := publish(ctx, in.config.Publisher, events)
	if err != nil {
		return notStoredBecause(err)
	}
	in.answer(events, receipts)
	return nil
}

// context returns what the bus works under: the request's span, but neither
// its cancellation nor its deadline. A caller that goes away does not stop an
// event that is being stored.
func (in *intake) context() (context.Context, context.CancelFunc) {
	ctx := context.WithoutCancel(in.r.Context())
	if in.span != nil {
		ctx = trace.ContextWithSpan(ctx, in.span)
	}
	return context.WithTimeoutCause(ctx, in.config.Timeout, errTimeout)
}

func notStoredBecause(err error) *problem {
	p := &problem{
		outcome:    notStored,
		detail:     "The event bus did not confirm the event in time. Send the same request again: what was stored already is recognised and not stored twice.",
		retryAfter: retryBusy,
		cause:      fmt.Errorf("publish: %w", err),
	}
	if errors.Is(err, event.ErrFull) {
		p.detail = "The event store is full, and drops nothing undelivered to make room. Send the same request again later: what was stored already is recognised and not stored twice."
		p.retryAfter = retryFull
	}
	return p
}

// newEvents makes an event of each item.
func (in *intake) newEvents(items []provider.Item) []event.Event {
	contentType := in.r.Header.Get("Content-Type")
	if len(contentType) > maxContentType {
		contentType = ""
		in.leftHeaders = append(in.leftHeaders, "content-type")
	}
	kept := in.keptHeaders()
	events := make([]event.Event, len(items))
	for i, item := range items {
		events[i] = event.Event{
			ID:          event.NewID(in.source.Env, in.source.Name, item.DeliveryID),
			Env:         in.source.Env,
			Source:      in.source.Name,
			Type:        item.Type,
			Time:        in.start.UTC(),
			ContentType: contentType,
			Traceparent: in.traceparent,
			Header:      kept, // shared: nobody writes to an event's headers
			Data:        item.Data,
		}
	}
	in.events = len(events)
	if len(events) > 0 {
		in.eventID, in.eventType = string(events[0].ID), events[0].Type
	}
	return events
}

// keptHeaders returns the headers to keep, in the order they are configured as
// far as they fit into event.MaxHeaderBytes. Lines of one name are joined.
func (in *intake) keptHeaders() map[string]string {
	var kept map[string]string
	room := event.MaxHeaderBytes
	for _, name := range in.source.keep {
		lines := in.r.Header[name.canonical]
		if len(lines) == 0 {
			continue
		}
		value := strings.Join(lines, ", ")
		if len(name.lower)+len(value) > room {
			in.leftHeaders = append(in.leftHeaders, name.lower)
			continue
		}
		room -= len(name.lower) + len(value)
		if kept == nil {
			kept = make(map[string]string, len(in.source.keep))
		}
		kept[name.lower] = value
	}
	return kept
}

// publish stores the events, at most maxBatchInFlight at a time. After the
// first error no further one is begun, and the error is returned when those
// begun have ended.
func publish(ctx context.Context, bus Publisher, events []event.Event) ([]event.Receipt, error) {
	receipts := make([]event.Receipt, len(events))
	if len(events) == 1 {
		var err error
		receipts[0], err = bus.Publish(ctx, &events[0])
		return receipts, err
	}
	var (
		workers sync.WaitGroup
		next    atomic.Int64
		failed  atomic.Pointer[error]
	)
	for range min(len(events), maxBatchInFlight) {
		workers.Go(func() {
			for failed.Load() == nil {
				i := int(next.Add(1)) - 1
				if i >= len(events) {
					return
				}
				receipt, err := bus.Publish(ctx, &events[i])
				if err != nil {
					err = fmt.Errorf("event %d of %d: %w", i+1, len(events), err)
					failed.CompareAndSwap(nil, &err)
					return
				}
				receipts[i] = receipt
			}
		})
	}
	workers.Wait()
	if err := failed.Load(); err != nil {
		return nil, *err
	}
	return receipts, nil
}
