package ingest

import "net/http"

// outcome is how a request ended: the closed list behind the answer's status
// and code, the metrics' label and the log line.
type outcome int

const (
	aborted outcome = iota // a panic passed through: nothing was answered
	stored
	duplicate
	empty
	handshake
	unknownSource
	methodNotAllowed
	addressRefused
	rateLimited
	bodyTooLarge
	bodyUnreadable
	signatureMissing
	signatureMismatch
	signatureExpired
	eventUnnamed
	notStored
	outcomes // how many there are
)

// outcomeTable says of each outcome what the caller sees. The codes of
// refusals are part of the contract; body_unreadable is the one it leaves out:
// a body that broke off, was malformed, or came too slowly.
var outcomeTable = [outcomes]struct {
	code   string
	status int
	title  string
}{
	aborted:           {"aborted", http.StatusInternalServerError, ""},
	stored:            {"stored", http.StatusOK, ""},
	duplicate:         {"duplicate", http.StatusOK, ""},
	empty:             {"empty", http.StatusOK, ""},
	handshake:         {"handshake", http.StatusOK, ""},
	unknownSource:     {"unknown_source", http.StatusNotFound, "No such source"},
	methodNotAllowed:  {"method_not_allowed", http.StatusMethodNotAllowed, "Method not allowed"},
	addressRefused:    {"address_refused", http.StatusForbidden, "Address refused"},
	rateLimited:       {"rate_limited", http.StatusTooManyRequests, "Too many requests"},
	bodyTooLarge:      {"body_too_large", http.StatusRequestEntityTooLarge, "Body too large"},
	bodyUnreadable:    {"body_unreadable", http.StatusBadRequest, "Body not readable"},
	signatureMissing:  {"signature_missing", http.StatusUnauthorized, "Signature missing"},
	signatureMismatch: {"signature_mismatch", http.StatusUnauthorized, "Signature does not match"},
	signatureExpired:  {"signature_expired", http.StatusUnauthorized, "Signature outside its time"},
	eventUnnamed:      {"event_unnamed", http.StatusUnprocessableEntity, "Event has no name"},
	notStored:         {"not_stored", http.StatusServiceUnavailable, "Event not stored"},
}

// String returns the outcome's code.
func (o outcome) String() string { return outcomeTable[o].code }
