package bus

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// damage is what may have become of a consumer's files.
var damage = map[string]func(dir string) error{
	"state emptied":     func(dir string) error { return os.Truncate(filepath.Join(dir, "o.dat"), 0) },
	"state deleted":     func(dir string) error { return os.Remove(filepath.Join(dir, "o.dat")) },
	"state of zeros":    func(dir string) error { return zero(filepath.Join(dir, "o.dat"), 0) },
	"definition empty":  func(dir string) error { return os.Truncate(filepath.Join(dir, "meta.inf"), 0) },
	"checksum deleted":  func(dir string) error { return os.Remove(filepath.Join(dir, "meta.sum")) },
	"definition zeros":  func(dir string) error { return zero(filepath.Join(dir, "meta.inf"), 0) },
	"directory deleted": os.RemoveAll,
}

// zero overwrites a file from an offset on.
func zero(path string, from int) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	clear(data[from:])
	return os.WriteFile(path, data, 0o600)
}

func TestAConsumerWhoseFilesAreDamagedGoesOnAfterItsCheckpoint(t *testing.T) {
	for name, harm := range damage {
		for _, powerCut := range []bool{false, true} {
			t.Run(name, func(t *testing.T) {
				l, b, earlier := worked(t)
				before := infoOf(t, b, "EVENTS_PROD", billing).Config
				l.end(earlier, powerCut)
				if err := harm(filepath.Dir(l.state("EVENTS_PROD", billing))); err != nil {
					t.Fatal(err)
				}
				b = l.open()
				l.expectGoesOnAt7(b)
				after := infoOf(t, b, "EVENTS_PROD", billing).Config
				after.DeliverPolicy, after.OptStartSeq = before.DeliverPolicy, before.OptStartSeq
				expect(t, "definition", after, before)
				l.close()
				b = l.open() // what was mended stays mended
				// The server writes a consumer's state when it comes to it, which may be
				// after its end; then it goes on after the checkpoint once more.
				if log := l.log.String(); strings.Count(log, "\n") != 1 || !strings.Contains(log, older) {
					expect(t, "log of the start after that", log, "")
				}
				expect(t, "ack floor", infoOf(t, b, "EVENTS_PROD", billing).AckFloor.Stream, uint64(10))
			})
		}
	}
}

// expectGoesOnAt7 takes what is left and acknowledges it.
func (l *lives) expectGoesOnAt7(b *Bus) {
	l.t.Helper()
	expect(l.t, "events after the restart", fetch(l.t, b, "EVENTS_PROD", billing, 4, 7, 8, 9, 10), []uint64{7, 8, 9, 10})
	moved := 0
	for line := range strings.Lines(l.log.String()) {
		if strings.Contains(line, "begins anew") {
			moved++
			if !strings.Contains(line, "consumer=billing") || !strings.Contains(line, "floor=6") || !strings.Contains(line, "reason=") {
				l.t.Errorf("the log does not name consumer, floor and reason: %s", line)
			}
		}
	}
	if moved != 1 {
		l.t.Errorf("%d lines tell of the consumer, want 1:\n%s", moved, l.log)
	}
}

func TestAStateCutOffAnywhereOrEndingInZerosSkipsNothing(t *testing.T) {
	l, _, earlier := worked(t)
	l.end(earlier, true)
	whole, err := os.ReadFile(l.state("EVENTS_PROD", billing))
	if err != nil {
		t.Fatal(err)
	}
	dir := l.dir
	for from := range whole {
		l.dir = t.TempDir()
		for _, name := range []string{"cut off", "zeros"} {
			l.dir = filepath.Join(t.TempDir(), name)
			if err := os.CopyFS(l.dir, os.DirFS(dir)); err != nil {
				t.Fatal(err)
			}
			path := l.state("EVENTS_PROD", billing)
			if name == "zeros" {
				err = zero(path, from)
			} else {
				err = os.Truncate(path, int64(from))
			}
			if err != nil {
				t.Fatal(err)
			}
			b := l.open()
			l.expectGoesOnAt7(b)
			if t.Failed() {
				t.Fatalf("state %s from byte %d of %d", name, from, len(whole))
			}
			l.close()
		}
	}
}

func TestAConsumerThatIsAheadOfTheCheckpointIsLeftAlone(t *testing.T) {
	l, b, earlier := worked(t)
	before := infoOf(t, b, "EVENTS_PROD", billing)
	l.end(earlier, false) // the process was killed, and no file was harmed
	b = l.open()
	after := infoOf(t, b, "EVENTS_PROD", billing)
	expect(t, "ack floor", after.AckFloor.Stream, uint64(7))
	expect(t, "waiting for an acknowledgement", after.NumAckPending, 1)
	expect(t, "definition", after.Config, before.Config)
	expect(t, "log", l.log.String(), "")
}

func TestAnOrderlyRestartChangesNothing(t *testing.T) {
	for _, boot := range []string{"same", "another"} {
		t.Run(boot, func(t *testing.T) {
			l, b, _ := worked(t)
			before := infoOf(t, b, "EVENTS_PROD", billing)
			l.close()
			if last := l.kept(); boot == "another" {
				l.end(last, true)
			}
			b = l.open()
			after := infoOf(t, b, "EVENTS_PROD", billing)
			for _, info := range []*jetstream.ConsumerInfo{before, after} {
				info.TimeStamp, info.Delivered.Last, info.AckFloor.Last = time.Time{}, nil, nil
			}
			expect(t, "consumer", after, before)
			expect(t, "log", l.log.String(), "")
			expect(t, "an orderly end after the start", l.kept().Clean, false)
		})
	}
}

