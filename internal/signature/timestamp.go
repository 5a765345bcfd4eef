package signature

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"
)

// Timestamp is where the time of signing is found, and how far it may be from
// the time of verifying. The zero value means that the sender signs no time.
// At most one of Header, Field and JSON is set, and what it names must be part
// of the signed string.
type Timestamp struct {
	Header string `json:"header,omitempty"`
	// Field is the tag that carries the time inside the list that carries the
	// signatures: Stripe's "t".
	Field string `json:"field,omitempty"`
	// JSON is the path of a string or number in the body.
	JSON string `json:"json,omitempty"`
	// Unit is how the time is written; empty is auto.
	Unit Unit `json:"unit,omitempty"`
	// Writes is how it is written by who signs, where Unit is auto; empty is
	// seconds.
	Writes Unit `json:"writes,omitempty"`
	// Tolerance is the largest distance allowed, before and after. Zero means
	// that the time is not checked. In JSON it is a Go duration such as "5m";
	// "0s" is zero, and leaving it out beside a source means 5 minutes.
	Tolerance time.Duration `json:"tolerance"`
}

// Unit is how a time is written.
type Unit string

// The units. Auto takes a number below 10^12 for seconds, any other for
// milliseconds: the seconds reach the year 33 658, the milliseconds begin in 2001.
const (
	Auto         Unit = "auto"
	Seconds      Unit = "s"
	Milliseconds Unit = "ms"
	RFC3339      Unit = "rfc3339"
)

// defaultTolerance is what Stripe, Standard Webhooks, Clink and Slack advise.
const defaultTolerance = 5 * time.Minute

// timestampJSON is the JSON form of Timestamp.
type timestampJSON struct {
	Header    string  `json:"header,omitempty"`
	Field     string  `json:"field,omitempty"`
	JSON      string  `json:"json,omitempty"`
	Unit      Unit    `json:"unit,omitempty"`
	Writes    Unit    `json:"writes,omitempty"`
	Tolerance *string `json:"tolerance,omitempty"`
}

// UnmarshalJSON reads the form the configuration has; an unknown name is an
// error, whatever the decoder around it allows.
func (t *Timestamp) UnmarshalJSON(text []byte) error {
	var w timestampJSON
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(&w); err != nil {
		return fmt.Errorf("timestamp: %w", err)
	}
	*t = Timestamp{Header: w.Header, Field: w.Field, JSON: w.JSON, Unit: w.Unit, Writes: w.Writes}
	if w.Tolerance == nil {
		if t.present() {
			t.Tolerance = defaultTolerance
		}
		return nil
	}
	var err error
	if t.Tolerance, err = time.ParseDuration(*w.Tolerance); err != nil {
		return fmt.Errorf("timestamp tolerance: %w", err)
	}
	return nil
}

// MarshalJSON writes what UnmarshalJSON reads.
func (t Timestamp) MarshalJSON() ([]byte, error) {
	tolerance := t.Tolerance.String()
	return json.Marshal(timestampJSON{t.Header, t.Field, t.JSON, t.Unit, t.Writes, &tolerance})
}

// present says that the sender signs a time.
func (t Timestamp) present() bool { return t.Header != "" || t.Field != "" || t.JSON != "" }

// lastSecond is the end of the year 9999, the last that RFC 3339 can write.
const lastSecond = 253402300799

// validate checks t beside the location it may be a field of.
func (t Timestamp) validate(l Location) error {
	switch t.Unit {
	case "", Auto, Seconds, Milliseconds, RFC3339:
	default:
		return notAllowed("unit", t.Unit, []Unit{Auto, Seconds, Milliseconds, RFC3339})
	}
	switch t.Writes {
	case "", Seconds, Milliseconds:
	default:
		return notAllowed("writes", t.Writes, []Unit{Seconds, Milliseconds})
	}
	sources := 0
	for _, text := range []string{t.Header, t.Field, t.JSON} {
		if text != "" {
			sources++
		}
	}
	switch {
	case sources == 0 && t != Timestamp{}:
		return errors.New("needs one of header, field and json")
	case sources > 1:
		return errors.New("needs only one of header, field and json")
	case t.Tolerance < 0:
		return fmt.Errorf("tolerance %s is negative", t.Tolerance)
	case t.Field != "" && (l.KeyValue == "" || l.HeadersNumbered != ""):
		return errors.New("field needs one list of signatures, with separator and key_value")
	case t.Field != "" && t.Field == l.Tag:
		return fmt.Errorf("field and tag are both %q", t.Field)
	}
	return nil
}

// parse reads a time of the unit. Numbers are digits and nothing else: no sign,
// fraction, exponent or space, and none after the year 9999.
func (u Unit) parse(text string) (time.Time, bool) {
	if u == RFC3339 {
		t, err := time.Parse(time.RFC3339, text)
		return t, err == nil
	}
	for _, c := range []byte(text) {
		if c < '0' || c > '9' {
			return time.Time{}, false
		}
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return time.Time{}, false
	}
	if u == Seconds || u != Milliseconds && n < 1e12 {
		return time.Unix(n, 0), n <= lastSecond
	}
	return time.UnixMilli(n), n <= lastSecond*1000+999
}

// Written is the unit in which who signs writes the time: never auto, of which it
// is seconds unless Writes says otherwise.
func (t Timestamp) Written() Unit {
	switch {
	case t.Unit != "" && t.Unit != Auto:
		return t.Unit
	case t.Writes != "":
		return t.Writes
	}
	return Seconds
}

// format writes t in a unit that Written returns.
func (u Unit) format(t time.Time) string {
	switch u {
	case RFC3339:
		return t.UTC().Format(time.RFC3339)
	case Seconds:
		return strconv.FormatInt(t.Unix(), 10)
	default:
		return strconv.FormatInt(t.UnixMilli(), 10)
	}
}

// tolerates says that signed is near enough to now, or that it does not matter.
func (t Timestamp) tolerates(signed, now time.Time) bool {
	return t.Tolerance == 0 || signed.Sub(now).Abs() <= t.Tolerance
}
