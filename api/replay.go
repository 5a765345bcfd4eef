package api

import (
	"context"
	"net/http"
	"net/url"
	"time"
)

// Replay is events that an endpoint is delivered again.
type Replay struct {
	ID        string    `json:"id" doc:"Empty for a dry run. Deliveries have it in the header jethook-replay." example:"rpl_019ac0a2b3c87d1e9f00a1b2c3d4e5f6"`
	Endpoint  string    `json:"endpoint,omitempty"`
	To        string    `json:"to,omitempty" doc:"The scheme and host of an address that was given for once, in place of an endpoint." example:"https://new.example.com"`
	Secret    string    `json:"secret,omitempty" doc:"What deliveries to that address are signed with, as Standard Webhooks: shown this once, where it was made here."`
	Env       string    `json:"env" enum:"prod,test"`
	Events    []string  `json:"events" nullable:"false"`
	Where     string    `json:"where,omitempty"`
	Rate      string    `json:"rate,omitempty" example:"50/s"`
	State     string    `json:"state" enum:"running,paused,done,cancelled,failed"`
	Reason    string    `json:"reason,omitempty" doc:"Why it failed."`
	Count     uint64    `json:"count" doc:"Events that it selects, before where and the endpoint's filter."`
	LookedAt  *uint64   `json:"looked_at,omitempty" doc:"Where there is an expression or the endpoint has a filter: at the bodies of so many of them it was looked, the oldest ones. That is all of them unless they are more than 100000, or took longer than ten seconds."`
	Matching  *uint64   `json:"matching,omitempty" doc:"So many of those that were looked at would be delivered."`
	Unfit     *uint64   `json:"unfit,omitempty" doc:"And on so many the expression or the filter cannot be evaluated, such as bodies that are no JSON: they become dead events."`
	Handled   uint64    `json:"handled" doc:"So many of them are delivered, passed over, given up, or tried again by the endpoint's retries."`
	Delivered uint64    `json:"delivered" doc:"So many of those were delivered, or given to whoever takes the endpoint's events. This and the next two are counted about every second, and lack what a process counted last before it was killed."`
	Filtered  uint64    `json:"filtered" doc:"So many were passed over, by the expression, the filter, or as jethook's own."`
	Failed    uint64    `json:"failed,omitempty" doc:"So many were not delivered: at an endpoint they go through its retries or are dead events; at an address that was given for once they were given up after four attempts."`
	First     uint64    `json:"first_sequence" doc:"The sequence it begins with."`
	Last      uint64    `json:"last_sequence" doc:"And ends with: what was stored when it was made."`
	CreatedAt time.Time `json:"created_at,omitzero"`
	EndedAt   time.Time `json:"ended_at,omitzero"`
}

// ReplaySpec is what is to be delivered again.
type ReplaySpec struct {
	Endpoint string   `json:"endpoint,omitempty" maxLength:"64" doc:"The endpoint that gets it; no other does."`
	To       *Target  `json:"to,omitempty" doc:"In place of an endpoint, an address for this once."`
	Events   []string `json:"events,omitempty" maxItems:"500" doc:"Patterns of events: those that the endpoint gets unless said, and for an address all."`
	Since    string   `json:"since,omitempty" maxLength:"40" doc:"Events received from this time on: RFC 3339, or how long ago, such as 2h. All that are stored unless said."`
	Until    string   `json:"until,omitempty" maxLength:"40" doc:"Events received before this time."`
	Where    string   `json:"where,omitempty" maxLength:"4096" doc:"An expression over the body, beside the endpoint's filter."`
	Rate     string   `json:"rate,omitempty" doc:"Most attempts per time, over all replicas: the endpoint's own rate unless said." example:"50/s"`
	DryRun   bool     `json:"dry_run,omitempty" doc:"Count, and deliver nothing."`
}

// Target is an address that gets a replay and nothing else. It is signed for as
// Standard Webhooks; what it does not take in four attempts is counted as failed.
type Target struct {
	URL    string `json:"url" maxLength:"2048" example:"https://new.example.com/webhooks"`
	Secret string `json:"secret,omitempty" maxLength:"512" doc:"A Standard Webhooks secret: one is made, and shown once, unless said."`
}

// CreateReplay has events delivered again.
func (c *Client) CreateReplay(ctx context.Context, spec ReplaySpec) (Replay, error) {
	var r Replay
	return r, c.do(ctx, http.MethodPost, "/v1/replays", spec, &r)
}

// Replays lists the replays, the newest first.
func (c *Client) Replays(ctx context.Context, page Page) (List[Replay], error) {
	var list List[Replay]
	return list, c.do(ctx, http.MethodGet, "/v1/replays"+page.query(), nil, &list)
}

// Replay returns a replay, with how far it is.
func (c *Client) Replay(ctx context.Context, id string) (Replay, error) {
	var r Replay
	return r, c.do(ctx, http.MethodGet, "/v1/replays/"+url.PathEscape(id), nil, &r)
}

// PauseReplay has a replay wait until it is resumed.
func (c *Client) PauseReplay(ctx context.Context, id string) (Replay, error) {
	var r Replay
	return r, c.do(ctx, http.MethodPost, "/v1/replays/"+url.PathEscape(id)+"/pause", nil, &r)
}

// ResumeReplay has a paused replay go on.
func (c *Client) ResumeReplay(ctx context.Context, id string) (Replay, error) {
	var r Replay
	return r, c.do(ctx, http.MethodPost, "/v1/replays/"+url.PathEscape(id)+"/resume", nil, &r)
}

// CancelReplay ends a replay. What it has handed to the endpoint's retries stays
// there.
func (c *Client) CancelReplay(ctx context.Context, id string) (Replay, error) {
	var r Replay
	return r, c.do(ctx, http.MethodDelete, "/v1/replays/"+url.PathEscape(id), nil, &r)
}
