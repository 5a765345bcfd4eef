package bus

import (
	"slices"
	"testing"

	"github.com/nats-io/nats.go/jetstream"
	"pgregory.net/rapid"
)

// consumerModel hands out the events of a stream as the server does, to this
// process and to others, and is restarted from checkpoints.
type consumerModel struct {
	t        *rapid.T
	selected []bool // by sequence, from 1 on
	progress *Progress

	next, number uint64          // next new event, and number of the last message
	unsettled    []uint64        // came here and are neither settled nor handed out again
	floor        uint64          // all up to it are settled
	settled      map[uint64]bool // above it
	told         map[uint64]uint64
	numbers      map[uint64]uint64 // the last of each event
	saved        cursor
	others       bool // another replica has had something
}

func (m *consumerModel) place(sequence uint64, times uint64) *jetstream.MsgMetadata {
	m.number++
	m.numbers[sequence] = m.number
	return &jetstream.MsgMetadata{Sequence: jetstream.SequencePair{Consumer: m.number, Stream: sequence}, NumDelivered: times}
}

// learn checks what is said of an event against the stream.
func (m *consumerModel) learn(sequence, previous uint64, known bool) {
	if !known {
		return
	}
	for between := previous + 1; between < sequence; between++ {
		if m.selected[between] {
			m.t.Fatalf("%d is said to follow %d, and %d was selected in between", sequence, previous, between)
		}
	}
	if previous != 0 && !m.selected[previous] {
		m.t.Fatalf("%d is said to follow %d, which was not selected", sequence, previous)
	}
	if before, ok := m.told[sequence]; ok && before != previous {
		m.t.Fatalf("%d is said to follow %d, and was said to follow %d", sequence, previous, before)
	}
	m.told[sequence] = previous
}

func (m *consumerModel) handOut() {
	if m.next >= uint64(len(m.selected)) {
		return
	}
	sequence := m.next
	m.next++
	previous, known := m.progress.Chain().Link(m.place(sequence, 1), m.selected[sequence])
	if m.selected[sequence] {
		m.learn(sequence, previous, known)
		if !m.others && !known {
			m.t.Fatalf("%d came to the only process there is, and what precedes it is not known", sequence)
		}
	}
	m.unsettled = append(m.unsettled, sequence)
}

func (m *consumerModel) settle() {
	if len(m.unsettled) == 0 {
		return
	}
	i := rapid.IntRange(0, len(m.unsettled)-1).Draw(m.t, "settled")
	m.settled[m.unsettled[i]] = true
	m.unsettled = slices.Delete(m.unsettled, i, i+1)
	for m.settled[m.floor+1] {
		m.floor++
		delete(m.settled, m.floor)
	}
}

// handOutAgain has an event come again that was handed back.
func (m *consumerModel) handOutAgain() {
	if len(m.unsettled) == 0 {
		return
	}
	sequence := m.unsettled[rapid.IntRange(0, len(m.unsettled)-1).Draw(m.t, "again")]
	if previous, ok := m.told[sequence]; ok {
		m.progress.Chain().Return(sequence, previous)
	}
	previous, known := m.progress.Chain().Link(m.place(sequence, 2), m.selected[sequence])
	if m.selected[sequence] {
		m.learn(sequence, previous, known)
	}
}

// elsewhere has the next event handed out to another process, which settles it.
func (m *consumerModel) elsewhere() {
	if m.next >= uint64(len(m.selected)) {
		return
	}
	m.others = true
	m.place(m.next, 1)
	m.unsettled = append(m.unsettled, m.next)
	m.next++
}

func (m *consumerModel) checkpoint() {
	m.saved = cursor{Floor: m.floor, Last: m.progress.Chain().upTo(m.numbers[m.floor], m.floor)}
}

// restart begins anew after the floor of the last checkpoint.
func (m *consumerModel) restart() {
	m.progress = &Progress{chain: Chain{keeps: true}}
	m.progress.restore(nil, m.saved.Last)
	m.floor, m.next, m.number = m.saved.Floor, m.saved.Floor+1, 0
	m.settled, m.numbers, m.unsettled = map[uint64]bool{}, map[uint64]uint64{}, nil
	m.others = m.others && m.saved.Last == nil
}

func TestWhatIsSaidToPrecedeAnEventIsTrueWhateverHappens(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := &consumerModel{t: t, progress: &Progress{chain: Chain{keeps: true}}, next: 1, settled: map[uint64]bool{}, told: map[uint64]uint64{}, numbers: map[uint64]uint64{}}
		m.selected = append([]bool{false}, rapid.SliceOfN(rapid.Bool(), 1, 60).Draw(t, "selected")...)
		m.saved.Last = new(uint64)
		shared := rapid.Bool().Draw(t, "shared")
		t.Repeat(map[string]func(*rapid.T){
			"hand out": func(*rapid.T) { m.handOut() }, "hand out more": func(*rapid.T) { m.handOut() },
			"settle": func(*rapid.T) { m.settle() }, "settle more": func(*rapid.T) { m.settle() },
			"again": func(*rapid.T) { m.handOutAgain() }, "checkpoint": func(*rapid.T) { m.checkpoint() },
			"restart": func(*rapid.T) { m.restart() },
			"elsewhere": func(*rapid.T) {
				if shared {
					m.elsewhere()
				}
			},
		})
	})
}
