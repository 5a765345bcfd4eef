package config

import (
	"net/netip"
	"slices"
	"strings"
	"time"
)

// Config is the configuration in force: the files' keys over the defaults,
// checked. Its tags are the one description of every key; the decoder, Show and
// Schema read them:
//
//	key      the name in the file
//	doc      its meaning, for the schema
//	default  its value when absent, as it would be written; lists have commas
//	enum     the words it allows
//	form     the form of a text or secret (see forms); otherwise the Go type decides
//	min, max its bounds, both allowed
//	required an entry without it is an error
//	drop     list entries that are empty after expansion are left out
//
// Treat a Config as read-only: it may be shared.
type Config struct {
	Version     int          `key:"version" default:"1" min:"1" max:"1" doc:"Version of this file's format."`
	Roles       []Role       `key:"roles" default:"ingest,deliver,admin" enum:"ingest,deliver,admin" doc:"Which parts this process runs."`
	Listen      Listen       `key:"listen" doc:"Addresses this process listens on, and how it stops listening."`
	NATS        NATS         `key:"nats" doc:"The bus: an embedded server, or a cluster of your own."`
	Encryption  Encryption   `key:"encryption" doc:"Encryption of secrets at rest."`
	Sources     []Source     `key:"sources" doc:"Who may send webhooks to POST /in/{name}. Several files merge by name."`
	Endpoints   []Endpoint   `key:"endpoints" doc:"Where events are delivered over HTTP. Several files merge by name."`
	Subscribers []Subscriber `key:"subscribers" doc:"Internal services that consume the stream with a NATS client. Several files merge by name."`
	Deliver     Deliver      `key:"deliver" doc:"Rules for every delivery."`
	Admin       Admin        `key:"admin" doc:"The management API."`
	Log         Log          `key:"log" doc:"Logging. Telemetry exporters are set by the standard OTEL_* variables."`

	// What is written where, by key path. It holds no values, which may be secret:
	// fmt prints unexported fields.
	marks map[string]mark
	// faulty are the paths of the keys in which something is wrong. They are known to
	// the further checks; a configuration that was loaded has none.
	faulty []string
}

// mark is a key that is written in a file.
type mark struct {
	pos   Position
	given bool // it has a value
}

// Role is a part of jethook that a process may run.
type Role string

// The roles.
const (
	RoleIngest  Role = "ingest"  // receives webhooks
	RoleDeliver Role = "deliver" // delivers events to endpoints
	RoleAdmin   Role = "admin"   // serves the management API
)

// Listen has the addresses this process listens on.
type Listen struct {
	Ingest         string         `key:"ingest" default:":8080" form:"listen" doc:"Public: POST /in/{source}."`
	Admin          string         `key:"admin" default:"127.0.0.1:8081" form:"listen" doc:"Private: management API /v1, OpenAPI."`
	Ops            string         `key:"ops" default:"127.0.0.1:9090" form:"listen" doc:"/healthz, /readyz and /metrics."`
	TrustedProxies []netip.Prefix `key:"trusted_proxies" doc:"Proxies whose X-Forwarded-For is believed; none by default."`
	DrainDelay     time.Duration  `key:"drain_delay" default:"5s" max:"10m" doc:"After SIGTERM, how long traffic is still taken while readiness already fails, so that load balancers notice."`
	DrainTimeout   time.Duration  `key:"drain_timeout" default:"30s" min:"1s" max:"1h" doc:"How long requests and attempts in flight may take to finish after that."`
}

// NATS is the bus: the embedded server, unless URL or Context name another.
type NATS struct {
	Embedded Embedded `key:"embedded" doc:"The server inside this process, used when url and context are empty."`
	URL      string   `key:"url" form:"nats-url" doc:"Servers of a cluster, separated by commas. Replaces the embedded server."`
	Creds    Secret   `key:"creds" form:"creds" doc:"Content of a credentials file for url, as a rule ${file:/path}."`
	Context  string   `key:"context" form:"word" doc:"A context of the nats command line that names the servers and credentials. Replaces the embedded server."`
	TLS      TLS      `key:"tls" doc:"TLS towards the servers of url. Each value is PEM text, as a rule ${file:/path}."`
	Signing  Signing  `key:"signing" doc:"Makes credentials for subscribers of a cluster that has an operator."`
	Stream   Stream   `key:"stream" doc:"The streams that hold the events, one each for test and prod."`
}

// UseEmbedded reports whether this process runs its own server.
func (n NATS) UseEmbedded() bool { return n.URL == "" && n.Context == "" }

