package managed

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/goleak"

	"github.com/jethook/jethook/config"
	"github.com/jethook/jethook/deliver"
	"github.com/jethook/jethook/internal/bus"
	"github.com/jethook/jethook/internal/event"
	"github.com/jethook/jethook/internal/vault"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const patience = 20 * time.Second

func openBus(t *testing.T) *bus.Bus {
	t.Helper()
	b, err := bus.Open(t.Context(), bus.Config{
		Embedded: &bus.Embedded{StoreDir: t.TempDir(), Durability: bus.Process},
		Stream:   bus.Stream{Replicas: 1, MaxAge: 24 * time.Hour, MaxBytes: 64 << 20, DedupeWindow: time.Minute},
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
	return b
}

// openStore opens a store that runs until the test ends. Its count is that of the
// changes that it told of.
func openStore(t *testing.T, b *bus.Bus, keyset string, file *config.Config) (*Store, *atomic.Int64) {
	t.Helper()
	changes := new(atomic.Int64)
	s, err := Open(t.Context(), Config{
		Bus: b, Vault: vault.New(vault.Config{Bus: b, File: keyset}), Logger: slog.New(slog.DiscardHandler),
		Check: func(*config.Config) error { return nil }, Changed: func(Entry) { changes.Add(1) },
		Resolve: func(_ context.Context, url string) error {
			if strings.Contains(url, "private") {
				return fmt.Errorf("%w: 10.0.0.1", deliver.ErrAddressRefused)
			}
			return nil
		},
	}, file)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return s, changes
}

func load(t *testing.T) *config.Config {
	t.Helper()
	file, err := config.Load(nil)
	if err != nil {
		t.Fatal(err)
	}
	return file
}

func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(patience); !holds(); <-tick.C {
		if time.Now().After(deadline) {
			t.Fatalf("it never came about that %s", what)
		}
	}
}

func billing() map[string]any {
	return map[string]any{"name": "billing", "url": "https://billing.example/events?token=hunter2", "events": []any{"shop.>"}, "headers": map[string]any{"X-Token": "hunter3"}}
}

func TestAnEntryIsReadByEveryReplicaAndByNobodyElse(t *testing.T) {
	b := openBus(t)
	keyset := filepath.Join(t.TempDir(), "keyset.json")
	s, _ := openStore(t, b, keyset, load(t))
	made, err := s.Create(t.Context(), Endpoints, event.Prod, "", billing())
	if err != nil {
		t.Fatal(err)
	}
	secret, _ := made.Signing()
	if secret.Empty() {
		t.Error("no secret was generated")
	}
	for _, text := range []string{fmt.Sprintf("%v %+v %#v %v", made, &made, made, Listed[config.Endpoint]{Entry: &made}), made.String()} {
		if strings.Contains(text, "hunter") || strings.Contains(text, secret.Reveal()) {
			t.Errorf("an entry prints as %s", text)
		}
	}
	bucket, err := b.JetStream().KeyValue(t.Context(), bus.Managed)
	if err != nil {
		t.Fatal(err)
	}
	stored, err := bucket.Get(t.Context(), "prod.billing")
	if err != nil {
		t.Fatal(err)
	}
	if text := string(stored.Value()); strings.Contains(text, "hunter") || strings.Contains(text, "billing") {
		t.Error("the bucket holds an entry in cleartext")
	}
	other, changes := openStore(t, b, keyset, load(t))
	if list := other.Endpoints(); len(list) != 1 || list[0].Config.Headers["X-Token"].Reveal() != "hunter3" || list[0].Config.Start.Sequence != 1 {
		t.Errorf("another replica lists %v", list)
	}
	if _, err := s.Update(t.Context(), made, map[string]any{"timeout": "3s"}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the other replica hears of the change", func() bool {
		return changes.Load() > 0 && other.Endpoints()[0].Config.Timeout == 3*time.Second
	})
	if _, err := Open(t.Context(), Config{Bus: b, Vault: vault.New(vault.Config{Bus: b}), Logger: slog.New(slog.DiscardHandler)}, load(t)); !errors.Is(err, vault.ErrKeyset) {
		t.Errorf("without the keyset: error %v, want %v", err, vault.ErrKeyset)
	}
}

