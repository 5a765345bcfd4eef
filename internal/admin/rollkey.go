package admin

import (
	"context"
	"time"

	"github.com/google/uuid"

	"github.com/jethook/jethook/api"
	"github.com/jethook/jethook/internal/managed"
)

const (
	// A key that was rolled stays valid for so long, or not at all.
	minExpiry = time.Hour
	maxExpiry = 7 * 24 * time.Hour

	// takeBackTime bounds how long a new key is tried to be taken back, and
	// takeBackPause is between the tries.
	takeBackTime  = 10 * time.Second
	takeBackPause = 200 * time.Millisecond
)

func (h *Handler) rollKey(ctx context.Context, in *struct {
	KeyPath
	Body *api.RollKey
},
) (*output[api.Key], error) {
	var expiry time.Duration
	if in.Body != nil && in.Body.ExpiresIn != "" {
		var err error
		if expiry, err = time.ParseDuration(in.Body.ExpiresIn); err != nil || expiry != 0 && (expiry < minExpiry || expiry > maxExpiry) {
			return nil, misplaced("body.expires_in", "is neither 0s nor between 1h and 168h")
		}
	}
	h.keyChange.Lock()
	defer h.keyChange.Unlock()
	old, err := h.key(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	if old.ofFile {
		return nil, managed.ErrFile
	}
	next := old
	next.ID, next.Entry, next.CreatedBy, next.ExpiresAt = uuid.Nil, nil, exchangeOf(ctx).key.id(), time.Time{}
	made, text, err := h.config.Managed.CreateKey(ctx, next.Key) // first, so that there is a key at every moment
	if err != nil {
		return nil, err
	}
	until := h.now().Add(expiry)
	if _, err = h.setKey(ctx, in.ID, func(k *Key) error {
		was := k.full()
		if k.ExpiresAt.IsZero() || until.Before(k.ExpiresAt) {
			k.ExpiresAt = until
		}
		if was {
			return h.demandAnother(ctx, *k, true)
		}
		return nil
	}); err != nil && !h.rolled(ctx, in.ID, until, made) {
		return nil, err
	}
	return h.first(made, text), nil
}

// rolled finds out what has come of a roll whose second change was not
// acknowledged, also where the caller has gone meanwhile. It reports true where
// the old key was changed or is gone, so that the new one must be handed out;
// otherwise it takes the new one back.
func (h *Handler) rolled(ctx context.Context, id string, until time.Time, made managed.Key) bool {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), takeBackTime)
	defer cancel()
	pause := time.NewTicker(takeBackPause)
	defer pause.Stop()
	for {
		changed := false
		_, err := h.editKey(ctx, id, func(k Key) (Key, error) {
			if changed = !k.ExpiresAt.IsZero() && !k.ExpiresAt.After(until); changed {
				return k, nil
			}
			return h.storeKey(ctx, k) // as it is: what was sent before can change it no more
		})
		if changed || err != nil && problemOf(err).code == notFound {
			return true
		}
		if err == nil {
			err = h.takeBack(ctx, made)
		}
		if err == nil {
			return false
		}
		if problemOf(err).code == lastKey {
			return true // somebody else has relied on the new one
		}
		select {
		case <-pause.C:
		case <-ctx.Done():
			h.config.Logger.Error("an API key was made that nobody has, and could not be taken back: delete it", "key_id", wireID(keyID, made.ID), "error", err)
			return false
		}
	}
}

// takeBack removes a key that was made, if it is there.
func (h *Handler) takeBack(ctx context.Context, made managed.Key) error {
	_, err := h.editKey(ctx, wireID(keyID, made.ID), func(k Key) (Key, error) {
		if k.full() {
			if err := h.demandAnother(ctx, k, true); err != nil {
				return k, err
			}
		}
		return k, h.removeKey(ctx, k)
	})
	if err != nil && problemOf(err).code == notFound {
		return nil
	}
	return err
}
