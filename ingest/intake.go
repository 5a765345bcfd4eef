package ingest

import (
	"net/http"
	"net/netip"
	"strings"
	"time"

	"go.opentelemetry.io/otel/trace"

	"github.com/jethook/jethook/internal/caller"
	"github.com/jethook/jethook/internal/provider"
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
	if len(in.source.AllowIPs) == 0 || caller.Within(in.source.AllowIPs, in.address) {
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
