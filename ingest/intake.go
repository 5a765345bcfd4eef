package ingest

import (
	"context"
	"errors"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"go.opentelemetry.io/otel/trace"

	"github.com/jethook/jethook/internal/provider"
	"github.com/jethook/jethook/internal/signature"
)

// intake is one request on its way in: what is known of it so far, for the
// answer, the log line, the metrics and the span.
type intake struct {
	*Handler
	w     http.ResponseWriter
	r     *http.Request
	start time.Time

	peer        netip.Addr // the other end of the connection
	address     netip.Addr // the caller; the zero Addr when it is not known
	proxied     bool       // the peer is a trusted proxy
	requestID   string
	traceparent string
	span        trace.Span // nil without a Tracer

	source   *source // nil until it is found
	reply    *provider.Reply
	body     []byte
	reserved int64 // bytes taken from the budget
	bytes    int   // bytes of body read

	outcome     outcome
	status      int
	cause       error
	eventID     string // the first event's
	eventType   string
	events      int
	leftHeaders []string // names of headers to keep for which there was no room
}

// receive takes the request through the checks, in the order the contract
// fixes: source, method, address, rate, size, signature, name. It answers what
// passes them, and returns the refusal of what does not.
func (in *intake) receive() *problem {
	if p := in.findSource(); p != nil {
		return p
	}
	if p := in.checkMethod(); p != nil {
		return p
	}
	if p := in.checkAddress(); p != nil {
		return p
	}
	if p := in.checkRate(); p != nil {
		return p
	}
	if in.reply != nil { // of a handshake by GET
		return in.answerHandshake(*in.reply)
	}
	if p := in.readBody(); p != nil {
		return p
	}
	if p := in.verify(); p != nil {
		return p
	}
	if reply, ok := in.shakeHands(); ok {
		return in.answerHandshake(reply)
	}
	items, p := in.name()
	if p != nil {
		return p
	}
	return in.store(items)
}

func (in *intake) findSource() *problem {
	name, ok := strings.CutPrefix(in.r.URL.Path, pathPrefix)
	if ok {
		in.source = (*in.sources.Load())[name]
	}
	if in.source == nil {
		return &problem{
			outcome: unknownSource,
			detail:  "No source of that name is configured. Send to /in/{source}, with the name as it is in the configuration and nothing after it.",
		}
	}
	return nil
}

// checkMethod lets POST pass, and GET where it is the provider's handshake.
func (in *intake) checkMethod() *problem {
	switch in.r.Method {
	case http.MethodPost:
		return nil
	case http.MethodGet:
		if reply, ok := in.shakeHands(); ok {
			in.reply = &reply
			return nil
		}
	}
	return &problem{
		outcome: methodNotAllowed,
		detail:  "Webhooks are received by POST.",
		allow:   http.MethodPost,
	}
}

func (in *intake) checkAddress() *problem {
	if len(in.source.AllowIPs) == 0 || within(in.source.AllowIPs, in.address) {
		return nil
	}
	return &problem{
		outcome: addressRefused,
		detail:  "The caller's address is not among the source's allow_ips. Behind a proxy, the proxy must be among the trusted ones.",
	}
}

func (in *intake) checkRate() *problem {
	limiter := in.source.limiter
	if limiter == nil || limiter.AllowN(in.start, 1) {
		return nil
	}
	missing := 1 - limiter.TokensAt(in.start)
	return &problem{
		outcome:    rateLimited,
		detail:     "The source takes no more requests a second than its rate. Send again after the time in Retry-After.",
		retryAfter: max(1, time.Duration(missing/in.source.Rate*float64(time.Second))),
	}
}

func (in *intake) verify() *problem {
	err := in.source.Verifier.Verify(signature.Request{
		Method: in.r.Method,
		URL:    in.url(),
		Header: in.r.Header,
		Body:   in.body,
	}, in.start)
	if err == nil {
		return nil
	}
	p := in.mismatch(err)
	switch {
	case errors.Is(err, signature.ErrMissing):
		p.outcome = signatureMissing
		p.detail = "The request is not signed the way this source expects: its signature, or something the signature covers, is absent."
	case errors.Is(err, signature.ErrExpired):
		p.outcome = signatureExpired
		p.detail = "The request was signed too long ago or in the future. Sign it anew, and check the clocks."
	}
	return p
}

func (in *intake) mismatch(cause error) *problem {
	return &problem{
		outcome: signatureMismatch,
		status:  in.source.RejectStatus,
		detail:  "The signature does not match. Check that the secret is the source's and that the body arrives as it was signed, byte for byte.",
		cause:   cause,
	}
}

// shakeHands returns the answer where the request is the provider's handshake.
func (in *intake) shakeHands() (provider.Reply, bool) {
	return in.source.Handshake.Answer(in.r, in.body)
}

// answerHandshake writes the provider's answer, which is not an event: nothing
// is stored. A status of 400 or more is a refusal without a text of its own.
func (in *intake) answerHandshake(reply provider.Reply) *problem {
	switch {
	case reply.Status == http.StatusUnauthorized:
		return in.mismatch(errors.New("the body could be a handshake's challenge, of which anyone gets the signature"))
	case reply.Status >= 400:
		return &problem{
			outcome: bodyUnreadable,
			status:  reply.Status,
			detail:  "The handshake carries no challenge that can be answered.",
		}
	}
	in.outcome, in.status = handshake, reply.Status
	if reply.ContentType != "" {
		in.w.Header().Set("Content-Type", reply.ContentType)
	}
	in.w.WriteHeader(reply.Status)
	_, _ = in.w.Write(reply.Body) // a caller that has gone changes nothing
	return nil
}

// name returns the events of the request.
func (in *intake) name() ([]provider.Item, *problem) {
	items, err := in.source.Extractor.Items(in.r.Header, in.body)
	if err == nil {
		return items, nil
	}
	p := &problem{outcome: eventUnnamed, cause: err}
	switch {
	case errors.Is(err, provider.ErrTooMany):
		p.outcome = bodyTooLarge
		p.detail = "The request carries more events than are taken at once. Send them in several requests."
	case errors.Is(err, provider.ErrNotCatalogued):
		p.detail = "The event's name is not in the preset's catalogue, and the signature does not cover it. The source's event list overrides where the name is read and what it may be."
	default:
		p.detail = "The signature is good, but no event name could be read. Set the source's event list to where this sender puts it."
	}
	return nil, p
}

// context returns what the bus works under: the request's span, but neither
// its cancellation nor its deadline. A caller that goes away does not stop an
// event that is being stored.
func (in *intake) context() (context.Context, context.CancelFunc) {
	ctx := context.WithoutCancel(in.r.Context())
	if in.span != nil {
		ctx = trace.ContextWithSpan(ctx, in.span)
	}
	return context.WithTimeout(ctx, in.config.Timeout)
}
