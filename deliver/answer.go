package deliver

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"golang.org/x/sync/errgroup"

	"github.com/jethook/jethook/internal/bus"
)

// reasonLapsed is why an attempt has failed that nobody answered.
const reasonLapsed = "not acknowledged in time"

// Ack says that events which were taken are dealt with. Those of the tokens that
// it returns are not: their leases are over, because they were settled before or
// lapsed, and those that lapsed are given out again.
func (p *Puller) Ack(ctx context.Context, e Endpoint, tokens []string) (over []string, err error) {
	return p.settle(ctx, e, tokens, func(w *Worker, ctx context.Context, retry jetstream.Stream, held []lease) ([]lease, error) {
		attempts := make([]*Attempt, len(held))
		for i := range held {
			attempts[i], _ = w.answered(ctx, &held[i], OutcomeDelivered)
		}
		if err := w.record(ctx, attempts); err != nil {
			return nil, err
		}
		return end(ctx, retry, held)
	})
}

// Nack says that events which were taken could not be dealt with: a failed attempt.
// What follows is the endpoint's schedule or, where delay is not 0, an attempt
// after that time, at most 24 hours. It returns what Ack does.
func (p *Puller) Nack(ctx context.Context, e Endpoint, tokens []string, reason string, delay time.Duration) (over []string, err error) {
	var notBefore time.Time
	if delay > 0 {
		notBefore = time.Now().Add(min(delay, maxRetryAfter))
	}
	return p.settle(ctx, e, tokens, func(w *Worker, ctx context.Context, retry jetstream.Stream, held []lease) ([]lease, error) {
		if err := w.fail(ctx, held, reason, notBefore); err != nil {
			return nil, err
		}
		return end(ctx, retry, held)
	})
}

// Extend has leases lapse after a time from now, at most 10 minutes, and no later
// than 12 hours after their events were taken. It returns what Ack does.
func (p *Puller) Extend(ctx context.Context, e Endpoint, tokens []string, by time.Duration) (over []string, err error) {
	until := time.Now().Add(min(by, maxTimeout))
	return p.settle(ctx, e, tokens, func(w *Worker, ctx context.Context, _ jetstream.Stream, held []lease) ([]lease, error) {
		return each(held, func(l *lease) (bool, error) {
			m := l.until(l.noLater(until))
			m.Header[headerExpected] = []string{fmt.Sprint(l.stored)}
			_, err := w.config.Bus.Put(ctx, bus.Retry, m)
			if isElsewhere(err) { // it has lapsed meanwhile
				return true, nil
			}
			return false, err
		})
	})
}

// settle finds the leases of tokens and has act end them, which returns those that
// ended by themselves meanwhile.
func (p *Puller) settle(ctx context.Context, e Endpoint, tokens []string,
	act func(*Worker, context.Context, jetstream.Stream, []lease) ([]lease, error),
) (over []string, err error) {
	w, err := p.worker(e)
	if err != nil {
		return nil, err
	}
	retry, err := openRetry(ctx, w.config.Bus)
	if err != nil {
		return nil, err
	}
	found := make([]*lease, len(tokens))
	var finding errgroup.Group
	finding.SetLimit(atOnce)
	for i, token := range tokens {
		finding.Go(func() error {
			l, ok, err := w.findLease(ctx, retry, token)
			if ok {
				found[i] = &l
			}
			return err
		})
	}
	if err := finding.Wait(); err != nil {
		return nil, err
	}
	var held []lease
	seen := make(map[string]bool)
	for i, l := range found {
		switch {
		case l == nil:
			over = append(over, tokens[i])
		case !seen[tokens[i]]:
			seen[tokens[i]] = true
			held = append(held, *l)
		}
	}
	if len(held) == 0 {
		return over, nil
	}
	late, err := act(w, ctx, retry, held)
	for i := range late {
		over = append(over, late[i].token())
	}
	return over, err
}

