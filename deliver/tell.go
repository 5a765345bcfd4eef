package deliver

import (
	"context"
	"fmt"
	"time"
)

// report tells the gate how an attempt has ended.
func (w *Worker) report(d *delivery, a *Attempt, v Verdict) news {
	if a.Outcome == OutcomeInterrupted {
		return w.gate.ended(d, signalNone, "", time.Time{})
	}
	says, reason := v.signal(a.Status), ""
	if says == signalDown || says == signalRefused {
		if reason = a.Error; a.Status != 0 {
			reason = fmt.Sprintf("status %d", a.Status)
		}
	}
	return w.gate.ended(d, says, reason, v.NotBefore)
}

// tell logs that the breaker has opened or closed, and tells the other replicas
// of it, one thing after another.
func (s *shift) tell(ctx context.Context, n news) {
	if n == (news{}) {
		return
	}
	if n.opened {
		s.logger.Warn("endpoint fails and its events wait", s.endpoint.who(), "reason", n.reason, "next_probe", n.probe)
	}
	if n.closed {
		s.logger.Info("endpoint takes events again", s.endpoint.who())
	}
	s.telling.Lock()
	defer s.telling.Unlock()
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	// A probe may have succeeded, and told of it, while the event was settled that
	// opened the breaker.
	if n.failing && s.gate.state() != BreakerClosed && s.config.OnFailing != nil {
		if err := s.config.OnFailing(ctx, Failing{Since: n.since.UTC(), Reason: n.reason}); err != nil {
			s.logger.Warn("that the endpoint fails could not be shared; the next probe tells of it again", s.endpoint.who(), "error", err)
		}
	}
	if n.recovered && s.config.OnRecovered != nil {
		if err := s.config.OnRecovered(ctx); err != nil {
			s.gate.failing.Store(true)
			s.logger.Warn("that the endpoint has recovered could not be shared; the next success tells of it again", s.endpoint.who(), "error", err)
		}
	}
}
