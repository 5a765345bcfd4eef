package admin

// What follows are the parts of AsyncAPI 3.0 that the document of the events has:
// https://www.asyncapi.com/docs/reference/specification/v3.0.0.

const (
	asyncVersion     = "3.0.0"
	asyncContentType = "application/vnd.aai.asyncapi+yaml;version=" + asyncVersion
)

type asyncDocument struct {
	AsyncAPI    string                    `yaml:"asyncapi"`
	Info        asyncInfo                 `yaml:"info"`
	ContentType string                    `yaml:"defaultContentType"`
	Servers     map[string]asyncServer    `yaml:"servers,omitempty"`
	Channels    map[string]asyncChannel   `yaml:"channels"`
	Operations  map[string]asyncOperation `yaml:"operations"`
	Components  asyncComponents           `yaml:"components"`
}

type asyncInfo struct {
	Title       string `yaml:"title"`
	Version     string `yaml:"version"`
	Description string `yaml:"description"`
}

type asyncServer struct {
	Host        string      `yaml:"host"`
	Protocol    string      `yaml:"protocol"`
	Description string      `yaml:"description,omitempty"`
	Security    []reference `yaml:"security,omitempty"`
}

type asyncChannel struct {
	Address     *string                   `yaml:"address"` // null where nothing is known of it
	Description string                    `yaml:"description,omitempty"`
	Servers     []reference               `yaml:"servers,omitempty"`
	Parameters  map[string]asyncParameter `yaml:"parameters,omitempty"`
	Messages    map[string]reference      `yaml:"messages"`
	NATS        *asyncConsumer            `yaml:"x-nats,omitempty"`
}

// asyncConsumer says where a subscriber's events are asked for.
type asyncConsumer struct {
	Stream   string   `yaml:"stream"`
	Consumer string   `yaml:"consumer"`
	Subjects []string `yaml:"subjects,omitempty"`
}

type asyncParameter struct {
	Description string   `yaml:"description"`
	Enum        []string `yaml:"enum,omitempty"`
	Examples    []string `yaml:"examples,omitempty"`
}

type asyncOperation struct {
	Action      string         `yaml:"action"`
	Channel     reference      `yaml:"channel"`
	Summary     string         `yaml:"summary,omitempty"`
	Description string         `yaml:"description,omitempty"`
	Bindings    map[string]any `yaml:"bindings,omitempty"`
}

type asyncMessage struct {
	Name    string      `yaml:"name,omitempty"`
	Title   string      `yaml:"title"`
	Payload *reference  `yaml:"payload,omitempty"`
	Traits  []reference `yaml:"traits"`
}

type asyncComponents struct {
	Messages        map[string]asyncMessage `yaml:"messages"`
	MessageTraits   map[string]any          `yaml:"messageTraits"`
	Schemas         map[string]any          `yaml:"schemas"`
	SecuritySchemes map[string]any          `yaml:"securitySchemes,omitempty"`
}

// reference is a Reference Object.
type reference struct {
	Ref string `yaml:"$ref"`
}

func refer(section, name string) reference { return reference{"#/" + section + "/" + name} }

// object is a schema's members, by name.
type object = map[string]any

func described(description string) object {
	return object{"type": "string", "description": description}
}

// asyncSchemas describe a message's headers on the bus and in a delivery.
func asyncSchemas() map[string]any {
	return map[string]any{
		"headers": object{
			"type":        "object",
			"description": "A CloudEvent in binary mode.",
			"required":    []string{"ce-specversion", "ce-id", "ce-source", "ce-type", "ce-time"},
			"properties": object{
				"ce-specversion": object{"const": "1.0"},
				"ce-id":          described("The event's id, evt_…: the same in every redelivery."),
				"ce-source":      described("/{env}/{source}"),
				"ce-type":        described("The event's name as the provider wrote it; what a header cannot hold is percent-escaped."),
				"ce-time":        object{"type": "string", "format": "date-time", "description": "When jethook received it."},
				"content-type":   described("Of the provider's body; absent where it gave none."),
				"traceparent":    described("W3C Trace Context."),
				"Nats-Msg-Id":    described("On the bus alone: ce-id."),
			},
			"patternProperties": object{"^jethook-header-": described("On the bus alone: a header of the provider's that its preset keeps.")},
		},
		"delivery": object{
			"type":     "object",
			"required": []string{"webhook-id", "webhook-timestamp", "jethook-attempt"},
			"properties": object{
				"webhook-id":           described("ce-id. Duplicates are told by it."),
				"webhook-timestamp":    described("When the attempt was made, in seconds since 1970."),
				"webhook-signature":    described("Standard Webhooks: v1, and the base64 of HMAC-SHA256; one for each secret. Absent with another signature than standard."),
				"jethook-attempt":      object{"type": "integer", "minimum": 1},
				"jethook-seq":          object{"type": "integer", "minimum": 1, "description": "The event's place in the stream; absent from a test event."},
				"jethook-seq-previous": object{"type": "integer", "minimum": 0, "description": "The place of the event selected for this endpoint before it, 0 for none; absent where it is not known."},
				"jethook-replay":       described("The id of the replay that delivers it again."),
				"traceparent":          described("W3C Trace Context."),
			},
		},
		"notice": object{
			"type":     "object",
			"required": []string{"type", "timestamp", "data"},
			"properties": object{
				"type":      described("As ce-type."),
				"timestamp": object{"type": "string", "format": "date-time"},
				"data":      object{"type": "object"},
			},
		},
	}
}

// asyncTraits are what all events have in common.
func asyncTraits() map[string]any {
	return map[string]any{"cloudevent": object{
		"headers":  refer("components/schemas", "headers"),
		"bindings": object{"http": object{"headers": refer("components/schemas", "delivery"), "bindingVersion": "0.3.0"}},
	}}
}
