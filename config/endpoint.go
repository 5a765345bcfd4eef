package config

import "time"

// Endpoint is an address that events are delivered to.
type Endpoint struct {
	Pos Position // where the entry begins

	Name        string            `key:"name" required:"true" form:"name" doc:"Name of the endpoint; endpoints and subscribers share one set of names."`
	Env         string            `key:"env" default:"prod" enum:"test,prod" doc:"Environment whose events it gets."`
	URL         string            `key:"url" form:"endpoint-url" doc:"Where events are posted."`
	Pull        bool              `key:"pull" default:"false" doc:"true: its receiver takes events over the management API, and there is no url."`
	Events      []string          `key:"events" form:"pattern" doc:"Patterns of the events it gets: source and name, * for one token, > for all that follow."`
	AllEvents   bool              `key:"all_events" default:"false" doc:"All events of the environment, instead of events."`
	Description string            `key:"description" form:"text" doc:"What it is for."`
	Enabled     bool              `key:"enabled" default:"true" doc:"false: events wait and nothing is delivered."`
	Signature   string            `key:"signature" default:"standard" enum:"standard,clink,chip,none" doc:"How deliveries are signed: Standard Webhooks, as Clink does, as CHIP does, or not."`
	Secrets     []Secret          `key:"secrets" form:"secret" drop:"empty" doc:"What deliveries are signed with. One is generated and shown once when absent."`
	Timeout     time.Duration     `key:"timeout" default:"15s" min:"1ms" max:"10m" doc:"How long one attempt may take."`
	Concurrency int               `key:"concurrency" default:"16" min:"1" max:"1024" doc:"Most attempts at once."`
	Rate        Rate              `key:"rate" default:"none" doc:"Most attempts per time, such as 200/s; none by default."`
	Filter      string            `key:"filter" form:"text" doc:"An expression over the event; only events for which it is true are delivered."`
	Headers     map[string]Secret `key:"headers" form:"header-value" doc:"Headers added to every delivery. Values are treated as secrets."`
	Auth        Auth              `key:"auth" doc:"Credentials sent as the header Authorization: bearer or basic."`
	TLS         TLS               `key:"tls" doc:"TLS of its own towards an https endpoint. Each value is PEM text, as a rule ${file:/path}."`
	Retry       Retry             `key:"retry" doc:"What follows when an attempt fails."`
	Start       Start             `key:"start" default:"now" doc:"Where a new endpoint begins: now, beginning, the sequence of an event, or a time in RFC 3339."`
}

// Retry is the schedule of an endpoint's attempts: the first wait is Initial,
// each further one Multiplier times longer up to MaxInterval, until Attempts
// were made or MaxElapsed has passed.
type Retry struct {
	Attempts    int           `key:"attempts" default:"10" min:"1" max:"100" doc:"Attempts in all, the first one too."`
	Initial     time.Duration `key:"initial" default:"10s" min:"1ms" doc:"The first wait."`
	Multiplier  float64       `key:"multiplier" default:"3" min:"1" max:"100" doc:"How much longer each wait is than the one before."`
	MaxInterval time.Duration `key:"max_interval" default:"12h" min:"1ms" doc:"The longest wait."`
	MaxElapsed  time.Duration `key:"max_elapsed" default:"24h" min:"1ms" doc:"After this time there are no more attempts, but for one that a Retry-After has asked for."`
	Jitter      float64       `key:"jitter" default:"0.2" min:"0" max:"1" doc:"Share of each wait that is random, so that events do not fall due together."`
}

// Subscriber is an internal service that consumes the stream with a NATS client.
type Subscriber struct {
	Pos Position // where the entry begins

	Name      string   `key:"name" required:"true" form:"name" doc:"Name of the subscriber and of its durable consumer."`
	Env       string   `key:"env" default:"prod" enum:"test,prod" doc:"Environment whose events it gets."`
	Events    []string `key:"events" form:"pattern" doc:"Patterns of the events it gets: source and name, * for one token, > for all that follow."`
	AllEvents bool     `key:"all_events" default:"false" doc:"All events of the environment, instead of events."`
	NKey      string   `key:"nkey" form:"nkey" doc:"Public user nkey of the service. It may use this consumer and nothing else."`
	OldNKeys  []string `key:"old_nkeys" form:"nkey" doc:"Public nkeys that are valid beside nkey while the service changes over to it."`

	AckWait    time.Duration `key:"ack_wait" default:"30s" min:"100ms" max:"24h" doc:"How long an event may be unacknowledged before it is handed out again."`
	MaxDeliver int           `key:"max_deliver" default:"10" max:"1000" doc:"How often an event is handed out before it is dead; 0: without end."`
}
