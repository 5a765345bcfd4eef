package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/jethook/jethook/config"
	"github.com/jethook/jethook/deliver"
	"github.com/jethook/jethook/internal/bus"
	"github.com/jethook/jethook/internal/event"
)

const (
	// reachTimeout bounds the look for one endpoint, reachTogether how many are
	// looked for at once, and diagnoseTimeout all of it.
	reachTimeout    = 5 * time.Second
	reachTogether   = 16
	diagnoseTimeout = time.Minute
	// maxHealth bounds what is read of a running process's answer.
	maxHealth = 64 << 10
)

// Verdict is what was found of one thing.
type Verdict string

// The verdicts.
const (
	Fine        Verdict = "ok"
	Doubtful    Verdict = "warning"     // may be meant
	Faulty      Verdict = "failed"      // jethook would not start, or not work
	Unreachable Verdict = "unreachable" // does not answer for now
)

// Finding is what Diagnose says of one thing.
type Finding struct {
	Check   string  `json:"check"` // configuration, process, store, space, bus, port or endpoint
	Name    string  `json:"name,omitempty"`
	Verdict Verdict `json:"verdict"`
	Detail  string  `json:"detail,omitempty"` // says what to do where the verdict is not ok
}

// Diagnose looks at what a process with this configuration needs, and changes
// nothing: its store or bus, its ports, and the way to the endpoints of the file,
// to which it connects and sends nothing. It takes a minute at most.
func Diagnose(ctx context.Context, c *config.Config) ([]Finding, error) {
	ctx, cancel := context.WithTimeout(ctx, diagnoseTimeout)
	defer cancel()
	found := []Finding{{Check: "configuration", Verdict: Fine}}
	for _, w := range Warnings(c) {
		found = append(found, Finding{"configuration", w.Pos.String(), Doubtful, w.String()})
	}
	process, running := diagnoseProcess(ctx, c.Listen.Ops)
	found = append(found, process)
	found = append(found, diagnoseBus(ctx, c, running)...)
	found = append(found, diagnosePorts(c, running)...)
	if !has(c, config.RoleDeliver) {
		return found, nil
	}
	endpoints, err := diagnoseEndpoints(ctx, c)
	return append(found, endpoints...), err
}

// diagnoseBus looks at the store directory, or asks the cluster.
func diagnoseBus(ctx context.Context, c *config.Config, running bool) []Finding {
	warnings := new(warningLog)
	sound := true
	var found []Finding
	for _, check := range bus.Inspect(ctx, busConfig(c, slog.New(warnings), nil)) {
		f := Finding{Check: check.Name, Verdict: Fine, Detail: check.Note}
		switch {
		case errors.Is(check.Err, bus.ErrInUse) && running:
			f.Detail = "the running jethook has it"
		case errors.Is(check.Err, event.ErrUnavailable):
			f.Verdict, f.Detail, sound = Unreachable, check.Err.Error(), false
		case check.Err != nil:
			f.Verdict, f.Detail, sound = Faulty, check.Err.Error(), false
		}
		found = append(found, f)
	}
	if sound { // else they tell of the same
		found = append(found, warnings.found...)
	}
	return found
}

// warningLog keeps what the bus warns of.
type warningLog struct {
	mu    sync.Mutex
	found []Finding
}

func (w *warningLog) Enabled(_ context.Context, level slog.Level) bool {
	return level >= slog.LevelWarn
}

func (w *warningLog) Handle(_ context.Context, record slog.Record) error {
	text := record.Message
	record.Attrs(func(a slog.Attr) bool {
		text += fmt.Sprintf("; %s: %v", a.Key, a.Value)
		return true
	})
	w.mu.Lock()
	defer w.mu.Unlock()
	w.found = append(w.found, Finding{Check: "bus", Verdict: Doubtful, Detail: text})
	return nil
}

// WithAttrs and WithGroup are not used by the bus while it is looked at.
func (w *warningLog) WithAttrs([]slog.Attr) slog.Handler { return w }
func (w *warningLog) WithGroup(string) slog.Handler      { return w }

