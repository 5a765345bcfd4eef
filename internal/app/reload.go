package app

import (
	"context"
	"errors"
	"reflect"

	"github.com/jethook/jethook/config"
)

// Reload puts a new configuration into force while the process runs: sources,
// endpoints, subscribers, API keys, the keyset and allow_networks at once. What needs a new start,
// such as addresses and the bus, is left as it is and named in the log. On an
// error the old configuration stays in force.
func (a *App) Reload(ctx context.Context, c *config.Config) error {
	if err := Check(c); err != nil {
		return err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if err := a.reloadKeyset(a.vault.Reload(ctx, c.Encryption.Keyset.Reveal())); err != nil {
		return err
	}
	if fixed := needRestart(a.started, c); len(fixed) > 0 {
		a.options.Logger.Warn("these settings changed and take effect when jethook is started again", "keys", fixed)
	}
	if err := a.apply(ctx, c); err != nil {
		err = errors.Join(err, a.assemble(a.config), a.guard.Allow(a.config.Deliver.AllowNetworks))
		a.wake() // some stages may have the new lists
		return err
	}
	a.config = c
	a.options.Logger.Info("configuration is in force", "sources", len(c.Sources), "endpoints", len(c.Endpoints), "subscribers", len(c.Subscribers))
	return nil
}

// apply puts a configuration into force.
func (a *App) apply(ctx context.Context, c *config.Config) error {
	if err := a.assemble(c); err != nil {
		return err
	}
	a.warn(a.inForce())
	if err := a.guard.Allow(c.Deliver.AllowNetworks); err != nil {
		return err
	}
	if c.NATS.UseEmbedded() {
		if err := a.bus.SetTLS(busTLS(c.NATS.Embedded.TLS)); err != nil {
			return err
		}
	}
	a.client.Close() // connections that are open were checked against the networks before
	if err := a.applyLists(ctx); err != nil {
		return err
	}
	if a.admin != nil {
		return a.applyKeys(ctx, c)
	}
	return nil
}

// fixedNATS is what cannot change: of the certificates, whether there are any.
func fixedNATS(n config.NATS) config.NATS {
	if n.Embedded.TLS != (config.ServerTLS{}) {
		n.Embedded.TLS = config.ServerTLS{Cert: "given"}
	}
	return n
}

// needRestart names the settings that differ and cannot change in a running
// process.
func needRestart(old, next *config.Config) []string {
	var keys []string
	for _, setting := range []struct {
		key       string
		old, next any
	}{
		{"roles", old.Roles, next.Roles},
		{"listen", old.Listen, next.Listen},
		{"nats", fixedNATS(old.NATS), fixedNATS(next.NATS)},
		{"deliver.disable_after", old.Deliver.DisableAfter, next.Deliver.DisableAfter},
		{"log", old.Log, next.Log},
	} {
		if !reflect.DeepEqual(setting.old, setting.next) {
			keys = append(keys, setting.key)
		}
	}
	return keys
}
