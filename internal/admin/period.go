package admin

import (
	"time"
)

// Period bounds a list by time.
type Period struct {
	Since string `query:"since" maxLength:"40" doc:"From this time on: RFC 3339, or how long ago, such as 2h." example:"2h"`
	Until string `query:"until" maxLength:"40" doc:"Before this time: RFC 3339, or how long ago, such as 30m."`
}

func (p Period) bounds(now time.Time, place string) (since, until time.Time, err error) {
	if since, err = moment(p.Since, now, place+".since"); err != nil {
		return since, until, err
	}
	if until, err = moment(p.Until, now, place+".until"); err != nil {
		return since, until, err
	}
	if !until.IsZero() && until.Before(since) {
		err = misplaced(place+".until", "is before since")
	}
	return since, until, err
}

// moment reads a time, or how long ago it was. Empty is the zero time.
func moment(text string, now time.Time, field string) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	if ago, err := time.ParseDuration(text); err == nil {
		return now.Add(-ago), nil
	}
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return at, misplaced(field, "is neither a time such as 2026-01-31T09:00:00Z nor how long ago, such as 2h")
	}
	return at, nil
}
