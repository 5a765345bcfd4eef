package config

import (
	"cmp"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
	"time"
)

// checker looks at what concerns several keys at once; a single value was
// checked when it was decoded. Its messages do not quote values, which may have
// come from a variable or a file.
type checker struct {
	*Config
	problems *Problems
	already  []Problem // those of decoding
}

// check notes what is wrong with c.
func (c *Config) check(problems *Problems) {
	k := &checker{Config: c, problems: problems, already: slices.Clone(problems.List)}
	k.checkRoles()
	k.checkBus()
	k.checkDelivery()
	sources, names := map[string]Position{}, map[string]Position{}
	for _, s := range c.Sources {
		k.checkName(s.Name, s.Pos.Key, sources)
		k.checkSource(s)
	}
	k.checkAllowedNetworks()
	for _, e := range c.Endpoints {
		k.checkName(e.Name, e.Pos.Key, names)
		k.checkEvents(e.Events, e.AllEvents, e.Pos.Key)
		k.checkEndpoint(e)
	}
	nkeys := map[string]bool{}
	for _, s := range c.Subscribers {
		k.checkNKeys(s, nkeys)
		k.checkName(s.Name, s.Pos.Key, names)
		k.checkEvents(s.Events, s.AllEvents, s.Pos.Key)
	}
}

// add notes a problem of the key at path, unless decoding found something wrong
// at, below or around that key, of which this is most likely a consequence.
func (k *checker) add(path, format string, args ...any) {
	if !concerned(k.already, path) {
		k.problems.Add(k.Position(path), format, args...)
	}
}

// given reports whether the key at path has a value in a file.
func (k *checker) given(path string) bool {
	return k.marks[path].given
}

func (k *checker) checkRoles() {
	if len(k.Roles) == 0 {
		k.add("roles", "is empty; name what this process runs: ingest, deliver, admin")
	}
	for i, role := range k.Roles {
		if slices.Index(k.Roles, role) < i {
			k.add(fmt.Sprintf("roles[%d]", i), "is listed twice; remove one")
		}
	}
}

func (k *checker) checkBus() {
	n := k.NATS
	if n.URL != "" && n.Context != "" {
		k.add("nats.context", "a context names the servers itself; remove nats.url or nats.context")
	}
	if n.UseEmbedded() {
		if n.Stream.Replicas > 1 {
			k.add("nats.stream.replicas", "the embedded server keeps one copy; write 1, or name a cluster in nats.url")
		}
		for path, empty := range map[string]bool{
			"nats.creds": n.Creds.Empty(), "nats.tls.ca": n.TLS.CA == "", "nats.tls.cert": n.TLS.Cert == "", "nats.tls.key": n.TLS.Key.Empty(),
			"nats.signing.key": n.Signing.Key.Empty(), "nats.signing.account": n.Signing.Account == "",
		} {
			if !empty {
				k.add(path, "is for a cluster, and none is named; write nats.url, or remove it")
			}
		}
	} else {
		other := "nats.url"
		if n.URL == "" {
			other = "nats.context"
		}
		for _, path := range []string{"nats.embedded.store_dir", "nats.embedded.listen", "nats.embedded.durability", "nats.embedded.tls"} {
			if k.given(path) {
				k.add(path, "is for the embedded server, which %s replaces; remove %s, or %s", other, path, other)
			}
		}
	}
	k.checkPair(n.TLS, "nats.tls")
	if n.Signing.Account != "" && n.Signing.Key.Empty() {
		k.add("nats.signing.key", "is missing, and account is of no use without it; give both, or neither")
	}
	if t := n.Embedded.TLS; t != (ServerTLS{}) {
		if t.Cert == "" || t.Key.Empty() {
			k.add("nats.embedded.tls", "needs cert and key; give both, or remove it")
		}
		if n.Embedded.Listen == "" {
			k.add("nats.embedded.tls", "is for nats.embedded.listen, which is not given; give it, or remove tls")
		}
	}
	if n.Stream.MaxAge != 0 && n.Stream.DedupeWindow > n.Stream.MaxAge {
		k.add("nats.stream.dedupe_window", "is longer than nats.stream.max_age; make it shorter")
	}
}

