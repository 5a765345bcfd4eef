package app

import (
	"strings"

	"github.com/jethook/jethook/config"
	"github.com/jethook/jethook/deliver"
	"github.com/jethook/jethook/ingest"
	"github.com/jethook/jethook/internal/event"
	"github.com/jethook/jethook/internal/provider"
)

// Check finds what the configuration cannot see by itself: whether presets
// exist, keys fit their algorithms and filters compile. The error is
// *config.Problems, with each problem's place in its file.
func Check(c *config.Config) error {
	var problems config.Problems
	for _, s := range c.Sources {
		if _, err := provider.Lookup(s.Preset); s.Preset != "" && err != nil {
			problems.Add(c.Position(s.Pos.Key+".preset"), "%v", err)
		} else if _, err := ingestSource(s); err != nil {
			problems.Add(s.Pos, "%v", err)
		}
	}
	for key, err := range serverTLSProblems(c.NATS.Embedded.TLS) {
		problems.Add(c.Position("nats.embedded.tls."+key), "%v", err)
	}
	guard, err := deliver.NewGuard(c.Deliver.AllowNetworks)
	if err != nil {
		problems.Add(c.Position("deliver.allow_networks"), "%v", err)
		return problems.Err(nil)
	}
	for _, e := range c.Endpoints {
		for key, err := range endpointTLS(e.TLS).Problems() {
			problems.Add(c.Position(e.Pos.Key+".tls."+key), "%v", err)
		}
		e.TLS = config.TLS{} // what is wrong with it is said
		endpoint, err := fanoutEndpoint(e)
		if len(endpoint.Keys) == 0 {
			endpoint.Signature = deliver.StyleNone // its secret will be generated
		}
		if err == nil {
			err = endpoint.Validate()
		}
		if err == nil && !endpoint.Pull {
			err = guard.CheckURL(endpoint.URL)
		}
		if err != nil {
			problems.Add(e.Pos, "%v", err)
		}
	}
	return problems.Err(nil)
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

// Warning is of something that may be meant.
type Warning struct {
	Text        string
	By, Pattern string // the endpoint or subscriber, and what it selects, where that is meant
	Pos         config.Position
}

// String says what the warning is about, and the warning.
func (w Warning) String() string {
	if w.Pattern == "" {
		return w.By + ": " + w.Text
	}
	return w.By + ": " + w.Pattern + ": " + w.Text
}

// unreachable warns of a subscriber where withoutPort.
const unreachable = "no subscriber can connect, since the embedded server has no port; give nats.embedded.listen an address, such as 127.0.0.1:4222"

// withoutPort reports whether there is a server that subscribers cannot connect to.
func withoutPort(c *config.Config) bool {
	return c.NATS.UseEmbedded() && c.NATS.Embedded.Listen == ""
}

// Warnings finds the patterns that select nothing which this configuration
// receives: the source is in another environment, or in another process, or a
// typing error. And it finds the subscribers that cannot connect.
func Warnings(c *config.Config) []Warning {
	envs := map[string]map[string]bool{}
	for _, s := range c.Sources {
		if envs[s.Name] == nil {
			envs[s.Name] = map[string]bool{}
		}
		envs[s.Name][s.Env] = true
	}
	var all []Warning
	look := func(name, env string, patterns []string, pos config.Position) {
		for _, pattern := range patterns {
			source, _, _ := strings.Cut(pattern, ".")
			text := "events of a source that this configuration does not have are selected"
			switch of, known := envs[source]; {
			case source == event.System || source == "*" || source == ">" || of[env]:
				continue
			case known:
				text = "events of a source in the other environment are selected; give both the same env"
			}
			all = append(all, Warning{Text: text, By: name, Pattern: pattern, Pos: pos})
		}
	}
	for _, e := range c.Endpoints {
		look(e.Name, e.Env, e.Events, e.Pos)
	}
	for _, s := range c.Subscribers {
		look(s.Name, s.Env, s.Events, s.Pos)
		if withoutPort(c) {
			all = append(all, Warning{Text: unreachable, By: s.Name, Pos: s.Pos})
		}
	}
	return all
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
