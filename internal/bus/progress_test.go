package bus

import (
	"slices"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"pgregory.net/rapid"
)

func handedOut(consumer, stream, times uint64) *jetstream.MsgMetadata {
	return &jetstream.MsgMetadata{Sequence: jetstream.SequencePair{Consumer: consumer, Stream: stream}, NumDelivered: times}
}

// covered are the sequences up to last that the ranges hold.
func covered(settled [][2]uint64, sequence uint64) bool {
	return slices.ContainsFunc(settled, func(s [2]uint64) bool { return s[0] <= sequence && sequence <= s[1] })
}

func TestProgressHoldsWhatIsSettledAndNothingElse(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var p Progress
		created := time.Now()
		var selected []uint64 // the events that the consumer hands out, of all
		for sequence, n := uint64(0), rapid.IntRange(1, 60).Draw(t, "events"); len(selected) < n; {
			sequence += rapid.Uint64Range(1, 3).Draw(t, "gap")
			selected = append(selected, sequence)
		}
		waiting := make(map[uint64]*jetstream.MsgMetadata) // handed out and not settled
		settled := make(map[uint64]bool)
		floor, next, number := uint64(0), 0, uint64(0)
		check := func() {
			got := p.above(created, floor)
			for _, sequence := range selected {
				if sequence > floor && covered(got, sequence) != settled[sequence] {
					t.Fatalf("above floor %d settled is %v; %d is settled: %t", floor, got, sequence, settled[sequence])
				}
			}
		}
		for range rapid.IntRange(1, 200).Draw(t, "steps") {
			held := slices.Sorted(func(yield func(uint64) bool) {
				for sequence := range waiting {
					if !yield(sequence) {
						return
					}
				}
			})
			switch act := rapid.SampledFrom([]string{"hand out", "hand out", "settle", "settle", "again", "floor"}).Draw(t, "act"); {
			case act == "hand out" && next < len(selected):
				number++
				waiting[selected[next]] = handedOut(number, selected[next], 1)
				next++
			case act == "again" && len(held) > 0:
				number++
				sequence := rapid.SampledFrom(held).Draw(t, "again")
				waiting[sequence] = handedOut(number, sequence, 2)
			case act == "settle" && len(held) > 0:
				sequence := rapid.SampledFrom(held).Draw(t, "settled")
				p.Settle(waiting[sequence])
				settled[sequence] = true
				delete(waiting, sequence)
			case act == "floor":
				for _, sequence := range selected {
					if !settled[sequence] {
						break
					}
					floor = sequence
				}
				check()
			}
		}
		check()
	})
}

func TestProgressOfAConsumerThatIsMadeAnewOrMovedBackIsNone(t *testing.T) {
	created := time.Now()
	for name, next := range map[string]struct {
		created time.Time
		floor   uint64
	}{
		"made anew":  {created.Add(time.Second), 3},
		"moved back": {created, 2},
	} {
		var p Progress
		p.Settle(handedOut(5, 5, 1))
		expect(t, "settled", p.above(created, 3), [][2]uint64{{5, 5}})
		expect(t, "settled by a consumer that is "+name, p.above(next.created, next.floor), [][2]uint64(nil))
	}
}

func TestWhatWasHandedOutAfterAMoveBackJoinsNothingBefore(t *testing.T) {
	var p Progress
	p.Settle(handedOut(1, 50, 1))
	p.Settle(handedOut(2, 10, 1)) // 11 to 49 are not settled
	expect(t, "settled", p.above(time.Now(), 0), [][2]uint64{{10, 10}, {50, 50}})
}

func TestProgressIsBounded(t *testing.T) {
	var p Progress
	for n := range uint64(2 * maxSpans) {
		p.Settle(handedOut(2*n+1, 2*n+1, 1))
	}
	expect(t, "ranges", len(p.above(time.Now(), 0)), maxSpans)
}

// remembered is a life in which a consumer in the server's memory was handed
// the events 3 to 8 of ten; 3, 4 and 6 are settled, and 7 after the checkpoint
// that is returned.
func remembered(t *testing.T) (*lives, *Bus, checkpoint) {
	t.Helper()
	l := &lives{t: t, dir: t.TempDir()}
	b := l.open()
	for n := range 10 {
		publish(t, b, numbered(n))
	}
	config := billingConfig()
	config.MemoryStorage = true
	makeConsumer(t, b, "EVENTS_PROD", config)
	settle(t, b, 4, 3, 4, 6)
	earlier := l.now(b)
	settle(t, b, 2, 7)
	return l, b, earlier
}

