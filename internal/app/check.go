package app

import (
	"maps"
	"slices"
	"strings"

	"github.com/jethook/jethook/config"
	"github.com/jethook/jethook/deliver"
	"github.com/jethook/jethook/ingest"
	"github.com/jethook/jethook/internal/provider"
	"github.com/jethook/jethook/internal/signature"
)

// Check finds what the configuration cannot see by itself: whether presets
// exist, keys fit their algorithms and filters compile. The error is
// *config.Problems, with each problem's place in its file.
func Check(c *config.Config) error {
	var problems config.Problems
	add := func(path string, found map[string]error) {
		for _, key := range slices.Sorted(maps.Keys(found)) {
			text := strings.TrimLeft(strings.TrimPrefix(found[key].Error(), key), ": ") // the place has the key
			problems.Add(c.Position(path+"."+key), "%s", text)
		}
	}
	for _, s := range c.Sources {
		add(s.Pos.Key, sourceProblems(c, s))
	}
	add("nats.embedded.tls", serverTLSProblems(c.NATS.Embedded.TLS))
	guard, err := deliver.NewGuard(c.Deliver.AllowNetworks)
	if err != nil {
		problems.Add(c.Position("deliver.allow_networks"), "%v", err)
		guard = nil
	}
	for _, e := range c.Endpoints {
		add(e.Pos.Key, endpointProblems(c, e, guard))
	}
	return problems.Err(nil)
}

// sourceProblems returns what is wrong with a source, by its keys.
func sourceProblems(c *config.Config, s config.Source) map[string]error {
	preset, err := layered(s)
	found := preset.ExtractorConfig().Problems()
	path := s.Pos.Key
	switch {
	case err != nil:
		found["preset"] = err
		return found
	case s.Preset == "" && s.Verify == nil, !c.Sound(path + ".preset"), !c.Sound(path + ".verify"):
		return found // how it verifies is not known, and the configuration has said so
	case preset.Scheme == nil:
		found["verify"] = preset.Check()
		return found
	}
	if err := preset.Scheme.Validate(); err != nil {
		found["verify"] = err
		return found
	}
	if len(preset.Event) == 0 {
		found["event"] = preset.Check() // it names the preset
	}
	keys, err := sourceKeys(s, preset)
	if err == nil {
		_, err = signature.NewVerifier(*preset.Scheme, keys)
	}
	if err != nil {
		at := "secrets"
		if err == errNoKeys || err != errNoSecrets && preset.Scheme.Algorithm.Asymmetric() {
			at = "public_keys"
		}
		found[at] = err
	} else if _, err := provider.NewHandshake(preset.Handshake, keys); err != nil {
		found["verify"] = err
	}
	return found
}

// endpointProblems returns what is wrong with an endpoint, by its keys. Without a
// guard its address is not looked at.
func endpointProblems(c *config.Config, e config.Endpoint, guard *deliver.Guard) map[string]error {
	endpoint, wrong := fanoutEndpoint(e)
	if wrong != nil { // of its secrets, which alone can be at fault
		e.Secrets = nil
		endpoint, _ = fanoutEndpoint(e)
	}
	if len(endpoint.Keys) == 0 {
		endpoint.Signature = deliver.StyleNone // its secret will be generated
	}
	found := endpoint.Problems()
	if err := found["signature"]; err != nil {
		delete(found, "signature")
		wrong = err
	}
	if wrong != nil && c.Sound(e.Pos.Key+".signature") {
		found["secrets"] = wrong
	}
	if guard != nil && !endpoint.Pull {
		if err := guard.CheckURL(endpoint.URL); err != nil {
			found["url"] = err
		}
	}
	return found
}

// serverTLSProblems returns what is wrong with the PEM texts, by key.
func serverTLSProblems(t config.ServerTLS) map[string]error {
	problems := deliver.NewTLS(t.ClientCA, t.Cert, t.Key.Reveal()).Problems()
	if err, found := problems["ca"]; found {
		delete(problems, "ca")
		problems["client_ca"] = err
	}
	return problems
}

// clampBody lowers what a source accepts to what the bus takes, so that a body it
// would never store is refused as too large instead of asked for again.
func (a *App) clampBody(source *ingest.Source) {
	if largest := a.bus.MaxBody(); source.MaxBody > largest {
		a.options.Logger.Warn("the bus takes smaller bodies than max_body; raise max_payload of the NATS servers",
			"source", source.Name, "max_body", source.MaxBody, "limit", largest)
		source.MaxBody = largest
	}
}
