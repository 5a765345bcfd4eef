package app

import (
	"encoding/base64"
	"log/slog"
	"net/http"

	"go.opentelemetry.io/otel/metric"

	"github.com/jethook/jethook/config"
	"github.com/jethook/jethook/deliver"
	"github.com/jethook/jethook/fanout"
	"github.com/jethook/jethook/ingest"
	"github.com/jethook/jethook/internal/bus"
	"github.com/jethook/jethook/internal/event"
	"github.com/jethook/jethook/internal/provider"
	"github.com/jethook/jethook/internal/signature"
)

// This file turns the configuration's words into each stage's own.

func busConfig(c *config.Config, logger *slog.Logger, meter metric.Meter) bus.Config {
	nats := c.NATS
	translated := bus.Config{
		Logger: logger,
		Meter:  meter,
		Stream: bus.Stream{
			Replicas:     nats.Stream.Replicas,
			MaxAge:       nats.Stream.MaxAge,
			MaxBytes:     int64(nats.Stream.MaxBytes),
			DedupeWindow: nats.Stream.DedupeWindow,
		},
	}
	if nats.UseEmbedded() {
		translated.Embedded = &bus.Embedded{
			StoreDir:   nats.Embedded.StoreDir,
			Listen:     nats.Embedded.Listen,
			Durability: bus.Durability(nats.Embedded.Durability),
			Users:      busUsers(c),
			TLS:        busTLS(c.NATS.Embedded.TLS),
		}
		return translated
	}
	translated.External = bus.External{
		URL:     nats.URL,
		Creds:   []byte(nats.Creds.Reveal()),
		Context: nats.Context,
		TLS:     bus.TLS{CA: []byte(nats.TLS.CA), Cert: []byte(nats.TLS.Cert), Key: []byte(nats.TLS.Key.Reveal())},
		Signing: bus.Signing{Key: []byte(nats.Signing.Key.Reveal()), Account: nats.Signing.Account},
	}
	return translated
}

func busTLS(t config.ServerTLS) bus.ServerTLS {
	return bus.ServerTLS{Cert: []byte(t.Cert), Key: []byte(t.Key.Reveal()), ClientCA: []byte(t.ClientCA)}
}

func busUsers(c *config.Config) []bus.User {
	var users []bus.User
	for _, s := range c.Subscribers {
		if s.NKey != "" {
			users = append(users, busUser(s))
		}
	}
	return users
}

// busUser is who may consume as a subscriber that has an nkey.
func busUser(s config.Subscriber) bus.User {
	return bus.User{Name: s.Name, Env: event.Env(s.Env), NKeys: append([]string{s.NKey}, s.OldNKeys...)}
}

func ingestSource(s config.Source) (ingest.Source, error) {
	preset, err := Resolve(s)
	if err != nil {
		return ingest.Source{}, err
	}
	keys, err := sourceKeys(s, preset)
	if err != nil {
		return ingest.Source{}, err
	}
	verifier, err := signature.NewVerifier(*preset.Scheme, keys)
	if err != nil {
		return ingest.Source{}, err
	}
	extractor, err := provider.NewExtractor(preset.ExtractorConfig())
	if err != nil {
		return ingest.Source{}, err
	}
	var handshake *provider.Handshake
	if preset.Handshake != "" {
		if handshake, err = provider.NewHandshake(preset.Handshake, keys); err != nil {
			return ingest.Source{}, err
		}
	}
	return ingest.Source{
		Name:         s.Name,
		Env:          event.Env(s.Env),
		Verifier:     verifier,
		Extractor:    extractor,
		Handshake:    handshake,
		KeepHeaders:  append(preset.Headers, s.KeepHeaders...),
		AllowIPs:     s.AllowIPs,
		MaxBody:      int64(s.MaxBody),
		Rate:         float64(s.Rate),
		RejectStatus: preset.RejectStatus,
		PublicURL:    s.PublicURL,
	}, nil
}

func fanoutEndpoint(e config.Endpoint) (fanout.Endpoint, error) {
	style := deliver.Style(e.Signature)
	if e.Pull {
		style = deliver.StyleNone
	}
	keys, err := endpointKeys(style, e.Secrets)
	if err != nil {
		return fanout.Endpoint{}, err
	}
	header := make(http.Header, len(e.Headers))
	for name, value := range e.Headers {
		header.Set(name, value.Reveal())
	}
	if value := authorization(e.Auth); value != "" {
		header.Set("Authorization", value)
	}
	return fanout.Endpoint{
		Endpoint: deliver.Endpoint{
			Name:        e.Name,
			Env:         event.Env(e.Env),
			URL:         e.URL,
			Pull:        e.Pull,
			Signature:   style,
			Keys:        keys,
			Timeout:     e.Timeout,
			Concurrency: e.Concurrency,
			Rate:        float64(e.Rate),
			Filter:      e.Filter,
			Header:      header,
			TLS:         endpointTLS(e.TLS),
			Retry: deliver.Retry{
				Attempts:    e.Retry.Attempts,
				Initial:     e.Retry.Initial,
				Multiplier:  e.Retry.Multiplier,
				MaxInterval: e.Retry.MaxInterval,
				MaxElapsed:  e.Retry.MaxElapsed,
				Jitter:      e.Retry.Jitter,
			},
		},
		Events:      patterns(e.Events, e.AllEvents),
		Enabled:     e.Enabled,
		Description: e.Description,
		Start:       fanout.Start(e.Start),
	}, nil
}

// authorization is the value of the header of that name, empty for none.
func authorization(a config.Auth) string {
	switch {
	case !a.Bearer.Empty():
		return "Bearer " + a.Bearer.Reveal()
	case a.Basic != nil:
		return "Basic " + base64.StdEncoding.EncodeToString([]byte(a.Basic.User+":"+a.Basic.Password.Reveal()))
	}
	return ""
}

func endpointTLS(t config.TLS) deliver.TLS { return deliver.NewTLS(t.CA, t.Cert, t.Key.Reveal()) }

func fanoutSubscriber(s config.Subscriber) fanout.Subscriber {
	return fanout.Subscriber{Name: s.Name, Env: event.Env(s.Env), Events: patterns(s.Events, s.AllEvents), AckWait: s.AckWait, MaxDeliver: s.MaxDeliver}
}

// patterns trusts what the configuration has checked.
func patterns(texts []string, all bool) []event.Pattern {
	if all {
		return []event.Pattern{event.AllEvents}
	}
	selected := make([]event.Pattern, 0, len(texts))
	for _, text := range texts {
		selected = append(selected, event.Pattern(text))
	}
	return selected
}
