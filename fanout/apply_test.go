package fanout

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/jethook/jethook/deliver"
	"github.com/jethook/jethook/internal/bus"
	"github.com/jethook/jethook/internal/event"
	"github.com/jethook/jethook/internal/vault"
)

func TestABadListChangesNothing(t *testing.T) {
	b := openBus(t, t.TempDir())
	r := newReplica(t, b, nil)
	good := endpoint(t, "billing", "http://127.0.0.1:1", "shop.>")
	r.apply(t, []Endpoint{good})
	for _, test := range []struct {
		name string
		edit func(*Endpoint)
		want string
	}{
		{"no patterns", func(e *Endpoint) { e.Events = nil }, "no events are selected"},
		{"a pattern that is none", func(e *Endpoint) { e.Events = []event.Pattern{"shop..x"} }, "empty token"},
		{"the same name twice", func(e *Endpoint) { e.Name = "fresh" }, "given twice"},
		{"a name that is none", func(e *Endpoint) { e.Name = "a.*" }, "letters"},
		{"an environment that is none", func(e *Endpoint) { e.Env = "live" }, "neither test nor prod"},
		{"a URL that is none", func(e *Endpoint) { e.URL = "ftp://x" }, "http"},
		{"a filter that is none", func(e *Endpoint) { e.Filter = "1 +" }, "filter"},
		{"a signature that is none", func(e *Endpoint) { e.Signature = "pgp" }, "pgp"},
		{"a description without end", func(e *Endpoint) { e.Description = strings.Repeat("x", 5000) }, "description"},
	} {
		bad := endpoint(t, "second", "http://127.0.0.1:1", "shop.>")
		test.edit(&bad)
		err := r.Apply(t.Context(), []Endpoint{endpoint(t, "fresh", "http://127.0.0.1:1", ">"), bad}, nil)
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: got error %v, want one that says %q", test.name, err, test.want)
		}
		if durable(t, b, "billing") == nil || durable(t, b, "fresh") != nil {
			t.Errorf("%s: the refused list changed the consumers", test.name)
		}
	}
}

func TestEverythingWrongIsNamedAtOnce(t *testing.T) {
	r := newReplica(t, openBus(t, t.TempDir()), nil)
	err := r.Apply(t.Context(), []Endpoint{endpoint(t, "one", "http://127.0.0.1:1")}, []Subscriber{{Name: "two", Env: event.Prod}})
	for _, want := range []string{"endpoint prod/one", "subscriber prod/two"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got error %v, want one that names %s", err, want)
		}
	}
}

func TestARemovedEndpointLeavesNothing(t *testing.T) {
	b := openBus(t, t.TempDir())
	r := newReplica(t, b, func(c *Config) { c.Vault = vault.New(vault.Config{Bus: b, File: t.TempDir() + "/keyset.json"}) })
	to := newReceiver(t)
	kept, removed := endpoint(t, "kept", to.url, "shop.>"), endpoint(t, "removed", to.url, "shop.>")
	removed.Keys = nil
	r.apply(t, []Endpoint{kept, removed}, subscriber(">"))
	r.start(t)
	publish(t, b, "order.a")
	to.wants(t, "order.a", "order.a")
	for _, name := range []string{"kept", "removed"} {
		putRetries(t, b, name)
		if _, err := r.disable(t, name, to.url); err != nil {
			t.Fatal(err)
		}
	}

	r.apply(t, []Endpoint{kept})
	if durable(t, b, "removed") != nil || durable(t, b, "ledger") != nil {
		t.Error("the consumer of the removed is still there")
	}
	if durable(t, b, "kept") == nil {
		t.Error("the consumer of the kept is gone")
	}
	retry, err := b.JetStream().Stream(t.Context(), bus.Retry)
	if err != nil {
		t.Fatal(err)
	}
	info, err := retry.Info(t.Context(), jetstream.WithSubjectFilter(">"))
	if err != nil {
		t.Fatal(err)
	}
	for subject := range info.State.Subjects {
		if strings.Contains(subject, "removed") {
			t.Errorf("stream %s still has %s", bus.Retry, subject)
		}
	}
	if info.State.Subjects["retry.wait.prod.kept.7"] != 1 || len(info.State.Subjects) != 2 {
		t.Errorf("stream %s: got %v, want the retries of the kept", bus.Retry, info.State.Subjects)
	}
	if _, err := retry.Consumer(t.Context(), "prod_removed"); !errors.Is(err, jetstream.ErrConsumerNotFound) {
		t.Errorf("consumer of its retries: got error %v, want %v", err, jetstream.ErrConsumerNotFound)
	}
	for bucket, want := range map[string][]string{bus.Endpoints: {"prod.kept"}, bus.Secrets: nil} {
		if got := keysOf(t, b, bucket); fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("bucket %s: got %v, want %v", bucket, got, want)
		}
	}
}

