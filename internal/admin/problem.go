package admin

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"net/http"
	"strconv"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/jethook/jethook/api"
	"github.com/jethook/jethook/internal/bus"
	"github.com/jethook/jethook/internal/event"
	"github.com/jethook/jethook/internal/managed"
	"github.com/jethook/jethook/internal/vault"
)

// code is what went wrong, for programs; titles has them all.
type code string

const (
	badRequest       code = "bad_request"
	keyMissing       code = "key_missing"
	keyUnknown       code = "key_unknown"
	keyExpired       code = "key_expired"
	keyReadOnly      code = "key_read_only"
	addressRefused   code = "address_refused"
	lastKey          code = "last_key"
	timestampExpired code = "timestamp_expired"
	notFound         code = "not_found"
	methodNotAllowed code = "method_not_allowed"
	eventGone        code = "event_gone"
	notEnabled       code = "endpoint_not_enabled"
	nameTaken        code = "name_taken"
	managedByFile    code = "managed_by_file"
	tooMany          code = "too_many"
	changed          code = "changed"
	notAgreed        code = "count_differs"
	outdated         code = "outdated"
	keysetMissing    code = "keyset_missing"
	providerFailed   code = "provider_failed"
	providerSilent   code = "provider_unreachable"
	keyReused        code = "idempotency_key_reused"
	underWay         code = "request_under_way"
	bodyTooLarge     code = "body_too_large"
	bodyTooSlow      code = "body_too_slow"
	notJSON          code = "unsupported_media_type"
	invalid          code = "invalid"
	tooManyFailures  code = "too_many_failures"
	tooManyWaiting   code = "too_many_waiting"
	otherKind        code = "endpoint_of_other_kind"
	replayOver       code = "replay_over"
	internal         code = "internal"
	unavailable      code = "bus_unavailable"
)

var titles = map[code]struct {
	status int
	title  string
}{
	badRequest:       {http.StatusBadRequest, "Request not readable"},
	keyMissing:       {http.StatusUnauthorized, "Key missing"},
	keyUnknown:       {http.StatusUnauthorized, "Key unknown"},
	keyExpired:       {http.StatusUnauthorized, "Key expired"},
	keyReadOnly:      {http.StatusForbidden, "Key for reading alone"},
	addressRefused:   {http.StatusForbidden, "Address not allowed"},
	lastKey:          {http.StatusConflict, "Last key"},
	timestampExpired: {http.StatusUnauthorized, "Request outside its time"},
	notFound:         {http.StatusNotFound, "Not found"},
	methodNotAllowed: {http.StatusMethodNotAllowed, "Method not allowed"},
	eventGone:        {http.StatusConflict, "Event not stored any more"},
	notEnabled:       {http.StatusConflict, "Endpoint not enabled"},
	nameTaken:        {http.StatusConflict, "Name taken"},
	managedByFile:    {http.StatusConflict, "Managed by the configuration file"},
	tooMany:          {http.StatusConflict, "Too many"},
	changed:          {http.StatusConflict, "Changed meanwhile"},
	notAgreed:        {http.StatusConflict, "Not what was agreed"},
	outdated:         {http.StatusPreconditionFailed, "Changed since it was read"},
	keysetMissing:    {http.StatusConflict, "No keyset"},
	providerFailed:   {http.StatusBadGateway, "Provider refused"},
	providerSilent:   {http.StatusGatewayTimeout, "Provider not reached"},
	keyReused:        {http.StatusConflict, "Idempotency-Key reused"},
	underWay:         {http.StatusConflict, "Request under way"},
	bodyTooLarge:     {http.StatusRequestEntityTooLarge, "Body too large"},
	bodyTooSlow:      {http.StatusRequestTimeout, "Body too slow"},
	notJSON:          {http.StatusUnsupportedMediaType, "Content type not supported"},
	invalid:          {http.StatusUnprocessableEntity, "Request not valid"},
	tooManyFailures:  {http.StatusTooManyRequests, "Too many failed attempts"},
	tooManyWaiting:   {http.StatusTooManyRequests, "Too many requests wait"},
	otherKind:        {http.StatusConflict, "Endpoint of the other kind"},
	replayOver:       {http.StatusConflict, "Replay over"},
	internal:         {http.StatusInternalServerError, "Internal error"},
	unavailable:      {http.StatusServiceUnavailable, "Bus not available"},
}

// problem is a refusal: what the caller is told, and the cause, which only the
// log is told.
type problem struct {
	code       code
	detail     string // one or two sentences: what to do; no secrets
	fields     []api.FieldError
	retryAfter time.Duration // zero: no Retry-After
	cause      error         // may be nil
}

