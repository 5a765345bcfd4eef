//go:build linux

package disk

import "sync"

// space counts the bytes of the files' data.
type space struct {
	mu             sync.Mutex
	capacity, used int64
}

// take reserves up to n bytes and returns how many there were.
func (s *space) take(n int64) int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	n = min(n, max(s.capacity-s.used, 0))
	s.used += n
	return n
}

// add counts n bytes more, or fewer where n is negative, room or not.
func (s *space) add(n int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.used += n
}

func (s *space) empty() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.used = 0
}

func (s *space) resize(capacity int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.capacity = capacity
}

// numbers returns what is used, and the size of all, which is not less.
func (s *space) numbers() (used, all int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.used, max(s.capacity, s.used)
}