// diagnoseProcess asks a process that has the configuration's ops address.
func diagnoseProcess(ctx context.Context, ops string) (of Finding, running bool) {
	of = Finding{Check: "process", Name: ops, Verdict: Fine, Detail: "not running here"}
	host, port, err := net.SplitHostPort(ops)
	if err != nil || port == "0" {
		return of, false
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	ctx, cancel := context.WithTimeout(ctx, reachTimeout)
	defer cancel()
	base := "http://" + net.JoinHostPort(host, port)
	if status, text := ask(ctx, base+"/healthz"); status != http.StatusOK || text != "ok\n" {
		return of, false
	}
	status, text := ask(ctx, base+"/readyz")
	if of.Detail = "running and ready"; status != http.StatusOK {
		of.Verdict, of.Detail = Faulty, "running and not ready: "+text
	}
	return of, true
}

// ask returns the status and the text of an answer, or 0 for none.
func ask(ctx context.Context, url string) (status int, text string) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return 0, ""
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}} // no proxy: it is this machine
	response, err := client.Do(request)
	if err != nil {
		return 0, ""
	}
	defer func() { _ = response.Body.Close() }() // only read
	body, err := io.ReadAll(io.LimitReader(response.Body, maxHealth))
	if err != nil {
		return 0, ""
	}
	return response.StatusCode, string(body)
}

func diagnosePorts(c *config.Config, running bool) []Finding {
	ports := []struct{ key, address string }{{"listen.ops", c.Listen.Ops}}
	if has(c, config.RoleIngest) {
		ports = append(ports, struct{ key, address string }{"listen.ingest", c.Listen.Ingest})
	}
	if has(c, config.RoleAdmin) {
		ports = append(ports, struct{ key, address string }{"listen.admin", c.Listen.Admin})
	}
	if c.NATS.UseEmbedded() && c.NATS.Embedded.Listen != "" {
		ports = append(ports, struct{ key, address string }{"nats.embedded.listen", c.NATS.Embedded.Listen})
	}
	var found []Finding
	for _, p := range ports {
		f := Finding{"port", p.key, Fine, p.address + " is free"}
		socket, err := net.Listen("tcp", p.address)
		switch {
		case err == nil:
			_ = socket.Close() // only tried
		case errors.Is(err, syscall.EADDRINUSE) && running:
			f.Detail = p.address + " is taken, as it is by the running jethook"
		case errors.Is(err, syscall.EADDRINUSE):
			f.Verdict, f.Detail = Faulty, fmt.Sprintf("%s is taken by another program: stop that, or change %s", p.address, p.key)
		case errors.Is(err, syscall.EACCES):
			f.Verdict, f.Detail = Faulty, fmt.Sprintf("%s may not be listened on by this user: take a port above 1023 for %s, or give the program CAP_NET_BIND_SERVICE", p.address, p.key)
		default:
			f.Verdict, f.Detail = Faulty, fmt.Sprintf("%s: %v: name an address of this machine in %s", p.address, err, p.key)
		}
		found = append(found, f)
	}
	return found
}

func diagnoseEndpoints(ctx context.Context, c *config.Config) ([]Finding, error) {
	guard, err := deliver.NewGuard(c.Deliver.AllowNetworks)
	if err != nil {
		return nil, err
	}
	client, err := deliver.NewClient(deliver.ClientConfig{Guard: guard})
	if err != nil {
		return nil, err
	}
	defer client.Close()
	found := make([]Finding, len(c.Endpoints)) // each look has its own
	var group errgroup.Group
	group.SetLimit(reachTogether)
	for i, e := range c.Endpoints {
		f := &found[i]
		*f = Finding{"endpoint", e.Env + "/" + e.Name, Fine, ""}
		switch {
		case !e.Enabled:
			f.Detail = "not enabled, and not looked for"
			continue
		case e.Pull:
			f.Detail = "its receiver takes its events, and is not looked for"
			continue
		}
		group.Go(func() error {
			reaching, cancel := context.WithTimeout(ctx, reachTimeout)
			defer cancel()
			err := client.Reach(reaching, e.URL, endpointTLS(e.TLS))
			switch {
			case err == nil:
				f.Detail = "reachable"
			case errors.Is(err, deliver.ErrAddressRefused):
				f.Verdict, f.Detail = Faulty, err.Error()
			default:
				f.Verdict, f.Detail = Unreachable, err.Error()+": start the service, let this machine reach it, or correct "+e.Pos.Key+".url"
			}
			return nil
		})
	}
	return found, group.Wait()
}
