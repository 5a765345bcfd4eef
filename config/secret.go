package config

import (
	"fmt"
	"log/slog"
)

// redacted is what every secret prints as.
const redacted = "***"

// Secret is a text that cannot print itself: with fmt, slog, JSON, YAML and
// every other encoder it is "***". The zero value is the empty secret.
type Secret struct {
	// A pointer, because fmt prints the fields of a struct it may not call
	// methods on; there it finds an address, not the text.
	text *string
}

// NewSecret keeps text as a secret.
func NewSecret(text string) Secret { return Secret{text: &text} }

// Reveal returns the text itself. It is for the place that uses the secret.
func (s Secret) Reveal() string {
	if s.text == nil {
		return ""
	}
	return *s.text
}

// Empty reports whether there is no text.
func (s Secret) Empty() bool { return s.Reveal() == "" }

// String returns "***".
func (s Secret) String() string { return redacted }

// Format prints "***" for every verb, and so for every verb that would have
// printed the text.
func (s Secret) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(redacted)) }

// MarshalText returns "***": encoding/json, encoding/xml and flag use it.
func (s Secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// MarshalYAML returns "***".
func (s Secret) MarshalYAML() (any, error) { return redacted, nil }

// LogValue returns "***".
func (s Secret) LogValue() slog.Value { return slog.StringValue(redacted) }
