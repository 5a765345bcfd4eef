package fanout

import (
	"context"
	"fmt"
	"time"

	"github.com/jethook/jethook/deliver"
)

const (
	failingType   = "jethook.endpoint.failing"
	recoveredType = "jethook.endpoint.recovered"
)

// probesBefore is how many probes an endpoint has at least, while it fails,
// until it is disabled.
const probesBefore = 20

// warnings are the percents of that time at which something follows: a warning,
// and at the last the disabling.
var warnings = [...]int{50, 75, 90, 100}

// warning is what is to be told of an endpoint that has failed for so long: the
// last step that was reached, in percent of the time after which it is disabled.
func warning(passed, after time.Duration) int {
	reached := 0
	for _, step := range warnings {
		if after > 0 && passed >= after/100*time.Duration(step) {
			reached = step
		}
	}
	return reached
}

// failing notes that a replica's breaker has opened or a probe of it has failed,
// and tells of it once over all replicas, again as the disabling comes nearer,
// and disables the endpoint in the end; not before somebody was warned.
func (r *Registry) failing(ctx context.Context, e *deliver.Endpoint, f deliver.Failing) error {
	bucket, err := openStates(ctx, r.config.Bus.JetStream())
	if err != nil {
		return err
	}
	at := ref{e.Env, e.Name}
	found, err := fail(ctx, bucket, at.key(), failing{Since: r.begun(at, f.Since).UTC(), Reason: f.Reason, Fingerprint: fingerprint(e.URL)})
	if err != nil {
		return fmt.Errorf("note that endpoint %s fails: %w", at, err)
	}
	if found.fails(e.URL) && !r.wants(e) {
		_, err = enable(ctx, bucket, at.key(), found) // a reload gave it another URL or none meanwhile
		return err
	}
	r.note(at, found)
	if !found.fails(e.URL) {
		return nil // it is disabled
	}
	percent := warning(r.now().Sub(found.Failing.Since), r.config.DisableAfter)
	if percent == 100 && found.Failing.Told > 0 {
		return r.gone(ctx, e, fmt.Sprintf("nothing but failures since %s; at last %s", found.Failing.Since.Format(time.RFC3339), f.Reason), found.Failing.Since)
	}
	percent = min(percent, 90)
	if percent <= found.Failing.Told {
		return nil
	}
	// In this order: what a crash leaves untold is told by whoever probes next.
	fails := notice{
		kind: failingType, at: r.now(), id: fmt.Sprintf("failing %s %d", found.Failing.Since.Format(time.RFC3339Nano), percent),
		data: noticeData{Since: found.Failing.Since, Reason: f.Reason, Percent: &percent},
	}
	if err := fails.publish(ctx, r.config.Bus, at); err != nil {
		return err
	}
	found, err = change(ctx, bucket, at.key(), func(have state) state {
		if have.Failing == nil || !have.Failing.Since.Equal(found.Failing.Since) || have.Failing.Told >= percent {
			return have // it has recovered, or somebody else was faster
		}
		next := *have.Failing
		next.Told = percent
		have.Failing = &next
		return have
	})
	if err != nil {
		return fmt.Errorf("note what was told of endpoint %s: %w", at, err)
	}
	r.note(at, found)
	return nil
}

// begun is when an outage began whose first failure a worker had at that time:
// not before the end of the one before it, which another replica has seen. Where
// this process knows of one that goes on, that stands, or has ended meanwhile.
func (r *Registry) begun(of ref, first time.Time) time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	known := r.records[of]
	switch {
	case known.Failing != nil:
		return r.now()
	case first.Before(known.recovered):
		return known.recovered
	}
	return first
}

// recovered ends that the endpoint fails, and tells of it once over all
// replicas. It also ends that it is disabled for its failures, for the attempt
// that succeeded began before that.
func (r *Registry) recovered(ctx context.Context, e *deliver.Endpoint) error {
	bucket, err := openStates(ctx, r.config.Bus.JetStream())
	if err != nil {
		return err
	}
	at, url := ref{e.Env, e.Name}, fingerprint(e.URL)
	found, err := change(ctx, bucket, at.key(), func(have state) state { return have })
	if err != nil {
		return fmt.Errorf("read the state of endpoint %s: %w", at, err)
	}
	since := found.outage(url)
	if since.IsZero() {
		r.note(at, found)
		return nil
	}
	if err := recovery(since, r.now()).publish(ctx, r.config.Bus, at); err != nil {
		return err
	}
	found, err = change(ctx, bucket, at.key(), func(have state) state {
		if !have.outage(url).Equal(since) {
			return have
		}
		have.Failing, have.Disabled = nil, nil
		return have
	})
	if err != nil {
		return fmt.Errorf("note that endpoint %s has recovered: %w", at, err)
	}
	r.note(at, found)
	return nil
}

// failsLocked reports whether replicas say that the endpoint fails.
func (r *Registry) failsLocked(e *deliver.Endpoint) bool {
	return r.records[ref{e.Env, e.Name}].fails(e.URL)
}

// probeWait is the longest time between probes.
func (c *Config) probeWait() time.Duration {
	if c.DisableAfter == 0 {
		return 0
	}
	return min(deliver.DefaultMaxProbeWait, max(c.DisableAfter/probesBefore, time.Millisecond))
}
