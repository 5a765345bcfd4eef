package admin

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/jethook/jethook/api"
	"github.com/jethook/jethook/config"
	"github.com/jethook/jethook/internal/event"
	"github.com/jethook/jethook/internal/managed"
	"github.com/jethook/jethook/internal/vault"
)

// replicas returns two handlers on one bus, whose keys are entries alone.
func replicas(t *testing.T) (all [2]*desk) {
	t.Helper()
	first := newDesk(t)
	secrets := vault.New(vault.Config{Bus: first.bus, File: t.TempDir() + "/keyset.json"})
	for i := range all {
		file, err := config.Load(nil)
		if err != nil {
			t.Fatal(err)
		}
		store, err := managed.Open(t.Context(), managed.Config{
			Bus: first.bus, Vault: secrets, Logger: slog.New(slog.DiscardHandler),
			Check: func(*config.Config) error { return nil }, Resolve: func(context.Context, string) error { return nil }, Changed: func(managed.Entry) {},
		}, file)
		if err != nil {
			t.Fatal(err)
		}
		ctx, end := context.WithCancel(context.WithoutCancel(t.Context()))
		ended := make(chan error, 1)
		go func() { ended <- store.Run(ctx) }()
		t.Cleanup(func() {
			end()
			if err := <-ended; err != nil {
				t.Error(err)
			}
		})
		of := first.config
		of.Managed = store
		all[i] = &desk{t: t, bus: first.bus, directory: first.directory, logs: first.logs}
		if all[i].Handler, err = New(of); err != nil {
			t.Fatal(err)
		}
	}
	return all
}

// becomesKnown waits until a replica takes a key.
func (d *desk) becomesKnown(key string) {
	d.t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(20 * time.Second); ; <-tick.C {
		if _, ok := find(d.all(), key); ok {
			return
		}
		if time.Now().After(deadline) {
			d.t.Fatal("the other replica never hears of the key")
		}
	}
}

func TestOfTwoReplicasOneKeepsTheLastFullKey(t *testing.T) {
	all := replicas(t)
	create := func(d *desk) (managed.Key, string) {
		t.Helper()
		k, text, err := d.config.Managed.CreateKey(t.Context(), managed.Key{Env: event.Prod})
		if err != nil {
			t.Fatal(err)
		}
		return k, text.Reveal()
	}
	for round := range 20 {
		var ids, texts [2]string
		for i, d := range all {
			k, text := create(d)
			ids[i], texts[i] = wireID(keyID, k.ID), text
			all[1-i].becomesKnown(text)
		}
		ask := func(i int) int {
			path := "/v1/keys/" + ids[i]
			switch round % 3 {
			case 0:
				return all[i].ask(http.MethodDelete, path, texts[i], "").Code
			case 1:
				return all[i].ask(http.MethodPut, path, texts[i], `{"read_only": true}`).Code
			default:
				return all[i].ask(http.MethodPut, path, texts[i], `{"allow": ["192.0.2.0/24"]}`).Code
			}
		}
		var codes [2]int
		var asking sync.WaitGroup
		for i := range all {
			asking.Go(func() { codes[i] = ask(i) })
		}
		asking.Wait()
		if !slices.Contains(codes[:], http.StatusConflict) {
			t.Fatalf("round %d: answered %v, want one refused", round, codes)
		}
		// The next round begins without a full key of this one.
		for _, k := range all[0].config.Managed.Keys() {
			_ = all[0].config.Managed.Delete(t.Context(), *k.Entry) // the other one may have been deleted
		}
		for _, k := range all[1].config.Managed.Keys() {
			_ = all[1].config.Managed.Delete(t.Context(), *k.Entry)
		}
	}
}

func TestARollThatFailsHalfWayLeavesNoKey(t *testing.T) {
	d := newDesk(t)
	first := d.made("/v1/keys", prodKey, `{"name": "deploy"}`)
	ctx, cutOff := context.WithCancel(t.Context())
	d.now = func() time.Time { // asked as well between the two keys' changes
		if len(d.config.Managed.Keys()) == 2 {
			cutOff()
		}
		return time.Now()
	}
	r := httptest.NewRequestWithContext(ctx, http.MethodPost, "/v1/keys/"+first.ID+"/roll", nil)
	r.Header.Set("Authorization", "Bearer "+first.Key)
	d.ServeHTTP(httptest.NewRecorder(), r)
	if !errors.Is(ctx.Err(), context.Canceled) {
		t.Fatal("the request was not cut off between the changes")
	}
	list := read[api.List[api.Key]](d, http.MethodGet, "/v1/keys", prodKey, "")
	if n := len(list.Data); n != 2 || list.Data[1].ID != first.ID || !list.Data[1].ExpiresAt.IsZero() {
		t.Errorf("listed %+v, want the file's and the one as it was", list.Data)
	}
	d.works(first.Key)
}