// each acts on leases side by side and returns those of which act says so.
func each(held []lease, act func(*lease) (bool, error)) (late []lease, err error) {
	say := make([]bool, len(held))
	var acting errgroup.Group
	acting.SetLimit(atOnce)
	for i := range held {
		acting.Go(func() (err error) {
			say[i], err = act(&held[i])
			return err
		})
	}
	err = acting.Wait()
	for i := range held {
		if say[i] {
			late = append(late, held[i])
		}
	}
	return late, err
}

// end removes leases and returns those that were not there any more.
func end(ctx context.Context, retry jetstream.Stream, held []lease) (late []lease, err error) {
	return each(held, func(l *lease) (bool, error) {
		there, err := removeMessage(ctx, retry, l.stored)
		return err == nil && !there, err
	})
}

// answered is the record of an attempt that ends now, and the source of its event.
// Where that is no longer stored, its type and its source are empty.
func (w *Worker) answered(ctx context.Context, l *lease, outcome Outcome) (a *Attempt, source string) {
	a = &Attempt{EventID: l.EventID, Env: l.Env, Endpoint: l.Endpoint, Sequence: l.Sequence, Number: l.Attempts,
		At: l.taken.UTC(), DurationMS: float64(time.Since(l.taken).Microseconds()) / 1000, Outcome: outcome}
	if stored, err := w.config.Bus.Event(ctx, l.Env, l.Sequence); err == nil && stored.ID == l.EventID {
		a.EventType, source = stored.Type, stored.Source
	}
	return a, source
}

// record stores the records of attempts, tells the log and counts.
func (w *Worker) record(ctx context.Context, attempts []*Attempt) error {
	var lines bytes.Buffer
	for _, a := range attempts {
		line, err := a.appendJSON(make([]byte, 0, usualRecord))
		if err != nil {
			return fmt.Errorf("write record: %w", err)
		}
		lines.Write(append(line, '\n'))
	}
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	if _, err := w.config.Bus.JetStream().PublishMsg(ctx, &nats.Msg{Subject: AttemptsSubject(w.endpoint.Env, w.endpoint.Name), Data: lines.Bytes()}); err != nil {
		return fmt.Errorf("record attempts: %w", err)
	}
	for _, a := range attempts {
		w.metrics.count(ctx, a.Outcome)
		w.log(ctx, a)
	}
	return nil
}

// fail records attempts that have failed, and stores what follows from each. The
// leases are then to be ended.
func (w *Worker) fail(ctx context.Context, held []lease, reason string, notBefore time.Time) error {
	attempts := make([]*Attempt, len(held))
	sources := make([]string, len(held))
	for i := range held {
		l := &held[i]
		a, source := w.answered(ctx, l, OutcomeRetry)
		a.Error = strings.ToValidUTF8(reason[:min(len(reason), maxErrorText)], "\uFFFD")
		if a.NextAt, a.Reason = w.endpoint.Retry.next(a.Number-l.Deferred, l.FirstAttempt, time.Now(), notBefore); a.Reason != "" {
			a.Outcome = OutcomeDead
		}
		attempts[i], sources[i] = a, source
	}
	if err := w.record(ctx, attempts); err != nil {
		return err
	}
	var storing errgroup.Group
	storing.SetLimit(atOnce)
	for i := range held {
		storing.Go(func() error { return w.followLease(ctx, &held[i], attempts[i], sources[i]) })
	}
	return storing.Wait()
}

// followLease stores what a failed attempt has led to.
func (w *Worker) followLease(ctx context.Context, l *lease, a *Attempt, source string) error {
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	var err error
	if a.Outcome == OutcomeDead {
		dead := Dead{EventID: l.EventID, Type: a.EventType, Source: source, Env: l.Env, Endpoint: l.Endpoint, Stream: bus.StreamName(l.Env),
			Sequence: l.Sequence, Reason: a.Reason, Attempts: l.Attempts, FirstAttemptAt: l.FirstAttempt, LastAttemptAt: a.At, LastError: a.Error, Previous: l.Previous}
		_, err = dead.store(ctx, w.config.Bus, dead.id(messageKey{due: true, sequence: l.stored}))
	} else {
		_, err = w.config.Bus.Put(ctx, bus.Retry, l.At(a.NextAt))
	}
	if err != nil {
		return fmt.Errorf("store what follows: %w", err)
	}
	return nil
}
