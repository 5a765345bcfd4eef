package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/google/uuid"
	"golang.org/x/time/rate"

	"github.com/jethook/jethook/config"
	"github.com/jethook/jethook/internal/app"
)

// devSample is an event that dev sends again and again.
type devSample struct{ source, event string }

// devRound is what dev sends in turn.
func devRound() []devSample {
	return []devSample{
		{"clink", "order.succeeded"}, {"chip", "purchase.paid"}, {"stripe", "payment_intent.succeeded"}, {"standard", "user.created"},
		{"clink", "invoice.paid"}, {"chip", "purchase.created"}, {"stripe", "charge.refunded"}, {"standard", "order.shipped"},
		{"clink", "refund.created"}, {"chip", "payment.refunded"}, {"stripe", "customer.created"}, {"standard", "user.deleted"},
	}
}

// devSamples posts sample events, each signed as its provider would sign it.
type devSamples struct {
	senders      map[string]*sender // by source
	limiter      *rate.Limiter
	err          io.Writer
	sent, stored int // to be read once run has returned
}

func newDevSamples(c *config.Config, setup *devSetup, limiter *rate.Limiter, stderr io.Writer) (*devSamples, error) {
	samples := &devSamples{senders: map[string]*sender{}, limiter: limiter, err: stderr}
	gateway, err := gatewayURL(setup.ingest)
	if err != nil {
		return nil, err
	}
	for _, source := range c.Sources {
		preset, err := app.Resolve(source)
		if err != nil {
			return nil, err
		}
		var flag keyFlag
		if preset.Scheme.Algorithm.Asymmetric() {
			flag.reference = "@" + setup.chipKey()
		}
		keys, err := signingKeys(&flag, *preset.Scheme, source)
		if err != nil {
			return nil, err
		}
		if samples.senders[source.Name], err = newSender(source, preset, keys, gateway); err != nil {
			return nil, err
		}
	}
	return samples, nil
}

// run posts samples until ctx ends, or count of them where it is not 0. Then a
// sample that is not stored is an error, and else only told.
func (s *devSamples) run(ctx context.Context, count int) error {
	round := devRound()
	for count == 0 || s.sent < count {
		if s.limiter.Wait(ctx) != nil {
			return nil
		}
		sample := round[s.sent%len(round)]
		s.sent++
		a, err := s.senders[sample.source].send(ctx, sample.event, uuid.NewString(), nil)
		if err == nil && !a.stored() {
			err = errors.New(a.Code + ": " + a.Detail)
		}
		switch {
		case err == nil:
			s.stored++
		case ctx.Err() != nil:
			return nil
		case count > 0:
			return fmt.Errorf("posting %s %s: %w", sample.source, sample.event, err)
		default:
			fmt.Fprintf(s.err, "posting %s %s: %v\n", sample.source, sample.event, err)
		}
	}
	return nil
}
