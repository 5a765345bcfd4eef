package admin

import (
	"context"
	"errors"
	"strconv"
	"strings"

	"github.com/jethook/jethook/api"
	"github.com/jethook/jethook/deliver"
	"github.com/jethook/jethook/internal/bus"
	"github.com/jethook/jethook/internal/event"
)

// deadPrefix begins the id of a dead event; its number follows.
const deadPrefix = "dead_"

type deadQuery struct {
	Page
	Period
	Endpoint string `query:"endpoint" pattern:"^[A-Za-z0-9_-]{1,64}$" doc:"At this endpoint, or of this subscriber."`
	Type     string `query:"type" maxLength:"256" doc:"Of this name or pattern: * for one token, > for all that follow." example:"order.*"`
}

// deadRange is what a request selects of the dead events of its environment; place is
// the part of it that its fields are in.
func (h *Handler) deadRange(ctx context.Context, endpoint, kind string, p Period, place string) (deliver.DeadRange, error) {
	r := deliver.DeadRange{Env: exchangeOf(ctx).key.Env, Endpoint: endpoint}
	var err error
	if r.Since, r.Until, err = p.bounds(h.now(), place); err != nil || kind == "" {
		return r, err
	}
	if r.Pattern, err = event.ParsePattern("*." + kind); err != nil {
		return r, misplaced(place+".type", err.Error())
	}
	return r, nil
}

func (h *Handler) listDead(ctx context.Context, q *deadQuery) (*output[api.List[api.Dead]], error) {
	r, err := h.deadRange(ctx, q.Endpoint, q.Type, q.Period, "query")
	if err != nil {
		return nil, err
	}
	found, more, err := deliver.DeadEvents(ctx, h.config.Bus, r, q.Offset, q.Limit)
	if err != nil {
		return nil, err
	}
	if len(found) == 0 && q.Endpoint != "" { // a name that is mistyped has no dead events either
		if err := h.demandReceiver(ctx, q.Endpoint); err != nil {
			return nil, err
		}
	}
	dead := make([]api.Dead, 0, len(found))
	for _, d := range found {
		dead = append(dead, wireDead(d))
	}
	return listed(dead, more), nil
}

// DeadPath names a dead event.
type DeadPath struct {
	ID string `path:"id" maxLength:"40" example:"dead_42"`
}

// dead finds the dead event of a path.
func (h *Handler) dead(ctx context.Context, id string) (deliver.DeadEvent, error) {
	number, err := deadNumber(id)
	var found deliver.DeadEvent
	if err == nil {
		found, err = deliver.DeadEventAt(ctx, h.config.Bus, exchangeOf(ctx).key.Env, number)
	}
	if errors.Is(err, bus.ErrNotFound) {
		return found, refuse(notFound, "There is no such dead event in this environment. One that was retried or dropped is not listed any more.")
	}
	return found, err
}

func deadNumber(id string) (uint64, error) {
	text, ok := strings.CutPrefix(id, deadPrefix)
	number, err := strconv.ParseUint(text, 10, 64)
	if !ok || err != nil {
		return 0, bus.ErrNotFound
	}
	return number, nil
}

func deadID(number uint64) string { return deadPrefix + strconv.FormatUint(number, 10) }

func (h *Handler) getDead(ctx context.Context, in *DeadPath) (*output[api.Dead], error) {
	found, err := h.dead(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	return answer(wireDead(found)), nil
}

func (h *Handler) retryDead(ctx context.Context, in *DeadPath) (*output[api.Redelivery], error) {
	found, err := h.dead(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	if err := h.demandReceiver(ctx, found.Endpoint); err != nil {
		return nil, err
	}
	err = deliver.RetryDead(ctx, h.config.Bus, found)
	if errors.Is(err, deliver.ErrEventGone) {
		return nil, refuse(eventGone, "The event's body is no longer stored, so it cannot be delivered.")
	}
	if err != nil {
		return nil, err
	}
	return answer(api.Redelivery{EventID: string(found.EventID), Endpoint: found.Endpoint}), nil
}

type deadInput struct{ Body api.DeadSelection }

// allDead has a batch of what a request selects dealt with, and returns next of the
// answer besides.
func (h *Handler) allDead(ctx context.Context, which *api.DeadSelection,
	do func(context.Context, *bus.Bus, deliver.DeadRange, uint64) (deliver.Batch, error),
) (batch deliver.Batch, next string, err error) {
	r, err := h.deadRange(ctx, which.Endpoint, which.Type, Period{which.Since, which.Until}, "body")
	if err != nil {
		return batch, "", err
	}
	after := uint64(0)
	if which.After != "" {
		if after, err = deadNumber(which.After); err != nil {
			return batch, "", misplaced("body.after", "is not next of an answer, such as dead_42")
		}
	}
	if batch, err = do(ctx, h.config.Bus, r, after); batch.More {
		next = deadID(batch.Next)
	}
	return batch, next, err
}

func (h *Handler) retryAllDead(ctx context.Context, in *deadInput) (*output[api.Retried], error) {
	if err := h.demandReceiver(ctx, in.Body.Endpoint); err != nil {
		return nil, err
	}
	batch, next, err := h.allDead(ctx, &in.Body, deliver.RetryAllDead)
	if err != nil {
		return nil, err
	}
	return answer(api.Retried{Retried: batch.Done, Gone: batch.Gone, Next: next}), nil
}

// dropAllDead is also for what is dead at an endpoint that was removed.
func (h *Handler) dropAllDead(ctx context.Context, in *deadInput) (*output[api.Dropped], error) {
	batch, next, err := h.allDead(ctx, &in.Body, deliver.DropAllDead)
	if err == nil && batch.Done == 0 && in.Body.After == "" { // a name that is mistyped has no dead events either
		err = h.demandReceiver(ctx, in.Body.Endpoint)
	}
	if err != nil {
		return nil, err
	}
	return answer(api.Dropped{Dropped: batch.Done, Next: next}), nil
}

func (h *Handler) dropDead(ctx context.Context, in *DeadPath) (*struct{}, error) {
	found, err := h.dead(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	return nil, deliver.DropDead(ctx, h.config.Bus, found)
}

func wireDead(d deliver.DeadEvent) api.Dead {
	return api.Dead{ID: deadID(d.Number), EventID: string(d.EventID), EventType: d.Type, Source: d.Source,
		Env: string(d.Env), Endpoint: d.Endpoint, Sequence: d.Sequence, Reason: d.Reason, DiedAt: d.At, Attempts: d.Attempts,
		FirstAttemptAt: d.FirstAttemptAt, LastAttemptAt: d.LastAttemptAt, LastStatus: d.LastStatus, LastError: d.LastError, Subscriber: d.Subscriber}
}
