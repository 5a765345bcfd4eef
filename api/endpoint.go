package api

import "time"

// Endpoint is an address that events are delivered to, and how it is doing.
type Endpoint struct {
	Name        string            `json:"name" example:"billing"`
	Env         string            `json:"env" enum:"prod,test"`
	URL         string            `json:"url,omitempty" doc:"Without a password and the values of its query. Absent where the process that answers does not have the endpoint in its file."`
	Pull        bool              `json:"pull,omitempty" doc:"Its receiver takes events at /v1/endpoints/{name}/events, and there is no url."`
	Description string            `json:"description,omitempty"`
	Events      []string          `json:"events" nullable:"false" doc:"Patterns of the events it gets; > are all."`
	ID          string            `json:"id,omitempty" doc:"Stays when everything else changes." example:"ep_019ac0a2b3c87d1e9f00a1b2c3d4e5f6"`
	Enabled     bool              `json:"enabled" doc:"As it was made, or by the file."`
	Signature   string            `json:"signature,omitempty" doc:"How deliveries are signed: standard, clink, chip or none."`
	Timeout     string            `json:"timeout,omitempty" doc:"How long one attempt may take." example:"15s"`
	Concurrency int               `json:"concurrency,omitempty" doc:"Most attempts at once."`
	Rate        string            `json:"rate,omitempty" doc:"Most attempts per time, or none." example:"200/s"`
	Filter      string            `json:"filter,omitempty" doc:"An expression over the event; only events for which it is true are delivered."`
	Headers     map[string]string `json:"headers,omitempty" doc:"Added to every delivery. The values are not shown."`
	Auth        *Auth             `json:"auth,omitempty" doc:"Sent as the header Authorization. Secrets are not shown."`
	TLS         *TLS              `json:"tls,omitempty" doc:"TLS of its own."`
	Retry       *Retry            `json:"retry,omitempty" doc:"What follows when an attempt fails."`
	Start       string            `json:"start,omitempty" doc:"Where it began."`
	ManagedBy   string            `json:"managed_by" enum:"file,api" doc:"What can change it."`
	Problem     string            `json:"problem,omitempty" doc:"Why it is not in force although it was made: the file has one of that name, or its rules have changed since."`
	CreatedAt   time.Time         `json:"created_at,omitzero"`
	UpdatedAt   time.Time         `json:"updated_at,omitzero"`

	Secret       string    `json:"secret,omitempty" doc:"What its receiver verifies deliveries with, shown when it was generated and never again."`
	MaskedSecret string    `json:"masked_secret,omitempty" doc:"The end of the newest secret, to tell secrets apart." example:"whsec_...abcd"`
	PublicKey    string    `json:"public_key,omitempty" doc:"What its receiver verifies deliveries with, in PEM, where they are signed with a private key."`
	RetiresAt    time.Time `json:"old_secret_valid_until,omitzero" doc:"Until then deliveries are signed with the secret before, too."`

	State       string    `json:"state" enum:"enabled,failing,paused,disabled" doc:"failing: its events wait, and one is tried now and then. paused: by an operator. disabled: as it was made, by the file, by an answer of 410, or after failing for too long."`
	Since       time.Time `json:"since,omitzero" doc:"Of the state."`
	Reason      string    `json:"reason,omitempty" doc:"Of the state."`
	NextWarning time.Time `json:"next_warning_at,omitzero" doc:"When jethook.endpoint.failing is published next, if it goes on failing."`
	DisableAt   time.Time `json:"disable_at,omitzero" doc:"When it is disabled, if it goes on failing."`
	DrainRate   string    `json:"drain_rate,omitempty" doc:"The rate at which what waited when it was resumed is delivered; absent once that is done." example:"50/s"`

	OldestWaiting time.Time `json:"oldest_waiting_at,omitzero" doc:"When the oldest event was received that waits, where events are not delivered."`
	ExpiresAt     time.Time `json:"expires_at,omitzero" doc:"When that event will have been stored for nats.stream.max_age and is removed."`

	Waiting uint64 `json:"waiting" doc:"Events that its patterns select and it has not had yet, and those in flight: also those that it will pass over, by its filter or as jethook's own."`
	Retries uint64 `json:"retries" doc:"Events that are tried again later."`
	Dead    uint64 `json:"dead" doc:"Events that are not tried again."`
}

