package deliver

import (
	"context"
	"net"
	"net/http"
	"sync"
	"time"
)

// Headers of a request for which a slot has room at first, and at most keeps it.
const (
	usualHeaders = 24
	keptHeaders  = 128
)

// slot is where one attempt after another is made, each within its time. One
// goroutine at a time uses it; any may cut it off.
type slot struct {
	until  time.Time   // the end of the attempt under way
	header http.Header // of its request; the next one has its room
	values []string    // of the header

	mu   sync.Mutex
	conn net.Conn // that the attempt holds, else nil
	over bool     // cut off
}

// newSlot makes a slot that is cut off when ctx ends. A context for each
// attempt would cost more than what it is to guard.
func newSlot(ctx context.Context) (s *slot, release func() bool) {
	s = &slot{}
	return s, context.AfterFunc(ctx, s.cutOff)
}

// clear makes the header empty.
func (s *slot) clear() {
	if len(s.header) > keptHeaders || s.header == nil {
		s.header, s.values = make(http.Header, usualHeaders), make([]string, 0, usualHeaders)
		return
	}
	clear(s.header)
	s.values = s.values[:0]
}

// hold has reads and writes of a connection end with the attempt.
func (s *slot) hold(conn net.Conn) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.conn = conn
	if s.over {
		return conn.SetDeadline(past())
	}
	return conn.SetDeadline(s.until)
}

// letGo leaves the connection to others, who hold it in their turn.
func (s *slot) letGo() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.conn = nil
}

func (s *slot) cutOff() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.over = true
	if s.conn != nil {
		_ = s.conn.SetDeadline(past()) // fails where it is closed already
	}
}

// past is a time at which reads and writes end at once.
func past() time.Time { return time.Unix(1, 0) }
