package main

import (
	"context"
	"net"
	"sync"
)

// proxy is a stretch of network between two programs. When it is cut, nothing
// passes and nobody is told, as where a cable is pulled; what was sent
// meanwhile arrives when it is mended.
type proxy struct {
	listener net.Listener
	ctx      context.Context
	stop     context.CancelFunc
	group    sync.WaitGroup

	mu     sync.Mutex
	target string        // empty: nobody is there
	open   chan struct{} // closed while it is whole
}

// newProxy leads nowhere yet. It lives as long as the trial.
func (t *trial) newProxy() (*proxy, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	p := &proxy{listener: listener, open: make(chan struct{})}
	p.ctx, p.stop = context.WithCancel(context.Background())
	close(p.open)
	p.group.Go(p.accept)
	t.cleanup = append(t.cleanup, p.close)
	return p, nil
}

// address is where the proxy stands for its target.
func (p *proxy) address() string { return p.listener.Addr().String() }

// lead says where new connections go.
func (p *proxy) lead(target string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.target = target
}

func (p *proxy) cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.open = make(chan struct{})
}

func (p *proxy) mend() {
	p.mu.Lock()
	defer p.mu.Unlock()
	close(p.open)
}

func (p *proxy) close() {
	p.stop()
	_ = p.listener.Close()
	p.group.Wait()
}

func (p *proxy) accept() {
	for {
		near, err := p.listener.Accept()
		if err != nil {
			return // closed
		}
		p.group.Go(func() { p.carry(near) })
	}
}

// passes waits while the proxy is cut, and is false when it is closed.
func (p *proxy) passes() bool {
	p.mu.Lock()
	open := p.open
	p.mu.Unlock()
	select {
	case <-open:
		return true
	case <-p.ctx.Done():
		return false
	}
}

func (p *proxy) carry(near net.Conn) {
	defer near.Close()
	if !p.passes() {
		return
	}
	p.mu.Lock()
	target := p.target
	p.mu.Unlock()
	var dialer net.Dialer
	far, err := dialer.DialContext(p.ctx, "tcp", target)
	if err != nil {
		return // as the one who dialled will see
	}
	defer far.Close()
	defer context.AfterFunc(p.ctx, func() { _, _ = near.Close(), far.Close() })()
	var group sync.WaitGroup
	group.Go(func() { p.copy(near, far) })
	p.copy(far, near)
	group.Wait()
}

// copy carries one direction. That it ends passes like everything else.
func (p *proxy) copy(to, from net.Conn) {
	buffer := make([]byte, 32<<10)
	for {
		n, err := from.Read(buffer)
		if !p.passes() {
			return
		}
		if n > 0 {
			if _, err := to.Write(buffer[:n]); err != nil {
				_ = from.Close()
				return
			}
		}
		if err != nil {
			_ = to.Close()
			return
		}
	}
}
