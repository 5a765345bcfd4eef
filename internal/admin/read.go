package admin

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/jethook/jethook/api"
	"github.com/jethook/jethook/deliver"
	"github.com/jethook/jethook/internal/bus"
	"github.com/jethook/jethook/internal/event"
)

type readQuery struct {
	Period
	Events  []string `query:"events,explode" maxItems:"100" doc:"Those that one of these patterns selects: source and name. All unless said." example:"stripe.invoice.*"`
	Where   string   `query:"where" maxLength:"4096" doc:"Those that this expression over the body is true of; a body it cannot be evaluated on is left out." example:"data.object.amount >= 1000"`
	After   string   `query:"after" pattern:"^[0-9]{1,19}$" doc:"Those that follow this sequence."`
	Through string   `query:"through" pattern:"^[0-9]{1,19}$" doc:"Up to this sequence."`
	Limit   int      `query:"limit" minimum:"1" maximum:"1000" default:"100" doc:"At most so many. An answer has less where the bodies are large, or where many are looked at and few selected: complete says whether there are more."`
	Bodies  bool     `query:"bodies" doc:"With their bodies."`
	Wait    string   `query:"wait" maxLength:"16" doc:"How long to wait for one where there is none, at most 25s." example:"20s"`
}

// Bounds of what one request reads.
const (
	maxReadBytes  = 1 << 20 // of bodies, but for the first
	maxReadLooked = 20_000
	readBatch     = 50 // bodies in memory at once
)

// maxWait bounds how long a request waits for an event, below what it may take.
const maxWait = 25 * time.Second

// waitEvery is how often it is looked for one.
const waitEvery = 100 * time.Millisecond

// reader is a question about what follows in a stream.
type reader struct {
	bus     *bus.Bus
	env     event.Env
	bounds  bus.Range
	through uint64
	wants   func(*event.Event) (bool, error) // nil is all
	limit   int
	bodies  bool
}

// readEvents reads a stretch of the stream, as soon as there is one.
func (h *Handler) readEvents(ctx context.Context, q *readQuery) (*output[api.Reading], error) {
	r, err := h.reader(ctx, q)
	if err != nil {
		return nil, err
	}
	wait, err := waitOf(q.Wait)
	if err != nil {
		return nil, err
	}
	over := time.NewTimer(wait)
	defer over.Stop()
	ticker := time.NewTicker(waitEvery)
	defer ticker.Stop()
	for {
		last, err := h.config.Bus.LastSequence(ctx, r.env)
		if err != nil {
			return nil, err
		}
		found := api.Reading{Data: []api.ReadEvent{}, Next: r.bounds.After, Complete: true}
		if last > r.bounds.After {
			if found, err = r.read(ctx, last); err != nil {
				return nil, err
			}
		}
		if len(found.Data) > 0 || !found.Complete || r.through > 0 && found.Next >= r.through {
			return answer(found), nil
		}
		r.bounds.After = found.Next
		select {
		case <-ticker.C:
		case <-over.C:
			return answer(found), nil
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

func (h *Handler) reader(ctx context.Context, q *readQuery) (*reader, error) {
	env := exchangeOf(ctx).key.Env
	r := &reader{bus: h.config.Bus, env: env, limit: q.Limit, bodies: q.Bodies,
		bounds: bus.Range{Stream: bus.StreamName(env), HeadersOnly: !q.Bodies && q.Where == "", Batch: readBatch}}
	if r.bounds.HeadersOnly {
		r.bounds.Batch = 0
	}
	var err error
	var patterns []event.Pattern
	for i, text := range q.Events {
		p, err := event.ParsePattern(text)
		if err != nil {
			return nil, misplaced(fmt.Sprintf("query.events[%d]", i), err.Error())
		}
		patterns = append(patterns, p)
	}
	for _, p := range event.Reduce(patterns) { // the server takes none that overlap
		r.bounds.Subjects = append(r.bounds.Subjects, p.Subject(env))
	}
	if r.bounds.Since, r.bounds.Until, err = q.bounds(h.now(), "query"); err != nil {
		return nil, err
	}
	for _, of := range []struct {
		name, text string
		into       *uint64
	}{{"query.after", q.After, &r.bounds.After}, {"query.through", q.Through, &r.through}} {
		if of.text == "" {
			continue
		}
		if *of.into, err = strconv.ParseUint(of.text, 10, 63); err != nil {
			return nil, misplaced(of.name, "is not a sequence")
		}
	}
	if q.Where == "" {
		return r, nil
	}
	if r.wants, err = deliver.Selects(deliver.Endpoint{Filter: q.Where, SystemEvents: true}); err != nil {
		return nil, misplaced("query.where", "not an expression: "+err.Error())
	}
	return r, nil
}

// read reads on as far as one answer goes. last is what the stream had before.
func (r *reader) read(ctx context.Context, last uint64) (api.Reading, error) {
	found := api.Reading{Data: []api.ReadEvent{}, Next: r.bounds.After, Complete: true}
	looked, size := 0, 0
	err := r.bus.Each(ctx, r.bounds, func(m bus.Message) bool {
		if r.through > 0 && m.Sequence > r.through {
			return false
		}
		if looked == maxReadLooked || len(found.Data) == r.limit || size > 0 && r.bodies && size+m.Size > maxReadBytes {
			found.Complete = false
			return false
		}
		looked++
		found.Next = m.Sequence
		e, err := event.Decode(m.Header, m.Data)
		if err != nil { // it is no event
			return true
		}
		if r.wants != nil {
			if wanted, err := r.wants(e); err != nil || !wanted {
				return true
			}
		}
		size += m.Size
		one := api.ReadEvent{Event: wireEvent(bus.Stored{Event: e, Sequence: m.Sequence, Size: m.Size})}
		if r.bodies {
			one.Body = e.Data
		}
		found.Data = append(found.Data, one)
		return true
	})
	if found.Complete {
		found.Next = max(found.Next, last)
		if r.through > 0 {
			found.Next = max(r.bounds.After, min(found.Next, r.through))
		}
	}
	return found, err
}
