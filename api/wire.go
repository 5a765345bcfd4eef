// Package api defines the management API's wire types and its Go client.
package api

import "time"

// Problem is a refusal, as RFC 9457 writes it, with the members code, request_id
// and errors of ours. It is the error that the client returns.
type Problem struct {
	Type      string       `json:"type" doc:"A URI that stays the same for ever and leads nowhere." example:"urn:jethook:problem:not_found"`
	Title     string       `json:"title" doc:"What the code means, in words." example:"Not found"`
	Status    int          `json:"status" doc:"The answer's status." example:"404"`
	Code      string       `json:"code" doc:"What went wrong, for programs." example:"not_found"`
	Detail    string       `json:"detail" doc:"What went wrong this time and what to do, for people."`
	RequestID string       `json:"request_id" doc:"Finds the request in the log."`
	Errors    []FieldError `json:"errors,omitempty" nullable:"false" doc:"The parts of the request that are wrong."`
}

// FieldError is one part of a request that is wrong.
type FieldError struct {
	Field   string `json:"field" doc:"Its place, such as query.limit or body.endpoint."`
	Message string `json:"message" doc:"What is wrong with it."`
}

// ProblemType precedes the code in a problem's type.
const ProblemType = "urn:jethook:problem:"

// List is one page of a list.
type List[T any] struct {
	Data    []T  `json:"data" nullable:"false"`
	HasMore bool `json:"has_more" doc:"There is more after this page."`
}

// Event is an event without its body.
type Event struct {
	ID          string    `json:"id" doc:"A function of environment, source and delivery id." example:"evt_xpuj4azcvz7ajuyrlzoezhc44a"`
	Type        string    `json:"type" doc:"The event's name, as its provider wrote it." example:"order.succeeded"`
	Source      string    `json:"source" doc:"The source it came from." example:"clink"`
	Env         string    `json:"env" enum:"prod,test"`
	Time        time.Time `json:"time" doc:"When it was received."`
	Sequence    uint64    `json:"sequence" doc:"Its place in the stream of its environment. It finds the event as the id does."`
	Size        int       `json:"size" doc:"Of the body, in bytes."`
	ContentType string    `json:"content_type,omitempty" doc:"Of the body, as its provider wrote it."`
	Traceparent string    `json:"traceparent,omitempty" doc:"The trace of its receipt."`
}

// Attempt is one attempt to deliver an event to an endpoint.
type Attempt struct {
	EventID    string    `json:"event_id"`
	EventType  string    `json:"event_type"`
	Endpoint   string    `json:"endpoint"`
	Attempt    int       `json:"attempt" doc:"1 for the first."`
	At         time.Time `json:"at"`
	DurationMS float64   `json:"duration_ms"`
	Status     int       `json:"status,omitempty" doc:"Of the answer; absent where there was none."`
	Outcome    string    `json:"outcome" doc:"What followed; failed is that of a test event." enum:"delivered,retry,dead,gone,failed"`
	Error      string    `json:"error,omitempty" doc:"Why there was no answer, or why it was not accepted."`
	Reason     string    `json:"reason,omitempty" doc:"Why the event is dead."`
	NextAt     time.Time `json:"next_at,omitzero" doc:"When the next attempt was due."`
	Response   string    `json:"response,omitempty" doc:"The first KiB of the answer's body."`
}

// Attempts are the attempts of an event, the oldest first.
type Attempts struct {
	Data     []Attempt `json:"data" nullable:"false"`
	Dead     []Dead    `json:"dead" nullable:"false" doc:"Where the event is dead now, which it may be without an attempt: its retries were cancelled, or the endpoint's filter could not be evaluated."`
	Complete bool      `json:"complete" doc:"false: so many attempts were made since the event, or so many events died, that not all of their records were read."`
}

// Resend asks for an event to be delivered again.
type Resend struct {
	Endpoint string `json:"endpoint" minLength:"1" maxLength:"64" doc:"The endpoint that gets it; no other does."`
}

// Redelivery is a delivery that was asked for.
type Redelivery struct {
	EventID  string `json:"event_id"`
	Endpoint string `json:"endpoint"`
}

// Dead is an event that is not tried again at an endpoint unless somebody asks.
type Dead struct {
	ID             string    `json:"id" doc:"Of this entry; an event may be dead at several endpoints." example:"dead_42"`
	EventID        string    `json:"event_id"`
	EventType      string    `json:"event_type,omitempty"`
	Source         string    `json:"source,omitempty"`
	Env            string    `json:"env" enum:"prod,test"`
	Endpoint       string    `json:"endpoint" doc:"Its name, or that of a subscriber."`
	Subscriber     bool      `json:"subscriber,omitempty" doc:"It is a subscriber."`
	Sequence       uint64    `json:"sequence" doc:"The event's place in its stream."`
	Reason         string    `json:"reason" example:"gave up after 10 attempts"`
	DiedAt         time.Time `json:"died_at"`
	Attempts       int       `json:"attempts"`
	FirstAttemptAt time.Time `json:"first_attempt_at,omitzero"`
	LastAttemptAt  time.Time `json:"last_attempt_at,omitzero"`
	LastStatus     int       `json:"last_status,omitempty" doc:"Of the last answer; absent where there was none."`
	LastError      string    `json:"last_error,omitempty"`
}

// DeadSelection selects dead events of an endpoint, to be retried or dropped.
type DeadSelection struct {
	Endpoint string `json:"endpoint" pattern:"^[A-Za-z0-9_-]{1,64}$" doc:"The endpoint or subscriber that they are dead at; no other gets what is retried."`
	Type     string `json:"type,omitempty" maxLength:"256" doc:"Those of this name or pattern: * for one token, > for all that follow."`
	Since    string `json:"since,omitempty" maxLength:"40" doc:"Those that died from this time on: RFC 3339, or how long ago, such as 2h."`
	Until    string `json:"until,omitempty" maxLength:"40" doc:"Those that died before this time."`
	After    string `json:"after,omitempty" maxLength:"40" doc:"next of the answer before."`
}

// Retried is what became of dead events that are to be delivered again.
type Retried struct {
	Retried int    `json:"retried" doc:"So many are delivered again and are not listed any more."`
	Gone    int    `json:"gone" doc:"So many stay listed: their bodies are no longer stored."`
	Next    string `json:"next,omitempty" doc:"There are more: ask again with this as after."`
}

// Dropped is what became of dead events that are to be dropped.
type Dropped struct {
	Dropped int    `json:"dropped" doc:"So many are not listed any more."`
	Next    string `json:"next,omitempty" doc:"There are more: ask again with this as after."`
}

// Counted is how many retries were changed.
type Counted struct {
	Count int  `json:"count"`
	More  bool `json:"more" doc:"There are more: ask again."`
}