func (k *checker) checkDelivery() {
	if after := k.Deliver.DisableAfter; after > 0 && after < time.Second {
		k.add("deliver.disable_after", "is less than 1s, the least allowed; 0 is for never")
	}
}

func (k *checker) checkSource(s Source) {
	path := s.Pos.Key
	if s.Name == "jethook" {
		k.add(path+".name", "jethook is the source of events about jethook itself; choose another name")
	}
	algorithm := ""
	if s.Verify != nil && s.Verify.Algorithm != nil {
		algorithm = *s.Verify.Algorithm
	}
	switch {
	case s.Preset == "" && s.Verify == nil:
		k.add(path+".preset", "is missing, and so is verify; name a preset, or write verify (to take anything from anybody: verify: {algorithm: none})")
		return
	case s.Preset == "" && algorithm == "":
		k.add(path+".verify.algorithm", "is missing, and there is no preset to take it from; write one of %s",
			strings.Join(verifyAlgorithms(), ", "))
		return
	}
	k.checkSourceKeys(s, algorithm)
	if s.Verify != nil {
		k.checkOne(path+".verify.signature", "header", "headers_numbered", "json", "form")
		k.checkOne(path+".verify.timestamp", "header", "field", "json")
	}
}

func verifyAlgorithms() []string {
	algorithm, _ := keyOf(verifyType, "algorithm")
	return algorithm.enum
}

// checkSourceKeys sees that there is something to verify with. What a preset
// without an algorithm beside it needs, this package cannot know; something it
// does.
func (k *checker) checkSourceKeys(s Source, algorithm string) {
	var needs string
	switch {
	case algorithm == "none":
		return
	case algorithm == "":
		if len(s.Secrets)+len(s.PublicKeys) > 0 {
			return
		}
		needs = "secrets"
		if k.given(s.Pos.Key + ".public_keys") {
			needs = "public_keys"
		}
	case isAsymmetric(algorithm):
		if len(s.PublicKeys) > 0 {
			return
		}
		needs = "public_keys"
	default:
		if len(s.Secrets) > 0 {
			return
		}
		needs = "secrets"
	}
	path := s.Pos.Key + "." + needs
	if k.given(path) {
		k.add(path, "is empty in every entry, and requests could not be verified; set one")
		return
	}
	k.add(path, "is missing, and requests could not be verified; give at least one, as a rule from ${env:NAME} or ${file:/path}")
}

func isAsymmetric(algorithm string) bool {
	return strings.HasPrefix(algorithm, "rsa-") || strings.HasPrefix(algorithm, "ecdsa-") || algorithm == "ed25519"
}

// checkOne sees that at most one of several keys is given.
func (k *checker) checkOne(path string, names ...string) {
	var given []string
	for _, name := range names {
		if k.given(path + "." + name) {
			given = append(given, name)
		}
	}
	if len(given) > 1 {
		k.add(path, "has %s; give only one of %s", strings.Join(given, " and "), strings.Join(names, ", "))
	}
}

// checkName sees that no other entry has the name once variables are put in.
func (k *checker) checkName(name, path string, names map[string]Position) {
	at := k.Position(path + ".name")
	if first, taken := names[name]; taken && name != "" {
		shared := ""
		if !strings.HasPrefix(path, "sources[") {
			shared = "endpoints and subscribers share one set of names, "
		}
		k.add(at.Key, "the name is taken by the entry at %v; %srename one of them", first, shared)
		return
	}
	names[name] = at
}

