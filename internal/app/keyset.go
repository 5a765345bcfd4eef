package app

import (
	"context"
	"fmt"
	"time"

	"github.com/jethook/jethook/fanout"
	"github.com/jethook/jethook/internal/managed"
	"github.com/jethook/jethook/internal/vault"
)

const (
	// keysetLook is how often the keyset's file beside the embedded bus is looked
	// at, and what was encrypted anew is looked at once more.
	keysetLook = time.Second
	// renewPause comes before what rests, or failed, is tried again.
	renewPause = 5 * time.Second
	// renewAgain is when all is looked at once more after nothing was left: what
	// was being written while the keyset changed is stored by then.
	renewAgain = time.Minute
)

// encrypted is all that the vault encrypts.
func encrypted() []vault.Stored { return append(managed.Stored(), fanout.StoredSecrets()) }

// keepKeyset takes up a changed keyset's file beside the embedded bus, and has
// what is stored encrypted with the primary key, until ctx ends.
func (a *App) keepKeyset(ctx context.Context) {
	look := time.NewTicker(keysetLook)
	defer look.Stop()
	renew := time.NewTimer(0)
	defer renew.Stop()
	var wait time.Time // what was refused is not looked at before
	refused, calm := "", false
	for {
		select {
		case now := <-look.C:
			if now.Before(wait) {
				continue
			}
			err := a.reloadKeyset(a.vault.Refresh(ctx))
			if err == nil {
				refused = ""
				continue
			}
			if wait = now.Add(renewPause); err.Error() != refused && ctx.Err() == nil {
				refused = err.Error()
				a.options.Logger.Error("the changed keyset is not in force; the one before stays, and this one is tried again", "error", err)
			}
		case <-a.keysetChanged:
			calm = false
			renew.Reset(0)
		case <-renew.C:
			next := a.renew(ctx)
			if next == 0 && !calm {
				calm, next = true, renewAgain
			}
			if next > 0 {
				renew.Reset(next)
			}
		case <-ctx.Done():
			return
		}
	}
}

// reloadKeyset makes known that another keyset is in force.
func (a *App) reloadKeyset(changed bool, err error) error {
	if err != nil || !changed {
		return err
	}
	a.managed.Reread()
	primary, enabled := a.vault.Keys()
	a.options.Logger.Info("the keyset is in force", "primary", primary, "enabled", enabled)
	select {
	case a.keysetChanged <- struct{}{}:
	default: // it is known already
	}
	return nil
}

// renew encrypts anew what is encrypted with an older key, and returns when to
// look again; zero where nothing was left.
func (a *App) renew(ctx context.Context) time.Duration {
	primary, enabled := a.vault.Keys()
	renewed, left, err := a.vault.Renew(ctx)
	switch {
	case ctx.Err() != nil:
	case err != nil:
		a.options.Logger.Error("what is encrypted with an older key could not be encrypted anew, and is tried again", "error", err)
		return renewPause
	case left > 0:
		a.setKeysetState(primary, fmt.Sprintf("older keys are needed for %d replies to requests, for a minute", left))
		return renewPause
	case renewed > 0:
		a.options.Logger.Info("encrypted anew with the primary key", "primary", primary, "entries", renewed)
		a.setKeysetState(primary, olderUnknown)
		return keysetLook
	case len(enabled) > 1:
		a.options.Logger.Info("nothing that is stored needs an older key", "primary", primary)
		fallthrough
	default:
		a.setKeysetState(primary, olderNotNeeded)
	}
	return 0
}

// What is known of the keys that are older than the primary one.
const (
	olderUnknown   = "older keys may be needed"
	olderNotNeeded = "older keys are not needed"
)

// keysetState is what is known beside one primary key.
type keysetState struct {
	primary uint32
	text    string
}

func (a *App) setKeysetState(primary uint32, text string) {
	a.keysetState.Store(&keysetState{primary, text})
}

// noteKeyset is what /readyz says of the keyset; empty where there is none.
func (a *App) noteKeyset() string {
	primary, enabled := a.vault.Keys()
	switch {
	case len(enabled) == 0:
		return ""
	case len(enabled) == 1:
		return fmt.Sprintf("key %d encrypts", primary)
	}
	state := olderUnknown
	if known := a.keysetState.Load(); known != nil && known.primary == primary {
		state = known.text
	}
	return fmt.Sprintf("key %d encrypts, keys %d decrypt; %s", primary, enabled, state)
}
