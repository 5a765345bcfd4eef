package admin

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/jethook/jethook/api"
	"github.com/jethook/jethook/internal/bus"
	"github.com/jethook/jethook/internal/managed"
	"github.com/jethook/jethook/internal/provider"
)

// providerTimeout bounds one request to a provider's API.
const providerTimeout = 10 * time.Second

// providers is the client of the providers' APIs, whose addresses an API key's
// owner may choose: it goes where deliveries may go, and follows no redirects.
func (h *Handler) providers() *http.Client {
	dialer := &net.Dialer{Timeout: providerTimeout, Control: h.config.Guard.Control}
	return &http.Client{
		Timeout:       providerTimeout,
		Transport:     &http.Transport{DialContext: dialer.DialContext, DisableKeepAlives: true, TLSHandshakeTimeout: providerTimeout, MaxResponseHeaderBytes: 64 << 10},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// account is that of the caller at a provider.
func (h *Handler) account(ctx context.Context, of api.Account) (*provider.Account, error) {
	if of.BaseURL != "" {
		u, err := url.Parse(of.BaseURL)
		if err != nil || u.Host == "" || u.Scheme != "https" && !(u.Scheme == "http" && h.config.Guard.Internal(ctx, of.BaseURL)) {
			return nil, misplaced("body.base_url", "is not an https address")
		}
	}
	account, err := provider.NewAccount(provider.AccountConfig{Provider: of.Provider, BaseURL: of.BaseURL, APIKey: of.APIKey, HTTP: h.providers()})
	if err != nil {
		return nil, misplaced("body", err.Error())
	}
	return account, nil
}

// providerFailure tells the caller what a provider has answered.
func providerFailure(err error) error {
	if errors.Is(err, provider.ErrProvider) {
		code := providerFailed
		if errors.Is(err, provider.ErrSilent) {
			code = providerSilent
		}
		return &problem{code: code, detail: strings.ToUpper(err.Error()[:1]) + err.Error()[1:] + ". Run it again when that is mended: it goes on where it stopped.", cause: err}
	}
	return err
}

func (h *Handler) registered(ctx context.Context, in *struct{ Body api.Account }) (*output[api.List[api.Webhook]], error) {
	account, err := h.account(ctx, in.Body)
	if err != nil {
		return nil, err
	}
	all, err := account.List(ctx)
	if err != nil {
		return nil, providerFailure(err)
	}
	found := make([]api.Webhook, 0, len(all))
	for _, w := range all {
		found = append(found, wireWebhook(w))
	}
	return listed(found, false), nil
}

func wireWebhook(w provider.Webhook) api.Webhook {
	events := w.Events
	if events == nil {
		events = []string{}
	}
	return api.Webhook{ID: w.ID, URL: masked(w.URL), Events: events, Enabled: w.Enabled}
}

// connect registers a source of this gateway with its provider and keeps what the
// provider signs with. Asked again it changes what differs, and repairs what was
// half done: where the secret is not known here, the provider makes a new one.
func (h *Handler) connect(ctx context.Context, in *struct{ Body api.Connect }) (*output[api.Connected], error) {
	of := in.Body
	account, err := h.account(ctx, of.Account)
	if err != nil {
		return nil, err
	}
	if of.Name == "" {
		of.Name = of.Provider
	}
	address, err := receiving(of.PublicURL, of.Name)
	if err != nil {
		return nil, err
	}
	preset, err := provider.Lookup(provider.PresetOf(of.Provider))
	if err != nil {
		return nil, err
	}
	if len(of.Events) == 0 {
		of.Events = preset.Catalogue
	}
	for i, name := range of.Events {
		if err := preset.CheckEvent(name); err != nil {
			return nil, misplaced(fmt.Sprintf("body.events[%d]", i), err.Error())
		}
	}
	if preset.Scheme == nil && of.Verify == nil {
		return nil, misplaced("body.verify", fmt.Sprintf("is missing: %s does not publish how it signs; write how requests are verified, as the file would", preset.Title))
	}
	env := exchangeOf(ctx).key.Env
	have, err := h.config.Managed.Get(managed.Sources, env, of.Name)
	known := err == nil
	if err != nil && !errors.Is(err, bus.ErrNotFound) {
		return nil, err
	}
	if !known { // before the provider is asked
		probe := h.connection(of, address, preset.Name, provider.Webhook{Secret: "whsec_what the provider will answer", PublicKey: preset.SamplePublicKey()})
		if err := h.config.Managed.Examine(managed.Sources, env, probe); err != nil {
			return nil, err
		}
	}
	result := api.Connected{Address: address, Events: of.Events, DryRun: of.DryRun}
	if of.DryRun {
		return h.dryRun(ctx, account, result)
	}
	w, replaced, err := account.Ensure(ctx, address, of.Events, !known, of.Rotate)
	if err != nil {
		return nil, providerFailure(err)
	}
	if err := h.keepSource(ctx, of, address, preset.Name, known, have, w); err != nil {
		return nil, err
	}
	for _, id := range replaced {
		if err := account.Delete(ctx, id); err != nil {
			return nil, providerFailure(err)
		}
	}
	result.Webhook, result.Rotated = wireWebhook(w), known && of.Rotate
	source, err := h.sourceEntries().get(ctx, &EntryPath{of.Name})
	if err != nil {
		return nil, err
	}
	result.Source = &source.Body
	return answer(result), nil
}

// dryRun says what connect would find.
func (h *Handler) dryRun(ctx context.Context, account *provider.Account, result api.Connected) (*output[api.Connected], error) {
	all, err := account.List(ctx)
	if err != nil {
		return nil, providerFailure(err)
	}
	for _, w := range all {
		if w.URL == result.Address {
			result.Webhook = wireWebhook(w)
		}
	}
	return answer(result), nil
}

// receiving is where the gateway receives a source's requests.
func receiving(public, name string) (string, error) {
	u, err := url.Parse(public)
	if err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" || u.RawQuery != "" || u.Fragment != "" || u.User != nil {
		return "", misplaced("body.public_url", "is not an address such as https://hooks.example.com, where the provider reaches listen.ingest")
	}
	return strings.TrimSuffix(public, "/") + "/in/" + name, nil
}

// connection is the entry of a connected source.
func (h *Handler) connection(of api.Connect, address, preset string, w provider.Webhook) map[string]any {
	spec := map[string]any{"name": of.Name, "preset": preset, "public_url": address}
	if of.Verify != nil {
		spec["verify"] = of.Verify
	}
	if w.PublicKey != "" {
		spec["public_keys"] = []any{w.PublicKey}
	} else {
		spec["secrets"] = []any{w.Secret}
	}
	return spec
}

// keepSource stores what the provider signs with. A secret that was valid before
// stays so beside a new one, until the next rotation.
func (h *Handler) keepSource(ctx context.Context, of api.Connect, address, preset string, known bool, have managed.Entry, w provider.Webhook) error {
	if !known {
		if w.Secret == "" && w.PublicKey == "" {
			return providerFailure(fmt.Errorf("%w answered neither a secret nor a public key", provider.ErrProvider))
		}
		_, err := h.config.Managed.Create(ctx, managed.Sources, exchangeOf(ctx).key.Env, of.Provider, h.connection(of, address, preset, w))
		return err
	}
	_, err := h.edit(ctx, managed.Sources, have.Name, "", func(e managed.Entry) (managed.Entry, error) {
		patch := map[string]any{"public_url": address}
		switch {
		case w.PublicKey != "":
			patch["public_keys"] = []any{w.PublicKey}
			if old := e.PublicKey(); old != "" && old != w.PublicKey {
				patch["public_keys"] = []any{w.PublicKey, old}
			}
		case w.Secret != "":
			patch["secrets"] = []any{w.Secret}
			if old := e.Newest(); old != "" && old != w.Secret {
				patch["secrets"] = []any{w.Secret, old}
			}
		}
		if of.Verify != nil {
			patch["verify"] = of.Verify
		}
		return h.config.Managed.Update(ctx, e, patch)
	})
	return err
}

// disconnect has the provider send nothing more, and then removes the source.
func (h *Handler) disconnect(ctx context.Context, in *struct {
	EntryPath
	Body api.Account
},
) (*struct{}, error) {
	have, err := h.config.Managed.Get(managed.Sources, exchangeOf(ctx).key.Env, in.Name)
	if errors.Is(err, bus.ErrNotFound) {
		return nil, refuse(notFound, "There is no source of that name in this environment.")
	}
	if err != nil {
		return nil, err
	}
	account, err := h.account(ctx, in.Body)
	if err != nil {
		return nil, err
	}
	all, err := account.List(ctx)
	if err != nil {
		return nil, providerFailure(err)
	}
	for _, w := range all {
		if w.URL == have.Address() {
			if err := account.Delete(ctx, w.ID); err != nil {
				return nil, providerFailure(err)
			}
		}
	}
	return nil, h.config.Managed.Delete(ctx, have)
}
