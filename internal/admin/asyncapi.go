package admin

import (
	"fmt"
	"net/http"
	"net/url"

	"go.yaml.in/yaml/v3"

	"github.com/jethook/jethook/config"
	"github.com/jethook/jethook/internal/bus"
	"github.com/jethook/jethook/internal/event"
	"github.com/jethook/jethook/internal/managed"
)

// asyncPath is where the document of the events is. As that of the API it needs no
// key; with one it has what its environment is configured with.
const asyncPath = "/asyncapi.yaml"

// maxDescribed bounds the sources, the endpoints and the subscribers of a document,
// each.
const maxDescribed = 500

const asyncDescription = `The events that jethook receives, keeps on the bus and delivers.

A message's data are the provider's body, byte for byte. Delivery is at least once
and in no order.`

const asyncAnonymous = `

With an API key this document has the sources, endpoints and subscribers of the
key's environment, and the names of their events.`

// describeEvents answers with the document of the caller's environment, or with
// what holds of all where the caller has no key.
func (h *Handler) describeEvents(w http.ResponseWriter, r *http.Request) {
	d := newAsyncDocument()
	if env := exchangeOf(r.Context()).key.Env; env == "" {
		d.describeAll()
	} else {
		d.describe(env, h, r.Host)
	}
	document, err := yaml.Marshal(d)
	if err != nil {
		exchangeOf(r.Context()).fail(problemOf(fmt.Errorf("write the AsyncAPI document: %w", err)))
		return
	}
	w.Header().Set("Content-Type", asyncContentType)
	_, _ = w.Write(document) // a caller that has gone changes nothing
}

func newAsyncDocument() *asyncDocument {
	return &asyncDocument{
		AsyncAPI: asyncVersion, ContentType: "application/json",
		Info:     asyncInfo{Title: "jethook events", Version: "1", Description: asyncDescription},
		Servers:  map[string]asyncServer{},
		Channels: map[string]asyncChannel{}, Operations: map[string]asyncOperation{},
		Components: asyncComponents{
			Messages: map[string]asyncMessage{anyEvent: newAsyncMessage("", "Any event")}, MessageTraits: asyncTraits(), Schemas: asyncSchemas(),
			SecuritySchemes: map[string]any{},
		},
	}
}

func newAsyncMessage(name, title string) asyncMessage {
	return asyncMessage{Name: name, Title: title, Traits: []reference{refer("components/messageTraits", "cloudevent")}}
}

// describeAll writes what is the same for everybody.
func (d *asyncDocument) describeAll() {
	d.Info.Description += asyncAnonymous
	d.Channels["event"] = asyncChannel{
		Address: new("events.{env}.{source}.{event}"), Messages: messages(anyEvent), Description: subjectRule,
		Parameters: map[string]asyncParameter{
			"env":    {Description: "The environment.", Enum: []string{string(event.Prod), string(event.Test)}},
			"source": {Description: "The name of the source."},
			"event":  eventParameter(nil),
		},
	}
	d.Channels["subscriber"] = asyncChannel{Address: new("_INBOX_{subscriber}.{inbox}"), Messages: messages(anyEvent), Parameters: map[string]asyncParameter{
		"subscriber": {Description: "The name of the subscriber."}, "inbox": inboxParameter,
	}}
	d.Channels["endpoint"] = asyncChannel{Messages: messages(anyEvent)}
	d.Channels["pull"] = asyncChannel{Address: new(pullAddress("{endpoint}")), Messages: messages(anyEvent), Parameters: map[string]asyncParameter{
		"endpoint": {Description: "The name of an endpoint with pull: true."},
	}}
	d.Operations["subscriber"] = subscriberOperation("subscriber", "EVENTS_PROD or EVENTS_TEST", "{subscriber}")
	d.Operations["endpoint"] = endpointOperation("endpoint", "standard")
	d.Operations["pull"] = pullOperation("pull")
}

