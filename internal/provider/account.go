package provider

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/jethook/jethook/internal/signature"
)

// AccountConfig is what an Account needs.
type AccountConfig struct {
	Provider string       // clink, chip or diddo
	BaseURL  string       // empty for the provider's own, where that is known
	APIKey   string       // of the merchant at the provider; secret
	HTTP     *http.Client // required; it follows no redirects, which would carry the key elsewhere
}

// Account is a merchant's account at a provider whose webhook API jethook speaks:
// Clink's and CHIP's as their API references have it, and Diddo's, whose answers
// are not printed there, as far as its fields are. It is safe for concurrent use.
type Account struct {
	config AccountConfig
	dialect
}

// dialect is what differs between the providers' APIs.
type dialect struct {
	base   string // of the API; empty where it is not known
	list   string // path of the webhooks
	one    string // before an id, and after it
	after  string
	ensure string // path that makes or changes the one with a url; empty where there is none
	put    string // method of a change
}

var dialects = map[string]dialect{
	"clink": {list: "/webhook/endpoints", one: "/webhook/endpoints/", ensure: "/webhook/endpoints/ensure", put: http.MethodPut},
	"chip":  {base: "https://gate.chip-in.asia/api/v1", list: "/webhooks/", one: "/webhooks/", after: "/", put: http.MethodPatch},
	"diddo": {list: "/webhook", one: "/webhook/", put: http.MethodPut},
}

// PresetOf is the preset of a provider's webhooks; empty for one that has no
// Account.
func PresetOf(provider string) string {
	return map[string]string{"clink": "clink", "chip": "chip-collect", "diddo": "diddo"}[provider]
}

// SamplePublicKey is a public key as the preset's provider would give one, whose
// private half nobody has; empty where its requests are not verified with one.
func (p Preset) SamplePublicKey() string {
	if p.Scheme == nil || !p.Scheme.Algorithm.Asymmetric() {
		return ""
	}
	secret, err := signature.GenerateSecret(p.Scheme.Algorithm)
	if err != nil {
		return ""
	}
	key, err := signature.ParseSigningKey(p.Scheme.Algorithm, p.Scheme.KeyEncoding, secret)
	if err != nil {
		return ""
	}
	public, _ := signature.PublicKey(key) // a private key has one
	return public
}

// maxAccountAnswer bounds a provider's answer.
const maxAccountAnswer = 1 << 20

// ErrProvider is wrapped by the error of a provider that refuses, does not answer,
// or answers something else than its documentation says.
var ErrProvider = errors.New("the provider's API")

// ErrSilent is the ErrProvider of a provider that does not answer.
var ErrSilent = fmt.Errorf("%w does not answer", ErrProvider)

// NewAccount checks the configuration. Nothing is asked yet.
func NewAccount(config AccountConfig) (*Account, error) {
	d, known := dialects[config.Provider]
	switch {
	case !known:
		return nil, errors.New("the provider is none of clink, chip, diddo")
	case config.APIKey == "":
		return nil, errors.New("the provider's API key is missing")
	case config.HTTP == nil:
		return nil, errors.New("provider: HTTP is required")
	case config.BaseURL == "" && d.base == "":
		return nil, fmt.Errorf("the base URL of %s's API is missing; its documentation has one for tests and one for production", config.Provider)
	case config.BaseURL != "":
		d.base = strings.TrimSuffix(config.BaseURL, "/")
	}
	return &Account{config, d}, nil
}

// Webhook is one that is registered at a provider.
type Webhook struct {
	ID      string   `json:"id"`
	URL     string   `json:"url"`
	Events  []string `json:"events"`
	Enabled bool     `json:"enabled"`
	// Secret is what the provider signs with, where it tells that: when it has made
	// it. PublicKey is what its requests are verified with, in PEM.
	Secret    string `json:"-"`
	PublicKey string `json:"public_key,omitempty"`
}

// Format prints no secret.
func (w Webhook) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, w.ID+" "+w.URL) }

