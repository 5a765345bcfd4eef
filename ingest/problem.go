package ingest

import (
	"encoding/json"
	"math"
	"net/http"
	"strconv"
	"time"
)

// problemType precedes the code in a problem's type, a URI that stays the same
// for ever and leads nowhere.
const problemType = "urn:jethook:problem:"

// problem is a refusal: what the caller is told, and the cause, which only the
// log is told.
type problem struct {
	outcome    outcome
	status     int           // zero: the outcome's own
	detail     string        // one or two sentences: what to do; no secrets
	retryAfter time.Duration // zero: no Retry-After
	allow      string        // Allow of a 405
	hangUp     bool          // close the connection rather than read what still comes
	cause      error         // for the log; may be nil
}

// problemBody is a problem as RFC 9457 writes it, with the members code and
// request_id of ours.
type problemBody struct {
	Type      string `json:"type"`
	Title     string `json:"title"`
	Status    int    `json:"status"`
	Code      string `json:"code"`
	Detail    string `json:"detail"`
	RequestID string `json:"request_id"`
}

// problemContentType is shared by all answers; net/http only reads it.
var problemContentType = []string{"application/problem+json"}

func (p *problem) statusCode() int {
	if p.status != 0 {
		return p.status
	}
	return outcomeTable[p.outcome].status
}

// write answers with the problem. An error means that the caller has gone,
// which changes nothing.
func (p *problem) write(w http.ResponseWriter, requestID string) {
	header := w.Header()
	header["Content-Type"] = problemContentType
	if p.retryAfter > 0 {
		header.Set("Retry-After", retryAfterSeconds(p.retryAfter))
	}
	if p.allow != "" {
		header.Set("Allow", p.allow)
	}
	if p.hangUp {
		header.Set("Connection", "close")
	}
	body, _ := json.Marshal(problemBody{ // a struct of strings cannot fail
		Type:      problemType + p.outcome.String(),
		Title:     outcomeTable[p.outcome].title,
		Status:    p.statusCode(),
		Code:      p.outcome.String(),
		Detail:    p.detail,
		RequestID: requestID,
	})
	w.WriteHeader(p.statusCode())
	_, _ = w.Write(body)
}

// retryAfterSeconds writes a wait in whole seconds, rounded up, from 1 to a day.
func retryAfterSeconds(d time.Duration) string {
	seconds := math.Ceil(min(d, 24*time.Hour).Seconds())
	return strconv.Itoa(max(1, int(seconds)))
}
