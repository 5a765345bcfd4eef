package admin

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/jethook/jethook/api"
	"github.com/jethook/jethook/config"
	"github.com/jethook/jethook/internal/bus"
	"github.com/jethook/jethook/internal/caller"
	"github.com/jethook/jethook/internal/managed"
)

// KeyPath names a key.
type KeyPath struct {
	ID string `path:"id" maxLength:"64" doc:"The key's id." example:"key_019ac0a2b3c87d1e9f00a1b2c3d4e5f6"`
}

// keysOf are the keys of the caller's environment that are not deleted, the oldest
// first.
func (h *Handler) keysOf(ctx context.Context) []Key {
	keys := slices.DeleteFunc(h.all(), func(k Key) bool { return k.Env != exchangeOf(ctx).key.Env || k.Deleted })
	slices.SortStableFunc(keys, func(a, b Key) int { return a.CreatedAt.Compare(b.CreatedAt) })
	return keys
}

func (h *Handler) listKeys(ctx context.Context, q *struct{ Page }) (*output[api.List[api.Key]], error) {
	all := h.keysOf(ctx)
	first := min(q.Offset, len(all))
	last := min(first+q.Limit, len(all))
	used, err := h.lastUses(ctx)
	if err != nil {
		return nil, err
	}
	found := make([]api.Key, 0, last-first)
	for _, k := range all[first:last] {
		found = append(found, h.wireKey(k, used))
	}
	return listed(found, last < len(all)), nil
}

// wireKey shows a key, with its use of those by id.
func (h *Handler) wireKey(k Key, used map[string]time.Time) api.Key {
	shown := api.Key{ID: k.id(), Name: k.Name, Env: string(k.Env), Masked: managed.KeyPrefix(k.Env) + "..." + k.Last, Allow: []string{}, ReadOnly: k.ReadOnly,
		ManagedBy: "api", Valid: k.Valid(h.now()), CreatedAt: k.CreatedAt, CreatedBy: k.CreatedBy, ExpiresAt: k.ExpiresAt, LastUsed: used[k.id()]}
	if k.ofFile {
		shown.ManagedBy = "file"
	}
	for _, p := range k.Allow {
		text := p.String()
		if p.IsSingleIP() {
			text = p.Addr().String()
		}
		shown.Allow = append(shown.Allow, text)
	}
	return shown
}

// key returns the key that a path names.
func (h *Handler) key(ctx context.Context, id string) (Key, error) {
	for _, k := range h.keysOf(ctx) {
		if k.id() == id {
			return k, nil
		}
	}
	return Key{}, refuse(notFound, "There is no API key of that id in this environment.")
}