func refuse(c code, detail string) *problem { return &problem{code: c, detail: detail} }

// misplaced is the refusal of one field of a request.
func misplaced(field, message string) *problem {
	return &problem{code: invalid, detail: "The request is not valid; see errors.", fields: []api.FieldError{{Field: field, Message: message}}}
}

// problemOf turns any error into what the caller is told.
func problemOf(err error) *problem {
	var told *problem
	var wrong *managed.Invalid
	switch {
	case errors.As(err, &told):
		return told
	case errors.As(err, &wrong):
		p := refuse(invalid, "The request is not valid; see errors.")
		for _, f := range wrong.Fields {
			p.fields = append(p.fields, api.FieldError{Field: f.Name, Message: f.Message})
		}
		return p
	case errors.Is(err, managed.ErrTaken):
		return refuse(nameTaken, "Another one has that name: endpoints and subscribers share one set of names in each environment, sources one over both.")
	case errors.Is(err, managed.ErrFile):
		return refuse(managedByFile, "It is an entry of the configuration file. Change it there.")
	case errors.Is(err, managed.ErrChanged):
		return refuse(changed, "Somebody else keeps changing it. Read it, and try again.")
	case errors.Is(err, managed.ErrMany):
		return refuse(tooMany, "There are as many entries as one bridge keeps. Delete some, or put them into the file.")
	case errors.Is(err, vault.ErrKeyset):
		return &problem{code: keysetMissing, detail: "What is secret cannot be encrypted or decrypted: encryption.keyset is not set, or is not the one that was used. The log says what to do.", cause: err}
	case errors.Is(err, bus.ErrNotFound):
		return &problem{code: notFound, detail: "There is no such thing in this environment, or not any more.", cause: err}
	case errors.Is(err, event.ErrUnavailable), errors.Is(err, event.ErrFull), errors.Is(err, context.DeadlineExceeded), bus.Unavailable(err):
		return &problem{code: unavailable, detail: "The bus does not answer in time, or has no room. Try again; /readyz says what is wrong.", retryAfter: time.Second, cause: err}
	}
	return &problem{code: internal, detail: "Something went wrong; the log has it under this request_id.", cause: err}
}

// body is the problem as it is written.
func (p *problem) body(requestID string) *api.Problem {
	of := titles[p.code]
	return &api.Problem{Type: api.ProblemType + string(p.code), Title: of.title, Status: of.status, Code: string(p.code),
		Detail: p.detail, RequestID: requestID, Errors: p.fields}
}

// write answers with the problem where no operation does.
func (p *problem) write(w http.ResponseWriter, requestID string) {
	for name, values := range p.GetHeaders() {
		w.Header()[name] = values
	}
	w.Header().Set("Content-Type", problemContentType)
	w.WriteHeader(p.GetStatus())
	_ = json.NewEncoder(w).Encode(p.body(requestID)) // a caller that has gone changes nothing
}

const problemContentType = "application/problem+json"

// Error, GetStatus, GetHeaders and ContentType are what the framework asks of an
// error that is an answer.
func (p *problem) Error() string { return p.detail }

func (p *problem) GetStatus() int { return titles[p.code].status }

func (p *problem) GetHeaders() http.Header {
	header := http.Header{}
	if p.retryAfter > 0 {
		header.Set("Retry-After", strconv.Itoa(max(1, int(math.Ceil(p.retryAfter.Seconds())))))
	}
	if p.GetStatus() == http.StatusUnauthorized {
		header.Set("WWW-Authenticate", "Bearer")
	}
	return header
}

func (p *problem) ContentType(string) string { return problemContentType }

// frameworkProblem turns an error that the framework has found into one of ours.
// The values that it would repeat are left out.
func frameworkProblem(found *huma.ErrorModel) *problem {
	p := &problem{code: invalid, detail: "The request is not valid; see errors."}
	switch found.Status {
	case http.StatusUnprocessableEntity:
	case http.StatusRequestEntityTooLarge:
		p = refuse(bodyTooLarge, "The body is larger than 64 KiB, or that of a plan than 4 MiB.")
	case http.StatusRequestTimeout:
		p = refuse(bodyTooSlow, "The body did not arrive in time.")
	case http.StatusUnsupportedMediaType:
		return refuse(notJSON, "The body is to be JSON, and the header Content-Type to say so: application/json.")
	case http.StatusInternalServerError:
		p = refuse(internal, "Something went wrong; the log has it under this request_id.")
	default:
		p = refuse(badRequest, "The body could not be read as JSON.")
	}
	for _, detail := range found.Errors {
		if detail != nil {
			p.fields = append(p.fields, api.FieldError{Field: detail.Location, Message: detail.Message})
		}
	}
	return p
}