// EndpointSpec is what an endpoint shall be: the keys that the configuration file
// has for one. What is left out is as before, or the default of a new one.
type EndpointSpec struct {
	Name        string            `json:"name,omitempty" maxLength:"63" doc:"Lower-case letters, digits, - and _. One is made of the url where there is none. It cannot be changed." example:"billing"`
	Env         string            `json:"env,omitempty" enum:"prod,test" doc:"That of the API key."`
	URL         string            `json:"url,omitempty" maxLength:"2048" doc:"Where events are posted." example:"https://billing.example.com/events"`
	Pull        *bool             `json:"pull,omitempty" doc:"true: its receiver takes events at /v1/endpoints/{name}/events, and there is no url."`
	Events      []string          `json:"events,omitempty" maxItems:"500" doc:"Patterns of the events it gets: source and name, * for one token, > for all that follow." example:"[\"clink.order.*\"]"`
	AllEvents   *bool             `json:"all_events,omitempty" doc:"All events of the environment, instead of events."`
	Description string            `json:"description,omitempty" maxLength:"512"`
	Enabled     *bool             `json:"enabled,omitempty" doc:"false: events wait and nothing is delivered. true unless said."`
	Signature   string            `json:"signature,omitempty" doc:"standard unless said, clink, chip or none."`
	Secrets     []string          `json:"secrets,omitempty" maxItems:"5" doc:"What deliveries are signed with. One is generated and shown once when absent."`
	Timeout     string            `json:"timeout,omitempty" example:"15s"`
	Concurrency int               `json:"concurrency,omitempty" example:"16"`
	Rate        string            `json:"rate,omitempty" example:"200/s"`
	Filter      string            `json:"filter,omitempty" maxLength:"4096" example:"data.object.amount >= 1000"`
	Headers     map[string]string `json:"headers,omitempty" doc:"Values are treated as secrets."`
	Auth        *Auth             `json:"auth,omitempty"`
	TLS         *TLS              `json:"tls,omitempty"`
	Retry       *Retry            `json:"retry,omitempty"`
	Start       string            `json:"start,omitempty" doc:"Where a new one begins: now unless said, beginning, the sequence of an event, or a time in RFC 3339."`
}

// Auth is sent as the header Authorization: bearer or basic.
type Auth struct {
	Bearer string `json:"bearer,omitempty"`
	Basic  *Basic `json:"basic,omitempty"`
}

// Basic is the credentials of RFC 7617.
type Basic struct {
	User     string `json:"user,omitempty"`
	Password string `json:"password,omitempty"`
}

// TLS is PEM texts.
type TLS struct {
	CA   string `json:"ca,omitempty" doc:"Certificates of the authorities that sign the server's."`
	Cert string `json:"cert,omitempty" doc:"Client certificate."`
	Key  string `json:"key,omitempty" doc:"Key of the client certificate; not shown."`
}

// Retry is the schedule of attempts. What is left out is as before, or the default.
type Retry struct {
	Attempts    *int     `json:"attempts,omitempty" doc:"In all, the first one too." example:"10"`
	Initial     string   `json:"initial,omitempty" doc:"The first wait." example:"10s"`
	Multiplier  *float64 `json:"multiplier,omitempty" doc:"How much longer each wait is than the one before." example:"3"`
	MaxInterval string   `json:"max_interval,omitempty" doc:"The longest wait." example:"12h"`
	MaxElapsed  string   `json:"max_elapsed,omitempty" doc:"After this time there are no more attempts." example:"24h"`
	Jitter      *float64 `json:"jitter,omitempty" doc:"Share of each wait that is random." example:"0.2"`
}

// Resume asks for an endpoint to get its events again.
type Resume struct {
	Rate string `json:"rate,omitempty" doc:"Most attempts per time, over all replicas, until what waits now is delivered; the endpoint's own rate unless said." example:"50/s"`
}

// RotateSecret asks for a new secret.
type RotateSecret struct {
	Overlap string `json:"overlap,omitempty" doc:"How long deliveries are signed with the secret before, too: 24h unless said, at most 168h; 0s for not at all." example:"24h"`
	Secret  string `json:"secret,omitempty" doc:"The new secret. One is generated and shown once when absent."`
}