// describe writes what an environment is configured with. host is where the caller
// has the management API.
func (d *asyncDocument) describe(env event.Env, h *Handler, host string) {
	sources := inForce(h.config.Managed.Sources(), env, func(c config.Source) string { return c.Env })
	endpoints := inForce(h.config.Managed.Endpoints(), env, func(c config.Endpoint) string { return c.Env })
	subscribers := inForce(h.config.Managed.Subscribers(), env, func(c config.Subscriber) string { return c.Env })
	if max(len(sources), len(endpoints), len(subscribers)) > maxDescribed {
		d.Info.Description += fmt.Sprintf("\n\nOf %d sources, %d endpoints and %d subscribers, the first %d each are here.", len(sources), len(endpoints), len(subscribers), maxDescribed)
		sources, endpoints, subscribers = first(sources), first(endpoints), first(subscribers)
	}
	d.Info.Title += ", " + string(env)

	known := newCatalogue(env, sources)
	for _, e := range endpoints {
		known.learn(e.Events)
	}
	for _, s := range subscribers {
		known.learn(s.Events)
	}
	d.addBus(h.config.Bus.ServiceAddress())
	d.addEvents(known)
	for _, e := range endpoints {
		if e.Pull {
			d.addPulled(known, &e, host)
		} else {
			d.addEndpoint(known, &e)
		}
	}
	for _, s := range subscribers {
		d.addSubscriber(known, &s)
	}
}

// inForce are an environment's own that are not at fault.
func inForce[T config.Source | config.Endpoint | config.Subscriber](all []managed.Listed[T], env event.Env, envOf func(T) string) []T {
	var found []T
	for _, l := range all {
		if l.Problem == nil && event.Env(envOf(l.Config)) == env {
			found = append(found, l.Config)
		}
	}
	return found
}

func first[T any](all []T) []T { return all[:min(len(all), maxDescribed)] }

func (d *asyncDocument) addBus(address string) {
	server := asyncServer{Host: address, Protocol: "nats", Security: []reference{refer("components/securitySchemes", "credentials")}}
	if address == "" {
		server.Host, server.Description = "localhost", "The bus is inside jethook and has no port; nats.embedded.listen opens one."
	}
	d.Servers["bus"] = server
	d.Components.SecuritySchemes["credentials"] = object{
		"type": "asymmetricEncryption", "description": "The nkey of a subscriber, or on a cluster of yours the credentials of its account.",
	}
}

const subjectRule = "In a token, what a token cannot hold is written %XX."

var inboxParameter = asyncParameter{Description: "As the NATS client makes it."}

func eventParameter(examples []string) asyncParameter {
	return asyncParameter{Description: "The event's name, whose dots separate tokens.", Examples: examples[:min(len(examples), 5)]}
}

// addEvents adds a message and a channel for each name that is known, and for each
// source those of any other.
func (d *asyncDocument) addEvents(known *catalogue) {
	onBus := []reference{refer("servers", "bus")}
	for _, s := range known.sources {
		other := newAsyncMessage("", "Any event of "+s.title)
		other.Payload = s.payload
		d.Components.Messages[s.key("")] = other
		d.Channels[s.key("")] = asyncChannel{
			Address: new(event.SubjectRoot + "." + string(known.env) + "." + event.Token(s.name) + ".{event}"),
			Servers: onBus, Messages: messages(s.key("")), Description: subjectRule,
			Parameters: map[string]asyncParameter{"event": eventParameter(s.names)},
		}
		for _, name := range s.names {
			of := newAsyncMessage(s.typeOf(name), s.title+": "+name)
			of.Payload = s.payload
			d.Components.Messages[s.key(name)] = of
			subject := (&event.Event{Env: known.env, Source: s.name, Type: s.typeOf(name)}).Subject()
			d.Channels[s.key(name)] = asyncChannel{Address: &subject, Servers: onBus, Messages: messages(s.key(name))}
		}
	}
}

