package bus

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/jethook/jethook/internal/event"
)

func TestAnEventIsStoredOnceAndAsItWas(t *testing.T) {
	for _, durability := range []Durability{Power, Process} {
		t.Run(string(durability), func(t *testing.T) {
			b := open(t, embedded(t.TempDir(), durability))
			e := numbered(1)
			first := publish(t, b, e)
			if first.ID != e.ID || first.Duplicate || first.Sequence == 0 {
				t.Fatalf("receipt %+v", first)
			}
			if diff := cmp.Diff(e, stored(t, b, event.Prod, first.Sequence), cmpopts.EquateApproxTime(0)); diff != "" {
				t.Errorf("stored event differs: %s", diff)
			}
			again := publish(t, b, numbered(1))
			if want := (event.Receipt{ID: e.ID, Sequence: first.Sequence, Duplicate: true}); again != want {
				t.Errorf("receipt of the copy %+v, want %+v", again, want)
			}
		})
	}
}

func TestEnvironmentsHaveStreamsOfTheirOwn(t *testing.T) {
	b := open(t, embedded(t.TempDir(), Process))
	e := numbered(1)
	publish(t, b, e)
	testing := *e
	testing.Env, testing.ID = event.Test, event.NewID(event.Test, "shop", "1")
	if receipt := publish(t, b, &testing); receipt.Duplicate || receipt.Sequence != 1 {
		t.Errorf("the first event of test got the receipt %+v", receipt)
	}
}

func TestConcurrentCopiesYieldOneEvent(t *testing.T) {
	b := open(t, embedded(t.TempDir(), Power))
	var fresh int
	var mu sync.Mutex
	var group sync.WaitGroup
	for range 32 {
		group.Go(func() {
			receipt, err := b.Publish(t.Context(), numbered(1))
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				t.Error(err)
			} else if !receipt.Duplicate {
				fresh++
			}
		})
	}
	group.Wait()
	if fresh != 1 {
		t.Errorf("%d of 32 copies were told they are the first", fresh)
	}
}

func TestARedeliveryAfterTheServersWindowIsRecognised(t *testing.T) {
	dir := t.TempDir()
	config := embedded(dir, Power)
	config.Stream.DedupeWindow = 100 * time.Millisecond
	b, err := Open(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	first := publish(t, b, numbered(1))
	forgotten(t, b, numbered(1).ID)
	if again := publish(t, b, numbered(1)); !again.Duplicate || again.Sequence != first.Sequence {
		t.Errorf("receipt of the late copy %+v, first was %+v", again, first)
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}

	b = open(t, config) // the index is read from the stream again
	b.index.wait()
	if again := publish(t, b, numbered(1)); !again.Duplicate || again.Sequence != first.Sequence {
		t.Errorf("receipt after a restart %+v, first was %+v", again, first)
	}
}

// forgotten waits until the server's own window has passed, by publishing copies
// to another stream of the same window: DEAD's is at most the events'.
func forgotten(t *testing.T, b *Bus, id event.ID) {
	t.Helper()
	message := &nats.Msg{Subject: DeadRoot + ".prod.window", Header: nats.Header{"Nats-Msg-Id": {string(id)}}}
	for {
		ack, err := b.store(t.Context(), message)
		if err != nil {
			t.Fatal(err)
		}
		if ack.Sequence > 1 {
			return
		}
	}
}

func TestAnIndexEntryThatDoesNotHoldIsNotBelieved(t *testing.T) {
	b := open(t, embedded(t.TempDir(), Process))
	sequence := publish(t, b, numbered(1)).Sequence
	b.index.add(numbered(2).ID, sequence) // as if sequences had been used again after a power cut
	if receipt := publish(t, b, numbered(2)); receipt.Duplicate {
		t.Errorf("a new event was taken for a copy: %+v", receipt)
	}
}

func TestAFullStreamRefusesAndDropsNothing(t *testing.T) {
	config := embedded(t.TempDir(), Power)
	config.Stream.MaxBytes = 1 << 20
	b := open(t, config)
	first := publish(t, b, numbered(0))
	var err error
	for n := 1; err == nil && n < 100; n++ {
		e := numbered(n)
		e.Data = make([]byte, 64<<10)
		_, err = b.Publish(t.Context(), e)
	}
	if !errors.Is(err, event.ErrFull) {
		t.Fatalf("error %v, want event.ErrFull", err)
	}
	stored(t, b, event.Prod, first.Sequence)
	failing := failingCheck(b.Health(t.Context()))
	if failing == nil || failing.Name != "stream EVENTS_PROD" || !strings.Contains(failing.Err.Error(), "nats.stream.max_bytes") {
		t.Errorf("failing check %+v, want one of the stream that names nats.stream.max_bytes", failing)
	}
}

func failingCheck(checks []Check) *Check {
	for _, check := range checks {
		if check.Err != nil {
			return &check
		}
	}
	return nil
}

func TestWhatIsNotConfirmedInTimeIsNotStored(t *testing.T) {
	b := open(t, embedded(t.TempDir(), Process))
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errors.New("too late"))
	// The stream is gone, so nobody answers.
	if err := b.JetStream().DeleteStream(t.Context(), StreamName(event.Prod)); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Publish(ctx, numbered(1)); !errors.Is(err, event.ErrUnavailable) {
		t.Errorf("error %v, want event.ErrUnavailable", err)
	}
	if failingCheck(b.Health(t.Context())) == nil {
		t.Error("every check holds though the stream is gone")
	}
}

