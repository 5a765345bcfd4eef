package event

import (
	"fmt"
	"strings"
	"time"
)

// Header names of a message: a CloudEvent in binary mode (CloudEvents 1.0,
// NATS protocol binding), written exactly so.
const (
	headerMsgID       = "Nats-Msg-Id"
	headerSpecVersion = "ce-specversion"
	headerID          = "ce-id"
	headerSource      = "ce-source"
	headerType        = "ce-type"
	headerTime        = "ce-time"
	headerContentType = "content-type"
	headerTraceparent = "traceparent"
	headerTracestate  = "tracestate"
	headerKept        = "jethook-header-"
)

const specVersion = "1.0"

// Encode returns the event's message but for its data, which is Data as it is.
// Nothing a sender wrote becomes a header name, so no sender can reach the
// server's Nats- commands.
func (e *Event) Encode() (subject string, header map[string][]string) {
	values := make([]string, 0, 10+len(e.Header)) // one backing array for all values
	header = make(map[string][]string, 10+len(e.Header))
	set := func(name, value string) {
		if value != "" {
			values = append(values, value)
			header[name] = values[len(values)-1:]
		}
	}
	set(headerMsgID, string(e.ID))
	set(headerSpecVersion, specVersion)
	set(headerID, string(e.ID))
	set(headerSource, e.source())
	set(headerType, escapeAttribute(e.Type))
	set(headerTime, e.time())
	set(headerContentType, e.ContentType)
	set(headerTraceparent, e.Traceparent)
	set(headerTracestate, e.Tracestate)
	for name, value := range e.Header {
		set(headerKept+name, value)
	}
	return e.Subject(), header
}

// CloudEvent returns the ce- attributes of the event, each with the name of its
// HTTP header as net/http writes it (CloudEvents 1.0, HTTP protocol binding,
// binary mode).
func (e *Event) CloudEvent() [5]struct{ Name, Value string } {
	return [...]struct{ Name, Value string }{
		{"Ce-Specversion", specVersion},
		{"Ce-Id", string(e.ID)},
		{"Ce-Source", e.source()},
		{"Ce-Type", escapeAttribute(e.Type)},
		{"Ce-Time", e.time()},
	}
}

// Decode is the inverse of Encode. A message that Encode cannot have made is
// an error that names the attribute.
func Decode(header map[string][]string, data []byte) (*Event, error) {
	get := func(name string) string {
		if values := header[name]; len(values) > 0 {
			return values[0]
		}
		return ""
	}
	if v := get(headerSpecVersion); v != specVersion {
		return nil, fmt.Errorf("decode event: %s is %q, not %s", headerSpecVersion, v, specVersion)
	}
	e := &Event{
		ID:          ID(get(headerID)),
		ContentType: get(headerContentType),
		Traceparent: get(headerTraceparent),
		Tracestate:  get(headerTracestate),
		Data:        data,
	}
	if e.ID == "" {
		return nil, fmt.Errorf("decode event: %s is absent", headerID)
	}
	env, source, ok := strings.Cut(strings.TrimPrefix(get(headerSource), "/"), "/")
	e.Env, e.Source = Env(env), source
	if !ok || source == "" {
		return nil, fmt.Errorf("decode event: %s %q is not /env/source", headerSource, get(headerSource))
	}
	var err error
	if e.Env, err = ParseEnv(env); err != nil {
		return nil, fmt.Errorf("decode event: %s: %w", headerSource, err)
	}
	if e.Type, err = unescape(get(headerType)); err != nil || e.Type == "" {
		return nil, fmt.Errorf("decode event: %s %q is not an event name", headerType, get(headerType))
	}
	if e.Time, err = time.Parse(time.RFC3339Nano, get(headerTime)); err != nil {
		return nil, fmt.Errorf("decode event: %s: %w", headerTime, err)
	}
	for name, values := range header {
		if kept, ok := strings.CutPrefix(name, headerKept); ok && len(values) > 0 {
			if e.Header == nil {
				e.Header = make(map[string]string)
			}
			e.Header[kept] = values[0]
		}
	}
	return e, nil
}

func (e *Event) source() string { return "/" + string(e.Env) + "/" + e.Source }

func (e *Event) time() string { return e.Time.UTC().Format(time.RFC3339Nano) }

// escapeAttribute writes an attribute's value so that a header can hold it:
// bytes outside visible ASCII, the space, the double quote and the percent sign
// become % and two hexadecimal digits (CloudEvents 1.0, HTTP protocol binding,
// section 3.1.3.2).
func escapeAttribute(s string) string {
	var b []byte
	for i := range len(s) {
		c := s[i]
		plain := c > ' ' && c < 0x7f && c != '"' && c != '%'
		if b == nil {
			if plain {
				continue
			}
			b = append(make([]byte, 0, len(s)+8), s[:i]...)
		}
		if plain {
			b = append(b, c)
		} else {
			b = append(b, '%', upperHex[c>>4], upperHex[c&15])
		}
	}
	if b == nil {
		return s
	}
	return string(b)
}