func (h *Handler) getKey(ctx context.Context, in *KeyPath) (*output[api.Key], error) {
	k, err := h.key(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	return h.shown(ctx, k)
}

// shown is the answer that is a key.
func (h *Handler) shown(ctx context.Context, k Key) (*output[api.Key], error) {
	used, err := h.lastUses(ctx)
	if err != nil {
		return nil, err
	}
	return answer(h.wireKey(k, used)), nil
}

func answered[T any](body T, err error) (*output[T], error) {
	if err != nil {
		return nil, err
	}
	return answer(body), nil
}

func (h *Handler) createKey(ctx context.Context, in *struct{ Body api.KeySpec }) (*output[api.Key], error) {
	own := exchangeOf(ctx).key
	k := Key{Key: managed.Key{Env: own.Env, CreatedBy: own.id()}}
	if err := specify(&k, in.Body); err != nil {
		return nil, err
	}
	made, text, err := h.config.Managed.CreateKey(ctx, k.Key)
	if err != nil {
		return nil, err
	}
	return h.first(made, text), nil
}

// first is the answer with the text of a key that was made.
func (h *Handler) first(made managed.Key, text config.Secret) *output[api.Key] {
	shown := h.wireKey(Key{Key: made}, nil)
	shown.Key = text.Reveal()
	return answer(shown)
}

// specify changes what a request says of a key.
func specify(k *Key, spec api.KeySpec) error {
	if spec.Name != nil {
		k.Name = *spec.Name
	}
	if spec.ReadOnly != nil {
		k.ReadOnly = *spec.ReadOnly
	}
	if spec.Allow == nil {
		return nil
	}
	k.Allow = nil
	for i, text := range *spec.Allow {
		p, err := parseNetwork(text)
		if err != nil {
			return misplaced(fmt.Sprintf("body.allow[%d]", i), "is not an address or a network, such as 203.0.113.7 or 10.0.0.0/8")
		}
		k.Allow = append(k.Allow, p)
	}
	k.Allow = caller.Normal(k.Allow)
	return nil
}

// parseNetwork reads an address or a network in CIDR notation.
func parseNetwork(text string) (netip.Prefix, error) {
	if !strings.Contains(text, "/") {
		addr, err := netip.ParseAddr(text)
		if err != nil {
			return netip.Prefix{}, err
		}
		addr = addr.Unmap().WithZone("")
		return netip.PrefixFrom(addr, addr.BitLen()), nil
	}
	p, err := netip.ParsePrefix(text)
	return p.Masked(), err
}

func (h *Handler) updateKey(ctx context.Context, in *struct {
	KeyPath
	Body api.KeySpec
},
) (*output[api.Key], error) {
	h.keyChange.Lock()
	defer h.keyChange.Unlock()
	k, err := h.setKey(ctx, in.ID, func(k *Key) error {
		was := k.full()
		if err := specify(k, in.Body); err != nil {
			return err
		}
		own := exchangeOf(ctx)
		if k.ID == own.key.ID && len(k.Allow) > 0 && !caller.Within(k.Allow, own.from) {
			return misplaced("body.allow", fmt.Sprintf("leaves out %s, from where this request comes with this very key", own.from))
		}
		if was && !k.full() {
			return h.demandAnother(ctx, *k, true)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return h.shown(ctx, k)
}

// setKey changes a key, again where somebody else was faster. A key of the first
// start becomes an entry by it.
func (h *Handler) setKey(ctx context.Context, id string, change func(*Key) error) (Key, error) {
	return h.editKey(ctx, id, func(k Key) (Key, error) {
		if err := change(&k); err != nil {
			return k, err
		}
		return h.storeKey(ctx, k)
	})
}

// editKey acts on a key, again where somebody else changed what act builds on.
func (h *Handler) editKey(ctx context.Context, id string, act func(Key) (Key, error)) (Key, error) {
	for try := 1; ; try++ {
		k, err := h.key(ctx, id)
		if err != nil {
			return k, err
		}
		if k.ofFile {
			return k, managed.ErrFile
		}
		k, err = act(k)
		if !errors.Is(err, managed.ErrChanged) || try == maxEdits {
			return k, err
		}
	}
}

// storeKey stores what a key is now, unless somebody else has changed it, which is
// managed.ErrChanged.
func (h *Handler) storeKey(ctx context.Context, k Key) (Key, error) {
	stored := h.config.Managed.SetKey
	if k.Entry == nil {
		stored = h.config.Managed.AddKey
	}
	var err error
	k.Key, err = stored(ctx, k.Key)
	if errors.Is(err, managed.ErrTaken) {
		err = managed.ErrChanged // it has become an entry meanwhile
	}
	return k, err
}

func (h *Handler) deleteKey(ctx context.Context, in *KeyPath) (*struct{}, error) {
	h.keyChange.Lock()
	defer h.keyChange.Unlock()
	_, err := h.editKey(ctx, in.ID, func(k Key) (Key, error) {
		if err := h.demandAnother(ctx, k, k.full()); err != nil {
			return k, err
		}
		return k, h.removeKey(ctx, k)
	})
	return nil, err
}

// removeKey removes a key. That of the first start is kept as deleted, for the
// bus has it elsewhere too. Where somebody else has changed it, the error is
// managed.ErrChanged.
func (h *Handler) removeKey(ctx context.Context, k Key) error {
	if k.Entry != nil {
		if stored, err := h.config.Bus.Key(ctx, k.Env); errors.Is(err, bus.ErrNotFound) || err == nil && stored != fmt.Sprintf("%x", k.Hash) {
			return h.config.Managed.Delete(ctx, *k.Entry)
		}
	}
	k.Deleted = true
	_, err := h.storeKey(ctx, k)
	return err
}
