package main

import (
	"context"
	"fmt"
	"strconv"
)

// backlogRounds bounds how often a long backlog is drained, which takes a minute.
const backlogRounds = 3

// backlog returns events a second of one endpoint that drains a short and a long
// backlog, by row and round.
func (b *bench) backlog(ctx context.Context) (deliveries, error) {
	d := deliveries{map[string][]float64{}, map[string][]float64{}}
	ways := []struct {
		row, store string
		events     int
	}{{rowShort, "short", b.events}, {rowLong, "long", b.long}}
	for _, way := range ways {
		fmt.Fprintf(b.progress, "storing %d events\n", way.events)
		if err := b.fillJethook(ctx, way.store, way.events, manyTypes); err != nil {
			return d, err
		}
	}
	for round := range min(b.rounds, backlogRounds) {
		fmt.Fprintf(b.progress, "draining, round %d of %d\n", round+1, min(b.rounds, backlogRounds))
		for i := range ways {
			way := ways[(i+round)%len(ways)]
			rate, took, err := b.deliveryRate(ctx, way.events, func(urls []string) (*child, error) {
				return b.startDelivering(ctx, way.store, []endpoint{{name: "round-" + strconv.Itoa(round+1), url: urls[0]}})
			})
			if err != nil {
				return d, fmt.Errorf("%s: %w", way.row, err)
			}
			d.rates[way.row], d.times[way.row] = append(d.rates[way.row], rate), append(d.times[way.row], took)
		}
	}
	return d, nil
}
