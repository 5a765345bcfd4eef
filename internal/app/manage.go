package app

import (
	"context"
	"fmt"

	"github.com/jethook/jethook/config"
	"github.com/jethook/jethook/fanout"
	"github.com/jethook/jethook/internal/admin"
	"github.com/jethook/jethook/internal/event"
)

// openAdmin makes the management API. Its keys and endpoints follow in apply.
func (a *App) openAdmin(c *config.Config) error {
	a.directory = fanout.NewDirectory(a.bus, c.Deliver.DisableAfter)
	var err error
	if a.admin, err = admin.New(admin.Config{Bus: a.bus, Directory: a.directory, Managed: a.managed, Guard: a.guard, Logger: a.options.Logger}); err != nil {
		return err
	}
	if a.private, err = listen(c.Listen.Admin, a.admin); err != nil {
		return fmt.Errorf("listen.admin: %w", err)
	}
	return nil
}

// applyKeys gives the management API the file's keys. A file without keys has
// those take effect that the bus keeps, which are made and shown once.
func (a *App) applyKeys(ctx context.Context, c *config.Config) error {
	keys := make([]admin.Key, 0, len(c.Admin.Keys))
	for i, secret := range c.Admin.Keys {
		key, err := admin.ParseKey(secret.Reveal())
		if err != nil {
			return fmt.Errorf("admin.keys[%d]: %w", i, err)
		}
		keys = append(keys, key)
	}
	if len(keys) == 0 {
		var err error
		if keys, err = admin.GeneratedKeys(ctx, a.bus, a.showKey); err != nil {
			return err
		}
	}
	a.admin.SetKeys(keys)
	return nil
}

func (a *App) showKey(env event.Env, key string) {
	fmt.Fprintf(a.options.Stdout, "management API, %s: generated key, shown this once: %s\n", env, key)
}
