package deliver

import (
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/jethook/jethook/internal/event"
	"github.com/jethook/jethook/internal/signature"
)

// Bounds of an endpoint's settings, and what a zero setting means.
const (
	DefaultTimeout     = 15 * time.Second
	DefaultConcurrency = 16

	maxTimeout     = 10 * time.Minute
	maxConcurrency = 1024
	maxName        = 63
	maxURL         = 2048
)

// Endpoint is where events are delivered and how. Zero settings have the
// defaults that WithDefaults fills in.
type Endpoint struct {
	Name string // lower-case letters, digits, - and _; at most 63 bytes; unique in Env
	Env  event.Env
	URL  string // http or https; may carry a user and password

	// Pull has events taken with a Puller instead of posted: URL, Rate, Header
	// and TLS are empty then and Signature is StyleNone.
	Pull bool

	Signature Style           // zero means StyleStandard
	Keys      []signature.Key // made with ParseSigningKey for the style's scheme; none for StyleNone

	Timeout     time.Duration // of one attempt; zero means 15 s; at most 10 minutes
	Concurrency int           // attempts in flight; zero means 16; at most 1024
	Rate        float64       // attempts a second; zero means unlimited
	Filter      string        // an expression over the JSON body; empty lets every event through
	Header      http.Header   // sent with every attempt; may hold secrets
	TLS         TLS           // for https alone
	Retry       Retry

	// SystemEvents has jethook's own events delivered too, where the durable
	// consumer selects them.
	SystemEvents bool
}

// Style names how deliveries are signed.
type Style string

// The styles.
const (
	StyleStandard Style = "standard" // Standard Webhooks, with every key
	StyleClink    Style = "clink"    // as Clink signs, with the first key
	StyleCHIP     Style = "chip"     // as CHIP signs: RSA, with the first key
	StyleNone     Style = "none"     // not signed
)

// Scheme returns the scheme of the style: what its keys are parsed for. An
// unknown style is an error.
func (s Style) Scheme() (signature.Scheme, error) {
	switch s {
	case StyleStandard, "":
		return signature.StandardWebhooks(), nil
	case StyleClink:
		return signature.Clink(), nil
	case StyleCHIP:
		return signature.CHIP(), nil
	case StyleNone:
		return signature.Scheme{Algorithm: signature.None}, nil
	}
	return signature.Scheme{}, fmt.Errorf("signature %q is none of standard, clink, chip, none", string(s))
}

// WithDefaults returns the endpoint with its zero settings filled in.
func (e Endpoint) WithDefaults() Endpoint {
	if e.Signature == "" {
		e.Signature = StyleStandard
	}
	if e.Timeout == 0 {
		e.Timeout = DefaultTimeout
	}
	if e.Concurrency == 0 {
		e.Concurrency = DefaultConcurrency
	}
	e.Retry = e.Retry.withDefaults()
	return e
}

// Validate reports what is wrong with the endpoint, every problem at once. It
// does not look at the address of the URL: Guard.CheckURL does.
func (e Endpoint) Validate() error {
	problems := e.Problems()
	var all []error
	for _, setting := range slices.Sorted(maps.Keys(problems)) {
		all = append(all, problems[setting])
	}
	if err := errors.Join(all...); err != nil {
		return fmt.Errorf("endpoint %q: %w", e.Name, err)
	}
	return nil
}

