package deliver

import (
	"encoding/json"
	"math"
	"strconv"
	"time"
)

// appendJSON writes the record as encoding/json does, which takes five times as
// long and is left what is rare.
func (a *Attempt) appendJSON(b []byte) ([]byte, error) {
	var err error
	b = appendText(append(b, `{"event_id":`...), string(a.EventID))
	b = appendText(append(b, `,"event_type":`...), a.EventType)
	b = appendText(append(b, `,"env":`...), string(a.Env))
	b = appendText(append(b, `,"endpoint":`...), a.Endpoint)
	if a.Sequence != 0 {
		b = strconv.AppendUint(append(b, `,"sequence":`...), a.Sequence, 10)
	}
	b = strconv.AppendInt(append(b, `,"attempt":`...), int64(a.Number), 10)
	if b, err = appendTime(append(b, `,"at":`...), a.At); err != nil {
		return nil, err
	}
	if b, err = appendNumber(append(b, `,"duration_ms":`...), a.DurationMS); err != nil {
		return nil, err
	}
	if a.Status != 0 {
		b = strconv.AppendInt(append(b, `,"status":`...), int64(a.Status), 10)
	}
	b = appendText(append(b, `,"outcome":`...), string(a.Outcome))
	if a.Error != "" {
		b = appendText(append(b, `,"error":`...), a.Error)
	}
	if a.Reason != "" {
		b = appendText(append(b, `,"reason":`...), a.Reason)
	}
	if !a.NextAt.IsZero() {
		if b, err = appendTime(append(b, `,"next_at":`...), a.NextAt); err != nil {
			return nil, err
		}
	}
	if a.Response != "" {
		b = appendText(append(b, `,"response":`...), a.Response)
	}
	return append(b, '}'), nil
}

func appendText(b []byte, text string) []byte {
	for _, c := range []byte(text) {
		if c < ' ' || c > '~' || c == '"' || c == '\\' || c == '<' || c == '>' || c == '&' {
			escaped, _ := json.Marshal(text) // of a text there is no error
			return append(b, escaped...)
		}
	}
	return append(append(append(b, '"'), text...), '"')
}

func appendTime(b []byte, at time.Time) ([]byte, error) {
	b, err := at.AppendText(append(b, '"'))
	return append(b, '"'), err
}

func appendNumber(b []byte, number float64) ([]byte, error) {
	if size := math.Abs(number); size == 0 || size >= 1e-6 && size < 1e21 {
		return strconv.AppendFloat(b, number, 'f', -1, 64), nil
	}
	written, err := json.Marshal(number)
	return append(b, written...), err
}