func TestARetryThatGoesOnIsSeenWhenever(t *testing.T) {
	b := openBus(t, t.TempDir())
	of := ref{event.Prod, "billing"}
	p := deliver.Pointer{Env: of.env, Endpoint: of.name, Sequence: 7, EventID: "evt", Attempts: 1}
	retry, err := b.JetStream().Stream(t.Context(), bus.Retry)
	if err != nil {
		t.Fatal(err)
	}
	for moved := range retrySubjects(of) {
		at, err := b.Put(t.Context(), bus.Retry, p.At(time.Now().Add(time.Hour)))
		if err != nil {
			t.Fatal(err)
		}
		seen := false
		for i, subject := range retrySubjects(of) {
			if i == moved {
				if _, err := b.Put(t.Context(), bus.Retry, p.At(time.Now().Add(time.Minute))); err != nil {
					t.Fatal(err)
				}
				if err := retry.DeleteMsg(t.Context(), at); err != nil {
					t.Fatal(err)
				}
			}
			found, err := b.Subjects(t.Context(), bus.Retry, subject)
			if err != nil {
				t.Fatal(err)
			}
			seen = seen || len(found) > 0
		}
		if !seen {
			t.Errorf("a retry that got its schedule before look %d was not seen", moved)
		}
		if err := retry.Purge(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

// putRetries stores a retry that is due in a minute and one that is due in an hour.
func putRetries(t *testing.T, b *bus.Bus, endpoint string) {
	t.Helper()
	for sequence, wait := range map[uint64]time.Duration{7: time.Minute, 8: time.Hour} {
		p := deliver.Pointer{Env: event.Prod, Endpoint: endpoint, Sequence: sequence, EventID: "evt", Attempts: 1}
		if _, err := b.Put(t.Context(), bus.Retry, p.At(time.Now().Add(wait))); err != nil {
			t.Fatalf("put a retry: %v", err)
		}
	}
}

// disable writes that the endpoint is disabled, as a replica elsewhere would.
func (r *replica) disable(t *testing.T, name, url string) (record, error) {
	t.Helper()
	bucket, err := openStates(t.Context(), r.config.Bus.JetStream())
	if err != nil {
		t.Fatal(err)
	}
	return disable(t.Context(), bucket, "prod."+name, disabled{Reason: "410 Gone", At: time.Now().UTC(), Fingerprint: fingerprint(url)})
}

func keysOf(t *testing.T, b *bus.Bus, name string) []string {
	t.Helper()
	bucket, err := b.JetStream().KeyValue(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	keys, err := bucket.Keys(t.Context())
	if err != nil && !errors.Is(err, jetstream.ErrNoKeysFound) {
		t.Fatal(err)
	}
	return keys
}

func TestWhatAnEarlierProcessLeftIsKeptAndWarnedAbout(t *testing.T) {
	b := openBus(t, t.TempDir())
	before := newReplica(t, b, nil)
	before.apply(t, []Endpoint{endpoint(t, "billing", "http://127.0.0.1:1", ">")}, subscriber(">"))

	after := newReplica(t, b, nil)
	after.apply(t, nil)
	after.apply(t, nil)
	for _, name := range []string{"billing", "ledger"} {
		if durable(t, b, name) == nil {
			t.Errorf("consumer %s was deleted", name)
		}
		if got := strings.Count(after.logs.String(), "name="+name); got != 1 {
			t.Errorf("warnings about %s: got %d, want 1 in\n%s", name, got, after.logs)
		}
	}
	if !strings.Contains(after.logs.String(), "put the entry back") {
		t.Errorf("the warning does not say what to do:\n%s", after.logs)
	}
}

func TestAConsumerThatSomebodyDeletedBeginsAnewWithAWarning(t *testing.T) {
	b := openBus(t, t.TempDir())
	r := newReplica(t, b, nil)
	list := []Endpoint{endpoint(t, "billing", "http://127.0.0.1:1", ">")}
	r.apply(t, list)
	durable(t, b, "billing") // which the server does not know before
	if err := b.JetStream().DeleteConsumer(t.Context(), bus.StreamName(event.Prod), "billing"); err != nil {
		t.Fatal(err)
	}
	r.apply(t, list)
	if durable(t, b, "billing") == nil {
		t.Error("the consumer was not made again")
	}
	if !strings.Contains(r.logs.String(), "deleted by somebody else") {
		t.Errorf("no warning in\n%s", r.logs)
	}
}

func TestConsumersThatCouldNotBeFlushedAreFlushedByTheNextApply(t *testing.T) {
	dir := t.TempDir()
	b, err := bus.Open(t.Context(), bus.Config{
		Embedded: &bus.Embedded{StoreDir: dir, Durability: bus.Power},
		Stream:   bus.Stream{Replicas: 1, MaxAge: time.Hour, MaxBytes: 64 << 20, DedupeWindow: time.Minute},
		Logger:   slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	})
	obstacle := filepath.Join(dir, "jetstream", "$G", "obstacle")
	if err := os.Symlink("obstacle", obstacle); err != nil { // it cannot be opened, and so not be flushed
		t.Fatal(err)
	}
	r := newReplica(t, b, nil)
	list := []Endpoint{endpoint(t, "billing", "http://127.0.0.1:1", ">")}
	for n := range 2 {
		if err := r.Apply(t.Context(), list, nil); err == nil {
			t.Errorf("apply %d: no error though the consumer is not on the disk", n+1)
		}
	}
	if err := os.Remove(obstacle); err != nil {
		t.Fatal(err)
	}
	r.apply(t, list)
}

func TestTheRemovalOfWhatIsGoneAlreadyIsNoError(t *testing.T) {
	b := openBus(t, t.TempDir())
	first, second := newReplica(t, b, nil), newReplica(t, b, nil)
	list := []Endpoint{endpoint(t, "billing", "http://127.0.0.1:1", ">")}
	first.apply(t, list)
	second.apply(t, list)
	first.apply(t, nil)
	second.apply(t, nil)
}
