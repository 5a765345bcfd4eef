package ingest

import (
	"net/http"
	"strconv"

	"github.com/jethook/jethook/internal/event"
)

// answerContentType is shared by all answers; net/http only reads it.
var answerContentType = []string{"application/json"}

// answer says that the events are stored: {"id","duplicate"}, and for a batch
// "events" with the same of each. A batch is a duplicate when all of it was
// stored before. An id is letters, digits and an underscore, so nothing here
// needs escaping.
func (in *intake) answer(events []event.Event, receipts []event.Receipt) {
	all := len(receipts) > 0
	for i := range receipts {
		all = all && receipts[i].Duplicate
	}
	switch {
	case len(events) == 0:
		in.outcome = empty
	case all:
		in.outcome = duplicate
	default:
		in.outcome = stored
	}
	// A list of one event is longer than the event: only the whole body, taken
	// as one event, is as long as the body.
	batch := len(events) != 1 || len(events[0].Data) != len(in.body)
	in.status = http.StatusOK
	body := make([]byte, 0, 128)
	body = appendReceipt(body, in.eventID, all)
	if batch {
		body = append(body[:len(body)-1], `,"events":[`...)
		for i := range events {
			if i > 0 {
				body = append(body, ',')
			}
			body = appendReceipt(body, string(events[i].ID), receipts[i].Duplicate)
		}
		body = append(body, "]}"...)
	}
	in.w.Header()["Content-Type"] = answerContentType
	_, _ = in.w.Write(append(body, '\n')) // a caller that has gone changes nothing
}

func appendReceipt(body []byte, id string, duplicate bool) []byte {
	body = append(body, `{"id":"`...)
	body = append(body, id...)
	body = append(body, `","duplicate":`...)
	return append(strconv.AppendBool(body, duplicate), '}')
}
