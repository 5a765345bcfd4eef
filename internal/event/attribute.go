package event

// Attribute names of spans and metrics, all in one place: OpenTelemetry's
// semantic conventions where they have a name, jethook's own otherwise. Metric labels use none but those marked bounded.
const (
	AttrEnv        = "jethook.env"        // bounded
	AttrSource     = "jethook.source"     // bounded: configured sources
	AttrEndpoint   = "jethook.endpoint"   // bounded: configured endpoints
	AttrSubscriber = "jethook.subscriber" // bounded: configured subscribers
	AttrOutcome    = "jethook.outcome"    // bounded: a closed list in each package
	AttrAttempt    = "jethook.attempt"

	AttrEventID   = "cloudevents.event_id"
	AttrEventType = "cloudevents.event_type"

	AttrMethod = "http.request.method"
	AttrRoute  = "http.route"
	AttrStatus = "http.response.status_code" // bounded
	AttrServer = "server.address"
)
