package api

import (
	"context"
	"net/http"
	"net/url"
	"time"
)

// Subscriber is an internal service that consumes the stream with a NATS client.
type Subscriber struct {
	Name     string    `json:"name" example:"ledger"`
	ID       string    `json:"id" example:"sub_019ac0a2b3c87d1e9f00a1b2c3d4e5f6"`
	Env      string    `json:"env" enum:"prod,test"`
	Events   []string  `json:"events" nullable:"false" doc:"Patterns of the events it gets; > are all."`
	NKey     string    `json:"nkey,omitempty" doc:"The public half of its key."`
	OldNKeys []string  `json:"old_nkeys,omitempty" doc:"Keys before that, which are valid for a while yet."`
	OldUntil time.Time `json:"old_until,omitzero" doc:"Until when the last of them is, unless the file has them."`

	AckWaitMS  int64 `json:"ack_wait_ms" doc:"How long an event may be unacknowledged before it is handed out again." example:"30000"`
	MaxDeliver int   `json:"max_deliver" doc:"How often an event is handed out before it is dead; 0 is without end." example:"10"`

	// Shown once, where they are made here.
	Seed  string `json:"seed,omitempty" doc:"The private half of its key, when it was made here; shown this once."`
	Creds string `json:"creds,omitempty" doc:"A credentials file of the key, where nats.signing is set; shown this once."`

	JWT         string   `json:"jwt,omitempty" doc:"What the key is admitted by where nats.signing is set; not secret."`
	URL         string   `json:"url,omitempty" doc:"Where it connects to; absent where the embedded server has no port." example:"nats://10.0.0.5:4222"`
	Account     string   `json:"account,omitempty" doc:"On a cluster, the account that the streams are in."`
	InboxPrefix string   `json:"inbox_prefix" example:"_INBOX_ledger"`
	Publish     []string `json:"publish" nullable:"false" doc:"The subjects that it may publish to."`
	Subscribe   []string `json:"subscribe" nullable:"false" doc:"The subjects that it may subscribe to."`

	Stream    string    `json:"stream" doc:"The stream of its durable consumer, which has its name." example:"EVENTS_PROD"`
	ManagedBy string    `json:"managed_by" enum:"file,api"`
	Problem   string    `json:"problem,omitempty" doc:"Why it is not in force although it was made."`
	CreatedAt time.Time `json:"created_at,omitzero"`
	UpdatedAt time.Time `json:"updated_at,omitzero"`
}

// SubscriberSpec is what a subscriber shall be. What is left out is as before, or
// the default of a new one.
type SubscriberSpec struct {
	Name      string   `json:"name,omitempty" maxLength:"63" doc:"Of its durable consumer, too. It cannot be changed." example:"ledger"`
	Env       string   `json:"env,omitempty" enum:"prod,test" doc:"That of the API key."`
	Events    []string `json:"events,omitempty" maxItems:"500" example:"[\"chip.>\"]"`
	AllEvents *bool    `json:"all_events,omitempty"`
	NKey      string   `json:"nkey,omitempty" doc:"The public half of its nkey. It may use this consumer and nothing else. A key is made and shown once when absent."`

	AckWait    string `json:"ack_wait,omitempty" doc:"How long an event may be unacknowledged before it is handed out again." example:"30s"`
	MaxDeliver *int   `json:"max_deliver,omitempty" minimum:"0" maximum:"1000" doc:"How often an event is handed out before it is dead; 0 is without end."`
}

// RotateNKey asks for another key of a subscriber.
type RotateNKey struct {
	NKey    string `json:"nkey,omitempty" doc:"The public half of the new key. One is made and shown once when absent."`
	Overlap string `json:"overlap,omitempty" doc:"How long the key before is valid, too: 24h unless said, at most 168h; 0s for not at all." example:"24h"`
}

// Subscribers lists the subscribers of the environment.
func (c *Client) Subscribers(ctx context.Context, page Page) (List[Subscriber], error) {
	var list List[Subscriber]
	return list, c.do(ctx, http.MethodGet, "/v1/subscribers"+page.query(), nil, &list)
}

// Subscriber returns a subscriber.
func (c *Client) Subscriber(ctx context.Context, name string) (Subscriber, error) {
	var s Subscriber
	return s, c.do(ctx, http.MethodGet, "/v1/subscribers/"+url.PathEscape(name), nil, &s)
}

// CreateSubscriber makes a subscriber.
func (c *Client) CreateSubscriber(ctx context.Context, spec SubscriberSpec) (Subscriber, error) {
	var s Subscriber
	return s, c.do(ctx, http.MethodPost, "/v1/subscribers", spec, &s)
}

// UpdateSubscriber changes what spec says of a subscriber, and nothing else.
func (c *Client) UpdateSubscriber(ctx context.Context, name string, spec SubscriberSpec) (Subscriber, error) {
	var s Subscriber
	return s, c.do(ctx, http.MethodPut, "/v1/subscribers/"+url.PathEscape(name), spec, &s)
}

// DeleteSubscriber removes a subscriber with its consumer.
func (c *Client) DeleteSubscriber(ctx context.Context, name string) error {
	_, err := c.send(ctx, http.MethodDelete, "/v1/subscribers/"+url.PathEscape(name), nil)
	return err
}

// RotateNKey gives a subscriber another key.
func (c *Client) RotateNKey(ctx context.Context, name string, how RotateNKey) (Subscriber, error) {
	var s Subscriber
	return s, c.do(ctx, http.MethodPost, "/v1/subscribers/"+url.PathEscape(name)+"/rotate", how, &s)
}
