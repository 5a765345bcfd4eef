package main

import (
	"context"
	"time"
)

// killRows kill the process at any moment of what it does.
func killRows() []row {
	return []row{
		{name: "kill -9 while receiving", strike: killBridge},
		{name: "kill -9 while delivering", strike: killBridge, prepare: func(_ context.Context, t *trial) error {
			t.receiver.delay.Store(int64(200 * time.Millisecond)) // events wait: they come faster
			return nil
		}},
		{name: "kill -9 while retrying", share: 0.4, strike: killBridge, prepare: func(_ context.Context, t *trial) error {
			t.receiver.refusals.Store(2)
			return nil
		}},
		{name: "kill -9 while reloading", strike: killReloading},
		{name: "kill -9 while starting and stopping", strike: killStartingAndStopping, prepare: func(_ context.Context, t *trial) error {
			t.receiver.delay.Store(int64(50 * time.Millisecond)) // there is something to finish
			return nil
		}},
	}
}

func killBridge(ctx context.Context, t *trial) error {
	t.bridges[0].kill()
	return t.bridges[0].start(ctx)
}

// killReloading changes endpoints again and again before it kills.
func killReloading(ctx context.Context, t *trial) error {
	killed := time.Now().Add(t.within(2 * time.Second))
	for time.Now().Before(killed) {
		if err := t.configure(t.variant()...); err != nil {
			return err
		}
		t.bridges[0].reload()
		if err := pause(ctx, t.within(50*time.Millisecond)); err != nil {
			return err
		}
	}
	return killBridge(ctx, t)
}

// variant is endpoints that change: billing gets every event, always by other
// words, and the others come, go, and want now this and now that.
func (t *trial) variant() []options {
	all := []options{
		{},
		{"events": []string{sourceName + ".>"}},
		{"events": []string{sourceName + ".order.*", sourceName + ".invoice.*"}},
		{"filter": "n >= 0"},
		{"rate": "10000/s"},
	}
	entries := []options{t.entry("billing", all[t.random.IntN(len(all))])}
	for _, name := range []string{"one", "two"} {
		if t.random.IntN(3) > 0 {
			events := sourceName + "." + eventTypes[t.random.IntN(len(eventTypes))]
			entries = append(entries, t.entry(name, options{"url": t.receiver.url + "/passing", "events": []string{events}}))
		}
	}
	return entries
}

// killStartingAndStopping kills a bridge that ends, then one that begins.
func killStartingAndStopping(ctx context.Context, t *trial) error {
	b := t.bridges[0]
	b.end()
	if err := pause(ctx, t.within(killWithin)); err != nil {
		return err
	}
	b.kill()
	if err := b.run(); err != nil {
		return err
	}
	if err := pause(ctx, t.within(killWithin)); err != nil {
		return err
	}
	b.kill()
	return b.start(ctx)
}

// killWithin of the beginning or the end of a process.
const killWithin = 300 * time.Millisecond
