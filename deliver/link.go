package deliver

import "github.com/jethook/jethook/internal/event"

// before is previous as a Pointer has it.
func (l *link) before() *uint64 {
	if !l.known {
		return nil
	}
	previous := l.previous
	return &previous
}

// note tells the chain of the endpoint's events that a message has come, and
// whether its event is selected, and notes what precedes that. It comes before the
// message is settled. Of what is due again its pointer says so, and of a replay
// nothing does.
func (s *shift) note(d *delivery, selected bool) {
	if d.key.due || s.chain == nil {
		return
	}
	d.sequence = d.key.sequence
	d.previous, d.known = s.chain.Link(&d.place, selected)
}

// selects reports whether the endpoint wants the event of a message that is not
// unpacked.
func (s *shift) selects(d *delivery) bool {
	if d.key.due || s.chain == nil {
		return false
	}
	e, err := event.Decode(d.msg.Header, d.msg.Data)
	if err != nil || e.Source == event.System && !s.endpoint.SystemEvents {
		return false
	}
	wanted, err := s.filter.match(e.Data)
	return wanted && err == nil
}

// giveUp remembers what precedes an event whose message is handed back.
func (s *shift) giveUp(d *delivery) {
	if d.known && !d.key.due && s.chain != nil {
		s.chain.Return(d.sequence, d.previous)
	}
}
