// Package fanout keeps the registry of endpoints and subscribers and makes the bus match it: one durable consumer each, and a delivery worker per endpoint.
//
// The list comes whole, with Apply, at start and at every reload, and in part,
// with Change, where single names have changed; Run owns the workers. An
// endpoint's place in the stream belongs to its consumer and outlives everything
// but the endpoint's removal: it is kept when filters change, while the endpoint
// is disabled, and when a start finds a consumer that the list does not name,
// since a wrong or empty file must not lose places.
//
// # Sleeping
//
// With the embedded bus an endpoint has a worker only while something waits for
// it, and for some seconds after. One that sleeps has no consumer in the server
// either: the bus keeps its place, and an alarm tells of the first event.
//
// # Disabling
//
// An endpoint that answers 410 is disabled for every replica by a record in the
// bucket bus.Endpoints. The record is about one URL: it ends when the list
// gives the endpoint another URL, or when the list says that it is not enabled,
// so that enabling it again begins afresh. Its backlog waits meanwhile.
//
// # Pausing
//
// A Directory shows the endpoints of the bus with their state, in any process
// on it, and writes into the same record that an endpoint is paused: every
// replica stops delivering to it until it is resumed.
//
// # Failing
//
// A worker whose breaker opens has the same bucket say since when the endpoint
// fails, so that replicas tell of it once, and a worker of such an endpoint
// begins with a probe. Any success ends it. An endpoint that has had nothing but
// failures for Config.DisableAfter is disabled as after a 410.
//
// # Secrets
//
// An endpoint without keys gets a generated secret, kept in the bucket
// bus.Secrets under a Tink keyset, and shown once to whoever watches
// Config.ShowSecret.
package fanout