func TestACheckpointThatCannotBeReadIsRefused(t *testing.T) {
	for name, content := range map[string]string{"empty": "", "garbage": "\x00\x00\x00", "cut off": `{"streams":{"EVENTS_PROD":{"crea`} {
		t.Run(name, func(t *testing.T) {
			l, _, _ := worked(t)
			l.close()
			path := filepath.Join(l.dir, cursorsFile)
			whole, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
				t.Fatal(err)
			}
			if _, err := Open(t.Context(), embedded(l.dir, Power)); err == nil || !strings.Contains(err.Error(), "put "+path+" back from a copy") {
				t.Errorf("got error %v, want one that says what to do with %s", err, path)
			}
			if err := os.WriteFile(path, whole, 0o600); err != nil {
				t.Fatal(err)
			}
			expect(t, "ack floor", infoOf(t, l.open(), "EVENTS_PROD", billing).AckFloor.Stream, uint64(7))
		})
	}
}

func TestWithoutACheckpointAConsumerThatWasLostBeginsWhereItOnceBegan(t *testing.T) {
	l, _, _ := worked(t)
	l.close()
	if err := zero(l.state("EVENTS_PROD", billing), 0); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(l.dir, cursorsFile)); err != nil {
		t.Fatal(err)
	}
	b := l.open()
	expect(t, "events", fetch(t, b, "EVENTS_PROD", billing, 8, 3), []uint64{3, 4, 5, 6, 7, 8, 9, 10})
}

func TestAnEventThatTakesALostOnesSequenceIsDelivered(t *testing.T) {
	for _, kept := range []bool{true, false} {
		l := &lives{t: t, dir: t.TempDir()}
		b := l.open()
		for n := range 8 {
			publish(t, b, numbered(n))
		}
		block := filepath.Join(streamsDir(l.dir), "EVENTS_PROD", "msgs", "1.blk")
		about, err := os.Stat(block)
		if err != nil {
			t.Fatal(err)
		}
		for n := range 2 { // these are acknowledged and not on the disk yet
			publish(t, b, numbered(8+n))
		}
		makeConsumer(t, b, "EVENTS_PROD", billingConfig())
		fetch(t, b, "EVENTS_PROD", billing, 8, 3, 4, 5, 6, 7, 8, 9, 10)
		l.end(l.now(b), true)
		if err := os.Truncate(block, about.Size()); err != nil {
			t.Fatal(err)
		}
		if err := os.Remove(filepath.Join(filepath.Dir(block), "index.db")); err != nil {
			t.Fatal(err)
		}
		if !kept {
			if err := os.Remove(filepath.Join(l.dir, cursorsFile)); err != nil {
				t.Fatal(err)
			}
		}
		b = l.open()
		// Before anything else is stored, and may be followed by another crash.
		expect(t, "floor that is kept", l.kept().Streams["EVENTS_PROD"].Consumers[billing].Floor, uint64(8))
		for n := range 3 {
			expect(t, "sequence", publish(t, b, numbered(100+n)).Sequence, uint64(9+n))
		}
		expect(t, "events", fetch(t, b, "EVENTS_PROD", billing, 3), []uint64{9, 10, 11})
	}
}

func TestAConsumerThatWasDeletedStaysDeleted(t *testing.T) {
	l, b, _ := worked(t)
	if err := b.JetStream().DeleteConsumer(t.Context(), "EVENTS_PROD", billing); err != nil {
		t.Fatal(err)
	}
	l.end(l.now(b), true)
	b = l.open()
	if _, err := b.JetStream().Consumer(t.Context(), "EVENTS_PROD", billing); err == nil {
		t.Error("the consumer came back")
	}
}

func TestACursorOfAnotherStreamOrConsumerIsIgnored(t *testing.T) {
	for _, other := range []string{"stream", "consumer"} {
		t.Run(other, func(t *testing.T) {
			l, b, _ := worked(t)
			last := l.now(b)
			stream := last.Streams["EVENTS_PROD"]
			entry := stream.Consumers[billing]
			entry.Floor = 9
			if other == "stream" {
				stream.Created = stream.Created.Add(time.Second)
				last.Streams["EVENTS_PROD"] = stream
			} else {
				entry.Created = entry.Created.Add(time.Second)
			}
			stream.Consumers[billing] = entry
			l.end(last, true)
			b = l.open()
			expect(t, "ack floor", infoOf(t, b, "EVENTS_PROD", billing).AckFloor.Stream, uint64(7))
			expect(t, "the log tells of it", strings.Contains(l.log.String(), "is not the one that the checkpoint"), other == "stream")
		})
	}
}

func TestAConsumerIsMovedAlsoWhereItsBeginningIsGone(t *testing.T) {
	l := &lives{t: t, dir: t.TempDir()}
	b := l.open()
	start := time.Now()
	for n := range 10 {
		publish(t, b, numbered(n))
	}
	config := billingConfig()
	config.DeliverPolicy, config.OptStartSeq, config.OptStartTime = jetstream.DeliverByStartTimePolicy, 0, &start
	makeConsumer(t, b, "EVENTS_PROD", config)
	fetch(t, b, "EVENTS_PROD", billing, 4, 1, 2, 3, 4)
	earlier := l.now(b)
	stream, err := b.JetStream().Stream(t.Context(), "EVENTS_PROD")
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.Purge(t.Context(), jetstream.WithPurgeSequence(8)); err != nil {
		t.Fatal(err)
	}
	l.end(earlier, true)
	if err := os.Truncate(l.state("EVENTS_PROD", billing), 0); err != nil {
		t.Fatal(err)
	}
	b = l.open()
	expect(t, "events", fetch(t, b, "EVENTS_PROD", billing, 3), []uint64{8, 9, 10})
}