// Problems is Validate by the names of the settings, such as "url", "retry.jitter"
// and "tls.ca", with which the errors begin. That of Signature and Keys is
// "signature".
func (e Endpoint) Problems() map[string]error {
	e = e.WithDefaults()
	problems := e.Retry.problems()
	maps.Copy(problems, e.tlsProblems())
	problems["name"], problems["url"], problems["headers"] = e.checkName(), e.checkPlace(), checkHeader(e.Header)
	_, problems["env"] = event.ParseEnv(string(e.Env))
	_, problems["signature"] = newSigner(e)
	if _, err := newFilter(e.Filter); err != nil {
		problems["filter"] = fmt.Errorf("filter: %w", err)
	}
	if e.Timeout < 0 || e.Timeout > maxTimeout {
		problems["timeout"] = fmt.Errorf("timeout %s is not between 0 and %s", e.Timeout, maxTimeout)
	}
	if e.Concurrency < 0 || e.Concurrency > maxConcurrency {
		problems["concurrency"] = fmt.Errorf("concurrency %d is not between 1 and %d", e.Concurrency, maxConcurrency)
	}
	if !(e.Rate >= 0 && e.Rate <= 1e6) { // so that NaN is refused
		problems["rate"] = fmt.Errorf("rate %v is not between 0 and a million a second", e.Rate)
	}
	maps.DeleteFunc(problems, func(_ string, err error) bool { return err == nil })
	return problems
}

// checkName admits what fits into a subject's token and a consumer's name.
func (e Endpoint) checkName() error {
	if e.Name == "" || len(e.Name) > maxName {
		return fmt.Errorf("name must have 1 to %d characters", maxName)
	}
	for _, c := range []byte(e.Name) {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' && c != '_' {
			return errors.New("name may hold lower-case letters, digits, - and _ only")
		}
	}
	return nil
}

// checkPlace finds what is wrong with where events go.
func (e Endpoint) checkPlace() error {
	if !e.Pull {
		return checkURL(e.URL)
	}
	if e.URL != "" || e.Rate != 0 || len(e.Header) > 0 || e.TLS != (TLS{}) || e.Signature != StyleNone {
		return errors.New("an endpoint whose events are pulled has no url, rate, headers, tls or signature")
	}
	return nil
}

// checkURL never quotes the URL, which may carry a password.
func checkURL(raw string) error {
	if len(raw) > maxURL {
		return fmt.Errorf("url is longer than %d bytes", maxURL)
	}
	u, err := url.Parse(raw)
	switch {
	case err != nil:
		return errors.New("url cannot be parsed")
	case u.Scheme != "http" && u.Scheme != "https":
		return errors.New("url must begin with http:// or https://")
	case u.Hostname() == "":
		return errors.New("url names no host")
	case u.Fragment != "":
		return errors.New("url must have no fragment")
	}
	return nil
}

// String returns the environment and the name, and nothing that may be secret.
func (e Endpoint) String() string { return string(e.Env) + "/" + e.Name }

// who names the endpoint in the log, as the line of an attempt does.
func (e Endpoint) who() slog.Attr { return slog.Group("", "endpoint", e.Name, "env", e.Env) }

// LogValue is String.
func (e Endpoint) LogValue() slog.Value { return slog.StringValue(e.String()) }

// ackMargin is what an event may wait beside its attempt, fetched but not
// begun, before the server hands it out again.
const ackMargin = 30 * time.Second

// AckWait returns the AckWait of the endpoint's durable consumers: the timeout
// and 30 seconds, and for rates below one a second the time in which what was
// fetched in advance gets its turn. Where events are pulled it is 30 seconds, for
// a lease takes the place of each at once.
func AckWait(e Endpoint) time.Duration {
	if e.Pull {
		return ackMargin
	}
	wait := e.WithDefaults().Timeout + ackMargin
	if e.Rate > 0 && e.Rate < 1 {
		wait += min(time.Duration(3*float64(time.Second)/e.Rate), 24*time.Hour)
	}
	return wait
}

// MaxAckPending returns the MaxAckPending of the endpoint's durable consumers.
// A worker itself bounds what it holds; this leaves room for the workers of
// other replicas.
func MaxAckPending(e Endpoint) int {
	return max(1000, 16*e.WithDefaults().Concurrency)
}

// pullBatch is how many events are fetched in advance: no more than can be
// begun within about a second.
func pullBatch(e Endpoint) int {
	if e.Rate > 0 {
		return max(1, min(e.Concurrency, int(e.Rate)))
	}
	return e.Concurrency
}