// wireWebhook has the fields of all three.
type wireWebhook struct {
	ID            string   `json:"id"`
	URL           string   `json:"url"`
	Callback      string   `json:"callback"`
	Events        []string `json:"events"`
	AllEvents     bool     `json:"all_events"`
	Enabled       *bool    `json:"enabled"`
	Active        *bool    `json:"active"`
	SigningSecret string   `json:"signingSecret"`
	Secret        string   `json:"secret"`
	PublicKey     string   `json:"public_key"`
}

func (w wireWebhook) webhook() Webhook {
	on := func(b *bool) bool { return b == nil || *b }
	return Webhook{ID: w.ID, URL: w.URL + w.Callback, Events: w.Events, Enabled: on(w.Enabled) && on(w.Active),
		Secret: w.SigningSecret + w.Secret, PublicKey: w.PublicKey}
}

// List returns the webhooks that are registered.
func (a *Account) List(ctx context.Context) ([]Webhook, error) {
	var found []Webhook
	for offset := 0; ; {
		path := a.list
		if a.config.Provider == "diddo" {
			path += "?limit=100&offset=" + strconv.Itoa(offset)
		}
		answer, err := a.ask(ctx, http.MethodGet, path, nil)
		if err != nil {
			return nil, err
		}
		page, err := webhooksOf(answer)
		if err != nil {
			return nil, err
		}
		for _, w := range page {
			found = append(found, w.webhook())
		}
		if offset += len(page); a.config.Provider != "diddo" || len(page) < 100 {
			return found, nil
		}
	}
}

// webhooksOf reads a list, which is the answer itself or a member of it.
func webhooksOf(answer json.RawMessage) (list []wireWebhook, err error) {
	if json.Unmarshal(answer, &list) == nil {
		return list, nil
	}
	var members map[string]json.RawMessage
	if json.Unmarshal(answer, &members) == nil {
		for _, name := range []string{"data", "results", "webhooks", "items", "list", "records"} {
			if json.Unmarshal(members[name], &list) == nil {
				return list, nil
			}
		}
	}
	return nil, fmt.Errorf("%w answered no list of webhooks", ErrProvider)
}

// replacedMark is added to the url of a webhook that another takes the place of, so
// that both are served until the other's secret is kept.
const replacedMark = "?replaced"

// Ensure has the events sent to url, and makes its webhook or changes the one that
// there is. Where needed, the answer has what the provider signs with, even if it
// tells that only when it makes it; rotate has it make a new one in any case. A
// provider that has no other way gets a second webhook for it: those in replaced
// are to be deleted once what the first signs with is kept.
func (a *Account) Ensure(ctx context.Context, url string, events []string, needed, rotate bool) (w Webhook, replaced []string, err error) {
	if a.ensure != "" {
		w, err = a.ensureByURL(ctx, url, events, needed, rotate)
		return w, nil, err
	}
	all, err := a.List(ctx)
	if err != nil {
		return Webhook{}, nil, err
	}
	var have *Webhook
	for i := range all {
		switch all[i].URL {
		case url:
			have = &all[i]
		case url + replacedMark: // of a rotation that was cut off
			replaced = append(replaced, all[i].ID)
		}
	}
	body := map[string]any{"url": url, "events": events, "description": "jethook"}
	name := "url"
	if a.config.Provider == "chip" {
		body = map[string]any{"callback": url, "events": events, "title": "jethook"}
		name = "callback"
	}
	switch {
	case have == nil:
		w, err = a.single(ctx, http.MethodPost, a.list, body)
	case rotate || needed && have.PublicKey == "":
		if _, err = a.single(ctx, a.put, a.one+have.ID+a.after, map[string]any{name: url + replacedMark}); err != nil {
			return Webhook{}, nil, err
		}
		replaced = append(replaced, have.ID)
		w, err = a.single(ctx, http.MethodPost, a.list, body)
	default:
		w, err = a.single(ctx, a.put, a.one+have.ID+a.after, body)
	}
	return w, replaced, err
}

