package deliver

import (
	"context"

	"github.com/jethook/jethook/internal/event"
)

// Try sends an event to the worker's endpoint once, as a delivery would, and
// returns what came of it. Nothing follows from that: it is not recorded, not
// tried again, and not counted; the log has its line. Run need not be called.
func (w *Worker) Try(ctx context.Context, e *event.Event) Attempt {
	in, release := newSlot(ctx)
	defer release()
	if own := w.composer.target.own; own != nil {
		defer own.close()
	}
	a, _ := w.try(ctx, in, e, 1, link{})
	w.log(ctx, a)
	return *a
}
