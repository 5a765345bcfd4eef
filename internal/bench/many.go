package main

import (
	"context"
	"fmt"
	"strconv"
)

// manyTypes is how many events have names of their own where endpoints are many.
const manyTypes = 1000

// shares divides the events among n endpoints, so that each event goes to one.
func shares(n int, url string, waiting bool) []endpoint {
	list := make([]endpoint, n)
	for i := range list {
		list[i] = endpoint{name: "share-" + strconv.Itoa(i), url: url, waits: waiting}
	}
	for t := range manyTypes {
		of := &list[t%n]
		of.events = append(of.events, "bench."+eventRoot+strconv.Itoa(t))
	}
	return list
}

// many returns the events a second that n endpoints get in total.
func (b *bench) many(ctx context.Context, n, round int) (float64, error) {
	store := fmt.Sprintf("many-%d-%d", n, round)
	c, err := b.startJethook(ctx, store, "power", shares(n, "http://127.0.0.1:1/", true)...)
	if err != nil {
		return 0, err
	}
	defer c.kill() // its store is thrown away
	l := load{address: c.addresses["ingest"], connections: b.connections, size: b.size, types: manyTypes}
	if err := l.send(ctx, b.events); err != nil {
		return 0, err
	}
	if err := c.stop(); err != nil {
		return 0, err
	}
	return b.deliveryRate(ctx, func(url string) (*child, error) {
		return b.startDelivering(ctx, store, shares(n, url, true), shares(n, url, false))
	})
}
