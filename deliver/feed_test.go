package deliver

import (
	"errors"
	"io"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// feed returns a feed of an endpoint's durable, behind which lie so many events.
func (b *bench) feed(advance, events int) (*feed, jetstream.Consumer) {
	b.t.Helper()
	b.fill("", events)
	consumer := b.makeDurable()
	f, err := newFeed(b.bus, consumer, advance, 2*advance)
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(f.close)
	return f, consumer
}

func (b *bench) info(consumer jetstream.Consumer) *jetstream.ConsumerInfo {
	b.t.Helper()
	info, err := consumer.Info(b.ctx)
	if err != nil {
		b.t.Fatal(err)
	}
	return info
}

func TestAFeedBringsEveryEventAndNeverMoreThanItsAdvance(t *testing.T) {
	for _, advance := range []int{1, 2, 7, 100} {
		b := newBench(t, always(200))
		f, consumer := b.feed(advance, 20)
		for n := range 20 {
			m, err := f.next()
			if err != nil {
				t.Fatalf("%d in advance: event %d: %v", advance, n+1, err)
			}
			if fetched := b.info(consumer).NumAckPending; fetched > advance+1 {
				t.Errorf("%d in advance: %d fetched, and one of them read", advance, fetched)
			}
			if err := m.AckSync(); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func TestAFeedThatGrowsLeavesNothingWithTheServer(t *testing.T) {
	b := newBench(t, always(200))
	f, consumer := b.feed(4, 20)
	for n := range 20 {
		if n == 1 {
			f.grow(8)
		}
		if _, err := f.next(); err != nil {
			t.Fatalf("event %d: %v", n+1, err)
		}
	}
	if info := b.info(consumer); info.NumRedelivered > 0 || info.NumWaiting > 2 || f.asked > 8 {
		t.Errorf("%d handed out again, %d requests wait for %d messages", info.NumRedelivered, info.NumWaiting, f.asked)
	}
}

func TestADrainedFeedBringsWhatWasFetched(t *testing.T) {
	b := newBench(t, always(200))
	f, consumer := b.feed(8, 20)
	if _, err := f.next(); err != nil {
		t.Fatal(err)
	}
	f.drain()
	read := 1
	for {
		if _, err := f.next(); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		read++
	}
	if fetched := b.info(consumer).NumAckPending; read != fetched {
		t.Errorf("%d read of %d that the server handed out", read, fetched)
	}
}

func TestADrainedFeedWaitsForWhatItAskedFor(t *testing.T) {
	b := newBench(t, always(200))
	f, consumer := b.feed(4, 1)
	f.shortest, f.holds = time.Hour, time.Hour
	if _, err := f.next(); err != nil {
		t.Fatal(err)
	}
	f.drain()
	b.fill("late", 3) // which the server has a request for
	for n := range 3 {
		if _, err := f.next(); err != nil {
			t.Fatalf("event %d: %v", n+1, err)
		}
	}
	if m, err := f.next(); !errors.Is(err, io.EOF) {
		t.Errorf("then %v, %v; want the end", m, err)
	}
	if waiting := b.info(consumer).NumWaiting; waiting != 0 {
		t.Errorf("%d requests wait", waiting)
	}
}

func TestAFeedForWhichNothingComesAsksMoreSeldomAndDoesNotWaitAtItsEnd(t *testing.T) {
	b := newBench(t, always(200))
	f, _ := b.feed(8, 1)
	f.shortest, f.holds = 10*time.Millisecond, time.Second
	if _, err := f.next(); err != nil || f.holds != f.shortest {
		t.Fatalf("error %v, and after an event a request holds for %s", err, f.holds)
	}
	f.idle = idleRequests - 2
	for _, want := range []time.Duration{10 * time.Millisecond, 20 * time.Millisecond, 40 * time.Millisecond} {
		if err := f.note(nats.Header{"Status": {"408"}, "Nats-Pending-Messages": {"7"}}); err != nil || f.holds != want {
			t.Errorf("the next request holds for %s, %v; want %s", f.holds, err, want)
		}
	}
	f.drain()
	if wait := f.whileEnding(); wait != quiet {
		t.Errorf("at its end it waits for %s", wait)
	}
}

func TestAFeedInAHurryDoesNotWaitForItsRequests(t *testing.T) {
	b := newBench(t, always(200))
	f, consumer := b.feed(8, 1)
	f.shortest, f.holds = time.Hour, time.Hour
	if _, err := f.next(); err != nil {
		t.Fatal(err)
	}
	f.hurry()
	if m, err := f.next(); !errors.Is(err, io.EOF) {
		t.Errorf("message %v, error %v; want the end", m, err)
	}
	if pending := b.info(consumer).NumAckPending; pending != 1 {
		t.Errorf("%d were handed out, want the one", pending)
	}
}

func TestAFeedThatTheServerForgotAsksAgain(t *testing.T) {
	b := newBench(t, always(200))
	f, _ := b.feed(8, 1)
	known := f.subject
	f.patience, f.subject = 50*time.Millisecond, "nobody.is.there"
	if m, err := f.next(); !errors.Is(err, jetstream.ErrNoHeartbeat) {
		t.Fatalf("message %v, error %v; want %v", m, err, jetstream.ErrNoHeartbeat)
	}
	f.subject = known
	if _, err := f.next(); err != nil {
		t.Errorf("error %v after it was asked again", err)
	}
}

func TestAFeedAsksAgainWhenTheConnectionIsBack(t *testing.T) {
	b := newBench(t, always(200))
	f, _ := b.feed(8, 1)
	known := f.subject
	f.subject = "nobody.is.there"
	f.ask()
	f.subject = known
	f.status <- nats.RECONNECTING
	f.status <- nats.CONNECTED
	if _, err := f.next(); err != nil {
		t.Errorf("error %v, want the event", err)
	}
}

func TestAFeedWhoseConnectionIsClosedEnds(t *testing.T) {
	b := newBench(t, always(200))
	f, _ := b.feed(8, 0)
	f.conn.Close()
	if _, err := f.next(); !errors.Is(err, jetstream.ErrConnectionClosed) {
		t.Errorf("error %v, want %v", err, jetstream.ErrConnectionClosed)
	}
}

func TestAFeedCountsWhatTheServerSaysOfItsRequests(t *testing.T) {
	for _, test := range []struct {
		status, description, pending string
		want                         int // of eight that were asked for
		err                          error
	}{
		{"100", "Idle Heartbeat", "", 8, nil},
		{"408", "Request Timeout", "5", 3, nil},
		{"408", "Request Timeout", "9", 0, nil},
		{"404", "No Messages", "8", 0, nil},
		{"409", "Leadership Change", "", 0, nil},
		{"409", "Server Shutdown", "", 8, nil},
		{"409", "Consumer Deleted", "", 8, jetstream.ErrConsumerDeleted},
		{"503", "", "", 8, nil},
		{"400", "Bad Request", "", 8, jetstream.ErrBadRequest},
	} {
		f := &feed{asked: 8}
		err := f.note(nats.Header{"Status": {test.status}, "Description": {test.description}, "Nats-Pending-Messages": {test.pending}})
		if !errors.Is(err, test.err) || f.asked != test.want {
			t.Errorf("%s %s: %d are still to come, error %v; want %d, %v", test.status, test.description, f.asked, err, test.want, test.err)
		}
	}
}
