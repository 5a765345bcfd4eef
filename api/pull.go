package api

import (
	"context"
	"net/http"
	"net/url"
	"time"
)

// Taken is an event that was taken from an endpoint whose events are pulled.
type Taken struct {
	Token    string            `json:"token" doc:"Acknowledges the event, refuses it or asks for more time. It says nothing to anybody else."`
	AckBy    time.Time         `json:"ack_by" doc:"An event that is not acknowledged by then has had a failed attempt, and comes again by the endpoint's retry."`
	Attempt  int               `json:"attempt" doc:"1 for the first."`
	Sequence uint64            `json:"sequence" doc:"Its place in the stream of its environment."`
	Previous *uint64           `json:"previous,omitempty" doc:"The sequence of the event that was selected for the endpoint before this one, 0 for none: nothing in between was. Absent where that is not known."`
	Headers  map[string]string `json:"headers,omitempty" doc:"Headers of the provider that its source keeps."`
	Event    CloudEvent        `json:"event"`
}

// CloudEvent is an event with its body, in the JSON format of CloudEvents 1.0.
type CloudEvent struct {
	SpecVersion     string    `json:"specversion" example:"1.0"`
	ID              string    `json:"id" doc:"The same each time the event comes." example:"evt_xpuj4azcvz7ajuyrlzoezhc44a"`
	Source          string    `json:"source" doc:"Environment and source." example:"/prod/clink"`
	Type            string    `json:"type" doc:"The event's name, as its provider wrote it." example:"order.succeeded"`
	Time            time.Time `json:"time" doc:"When it was received."`
	DataContentType string    `json:"datacontenttype,omitempty" doc:"Of the body, as its provider wrote it."`
	Traceparent     string    `json:"traceparent,omitempty" doc:"The trace of its receipt."`
	Data            []byte    `json:"data_base64" doc:"The provider's body in base64, byte for byte."`
}

// Tokens names events that were taken.
type Tokens struct {
	Tokens []string `json:"tokens" minItems:"1" maxItems:"100" nullable:"false"`
}

// Nack says that events could not be dealt with.
type Nack struct {
	Tokens []string `json:"tokens" minItems:"1" maxItems:"100" nullable:"false"`
	Reason string   `json:"reason,omitempty" maxLength:"1024" doc:"Why; kept with the attempt."`
	Delay  string   `json:"delay,omitempty" maxLength:"16" doc:"Come again after this time, at most 24h, instead of by the endpoint's retry." example:"30s"`
}

// Extend asks for more time.
type Extend struct {
	Tokens []string `json:"tokens" minItems:"1" maxItems:"100" nullable:"false"`
	By     string   `json:"by" maxLength:"16" doc:"From now on, at most 10m; no event can be kept for longer than 12h." example:"1m"`
}

// Settled is what became of tokens.
type Settled struct {
	Count int      `json:"count" doc:"So many were still held."`
	Over  []string `json:"over" nullable:"false" doc:"Those that were not: their events were settled before, or their time has passed and they come again."`
}

// PullQuery bounds one Pull. Zero values are the API's defaults: up to 20 events,
// and no waiting. Wait is such as 20s.
type PullQuery struct {
	Limit int
	Wait  string
}

// Pull takes events of an endpoint whose events are pulled. Each is to be
// acknowledged by its time, or comes again.
func (c *Client) Pull(ctx context.Context, endpoint string, q PullQuery) (List[Taken], error) {
	var list List[Taken]
	return list, c.do(ctx, http.MethodGet, "/v1/endpoints/"+url.PathEscape(endpoint)+"/events"+Page{Limit: q.Limit}.query("wait", q.Wait), nil, &list)
}

// Ack says that events are dealt with. An event whose token is among Over comes
// again unless it was settled before.
func (c *Client) Ack(ctx context.Context, endpoint string, tokens ...string) (Settled, error) {
	return c.settle(ctx, endpoint, "ack", Tokens{tokens})
}

// Nack says that events could not be dealt with: a failed attempt.
func (c *Client) Nack(ctx context.Context, endpoint string, how Nack) (Settled, error) {
	return c.settle(ctx, endpoint, "nack", how)
}

// Extend asks for more time to deal with events. Their tokens stay.
func (c *Client) Extend(ctx context.Context, endpoint string, how Extend) (Settled, error) {
	return c.settle(ctx, endpoint, "extend", how)
}

func (c *Client) settle(ctx context.Context, endpoint, act string, how any) (Settled, error) {
	var s Settled
	return s, c.do(ctx, http.MethodPost, "/v1/endpoints/"+url.PathEscape(endpoint)+"/"+act, how, &s)
}
