package app

import (
	"context"
	"fmt"
	"slices"

	"github.com/jethook/jethook/config"
	"github.com/jethook/jethook/fanout"
	"github.com/jethook/jethook/internal/admin"
	"github.com/jethook/jethook/internal/event"
	"github.com/jethook/jethook/internal/managed"
)

// openAdmin makes the management API. Its keys and endpoints follow in apply.
func (a *App) openAdmin(c *config.Config) error {
	a.directory = fanout.NewDirectory(a.bus, a.vault, a.options.Logger, c.Deliver.DisableAfter)
	var err error
	if a.admin, err = admin.New(admin.Config{Bus: a.bus, Directory: a.directory, Managed: a.managed, Guard: a.guard, Client: a.client, Logger: a.options.Logger, Meter: a.telemetry.meter("deliver"), TrustedProxies: c.Listen.TrustedProxies}); err != nil {
		return err
	}
	if a.private, err = listen(c.Listen.Admin, a.admin); err != nil {
		return fmt.Errorf("listen.admin: %w", err)
	}
	return nil
}

// applyKeys gives the management API the file's keys and those that the bus has
// since the first start, which are made and shown once where there is no key of
// their environment.
func (a *App) applyKeys(ctx context.Context, c *config.Config) error {
	keys := make([]admin.Key, 0, len(c.Admin.Keys))
	for i, secret := range c.Admin.Keys {
		key, err := admin.ParseKey(secret.Reveal())
		if err != nil {
			return fmt.Errorf("admin.keys[%d]: %w", i, err)
		}
		keys = append(keys, key)
	}
	missing := func(env event.Env) bool {
		return !slices.ContainsFunc(keys, func(k admin.Key) bool { return k.Env == env }) &&
			!slices.ContainsFunc(a.managed.Keys(), func(k managed.Key) bool { return k.Env == env })
	}
	generated, err := admin.GeneratedKeys(ctx, a.bus, missing, a.showKey)
	if err != nil {
		return err
	}
	a.admin.SetKeys(append(keys, generated...))
	return nil
}

func (a *App) showKey(env event.Env, key string) {
	fmt.Fprintf(a.options.Stdout, "management API, %s: generated key, shown this once: %s\n", env, key)
}
