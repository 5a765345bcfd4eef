package admin

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jethook/jethook/api"
	"github.com/jethook/jethook/config"
	"github.com/jethook/jethook/fanout"
	"github.com/jethook/jethook/internal/bus"
	"github.com/jethook/jethook/internal/event"
)

// replayID begins the ids of replays.
const replayID = "rpl_"

// ReplayPath names a replay.
type ReplayPath struct {
	ID string `path:"id" maxLength:"64" doc:"The replay's id." example:"rpl_019ac0a2b3c87d1e9f00a1b2c3d4e5f6"`
}

func (h *Handler) createReplay(ctx context.Context, in *struct{ Body api.ReplaySpec }) (*output[api.Replay], error) {
	of := in.Body
	spec := fanout.ReplaySpec{Endpoint: h.nameOf(ctx, of.Endpoint), Where: of.Where, DryRun: of.DryRun}
	if (of.Endpoint == "") == (of.To == nil) {
		return nil, misplaced("body", "names either the endpoint that gets it, or the address with to")
	}
	if of.To != nil {
		if err := h.config.Guard.Resolve(ctx, of.To.URL); err != nil {
			return nil, misplaced("body.to.url", err.Error())
		}
		spec.Target = &fanout.Target{URL: of.To.URL, Secret: of.To.Secret}
	}
	var err error
	if spec.Since, spec.Until, err = (Period{of.Since, of.Until}).bounds(h.now(), "body"); err != nil {
		return nil, err
	}
	if of.Rate != "" {
		perSecond, err := config.ParseRate(of.Rate)
		if err != nil {
			return nil, misplaced("body.rate", "is not a rate such as 50/s, 100/m or 10/h")
		}
		spec.PerSecond = float64(perSecond)
	}
	for i, text := range of.Events {
		p, err := event.ParsePattern(text)
		if err != nil {
			return nil, misplaced(fmt.Sprintf("body.events[%d]", i), err.Error())
		}
		spec.Events = append(spec.Events, p)
	}
	r, err := h.config.Directory.Replay(ctx, exchangeOf(ctx).key.Env, spec)
	switch {
	case errors.Is(err, bus.ErrNotFound):
		return nil, noEndpoint()
	case errors.Is(err, fanout.ErrWhere):
		return nil, misplaced("body.where", err.Error())
	case errors.Is(err, fanout.ErrTargetURL):
		return nil, misplaced("body.to.url", err.Error())
	case errors.Is(err, fanout.ErrTargetSecret):
		return nil, misplaced("body.to.secret", err.Error())
	case err != nil:
		return nil, err
	}
	shown := wireReplay(r)
	if of.DryRun {
		shown.ID, shown.CreatedAt = "", time.Time{}
	}
	return answer(shown), nil
}

func wireReplay(r fanout.Replay) api.Replay {
	shown := api.Replay{ID: replayID + r.ID, Endpoint: r.Endpoint, To: r.To, Secret: r.Secret, Env: string(r.Env), Events: []string{}, Where: r.Where, State: string(r.State), Reason: r.Reason,
		Count: r.Count, Handled: r.Handed, Delivered: r.Delivered, Filtered: r.Filtered, Failed: r.Failed, First: r.Begin, Last: r.End, CreatedAt: r.CreatedAt, EndedAt: r.EndedAt}
	for _, p := range r.Events {
		shown.Events = append(shown.Events, string(p))
	}
	if m := r.Matched; m != nil {
		shown.LookedAt, shown.Matching, shown.Unfit = &m.Looked, &m.Passing, &m.Failing
	}
	if r.PerSecond > 0 {
		shown.Rate = config.Rate(r.PerSecond).String()
	}
	return shown
}

func (h *Handler) listReplays(ctx context.Context, q *struct{ Page }) (*output[api.List[api.Replay]], error) {
	all, err := h.config.Directory.Replays(ctx, exchangeOf(ctx).key.Env)
	if err != nil {
		return nil, err
	}
	slices.SortFunc(all, func(a, b fanout.Replay) int { return strings.Compare(b.ID, a.ID) }) // ids sort by time
	first := min(q.Offset, len(all))
	last := min(first+q.Limit, len(all))
	found := make([]api.Replay, 0, last-first)
	for _, r := range all[first:last] {
		found = append(found, wireReplay(r))
	}
	return listed(found, last < len(all)), nil
}

func replayAnswer(r fanout.Replay, err error) (*output[api.Replay], error) {
	if errors.Is(err, bus.ErrNotFound) {
		return nil, refuse(notFound, "There is no replay of that id in this environment.")
	}
	if errors.Is(err, fanout.ErrReplayOver) {
		return nil, refuse(replayOver, "The replay is over: "+string(r.State)+". To deliver its events once more, make another one.")
	}
	return answered(wireReplay(r), err)
}

func (h *Handler) getReplay(ctx context.Context, in *ReplayPath) (*output[api.Replay], error) {
	return replayAnswer(h.config.Directory.GetReplay(ctx, exchangeOf(ctx).key.Env, strings.TrimPrefix(in.ID, replayID)))
}

func (h *Handler) pauseReplay(ctx context.Context, in *ReplayPath) (*output[api.Replay], error) {
	return h.setReplay(ctx, in.ID, fanout.ReplayPaused)
}

func (h *Handler) resumeReplay(ctx context.Context, in *ReplayPath) (*output[api.Replay], error) {
	return h.setReplay(ctx, in.ID, fanout.ReplayRunning)
}

func (h *Handler) cancelReplay(ctx context.Context, in *ReplayPath) (*output[api.Replay], error) {
	return h.setReplay(ctx, in.ID, fanout.ReplayCancelled)
}

func (h *Handler) setReplay(ctx context.Context, id string, to fanout.ReplayState) (*output[api.Replay], error) {
	return replayAnswer(h.config.Directory.SetReplay(ctx, exchangeOf(ctx).key.Env, strings.TrimPrefix(id, replayID), to))
}
