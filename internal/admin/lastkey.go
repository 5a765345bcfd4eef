package admin

import (
	"context"
	"slices"
)

// full reports whether a key may do everything from everywhere and does not
// expire.
func (k *Key) full() bool { return k.ExpiresAt.IsZero() && !k.ReadOnly && len(k.Allow) == 0 }

// demandAnother refuses what would leave the environment without a full key.
// Where a full one goes, one that stays is written anew, before: a replica that
// takes that one away at the same moment has built on its state before, and is
// told managed.ErrChanged, as is this one where the key that goes was the one
// that the other left. So of two that each take away what the other leaves, at
// most one does.
func (h *Handler) demandAnother(ctx context.Context, but Key, goes bool) error {
	stay := slices.DeleteFunc(h.keysOf(ctx), func(k Key) bool { return k.ID == but.ID || !k.full() })
	if len(stay) == 0 {
		return refuse(lastKey, "It is the last key of its environment that may do everything from everywhere and does not expire. Make or roll one first.")
	}
	if !goes || slices.ContainsFunc(stay, func(k Key) bool { return k.ofFile }) {
		return nil // nobody here takes those of the file away
	}
	witness := stay[0]
	if at := slices.IndexFunc(stay, func(k Key) bool { return k.Entry != nil }); at >= 0 {
		witness = stay[at]
	}
	_, err := h.storeKey(ctx, witness)
	return err
}
