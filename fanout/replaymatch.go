package fanout

import (
	"context"
	"slices"
	"time"

	"github.com/jethook/jethook/deliver"
	"github.com/jethook/jethook/internal/bus"
	"github.com/jethook/jethook/internal/event"
)

// Bounds of the look at the events that an expression selects among those of a
// replay.
const (
	maxMatched   = 100_000
	maxMatchTime = 10 * time.Second
	matchBatch   = 100 // bodies in memory at once
)

// Matched is what a replay's expression and the endpoint's filter let through of
// the events they were tried on, the oldest first.
type Matched struct {
	Looked  uint64 `json:"looked"`  // at so many, all or the first ones
	Passing uint64 `json:"passing"` // so many would be delivered
	Failing uint64 `json:"failing"` // on so many they cannot be evaluated, which makes those dead
}

// match tries the expression and the filter on the events of a replay.
func (d *Directory) match(ctx context.Context, r *Replay, e deliver.Endpoint) (*Matched, error) {
	wants, err := deliver.Selects(e)
	if err != nil {
		return nil, err
	}
	m, until := new(Matched), d.now().Add(maxMatchTime)
	whole, of := true, r.stored()
	of.Batch = matchBatch
	err = d.bus.Each(ctx, of, func(stored bus.Message) bool {
		if stored.Sequence > r.End {
			return false
		}
		if whole = m.Looked < maxMatched && d.now().Before(until); !whole {
			return false
		}
		m.Looked++
		found, err := event.Decode(stored.Header, stored.Data)
		if err == nil {
			var passes bool
			if passes, err = wants(found); passes {
				m.Passing++
			}
		}
		if err != nil {
			m.Failing++
		}
		return true
	})
	if whole { // also where some have been removed since they were counted
		m.Looked = r.Count
	}
	return m, err
}

// namesSystem reports whether one of the patterns asks for jethook's own events.
func namesSystem(patterns []event.Pattern) bool {
	return slices.ContainsFunc(patterns, event.Pattern.NamesSystem)
}