func (k *checker) checkEvents(events []string, all bool, path string) {
	switch {
	case all && len(events) > 0:
		k.add(path+".events", "all_events is true as well; remove one of them")
	case !all && k.given(path+".events") && len(events) == 0:
		k.add(path+".events", "is empty; name events such as clink.order.*, or write all_events: true")
	case !all && len(events) == 0:
		k.add(path+".events", "is missing; name events such as clink.order.*, or write all_events: true")
	}
}

// checkNKeys sees that a key is one subscriber's alone.
func (k *checker) checkNKeys(s Subscriber, taken map[string]bool) {
	if s.NKey == "" && len(s.OldNKeys) > 0 {
		k.add(s.Pos.Key+".nkey", "is missing, and old_nkeys are those before it; give nkey, or remove old_nkeys")
	}
	for i, key := range append([]string{s.NKey}, s.OldNKeys...) {
		if key == "" {
			continue
		}
		if taken[key] {
			path := s.Pos.Key + ".nkey"
			if i > 0 {
				path = fmt.Sprintf("%s.old_nkeys[%d]", s.Pos.Key, i-1)
			}
			k.add(path, "is given twice; each subscriber needs keys of its own")
		}
		taken[key] = true
	}
}

func (k *checker) checkEndpoint(e Endpoint) {
	path := e.Pos.Key
	if e.Retry.MaxInterval < e.Retry.Initial {
		k.add(path+".retry.max_interval", "is less than initial; make it at least as long")
	}
	seen := map[string]bool{}
	for _, name := range slices.SortedFunc(maps.Keys(e.Headers), func(a, b string) int {
		return cmp.Or(cmp.Compare(strings.ToLower(a), strings.ToLower(b)), cmp.Compare(a, b))
	}) {
		at := join(path+".headers", shorten(name))
		lower := strings.ToLower(name)
		switch {
		case !headerRegexp.MatchString(name):
			k.add(at, "is not a header name such as X-Team")
		case isReserved(lower):
			k.add(at, "is a header that jethook sets itself; remove it")
		case lower == "authorization" && k.given(path+".auth"):
			k.add(at, "is what auth sets; remove one of them")
		case seen[lower]:
			k.add(at, "is given twice, in another spelling; remove one")
		}
		seen[lower] = true
	}
	k.checkAuth(e.Auth, path+".auth")
	k.checkPair(e.TLS, path+".tls")
	k.checkPull(e, path)
	if u, err := url.Parse(e.URL); err == nil && e.URL != "" {
		if u.Scheme == "http" && e.TLS != (TLS{}) {
			k.add(path+".tls", "is for https, and url begins with http://; write https:// there, or remove tls")
		}
		if k.Deliver.RequireHTTPS && u.Scheme != "https" {
			k.add(path+".url", "is not https, which deliver.require_https demands; use an https address")
		}
		k.checkAddress(path+".url", u.Hostname())
	}
}

// checkPull sees that an endpoint has a url or is pulled, and what goes with that.
func (k *checker) checkPull(e Endpoint, path string) {
	if !e.Pull {
		if e.URL == "" {
			k.add(path+".url", "is missing; write where events are posted, or pull: true where its receiver takes them")
		}
		return
	}
	for name, given := range map[string]bool{
		"url": e.URL != "", "rate": e.Rate != 0, "headers": len(e.Headers) > 0, "auth": e.Auth != Auth{}, "tls": e.TLS != TLS{},
		"secrets": len(e.Secrets) > 0, "signature": e.Signature != "standard" && e.Signature != "none",
	} {
		if given {
			k.add(path+"."+name, "is for events that are posted, and pull: true has its receiver take them; remove one of them")
		}
	}
}

// isReserved reports whether a header is set by jethook or by the connection.
func isReserved(lower string) bool {
	for _, prefix := range []string{"webhook-", "ce-", "jethook-", "nats-", "proxy-"} {
		if strings.HasPrefix(lower, prefix) {
			return true
		}
	}
	return slices.Contains([]string{
		"content-type", "content-length", "content-encoding", "host", "user-agent", "traceparent", "tracestate",
		"connection", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade", "expect",
	}, lower)
}