func TestOfTwoChangesOfOneStateTheSecondIsRefused(t *testing.T) {
	b := openBus(t)
	keyset := filepath.Join(t.TempDir(), "keyset.json")
	s, _ := openStore(t, b, keyset, load(t))
	made, err := s.Create(t.Context(), Endpoints, event.Prod, "", billing())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Create(t.Context(), Subscribers, event.Prod, "", map[string]any{"name": "billing", "events": []any{">"}}); !errors.Is(err, ErrTaken) {
		t.Errorf("the name again: error %v, want %v", err, ErrTaken)
	}
	if _, err := s.Create(t.Context(), Endpoints, event.Test, "", billing()); err != nil {
		t.Errorf("the name in the other environment: error %v, want none", err)
	}
	if _, err := s.Update(t.Context(), made, map[string]any{"timeout": "3s"}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Update(t.Context(), made, map[string]any{"timeout": "4s"}); !errors.Is(err, ErrChanged) {
		t.Errorf("the second change: error %v, want %v", err, ErrChanged)
	}
	if err := s.Delete(t.Context(), made); !errors.Is(err, ErrChanged) {
		t.Errorf("the deletion of an old state: error %v, want %v", err, ErrChanged)
	}
	current, err := s.Get(Endpoints, event.Prod, "billing")
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Delete(t.Context(), current); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Get(Endpoints, event.Prod, "billing"); !errors.Is(err, bus.ErrNotFound) {
		t.Errorf("after the deletion: error %v, want %v", err, bus.ErrNotFound)
	}
	again, err := s.Create(t.Context(), Endpoints, event.Prod, "", billing())
	if err != nil || again.ID.String() <= made.ID.String() {
		t.Errorf("made again with ID %s, error %v; want one after %s", again.ID, err, made.ID)
	}
}

func TestAPatchChangesWhatItNamesAndNullIsTheDefault(t *testing.T) {
	s, _ := openStore(t, openBus(t), filepath.Join(t.TempDir(), "keyset.json"), load(t))
	spec := billing()
	spec["retry"] = map[string]any{"attempts": 3, "initial": "1s"}
	e, err := s.Create(t.Context(), Endpoints, event.Prod, "", spec)
	if err != nil {
		t.Fatal(err)
	}
	if e, err = s.Update(t.Context(), e, map[string]any{"retry": map[string]any{"attempts": nil}, "headers": nil}); err != nil {
		t.Fatal(err)
	}
	got := s.Endpoints()[0].Config
	if got.Retry.Attempts != 10 || got.Retry.Initial != time.Second || len(got.Headers) != 0 || got.URL != spec["url"] {
		t.Errorf("got %+v, want the default attempts, the initial as it was and no headers", got.Retry)
	}
	for name, patch := range map[string]map[string]any{
		"name": {"name": "other"}, "env": {"env": "test"}, "start": {"start": "beginning"}, "url": {"url": "https://private.example"}, "timeout": {"timeout": 0}, "unknown": {"tmeout": "1s"},
	} {
		var wrong *Invalid
		if _, err := s.Update(t.Context(), e, patch); !errors.As(err, &wrong) {
			t.Errorf("%s: error %v, want one of its field", name, err)
		}
	}
}

func TestASecretThatWasReplacedIsValidForItsTime(t *testing.T) {
	s, changes := openStore(t, openBus(t), filepath.Join(t.TempDir(), "keyset.json"), load(t))
	e, err := s.Create(t.Context(), Endpoints, event.Prod, "", billing())
	if err != nil {
		t.Fatal(err)
	}
	if e, err = s.Rotate(t.Context(), e, config.Secret{}, time.Hour); err != nil {
		t.Fatal(err)
	}
	if got := s.Endpoints()[0].Config.Secrets; len(got) != 2 {
		t.Fatalf("%d secrets sign, want 2", len(got))
	}
	before := changes.Load()
	s.mu.Lock()
	s.now = func() time.Time { return time.Now().Add(time.Hour - time.Second) }
	s.mu.Unlock()
	if e, err = s.Rotate(t.Context(), e, config.Secret{}, 2*time.Second); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the store tells that times are over", func() bool { return changes.Load() >= before+2 })
	s.mu.Lock()
	s.now = func() time.Time { return time.Now().Add(2 * time.Hour) }
	s.mu.Unlock()
	if got := s.Endpoints()[0].Config.Secrets; len(got) != 1 {
		t.Errorf("%d secrets sign after the overlap, want 1", len(got))
	}
	if _, err := s.Rotate(t.Context(), e, config.Secret{}, 8*24*time.Hour); err == nil {
		t.Error("an overlap of eight days is taken")
	}
}

func TestAnotherSignatureGetsASecretThatFits(t *testing.T) {
	s, _ := openStore(t, openBus(t), filepath.Join(t.TempDir(), "keyset.json"), load(t))
	e, err := s.Create(t.Context(), Endpoints, event.Prod, "", billing())
	if err != nil {
		t.Fatal(err)
	}
	if e, err = s.Update(t.Context(), e, map[string]any{"signature": "chip"}); err != nil {
		t.Fatal(err)
	}
	if secret, public := e.Signing(); !secret.Empty() || !strings.Contains(public, "PUBLIC KEY") {
		t.Errorf("as CHIP signs, the public key is %q", public)
	}
}

func TestAnEntryThatTheFileOvertakesIsNotInForce(t *testing.T) {
	s, _ := openStore(t, openBus(t), filepath.Join(t.TempDir(), "keyset.json"), load(t))
	if _, err := s.Create(t.Context(), Endpoints, event.Prod, "", billing()); err != nil {
		t.Fatal(err)
	}
	file := load(t)
	file.Endpoints = []config.Endpoint{{Name: "billing", Env: "prod"}}
	s.SetFile(file)
	if list := s.Endpoints(); len(list) != 2 || list[0].Entry != nil || !errors.Is(list[1].Problem, ErrTaken) {
		t.Errorf("listed %v, want the file's and then the other with a problem", list)
	}
}

func TestAChangeIsToldBeforeItReturnsAlsoWhereTheWatchWasFaster(t *testing.T) {
	s, changes := openStore(t, openBus(t), filepath.Join(t.TempDir(), "keyset.json"), load(t))
	k := Key{Env: event.Prod}
	if _, err := s.write(t.Context(), Entry{Kind: Keys, Env: k.Env, Name: "watched", spec: k.spec()}, func(key string, sealed []byte) (uint64, error) {
		revision, err := s.create(t.Context(), key, sealed)
		eventually(t, "the watch tells", func() bool { return changes.Load() == 1 })
		return revision, err
	}); err != nil {
		t.Fatal(err)
	}
	if n := changes.Load(); n != 2 {
		t.Errorf("told %d times, want once more by the change itself", n)
	}
}

func TestABucketWithAnEntryOfSomebodyElseIsAnError(t *testing.T) {
	b := openBus(t)
	bucket, err := b.JetStream().KeyValue(t.Context(), bus.Managed)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := bucket.Put(t.Context(), "prod.billing", []byte("{}")); err != nil {
		t.Fatal(err)
	}
	text, err := vault.GenerateKeyset()
	if err != nil {
		t.Fatal(err)
	}
	_, err = Open(t.Context(), Config{Bus: b, Vault: vault.New(vault.Config{Bus: b, Keyset: text}), Logger: slog.New(slog.DiscardHandler)}, load(t))
	if !errors.Is(err, vault.ErrKeyset) || errors.Is(err, jetstream.ErrKeyNotFound) {
		t.Errorf("error %v, want %v", err, vault.ErrKeyset)
	}
}
