package deliver

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"net/textproto"
	"net/url"
	"strconv"
	"strings"
	"time"

	"go.opentelemetry.io/otel/trace"

	"github.com/jethook/jethook/internal/event"
	"github.com/jethook/jethook/internal/signature"
)

// composer writes the requests of one endpoint. It never changes.
type composer struct {
	target    *target
	text      string // of its URL, for schemes that sign it
	userAgent string
	own       http.Header // the endpoint's, by canonical name
	signer    *signature.Signer
	replay    string // the id of the replay; empty for none
}

func newSigner(e Endpoint) (*signature.Signer, error) {
	scheme, err := e.Signature.Scheme()
	if err != nil {
		return nil, err
	}
	signer, err := signature.NewSigner(scheme, e.Keys)
	if err != nil {
		return nil, fmt.Errorf("signature %s: %w", e.Signature, err)
	}
	return signer, nil
}

func newComposer(e Endpoint, userAgent string) (*composer, error) {
	signer, err := newSigner(e)
	if err != nil {
		return nil, err
	}
	target, err := url.Parse(e.URL)
	if err != nil {
		return nil, checkURL(e.URL)
	}
	c := &composer{target: newTarget(target), text: e.URL, userAgent: userAgent, own: make(http.Header), signer: signer}
	if user := target.User; user != nil {
		password, _ := user.Password()
		basic := base64.StdEncoding.EncodeToString([]byte(user.Username() + ":" + password))
		c.own["Authorization"] = []string{"Basic " + basic}
	}
	for name, values := range e.Header {
		c.own[textproto.CanonicalMIMEHeaderKey(name)] = values
	}
	return c, nil
}

// compose writes the headers of an attempt into its slot. The content type is the provider's,
// untouched, as the body is. Provider headers come first, so that ours and the
// endpoint's own win over them.
func (c *composer) compose(in *slot, e *event.Event, number int, at link, span trace.SpanContext, now time.Time) error {
	in.clear()
	header, values := in.header, in.values // one backing array for all values
	set := func(name, value string) {
		values = append(values, value)
		header[name] = values[len(values)-1 : len(values) : len(values)]
	}
	for name, value := range e.Header {
		if name = textproto.CanonicalMIMEHeaderKey(name); !reserved(name) && !private(name) {
			set(name, value)
		}
	}
	for name, values := range c.own {
		header[name] = values
	}
	for _, attribute := range e.CloudEvent() {
		set(attribute.Name, attribute.Value)
	}
	if e.ContentType != "" {
		set("Content-Type", e.ContentType)
	}
	set("User-Agent", c.userAgent)
	set("Jethook-Attempt", strconv.Itoa(number))
	if at.sequence != 0 {
		set("Jethook-Seq", strconv.FormatUint(at.sequence, 10))
	}
	if at.known {
		set("Jethook-Seq-Previous", strconv.FormatUint(at.previous, 10))
	}
	if c.replay != "" {
		set("Jethook-Replay", c.replay)
	}
	set("Webhook-Id", string(e.ID))
	set("Webhook-Timestamp", strconv.FormatInt(now.Unix(), 10))
	if parent, state := traceHeaders(e, span); parent != "" {
		set("Traceparent", parent)
		if state != "" {
			set("Tracestate", state)
		}
	}
	signed, err := c.signer.Sign(signature.Request{Method: http.MethodPost, URL: c.text, Header: header, Body: e.Data}, now)
	if err != nil {
		return err
	}
	for name, values := range signed {
		header[name] = values
	}
	in.values = values
	return nil
}

// unsampled ends a traceparent whose sender records nothing.
const unsampled = "-00"

// traceHeaders names the attempt's span as the parent of what the endpoint does;
// or the event's own parent where no span is made. A trace that jethook does not
// record is the endpoint's to record: told that it is not sampled, an endpoint
// with the usual sampler would not.
func traceHeaders(e *event.Event, span trace.SpanContext) (parent, state string) {
	if !span.IsValid() {
		if recorded, ok := strings.CutSuffix(e.Traceparent, unsampled); ok {
			return recorded + "-01", e.Tracestate
		}
		return e.Traceparent, e.Tracestate
	}
	parent = "00-" + span.TraceID().String() + "-" + span.SpanID().String() + "-" + span.TraceFlags().String()
	return parent, span.TraceState().String()
}