func TestEverythingIsThereAfterARestart(t *testing.T) {
	dir := t.TempDir()
	b, err := Open(t.Context(), embedded(dir, Power))
	if err != nil {
		t.Fatal(err)
	}
	receipt := publish(t, b, numbered(1))
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	b = open(t, embedded(dir, Power))
	if got := stored(t, b, event.Prod, receipt.Sequence); got.ID != receipt.ID {
		t.Errorf("event %s at %d, want %s", got.ID, receipt.Sequence, receipt.ID)
	}
	if check := failingCheck(b.Health(t.Context())); check != nil {
		t.Errorf("check %s: %v", check.Name, check.Err)
	}
}

func TestADirectoryInUseIsRefused(t *testing.T) {
	dir := t.TempDir()
	open(t, embedded(dir, Process))
	if _, err := Open(t.Context(), embedded(dir, Process)); err == nil || !strings.Contains(err.Error(), "in use by another process") {
		t.Errorf("error %v, want one that says the directory is in use", err)
	}
}

func TestAPortThatIsTakenIsAnErrorAtOnce(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = taken.Close() }()
	config := embedded(t.TempDir(), Process)
	config.Embedded.Listen = taken.Addr().String()
	_, err = Open(t.Context(), config) // which would wait as long as the test may take
	if err == nil || !strings.Contains(err.Error(), taken.Addr().String()) || !strings.Contains(err.Error(), "in use") {
		t.Errorf("error %v, want one that says %s is in use", err, taken.Addr())
	}
}

func TestTheEmbeddedServerHasAllTheTimeThatTheStartHas(t *testing.T) {
	b := open(t, embedded(t.TempDir(), Process))
	ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
	defer cancel()
	if err := b.insist(ctx, func(asking context.Context) error {
		want, _ := ctx.Deadline()
		if got, _ := asking.Deadline(); !got.Equal(want) {
			t.Errorf("a request of the start ends at %s, want %s", got, want)
		}
		return nil
	}); err != nil {
		t.Error(err)
	}
}

func TestAStreamThatWasChangedIsBroughtBackAndReported(t *testing.T) {
	dir := t.TempDir()
	b, err := Open(t.Context(), embedded(dir, Process))
	if err != nil {
		t.Fatal(err)
	}
	stream, err := b.JetStream().Stream(t.Context(), StreamName(event.Prod))
	if err != nil {
		t.Fatal(err)
	}
	changed := stream.CachedInfo().Config
	changed.Discard, changed.Description = jetstream.DiscardOld, "mine"
	if _, err := b.JetStream().UpdateStream(t.Context(), changed); err != nil {
		t.Fatal(err)
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}

	var log logBuffer
	config := embedded(dir, Process)
	config.Logger = slog.New(slog.NewTextHandler(&log, nil))
	b = open(t, config)
	if stream, err = b.JetStream().Stream(t.Context(), StreamName(event.Prod)); err != nil {
		t.Fatal(err)
	}
	if got := stream.CachedInfo().Config.Discard; got != jetstream.DiscardNew {
		t.Errorf("discard policy %v, want new", got)
	}
	if text := log.String(); !strings.Contains(text, "EVENTS_PROD") || !strings.Contains(text, "Discard") {
		t.Errorf("the log does not name stream and field: %s", text)
	}
	if strings.Count(log.String(), "differs") != 1 {
		t.Errorf("streams that nobody changed are reported: %s", log.String())
	}
}
