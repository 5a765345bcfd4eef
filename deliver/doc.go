// Package deliver sends events to one endpoint over HTTP and decides after each attempt whether the event is delivered, tried again later, or dead.
//
// A Worker serves one endpoint. It takes events from the endpoint's durable
// consumer and pointers to events that are due again from stream RETRY, and for
// each it attempts, records the attempt, and settles: in that order, so that a
// crash anywhere repeats an attempt and never loses an event. Delivery is at
// least once and unordered; a receiver tells duplicates by webhook-id.
//
// A worker does not pull while its endpoint is down, and lets as many attempts
// be in flight as the endpoint takes: its gate holds the breaker and the window.
//
// All workers of a process share one Client, whose Guard refuses addresses that
// the operator has not allowed, after DNS resolution and at every dial.
package deliver
