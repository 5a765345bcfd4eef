package config

import (
	"net/netip"
	"time"
)

// Source is a sender of webhooks. What is empty is the preset's.
type Source struct {
	Pos Position // where the entry begins

	Name        string         `key:"name" required:"true" form:"name" doc:"Name of the source and last part of its address, POST /in/{name}."`
	Env         string         `key:"env" default:"prod" enum:"test,prod" doc:"test or prod; each has its own streams, subjects, keys and endpoints."`
	Preset      string         `key:"preset" form:"word" doc:"A provider that jethook knows. Without one, write verify."`
	Verify      *Verify        `key:"verify" doc:"How requests are verified. Beside a preset it overrides single knobs of it."`
	Event       []string       `key:"event" form:"text" doc:"Where the event's name is, such as json:type or header:X-Event; the first that is present names it. Default: the preset's, else json:type."`
	DeliveryID  []string       `key:"delivery_id" form:"text" doc:"What tells a redelivery from a new event, such as json:id, header:X-Id or hash:body; the first that is present. Default: the preset's, else hash:body."`
	Batch       string         `key:"batch" form:"text" doc:"array where the body is a list of events, json:path where a part of it is. Default: the preset's, else none."`
	Secrets     []Secret       `key:"secrets" form:"secret" drop:"empty" doc:"Shared secrets, any of which may match: rotation without downtime."`
	PublicKeys  []string       `key:"public_keys" form:"text" drop:"empty" doc:"Public keys, any of which may match."`
	AllowIPs    []netip.Prefix `key:"allow_ips" doc:"Addresses that may call; all by default."`
	MaxBody     Size           `key:"max_body" default:"1MiB" min:"1B" max:"7MiB" doc:"Largest body, at most 7MiB."`
	Rate        Rate           `key:"rate" default:"none" doc:"Most requests per time, such as 500/s; none by default."`
	PublicURL   string         `key:"public_url" form:"url" doc:"The address the provider calls, for presets that sign it. Default: as the request names it."`
	KeepHeaders []string       `key:"keep_headers" form:"header" doc:"Headers of the request kept with the event, besides the preset's."`
}

// Verify describes a signature. A nil knob is the preset's, or the default of
// the algorithm where there is no preset.
type Verify struct {
	Algorithm   *string         `key:"algorithm" enum:"hmac-sha1,hmac-sha256,hmac-sha512,ed25519,ecdsa-p256-sha256,rsa-sha1,rsa-sha256,rsa-sha512,sha256-prefix,token,basic,none" doc:"How requests are signed. none: they are not, and anybody may send."`
	KeyEncoding *string         `key:"key_encoding" enum:"raw,base64,hex,pem,spki-base64" doc:"How the secrets or keys are written."`
	Signature   VerifySignature `key:"signature" doc:"Where the signature is and how it is written. One of header, headers_numbered, json and form."`
	Timestamp   VerifyTimestamp `key:"timestamp" doc:"Where the time of sending is. One of header, field and json."`
	Signed      *string         `key:"signed" form:"text" doc:"The signed text, over {body}, {timestamp}, {header:Name}, {json:path}, {method} and {url}."`
}

// VerifySignature is where a signature is and how it is written.
type VerifySignature struct {
	Header          *string `key:"header" form:"header" doc:"The header that carries it."`
	HeadersNumbered *string `key:"headers_numbered" form:"header" doc:"Several headers of this prefix and a number, any of which may match."`
	JSON            *string `key:"json" form:"text" doc:"The path in the body that carries it."`
	Form            *string `key:"form" form:"text" doc:"The form field that carries it."`
	Encoding        *string `key:"encoding" enum:"hex,base64,base64url" doc:"How its bytes are written."`
	Prefix          *string `key:"prefix" form:"text" doc:"What stands before it, such as sha256=."`
	Separator       *string `key:"separator" form:"text" doc:"What separates the parts of a list."`
	KeyValue        *string `key:"key_value" form:"text" doc:"What separates tag and value in a part of a list."`
	Tag             *string `key:"tag" form:"text" doc:"The tag of the parts that are signatures; others never match."`
}

// VerifyTimestamp is where the time of sending is.
type VerifyTimestamp struct {
	Header    *string        `key:"header" form:"header" doc:"The header that carries it."`
	Field     *string        `key:"field" form:"text" doc:"The tag that carries it in the list that holds the signature."`
	JSON      *string        `key:"json" form:"text" doc:"The path in the body that carries it."`
	Unit      *string        `key:"unit" enum:"auto,s,ms,rfc3339" doc:"How it is written. auto: seconds or milliseconds, told apart by size."`
	Tolerance *time.Duration `key:"tolerance" doc:"How far it may be from now, both ways. 0: the time is not checked."`
}
