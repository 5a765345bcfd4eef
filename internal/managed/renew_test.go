package managed

import (
	"path/filepath"
	"testing"

	"github.com/jethook/jethook/internal/bus"
	"github.com/jethook/jethook/internal/event"
	"github.com/jethook/jethook/internal/vault"
)

func TestAnEntryThatIsEncryptedAnewIsNoNewsAndCanBeChanged(t *testing.T) {
	b := openBus(t)
	keyset := filepath.Join(t.TempDir(), "keyset.json")
	s, changes := openStore(t, b, keyset, load(t))
	made, err := s.Create(t.Context(), Endpoints, event.Prod, "", billing())
	if err != nil {
		t.Fatal(err)
	}
	s.Endpoints() // which keeps a view
	for _, step := range []vault.Step{vault.StepAdd, vault.StepPromote} {
		if _, err := vault.Rotate(keyset, step); err != nil {
			t.Fatal(err)
		}
	}
	before := changes.Load()
	v := vault.New(vault.Config{Bus: b, File: keyset, Stored: Stored()})
	if n, _, err := v.Renew(t.Context()); n != 1 || err != nil {
		t.Fatalf("renewed %d, error %v; want 1", n, err)
	}
	// The store has the older keyset, as a replica that was forgotten; it reads
	// again when it has the new one.
	if _, err := s.config.Vault.Reload(t.Context(), ""); err != nil {
		t.Fatal(err)
	}
	s.Reread()
	eventually(t, "the store has the new revision", func() bool {
		e, err := s.Get(Endpoints, event.Prod, "billing")
		return err == nil && e.Revision > made.Revision
	})
	if n := changes.Load() - before; n != 0 {
		t.Errorf("%d changes are told of, want none", n)
	}
	e, err := s.Get(Endpoints, event.Prod, "billing")
	if err != nil {
		t.Fatal(err)
	}
	s.mu.Lock()
	seen := s.views[e.key()].revision
	s.mu.Unlock()
	if seen != e.Revision {
		t.Error("its view is to be made anew")
	}
	if e, err = s.Update(t.Context(), e, map[string]any{"timeout": "3s"}); err != nil || changes.Load() == before {
		t.Errorf("updated to %v, error %v, changes %d", e, err, changes.Load()-before)
	}
}

func TestAReplyIsFinishedWhileTheKeysetIsRotated(t *testing.T) {
	b := openBus(t)
	keyset := filepath.Join(t.TempDir(), "keyset.json")
	s, _ := openStore(t, b, keyset, load(t))
	reply, ok, err := s.Begin(t.Context(), "name", "request")
	if err != nil || !ok {
		t.Fatalf("begun %v, error %v", ok, err)
	}
	for _, step := range []vault.Step{vault.StepAdd, vault.StepPromote} {
		if _, err := vault.Rotate(keyset, step); err != nil {
			t.Fatal(err)
		}
	}
	v := vault.New(vault.Config{Bus: b, File: keyset, Stored: Stored()})
	if n, left, err := v.Renew(t.Context()); n != 0 || left != 1 || err != nil {
		t.Errorf("renewed %d, %d left, error %v; want 1 left", n, left, err)
	}
	reply.Status = 201
	if err := s.Finish(t.Context(), "name", reply); err != nil {
		t.Errorf("finish: %v", err)
	}
	if held, err := b.Holds(t.Context(), bus.Replies); err != nil || !held {
		t.Errorf("held %v, error %v", held, err)
	}
}
