package fanout

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"time"

	"github.com/jethook/jethook/deliver"
	"github.com/jethook/jethook/internal/bus"
	"github.com/jethook/jethook/internal/event"
	"github.com/jethook/jethook/internal/signature"
)

// Target is an address that a replay delivers to in place of an endpoint. It is
// signed for as Standard Webhooks.
type Target struct {
	URL    string `json:"url"` // whose address is allowed
	Secret string `json:"secret"`
}

// ErrTargetURL and ErrTargetSecret mean that a target's URL or secret is none.
var (
	ErrTargetURL    = errors.New("the url cannot be delivered to")
	ErrTargetSecret = errors.New("the secret is none of Standard Webhooks")
)

// targetRetry is how an event is tried again at a target: after one, three and nine
// seconds, more or less.
func targetRetry() deliver.Retry {
	return deliver.Retry{Attempts: 4, Initial: time.Second, Multiplier: 3, MaxInterval: time.Minute, Jitter: 0.2}
}

// targetPatience is how long a target may take nothing before the replay is given
// up.
const targetPatience = 10 * time.Minute

// endpoint is what a target is to a worker, by the name of the replay's consumer.
func (t Target) endpoint(r *Replay) (e deliver.Endpoint, err error) {
	e = deliver.Endpoint{Name: r.consumer(), Env: r.Env, URL: t.URL, Signature: deliver.StyleStandard, Rate: r.PerSecond,
		Retry: targetRetry(), SystemEvents: namesSystem(r.Events)}
	scheme := signature.StandardWebhooks()
	key, err := signature.ParseSigningKey(scheme.Algorithm, scheme.KeyEncoding, t.Secret)
	if err != nil {
		return e, fmt.Errorf("%w: %w", ErrTargetSecret, err)
	}
	e.Keys = []signature.Key{key}
	if err := e.Validate(); err != nil {
		return e, fmt.Errorf("%w: %w", ErrTargetURL, err)
	}
	return e, nil
}

// sealed names the place that a target is encrypted for.
func (r *Replay) sealed() string { return "replay/" + r.key() + "/target" }

// seal checks a target and, unless that is all, keeps it in the record, encrypted,
// with a secret of its own where it has none.
func (d *Directory) seal(ctx context.Context, r *Replay, t Target, dry bool) (e deliver.Endpoint, err error) {
	if t.Secret == "" {
		if t.Secret, err = signature.GenerateSecret(signature.StandardWebhooks().Algorithm); err != nil {
			return e, err
		}
		if !dry {
			r.Secret = t.Secret
		}
	}
	if e, err = t.endpoint(r); err != nil || dry {
		return e, err
	}
	text, err := json.Marshal(t)
	if err != nil {
		return e, err
	}
	if u, err := url.Parse(t.URL); err == nil {
		r.To = u.Scheme + "://" + u.Host // the rest may be secret
	}
	r.Target, err = d.keys.vault.Encrypt(ctx, text, r.sealed())
	return e, err
}

// reasonRemoved is that of a replay whose endpoint is not there any more.
const reasonRemoved = "the endpoint was removed"

// errReplaced means that another endpoint has the name by now.
var errReplaced = errors.New(reasonRemoved)

// endpointOf returns the endpoint that a replay delivers to, and false where it is
// not listed. Where a later one of the name is, that is errReplaced.
func (r *Registry) endpointOf(one *Replay) (deliver.Endpoint, bool, error) {
	if len(one.Target) > 0 {
		text, err := r.config.Vault.Decrypt(one.Target, one.sealed())
		if err != nil {
			return deliver.Endpoint{}, true, fmt.Errorf("target of replay %s: %w", one.ID, err)
		}
		var t Target
		if err := json.Unmarshal(text, &t); err != nil {
			return deliver.Endpoint{}, true, fmt.Errorf("target of replay %s: %w", one.ID, err)
		}
		e, err := t.endpoint(one)
		return e, true, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	e, listed := r.wanted[ref{one.Env, one.Endpoint}]
	switch {
	case !listed || one.EndpointID == "" || e.ID == "" || e.ID == one.EndpointID:
		return e.Endpoint, listed, nil
	case e.ID < one.EndpointID: // this process has heard of the one before alone
		return deliver.Endpoint{}, false, nil
	}
	return deliver.Endpoint{}, false, errReplaced
}

// forTarget has the worker of a replay do without an endpoint: what fails is tried
// again by the replay's own consumer, and counted when it is given up.
func (r *Registry) forTarget(config *deliver.WorkerConfig, one Replay) {
	at := one
	config.Meter = nil // its name would be a label's value of its own
	config.OnGone = func(ctx context.Context, reason string) error {
		return r.failReplay(ctx, &at, reason)
	}
	config.OnFailing = func(ctx context.Context, f deliver.Failing) error {
		if r.now().Sub(f.Since) < targetPatience {
			return nil
		}
		return r.failReplay(ctx, &at, fmt.Sprintf("nothing was taken for %s: %s", targetPatience, f.Reason))
	}
	config.Replay.GiveUp = func(ctx context.Context) error {
		_, err := changeReplay(ctx, r.config.Bus, at.Env, at.ID, func(have *Replay) bool {
			have.Failed++
			return !have.over()
		})
		return err
	}
}

// failReplay ends a replay for good.
func (r *Registry) failReplay(ctx context.Context, one *Replay, reason string) error {
	return r.endReplay(ctx, one, ReplayFailed, reason)
}

// replayEndpoint returns whom a replay is for, with its defaults: an endpoint, or
// the target that is given for once.
func (d *Directory) replayEndpoint(ctx context.Context, r *Replay, spec ReplaySpec) (deliver.Endpoint, error) {
	if spec.Target != nil {
		if len(r.Events) == 0 {
			r.Events = []event.Pattern{">"}
		}
		return d.seal(ctx, r, *spec.Target, spec.DryRun)
	}
	e := d.of(ref{r.Env, spec.Endpoint})
	if e == nil {
		return deliver.Endpoint{}, bus.ErrNotFound
	}
	if len(r.Events) == 0 {
		r.Events = e.Events
	}
	e.SystemEvents = namesSystem(e.Events)
	r.EndpointID = e.ID
	return e.Endpoint, nil
}
