package signature

// Scheme is how one sender signs, as data. Its JSON form is the verify block
// of the configuration.
type Scheme struct {
	Algorithm Algorithm `json:"algorithm"`
	// KeyEncoding is how the keys are written down. Empty is raw for the HMACs,
	// sha256-prefix, token and basic, pem for RSA and ECDSA, base64 for Ed25519.
	KeyEncoding KeyEncoding `json:"key_encoding,omitempty"`
	Signature   Location    `json:"signature,omitzero"`
	Timestamp   Timestamp   `json:"timestamp,omitzero"`
	// Signed is the string that was signed, a template over {body},
	// {timestamp}, {header:Name}, {json:path}, {method} and {url}. Empty is
	// "{body}". A brace has no other meaning and cannot be escaped.
	Signed string `json:"signed,omitempty"`
}

// Location is where a signature is and how it is written there. Exactly one of
// Header, HeadersNumbered, JSON and Form is set; Basic takes Authorization when
// none is.
type Location struct {
	Header string `json:"header,omitempty"`
	// HeadersNumbered is the beginning of header names that continue with 1, 2,
	// up to 100: "X-DocuSign-Signature-". The first that is absent ends them.
	HeadersNumbered string `json:"headers_numbered,omitempty"`
	// JSON is the path of a string in the body, names joined by dots.
	JSON string `json:"json,omitempty"`
	// Form is the name of a field of a URL-encoded body.
	Form string `json:"form,omitempty"`
	// Encoding is required where something is signed, and must be empty for
	// token, basic and none.
	Encoding Encoding `json:"encoding,omitempty"`
	// Prefix stands before the signature: "sha256=". It excludes Separator.
	Prefix string `json:"prefix,omitempty"`
	// Separator makes the text a list, each of whose entries is a signature.
	Separator string `json:"separator,omitempty"`
	// KeyValue parts an entry into a tag and a value; it needs Separator and Tag.
	KeyValue string `json:"key_value,omitempty"`
	// Tag is the tag of the entries that are signatures: "v1". Others never match.
	Tag string `json:"tag,omitempty"`
}
