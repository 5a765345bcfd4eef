package deliver

import "sync/atomic"

// startConcurrency is how many attempts may be in flight at a worker's start and
// when an endpoint has recovered.
const startConcurrency = 4

// window is how many attempts may be in flight: few at first, more with each
// that succeeds up to the endpoint's concurrency, half as many when the endpoint
// has too much to do. It takes away the slots that must not be used. All but
// size and debt is guarded by the gate.
type window struct {
	limit int
	slots chan struct{}  // one for each goroutine that makes attempts, and each that was taken away
	next  chan *delivery // to a goroutine that is free; nil has it leave its slot taken; closed when nothing more comes

	size  atomic.Int32 // attempts that may be in flight
	debt  atomic.Int32 // slots yet to be taken away, as soon as they are free
	slow  bool         // slow start: grows with every success
	grown int          // successes since it grew
	ended bool         // next is closed
}

// open makes the slots and takes away all but those of the start.
func (w *window) open(limit, start int) {
	w.limit, w.slots, w.next = limit, make(chan struct{}, limit), make(chan *delivery)
	w.size.Store(int32(limit))
	w.slow = true
	w.resize(min(start, limit))
}

func (w *window) resize(size int) {
	for now := int(w.size.Load()); now < size; now++ {
		if w.debt.Load() > 0 {
			w.debt.Add(-1)
		} else {
			<-w.slots // there is one: it was taken away
		}
	}
	w.debt.Add(max(0, w.size.Load()-int32(size)))
	w.size.Store(int32(size))
	for w.debt.Load() > 0 && !w.ended {
		select {
		case w.slots <- struct{}{}: // one that nobody has
		case w.next <- nil: // one whose goroutine waits for an event
		default:
			return // whoever has one gives it up
		}
		w.debt.Add(-1)
	}
}

// grow notes a success.
func (w *window) grow() {
	size := int(w.size.Load())
	if size == w.limit {
		return
	}
	if w.grown++; w.slow || w.grown >= size {
		w.grown = 0
		w.resize(size + 1)
	}
}

func (w *window) halve() {
	w.slow, w.grown = false, 0
	w.resize(max(1, int(w.size.Load())/2))
}

// restart begins anew with so many.
func (w *window) restart(size int) {
	w.slow, w.grown = true, 0
	w.resize(min(size, w.limit))
}

// giveUp reports whether a slot that its goroutine has is taken away now.
func (w *window) giveUp() bool {
	if w.debt.Load() == 0 {
		return false
	}
	w.debt.Add(-1)
	return true
}

// end tells the goroutines that nothing more comes.
func (w *window) end() {
	w.ended = true
	close(w.next)
}
