package fanout

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// maxOldestLooks bounds how many of an endpoint's patterns are looked for. With
// more, nothing is said of its oldest event.
const maxOldestLooks = 16

// oldest is the time at which the oldest event was stored that waits for a
// consumer; zero where none does, or too many patterns select them.
func oldest(ctx context.Context, stream jetstream.Stream, info *jetstream.ConsumerInfo) (time.Time, error) {
	filters := info.Config.FilterSubjects
	if info.Config.FilterSubject != "" {
		filters = []string{info.Config.FilterSubject}
	}
	if waits(info) == 0 || len(filters) > maxOldestLooks {
		return time.Time{}, nil
	}
	var first *jetstream.RawStreamMsg
	for _, filter := range filters {
		found, err := stream.GetMsg(ctx, info.AckFloor.Stream+1, jetstream.WithGetMsgSubject(filter))
		if errors.Is(err, jetstream.ErrMsgNotFound) {
			continue
		}
		if err != nil {
			return time.Time{}, fmt.Errorf("look for the oldest event of consumer %s: %w", info.Name, err)
		}
		if first == nil || found.Sequence < first.Sequence {
			first = found
		}
	}
	if first == nil {
		return time.Time{}, nil
	}
	return first.Time, nil
}
