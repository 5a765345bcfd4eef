package receive

import (
	"context"
	"sync"
)

// Once returns handle without the events that it has handled before: for one whose
// ID is among the last limit that handle returned nil for, nil is returned at once.
// One that comes again while handle is at it waits for the outcome. limit is at
// least 1; an ID takes about 150 bytes.
//
// The IDs are in memory: they are gone after a restart, and replicas do not share
// them. A replay brings IDs again, and so nothing new for those that are remembered.
// What must never count twice is recorded with the work, in one transaction of the
// service's database; see the example.
func Once(limit int, handle func(context.Context, Event) error) func(context.Context, Event) error {
	s := &seen{limit: max(1, limit), ids: make(map[string]bool), running: make(map[string]chan struct{})}
	return func(ctx context.Context, e Event) error {
		handled, err := s.begin(ctx, e.ID)
		if handled || err != nil {
			return err
		}
		done := false // stays so where handle panics
		defer func() { s.end(e.ID, done) }()
		err = handle(ctx, e)
		done = err == nil
		return err
	}
}

// seen is the last ids that were handled.
type seen struct {
	limit int

	mu      sync.Mutex
	ids     map[string]bool
	order   []string // of ids, a ring once there are limit
	oldest  int
	running map[string]chan struct{} // closed at the end
}

// begin returns whether the id has been handled. Where it has not, the caller
// handles it, and nobody else does before end.
func (s *seen) begin(ctx context.Context, id string) (handled bool, err error) {
	for {
		s.mu.Lock()
		if s.ids[id] {
			s.mu.Unlock()
			return true, nil
		}
		ended, running := s.running[id]
		if !running {
			s.running[id] = make(chan struct{})
			s.mu.Unlock()
			return false, nil
		}
		s.mu.Unlock()
		select {
		case <-ended:
		case <-ctx.Done():
			return false, context.Cause(ctx)
		}
	}
}

func (s *seen) end(id string, handled bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	close(s.running[id])
	delete(s.running, id)
	if !handled {
		return
	}
	s.ids[id] = true
	if len(s.order) < s.limit {
		s.order = append(s.order, id)
		return
	}
	delete(s.ids, s.order[s.oldest])
	s.order[s.oldest] = id
	s.oldest = (s.oldest + 1) % s.limit
}