// settle is fetch, by a worker.
func settle(t *testing.T, b *Bus, n int, acked ...uint64) []uint64 {
	t.Helper()
	before := infoOf(t, b, "EVENTS_PROD", billing).Delivered.Consumer
	got := fetch(t, b, "EVENTS_PROD", billing, n, acked...)
	for i, sequence := range got {
		if slices.Contains(acked, sequence) {
			b.Progress("EVENTS_PROD", billing).Settle(handedOut(before+uint64(i)+1, sequence, 1))
		}
	}
	return got
}

// left are the events up to 10 that a consumer would have delivered yet.
func left(t *testing.T, b *Bus) (events []uint64) {
	t.Helper()
	if err := b.Unpark(t.Context(), "EVENTS_PROD", billing); err != nil {
		t.Fatal(err)
	}
	for sequence := infoOf(t, b, "EVENTS_PROD", billing).AckFloor.Stream + 1; sequence <= 10; sequence++ {
		if !b.Progress("EVENTS_PROD", billing).Settled(sequence) {
			events = append(events, sequence)
		}
	}
	return events
}

func TestAConsumerInMemoryGoesOnWhereItWas(t *testing.T) {
	for name, test := range map[string]struct {
		end  func(l *lives, earlier checkpoint)
		left []uint64
		told bool
	}{
		"after an orderly stop":               {func(l *lives, _ checkpoint) { l.close() }, []uint64{5, 8, 9, 10}, false},
		"after its process was killed":        {func(l *lives, earlier checkpoint) { l.end(earlier, false) }, []uint64{5, 7, 8, 9, 10}, true},
		"after a power cut":                   {func(l *lives, earlier checkpoint) { l.end(earlier, true) }, []uint64{5, 7, 8, 9, 10}, true},
		"after an orderly stop and power cut": {func(l *lives, _ checkpoint) { l.close(); l.end(l.kept(), true) }, []uint64{5, 8, 9, 10}, false},
	} {
		t.Run(name, func(t *testing.T) {
			l, b, earlier := remembered(t)
			before := infoOf(t, b, "EVENTS_PROD", billing).Config
			test.end(l, earlier)
			b = l.open()
			expect(t, "events that are left", left(t, b), test.left)
			expect(t, "the log tells of it", l.log.String() != "", test.told)
			l.close()
			l.open() // before anything was handed out
			l.close()
			b = l.open() // and while it was parked
			expect(t, "events that are left after one more restart", left(t, b), test.left)
			settle(t, b, 3, 5, 6, 7) // 6 is acknowledged without a delivery, and 7 perhaps too
			l.close()
			b = l.open()
			expect(t, "events that are left at last", left(t, b), []uint64{8, 9, 10})
			after := infoOf(t, b, "EVENTS_PROD", billing).Config
			after.DeliverPolicy, after.OptStartSeq = before.DeliverPolicy, before.OptStartSeq
			expect(t, "definition", after, before)
		})
	}
}

func TestWhatWasSettledPastTheEndOfAStreamThatLostItIsForgotten(t *testing.T) {
	var p Progress
	p.restore(upTo(9, [][2]uint64{{4, 6}, {8, 12}, {14, 15}}), nil)
	for sequence, want := range map[uint64]bool{3: false, 4: true, 6: true, 7: false, 9: true, 10: false, 14: false} {
		if got := p.Settled(sequence); got != want {
			t.Errorf("event %d is settled: %t, want %t", sequence, got, want)
		}
	}
}

func TestAConsumerInMemoryThatWasDeletedStaysDeleted(t *testing.T) {
	l, b, _ := remembered(t)
	if err := b.JetStream().DeleteConsumer(t.Context(), "EVENTS_PROD", billing); err != nil {
		t.Fatal(err)
	}
	l.end(l.now(b), false)
	b = l.open()
	parked, err := b.Parked("EVENTS_PROD")
	if err != nil || len(parked) != 0 {
		t.Errorf("the consumer came back: %v, %v", parked, err)
	}
}
