package admin

import (
	"context"
	"maps"
	"sync"
	"time"

	"github.com/jethook/jethook/internal/event"
)

const (
	// useEvery is how often it is stored which keys were used.
	useEvery = time.Minute
	// storeUsesTimeout bounds one such write.
	storeUsesTimeout = 5 * time.Second
	// maxNoted bounds what is noted in between, far above the number of keys.
	maxNoted = 10_000
)

// uses are the last uses of keys that are not stored yet, by id.
type uses struct {
	mu    sync.Mutex
	noted map[event.Env]map[string]time.Time
}

// note takes note that a key is used.
func (u *uses) note(k *Key, now time.Time) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.noted[k.Env] == nil {
		if u.noted == nil {
			u.noted = make(map[event.Env]map[string]time.Time)
		}
		u.noted[k.Env] = make(map[string]time.Time)
	}
	if of := u.noted[k.Env]; len(of) < maxNoted {
		of[k.id()] = now
	}
}

// of returns a copy of what is noted of an environment.
func (u *uses) of(env event.Env) map[string]time.Time {
	u.mu.Lock()
	defer u.mu.Unlock()
	return maps.Clone(u.noted[env])
}

// stored forgets what was stored, unless the key was used again since.
func (u *uses) stored(env event.Env, used map[string]time.Time) {
	u.mu.Lock()
	defer u.mu.Unlock()
	maps.DeleteFunc(u.noted[env], func(id string, at time.Time) bool { return at.Equal(used[id]) })
}

// Run stores once a minute, and at its end, which keys were used, until ctx ends.
// What it could not store is stored the next time.
func (h *Handler) Run(ctx context.Context) error {
	tick := time.NewTicker(useEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			h.storeUses(ctx)
		case <-ctx.Done():
			h.storeUses(context.WithoutCancel(ctx))
			return nil
		}
	}
}

func (h *Handler) storeUses(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, storeUsesTimeout)
	defer cancel()
	known := make(map[string]bool)
	for _, k := range h.all() {
		known[k.id()] = !k.Deleted
	}
	for _, env := range event.Envs() {
		used := h.uses.of(env)
		if len(used) == 0 {
			continue
		}
		if err := h.config.Bus.NoteKeyUses(ctx, env, used, func(id string) bool { return known[id] }); err != nil {
			h.config.Logger.Debug("which API keys were used is stored later", "env", env, "error", err)
			return
		}
		h.uses.stored(env, used)
	}
}

// lastUses are when the keys of the caller's environment were used last, by id:
// here, and elsewhere as far as it is stored.
func (h *Handler) lastUses(ctx context.Context) (map[string]time.Time, error) {
	env := exchangeOf(ctx).key.Env
	used, err := h.config.Bus.KeyUses(ctx, env)
	if err != nil {
		return nil, err
	}
	for id, at := range h.uses.of(env) {
		if at.After(used[id]) {
			used[id] = at.UTC().Truncate(time.Second)
		}
	}
	return used, nil
}
