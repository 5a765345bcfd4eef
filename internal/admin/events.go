package admin

import (
	"cmp"
	"context"
	"errors"
	"strconv"
	"time"

	"github.com/jethook/jethook/api"
	"github.com/jethook/jethook/deliver"
	"github.com/jethook/jethook/internal/bus"
	"github.com/jethook/jethook/internal/event"
)

type eventsQuery struct {
	Page
	Period
	Source string `query:"source" maxLength:"64" doc:"Of this source."`
	Type   string `query:"type" maxLength:"256" doc:"Of this name or pattern: * for one token, > for all that follow." example:"order.*"`
}

// waitOf reads how long a request is to wait; not at all where that is empty.
func waitOf(text string) (wait time.Duration, err error) {
	if text == "" {
		return 0, nil
	}
	if wait, err = time.ParseDuration(text); err != nil || wait < 0 || wait > maxWait {
		return 0, misplaced("query.wait", "is not a duration up to 25s")
	}
	return wait, nil
}

func wireEvents(found []bus.Stored) []api.Event {
	events := make([]api.Event, 0, len(found))
	for _, e := range found {
		events = append(events, wireEvent(e))
	}
	return events
}

// pattern is what the query selects.
func (q *eventsQuery) pattern() (event.Pattern, error) {
	p, err := event.ParsePattern(cmp.Or(q.Source, "*") + "." + cmp.Or(q.Type, ">"))
	if err != nil {
		return p, misplaced("query.type", err.Error())
	}
	return p, nil
}

func (h *Handler) listEvents(ctx context.Context, q *eventsQuery) (*output[api.List[api.Event]], error) {
	r := bus.EventRange{Env: exchangeOf(ctx).key.Env}
	var err error
	if r.Pattern, err = q.pattern(); err != nil {
		return nil, err
	}
	if r.Since, r.Until, err = q.bounds(h.now(), "query"); err != nil {
		return nil, err
	}
	found, more, err := h.config.Bus.Events(ctx, r, q.Offset, q.Limit)
	if err != nil {
		return nil, err
	}
	return listed(wireEvents(found), more), nil
}

// EventPath names an event.
type EventPath struct {
	ID string `path:"id" maxLength:"64" doc:"The event's id, which is known for three days, or its sequence." example:"evt_xpuj4azcvz7ajuyrlzoezhc44a"`
}

// event finds the event of a path.
func (h *Handler) event(ctx context.Context, id string) (bus.Stored, error) {
	env := exchangeOf(ctx).key.Env
	var found bus.Stored
	var err error
	if sequence, notNumber := strconv.ParseUint(id, 10, 64); notNumber == nil {
		found, err = h.config.Bus.Event(ctx, env, sequence)
	} else {
		found, err = h.config.Bus.Find(ctx, env, event.ID(id))
	}
	if errors.Is(err, bus.ErrNotFound) {
		return found, refuse(notFound, "There is no such event in this environment. One that is older than three days is found by its sequence instead of its id.")
	}
	return found, err
}

func (h *Handler) getEvent(ctx context.Context, in *EventPath) (*output[api.Event], error) {
	found, err := h.event(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	return answer(wireEvent(found)), nil
}

// rawBody is a stranger's bytes: a browser shall neither show nor run them.
type rawBody struct {
	ContentType string `header:"Content-Type" doc:"As the event's provider wrote it."`
	Disposition string `header:"Content-Disposition"`
	Policy      string `header:"Content-Security-Policy"`
	Body        []byte
}

func (h *Handler) getBody(ctx context.Context, in *EventPath) (*rawBody, error) {
	found, err := h.event(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	return &rawBody{ContentType: cmp.Or(found.ContentType, "application/octet-stream"),
		Disposition: "attachment", Policy: "sandbox", Body: found.Data}, nil
}

type attemptsQuery struct {
	EventPath
	Endpoint string `query:"endpoint" pattern:"^[A-Za-z0-9_-]{1,64}$" doc:"At this endpoint only."`
}

func (h *Handler) listAttempts(ctx context.Context, q *attemptsQuery) (*output[api.Attempts], error) {
	found, err := h.event(ctx, q.ID)
	if err != nil {
		return nil, err
	}
	attempts, complete, err := deliver.History(ctx, h.config.Bus, found.Event, q.Endpoint)
	if err != nil {
		return nil, err
	}
	dead, allDead, err := deliver.DeadOf(ctx, h.config.Bus, found.Event, q.Endpoint)
	if err != nil {
		return nil, err
	}
	list := api.Attempts{Data: make([]api.Attempt, 0, len(attempts)), Dead: make([]api.Dead, 0, len(dead)), Complete: complete && allDead}
	for _, a := range attempts {
		list.Data = append(list.Data, wireAttempt(&a))
	}
	for _, d := range dead {
		list.Dead = append(list.Dead, wireDead(d))
	}
	return answer(list), nil
}

func wireEvent(e bus.Stored) api.Event {
	return api.Event{ID: string(e.ID), Type: e.Type, Source: e.Source, Env: string(e.Env), Time: e.Time,
		Sequence: e.Sequence, Size: e.Size, ContentType: e.ContentType, Traceparent: e.Traceparent}
}

func wireAttempt(a *deliver.Attempt) api.Attempt {
	return api.Attempt{EventID: string(a.EventID), EventType: a.EventType, Endpoint: a.Endpoint, Attempt: a.Number,
		At: a.At, DurationMS: a.DurationMS, Status: a.Status, Outcome: string(a.Outcome),
		Error: a.Error, Reason: a.Reason, NextAt: a.NextAt, Response: a.Response}
}

type resendInput struct {
	EventPath
	Body api.Resend
}

// resend is about an endpoint of the caller's environment, as the event is.
func (h *Handler) resend(ctx context.Context, in *resendInput) (*output[api.Redelivery], error) {
	if err := h.demandEndpoint(ctx, in.Body.Endpoint); err != nil {
		return nil, err
	}
	found, err := h.event(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	if err := deliver.Resend(ctx, h.config.Bus, found.Event, found.Sequence, in.Body.Endpoint); err != nil {
		return nil, err
	}
	return answer(api.Redelivery{EventID: string(found.ID), Endpoint: in.Body.Endpoint}), nil
}