// addEndpoint adds the deliveries to an endpoint. Of its URL there is nothing that
// may be a credential.
func (d *asyncDocument) addEndpoint(known *catalogue, e *config.Endpoint) {
	u, err := url.Parse(e.URL)
	if err != nil {
		return // the configuration has checked it
	}
	key, path := "endpoint."+e.Name, u.EscapedPath()
	if path == "" {
		path = "/"
	}
	d.Servers[key] = asyncServer{Host: u.Host, Protocol: u.Scheme, Description: e.Description}
	d.Channels[key] = asyncChannel{Address: &path, Servers: []reference{refer("servers", key)},
		Messages: messages(known.selected(patternsOf(e.Events, e.AllEvents), false)...)}
	d.Operations[key] = endpointOperation(key, e.Signature)
}

func endpointOperation(channel, signature string) asyncOperation {
	return asyncOperation{
		Action: "send", Channel: refer("channels", channel), Summary: "Deliver events",
		Description: "Signed with signature: " + signature + ". Any 2xx within the timeout is a delivery; all else is tried again. 410 disables the endpoint.",
		Bindings:    map[string]any{"http": object{"method": http.MethodPost, "bindingVersion": "0.3.0"}},
	}
}

// addPulled adds what the receiver of an endpoint without a url takes at the
// management API.
func (d *asyncDocument) addPulled(known *catalogue, e *config.Endpoint, host string) {
	d.Servers["management"] = asyncServer{Host: host, Protocol: "http", Security: []reference{refer("components/securitySchemes", "key")},
		Description: "The management API, where this document was asked for; https where a proxy before it speaks that."}
	d.Components.SecuritySchemes["key"] = object{"type": "http", "scheme": "bearer", "description": "An API key of the environment that may change something."}
	key := "endpoint." + e.Name
	d.Channels[key] = asyncChannel{Address: new(pullAddress(e.Name)), Description: e.Description, Servers: []reference{refer("servers", "management")},
		Messages: messages(known.selected(patternsOf(e.Events, e.AllEvents), false)...)}
	d.Operations[key] = pullOperation(key)
}

func pullAddress(endpoint string) string { return prefix + "endpoints/" + endpoint + "/events" }

func pullOperation(channel string) asyncOperation {
	return asyncOperation{
		Action: "send", Channel: refer("channels", channel), Summary: "Give out events",
		Description: "The answer is JSON, and has up to limit events in the JSON format of CloudEvents; GET /openapi.yaml describes it. What is not acknowledged within the timeout is tried again.",
		Bindings:    map[string]any{"http": object{"method": http.MethodGet, "bindingVersion": "0.3.0"}},
	}
}

func (d *asyncDocument) addSubscriber(known *catalogue, s *config.Subscriber) {
	key, patterns := "subscriber."+s.Name, patternsOf(s.Events, s.AllEvents)
	consumer := &asyncConsumer{Stream: bus.StreamName(known.env), Consumer: s.Name}
	for _, p := range event.Reduce(patterns) {
		consumer.Subjects = append(consumer.Subjects, p.Subject(known.env))
	}
	d.Channels[key] = asyncChannel{
		Address: new("_INBOX_" + s.Name + ".{inbox}"), Servers: []reference{refer("servers", "bus")}, NATS: consumer,
		Parameters: map[string]asyncParameter{"inbox": inboxParameter},
		Messages:   messages(known.selected(patterns, true)...),
	}
	d.Operations[key] = subscriberOperation(key, consumer.Stream, consumer.Consumer)
}

func subscriberOperation(channel, stream, consumer string) asyncOperation {
	return asyncOperation{
		Action: "send", Channel: refer("channels", channel), Summary: "Hand out events",
		Description: "Asked for at the durable pull consumer " + consumer + " of the stream " + stream + ". What is not acknowledged comes again.",
	}
}

// messages are references to messages by their keys.
func messages(keys ...string) map[string]reference {
	all := make(map[string]reference, len(keys))
	for _, key := range keys {
		all[key] = refer("components/messages", key)
	}
	return all
}

func patternsOf(texts []string, all bool) []event.Pattern {
	if all {
		return []event.Pattern{event.AllEvents}
	}
	patterns := make([]event.Pattern, len(texts))
	for i, text := range texts {
		patterns[i] = event.Pattern(text)
	}
	return patterns
}
