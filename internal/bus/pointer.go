package bus

import (
	"encoding/json"
	"strconv"
	"strings"

	"github.com/nats-io/nats.go"

	"github.com/jethook/jethook/internal/event"
)

// HeaderSequence is the header of a pointer in RETRY that holds the sequence of
// the event it names.
const HeaderSequence = "jethook-sequence"

// WaitSubject returns the subject of the pointer that waits with a schedule for an
// event of an endpoint; there is one at most.
func WaitSubject(env event.Env, endpoint string, sequence uint64) string {
	return RetryWait + "." + string(env) + "." + endpoint + "." + strconv.FormatUint(sequence, 10)
}

// WaitSubjects selects the pointers of an endpoint that wait with a schedule.
func WaitSubjects(env event.Env, endpoint string) string {
	return RetryWait + "." + string(env) + "." + endpoint + ".*"
}

// advisories begin the subjects of what the server tells about consumers.
const advisories = "$JS.EVENT.ADVISORY.CONSUMER."

// pointed is an event that a message of RETRY, DEAD or EXHAUSTED names.
type pointed struct {
	env      event.Env
	endpoint string
	sequence uint64
}

// pointedBy reads which event a message of RETRY or DEAD names: a pointer says so
// in its header, a dead event in its body.
func pointedBy(subject string, header nats.Header, data []byte) (pointed, bool) {
	var p pointed
	var err error
	place := func(root string) bool {
		rest, ok := strings.CutPrefix(subject, root+".")
		tokens := strings.Split(rest, ".")
		if !ok || len(tokens) < 2 {
			return false
		}
		p.env, p.endpoint = event.Env(tokens[0]), tokens[1]
		return true
	}
	if strings.HasPrefix(subject, advisories) {
		return exhaustedBy(data)
	}
	switch {
	case place(RetryWait), place(RetryDue):
		p.sequence, err = strconv.ParseUint(header.Get(HeaderSequence), 10, 64)
		return p, err == nil
	case place(DeadRoot):
		p.sequence, err = DeadSequence(data)
		return p, err == nil
	default:
		return p, false
	}
}

// exhaustedBy reads an advisory about an event of a subscriber.
func exhaustedBy(data []byte) (pointed, bool) {
	var told struct {
		Stream   string `json:"stream"`
		Consumer string `json:"consumer"`
		Sequence uint64 `json:"stream_seq"`
	}
	if err := json.Unmarshal(data, &told); err != nil {
		return pointed{}, false
	}
	env, ok := EnvOf(told.Stream)
	return pointed{env, told.Consumer, told.Sequence}, ok
}

// DeadSequence reads the sequence of the event that the body of a message in
// DEAD names.
func DeadSequence(body []byte) (uint64, error) {
	var dead struct {
		Sequence uint64 `json:"sequence"`
	}
	err := json.Unmarshal(body, &dead)
	return dead.Sequence, err
}