// Embedded is the server inside this process.
type Embedded struct {
	StoreDir   string `key:"store_dir" default:"./data" form:"path" doc:"Directory of the events and of everything else that is kept."`
	Listen     string `key:"listen" form:"listen" doc:"An address such as 127.0.0.1:4222 for services that subscribe natively; none by default."`
	Durability string `key:"durability" default:"power" enum:"power,process" doc:"What a 2xx survives. power: loss of power; process: kill -9 only, and it is faster."`

	TLS ServerTLS `key:"tls" doc:"TLS on listen. Each value is PEM text, as a rule ${file:/path}; a renewed one is taken up by itself."`
}

// ServerTLS is how an address that is listened on and its clients know each other,
// as PEM texts. The zero value is no TLS.
type ServerTLS struct {
	Cert     string `key:"cert" form:"pem" doc:"Certificate, with those between it and its authority."`
	Key      Secret `key:"key" form:"pem-key" doc:"Key of the certificate."`
	ClientCA string `key:"client_ca" form:"pem" doc:"Authorities that sign clients' certificates, which are demanded then."`
}

// TLS is how this process and a server it connects to know each other, as PEM
// texts; all may be empty.
type TLS struct {
	CA   string `key:"ca" form:"pem" doc:"Certificates of the authorities that sign the server's; the system's by default."`
	Cert string `key:"cert" form:"pem" doc:"Client certificate."`
	Key  Secret `key:"key" form:"pem-key" doc:"Key of the client certificate."`
}

// Signing is what the credentials of subscribers are signed with.
type Signing struct {
	Key     Secret `key:"key" form:"account-seed" doc:"Seed of a signing key of the account that subscribers are in (SA…), as a rule ${file:/path}."`
	Account string `key:"account" form:"account-nkey" doc:"Public key of that account (A…); jethook's own when empty."`
}

// Stream is how the event streams are made.
type Stream struct {
	Replicas     int           `key:"replicas" default:"1" min:"1" max:"5" doc:"Copies on a cluster: 3 as a rule. The embedded server has 1."`
	MaxAge       time.Duration `key:"max_age" default:"30d" doc:"Events older than this are removed; 0: no limit by age."`
	MaxBytes     Size          `key:"max_bytes" default:"20GiB" min:"1MiB" doc:"Room for the events of each environment, reserved at start. When it is full, ingest answers 503 and nothing undelivered is dropped to make room."`
	DedupeWindow time.Duration `key:"dedupe_window" default:"10m" min:"1s" max:"24h" doc:"How long the stream itself refuses a second copy; each id in it costs memory. The index behind it recognises redeliveries for 3 days."`
}

// Encryption is of the secrets that are kept on the bus.
type Encryption struct {
	Keyset Secret `key:"keyset" form:"keyset" doc:"Tink keyset in JSON, as a rule ${file:/path}. Made in store_dir when absent and the server is embedded."`
}

// Deliver has the rules for every delivery.
type Deliver struct {
	AllowNetworks []netip.Prefix `key:"allow_networks" doc:"Private ranges an endpoint may be in. Link-local and cloud metadata addresses are refused whatever is listed."`
	RequireHTTPS  bool           `key:"require_https" default:"false" doc:"Refuse endpoints that are not https."`
	DisableAfter  time.Duration  `key:"disable_after" default:"5d" max:"365d" doc:"How long an endpoint may have nothing but failures before it is disabled, with warnings at 50, 75 and 90 percent of the time; 0: never."`
}

// Admin is the management API.
type Admin struct {
	Keys []Secret `key:"keys" form:"api-key" drop:"empty" doc:"Keys of the management API. With none, one for each environment is made and printed once."`
}

// Log is the process's log.
type Log struct {
	Level  string `key:"level" default:"info" enum:"debug,info,warn,error" doc:"The least level that is written."`
	Format string `key:"format" default:"auto" enum:"auto,text,json" doc:"auto: text on a terminal, json otherwise."`
}

// Sound reports whether nothing was found wrong at, below or around the key at
// path. A further check asks before it blames another key for what follows from it.
func (c *Config) Sound(path string) bool {
	return !slices.ContainsFunc(c.faulty, func(key string) bool { return related(key, path) })
}

// Position returns where the key at path is written, or else the nearest key
// around it that is; its Key is path. Paths look like those in problems:
// "nats.url", or the Pos.Key of an entry and a key, "sources[clink].preset".
func (c *Config) Position(path string) Position {
	for outer := path; ; {
		if m, ok := c.marks[outer]; ok {
			m.pos.Key = path
			return m.pos
		}
		if outer == "" {
			return Position{Key: path}
		}
		outer = outer[:max(0, strings.LastIndexAny(outer, ".["))]
	}
}
