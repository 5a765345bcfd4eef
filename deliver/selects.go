package deliver

import "github.com/jethook/jethook/internal/event"

// Selects returns what tells whether an endpoint wants an event that its patterns
// select: by its Filter, and by whether it gets jethook's own events. Where that
// cannot be told by the event's body the function returns an error, and a delivery
// makes the event dead. The function is safe for concurrent use.
func Selects(e Endpoint) (func(*event.Event) (bool, error), error) {
	f, err := newFilter(e.Filter)
	if err != nil {
		return nil, err
	}
	return func(of *event.Event) (bool, error) {
		if of.Source == event.System && !e.SystemEvents {
			return false, nil
		}
		return f.match(of.Data)
	}, nil
}
