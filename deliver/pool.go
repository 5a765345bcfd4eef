package deliver

import (
	"context"
	"errors"
	"net"
	"net/http"
	"os"
	"sync"
	"time"
)

// maxAge of a connection: a name whose address has changed is looked up again by
// then, however busy the endpoint is.
const maxAge = 5 * time.Minute

// pool sends requests to endpoints without TLS. net/http's transport passes each
// request through two goroutines of its connection; here the caller's writes and
// reads, which takes half the processor time. Safe for concurrent use.
type pool struct {
	dialer *net.Dialer
	heads  *heads

	mu         sync.Mutex
	idle       map[string][]*wire // by address; the one that was used last is last
	count      int                // of all that are idle
	generation int                // counts the calls of close
	sweeper    *time.Timer        // nil while none is idle
}

func newPool(dialer *net.Dialer, heads *heads) *pool {
	return &pool{dialer: dialer, heads: heads, idle: make(map[string][]*wire)}
}

// post makes one attempt. A connection that the endpoint closed while it was
// idle is no failed attempt: another one is used, once.
func (p *pool) post(ctx context.Context, in *slot, to *target, header http.Header, data []byte) answer {
	defer in.letGo()
	w := p.take(to.address)
	for w != nil && (in.hold(w) != nil || !w.silent()) {
		_ = w.Close()
		w = p.take(to.address)
	}
	for kept := w != nil; ; kept = false {
		if w == nil {
			var err error
			if w, err = p.dial(ctx, in, to.address); err != nil {
				return answer{err: err}
			}
		}
		got, answered, whole := w.exchange(to, header, data, p.heads)
		if whole {
			in.letGo()
			p.put(to.address, w)
			return got
		}
		_ = w.Close()
		if got.err == nil || answered || !kept || errors.Is(got.err, os.ErrDeadlineExceeded) {
			return got
		}
		w = nil
	}
}

// dial makes a connection and has the attempt hold it.
func (p *pool) dial(ctx context.Context, in *slot, address string) (*wire, error) {
	p.mu.Lock()
	generation := p.generation
	p.mu.Unlock()
	ctx, cancel := context.WithDeadline(ctx, in.until)
	defer cancel()
	conn, err := p.dialer.DialContext(ctx, "tcp", address)
	if err == nil {
		if err = in.hold(conn); err != nil {
			_ = conn.Close()
		}
	}
	if err != nil {
		return nil, err
	}
	return newWire(conn, generation), nil
}

// take returns the connection that was used last, or nil.
func (p *pool) take(address string) *wire {
	p.mu.Lock()
	defer p.mu.Unlock()
	of := p.idle[address]
	if len(of) == 0 {
		return nil
	}
	w := of[len(of)-1]
	of[len(of)-1] = nil
	p.idle[address] = of[:len(of)-1]
	p.count--
	return w
}

// put keeps a connection for the next request, or closes it.
func (p *pool) put(address string, w *wire) {
	w.used = time.Now()
	p.mu.Lock()
	defer p.mu.Unlock()
	of := p.idle[address]
	if w.generation != p.generation || w.used.Sub(w.dialed) > maxAge || len(of) >= idlePerHost || p.count >= idleTotal {
		_ = w.Close()
		return
	}
	p.idle[address] = append(of, w)
	p.count++
	if p.sweeper == nil {
		p.sweeper = time.AfterFunc(idleTimeout, p.sweep)
	}
}

// sweep closes what has been idle for too long.
func (p *pool) sweep() {
	p.mu.Lock()
	defer p.mu.Unlock()
	before := time.Now().Add(-idleTimeout)
	for address, of := range p.idle {
		stale := 0
		for stale < len(of) && !of[stale].used.After(before) {
			_ = of[stale].Close()
			stale++
		}
		p.count -= stale
		if stale == len(of) {
			delete(p.idle, address)
		} else {
			p.idle[address] = append(of[:0:0], of[stale:]...)
		}
	}
	p.sweeper = nil
	if p.count > 0 {
		p.sweeper = time.AfterFunc(idleTimeout/2, p.sweep)
	}
}

// close closes what is idle, and has what is in use closed after its answer.
func (p *pool) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.generation++
	for _, of := range p.idle {
		for _, w := range of {
			_ = w.Close()
		}
	}
	clear(p.idle)
	p.count = 0
	if p.sweeper != nil {
		p.sweeper.Stop()
		p.sweeper = nil
	}
}
