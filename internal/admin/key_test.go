package admin

import (
	"errors"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sync/errgroup"

	"github.com/jethook/jethook/internal/bus"
	"github.com/jethook/jethook/internal/event"
)

func TestReplicasThatStartTogetherShowOneKeyForEachEnvironment(t *testing.T) {
	d := newDesk(t)
	var mu sync.Mutex
	shown := map[event.Env][]string{}
	found := make([][]Key, 8)
	var starting errgroup.Group
	for i := range found {
		starting.Go(func() (err error) {
			found[i], err = GeneratedKeys(t.Context(), d.bus, func(event.Env) bool { return true }, func(env event.Env, text string) {
				mu.Lock()
				defer mu.Unlock()
				shown[env] = append(shown[env], text)
			})
			return err
		})
	}
	if err := starting.Wait(); err != nil {
		t.Fatal(err)
	}
	for _, env := range event.Envs() {
		if len(shown[env]) != 1 || !strings.HasPrefix(shown[env][0], "sk_"+string(env)+"_") {
			t.Fatalf("%s: %d keys were shown, want one", env, len(shown[env]))
		}
		for i, keys := range found {
			if key, ok := find(keys, shown[env][0]); !ok || key.Env != env {
				t.Errorf("replica %d does not take the key of %s", i, env)
			}
		}
		stored, err := d.bus.Key(t.Context(), env)
		if err != nil || strings.Contains(shown[env][0], stored) || len(stored) != 64 {
			t.Errorf("%s: the bus has %q, %v, want a hash", env, stored, err)
		}
	}
}

func TestAKeyNamesItsEnvironment(t *testing.T) {
	for _, text := range []string{"", "sk_", "sk_live_x", "sk_prod_", "sk_test_", "prod_x", "SK_PROD_x"} {
		if _, err := ParseKey(text); err == nil {
			t.Errorf("%q was taken as a key", text)
		}
	}
}

func TestProblemsOfTheBusSayToTryAgain(t *testing.T) {
	for err, want := range map[error]code{
		bus.ErrNotFound: notFound, event.ErrUnavailable: unavailable, event.ErrFull: unavailable, errors.New("sk_prod_leak"): internal,
	} {
		p := problemOf(err)
		if p.code != want || p.cause == nil || strings.Contains(p.detail, "leak") {
			t.Errorf("%v becomes %+v, want %s", err, p, want)
		}
		if (p.GetHeaders().Get("Retry-After") != "") != (want == unavailable) {
			t.Errorf("%v: Retry-After %q", err, p.GetHeaders().Get("Retry-After"))
		}
	}
}