// ensureByURL is Ensure where the provider has such an operation.
func (a *Account) ensureByURL(ctx context.Context, url string, events []string, needed, rotate bool) (Webhook, error) {
	answer, err := a.ask(ctx, http.MethodPut, a.ensure, map[string]any{
		"url": url, "events": events, "description": "jethook", "enabled": true,
		"returnSigningSecret": needed || rotate, "rotateSecretIfUnavailable": needed, "rotateSecret": rotate,
	})
	if err != nil {
		return Webhook{}, err
	}
	var ensured struct {
		Endpoint      wireWebhook `json:"endpoint"`
		SigningSecret string      `json:"signingSecret"`
	}
	if err := json.Unmarshal(answer, &ensured); err != nil || ensured.Endpoint.ID == "" {
		return Webhook{}, fmt.Errorf("%w answered no webhook", ErrProvider)
	}
	w := ensured.Endpoint.webhook()
	if w.Secret == "" {
		w.Secret = ensured.SigningSecret
	}
	return w, nil
}

// single asks for something whose answer is one webhook.
func (a *Account) single(ctx context.Context, method, path string, body any) (Webhook, error) {
	answer, err := a.ask(ctx, method, path, body)
	if err != nil {
		return Webhook{}, err
	}
	var w wireWebhook
	if err := json.Unmarshal(answer, &w); err != nil || w.ID == "" {
		var within struct {
			Data wireWebhook `json:"data"`
		}
		if json.Unmarshal(answer, &within) != nil || within.Data.ID == "" {
			return Webhook{}, fmt.Errorf("%w answered no webhook", ErrProvider)
		}
		w = within.Data
	}
	return w.webhook(), nil
}

// Delete removes a webhook. One that is gone already is no error.
func (a *Account) Delete(ctx context.Context, id string) error {
	_, err := a.ask(ctx, http.MethodDelete, a.one+id+a.after, nil)
	var refused *accountError
	if errors.As(err, &refused) && refused.status == http.StatusNotFound {
		return nil
	}
	return err
}

// accountError is a refusal of the provider's.
type accountError struct {
	status  int
	message string
}

func (e *accountError) Error() string {
	return fmt.Sprintf("%v answered %d: %s", ErrProvider, e.status, e.message)
}
func (e *accountError) Unwrap() error { return ErrProvider }

// ask makes a request and returns the answer, of Clink's its data.
func (a *Account) ask(ctx context.Context, method, path string, body any) (json.RawMessage, error) {
	var content []byte
	if body != nil {
		var err error
		if content, err = json.Marshal(body); err != nil {
			return nil, err
		}
	}
	request, err := http.NewRequestWithContext(ctx, method, a.base+path, bytes.NewReader(content))
	if err != nil {
		return nil, fmt.Errorf("%w has no such address", ErrProvider)
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Accept", "application/json")
	if a.config.Provider == "clink" {
		request.Header.Set("X-API-KEY", a.config.APIKey)
		request.Header.Set("X-Timestamp", strconv.FormatInt(time.Now().UnixMilli(), 10))
	} else {
		request.Header.Set("Authorization", "Bearer "+a.config.APIKey)
	}
	response, err := a.config.HTTP.Do(request)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrSilent, err)
	}
	defer func() { _ = response.Body.Close() }() // only read
	answer, err := io.ReadAll(io.LimitReader(response.Body, maxAccountAnswer))
	if err != nil {
		return nil, fmt.Errorf("%w to the end: %w", ErrSilent, err)
	}
	if response.StatusCode/100 != 2 {
		return nil, &accountError{response.StatusCode, a.excerpt(answer)}
	}
	if a.config.Provider != "clink" {
		return answer, nil
	}
	var wrapped struct {
		Code int             `json:"code"`
		Msg  string          `json:"msg"`
		Data json.RawMessage `json:"data"`
	}
	if err := json.Unmarshal(answer, &wrapped); err != nil {
		return nil, &accountError{response.StatusCode, a.excerpt(answer)}
	}
	if wrapped.Code != http.StatusOK {
		return nil, &accountError{wrapped.Code, a.excerpt([]byte(wrapped.Msg))}
	}
	return wrapped.Data, nil
}

// excerpt is the beginning of an answer, for a message; the key is no part of it.
func (a *Account) excerpt(answer []byte) string {
	const most = 300
	text := strings.ReplaceAll(string(answer), a.config.APIKey, "***")
	return strings.Join(strings.Fields(text[:min(len(text), most)]), " ")
}
